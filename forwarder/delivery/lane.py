"""One lane: from the spool to one sink, with everything around a dumb `send`.

::

    exchange (settle + take, one transaction) ─► RecordMaker ─► ready ─► batch ─► slot: sink.send (`sending`)
        ▲                                                                             │
        └──── settlement: accepted · rejected (dead letter) · filtered · confirmed ◄──┤
              sent again: kept · pending and never confirmed  ◄───────────────────────┘

Up to `window` sends run at once, one per slot; the next batch is encoded while they are on their way. A send that
failed is repeated by its slot until the sink decides; so a dead sink fills its own slots and no one else's. Nothing is
settled before the sink said so; what may be sent twice is on record first (`doubts`). What a sink fails on alone, while
it takes others, waits apart (`aside`).
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from forwarder.contracts import Clock, Confirms, Gathers, Held, Record, Retryable, Sink, SinkConfig, SinkTraits, Warns
from forwarder.contracts.errors import fix_of
from forwarder.delivery.ages import DeliveryAges
from forwarder.delivery.aside import Asides
from forwarder.delivery.attempt import Attempts
from forwarder.delivery.isolation import Evidence
from forwarder.delivery.lane_spool import LaneSpool
from forwarder.delivery.ready import Ready
from forwarder.delivery.receipts import OpenReceipts
from forwarder.delivery.sending import Sender
from forwarder.delivery.settlement import RETRY_WRITE, Settler
from forwarder.delivery.shared import LaneSink
from forwarder.delivery.state_log import StateLog
from forwarder.delivery.waits import Waits
from forwarder.observe.reports import LaneReport
from forwarder.records.maker import RecordMaker
from forwarder.spool.contract import Chunk

LOOK_EVERY = 60.0
"""A lane looks into the spool at least this often, seconds, whether or not anybody rings."""

LAST_STORING = 5.0  # seconds for a sink that gathers to store what it has, when its lane stops

LAST_QUESTION = 2.0
"""Seconds for a lane that stops to ask for confirmations once more: what is confirmed now is not sent again later."""


class Lane:
    """The task of one sink. `ring` tells it of new events; `stop` lets what is in flight finish.

    Attributes:
        paused: Who paused it, and when: it delivered nothing and has ended. Empty for a lane that delivers.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        config: SinkConfig,
        *,
        spool: LaneSpool,
        maker: RecordMaker,
        clock: Clock,
        rng: random.Random,
        report: LaneReport,
        redact: Callable[[str], str] = str,
    ) -> None:
        self.report = report
        self._name = name
        self._sink = sink
        self._config = config
        self._spool = spool
        self._maker = maker
        self._clock = clock
        self._states = StateLog(report, clock, redact)
        self.turn = self._states.turn
        self._wake = asyncio.Event()
        self._waits = Waits()
        self.stopped, self.sleep_unless_stopping = self._waits.stopped, self._waits.sleep
        self.paused = ""
        self._ages = DeliveryAges(report, clock)
        self._settler = Settler(
            name,
            config,
            spool=spool,
            clock=clock,
            report=report,
            ages=self._ages,
            sleep=self.sleep_unless_stopping,
            hold=self._states.hold,
            redact=redact,
        )
        self._receipts = OpenReceipts(sink, config, clock=clock, report=report) if isinstance(sink, Confirms) else None
        self._evidence = Evidence(lambda: self._receipts.newest_open if self._receipts is not None else 0)
        patience = SinkTraits.of(sink).patience
        self._asides = Asides(config.patience if patience is None else patience, clock=clock, report=report)
        attempts = Attempts(
            sink,
            settler=self._settler,
            receipts=self._receipts,
            evidence=self._evidence,
            report=report,
            clock=clock,
            stopped=self.stopped,
        )
        self._sender = Sender(
            config,
            self,
            attempts=attempts,
            settler=self._settler,
            evidence=self._evidence,
            asides=self._asides,
            report=report,
            clock=clock,
            rng=rng,
        )
        self.head, self._more = 0, True
        self._ready = Ready(config.batch)
        self._suspected: deque[tuple[list[Record], int]] = deque()  # not confirmed `BREAKS` times, since which send
        self._sends: dict[int, asyncio.Task[None]] = {}
        self._cut_short = False
        self._failure: BaseException | None = None

    async def run(self) -> None:
        """Deliver until `stop`; then wait for what is in flight. A lane runs once; a failure is raised at the end."""
        self.report.begin()
        state = await self._spool.open_lane(
            self._name, self._sink.target, start=self._config.start, on_full=self._config.on_full
        )
        if state.paused:
            self.paused = state.paused
            return
        self._settler.lane, self.head = state.number, state.position
        self.report.position, self.report.dead_letters = state.position, state.dead_letters
        self.report.doubtful += sum(last - first + 1 for first, last in state.doubtful)
        confirming = asyncio.create_task(self._confirm_often())
        try:
            await self._loop()
            await asyncio.wait({confirming}, timeout=LAST_QUESTION)
            await self._finish()
        finally:
            confirming.cancel()
            await self._drain()
        if self._failure is not None:
            raise self._failure

    def ring(self) -> None:
        """Say that the spool has new events."""
        self._more = True
        self._wake.set()

    def stop(self) -> None:
        """Take nothing more and let the sends at hand finish."""
        self._waits.stop()
        self._evidence.stir()
        self._wake.set()

    def retry_now(self) -> None:
        """End every wait before the next try: of a sink that failed, of an event apart, of a spool that is full."""
        self._asides.hasten()
        self._evidence.hurry()
        self._waits.end_all()
        self.ring()

    # --------------------------------------------------------------------------------------------------------- taking

    async def _loop(self) -> None:
        while True:
            self._wake.clear()
            await self._take()
            self._dispatch()
            if self.stopped.is_set() and not self._sends and not self._settler:
                return
            if self._settler or (self._more and self._wanted()):
                continue
            await self._wait()

    def _wanted(self) -> int:
        """Return how many events to take now: so many that one batch is ready while the others are in flight."""
        return 0 if self.stopped.is_set() or self._has_most_receipts() else self._ready.wanted()

    def _has_most_receipts(self) -> bool:
        return self._receipts is not None and len(self._receipts) >= self._config.max_pending

    async def _take(self) -> None:
        """Settle and take in one transaction."""
        if self._receipts is not None:
            if self._receipts.unconfirmed and (wanted := self._wanted()):
                await self._take_again(self._receipts, wanted)
            if self._receipts.suspected and not self._suspected and not self.stopped.is_set():
                await self._take_again(self._receipts, self._config.batch.events, suspected=True)
        wanted = self._wanted() if self._more else 0
        if not wanted and not self._settler:
            return
        if wanted:
            self._more = False  # before the question: who rings while it is answered must be heard
        done = await self._settler.exchange(after=self.head, events=wanted)
        if done is None or done.again or (done.chunks and done.chunks[-1].last < done.last_seq):
            self._more = True
        if done is None:
            return
        for chunk in done.again:
            await self._prepare(chunk)
        for chunk in done.chunks:
            self.head = chunk.last
            self._ages.take(chunk)
            await self._prepare(chunk)
        self._measure(done.position, done.last_seq)

    async def _prepare(self, chunk: Chunk) -> None:
        prepared = None
        while prepared is None:
            try:
                prepared = await self._maker.make_in_turns(chunk)
            except Held as error:  # no one here knows what the events of this feed mean
                self._states.hold(error.reason, error.fix, error.kind)
                if await self.sleep_unless_stopping(RETRY_WRITE):
                    return
        if prepared.filtered:
            self._settler.record_filtered(prepared.filtered)
        for letter in prepared.refused:
            await self._settler.add_dead_letter(letter)
        self._queue(prepared.records)

    async def _take_again(self, receipts: OpenReceipts, wanted: int, *, suspected: bool = False) -> None:
        """Read once more what was never confirmed; it may be there already, and that is on record first."""
        if not await self._settler.flush(after=self.head):
            return
        spans = receipts.take_suspected(wanted) if suspected else receipts.take_unconfirmed(wanted)
        chunks = await self._spool.take_again(self._settler.lane, spans)
        if chunks:  # else all of it has left the spool meanwhile
            receipts.requeue(spans, chunks[-1].last, suspected=suspected)
        records = [record for chunk in chunks for record in (await self._maker.make_in_turns(chunk)).records]
        self.report.resent += len(records)
        if not suspected:
            self._queue(records)
        elif records:
            self._suspected.append((records, receipts.lost_since(spans)))

    def _queue(self, records: Sequence[Record]) -> None:
        self._ready.add(records, self._clock.monotonic())
        self._evidence.stir()

    # -------------------------------------------------------------------------------------------------------- sending

    def _dispatch(self) -> None:
        """Start a send in every free slot for which something is due."""
        for slot in range(self._config.window):
            if slot in self._sends:
                continue
            sending = self._next_sending(slot)
            if sending is None:
                break
            task = asyncio.create_task(sending, name=f"send {self._name} {slot}")
            self._sends[slot] = task
            task.add_done_callback(lambda done, slot=slot: self._on_send_finished(slot, done))  # type: ignore[misc]
        self.report.in_flight = len(self._sends)

    def _next_sending(self, slot: int) -> Coroutine[None, None, None] | None:
        if not self.stopped.is_set():
            if self._asides.due() == 0.0 and (record := self._asides.take()) is not None:
                return self._sender.retry_aside(slot, record)
            if self._suspected:
                records, since = self._suspected.popleft()
                return self._sender.deliver(slot, records, lost_since=since)
        if self._ready and self._due() <= 0 and not self._has_most_receipts():
            if self._ready.waits_its_turn():
                return None
            return self._sender.deliver(slot, self._ready.cut(slot))
        return None

    def _due(self) -> float:
        """Return the seconds until the next batch should go."""
        if self._ready.fills_batch() or self.stopped.is_set():
            return 0.0
        return self._ready.since + self._config.batch.wait - self._clock.monotonic()

    def _on_send_finished(self, slot: int, task: asyncio.Task[None]) -> None:
        del self._sends[slot]
        self._ready.came_back(slot)
        self._sender.troubled.discard(slot)
        if not self._sender.troubled:
            self._ready.forget_lent()
        self.report.in_flight = len(self._sends)
        if task.cancelled():
            self._cut_short = True
        elif error := task.exception():
            self._cut_short = True
            self._failure = error
            self.stop()
        else:
            self._turn_unless_troubled()  # what it had to settle may be settled already, and nothing else says so
        self._wake.set()

    def control(self) -> Record | None:
        """Lend the newest record that waits to be sent, to see whether the sink takes it."""
        return self._ready.lend()

    def give_back(self, record: Record) -> None:
        """Take back a record that was lent, and look for others behind it."""
        self._ready.give_back(record)
        self.ring()

    def has_control(self) -> bool:
        """Whether there is a record to lend."""
        return bool(self._ready)

    async def _finish(self) -> None:
        """Let a sink that gathers store what it has; what it cannot in time is sent again by the next life."""
        if isinstance(self._sink, Gathers) and self._receipts is not None:
            with suppress(TimeoutError, Retryable, Held):
                await asyncio.wait_for(self._sink.finish(), LAST_STORING)
            await self._confirm(self._receipts)

    async def _confirm_often(self) -> None:
        """Ask the sink what became of its receipts, and once more at the end."""
        while self._receipts is not None and not self.stopped.is_set():
            await self.sleep_unless_stopping(self._config.confirm_every)
            await self._confirm(self._receipts)

    async def _confirm(self, receipts: OpenReceipts) -> None:
        """Ask the sink what became of its receipts."""
        try:
            confirmed, lost = await receipts.ask()
        except (Retryable, Held) as error:
            self.turn("retrying", f"confirmations cannot be asked for: {error}")
            self.report.errors[error.kind] += 1
            return
        self._settler.confirm(confirmed)
        if confirmed:
            self._evidence.taken(receipts.newest_confirmed)
        self._settler.doubt(lost, "unconfirmed")
        if lost:
            _, fix = SinkTraits.of(self._sink).unconfirmed or ("", fix_of("unconfirmed"))
            self.turn("retrying", "what was sent was not confirmed, and is sent again", fix)
        if confirmed or lost:  # else the lane would never be quiet long enough to look by itself
            self._wake.set()
        self._turn_unless_troubled()

    # --------------------------------------------------------------------------------------------------------- ending

    async def _drain(self) -> None:
        """Settle for the last time. What may have been sent without an answer stays in flight in the spool's eyes."""
        self._waits.stop()
        for task in list(self._sends.values()):
            task.cancel()
        if self._sends:
            await asyncio.wait(self._sends.values())
        if isinstance(self._sink, LaneSink):
            self._sink.leave()
        receipts = self._receipts
        if self._cut_short or (receipts is not None and (receipts.unconfirmed or receipts.suspected or len(receipts))):
            await self._settler.flush(after=self.head)
        elif self._settler.lane:
            await self._settler.leave()
        self.report.turn("stopped", self._clock.time())

    # --------------------------------------------------------------------------------------------------- small things

    async def _wait(self) -> None:
        """Sleep until `ring` is called, a batch grows old, or it is time to look by ourselves."""
        seconds = LOOK_EVERY
        if len(self._sends) < self._config.window and not self.stopped.is_set():
            if self._ready and not self._has_most_receipts() and not self._ready.waits_its_turn():
                seconds = max(0.0, self._due())
            seconds = min(seconds, self._asides.due())
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            self._more = True

    def _measure(self, position: int, last_seq: int) -> None:
        self.report.position, self.report.lag = position, last_seq - position
        self.report.oldest_waiting = self._ages.forget(position)
        self._turn_unless_troubled()

    def _turn_unless_troubled(self) -> None:
        if self.stopped.is_set():  # a send that ends because of that says nothing of the sink
            return
        if self._sender.troubled or self._settler.waiting or (self._receipts is not None and self._receipts.troubled):
            return
        if self._asides:
            self.turn("retrying", self._asides.in_words())
            self.report.next_try = self._asides.next_try()
        elif isinstance(self._sink, Warns) and (warning := self._sink.warning()) is not None:
            self.turn("retrying", *warning)
        elif self._receipts is not None and (waited := self._receipts.unproved_for()) is not None:
            since = datetime.fromtimestamp(self._clock.time() - waited, UTC).strftime("%H:%M UTC")
            self.turn("retrying", f"nothing proves what was sent since {since}", fix_of("unconfirmed"))
        else:
            self.turn("working" if self.report.lag else "idle")

    def wake(self) -> None:
        """Look again what there is to settle and to send."""
        self._wake.set()
