"""What a private sink or a redacted source keeps of an alert: ids and the product's own words."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from forwarder.contracts import AuditEvent, Origin, Record
from forwarder.contracts.privacy import PrivacyConfig
from forwarder.formats.cef.format import CefFormat
from forwarder.formats.ecs.format import EcsFormat
from forwarder.formats.leef.format import LeefFormat
from forwarder.formats.ocsf.format import OcsfFormat
from forwarder.formats.raw import RawFormat
from forwarder.records.privacy import build_privacy
from forwarder.sources.guard_detect.normalizer import REASONS, GuardDetectNormalizer
from forwarder.sources.guard_detect.source import why_no_alert
from forwarder.sources.pushes import read_body, refused
from tests.golden.test_products import record_of

CASES = sorted(path.parent.name for path in (Path(__file__).parents[1] / "golden" / "guard_detect").glob("*/in.json"))


def planted(raw: bytes) -> Iterator[bytes]:
    """Give an alert with a canary in every text that a person could have written."""
    tree = json.loads(raw)
    tree.pop("unreadable", None)
    tree |= {
        "alertTitle": "CANARY did it",
        "alertDetailURL": "https://admin.example.com/o/CANARY",
        "CANARY": ["CANARY"],
    }
    tree["actor"] = {
        "accountId": "557058:00000000-1111-2222-3333-444444444444",
        "name": "CANARY",
        "url": "https://example.com/CANARY",
        "sessions": [{"ipAddress": "192.0.2.77", "userAgent": "CANARY/1.0"}],
    }
    for subject in ("CANARY", {"type": "space", "id": "7", "name": "CANARY", "url": "https://x.example.com/CANARY"}):
        tree["activity"] = {"action": "Exported", "subject": subject}
        yield json.dumps(tree).encode()


@pytest.mark.parametrize("name", CASES)
def test_nothing_of_content_or_persons_is_left(name):
    record = record_of("guard_detect", name)
    try:
        bodies = [*planted(record.raw)]
    except (ValueError, TypeError):
        return  # not an object
    privacy = build_privacy(PrivacyConfig.model_validate("strict"))
    for body in bodies:
        private = Record(1, record.origin, record.id, privacy.apply("guard_detect", body), read_ms=1)
        assert b"CANARY" not in private.raw
        assert b"192.0.2.77" not in private.raw
        [event] = GuardDetectNormalizer().normalize([private])
        assert isinstance(event, AuditEvent)
        assert (event.actor.id if event.actor else None) == "557058:00000000-1111-2222-3333-444444444444"
        private.event = event
        for form in (EcsFormat(original=True), OcsfFormat(original=True), CefFormat(), LeefFormat(), RawFormat()):
            [line] = form.render([private])
            assert isinstance(line, bytes)
            assert b"canary" not in line.lower()
            assert b"192.0.2.77" not in line


@pytest.mark.parametrize(
    "settings",
    [
        {"kinds": {"titles": "drop"}},
        {"kinds": {"messages": "drop"}},
        {"fields": {"actor.name": "drop"}},
        {"ip": "network"},
        "strict",
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "body",
    [
        b'{"alertId": "1", "alertTitle": "CANARY",}',
        b'{"alertId": "1", "alertTitle": "CANARY", "actor": {"name": "CAN',
        b'["CANARY"]',
        b"CANARY",
        b'{"alertTitle": "CANARY \xff"}',
        b'{"CANARY": 1}',
    ],
    ids=str,
)
def test_of_what_could_not_be_read_nothing_is_left_where_anything_is_private(settings, body):
    privacy = build_privacy(PrivacyConfig.model_validate(settings))
    [(kept, reason)] = read_body(body, why_no_alert)
    assert b"CANARY" in kept or b64encode(body) in kept
    private = privacy.apply("guard_detect", kept)
    assert {name: value for name, value in json.loads(private).items() if value is not None} == {"unreadable": reason}
    assert refused(private, REASONS) is not None, "it is a dead letter still"


@pytest.mark.parametrize(
    "more",
    [
        {"unreadable": "Alice Smith's payroll alice@example.com"},
        {"unreadable": "Alice Smith's payroll alice@example.com", "text": "x"},
        {"unreadable": REASONS[0], "text": "x", "base64": "eA=="},
        {"unreadable": REASONS[0], "text": "x", "more": 1},
        {"unreadable": ["x"]},
    ],
)
def test_what_a_sender_writes_like_our_own_object_is_an_alert_as_any_other(more):
    raw = json.dumps({**more, "alertId": "1"} if "more" in more else more, separators=(",", ":")).encode()
    assert raw.startswith(b'{"unreadable":')
    [found] = GuardDetectNormalizer().normalize([Record(1, Origin("a", "guard_detect", ""), "0" * 32, raw)])
    assert isinstance(found, AuditEvent)
