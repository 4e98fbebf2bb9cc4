"""Whether an event that came by push and what the log gives of the same id are one version, whatever their shape.

A webhook sends the same fields, and not the same bytes. So its digests are marked, and where the log gives a known id
with other bytes, its content decides: it is the same unless a field that both have differs. From then on the log's own
bytes of that version are known, and whatever it gives after them is judged by its bytes alone.
"""

from __future__ import annotations

import json
import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from forwarder.contracts.identity import is_pushed, pushed_digests
from forwarder.spool.sqlite.pages import DamagedPage

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator

    from forwarder.spool.sqlite.pages import Pages

_ENTRY = struct.Struct("16s8s")
_KEY = 16
_LONGEST = 2**20
"""Bytes of an event that is compared; of a longer one both versions are stored."""


class PushedVersions:
    """Compares versions of events. Runs inside its caller's transaction.

    Args:
        con: The spool's connection.
        pages: Where the events are.
    """

    def __init__(self, con: sqlite3.Connection, pages: Pages) -> None:
        self._con = con
        self._pages = pages

    def remember(self, stream: tuple[int, str], minute: str, key: bytes, digest: bytes, body: bytes) -> int:
        """Write the digest of an event behind those of all versions that it is, too; return how often: 0 for a new one.

        Args:
            stream: Source number and audience.
            minute: Where the id is remembered.
            key: Of the event.
            digest: Of this version.
            body: This version.
        """
        entry, written = _ENTRY.pack(key, digest), 0
        rows = self._con.execute(
            "SELECT number, entries FROM ids"
            " WHERE source = ? AND audience = ? AND minute = ? AND instr(entries, ?) > 0",
            (*stream, minute, key),
        ).fetchall()
        for number, entries in rows:
            ends = _not_given(entries, key)
            same = sorted(ends[one] for one, before in self._versions(number, key, ends) if agree(before, body))
            if same:
                parts = [entries[begin:end] for begin, end in pairwise((0, *same, len(entries)))]
                self._con.execute("UPDATE ids SET entries = ? WHERE number = ?", (entry.join(parts), number))
            written += len(same)
        return written

    def _versions(self, number: int, key: bytes, wanted: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Give digest and content of the wanted versions that the spool still has, of those a row of ids stands for."""
        for page in self._pages.spanning((number, number)) if wanted else ():
            try:
                content = self._pages.read(page)
            except DamagedPage:
                continue  # whoever delivers it says so
            for at, body in enumerate(content.bodies):
                if content.keys[at * _KEY : (at + 1) * _KEY] == key:
                    [digest] = pushed_digests([body])
                    if digest in wanted:
                        yield digest, body


def _not_given(entries: bytes, key: bytes) -> dict[bytes, int]:
    """Return the pushed digests of a key that the log has not given yet, and where in the entries each ends.

    What the log gives stands right behind, among the entries of the key.
    """
    found = [(digest, at) for at, (each, digest) in enumerate(_ENTRY.iter_unpack(entries), 1) if each == key]
    nothing = (pushed_digests([b""])[0], 0)
    return {
        digest: at * _ENTRY.size
        for (digest, at), (after, _) in pairwise([*found, nothing])
        if is_pushed(digest) and is_pushed(after)
    }


def agree(one: bytes, other: bytes) -> bool:
    """Tell whether two JSON objects say nothing different: a field that only one of them has says nothing."""
    if max(len(one), len(other)) > _LONGEST:
        return False
    try:
        return _agree(json.loads(one), json.loads(other))
    except (ValueError, RecursionError):
        return False


def _agree(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return True
    if isinstance(one, dict) and isinstance(other, dict):
        return all(_agree(value, other.get(name)) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_agree, one, other))
    return type(one) is type(other) and bool(one == other)
