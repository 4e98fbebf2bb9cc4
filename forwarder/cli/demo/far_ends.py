"""Where the demo delivers to: strict receivers for Elasticsearch, Splunk and syslog on loopback, and a file.

Nothing is taken from the daemon's word: what arrived is what these hold.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from contextlib import AsyncExitStack
from itertools import islice
from pathlib import Path
from typing import Any, Self

from simulator.http_types import Response
from simulator.receivers.bulk import BulkReceiver
from simulator.receivers.hec import HecReceiver
from simulator.receivers.hec_rules import Token
from simulator.receivers.rules import Rule
from simulator.receivers.syslog import Rule as SyslogRule
from simulator.receivers.syslog import SyslogReceiver

_TOKEN = "11111111-2222-3333-4444-555555555555"  # noqa: S105 -- of a receiver that lives as long as the demo
_EVENT_ID = re.compile(rb"(?:^|[| ])externalId=(\S+)")


class Destinations:
    """The far ends; `async with` starts and stops them.

    Args:
        folder: Where the file goes.
    """

    def __init__(self, folder: Path) -> None:
        self.elastic = BulkReceiver()
        self.splunk = HecReceiver({_TOKEN: Token(acknowledge=True)})
        self.syslog = SyslogReceiver("relp")
        self.file = folder / "out" / "events.ndjson"
        self._read = 0  # bytes of the file that are counted
        self._contents: dict[str, Counter[str]] = {name: Counter() for name in ("file", "splunk", "syslog")}
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for receiver in (self.elastic, self.splunk, self.syslog):
            await self._open.enter_async_context(receiver)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._open.aclose()

    def sinks(self) -> dict[str, Any]:
        """Return the `sinks:` of the configuration."""
        soon = {"confirm_every": "500ms", "confirm_within": "8s"}
        return {
            "elastic": {"type": "elasticsearch", "url": self.elastic.url},
            "splunk": {"type": "splunk_hec", "url": self.splunk.url, "token": _TOKEN, "acknowledge": True, **soon},
            "siem": {"type": "syslog", "address": self.syslog.address, "format": "cef"},
            "archive": {"type": "file", "path": str(self.file), "format": "raw"},
        }

    # ------------------------------------------------------------------------------------------------ what they hold

    def counts(self) -> dict[str, int]:
        """Return how many different contents each place has, by its name in the configuration."""
        return {
            "elastic": len(self.elastic.stream()),
            "splunk": len(self.in_splunk()),
            "siem": len(self.in_syslog()),
            "archive": len(self.in_file()),
        }

    def fewest(self) -> int:
        """Return how many events the place has that has the fewest, those that came again included."""
        return min(
            self.in_file().total(), len(self.elastic.stream()), self.in_splunk().total(), self.in_syslog().total()
        )

    def in_file(self) -> Counter[str]:
        """Count contents by their SHA-256. Only what is new is read: someone looks ten times a second."""
        held = self._contents["file"]
        if self.file.exists():
            with self.file.open("rb") as file:
                file.seek(self._read)
                *lines, rest = file.read().split(b"\n")
                self._read = file.tell() - len(rest)
            held.update(hashlib.sha256(line).hexdigest() for line in lines)
        return held

    def in_elastic(self) -> Counter[str]:
        """Count documents by their id."""
        return self.elastic.stream().ids()

    def in_splunk(self) -> Counter[str]:
        """Count contents by their SHA-256."""
        held = self._contents["splunk"]
        new = islice(self.splunk.events, held.total(), None)
        held.update(hashlib.sha256(event.event).hexdigest() for event in new)
        return held

    def in_syslog(self) -> Counter[str]:
        """Count messages by the event id that their CEF says; those without one together, under no id."""
        held = self._contents["syslog"]
        found = (_EVENT_ID.search(message.content) for message in islice(self.syslog.messages, held.total(), None))
        held.update(match[1].decode() if match is not None else "" for match in found)
        return held

    # ------------------------------------------------------------------------------------------------------- faults

    async def fail(self) -> None:
        """Let each of the three fail in a way of its own; the file notices nothing."""
        self.elastic.rules += [Rule(3, answer=Response(429)), Rule(1, answer=Response(413)), Rule(1)]
        self.syslog.rules.append(SyslogRule("reset", after=10))
        await self.splunk.restart()

    def have_failed(self) -> bool:
        """Say whether all of that has been played."""
        left = self.elastic.rules
        return (not left or left[-1].times == 0) and all(rule.times == 0 for rule in self.syslog.rules)
