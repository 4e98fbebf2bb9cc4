"""One slot at work: has a batch sent (`attempt`) until every record of it is settled, promised or set aside.

What a failure means for the events is decided by `Case`; here is what is done: the doubt goes on record, the lane says
what is wrong, the slot waits, and sends what `Case` names next. A rejection is believed when the sink takes anything
else in the same answer or after it: a sink that refuses everything alike is in trouble itself, and no event is blamed.
"""

from __future__ import annotations

import asyncio
import random
from typing import Literal, Protocol

from forwarder.contracts import (
    Clock,
    ErrorKind,
    PayloadTooLarge,
    Record,
    Rejection,
    SinkConfig,
)
from forwarder.contracts.log import get_logger
from forwarder.delivery.aside import TRIES, TRIES_BUSY, Asides
from forwarder.delivery.attempt import Attempts
from forwarder.delivery.isolation import Case, Evidence, Part
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


class Sender:
    """Sends for one lane, in any of its slots, until nothing is left."""

    def __init__(
        self,
        config: SinkConfig,
        lane: Surroundings,
        *,
        attempts: Attempts,
        settler: Settler,
        evidence: Evidence,
        asides: Asides,
        report: LaneReport,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._config = config
        self._lane = lane
        self._attempts = attempts
        self._settler = settler
        self._evidence = evidence
        self._asides = asides
        self._report = report
        self._clock = clock
        self._rng = rng
        self._log = get_logger().bind(sink=report.name)
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
                rest = await self._attempts.send(slot, part.records, awaited=case.searching)
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
            await self._attempts.send(slot, [record], awaited=True)
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
            await self._attempts.reject(record, refused or Rejection("not_taken", trouble.reason))
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
            culprit = case.failed(part, trouble.left, at_once=trouble.refused, named=trouble.named)
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
                await self._attempts.reject(record, why)
        left = [record for record in trouble.left if record.seq not in trouble.rejections]
        case.taken(part)
        case.put_back(part, left)
        return True

    async def _set_aside(self, culprit: Record, trouble: Undelivered) -> bool:
        why = trouble.rejections.get(culprit.seq)
        if why is not None:
            await self._attempts.reject(culprit, why)
            return True
        if not self._asides.add(culprit, trouble.reason):
            return False
        self._attempts.forget([culprit])
        return True

    def _say(self, case: Case, trouble: Undelivered) -> None:
        reason, fix, state = trouble.reason, trouble.fix, trouble.state
        if case.blames_sink:
            if trouble.refused:
                reason, fix = f"{_REFUSED_ALIKE}: {reason}", _REFUSED_FIX
            if trouble.refused or trouble.kind in _STAYS:
                state = "held"
            rest = case.rest()
            if trouble.suspect and not (case.controlled or self._lane.has_control() or self._report.lag > len(rest)):
                reason = f"{reason.rstrip('.')}; {_no_comparison(rest)}"
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
