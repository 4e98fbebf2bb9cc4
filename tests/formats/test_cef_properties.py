"""Whatever an event holds: one record of CEF, read back by another parser to the same values; so too when shortened."""

import re

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from forwarder.contracts import Actor, AuditEvent, UnexpectedPayload
from forwarder.formats.cef.format import CefFormat
from forwarder.formats.cef.keys import KEYS
from forwarder.testing.events import record_of
from tests.examples import examples
from tests.formats.cef_reader import strictly
from tests.hostile import at_every_guard, audit_events, nearly_plain

any_events = nearly_plain | audit_events
CEF = CefFormat()  # shared: memories must not bend results
LONGEST = {key.name: key.longest for key in KEYS}
many = settings(max_examples=examples(200), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def plain(text: str | None, longest: int) -> str | None:
    """What a text must come back as: written anew here, from the documentation."""
    if not text:
        return None
    repaired = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    blanked = re.sub("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]", " ", repaired)
    return blanked.strip()[:longest].strip() or None


def expected_fields(event: AuditEvent) -> dict[str, str | None]:
    """Return what an event says, by key, for the keys that take one text of it."""
    actor, target, effective = (
        event.actor or Actor(),
        event.target_user or Actor(),
        event.impersonated or event.on_behalf_of,
    )
    thing = event.content or event.app
    return {
        "suid": actor.id, "suser": actor.address if actor.address is not None else actor.name,
        "AtlassianAuditActorName": actor.name, "AtlassianAuditActorKind": actor.kind, "duid": target.id,
        "duser": target.address if target.address is not None else target.name, "AtlassianAuditTargetName": target.name,
        "msg": event.message, "requestClientApplication": event.user_agent, "shost": event.source_address,
        "AtlassianAuditCountry": event.country, "AtlassianAuditRegion": event.region, "AtlassianAuditCity": event.city,
        "AtlassianAuditOrganization": event.organization_name, "AtlassianAuditObject": event.object,
        "AtlassianAuditGeo": event.geo, "dpriv": event.target_role, "deviceExternalId": event.organization,
        "fileType": thing.kind if thing else None, "fname": thing.name if thing else None,
        "fileId": thing.id if thing else None, "filePath": thing.key if thing else None,
        "request": thing.url if thing else None, "act": event.action, "destinationServiceName": event.product,
        "outcome": None if event.outcome == "unknown" else event.outcome, "deviceFacility": event.feed,
        "cat": ",".join(event.category), "src": event.ip if event.ip and ":" not in event.ip else None,
        "c6a2": event.ip if event.ip and ":" in event.ip else None,
        "rt": str(event.time_ms), "deviceCustomDate2": str(event.read_ms),
        "flexString1": (effective.id or effective.address or effective.name) if effective else None,
    }  # fmt: skip


@many
@given(any_events)
def test_a_record_reads_back_to_what_was_said(event):
    [line] = CEF.render([record_of(event)])
    assert isinstance(line, bytes)
    header, extension = strictly(line)
    for name, text in expected_fields(event).items():
        assert extension.get(name) == plain(text, LONGEST[name] or 100), name
    assert header["class"] == (plain(event.action.replace("\n", " ").replace("\r", " "), 1023) or "unknown")
    assert header["severity"] == str(event.severity)
    ident = event.event_id or ""
    sayable = len(ident) <= 40 and ident == plain(re.sub("[\r\n]", " ", ident), 40)
    assert extension["externalId"] == (ident if sayable else event.document_id[:32])
    if event.context is not None and "truncated" not in extension.get("flexString2", ""):
        assert re.sub(
            "[\x7f-\x9f\u2028\u2029]", " ", msgspec.json.format(str(event.context, "utf-8"), indent=-1)
        ).strip() in {
            extension["cs6"],
            msgspec.json.format(extension["cs6"], indent=-1),
        }


@many
@at_every_guard
@given(any_events)
def test_the_fast_way_and_the_careful_way_say_the_same(event):
    assert CEF._line(event) == CefFormat()._carefully(event)


@many
@given(any_events, st.integers(0, 3000))
@example(AuditEvent("0" * 32, "organization", "o", "a", 1, 2, actor=Actor(None, "\\" * 400)), 300)
def test_a_shortened_record_is_sound_at_every_limit(event, limit):
    [whole] = CEF.render([record_of(event)])
    short = CEF.shrink(record_of(event), limit)
    header, extension = strictly(whole)
    if isinstance(short, UnexpectedPayload):
        essentials = [
            header["class"],
            header["name"][:32],
            extension["externalId"],
            *map(extension.get, ("act", "suid", "suser")),
        ]
        least = sum(2 * len(value.encode()) for value in essentials if value)
        marks = extension.get("flexString2", "")
        assert limit < 200 + least + len(marks), "there was room"
        return
    assert len(short) <= limit
    short_header, left = strictly(short)
    assert "truncated" in left["flexString2"].split(",")
    for name in ("rt", "act", "externalId", "suid"):
        assert left.get(name) == extension.get(name), name
    assert ("suser" in left) or ("suid" in left) or "suser" not in extension
    assert short_header["class"] == header["class"]
    assert header["name"].startswith(short_header["name"])
    for name, value in left.items():
        if name not in {"flexString2", "flexString2Label"}:
            assert extension[name].startswith(value), name


@settings(many, max_examples=examples(40))
@given(st.lists(audit_events, min_size=2, max_size=4))
def test_neighbours_do_not_matter(events):
    together = CefFormat().render([record_of(event) for event in events])
    assert together == [CefFormat().render([record_of(event)])[0] for event in events]
