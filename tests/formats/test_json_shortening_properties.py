"""JSON of any shape at any limit: at most so long, sound, marked, and still which event, when and who."""

import json

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from forwarder.contracts import Shrinks, UnexpectedPayload
from forwarder.formats.ecs.format import EcsFormat
from forwarder.formats.raw import MARK, RawFormat
from forwarder.testing.events import record_of
from tests.events import record_of as raw_record
from tests.events import strictly
from tests.examples import examples
from tests.hostile import audit_events, json_values, nearly_plain, sound, text

RAW, ECS = RawFormat(), EcsFormat()
many = settings(max_examples=examples(200), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

parts = st.one_of(json_values, st.lists(st.dictionaries(text, text, max_size=5), max_size=30))
raw_events = st.fixed_dictionaries(
    {},
    optional={
        "id": st.one_of(st.just("606a97f7-b9d3-4ad1"), json_values), "type": text, "links": parts, "relations": parts,
        "message": st.one_of(st.fixed_dictionaries({"content": text}), json_values), "\U0001f600": parts, MARK: json_values,
        "attributes": st.one_of(json_values, st.fixed_dictionaries({}, optional={
            "time": st.just("2024-10-03T10:44:26.457Z"), "action": st.one_of(st.just("jira_issue_viewed"), text),
            "actor": st.one_of(json_values, st.fixed_dictionaries({}, optional={
                "id": st.just("557058:bd95"), "name": text, "email": text, "links": parts,
            })),
            "context": parts, "container": parts, "other": parts,
        })),
    },
)  # fmt: skip


def is_part_of(short, whole) -> bool:
    """Say whether a value is what is left of another when texts are cut and members left out."""
    if isinstance(whole, dict):
        return isinstance(short, dict) and all(key in whole and is_part_of(short[key], whole[key]) for key in short)
    if isinstance(whole, list):
        return isinstance(short, list) and len(short) == len(whole) and all(map(is_part_of, short, whole))
    if isinstance(whole, str):
        return isinstance(short, str) and whole.startswith(short)
    return short == whole


def at(tree, *names):
    for name in names:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def repaired(value):
    """Replace half surrogates, as the slow reader does; JSON can carry them, UTF-8 cannot."""
    if isinstance(value, str):
        return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in value)
    if isinstance(value, dict):
        return {repaired(key): repaired(inner) for key, inner in value.items()}
    return [repaired(inner) for inner in value] if isinstance(value, list) else value


@many
@given(
    raw_events | st.dictionaries(text, parts, max_size=8),
    st.integers(0, 4000),
    st.booleans(),
    st.sampled_from([None, 1]),
)
@example({"id": "x" * 500}, 100, True, None)
@example({"attributes": {"actor": {"name": "\\" * 300}}}, 200, True, None)
@example({"attributes": {"actor": "\\" * 300}}, 200, True, None)
@example({str(n): n for n in range(500)}, 900, True, None)
def test_raw_of_any_shape_at_any_limit(event, limit, ascii_only, indent):
    body = json.dumps(event, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "replace")
    short = RAW.shrink(raw_record(body), limit)
    whole = repaired(json.loads(body))
    whole.pop(MARK, None)
    paths = [("id",), ("attributes", "time"), ("attributes", "action"), ("attributes", "actor", "id")]
    if isinstance(short, UnexpectedPayload):
        room = sum(len(json.dumps(at(whole, *path))) for path in paths)
        assert limit < 300 + room, "there was room"
        return
    assert len(short) <= limit
    left = strictly(short)
    marks = left.pop(MARK)
    halves = any("\ud800" <= c <= "\udfff" for c in json.dumps(json.loads(body), ensure_ascii=False))
    assert marks.pop("repaired", halves) == halves, "half a character was replaced, or there was none"
    assert marks == {"truncated": True, "bytes": len(body)}
    assert is_part_of(left, whole)
    for path in paths:
        assert at(left, *path) == at(whole, *path), path
    named = [at(whole, "attributes", "actor", name) for name in ("id", "email", "name")]
    if any(isinstance(name, str) and name for name in named):
        assert any(at(left, "attributes", "actor", name) for name in ("id", "email", "name"))


@many
@given(nearly_plain | audit_events, st.integers(0, 4000))
def test_ecs_at_any_limit(event, limit):
    [whole] = ECS.render([record_of(event)])
    short = ECS.shrink(record_of(event), limit)
    if isinstance(whole, UnexpectedPayload):
        assert isinstance(short, UnexpectedPayload)
        return
    document = strictly(whole)
    essentials = [("@timestamp",), ("event", "id"), ("event", "action"), ("user", "id"), ("ecs", "version")]
    if isinstance(short, UnexpectedPayload):
        room = sum(len(json.dumps(at(document, *path))) for path in essentials)
        assert limit < 600 + room, "there was room"
        return
    assert len(short) <= limit
    left = strictly(short)
    marks = left["atlassian"]["audit"].pop("marks")
    assert marks == [*(at(document, "atlassian", "audit", "marks") or []), "truncated"]
    assert is_part_of(left, document)
    for path in essentials:
        assert at(left, *path) == at(document, *path), path
    actors = [name for name in ("id", "email", "full_name") if at(document, "user", name)]
    assert not actors or at(left, "user", actors[0])


@given(st.integers(1, 3000), sound)
def test_a_shape_nested_as_deep_as_can_be_is_shortened_or_refused(depth, name):
    body = b'{"id":"1","a":' + b'{"b":' * depth + json.dumps(name).encode() + b"}" * depth + b"}"
    short = RAW.shrink(raw_record(body), 100)
    assert isinstance(short, UnexpectedPayload) or (len(short) <= 100 and strictly(short)["id"] == "1")


def test_both_can_shrink():
    assert isinstance(RAW, Shrinks)
    assert isinstance(ECS, Shrinks)
