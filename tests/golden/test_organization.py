"""Every documented shape and oddity of the organization feed, and what becomes of it in each format."""

import json
import re

import msgspec
import pytest

from forwarder.catalogue import load_catalogue
from forwarder.contracts import ListedAction, Record, UnexpectedPayload
from forwarder.contracts.identity import EventKeys, document_id
from forwarder.formats.raw import RawFormat
from forwarder.sources.organization.normalizer import OrganizationNormalizer
from tests import events
from tests.events import GOLDEN, ORIGIN, golden_bodies, strictly
from tests.golden.cases import hold, rendered

CASES = sorted(golden_bodies())

# What raw refuses: bytes that are not a sound JSON object. The other format repairs what it can.
NOT_SOUND = {
    "cut_short",
    "not_a_number",
    "not_an_object",
    "not_utf8_in_context",
    "not_utf8_in_name",
    "number_out_of_range",
}


def record_of(body: bytes) -> Record:
    try:
        found = json.loads(body).get("id")
    except (ValueError, AttributeError):
        found = None
    named = isinstance(found, str)
    keys = EventKeys(ORIGIN.feed, ORIGIN.scope)
    key = keys.key(found) if named else keys.derived(body)
    marks = () if named else ("derived_id",)
    return events.record_of(body, document_id(key), marks)


@pytest.mark.parametrize("name", CASES)
def test_case(name, request, capsys):
    folder = GOLDEN / name
    catalogue = load_catalogue()
    if (folder / "actions.json").exists():
        catalogue.learn(msgspec.json.decode((folder / "actions.json").read_bytes(), type=list[ListedAction]))
    now = rendered(record_of(golden_bodies()[name]), OrganizationNormalizer(catalogue))
    hold(folder, now, request, capsys)


@pytest.mark.parametrize("name", CASES)
def test_raw_passes_the_bytes_or_says_why_not(name):
    body = golden_bodies()[name]
    [line] = RawFormat().render([record_of(body)])
    if name in NOT_SOUND:
        assert isinstance(line, UnexpectedPayload)
        assert line.reason
    elif "half_surrogate" in name:  # no reader of lines takes half a character
        whole = re.sub(rb"\\ud[89a-f]..", rb"\\ufffd", body.replace(b"\n", b" "))
        assert line == whole[:-1] + b',"audit_forwarder":{"repaired":true}}'
        assert json.dumps(strictly(line), ensure_ascii=False).encode()
    else:
        assert line == body.replace(b"\n", b" ").replace(b"\r", b" ")
        strictly(line)


def test_there_are_cases_of_every_kind():
    assert len(CASES) >= 150
    assert set(CASES) >= NOT_SOUND
