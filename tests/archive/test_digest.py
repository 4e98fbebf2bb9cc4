from __future__ import annotations

import hashlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.archive.digest import Digest, Entry, canonical, count_on, read_digest

DIGEST = Digest(
    v=1,
    seq=2,
    since="2026-11-29T13:00:00Z",
    until="2026-11-29T14:00:00Z",
    writer="w",
    writer_since="2026-11-29T12:00:00Z",
    key="",
    next_key="",
    previous="0" * 64,
    objects=(Entry("evidence/v1/a", 3, hashlib.sha256(b"abc").hexdigest(), 1, 7, 7),),
    events=1,
    recovered=(),
    newest_seq={"a": 7},
    numbers_go_back=(),
)


def test_anybody_writes_the_same_bytes_with_a_library_of_their_own() -> None:
    data = canonical(DIGEST)
    assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode() + b"\n"
    assert read_digest(data) == DIGEST
    assert json.loads(data)["from"] == "2026-11-29T13:00:00Z"


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data + b"\n",
        lambda data: data.replace(b'"seq":2', b'"seq": 2'),
        lambda data: data.replace(b'"seq":2', b'"seq":2.0'),
        lambda data: data.replace(b'"seq":2', b'"seq":3,"seq":2'),
        lambda data: data.replace(b'"v":1', b'"v":2'),
        lambda data: data.replace(b'"v":1', b'"v":1,"x":1'),
        lambda data: data.replace(b"13:00:00Z", b"13:30:00Z"),
        lambda data: data.replace(b"13:00:00Z", b"13:00:00+00:00"),
        lambda data: data.replace(b"evidence", b"\\u0065vidence"),
        lambda data: b"{}\n",
        lambda data: b"",
        lambda data: b"\xff",
        lambda data: b"[" * 100_000,
    ],
    ids=list("abcdefghijklmn"),
)
def test_what_no_writer_of_ours_makes_is_no_digest(change) -> None:
    data = change(canonical(DIGEST))
    assert data != canonical(DIGEST)
    with pytest.raises((ValueError, RecursionError)):
        read_digest(data)


def test_numbers_that_only_go_up_prove_that_nothing_is_there_twice() -> None:
    def entry(first: int, last: int) -> Entry:
        return msgspec.structs.replace(DIGEST.objects[0], first_seq=first, last_seq=last)

    newest, back = count_on({}, [("a", entry(1, 5)), ("a", entry(7, 9)), ("b", entry(3, 6))])
    assert (newest, back) == ({"a": 9, "b": 6}, ())
    assert count_on(newest, [("a", entry(9, 12)), ("b", entry(7, 7))]) == ({"a": 12, "b": 7}, ("a",))
    assert count_on(newest, [("b", entry(7, 8)), ("b", entry(8, 9))]) == ({"a": 9, "b": 9}, ("b",))
    assert count_on(newest, [("a", entry(1, 2))]) == ({"a": 2, "b": 6}, ("a",)), "a new spool begins anew"


@given(st.lists(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 5)), max_size=4), max_size=8))
def test_two_objects_with_a_number_in_common_are_never_passed_over(hours) -> None:
    newest, all_back, taken = {}, [], []
    for stretches in hours:
        entries = [Entry("x", 1, "", 1, first, first + more) for first, more in sorted(stretches)]
        taken += [number for one in entries for number in range(one.first_seq, one.last_seq + 1)]
        newest, back = count_on(newest, [("s", one) for one in entries])
        all_back += back
    assert all_back or len(taken) == len(set(taken))
