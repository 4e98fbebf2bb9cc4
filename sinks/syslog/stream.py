"""Syslog over TCP or TLS: nothing answers, so what was written is believed only after a while.

A batch is written whole and gets a receipt. The receipt is good when the other side's system has acknowledged its bytes
and the connection has stayed well for `resend` seconds after that; on a break, all receipts that are not good yet are
lost, and the lane reads them from the spool again, with the doubles on record. A receiver that ends connections by
habit is met with fewer records on each, several connections at once, or a shorter wait (`habits`).

Invariant: a connection that broke in the middle of a frame carries nothing more. See docs/adr and docs/syslog.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from forwarder.contracts import Clock, Delivery, Held, Receipt, Record, Retryable
from sinks.syslog.connection import Pipe
from sinks.syslog.habits import QUICK, Habits
from sinks.syslog.link import Link

_MOST_ENDED = 1000
"""Connections that ended and are remembered; of an older one, all that was not yet confirmed counts as lost."""

MOST_OPEN = 8
"""Connections at once, of all slots: those that are written to, and full ones that are not believed yet. A receiver
may take few: syslog-ng has `max-connections(10)`, and ends those beyond at once."""

_LOOK_EVERY, _LOOK_SOONEST = 1.0, 0.01
"""Seconds between two looks at a connection: at most, and at least."""


class StreamSlot:
    """The connections of one slot: one, unless the receiver ends each after a few records.

    Args:
        number: Of the slot.
        dial: Opens a connection.
        frame: Joins messages into frames.
        habits: What is known of the receiver; 0 seconds believe at once, and there are no receipts.
        clock: Monotonic time; wall time for what people read.
        most_open: Connections at once.
    """

    def __init__(
        self,
        number: int,
        dial: Callable[[], Awaitable[Pipe]],
        frame: Callable[[Sequence[bytes]], bytes],
        habits: Habits,
        clock: Clock,
        most_open: int,
    ) -> None:
        self._number = number
        self._most_open = most_open
        self._dial = dial
        self._frame = frame
        self._habits = habits
        self._clock = clock
        self._links: dict[int, Link] = {}
        self._current: Link | None = None
        self._serial = 0
        self._ended: dict[int, int] = {}  # connection -> last good batch
        self._freed = asyncio.Event()
        self._measuring: asyncio.Task[None] | None = None

    async def send(self, messages: Sequence[bytes], records: Sequence[Record]) -> Delivery:
        """Write all messages, or as many as the open connections carry; the others are kept.

        Raises:
            Retryable: With `sent` once a part of them may be out.
            Held: A TLS file cannot be used.
        """
        pending: dict[int, Receipt] = {}
        done = 0
        end = self._clock.monotonic() + 2 * self._habits.believed_after
        try:
            while done < len(messages):
                link = await self._well(end)
                most = self._habits.most
                count = len(messages) - done if most is None else min(len(messages) - done, most - link.records)
                receipt = await self._write(link, messages[done : done + count], most)
                pending.update(dict.fromkeys(range(done, done + count), receipt))
                done += count
        except Retryable as error:
            if not done:
                raise
            return self._delivery(pending, len(records), error)
        return self._delivery(pending, len(records))

    def _delivery(self, pending: dict[int, Receipt], count: int, error: Retryable | None = None) -> Delivery:
        made = Delivery(pending=pending)
        if not self._habits.believed_after:
            made = Delivery(accepted=range(len(pending)))
        if error is not None:
            made.kept = range(len(pending), count)
            made.doubtful, made.suspect, made.reason, made.fix = error.sent, error.suspect, str(error), error.fix
        return made

    async def _write(self, link: Link, messages: Sequence[bytes], most: int | None) -> Receipt:
        link.writing = True
        link.records += len(messages)
        try:
            await link.pipe.write(self._frame(messages))
            link.pipe.look()
        except BaseException as error:
            self._end(link, torn=True)
            if isinstance(error, Retryable):
                error.sent = True
            raise
        finally:
            link.writing = False
        number = link.note(len(messages), self._clock.monotonic())
        if most is not None and link.records >= most:
            link.full, self._current = True, None
            if not self._habits.believed_after:
                await self._retire(link)
        return Receipt(self._number, f"{link.serial}.{number}")

    def answer(self, receipt: Receipt) -> bool | None:
        """Say whether what the receipt stands for is believed (True), lost (False), or neither yet."""
        serial, _, number = receipt.token.partition(".")
        link = self._links.get(int(serial))
        if link is not None:
            return int(number) <= link.trust.good or None
        return int(number) <= self._ended.get(int(serial), 0)

    def watch(self) -> None:
        """Look how the connections are."""
        for link in list(self._links.values()):
            self._look(link)

    def unproved(self) -> tuple[int, float] | None:
        """Return how many records a receiver that stopped reading leaves in doubt, and since when, epoch seconds."""
        since = [link.trust.stalled_since for link in self._links.values() if link.trust.stalled_since is not None]
        behind = self._clock.monotonic() - min(since) if since else 0.0
        if behind < max(self._habits.believed_after, _LOOK_EVERY):
            return None
        return sum(count for link in self._links.values() for _, count in link.unproved), self._clock.time() - behind

    async def close(self) -> None:
        """End the connections in order. Safe to call twice."""
        if self._measuring is not None:
            self._measuring.cancel()
            await asyncio.wait({self._measuring})
            self._measuring = None
        await asyncio.gather(*(self._retire(link) for link in list(self._links.values())))

    # ----------------------------------------------------------------------------------------------------- a connection

    async def _well(self, end: float) -> Link:
        """Return a connection that has not ended as far as can be seen, and that may carry more.

        Args:
            end: When to stop waiting for one of the full ones, monotonic seconds.
        """
        if self._current is not None:
            self._look(self._current)
        link, most = self._current, self._habits.most
        if link is not None and (most is None or link.records < most):
            return link
        if link is not None:
            link.full, self._current = True, None
        while len(self._links) >= self._most_open:
            self._freed.clear()
            try:
                async with asyncio.timeout(end - self._clock.monotonic()):
                    await self._freed.wait()
            except TimeoutError:
                reason, fix = self._habits.warning() or self._habits.unconfirmed()
                message = f"{reason}; as many connections as may be open wait to be believed"
                raise Retryable(message, kind="partial", suspect=False, fix=fix) from None
        pipe = await self._dial()
        self._serial += 1
        link = self._current = self._links[self._serial] = Link(self._serial, pipe)
        link.watching = asyncio.create_task(self._watch(link), name=f"syslog connection {self._number}.{self._serial}")
        return link

    async def _watch(self, link: Link) -> None:
        """Notice the end of a connection when it comes, and that it is well as long as it is."""
        while link.serial in self._links:
            within = max(min(_LOOK_EVERY, self._habits.believed_after / 4) or _LOOK_EVERY, _LOOK_SOONEST)
            try:
                await link.pipe.read(within)
                await asyncio.sleep(within)  # what it says means nothing; one that never stops must not keep us busy
            except Retryable:  # its end, or the time is over
                self._look(link)
                if link.writing:  # an end comes again at once, and whoever writes must get a turn to find out
                    await asyncio.sleep(within)
            if link.full and not link.unproved:
                self._habits.stayed(link.records)
                await self._retire(link)

    def _look(self, link: Link) -> None:
        if link.writing:
            return  # whoever writes will find out
        try:
            link.pipe.look()
        except Retryable:
            self._end(link)
            return
        now = self._clock.monotonic()
        if link.seen_well(now, self._habits.believed_after):
            self._habits.believed()
        self._habits.kept(now - link.written)

    def _end(self, link: Link, *, torn: bool = False) -> None:
        """Give up a connection that has ended, and learn from it when something on it was not believed yet."""
        self._forget(link)
        link.pipe.abort()
        if not (torn or link.unproved):
            return
        quiet = self._clock.monotonic() - link.written if link.written else 0.0
        self._habits.ended(link.records, quiet)
        if quiet >= QUICK and self._habits.may_measure():
            self._measuring = asyncio.create_task(self._measure(), name=f"syslog empty connection {self._number}")

    async def _measure(self) -> None:
        """See how long the receiver keeps a connection on which nothing is sent."""
        again = True
        while again:
            lasted: float | None = None
            try:
                pipe = await self._dial()
            except (Retryable, Held):  # the next send says so
                break
            began = self._clock.monotonic()
            try:
                await pipe.read(self._habits.resend)
                break  # it speaks first, so it is no receiver of syslog
            except Retryable as error:
                lasted = None if error.kind == "timeout" else self._clock.monotonic() - began
            finally:
                pipe.abort()
            again = self._habits.measured(lasted)
        self._habits.measuring = False

    async def _retire(self, link: Link) -> None:
        """End a connection in order."""
        self._forget(link)
        if link.watching is not None and link.watching is not asyncio.current_task():
            link.watching.cancel()
            await asyncio.wait({link.watching})  # it waits for the same socket
        await link.pipe.close()

    def _forget(self, link: Link) -> None:
        if self._current is link:
            self._current = None
        if self._links.pop(link.serial, None) is not None:
            self._ended[link.serial] = link.trust.good
            if len(self._ended) > _MOST_ENDED:
                del self._ended[next(iter(self._ended))]
            self._freed.set()
