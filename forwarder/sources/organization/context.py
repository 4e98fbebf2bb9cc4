"""What an event was done to and where: which fact an entry of `context` or `container` is, by its type.

Both parts are read alike, because the API puts a fact now into the one, now into the other. Of each kind the first
entry counts, further ones are kept beside it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from forwarder.catalogue import read_table
from forwarder.catalogue.names import API_PRODUCTS
from forwarder.contracts import Actor, Change, Thing
from forwarder.normalize.addresses import valid_host, valid_mail, web_address
from forwarder.normalize.singulars import singular
from forwarder.sources.organization.entries import MOST, Common, Entry
from forwarder.sources.organization.nested import MOST_NAMED, named_in
from forwarder.sources.organization.parts import NO_RARE, Part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


_ACCOUNT_KINDS: dict[str | None, Any] = {"atlassian": "person", "customer": "person", "app": "app"}
_SPELLED = {
    **{name: name for name in API_PRODUCTS},
    **dict.fromkeys(("software", "servicedesk", "jira-software", "jira-servicedesk", "jira-core"), "jira"),
}
_BETWEEN = re.compile(r"[,;]")
_PLACES = {"project", "repository", "workspace", "board", "database", "folder"}
"""Kinds that are content by themselves, and a place where something lies in them."""


_NO_ATTRIBUTES = Common()
_NO_ENTRY = Entry()
_HTTPS = "https://"
MOST_ENTRIES = 1000
"""Entries of a part that meaning reads, and things of a kind that are kept; the API was seen to send dozens. The event
with more is marked `truncated`, and its raw part still has them all."""


def _add(found: Part, name: str, one: Any) -> None:
    """Add to a list of `Rare`, which is bounded."""
    rare = found.more()
    known: list[Any] = getattr(rare, name)
    if len(known) < MOST_ENTRIES:
        known.append(one)
    else:
        rare.cut = True


def _thing(kind: str, entry: Entry, told: Common, name: str | None = None) -> Thing:
    url = api_url = None
    if entry.links is not None:
        url = entry.links.alt
        if url is not None and ("@" in url or not url.startswith(_HTTPS)):
            url = web_address(url)
        if entry.links.self:
            api_url = web_address(entry.links.self)
    return Thing(
        kind,
        entry.id or None,
        told.key or None,
        name or told.name or told.title or None,
        url,
        told.vendor or None,
        api_url,
    )


def _is_named(thing: Thing) -> bool:
    return bool(thing.id or thing.key or thing.name or thing.url)


def _user(found: Part, entry: Entry, told: Common) -> None:
    ident, address = entry.id or None, told.email
    if told.role:
        _role_of(found, entry, told)
    if told.groupName:
        _group(found, _NO_ENTRY, Common(groupName=told.groupName))
    if ident is not None and "@" in ident and valid_mail(ident):  # an invited person has no account yet
        ident, address = None, address or ident
    mail = address if address and valid_mail(address) else None
    if ident or mail or told.name:
        user = Actor(ident, told.name or None, mail, _ACCOUNT_KINDS.get(told.accountType))
        if found.user is None:
            found.user = user
        elif user != found.user:
            _add(found, "users", user)


def _role_of(found: Part, entry: Entry, told: Common) -> None:
    """Take the role of a user; further ones count beside it where they are the same user's."""
    if found.role is None:
        found.role = told.role
    elif not (entry.id or told.email or told.name) and told.role not in (found.role, *found.more().roles):
        _add(found, "roles", told.role)


def _group(found: Part, entry: Entry, told: Common) -> None:
    if entry.id or told.groupName or told.name:
        group = _thing("group", entry, told, told.groupName)
        if found.group is None:
            found.group = group
        elif group != found.group:
            _add(found, "things", group)


def _add_role(found: Part, role: str | None) -> None:
    """Take a role that stands for itself; others count beside it only if that one does so, too."""
    if not role:
        return
    rare = found.more()
    if found.role is None:
        found.role, rare.named = role, True
    elif rare.named and role != found.role and role not in rare.roles:
        _add(found, "roles", role)


def _role(found: Part, entry: Entry, told: Common) -> None:
    _add_role(found, told.name or told.role or entry.id)


def _space(found: Part, entry: Entry, told: Common) -> None:
    space = _thing("space", entry, told)
    if found.space is None:
        found.space = space
    elif _is_named(space) and space != found.space:
        _add(found, "things", space)


def _app(found: Part, entry: Entry, told: Common) -> None:
    app = _thing("app", entry, told)
    if found.app is None:
        found.app = app
    elif _is_named(app) and app != found.app:
        _add(found, "things", app)


@cache
def _products() -> frozenset[str]:
    return frozenset({*API_PRODUCTS, *read_table("vocabulary.toml")["products"].values()})


def _product(text: str) -> str | None:
    """Return a product by the name that we have for it; some events spell `Jira Software` or `jira-servicedesk`."""
    if text in _SPELLED:
        return _SPELLED[text]
    low = text[:MOST].strip().lower().replace("-", "_").replace(" ", "_")
    return next((one for one in _products() if low == one or low.startswith(f"{one}_")), None)


def _add_product(found: Part, text: str) -> None:
    product = _product(text)
    if product is None:
        return
    if found.product is None:
        found.product = product
    elif product != found.product and product not in found.more().products:
        _add(found, "products", product)


def _is_same(link: str, home: str) -> bool:
    """Say whether two addresses differ by a stroke at the end at most."""
    return len(link) <= len(home) + 1 and link.rstrip("/") == home.rstrip("/")


def _site(found: Part, entry: Entry, told: Common) -> None:
    """Read a site entry, which may also name the issue or page inside it."""
    home, link = told.siteHostName, entry.links.alt if entry.links is not None else None
    if link is not None and ("@" in link or not link.startswith(_HTTPS)):
        link = web_address(link)
    if home is None or "@" in home or not home.startswith(_HTTPS):
        home = web_address(home) or web_address(told.cloudUrl)
    inner = link if home is not None and link is not None and not _is_same(link, home) else None
    name = told.siteName or None
    if told.issueId or told.issueKeyOrId or told.issueKey or told.pageId:
        _inside(found, told, inner)
    else:
        name = name or told.name or None
    api_url = web_address(entry.links.self) if entry.links is not None and entry.links.self else None
    site = Thing("site", entry.id or None, None, name, home or (None if inner else link), None, api_url)
    if found.site is None:
        found.site = site
    elif site != found.site and _is_named(site):
        _add(found, "things", site)


def _inside(found: Part, told: Common, url: str | None) -> None:
    """Take the issue or page that a site entry names."""
    issue, key, page = told.issueId, told.issueKeyOrId or told.issueKey, told.pageId
    if key and key.isdigit():
        issue, key = issue or key, None
    if issue or key:
        content = Thing("issue", issue or None, key or None, None, url)
    else:
        content = Thing("page", page, None, told.name or None, url)
        if told.key:
            found.space = found.space or Thing("space", None, told.key)
    if found.content is None:
        found.content = content
    elif content != found.content:
        _add(found, "things", content)


def _organization(found: Part, entry: Entry, told: Common) -> None:
    """Read the organization, which is no content."""
    del entry
    found.organization = found.organization or told.name or None


def _nothing(found: Part, entry: Entry, told: Common) -> None:
    """Read an entry that is no thing."""
    del found, entry, told


def _setting(found: Part, entry: Entry, told: Any) -> None:
    """Read an entry that holds settings only; what it is called is what the setting is called."""
    del entry
    if told.is_common or not told.settingName:
        name = told.name or told.key or told.title
        if name and not name.isspace():
            _add(found, "changes", _change(name, told))


def _change(name: str, told: Any) -> Change:
    if told.is_common:
        return Change(name)
    return Change(name, told.oldValue or None, told.settingValues or None)


def _domain(found: Part, entry: Entry, told: Common) -> None:
    """Read a domain, which is content by itself and what the event is about."""
    _content(found, entry, told)
    name = told.name or (entry.id if entry.id and valid_host(entry.id) else None)
    if name and found.more().domain is None:
        found.more().domain = name.strip() or None


def _content(found: Part, entry: Entry, told: Common) -> None:
    thing = _thing(singular(entry.type or ""), entry, told)
    before = found.content
    if before is None:
        found.content = thing
    elif before.kind in _PLACES and thing.kind not in _PLACES:
        found.content = thing
        if found.space is None:
            found.space = before
        else:
            _add(found, "things", before)
    elif thing.kind in _PLACES and found.space is None:
        found.space = thing
    elif _is_named(thing) and thing != before:
        _add(found, "things", thing)


_READERS: dict[str | None, Callable[[Part, Entry, Common], None]] = {
    **dict.fromkeys(("users", "user", "invited-user", "invited-users", "account", "accounts"), _user),
    **dict.fromkeys(("groups", "group"), _group),
    **dict.fromkeys(("roles", "role"), _role),
    **dict.fromkeys(("space", "spaces"), _space),
    **dict.fromkeys(("apps", "app"), _app),
    **dict.fromkeys(("sites", "site"), _site),
    **dict.fromkeys(("orgs", "org", "organization", "organizations", "unit", "units"), _organization),
    **dict.fromkeys(("settings", "setting"), _setting),
    **dict.fromkeys(("", None), _nothing),
    **dict.fromkeys(("domains", "domain"), _domain),
}

_reader_of = _READERS.get


def fill(found: Part, entries: Iterable[Entry]) -> Part:
    """Add what entries say to a part, and return it."""
    for entry in entries:
        told = entry.attributes or _NO_ATTRIBUTES
        reader = _reader_of(entry.type, _content)
        reader(found, entry, told)
        if told.role and reader is not _user and reader is not _role:
            _add_role(found, told.role)
        product = told.product
        if product:
            if found.product is None and product in _SPELLED:
                found.product = _SPELLED[product]
            else:
                for one in _BETWEEN.split(product, maxsplit=MOST):
                    _add_product(found, one)
        if not told.is_common:
            _add_facts(found, told)
    return found


def _add_domain(found: Part, text: str) -> None:
    domain = text.strip()
    if not domain:
        return
    if found.more().domain is None:
        found.more().domain = domain
    elif domain != found.more().domain:
        _add(found, "things", Thing("domain", None, None, domain))


def _add_facts(found: Part, told: Any) -> None:
    """Take the facts that may stand in an entry of any type."""
    if told.permissionName:
        _add_role(found, told.permissionName)
    if told.settingName and not told.settingName.isspace():
        _add(found, "changes", _change(told.settingName, told))
    if told.domain:
        _add_domain(found, told.domain)


def add_named(found: Part, kind: Any, told: Mapping[str, Any]) -> None:
    """Take the people and groups that are named within attributes and were not named before."""
    left = [MOST_NAMED]
    known: set[str | None] | None = None
    for what, ident, name, email, role in named_in(
        told, left, _OWN_NAMES.get(_READERS.get(kind if type(kind) is str else None), "")
    ):
        if known is None:
            known = _known_in(found)
        own: set[str | None] = {one for one in (ident, email) if one} or {name}
        if own <= known:
            continue
        known |= own
        if what == "users":
            _user(found, Entry(ident), Common(name, email=email, role=role))
        elif what == "groups":
            _group(found, Entry(ident), Common(name))
        else:
            _add(found, _LISTS[what], Actor(ident, name, email))
    if left[0] < 0:
        found.more().cut = True


_OWN_NAMES: dict[Any, str] = {_user: "users", _group: "groups"}
_LISTS = {"behalf": "behalf", "others": "users"}


def _known_in(found: Part) -> set[str | None]:
    """Return how the people and groups that were found are known; people by name where they have nothing else."""
    rare = found.rare or NO_RARE
    known: set[str | None] = set()
    for person in (found.user, *rare.users, *rare.behalf):
        if person is not None:
            known |= {person.id, person.address} if person.id or person.address else {person.name}
    for thing in (found.group, *rare.things):
        if thing is not None and thing.kind == "group":
            known |= {thing.id, thing.name}
    return known - {None}
