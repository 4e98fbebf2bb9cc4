"""What the headers of an API's answer tell `doctor`: how far our clock is off, and how often we may ask."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from forwarder.contracts import Finding, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forwarder.net.http import Response

SKEW_WARNS, SKEW_FAILS = 5.0, 60.0
"""Seconds. The header counts whole seconds, and the answer was on its way for a while."""

_CLOCK_FIX = "Let this machine set its clock by NTP (chrony or systemd-timesyncd)."


def clock_finding(headers: Mapping[str, str], now: float) -> Finding:
    """Compare our clock (`now`, epoch seconds) with the `Date` of an answer that has just come."""
    try:
        moment = parsedate_to_datetime(headers.get("date", ""))
        skew = now - (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return Finding("clock", ok=True, detail="the answer says nothing of the time")
    if abs(skew) <= SKEW_WARNS:
        return Finding("clock", ok=True, detail="ours agrees with the API's")
    detail = f"ours is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the API's"
    return Finding("clock", ok=abs(skew) <= SKEW_FAILS, detail=detail, fix=_CLOCK_FIX)


def budget_finding(response: Response) -> Finding:
    """Say how many requests are left, as far as the API tells."""
    limit, left = (plain(response.headers.get(f"x-ratelimit-{name}", ""), 20) for name in ("limit", "remaining"))
    if response.status == 429 or left.strip() in {"0", "0.0"}:
        fix = "See who else uses this key or organization; give sources of one key owner one budget in `budgets`."
        return Finding("budget", ok=False, detail="no request is left in this period", fix=fix)
    if left and limit:
        return Finding("budget", ok=True, detail=f"{left} of {limit} requests are left in this period")
    return Finding("budget", ok=True, detail="the API tells nothing of its limits; they are felt for")
