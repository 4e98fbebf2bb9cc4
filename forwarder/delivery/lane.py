"""One lane: from the spool to one sink, with everything around a dumb `send`.

::

    exchange (settle + take, one transaction) ─► RecordMaker ─► ready ─► batch ─► slot: sink.send
        ▲                                                                             │
        └──── settlement: accepted · rejected (dead letter) · filtered · confirmed ◄──┤
              sent again: kept · pending and never confirmed  ◄───────────────────────┘

Up to `window` sends run at once, one per slot; the next batch is encoded while they are on their way. A send that
failed is repeated by its slot until the sink decides; so a dead sink fills its own slots and nobody else's. Nothing is
settled before the sink said so; what may be sent twice is on record first (`doubts`).
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

import structlog

from forwarder.contracts import (
    Batch,
    Clock,
    Confirms,
    Delivery,
    ErrorKind,
    Held,
    PayloadTooLarge,
    Record,
    Rejection,
    Retryable,
    Sink,
    SinkConfig,
)
from forwarder.delivery.receipts import Promises
from forwarder.delivery.settlement import RETRY_WRITE, Settler, runs
from forwarder.delivery.trouble import Trouble
from forwarder.records import RecordMaker
from forwarder.retry import Backoff
from forwarder.spool.contract import Chunk, Spool
from forwarder.status import LaneReport

LOOK_EVERY = 60.0
"""A lane looks into the spool at least this often, seconds, whether or not anybody rings."""

LAST_QUESTION = 2.0
"""Seconds for a lane that stops to ask for confirmations once more: what is confirmed now is not sent again later."""


class Lane:
    """The task of one sink. `ring` tells it of new events; `stop` lets what is in flight come home."""

    def __init__(
        self,
        name: str,
        sink: Sink,
        config: SinkConfig,
        *,
        spool: Spool,
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
        self._rng = rng
        self._log = structlog.get_logger().bind(sink=name)
        self._wake = asyncio.Event()
        self._stopped = asyncio.Event()
        self._settler = Settler(
            name, config, spool=spool, clock=clock, report=report, nap=self._nap, hold=self._hold, redact=redact
        )
        self._promises = Promises(sink, config, clock=clock, report=report) if isinstance(sink, Confirms) else None
        self._head, self._more = 0, True
        self._ready: deque[Record] = deque()
        self._ready_bytes, self._ready_since = 0, 0.0
        self._sends: dict[int, asyncio.Task[None]] = {}
        self._troubled: set[int] = set()
        self._next_tries: dict[int, float] = {}  # by slot, epoch seconds
        self._taken: deque[tuple[int, int]] = deque()  # (last number, read_ms) of the chunks taken
        self._cut_short = False
        self._failure: BaseException | None = None

    async def run(self) -> None:
        """Deliver until `stop`; then wait for what is in flight. A lane runs once; a failure is raised at the end."""
        state = await self._spool.open_lane(
            self._name, self._sink.target, start=self._config.start, on_full=self._config.on_full
        )
        self._settler.lane, self._head = state.number, state.position
        self.report.position, self.report.dead_letters = state.position, state.dead_letters
        self.report.doubtful += sum(last - first + 1 for first, last in state.doubtful)
        confirming = asyncio.create_task(self._confirm_often())
        try:
            await self._turn_over()
            await asyncio.wait({confirming}, timeout=LAST_QUESTION)
        finally:
            confirming.cancel()
            await self._come_home()
        if self._failure is not None:
            raise self._failure

    def ring(self) -> None:
        """Say that the spool has new events."""
        self._more = True
        self._wake.set()

    def stop(self) -> None:
        """Take nothing more and let the sends at hand finish."""
        self._stopped.set()
        self._wake.set()

    # --------------------------------------------------------------------------------------------------------- taking

    async def _turn_over(self) -> None:
        while True:
            self._wake.clear()
            await self._take()
            self._dispatch()
            if self._stopped.is_set() and not self._sends and not self._settler:
                return
            if self._settler or (self._more and self._wanted()):
                continue
            await self._wait()

    def _wanted(self) -> int:
        """Return how many events to take now: so many that one batch is ready while the others are in flight."""
        limits = self._config.batch
        enough = len(self._ready) >= limits.events or self._ready_bytes >= limits.bytes
        return 0 if enough or self._stopped.is_set() or self._is_promised_full() else limits.events

    def _is_promised_full(self) -> bool:
        return self._promises is not None and len(self._promises) >= self._config.max_pending

    async def _take(self) -> None:
        """Settle and take in one transaction."""
        if self._promises is not None and self._promises.broken and (wanted := self._wanted()):
            await self._take_again(self._promises, wanted)
        wanted = self._wanted() if self._more else 0
        if not wanted and not self._settler:
            return
        if wanted:
            self._more = False  # before the question: who rings while it is answered must be heard
        done = await self._settler.exchange(after=self._head, events=wanted)
        if done is None or done.again or (done.chunks and done.chunks[-1].last < done.last_seq):
            self._more = True
        if done is None:
            return
        for chunk in done.again:
            await self._prepare(chunk)
        for chunk in done.chunks:
            self._head = chunk.last
            self._taken.append((chunk.last, chunk.read_ms))
            await self._prepare(chunk)
        self._measure(done.position, done.last_seq)

    async def _prepare(self, chunk: Chunk) -> None:
        prepared = None
        while prepared is None:
            try:
                prepared = self._maker.make(chunk)
            except Held as error:  # nobody here knows what the events of this feed mean
                self._hold(error.reason, error.fix, error.kind)
                if await self._nap(RETRY_WRITE):
                    return
        if prepared.filtered:
            self._settler.leave_out(chunk.source, prepared.filtered)
        for letter in prepared.refused:
            await self._settler.bury(letter)
        self._queue(prepared.records)

    async def _take_again(self, promises: Promises, wanted: int) -> None:
        """Read once more what was never confirmed; it may be there already, and that is on record first."""
        await self._settler.flush(after=self._head)
        spans = promises.take_broken(wanted)
        chunks = await self._spool.take_again(self._settler.lane, spans)
        if chunks:  # else all of it has left the spool meanwhile
            promises.give_back(spans, chunks[-1].last)
        for chunk in chunks:
            records = self._maker.make(chunk).records
            self.report.resent += len(records)
            self._queue(records)

    def _queue(self, records: Sequence[Record]) -> None:
        if records and not self._ready:
            self._ready_since = self._clock.monotonic()
        self._ready.extend(records)
        self._ready_bytes += sum(len(record.body) for record in records)

    # -------------------------------------------------------------------------------------------------------- sending

    def _dispatch(self) -> None:
        """Start a send in every free slot for which a batch is due."""
        free = [slot for slot in range(self._config.window) if slot not in self._sends]
        while free and self._ready and self._due() <= 0 and not self._is_promised_full():
            slot = free.pop(0)
            task = asyncio.create_task(self._deliver(slot, self._cut()), name=f"send {self._name} {slot}")
            self._sends[slot] = task
            task.add_done_callback(lambda done, slot=slot: self._landed(slot, done))  # type: ignore[misc]
        self.report.in_flight = len(self._sends)

    def _due(self) -> float:
        """Return the seconds until the next batch should go."""
        limits = self._config.batch
        if len(self._ready) >= limits.events or self._ready_bytes >= limits.bytes or self._stopped.is_set():
            return 0.0
        return self._ready_since + limits.wait - self._clock.monotonic()

    def _cut(self) -> list[Record]:
        """Take a batch off the queue: the first limit it reaches ends it, but it holds at least one record."""
        limits, size = self._config.batch, 0
        records: list[Record] = []
        while self._ready and len(records) < limits.events:
            size += len(self._ready[0].body)
            if records and size > limits.bytes:
                break
            records.append(self._ready.popleft())
            self._ready_bytes -= len(records[-1].body)
        return records

    def _landed(self, slot: int, task: asyncio.Task[None]) -> None:
        del self._sends[slot]
        self._troubled.discard(slot)
        self.report.in_flight = len(self._sends)
        if task.cancelled():
            self._cut_short = True
        elif error := task.exception():
            self._cut_short = True
            self._failure = error
            self.stop()
        self._wake.set()

    async def _deliver(self, slot: int, records: list[Record]) -> None:
        """Send until every record is settled or promised; a batch that is too large is halved."""
        stack = [records]
        backoff = Backoff(self._config.retry, self._rng)
        while stack:
            todo, rest = stack.pop(), 0.0
            try:
                rest = await self._send_once(slot, todo)
            except PayloadTooLarge as error:
                if len(todo) == 1:
                    await self._settler.reject(todo[0], Rejection("too_large", str(error)))
                else:
                    half = len(todo) // 2
                    stack += [todo[half:], todo[:half]]
            except Trouble as trouble:
                if len(trouble.left) < len(todo):
                    backoff.reset()
                stack.append(trouble.left)
                await self._wait_out(slot, trouble, backoff)
            else:
                self._troubled.discard(slot)
            self._wake.set()
            if rest > 0:
                await self._nap(min(rest, self._config.retry.max))
            if stack and self._stopped.is_set():
                return

    async def _send_once(self, slot: int, todo: list[Record]) -> float:
        """Send once; return the seconds the sink asks to rest. Raises Trouble with what must be sent again."""
        batch = Batch(todo, slot)
        begun = self._clock.monotonic()
        try:
            delivery = await self._sink.send(batch)
            if not isinstance(delivery, Delivery):
                raise TypeError("send() gave no Delivery")  # noqa: TRY301 -- as any other fault of a sink
        except (Retryable, Held) as error:
            raise Trouble.told(todo, error) from error
        except PayloadTooLarge:
            raise
        except (Exception, asyncio.CancelledError) as error:  # the plugin boundary: a fault of a sink ends no lane
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
                raise  # it is we who are cancelled, not something inside the sink
            self._log.exception("sink_failed")
            raise Trouble(todo, "other", f"the sink failed: {type(error).__name__}", doubtful=True) from error
        self.report.batches += 1
        self.report.bytes += batch.size
        self.report.observe_send(self._clock.monotonic() - begun)
        self.report.duplicates += delivery.duplicates
        left = await self._note(todo, delivery)
        if left:
            reason = delivery.reason or "the sink kept a part of the batch"
            raise Trouble(left, "partial", reason, floor=delivery.retry_after, doubtful=delivery.doubtful)
        return delivery.retry_after or 0.0

    async def _wait_out(self, slot: int, trouble: Trouble, backoff: Backoff) -> None:
        """Put what may be doubled on record, say what is wrong, and sleep."""
        self._troubled.add(slot)
        self.report.errors[trouble.kind] += 1
        self.report.tries += 1
        self.report.resent += len(trouble.left)
        self._turn(trouble.state, trouble.reason, trouble.fix)
        if trouble.doubtful:
            self._settler.doubt(runs([record.seq for record in trouble.left]), trouble.kind)
            await self._settler.flush(after=self._head)
        longest = self._config.retry.max  # whatever the other side asks for: it may be mistaken, or mean harm
        wait = min(backoff.next(trouble.floor), longest if trouble.ceiling is None else trouble.ceiling)
        self._next_tries[slot] = self._clock.time() + wait
        self.report.next_try = min(self._next_tries.values())
        await self._nap(wait)
        del self._next_tries[slot]
        self.report.next_try = min(self._next_tries.values(), default=0.0)

    async def _note(self, todo: list[Record], delivery: Delivery) -> list[Record]:
        """Note what the sink decided and return the records it did not; what it names nowhere is not decided."""
        rest = delivery.rejected or delivery.pending or delivery.kept
        if not rest and isinstance(delivery.accepted, range) and delivery.accepted == range(len(todo)):
            self._settler.accept(todo)
            return []
        named = [*delivery.accepted, *delivery.rejected, *delivery.pending, *delivery.kept]
        promised = self._promises
        if (
            len(set(named)) != len(named)
            or any(not 0 <= position < len(todo) for position in named)
            or (delivery.pending and promised is None)
        ):
            self._log.error("sink_broke_the_contract", named=len(named), sent=len(todo))
            raise Trouble(todo, "other", "the sink's answer contradicts itself", doubtful=True)
        self._settler.accept([todo[position] for position in sorted(delivery.accepted)])
        if promised is not None:
            for position, receipt in delivery.pending.items():
                promised.add(receipt, todo[position])
        for position, rejection in delivery.rejected.items():
            await self._settler.reject(todo[position], rejection)
        decided = {*delivery.accepted, *delivery.rejected, *delivery.pending}
        return [record for position, record in enumerate(todo) if position not in decided]

    async def _confirm_often(self) -> None:
        """Ask the sink what became of its promises, and once more at the end."""
        while self._promises is not None and not self._stopped.is_set():
            await self._nap(self._config.confirm_every)
            try:
                confirmed, lost = await self._promises.ask()
            except (Retryable, Held) as error:
                self._turn("retrying", f"confirmations cannot be asked for: {error}")
                self.report.errors[error.kind] += 1
                continue
            self._settler.confirm(confirmed)
            self._settler.doubt(lost, "unconfirmed")
            self._wake.set()

    # --------------------------------------------------------------------------------------------------------- ending

    async def _come_home(self) -> None:
        """Settle for the last time. What may have been sent without an answer stays in flight in the spool's eyes."""
        self._stopped.set()
        for task in list(self._sends.values()):
            task.cancel()
        if self._sends:
            await asyncio.wait(self._sends.values())
        if self._cut_short or (self._promises is not None and (self._promises or self._promises.broken)):
            await self._settler.flush(after=self._head)
        elif self._settler.lane:
            await self._settler.leave()
        self.report.turn("stopped", self._clock.time())

    # --------------------------------------------------------------------------------------------------- small things

    async def _wait(self) -> None:
        """Sleep until somebody rings, a batch grows old, or it is time to look by ourselves."""
        can_send = self._ready and len(self._sends) < self._config.window and not self._is_promised_full()
        try:
            async with asyncio.timeout(max(0.0, self._due()) if can_send else LOOK_EVERY):
                await self._wake.wait()
        except TimeoutError:
            self._more = True

    async def _nap(self, seconds: float) -> bool:
        """Sleep out a wait; `stop` ends it early, and then the answer is True."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
        return self._stopped.is_set()

    def _measure(self, position: int, last_seq: int) -> None:
        while self._taken and self._taken[0][0] <= position:
            self._taken.popleft()
        self.report.position, self.report.lag = position, last_seq - position
        self.report.oldest_waiting = self._taken[0][1] / 1000 if self._taken else 0.0
        if not self._troubled and not self._settler.waiting:
            self._turn("working" if self.report.lag else "idle")

    def _hold(self, reason: str, fix: str, kind: ErrorKind) -> None:
        self.report.errors[kind] += 1
        self._turn("held", reason, fix)

    def _turn(self, state: Literal["working", "idle", "retrying", "held"], reason: str = "", fix: str = "") -> None:
        was = self.report.state
        if not self.report.turn(state, self._clock.time(), reason, fix):
            return
        if self.report.well:
            self.report.tries = 0
        if reason:
            self._log.warning("sink_degraded", state=state, reason=reason, fix=fix)
        elif was in {"retrying", "held"}:
            self._log.info("sink_recovered")
