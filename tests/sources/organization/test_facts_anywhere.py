"""A fact is found wherever the API puts it, and what is said beside an action decides how it went."""

import json

import pytest

from forwarder.catalogue import load_catalogue
from forwarder.contracts import Actor, AuditEvent, ListedAction, Thing
from forwarder.formats.cef.format import CefFormat
from forwarder.formats.ocsf.format import OcsfFormat
from forwarder.normalize.singulars import singular
from forwarder.sources.organization.normalizer import OrganizationNormalizer
from tests.events import READ_MS, ecs_of, record_of, strictly
from tests.formats.cef_reader import strictly as cef_strictly
from tests.formats.ocsf_reader import strictly as ocsf_strictly

ANN = {"id": "557058:a", "name": "Ann Admin", "email": "ann@example.com"}
USER = {"id": "557058:a", "type": "users", "attributes": {"name": "Ann Admin", "email": "ann@example.com"}}
CATALOGUE = load_catalogue()


def event(
    action, context=(), container=(), *, message=None, actor=ANN, catalogue=CATALOGUE, **attributes
) -> AuditEvent:
    attributes = {"time": "2026-01-31T10:00:00Z", "processedAt": "2026-01-31T10:00:01Z", **attributes}
    body = {"id": "e", "processedAt": attributes.pop("beside", None), "attributes": {**attributes, "action": action, "actor": actor, "context": list(context),
            "container": list(container)}, "message": {"content": message}}  # fmt: skip
    [found] = OrganizationNormalizer(catalogue).normalize([record_of(json.dumps(body).encode())])
    assert isinstance(found, AuditEvent), found
    return found


def ecs(found: AuditEvent):
    return strictly(ecs_of(found))


# ----------------------------------------------------------------------------------------------------- how it went


@pytest.mark.parametrize(
    ("attributes", "outcome"),
    [
        *(({"status": word}, "failure") for word in ("FAILED", "failed", "LOGIN_FAILED", "Denied", "not successful", "\uff26\uff21\uff29\uff2c\uff25\uff24",
          "fehlgeschlagen", "ÉCHEC", "ログイン失敗", "ошибка", "FAİLED", False, 401, ["FAILED"], {"code": "FAILED"})),
        *(({"status": word}, "success") for word in ("SUCCESS", "Successful", "login-success", "erfolgreich", "成功", True, 200)),
        *(({"status": word}, "unknown") for word in ("MFA_REQUIRED", "active", "PARTIAL_SUCCESS", "x" * 900, 7, "no errors",
          ["SUCCESS", "FAILED"])),
        ({"result": "FAILURE"}, "failure"), ({"loginStatus": "denied"}, "failure"), ({"is_success": "false"}, "failure"),
        ({"success": False}, "failure"), ({"success": True}, "success"), ({"errorMessage": "wrong password"}, "failure"),
        ({"errorMessage": "none"}, "success"), ({"status": "SUCCESS", "errorMessage": "timeout"}, "unknown"),
        ({"status": "FAILED", "success": True}, "unknown"), *(({"status": empty}, "unknown") for empty in ("", " ", None, [], {})), ({"error": ""}, "success"),
        ({"status": {"success": False}}, "failure"), ({"details": {"status": "FAILED"}}, "failure"), ({"ok": False}, "failure"),
        ({"details": [{"name": "status", "value": "FAILED"}]}, "failure"), ({"state": "FAILED"}, "failure"), ({"state": "CA"}, "success"),
    ],
)  # fmt: skip
def test_a_login_went_as_an_entry_says_in_either_part_and_in_any_order(attributes, outcome):
    entry = {"id": "x", "type": "logins", "attributes": attributes}
    org = {"id": "o", "type": "orgs", "attributes": {"name": "Example", **attributes}}
    assert event("user_login", [USER, entry]).outcome == outcome
    assert event("user_login", [{"attributes": attributes}, USER]).outcome == outcome
    found = event("user_login", [USER], [org])
    assert (found.outcome, found.organization_name) == (outcome, "Example")
    assert found.severity == (4 if outcome == "failure" else 2)


@pytest.mark.parametrize(
    ("action", "attributes", "outcome"),
    [
        ("jira_issue_updated", {"status": "Failed"}, "success"),  # of the issue
        ("jira_issue_updated", {"outcome": "failed"}, "failure"),
        ("user_granted_role", {"status": "blocked"}, "success"),  # of the user
        ("user_granted_role", {"status": "FAILED"}, "failure"),
        ("user_login_failed", {"status": "SUCCESS"}, "unknown"),
        ("org_settings_update", {"status": "SUCCESS"}, "success"),
        ("Exported organization audit log", {"status": "QUEUED"}, "unknown"),
    ],
)
def test_a_status_of_a_thing_is_not_one_of_the_act(action, attributes, outcome):
    kind = "issues" if "issue" in action else "users"
    assert event(action, [{"id": "1", "type": kind, "attributes": attributes}]).outcome == outcome


def test_why_it_failed_is_kept_in_the_words_of_the_source():
    document = ecs(event("user_login", [{"type": "login", "attributes": {"errorMessage": "wrong password"}}]))
    assert (document["event"]["outcome"], document["event"]["reason"]) == ("failure", "wrong password")


@pytest.mark.parametrize(
    ("name", "message", "outcome"),
    [
        ("Ann Admin", "Ann Admin updated organization settings", "success"),
        ("Ann", "Ann has updated the organization's settings", "success"),
        ("Ann updated", "Ann updated updated the settings", "success"),
        ("Ann updated", "Ann updated failed to update organization settings", "failure"),
        ("Ann", "Ann failed to update organization settings", "failure"),
        ("Ann", "Ann could not update organization settings", "failure"),
        ("Ann", "Ann was unable to update organization settings", "failure"),
        ("Ann", "Ann successfully updated organization settings", "success"),
        ("Ann", "Organization settings were updated by Ann", "success"),
        ("Ann", "The settings could not be updated by Ann.", "failure"),
        ("Ann", "Organization settings were updated by Bob", "unknown"),
        ("Ann", "Organization settings were updated by Mary Ann", "unknown"),
        ("Ann", "Settings Failover were updated by Ann", "unknown"),
        ("Ann", "A page named settings updated by Ann", "unknown"),
        ("Ann", "Ann tried to update organization settings", "unknown"),
        ("Ann", "Ann updated Bob changed organization settings", "unknown"),
        ("Ann", "Ann was updated", "unknown"),
        ("Ann", "Annabel updated organization settings", "unknown"),
        ("Ann", "Ann deleted organization settings", "unknown"),
        ("Ann", "Bob updated organization settings", "unknown"),
        ("", "updated organization settings", "unknown"),
    ],
)
def test_the_words_behind_the_actors_own_name_may_say_how_it_went(name, message, outcome):
    assert event("org_settings_update", message=message, actor={"id": "1", "name": name}).outcome == outcome


def test_a_name_that_begins_with_the_actors_is_not_the_actors():
    other = {"id": "2", "type": "users", "attributes": {"name": "Ann updated settings"}}
    found = event("org_settings_update", [other], message="Ann updated settings were reset", actor={"name": "Ann"})
    assert found.outcome == "unknown"


# -------------------------------------------------------------------------------------------------- facts anywhere


@pytest.mark.parametrize("kind", ["orgs", "settings", "policies", "sites"])
@pytest.mark.parametrize("where", ["context", "container"])
def test_a_setting_is_read_in_either_part_and_in_any_entry(where, kind):
    attributes = {"name": "Example", "settingName": "AuthenticationPolicy", "settingValues": ["samlEnabled", "x"]}
    found = event("org_settings_update", **{where: [{"id": "o", "type": kind, "attributes": attributes}]})
    assert [(change.field, change.after) for change in found.changes] == [("AuthenticationPolicy", "samlEnabled, x")]
    assert (found.object, found.product) == ("authentication_policy", "admin")
    assert found.organization_name == ("Example" if kind == "orgs" else None)


@pytest.mark.parametrize("where", ["context", "container"])
def test_people_and_things_are_read_in_either_part(where):
    entries = [
        {"id": "1", "type": "users", "attributes": {"name": "Bob"}},
        {"id": "g", "type": "groups", "attributes": {"groupName": "ops"}},
        {"id": "r", "type": "roles", "attributes": {"name": "admin"}},
        {"id": "a", "type": "apps", "attributes": {"name": "Charts", "vendor": "Example"},
         "links": {"self": "https://api.example.net/a"}},
        {"id": "s", "type": "sites", "attributes": {"product": "jira"}},
    ]  # fmt: skip
    found = event("x_flux", **{where: entries})
    assert (found.target_user.id, found.target_group.name, found.target_role) == ("1", "ops", "admin")
    assert (found.product, found.site.id) == ("jira", "s")
    assert found.app == Thing("app", "a", None, "Charts", None, "Example", "https://api.example.net/a")


@pytest.mark.parametrize("first", ["context", "container"])
def test_of_several_all_are_kept_and_the_first_stands_by_itself(first):
    users = [
        {"id": str(n), "type": "users", "attributes": {"name": f"N{n}", "email": f"n{n}@example.com"}} for n in range(3)
    ]
    groups = [{"id": f"g{n}", "type": "groups", "attributes": {"name": f"G{n}"}} for n in range(2)]
    sites = [{"id": f"s{n}", "type": "sites", "attributes": {"product": one}} for n, one in enumerate(("jira", "loom"))]
    second = {"context": "container", "container": "context"}[first]
    found = event(
        "user_added_to_group", **{first: users[:2] + groups[:1] + sites[:1], second: users[2:] + groups[1:] + sites[1:]}
    )
    document, ocsf = ecs(found), ocsf_strictly(_rendered(OcsfFormat(), found))
    assert {"0", "1", "2", "n0@example.com", "n2@example.com", "N1"} <= set(document["related"]["user"])
    assert {"0", "1", "2", "g0", "g1"} <= {one["value"] for one in ocsf["observables"]}
    also = document["atlassian"]["audit"]["also"]
    assert set(also["products"]) == {"jira", "loom"}
    assert len(also["users"]) == 2
    _, extension = cef_strictly(_rendered(CefFormat(), found))
    assert json.loads(extension["AtlassianAuditAlso"]) == also


def _rendered(made, found: AuditEvent) -> bytes:
    record = record_of(b"{}")
    record.event = found
    [body] = made.render([record])
    assert isinstance(body, bytes)
    return body


@pytest.mark.parametrize("action", ["confluence_added_space_permission", "confluence_space_permission_removed"])
def test_a_permission_of_nobody_named_is_no_change_of_whoever_acted(action):
    space = {"id": "1", "type": "spaces", "attributes": {"key": "OPS", "permissionName": "ADMIN"}}
    found = event(action, [space])
    user = ecs(found)["user"]
    assert user == {"id": "557058:a", "full_name": "Ann Admin", "name": "ann@example.com", "email": "ann@example.com"}
    assert ecs(found)["atlassian"]["audit"]["roles"] == ["ADMIN"]
    assert "user" not in ocsf_strictly(_rendered(OcsfFormat(), found))


def test_what_failed_gave_nobody_a_role():
    bob, role = {"id": "2", "type": "users"}, {"id": "r", "type": "roles", "attributes": {"name": "admin"}}
    assert ecs(event("user_granted_role", [bob, role]))["user"]["changes"] == {"roles": ["admin"]}
    failed = {"type": "x", "attributes": {"success": False}}
    assert "changes" not in ecs(event("user_granted_role", [bob, role, failed]))["user"]


def test_of_two_sites_the_one_of_the_container_and_of_two_roles_the_first_wins():
    one, two = ({"id": ident, "type": "sites", "attributes": {}} for ident in "12")
    assert event("x", [one], [two]).site.id == "2"
    assert event("x", [], [one, two]).site.id == "1"
    roles = [{"id": name, "type": "roles", "attributes": {"name": name}} for name in ("a", "b")]
    assert event("x", roles).target_role == "a"
    assert event("x", roles[:1], roles[1:]).target_role == "a"


@pytest.mark.parametrize(
    "attributes",
    [
        {"cloudUrl": "corp.example.net"}, {"siteHostName": "corp.example.net"}, {"siteHostName": "HTTPS://corp.example.net"},
        {"siteHostName": "javascript:alert(1)", "cloudUrl": "corp.example.net"}, {"site_url": "//corp.example.net"},
    ],
)  # fmt: skip
def test_a_host_needs_no_scheme(attributes):
    found = event("jira_issue_viewed", container=[{"id": "s", "type": "sites", "attributes": attributes}])
    assert found.site.url == "https://corp.example.net"
    assert ecs(found)["related"]["hosts"] == ["corp.example.net"]


def test_the_domain_of_an_organization_is_what_an_event_is_about():
    found = event("domain_verified", container=[{"id": "o", "type": "orgs", "attributes": {"domain": "example.com"}}])
    assert (found.content, found.domain) == (Thing("domain", None, None, "example.com"), "example.com")
    assert ecs(found)["related"]["hosts"] == ["example.com"]


def test_names_of_the_person_behind_the_actor_are_in_cef():
    bob = {"id": "2", "type": "users", "attributes": {"name": "Bob", "email": "bob@example.com"}}
    _, extension = cef_strictly(_rendered(CefFormat(), event("user_logged_in_as_user", [bob])))
    assert extension["flexString1"] == "2"
    assert extension["AtlassianAuditEffectiveName"] == "Bob"
    assert extension["AtlassianAuditEffectiveEmail"] == "bob@example.com"


# ------------------------------------------------------------------------------------------------------- products


@pytest.mark.parametrize(
    ("action", "name", "groups", "site", "product"),
    [
        ("jira_project_created", "Created project", ("Jira project actions",), None, "jira"),
        ("project_created", "Created project", ("Jira project actions",), None, "jira"),
        ("project_created", "Created project", ("Project actions",), "jira", "jira"),
        ("project_created", "Created project", (), None, None),
        ("project_created", "Created project", ("Bitbucket Cloud project actions",), None, "bitbucket"),
        ("jira_project_created", "Created project", ("Bitbucket Cloud project actions",), "confluence", "jira"),
        ("user_added_to_group", "User added to group", ("Users, groups and roles",), None, "admin"),
        ("confluence_x", "Viewed Jira issue", (), "jira", "confluence"),
        ("x", "Viewed Jira issue", (), "confluence", "confluence"),
        ("x", "Viewed Jira issue", (), None, "jira"),
        ("user_suspended", "", (), None, "admin"),
    ],
)
def test_id_group_and_site_outrank_a_display_name(action, name, groups, site, product):
    catalogue = load_catalogue()
    catalogue.learn([ListedAction(action, name, groups)])
    sites = [{"id": "s", "type": "sites", "attributes": {"product": site}}] if site else []
    assert event(action, container=sites, catalogue=catalogue).product == product


@pytest.mark.parametrize(
    ("plural", "one"),
    [
        ("directories", "directory"), ("addresses", "address"), ("user-directories", "user-directory"), ("caches", "cache"),
        ("branches", "branch"), ("boxes", "box"), ("aliases", "alias"), ("databases", "database"), ("statuses", "status"),
        ("access", "access"), ("analyses", "analysis"), ("movies", "movie"), ("series", "series"), ("indices", "index"),
        ("ADDRESSES", "ADDRESS"), ("DIRECTORIES", "DIRECTORY"), ("APIs", "API"), ("apis", "api"), ("dataSources", "dataSource"), ("people", "person"), ("news", "news"), ("s", "s"), ("status", "status"),
    ],
)  # fmt: skip
def test_singulars(plural, one):
    assert singular(plural) == one


# ---------------------------------------------------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("attributes", "time_ms", "mark"),
    [
        ({"time": "soon"}, 1_769_853_601_000, "time_of_processing"),
        ({"time": "1969-12-31T23:59:59Z"}, 1_769_853_601_000, "time_of_processing"),
        ({"time": None}, 1_769_853_601_000, "time_of_processing"),
        (
            {"time": "soon", "processedAt": "later", "beside": "2026-01-31T10:00:02Z"},
            1_769_853_602_000,
            "time_of_processing",
        ),
        ({"time": "soon", "processedAt": "later"}, READ_MS, "time_of_reading"),
        ({"time": "1969-12-31T23:59:59Z", "processedAt": "1960-01-01T00:00:00Z"}, READ_MS, "time_of_reading"),
        ({"time": "1970-01-01T00:00:00Z"}, 0, None),
    ],
)
def test_the_next_best_moment_stands_for_a_time_that_is_none(attributes, time_ms, mark):
    found = event("user_login", **attributes)
    assert found.time_ms == time_ms
    assert [one for one in found.marks if one.startswith("time_of")] == ([mark] if mark else [])


# ------------------------------------------------------------------------------------------------------ the actor


@pytest.mark.parametrize(
    ("attributes", "who"),
    [
        ({"accountId": "557058:z"}, [Actor("557058:z")]),
        ({"aaid": "557058:z", "displayName": "Zoe"}, [Actor("557058:z", "Zoe")]),
        ({"userId": 17}, [Actor("17")]),
        ({"user": {"accountId": "557058:z", "emailAddress": "z@example.com"}}, [Actor("557058:z", None, "z@example.com")]),
        ({"id": "557058:z", "name": "Zoe", "links": {}}, [Actor("557058:z", "Zoe")]),
        ({"id": "557058:z", "publicName": "Zoe"}, [Actor("557058:z", "Zoe")]),
        ([{"accountId": "557058:z"}, {"id": "557058:y"}], [Actor("557058:z"), Actor("557058:y")]),
        ("557058:z", [Actor("557058:z")]),
        ("z@example.com", [Actor(None, None, "z@example.com")]),
        ({}, []),
        (None, []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["onBehalfOf", "impersonator", "on_behalf_of", "actingFor"])
def test_for_whom_somebody_acts_is_read_however_it_is_spelled(name, attributes, who):
    found = event("page_updated", actor={**ANN, name: attributes})
    assert found.actor == Actor("557058:a", "Ann Admin", "ann@example.com")
    assert [found.on_behalf_of, *(found.also.users if found.also else ())] == (who or [None])
    assert found.target_user is None


def test_an_actor_by_other_names_is_the_actor():
    found = event(
        "page_updated", actor={"accountId": "557058:q", "displayName": "Quinn", "emailAddress": "q@example.com"}
    )
    assert found.actor == Actor("557058:q", "Quinn", "q@example.com")
    assert found.target_user is None


def test_what_an_actor_has_besides_says_nothing_of_the_act():
    found = event("user_login", actor={**ANN, "status": "blocked", "picture": "https://example.com/a.png"})
    assert (found.outcome, found.actor.id, found.marks) == ("success", "557058:a", ())


# ---------------------------------------------------------------------------------------------------- settings, much


@pytest.mark.parametrize(
    ("name", "value", "act", "thing", "severity"),
    [
        ("AuditLogContent", "false", "disable", "auditing", 9),
        ("auditLogContentEnabled", "Off", "disable", "auditing", 9),
        ("audit_log_user_activity", "enabled", "enable", "auditing", 4),
        ("AuditLogContent", "names only", "change", "auditing", 6),
        ("IpAllowlist", "disabled", "disable", "allowlist", 6),
        ("TwoStepVerification", "no", "disable", "mfa", 6),
        ("NobodyKnowsThis", "false", "change", "setting", 6),
    ],
)
def test_a_setting_that_is_off_switches_off_what_it_is_called(name, value, act, thing, severity):
    for attributes in (
        {"settingName": name, "settingValues": value},
        {"name": name, "newValue": value, "oldValue": "x"},
    ):
        found = event("org_settings_updated", [{"id": "1", "type": "settings", "attributes": attributes}])
        assert (found.act, found.object, found.severity, found.outcome) == (act, thing, severity, "success")
        [change] = found.changes
        assert (change.field, change.before, change.after) == (name, attributes.get("oldValue"), value)


@pytest.mark.parametrize("more", [{}, {"odd": ["x"]}])
def test_behind_ten_thousand_people_a_group_is_still_the_group(more):
    people = [{"id": f"u{n}", "type": "users", "attributes": {"name": f"n{n}", **more}} for n in range(10_000)]
    found = event(
        "user_added_to_group", [*people, {"id": "g", "type": "groups", "attributes": {"name": "site-admins"}}]
    )
    assert found.target_group == Thing("group", "g", None, "site-admins")
    assert (found.target_user.id, found.severity, found.marks) == ("u0", 7, ("truncated",))
    assert len(found.also.users) == 999
