"""Concrete events that are too long for a sink, as raw and as ECS."""

import json

from forwarder.contracts import Actor, UnexpectedPayload
from forwarder.formats.ecs.format import EcsFormat
from forwarder.formats.raw import MARK, RawFormat
from forwarder.testing.events import record_of
from tests.events import golden_bodies, strictly
from tests.events import record_of as raw_record
from tests.hostile import ordinary_event


def event(**attributes) -> dict:
    whole = json.loads(golden_bodies()["issue_viewed"])
    whole["attributes"] |= attributes
    return whole


def shrunk(whole: dict, limit: int) -> dict:
    short = RawFormat().shrink(raw_record(json.dumps(whole).encode()), limit)
    assert isinstance(short, bytes), short
    assert len(short) <= limit
    return strictly(short)


def test_long_texts_of_the_context_are_cut_before_anything_else():
    whole = event(context=[{"id": "p", "type": "settings", "attributes": {"before": "x" * 10**6, "after": "short"}}])
    left = shrunk(whole, 8192)
    assert len(left["attributes"]["context"][0]["attributes"].pop("before")) == 4096
    whole["attributes"]["context"][0]["attributes"].pop("before")
    assert left.pop(MARK) == {
        "truncated": True,
        "bytes": len(
            json.dumps(
                event(
                    context=[{"id": "p", "type": "settings", "attributes": {"before": "x" * 10**6, "after": "short"}}]
                )
            )
        ),
    }
    assert left == whole


def test_what_is_needed_least_goes_the_biggest_first():
    whole = event(context=[{"id": str(n)} for n in range(1000)])
    left = shrunk(whole, 4096)
    assert "context" not in left["attributes"]
    assert left["attributes"]["container"] == whole["attributes"]["container"]


def test_unknown_members_go_when_nothing_else_helps():
    whole = event() | {"news": list(range(5000)), "message": {"content": "m" * 5000}}
    left = shrunk(whole, 2000)
    assert "news" not in left
    assert left["message"] == {"content": "m" * 64}
    assert left["attributes"]["actor"]["id"] == whole["attributes"]["actor"]["id"]


def test_only_the_essentials_are_left_at_last():
    whole, limit = event(), 0
    body = json.dumps(whole).encode()
    while isinstance(short := RawFormat().shrink(raw_record(body), limit), UnexpectedPayload):
        limit += 1
    attributes = whole["attributes"]
    assert strictly(short) == {
        "id": whole["id"],
        "attributes": {
            "time": attributes["time"],
            "action": attributes["action"],
            "actor": {"id": attributes["actor"]["id"]},
        },
        MARK: {"truncated": True, "bytes": len(body)},
    }


def test_numbers_keep_their_very_digits():
    body = (
        b'{"id":"1","a":1.10,"b":12345678901234567890123,"c":0.12345678901234567890123,"links":"' + b"x" * 500 + b'"}'
    )
    short = RawFormat().shrink(raw_record(body), 300)
    assert short.startswith(b'{"id":"1","a":1.10,"b":12345678901234567890123,"c":0.12345678901234567890123,')


def test_an_event_that_is_no_json_is_refused_as_ever():
    for body in (b"[]", b"{", b'{"a":1e400}', b'{"a":' * 5000, b'{"a":"\xff"}'):
        assert isinstance(RawFormat().shrink(raw_record(body), 8192), UnexpectedPayload)


def test_ecs_without_room_keeps_what_matters():
    event = ordinary_event(message="m" * 5000, actor=Actor("557058:bd95", "N" * 5000, "nora.vale@example.com"))
    short = EcsFormat().shrink(record_of(event), 1500)
    left = strictly(short)
    assert left["atlassian"]["audit"]["marks"] == ["truncated"]
    assert "context" not in left["atlassian"]["audit"]
    assert left["user"]["id"] == "557058:bd95"
    assert set(left["message"]) == {"m"}
    assert [left["@timestamp"], left["event"]["id"], left["event"]["action"]] == [
        "2024-10-03T10:44:26.457Z", "606a97f7", "page_viewed",
    ]  # fmt: skip


def test_an_actor_without_id_is_cut_at_last():
    event = ordinary_event(actor=Actor(None, "N" * 5000), event_id="1")
    short = EcsFormat().shrink(record_of(event), 400)
    left = strictly(short)
    assert 16 <= len(left["user"]["full_name"]) < 200


def test_an_event_without_meaning_is_refused():
    record = record_of(ordinary_event())
    record.event = None
    assert isinstance(EcsFormat().shrink(record, 8192), UnexpectedPayload)
