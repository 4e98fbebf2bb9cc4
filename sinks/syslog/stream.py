"""Syslog over TCP or TLS: nothing answers, so what was written is believed only after a while.

A batch is written whole and gets a receipt. The receipt is good when the other side's system has acknowledged its bytes
and the connection has stayed well for `resend` seconds after that; on a break, all receipts that are not good yet are
lost, and the lane reads them from the spool again, with the doubles on record.

Invariant: a connection that broke in the middle of a frame carries nothing more. See docs/adr and docs/syslog.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from forwarder.contracts import Clock, Delivery, Receipt, Record, Retryable
from sinks.syslog.connection import Pipe, Taken

_MOST_ENDED = 1000
"""Connections that ended and are remembered; of an older one, all that was not yet confirmed counts as lost."""


class _Mark(NamedTuple):
    """One batch on a connection: its number, and how many bytes the system had to pass on when it was written."""

    number: int
    end: int


class Trust:
    """How far one connection is believed.

    Args:
        seconds: How long a batch must have been acknowledged on a connection that is well.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._sent: deque[_Mark] = deque()  # not acknowledged yet
        self._arrived: deque[tuple[int, float]] = deque()  # number, when that was first seen
        self._acknowledged = -1
        self._written = 0
        self.good = 0

    def note(self, taken: Taken | None) -> int:
        """Note a batch that the system has whole; return its number."""
        self._written += 1
        self._sent.append(_Mark(self._written, sum(taken) if taken else 0))
        return self._written

    def seen_well(self, taken: Taken | None, now: float) -> None:
        """Note that the connection is well at this moment (monotonic seconds)."""
        acknowledged = taken.acknowledged if taken else 0
        while self._sent and self._sent[0].end <= acknowledged:
            self._arrived.append((self._sent.popleft().number, now))
        # While nothing moves although something waits, the other side is not reading: it may never read the rest.
        stalled = taken is not None and taken.waiting > 0 and acknowledged == self._acknowledged
        self._acknowledged = acknowledged
        while not stalled and self._arrived and now - self._arrived[0][1] >= self._seconds:
            self.good = self._arrived.popleft()[0]


class StreamSlot:
    """The connection of one slot.

    Args:
        number: Of the slot.
        dial: Opens a connection.
        frame: Joins messages into frames.
        resend: Seconds after which a batch is believed; 0 believes at once, and gives no receipts.
        clock: Monotonic time.
    """

    def __init__(
        self,
        number: int,
        dial: Callable[[], Awaitable[Pipe]],
        frame: Callable[[Sequence[bytes]], bytes],
        resend: float,
        clock: Clock,
    ) -> None:
        self._number = number
        self._dial = dial
        self._frame = frame
        self._resend = resend
        self._clock = clock
        self._pipe: Pipe | None = None
        self._serial = 0
        self._trust = Trust(resend)
        self._ended: dict[int, int] = {}  # connection -> last good batch
        self._writing = False

    async def send(self, messages: Sequence[bytes], records: Sequence[Record]) -> Delivery:
        """Write all messages. Raises Retryable, with `sent` once a part of them may be out, or Held."""
        pipe = await self._well()
        self._writing = True
        try:
            await pipe.write(self._frame(messages))
            pipe.look()
        except BaseException as error:
            self._drop()
            if isinstance(error, Retryable):
                error.sent = True
            raise
        finally:
            self._writing = False
        if not self._resend:
            return Delivery(accepted=range(len(records)))
        receipt = Receipt(self._number, f"{self._serial}.{self._trust.note(pipe.taken())}")
        return Delivery(pending=dict.fromkeys(range(len(records)), receipt))

    def answer(self, receipt: Receipt) -> bool | None:
        """Say whether what the receipt stands for is believed (True), lost (False), or neither yet."""
        serial, _, number = receipt.token.partition(".")
        alive = self._pipe is not None and int(serial) == self._serial
        good = self._trust.good if alive else self._ended.get(int(serial), 0)
        return int(number) <= good or (None if alive else False)

    def watch(self) -> None:
        """Look how the connection is."""
        if self._pipe is None or self._writing:
            return  # whoever writes will find out
        try:
            self._pipe.look()
        except Retryable:
            self._drop()
        else:
            self._trust.seen_well(self._pipe.taken(), self._clock.monotonic())

    async def close(self) -> None:
        """End the connection in order. Safe to call twice."""
        pipe = self._pipe
        self._forget()
        if pipe is not None:
            await pipe.close()

    async def _well(self) -> Pipe:
        """Return a connection that has not ended as far as can be seen."""
        self.watch()
        if self._pipe is None:
            pipe = await self._dial()
            self._pipe, self._trust = pipe, Trust(self._resend)
            self._serial += 1
        return self._pipe

    def _drop(self) -> None:
        pipe = self._pipe
        self._forget()
        if pipe is not None:
            pipe.abort()

    def _forget(self) -> None:
        if self._pipe is not None:
            self._pipe = None
            self._ended[self._serial] = self._trust.good
            if len(self._ended) > _MOST_ENDED:
                del self._ended[next(iter(self._ended))]
