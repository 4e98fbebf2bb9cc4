"""Bytes that were sound and are no longer, always the same ones for a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

INTERESTING = [
    b"", b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xef\xbb\xbf", b"\\ud83d", b"\\u0000", b"\\", b'"', b"'",
    b"{", b"}", b"[", b"]", b"{}", b"[]", b":", b",", b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-0", b"0x7f", b"1_000",
    b"9" * 25, b"9" * 400, b"9" * 5000, b"-1", b"18446744073709551616", b"9223372036854775808", b"0.1e-400", b"\n", b"\r\n", b"\t",
    b" " * 300, b"[" * 3000, b'{"a":' * 3000, b"]" * 3000, b"x" * 3000, b"%2f", b"%", b"../", b"~", b"$", b"&a", b"*a", b"!!python",
    b"2026-02-30T25:61:61Z", b"9999-12-31T23:59:59.999Z", b"0000-00-00", b"+24:00", b"inf", b"1.0.0", b"\xe2\x80\xae", b"\x1b[31m",
]  # fmt: skip


def mutated(rng: random.Random, corpus: Sequence[bytes]) -> bytes:
    """Return one of the corpus with a few changes."""
    body = bytearray(rng.choice(corpus))
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randint(0, len(body))
        until = min(len(body), at + rng.choice((0, 1, 1, 2, 4, 16, 64, 1000)))
        match rng.randrange(8):
            case 0:
                body[at:until] = rng.choice(INTERESTING)
            case 1:
                body[at:at] = rng.choice(INTERESTING)
            case 2:
                body[at:until] = rng.randbytes(until - at)
            case 3:
                del body[at:until]
            case 4 if body:
                body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
            case 5:
                other = rng.choice(corpus)
                start = rng.randint(0, len(other))
                body[at:until] = other[start : start + rng.choice((1, 8, 64, 1000))]
            case 6:
                body[at:at] = bytes(body[at:until]) * rng.choice((1, 2, 50))
            case _:
                del body[at:]
    return bytes(body)
