"""What a spool knows of sinks and sources, as it is read without opening it."""

from __future__ import annotations

import msgspec


class KnownLane(msgspec.Struct, frozen=True):
    """A lane: whose, where to, how many events wait (None: not known), when its sink was last there."""

    name: str
    target: str
    waiting: int | None
    seen_ms: int


class KnownSpool(msgspec.Struct, frozen=True):
    """What a spool knows of sinks and sources; `sources` are names by identity."""

    lanes: list[KnownLane]
    sources: dict[str, str]
