"""People, groups and products that are named in lists, objects or texts within an attribute."""

import json

import pytest

from forwarder.contracts import Actor
from forwarder.formats.cef.format import CefFormat
from forwarder.formats.leef.format import LeefFormat
from forwarder.formats.ocsf.format import OcsfFormat
from tests.formats.cef_reader import strictly as cef_strictly
from tests.formats.ocsf_reader import strictly as ocsf_strictly
from tests.sources.organization.test_facts_anywhere import ANN, _rendered, ecs, event

MIXED = [
    {"id": "u1", "name": "Bob", "email": "b@example.com"}, "u2", "c@example.com", {"accountId": "u3"}, {"user": {"id": "u4"}},
    "Dan Doe <d@example.com>", 17, None, "Eve Ev",
]  # fmt: skip
EVERYBODY = {"u1", "b@example.com", "u2", "c@example.com", "u3", "u4", "d@example.com", "17", "Eve Ev"}
GROUP = {"id": "g", "type": "groups", "attributes": {"name": "ops"}}


def _with(**attributes):
    return {**GROUP, "attributes": {**GROUP["attributes"], **attributes}}


@pytest.mark.parametrize(
    ("context", "members"),
    [
        ([_with(users=MIXED)], {}),
        ([_with(users=json.dumps(MIXED))], {}),
        ([_with(users={"data": MIXED})], {}),
        ([{**GROUP, "attributes": json.dumps({"name": "ops", "users": MIXED})}], {}),
        ([GROUP], {"users": MIXED}),
        ([GROUP], {"added_users": MIXED}),
    ],
)
def test_everybody_in_a_list_is_in_every_format(context, members):
    found = event("user_added_to_group", context, **members)
    assert found.target_user == Actor("u1", "Bob", "b@example.com")
    assert len(found.also.users) == 7
    assert set(ecs(found)["related"]["user"]) >= EVERYBODY
    assert {one["value"] for one in ocsf_strictly(_rendered(OcsfFormat(), found))["observables"]} >= EVERYBODY
    _, extension = cef_strictly(_rendered(CefFormat(), found))
    for text in (extension["AtlassianAuditAlso"], _rendered(LeefFormat(), found).decode()):
        assert all(f'"{name}"' in text for name in EVERYBODY - {"u1", "b@example.com"})


@pytest.mark.parametrize(
    ("attributes", "people"),
    [
        ({"userIds": ["ann", "bob"]}, [Actor("ann"), Actor("bob")]),
        ({"userNames": ["ann", "bob 2"]}, [Actor(None, "ann"), Actor(None, "bob 2")]),
        ({"emails": ["a@example.com", "b@example.com"]}, [Actor(None, None, "a@example.com"), Actor(None, None, "b@example.com")]),
        ({"users": {"u1": {"name": "B"}, "u2": {"name": "C"}}}, [Actor("u1", "B"), Actor("u2", "C")]),
        ({"users": ["u1", "u1", {"id": "u1"}]}, [Actor("u1")]),
    ],
)  # fmt: skip
def test_an_attribute_says_as_what_people_are_named(attributes, people):
    found = event("user_added_to_group", [_with(**attributes)])
    assert [found.target_user, *(found.also.users if found.also else ())] == people


def test_a_user_has_names_of_his_own():
    user = {"id": "u", "type": "users", "attributes": {"name": "Bob", "userName": "bob", "accountId": "u"}}
    found = event("user_created", [user])
    assert (found.target_user, found.also) == (Actor("u", "Bob"), None)


def test_groups_and_products_in_lists_are_all_kept():
    attributes = {"name": "Bob", "groups": [{"id": "g1", "name": "G1"}, "the second", {"groupName": "G3"}],
            "products": ["jira", {"key": "confluence"}, {"name": "Loom"}, "trello"]}  # fmt: skip
    found = event("user_added_to_group", [{"id": "u", "type": "users", "attributes": attributes}])
    assert (found.target_group.id, [one.name for one in found.also.things]) == ("g1", ["the second", "G3"])
    assert (found.product, found.also.products) == ("jira", ("jira", "confluence", "loom", "trello"))
    assert {one["value"] for one in ocsf_strictly(_rendered(OcsfFormat(), found))["observables"]} >= {
        "g1",
        "the second",
        "G3",
    }
    assert event("x", products="jira, Confluence").also.products == ("jira", "confluence")


@pytest.mark.parametrize("name", ["onBehalfOf", "impersonator"])
@pytest.mark.parametrize(
    ("value", "person"),
    [
        ("557058:x", Actor("557058:x")),
        ("x@example.com", Actor(None, None, "x@example.com")),
        ("Eve Ev", Actor(None, "Eve Ev")),
        ({"id": "x", "name": "Eve"}, Actor("x", "Eve")),
        (["x@example.com"], Actor(None, None, "x@example.com")),
    ],
)
def test_who_stands_behind_the_actor_is_kept_in_any_shape(name, value, person):
    known = person.id or person.address or person.name
    for found in (
        event("jira_issue_viewed", actor={**ANN, name: value}),
        event("jira_issue_viewed", **{name: value}),
        event("jira_issue_viewed", [{"id": "1", "type": "issues", "attributes": {name: value}}]),
    ):
        assert (found.on_behalf_of, found.target_user, found.actor.id) == (person, None, ANN["id"])
        assert known in ecs(found)["related"]["user"]
        assert known in {one["value"] for one in ocsf_strictly(_rendered(OcsfFormat(), found))["observables"]}
        _, extension = cef_strictly(_rendered(CefFormat(), found))
        assert extension["flexString1"] == known
        assert f"={known}^" in _rendered(LeefFormat(), found).decode()


def test_all_roles_of_a_user_are_kept():
    found = event("user_granted_role", [{"id": "u", "type": "users", "attributes": {"roles": ["a", "b", "a"]}}])
    assert (found.target_role, found.also.roles) == ("a", ("b",))
    assert event("x_granted", [{"id": "1", "type": "spaces", "attributes": {"role": "a"}}]).target_role == "a"


def test_more_people_than_are_read_are_marked():
    found = event("user_added_to_group", [_with(users=[f"u{n}" for n in range(2500)])])
    assert "truncated" in found.marks
    assert len(found.also.users) == 1000


# -------------------------------------------------------------------------------------------------------- power


SPACE = {"id": "1", "type": "spaces", "attributes": {"key": "OPS", "name": "Ops", "permissionName": "ADMIN"}}
ROLE = {"id": "r", "type": "roles", "attributes": {"name": "site-admin"}}


@pytest.mark.parametrize(
    ("action", "entries", "name", "role"),
    [
        ("confluence_added_space_permission", [SPACE], "Ops", "ADMIN"),
        ("confluence_space_permission_removed", [SPACE], "Ops", "ADMIN"),
        (
            "jira_project_role_granted",
            [{"id": "9", "type": "projects", "attributes": {"name": "Web"}}, ROLE],
            "Web",
            "site-admin",
        ),
        ("jira_permission_granted", [ROLE], "site-admin", "site-admin"),
    ],
)
def test_power_of_no_one_named_is_of_its_thing_and_never_the_actors(action, entries, name, role):
    for context, container in ((entries, []), ([], entries)):
        found = event(action, context, container)
        made = ocsf_strictly(_rendered(OcsfFormat(), found))
        assert (made["class_name"], made["entity"]["name"], made["access_list"]) == ("Entity Management", name, [role])
        leef = _rendered(LeefFormat(), found).decode()
        assert f"^objectRole={role}^" in leef
        assert "^role=" not in leef


def test_a_role_of_a_user_who_is_named_is_his():
    leef = _rendered(LeefFormat(), event("user_granted_role", [{"id": "u", "type": "users"}, ROLE])).decode()
    assert "^role=site-admin^" in leef
    assert "objectRole" not in leef


@pytest.mark.parametrize(
    ("action", "entry", "severity"),
    [
        ("user_added_to_group", {"type": "groups", "attributes": {"name": "site-admins"}}, 7),
        ("user_added_to_group", {"type": "groups", "attributes": {"groupName": "jira-Administrators"}}, 7),
        ("user_added_to_group", {"type": "groups", "attributes": {"name": "badminton"}}, 5),
        ("user_added_to_group", {"type": "users", "attributes": {"groups": ["ops", "siteAdmins"]}}, 7),
        ("user_removed_from_group", {"type": "groups", "attributes": {"name": "site-admins"}}, 5),
        ("user_invited", {"type": "users", "attributes": {"role": "ORG_ADMIN"}}, 7),
        ("user_invited", {"type": "roles", "attributes": {"name": "Organization admin"}}, 7),
        ("user_invited", {"type": "users", "attributes": {"name": "Admin"}}, 3),
        ("audit_log_content_disabled", {"type": "x"}, 9),
        ("user_activity_content_disabled", {"type": "x"}, 9),
        ("content_in_audit_log_disabled", {"type": "x"}, 9),
    ],
)
def test_who_gains_power_or_ends_the_audit_weighs_more(action, entry, severity):
    assert event(action, [entry]).severity == severity


def test_a_joining_that_failed_gives_no_power():
    group = {"type": "groups", "attributes": {"name": "site-admins"}}
    assert event("user_added_to_group", [group], status="FAILED").severity == 5
