"""Who acted: a person, an app, an agent, a service account, a product or nobody, as far as an event states it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from forwarder.contracts import Actor, AuditEvent, Authentication
from tests.events import meaning_of

ANN = {"id": "557058:a", "name": "Ann", "email": "ann@example.com"}
NOTES = {"id": "712020:n", "name": "Notes"}
BY_ID = Actor("557058:a")


def event_of(actor: dict[str, Any], action: str = "confluence_page_updated", **more: Any) -> AuditEvent:
    attributes = {"time": "2026-01-01T00:00:00.000Z", "action": action, "actor": actor, "context": [], "container": []}
    body = {
        "id": "1",
        "type": "events",
        "attributes": {**attributes, **more},
        "message": {"content": "", "format": "simple"},
    }
    event = meaning_of(msgspec.json.encode(body))
    assert isinstance(event, AuditEvent)
    return event


def kind_of(actor: dict[str, Any]) -> str | None:
    found = event_of(actor).actor
    assert found is not None
    return found.kind


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"accountType": "agent"}, "agent"),
        ({"type": "rovo-agent"}, "agent"),
        ({"account_type": "AI_AGENT"}, "agent"),
        ({"actorType": "Agent"}, "agent"),
        ({"kind": "service-account"}, "service_account"),
        ({"attributes": {"accountType": "serviceAccount"}}, "service_account"),
        ({"accountType": "app"}, "app"),
        ({"accountType": "atlassian", "type": "users"}, "person"),
        ({"email": "x@serviceaccount.atlassian.com"}, "service_account"),
        ({"accountType": "user"}, None),
        ({"accountType": 7}, None),
        ({"accountType": ["agent"]}, None),
        ({"type": "users"}, None),
        ({"name": "AI agent"}, None),
        ({"name": "service account", "email": "serviceaccount@example.com"}, None),
        ({"auth": {"authType": "api-token", "tokenId": "t", "tokenLabel": "agent"}}, None),
        ({"auth": {"authType": "connect-token"}}, "app"),
        ({"auth": {"authType": "connect-token"}, "app": {"id": "x", "type": "agent"}}, "agent"),
        ({"auth": {"authType": "session"}, "app": {"id": "x", "type": "agent"}}, "person"),
        ({"app": {"id": "x", "type": "agent"}}, None),
        ({"app": {"id": "712020:n", "type": "agent"}}, "agent"),
        ({"app": {"id": "x", "type": "agent"}, "onBehalfOf": ANN}, "agent"),
        ({"app": {"id": "x", "attributes": {"type": "rovo-agent"}}, "onBehalfOf": {"accountId": "557058:a"}}, "agent"),
        ({"app": {"id": "x", "appType": "service_account"}, "onBehalfOf": ANN}, "service_account"),
        ({"app": {"id": "x"}, "onBehalfOf": ANN}, None),
    ],
)
def test_a_kind_is_stated_or_it_is_not_there(more, kind):
    assert kind_of({**NOTES, **more}) == kind


def test_a_kind_makes_nothing_else_different():
    plain, stated = event_of(NOTES), event_of({**NOTES, "accountType": "agent"})
    assert plain.document_id == stated.document_id
    assert msgspec.structs.replace(stated, actor=plain.actor) == plain


@pytest.mark.parametrize(
    ("app", "how"),
    [
        (
            {"id": "x", "type": "agent", "attributes": {"name": "Notes"}},
            Authentication(app_id="x", app_name="Notes", app_kind="agent"),
        ),
        (
            {"id": "x", "name": "Notes", "type": "forge-app"},
            Authentication(app_id="x", app_name="Notes", app_kind="app"),
        ),
        ({"id": "x", "displayName": "Notes"}, Authentication(app_id="x", app_name="Notes")),
        ({"id": "x", "type": "something"}, Authentication(app_id="x")),
        ({"id": "x", "attributes": None, "links": {"self": "https://example.com"}}, Authentication(app_id="x")),
        ({"id": 7, "attributes": []}, Authentication(app_id="7")),
        ({}, None),
    ],
)
def test_an_app_is_told_apart_by_what_is_stated_of_it(app, how):
    assert event_of({**ANN, "app": app}).authentication == how


@pytest.mark.parametrize(
    "more",
    [
        {"onBehalfOf": {"accountId": "557058:a"}},
        {"onBehalfOf": {"id": "557058:a"}},
        {"onBehalfOf": {"id": None, "name": None, "email": None, "accountId": "557058:a"}},
        {"onBehalfOf": {"ari": "ari:cloud:identity::user/557058:a"}},
        {"onBehalfOf": "ari:cloud:identity::user/557058:a"},
        {"onBehalfOf": {"user": {"accountId": "557058:a"}}},
        {"onBehalfOf": "557058:a"},
        {"onBehalfOf": [{"account_id": "557058:a"}]},
        {"on_behalf_of": {"aaid": "557058:a"}},
        {"onBehalfOfAccountId": "557058:a"},
        {"app": {"id": "x", "onBehalfOf": {"accountId": "557058:a"}}},
        {"auth": {"authType": "api-token", "onBehalfOf": {"accountId": "557058:a"}}},
    ],
)
def test_on_whose_behalf_is_read_in_every_shape(more):
    assert event_of({**NOTES, **more}).on_behalf_of == BY_ID


JOB: dict[str, Any] = {"id": "anonymous", "name": "Anonymous"}
DRAFT = {"id": "98399", "type": "page", "attributes": {}}


@pytest.mark.parametrize(
    ("actor", "more", "clean_up"),
    [
        (JOB, {"context": [DRAFT]}, True),
        (JOB, {"context": []}, True),
        ({"id": "-2", "name": "Anonyme"}, {"context": [DRAFT], "location": {"ip": ""}}, True),
        ({"id": "confluence", "name": "Confluence", "email": "Atlassian app"}, {"context": [DRAFT]}, True),
        (JOB, {"context": [{**DRAFT, "attributes": {"title": "Plan"}}]}, False),
        (JOB, {"context": [DRAFT, {"id": "7", "type": "space", "attributes": {"key": "ENG"}}]}, False),
        (JOB, {"context": [DRAFT], "location": {"ip": "203.0.113.9"}}, False),
        (ANN, {"context": [DRAFT]}, False),
        ({"id": "557058:z", "name": "Anonymous"}, {"context": [DRAFT]}, False),
    ],
)
def test_blank_drafts_that_a_job_deletes_are_no_alarm(actor, more, clean_up):
    event = event_of(actor, "confluence_page_deleted", **more)
    assert ("clean_up" in event.marks) == clean_up
    assert event.severity == (1 if clean_up else 4)
    assert event.act == "delete"


def test_only_deletions_are_clean_ups():
    assert event_of(JOB, "confluence_page_viewed", context=[DRAFT]).marks == ()
