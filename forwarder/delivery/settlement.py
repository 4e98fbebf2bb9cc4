"""What a lane has settled and not yet written, and the one way it is written: the exchange with the spool.

The invariant: what was handed to `exchange` and could not be written is put back, in front of what came since; so a
full disk delays a settlement and never loses or doubles one. A cancelled exchange waits for its end first: the spool
carries it out whether or not anybody waits.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from forwarder.contracts import Clock, ErrorKind, Held, Record, Rejection, SinkConfig
from forwarder.contracts.log import get_logger
from forwarder.delivery.ages import DeliveryAges
from forwarder.delivery.lane_spool import LaneSpool
from forwarder.observe.reports import LaneReport
from forwarder.spool.contract import Exchange, Range, Settlement
from forwarder.spool.letter import DeadLetter

RETRY_WRITE = 5.0
"""Seconds between two tries to write to a spool that cannot, or to look whether dead letters were cleared."""

TELL_EVERY = 10.0
"""Seconds between two lines of the log about dead letters: a broken mapping makes thousands at once."""

STOP_RETRY = 0.2
"""The same while the lane stops: its grace time is short, and trying without a pause would eat the machine."""

Hold = Callable[[str, str, ErrorKind], None]
"""Says that the lane is held: reason, fix, kind."""


class Settler:
    """The settlement of one lane. Sends note into it at any time; one exchange at a time writes it.

    Attributes:
        waiting: How many wait for room among the dead letters.

    Args:
        ages: Told what the sink has accepted.
        sleep: Waits for so many seconds; `stop` of the lane ends it early.
        hold: Told when the spool or the dead letters make the lane wait.
        redact: Takes secrets out of what a sink answered; a careless one may quote our request.
    """

    def __init__(
        self,
        name: str,
        config: SinkConfig,
        *,
        spool: LaneSpool,
        clock: Clock,
        report: LaneReport,
        ages: DeliveryAges,
        sleep: Callable[[float], Awaitable[bool]],
        hold: Hold,
        redact: Callable[[str], str] = str,
    ) -> None:
        self._name = name
        self._config = config
        self._spool = spool
        self._clock = clock
        self._report = report
        self._ages = ages
        self._sleep = sleep
        self._hold = hold
        self._redact = redact
        self._log = get_logger().bind(sink=name)
        self._turn = asyncio.Lock()
        self._notes = Settlement()
        self._unlogged = 0
        self._tell_at = float("-inf")
        self.lane = 0
        self.waiting = 0

    def __bool__(self) -> bool:
        return bool(self._notes)

    def accept(self, records: Sequence[Record]) -> None:
        """Note that the sink has these."""
        if not records:
            return
        spans = runs([record.seq for record in records])
        self._notes.ranges.extend(spans)
        self._ages.count(spans)
        self._report.accepted += len(records)
        self._report.last_accepted = self._clock.time()

    def confirm(self, spans: Sequence[Range]) -> None:
        """Note that the sink has confirmed these."""
        if not spans:
            return
        for first, last in spans:
            self._notes.ranges.append((first, last))
            self._report.accepted += last - first + 1
        self._ages.count(spans)
        self._report.last_accepted = self._clock.time()

    def record_filtered(self, numbers: Sequence[int]) -> None:
        """Note that the filter keeps these from the sink."""
        spans = runs(numbers)
        self._notes.ranges.extend(spans)
        self._notes.filtered.extend(spans)
        self._report.filtered += len(numbers)

    def doubt(self, ranges: Sequence[Range], cause: str) -> None:
        """Note that these may reach the sink twice; write it before they are sent again."""
        self._notes.doubts.extend((found, cause) for found in ranges)
        self._report.doubtful += sum(last - first + 1 for first, last in ranges)

    async def reject(self, record: Record, why: Rejection) -> None:
        """Note that the sink will never take this one."""
        await self.add_dead_letter(DeadLetter.of(record, self._redact(why.reason), self._redact(why.detail)))

    async def add_dead_letter(self, letter: DeadLetter) -> None:
        """Note a dead letter, or hold while there are too many: a broken mapping must not drain the log."""
        self.waiting += 1
        try:
            if not await self._room_for_one():
                return
        finally:
            self.waiting -= 1
        letter.at_ms = int(self._clock.time() * 1000)
        letter.lane = self._name
        self._notes.dead_letters.append(letter)
        self._notes.ranges.append((letter.seq, letter.seq))
        self._report.rejected += 1
        self._report.dead_letters += 1
        self._unlogged += 1
        if (now := self._clock.monotonic()) >= self._tell_at:
            self._log.warning(
                "events_became_dead_letters",
                count=self._unlogged,
                last_id=letter.document_id,
                last_reason=letter.reason,
            )
            self._unlogged, self._tell_at = 0, now + TELL_EVERY

    async def _room_for_one(self) -> bool:
        """Wait until there is room for one more dead letter; False when `stop` came first."""
        while self._report.dead_letters >= self._config.max_dead_letters:
            self._hold(
                f"there are {self._report.dead_letters} dead letters, the most this sink may have.",
                f"Fix the cause, then run `audit-forwarder dead-letters retry --sink {self._name}`, or discard some; "
                "or raise max_dead_letters.",
                "other",
            )
            # It may be the lane's feeder that waits here, and no one else would write what the sends have settled.
            if self._notes and await self.exchange(after=0, events=0) is None and not await self._sleep(0):
                continue
            if await self._sleep(RETRY_WRITE):
                return False
        return True

    async def exchange(self, *, after: int, events: int) -> Exchange | None:
        """Write what is noted and take the next events; None when the spool cannot write now."""
        async with self._turn:
            notes, self._notes = self._notes, Settlement()
            write = asyncio.ensure_future(self._spool.exchange(self.lane, notes, after=after, events=events))
            try:
                done = await asyncio.shield(write)
            except asyncio.CancelledError:
                while not write.done():
                    with contextlib.suppress(asyncio.CancelledError):  # one more is no reason to lose what was noted
                        await asyncio.wait({write})
                if write.exception() is not None:
                    self._put_back(notes)
                raise
            except Held as error:
                self._put_back(notes)
                self._hold(error.reason, error.fix, error.kind)
            except BaseException:
                self._put_back(notes)
                raise
            else:
                self._report.dead_letters += done.unreadable
                return done
        if await self._sleep(RETRY_WRITE):
            await asyncio.sleep(STOP_RETRY)
        return None

    async def flush(self, *, after: int) -> bool:
        """Write what is noted, however long it takes; only `stop` ends the waiting, and then the answer is False.

        What was noted before may be on its way in someone else's exchange, so one of our own follows.
        """
        while True:
            done = await self.exchange(after=after, events=0)
            if not self._notes:
                return True
            if done is None and await self._sleep(0):
                return False

    async def leave(self) -> None:
        """Write for the last time, in order: nothing of this lane is in flight any more.

        When that cannot be written, all of it stays in flight in the spool's eyes.
        """
        notes, self._notes = self._notes, Settlement()
        try:
            await self._spool.leave_lane(self.lane, notes)
        except Held as error:
            self._hold(error.reason, error.fix, error.kind)

    def _put_back(self, notes: Settlement) -> None:
        newer = self._notes
        notes.ranges.extend(newer.ranges)
        notes.filtered.extend(newer.filtered)
        notes.dead_letters.extend(newer.dead_letters)
        notes.doubts.extend(newer.doubts)
        self._notes = notes


def runs(numbers: Sequence[int]) -> list[Range]:
    """Return numbers as ranges, both ends included; they may come in any order, and each comes once."""
    ordered = sorted(numbers)  # a letter that is retried may stand behind newer events in a batch
    if ordered and ordered[-1] - ordered[0] == len(ordered) - 1:
        return [(ordered[0], ordered[-1])]
    found: list[Range] = []
    for number in ordered:
        if found and found[-1][1] + 1 == number:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found
