"""Who may ask how often: bearer keys with expiry and scope, and rate limits with Atlassian's headers.

A limit counts requests per key and path in windows that begin at multiples of their length, and is free again when the
next window begins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from simulator.config import EVENTS_SCOPE, RateLimits

Shape = Literal["minute", "seconds", "retry_after", "none"]


@dataclass(slots=True)
class Key:
    """One bearer key. `expires` is epoch seconds, or None; no scopes means every scope."""

    value: str
    organization: str
    expires: float | None = None
    scopes: frozenset[str] = frozenset({EVENTS_SCOPE})
    revoked: bool = False

    def valid(self, now: float) -> bool:
        """Say whether it is neither expired nor revoked."""
        return not self.revoked and (self.expires is None or now < self.expires)

    @property
    def may_read_events(self) -> bool:
        """Say whether its scopes allow reading events."""
        return not self.scopes or EVENTS_SCOPE in self.scopes


def reset_text(moment: float, shape: Shape) -> str:
    """Return a time for `X-RateLimit-Reset`, to the minute (rounded up) or to the second."""
    if shape == "minute":
        return f"{datetime.fromtimestamp(math.ceil(moment / 60) * 60, UTC):%Y-%m-%dT%H:%MZ}"
    return f"{datetime.fromtimestamp(math.ceil(moment), UTC):%Y-%m-%dT%H:%M:%SZ}"


def headers(limit: int, remaining: int, reset: float, now: float, shape: Shape, *, refused: bool) -> dict[str, str]:
    """Return the rate-limit headers of one answer in the given shape."""
    if shape == "none":
        return {}
    if shape == "retry_after":
        return {"Retry-After": str(max(1, math.ceil(reset - now)))} if refused else {}
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": reset_text(reset, shape),
    }


class RateLimiter:
    """Counts requests and says when there were too many."""

    def __init__(self, config: RateLimits) -> None:
        self._config = config
        self._used: dict[tuple[str, str], tuple[float, int]] = {}
        self.refused = 0

    def take(self, key: str, path: str, now: float) -> tuple[bool, dict[str, str]]:
        """Count one request to a path (`stream` or another); return whether it may pass, and the headers to send."""
        config = self._config
        limit = config.stream if path == "stream" else config.events
        if not limit:
            return True, {}
        began = now // config.window * config.window
        window, used = self._used.get((key, path), (began, 0))
        used = used + 1 if window == began else 1
        self._used[key, path] = (began, used)
        others = math.floor(config.others * (now - began) / config.window)
        allowed = used + others <= limit
        self.refused += not allowed
        if allowed and not config.on_success:
            return True, {}
        remaining = max(0, limit - used - others)
        return allowed, headers(limit, remaining, began + config.window, now, config.shape, refused=not allowed)
