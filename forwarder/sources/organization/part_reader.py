"""The parts of an event, `context` and `container`, as far as meaning needs them.

Both are decoded whole, which proves that they are JSON that every reader takes (UTF-8, numbers in range, no half
surrogates), because their bytes travel on unchanged, but for what no store takes (`fitting`). Entries with the
attributes we know take a typed decode that admits nothing else and skips nothing; attributes we do not know take a
slower one that still wants plain texts; all others are cut to that shape first. Nothing is remembered: where half of
the parts are new that costs as much as it brings (ADR 115).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from forwarder.contracts import Thing
from forwarder.normalize.fitting import fit, is_plain
from forwarder.normalize.json_texts import unpacked
from forwarder.normalize.lenient import ABSENT
from forwarder.normalize.singulars import singular
from forwarder.sources.organization.context import MOST_ENTRIES, add_mentioned, fill
from forwarder.sources.organization.entries import (
    MOST,
    Entry,
    WideEntry,
    attributes,
    attributes_of,
    is_cut,
    links,
    shaped,
)
from forwarder.sources.organization.facts import NOTHING, Facts, RareFacts
from forwarder.sources.organization.statements import Outcomes, outcomes

if TYPE_CHECKING:
    from collections.abc import Mapping

_EMPTY = {b"[]", b"{}", b"null", b'""'}
_OF_CONTENT = ("issueId", "issueKeyOrId", "issueKey", "pageId")


def _first(found: Facts, entries: list[Any]) -> list[Any]:
    """Return as many entries as are read, and of those behind them the first of each type that was not among them."""
    if len(entries) <= MOST_ENTRIES:
        return entries
    found.more().cut = True
    read = entries[:MOST_ENTRIES]
    types = {_type(one) for one in read}
    for one in entries[MOST_ENTRIES:]:
        if len(types) >= MOST:
            break
        if (kind := _type(one)) not in types:
            types.add(kind)
            read.append(one)
    return read


def _type(entry: Any) -> str | None:
    kind = entry.get("type") if type(entry) is dict else entry.type
    return kind if type(kind) is str else None


def _entries_in(tree: Any) -> tuple[list[Any], bool]:
    """Return the objects in a part that may be the text of its JSON or a list of anything, and whether it is odd."""
    texts = unpacked(tree)
    if type(texts) is dict:
        return [texts], True
    found = texts if type(texts) is list else []
    if type(tree) is list and all(type(one) is dict for one in found):
        return found, False
    parts = [unpacked(one) for one in found[: MOST_ENTRIES + 1]]
    flat = [one for part in parts for one in (part if type(part) is list else [part])]
    return [one for one in flat if type(one) is dict], True


def _end(found: Facts) -> Facts:
    """Let the domain that an event is about be its content where it has no other."""
    if found.rare is not None and found.rare.domain is not None and found.content is None:
        found.content = Thing("domain", None, None, found.rare.domain)
    return found


class PartReader:
    """Reads parts; one for each normaliser.

    Args:
        listening: Reads what entries say of how an act went.
    """

    def __init__(self, listening: Outcomes | None = None) -> None:
        self._outcomes = listening or outcomes()
        self._decode_any = msgspec.json.Decoder().decode
        self._decode_entries = msgspec.json.Decoder(
            Annotated[list[Entry], msgspec.Meta(max_length=MOST_ENTRIES)]
        ).decode
        self._decode_wide = msgspec.json.Decoder(list[WideEntry]).decode

    def read(self, raw: msgspec.Raw) -> Facts:
        """Return what the part says. Raises msgspec.DecodeError or ValueError when its bytes are not sound JSON."""
        if raw is ABSENT:
            return NOTHING
        try:
            entries = self._decode_entries(raw)
        except msgspec.ValidationError:
            return self._read_slowly(raw)
        if not entries and bytes(raw) in _EMPTY:
            return NOTHING
        return fill(Facts(raw), entries)

    def _read_slowly(self, raw: msgspec.Raw) -> Facts:
        if bytes(raw) in _EMPTY:
            return NOTHING
        try:
            wide = self._decode_wide(raw)
        except msgspec.ValidationError:
            return self._read_any(raw)
        if not all(is_plain(name) for entry in wide for part in (entry.attributes, entry.links) for name in part or ()):
            return self._read_any(raw)
        found = Facts(raw)
        for one in _first(found, wide):
            texts = attributes(one.attributes)[0] if one.attributes else None
            fill(found, (Entry(one.id, one.type, texts, links(one.links)),))
            if one.attributes:
                add_mentioned(found, one.type, one.attributes)
                self._listen(found, one.type, one.attributes)
        return _end(found)

    def _read_any(self, raw: msgspec.Raw) -> Facts:
        tree = self._decode_any(raw)
        fitted = fit(tree, raw)
        body = raw if fitted is None else fitted
        if type(tree) is dict:
            entries, odd = [tree], True
        else:
            entries, odd = _entries_in(tree)
            if odd:
                body = msgspec.Raw(b'{"value":' + bytes(body) + b"}")
        found = Facts(body)
        if odd or fitted is not None:
            found.rare = RareFacts(odd=odd, refitted=fitted is not None)
        for entry in _first(found, entries):
            fill(found, shaped(entry))
            self._take(found, entry.get("type"), attributes_of(entry))
            if type(entry.get("id")) is list and len(entry["id"]) > MOST:
                found.more().cut = True
        return _end(found)

    def with_members(self, part: Facts, members: Mapping[str, Any]) -> Facts:
        """Return a part with what members of the event itself say besides; `part` may change."""
        found = part if part is not NOTHING else Facts()
        fill(found, shaped({"attributes": members}))
        self._take(found, None, members, of_event=True)
        return _end(found)

    def _take(self, found: Facts, kind: Any, texts: Mapping[str, Any], *, of_event: bool = False) -> None:
        """Take who is named within attributes and what they say of how it went, and note when that is too much."""
        add_mentioned(found, kind, texts)
        self._listen(found, kind, texts, of_event=of_event)
        if is_cut(texts):
            found.more().cut = True

    def _listen(self, found: Facts, kind: Any, texts: Mapping[str, Any], *, of_event: bool = False) -> None:
        """Take what the attributes of an entry say of how it went."""
        whose = singular(kind) if type(kind) is str else ""
        if any(texts.get(name) for name in _OF_CONTENT):
            whose = "issue"
        if statements := self._outcomes.read(whose, texts.items(), of_event=of_event):
            found.more().statements += statements
