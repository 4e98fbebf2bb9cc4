"""The short way for an ordinary event, where everything unknown is left out.

A typed decode takes only the members that stay, so that what is left out is never looked at; what comes of it is
written and must match, as a whole, one pattern made of the same table. An event that does not, or has another shape,
goes the long way (`policy`), which decides text by text. What gets a pseudonym is changed while it is decoded, by what
the long way changes it with.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

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

ATTRIBUTES = "attributes"
"""The member of an event that holds what may come again with others."""

MOST_KEPT = 1024
LONGEST_KEPT = 1024
"""Parts of each name that a sink keeps, and bytes of the longest."""

LOOK_AFTER = 256
MOST_NEW = 2 * LOOK_AFTER
WHOLE_FOR = 16 * LOOK_AFTER
"""Events after which is looked how many of their parts, four each, were new; where more were than these, parts do not
pay, and as many events are taken as wholes before it is tried again."""

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


class Shape(NamedTuple):
    """What stays of a value, and how that looks.

    Attributes:
        kept: Its type.
        pattern: What it must look like when it is written.
    """

    kept: Any
    pattern: str


class Shapes(NamedTuple):
    """What stays of an event.

    Attributes:
        whole: All of it.
        event: Without its parts.
        parts: Those of its attributes that many events have alike (who, what, where, from where), by name.
    """

    whole: Shape
    event: Shape
    parts: dict[str, Shape]


class Quick:
    """Makes ordinary events of one feed private.

    Args:
        shapes: The structure of what stays.
        change: Gives what becomes of a value of a kind.
        always_alike: Whether the same part always becomes the same, so that it can be kept.
    """

    def __init__(self, shapes: Shapes, change: Callable[[str], Change], *, always_alike: bool) -> None:
        self._shape_of_whole, self._change = shapes.whole, change
        self._whole: _OneShape | None = None  # takes long to make, and is seldom needed where parts are kept
        self._always_alike = always_alike
        self._until_look, self._as_whole = LOOK_AFTER, 0
        if not always_alike:
            self._whole = _OneShape(shapes.whole, change)
            return
        self._event = _OneShape(shapes.event, change)
        self._parts = [_Part(name, _OneShape(shape, change)) for name, shape in shapes.parts.items()]

    def apply(self, raw: bytes) -> bytes | None:
        """Return the event as the sink may see it, or None when it must go the long way.

        Raises OSError when the key of the pseudonyms cannot be read.
        """
        try:
            if self._always_alike and not self._as_whole:
                return self._by_parts(raw)
            self._as_whole -= self._as_whole > 0
            if self._whole is None:
                self._whole = _OneShape(self._shape_of_whole, self._change)
            return None if _SYSTEM_ADDRESS in raw else self._whole.written(self._whole.decode(raw))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None

    def _by_parts(self, raw: bytes) -> bytes | None:
        self._until_look -= 1
        if not self._until_look:
            self._look()
        event = self._event.decode(raw)
        made = self._parts_of(event.attributes)
        if made is None or (rest := self._event.written(event)) is None:
            return None
        if not made:
            return rest
        parts = b",".join(made)
        return b"%b%b}}" % (rest[:-2], parts) if rest.endswith(b"{}}") else b"%b,%b}}" % (rest[:-2], parts)

    def _look(self) -> None:
        """Look whether parts pay: who makes events could make all of them new."""
        if sum(part.new for part in self._parts) > MOST_NEW:
            self._as_whole = WHOLE_FOR
        self._until_look = LOOK_AFTER
        for part in self._parts:
            part.new = 0

    def _parts_of(self, attributes: Any) -> list[bytes] | None:
        """Take the parts out of the attributes, and return them as they may be seen."""
        if attributes is None:
            return None
        made: list[bytes] = []
        for part in self._parts:
            if (value := getattr(attributes, part.name)) is not _NO_PART:
                raw = bytes(value)
                if (private := part.known.get(raw) or part.made_private(raw)) is None:
                    return None
                made.append(private)
                setattr(attributes, part.name, _NO_PART)
        return made


class _OneShape:
    """Decodes and writes what has one shape."""

    def __init__(self, shape: Shape, change: Callable[[str], Change]) -> None:
        changes: dict[type, Change] = {stands_for: change(kind) for kind, stands_for in _CHANGED.items()}
        changes[_Dropped] = lambda _: msgspec.UNSET
        self.decode = msgspec.json.Decoder(shape.kept, dec_hook=lambda wanted, value: changes[wanted](value)).decode
        self._encode = msgspec.json.Encoder().encode
        self._fits = re.compile(_AFTER_CLASS.sub(r"\1+", shape.pattern).encode(), re.ASCII).fullmatch

    def written(self, value: Any) -> bytes | None:
        """Return what is left, written, or None when that does not look as it must."""
        made = self._encode(value)
        if (b"%" in made and _OTHER_SIGN in made) or not (made.isascii() or _WIDE_SIGN not in made):
            return None
        return made if self._fits(made) else None


class _Part:
    """Makes one part of events private, and keeps what became of it, as most come again.

    Attributes:
        name: Of the member.
        known: The part with its name before it, as it may be seen, by what the API sent.
        new: How many were not known, since this was set to 0.
    """

    def __init__(self, name: str, shape: _OneShape) -> None:
        self.name = name
        self.known: dict[bytes, bytes] = {}
        self.new = 0
        self._before = f'"{name}":'.encode()
        self._shape = shape

    def made_private(self, raw: bytes) -> bytes | None:
        """Return a part that is not known yet as it may be seen, or None when it must go the long way."""
        self.new += 1
        if _SYSTEM_ADDRESS in raw or (written := self._shape.written(self._shape.decode(raw))) is None:
            return None
        made = self._before + written
        if len(raw) <= LONGEST_KEPT:
            if len(self.known) >= MOST_KEPT:
                self.known.clear()
            self.known[raw] = made
        return made


def quick_shapes(table: Table, treatments: Mapping[str, Treatment], ip: str) -> Shapes | None:
    """Return the structure for a feed and the settings of a sink, or None where only the long way is right."""
    if treatments["unknown"] == "store":
        return None
    try:
        return _Maker(treatments, ip).event(table)
    except _NoShortWay:
        return None


_AFTER_CLASS = re.compile(r"(?<=\])(\*|\{[0-9,]+\})")
"""A quantifier of one class of characters: as no class holds what follows it, nothing is won by going back."""

_NO_PART = msgspec.Raw(b"")


class _Maker:
    """Makes types and patterns of tables; what is left out has no pattern."""

    def __init__(self, treatments: Mapping[str, Treatment], ip: str) -> None:
        self._treatments, self._ip = treatments, ip
        self._all_known = treatments["unknown"] != "drop"
        masked = "@" if treatments["address"] != "store" else ""
        masked += ".:" if ip != "whole" else ""
        self._stored = rf'"[^"\\{masked}]*"'  # what has nothing in it that may have to be taken out

    def event(self, table: Table) -> Shapes:
        """Return what stays of an event: its attributes come last, so that their parts can be written behind them."""
        if type(table) is not dict or type(attributes := table.get(ATTRIBUTES)) is not dict:
            raise _NoShortWay
        made = {name: self.value(inner) for name, inner in attributes.items() if type(inner) is not str}
        parts = {name: Shape(found.kept | None, rf"null|{found.pattern}") for name, found in made.items() if found}
        others = {name: inner for name, inner in table.items() if name != ATTRIBUTES}
        whole, rest = self.object(table), self.object(attributes, parts=frozenset(parts))
        return Shapes(whole, self.object({**others, ATTRIBUTES: rest}), parts)

    def value(self, table: Table) -> Shape | None:
        if type(table) is Shape:
            return table
        if type(table) is list:
            if (inner := self.value(table[0])) is None:
                return None
            kind: Any = inner.kept
            return Shape(list[kind], rf"\[(?:(?:{inner.pattern}),?)*+\]")
        if type(table) is ByType:
            return self._by_type(table)
        return self.object(table) if type(table) is dict else self._text(table)

    def _text(self, kind: str) -> Shape | None:
        if kind.startswith(BY_RULE):
            if not kind.startswith(f"{BY_RULE}drop"):
                raise _NoShortWay
            return None
        if kind in _OWN:
            return Shape(*_OWN[kind])
        if kind in _WHERE_FROM:
            if self._ip == "whole":
                return Shape(str, _WHERE_FROM[kind])
            return Shape(_CHANGED[kind], _TEXT) if kind == "ip" and self._ip == "network" else None
        treatment = self._treatments["links" if kind == "api" else kind]
        if kind in _CHANGED and (treatment == "pseudonymise" or (treatment == "drop" and kind == "links")):
            return Shape(_CHANGED[kind], _TEXT)
        return Shape(str, self._stored) if treatment == "store" else None

    def object(self, table: dict[str, Table], word: str | None = None, parts: frozenset[str] = frozenset()) -> Shape:
        if ANY in table:
            raise _NoShortWay
        members = {name: inner for name, inner in table.items() if name not in parts}
        made = {name: self.value(inner) for name, inner in members.items() if word is None or name != "type"}
        stays = {name: found for name, found in made.items() if found is not None}
        needs_id = table.get("id") == "account"  # who has none may be one of those who are no person, whose name stays
        fields: list[Any] = [
            (name, found.kept) if needs_id and name == "id" else (name, found.kept | None, None)
            for name, found in stays.items()
        ]
        fields += [(name, msgspec.Raw, _NO_PART) for name in parts]
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
        looks = "|".join(rf'{name}":(?:{found.pattern})' for name, found in stays.items())
        return Shape(shape, rf'{"" if word else chr(92) + "{"}(?:"(?:{looks}),?)*+\}}')

    def _by_type(self, table: ByType) -> Shape:
        words: dict[int, list[str]] = {}
        often = {word: inner for word, inner in table.tables.items() if word not in RARE_PEOPLE}
        tables = {**dict.fromkeys(THINGS, table.other), **often}
        for word, inner in tables.items():
            words.setdefault(id(inner), []).append(word)
        shapes: list[Any] = []
        patterns: list[str] = []
        for alike in words.values():
            made = [self.object(tables[alike[0]], word) for word in alike]
            shapes += [found.kept for found in made]
            patterns.append(rf'(?:{"|".join(alike)})",?{made[0].pattern}')
        union = shapes[0]
        for shape in shapes[1:]:
            union |= shape
        return Shape(union, rf'\{{"type":"(?:{"|".join(patterns)})')
