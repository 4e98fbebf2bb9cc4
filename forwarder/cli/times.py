"""Moments of the command line: as people write them, and as people and programs read them."""

from __future__ import annotations

import datetime as dt

SHAPES = "write 2h or 7d for so long ago, or a time such as 2026-01-31T12:00:00Z"
"""What `parse` reads, as the fix of what is not."""


def parse(value: str | None, now: float) -> int | None:
    """Return epoch milliseconds of a time, or of so long ago. Raises ValueError."""
    from pydantic_core import PydanticCustomError  # noqa: PLC0415 -- its neighbours are imported late too

    from forwarder.contracts.units import parse_duration  # noqa: PLC0415

    if value is None:
        return None
    try:
        return int((now - parse_duration(value)) * 1000)
    except PydanticCustomError:
        moment = dt.datetime.fromisoformat(value)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp() * 1000)


def iso(at_ms: int | None) -> str | None:
    """Return ISO 8601 in UTC for programs; None for a moment that never was or that no calendar holds."""
    moment = _moment(at_ms)
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def minute(at_ms: int | None) -> str:
    """Return a moment in UTC for people, or `-`."""
    moment = _moment(at_ms)
    return "-" if moment is None else f"{moment:%Y-%m-%d %H:%M}Z"


def _moment(at_ms: int | None) -> dt.datetime | None:
    if at_ms is None:
        return None
    try:
        return dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC)
    except (ValueError, OverflowError, OSError):
        return None
