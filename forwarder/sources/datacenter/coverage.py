"""What a Data Center product is set to record and to keep, in words: what is not recorded, nobody can deliver.

How far each area is recorded is `off`, `base`, `advanced` or `full`; single actions may be excluded as well. The shape
of these answers differs between versions, so they are read for what they hold, and a part that cannot be read harms
nothing. (developer.atlassian.com, "Audit log REST API", configuration)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.contracts import Finding, ForwarderError, plain
from forwarder.net.http import UNREADABLE

if TYPE_CHECKING:
    from forwarder.sources.datacenter.access import ApiAccess

_LEVELS = {
    "off": "nothing is recorded",
    "base": "only the most important events are recorded",
    "advanced": "what users do every day is not recorded",
    "full": "",
}
_FIX = "Raise the coverage in the product: Administration, Audit log, Settings, Coverage."
_SHOWN = 10
_DEEPEST = 5


async def of_configuration(access: ApiAccess) -> list[Finding]:
    """Ask for coverage, excluded actions and retention, and say what that leaves out."""
    return [
        _coverage(*await _ask(access, "coverage")),
        _excluded(*await _ask(access, "denylist")),
        _retention(*await _ask(access, "retention")),
    ]


async def _ask(access: ApiAccess, what: str) -> tuple[Any, str]:
    """Return the answer, or None and why there is none."""
    try:
        response = await access.get(f"/configuration/{what}", {})
        return msgspec.json.decode(response.body), ""
    except ForwarderError as error:
        return None, str(error)
    except UNREADABLE:
        return None, "the answer is not JSON"


def _coverage(answer: Any, why: str) -> Finding:
    levels = _levels(answer)
    if not levels:
        detail = f"what is recorded cannot be told: {plain(why or 'the product names no area', 120)}"
        return Finding("coverage", ok=True, detail=detail, fix=f"See for yourself what is recorded. {_FIX}")
    missing = [
        f"{plain(area, 60).replace('_', ' ').lower()} ({level}): {_LEVELS.get(level, 'an unknown level')}"
        for area, level in sorted(levels.items())
        if level != "full"
    ]
    if not missing:
        return Finding("coverage", ok=True, detail=f"all {len(levels)} areas are recorded in full")
    is_off = [area for area, level in levels.items() if level == "off"]
    detail = f"not recorded in full, by area: {'; '.join(missing[:_SHOWN])}"
    return Finding("coverage", ok=not is_off, detail=detail, fix=_FIX)


def _levels(answer: Any) -> dict[str, str]:
    """Return the level of each area, from an object of them or a list of pairs."""
    found: dict[str, str] = {}
    waiting = [answer]
    while waiting and len(found) < 100:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value[:100]
        elif isinstance(value, dict):
            named = {name: inner for name, inner in value.items() if isinstance(inner, str)}
            if named.get("area") and named.get("level"):
                found[named["area"]] = named["level"].lower()
            else:
                found |= {name: level.lower() for name, level in named.items() if level.lower() in _LEVELS}
                waiting += [inner for inner in value.values() if isinstance(inner, dict | list)][:100]
    return found


def _excluded(answer: Any, why: str) -> Finding:
    if answer is None:
        return Finding("excluded actions", ok=True, detail=f"they cannot be told: {plain(why, 120)}")
    names = _texts(answer)
    if not names:
        return Finding("excluded actions", ok=True, detail="none")
    shown = ", ".join(plain(name, 80) for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    fix = "Take them out of the list of excluded actions of the audit log, unless that is meant."
    return Finding("excluded actions", ok=True, detail=f"never recorded: {shown}{more}", fix=fix)


def _texts(answer: Any, depth: int = 0) -> list[str]:
    """Return the texts in an answer, those of lists only when it is an object."""
    if depth > _DEEPEST:
        return []
    if isinstance(answer, str):
        return [answer]
    if isinstance(answer, list):
        return [text for inner in answer[:1000] for text in _texts(inner, depth + 1)]
    if isinstance(answer, dict):
        named = next((answer[name] for name in ("actionI18nKey", "action", "key") if name in answer), None)
        inside = (
            [named] if named is not None else [inner for inner in answer.values() if isinstance(inner, list | dict)]
        )
        return [text for inner in inside for text in _texts(inner, depth + 1)]
    return []


def _retention(answer: Any, why: str) -> Finding:
    """Say how long records are kept, in the product's own words."""
    words = _numbers(answer)
    if not words:
        reason = f": {plain(why, 120)}" if why else ""
        detail = f"the product does not say how long records are kept{reason}; three years is the default"
        return Finding("retention", ok=True, detail=detail)
    return Finding("retention", ok=True, detail=f"records are kept for {' '.join(words)}")


def _numbers(answer: Any, depth: int = 0) -> list[str]:
    if not isinstance(answer, dict) or depth > _DEEPEST:
        return []
    found = []
    for name, value in list(answer.items())[:20]:
        if type(value) is int and value:
            found.append(f"{value} {plain(name, 30)}")
        elif isinstance(value, dict):
            found += _numbers(value, depth + 1)
        elif isinstance(value, str):
            found.append(plain(value, 40))
    return found
