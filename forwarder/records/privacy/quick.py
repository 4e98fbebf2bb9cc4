"""The short way for an ordinary event, where everything unknown is left out.

A typed decode takes only the members that stay, so that what is left out is never looked at; what comes of it is
written and must match, as a whole, one pattern made of the same table. An event that does not, or has another shape,
goes the long way (`policy`), which decides text by text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.records.privacy.kinds import LOWER_HOST, LOWER_ID, ROLES, SITE, TIME, kept_of
from forwarder.records.privacy.rules import ANY, BY_RULE
from forwarder.records.privacy.tables import LINKS, RARE_PEOPLE, THINGS, ByType, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forwarder.contracts.privacy import Treatment

QUICK_FEEDS = frozenset({"organization"})
"""Feeds with so many events that it matters."""

_SYSTEM_ADDRESS = b"Atlassian app"
"""What stands where the address of a person would; it stays, and the long way sees to it."""

_OTHER_SIGNS = b"%40", "\uff20".encode()
"""What an address of mail may have in place of its sign; the long way looks for it."""

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


_WHERE_FROM = {"ip": r'"(?:[0-9]{1,3}\.){3}[0-9]{1,3}"', "place": r'"[A-Za-z0-9 .,_-]{0,200}"'}


class _NoShortWay(Exception):
    """Something in a table or in the settings needs the long way."""


class Quick:
    """Makes ordinary events of one feed private.

    Args:
        shape: The structure of what stays.
        pattern: What it must look like when it is written.
    """

    def __init__(self, shape: Any, pattern: str) -> None:
        self._decode = msgspec.json.Decoder(shape).decode
        self._encode = msgspec.json.Encoder().encode
        self._fits = re.compile(pattern.encode(), re.ASCII).fullmatch

    @classmethod
    def of(cls, table: Table, treatments: Mapping[str, Treatment], ip: str) -> Quick | None:
        """Return it for a feed and the settings of a sink, or None where only the long way is right."""
        if treatments["unknown"] != "drop" or treatments["links"] != "drop":
            return None
        try:
            made = _Maker(treatments, ip).object(table)
        except _NoShortWay:
            return None
        return cls(*made) if made is not None else None

    def apply(self, raw: bytes) -> bytes | None:
        """Return the event as the sink may see it, or None when it must go the long way."""
        if _SYSTEM_ADDRESS in raw:
            return None
        try:
            made = self._encode(self._decode(raw))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        if _OTHER_SIGNS[0] in made or _OTHER_SIGNS[1] in made:
            return None
        return made if self._fits(made) else None


class _Maker:
    """Makes types and patterns of tables; what is left out has none."""

    def __init__(self, treatments: Mapping[str, Treatment], ip: str) -> None:
        self._treatments, self._ip = treatments, ip
        masked = "@" if treatments["address"] != "store" else ""
        masked += ".:" if ip != "whole" else ""
        self._stored = rf'"[^"\\{masked}]*"'  # what has nothing in it that may have to be taken out

    def value(self, table: Table) -> tuple[Any, str] | None:
        if type(table) is list:
            if (inner := self.value(table[0])) is None:
                return None
            kind: Any = inner[0]
            return list[kind], rf"\[(?:(?:{inner[1]}),?)*\]"
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
            if self._ip == "network":
                raise _NoShortWay
            return None if self._ip == "none" else (str, _WHERE_FROM[kind])
        treatment = self._treatments[kind]
        if treatment == "pseudonymise":
            raise _NoShortWay
        return None if treatment == "drop" else (str, self._stored)

    def object(self, table: dict[str, Table], word: str | None = None) -> tuple[Any, str] | None:
        if table == LINKS:
            return _Links, r'\{(?:"alt":"h[^"]*")?\}'
        if ANY in table:
            raise _NoShortWay
        made = {name: self.value(inner) for name, inner in table.items() if word is None or name != "type"}
        stays = {name: found for name, found in made.items() if found is not None}
        needs_id = table.get("id") == "account"  # who has none may be one of those who are no person, whose name stays
        fields: list[Any] = [
            (name, kind) if needs_id and name == "id" else (name, kind | None, None)
            for name, (kind, _) in stays.items()
        ]
        shape = msgspec.defstruct(
            "Kept", fields, omit_defaults=True, gc=False, kw_only=True, tag=word, tag_field=word and "type"
        )
        members = "|".join(rf'{name}":(?:{pattern})' for name, (_, pattern) in stays.items())
        return shape, rf'{"" if word else chr(92) + "{"}(?:"(?:{members}),?)*\}}'

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


class _Links(msgspec.Struct, omit_defaults=True, gc=False, forbid_unknown_fields=True):
    """The address for people, which ends before what users wrote. That in the API is left out."""

    self: Any = None
    alt: str | None = None

    def __post_init__(this) -> None:  # noqa: N805 - a member is called self
        this.self = None
        if this.alt:
            found = kept_of(this.alt)
            this.alt = found[0] if found is not None else "?"
