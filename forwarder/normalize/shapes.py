"""What can be understood of an object whose members do not have the types that its API documents."""

from __future__ import annotations

import re
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from forwarder.normalize.lenient import ABSENT, Tree

MOST_ITEMS = 1000
"""Items of an array that are looked at: an event with more is marked, and whole in its raw form."""


LONGEST_NUMBER = 18
"""Digits of a number that is written as a text."""

_is_number = re.compile("-?[0-9]+").fullmatch


class Shapes:
    """Fits trees to one structure, whose members are texts, whole numbers, truth values, structures, or arrays of them.

    Every member of the structure has a default. What does not fit is left out, and `odd` says so.
    """

    def __init__(self, into: type[msgspec.Struct]) -> None:
        self._into = into
        self._members: dict[type, dict[str, Any]] = {}

    def fit(self, tree: Tree) -> tuple[Any, bool]:
        """Return the structure, and whether anything was left out."""
        found, odd = self._struct(self._into, tree)
        return found, odd

    def _struct(self, into: type[msgspec.Struct], tree: Tree) -> tuple[Any, bool]:
        if into not in self._members:
            hints = get_type_hints(into)
            names = {field.name: field.encode_name for field in msgspec.structs.fields(into)}
            self._members[into] = {encoded: (name, hints[name]) for name, encoded in names.items()}
        made, odd = {}, False
        for encoded, (name, wanted) in self._members[into].items():
            value = tree.get(encoded)
            if value is None:
                continue
            fitted, bad = self._value(wanted, value)
            odd |= bad
            if fitted is not None:
                made[name] = fitted
        return into(**made), odd

    def _value(self, wanted: Any, value: Any) -> tuple[Any, bool]:  # noqa: PLR0911 - one return a kind
        if isinstance(wanted, UnionType):
            tried = [self._value(kind, value) for kind in get_args(wanted) if kind is not NoneType]
            return next((found for found in tried if not found[1]), tried[0])
        if wanted is msgspec.Raw:
            return (msgspec.Raw(msgspec.json.encode(value)) if value is not None else ABSENT), False
        if get_origin(wanted) is list:
            if type(value) is not list:
                return None, True
            (inner,) = get_args(wanted)
            items = [self._value(inner, item) for item in value[:MOST_ITEMS]]
            odd = len(value) > MOST_ITEMS or any(bad or item is None for item, bad in items)
            return [item for item, _ in items if item is not None], odd
        if wanted is str:
            if type(value) is str:
                return value, False
            return (str(value) if type(value) is int else None), True
        if wanted is int and type(value) is str and len(value) <= LONGEST_NUMBER and _is_number(value):
            return int(value), True
        if wanted in {int, bool}:
            return (value, False) if type(value) is wanted else (None, True)
        return self._struct(wanted, value) if type(value) is dict else (None, True)
