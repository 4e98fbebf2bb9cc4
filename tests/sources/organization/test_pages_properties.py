"""Whatever comes as a page: it is cut exactly where its events begin and end, or it is asked for again."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forwarder.contracts import Retryable
from forwarder.sources.organization.cursors import onward_of
from forwarder.sources.organization.heads import PAGES, heads_of

SCALARS = [
    b"0", b"-0", b"1.10", b"1E+2", b"1e400", b"123456789012345678901234567890", b"true", b"null", b"NaN", b"-Infinity",
    b'""', b'"http:\\/\\/x"', b'"\\ud83d"', b'"\\ud83d\\ude00"', b'"\xff"', b'"\xc3\xa9"', b'"\xed\xa0\x80"',
    b'"]}"', b'"\\""', b'"\\\\"', b'"a\tb"', b"[]", b"{}",
]  # fmt: skip
SPACE = st.sampled_from([b"", b"", b" ", b"\n", b"\r\n\t"])
NAMES = st.sampled_from([b'"id"', b'"a"', b'"a"', b'"attributes"', b'"time"', b'"\\ud83d"', b'"data"'])


@st.composite
def joined(draw: Any, opening: bytes, parts: list[bytes], closing: bytes) -> bytes:
    spaced = [draw(SPACE) + part + draw(SPACE) for part in parts]
    return opening + (b",".join(spaced) if spaced else draw(SPACE)) + closing


@st.composite
def arrays(draw: Any, values: Any) -> bytes:
    return draw(joined(b"[", draw(st.lists(values, max_size=4)), b"]"))


@st.composite
def objects(draw: Any, values: Any) -> bytes:
    members = draw(st.lists(st.tuples(NAMES, values), max_size=4))
    return draw(joined(b"{", [name + draw(SPACE) + b":" + draw(SPACE) + value for name, value in members], b"}"))


VALUES = st.recursive(st.sampled_from(SCALARS), lambda inner: arrays(inner) | objects(inner), max_leaves=12)
EVENTS = st.lists(VALUES, max_size=6)


@st.composite
def pages(draw: Any) -> tuple[bytes, list[bytes]]:
    events = draw(EVENTS)
    data = draw(joined(b"[", events, b"]"))
    members = [(b'"data"', data), (b'"meta"', b'{"next":"c"}')]
    members += draw(st.lists(st.tuples(st.sampled_from([b'"x"', b'"links"']), VALUES), max_size=2))
    members = draw(st.permutations(members))
    whole = draw(joined(b"{", [name + draw(SPACE) + b":" + draw(SPACE) + value for name, value in members], b"}"))
    return draw(SPACE) + whole + draw(SPACE), events


@given(pages())
def test_events_are_cut_out_byte_for_byte(made: tuple[bytes, list[bytes]]) -> None:
    body, events = made
    found, members = PAGES.open(body)
    assert found == events
    assert json.loads(members["meta"]) == {"next": "c"}
    assert len(heads_of(found)) == len(events)


@given(pages(), st.data())
def test_a_cut_page_is_refused(made: tuple[bytes, list[bytes]], data: st.DataObject) -> None:
    body = made[0].rstrip(b" \r\n\t")
    cut = body[: data.draw(st.integers(0, len(body) - 1))]
    with pytest.raises(Retryable) as caught:
        PAGES.open(cut)
    assert caught.value.kind == "not_json"


@given(pages(), st.data())
def test_a_mutated_page_gives_slices_of_itself_or_is_refused(
    made: tuple[bytes, list[bytes]], data: st.DataObject
) -> None:
    body = bytearray(made[0])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body)))
        piece = data.draw(st.binary(max_size=3) | st.sampled_from([b'"', b"\\", b"[", b"]", b"{", b"}", b",", b":"]))
        body[at : at + data.draw(st.integers(0, 3))] = piece
    whole = bytes(body)
    try:
        found, members = PAGES.open(whole)
    except Retryable:
        return
    at = 0
    for slice_ in found:  # in order, without overlap
        at = whole.index(slice_, at) + len(slice_)
    cursor = onward_of(members).cursor
    assert cursor is None or cursor.encode().decode() == cursor
    assert all(member in whole for member in members.values())
    assert found == reference(whole)
    assert len(heads_of(found)) == len(found)


def reference(body: bytes) -> list[bytes]:
    """Cut a page with the offsets of the standard library alone; what that refuses, no page should pass."""
    text = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    decoder = json.JSONDecoder(strict=False)
    assert isinstance(decoder.decode(text)["data"], list)
    spans: list[list[bytes]] = []
    at = text.index("{") + 1
    while True:
        while text[at] in " \t\r\n,":
            at += 1
        if text[at] == "}":
            return spans[-1]
        name, at = decoder.raw_decode(text, at)
        while text[at] in " \t\r\n:":
            at += 1
        start = at
        _, at = decoder.raw_decode(text, at)
        if name == "data":
            spans.append(elements(decoder, text, start + 1))


def elements(decoder: json.JSONDecoder, text: str, at: int) -> list[bytes]:
    found: list[bytes] = []
    while True:
        while text[at] in " \t\r\n,":
            at += 1
        if text[at] == "]":
            return found
        start = at
        _, at = decoder.raw_decode(text, at)
        found.append(text[start:at].encode("utf-8", "surrogateescape"))


@given(st.binary(max_size=200))
@example(b'{"data":[]}')
@example(b"{{}:1}")
@example(b'{"data":[],}')
def test_anything_is_a_page_or_is_refused(body: bytes) -> None:
    with suppress(Retryable):
        PAGES.open(body)


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_heads_never_fail(bodies: list[bytes]) -> None:
    assert len(heads_of(bodies)) == len(bodies)
