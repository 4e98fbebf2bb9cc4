"""Any event there could be: one valid record of OCSF, whatever is asked of it, with every fact still in it."""

import json

import msgspec
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from forwarder.catalogue.ocsf import ocsf_classes
from forwarder.contracts import Actor, AuditEvent, Change, Thing, UnexpectedPayload
from forwarder.formats.ocsf.format import OcsfFormat
from forwarder.testing.events import record_of
from tests.examples import examples
from tests.formats.ocsf_reader import strictly
from tests.hostile import audit_events, nearly_plain, ordinary_event

FORMAT = OcsfFormat()  # shared: memories must not bend results
KINDS = [(number, activity) for number, found in ocsf_classes().items() for activity in found.activities]
unhurried = settings(
    max_examples=examples(300),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    phases=set(Phase) - {Phase.explain},  # which takes minutes for events as wide as these, and hides what failed
)
objects = st.sampled_from([None, "page", "restriction", "group", "policy", "space", "app", "site", "user", "api_token"])


def classified(event: AuditEvent, kind: tuple[int, int], thing: str | None) -> AuditEvent:
    event.ocsf_class, event.ocsf_activity = kind
    event.object = thing
    return event


events = st.one_of(
    *(st.builds(classified, some, st.sampled_from(KINDS), objects) for some in (audit_events, nearly_plain))
)


def encodable(event: AuditEvent) -> bool:
    try:
        msgspec.json.encode(event)
    except UnicodeEncodeError:  # half a surrogate pair, which no normaliser lets through
        return False
    return True


def texts(value) -> set[str]:
    if isinstance(value, dict):
        return {text for one in value.values() for text in texts(one)}
    if isinstance(value, list):
        return {text for one in value for text in texts(one)}
    return {value} if isinstance(value, str) else set()


def expected_texts(event: AuditEvent) -> set[str]:
    """Return every text that an event carries, but for its context and container."""
    people = [event.actor, event.on_behalf_of, event.impersonated, event.target_user]
    things = [event.target_group, event.content, event.space, event.site, event.app]
    found = {event.message, event.action_name, event.user_agent, event.target_role, event.organization_name}
    found |= {
        event.country,
        event.region,
        event.city,
        event.source_address,
        event.event_id,
        event.product,
        event.time_text,
    }
    for person in people:
        if person is not None:
            found |= {person.id, person.name, person.address}
    for thing in things:
        if thing is not None:
            found |= {thing.id, thing.key, thing.name, thing.url}
    if (auth := event.authentication) is not None:
        found |= {auth.type, auth.token_id, auth.token_label, auth.session_id, auth.app_id}
    site = event.site  # its address may be said by its host
    bare = (
        {site.url} if site and site.url and site.url == f"https://{site.url[8:]}" and "/" not in site.url[8:] else set()
    )
    return {text for text in found if text} - bare


@unhurried
@given(events)
@example(ordinary_event(ocsf_class=3002, ocsf_activity=7, impersonated=Actor(None, None, "odd@" + "a" * 300)))
@example(ordinary_event(ocsf_class=6001, ocsf_activity=4, content=Thing("page", url="https://a.example")))
@example(ordinary_event(ip="0000:0000:0000:0000:0000:ffff:203.000.113.155"))
@example(ordinary_event(changes=(Change("f", "a", "b"),), ocsf_class=2004, ocsf_activity=1))
def test_every_event_is_one_valid_record_with_every_fact(event):
    [body] = FORMAT.render([record_of(event)])
    if not encodable(event) and isinstance(body, UnexpectedPayload):  # a kind is not always said
        return
    document = strictly(body)
    assert document["time"] == event.time_ms
    assert document["metadata"]["uid"] == event.document_id
    assert document["metadata"].get("event_code") == (event.action or None)
    assert document["metadata"].get("labels", []) == list(event.marks)
    assert expected_texts(event) <= texts(document), "a fact got lost"
    for name in ("context", "container"):
        part = getattr(event, name)
        assert document["unmapped"].get(name) == (json.loads(bytes(part)) if part is not None else None)


@unhurried
@given(events, st.integers(200, 4000))
@example(ordinary_event(ocsf_class=6003, ocsf_activity=99, actor=None), 600)
def test_a_shortened_event_is_valid_and_still_says_which_and_who(event, limit):
    record = record_of(event)
    short = FORMAT.shrink(record, limit)
    if isinstance(short, UnexpectedPayload):
        assert short.reason
        return
    assert len(short) <= limit
    document, [body] = strictly(short), FORMAT.render([record])
    whole = json.loads(body)
    assert document["metadata"]["is_truncated"] is True
    for name in ("activity_id", "class_uid", "type_uid", "severity_id", "status_id", "time"):
        assert document.get(name) == whole.get(name)
    for name in ("uid", "original_event_uid", "event_code", "version"):
        assert document["metadata"].get(name) == whole["metadata"].get(name)
    if whole.get("actor", {}).get("user", {}).get("uid"):
        assert document["actor"]["user"]["uid"] == whole["actor"]["user"]["uid"]


def test_an_ordinary_event_fits_into_what_syslog_must_take():
    """RFC 5424: receivers SHOULD take 2048 bytes."""
    for number, activity in KINDS:
        event = ordinary_event(ocsf_class=number, ocsf_activity=activity, message="m" * 100_000)
        short = FORMAT.shrink(record_of(event), 1600)
        assert isinstance(short, bytes), (number, activity, short)
        assert len(short) <= 1600
        strictly(short)
