"""Bytes to lines: nothing is lost or said twice, however a file is cut into stretches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.sources.datacenter.lines import Cutter

LONGEST = 40


def cut_all(data: bytes, step: int, limit: int, *, finished: bool = True) -> list[tuple[int, bytes]]:
    """Cut a file into stretches of `step` bytes, as a reader does that begins anew behind each."""
    cutter, at, within, lines, most = Cutter(limit, LONGEST), 0, False, [], step
    while True:
        piece = data[at : at + most]
        cut = cutter.cut(piece, at, within=within, whole=at + most >= len(data), finished=finished)
        if cut.wants:
            assert cut.wants > most
            most = cut.wants
            continue
        lines += cut.lines
        at, within, most = at + cut.taken, cut.within, step
        if not cut.taken and not cut.lines:
            assert at == len(data) or not finished
            return lines


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"{}\n", [(0, b"{}")]),
        (b"{}\r\n{}\r\n", [(0, b"{}"), (4, b"{}")]),
        (b"\n\n {}\n", [(3, b"{}")]),
        (b"\xef\xbb\xbf{}\n", [(0, b"{}")]),
        (b"\0\0\0{}\n\0\0{}\n", [(3, b"{}"), (8, b"{}")]),
        (b"\xff\xfe garbage\n{}\n", [(0, b"\xff\xfe garbage"), (11, b"{}")]),
        (b"{}\n" + b"x" * 100 + b"\n{}\n", [(0, b"{}"), (3, b"x" * LONGEST), (104, b"{}")]),
        (b"{}\nhalf", [(0, b"{}"), (3, b"half")]),
        (b"\0" * 200 + b"{}\n", [(200, b"{}")]),
    ],
)
@pytest.mark.parametrize("step", [1, 2, 7, 1000])
@pytest.mark.parametrize("limit", [1, 100])
def test_lines_and_where_they_begin(data, lines, step, limit):
    assert cut_all(data, step, limit) == lines


def test_a_line_without_its_end_is_waited_for_and_so_is_a_hole_that_may_be_filled():
    assert cut_all(b"{}\nhalf", 1000, 10, finished=False) == [(0, b"{}")]
    assert cut_all(b"{}\n\0\0\0", 1000, 10, finished=False) == [(0, b"{}")]


PIECES = st.lists(
    st.one_of(st.sampled_from([b"\n", b"\r\n", b"{}", b"\0", b"\0\0\0", b"a" * 50, b" "]), st.binary(max_size=5)),
    max_size=30,
).map(b"".join)


@given(PIECES, st.integers(1, 60), st.integers(1, 60), st.integers(1, 5))
def test_the_same_lines_are_seen_however_a_file_is_read(data, one, other, limit):
    assert cut_all(data, one, limit) == cut_all(data, other, 1000)
