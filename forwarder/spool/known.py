"""What a spool knows of sinks and sources, as it is seen by who only looks at it."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec


class KnownLane(msgspec.Struct, frozen=True):
    """A lane: whose, where to, how many events wait (None: not known), when its sink was last there."""

    name: str
    target: str
    waiting: int | None
    seen_ms: int


class KnownSpool(msgspec.Struct, frozen=True):
    """What a spool knows of sinks and sources.

    Attributes:
        lanes: Of the sinks, configured or not.
        sources: Names by identity.
        whole_since_ms: What was read before then has left the spool, epoch milliseconds; None when nothing has.
    """

    lanes: list[KnownLane]
    sources: dict[str, str]
    whole_since_ms: int | None = None


def start_ms(start: str) -> int:
    """Return the time at which a lane is to begin, epoch milliseconds; one without a zone is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(start)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
