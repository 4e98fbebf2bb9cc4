"""Whatever an event holds: one record of LEEF, read back by an independent reader to the same values; so too shortened."""

import json
import re

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from forwarder.contracts import Actor, AuditEvent, Thing, UnexpectedPayload
from forwarder.formats.leef.format import LeefFormat
from forwarder.testing.events import record_of
from tests.examples import examples
from tests.formats.leef.reader import read
from tests.hostile import at_every_guard, audit_events, nearly_plain

any_events = nearly_plain | audit_events
LEEF = LeefFormat()  # shared: memories must not bend results
many = settings(max_examples=examples(200), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def plain(text: str | None) -> str | None:
    """What a text must come back as: written anew here, from the documentation."""
    repaired = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text or "")
    return re.sub("[|^\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", repaired).strip() or None


def texts(event: AuditEvent) -> dict[str, str | None]:
    """Return the texts an event says, by attribute."""
    actor, target = event.actor or Actor(), event.target_user or Actor()
    other = event.impersonated or event.on_behalf_of or Actor()
    nothing = Thing("")
    thing, space, group = event.content or nothing, event.space or nothing, event.target_group or nothing
    site, app = event.site or nothing, event.app or nothing
    return {
        "action": event.action, "actionName": event.action_name, "actorId": actor.id, "actorName": actor.name,
        "actorKind": actor.kind, "effectiveId": other.id, "effectiveName": other.name, "effectiveEmail": other.address,
        "targetId": target.id, "targetName": target.name, "targetEmail": target.address,
        "role": event.target_role if event.target_user is not None else None,
        "objectRole": event.target_role if event.target_user is None else None,
        "groupID": group.id, "groupName": group.name, "objectKind": thing.kind, "objectId": thing.id, "objectKey": thing.key,
        "resource": thing.name, "url": thing.url, "spaceId": space.id, "spaceKey": space.key, "spaceName": space.name,
        "siteId": site.id, "siteName": site.name, "siteUrl": site.url, "appId": app.id, "appName": app.name,
        "aboutDomain": event.domain, "vendor": thing.vendor, "apiUrl": thing.api_url, "appVendor": app.vendor, "appApiUrl": app.api_url,
        "message": event.message, "userAgent": event.user_agent, "src": event.ip, "sourceAddress": event.source_address,
        "organization": event.organization, "organizationName": event.organization_name, "country": event.country,
        "region": event.region, "city": event.city, "geo": event.geo, "feed": event.feed, "product": event.product,
        "layer": event.layer, "act": event.act, "object": event.object, "cat": ",".join(event.category),
        "type": ",".join(event.types), "sev": str(event.severity) if event.severity else None,
        "reason": event.reason, "outcome": None if event.outcome == "unknown" else event.outcome,
    }  # fmt: skip


@many
@given(any_events)
def test_a_record_reads_back_to_what_was_said_and_to_nothing_else(event):
    [line] = LEEF.render([record_of(event)])
    assert isinstance(line, bytes)
    found = read(line)
    assert found[:3] == ("Atlassian", "Audit", "1")
    assert found.event_id == ((plain(event.action) or "unknown")[:255].strip())
    left = dict(found.attributes)
    expected = texts(event)
    for name, text in expected.items():
        assert left.pop(name, None) == plain(text), name
    actor = event.actor or Actor()
    user = plain(actor.address if actor.address is not None else actor.name)
    assert left.pop("usrName", None) == (user and user[:255].strip())
    ident = event.event_id
    assert left.pop("eventId") == (ident if ident and ident == plain(ident) else event.document_id[:32])
    marks = left.pop("marks", "").split(",")
    assert marks[: len(event.marks)] == list(event.marks) or not event.marks
    if any("|" in text or "^" in text for text in expected.values() if text):
        assert "replaced" in marks
    if event.context is not None:
        whole = msgspec.json.format(str(event.context, "utf-8"), indent=-1)
        assert same_json(left.pop("context"), re.sub("[\x7f-\x9f\u2028\u2029]", " ", whole))
    for name in ("devTime", "devTimeFormat", "readAt", "processedAt", "container", "changes", "also", "authType", "tokenId",
                 "tokenLabel", "sessionId", "authAppId", "authAppName", "authAppKind", "related"):  # fmt: skip
        left.pop(name, None)
    assert not left, "no one said that"


def same_json(left: str, right: str) -> bool:
    """Compare with the floats and integers as written: only escapes may differ."""
    return json.loads(left, parse_float=str, parse_int=str) == json.loads(right, parse_float=str, parse_int=str)


@many
@at_every_guard
@given(any_events)
def test_the_fast_way_and_the_careful_way_say_the_same(event):
    assert LEEF._line(event) == LeefFormat()._carefully(event)


@many
@given(any_events, st.integers(0, 3000))
@example(AuditEvent("0" * 32, "organization", "o", "a", 1, 2, actor=Actor(None, "|" * 400)), 300)
def test_a_shortened_record_is_sound_at_every_limit(event, limit):
    [line] = LEEF.render([record_of(event)])
    short = LEEF.shrink(record_of(event), limit)
    whole = read(line)
    if isinstance(short, UnexpectedPayload):
        essentials = [whole.event_id, *map(whole.attributes.get, ("action", "eventId", "actorId", "marks"))]
        user = whole.attributes.get("usrName", "") if "actorId" not in whole.attributes else ""
        assert limit < 230 + sum(len(text.encode()) for text in [*essentials, user[:16]] if text), "there was room"
        return
    assert len(short) <= limit
    left = read(short)
    assert left.event_id == whole.event_id
    assert left.time == whole.time
    assert "truncated" in left.attributes["marks"].split(",")
    for name in ("action", "eventId", "actorId"):
        assert left.attributes.get(name) == whole.attributes.get(name), name
    assert {"usrName", "actorId"} & set(left.attributes) or "usrName" not in whole.attributes
    for name, value in left.attributes.items():
        if name != "marks":
            assert whole.attributes[name].startswith(value), name


@settings(many, max_examples=examples(40))
@given(st.lists(audit_events, min_size=2, max_size=4))
def test_neighbours_do_not_matter(events):
    together = LeefFormat().render([record_of(event) for event in events])
    assert together == [LeefFormat().render([record_of(event)])[0] for event in events]
