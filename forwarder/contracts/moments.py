"""Moments as people and programs read them: in UTC, whatever a clock or a server claims; for people, in a zone beside.

One rule for every exact time that is shown: it is in UTC and says so. Where a time zone is configured, its time stands
behind, with its offset, on the page, by `status` and in the text of daily reports.
"""

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


def whole_seconds(since_ms: int, until_ms: int) -> tuple[str | None, str | None]:
    """Return the beginning and the end of a stretch, ISO 8601, in whole seconds that hold all of it.

    For commands that are shown: one that fetches a stretch and ends a moment too early leaves a hole.
    """
    return iso_ms(since_ms), iso_ms(-(-until_ms // 1000) * 1000)


def beside(at: datetime, zone: str, timespec: str = "minutes") -> str:
    """Return what stands behind a moment in UTC: ` (00:41 +01:00)`, with the day where it is another; or nothing.

    Args:
        at: The moment.
        zone: Name of the time zone; of UTC, and of one that this machine does not know, nothing is said.
        timespec: As of `time.isoformat`.
    """
    if zone == "UTC":
        return ""
    from zoneinfo import ZoneInfo  # noqa: PLC0415 -- needed only where there is one

    try:
        there = at.astimezone(ZoneInfo(zone))
    except (KeyError, ValueError, OverflowError, OSError):
        return ""
    offset = f"{there:%z}"
    day = f"{there:%a} {there.day} {there:%b} " if there.date() != at.astimezone(UTC).date() else ""
    return f" ({day}{there.time().isoformat(timespec)} {offset[:3]}:{offset[3:5]})"
