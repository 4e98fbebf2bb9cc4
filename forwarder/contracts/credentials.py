"""The credentials of a source: the one that is presented, the one that follows it, and when each ends.

No API says when a key or token ends, so a person writes it down, and it is counted down.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

from forwarder.contracts.declared import AfterValidator, PydanticCustomError
from forwarder.contracts.secret import Secret

COUNTDOWN = (30, 7, 1)
"""Days before the end of a credential at which that is pointed out anew."""

_DAY = 86_400.0


def _moment(text: str) -> str:
    try:
        end_of(text)
    except ValueError:
        raise PydanticCustomError("day", "not a day; write it as 2027-01-31, or as 2027-01-31T12:00:00Z") from None
    return text


Expiry = Annotated[str, AfterValidator(_moment)]
"""A day such as `2027-01-31`, which is the last one, or a moment such as `2027-01-31T12:00:00Z`."""


def end_of(text: str) -> float:
    """Return when a day is over in UTC, or the moment, epoch seconds. Raises ValueError."""
    try:
        return (datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)).timestamp()
    except (ValueError, OverflowError):
        pass
    if "-" not in text or ":" not in text:  # what else ISO 8601 knows, such as weeks, is rather a slip
        raise ValueError(text)
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except OverflowError as error:
        raise ValueError(text) from error


class Credential(msgspec.Struct, frozen=True):
    """A key, token or password of a source.

    Attributes:
        setting: Its name below the source, such as `api_key`.
        secret: Itself.
        ends: When it ends, epoch seconds, as configured; None when nobody wrote it down.
        ends_setting: The setting that says so, or would.
    """

    setting: str
    secret: Secret
    ends: float | None = None
    ends_setting: str = ""

    def has_ended(self, now: float) -> bool:
        """Tell whether it ended, by what is configured."""
        return self.ends is not None and self.ends <= now


def days_left(ends: float, now: float) -> int:
    """Return the whole days until the end; negative after it."""
    return int((ends - now) // _DAY)


def stage_of(ends: float, now: float) -> int | None:
    """Return the number of `COUNTDOWN` that was reached last, 0 after the end, None while the end is far."""
    if ends <= now:
        return 0
    return min((days for days in COUNTDOWN if ends - now <= days * _DAY), default=None)


def last_day(ends: float) -> str:
    """Return the last day on which a credential is good, in UTC."""
    try:
        return f"{datetime.fromtimestamp(ends - 1, UTC):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return "a day that no calendar holds"


def good_until(ends: float, now: float) -> str:
    """Say how long a credential is good whose end is far."""
    return f"good until {last_day(ends)}, {days_left(ends, now)} days"


def countdown(setting: str, ends: float, now: float) -> str:
    """Say when a credential ends, as a clause: `api_key ends on 2027-01-31, in 6 days`."""
    if ends <= now:
        return f"{setting} ended on {last_day(ends)}"
    left = days_left(ends, now)
    when = "in less than a day" if left < 1 else "in 1 day" if left == 1 else f"in {left} days"
    return f"{setting} ends on {last_day(ends)}, {when}"


def what_to_do(setting: str, follower: str = "") -> str:
    """Say what to do about a credential that ends; `follower` is the setting of one that takes over, if there is."""
    first = setting.removesuffix("_next")
    if follower:
        return f"nothing is interrupted, {follower} takes over; make it {first} when that has happened"
    if setting != first:
        return f"make it {first}, and write a new one as {setting}: it takes over without a gap"
    return (
        f"make a new one, and write it as {first}_next, where it takes over without a gap; or as {first}, with its "
        f"last day as {first}_expires_at"
    )
