"""One slot at work: sends a batch until every record of it is settled, promised or set aside.

What a failure means for the events is decided by `Case`; here is what is done: the doubt goes on record, the lane says
what is wrong, the slot waits, and sends what `Case` names next. A rejection is believed when the sink takes anything
else in the same answer or after it: a sink that refuses everything alike is in trouble itself, and no event is blamed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

import structlog

from forwarder.contracts import (
    Batch,
    Clock,
    ContentRefused,
    Delivery,
    ErrorKind,
    Held,
    PayloadTooLarge,
    Record,
    Rejection,
    Retryable,
    Sink,
    SinkConfig,
    SinkTraits,
)
from forwarder.delivery.aside import TRIES, TRIES_BUSY, Asides
from forwarder.delivery.isolation import Case, Evidence, Part
from forwarder.delivery.receipts import Promises
from forwarder.delivery.settlement import Settler, runs
from forwarder.delivery.undelivered import Undelivered
from forwarder.net.retry import Backoff
from forwarder.observe.reports import LaneReport

_REFUSED_ALIKE = "the sink refuses everything alike, so no event is at fault"
_REFUSED_FIX = "Fix at the destination, or in this sink's settings, what its answer names; nothing is lost meanwhile."
_STAYS: frozenset[ErrorKind] = frozenset({"not_json", "login_page", "unconfirmed"})
"""Kinds of trouble that do not pass when everything meets them: the lane is held, and says what to do."""

_FULL_FIX = "See what the sink's answers name; each becomes a dead letter when its patience is over."


class Surroundings(Protocol):
    """What a slot needs of its lane."""

    stopped: asyncio.Event

    @property
    def head(self) -> int:
        """Highest number that was taken from the spool."""
        ...

    def turn(self, state: Literal["retrying", "held"], reason: str, fix: str = "") -> None:
        """Say what is wrong."""
        ...

    def wake(self) -> None:
        """Say that something was settled."""
        ...

    async def sleep_unless_stopping(self, seconds: float) -> bool:
        """Sleep; True when the lane stops."""
        ...

    def control(self) -> Record | None:
        """Lend the newest record that waits to be sent."""
        ...

    def give_back(self, record: Record) -> None:
        """Take back a record that was lent."""
        ...

    def has_control(self) -> bool:
        """Whether there is one to lend."""
        ...


class _Noted(NamedTuple):
    """What is left of a batch, what of it was refused while nothing was taken, and `odd` as in `Undelivered`."""

    left: list[Record]
    refused: dict[int, Rejection]
    odd: bool


class Sender:
    """Sends for one lane, in any of its slots."""

    def __init__(
        self,
        sink: Sink,
        config: SinkConfig,
        lane: Surroundings,
        *,
        settler: Settler,
        promises: Promises | None,
        evidence: Evidence,
        asides: Asides,
        report: LaneReport,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._sink = sink
        self._config = config
        self._lane = lane
        self._settler = settler
        self._promises = promises
        self._evidence = evidence
        self._asides = asides
        self._report = report
        self._clock = clock
        self._rng = rng
        self._log = structlog.get_logger().bind(sink=report.name)
        self._next_tries: dict[int, float] = {}  # by slot, epoch seconds
        self._crowded: set[int] = set()  # slots whose trouble is only that no room is left apart
        self.troubled: set[int] = set()

    async def deliver(self, slot: int, records: list[Record], *, lost_since: int | None = None) -> None:
        """Send until nothing of these is left to this slot.

        Args:
            slot: Where.
            records: What.
            lost_since: The number of the send since which they were never confirmed, when they are suspected for that.
        """
        suspected = lost_since is not None
        case = Case(records, self._evidence, suspected=suspected, since=lost_since)
        backoff = Backoff(self._config.retry, self._rng)
        again = suspected
        if suspected:
            self.troubled.add(slot)
            await self._pause(slot, backoff.next())
        while (part := case.next(self._lane.control)) is not None and not (suspected and self._lane.stopped.is_set()):
            rest = 0.0
            if again and part.role != "control":  # that one counts when it comes back, as this was its first time
                self._report.resent += len(part.records)
            again, known = True, case.others_taken
            try:
                rest = await self._attempt(slot, part.records, awaited=case.searching)
            except PayloadTooLarge:
                case.split(part.records)
            except Undelivered as trouble:
                trouble.let_go()
                await self._learn(slot, case, part, trouble, backoff, known=known)
            else:
                case.taken(part)
                backoff.reset()
                if not case.blames_sink:
                    self.troubled.discard(slot)
            self._lane.wake()
            if rest > 0:
                await self._lane.sleep_unless_stopping(min(rest, self._config.retry.max))
            if case and self._lane.stopped.is_set():
                return

    async def retry_aside(self, slot: int, record: Record) -> None:
        """Send an event that waits apart once more."""
        self._report.resent += 1
        try:
            await self._attempt(slot, [record], awaited=True)
        except Undelivered as trouble:
            trouble.let_go()
            await self._record_doubt(trouble)
            self._report.errors[trouble.kind] += 1
            least = TRIES if trouble.suspect else TRIES_BUSY
            over = self._asides.put_back(record, trouble.reason, counts=trouble.suspect or trouble.busy, least=least)
            refused = trouble.rejections.get(record.seq)
            elsewhere = self.troubled - self._crowded - {slot}  # in trouble with others, a failure says nothing of it
            if elsewhere or not (over or refused):
                return
            await self._reject(record, refused or Rejection("not_taken", trouble.reason))
        else:
            self._log.info("event_taken_after_all", number=record.seq, id=record.id)
        self._asides.settled(record)
        self._lane.wake()

    # ------------------------------------------------------------------------------------------------------- learning

    async def _learn(
        self, slot: int, case: Case, part: Part, trouble: Undelivered, backoff: Backoff, *, known: bool
    ) -> None:
        """Put what may be doubled on record, decide what the failure means, say what is wrong, and wait.

        What was sent while it was not `known` that the sink takes others, and now is, is asked once more: it may have
        met the sink's own trouble.
        """
        self.troubled.add(slot)
        self._crowded.discard(slot)
        self._report.errors[trouble.kind] += 1
        self._report.tries += 1
        if part.role == "control":
            self._lane.give_back(part.records[0])
            self._report.resent += 1
        await self._record_doubt(trouble)
        if case.failures > 0 and not known and case.others_taken and len(trouble.left) == len(part.records):
            case.put_back(part, trouble.left)
            full = False
        else:
            full = not await self._decide(slot, case, part, trouble, backoff)
        if not case:
            self.troubled.discard(slot)
            return
        if full:
            self._crowded.add(slot)
            if (record := self._asides.take()) is not None:  # this may be the only slot
                await self.retry_aside(slot, record)
            self._lane.turn("held", f"{len(self._report.aside)} events wait apart: {trouble.reason}", _FULL_FIX)
        else:
            self._say(case, trouble)
        longest = self._config.retry.max  # whatever the other side asks for: it may be mistaken, or mean harm
        wait = min(backoff.next(trouble.floor), longest if trouble.ceiling is None else trouble.ceiling)
        if trouble.suspect and trouble.floor is None and not case.others_taken:
            await self._pause(slot, wait, case)
        else:
            await self._pause(slot, wait)

    async def _decide(self, slot: int, case: Case, part: Part, trouble: Undelivered, backoff: Backoff) -> bool:
        """Decide what a failure means for its events; False when one should wait apart and finds no room."""
        if await self._believed(slot, case, part, trouble):
            backoff.reset()
        elif len(trouble.left) < len(part.records):
            backoff.reset()
            case.progressed(part, trouble.left, odd=trouble.odd)
        elif not (trouble.suspect or (trouble.busy and case.meets_same())):
            case.put_back(part, trouble.left)
        else:
            culprit = case.failed(part, trouble.left, at_once=trouble.refused)
            if culprit is not None and not await self._set_aside(culprit, trouble):
                case.keep(culprit)
                return False
        return True

    async def _believed(self, slot: int, case: Case, part: Part, trouble: Undelivered) -> bool:
        """Reject what the sink says it refuses, if there is reason to believe it.

        An event that is refused while no other waits cannot be compared. One such is believed, since most are right;
        the next one is not, before the sink has taken something: so a trickle of events is not drained one by one.
        """
        if not trouble.rejections or part.role == "control":
            return False
        if not (case.failures and case.others_taken):
            alone = len(part.records) == 1 and len(case.rest()) <= 1 and self.troubled == {slot}
            compared = case.controlled or self._lane.has_control() or self._evidence.believed_alone
            if not alone or compared or case.failures < TRIES:
                return False
            self._evidence.believed_alone = True
        for record in trouble.left:
            if (why := trouble.rejections.get(record.seq)) is not None:
                await self._reject(record, why)
        left = [record for record in trouble.left if record.seq not in trouble.rejections]
        case.taken(part)
        case.put_back(part, left)
        return True

    async def _set_aside(self, culprit: Record, trouble: Undelivered) -> bool:
        why = trouble.rejections.get(culprit.seq)
        if why is not None:
            await self._reject(culprit, why)
            return True
        if not self._asides.add(culprit, trouble.reason):
            return False
        self._forget([culprit])
        return True

    def _say(self, case: Case, trouble: Undelivered) -> None:
        reason, fix, state = trouble.reason, trouble.fix, trouble.state
        if case.blames_sink:
            if trouble.refused:
                reason, fix = f"{_REFUSED_ALIKE}: {reason}", _REFUSED_FIX
            if trouble.refused or trouble.kind in _STAYS:
                state = "held"
            if trouble.suspect and not (case.controlled or self._lane.has_control()):
                reason = f"{reason.rstrip('.')}; {_no_comparison(case.rest())}"
        self._lane.turn(state, reason, fix)

    async def _pause(self, slot: int, seconds: float, case: Case | None = None) -> None:
        """Wait; a case that lacks evidence goes on early when there is some."""
        self._next_tries[slot] = self._clock.time() + seconds
        self._report.next_try = min(self._next_tries.values())
        if case is None:
            await self._lane.sleep_unless_stopping(seconds)
        else:
            await self._evidence.wait(lambda: self._has_news(case), seconds)
        del self._next_tries[slot]
        self._report.next_try = min(self._next_tries.values(), default=0.0)

    def _has_news(self, case: Case) -> bool:
        compares = case.blames_sink and not case.controlled and self._lane.has_control()
        return case.others_taken or compares or self._lane.stopped.is_set()

    async def _record_doubt(self, trouble: Undelivered) -> None:
        if trouble.doubtful:
            self._settler.doubt(runs([record.seq for record in trouble.left]), trouble.kind)
            await self._settler.flush(after=self._lane.head)

    async def _reject(self, record: Record, why: Rejection) -> None:
        await self._settler.reject(record, why)
        self._forget([record])

    def _forget(self, records: Collection[Record]) -> None:
        if self._promises is not None:
            self._promises.settled((record.seq, record.seq) for record in records)

    # --------------------------------------------------------------------------------------------------------- asking

    async def _attempt(self, slot: int, todo: list[Record], *, awaited: bool) -> float:
        """Send once; return the seconds the sink asks to rest.

        Args:
            slot: Where.
            todo: What.
            awaited: Wait for the receipts, too, so that success means taken.

        Raises:
            Undelivered: With what is left.
            PayloadTooLarge: As the sink raises it, for more than one record.
        """
        batch = Batch(todo, slot)
        began, number = self._clock.monotonic(), self._evidence.begin()
        try:
            delivery = await self._sink.send(batch)
            if not isinstance(delivery, Delivery):
                raise TypeError("send() gave no Delivery")  # noqa: TRY301 -- as any other fault of a sink
        except (Retryable, Held, ContentRefused) as error:
            raise Undelivered.from_error(todo, error) from error
        except PayloadTooLarge as error:
            if len(todo) > 1:
                raise
            why = {todo[0].seq: Rejection("too_large", str(error))}
            raise Undelivered(todo, "too_large", str(error), suspect=True, rejections=why) from error
        except (Exception, asyncio.CancelledError) as error:  # the plugin boundary: a fault of a sink ends no lane
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
                raise  # it is we who are cancelled, not something inside the sink
            self._log.exception("sink_failed")
            reason = f"the sink failed: {type(error).__name__}"
            raise Undelivered(todo, "other", reason, doubtful=True, suspect=True) from error
        self._report.batches += 1
        self._report.bytes += batch.size
        self._report.observe_send(self._clock.monotonic() - began)
        self._report.duplicates += delivery.duplicates
        noted = await self._apply(todo, delivery, number)
        lost = await self._unconfirmed(todo, delivery) if awaited and delivery.pending else []
        if lost:
            reason, fix = SinkTraits.of(self._sink).unconfirmed or ("the sink did not confirm what it was sent", "")
            odd = _stand_out(lost, set(delivery.pending).difference(lost))
            left = sorted([*(todo[position] for position in lost), *noted.left], key=lambda record: record.seq)
            raise Undelivered(left, "unconfirmed", reason, fix=fix, doubtful=True, suspect=True, odd=odd)
        if noted.refused:
            words = next(iter(noted.refused.values()))
            reason = f"{words.reason} ({words.detail})" if words.detail else words.reason
            raise Undelivered(noted.left, "refused", reason, suspect=True, rejections=noted.refused)
        if noted.left:
            reason = delivery.reason or "the sink kept a part of the batch"
            raise Undelivered(
                noted.left,
                "partial",
                reason,
                fix=delivery.fix,
                floor=delivery.retry_after,
                doubtful=delivery.doubtful,
                suspect=delivery.suspect,
                busy=not delivery.suspect,
                odd=noted.odd,
            )
        return delivery.retry_after or 0.0

    async def _apply(self, todo: list[Record], delivery: Delivery, number: int) -> _Noted:
        """Note what the sink decided; what it names nowhere is not decided."""
        rest = delivery.rejected or delivery.pending or delivery.kept
        if not rest and isinstance(delivery.accepted, range) and delivery.accepted == range(len(todo)):
            self._settler.accept(todo)
            self._evidence.taken(number)
            return _Noted([], {}, odd=False)
        named = [*delivery.accepted, *delivery.rejected, *delivery.pending, *delivery.kept]
        promised = self._promises
        if (
            len(set(named)) != len(named)
            or any(not 0 <= position < len(todo) for position in named)
            or (delivery.pending and promised is None)
        ):
            self._log.error("sink_broke_the_contract", named=len(named), sent=len(todo))
            raise Undelivered(todo, "other", "the sink's answer contradicts itself", doubtful=True)
        self._settler.accept([todo[position] for position in sorted(delivery.accepted)])
        if delivery.accepted:
            self._evidence.taken(number)
        if promised is not None:
            for position, receipt in delivery.pending.items():
                promised.add(receipt, todo[position], number)
        taken = {*delivery.accepted, *delivery.pending}
        refused: Mapping[int, Rejection] = delivery.rejected
        if taken:
            for position, rejection in refused.items():
                await self._reject(todo[position], rejection)
            taken |= set(refused)
            refused = {}
        left = [position for position in range(len(todo)) if position not in taken]
        return _Noted(
            [todo[position] for position in left],
            {todo[position].seq: why for position, why in refused.items()},
            odd=_stand_out(left, taken),
        )

    async def _unconfirmed(self, todo: list[Record], delivery: Delivery) -> list[int]:
        """Wait for the receipts of a send; return the positions of what was not confirmed."""
        assert self._promises is not None  # noqa: S101 -- `_apply` refuses receipts of any other sink
        receipts = set(delivery.pending.values())
        answers = await self._promises.confirmed(receipts, self._lane.stopped)
        if answers is None:  # the lane stops: some may be lost already, and all of it is sent again by the next life
            self._settler.doubt(runs([todo[position].seq for position in delivery.pending]), "unconfirmed")
            return []
        return [position for position, receipt in sorted(delivery.pending.items()) if not answers[receipt]]


def _stand_out(left: Sequence[int], taken: Collection[int]) -> bool:
    """Whether others of the same answer were taken behind each of these positions, or all others but one."""
    return bool(taken and left) and (len(left) == 1 or max(left) < max(taken))


def _no_comparison(left: list[Record]) -> str:
    """Say which events wait without another to compare them with, and what will happen."""
    first, last = left[0], left[-1]
    which = f"event {first.seq} (id {first.id})"
    if last is not first:
        which = f"{len(left)} events from number {first.seq} (id {first.id}) to number {last.seq} (id {last.id})"
    return (
        f"nothing waits behind {which}, so nothing tells whose fault it is; what waits is sent again, and the next "
        "event that is taken decides"
    )
