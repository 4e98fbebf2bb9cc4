"""Test events: one marked event of our own goes the way of every other, and somebody waits for what becomes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal

import msgspec

from forwarder.admin.control import Verb
from forwarder.contracts.errors import ConfigError
from forwarder.contracts.moments import iso
from forwarder.records.heartbeats import TrialEvent, new_id, page_of
from forwarder.spool.letter import Selection

if TYPE_CHECKING:
    from collections.abc import Collection

    from forwarder.admin.tails import Watched
    from forwarder.contracts import Clock, Page
    from forwarder.spool.contract import Committed, Spool

WriteOwn = Callable[["Page", str], Awaitable["Committed"]]
"""Writes a page of test events for one sink into the spool."""

_SLACK_MS = 60_000  # of a clock that was set meanwhile


class TrialWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sends a test event to a sink, in the name of a source or of none."""

    sink: str
    source: str = ""


class TrialSent(msgspec.Struct, frozen=True):
    """A test event in the spool. `at_ms`: when it was written, epoch milliseconds."""

    sink: str
    id: str
    document_id: str
    number: int
    at_ms: int


class TrialState(msgspec.Struct, frozen=True):
    """What became of a test event.

    Attributes:
        what: `waiting` in the spool, `sent` and not confirmed yet, `accepted`, or `rejected`: it is a dead letter.
        state, reason, fix: Of the sink, as its status says; of a rejected one, why.
        before: How many events wait for the sink.
        proof: What the acceptance of this sink is worth.
    """

    what: Literal["waiting", "sent", "accepted", "rejected"]
    state: str
    reason: str
    fix: str
    before: int
    proof: str


class Trials:
    """Test events of a daemon.

    Args:
        spool: Open.
        lanes: What delivers; None while no daemon runs.
        sources: Returns the names of the configured sources.
        write: Writes them; None while no daemon runs.
        clock: Time.
    """

    def __init__(
        self,
        spool: Spool,
        lanes: Watched | None,
        sources: Callable[[], Collection[str]],
        write: WriteOwn | None,
        clock: Clock,
    ) -> None:
        self._spool = spool
        self._lanes = lanes
        self._sources = sources
        self._write = write
        self._clock = clock

    def verbs(self) -> dict[str, Verb]:
        """Return what can be asked, by name."""
        return {"test.send": Verb(TrialWanted, self.send), "test.look": Verb(TrialSent, self.look)}

    async def send(self, wanted: TrialWanted, who: str) -> TrialSent:
        """Write one into the spool. Raises ConfigError, and what the spool raises."""
        lanes, write = self._running()
        if wanted.sink not in lanes.taps:
            raise ConfigError(f"sinks.{wanted.sink}: not configured; the sinks are: {', '.join(lanes.taps)}")
        if wanted.source and wanted.source not in self._sources():
            names = ", ".join(self._sources())
            raise ConfigError(f"sources.{wanted.source}: not configured; the sources are: {names}")
        now = self._clock.time()
        event = TrialEvent(new_id(), iso(now) or "", wanted.source, wanted.sink, who)
        page = page_of([event])
        done = await write(page, wanted.sink)
        lanes.taps[wanted.sink].expect(done.last_seq)
        return TrialSent(wanted.sink, event.id, page.keys[0].hex(), done.last_seq, int(now * 1000))

    async def look(self, sent: TrialSent, _: str = "") -> TrialState:
        """Say what became of one. Raises ConfigError when its sink is gone."""
        lanes, _write = self._running()
        report = lanes.reports.get(sent.sink)
        if report is None or sent.sink not in lanes.taps:
            raise ConfigError(f"sinks.{sent.sink}: not configured any more; the test event waits in the spool")
        status = await self._spool.status()
        lane = next((row for row in status.lanes if (row.name, row.target) == (sent.sink, report.target)), None)
        found = lanes.taps[sent.sink].found(sent.number)
        what: Literal["waiting", "sent", "accepted", "rejected"] = "waiting"
        reason, fix = report.reason, report.fix
        if found is not None and found.outcome != "refused":
            what = "accepted" if found.outcome == "accepted" else "sent"
        elif letter := await self._letter(sent):
            what, (reason, fix) = "rejected", letter
        if what != "rejected" and lane is not None and lane.position >= sent.number:
            what = "accepted"
        return TrialState(what, report.state, reason, fix, lane.lag if lane is not None else 0, report.proof)

    async def _letter(self, sent: TrialSent) -> tuple[str, str] | None:
        """Return why the event is a dead letter, and what to look at."""
        chosen = Selection(since_ms=sent.at_ms - _SLACK_MS)
        for letter in await self._spool.dead_letters(sent.sink, chosen=chosen, limit=1000, events=False):
            if letter.seq == sent.number:
                why = f"{letter.reason}: {letter.detail}" if letter.detail else letter.reason
                return why, f"audit-forwarder dead-letters show {letter.number}"
        return None

    def _running(self) -> tuple[Watched, WriteOwn]:
        if self._lanes is None or self._write is None:
            raise ConfigError("the daemon is not running, so nothing is sent; start it: audit-forwarder run")
        return self._lanes, self._write
