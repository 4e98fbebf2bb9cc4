"""Reads values of the JSON of `/status`, of whatever version, and writes them for people.

Invariant: text from outside cannot reach the terminal as control characters.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeGuard

from forwarder.contracts.heartbeat import HEARTBEATS
from forwarder.contracts.moments import beside
from forwarder.contracts.text import shorten, visible

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_CELL = 200
_LARGEST = 1e18


def objects(tree: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return the objects of a list; what is no object, or no list, is not there."""
    found = tree.get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def texts(tree: Mapping[str, Any], key: str) -> list[str]:
    """Return the items of a list as printable texts."""
    found = tree.get(key)
    return [cell(item) for item in found] if isinstance(found, list) else []


def audit_books(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the lines of the books that are of audit logs, and not of our own heartbeats."""
    return [line for line in objects(report, "books") if line.get("source") != HEARTBEATS.source]


def spool_of(report: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is there of the spool."""
    found = report.get("spool")
    return found if isinstance(found, dict) else {}


def count_of(tree: Mapping[str, Any], key: str) -> int | float:
    """Return a number, or 0 where there is none."""
    return found if is_number(found := tree.get(key)) else 0


def cell(value: Any) -> str:
    """Return printable text on one line; a missing value is a dash."""
    if value is None or value == "":
        return "-"
    return shorten(visible(str(value)), _LONGEST_CELL)


def sentence(value: Any) -> str:
    """Return printable text that ends as a sentence."""
    text = visible(str(value or "")).strip()
    return text if not text or text[-1] in ".!?" else f"{text}."


def is_number(value: Any) -> TypeGuard[int | float]:
    """Tell whether a value is a number that can be shown."""
    # beyond that a number is no count and no time, and some cannot even be turned into text
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


def moment_text(text: Any, zone: Any) -> str:
    """Return a moment of the JSON to the minute, as `2026-01-31 23:41 UTC`, with that of another zone behind it."""
    try:
        at = datetime.fromisoformat(text).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return cell(text)
    return f"{at:%Y-%m-%d %H:%M} UTC{beside(at, cell(zone))}"


def age(seconds: Any, never: str) -> str:
    """Return how long ago something was, or `never`."""
    return f"{duration(seconds)} ago" if is_number(seconds) else never


def duration(seconds: Any) -> str:
    """Return the two largest units, such as `3 d 4 h`."""
    if not is_number(seconds):
        return "-"
    whole = int(seconds)
    units = [("d", whole // 86400), ("h", whole // 3600 % 24), ("min", whole // 60 % 60), ("s", whole % 60)]
    while len(units) > 1 and not units[0][1]:
        units.pop(0)
    return " ".join(f"{count} {unit}" for unit, count in units[:2] if count or len(units) == 1) or "0 s"


def events_text(count: int) -> str:
    """Return a number of events."""
    return f"{count} event{'' if count == 1 else 's'}"


def size(value: Any) -> str:
    """Return bytes in the unit that fits."""
    if not is_number(value):
        return "-"
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
