"""Which column of an exported table says what, and what a row says by them.

The names of the columns of Atlassian's export are documented nowhere: those here are what they may be called. So what
was made of the first line is shown, `--columns` says otherwise, and what cannot be told apart is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from forwarder.contracts.errors import ConfigError
from forwarder.contracts.export import ExportedRow
from forwarder.normalize.addresses import valid_ip, valid_mail

NAMES: dict[str, tuple[str, ...]] = {
    "time": ("time", "date", "timestamp", "date and time", "datetime", "event time", "event date", "occurred at",
             "date utc", "time utc", "timestamp utc", "date gmt"),
    "action": ("action", "activity", "event", "event name", "action id", "event action", "action name", "event type"),
    "actor": ("actor", "user", "performed by", "author", "by"),
    "actor_id": ("actor id", "user id", "account id", "actor account id", "atlassian id"),
    "actor_name": ("actor name", "user name", "full name", "display name"),
    "actor_email": ("actor email", "user email", "email", "email address", "actor email address"),
    "ip": ("ip", "ip address", "source ip", "actor ip", "actor ip address"),
    "message": ("message", "description", "details", "summary", "event description"),
}  # fmt: skip
"""By what a column says, what it may be called, in small letters and without signs. `actor` is an id, an address or a
name, whichever it looks like."""

_ACTORS = ("actor", "actor_id", "actor_name", "actor_email")
_SPLIT = re.compile(rf",(?=\s*(?:{'|'.join(NAMES)})=)")
_ACCOUNT = re.compile(r"\d{4,8}:[0-9a-fA-F-]{36}|[0-9a-f]{24}")
_EXACT = re.compile(r"[T ]\d{2}:?\d{2}(?::?(\d{2})(?:[.,](\d+))?)?")


class Unreadable(Exception):
    """Why a row is left out."""


@dataclass(frozen=True)
class HowToRead:
    """What the options say.

    Attributes:
        columns: `time=Date,actor=Who`, each.
        zone: Of times that name none; empty: they are not taken.
        time_format: As of `strptime`; empty: ISO 8601, or seconds or milliseconds since 1970.
    """

    columns: tuple[str, ...] = ()
    zone: str = ""
    time_format: str = ""


class Columns:
    """Reads rows.

    Args:
        header: The names of the columns.
        how: What the options say. Raises ConfigError where a column is missing, or may be one of several.
    """

    def __init__(self, header: list[str], how: HowToRead) -> None:
        self.header = header
        self._how = how
        self._at = _places(header, _asked(how.columns))
        try:
            self._zone = ZoneInfo(how.zone) if how.zone else self._zone_of_header()
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ConfigError(
                f"--tz: {how.zone} is not a time zone; write UTC, or a name such as Europe/Paris"
            ) from None

    def __str__(self) -> str:
        said = [f"{fact} from {self.header[at]!r}" for fact, at in self._at.items()]
        kept = [repr(name) for at, name in enumerate(self.header) if at not in self._at.values()]
        return f"{', '.join(said)}; kept in the event as they are: {', '.join(kept) or 'none'}"

    def read(self, cells: list[str] | str, file: str, line: int, latest_ms: float) -> ExportedRow:
        """Return what a row says; of one that could not be read, `cells` is why. Raises Unreadable."""
        if isinstance(cells, str):
            raise Unreadable(cells)
        said = {fact: cells[at].strip() for fact, at in self._at.items()}
        time_ms, step_ms = self._time(said["time"])
        if time_ms > latest_ms:
            raise Unreadable("its time has not come yet")
        if not said["action"]:
            raise Unreadable("it does not say what happened")
        ip = said.get("ip", "")
        return ExportedRow(
            time_ms,
            step_ms,
            said["action"],
            _actor(said),
            ip if valid_ip(ip) else "",
            said.get("message", ""),
            tuple(zip(self.header, cells, strict=True)),
            file,
            line,
        )

    def _time(self, text: str) -> tuple[int, int]:
        """Return the moment and how exact it is, milliseconds. Raises Unreadable."""
        if not text:
            raise Unreadable("it has no time")
        try:
            if self._how.time_format:
                moment, step = datetime.strptime(text, self._how.time_format), _step_of_format(self._how.time_format)  # noqa: DTZ007
            elif re.fullmatch(r"\d{10}|\d{13}", text):
                return int(text) * (1000 if len(text) == 10 else 1), 1000 if len(text) == 10 else 1
            else:
                iso = f"{text[:-4]}Z" if text.endswith((" UTC", " GMT")) else text
                moment, step = datetime.fromisoformat(iso), _step(text)
        except ValueError:
            raise Unreadable(
                f"its time {text[:40]!r} cannot be read: say how it is written, such as --time-format "
                "'%d %b %Y %H:%M:%S'"
            ) from None
        if moment.tzinfo is None:
            moment = self._in_zone(moment)
        time_ms = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
        if time_ms < 0:
            raise Unreadable("its time lies before 1970")
        return time_ms, step

    def _in_zone(self, moment: datetime) -> datetime:
        if self._zone is None:
            raise Unreadable("its time names no zone: say which it is, such as --tz UTC; an export may be in yours")
        first, second = (moment.replace(tzinfo=self._zone, fold=fold) for fold in (0, 1))
        if first.utcoffset() != second.utcoffset():
            raise Unreadable("its time is one of the hour in which clocks are changed: it may be either of two")
        return first

    def _zone_of_header(self) -> ZoneInfo | None:
        return ZoneInfo("UTC") if re.search(r"\b(UTC|GMT)\b", self.header[self._at["time"]]) else None


def _asked(columns: tuple[str, ...]) -> dict[str, str]:
    asked: dict[str, str] = {}
    for each in (part.strip() for text in columns for part in _SPLIT.split(text)):
        fact, _, name = each.partition("=")
        if fact not in NAMES or not name:
            raise ConfigError(f"--columns: {each!r} is not one of {', '.join(NAMES)}, with = and the name of a column")
        asked[fact] = name.strip()
    return asked


def _places(header: list[str], asked: dict[str, str]) -> dict[str, int]:
    names = Counter(header)
    found: dict[str, int] = {}
    for fact, known in NAMES.items():
        if fact in asked:
            at = [place for place, name in enumerate(header) if name == asked[fact]]
        else:
            free = [(place, name) for place, name in enumerate(header) if name not in asked.values()]
            at = [place for place, name in free if _plain(name) in known]
        if len(at) > 1:
            of_them = ", ".join(repr(header[place]) for place in at)
            raise ConfigError(f"more than one column may be the {fact}: {of_them}. Say which, by --columns {fact}=NAME")
        if at:
            found[fact] = at[0]
        elif fact in asked:
            raise ConfigError(f"--columns: there is no column {asked[fact]!r}; there are: {_shown(names)}")
    lacks = [fact for fact in ("time", "action") if fact not in found]
    lacks += ["actor"] if not any(fact in found for fact in _ACTORS) else []
    if lacks:
        raise ConfigError(
            f"no column is known to be the {' and the '.join(lacks)}. How Atlassian names them is documented nowhere: "
            f"look at the file and say --columns {','.join(f'{fact}=NAME' for fact in lacks)}; there are: "
            f"{_shown(names)}"
        )
    return found


def _shown(names: Counter[str]) -> str:
    return ", ".join(repr(name[:60]) for name in list(names)[:40])


def _plain(name: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", name.lower()))


def _actor(said: dict[str, str]) -> tuple[str, str, str]:
    ident, name, email = (said.get(f"actor_{fact}", "") for fact in ("id", "name", "email"))
    if who := said.get("actor", ""):
        if valid_mail(who):
            email = email or who
        elif _ACCOUNT.fullmatch(who):
            ident = ident or who
        else:
            name = name or who
    return ident, name, email


def _step(text: str) -> int:
    found = _EXACT.search(text)
    if found is None:
        raise Unreadable("its time is a day: nothing can be told by that")
    seconds, fraction = found.groups()
    return 60_000 if seconds is None else 1000 if fraction is None else max(1, 10 ** (3 - len(fraction)))


def _step_of_format(text: str) -> int:
    for wanted, step in ((("%f",), 1), (("%S", "%T", "%c", "%X", "%s"), 1000), (("%M", "%R"), 60_000)):
        if any(each in text for each in wanted):
            return step
    raise Unreadable("its time is a day or an hour: nothing can be told by that")
