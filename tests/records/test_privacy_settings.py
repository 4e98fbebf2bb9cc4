"""What can be set of a privacy, and that each setting does what it says, on both ways through it."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from pydantic import ValidationError

from forwarder.contracts import Secret
from forwarder.contracts.privacy import PRESETS, Preset, PrivacyConfig
from forwarder.normalize.lenient import read_tree
from forwarder.records.privacy import build_privacy
from forwarder.records.privacy.kinds import NOT_PEOPLE
from forwarder.records.privacy.quick import LOOK_AFTER, MOST_KEPT, WHOLE_FOR
from forwarder.records.privacy.rules import odd_paths
from forwarder.records.privacy.tables import CONFLUENCE, DATACENTER, GUARD_DETECT, JIRA, ORGANIZATION, TABLES, ByType
from forwarder.registry import SOURCES
from forwarder.sources.confluence import normalizer as confluence
from forwarder.sources.datacenter import normalizer as datacenter
from forwarder.sources.guard_detect import normalizer as guard_detect
from forwarder.sources.jira import normalizer as jira
from forwarder.sources.organization.shapes import Event
from tests.records.test_privacy import documents

PAGE = {
    "id": "606a97f7-b9d3-4ad1-8f0d-1f2ad1a41c43",
    "attributes": {
        "time": "2024-10-03T10:44:26.457Z",
        "action": "confluence_page_updated",
        "actor": {"id": "557058:bd955be1-0c53-4a51-8f0e-3f2a1c9d7e11", "name": "Nora", "email": "nora@example.com"},
        "context": [
            {"id": "98310", "type": "page", "attributes": {"title": "Plan by nora@example.com", "spaceKey": "OPS"}},
            {"id": "55", "type": "space", "attributes": {"name": "Operations", "key": "OPS"}},
            {"id": "8d2e1c44aa11", "type": "groups", "attributes": {"groupName": "ops", "settingValues": {"a": "on"}}},
        ],
        "location": {"ip": "203.0.113.155", "city": "Kyiv", "countryName": "Ukraine"},
    },
    "message": {"content": "Nora changed Plan", "format": "simple"},
}


def seen(config: PrivacyConfig, body: dict[str, Any] | None = None, feed: str = "organization") -> Any:
    return json.loads(build_privacy(config).apply(feed, json.dumps(body or PAGE).encode()))


def attributes(config: PrivacyConfig, entry: int) -> Any:
    return seen(config)["attributes"]["context"][entry]["attributes"]


@pytest.mark.parametrize(
    ("kind", "entry", "kept"),
    [
        ("titles", 0, {"title": "Plan by nora@example.com"}),
        ("keys", 0, {"spaceKey": "OPS"}),
        ("spaces", 1, {"name": "Operations"}),
        ("groups", 2, {"groupName": "ops"}),
        ("changes", 2, {"settingValues": {"a": "on"}}),
    ],
)
def test_a_kind_of_content_may_stay_alone(kind, entry, kept):
    config = PrivacyConfig(preset="no_content", kinds={kind: "store"})
    assert attributes(config, entry) == kept
    assert attributes(PrivacyConfig(preset="no_content"), entry) == {}


def test_a_preset_is_where_settings_begin():
    assert PrivacyConfig.model_validate("strict").treatments() == PrivacyConfig(preset="strict").treatments()
    actor = seen(PrivacyConfig(preset="strict", names="store"))["attributes"]["actor"]
    assert actor == {"id": PAGE["attributes"]["actor"]["id"], "name": "Nora"}
    assert get_args(Preset) == tuple(PRESETS)


@pytest.mark.parametrize("stored", ["titles", "keys", "spaces", "groups"])
@pytest.mark.parametrize("content", ["drop", "pseudonymise"])
def test_an_id_that_somebody_wrote_is_treated_like_the_strictest_that_it_may_be(stored, content, tmp_path):
    (tmp_path / "key").write_text("one key")
    config = PrivacyConfig(content=content, kinds={stored: "store"}, key=Secret(path=tmp_path / "key"))
    entry = {"type": "page", "id": "My Secret Title", "attributes": {"title": "My Secret Title"}}
    shown = seen(config, {"attributes": {"context": [entry]}})["attributes"]["context"][0]
    assert str(shown.get("id", "content-")).startswith("content-")


def test_a_sentence_and_a_link_stay_only_with_everything_they_may_hold():
    for name in ("titles", "keys", "spaces", "groups"):
        assert "content" not in seen(PrivacyConfig(kinds={name: "drop"}))["message"]
    for name in ("names", "addresses"):
        assert "content" not in seen(PrivacyConfig(**{name: "drop"}))["message"]
    assert seen(PrivacyConfig(preset="strict", kinds={"messages": "store"}))["message"] == PAGE["message"]


def test_what_is_stored_loses_the_addresses_in_it():
    page = attributes(PrivacyConfig(addresses="drop"), 0)
    assert page["title"] == "Plan by [address]"
    body = {"changedValues": [{"fieldName": "x", "changedFrom": "from 203.0.113.155, 2001:db8::1 and 1.2.3"}]}
    config = PrivacyConfig(ip="network", kinds={"changes": "store"})
    assert seen(config, body, "jira")["changedValues"][0]["changedFrom"] == "from 203.0.113.0, 2001:db8:: and 1.2.3"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("host 10.1.2.3:8443", "host [ip]:8443"),
        ("IP:10.1.2.3", "IP:[ip]"),
        ("db10.1.2.3", "db[ip]"),
        ("IP:2001:db8::1", "IP:[ip]"),
        ("[2001:db8::1]:443", "[[ip]]:443"),
        ("10.001.2.003", "[ip]"),
        ("10.1.2.3/24, 10.1.2.3-10.1.2.9.", "[ip]/24, [ip]-[ip]."),
        ("v1.2.3, 1.2.3.4.5, 999.1.1.1, 12:30:45, aa:bb:cc:dd:ee:ff, ::", None),
        ('"alice smith"@example.com', "[address]"),
        ("alice\uff20example.com", "[address]"),
        ("q=alice%40example.com&x", "q=[address]&x"),
        ("o'brien@example.com", "[address]"),
        ("'alice@example.com' and 'x'", "'[address]' and 'x'"),
        ("cc <alice@example.com>, bo@example.com.", "cc <[address]>, [address]."),
        ("%40 @ a @ b", None),
    ],
)
def test_an_address_in_a_text_is_found_however_it_is_written(text, left):
    config = PrivacyConfig(preset="strict", kinds={"changes": "store", "titles": "store"})
    body = {"changedValues": [{"fieldName": "x", "changedTo": text}]}
    assert seen(config, body, "jira")["changedValues"][0]["changedTo"] == (left or text)
    page = {"attributes": {"context": [{"type": "page", "attributes": {"title": text}}]}}
    assert seen(config, page)["attributes"]["context"][0]["attributes"]["title"] == (left or text)


def test_a_phrase_of_the_products_own_loses_addresses_as_well():
    assert seen(PrivacyConfig(preset="no_persons"), {"summary": "Login from 10.1.2.3"}, "jira") == {
        "summary": "Login from [ip]"
    }
    assert seen(PrivacyConfig(preset="no_persons"), {"summary": "Login of a%40example.com"}, "jira") == {}


@pytest.mark.parametrize(
    "body",
    [
        "a" * 300_000 + " b@example.com",
        "%40" * 100_000 + "@",
        '"' * 200_000 + "a@",
        "1.2.3." * 50_000,
        "a:" * 100_000 + "x",
    ],
)
def test_a_long_text_is_looked_through_once(body):
    calls = PrivacyConfig(preset="strict", kinds={"changes": "store"})
    made = seen(calls, {"changedValues": [{"fieldName": "x", "changedTo": body}]}, "jira")  # hours, were it not so
    assert "@example.com" not in made["changedValues"][0]["changedTo"]


PSEUDONYMS = {"names": "pseudonymise", "addresses": "pseudonymise"}


def test_a_pseudonym_is_the_same_wherever_its_text_stands(tmp_path):
    (tmp_path / "key").write_text("one key")
    key = Secret(path=tmp_path / "key")
    body = {"attributes": {"actor": {"id": "557058", "name": "Alice", "email": "alice@example.com"}}}
    by_setting = seen(PrivacyConfig(**PSEUDONYMS, key=key), body)["attributes"]["actor"]
    fields = {f"attributes.actor.{name}": "pseudonymise" for name in ("name", "email")}
    assert seen(PrivacyConfig(fields=fields, key=key), body)["attributes"]["actor"] == by_setting
    everywhere = {"attributes.*.name": "pseudonymise", "attributes.*.email": "pseudonymise"}
    assert seen(PrivacyConfig(fields=everywhere, key=key), body)["attributes"]["actor"] == by_setting
    config = PrivacyConfig(**PSEUDONYMS, kinds={"changes": "store"}, key=key)
    record = {
        "changedValues": [{"fieldName": "x", "changedTo": "cc alice@example.com."}],
        "objectItem": {"typeName": "USER", "name": "Alice@example.com"},
    }
    found = seen(config, record, "jira")
    assert found["changedValues"][0]["changedTo"] == f"cc {by_setting['email']}."
    assert found["objectItem"]["name"] == by_setting["email"]


@pytest.mark.parametrize("paths", [("location.ip", "actor.email", "actor.name"), ("location", "actor")])
def test_what_a_rule_stores_is_stored_as_it_is(paths):
    config = PrivacyConfig(preset="strict", fields={f"attributes.{path}": "store" for path in paths})
    found = seen(config)["attributes"]
    assert found["location"]["ip"] == "203.0.113.155"
    assert (found["actor"]["email"], found["actor"]["name"]) == ("nora@example.com", "Nora")
    titled = PrivacyConfig(preset="strict", fields={"attributes.context.attributes.title": "store"})
    assert attributes(titled, 0) == {"title": "Plan by [address]"}, "a text, in which an address stands"


PERSONS = ["PERSON", "Persons", "people", "members", "person", "invitee", "Collaborators", " user", "User!", "External users",
           "workspace-member", "Benutzer", "utilisateur"]  # fmt: skip


@pytest.mark.parametrize("type_name", [*PERSONS, ["user"], None, "", 7, [], {"a": 1}])
def test_who_is_a_person_by_type_is_one_in_every_feed(type_name):
    config = PrivacyConfig(preset="no_persons")
    item = {"id": "7", "name": "Alice Smith"}
    entry = {"type": type_name, "id": "7", "attributes": {"name": "Alice Smith", "title": "Alice Smith"}}
    for feed, body in (
        ("organization", {"attributes": {"context": [entry], "container": [entry]}}),
        ("jira", {"objectItem": {**item, "typeName": type_name}, "associatedItems": [{**item, "typeName": type_name}]}),
        ("confluence", {"affectedObject": {**item, "objectType": type_name}}),
        ("jira_datacenter", {"affectedObjects": [{**item, "type": type_name}]}),
        ("guard_detect", {"activity": {"subject": {**item, "type": type_name}}}),
    ):
        assert "Alice" not in json.dumps(seen(config, body, feed)), feed


@pytest.mark.parametrize(
    "sign",
    [{"id": "JIRAUSER10000"}, {"id": "557058:bd955be1-0c53-4a51-8f0e-3f2a1c9d7e11"}, {"id": "5b10ac8d82e05b22cc7d4ef5"},
     {"attributes": {"email": "a@example.com"}}, {"attributes": {"account_type": "atlassian"}}, {"emailAddress": ""}],
)  # fmt: skip
def test_what_bears_the_signs_of_a_person_is_one_whatever_its_type(sign):
    named = {"type": "Quokka", "name": "Alice Smith", **sign}
    named["attributes"] = {"name": "Alice Smith", **sign.get("attributes", {})}
    for privacy in ("no_persons", "strict"):
        assert "Alice" not in str(seen(PrivacyConfig(preset=privacy), {"attributes": {"context": [named]}}))
        assert "Alice" not in str(seen(PrivacyConfig(preset=privacy), {"affectedObjects": [named]}, "jira_datacenter"))


@pytest.mark.parametrize("kind", ["WORKFLOW", "CUSTOM_FIELD", "page", "things", "user-directories", "api_token"])
def test_a_thing_keeps_its_title_where_only_persons_are_private(kind):
    item = {"typeName": kind, "id": "7", "name": "Review"}
    assert seen(PrivacyConfig(preset="no_persons"), {"objectItem": item}, "jira") == {"objectItem": item}


@pytest.mark.parametrize(
    "when", ["2024-01-02t03:04:05,5z", "2024-01-02T03:04:05Z", "2024-01-02 03:04:05.123456789 +0100"]
)
def test_a_time_stays_as_it_is_written(when):
    assert seen(PrivacyConfig(preset="strict"), {"attributes": {"time": when}}) == {"attributes": {"time": when}}


def test_where_only_the_addresses_of_machines_are_private_everything_else_stays():
    found = seen(PrivacyConfig(ip="none"))
    assert found["attributes"].pop("location") == {"countryName": "Ukraine"}
    assert found == {**PAGE, "attributes": {k: v for k, v in PAGE["attributes"].items() if k != "location"}}


@pytest.mark.parametrize(
    ("rules", "title", "key"),
    [
        ({"attributes.context.attributes.title": "store"}, True, False),
        ({"attributes.context.attributes": "store"}, True, True),
        ({"attributes.context.attributes": "store", "attributes.context.attributes.title": "drop"}, False, True),
        ({"attributes.*.attributes.title": "store"}, True, False),
        ({"attributes.context.*.spaceKey": "store"}, False, True),
    ],
)
def test_a_rule_for_a_field_counts_more_than_its_kind(rules, title, key):
    found = attributes(PrivacyConfig(preset="strict", fields=rules), 0)
    assert ("title" in found, "spaceKey" in found) == (title, key)


def test_a_rule_can_name_a_member_that_no_table_knows():
    body = {"attributes": {"brandNew": {"inside": "a", "beside": "b"}}}
    config = PrivacyConfig(preset="strict", fields={"attributes.brandNew.inside": "store"})
    assert seen(config, body) == {"attributes": {"brandNew": {"inside": "a"}}}


def test_a_rule_leaves_out_what_all_else_would_store():
    found = seen(PrivacyConfig(fields={"attributes.actor.name": "drop", "id": "drop"}))
    assert "name" not in found["attributes"]["actor"]
    assert "id" not in found
    assert found["message"] == PAGE["message"]


@pytest.mark.parametrize(
    ("path", "fix"),
    [
        ("attribute.context", "attributes.context"),
        ("attributes.contxt.attributes", "attributes.context.attributes"),
        ("attributes.context.attributes.titlee", "attributes.context.attributes.title"),
        ("nothing_like_it", "begins with one of"),
        ("message.contents", "message.content"),
    ],
)
def test_a_path_that_is_nearly_right_is_named(path, fix):
    [(odd, fault)] = odd_paths([path])
    assert odd == path
    assert fix in fault


@pytest.mark.parametrize(
    "path", ["attributes.context.attributes.title", "attributes.*.id", "objectItem.name", "attributes.brandNew.x"]
)
def test_a_path_that_may_be_meant_is_taken(path):
    assert not [*odd_paths([path])]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("strickt", "did you mean strict"),
        ({"preset": "no_contents"}, "did you mean no_content"),
        ({"kinds": {"messages": "pseudonymise"}}, "need a key"),
        ({"fields": {"id": "pseudonymise"}}, "need a key"),
        ({"fields": {"attributes..x": "drop"}}, "nothing in it"),
        ({"fields": {"id": "hash"}}, "store"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings, words):
    with pytest.raises(ValidationError, match=words):
        PrivacyConfig.model_validate(settings)


def test_what_users_wrote_in_a_link_may_have_a_pseudonym(tmp_path):
    (tmp_path / "key").write_text("one key")
    config = PrivacyConfig(content="pseudonymise", kinds={"links": "pseudonymise"}, key=Secret(path=tmp_path / "key"))
    links = [seen(config, {"links": {"alt": f"https://a.example.net/browse/{key}"}})["links"] for key in ("X-1", "X-2")]
    assert all(each["alt"].startswith("https://a.example.net/browse/content-") for each in links)
    assert links[0] != links[1]


def without_absent(tree: Any) -> Any:
    if isinstance(tree, dict):
        found = {name: without_absent(inner) for name, inner in tree.items()}
        return {
            name: inner
            for name, inner in found.items()
            if inner not in (None, "") and not (isinstance(inner, str) and inner.casefold() in NOT_PEOPLE)
        }
    return [without_absent(inner) for inner in tree] if isinstance(tree, list) else tree


HIDDEN = {"content": "pseudonymise", "names": "pseudonymise", "addresses": "pseudonymise"}


@pytest.mark.parametrize(
    "settings",
    [
        *({"preset": preset} for preset in ("no_content", "no_persons", "strict")),
        {"preset": "strict", "ip": "network"},
        {**HIDDEN, "ip": "network"},
        {**HIDDEN, "kinds": {"unknown": "drop", "links": "pseudonymise"}},
        {**HIDDEN, "kinds": {"links": "store"}},
        {"names": "pseudonymise", "addresses": "drop", "kinds": {"messages": "pseudonymise"}},
        {**HIDDEN, "fields": {"attributes.location": "drop"}},
    ],
    ids=str,
)
def test_the_short_way_ends_where_the_long_one_does(settings):
    privacy = build_privacy(PrivacyConfig.model_validate({**settings, "key": Secret("one key")}))
    quick, change = privacy._quick("organization"), privacy._change("organization")
    taken = 0
    for tree in [*documents("organization"), PAGE]:
        raw = json.dumps(tree).encode()
        if (short := quick.apply(raw)) is not None:
            taken += 1
            assert without_absent(json.loads(short)) == without_absent(change(read_tree(raw)[0]))
    assert taken > 50


def nothing_else(tree: dict[str, Any]) -> dict[str, Any]:
    names = ("actor", "context", "container", "location")
    return tree | {"attributes": {name: inner for name, inner in tree["attributes"].items() if name in names}}


@pytest.mark.parametrize(
    "settings", [{"preset": "no_content"}, {"preset": "no_persons"}, {"preset": "strict", "ip": "network"}], ids=str
)
def test_what_came_before_is_seen_as_it_was_seen_then(settings):
    """Parts of events that come again are not made anew: whatever stands beside them, they are the same."""
    privacy = build_privacy(PrivacyConfig.model_validate(settings))
    change = privacy._change("organization")
    attributes = [tree.get("attributes") for tree in [*documents("organization"), PAGE]]
    attributes = [each for each in attributes if type(each) is dict]
    for first, second in itertools.product(attributes[:40], attributes[-15:]):
        tree = PAGE | {"attributes": first | {"actor": second.get("actor"), "location": second.get("location")}}
        for each in (tree, nothing_else(tree)):
            seen_now = json.loads(privacy.apply("organization", json.dumps(each).encode()))
            assert without_absent(seen_now) == without_absent(change(read_tree(json.dumps(each).encode())[0]))
    assert any(part.known for part in privacy._quick("organization")._parts)


def test_parts_that_never_come_again_are_not_looked_for():
    privacy = build_privacy(PrivacyConfig.model_validate({"preset": "strict"}))
    quick, change = privacy._quick("organization"), privacy._change("organization")
    ways = set()
    for number in range(2 * LOOK_AFTER + WHOLE_FOR):
        entry = {"id": str(number), "type": "page", "attributes": {"title": f"Plan {number}"}}
        actor = PAGE["attributes"]["actor"] | {"name": f"Nora {number}"}
        location = {"ip": "192.0.2.7", "city": f"City {number}", "countryName": "Norway"}
        new = {"actor": actor, "context": [entry], "container": [entry], "location": location}
        tree = PAGE | {"attributes": PAGE["attributes"] | new}
        raw = json.dumps(tree).encode()
        assert without_absent(json.loads(privacy.apply("organization", raw))) == without_absent(change(tree))
        ways.add(quick._as_whole > 0)
    assert ways == {False, True}
    assert all(len(part.known) <= MOST_KEPT for part in quick._parts)


def test_an_event_with_a_member_that_no_table_knows_keeps_it_under_a_pseudonym():
    config = PrivacyConfig.model_validate({**HIDDEN, "key": Secret("one key")})
    for place in ([], ["attributes"], ["attributes", "actor"], ["attributes", "location"], ["message"]):
        body = json.loads(json.dumps(PAGE))
        tree = body
        for name in place:
            tree = tree[name]
        tree["invented"] = "Nora"
        found = json.dumps(seen(config, body))
        assert "Nora" not in found
        assert "invented" not in found
        assert len(re.findall("content-", found)) == len(re.findall("content-", json.dumps(seen(config)))) + 2


def test_another_key_is_used_from_the_next_events_on(tmp_path):
    path = tmp_path / "key"
    path.write_text("one key")
    privacy = build_privacy(PrivacyConfig.model_validate({**HIDDEN, "key": Secret(path=path)}))
    raw = json.dumps(PAGE).encode()
    before = privacy.apply("organization", raw)
    path.write_text("another, longer key")
    privacy.look_at_key()
    after = privacy.apply("organization", raw)
    assert after != before
    path.unlink()
    privacy.look_at_key()
    with pytest.raises(OSError, match="key"):
        privacy.apply("organization", raw)


def members(table: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    if isinstance(table, ByType):
        return set().union(*(members(inner, path) for inner in (*table.tables.values(), table.other)))
    if isinstance(table, list):
        return members(table[0], path)
    if isinstance(table, dict):
        return {path}.union(*(members(inner, (*path, name)) for name, inner in table.items()))
    return {path}


def read_by(shape: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Return the paths of the members that a normaliser reads."""
    if isinstance(shape, type) and issubclass(shape, msgspec.Struct):
        fields = msgspec.structs.fields(shape)
        return {path}.union(*(read_by(field.type, (*path, field.encode_name)) for field in fields))
    if args := get_args(shape):
        return set().union(*(read_by(each, path) for each in args))
    return {path}


@pytest.mark.parametrize(
    ("table", "shape"),
    [
        (ORGANIZATION, Event),
        (JIRA, jira.JiraRecord),
        (CONFLUENCE, confluence.ConfluenceRecord),
        (DATACENTER, datacenter.DataCenterRecord),
        (GUARD_DETECT, guard_detect.Alert),
    ],
)
def test_the_tables_know_every_member_that_has_a_meaning(table, shape):
    missing = {path for path in read_by(shape) - members(table) if path[0] != "timestamp"}
    assert not missing


def test_every_feed_of_ours_has_a_table():
    assert {SOURCES.load(name).feed for name in SOURCES.names()} <= {*TABLES}


def test_a_time_of_the_file_stays():
    body = {"timestamp": {"epochSecond": 1_727_952_266, "nano": 457_000_000}, "auditType": {"action": "User added"}}
    assert seen(PrivacyConfig(preset="strict"), body, "jira_datacenter") == body


def test_a_key_is_read_from_where_the_settings_say(tmp_path: Path):
    config = PrivacyConfig(names="pseudonymise", key=Secret(path=tmp_path / "none"))
    with pytest.raises(OSError, match="none"):
        seen(config)


@pytest.mark.parametrize(("groups", "left"), [("store", "ops:ID"), ("drop", "ID"), ("pseudonymise", "content-X:ID")])
def test_the_id_behind_the_name_of_a_group_stays(tmp_path, groups, left):
    (tmp_path / "key").write_text("one key")
    ident = "8d2e1c44-77aa-4b0e-9c61-0b1e2d3c4f5a"
    config = PrivacyConfig(preset="no_persons", kinds={"groups": groups}, key=Secret(path=tmp_path / "key"))
    body = {"affectedObject": {"name": f"ops:{ident}", "objectType": "Group"}}
    name = seen(config, body, "confluence")["affectedObject"]["name"]
    assert re.sub("content-[a-z2-7]{20}", "content-X", name.replace(ident, "ID")) == left
