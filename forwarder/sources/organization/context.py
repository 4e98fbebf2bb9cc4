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
from forwarder.normalize.accounts import kind_of_account
from forwarder.normalize.addresses import valid_host, valid_mail, web_address
from forwarder.normalize.secret_values import is_secret, readable
from forwarder.normalize.singulars import singular
from forwarder.sources.organization.entries import MOST, Common, Entry
from forwarder.sources.organization.facts import NO_RARE, Facts
from forwarder.sources.organization.nested import MOST_NAMED, mentions_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


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


def _add(facts: Facts, name: str, one: Any) -> None:
    """Add to a list of `RareFacts`, which is bounded."""
    rare = facts.more()
    known: list[Any] = getattr(rare, name)
    if len(known) < MOST_ENTRIES:
        known.append(one)
    else:
        rare.cut = True


def _add_once(facts: Facts, name: str, one: Any) -> None:
    """Add to a set of `RareFacts`, in order; it is bounded as well."""
    rare = facts.more()
    known: dict[Any, None] = getattr(rare, name)
    if one in known or len(known) < MOST_ENTRIES:
        known[one] = None
    else:
        rare.cut = True


def _thing(kind: str, entry: Entry, texts: Common, name: str | None = None) -> Thing:
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
        texts.key or None,
        name or texts.name or texts.title or None,
        url,
        texts.vendor or None,
        api_url,
    )


def _is_named(thing: Thing) -> bool:
    return bool(thing.id or thing.key or thing.name or thing.url)


def _user(facts: Facts, entry: Entry, texts: Common) -> None:
    ident, address = entry.id or None, texts.email
    if texts.role:
        _role_of(facts, entry, texts)
    if texts.groupName:
        _group(facts, _NO_ENTRY, Common(groupName=texts.groupName))
    if ident is not None and "@" in ident and valid_mail(ident):  # an invited person has no account yet
        ident, address = None, address or ident
    mail = address if address and valid_mail(address) else None
    if ident or mail or texts.name:
        user = Actor(ident, texts.name or None, mail, kind_of_account(texts.accountType) if texts.accountType else None)
        if facts.user is None:
            facts.user = user
        elif user != facts.user:
            _add(facts, "users", user)


def _role_of(facts: Facts, entry: Entry, texts: Common) -> None:
    """Take the role of a user; further ones count beside it where they are the same user's."""
    if facts.role is None:
        facts.role = texts.role
    elif not (entry.id or texts.email or texts.name) and texts.role not in (facts.role, *facts.more().roles):
        _add(facts, "roles", texts.role)


def _group(facts: Facts, entry: Entry, texts: Common) -> None:
    if entry.id or texts.groupName or texts.name:
        group = _thing("group", entry, texts, texts.groupName)
        if facts.group is None:
            facts.group = group
        elif group != facts.group:
            _add(facts, "things", group)


def _add_role(facts: Facts, role: str | None) -> None:
    """Take a role that stands for itself; others count beside it only if that one does so, too."""
    if not role:
        return
    rare = facts.more()
    if facts.role is None:
        facts.role, rare.named = role, True
    elif rare.named and role != facts.role and role not in rare.roles:
        _add(facts, "roles", role)


def _role(facts: Facts, entry: Entry, texts: Common) -> None:
    _add_role(facts, texts.name or texts.role or entry.id)


def _space(facts: Facts, entry: Entry, texts: Common) -> None:
    space = _thing("space", entry, texts)
    if facts.space is None:
        facts.space = space
    elif _is_named(space) and space != facts.space:
        _add(facts, "things", space)


def _app(facts: Facts, entry: Entry, texts: Common) -> None:
    app = _thing("app", entry, texts)
    if facts.app is None:
        facts.app = app
    elif _is_named(app) and app != facts.app:
        _add(facts, "things", app)


@cache
def _products() -> frozenset[str]:
    return frozenset({*API_PRODUCTS, *read_table("vocabulary.toml")["products"].values()})


def _product(text: str) -> str | None:
    """Return a product by the name that we have for it; some events spell `Jira Software` or `jira-servicedesk`."""
    if text in _SPELLED:
        return _SPELLED[text]
    low = text[:MOST].strip().lower().replace("-", "_").replace(" ", "_")
    return next((one for one in _products() if low == one or low.startswith(f"{one}_")), None)


def _add_product(facts: Facts, text: str) -> None:
    product = _product(text)
    if product is None:
        return
    if facts.product is None:
        facts.product = product
    elif product != facts.product and product not in facts.more().products:
        _add(facts, "products", product)


def _is_same(link: str, home: str) -> bool:
    """Say whether two addresses differ by a stroke at the end at most."""
    return len(link) <= len(home) + 1 and link.rstrip("/") == home.rstrip("/")


def _site(facts: Facts, entry: Entry, texts: Common) -> None:
    """Read a site entry, which may also name the issue or page inside it."""
    home, link = texts.siteHostName, entry.links.alt if entry.links is not None else None
    if link is not None and ("@" in link or not link.startswith(_HTTPS)):
        link = web_address(link)
    if home is None or "@" in home or not home.startswith(_HTTPS):
        home = web_address(home) or web_address(texts.cloudUrl)
    inner = link if home is not None and link is not None and not _is_same(link, home) else None
    name = texts.siteName or (texts.siteHostName if home is None else None) or None
    if texts.issueId or texts.issueKeyOrId or texts.issueKey or texts.pageId:
        _inside(facts, texts, inner)
    else:
        name = name or texts.name or None
    api_url = web_address(entry.links.self) if entry.links is not None and entry.links.self else None
    _add_site(facts, Thing("site", entry.id or None, None, name, home or (None if inner else link), None, api_url))
    if texts.cloudUrl and home and _host(texts.cloudUrl) != _host(home):
        _add_site(facts, Thing("site", None, None, None, web_address(texts.cloudUrl)))


def _add_site(facts: Facts, site: Thing) -> None:
    if facts.site is None:
        facts.site = site
    elif site != facts.site and _is_named(site):
        _add(facts, "things", site)


def _host(address: str) -> str:
    """Return the host of an address, which may be written without its scheme."""
    return (web_address(address) or address).partition("://")[2].partition("/")[0].lower()


def _site_of(facts: Facts, texts: Common) -> None:
    """Take the site that an entry of another kind says it lies on."""
    url = web_address(texts.siteHostName) or web_address(texts.cloudUrl)
    site = Thing("site", None, None, texts.siteName or (None if url else texts.siteHostName) or None, url)
    if _is_named(site):
        _add_once(facts, "sites", site)


def _inside(facts: Facts, texts: Common, url: str | None) -> None:
    """Take the issue or page that a site entry names."""
    issue, key, page = texts.issueId, texts.issueKeyOrId or texts.issueKey, texts.pageId
    if key and key.isdigit():
        issue, key = issue or key, None
    if issue or key:
        content = Thing("issue", issue or None, key or None, None, url)
    else:
        content = Thing("page", page, None, texts.name or None, url)
        if texts.key:
            facts.space = facts.space or Thing("space", None, texts.key)
    if facts.content is None:
        facts.content = content
    elif content != facts.content:
        _add(facts, "things", content)


def _organization(facts: Facts, entry: Entry, texts: Common) -> None:
    """Read the organization, which is no content."""
    del entry
    facts.organization = facts.organization or texts.name or None


def _nothing(facts: Facts, entry: Entry, texts: Common) -> None:
    """Read an entry that is no thing."""
    del facts, entry, texts


def _setting(facts: Facts, entry: Entry, texts: Any) -> None:
    """Read an entry that holds settings only; what it is called is what the setting is called."""
    del entry
    if texts.is_common or not texts.settingName:
        name = texts.name or texts.key or texts.title
        if name and not name.isspace():
            _add(facts, "changes", _change(name, texts))


def _change(name: str, texts: Any) -> Change:
    if texts.is_common:
        return Change(name)
    secret = is_secret(name)
    return Change(name, readable(texts.oldValue, secret=secret), readable(texts.settingValues, secret=secret))


def _domain(facts: Facts, entry: Entry, texts: Common) -> None:
    """Read a domain, which is content by itself and what the event is about."""
    _content(facts, entry, texts)
    name = texts.name or (entry.id if entry.id and valid_host(entry.id) else None)
    if name and facts.more().domain is None:
        facts.more().domain = name.strip() or None


def _content(facts: Facts, entry: Entry, texts: Common) -> None:
    thing = _thing(singular(entry.type or ""), entry, texts)
    before = facts.content
    if before is None:
        facts.content = thing
    elif before.kind in _PLACES and thing.kind not in _PLACES:
        facts.content = thing
        if facts.space is None:
            facts.space = before
        else:
            _add(facts, "things", before)
    elif thing.kind in _PLACES and facts.space is None:
        facts.space = thing
    elif _is_named(thing) and thing != before:
        _add(facts, "things", thing)


_READERS: dict[str | None, Callable[[Facts, Entry, Common], None]] = {
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


def fill(facts: Facts, entries: Iterable[Entry]) -> Facts:
    """Add what entries say to a part, and return it."""
    for entry in entries:
        texts = entry.attributes or _NO_ATTRIBUTES
        reader = _reader_of(entry.type, _content)
        reader(facts, entry, texts)
        if texts.role and reader is not _user and reader is not _role:
            _add_role(facts, texts.role)
        if reader is not _site and (texts.siteHostName or texts.siteName or texts.cloudUrl):
            _site_of(facts, texts)
        product = texts.product
        if product:
            if facts.product is None and product in _SPELLED:
                facts.product = _SPELLED[product]
            else:
                for one in _BETWEEN.split(product, maxsplit=MOST):
                    _add_product(facts, one)
        if not texts.is_common:
            _add_facts(facts, texts)
    return facts


def _add_domain(facts: Facts, text: str) -> None:
    domain = text.strip()
    if not domain:
        return
    if facts.more().domain is None:
        facts.more().domain = domain
    elif domain != facts.more().domain:
        _add(facts, "things", Thing("domain", None, None, domain))


def _add_facts(facts: Facts, texts: Any) -> None:
    """Take the facts that may stand in an entry of any type."""
    if texts.permissionName:
        _add_role(facts, texts.permissionName)
    if texts.settingName and not texts.settingName.isspace():
        _add(facts, "changes", _change(texts.settingName, texts))
    if texts.domain:
        _add_domain(facts, texts.domain)


def add_mentioned(facts: Facts, kind: Any, texts: Mapping[str, Any]) -> None:
    """Take the people and groups that are named within attributes and were not named before."""
    left = [MOST_NAMED]
    known: set[str | None] | None = None
    for what, ident, name, email, role in mentions_in(
        texts, left, _OWN_NAMES.get(_READERS.get(kind if type(kind) is str else None), "")
    ):
        if known is None:
            known = _known_in(facts)
        own: set[str | None] = {one for one in (ident, email) if one} or {name}
        if own <= known:
            continue
        known |= own
        if what == "users":
            _user(facts, Entry(ident), Common(name, email=email, role=role))
        elif what == "groups":
            _group(facts, Entry(ident), Common(name))
        else:
            _add(facts, _LISTS[what], Actor(ident, name, email))
    if left[0] < 0:
        facts.more().cut = True


_OWN_NAMES: dict[Any, str] = {_user: "users", _group: "groups"}
_LISTS = {"behalf": "behalf", "others": "users"}


def _known_in(facts: Facts) -> set[str | None]:
    """Return how the people and groups that were found are known; people by name where they have nothing else."""
    rare = facts.rare or NO_RARE
    known: set[str | None] = set()
    for person in (facts.user, *rare.users, *rare.behalf):
        if person is not None:
            known |= {person.id, person.address} if person.id or person.address else {person.name}
    for thing in (facts.group, *rare.things):
        if thing is not None and thing.kind == "group":
            known |= {thing.id, thing.name}
    return known - {None}
