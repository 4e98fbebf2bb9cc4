"""What an event was done to and where: the entries of `context` and `container`, as far as meaning needs them.

Both parts are decoded whole, which proves that they are JSON that every reader takes (UTF-8, numbers in range, no
half surrogates), because their bytes travel on unchanged. Entries of the documented shape with plain text attributes
take a typed decode that admits nothing else; all others are cut to that shape first. Small parts recur (the same site,
the same page), so what they said is remembered by their bytes, in bounded memory.
"""

from __future__ import annotations

from typing import Any

import msgspec

from forwarder.contracts import Actor, Thing
from forwarder.normalize.addresses import valid_mail

REMEMBERED = 2048
REMEMBERED_BYTES = 1024

_ACCOUNT_KINDS: dict[str | None, Any] = {"atlassian": "person", "app": "app"}
_PRODUCTS = {"bitbucket", "confluence", "guard_detect", "jira", "loom"}  # the API's own enumeration
_IRREGULAR = {"policies": "policy", "repositories": "repository", "categories": "category"}

Told = dict[str, str | None]
"""Attributes or links of an entry; only texts."""


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


class Entry(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """One entry in the documented shape."""

    id: str | None = None
    type: str | None = None
    attributes: Told | None = None
    links: Told | None = None


class _Found(msgspec.Struct, gc=False):
    """What was found so far. The first entry of a kind counts; the rest stays in the raw part."""

    user: Actor | None = None
    group: Thing | None = None
    role: str | None = None
    content: Thing | None = None
    space: Thing | None = None
    site: Thing | None = None
    app: Thing | None = None
    product: str | None = None


NOTHING = Part()
_NO_TEXT: Told = {}
_EMPTY = {b"", b"[]", b"{}", b"null", b'""'}


def _kind(name: str) -> str:
    if name in _IRREGULAR:
        return _IRREGULAR[name]
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name


def _url(text: str | None) -> str | None:
    return text if text and text.startswith(("https://", "http://")) else None


def _thing(kind: str, entry: Entry, told: Told, name: str | None = None) -> Thing:
    link = entry.links.get("alt") if entry.links else None
    return Thing(
        kind,
        entry.id or None,
        told.get("key") or None,
        name or told.get("name") or told.get("title") or None,
        _url(link),
    )


def _user(found: _Found, entry: Entry, told: Told) -> None:
    if found.role is None:
        found.role = told.get("role") or None
    if found.user is not None:
        return
    ident, address = entry.id or None, told.get("email")
    if ident is not None and "@" in ident and valid_mail(ident):  # an invited person has no account yet
        ident, address = None, address or ident
    mail = address if address and valid_mail(address) else None
    found.user = Actor(ident, told.get("name") or None, mail, _ACCOUNT_KINDS.get(told.get("accountType")))


def _group(found: _Found, entry: Entry, told: Told) -> None:
    found.group = found.group or _thing("group", entry, told, told.get("groupName"))


def _role(found: _Found, entry: Entry, told: Told) -> None:
    found.role = found.role or told.get("name") or entry.id or None


def _space(found: _Found, entry: Entry, told: Told) -> None:
    found.space = found.space or _thing("space", entry, told)


def _app(found: _Found, entry: Entry, told: Told) -> None:
    found.app = found.app or _thing("app", entry, told)


def _site(found: _Found, entry: Entry, told: Told) -> None:
    """Read a site entry, which may also name the issue or page inside it."""
    get = told.get
    link = _url(entry.links.get("alt")) if entry.links else None
    home = _url(get("siteHostName") or get("cloudUrl"))
    inner = link if home is not None and link is not None and link.rstrip("/") != home.rstrip("/") else None
    name = get("siteName")
    issue, key, page = get("issueId"), get("issueKeyOrId") or get("issueKey"), get("pageId")
    if key and key.isdigit():
        issue, key = issue or key, None
    if issue or key:
        found.content = found.content or Thing("issue", issue or None, key or None, None, inner)
    elif page:
        found.content = found.content or Thing("page", page, None, get("name") or None, inner)
        if get("key"):
            found.space = found.space or Thing("space", None, get("key"))
    else:
        name = name or get("name")
    product = get("product")
    if product in _PRODUCTS:
        found.product = found.product or product
    if found.site is None:
        found.site = Thing("site", entry.id or None, None, name or None, home or (None if inner else link))


def _nothing(found: _Found, entry: Entry, told: Told) -> None:
    """Leave out what is neither content nor a place of its own: the organization and its settings."""


_READERS = {
    **dict.fromkeys(("users", "user", "invited-user", "invited-users", "account", "accounts"), _user),
    **dict.fromkeys(("groups", "group"), _group),
    **dict.fromkeys(("roles", "role"), _role),
    **dict.fromkeys(("space", "spaces"), _space),
    **dict.fromkeys(("apps", "app"), _app),
    **dict.fromkeys(("sites", "site"), _site),
    **dict.fromkeys(("orgs", "org", "organization", "organizations", "unit", "units", "settings", "setting"), _nothing),
}


def _read(entries: list[Entry], raw: msgspec.Raw, *, odd: bool) -> Part:
    found = _Found()
    for entry in entries:
        if not entry.type:
            continue
        reader = _READERS.get(entry.type)
        if reader is not None:
            reader(found, entry, entry.attributes or _NO_TEXT)
        elif found.content is None:
            found.content = _thing(_kind(entry.type), entry, entry.attributes or _NO_TEXT)
    return Part(
        raw, found.user, found.group, found.role, found.content, found.space, found.site, found.app, found.product, odd
    )


def _text(value: Any) -> str | None:
    """Return a text or a whole number as text; anything else is absent."""
    if type(value) is str:
        return value
    return str(value) if type(value) is int else None


def _texts(value: Any) -> Told | None:
    return {key: _text(item) for key, item in value.items()} if type(value) is dict else None


def _cut(tree: dict[str, Any]) -> Entry:
    """Return what of an entry has the documented shape."""
    kind = tree.get("type")
    return Entry(
        _text(tree.get("id")),
        kind if type(kind) is str else None,
        _texts(tree.get("attributes")),
        _texts(tree.get("links")),
    )


class PartReader:
    """Reads parts; one for each normaliser."""

    def __init__(self) -> None:
        self._known: dict[bytes, Part] = {}
        self._decode_any = msgspec.json.Decoder().decode
        self._decode_entries = msgspec.json.Decoder(list[Entry]).decode

    def read(self, raw: msgspec.Raw) -> Part:
        """Return what the part says. Raises msgspec.DecodeError or ValueError when its bytes are not sound JSON."""
        body = bytes(raw)
        part = self._known.get(body)
        if part is None:
            part = NOTHING if body in _EMPTY else self._read(body)
            if len(body) <= REMEMBERED_BYTES:
                if len(self._known) >= REMEMBERED:
                    self._known.clear()
                self._known[body] = part
        return part

    def _read(self, body: bytes) -> Part:
        try:
            return _read(self._decode_entries(body), msgspec.Raw(body), odd=False)
        except msgspec.ValidationError:
            tree = self._decode_any(body)
        entries = [tree] if type(tree) is dict else tree
        if type(entries) is not list or not all(type(entry) is dict for entry in entries):
            return Part(msgspec.Raw(b'{"value":' + body + b"}"), odd=True)
        return _read([_cut(entry) for entry in entries], msgspec.Raw(body), odd=type(tree) is dict)
