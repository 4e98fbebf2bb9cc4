"""The shapes of the entries of `context` and `container`, and what of any other shape can be read as one of them.

Attributes are known by their names as the API documents them; where an entry has others, its names are compared without
regard to case and marks (`site_host_name`), and a few that mean the same count as well (`siteUrl`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
    "domainname": "domain",
    "domains": "domain",
    "vendorname": "vendor",
}
_REPEATED = ("role", "permissionName", "product", "groupName", "settingName", "domain")
"""Attributes that may be lists of which each value is one more fact."""


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
    """Return the attributes of an entry, and for each further value of one that is a list, attributes with it alone."""
    told = Attributes()
    more: list[Attributes] = []
    values = {name: found[name] for name in KNOWN if name in found}
    for name, value in found.items():
        if name not in values and len(name) <= MOST:
            known = _known(name)
            if known is not None and values.get(known) is None:
                values[known] = value
    settings, worth = values.get("settingName"), values.pop("settingValues", None)
    if type(settings) is list and type(worth) is list and len(settings) == len(worth):
        told.settingValues = _setting(worth[0]) if worth else None
        more += [
            Attributes(settingName=text(a), settingValues=_setting(b))
            for a, b in zip(settings[1:MOST], worth[1:], strict=False)
        ]
        values["settingName"] = settings[0] if settings else None
    else:
        told.settingValues = _setting(worth)
    for name, value in values.items():
        if type(value) is not list:
            setattr(told, name, text(value))
            continue
        texts = list(filter(None, map(text, value[:MOST])))
        if texts and name in _REPEATED:
            setattr(told, name, texts[0])
            more += [Attributes(**{name: one}) for one in texts[1:]]
    return told, more


def _setting(value: Any) -> str | None:
    """Return what a setting is now: one value is a text, several are a list."""
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is list:
        return ", ".join(filter(None, map(_setting, value[:MOST])))
    return str(value) if type(value) is float else text(value)


def links(found: Any) -> Links | None:
    """Return the links of an entry."""
    return Links(text(found.get("self")), text(found.get("alt"))) if type(found) is dict else None


def attributes_of(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the attributes of an entry; where it has none, its other members are looked at as such."""
    found = tree.get("attributes")
    if type(found) is dict:
        return found
    return {name: value for name, value in tree.items() if name not in _OF_ENTRIES}


def shaped(tree: Mapping[str, Any]) -> Iterator[Entry]:
    """Give what of an entry has the documented shape, and an entry for each further value that an attribute has."""
    kind = tree.get("type")
    kind = kind if type(kind) is str else None
    told, more = attributes(attributes_of(tree))
    yield Entry(text(tree.get("id")), kind, told, links(tree.get("links")))
    for one in more:
        yield Entry(None, kind, one)
