"""Moments as people and programs read them: ISO 8601 in UTC, whatever a clock or a server claims."""

from __future__ import annotations

from datetime import UTC, datetime


def utc(seconds: float | None) -> datetime | None:
    """Return a moment of the epoch in UTC; None for one that never was or that no calendar holds."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def iso(seconds: float | None, timespec: str = "milliseconds") -> str | None:
    """Return ISO 8601 of epoch seconds, `timespec` as of `datetime.isoformat`; None as `utc` does."""
    moment = utc(seconds)
    return None if moment is None else moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def iso_ms(at_ms: int | None, timespec: str = "seconds") -> str | None:
    """Return the same of epoch milliseconds."""
    return iso(None if at_ms is None else at_ms / 1000, timespec)
