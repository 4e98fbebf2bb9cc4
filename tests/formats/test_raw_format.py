"""The raw format: the very bytes, or a reason."""

import tracemalloc

import pytest

from forwarder.admin.advice import ADVICE, advice_for
from forwarder.contracts import UnexpectedPayload
from forwarder.formats.raw import RawFormat, with_whole_characters
from tests.events import record_of


def raw_of(body: bytes):
    [line] = RawFormat().render([record_of(body)])
    return line


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"a":1.10,"a":2, "b" : "\\/"}',
        b'{"n":123456789012345678901234567890}',
        '{"a":"grün \u2028\u0085"}'.encode(),
        b'{"whole":"\\ud83d\\ude00","escaped":"\\\\ud800"}',
        b'{"e":1e308,"z":1e-400}',
    ],
)
def test_sound_objects_pass_untouched(body):
    assert raw_of(body) is body


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b'"text"', b"{} {}", b"{", b'{"a":1,}', b'{"a":"\xff"}', b'{"a":1e400}', b'{"a":-1e400}',
        b'{"a":NaN}', b'{"a":Infinity}', b'{"a":"\n"}', b'{"a":"\x00"}', b'{"a":01}', b"\xef\xbb\xbf{}", b'{"a":"\xed\xa0\x80"}',
        b'{"half":"\\ud800","big":1e999}', '{"a":1}'.encode("utf-16"), b'{"a":' * 200_000, b'{"a":"\\ud800"}\n[]',
    ],
)  # fmt: skip
def test_the_rest_is_refused_with_a_reason(body):
    line = raw_of(body)
    assert isinstance(line, UnexpectedPayload)
    assert line.reason


@pytest.mark.parametrize(
    ("body", "whole"),
    [
        (rb'{"a":"\ud800"}', rb'{"a":"\ufffd"}'),
        (rb'{"a":"\uDC00\ud800x"}', rb'{"a":"\ufffd\ufffdx"}'),
        (rb'{"a":"\ud800\ud83d\ude00","n":1.10}', rb'{"a":"\ufffd\ud83d\ude00","n":1.10}'),
        (rb'{"a":"\\\ud800 \\ud800"}', rb'{"a":"\\\ufffd \\ud800"}'),
        (rb'{"\udfff":1} ', rb'{"\ufffd":1}'),
        (rb'{"a":"\\ud83d\udc00"}', rb'{"a":"\\ud83d\ufffd"}'),
        (rb'{"a":"\ud83d\ud83d\ude00\ude00"}', rb'{"a":"\ufffd\ud83d\ude00\ufffd"}'),
    ],
)
def test_half_a_character_becomes_a_whole_one_and_the_event_says_so(body, whole):
    assert raw_of(body) == whole[:-1] + b',"audit_forwarder":{"repaired":true}}'
    record = record_of(body[:-1].rstrip(b"}") + b',"b":"' + b"x" * 500 + b'"}')
    assert b'"repaired":true' in RawFormat().shrink(record, 200)


@pytest.mark.parametrize("escape", [rb"\u20ac", rb"\\", rb"\n", rb"\ud83d\ude00", rb"\\ud83d"])
def test_an_event_of_escapes_takes_no_memory_but_its_own(escape):
    body = b'{"a":"' + escape * (2**21 // len(escape)) + b'"}'
    tracemalloc.start()
    try:
        assert with_whole_characters(body) is body
        assert tracemalloc.get_traced_memory()[1] < len(body)
    finally:
        tracemalloc.stop()


def test_the_advice_for_what_raw_refuses_is_not_raw():
    line = raw_of(b"x")
    assert isinstance(line, UnexpectedPayload)
    assert advice_for(line.word, None) == ADVICE["not_json"]


def test_line_ends_between_tokens_become_blanks():
    assert raw_of(b'{\r\n "a": "x\\n",\n"b":\r1}') == b'{   "a": "x\\n", "b": 1}'


def test_one_refusal_costs_only_itself():
    lines = RawFormat().render([record_of(b'{"a":1}'), record_of(b"x"), record_of(b'{"a":2}')])
    assert [type(line) for line in lines] == [bytes, UnexpectedPayload, bytes]
