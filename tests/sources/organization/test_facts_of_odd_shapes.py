"""Facts in shapes that the API does not document: lists, objects, members beside the attributes, several of a kind."""

import pytest

from forwarder.formats.cef.format import CefFormat
from forwarder.formats.ocsf.format import OcsfFormat
from tests.formats.cef_reader import strictly as cef_strictly
from tests.formats.ocsf_reader import strictly as ocsf_strictly
from tests.sources.organization.test_facts_anywhere import ANN, USER, _rendered, ecs, event


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "login", "id": "1", "status": "FAILED"},
        {"type": "login", "id": "1", "status": "FAILED", "attributes": {"a": "b"}},
        {"type": "login", "attributes": [{"name": "status", "value": "FAILED"}]},
        {"type": "request", "attributes": {"status": "FAILED"}},
        {"type": "content", "attributes": {"loginInfo": {"result": "denied"}}},
    ],
)
def test_a_login_that_failed_is_none_whatever_the_entry_that_says_so_looks_like(entry):
    assert event("user_login", [USER, entry]).outcome == "failure"


@pytest.mark.parametrize(
    ("message", "outcome"),
    [
        ("Ann Admin failed to log in", "failure"),
        ("Ann Admin logged in", "success"),
        ("Ann Admin failed logged in", "success"),
        ("Failed person logged in", "success"),
    ],
)
def test_a_message_may_say_that_a_login_failed(message, outcome):
    name = "Ann Admin failed" if "failed logged" in message else "Ann Admin"
    assert event("user_login", [USER], message=message, actor={"id": "1", "name": name}).outcome == outcome


def test_entries_beyond_those_that_are_read_are_marked_on_the_fast_way_as_well():
    many = [{"id": str(n), "type": "users"} for n in range(1001)]
    found = event("user_added_to_group", many)
    assert (found.target_user.id, len(found.also.users)) == ("0", 999)
    assert "truncated" in found.marks
    assert "truncated" not in event("user_added_to_group", many[:1000]).marks


def test_a_message_takes_nothing_back_that_the_id_says_of_a_failure():
    assert event("user_login_failed", [USER], message="Login blocked").outcome == "failure"


@pytest.mark.parametrize(
    "attributes",
    [
        {"settings": {"AuthenticationPolicy": "samlEnabled", "b": True}},
        {"settings": [{"name": "AuthenticationPolicy", "value": "samlEnabled"}, {"key": "b", "value": True}]},
        {"settings": [{"settingName": "AuthenticationPolicy", "settingValues": ["samlEnabled"]}, {"b": True}]},
        {"setting_name": ["AuthenticationPolicy", "b"], "setting_values": ["samlEnabled", True]},
    ],
)
def test_settings_are_read_in_any_shape(attributes):
    org = {"id": "o", "type": "orgs", "attributes": attributes}
    found = event("org_settings_update", [org], [org])
    assert [(one.field, one.after) for one in found.changes] == [("AuthenticationPolicy", "samlEnabled"), ("b", "true")]
    assert found.object == "authentication_policy"


def test_a_setting_whose_value_is_an_object_is_that_in_json():
    attributes = {"settingName": "AuthenticationPolicy", "settingValues": {"saml": True}}
    [change] = event("org_settings_update", [{"type": "orgs", "attributes": attributes}]).changes
    assert change.after == '{"saml":true}'


def test_more_values_than_are_read_are_marked():
    settings = {"settingName": [f"s{n}" for n in range(101)], "settingValues": ["v"] * 101}
    found = event("org_settings_update", [{"type": "orgs", "attributes": settings}])
    assert len(found.changes) == 100
    assert "truncated" in found.marks
    assert "truncated" not in event("x", [{"type": "orgs", "attributes": {"unknown": list(range(101))}}]).marks


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "users", "attributes": {"name": ["B", "C"], "email": ["b@example.com", "c@example.com"]}},
        {"type": "users", "id": ["b", "c"], "attributes": {"email": ["b@example.com", "c@example.com"]}},
    ],
)
def test_several_people_in_one_entry_are_all_kept(entry):
    found = event("user_added_to_group", [entry])
    assert found.target_user.address == "b@example.com"
    assert [one.address for one in found.also.users] == ["c@example.com"]
    assert {"b@example.com", "c@example.com"} <= set(ecs(found)["related"]["user"])


def test_a_fact_may_be_an_object_with_a_name():
    attributes = {"product": {"name": "jira"}, "vendor": {"name": "Example"}, "role": [{"name": "a"}, {"name": "b"}]}
    found = event("x_granted", [{"id": "1", "type": "apps", "attributes": attributes}])
    assert (found.product, found.app.vendor) == ("jira", "Example")


def test_who_acts_for_somebody_as_somebody_else_leaves_out_neither():
    eve = {"id": "eve", "name": "Eve", "email": "eve@example.com"}
    bob = {"id": "bob", "type": "users", "attributes": {"email": "bob@example.com"}}
    found = event("user_logged_in_as_user", [bob], actor={**ANN, "onBehalfOf": eve})
    assert {"eve@example.com", "bob@example.com", "eve", "bob"} <= set(ecs(found)["related"]["user"])
    _, extension = cef_strictly(_rendered(CefFormat(), found))
    assert "eve@example.com" in extension["AtlassianAuditAlso"]


def test_addresses_of_everybody_are_observables():
    eve = {"id": "eve", "name": "Eve", "email": "eve@example.com"}
    made = ocsf_strictly(_rendered(OcsfFormat(), event("x_viewed", [USER], actor={**ANN, "onBehalfOf": eve})))
    assert {"eve@example.com", "eve", "ann@example.com"} <= {one["value"] for one in made["observables"]}


@pytest.mark.parametrize(
    ("context", "container"),
    [
        ([{"type": "domains", "attributes": {"name": name}} for name in ("one.example.com", "Two.example.com")], []),
        ([{"type": "orgs", "attributes": {"domain": ["one.example.com", " Two.example.com "]}}], []),
        ([{"type": "orgs", "attributes": {"domain": "one.example.com"}}],
         [{"type": "orgs", "attributes": {"domains": ["Two.example.com", "not a domain", "\0"]}}]),
    ],
)  # fmt: skip
def test_every_domain_is_kept_and_what_is_none_is_no_host(context, container):
    found = event("domain_verified", context, container)
    assert found.domain == "one.example.com"
    assert sorted(ecs(found)["related"]["hosts"]) == ["one.example.com", "two.example.com"]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("corp.example.net.", "https://corp.example.net"),
        ("corp_team.example.net/wiki?x=1", "https://corp_team.example.net/wiki?x=1"),
        ("b\xfccher.example:8443", "https://b\xfccher.example:8443"),
        ("192.0.2.1", "https://192.0.2.1"),
        *(
            (none, None)
            for none in ("v1.2", "1.2.3.400", "corp", "a..b", "user@corp.example", "x" * 250 + ".net", "-a.b")
        ),
    ],
)
def test_what_is_a_host(host, url):
    found = event("x", container=[{"id": "s", "type": "sites", "attributes": {"cloudUrl": host}}])
    assert found.site.url == url
