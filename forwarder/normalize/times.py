"""ISO 8601 text to epoch milliseconds and back, exactly, at a fraction of a microsecond.

Whole days are remembered, since a page of events falls into few of them; hours with minutes, seconds and milliseconds
are looked up, which also refuses whatever is not so many ASCII digits. Everything but `YYYY-MM-DDTHH:MM:SS[.mmm]` with
`Z`, `+0000` or `+00:00` takes the slow path.
The memory is bounded: it is emptied when full, so that hostile times cost time but no memory.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
MEMORY = 4096

_CLOCK = {f"T{at // 60:02}:{at % 60:02}": at * MINUTE_MS for at in range(24 * 60)}
_SECONDS = {f":{second:02}": second * 1000 for second in range(60)}
_UTC = ("Z", "+0000", "+00:00")
_MILLIS = {f".{milli:03}{zone}": milli for zone in _UTC for milli in range(1000)} | dict.fromkeys(_UTC, 0)
_CLOCK_TEXT = [clock[1:] for clock in _CLOCK]
_SECOND_TEXT = [f":{second:02}" for second in range(60)]
_MILLI_TEXT = [f".{milli:03}Z" for milli in range(1000)]

_ANY = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,30}))?)?"
    r"(?P<zone>[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?",
    re.ASCII,
)


def names_zone(text: str) -> bool:
    """Say whether a readable time names its zone; one that does not is read as UTC."""
    found = _ANY.fullmatch(text)
    return found is not None and found["zone"] is not None


class TimeReader:
    """Reads times; one for each normaliser."""

    def __init__(self) -> None:
        self._days: dict[str, int] = {}

    def read(self, text: str) -> int | None:
        """Return epoch milliseconds, finer fractions cut off, or None when `text` is no time.

        Reads any number of decimals, `Z`, `+00:00`, `+0000`, `+00` or no zone, which is taken as UTC.
        """
        try:
            return self._days[text[:10]] + _CLOCK[text[10:16]] + _SECONDS[text[16:19]] + _MILLIS[text[19:]]
        except KeyError:
            return self._read_slowly(text)

    def _read_slowly(self, text: str) -> int | None:
        found = _ANY.fullmatch(text)
        if found is None:
            return None
        try:
            minute = datetime.fromisoformat(f"{found['date']}T{found['hour']}:{found['minute']}:00+00:00")
        except ValueError:
            return None
        base = (minute - EPOCH) // timedelta(milliseconds=1)
        second = int(found["second"] or 0)
        if second >= 60:
            return None
        milli = int((found["fraction"] or "0").ljust(3, "0")[:3])
        offset = _offset_ms(found["zone"])
        if offset is None:
            return None
        if len(self._days) >= MEMORY:
            self._days.clear()
        self._days[found["date"]] = base // DAY_MS * DAY_MS
        return _within_years(base + second * 1000 + milli - offset)


def _offset_ms(zone: str | None) -> int | None:
    if zone is None or zone in "Zz":
        return 0
    digits = zone[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:] or 0)
    if hours > 23 or minutes > 59:
        return None
    size = (hours * 60 + minutes) * MINUTE_MS
    return -size if zone[0] == "-" else size


LAST_MS = 253_402_300_799_999
"""The end of the year 9999, epoch milliseconds."""

_FIRST = (datetime(1, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)


def _within_years(ms: int) -> int | None:
    return ms if _FIRST <= ms <= LAST_MS else None


class TimeWriter:
    """Writes times; one for each format."""

    def __init__(self) -> None:
        self._days: dict[int, str] = {}

    def write(self, ms: int) -> str:
        """Return `YYYY-MM-DDTHH:MM:SS.mmmZ` for epoch milliseconds within the years 1 to 9999."""
        day = ms // DAY_MS
        rest = ms - day * DAY_MS
        minute = rest // MINUTE_MS
        rest -= minute * MINUTE_MS
        second = rest // 1000
        try:
            prefix = self._days[day]
        except KeyError:
            if len(self._days) >= MEMORY:
                self._days.clear()
            prefix = (EPOCH + timedelta(days=day)).isoformat()[:11]
            self._days[day] = prefix
        return f"{prefix}{_CLOCK_TEXT[minute]}{_SECOND_TEXT[second]}{_MILLI_TEXT[rest - second * 1000]}"
