"""The short way for an ordinary event, where everything unknown is left out.

A typed decode takes only the members that stay, so that what is left out is never looked at; what comes of it is
written and must match, as a whole, one pattern made of the same table. An event that does not, or has another shape,
goes the long way (`policy`), which decides text by text. What gets a pseudonym is changed while it is decoded, by what
the long way changes it with.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.records.privacy.kinds import LOWER_HOST, LOWER_ID, ROLES, SITE, TIME
from forwarder.records.privacy.rules import ANY, BY_RULE
from forwarder.records.privacy.tables import RARE_PEOPLE, THINGS, ByType, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from forwarder.contracts.privacy import Treatment
    from forwarder.records.privacy.kinds import Change

QUICK_FEEDS = frozenset({"organization"})
"""Feeds with so many events that it matters."""

_SYSTEM_ADDRESS = b"Atlassian app"
"""What stands where the address of a person would; it stays, and the long way sees to it."""

_OTHER_SIGN = b"%40"
"""What an address of mail may have in place of its sign, or U+FF20, which is not ASCII; the long way looks for them."""

_WIDE_SIGN = "\uff20".encode()

_NUMBER = r"-?[0-9]{1,17}"
_OWN: dict[str, tuple[Any, str]] = {
    "word": (str, r'"[A-Za-z0-9_-]{0,100}"'),
    "phrase": (str, r'"[A-Za-z0-9 _-]{0,200}"'),
    "time": (str, rf'"{TIME}"'),
    "number": (bool | int, rf"true|false|{_NUMBER}"),
    "site": (str, rf'"{SITE}"'),
    "role": (str, rf'"(?:{"|".join(sorted(ROLES))})(?:/(?:{"|".join(sorted(ROLES))}))?"'),
    "id": (str | int, rf'"(?:{LOWER_ID}|[0-9]{{1,20}})"|{_NUMBER}'),
    "account": (str, rf'"{LOWER_ID}"'),
    "host": (str, rf'"(?:https://)?{LOWER_HOST}"'),
}
"""Type and pattern of a value of the API's own kinds: what is met every day of what `kinds` lets stay."""


_TEXT = r'"[^"\\]*"'
_WHERE_FROM = {"ip": r'"(?:[0-9]{1,3}\.){3}[0-9]{1,3}"', "place": r'"[A-Za-z0-9 .,_-]{0,200}"'}


class _NoShortWay(Exception):
    """Something in a table or in the settings needs the long way."""


class _AnyText(type):
    """Makes types that stand for a text: msgspec asks what to make of one, and takes a plain str for it."""

    __instancecheck__ = str.__instancecheck__


_CHANGED = {
    kind: _AnyText(kind, (), {})
    for kind in ("name", "address", "titles", "keys", "spaces", "groups", "changes", "messages", "links", "ip")
}
"""Types of texts that are changed, by their kind."""


class _Anything(type):
    __instancecheck__ = object.__instancecheck__


class _Dropped(metaclass=_Anything):
    """The type of a member that is known and left out."""


class Quick:
    """Makes ordinary events of one feed private.

    Args:
        shape: The structure of what stays.
        pattern: What it must look like when it is written.
        change: Gives what becomes of a value of a kind.
    """

    def __init__(self, shape: Any, pattern: str, change: Callable[[str], Change]) -> None:
        changes: dict[type, Change] = {stands_for: change(kind) for kind, stands_for in _CHANGED.items()}
        changes[_Dropped] = lambda _: msgspec.UNSET
        self._decode = msgspec.json.Decoder(shape, dec_hook=lambda wanted, value: changes[wanted](value)).decode
        self._encode = msgspec.json.Encoder().encode
        self._fits = re.compile(pattern.encode(), re.ASCII).fullmatch

    def apply(self, raw: bytes) -> bytes | None:
        """Return the event as the sink may see it, or None when it must go the long way.

        Raises OSError when the key of the pseudonyms cannot be read.
        """
        if raw.rfind(_SYSTEM_ADDRESS) >= 0:  # from behind, as that is quicker
            return None
        try:
            made = self._encode(self._decode(raw))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        if (b"%" in made and _OTHER_SIGN in made) or not (made.isascii() or _WIDE_SIGN not in made):
            return None
        return made if self._fits(made) else None


def quick_shape(table: Table, treatments: Mapping[str, Treatment], ip: str) -> tuple[Any, str] | None:
    """Return structure and pattern for a feed and the settings of a sink, or None where only the long way is right."""
    if treatments["unknown"] == "store":
        return None
    try:
        made = _Maker(treatments, ip).object(table)
    except _NoShortWay:
        return None
    return made and (made[0], _AFTER_CLASS.sub(r"\1+", made[1]))


_AFTER_CLASS = re.compile(r"(?<=\])(\*|\{[0-9,]+\})")
"""A quantifier of one class of characters: as no class holds what follows it, nothing is won by going back."""


class _Maker:
    """Makes types and patterns of tables; what is left out has no pattern."""

    def __init__(self, treatments: Mapping[str, Treatment], ip: str) -> None:
        self._treatments, self._ip = treatments, ip
        self._all_known = treatments["unknown"] != "drop"
        masked = "@" if treatments["address"] != "store" else ""
        masked += ".:" if ip != "whole" else ""
        self._stored = rf'"[^"\\{masked}]*"'  # what has nothing in it that may have to be taken out

    def value(self, table: Table) -> tuple[Any, str] | None:
        if type(table) is list:
            if (inner := self.value(table[0])) is None:
                return None
            kind: Any = inner[0]
            return list[kind], rf"\[(?:(?:{inner[1]}),?)*+\]"
        if type(table) is ByType:
            return self._by_type(table)
        return self.object(table) if type(table) is dict else self._text(table)

    def _text(self, kind: str) -> tuple[Any, str] | None:
        if kind.startswith(BY_RULE):
            if not kind.startswith(f"{BY_RULE}drop"):
                raise _NoShortWay
            return None
        if kind in _OWN:
            return _OWN[kind]
        if kind in _WHERE_FROM:
            if self._ip == "whole":
                return str, _WHERE_FROM[kind]
            return (_CHANGED[kind], _TEXT) if kind == "ip" and self._ip == "network" else None
        treatment = self._treatments["links" if kind == "api" else kind]
        if kind in _CHANGED and (treatment == "pseudonymise" or (treatment == "drop" and kind == "links")):
            return _CHANGED[kind], _TEXT
        return (str, self._stored) if treatment == "store" else None

    def object(self, table: dict[str, Table], word: str | None = None) -> tuple[Any, str] | None:
        if ANY in table:
            raise _NoShortWay
        made = {name: self.value(inner) for name, inner in table.items() if word is None or name != "type"}
        stays = {name: found for name, found in made.items() if found is not None}
        needs_id = table.get("id") == "account"  # who has none may be one of those who are no person, whose name stays
        fields: list[Any] = [
            (name, kind) if needs_id and name == "id" else (name, kind | None, None)
            for name, (kind, _) in stays.items()
        ]
        if self._all_known:
            fields += [(name, _Dropped | None, None) for name in made if name not in stays]
        shape = msgspec.defstruct(
            "Kept",
            fields,
            omit_defaults=True,
            gc=False,
            kw_only=True,
            tag=word,
            tag_field=word and "type",
            forbid_unknown_fields=self._all_known,
        )
        members = "|".join(rf'{name}":(?:{pattern})' for name, (_, pattern) in stays.items())
        return shape, rf'{"" if word else chr(92) + "{"}(?:"(?:{members}),?)*+\}}'

    def _by_type(self, table: ByType) -> tuple[Any, str]:
        words: dict[int, list[str]] = {}
        often = {word: inner for word, inner in table.tables.items() if word not in RARE_PEOPLE}
        tables = {**dict.fromkeys(THINGS, table.other), **often}
        for word, inner in tables.items():
            words.setdefault(id(inner), []).append(word)
        shapes: list[Any] = []
        patterns: list[str] = []
        for alike in words.values():
            made = [self.object(tables[alike[0]], word) for word in alike]
            shapes += [shape for shape, _ in filter(None, made)]
            patterns.append(rf'(?:{"|".join(alike)})",?{made[0][1]}')  # type: ignore[index]
        union = shapes[0]
        for shape in shapes[1:]:
            union |= shape
        return union, rf'\{{"type":"(?:{"|".join(patterns)})'
