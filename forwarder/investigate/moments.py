"""Moments of a question: as people write them, in which zone, and as faces write them.

A date or a time without an offset is of the zone of the question; what is printed always says its offset.
"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from forwarder.contracts import ConfigError

SHAPES = "write 2026-01-31, 2026-01-31T12:00, 2026-01-31T12:00+01:00, or 7d for so long ago"


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIRST, _LAST = dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)


def zone_of(name: str | None) -> ZoneInfo:
    """Return a zone by its name; without one, that of this machine, else UTC. Raises ConfigError."""
    for each in (name,) if name else (os.environ.get("TZ"), _linked(), "UTC"):
        if not each:
            continue
        try:
            return ZoneInfo(each.removeprefix(":"))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            if name:
                raise ConfigError(f"--tz {name}: no such time zone; write one such as Europe/Berlin or UTC") from None
    return ZoneInfo("UTC")


def _linked() -> str | None:
    try:
        _, there, name = str(Path("/etc/localtime").readlink()).partition("zoneinfo/")
    except OSError:
        return None
    return name if there else None


def moment_ms(text: str, zone: ZoneInfo, now: float) -> int:
    """Return epoch milliseconds of a date, a time, or of so long ago. Raises ConfigError."""
    ago = text.removeprefix("-")
    if ago[:1].isdigit() and "-" not in ago and ":" not in ago:
        from forwarder.contracts.units import parse_duration  # noqa: PLC0415 -- with it come the models of settings

        try:
            return int((now - parse_duration(ago)) * 1000)
        except ValueError:
            raise ConfigError(f"{text!r} is not a time; {SHAPES}") from None
    try:
        moment = dt.datetime.fromisoformat(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        return (aware - _EPOCH) // dt.timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        raise ConfigError(f"{text!r} is not a time; {SHAPES}") from None


def utc(ms: int) -> dt.datetime:
    """Return a moment as a value for a query; what no calendar holds is the nearest that one does."""
    try:
        return _EPOCH + dt.timedelta(milliseconds=ms)
    except OverflowError:
        return _LAST if ms > 0 else _FIRST


def iso(ms: int) -> str:
    """Return a moment for programs: ISO 8601 in UTC, with milliseconds."""
    return utc(ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


DASH = "\u2013"
"""Between two moments, and for what is not there."""


class Clock:
    """Writes moments in one zone, for people.

    Args:
        zone: Name of the zone.
    """

    def __init__(self, zone: str) -> None:
        self._zone = ZoneInfo(zone)
        self.name = zone

    def _at(self, ms: int) -> dt.datetime:
        """Return a moment in the zone; in UTC where that is beyond the calendar, of years 1 and 9999."""
        moment = utc(ms)
        try:
            return moment.astimezone(self._zone)
        except OverflowError:
            return moment

    def offset(self, ms: int) -> str:
        """Return the offset from UTC at a moment, such as `+02:00`."""
        text = f"{self._at(ms):%z}"
        return f"{text[:3]}:{text[3:5]}"

    def day(self, ms: int) -> str:
        """Return `Sat 4 Oct 2025`."""
        when = self._at(ms)
        return f"{when:%a} {when.day} {when:%b %Y}"

    def time(self, ms: int) -> str:
        """Return `04:00:12`."""
        return f"{self._at(ms):%H:%M:%S}"

    def full(self, ms: int) -> str:
        """Return `Sat 4 Oct 2025 04:00:12 +02:00`."""
        return f"{self.day(ms)} {self.time(ms)} {self.offset(ms)}"

    def span(self, start_ms: int, end_ms: int) -> str:
        """Return two moments, the second without what it shares with the first."""
        if end_ms == start_ms:
            return self.full(start_ms)
        if self.day(start_ms) == self.day(end_ms) and self.offset(start_ms) == self.offset(end_ms):
            return f"{self.day(start_ms)} {self.time(start_ms)} {DASH} {self.time(end_ms)} {self.offset(start_ms)}"
        return f"{self.full(start_ms)} {DASH} {self.full(end_ms)}"


def pause(ms: int) -> str:
    """Return a length of time in its two largest units: `2 days 7 h`, `18 min`."""
    minutes, seconds = divmod(ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [
        f"{days} day{'s' * (days != 1)}" * bool(days),
        f"{hours} h" * bool(hours),
        f"{minutes} min" * bool(minutes),
    ]
    shown = [part for part in parts if part][:2]
    return " ".join(shown) if shown else f"{seconds} s"
