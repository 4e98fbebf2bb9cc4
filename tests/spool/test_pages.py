"""Pages as they are compressed: the same whether at once or one event after the other, and whole again."""

from __future__ import annotations

import random

import pytest

from forwarder.spool.sqlite import pages
from forwarder.spool.sqlite.pages import pack, unpack

_RANDOM = random.Random(7)
SHAPES = {
    "one": [b"{}"],
    "nothing in them": [b"", b"", b""],
    "small": [b'{"id":"%d"}' % number for number in range(500)],
    "large": [_RANDOM.randbytes(700_000) for _ in range(7)],
    "one among others": [b"{}", _RANDOM.randbytes(6_000_000), b"", b"[1]"],
    "alike": [b"x" * 5_000_000, b"x" * 5_000_000],
}


@pytest.mark.parametrize("bodies", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("in_parts", [0, pages._IN_PARTS, 2**40])
def test_a_page_is_whole_again(monkeypatch: pytest.MonkeyPatch, bodies: list[bytes], in_parts: int) -> None:
    monkeypatch.setattr(pages, "_IN_PARTS", in_parts)
    packed = pack(bodies)
    assert unpack(packed, len(bodies)) == bodies
    for damaged in (packed[:-1], packed + b"\0", packed[: len(packed) // 2]):
        with pytest.raises(ValueError, match="does not unpack"):
            unpack(damaged, len(bodies))
    with pytest.raises(ValueError, match="add up"):
        unpack(packed, len(bodies) + 1)
