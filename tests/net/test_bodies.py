"""Bodies of answers: whatever is sent, the time and the memory it takes are in proportion to the limit."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import random
import tracemalloc
import zlib

import pytest

from forwarder.net.bodies import BodyReader, answer_to
from forwarder.net.compression import MOST_MEMBERS, Damaged, Decompressor, TooLong, TooShort, decompress
from tests.scaling import assert_in_proportion

LIMIT = 64 * 2**20
EMPTY = gzip.compress(b"")


def bodies_of(size: int) -> dict[str, bytes]:
    """Return compressed bodies of about `size` bytes, each made to cost more than its size."""
    member = gzip.compress(b"x")
    named = b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * size + b"\0" + EMPTY[10:]
    extra = b"\x1f\x8b\x08\x04" + bytes(6) + b"\xff\xff" + bytes(65535) + EMPTY[10:]
    stored = zlib.compressobj(0, wbits=31)
    return {
        "empty members": EMPTY * (size // len(EMPTY)),
        "members of one byte": member * (size // len(member)),
        "zeros between members": (EMPTY + bytes(1000)) * (size // 1020),
        "zeros behind the end": EMPTY + bytes(size),
        "a long name": named,
        "long extra fields": extra * (size // len(extra) + 1),
        "flushed for every byte": b"".join(stored.compress(b"x") + stored.flush(zlib.Z_FULL_FLUSH) for _ in range(size // 12)) + stored.flush(),
    }  # fmt: skip


@pytest.mark.parametrize("name", bodies_of(1000))
def test_twice_the_body_costs_twice_the_time(name: str) -> None:
    def read(body: bytes) -> None:
        with contextlib.suppress(Damaged):
            decompress(body, "gzip", LIMIT)

    once, twice = (bodies_of(size * 2**19)[name] for size in (1, 2))
    assert_in_proportion(read, once, twice)


def test_members_without_number_are_refused_and_many_are_read() -> None:
    with pytest.raises(Damaged, match="members"):
        decompress(EMPTY * (MOST_MEMBERS + 1), "gzip", LIMIT)
    block = bytes(range(256)) * 16
    assert decompress(gzip.compress(block) * 2000, "gzip", LIMIT) == block * 2000


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "bare"])
@pytest.mark.parametrize("seed", range(3))
def test_however_it_is_cut_it_reads_the_same(encoding: str, seed: int) -> None:
    rng = random.Random(seed)
    plain = rng.randbytes(5000) * 9
    if encoding == "deflate":
        body = zlib.compress(plain)
    elif encoding == "bare":
        body = zlib.compress(plain, wbits=-15)
    else:
        body, plain = gzip.compress(plain) + bytes(5) + EMPTY + gzip.compress(plain) + bytes(3), plain * 2
    reader = Decompressor("deflate" if encoding == "bare" else encoding, LIMIT)
    while body:
        cut = rng.choice([1, 2, 7, 100, 20_000])
        reader.feed(body[:cut])
        body = body[cut:]
    assert reader.finish() == plain


@pytest.mark.parametrize(
    ("body", "encoding", "error"),
    [
        (gzip.compress(bytes(10**6)), "gzip", TooLong),
        (zlib.compress(bytes(10**6)), "deflate", TooLong),
        (gzip.compress(bytes(600)) * 2, "gzip", TooLong),
        (gzip.compress(b"abc")[:-1], "gzip", TooShort),
        (gzip.compress(b"abc") + gzip.compress(b"abc")[:5], "gzip", TooShort),
        (b"\x1f", "gzip", TooShort),
        (b"x", "deflate", TooShort),
        (gzip.compress(b"abc") + b"junk", "gzip", Damaged),
        (gzip.compress(gzip.compress(b"abc")), "gzip, gzip", LookupError),
        (b"abc", "br", LookupError),
    ],
    ids=itertools.count(),  # a packed body holds the time it was packed at, and its name must not
)
def test_what_cannot_be_read_has_its_error(body: bytes, encoding: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        decompress(body, encoding, 1000)


def test_a_bomb_takes_no_more_memory_than_the_limit() -> None:
    bomb = gzip.compress(bytes(200 * 2**20), 1)
    tracemalloc.start()
    with pytest.raises(TooLong):
        decompress(bomb, "gzip", 2**20)
    assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    tracemalloc.stop()


def test_a_body_is_held_once_however_it_is_cut() -> None:
    reader = BodyReader({}, LIMIT)
    tracemalloc.start()
    for _ in range(2**17):
        reader.feed(b"0123456789abcdef")
    body = reader.finish()
    assert len(body) == 2**21
    assert tracemalloc.get_traced_memory()[1] < 2**21 * 1.5
    tracemalloc.stop()


def test_a_length_beyond_the_limit_is_refused_at_the_first_piece() -> None:
    with pytest.raises(TooLong):
        BodyReader({"content-length": "1001"}, 1000).feed(b"x")
    with pytest.raises(TooLong):
        BodyReader({"content-length": "9" * 18}, 1000).feed(b"x")


def test_a_body_in_countless_pieces_of_a_few_bytes_is_refused() -> None:
    reader = BodyReader({}, LIMIT)
    for _ in range(10_000):
        reader.feed(b"x")
    with pytest.raises(Damaged):
        reader.feed(b"x")


def test_an_answer_may_quote_what_was_sent() -> None:
    assert answer_to(b"") >= 2**20
    assert answer_to(b"x" * 10**6) - answer_to(b"") >= 2 * 10**6
