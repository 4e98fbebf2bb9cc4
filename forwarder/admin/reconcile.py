"""The verdict on what arrived, over an open spool: the same in the daemon as in a command while none runs."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from forwarder.admin.control import Verb
from forwarder.admin.repairs import repairs
from forwarder.contracts.errors import ConfigError
from forwarder.contracts.heartbeat import HEARTBEATS
from forwarder.polling.plan import RECONCILE
from forwarder.reconcile.passes import Passes, passes_of
from forwarder.reconcile.verdict import Chosen, Verdict, gap_line, judge
from forwarder.spool.evidence import IdPage, IdsWanted
from forwarder.spool.gap import Gap

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from forwarder.spool.contract import Spool, SpoolStatus


class IdsAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which ids are asked for, and where the page before ended."""

    wanted: IdsWanted
    after: tuple[str, str] | None = None
    limit: int = 1000


class Found(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many events of a source and day a sink was found to lack; 0: it has them all."""

    source: str
    sink: str
    day: str
    events: int
    detail: str = ""


class Reconciliation:
    """Compares what a spool knows of the logs with what its sinks have.

    Args:
        spool: Open.
        proofs: Returns what an acceptance is worth, by the name of each configured sink.
        clock: Returns the time, epoch seconds.
        delays: Returns how long after a window each pass reads it again, seconds, by the name of each source that is
            configured; None when that is not known: every cursor there is counts.
    """

    def __init__(
        self,
        spool: Spool,
        proofs: Callable[[], Awaitable[Mapping[str, str]]],
        clock: Callable[[], float] = time.time,
        *,
        delays: Callable[[], Mapping[str, Sequence[float]]] | None = None,
    ) -> None:
        self._spool = spool
        self._proofs = proofs
        self._clock = clock
        self._delays = delays

    def verbs(self) -> dict[str, Verb]:
        """Return what can be asked, by name."""
        return {
            "reconcile.verdict": Verb(Chosen, self.verdict),
            "reconcile.ids": Verb(IdsAsked, self.ids),
            "reconcile.found": Verb(Found, self.found),
        }

    async def verdict(self, chosen: Chosen, _: str = "") -> Verdict:
        """Judge the days that are chosen."""
        status = await self._spool.status()
        books = await self._spool.day_books(*chosen.days)
        now_ms = int(self._clock() * 1000)
        names = names_of(status)
        on_record, proofs = await self._spool.gaps_that_matter(), await self._proofs()
        commands = repairs(on_record, status, proofs, now_ms)
        gaps = [gap_line(gap, names, now_ms, commands.get(gap.number, "")) for gap in on_record]
        return await asyncio.to_thread(  # days and gaps may be thousands each; heartbeats are events of no log
            judge,
            [line for line in books if line.source != HEARTBEATS.source],
            [gap for gap in gaps if gap.source != HEARTBEATS.source],
            chosen=chosen,
            proofs=proofs,
            passes=self._passes(status),
            now_ms=now_ms,
        )

    async def found(self, found: Found, who: str) -> None:
        """Put on record what a look at a sink found. Raises ConfigError for a source or day that is not there."""
        numbers = {name: number for number, name in names_of(await self._spool.status()).items()}
        try:
            begin = int(datetime.fromisoformat(found.day).replace(tzinfo=UTC).timestamp() * 1000)
        except ValueError:
            raise ConfigError(f"{found.day!r} is not a day") from None
        if found.source not in numbers:
            raise ConfigError(f"the spool has no source {found.source}")
        await self._spool.record_loss(
            Gap(
                "dropped_by_sink",
                found.detail,
                source=numbers[found.source],
                lane=found.sink,
                from_ms=begin,
                to_ms=begin + 86_400_000 - 1,
                events=found.events,
                closed_by=f"a look at the sink by {who}",
            )
        )

    async def read_again(self) -> dict[str, int]:
        """Return, by source that is read again, before when everything was at least once; epoch milliseconds."""
        found = self._passes(await self._spool.status())
        closed = {name: passes.closed_ms for name, passes in found.items() if passes.last_ms is not None}
        return {name: at for name, at in closed.items() if at is not None}

    def _passes(self, status: SpoolStatus) -> dict[str, Passes]:
        """Return how far each source was read again. A cursor stays for ever, also when nobody moves it any more."""
        found = passes_by_source(status)
        if self._delays is None:
            return found
        last = {name: int(max(delays) * 1000) for name, delays in self._delays().items() if delays}
        return {name: msgspec.structs.replace(each, last_ms=last.get(name)) for name, each in found.items()}

    async def ids(self, asked: IdsAsked, _: str = "") -> IdPage:
        """Return the ids that the spool remembers, a page of them."""
        return await self._spool.known_ids(asked.wanted, after=asked.after, limit=min(max(asked.limit, 1), 10_000))


def names_of(status: SpoolStatus) -> dict[int, str]:
    """Return the names of the sources, by number."""
    return {source.number: source.name for source in status.sources}


def passes_by_source(status: SpoolStatus) -> dict[str, Passes]:
    """Return how far each source was read again, of those that ever were."""
    states = {source.name: source.cursors[RECONCILE].state for source in status.sources if RECONCILE in source.cursors}
    found = {name: passes_of(state) for name, state in states.items()}
    return {name: passes for name, passes in found.items() if passes is not None}
