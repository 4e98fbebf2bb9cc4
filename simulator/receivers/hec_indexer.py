"""One indexer behind a collector: a queue of what was taken in, what is indexed, and the channels with their acks.

Invariants, as at the real one: an ack is a number within a channel, counted from 0; `true` is told once and forgotten;
what is unknown is told as `false`; all of it is lost with a restart, and so is what was still in the queue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from simulator.receivers.hec_envelope import Event


@dataclass(slots=True)
class Channel:
    """The acks of one channel: how many were given, which wait to be indexed, which wait to be asked for."""

    used: float = 0.0
    given: int = 0
    waiting: set[int] = field(default_factory=set)
    ready: set[int] = field(default_factory=set)

    def tell(self, numbers: Iterable[int]) -> dict[str, bool]:
        """Answer for each number, and forget what was told as true."""
        answers = {str(number): number in self.ready for number in numbers}
        self.ready -= {int(number) for number in answers}
        return answers

    @property
    def pending(self) -> int:
        """How many acks take room here."""
        return len(self.waiting) + len(self.ready)


@dataclass(slots=True)
class _Request:
    events: Sequence[Event]
    size: int
    channel: Channel | None
    number: int | None


class Indexer:
    """Takes events in, indexes them later or at once, and knows its channels.

    Args:
        index: Gets what is indexed.
        at_once: Index while the request is answered; else `index_queued` must be called.
        max_idle: Seconds after which an unused channel is cleaned up.
        now: Monotonic seconds.
    """

    def __init__(
        self, index: Callable[[Sequence[Event]], None], *, at_once: bool, max_idle: float, now: Callable[[], float]
    ) -> None:
        self.at_once = at_once
        self.channels: dict[str, Channel] = {}
        self.queued_bytes = 0
        self._index = index
        self._max_idle = max_idle
        self._now = now
        self._queue: deque[_Request] = deque()

    def channel(self, name: str) -> Channel:
        """Return a channel, a new one when the name is new or was cleaned up."""
        now = self._now()
        for other in [key for key, known in self.channels.items() if now - known.used > self._max_idle]:
            del self.channels[other]
        found = self.channels.setdefault(name, Channel())
        found.used = now
        return found

    def take_in(self, events: Sequence[Event], channel: Channel | None, *, lose: bool = False) -> int | None:
        """Queue events; return the number of their ack. What is to be lost is never indexed and never acked."""
        number = None
        if channel is not None:
            number = channel.given
            channel.given += 1
            channel.waiting.add(number)
        if not lose:
            size = sum(len(event.event) for event in events)
            self._queue.append(_Request(events, size, channel, number))
            self.queued_bytes += size
            if self.at_once:
                self.index_queued()
        return number

    def index_queued(self, requests: int | None = None) -> None:
        """Index the oldest requests of the queue; all of them when no number is given."""
        while self._queue and requests != 0:
            requests = None if requests is None else requests - 1
            done = self._queue.popleft()
            self.queued_bytes -= done.size
            self._index(done.events)
            if done.channel is not None and done.number is not None:
                done.channel.waiting.discard(done.number)
                done.channel.ready.add(done.number)

    def forget_channels(self) -> None:
        """Lose the state of every channel, as a clean-up does; what is queued is indexed all the same."""
        self.channels.clear()

    def restart(self) -> None:
        """Lose the channels, and what was taken in and not indexed."""
        self.channels.clear()
        self._queue.clear()
        self.queued_bytes = 0
