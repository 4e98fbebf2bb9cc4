"""How a part of the forwarder was in an hour: the worst of it, kept for two days. Plain data, and who keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

KEPT = 48
"""Hours that are kept of a part, the present one included."""


class PartHour(msgspec.Struct, frozen=True):
    """The worst of one part in one hour.

    Attributes:
        kind: What the part is.
        name: As it is configured.
        hour: Since the epoch.
        state: Its worst state, a word of the status.
        lag_seconds: How late it was at most: of a source, since its last good poll; of a sink, its oldest event.
    """

    kind: Literal["source", "sink"]
    name: str
    hour: int
    state: str
    lag_seconds: float


class Hours(Protocol):
    """Keeps the hours, over restarts."""

    async def keep(self, rows: Sequence[PartHour]) -> None:
        """Keep rows, each in place of the one before of its part and hour; what is older than two days goes."""
        ...

    async def all(self) -> list[PartHour]:
        """Return every row, oldest first."""
        ...
