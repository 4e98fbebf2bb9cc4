"""Whatever the API could send: one sound record or one reason, in each format, and never anything else."""

import ipaddress
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from forwarder.catalogue import load_catalogue
from forwarder.contracts import AuditEvent, UnexpectedPayload
from forwarder.formats.cef.format import CefFormat
from forwarder.formats.ecs.format import EcsFormat
from forwarder.formats.leef.format import LeefFormat
from forwarder.formats.ocsf.format import OcsfFormat
from forwarder.formats.raw import RawFormat
from forwarder.formats.structured_data.format import StructuredDataFormat
from forwarder.sources.organization.normalizer import OrganizationNormalizer
from tests.events import golden_bodies, record_of, strictly
from tests.examples import examples
from tests.formats.cef_reader import strictly as cef_strictly
from tests.formats.leef.reader import read as leef_read
from tests.formats.ocsf_reader import strictly as ocsf_strictly
from tests.formats.structured_data_reader import strictly as sd_strictly

NORMALIZER, ECS, RAW = OrganizationNormalizer(), EcsFormat(), RawFormat()  # shared: memories must not bend results
CEF, LEEF, SD, OCSF = CefFormat(), LeefFormat(), StructuredDataFormat(), OcsfFormat()

HOSTILE = [
    '\n{"create":{}}',
    "\r\n",
    "\u2028",
    "\x00",
    '"',
    "\\",
    "\ud800",
    "\udc00x",
    "Atlassian app",
    "a@b.example",
    "",
]
text = st.one_of(st.text(max_size=12), st.sampled_from(HOSTILE))
scalar = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), text)
anything = st.recursive(
    scalar,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=3)),
    max_leaves=8,
)


def some(**fields):
    """An object with some of these fields, each now and then something else entirely."""
    return st.fixed_dictionaries(
        {}, optional={name: st.one_of(kind, kind, kind, anything) for name, kind in fields.items()}
    )


ips = st.one_of(st.ip_addresses().map(str), text, st.sampled_from(["203.0.113.7:443", "fe80::1%eth0", "010.0.0.1"]))
times = st.one_of(
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.sampled_from(["2024-10-03T10:44:26.457Z", "2024-10-03T10:44:26Z", "2024-10-03T10:44:26.457999999Z", "soon"]),
)
actions = st.one_of(text, st.sampled_from(["user_login", "user_logged_in_as_user", "jira_issue_viewed", "flux"]))
persons = {"id": text, "name": text, "email": st.one_of(text, st.emails())}
entries = st.lists(
    some(
        id=text,
        type=st.sampled_from(
            ["users", "groups", "sites", "space", "roles", "apps", "pages", "orgs", "settings", "odd"]
        ),
        attributes=some(
            name=text, email=text, role=text, groupName=text, siteHostName=text, issueId=text, product=text
        ),
        links=some(alt=st.one_of(text, st.sampled_from(["https://[", "https://a.example/x", "https://u@h:1/"]))),
    ),
    max_size=3,
)
events = some(
    id=text,
    processedAt=times,
    message=some(content=text),
    attributes=some(
        time=times,
        processedAt=times,
        action=actions,
        actor=some(
            **persons,
            auth=some(authType=text, tokenId=text, tokenLabel=text),
            onBehalfOf=some(**persons),
            app=some(id=text),
        ),
        context=entries,
        container=entries,
        location=some(
            ip=ips, geo=st.one_of(text, st.sampled_from(["1.5,2", "91,0", "DE"])), countryName=text, city=text
        ),
    ),
)


def outcome(body: bytes):
    record = record_of(body)
    [event] = NORMALIZER.normalize([record])
    [raw] = RAW.render([record])
    if isinstance(event, UnexpectedPayload):
        assert event.reason
        assert "\n" not in event.reason
        return event, None, raw
    assert isinstance(event, AuditEvent)
    record.event = event
    [line] = ECS.render([record])
    assert isinstance(line, bytes), line
    for render, reads in ((CEF, cef_strictly), (LEEF, leef_read), (SD, sd_strictly), (OCSF, ocsf_strictly)):
        [other], short = render.render([record]), render.shrink(record, 600)
        assert isinstance(other, bytes), other
        reads(other)
        if isinstance(short, bytes):
            assert len(short) <= 600
            reads(short)
    return event, strictly(line), raw


def clean(value):
    """What a text must come out as: half surrogates repaired, numbers as text, the rest absent."""
    if isinstance(value, str):
        return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in value) or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def whole(value):
    """What raw makes of half surrogates, wherever they stand."""
    if isinstance(value, dict):
        return {whole(name): whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [whole(inner) for inner in value]
    return (
        "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in value)
        if isinstance(value, str)
        else value
    )


@settings(max_examples=examples(200), suppress_health_check=[HealthCheck.too_slow])
@given(events, st.booleans(), st.sampled_from([None, 1]))
@example({"attributes": {}}, True, None)
@example({"attributes": {"actor": {"id": "0@0", "name": "\ud800"}}}, True, None)
def test_one_record_or_one_reason(event, ascii_only, indent):
    body = json.dumps(event, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "replace")
    tree = json.loads(body)
    meaning, document, raw = outcome(body)
    assert (
        strictly(raw) in (tree, {**whole(tree), "audit_forwarder": {"repaired": True}})
        if isinstance(raw, bytes)
        else raw.reason
    )
    assert not isinstance(raw, bytes) or json.dumps(strictly(raw), ensure_ascii=False).encode()

    attributes = tree.get("attributes")
    if not isinstance(attributes, dict) or isinstance(attributes.get("action"), bool | float | list | dict):
        assert isinstance(meaning, UnexpectedPayload)
        return
    assert document is not None
    assert document["event"].get("action") == clean(attributes.get("action"))
    assert document["event"]["id"] == (clean(tree.get("id")) or meaning.document_id)
    actor = attributes.get("actor")
    actor = actor if isinstance(actor, dict) else {}
    user = document.get("user", {})
    assert user.get("id") == clean(actor.get("id"))
    assert user.get("full_name") == clean(actor.get("name"))
    assert user.get("email") in {None, clean(actor.get("email"))}
    assert user.get("email") == user.get("name")
    check_source(document, attributes)


def check_source(document, attributes):
    where = attributes.get("location")
    address = clean(where.get("ip")) if isinstance(where, dict) else None
    source = document.get("source", {})
    assert address in {source.get("ip"), source.get("address")}
    if "ip" in source:
        ipaddress.ip_address(source["ip"])
        assert document["related"]["ip"] == [source["ip"]]


@given(st.binary(max_size=60))
@example(b"{" * 5000)
@example(b'{"attributes":{"context":' + b"[" * 5000)
@example(b'{"attributes":{"context":' + b"[" * 500 + b"]" * 500 + b"}}")
@example(b'{"attributes":{"action":"a","context":[' + b"9" * 5000 + b"]}}")
@example(b'{"attributes":{"action":' + b"9" * 5000 + b"}}")
def test_no_bytes_raise(body):
    outcome(body)


@settings(max_examples=examples(200), suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(golden_bodies())), st.data())
def test_a_damaged_event_is_still_one_record_or_one_reason(name, data):
    body = bytearray(golden_bodies()[name])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    _, _, raw = outcome(bytes(body))
    if isinstance(raw, bytes):
        strictly(raw)


@settings(max_examples=examples(20))
@given(st.permutations(sorted(golden_bodies())))
def test_neighbours_do_not_matter(names):
    """An event means the same in any company, and after any other."""
    bodies, catalogue = golden_bodies(), load_catalogue()
    together = OrganizationNormalizer(catalogue).normalize([record_of(bodies[name]) for name in names])
    for name, result in zip(names, together, strict=True):
        [alone] = OrganizationNormalizer(catalogue).normalize([record_of(bodies[name])])
        assert describe(result) == describe(alone)


def describe(result):
    if isinstance(result, UnexpectedPayload):
        return result.reason
    record = record_of(b"{}")
    record.event = result
    return EcsFormat().render([record])


def test_memories_are_bounded():
    normalizer, ecs = OrganizationNormalizer(), EcsFormat()
    for start in range(0, 12_000, 500):
        records = [
            record_of(
                json.dumps(
                    {
                        "id": str(number),
                        "attributes": {
                            "action": f"a{number}",
                            "time": "2024-10-03T10:44:26Z",
                            "actor": {"id": str(number)},
                            "context": [{"id": str(number), "type": "users"}],
                            "location": {"ip": f"2001:db8::{number % 65536:x}", "geo": f"{number % 90}.{number},1"},
                        },
                    }
                ).encode()
            )
            for number in range(start, start + 500)
        ]
        for record, event in zip(records, normalizer.normalize(records), strict=True):
            record.event = event
        ecs.render(records)
    assert 1000 < len(normalizer._ips) <= 4096
    assert 1000 < len(ecs._places) <= 4096


@pytest.mark.parametrize("size", [10_000, 2_000_000])
def test_large_texts_pass_and_are_not_remembered(size):
    ecs = EcsFormat()
    body = json.dumps(
        {
            "id": "1",
            "attributes": {"action": "x" * size, "actor": {"name": "n" * size}, "location": {"city": "y" * size}},
        }
    )
    record = record_of(body.encode())
    [event] = OrganizationNormalizer().normalize([record])
    assert (event.action, event.actor.name, event.city) == ("x" * size, "n" * size, "y" * size)
    record.event = event
    [line] = ecs.render([record])
    assert strictly(line)["event"]["action"] == "x" * size
    assert not ecs._places
