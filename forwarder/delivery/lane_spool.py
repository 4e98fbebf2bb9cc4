"""What a lane needs of the spool: the spool itself, or what a replay sees of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwarder.spool.contract import Chunk, Exchange, LaneState, Range, Settlement


class LaneSpool(Protocol):
    """The side of the lanes of the spool's contract."""

    async def open_lane(self, name: str, target: str, *, start: str | None, on_full: str) -> LaneState:
        """Find or make the lane."""
        ...

    async def exchange(self, lane: int, settlement: Settlement, *, after: int, events: int) -> Exchange:
        """Settle, then take up to `events` events numbered above `after`."""
        ...

    async def take_again(self, lane: int, ranges: Sequence[Range]) -> list[Chunk]:
        """Read these numbers once more."""
        ...

    async def leave_lane(self, lane: int, settlement: Settlement) -> None:
        """Settle for the last time in order."""
        ...
