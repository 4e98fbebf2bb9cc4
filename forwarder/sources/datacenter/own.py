"""Which records of the log are of our own making: whoever reads it through the API is recorded as searching it.

A search is ours when the product takes us for its author. Where that is not known, nothing is taken for ours: who else
looks into the log is worth to be seen.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from forwarder.net.http import UNREADABLE

_MAYBE = re.compile(rb"audit[._ ]?(?:log[._ ])?search", re.IGNORECASE)
_KEY = re.compile(r"(?:^|\.)audit\.(?:log\.)?search(?:\.|$)")
_WORDS = re.compile(r"audit log search\b", re.IGNORECASE)


class _Author(msgspec.Struct):
    name: str = ""
    id: str = ""
    uri: str = ""


class _Type(msgspec.Struct):
    action: str = ""
    actionI18nKey: str = ""  # noqa: N815 -- the API's name


class _Record(msgspec.Struct):
    author: _Author
    type: _Type


_decode: Any = msgspec.json.Decoder(_Record).decode


def is_own_search(body: bytes, accounts: frozenset[str]) -> bool:
    """Tell whether a record is a search of the log by one of these accounts (case-folded names or ids)."""
    if not accounts or _MAYBE.search(body) is None:
        return False
    try:
        record = _decode(body)
    except UNREADABLE:
        return False
    if not (_KEY.search(record.type.actionI18nKey) or _WORDS.match(record.type.action)):
        return False
    return not accounts.isdisjoint(_names(record.author))


def _names(author: _Author) -> set[str]:
    """Return what the product calls an author: id, name, and the name of the account in the address of its page."""
    names = {author.id, author.name}
    try:
        parts = urlsplit(author.uri)
        names |= {value for _, value in parse_qsl(parts.query, max_num_fields=20)}
        names.add(unquote(parts.path.rpartition("/")[2]).removeprefix("~"))
    except ValueError:
        pass
    return {name.casefold() for name in names if name}
