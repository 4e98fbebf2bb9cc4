"""The shapes of the entries of `context` and `container`, and what of any other shape can be read as one of them.

Attributes are known by their names as the API documents them; where an entry has others, its names are compared without
regard to case and marks (`site_host_name`), and a few that mean the same count as well (`siteUrl`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from forwarder.normalize.fitting import as_text
from forwarder.normalize.json_texts import looks_like_json, unpacked
from forwarder.sources.organization.statements import pairs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MOST = 100
"""Values of one attribute that are read, and further people or things that are kept; the rest is in the raw part."""

Texts = dict[str, str | None]
"""Attributes or links of an entry; only texts."""


class Common(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The attributes that mean something in most events, and those that often stand beside them."""

    name: str | None = None
    key: str | None = None
    title: str | None = None
    email: str | None = None
    role: str | None = None
    accountType: str | None = None  # noqa: N815 - the API's own names, here and below
    groupName: str | None = None  # noqa: N815
    siteName: str | None = None  # noqa: N815
    product: str | None = None
    issueId: str | None = None  # noqa: N815
    issueKeyOrId: str | None = None  # noqa: N815
    issueKey: str | None = None  # noqa: N815
    pageId: str | None = None  # noqa: N815
    siteHostName: str | None = None  # noqa: N815
    cloudUrl: str | None = None  # noqa: N815
    vendor: ClassVar[str | None] = None  # what an entry of nothing else lacks is not looked for in it
    is_common: ClassVar[bool] = True


class Attributes(Common, gc=False, forbid_unknown_fields=True):
    """All attributes that mean something."""

    permissionName: str | None = None  # noqa: N815
    settingName: str | None = None  # noqa: N815
    settingValues: str | None = None  # noqa: N815
    oldValue: str | None = None  # noqa: N815
    domain: str | None = None
    vendor: str | None = None  # type: ignore[misc]
    is_common: ClassVar[bool] = False


class Links(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The links of an entry."""

    self: str | None = None
    alt: str | None = None


class Entry(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """One entry with nothing in it but what we know."""

    id: str | None = None
    type: str | None = None
    attributes: Common | None = None
    links: Links | None = None


class WideEntry(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """One entry in the documented shape, with any attributes."""

    id: str | None = None
    type: str | None = None
    attributes: Texts | None = None
    links: Texts | None = None


_OF_ENTRIES = WideEntry.__struct_fields__
_MARKS = re.compile(r"[\W_]+")
KNOWN = Attributes.__struct_fields__
_SPELLED = {name.lower(): name for name in KNOWN} | {
    "displayname": "name",
    "emailaddress": "email",
    "mail": "email",
    "roles": "role",
    "rolenames": "role",
    "permissionnames": "permissionName",
    "productnames": "product",
    "productkeys": "product",
    "rolename": "role",
    "permissions": "permissionName",
    "permission": "permissionName",
    "groupnames": "groupName",
    "products": "product",
    "productname": "product",
    "productkey": "product",
    "siteurl": "cloudUrl",
    "baseurl": "cloudUrl",
    "sitehost": "siteHostName",
    "hostname": "siteHostName",
    "settings": "settingName",
    "setting": "settingName",
    "settingvalue": "settingValues",
    "value": "settingValues",
    "newvalue": "settingValues",
    "newvalues": "settingValues",
    "oldvalues": "oldValue",
    "previousvalue": "oldValue",
    "domainname": "domain",
    "domains": "domain",
    "vendorname": "vendor",
}
_OF_SITE = ("siteName", "siteHostName", "cloudUrl")
_REPEATED = ("role", "permissionName", "product", "groupName", "settingName", "domain", *_OF_SITE)
"""Attributes that may be lists of which each value is one more fact."""

_COLUMNS = ("name", "email", "key", "title")
"""The same, where those of one place speak of the same thing."""

_KNOWN_BY = ("name", "value", "key", "id")


@lru_cache(4096)
def _known(name: str) -> str | None:
    """Return the attribute that a name means."""
    return _SPELLED.get(_MARKS.sub("", name).lower())


def text(value: Any) -> str | None:
    """Return a text or a whole number as text; anything else is absent."""
    if type(value) is str:
        return value
    return str(value) if type(value) is int and value.bit_length() < 4096 else None


def attributes(found: Mapping[str, Any]) -> tuple[Attributes, list[Attributes]]:
    """Return the attributes of an entry, and for each further value of one that is a list, attributes with it alone.

    The n-th of several names, keys and addresses belong together.
    """
    texts = Attributes()
    more: list[Attributes] = []
    values = _values(found)
    columns = {name: values.pop(name)[:MOST] for name in _COLUMNS if type(values.get(name)) is list}
    for place in range(max(map(len, columns.values()), default=0)):
        row = {name: _word(column[place]) for name, column in columns.items() if place < len(column)}
        if place == 0:
            values |= row
        else:
            more.append(Attributes(**row))
    settings = _settings(values.pop("settingName", None), values.pop("settingValues", None))
    if settings:
        texts.settingName, texts.settingValues = settings[0]
        more += [Attributes(settingName=setting, settingValues=worth) for setting, worth in settings[1:]]
    for name, value in values.items():
        if type(value) is not list:
            setattr(texts, name, _word(value))
            continue
        words = list(filter(None, map(_word, value[:MOST])))
        if words:
            setattr(texts, name, words[0])
        if name in _REPEATED:
            more += [Attributes(**{name: one}) for one in words[1:]]
    return texts, more


def _values(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of the attributes, under its own names; the documented spelling goes before any other."""
    values = {name: found[name] for name in KNOWN if name in found}
    for name, value in found.items():
        if name not in values and len(name) <= MOST:
            known = _known(name)
            if known is not None and values.get(known) is None:
                values[known] = value
    return values


def is_cut(found: Mapping[str, Any]) -> bool:
    """Say whether an attribute that means something has more values than are read."""
    return any(
        (type(value) is list or type(value) is dict) and len(value) > MOST and len(name) <= MOST and bool(_known(name))
        for name, value in found.items()
    )


def _word(value: Any) -> str | None:
    """Return a text, or the one that an object is known by: `{"name": "example.com"}`."""
    if type(value) is dict:
        return next((word for name in _KNOWN_BY if (word := text(value.get(name)))), None)
    return text(value)


def _settings(names: Any, worth: Any) -> list[tuple[str | None, str | None]]:
    """Return settings with what they are now: names and values, `{name: value}` or `[{"name": …, "value": …}]`."""
    if type(names) is list and type(worth) is list and len(names) == len(worth):
        found: Iterable[tuple[Any, Any]] = zip(names, worth, strict=True)
    elif type(names) is dict:
        found = _pair(names)
    elif type(names) is list:
        found = (pair for one in names[:MOST] for pair in (_pair(one) if type(one) is dict else [(one, worth)]))
    else:
        found = [(names, worth)]
    return [(_word(name), _setting(value)) for name, value in islice(found, MOST)]


def _pair(one: Mapping[str, Any]) -> Iterable[tuple[Any, Any]]:
    name = next((one[word] for word in one if _known(word) in {"settingName", "name", "key"}), None)
    if type(name) is not str:
        return one.items()
    return [(name, next((one[word] for word in one if word == "value" or _known(word) == "settingValues"), None))]


def _setting(value: Any) -> str | None:
    """Return what a setting is now: one value is a text, several are a list, an object is its JSON."""
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is list:
        return ", ".join(filter(None, map(_setting, value[:MOST])))
    if type(value) is dict:
        return as_text(value) if value else None
    return str(value) if type(value) is float else text(value)


def links(found: Any) -> Links | None:
    """Return the links of an entry."""
    return Links(text(found.get("self")), text(found.get("alt"))) if type(found) is dict else None


def attributes_of(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the attributes of an entry; members that it has besides are looked at as such, where none is called so.

    A list of `{"name": …, "value": …}` is read as well, and either as the text of its JSON. Of any other text a word
    counts that says how it went.
    """
    found = unpacked(tree.get("attributes"))
    beside = {name: value for name, value in tree.items() if name not in _OF_ENTRIES}
    if type(found) is list:
        found = dict(pair for part in found[:MOST] if type(part) is dict for pair in pairs(part))
    if type(found) is str and found:
        found = {"status" if looks_like_json(found) else "state": found}
    if type(found) is not dict:
        return beside
    return {**beside, **found} if beside else found


def shaped(tree: Mapping[str, Any]) -> Iterator[Entry]:
    """Give what of an entry has the documented shape, and an entry for each further value that an attribute has."""
    kind, ident = tree.get("type"), tree.get("id")
    kind = kind if type(kind) is str else None
    first, *rest = ident[:MOST] if type(ident) is list and ident else [ident]
    texts, more = attributes(attributes_of(tree))
    yield Entry(text(first), kind, texts, links(tree.get("links")))
    for one, other in zip_longest(more, rest):
        yield Entry(text(other), kind, one)
