"""Channels of indexer acknowledgement: which numbers were given in them, and which of those can be believed.

An acknowledgement is a number within a channel, kept by one indexer. A restart, a clean-up or another indexer behind
the same address begins to count from 0 again, and then an old number names new events. Invariant: a number is believed
only while its channel has counted upwards without a break, so that no events are confirmed by others' acknowledgement.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Iterable, Mapping

from forwarder.contracts import Clock, Receipt

IDLE = 60.0
"""Seconds after which a channel is not used again: Splunk forgets an idle one after `maxIdleTime`, 600 by default."""

STEADY = 5
"""Numbers a channel has to count for its slot to be trusted again after breaks."""

_COOKIE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,200})=([!#-+\--:<-\[\]-~]{0,4000})", re.ASCII)
_MOST_COOKIES = 20
_HIGHEST = 2**63 - 1
"""Highest number that a question can name."""


class Channel:
    """One channel, and the cookies that lead to its indexer."""

    def __init__(self, cookies: Mapping[str, str], now: float) -> None:
        self.name = str(uuid.uuid4())
        self.used = now
        self.confirmed: set[int] = set()  # told as true, and not yet told on
        self.void: set[int] = set()  # numbers that may have been given twice
        self.cookies = dict(cookies)
        self.given = 0
        self._first: int | None = None
        self._last: int | None = None

    def headers(self) -> dict[str, str]:
        """Return what a request in this channel carries."""
        headers = {"x-splunk-request-channel": self.name}
        if self.cookies:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return headers

    def keep(self, cookies: Iterable[str]) -> None:
        """Take over the Set-Cookie values of an answer (RFC 6265); there is one host, so paths do not matter."""
        for cookie in cookies:
            pair, *attributes = (part.strip() for part in cookie.split(";"))
            found = _COOKIE.fullmatch(pair)
            if found is None:
                continue
            over = not found[2] or any(
                text.lower().replace(" ", "") in {"max-age=0", "max-age=-1"} for text in attributes
            )
            if over:
                self.cookies.pop(found[1], None)
            elif found[1] in self.cookies or len(self.cookies) < _MOST_COOKIES:
                self.cookies[found[1]] = found[2]

    def counts(self, number: int) -> bool:
        """Note a number that was given; False when it does not follow the last one, and nothing can be believed."""
        if not 0 <= number <= _HIGHEST or (self._last is not None and number <= self._last):
            return False
        if self._first is None:
            self._first = number
        self._last = number
        self.given += 1
        return True

    def doubt_first(self) -> None:
        """Believe the first number no longer: a request without an answer may have got it anew, after a restart."""
        if self._first is not None and self._first not in self.confirmed:
            self.void.add(self._first)


class Channels:
    """The channels of one client slot: the one that is sent in, and older ones that are still asked about."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, Channel] = {}
        self._current: Channel | None = None
        self.broken_in_a_row = 0

    def current(self) -> Channel:
        """Return the channel to send in."""
        now, channel = self._clock.monotonic(), self._current
        if channel is None or now - channel.used > IDLE:
            channel = Channel(channel.cookies if channel is not None else {}, now)
            self._known[channel.name] = self._current = channel
        channel.used = now
        return channel

    def aside(self) -> Channel:
        """Return a channel for a question that concerns no events; it shares the cookies of the current one."""
        current = self.current()
        made = Channel({}, current.used)
        made.cookies = current.cookies
        return made

    def cut(self, channel: Channel) -> None:
        """Send no more in a channel in which a request stayed without an answer."""
        channel.doubt_first()
        self._replace(channel)

    def give_up(self, channel: Channel) -> None:
        """Believe nothing of a channel any more."""
        self._known.pop(channel.name, None)
        self._replace(channel)
        self.broken_in_a_row += 1

    def find(self, name: str) -> Channel | None:
        """Return a channel, or None when it was given up."""
        return self._known.get(name)

    def forget_but(self, names: Collection[str]) -> None:
        """Forget channels that no one waits for."""
        current = self._current.name if self._current is not None else None
        self._known = {name: known for name, known in self._known.items() if name in names or name == current}

    def _replace(self, channel: Channel) -> None:
        if self._current is channel:
            fresh = Channel(channel.cookies, self._clock.monotonic())
            self._known[fresh.name] = self._current = fresh


def receipt(slot: int, channel: Channel, number: int) -> Receipt:
    """Return the receipt for the events that an acknowledgement stands for."""
    return Receipt(slot, f"{channel.name}:{number}")


def read_receipt(given: Receipt) -> tuple[str, int]:
    """Return the name of the channel and the number of the acknowledgement."""
    name, _, number = given.token.rpartition(":")
    return name, int(number)
