"""Whatever an event holds, its envelope is one JSON object that says the same, and Splunk makes one event of it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forwarder.contracts import AuditEvent, Origin, Record
from forwarder.registry import build_format
from simulator.receivers.hec_envelope import KEYS, METADATA, Rules, read_events
from sinks.splunk_hec.envelope import Wrapper, refused
from sinks.splunk_hec.settings import PLACEHOLDERS, FieldName, SplunkHecConfig
from tests.hostile import audit_events, json_values, text
from tests.registered import formats, is_json

ALL_FIELDS = list(get_args(FieldName))
EVERYWHERE = "".join(f"{{{name}}}" for name in PLACEHOLDERS)
FORMATS = {name: build_format(name) for name in formats()}


def config(**more: Any) -> SplunkHecConfig:
    return SplunkHecConfig(url="https://127.0.0.1:1", token="t", **more)


def whole(value: Any) -> Any:
    """Return a text without half surrogates, as it can be sent."""
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(value, str) else value


def strictly(envelope: bytes, *, foreign: bool = False) -> dict[str, Any]:
    """Read one envelope with another reader: strict JSON, no key twice; within an event that is `foreign` any."""
    objects: list[list[tuple[str, Any]]] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        objects.append(pairs)
        return dict(pairs)

    def refuse(name: str) -> Any:
        raise AssertionError(name)

    read: dict[str, Any] = json.loads(
        envelope.decode("utf-8"), object_pairs_hook=once, parse_constant=refuse, parse_float=Decimal
    )
    ours = [pairs for pairs in objects if dict(pairs) in (read, read.get("fields"))] if foreign else objects
    assert all(len(dict(pairs)) == len(pairs) for pairs in ours), "a key twice"
    assert list(read) == [key for key in KEYS if key in read], "a key too many"
    return read


def record_of(event: AuditEvent | None, raw: bytes = b'{"id":"x"}', origin: Origin | None = None) -> Record:
    return Record(1, origin or Origin("acme", "organization", "org-1"), "f" * 32, raw, event, raw, 1_770_000_000_123)


origins = st.builds(Origin, text, text, text, text)
raw_events = st.dictionaries(text.map(whole), json_values, min_size=1, max_size=4)


@given(audit_events, raw_events, origins, st.booleans(), st.booleans())
def test_any_raw_event_and_any_fields_are_one_event_for_splunk(
    event: AuditEvent, tree: dict[str, Any], origin: Origin, spaced: bool, ascii_only: bool
) -> None:
    raw = json.dumps(tree, indent=1 if spaced else None, ensure_ascii=ascii_only).encode()
    record = record_of(event, raw, origin)
    [body] = FORMATS["raw"].render([record])
    assert isinstance(body, bytes)
    record.body = body
    made = config(
        indexed_fields=ALL_FIELDS, labels={"env": 'a"b\\'}, index="i_" + EVERYWHERE, source=EVERYWHERE, host=EVERYWHERE
    )
    envelope = Wrapper(made, "raw", is_json=True).wrap(record)
    read = strictly(envelope)
    assert read["event"] == json.loads(body, parse_float=Decimal)
    assert json.loads(envelope)["event"] == tree
    assert Decimal(read["time"]) * 1000 == (event.time_ms if event.time_ms >= 0 else record.read_ms)
    fields = read["fields"]
    assert fields["event_id"] == whole(event.event_id or record.id)
    assert fields["document_id"] == record.id
    assert fields.get("action", "") == whole(event.action)
    assert fields.get("actor_name", "") == whole((event.actor and event.actor.name) or "")
    assert fields["severity"] == event.severity
    assert fields["env"] == 'a"b\\'
    assert set(fields) <= {*ALL_FIELDS, "env"}
    # the other one: what a collector makes of two of them, one after the other
    events, bad = read_events(envelope + b"\n" + envelope, Rules())
    assert bad is None
    assert [indexed.event for indexed in events] == [body, body]
    assert events[0].fields == json.loads(envelope)["fields"]
    for name in METADATA:
        value = getattr(events[0], name)
        assert value is None or (value.isprintable() and len(value) <= 200)


@pytest.mark.parametrize("format_name", [name for name in FORMATS if name != "raw"])
@given(event=audit_events)
def test_other_formats_are_carried_as_they_are(format_name: str, event: AuditEvent) -> None:
    record = record_of(event)
    [body] = FORMATS[format_name].render([record])
    if not isinstance(body, bytes):
        return
    record.body = body
    as_json = format_name in formats(is_json)
    envelope = Wrapper(config(), format_name, is_json=as_json).wrap(record)
    read = strictly(envelope)
    assert read["event"] == (json.loads(body, parse_float=Decimal) if as_json else body.decode())
    assert read["sourcetype"] == f"atlassian:audit:{format_name}"
    events, bad = read_events(envelope, Rules())
    assert bad is None
    assert len(events) == 1


@given(st.binary(max_size=60) | text.map(lambda value: b'{"a":"' + value.encode("utf-8", "replace") + b'"}'))
@example(b'{"  ":"","  ":""}')
def test_a_body_of_an_unknown_format_forges_nothing(body: bytes) -> None:
    record = record_of(None)
    record.body = body
    envelope = Wrapper(config(), "of_tomorrow", is_json=False).wrap(record)
    read = strictly(envelope, foreign=True)
    assert set(read["fields"]) == {"event_id", "document_id"}
    if isinstance(read["event"], str):
        assert read["event"] == body.decode("utf-8", "replace")
    else:
        assert read["event"] == json.loads(body, parse_float=Decimal)
    events, bad = read_events(envelope, Rules())
    if bad is not None:
        assert bad.code == 13
        assert refused([record], as_lines=False) or not body.strip()
    assert len(events) == (bad is None)


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        ({"indexed_fields": []}, None),
        ({"indexed_fields": [], "labels": {"a": "b"}}, {"a": "b"}),
        ({"indexed_fields": ["product"]}, {"product": "jira"}),
        ({"indexed_fields": ["action"]}, {"action": "did"}),
        ({"indexed_fields": ["target_user", "object_id"]}, None),
    ],
)
def test_fields_are_left_out_where_there_are_none(settings: dict[str, Any], fields: dict[str, str] | None) -> None:
    event = AuditEvent("d", "organization", "o", "did", 1000, 0, product="jira")
    read = strictly(Wrapper(config(**settings), "raw", is_json=True).wrap(record_of(event)))
    assert read.get("fields") == fields


@given(st.integers(-(10**15), 10**15), st.integers(-5, 10**15))
def test_time_is_written_with_a_point_that_stays(time_ms: int, read_ms: int) -> None:
    event = AuditEvent("d", "organization", "o", "a", time_ms, 0)
    record = record_of(event)
    record.read_ms = read_ms
    written = Wrapper(config(), "raw", is_json=True).wrap(record).partition(b",")[0]
    digits = written.removeprefix(b'{"time":').decode()
    seconds, _, millis = digits.partition(".")
    assert seconds.isdecimal()
    assert len(millis) == 3
    want = time_ms if time_ms >= 0 else max(read_ms, 0)
    assert int(seconds + millis) == want


@pytest.mark.parametrize("body", [b"", b"{}", b"{  }", b"  ", b"\n", b"[]", b'""'])
def test_what_is_blank_is_not_sent(body: bytes) -> None:
    record = record_of(None)
    record.body = body
    assert [rejection.reason for rejection in refused([record], as_lines=False).values()] == ["blank"]


@pytest.mark.parametrize("body", [b"a\nb", b"a\rb"])
def test_a_line_end_would_be_another_event_on_raw(body: bytes) -> None:
    record = record_of(None)
    record.body = body
    assert refused([record], as_lines=False) == {}
    assert [rejection.reason for rejection in refused([record], as_lines=True).values()] == ["line_break"]
