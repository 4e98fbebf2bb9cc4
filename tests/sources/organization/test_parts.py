"""The quick and the slow way to read a part say the same, and neither lets through what is no sound JSON."""

import json

import msgspec
import pytest

from forwarder.normalize.lenient import ABSENT
from forwarder.sources.organization.entries import Attributes
from forwarder.sources.organization.facts import NOTHING
from forwarder.sources.organization.part_reader import PartReader
from tests.events import golden_bodies

READER = PartReader()


def parts():
    found = set()
    for body in golden_bodies().values():
        try:
            attributes = json.loads(body)["attributes"]
            texts = [json.dumps(attributes[name]) for name in ("context", "container") if name in attributes]
        except (ValueError, TypeError, KeyError):
            continue
        found |= {text for text in texts if "NaN" not in text and "Infinity" not in text and "\\ud" not in text}
    return sorted(found)


def test_there_are_parts_to_read():
    assert len(parts()) > 20


def parsed(text: str):
    part = READER.read(msgspec.Raw(text.encode()))
    return [getattr(part, name) for name in part.__struct_fields__ if name != "raw"]


@pytest.mark.parametrize("text", parts())
def test_unknown_attributes_change_nothing(text):
    tree = json.loads(text)
    before = parsed(text)
    for entry in tree if isinstance(tree, list) else [tree]:
        if isinstance(entry, dict) and isinstance(entry.get("attributes"), dict):
            entry["attributes"]["notKnown"] = "x"
    assert parsed(json.dumps(tree)) == before
    for entry in tree if isinstance(tree, list) else [tree]:
        if isinstance(entry, dict):
            entry["notKnown"] = [1.5, {}]
    assert parsed(json.dumps(tree)) == before


@pytest.mark.parametrize("name", Attributes.__struct_fields__)
def test_a_whole_number_counts_as_its_text(name):
    def entry(value):
        return json.dumps([{"type": "sites", "id": "1", "attributes": {name: value}}])

    assert parsed(entry(7)) == parsed(entry("7"))


@pytest.mark.parametrize("key", ["name", "notKnown"])
@pytest.mark.parametrize("value", [b'"\xff"', b'"\\ud800"', b"1e400", b"[-1e999]", b'"a'])
def test_bytes_that_are_not_sound_are_refused_wherever_they_stand(key, value):
    body = b'[{"type":"sites","attributes":{"' + key.encode() + b'":' + value + b"}}]"
    with pytest.raises((msgspec.DecodeError, ValueError)):
        READER.read(msgspec.Raw(body))


@pytest.mark.parametrize("body", [b"[]", b"{}", b"null", b'""'])
def test_an_empty_part_says_nothing(body):
    assert READER.read(msgspec.Raw(body)) == NOTHING
    assert READER.read(ABSENT) is NOTHING
