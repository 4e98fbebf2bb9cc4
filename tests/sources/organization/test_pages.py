"""Taking pages apart: the bytes of an event are never touched, and one bad event never costs the page."""

from __future__ import annotations

import pytest

from forwarder.contracts import Retryable
from forwarder.sources.organization.cursors import onward_of
from forwarder.sources.organization.heads import PAGES, heads_of

ODD_EVENTS = {
    "a lone surrogate": b'{"id":"1","name":"\\ud83d alone"}',
    "a surrogate in a name": b'{"id":"1","\\ud83d":1}',
    "bad UTF-8 in the id": b'{"id":"1\xff","attributes":{"time":"\xfe"}}',
    "bad UTF-8": b'{"id":"1","name":"\xff\xfe\x80"}',
    "an encoded surrogate": b'{"id":"1","name":"\xed\xa0\xbd"}',
    "an overlong form": b'{"id":"1","name":"\xc0\xaf"}',
    "NaN": b'{"id":"1","score":NaN}',
    "infinity": b'{"id":"1","score":-Infinity}',
    "a control character": b'{"id":"1","name":"a\x00\nb\x1f"}',
    "duplicate keys": b'{"id":"1","a":1,"a":2,"x":NaN}',
    "1.10": b'{"id":"1","n":1.10,"m":1E+2,"k":-0,"x":NaN}',
    "an escaped slash": b'{"id":"1","u":"http:\\/\\/x","x":NaN}',
    "escapes": b'{"id":"1","u":"\\u00e9\\"\\\\","x":NaN}',
    "white space": b'{ "id" :\t"1" ,\r\n "x" : NaN }',
    "an endless integer": b'{"id":"1","n":' + b"7" * 10_000 + b',"x":NaN}',
    "an endless fraction": b'{"id":"1","n":0.' + b"7" * 10_000 + b',"x":NaN}',
    "1e999999": b'{"id":"1","n":1e999999,"x":NaN}',
    "deep nesting": b'{"id":"1","n":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "deep objects": b'{"id":"1","n":' + b'{"a":' * 20_000 + b'"]}"' + b"}" * 20_000 + b"}",
    "deep with brackets in strings": b'{"id":"1","n":' + b'["]\\"}",' * 5_000 + b"NaN" + b"]" * 5_000 + b"}",
    "an emoji": '{"id":"1","n":"\U0001f600","x":NaN}'.encode(),
}
SOUND = [
    b'{"id":"1"}',
    b'{"id":"2","a":1,"a":2}',
    b'{"id":"3","n":1.10}',
    b'{"id":"4","u":"http:\\/\\/x"}',
    b'{"id":"5","n":123456789012345678901234567890}',
    '{"id":"6","n":"\U0001f600"}'.encode(),
]


def opened(body: bytes) -> tuple[list[bytes], str | None]:
    events, members = PAGES.open(body)
    return events, onward_of(members).cursor


@pytest.mark.parametrize("odd", ODD_EVENTS.values(), ids=ODD_EVENTS)
@pytest.mark.parametrize("filler", [b"", b" ", b"\r\n\t "], ids=["tight", "space", "lines"])
def test_an_odd_event_is_cut_out_byte_for_byte_and_so_are_its_neighbours(odd: bytes, filler: bytes) -> None:
    events = [*SOUND, odd, *SOUND]
    joined = (filler + b"," + filler).join(events)
    body = filler + b'{"data":[' + filler + joined + filler + b'],"meta":{"next":"c"},"links":{"next":"l"}}' + filler
    assert opened(body) == (events, "c")


@pytest.mark.parametrize("odd", ODD_EVENTS.values(), ids=ODD_EVENTS)
def test_a_cut_page_is_never_a_shorter_one(odd: bytes) -> None:
    body = b'{"data":[' + b",".join([SOUND[0], odd, SOUND[1]]) + b'],"meta":{"next":"c"}}'
    spots = {*range(0, len(body), max(1, len(body) // 25)), *range(len(body) - 30, len(body))}
    for cut in spots:
        with pytest.raises(Retryable):
            PAGES.open(body[:cut])


@pytest.mark.parametrize("events", [SOUND, [], [b"1", b"null", b'"x"', b"[]", b"{}"]])
def test_the_fast_and_the_lenient_way_agree(events: list[bytes]) -> None:
    plain = b'{"meta":{"next":"c"},"data":[' + b",".join(events) + b'],"links":{}}'
    assert opened(plain) == (events, "c")
    assert opened(plain[:-1] + b',"x":NaN}') == (events, "c")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'\xef\xbb\xbf{"data":[1]}', ([b"1"], None)),
        (b'{"data":[1],"meta":null,"links":null}', ([b"1"], None)),
        (b'{"data":[1],"meta":{"next":null},"links":{"next":null}}', ([b"1"], None)),
        (b'{"data":[1],"meta":{"next":5},"links":[]}', ([b"1"], "5")),
        (b'{"data":[1],"meta":{"next":"\\ud83d"}}', ([b"1"], None)),
        (b'{"data":[1],"meta":{"next":"\xff"}}', ([b"1"], None)),
        (b'{"data":[1],"meta":"x","links":{"next":"l"}}', ([b"1"], "l")),
        (b'{"data":[1],"data":[2,3]}', ([b"2", b"3"], None)),
        (b'{"data":[1],"data":[2,NaN]}', ([b"2", b"NaN"], None)),
        (b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b',"data":[1]}', ([b"1"], None)),
        (b'{"data":[1],"meta":{"next":"a\\/b\\u002bc","x":NaN}}', ([b"1"], "a/b+c")),
    ],
)
def test_odd_envelopes(body: bytes, expected: object) -> None:
    assert opened(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"null",
        b"[]",
        b'"data"',
        b"<html>",
        b"{}",
        b'{"data":null}',
        b'{"data":{}}',
        b'{"data":"x"}',
        b'{"data":[1 2]}',
        b'{"data":[1,,2]}',
        b'{"data":[NaN "x"]}',
        b'{"data":[NaN]}{"data":[1]}',
        b'{"data":[1]}<html>',
        b'{"data":[1]',
        b'{"data":[1],',
        b'{"data":[01]}',
        b'{"data":[1] "meta":{}}',
        b"{{}:1}",
        b'{[1]:1,"data":[]}',
        b'{1:1,"data":[]}',
        b"[" * 20_000,
        b"{" * 20_000,
        b'{"a":' * 20_000,
        b'{"data":' + b"[" * 20_000,
        b'{"data":[' + b"[" * 20_000 + b'"' + b"]" * 20_000 + b"]}",
        b'{"data":[' + b"[" * 20_000 + b"]" * 20_001 + b"]}",
    ],
)
def test_what_is_no_page_is_asked_for_again(body: bytes) -> None:
    with pytest.raises(Retryable) as caught:
        PAGES.open(body)
    assert caught.value.kind == "not_json"
    assert "data" not in str(caught.value)


def test_heads_are_read_where_they_can_be() -> None:
    bodies = [
        b'{"id":"a","attributes":{"time":"t","processedAt":"p"}}',
        b'{"id":"b\\ud83d","attributes":{"time":"t","processedAt":"p","x":NaN}}',
        b'{"id":"c","attributes":{"time":5,"processedAt":"p"}}',
        b'{"id":6,"attributes":7}',
        b"[]",
        b"nonsense",
        b'{"id":"d","n":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        b'{"id":"e","x":"\xff","n":' + b"7" * 10_000 + b"}",
    ]
    heads = heads_of(bodies)
    assert [head.id for head in heads] == ["a", "b\ufffd\ufffd\ufffd", "c", None, None, None, None, "e"]
    times = [(head.attributes.time, head.attributes.processedAt) if head.attributes else None for head in heads]
    assert times == [("t", "p"), ("t", "p"), (None, "p"), (None, None), None, None, None, None]


def test_ids_that_differ_only_in_what_no_text_can_hold_are_one_id() -> None:
    """The spool then sees one id with two contents, a revision: both are delivered."""
    first, second = heads_of([b'{"id":"b\\ud83d"}', b'{"id":"b\\ud83e"}'])
    assert first.id == second.id == "b\ufffd\ufffd\ufffd"
