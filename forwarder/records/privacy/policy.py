"""What a sink's privacy makes of the raw JSON of an event, before anything is rendered from it.

Every text has a class (`tables`), and every class a treatment. Members that no table knows are content, and their names
are, too. Ids stay, as far as they are opaque: an id that is an address or a title in disguise is treated as one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from forwarder.normalize.addresses import valid_ip, valid_mail
from forwarder.normalize.lenient import Unreadable, read_tree
from forwarder.records.privacy.tables import TABLES, Table, Unique

if TYPE_CHECKING:
    from forwarder.contracts.settings import PrivacyConfig
    from forwarder.records.privacy.pseudonyms import Pseudonyms

REMEMBERED, LONGEST_REMEMBERED = 4096, 2048
"""Values that were made private before, and the bytes of the longest of them."""

LOST: Any = object()
"""Stands for what is left out."""

_OPAQUE = re.compile(
    r"[0-9]{1,20}|-[0-9]{1,3}"
    r"|(?:[0-9]{1,10}:|ug:|qm:|ari:cloud:[a-z-]{1,40}:[0-9a-f-]{0,36}:[a-z/-]{1,60}/)?"
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|[0-9a-f]{12,64}|JIRAUSER[0-9]{1,12}",
    re.IGNORECASE | re.ASCII,
).fullmatch
"""Ids in which nobody can write anything."""

_NOT_PEOPLE = frozenset({"anonymous", "unidentified", "system", "atlassian support", "jira", "confluence", "bitbucket"})
"""Ids and names of actors that are no account."""

_SEGMENTS = frozenset(
    (
        *("admin", "v1", "orgs", "org", "o", "s", "events", "users", "groups", "wiki", "spaces", "pages", "browse"),
        *("jira", "projects", "repositories", "rest", "api", "settings", "people", "issues", "boards", "software"),
    )
)
"""Parts of an address that its product has written."""

_ID = rb"(?:[0-9]{1,20}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
_AS_IT_IS: dict[Any, Callable[[bytes], Any]] = {
    "plain": re.compile(rb'[^{\["].*|"[^\\]*"', re.DOTALL).fullmatch,
    "id": re.compile(rb'"%b"|[0-9]{1,20}' % _ID).fullmatch,
    "account": re.compile(rb'"(?:[0-9]{1,10}:)?%b"' % _ID).fullmatch,
    "url": re.compile(rb'"https://[a-z0-9.-]{1,253}(?:/(?:admin|v1|orgs|events|users|s|%b))*"' % _ID).fullmatch,
}
"""Values that stay, told by their bytes."""

_NOTHING = Unique()
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_any = msgspec.json.Decoder().decode
_ADDRESSES = re.compile(r"https?", re.IGNORECASE).fullmatch
Change = Callable[[Any], Any]


class Privacy:
    """The privacy of one sink.

    Args:
        config: What is stored, left out, or given a pseudonym.
        pseudonyms: Makes them; None where no class wants any.
    """

    def __init__(self, config: PrivacyConfig, pseudonyms: Pseudonyms | None) -> None:
        self.active = config.active
        self._pseudonyms = pseudonyms
        self._treatments = config.treatments()
        self._encode = msgspec.json.Encoder().encode
        self._ip = config.ip
        self._known: dict[tuple[Any, bytes], bytes] = {}
        stored = {name for name, treatment in self._treatments.items() if treatment == "store"}
        self._stores_messages = {"content", "name", "address"} <= stored
        self._classes: dict[str, Change] = {
            "plain": self._plain,
            "country": self._plain,
            "id": self._id,
            "account": self._account,
            "name": lambda value: self._person("name", value),
            "address": lambda value: self._person("address", value),
            "ip": self._address,
            "place": lambda value: value if self._ip == "whole" else LOST,
            "url": self._url,
            "content": lambda value: self._treat("content", value),
            "message": lambda value: value if self._stores_messages else LOST,
        }

    def apply(self, feed: str, raw: bytes) -> bytes:
        """Return the event as this sink may see it, written anew: a member that stands twice hides nothing.

        Raises Unreadable when it is not JSON: then no one can tell what is in it. Raises OSError or ValueError when the
        key of the pseudonyms cannot be read.
        """
        table = TABLES.get(feed, _NOTHING)
        try:
            return self._members(table, _members(raw))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            tree, _ = read_tree(raw)
            return self._encode(self._object(table, tree))

    # --------------------------------------------------------------------------------------------------- by the bytes

    def _members(self, table: Unique, members: dict[str, msgspec.Raw]) -> bytes:
        """Return an object that is another in every event, from the bytes of its members."""
        parts: list[bytes] = []
        get, others = table.get, table.get("*")
        for name, value in members.items():
            known = get(name, others)
            if known is None:
                parts += self._unknown(name, value)
                continue
            raw = bytes(value)
            if type(known) is Unique and raw[:1] == b"{":
                found = self._members(known, _members(raw))
            elif type(known) is str and known in _AS_IT_IS and _AS_IT_IS[known](raw):
                found = raw
            else:
                found = self._remembered(known, raw)
            if found:
                parts.append(b'"%b":%b' % (_name(name), found))
        return b"{%b}" % b",".join(parts)

    def _unknown(self, name: str, value: msgspec.Raw) -> list[bytes]:
        made = self._object(_NOTHING, {name: _any(value)})
        return [self._encode(made)[1:-1]] if made else []

    def _remembered(self, table: Table, raw: bytes) -> bytes:
        """Return what becomes of a value; nothing when it is left out. Actors and places come again and again."""
        key = (table if type(table) is str else id(table), raw)
        found = self._known.get(key)
        if found is None:
            made = self._value(table, _any(raw))
            found = b"" if made is LOST else self._encode(made)
            if len(raw) <= LONGEST_REMEMBERED and not self._pseudonyms:
                if len(self._known) >= REMEMBERED:
                    self._known.clear()
                self._known[key] = found
        return found

    # ------------------------------------------------------------------------------------------------------- the tree

    def _value(self, table: Table, value: Any) -> Any:
        if type(table) is str:
            return self._classes[table](value)
        if type(table) is list:
            if type(value) is list:
                items = [self._value(table[0], item) for item in value]
                return [item for item in items if item is not LOST]
            return self._value(table[0], value)
        if type(value) is not dict:
            return value if value is None else self._treat("content", value)
        return self._object(table(value) if callable(table) else table, value)

    def _object(self, table: Table, tree: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        others = table.get("*")
        for member, value in tree.items():
            known = table.get(member, others)
            if known is None:
                member = self._treat("content", member)  # noqa: PLW2901 - a name that users may have given
                if member is LOST:
                    continue
                known = "content"
            found = self._value(known, value)
            if found is not LOST:
                made[member] = found
        return made

    # ---------------------------------------------------------------------------------------------------- the classes

    def _treat(self, kind: str, value: Any) -> Any:
        """Treat a value of any shape as one class of text."""
        treatment = self._treatments[kind]
        if treatment == "store" or value is None or value == "" or type(value) is bool:
            return value
        if treatment == "drop":
            return LOST
        if type(value) is dict:
            return {self._pseudonym(kind, member): self._treat(kind, inner) for member, inner in value.items()}
        if type(value) is list:
            return [self._treat(kind, inner) for inner in value]
        return self._pseudonym(kind, str(value))

    def _pseudonym(self, kind: str, text: str) -> str:
        if self._pseudonyms is None:
            raise ValueError("there is no key for pseudonyms")
        return self._pseudonyms.of(kind, text)

    def _plain(self, value: Any) -> Any:
        return self._treat("content", value) if type(value) in {dict, list} else value

    def _person(self, kind: str, value: Any) -> Any:
        if type(value) is str and (value.casefold() in _NOT_PEOPLE or value == "Atlassian app"):
            return value
        return self._treat(kind, value)

    def _id(self, value: Any) -> Any:
        if type(value) is not str:
            return value if type(value) is int else self._treat("content", value)
        if not value or _OPAQUE(value):
            return value
        return self._treat("address" if valid_mail(value) else "content", value)

    def _account(self, value: Any) -> Any:
        if type(value) is not str:
            return value if type(value) is int else self._treat("name", value)
        if not value or _OPAQUE(value) or value.casefold() in _NOT_PEOPLE:
            return value
        return self._treat("address" if valid_mail(value) else "name", value)

    def _address(self, value: Any) -> Any:
        if self._ip == "whole" or value is None or value == "":
            return value
        if self._ip == "none" or type(value) is not str or not valid_ip(value):
            return LOST
        found = ip_address(value)
        mapped = getattr(found, "ipv4_mapped", None)
        found = found if mapped is None else mapped
        return str(ip_network(f"{found}/{24 if found.version == 4 else 48}", strict=False).network_address)

    def _url(self, value: Any) -> Any:
        if value is None or value == "":
            return value
        if self._treatments["content"] == "store" and self._stores_messages:
            return value
        try:
            parts = urlsplit(value if type(value) is str else "")
            host = parts.hostname if _ADDRESSES(parts.scheme) else None
            port = parts.port
        except ValueError:
            return LOST
        if not host:
            return LOST if "/" in str(value) or " " in str(value) or "." not in str(value) else self._host(str(value))
        path = ""
        for segment in parts.path.split("/")[1:]:
            if not (segment in _SEGMENTS or _OPAQUE(segment)):
                break
            path += f"/{segment}"
        return f"{parts.scheme}://{host}{f':{port}' if port else ''}{path}"

    def _host(self, value: str) -> Any:
        return value if re.fullmatch(r"[a-z0-9.-]{1,253}", value, re.IGNORECASE | re.ASCII) else LOST


@lru_cache(256)
def _name(name: str) -> bytes:
    return msgspec.json.encode(name)[1:-1]


def unreadable(error: Unreadable) -> bytes:
    """Return what is shown in place of an event of which nobody can tell what is in it."""
    return msgspec.json.encode({"withheld": f"not shown: {error}"})
