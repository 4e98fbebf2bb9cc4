"""Whatever a template and an event hold: one sound record, changed where it was asked for and nowhere else."""

import json
import re
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from forwarder.contracts import ConfigError, FieldsConfig, UnexpectedPayload
from forwarder.formats.cef.keys import RULES as CEF
from forwarder.formats.ecs.fields import known_fields
from forwarder.formats.leef.attributes import RULES as LEEF
from forwarder.formats.ocsf import fields as ocsf_fields
from forwarder.formats.structured_data.names import RULES as SD
from forwarder.registry import build_format
from forwarder.testing.events import HOSTILE, record_of
from tests.examples import examples
from tests.formats.cef_reader import LABELS
from tests.formats.leef.reader import read as leef_read
from tests.hostile import audit_events, nearly_plain
from tests.registered import formats, is_not_json

any_events = nearly_plain | audit_events
many = settings(
    max_examples=examples(80),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
KNOWN = {
    "ecs": known_fields(),
    "ocsf": ocsf_fields.known_fields(),
    "cef": CEF.known,
    "leef": LEEF.known,
    "rfc5424_sd": SD.known,
}
odd = st.one_of(st.text(max_size=8), st.lists(st.sampled_from([*HOSTILE, "x"]), max_size=3).map("".join))
fine_names = st.from_regex("z[A-Za-z0-9]{0,6}", fullmatch=True)
paths = st.from_regex("z[a-z]{0,3}\\.y[a-z]{0,3}", fullmatch=True)
new_names = st.one_of(fine_names, fine_names, fine_names, fine_names, paths, odd)


def templates(name):
    old = st.sampled_from(sorted(KNOWN[name]))
    new = new_names.map("unmapped.{}".format) if name == "ocsf" else new_names
    return st.builds(
        FieldsConfig,
        rename=st.dictionaries(old, new, max_size=3),
        drop=st.lists(old, max_size=3),
        add=st.dictionaries(new, st.one_of(odd, st.integers(-9, 9), st.booleans()), max_size=3),
    )


def cef_read(line):
    """Take an extension apart by the rule of the standard: a key is what stands behind a blank and before a bare `=`."""
    text = line.decode("utf-8")
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029]", text)
    parts = re.split(r"(?<!\\)((?:\\\\)*)\|", text, maxsplit=7)
    rest = " " + parts[-1]
    found = re.split(r" ([A-Za-z0-9]+)(?<!\\)=", rest)
    assert not found[0]
    pairs = list(zip(found[1::2], found[2::2], strict=True))
    assert len(dict(pairs)) == len(pairs), "a key stands there twice"
    return {key: value for key, value in pairs if key not in LABELS}


def sd_read(line):
    text = line.decode("utf-8")
    assert text.startswith("[atlassian@32473 ")
    assert text.endswith("]")
    whole = re.fullmatch(r'\[atlassian@32473((?: [^ ="\]]{1,32}="(?:[^"\\\]]|\\["\\\]])*")*)\]', text)
    assert whole, "no element"
    pairs = re.findall(r' ([^ ="\]]+)="((?:[^"\\\]]|\\["\\\]])*)"', whole[1])
    assert len(dict(pairs)) == len(pairs), "a name stands there twice"
    return dict(pairs)


READ = {"cef": cef_read, "leef": lambda line: leef_read(line).attributes, "rfc5424_sd": sd_read}
MARKS = {"cef": "flexString2", "leef": "marks", "rfc5424_sd": "marks"}


PLAIN = {name: build_format(name) for name in formats()}


def built(name, members):
    try:
        return PLAIN[name].with_fields(members)
    except ConfigError as error:
        assert str(error).startswith("fields")
        assume(condition=False)
        raise


def drawn(name, data):
    """Draw a template that is taken, and what is made with it: before an event, which takes far longer to be drawn."""
    members = data.draw(templates(name))
    return members, built(name, members)


@pytest.mark.parametrize("name", formats(is_not_json))
@many
@given(st.data())
def test_keys_change_and_values_do_not(name, data):
    members, made = drawn(name, data)
    record = record_of(data.draw(any_events))
    [before], [after] = PLAIN[name].render([record]), made.render([record])
    was, now = READ[name](before), READ[name](after)
    expected = {members.rename.get(key, key): value for key, value in was.items() if key not in members.drop}
    added = {key: now.pop(key) for key in members.add}
    assert now == expected
    assert all(added.values())
    limit = data.draw(st.integers(0, 2000))
    short = made.shrink(record, limit)
    if isinstance(short, bytes):
        assert len(short) <= limit
        left = READ[name](short)
        assert "truncated" in left[MARKS[name]]
        assert set(left) <= set(expected) | set(added) | {MARKS[name]}


def leaves(tree, before=()):
    if type(tree) is not dict:
        return {before: tree}
    return {path: value for key, inner in tree.items() for path, value in leaves(inner, (*before, key)).items()}


@pytest.mark.parametrize("name", ["ecs", "ocsf"])
@many
@given(st.data())
def test_json_changes_by_path_and_nowhere_else(name, data):
    members, made = drawn(name, data)
    event, limit = data.draw(any_events), data.draw(st.integers(0, 3000))
    record = record_of(event)
    [before], [after] = PLAIN[name].render([record]), made.render([record])
    if isinstance(before, UnexpectedPayload):
        assert isinstance(after, UnexpectedPayload)
        return
    was, now = (leaves(json.loads(body, parse_float=Decimal)) for body in (before, after))
    renamed = {tuple(old.split(".")): tuple(new.split(".")) for old, new in members.rename.items()}
    dropped = [tuple(name.split(".")) for name in members.drop]
    expected = {tuple(name.split(".")): value for name, value in members.add.items()}
    for path, value in was.items():
        prefixes = [path[:length] for length in range(1, len(path) + 1)]
        old = next((prefix for prefix in prefixes if prefix in renamed), None)
        if old is not None:
            expected[(*renamed[old], *path[len(old) :])] = value
        elif not any(prefix in dropped for prefix in prefixes):
            expected[path] = value
    assert now == expected
    short = made.shrink(record, limit)
    if isinstance(short, bytes):
        assert len(short) <= limit
        tree = json.loads(short)
        if name == "ecs":
            assert "truncated" in tree["atlassian"]["audit"]["marks"]
            assert tree["event"]["id"] == json.loads(before)["event"]["id"]
        else:
            assert tree["metadata"]["is_truncated"] is True
            assert tree["metadata"]["uid"] == event.document_id


@many
@given(
    st.recursive(
        st.one_of(st.none(), st.integers(), odd, st.floats(allow_nan=False, allow_infinity=False)),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd, inner, max_size=3),
        max_leaves=8,
    ),
    st.dictionaries(new_names, st.one_of(odd, st.integers(-9, 9)), max_size=3),
)
def test_raw_gets_constants_and_nothing_of_the_event_is_overwritten(value, add):
    made = built("raw", FieldsConfig(add=add))
    event = {"id": "1", "z": value, "attributes": value}
    [body] = made.render([raw_record(event)])
    if isinstance(body, UnexpectedPayload):
        assert any(name.startswith("z") for name in add)
        return
    found = json.loads(body)
    for name, constant in add.items():
        at = found
        for part in name.split("."):
            at = at[part]
        assert at == constant
    if not any(name.startswith("z.") for name in add):
        kept = json.loads(json.dumps(event).encode("utf-8", "replace"))
        assert {key: found[key] for key in ("id", "z", "attributes")} == repaired(kept)


def repaired(tree):
    """Half surrogates, which no encoding can carry, come back as U+FFFD."""
    if type(tree) is str:
        return re.sub("[\ud800-\udfff]", "\ufffd", tree)
    if type(tree) is list:
        return [repaired(inner) for inner in tree]
    return {repaired(key): repaired(inner) for key, inner in tree.items()} if type(tree) is dict else tree


def raw_record(event):
    from tests.events import record_of as of_body

    return of_body(json.dumps(event).encode())
