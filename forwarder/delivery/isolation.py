"""A batch that fails again and again: the sink's fault, or that of an event in it? Pure: sends and waits are elsewhere.

A sink that fails on everything and an event that a sink fails on look alike from one batch. What tells them apart is
whether the sink takes anything *else* after the failure began. So a batch that failed `ALIKE` times is not sent whole
again: one event alone is, another one each time, from this batch or from behind it. While all of these fail too, it is
the sink's fault, and no event is blamed. Once anything is taken, by any slot, the batch is halved until each event that
fails stands alone, twice. Proof grows stale: after many failures in a row without anything taken it begins anew.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Literal, NamedTuple

from forwarder.contracts import Record

ALIKE = 3
"""Failures of a batch after which the search begins."""

BUSY = 6
"""Requests to wait in a row that a batch meets, and nothing of it is taken, after which they count as its failures."""

ALONE = 2
"""Failures of an event alone, while others are taken, after which it is at fault."""

STALE = 6
"""Failures in a row without anything taken, beyond those that the events left would make if all of them were at fault,
after which the sink is in question again."""


class Evidence:
    """What the sink took of a lane since the start, over all slots.

    Sends are numbered as they begin: only one that began after a failure and was taken says anything of that failure.

    Args:
        newest_open: Returns the number of the newest send of which it is not known yet whether it was taken, or 0.
    """

    def __init__(self, newest_open: Callable[[], int] = lambda: 0) -> None:
        self.newest_open = newest_open
        self.begun = 0
        self.newest_taken = 0
        self.believed_alone = False  # a refusal was believed although nothing else was taken after it
        self._news = asyncio.Event()
        self._hurries = 0

    def begin(self) -> int:
        """Return the number of a send that begins now."""
        self.begun += 1
        return self.begun

    def taken(self, begun: int) -> None:
        """Note that something of the send with this number was taken."""
        self.newest_taken = max(self.newest_taken, begun)
        self.believed_alone = False
        self.stir()

    def stir(self) -> None:
        """Wake who waits for a reason to try again."""
        self._news.set()
        self._news.clear()

    def hurry(self) -> None:
        """End every wait for a reason to try again: a person wants the try now."""
        self._hurries += 1
        self.stir()

    async def wait(self, holds: Callable[[], bool], seconds: float) -> None:
        """Wait until something is new and `holds`, at most so long."""
        hurries = self._hurries
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not holds() and self._hurries == hurries:
                    await self._news.wait()


class Part(NamedTuple):
    """What to send next.

    Attributes:
        records: In order.
        role: `whole`: a batch as it was cut; `part` of one that failed; `probe`: one of it alone, to see whether the
            sink takes anything; `control`: one from behind it, for the same.
    """

    records: list[Record]
    role: Literal["whole", "part", "probe", "control"]


class Case:
    """What is left of one batch, and what its failures say.

    Args:
        records: The batch.
        evidence: Of the lane.
        suspected: It failed before, so the search begins at once.
        since: The number of the send in which it did; default: that of the newest.
    """

    def __init__(
        self, records: list[Record], evidence: Evidence, *, suspected: bool = False, since: int | None = None
    ) -> None:
        self._parts: deque[list[Record]] = deque([records] if records else [])
        self._evidence = evidence
        self._mark, self._last = evidence.begun if since is None else since, evidence.newest_taken
        self._dry = 0
        self._patience = STALE + 2 * ALONE * len(records)
        self._alone: dict[int, int] = {}
        self._named: int | None = None
        self._probes = 0
        self._asking = False
        self._busy = 0
        self.searching = suspected
        self.failures = ALIKE if suspected else 0
        self.controlled = False  # something from behind the batch was tried

    def __bool__(self) -> bool:
        return bool(self._parts)

    @property
    def others_taken(self) -> bool:
        """Whether the sink took anything since the first failure."""
        return self._evidence.newest_taken > self._mark

    @property
    def blames_sink(self) -> bool:
        """Whether all fails alike, as far as can be seen."""
        return self.searching and not self.others_taken

    def rest(self) -> list[Record]:
        """Return what is left, in order."""
        return sorted((record for part in self._parts for record in part), key=lambda record: record.seq)

    def next(self, control: Callable[[], Record | None] | None = None) -> Part | None:
        """Return what to send next, or None when nothing is left.

        Args:
            control: Gives a record from behind the batch, if there is one; it must be given back when it fails.
        """
        if not self._parts:
            return None
        if not self.blames_sink:
            if self._asking and len(self._parts) == 1:  # it failed whole, and now something else was taken
                self._parts = deque(self._cut(self._parts[0]))
            self._asking = False
            return Part(self._parts.popleft(), "part" if self.searching else "whole")
        self._asking = True
        turn, self._probes = self._probes, self._probes + 1
        left = self.rest()
        if control is not None and (turn % 2 or len(left) == 1) and (found := control()) is not None:
            self.controlled = True
            return Part([found], "control")
        # The first, the last, then all over the batch: a stretch that is bad as a whole ends somewhere.
        number = turn // 2
        place = (0, len(left) - 1)[number] if number < 2 else number * 7919 % len(left)
        return Part([left[place]], "probe")

    def meets_same(self) -> bool:
        """Note that the sink asks to wait, and say whether it did so too often for a coincidence."""
        self._busy += 1
        return self._busy > BUSY

    def taken(self, part: Part) -> None:
        """Note that nothing of a part is left: it was taken, or its fate is decided otherwise."""
        self._dry = 0
        if part.role == "probe":
            self._remove({part.records[0].seq})

    def progressed(self, part: Part, left: Sequence[Record], *, odd: bool) -> None:
        """Note that a part was taken but for `left`; `odd` when others behind each of these were taken."""
        self.put_back(part, left)
        self.failures, self._dry, self._busy = 1, 0, 0
        self._last = self._evidence.newest_taken
        self._mark = self._last - 1 if odd else self._evidence.begun

    def put_back(self, part: Part, left: Sequence[Record]) -> None:
        """Keep what is left of a part for the next turn; nothing is learned from why."""
        if part.role in {"whole", "part"} and left:
            self._parts.appendleft(list(left))

    def failed(
        self, part: Part, left: Sequence[Record], *, at_once: bool = False, named: int | None = None
    ) -> Record | None:
        """Note that nothing of a part was taken, for a reason that may lie in it.

        Args:
            part: As `next` gave it.
            left: Its records.
            at_once: The sink says itself that an event is at fault, so the search begins with the first failure.
            named: The number of the event that it names, which is tried alone first; it may be wrong.

        Returns:
            The event that is at fault, which is none of this case any more.
        """
        self.failures += 1
        self._named = named
        self._dry = self._dry + 1 if self._last == self._evidence.newest_taken else 0
        self._last = self._evidence.newest_taken
        if not self._dry:
            self._patience = STALE + 2 * ALONE * (len(left) + sum(map(len, self._parts)))
        # A stream is believed after a while, and that may be longer than many failures take.
        if self.failures == 1 or (self._dry >= self._patience and self._evidence.newest_open() <= self._mark):
            self._mark, self._dry = self._evidence.begun, 0
        was = self.searching
        self.searching = self.searching or at_once or self.failures >= ALIKE
        if part.role == "control":
            return None
        if len(left) == 1:
            seq = left[0].seq
            self._alone[seq] = self._alone.get(seq, 0) + 1
            if self.others_taken and self.searching and (at_once or self._alone[seq] >= ALONE):
                self._remove({seq})
                return left[0]
        if part.role == "probe":
            return None
        if not self.searching or self.blames_sink or len(left) == 1:
            # A part of a search waits until the others had their turn: what is taken of them tells more.
            (self._parts.append if was else self._parts.appendleft)(list(left))
        else:
            self._parts.extend(self._cut(list(left)))
        return None

    def keep(self, record: Record) -> None:
        """Take back an event that is at fault and has no place elsewhere."""
        self._parts.append([record])

    def split(self, left: Sequence[Record]) -> None:
        """Halve what is too large, in order."""
        if not self.failures:
            self.failures, self._mark = 1, self._evidence.begun
        self._parts.extendleft(reversed(halves(list(left))))

    def _cut(self, records: list[Record]) -> list[list[Record]]:
        """Return smaller parts: around the event that was named, or halves."""
        place = next((place for place, record in enumerate(records) if record.seq == self._named), None)
        if place is None:
            return halves(records)
        return [part for part in (records[place : place + 1], records[:place], records[place + 1 :]) if part]

    def _remove(self, numbers: Collection[int]) -> None:
        parts = ([record for record in part if record.seq not in numbers] for part in self._parts)
        self._parts = deque(part for part in parts if part)


def halves(records: list[Record]) -> list[list[Record]]:
    """Return two halves; a single one stays whole."""
    half = len(records) // 2
    return [part for part in (records[:half], records[half:]) if part]
