"""Which records of the log are of our own making: whoever reads it through the API is recorded as searching it.

A search is ours when the product takes us for its author. Where that is not known, nothing is taken for ours: who else
looks into the log is worth to be seen. So no display name is believed where the record names the login: whoever chose
ours as his own would be hidden.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from forwarder.net.http import UNREADABLE

_MAYBE = re.compile(rb"audit[._ ]?(?:log[._ ])?search", re.IGNORECASE)
_KEY = re.compile(r"(?:^|\.)audit\.(?:log\.)?search(?:\.|$)")
_LOGINS = frozenset({"name", "username", "user"})
_PAGES = (".jspa", ".action", ".do")
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


def is_own_search(body: bytes, accounts: frozenset[str], *, by_any_name: bool = False) -> bool:
    """Tell whether a record is a search of the log by one of these accounts (case-folded names or ids).

    Args:
        body: The record.
        accounts: What the product, or a person, calls us.
        by_any_name: A person has said so, and may have copied whatever name the records show.
    """
    if not accounts or _MAYBE.search(body) is None:
        return False
    try:
        record = _decode(body)
    except UNREADABLE:
        return False
    if not (_KEY.search(record.type.actionI18nKey) or _WORDS.match(record.type.action)):
        return False
    author = record.author
    logins, others = _of_address(author.uri)
    names = {author.id, *logins}
    if by_any_name or not logins:
        names.add(author.name)
    if by_any_name:
        names |= others
    return not accounts.isdisjoint({name.casefold() for name in names if name})


def _of_address(uri: str) -> tuple[set[str], set[str]]:
    """Return the login that the address of an author's page names, and whatever else stands in it."""
    try:
        parts = urlsplit(uri)
        query = parse_qsl(parts.query, max_num_fields=20)
    except ValueError:
        return set(), set()
    logins = {value for key, value in query if key.casefold() in _LOGINS and value}
    last = unquote(parts.path.rpartition("/")[2]).removeprefix("~")
    others = {last, *(value for _, value in query)}
    if not logins and last and not last.casefold().endswith(_PAGES):
        logins = {last}
    return logins, others
