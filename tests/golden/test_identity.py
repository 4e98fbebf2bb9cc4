"""Ids that were once given out. If one of these values has to change, every event would be delivered again."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.contracts.identity import (
    EventKeys,
    content_digests,
    document_id,
)

FROZEN_KEYS = [
    (
        "organization",
        "a1b2c3d4-0000-1111-2222-333344445555",
        "606a97f7-b9d3-4ad1-8f0d-1f2ad1a41c43",
        "9a2ce337711b5e06e6301ab587de9bb1",
    ),
    ("organization", "", "", "dbb43f66023d9907ec8df6d95ceb9145"),
    ("jira", "example.atlassian.net", "10042", "80a5e15e78791c856ec6371aa801d3a7"),
    ("organization", "org", "grün-\u2028-\U0001f600", "af4f3c5854ae67845f3d925f95ba8212"),
    ("organization", "org", "half \ud800", "1405aa965a4e1b5fcbfa4e36ea983be2"),
]
FROZEN_DERIVED = [
    (b"{}", 0, "092398d481791d9cf8cc2c25d127b027"),
    (b"{}", 1, "6eb72474aa24df70211b4021e6828eb6"),
    (b'{"attributes":{"action":"user_login"}}', 0, "28c63d03eb79305ded33debb64dfdf6b"),
]
FROZEN_DIGESTS = [(b"", "e3b0c44298fc1c14"), (b'{"id":"1"}', "5811967f540d300d"), (b"\xff\x00", "ea5dbf9596d187e9")]


@pytest.mark.parametrize(("feed", "scope", "event_id", "expected"), FROZEN_KEYS)
def test_event_key_is_frozen(feed, scope, event_id, expected):
    assert EventKeys(feed, scope).key(event_id).hex() == expected
    assert EventKeys(feed, scope).keys([event_id, event_id]) == [bytes.fromhex(expected)] * 2


@pytest.mark.parametrize(("body", "occurrence", "expected"), FROZEN_DERIVED)
def test_derived_key_is_frozen(body, occurrence, expected):
    assert EventKeys("organization", "org").derived(body, occurrence).hex() == expected


@pytest.mark.parametrize(("body", "expected"), FROZEN_DIGESTS)
def test_content_digest_is_frozen(body, expected):
    assert content_digests([body])[0].hex() == expected
    assert content_digests([body]) == [bytes.fromhex(expected)]


def test_document_id_forms():
    key, digest = bytes(range(16)), bytes(range(8))
    assert document_id(key) == "000102030405060708090a0b0c0d0e0f"
    assert document_id(key, digest) == "000102030405060708090a0b0c0d0e0f-0001020304050607"


def test_key_follows_the_written_rule():
    """Say the rule a second time, without the module's own code."""
    parts = b"\x00\x00\x00\x04jira" + b"\x00\x00\x00\x04site" + b"77"
    expected = hashlib.blake2b(parts, digest_size=16, person=b"aaf-event-v1").digest()
    assert EventKeys("jira", "site").key("77") == expected


parts = st.tuples(st.text(max_size=6), st.text(max_size=6), st.text(max_size=6))


@given(parts, parts)
def test_no_two_lists_of_parts_share_a_key(left, right):
    assert (EventKeys(*left[:2]).key(left[2]) == EventKeys(*right[:2]).key(right[2])) == (left == right)


@given(st.text(max_size=6), st.text(max_size=6))
def test_an_event_with_and_one_without_id_never_meet(scope, text):
    assert EventKeys("organization", scope).key(text) != EventKeys("organization", scope).derived(text.encode())
