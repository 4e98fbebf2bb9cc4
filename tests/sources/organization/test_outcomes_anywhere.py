"""How an act went is heard wherever an event says it: in its entries, in the event itself, in JSON within a text."""

import json

import pytest

from forwarder.contracts import AuditEvent
from forwarder.sources.organization.normalizer import OrganizationNormalizer
from tests.events import record_of
from tests.sources.organization.test_facts_anywhere import ANN, CATALOGUE, USER, event

ELSEWHERE = [
    "user_login", "user_logged_in_as_user", "Exported organization audit log", "jira_issues_exported", "user_sync",
    "data_import", "data_migration_completed", "backup_completed", "saml_sso_verified",
]  # fmt: skip


def _outcome(action, value, where):
    entry = {"id": "x", "type": "logins", "attributes": value}
    if where == "context":
        return event(action, [USER, entry]).outcome
    if where == "container":
        return event(action, [USER], [entry]).outcome
    if where == "attributes":
        return event(action, [USER], **value).outcome
    if where == "json":
        return event(action, [USER, {**entry, "attributes": json.dumps(value)}]).outcome
    return _with(action, value).outcome


def _with(action, members) -> AuditEvent:
    attributes = {"time": "2026-01-31T10:00:00Z", "action": action, "actor": ANN, "context": [USER]}
    [found] = OrganizationNormalizer(CATALOGUE).normalize(
        [record_of(json.dumps({"id": "e", "type": "events", "attributes": attributes, **members}).encode())]
    )
    assert isinstance(found, AuditEvent)
    return found


@pytest.mark.parametrize("where", ["context", "container", "attributes", "json", "event"])
@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        *((value, "failure") for value in (
            {"status": "FAILED_2FA"}, {"status": "FAILED"}, {"outcome": "DENIED"}, {"success": False}, {"success": 0},
            {"success": [False]}, {"status": [["FAILED"]]}, {"result": {"outcome": {"status": "FAILED"}}},
            {"status": {"value": {"code": "FAILED"}}}, {"details": {"a": {"b": {"status": "FAILED"}}}},
            {"status": '{"code":"FAILED"}'}, {"details": '[{"name":"status","value":"FAILED"}]'},
            {"migrationStatus": "FAILED"}, {"syncResult": "ERROR"}, {"details": {"users": [{"loginStatus": "denied"}]}},
        )),
        *((value, "success") for value in (
            {"status": "SUCCEEDED"}, {"success": True}, {"success": 1}, {"result": {"status": "ok"}}, {"status": '["SUCCESS"]'},
        )),
        *((value, "unknown") for value in (
            {"status": "WEIRD"}, {"status": 3.5}, {"success": None}, {"success": "maybe"}, {"status": ["SUCCESS", "FAILED"]},
            {"status": "SUCCESS", "result": "FAILED"}, {"status": "SUCCESS", "loginStatus": "PENDING"}, {"outcome": {}},
        )),
    ],
)  # fmt: skip
def test_a_login_went_as_is_said_wherever_it_is_said(where, value, outcome):
    assert _outcome("user_login", value, where) == outcome


@pytest.mark.parametrize("where", ["context", "container", "attributes", "json", "event"])
@pytest.mark.parametrize("action", ELSEWHERE)
def test_no_word_but_a_good_one_makes_a_success_of_what_was_only_tried(action, where):
    for value, outcome in (("DENIED", "failure"), ("PENDING", "unknown"), ("SUCCESS", "success")):
        assert _outcome(action, {"status": value}, where) == outcome


@pytest.mark.parametrize("text", ["FAILED", "login failed", '{"status": "FAILED", ', "[" * 70_000])
def test_attributes_that_are_no_json_make_no_success(text):
    assert event("user_login", [USER, {"type": "login", "attributes": text}]).outcome != "success"


def test_a_part_may_be_the_text_of_its_json():
    entry = {"type": "logins", "attributes": {"status": "FAILED"}}
    assert event("user_login", context=[json.dumps(entry)]).outcome == "failure"
    assert event("user_login", context=[[USER, entry]]).outcome == "failure"
    whole = {"time": "2026-01-31T10:00:00Z", "action": "user_login", "context": json.dumps([USER, entry])}
    found = _with("user_login", {"attributes": whole})
    assert (found.outcome, found.target_user.id, found.marks) == ("failure", USER["id"], ("odd_shape",))


@pytest.mark.parametrize(
    ("action", "entry", "outcome"),
    [
        ("jira_issues_exported", {"type": "issues", "attributes": {"status": "Failed"}}, "unknown"),
        ("jira_issues_exported", {"type": "issues", "attributes": {"status": "Done"}}, "success"),
        ("jira_issue_updated", {"type": "x", "attributes": {"issue": {"status": "Failed"}}}, "success"),
        ("project_migrated", {"type": "migrations", "attributes": {"status": "PENDING"}}, "unknown"),
        ("project_migrated", {"type": "migrations", "attributes": {"status": "REJECTED"}}, "failure"),
        ("user_granted_role", {"type": "users", "attributes": {"outcome": "PARTIAL"}}, "unknown"),
        ("directory_synced", {"type": "x", "attributes": {"status": "SUCCESS", "result": "PENDING"}}, "unknown"),
    ],
)
def test_whose_status_it_is_decides_what_it_counts(action, entry, outcome):
    assert event(action, [entry]).outcome == outcome


def test_what_an_event_has_besides_changes_nothing_else_of_it():
    value = {"time": "2026-01-31T10:00:00Z", "action": "user_created", "actor": ANN}
    body = json.dumps({"id": "e", "attributes": value, "extra": 1})
    number = '"context": [{"id": "1", "type": "users", "attributes": {"x": 1.10}}]'
    raw = body.replace('"actor"', f'{number}, "actor"').encode()
    [found] = OrganizationNormalizer(CATALOGUE).normalize([record_of(raw)])
    assert bytes(found.context) == number.partition(": ")[2].encode()
    assert (found.marks, found.outcome, found.target_user.id) == ((), "success", "1")


@pytest.mark.parametrize("more", ['"x": "\\ud800"', '"x": 1e999', '"x": ' + "[" * 900 + "]" * 900])
def test_members_that_no_reader_takes_are_repaired_or_refused_as_in_the_rest(more):
    value = '{"time": "2026-01-31T10:00:00Z", "action": "user_created", '
    body = f'{{"id": "e", "attributes": {value}{more}}}}}'
    [found] = OrganizationNormalizer(CATALOGUE).normalize([record_of(body.encode())])
    assert isinstance(found, AuditEvent)
    assert found.action == "user_created"


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        ({"reason": "wrong password"}, "failure"),
        ({"reason": "INVALID_CREDENTIALS"}, "failure"),
        ({"cause": "bad one-time code"}, "failure"),
        ({"reason": "new device"}, "success"),
        ({"status": "SUCCESS", "reason": "wrong password at the first try"}, "success"),
        ({"status": "FAILED", "reason": "new device"}, "failure"),
    ],
)
@pytest.mark.parametrize("where", ["context", "container", "json"])
def test_the_reason_in_the_entry_of_a_sign_in_is_that_of_its_failure(where, value, outcome):
    assert _outcome("user_login", value, where) == outcome


@pytest.mark.parametrize("kind", ["users", "policies", "operations", "pages"])
def test_the_reason_of_anything_else_is_why_it_was_done(kind):
    entry = {"id": "x", "type": kind, "attributes": {"reason": "failed to comply"}}
    assert event("user_deactivated", [USER, entry]).outcome == "success"
