"""What people do with backfills, over an open spool: the same in the daemon as in a command while none runs.

A backfill reads a stretch of history once more, or for the first time, by a cursor of its own. Its order is in the row
of that cursor, so a daemon that starts goes on with it.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from forwarder.admin.control import Verb
from forwarder.contracts.errors import ConfigError
from forwarder.contracts.log import get_logger
from forwarder.polling import backfill
from forwarder.polling.backfill import Order
from forwarder.polling.progress import MOST_SKEW_MS
from forwarder.polling.window_cursors import other_ids_before
from forwarder.spool.contract import CursorMove, PageCommit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from forwarder.contracts import Clock, SinkConfig, Source
    from forwarder.polling.ordered import Change
    from forwarder.spool.contract import Spool

_DAY_MS = 86_400_000

_ON_ITS_WAY_MS = 60_000
"""So long a wish may be on its way: `--from 180d` means all that is kept."""


class BackfillWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be read: epoch milliseconds, and for which sink alone; an empty one: for all."""

    source: str
    since_ms: int
    until_ms: int
    sink: str = ""


class BackfillChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which backfills are meant; 0 and an empty name mean every one."""

    number: int = 0
    source: str = ""


class BackfillShown(msgspec.Struct, frozen=True):
    """A backfill, and the processing time it came to, epoch milliseconds.

    Attributes:
        other_ids_ms: Before when the log was read under other ids, if that is in its stretch; else 0. What sinks have
            of that time comes to them once more.
    """

    number: int
    source: str
    order: Order
    reached_ms: int
    begun: bool = False
    other_ids_ms: int = 0

    @property
    def share(self) -> float:
        """The part of its stretch that was read, 0 to 1."""
        order = self.order
        if not order.is_open and not order.ended_by:
            return 1.0
        span = max(order.until_ms - order.since_ms, 1)
        return min(max((self.reached_ms - order.since_ms) / span, 0.0), 1.0)


class Backfills:
    """The backfills of a spool.

    Args:
        spool: Open.
        sources: Returns the configured sources by name.
        sinks: The sinks that are configured now.
        clock: Wall time.
        change: Has the poller of a source change the order of a cursor (source, cursor, change), durably; None when it
            does not read just now. None while no daemon runs.
    """

    def __init__(
        self,
        spool: Spool,
        sources: Callable[[], Mapping[str, Source]],
        sinks: Mapping[str, SinkConfig],
        clock: Clock,
        change: Callable[[str, str, Change], Awaitable[Order | None]] | None = None,
    ) -> None:
        self._spool = spool
        self._sources = sources
        self._sinks = sinks
        self._clock = clock
        self._change_live = change
        self._one_at_a_time = asyncio.Lock()  # or two would get one number
        self._log = get_logger()

    def verbs(self) -> dict[str, Verb]:
        """Return what can be asked of them, by name."""
        return {
            "backfills.start": Verb(BackfillWanted, self.start),
            "backfills.list": Verb(BackfillChoice, self.listed),
            "backfills.pause": Verb(BackfillChoice, self.pause),
            "backfills.resume": Verb(BackfillChoice, self.resume),
            "backfills.cancel": Verb(BackfillChoice, self.cancel),
        }

    async def listed(self, chosen: BackfillChoice, _: str = "") -> list[BackfillShown]:
        """List those on record, oldest first."""
        found = [
            BackfillShown(
                number,
                source.name,
                order,
                backfill.reached(row.state),
                row.state["walk"] is not None,
                floor if order.since_ms < (floor := other_ids_before(source.cursors)) else 0,
            )
            for source in (await self._spool.status()).sources
            for row in source.cursors.values()
            if (number := backfill.number_of(row.name))
            and (order := backfill.order_of(row.state)) is not None
            and chosen.number in {0, number}
            and chosen.source in {"", source.name, source.name.partition("/")[0]}
        ]
        return sorted(found, key=lambda shown: shown.number)

    async def start(self, wanted: BackfillWanted, who: str) -> BackfillShown:
        """Begin one. Raises ConfigError for what is not configured, and for what cannot be read."""
        now_ms = int(self._clock.time() * 1000)
        self._check(wanted, now_ms)
        order = Order(wanted.since_ms, wanted.until_ms, wanted.sink, who=who, asked_ms=now_ms)
        async with self._one_at_a_time:
            number = 1 + max((shown.number for shown in await self.listed(BackfillChoice())), default=0)
            await self._change(wanted.source, number, lambda there: _new(number, order, there))
        self._tell("asked_for", wanted.source, number, order, who)
        return (await self.listed(BackfillChoice(number)))[0]

    async def pause(self, chosen: BackfillChoice, who: str) -> BackfillShown:
        """Ask nothing for one until it is resumed. Raises ConfigError when it is over or paused."""
        return await self._act("paused", chosen, who, lambda order: msgspec.structs.replace(order, paused=f"by {who}"))

    async def resume(self, chosen: BackfillChoice, who: str) -> BackfillShown:
        """Go on with one. Raises ConfigError when it is over or not paused."""
        return await self._act("resumed", chosen, who, lambda order: msgspec.structs.replace(order, paused=""))

    async def cancel(self, chosen: BackfillChoice, who: str) -> BackfillShown:
        """End one; what it has read stays. Raises ConfigError when it is over."""
        ended = {"ended_ms": int(self._clock.time() * 1000), "ended_by": who, "paused": ""}
        return await self._act("cancelled", chosen, who, lambda order: msgspec.structs.replace(order, **ended))

    async def _act(
        self, what: str, chosen: BackfillChoice, who: str, change: Callable[[Order], Order]
    ) -> BackfillShown:
        found = await self.listed(BackfillChoice(chosen.number)) if chosen.number else []
        if not found:
            raise ConfigError(
                f"there is no backfill {chosen.number}; `audit-forwarder backfill list` shows all on record"
            )

        def checked(order: Order | None) -> Order:
            if order is None or not order.is_open:
                raise ConfigError(f"the backfill {chosen.number} is over already")
            if {"paused": bool(order.paused), "resumed": not order.paused}.get(what, False):
                raise ConfigError(f"the backfill {chosen.number} is {'' if order.paused else 'not '}paused")
            return change(order)

        shown = found[0]
        order = await self._change(shown.source, shown.number, checked)
        self._tell(what, shown.source, shown.number, order, who)
        return (await self.listed(BackfillChoice(chosen.number)))[0]

    async def _change(self, source: str, number: int, change: Change) -> Order:
        configured, name = self._sources(), backfill.name_of(number)
        if source not in configured:
            raise ConfigError(f"sources.{source}: not configured, so nothing can be done about its backfills")
        if self._change_live is not None:
            order = await self._change_live(source, name, change)
            if order is None:
                raise ConfigError(f"the daemon does not read the source {source} just now; try again in a moment")
            return order
        identities = [each.origin.identity for each in configured.values()]
        state = await self._spool.open_source(configured[source].origin, configured=identities)
        row = state.cursors.get(name)
        order = change(None if row is None else backfill.order_of(row.state))
        after = backfill.at_rest(order) if row is None else backfill.changed(row.state, order)
        move = CursorMove(name, None if row is None else row.version, after)
        await self._spool.commit(PageCommit(state.number, state.epoch, [move]))
        return order

    def _check(self, wanted: BackfillWanted, now_ms: int) -> None:
        """Refuse what cannot be read. Raises ConfigError."""
        source = self._sources().get(wanted.source)
        if source is None:
            known = ", ".join(self._sources())
            raise ConfigError(f"sources.{wanted.source}: not configured; the sources are: {known}")
        where = f"the source {wanted.source}"
        if source.reads == "pushed":
            raise ConfigError(
                f"{where} is only sent its events, so none can be read again: its sender has to send them once more"
            )
        if source.reads == "places":
            raise ConfigError(
                f"{where} reads files, and a part of them cannot be read by time: it has read what was there since its "
                "first start. What the spool still has is sent to a sink again by `audit-forwarder replay`"
            )
        if wanted.sink and wanted.sink not in self._sinks:
            raise ConfigError(f"sinks.{wanted.sink}: not configured, so nothing can be read for it")
        if wanted.since_ms >= wanted.until_ms:
            raise ConfigError("--from: not before --to; name an earlier moment")
        if wanted.until_ms > now_ms + MOST_SKEW_MS:  # a log's clock is ahead, and who types it writes whole seconds
            raise ConfigError("--to: in the future; what is still to come is read as it happens")
        if wanted.since_ms < 0:
            raise ConfigError("--from: before 1970; name a later moment")
        if source.retention_ms is not None and wanted.since_ms + _ON_ITS_WAY_MS < (
            oldest := now_ms - source.retention_ms
        ):
            first = datetime.fromtimestamp(oldest / 1000 + 60, UTC).isoformat(timespec="minutes")
            raise ConfigError(
                f"--from: {where} keeps its events for {source.retention_ms // _DAY_MS} days, and nothing older can be "
                f"read: begin at {first.replace('+00:00', 'Z')} or later"
            )

    def _tell(self, what: str, source: str, number: int, order: Order, who: str) -> None:
        if self._change_live is not None:
            self._log.warning(f"backfill_{what}", source=source, backfill=number, sink=order.sink, who=who)


def _new(number: int, order: Order, there: Order | None) -> Order:
    if there is not None:
        raise ConfigError(f"there is a backfill {number} already; try again")
    return order
