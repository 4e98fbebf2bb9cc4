"""What an alert is: its id in every shape, and which bodies are read as one."""

from __future__ import annotations

import json

import pytest

from forwarder.assembly import build_source
from forwarder.contracts import Record, UnexpectedPayload
from forwarder.contracts.identity import EventKeys
from forwarder.contracts.privacy import PrivacyConfig
from forwarder.records.privacy import build_privacy
from forwarder.records.privacy.redaction import Redaction
from forwarder.registry import SOURCES
from tests.receiving.sending import ORG, guard_detect

KEYS = EventKeys("guard_detect", ORG)


@pytest.fixture
def source():
    return build_source("alerts", SOURCES.load("guard_detect").Config(**guard_detect()))


@pytest.mark.parametrize(
    ("written", "ident"),
    [
        (b'"7f1c"', "7f1c"),
        (b"4711", "4711"),
        (b'" 7f1c\\n"', "7f1c"),
        (b'"half \\ud83d"', "half \ud83d"),
        (b'"nul \\u0000"', "nul \x00"),
        (b'"' + b"i" * 5000 + b'"', "i" * 5000),
        (b'"first","alertId":"last"', "last"),
    ],
)
def test_an_alert_is_known_by_its_id_whatever_that_is(source, written, ident):
    for body in (b'{"alertId":' + written + b"}", b'[{"alertId":' + written + b',"x":"\\ud83d"}]'):
        found = source.receive(body)
        assert found.unreadable == 0
        assert [*found.page.keys] == [KEYS.key(ident)]
        assert found.page.derived == frozenset()
        assert [*found.page.minutes] == [""], "by its id alone"


@pytest.mark.parametrize("written", [b"null", b'""', b'" "', b"true", b"[1]", b'{"a":1}', b"1.5"])
def test_an_alert_without_an_id_is_known_by_its_bytes(source, written):
    body = b'{"alertId":' + written + b',"alertTitle":"x"}'
    found = source.receive(body)
    assert (found.unreadable, found.page.derived) == (0, {0})
    assert [*found.page.keys] == [KEYS.derived(body)]
    assert source.receive(b'{"alertId":' + written + b"}").unreadable == 1, "nothing else of an alert"


def test_one_that_cannot_be_read_costs_none_of_its_neighbours(source):
    parts = [b'{"alertId":"a"}', b"7", b'{"alertId":"b"}', b'{"hello":1}', b"[]"]
    found = source.receive(b"[" + b",".join(parts) + b"]")
    assert (found.unreadable, len(found.page.bodies)) == (3, 5)
    assert [bytes(found.page.bodies[at]) for at in (0, 2)] == [parts[0], parts[2]]
    assert json.loads(found.page.bodies[1])["text"] == "7"


def test_the_time_of_an_alert_that_is_ahead_is_no_measure(source):
    ahead = source.receive(json.dumps([{"alertId": "a", "detectionTime": 9e12}, {"alertId": "b"}]).encode())
    assert ahead.page.newest is not None
    assert ahead.page.newest < 9e12
    assert source.receive(b'{"alertId":"a","detectionTime":"x"}').page.newest is None


def test_what_could_not_be_read_is_a_dead_letter_also_when_nothing_of_it_may_be_kept(source):
    redact = Redaction("guard_detect", build_privacy(PrivacyConfig.model_validate("strict")))
    page = redact(source.receive(b"mail to ada@example.com").page)
    assert b"ada@" not in b"".join(page.bodies)
    records = [Record(1, source.origin, page.keys[0].hex(), bytes(page.bodies[0]), read_ms=1)]
    [found] = SOURCES.load("guard_detect").normalizer().normalize(records)
    assert isinstance(found, UnexpectedPayload)


@pytest.mark.parametrize("body", [b'{"alertId":"a\xcf1"}', b'{"alertId":"a","x":"\xff"}', b'[{"alertId":"\xcf"}]'])
def test_bytes_that_are_no_text_are_no_alert(source, body):
    found = source.receive(body)
    assert (found.unreadable, found.page.derived) == (1, {0})
