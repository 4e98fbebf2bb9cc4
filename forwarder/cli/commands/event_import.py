"""Events that were kept go into the spool, through the daemon or in its place, and a person sees how far it came."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from forwarder.admin.imports import MOST_BYTES, MOST_EVENTS, Begun, Part, Taken
from forwarder.cli.daemon_client import Refused
from forwarder.cli.terminal import print_text
from forwarder.contracts import plain
from forwarder.contracts.errors import ConfigError
from forwarder.contracts.text import visible
from forwarder.exit_codes import ExitCode

if TYPE_CHECKING:
    from forwarder.cli.daemon_client import VerbClient

LINE_EVERY = 60.0
"""Seconds between two lines about how far it came."""

WAIT = 1.0
"""Seconds between two tries to hand in what the daemon does not take just now."""

PATIENCE = 600.0
"""Seconds after which it is given up; the same command goes on."""

MOST_NAMED = 100
"""Lines that were left out and are named; the others are counted."""


class EventImport:
    """Hands events in, as many at once as the daemon takes, and counts what became of them.

    Args:
        found: The daemon, or its spool.
        source: Whose events they are.
        sink: For which sink alone; empty: for all.
        size: Of the whole, for what is said of how far it came; 0 when nobody knows.
    """

    def __init__(self, found: VerbClient, source: str, sink: str, size: int) -> None:
        self._found = found
        self._source = source
        self._sink = sink
        self._size = size
        self._places: list[str] = []
        self._bodies: list[bytes] = []
        self._bytes = 0
        self._told_at = time.monotonic()
        self.new = self.known = self.revisions = self.left_out = 0

    async def begin(self, *, again: bool) -> None:
        """Ask whether these events are taken. Raises ConfigError when some would be delivered twice."""
        begun = await self._found.ask("import.begin", Part(self._source, sink=self._sink), Begun)
        if begun.forgotten and not again:
            days = list(begun.forgotten)
            raise ConfigError(
                f"the spool has had {sum(begun.forgotten.values())} events of {days[0]} to {days[-1]} and does not "
                "remember their ids any more (spool.id_retention): those in the archive would be delivered twice, "
                "under the same document ids. Take these days out of it, or say --again"
            )

    async def add(self, place: str, body: bytes, far: Callable[[], int]) -> None:
        """Hand in an event, with others before it.

        Args:
            place: Where it stands, for people.
            body: As the API sent it.
            far: Returns how much of the whole has been read.
        """
        if len(body) > MOST_BYTES:
            self.leave_out(place, f"it is longer than {MOST_BYTES} bytes")
            return
        if len(self._bodies) == MOST_EVENTS or self._bytes + len(body) > MOST_BYTES:
            await self.hand_in()
            self._tell(far())
        self._places.append(place)
        self._bodies.append(body)
        self._bytes += len(body)

    async def hand_in(self) -> None:
        """Hand in what was added and is not handed in yet."""
        if not self._bodies:
            return
        part, until = Part(self._source, self._bodies, self._sink), time.monotonic() + PATIENCE
        while True:
            try:
                taken = await self._found.ask("import.part", part, Taken)
                break
            except Refused as error:
                if error.code is not ExitCode.DEGRADED or time.monotonic() > until:
                    raise
                if time.monotonic() - self._told_at >= LINE_EVERY:
                    self._told_at = time.monotonic()
                    say(f"waiting: {error}")
                await asyncio.sleep(WAIT)
        self.new += taken.new
        self.known += taken.known
        self.revisions += taken.revisions
        for at, reason in taken.refused:
            self.leave_out(self._places[at], reason)
        self._places, self._bodies, self._bytes = [], [], 0

    def leave_out(self, place: str, reason: str) -> None:
        """Count an event that is not taken, and say why."""
        self.left_out += 1
        if self.left_out <= MOST_NAMED:
            say(f"{place} is left out: {plain(reason, 200)}")

    def _tell(self, at: int) -> None:
        every = 1.0 if sys.stderr.isatty() else LINE_EVERY
        if time.monotonic() - self._told_at >= every:
            self._told_at = time.monotonic()
            share = f"{100 * at / self._size:.0f} %, " if self._size else ""
            say(f"{share}{self}")

    def __str__(self) -> str:
        of_them = f" ({self.revisions} of them another version of a known event)" if self.revisions else ""
        lines = f"{self.left_out} line{'s' * (self.left_out != 1)}"
        return f"{self.new} new{of_them}, {self.known} known already, {lines} left out"

    def finish(self) -> ExitCode:
        """Say what came of it. Returns UNEXPECTED when something was left out."""
        if self.left_out > MOST_NAMED:
            say(f"{self.left_out - MOST_NAMED} more lines are left out")
        to = f" for {self._sink}" if self._sink else ""
        print_text(f"{self._source}{to}: {self}")
        if not self._found.running:
            print_text("the daemon is not running; it delivers them when it starts: audit-forwarder run")
        return ExitCode.UNEXPECTED if self.left_out else ExitCode.OK


def say(text: str) -> None:
    """Say how it goes."""
    print(visible(text), file=sys.stderr)  # noqa: T201 -- the command line's own voice
