"""When to try again, and how often to ask at all.

`Backoff` is full jitter with a floor from what the other side asks for. `RequestBudget` spaces the requests of one key
owner: it follows `X-RateLimit-*` where the API sends them; where it says nothing it begins at 10 a minute and
rises until the API objects. A fixed rate in the settings switches the rising off, not the obeying.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from forwarder.contracts import Clock, RetryConfig
from forwarder.net.fair import Line

if TYPE_CHECKING:
    from forwarder.net.others import SeenLimit

LONGEST_WAIT = 300.0
"""No header makes us wait longer than this, seconds: a mistaken one must not silence a source or a sink. Who means more
says it again to the one request that comes then; limits are counted by the minute."""

_LEAST_EPOCH = 10**9
"""A reset below this many seconds is no moment since 1970 but a time from now, as some servers send it."""

_MOST_REQUESTS = 1e9
"""No limit is higher. What is counted by such headers is summed up: it must stay a number."""

START_PER_MINUTE = 10.0
"""Documented limit of `/events` since May 2025; the stream's own limit is not published."""

HIGHEST_PER_MINUTE = 600.0

FALL_EVERY = 60.0
"""Seconds between two falls: all objections within one window of the API are about the same pace."""


def _instant(text: str) -> float | None:
    """Read a point in time as epoch seconds: ISO 8601 with or without seconds, epoch seconds, or an HTTP date."""
    text = text.strip()
    number = _seconds(text)
    if number is not None:
        return number / 1000 if number > 10**11 else number
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError, IndexError):  # the others for what it did not expect
            return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _seconds(text: str) -> float | None:
    """Read plain ASCII digits with at most one point; other digits of Unicode are no number to a header."""
    return float(text) if text.isascii() and text.replace(".", "", 1).isdigit() else None


def retry_after_seconds(headers: Mapping[str, str], now: float) -> float | None:
    """Return how long the other side asks us to wait, in seconds, or None when it does not say.

    `Retry-After` (seconds or a date, RFC 9110 10.2.3) wins over `X-RateLimit-Reset`, which Atlassian sends as ISO 8601,
    often cut to the minute: a reset that lies in the past then means "any moment".

    Args:
        headers: Response headers, lower-case names.
        now: Epoch seconds.
    """
    asked = _first_wait(headers.get("retry-after", ""), now)
    if asked is None:
        asked = _first_wait(headers.get("x-ratelimit-reset", ""), now)
    return None if asked is None else min(max(asked, 0.0), LONGEST_WAIT)


def _first_wait(text: str, now: float) -> float | None:
    """Read seconds or a moment as seconds from `now`; of several values, joined by commas, the first that is one."""
    for part in (text, *text.split(",")):
        seconds = _seconds(part.strip())
        if seconds is not None and seconds < _LEAST_EPOCH:
            return seconds
        moment = _instant(part)
        if moment is not None:
            return moment - now
    return None


class Backoff:
    """Full jitter: a random wait below a ceiling that doubles with every failure."""

    def __init__(self, config: RetryConfig, rng: random.Random) -> None:
        self._config = config
        self._rng = rng
        self.failures = 0

    def next(self, floor: float | None = None) -> float:
        """Count a failure and return the seconds to wait, never below `floor`."""
        ceiling = min(self._config.max, self._config.base * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return max(self._rng.uniform(0.0, ceiling), floor or 0.0)

    def reset(self) -> None:
        """Forget the failures."""
        self.failures = 0


class RequestBudget:
    """Spaces requests; shared by the sources of one key owner.

    Args:
        clock: Monotonic time spaces requests, wall time reads reset headers.
        requests_per_minute: Fixed rate, or None to follow the API.

    Attributes:
        line: Who waits for the next place.
        seen: What each source that uses it sees of the API's limit, by its name.
        begun: Requests so far, and `under_way` those without an answer yet.
        per_minute: The pace.
        remaining: What the API said last of requests that are left; None when it says nothing.
    """

    def __init__(self, clock: Clock, requests_per_minute: float | None = None) -> None:
        self.line = Line()
        self.seen: dict[str, SeenLimit] = {}
        self.begun = self.under_way = self._began_alone = 0
        self._answers = self._failed = 0
        self._ended: dict[str, int] = {}
        self._clock = clock
        self._fixed = requests_per_minute
        self.per_minute = requests_per_minute or START_PER_MINUTE
        self.remaining: float | None = None
        self._ceiling = HIGHEST_PER_MINUTE
        self._next_free = 0.0
        self._blocked_until = 0.0
        self._waited = False
        self._fell: float | None = None

    @property
    def interval(self) -> float:
        """Seconds between two places."""
        return 60.0 / self.per_minute

    def wait(self, places: int = 1) -> float:
        """Return the seconds until so many places are free: the next one, or two, so that one is left."""
        free = self._next_free + (places - 1) * self.interval
        return max(0.0, free - self._clock.monotonic(), self.blocked())

    def _place(self) -> float:
        # A request that was not made leaves a little room: at most two in a burst.
        return max(self._next_free, self._clock.monotonic() - self.interval, self._blocked_until)

    def reserve(self, *, waited: bool = False) -> float:
        """Take the next place and return the seconds until it comes; `waited` tells that it was waited for already."""
        place, now = self._place(), self._clock.monotonic()
        self._next_free = place + self.interval
        self._waited = waited or place > now
        return max(0.0, place - now)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count a request of our own while it is under way."""
        self.begun += 1
        self.under_way += 1
        if self.under_way == 1:
            self._began_alone = self.begun
        try:
            yield
        finally:
            self.under_way -= 1

    def answered(self, reset: str) -> int:
        """Note an answer; return how many requests of ours had ended when one of its period first came.

        Without those that got no answer lately, for the server may have counted them in this period.

        Args:
            reset: When the period ends, in the words of the API.
        """
        if reset not in self._ended:
            ended = self.begun - self.under_way
            failed = max(0, ended - self._answers)
            self._ended = {**dict(list(self._ended.items())[-8:]), reset: ended - max(0, failed - self._failed)}
            self._failed = failed
        self._answers += 1
        return self._ended[reset]

    @property
    def is_alone(self) -> bool:
        """Whether the request under way is the only one, and no other one was since it began."""
        return self.under_way == 1 and self._began_alone == self.begun

    def blocked(self) -> float:
        """Return the seconds until an objection has passed."""
        return max(0.0, self._blocked_until - self._clock.monotonic())

    def observe(self, headers: Mapping[str, str]) -> None:
        """Learn from the headers of an answer that was not an objection."""
        limit, remaining = (
            header_number(headers.get("x-ratelimit-limit")),
            header_number(headers.get("x-ratelimit-remaining")),
        )
        self.remaining = remaining
        if remaining is not None and remaining < 1:
            self.block(retry_after_seconds(headers, self._clock.time()))
        if self._fixed is not None:
            return
        if limit is not None and limit >= 1:
            self.per_minute = min(limit, HIGHEST_PER_MINUTE)
        elif self._waited:  # rising is earned by requests that the budget held back
            grown = self.per_minute * (1.0 + 0.5 / self.per_minute)
            self.per_minute = max(self.per_minute, min(grown, self._ceiling))
            self._ceiling = min(self._ceiling + 0.05 / self.per_minute, HIGHEST_PER_MINUTE)

    def on_rate_limited(self, headers: Mapping[str, str]) -> float:
        """Learn from a 429 and return the seconds it makes everybody wait."""
        asked = retry_after_seconds(headers, self._clock.time())
        limit = header_number(headers.get("x-ratelimit-limit"))
        now = self._clock.monotonic()
        if self._fixed is None:
            if limit is not None and limit >= 1:
                self.per_minute = min(limit, HIGHEST_PER_MINUTE)
            elif self._fell is None or now - self._fell >= FALL_EVERY:
                self._fell = now
                self._ceiling = max(self.per_minute * 0.9, 1.0)
                self.per_minute = max(self.per_minute * 0.7, 1.0)
        self.block(asked)
        return asked or 0.0

    def block(self, seconds: float | None) -> None:
        """Let no one ask for so long; without a figure, for one place in the queue."""
        pause = self.interval if seconds is None else seconds
        self._blocked_until = max(self._blocked_until, self._clock.monotonic() + pause)


def header_number(text: str | None) -> float | None:
    """Read a header that should be a number of requests; None when it is none, or one that no limit has."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if abs(number) <= _MOST_REQUESTS else None  # that of nan is not
