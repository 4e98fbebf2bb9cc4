"""The limits that stores set to JSON of any shape, and how a part of an event is made to fit them.

Elasticsearch refuses a whole document for a name or a depth that its type `flattened` does not take (a NUL in a name, a
name so long that it and its value are more than one term, more than 64 levels), its JSON reader for a number of a
thousand digits, and both stores for a name that is blank or has an empty part between dots. Whoever can write an event
could so keep it out. Numbers become texts, what lies too deep becomes one text of JSON, names are changed as little as
they need; what is sent otherwise than it came is marked.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import msgspec

DEEPEST = 48
"""Levels of objects and arrays; below what any store takes, with what stands around a part."""

LONGEST_NAME = 1024
LONGEST_PLAIN = 200
LONGEST_PATH = 6000
"""Characters of a name, and of all names on the way to a value, each of at most four bytes."""

_PLAIN = re.compile(r"[\w @$:/()+*&#-][\w .@$:/()+*&#-]{0,254}(?<![.])")
_LONG_NUMBER = re.compile(rb"[0-9.]{300}")
_encode = msgspec.json.Encoder().encode


def is_plain(name: str) -> bool:
    """Say whether a name surely needs no change."""
    return len(name) <= LONGEST_PLAIN and _is_plain(name)


@lru_cache(4096)
def _is_plain(name: str) -> bool:
    return _PLAIN.fullmatch(name) is not None and all(map(str.strip, name.split(".")))


def fit(tree: Any, raw: bytes | msgspec.Raw) -> msgspec.Raw | None:
    """Return the JSON of `tree` within the limits, or None when `raw`, of which it was read, is that already."""
    made, changed = _fit(tree, 0, 0)
    if not changed and not _LONG_NUMBER.search(bytes(raw)):
        return None
    return msgspec.Raw(_encode(made))


def _fit(value: Any, depth: int, path: int) -> tuple[Any, bool]:
    if type(value) is dict:
        if depth >= DEEPEST:
            return as_text(value), True
        made: dict[str, Any] = {}
        changed, number = False, 0
        for name, inner in value.items():
            fitted = name if is_plain(name) else _name(name)
            if path + len(fitted) > LONGEST_PATH:
                fitted = fitted[: max(1, LONGEST_PATH - path)]
            if fitted in made:
                bare = fitted
                while fitted in made:
                    number += 1  # never starts over, so that many names that become one cost no more than as many
                    fitted = f"{bare}_{number}"
            made[fitted], other = _fit(inner, depth + 1, path + len(fitted))
            changed |= other or fitted != name
        return made, changed
    if type(value) is list:
        if depth >= DEEPEST:
            return as_text(value), True
        items = [_fit(inner, depth + 1, path) for inner in value]
        return [item for item, _ in items], any(other for _, other in items)
    if type(value) is int and value.bit_length() > 64:
        return _whole_number(value)
    return value, False


def _whole_number(value: int) -> tuple[Any, bool]:
    """Keep a number that every reader takes; a longer one is a text, if it can be written at all."""
    if value.bit_length() < 1000:
        return value, False
    return (str(value) if value.bit_length() < 13_000 else hex(value)), True


def as_text(value: Any) -> str:
    """Return any value as one text of JSON."""
    try:
        return _encode(value).decode()
    except RecursionError:
        return "(nested too deeply)"


def _name(name: str) -> str:
    bare = name.replace("\0", "\ufffd")[:LONGEST_NAME]
    parts = [part if part.strip() else "_" for part in bare.split(".")]
    return ".".join(parts)[:LONGEST_NAME]
