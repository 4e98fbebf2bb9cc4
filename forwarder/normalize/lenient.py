"""The slow path: one event that the strict typed decode refuses, read so that as much meaning as possible survives.

What cannot travel as JSON is repaired and the event marked `repaired`: bytes that are not UTF-8 and half surrogates
become U+FFFD, numbers that no double holds become text. What has a type that the API does not document is dropped and
the event marked `odd_shape`; it stays readable in the raw event.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

import msgspec

ABSENT = msgspec.Raw()
"""Stands for a part of an event that is not there."""

_SURROGATE = re.compile("[\ud800-\udfff]")

Tree = dict[str, Any]


class Unreadable(ValueError):
    """The bytes are not a JSON object; the message says why."""


def sound(value: Any) -> Any:
    """Return `value` with every text writable as UTF-8 and every number within a double."""
    if type(value) is str:
        return _SURROGATE.sub("\ufffd", value)
    if type(value) is dict:
        return {sound(key): sound(item) for key, item in value.items()}
    if type(value) is list:
        return [sound(item) for item in value]
    return value


def _constant(name: str) -> NoReturn:
    msg = f"{name} is not a JSON value"
    raise Unreadable(msg)


def _number(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def read_tree(body: bytes) -> tuple[Tree, bool]:
    """Return the event as plain values, and whether it had to be repaired. Raises Unreadable."""
    repaired = False
    try:
        tree: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        repaired = True
        try:
            text = body.decode("utf-8", "replace")
            tree = sound(json.loads(text, parse_constant=_constant, parse_float=_number))
        except RecursionError:
            raise Unreadable("the event is nested too deeply") from None
        except ValueError as error:
            raise Unreadable(f"the event is not JSON: {str(error)[:120]}") from None
    if type(tree) is not dict:
        raise Unreadable("the event is not a JSON object")
    return tree, repaired


class Shaper:
    """Turns plain values into what the strict decode would have given, and remembers whether anything was odd."""

    def __init__(self) -> None:
        self.odd = False

    def mapping(self, tree: Tree, key: str) -> Tree | None:
        """Return an object, or None when it is absent or something else."""
        value = tree.get(key)
        if type(value) is dict:
            return value
        self.odd |= value is not None
        return None

    def text(self, tree: Tree, key: str) -> str | None:
        """Return a text; a whole number counts as one."""
        value = tree.get(key)
        if value is None or type(value) is str:
            return value
        self.odd = True
        return str(value) if type(value) is int else None

    def raw(self, tree: Tree, key: str) -> msgspec.Raw:
        """Return any value as JSON of its own."""
        return msgspec.Raw(msgspec.json.encode(tree[key])) if tree.get(key) is not None else ABSENT
