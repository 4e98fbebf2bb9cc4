"""What a sink may not see does not leave, whatever shape an event has; what it may see stays usable."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.contracts import Secret
from forwarder.contracts.privacy import PrivacyConfig, preset
from forwarder.normalize.lenient import Unreadable
from forwarder.records.privacy import Privacy, build_privacy, privacy_of
from simulator.products.deeds import Deeds
from simulator.products.records import confluence_record, datacenter_entity, jira_record
from simulator.world import World
from tests.events import golden_bodies

FEEDS = ("organization", "jira", "confluence", "jira_datacenter")

# Members whose texts are the API's own, and times: said here a second time, without the tables.
OWN_WORDS = {
    *("type", "time", "processedAt", "action", "actionCategory", "authType", "accountType", "format", "role", "roles"),
    *("product", "products", "status", "outcome", "result", "permissionName", "settingName", "summary", "created"),
    *(
        "category",
        "eventSource",
        "typeName",
        "fieldName",
        "objectType",
        "timestamp",
        "categoryI18nKey",
        "actionI18nKey",
    ),
    *("key", "i18nKey", "nameI18nKey", "node", "method", "operations", "countryName"),
}
# The name of a site is its address; a field of a record has a name of the product's own.
OWN_PATHS = {("changedValues", "name"), ("extraAttributes", "name"), ("attributes", "siteName")}


def strictly_json(body: bytes) -> Any:
    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    return json.loads(body, parse_constant=refuse)


@cache
def documents(feed: str) -> tuple[dict[str, Any], ...]:
    """Return events of every shape that we know of a feed; they are shared, and not to be changed."""
    if feed == "organization":
        found = []
        for body in golden_bodies().values():
            try:
                tree = strictly_json(body)
                json.dumps(tree, allow_nan=False)  # a number that no double holds
            except ValueError:
                continue
            found += [tree] if isinstance(tree, dict) else []
        return tuple(found)
    world = World(3)
    deeds = Deeds(world, world.sites[0], "confluence" if feed == "confluence" else "jira", random.Random(3), oddities=3)
    make = {
        "jira": lambda deed: jira_record(deed, 1),
        "confluence": confluence_record,
        "jira_datacenter": lambda deed: datacenter_entity(deed, "jira", "node1"),
    }[feed]
    return tuple(make(deeds.at(1_700_000_000_000 + number)) for number in range(150))


def texts(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to every text of a tree, and to every name of a member in capitals."""
    if isinstance(tree, str):
        yield path
    elif isinstance(tree, list):
        for place, inner in enumerate(tree):
            yield from texts(inner, (*path, place))
    elif isinstance(tree, dict):
        for name, inner in tree.items():
            yield from texts(inner, (*path, name))


def is_own(path: tuple[Any, ...], tree: dict[str, Any]) -> bool:
    """Tell whether a text is the API's own by where it stands."""
    names = [part for part in path if isinstance(part, str)]
    if names[-1] in OWN_WORDS and not (names[-1] == "key" and "changedValues" not in names):
        return not {"settingValues", "links", "relations"} & set(names)
    if tuple(names[-2:]) in OWN_PATHS:
        return True
    entry: Any = tree
    for part in path[:-1]:
        entry = entry[part]
        if isinstance(entry, dict) and str(entry.get("type", "")).lower() in {"site", "sites"} and names[-1] == "name":
            return True
    return False


def context_of(path: tuple[Any, ...], tree: dict[str, Any]) -> tuple[str, ...]:
    """Return the types of the objects on the way to a text: they choose what a member is."""
    entry: Any = tree
    found = []
    for part in path[:-1]:
        entry = entry[part]
        if isinstance(entry, dict):
            found += [str(entry.get(name)) for name in ("type", "typeName", "objectType")]
    return tuple(found)


def planted(tree: dict[str, Any], path: tuple[Any, ...], canary: str) -> bytes:
    found = copy.deepcopy(tree)
    place: Any = found
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = canary
    return json.dumps(found).encode()


@cache
def strict() -> Privacy:
    """Return the strict privacy, which has been applied to other events before, as that of any daemon."""
    return build_privacy(preset("strict"))


@pytest.fixture
def key(tmp_path: Path) -> Secret:
    path = tmp_path / "pseudonyms.key"
    path.write_text("one key")
    return Secret(path=path)


def pseudonymous(key: Secret) -> Privacy:
    return build_privacy(
        PrivacyConfig(content="pseudonymise", names="pseudonymise", addresses="pseudonymise", ip="none", key=key)
    )


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize(
    "canary", ["canary bird", "canary.bird@example.com", "CANARY-77", "https://x.example/canary/1"]
)
def test_no_text_of_any_shape_gets_through(feed, canary, key):
    both = strict(), pseudonymous(key)
    tried = set()
    for tree in documents(feed):
        for path in texts(tree):
            kind = tuple(str(part) if isinstance(part, str) else "*" for part in path), context_of(path, tree)
            if kind in tried or is_own(path, tree):
                continue
            tried.add(kind)
            for privacy in both:
                seen = privacy.apply(feed, planted(tree, path, canary)).lower()
                assert b"canary" not in seen, (path, seen)
    assert len(tried) >= {"organization": 100, "jira": 20, "confluence": 12, "jira_datacenter": 20}[feed]


@pytest.mark.parametrize("feed", [*FEEDS, "a_feed_that_no_table_knows"])
@pytest.mark.parametrize("place", ["top", "inside"])
def test_names_of_unknown_members_do_not_get_through(feed, place, key):
    for privacy in (strict(), pseudonymous(key)):
        for tree in documents(feed if feed in FEEDS else "jira")[:20]:
            odd = {"canary of a name": {"canary": ["canary", {"canary": 1}]}}
            shown = {**tree, **odd} if place == "top" else {**tree, "attributes": odd, "objectItem": odd, "author": odd}
            assert b"canary" not in privacy.apply(feed, json.dumps(shown).encode())


def test_a_member_that_stands_twice_hides_nothing():
    body = b'{"id":"1","message":{"content":"canary"},"message":null}'
    assert b"canary" not in strict().apply("organization", body)


def test_what_is_not_json_is_not_shown():
    with pytest.raises(Unreadable):
        strict().apply("organization", b"canary")


@pytest.mark.parametrize("feed", FEEDS)
def test_ids_times_and_the_products_own_words_stay(feed):
    for tree in documents(feed):
        seen = json.loads(strict().apply(feed, json.dumps(tree).encode()))
        for name in ("summary", "category", "created", "creationDate", "timestamp"):
            assert seen.get(name) == tree.get(name)
        original, shown = tree.get("attributes"), seen.get("attributes")
        if feed == "organization" and isinstance(original, dict) and isinstance(original.get("action"), str):
            assert shown.get("action") == original.get("action")
            if str(original.get("time"))[:1].isdigit():
                assert shown.get("time") == original.get("time")


def test_nothing_changes_in_what_is_stored():
    config = PrivacyConfig()
    assert not build_privacy(config).active
    one = build_privacy(PrivacyConfig(ip="network"))
    body = json.loads(golden_bodies()["project_created"])
    seen = json.loads(one.apply("organization", json.dumps(body).encode()))
    assert seen["attributes"].pop("location") == {"ip": "203.0.113.0", "countryName": "Ukraine"}
    del body["attributes"]["location"]
    assert seen == body


@pytest.mark.parametrize(
    ("ip", "network"),
    [("203.0.113.155", "203.0.113.0"), ("2001:db8:1:2::3", "2001:db8:1::"), ("::ffff:203.0.113.9", "203.0.113.0")],
)
def test_the_network_of_an_address(ip, network):
    seen = build_privacy(PrivacyConfig(ip="network")).apply("jira", json.dumps({"remoteAddress": ip}).encode())
    assert json.loads(seen) == {"remoteAddress": network}


@pytest.mark.parametrize("odd", ["203.0.113.155:80", "host.example.com", "", 7, ["203.0.113.155"]])
def test_what_is_no_address_has_no_network(odd):
    seen = json.loads(
        build_privacy(PrivacyConfig(ip="network")).apply("jira", json.dumps({"remoteAddress": odd}).encode())
    )
    assert seen in ({}, {"remoteAddress": ""})


@pytest.mark.parametrize(
    ("link", "left"),
    [
        ("https://a.example.net/browse/WEB-1?x=secret#y", "https://a.example.net/browse"),
        ("https://a.example.net/wiki/spaces/ENG/pages/123/Title", "https://a.example.net/wiki/spaces"),
        ("https://admin.example.net/o/12345/users/557058", "https://admin.example.net/o/12345/users/557058"),
        ("https://user:pass@a.example.net:8443/x", "https://a.example.net:8443"),
        ("javascript:alert(1)", None),
        ("not a link at all", None),
        ("https://[::1", None),
    ],
)
def test_a_link_ends_before_what_users_wrote(link, left):
    body = json.dumps({"links": {"alt": link}}).encode()
    assert json.loads(strict().apply("organization", body)) == {"links": {"alt": left} if left else {}}


def test_the_same_text_has_the_same_pseudonym_in_every_sink_and_feed_with_the_key(key, tmp_path):
    one, two = pseudonymous(key), pseudonymous(Secret(path=key.path))
    org = {"attributes": {"actor": {"id": "557058", "name": "Ada", "email": "Ada@Example.com"}}}
    seen = [json.loads(p.apply("organization", json.dumps(org).encode()))["attributes"]["actor"] for p in (one, two)]
    assert seen[0] == seen[1]
    assert seen[0]["id"] == "557058"
    assert seen[0]["email"].endswith("@pseudonym.invalid")
    lower = {"attributes": {"actor": {"email": "ada@example.com"}}}
    assert (
        json.loads(one.apply("organization", json.dumps(lower).encode()))["attributes"]["actor"]["email"]
        == seen[0]["email"]
    )
    author = json.loads(one.apply("confluence", json.dumps({"author": {"displayName": "Ada"}}).encode()))
    assert author["author"]["displayName"] == seen[0]["name"]
    other = tmp_path / "other.key"
    other.write_text("another key")
    three = json.loads(pseudonymous(Secret(path=other)).apply("organization", json.dumps(org).encode()))
    assert three["attributes"]["actor"]["name"] != seen[0]["name"]


def test_a_key_that_is_gone_stops_what_needs_it(key):
    privacy = pseudonymous(key)
    key.path.unlink()
    with pytest.raises(OSError, match="pseudonyms"):
        privacy.apply("jira", b'{"authorKey":"Ada"}')


def test_a_product_that_acts_by_itself_is_no_person():
    body = {"author": {"displayName": "System"}}
    assert json.loads(strict().apply("confluence", json.dumps(body).encode())) == body


def test_a_sink_that_is_gone_is_shown_nothing_that_could_be_private():
    assert b"Ada" not in privacy_of(None)("jira", b'{"objectItem":{"typeName":"USER","name":"Ada"}}')
    assert b"canary" not in privacy_of(None)("jira", b"canary")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(st.sampled_from([*FEEDS, "other"]), st.dictionaries(st.sampled_from(["id", "attributes", "message", "author",
       "objectItem", "affectedObjects", "type", "changedValues", "source", "x"]), json_values))  # fmt: skip
def test_any_shape_is_taken(feed, tree):
    body = json.dumps(tree).encode()
    assert isinstance(json.loads(strict().apply(feed, body)), dict)
