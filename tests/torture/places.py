"""The destinations of the torture: each sink's far end, with what a round asks of it. A new sink is a line in `PLACES`.

A far end (tests/contract) knows how to misbehave; a place knows what its sink promises, reads what has landed once a
round, and forgets it, so that rounds may go on forever.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forwarder.registry import SINKS
from forwarder.testing.far_end import SECOND_SECRET, SECRET, Ability, FarEnd, context, secret_file
from tests.contract.far_ends import (
    AcknowledgingSplunkEnd,
    ElasticsearchEnd,
    FileEnd,
    HttpEnd,
    SplunkEnd,
    SyslogDatagramEnd,
    SyslogRelpEnd,
    SyslogStreamEnd,
)
from tests.crash.far_end import digest, files_of, whole_lines
from tests.torture import spells
from tests.torture.certificates import Certificates
from tests.torture.spells import Spells

SPELLS: frozenset[Ability] = frozenset({"busy", "too_large", "slow", "stall", "reset", "garbage", "late"})
"""What a far end plays for a few requests; the rest (auth, tls, restart, reject) are acts of their own."""


class Place:
    """One destination.

    Args:
        end: Its far end.
        spells: What it plays beyond its abilities.
        more: Settings beside those of the far end.
        certificates: When it listens with TLS.
        secret: The credential it is given; unlike the second one, which is only good after `rotate`.

    Attributes:
        breaks: How often its connections may have broken so far.
        rotated: Whether its credential can change no more.
        sizes_refused: How many more requests it may have refused for their size, be they ever so short.
    """

    by_digest = False
    """Whether an event is recognised by its content rather than by its id."""
    may_lose = False
    """Whether anything may be lost at any time, so that it is only counted."""

    def __init__(
        self,
        name: str,
        end: FarEnd,
        folder: Path,
        *,
        certificates: Certificates | None = None,
        spells: Spells | None = None,
        **more: Any,
    ) -> None:
        self.name, self.end, self.folder = name, end, folder
        self.can = end.can if certificates is not None else end.can - {"tls"}
        self.breaks = self.sizes_refused = 0
        self._spells = spells or {}
        self._certificates = certificates
        self._more = more
        self._is = "away"
        self.rotated = "auth" not in end.can
        self._secret = SECRET

    async def open(self, *, wrong: str = "") -> None:
        """Listen, with a certificate that is good or wrong in a named way."""
        tls = self._certificates.context(wrong) if self._certificates is not None else None
        await self.end.open(tls)
        self._is = wrong or "good"

    async def close(self) -> None:
        if self._is != "away":
            self._is = "away"
            self.breaks += 1
            await self.end.close()

    async def repair(self) -> None:
        """Listen with the good certificate, unless it does."""
        self.end.calm()
        if self._is != "good":
            await self.close()
            await self.open()

    def sink(self) -> dict[str, Any]:
        """Return what the daemon is configured with."""
        trusted = {"tls": {"ca_file": str(self._certificates.ca_file)}} if self._certificates is not None else {}
        return {**self.end.settings(), **self._more, **trusted}

    @property
    def proof(self) -> str:
        """Return what the sink itself says its acceptance is worth."""
        settings = self.sink()
        found = SINKS.load(settings["type"])
        return str(found(found.Config(**settings), context(self.name, slots=1)).proof)

    @property
    def spells(self) -> list[str]:
        """Return what it can play for a few requests."""
        return sorted({*(self.can & SPELLS), *self._spells})

    def play(self, spell: str, times: int) -> None:
        if spell in self._spells:
            self.end._receiver.rules.append(self._spells[spell](times, self._secret))  # type: ignore[attr-defined]
        else:
            self.end.play(spell, times)  # type: ignore[arg-type]
        self.breaks += times
        self.sizes_refused += times * (spell == "too_large")

    async def rotate(self, lasts: float) -> None:
        """Take another credential from now on; the file that the daemon reads follows a while later."""
        self.rotated, self._secret = True, SECOND_SECRET
        self.end.calm()  # no one echoes the former one, which the daemon may not know any more
        self.end.rotate()
        await asyncio.sleep(lasts)
        secret_file(self.folder, self._secret)

    async def settle(self) -> None:
        """Wait until what was sent by a daemon that has ended is read."""

    def take(self) -> Counter[str]:
        """Return how often each event has landed since the last call; nothing may be on its way."""
        landed = Counter(self.end.landed)
        self.forget()
        return landed

    def forget(self) -> None:
        raise NotImplementedError


class Elastic(Place):
    """Forgets like after a rollover: what comes again is stored again, and seen."""

    end: ElasticsearchEnd

    def forget(self) -> None:
        self.end._receiver.streams.clear()
        self.end._receiver.refused.clear()


class Archive(Place):
    """The file; lines are compared by content. Read only while the daemon is stopped."""

    end: FileEnd
    by_digest = True

    def take(self) -> Counter[str]:
        landed = Counter(map(digest, whole_lines(self.end._path)))
        for file in files_of(self.end._path):
            file.unlink()
        return landed


class Lines(Place):
    """Whatever takes lines over HTTP."""

    end: HttpEnd

    def forget(self) -> None:
        self.end._receiver.taken.clear()
        self.end._receiver.bodies.clear()


class Splunk(Place):
    """An event collector, with acknowledgement or without."""

    end: SplunkEnd

    def forget(self) -> None:
        self.end._receiver.events.clear()


class Syslog(Place):
    """A stream or datagrams: the receiver may still be reading when the daemon has ended."""

    end: SyslogStreamEnd

    async def settle(self) -> None:
        receiver, before, still = self.end._receiver, -1, 0
        while receiver._tasks and still < 25:  # one that plays dead never ends
            still = still + 1 if before == len(receiver.messages) else 0
            before = len(receiver.messages)
            await asyncio.sleep(0.02)
        if receiver._tasks:
            await self.close()
            await self.open()

    def forget(self) -> None:
        self.end._receiver.messages.clear()


class Datagrams(Syslog):
    """UDP."""

    may_lose = True


Maker = Callable[[str, Path, Certificates], Place]

PLACES: dict[str, Maker] = {
    "elastic": lambda name, folder, tls: Elastic(
        name, ElasticsearchEnd(folder), folder, certificates=tls, spells=spells.HTTP
    ),
    "archive": lambda name, folder, _: Archive(name, FileEnd(folder), folder, rotate={"bytes": "60KB"}),
    "http": lambda name, folder, tls: Lines(name, HttpEnd(folder), folder, certificates=tls, spells=spells.HTTP),
    "splunk": lambda name, folder, _: Splunk(name, SplunkEnd(folder), folder, spells=spells.SPLUNK),
    "splunk_acks": lambda name, folder, tls: Splunk(
        name, AcknowledgingSplunkEnd(folder), folder, certificates=tls, spells=spells.SPLUNK_ACKS
    ),
    "relp": lambda name, folder, _: Syslog(name, SyslogRelpEnd(folder), folder, spells=spells.RELP),
    "syslog_tcp": lambda name, folder, _: Syslog(name, SyslogStreamEnd(folder), folder, spells=spells.STREAM),
    "syslog_tls": lambda name, folder, tls: Syslog(
        name, SyslogStreamEnd(folder), folder, certificates=tls, spells=spells.STREAM
    ),
    "syslog_udp": lambda name, folder, _: Datagrams(name, SyslogDatagramEnd(folder), folder),
}
"""Name of the sink in the configuration -> how to make its place."""
