"""Single members of a record, as the bytes that stand there, whatever else the record holds."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.sources.pages import MemberReader, text_of

READER = MemberReader("id", "created")


@pytest.mark.parametrize(
    ("body", "ident", "created"),
    [
        (b'{"id":7,"created":"x"}', "7", "x"),
        (b' { "id" : 12345678901234567890123 , "created" : null } ', "12345678901234567890123", None),
        (b'{"id":"a\\u00e9","created":"\\ud83d"}', "a\u00e9", "\ufffd" * 3),
        (b'{"id":1.50}', "1.50", None),
        (b'{"id":-0}', "-0", None),
        (b'{"id":1,"id":2}', "2", None),
        (b'{"x":{"id":9},"id":3}', "3", None),
        (b'{"x":NaN,"id":4,"created":"y"}', "4", "y"),
        (b'{"x":"\xff\xfe","id":5}', "5", None),
        (b'{"x":' + b"[" * 5000 + b"]" * 5000 + b',"id":6}', "6", None),
        (b'{"id":' + b"9" * 6000 + b',"x":NaN}', "9" * 6000, None),
        (b'{"id":true,"created":[1]}', None, None),
        (b'{"id":{"id":1}}', None, None),
        (b'{"id":NaN}', None, None),
        (b"[1,2]", None, None),
        (b"7", None, None),
        (b'"text"', None, None),
        (b'{"id":1', None, None),
        (b"", None, None),
        (b'{"id":"' + b"a" * 2_000_000 + b'"}', None, None),
    ],
    ids=range(20),
)
def test_a_member_is_read_by_its_bytes(body, ident, created):
    found = READER.read(body)
    assert [text_of(raw) for raw in found] == [ident, created]


@given(st.dictionaries(st.sampled_from(["id", "created", "x"]), st.none() | st.text() | st.integers() | st.floats()))
def test_it_agrees_with_a_whole_reader(record):
    body = json.dumps(record).encode()
    for raw, name in zip(READER.read(body), ("id", "created"), strict=True):
        if isinstance(record.get(name), int):
            assert text_of(raw) == str(record[name])
        elif isinstance(record.get(name), str):
            assert text_of(raw) == record[name].encode("utf-8", "surrogatepass").decode("utf-8", "replace")


@given(st.binary(max_size=60))
def test_nothing_makes_it_raise(body):
    assert len(READER.read(body)) == 2
    text_of(body)
