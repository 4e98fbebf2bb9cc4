"""Whatever an event holds: one element, read back by another parser to the same values; so too when shortened."""

import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forwarder.contracts import Actor, AuditEvent, Thing, UnexpectedPayload
from forwarder.formats.structured_data.format import StructuredDataFormat
from forwarder.testing.events import record_of
from tests.examples import examples
from tests.formats.structured_data_reader import strictly
from tests.hostile import at_every_guard, audit_events, nearly_plain

SD = StructuredDataFormat()  # shared: memories must not bend results
any_events = nearly_plain | audit_events
many = settings(max_examples=examples(200), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def plain(text: str | None) -> str | None:
    """What a text must come back as: written anew here, from the documentation."""
    if not text:
        return None
    repaired = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    return re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", repaired)


def expected_fields(event: AuditEvent) -> dict[str, str | None]:
    actor, target, effective = (
        event.actor or Actor(),
        event.target_user or Actor(),
        event.impersonated or event.on_behalf_of,
    )
    thing, space, group = event.content or Thing(""), event.space or Thing(""), event.target_group or Thing("")
    site, app, effective = event.site or Thing(""), event.app or Thing(""), effective or Actor()
    return {
        "action": event.action, "action_name": event.action_name, "id": event.event_id or event.document_id[:32],
        "actor_id": actor.id, "actor_name": actor.name, "actor_email": actor.address, "actor_kind": actor.kind,
        "effective_id": effective.id, "effective_name": effective.name, "effective_email": effective.address,
        "target_id": target.id, "target_name": target.name, "target_email": target.address, "target_role": event.target_role,
        "group_id": group.id, "group_name": group.name, "object_kind": thing.kind, "object_id": thing.id,
        "object_key": thing.key, "object_name": thing.name, "object_url": thing.url, "space_id": space.id,
        "space_key": space.key, "space_name": space.name, "site_id": site.id, "site_name": site.name, "site_url": site.url,
        "app_id": app.id, "app_name": app.name, "message": event.message, "user_agent": event.user_agent,
        "source_ip": event.ip, "source_address": event.source_address, "organization": event.organization,
        "country": event.country, "region": event.region, "city": event.city, "geo": event.geo, "feed": event.feed,
        "severity": str(event.severity), "outcome": None if event.outcome == "unknown" else event.outcome,
        "category": ",".join(event.category), "type": ",".join(event.types), "product": event.product,
        "marks": ",".join(event.marks), "layer": event.layer, "act": event.act,
        "object": event.object, "organization_name": event.organization_name,
    }  # fmt: skip


@many
@given(any_events)
def test_an_element_reads_back_to_what_was_said(event):
    [element] = SD.render([record_of(event)])
    assert isinstance(element, bytes)
    found = strictly(element)
    for name, text in expected_fields(event).items():
        assert found.get(name) == plain(text), name
    for name in ("time", "read_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found[name])


@many
@at_every_guard
@given(any_events)
def test_the_fast_way_and_the_careful_way_say_the_same(event):
    assert SD._line(event) == StructuredDataFormat()._carefully(event)


@many
@given(any_events, st.integers(0, 3000))
def test_a_shortened_element_is_sound_at_every_limit(event, limit):
    [whole] = SD.render([record_of(event)])
    short = SD.shrink(record_of(event), limit)
    document = strictly(whole)
    who = [document[name] for name in ("actor_id", "actor_email", "actor_name") if name in document]
    if isinstance(short, UnexpectedPayload):
        essentials = [document["id"], document.get("action", ""), *who[:1]]
        assert limit < 150 + sum(2 * len(value.encode()) for value in essentials), "there was room"
        return
    assert len(short) <= limit
    left = strictly(short)
    assert "truncated" in left.pop("marks").split(",")
    for name in ("time", "action", "id", "actor_id"):
        assert left.get(name) == document.get(name), name
    assert not who or {"actor_id", "actor_email", "actor_name"} & set(left)
    assert all(document[name].startswith(value) for name, value in left.items())
