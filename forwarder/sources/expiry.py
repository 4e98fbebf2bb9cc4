"""The day on which a credential ends: nobody can ask for it, so a person writes it down, and it is counted down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from forwarder.contracts import Finding

SOON = 21
"""Days before the end from when on it is pointed out."""


def _day(text: str) -> str:
    try:
        datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise PydanticCustomError("day", "not a day; write it as 2027-01-31") from None
    return text


Day = Annotated[str, AfterValidator(_day)]
"""A day such as `2027-01-31`."""


def end_of(day: str) -> float:
    """Return when a day is over in UTC, epoch seconds."""
    return (datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)).timestamp()


def expiry_finding(what: str, day: str | None, now: float) -> Finding:
    """Say how long a credential is still good.

    Args:
        what: Its setting, such as `token`; the setting of the day is `<what>_expires`.
        day: The last day, None when nobody wrote it down.
        now: Epoch seconds.
    """
    subject = f"{what} expires"
    if day is None:
        detail = f"unknown: no API tells; {what}_expires is for its last day, which is counted down then"
        return Finding(subject, ok=True, detail=detail)
    left = int((end_of(day) - now) // 86_400)
    if left < 0:
        detail = f"it ended on {day}, by {what}_expires"
        return Finding(subject, ok=False, detail=detail, fix=f"Make a new one, and write its day as {what}_expires.")
    fix = f"Make a new one before {day}; from then on nothing is read." if left < SOON else ""
    return Finding(subject, ok=True, detail=f"good until {day}, {left} days", fix=fix)
