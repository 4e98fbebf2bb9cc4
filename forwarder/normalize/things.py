"""What an event was done to and where: the entries of `context` and `container`, as far as meaning needs them.

Both parts are decoded whole, which proves that they are JSON that every reader takes (UTF-8, numbers in range, no
half surrogates), because their bytes travel on unchanged. Entries with the attributes we know take a typed decode that
admits nothing else and skips nothing; attributes we do not know take a slower one that still wants plain texts; all
others are cut to that shape first. Nothing is remembered: parts seldom recur, and reading one costs little more than
looking it up.
"""

from __future__ import annotations

from typing import Any

import msgspec

from forwarder.contracts import Actor, Change, Thing
from forwarder.normalize.addresses import valid_mail

_ACCOUNT_KINDS: dict[str | None, Any] = {"atlassian": "person", "customer": "person", "app": "app"}
API_PRODUCTS = {"bitbucket", "confluence", "guard_detect", "jira", "loom"}  # the API's own enumeration
_IRREGULAR = {"policies": "policy", "repositories": "repository", "categories": "category"}

_PLACES = {"project", "repository", "workspace", "board", "database", "folder"}
"""Kinds that are content by themselves, and a place where something lies in them."""

MOST_ENTRIES = 1000
"""Entries of a part that meaning reads; the API was seen to send dozens. The event with more is marked `truncated`, and
its raw part still has them all."""

Told = dict[str, str | None]
"""Attributes or links of an entry; only texts."""


class Part(msgspec.Struct, gc=False):
    """What one of the two parts says; `raw` is None when it says nothing at all. Not changed once it is returned.

    Of each kind the first entry counts; the rest stays in the raw part. Of a place and something in it, the latter is
    the content.

    Attributes:
        raw: The bytes of the API; wrapped as `{"value": …}` when they are neither an object nor an array of objects,
            because no store indexes those as a field.
        product: The product a site entry names, when it is one of the API's own.
        odd: The part had a shape that the documentation does not give.
        organization: Name of the organization.
        changes: Settings with what they are now; the feed does not say what they were.
        cut: There were more entries than are read.
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
    organization: str | None = None
    changes: list[Change] = []
    cut: bool = False


class Attributes(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The attributes that mean something, and those that often stand beside them."""

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
    permissionName: str | None = None  # noqa: N815
    settingName: str | None = None  # noqa: N815
    settingValues: str | None = None  # noqa: N815


class Links(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The links of an entry."""

    self: str | None = None
    alt: str | None = None


class Entry(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """One entry with nothing in it but what we know."""

    id: str | None = None
    type: str | None = None
    attributes: Attributes | None = None
    links: Links | None = None


class WideEntry(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """One entry in the documented shape, with any attributes."""

    id: str | None = None
    type: str | None = None
    attributes: Told | None = None
    links: Told | None = None


NOTHING = Part()
ABSENT = msgspec.Raw()
"""Stands for a part that is not there."""

_NO_ATTRIBUTES = Attributes()
_WEB = ("https://", "http://")
_KNOWN = Attributes.__struct_fields__
_EMPTY = {b"[]", b"{}", b"null", b'""'}


def _kind(name: str) -> str:
    if name in _IRREGULAR:
        return _IRREGULAR[name]
    if name.endswith(("ches", "shes", "xes")):
        return name[:-2]
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name


def _url(text: str | None) -> str | None:
    return text if text and text.startswith(_WEB) else None


def _thing(kind: str, entry: Entry, told: Attributes, name: str | None = None) -> Thing:
    url = entry.links.alt if entry.links is not None else None
    if url is not None and not url.startswith(_WEB):
        url = None
    return Thing(kind, entry.id or None, told.key or None, name or told.name or told.title or None, url)


def _user(found: Part, entry: Entry, told: Attributes) -> None:
    if found.role is None:
        found.role = told.role or None
    if found.user is not None:
        return
    ident, address = entry.id or None, told.email
    if ident is not None and "@" in ident and valid_mail(ident):  # an invited person has no account yet
        ident, address = None, address or ident
    mail = address if address and valid_mail(address) else None
    if ident or mail or told.name:
        found.user = Actor(ident, told.name or None, mail, _ACCOUNT_KINDS.get(told.accountType))


def _group(found: Part, entry: Entry, told: Attributes) -> None:
    if found.group is None and (entry.id or told.groupName or told.name):
        found.group = _thing("group", entry, told, told.groupName)


def _role(found: Part, entry: Entry, told: Attributes) -> None:
    found.role = found.role or told.name or entry.id or None


def _space(found: Part, entry: Entry, told: Attributes) -> None:
    if found.space is None:
        found.space = _thing("space", entry, told)


def _app(found: Part, entry: Entry, told: Attributes) -> None:
    if found.app is None:
        found.app = _thing("app", entry, told)


def _site(found: Part, entry: Entry, told: Attributes) -> None:
    """Read a site entry, which may also name the issue or page inside it."""
    link = _url(entry.links.alt) if entry.links is not None else None
    home = _url(told.siteHostName or told.cloudUrl)
    inner = None
    if home is not None and link is not None and link != home and link.rstrip("/") != home.rstrip("/"):
        inner = link
    name = told.siteName
    issue, key, page = told.issueId, told.issueKeyOrId or told.issueKey, told.pageId
    if key and key.isdigit():
        issue, key = issue or key, None
    if issue or key:
        if found.content is None:
            found.content = Thing("issue", issue or None, key or None, None, inner)
    elif page:
        if found.content is None:
            found.content = Thing("page", page, None, told.name or None, inner)
        if told.key:
            found.space = found.space or Thing("space", None, told.key)
    else:
        name = name or told.name
    product = told.product
    if product in API_PRODUCTS:
        found.product = found.product or product
    if found.site is None:
        found.site = Thing("site", entry.id or None, None, name or None, home or (None if inner else link))


def _organization(found: Part, entry: Entry, told: Attributes) -> None:
    """Read the organization, which is no content, and its settings."""
    if told.settingName:
        found.changes.append(Change(told.settingName, None, told.settingValues or None))
    elif entry.type not in _SETTINGS:
        found.organization = found.organization or told.name or None


def _content(found: Part, kind: str, entry: Entry, told: Attributes) -> None:
    thing = _thing(_kind(kind), entry, told)
    before = found.content
    if before is None:
        found.content = thing
    elif before.kind in _PLACES and thing.kind not in _PLACES:
        found.content = thing
        found.space = found.space or before
    elif thing.kind in _PLACES and found.space is None:
        found.space = thing


_SETTINGS = ("settings", "setting")
_READERS = {
    **dict.fromkeys(("users", "user", "invited-user", "invited-users", "account", "accounts"), _user),
    **dict.fromkeys(("groups", "group"), _group),
    **dict.fromkeys(("roles", "role"), _role),
    **dict.fromkeys(("space", "spaces"), _space),
    **dict.fromkeys(("apps", "app"), _app),
    **dict.fromkeys(("sites", "site"), _site),
    **dict.fromkeys(("orgs", "org", "organization", "organizations", "unit", "units", *_SETTINGS), _organization),
}


def _fill(found: Part, entries: list[Entry]) -> Part:
    if len(entries) > MOST_ENTRIES:
        entries, found.cut = entries[:MOST_ENTRIES], True
    for entry in entries:
        kind = entry.type
        if not kind:
            continue
        told = entry.attributes or _NO_ATTRIBUTES
        if kind in _READERS:
            _READERS[kind](found, entry, told)
        else:
            _content(found, kind, entry, told)
        if told.permissionName is not None and found.role is None:
            found.role = told.permissionName or None
    return found


def _text(value: Any) -> str | None:
    """Return a text or a whole number as text; anything else is absent."""
    if type(value) is str:
        return value
    return str(value) if type(value) is int else None


def _attributes(told: Any) -> Attributes | None:
    if type(told) is not dict:
        return None
    found = Attributes(*[_text(told.get(name)) for name in _KNOWN])
    if type(values := told.get("settingValues")) is list:  # one value is a text, several are a list
        found.settingValues = ", ".join(filter(None, map(_text, values)))
    return found


def _links(told: Any) -> Links | None:
    return Links(None, _text(told.get("alt"))) if type(told) is dict else None


def _cut(tree: dict[str, Any]) -> Entry:
    """Return what of an entry has the documented shape."""
    kind = tree.get("type")
    return Entry(
        _text(tree.get("id")),
        kind if type(kind) is str else None,
        _attributes(tree.get("attributes")),
        _links(tree.get("links")),
    )


class PartReader:
    """Reads parts; one for each normaliser."""

    def __init__(self) -> None:
        self._decode_any = msgspec.json.Decoder().decode
        self._decode_entries = msgspec.json.Decoder(list[Entry]).decode
        self._decode_wide = msgspec.json.Decoder(list[WideEntry]).decode

    def read(self, raw: msgspec.Raw) -> Part:
        """Return what the part says. Raises msgspec.DecodeError or ValueError when its bytes are not sound JSON."""
        if raw is ABSENT:
            return NOTHING
        try:
            entries = self._decode_entries(raw)
        except msgspec.ValidationError:
            return self._read_slowly(raw)
        if not entries and bytes(raw) in _EMPTY:
            return NOTHING
        return _fill(Part(raw), entries)

    def _read_slowly(self, raw: msgspec.Raw) -> Part:
        if bytes(raw) in _EMPTY:
            return NOTHING
        try:
            wide = self._decode_wide(raw)
        except msgspec.ValidationError:
            return self._read_any(raw)
        return _fill(
            Part(raw),
            [Entry(entry.id, entry.type, _attributes(entry.attributes), _links(entry.links)) for entry in wide],
        )

    def _read_any(self, raw: msgspec.Raw) -> Part:
        tree = self._decode_any(raw)
        entries = [tree] if type(tree) is dict else tree
        if type(entries) is not list or not all(type(entry) is dict for entry in entries):
            return Part(msgspec.Raw(b'{"value":' + bytes(raw) + b"}"), odd=True)
        return _fill(Part(raw, odd=type(tree) is dict), [_cut(entry) for entry in entries])
