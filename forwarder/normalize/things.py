"""What an event was done to and where: the entries of `context` and `container`, as far as meaning needs them.

Both parts are decoded whole, which proves that they are JSON that every reader takes (UTF-8, numbers in range, no
half surrogates), because their bytes travel on unchanged. Small parts recur (the same site, the same page), so what
they said is remembered by their bytes, in bounded memory.
"""

from __future__ import annotations

from typing import Any

import msgspec

from forwarder.contracts import Actor, Thing
from forwarder.normalize.addresses import valid_mail

REMEMBERED = 2048
REMEMBERED_BYTES = 1024

_USERS = {"users", "user", "invited-user", "invited-users", "account", "accounts"}
_GROUPS = {"groups", "group"}
_ROLES = {"roles", "role"}
_SPACES = {"space", "spaces"}
_APPS = {"apps", "app"}
_SITES = {"sites", "site"}
_NO_CONTENT = {"orgs", "org", "organization", "organizations", "unit", "units", "settings", "setting"}
_ACCOUNT_KINDS: dict[str, Any] = {"atlassian": "person", "app": "app"}
_PRODUCTS = {"bitbucket", "confluence", "guard_detect", "jira", "loom"}  # the API's own enumeration
_IRREGULAR = {"policies": "policy", "repositories": "repository", "categories": "category"}


class Part(msgspec.Struct, frozen=True, gc=False):
    """What one of the two parts says; `raw` is None when it says nothing at all.

    Attributes:
        raw: The bytes of the API; wrapped as `{"value": …}` when they are neither an object nor an array of objects,
            because no store indexes those as a field.
        product: The product a site entry names, when it is one of the API's own.
        odd: The part had a shape that the documentation does not give.
    """

    raw: msgspec.Raw | None = None
    user: Actor | None = None
    group: Thing | None = None
    role: str | None = None
    content: Thing | None = None
    space: Thing | None = None
    site: Thing | None = None
    app: Thing | None = None
    product: str | None = None
    odd: bool = False


NOTHING = Part()
_EMPTY = {b"", b"[]", b"{}", b"null", b'""'}


def text(value: Any) -> str | None:
    """Return a string or a whole number as text; anything else, and the empty string, is absent."""
    if type(value) is str:
        return value or None
    return str(value) if type(value) is int else None


def _url(value: Any) -> str | None:
    found = text(value)
    return found if found is not None and found.startswith(("https://", "http://")) else None


def _kind(name: str) -> str:
    if name in _IRREGULAR:
        return _IRREGULAR[name]
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name


def _mapping(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else {}


def _user(entry: dict[str, Any], told: dict[str, Any]) -> Actor:
    ident, address = text(entry.get("id")), text(told.get("email"))
    if ident is not None and valid_mail(ident):  # an invited person has no account yet
        ident, address = None, address or ident
    return Actor(
        id=ident,
        name=text(told.get("name")),
        address=address if address is not None and valid_mail(address) else None,
        kind=_ACCOUNT_KINDS.get(told.get("accountType", "")) if type(told.get("accountType")) is str else None,
    )


def _thing(kind: str, entry: dict[str, Any], told: dict[str, Any], name: str | None = None) -> Thing:
    return Thing(
        kind=kind,
        id=text(entry.get("id")),
        key=text(told.get("key")),
        name=name or text(told.get("name")) or text(told.get("title")),
        url=_url(_mapping(entry.get("links")).get("alt")),
    )


def _in_site(found: dict[str, Any], entry: dict[str, Any], told: dict[str, Any]) -> None:
    """Read a site entry, which may also name the issue or page inside it."""
    link = _url(_mapping(entry.get("links")).get("alt"))
    home = _url(told.get("siteHostName")) or _url(told.get("cloudUrl"))
    inner = link if home is not None and link is not None and link.rstrip("/") != home.rstrip("/") else None
    name = text(told.get("siteName"))
    issue, page = text(told.get("issueId")), text(told.get("pageId"))
    key = text(told.get("issueKeyOrId")) or text(told.get("issueKey"))
    if key is not None and key.isdigit():
        issue, key = issue or key, None
    if issue is not None or key is not None:
        found.setdefault("content", Thing(kind="issue", id=issue, key=key, url=inner))
    elif page is not None:
        found.setdefault("content", Thing(kind="page", id=page, name=text(told.get("name")), url=inner))
        if (space := text(told.get("key"))) is not None:
            found.setdefault("space", Thing(kind="space", key=space))
    else:
        name = name or text(told.get("name"))
    site = text(entry.get("id"))
    found.setdefault("site", Thing(kind="site", id=site, name=name, url=home or (None if inner else link)))
    if (product := text(told.get("product"))) in _PRODUCTS:
        found.setdefault("product", product)


def _read_entry(found: dict[str, Any], entry: dict[str, Any]) -> None:
    """Add what one entry says. The first entry of a kind counts; the rest stays in the raw part."""
    kind, told = entry.get("type"), _mapping(entry.get("attributes"))
    if type(kind) is not str or not kind or kind in _NO_CONTENT:
        return
    if kind in _USERS:
        found.setdefault("user", _user(entry, told))
        if (role := text(told.get("role"))) is not None:
            found.setdefault("role", role)
    elif kind in _GROUPS:
        found.setdefault("group", _thing("group", entry, told, text(told.get("groupName"))))
    elif kind in _ROLES:
        found.setdefault("role", text(told.get("name")) or text(entry.get("id")))
    elif kind in _SPACES:
        found.setdefault("space", _thing("space", entry, told))
    elif kind in _APPS:
        found.setdefault("app", _thing("app", entry, told))
    elif kind in _SITES:
        _in_site(found, entry, told)
    else:
        found.setdefault("content", _thing(_kind(kind), entry, told))


def read_part(tree: Any, raw: bytes) -> Part:
    """Return what a decoded part says; `raw` are its bytes."""
    found: dict[str, Any] = {}
    entries = [tree] if type(tree) is dict else tree
    if type(entries) is not list or not all(type(entry) is dict for entry in entries):
        return Part(raw=msgspec.Raw(b'{"value":' + raw + b"}"), odd=True)
    for entry in entries:
        _read_entry(found, entry)
    return Part(raw=msgspec.Raw(raw), odd=type(tree) is dict, **found)


class PartReader:
    """Reads parts; one for each normaliser."""

    def __init__(self) -> None:
        self._known: dict[bytes, Part] = {}
        self._decode = msgspec.json.Decoder().decode

    def read(self, raw: msgspec.Raw) -> Part:
        """Return what the part says. Raises msgspec.DecodeError or ValueError when its bytes are not sound JSON."""
        body = bytes(raw)
        part = self._known.get(body)
        if part is not None:
            return part
        part = NOTHING if body in _EMPTY else read_part(self._decode(body), body)
        if len(body) <= REMEMBERED_BYTES:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[body] = part
        return part
