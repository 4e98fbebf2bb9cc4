"""Whether an event that came by push and what the log gives of the same id are one version, whatever their shape.

A webhook sends the same fields, and not the same bytes. So its digests are marked, and where the log gives a known id
with other bytes, its content decides: it is the same unless a field that both have differs. From then on the log's own
bytes of that version are known, and whatever it gives after them is judged by its bytes alone.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

from forwarder.contracts.identity import DIGEST_BYTES, is_pushed
from forwarder.spool.sqlite.pages import DamagedPage

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

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

    def is_known(
        self, stream: tuple[int, str], minute: str, key: bytes, seen: bytes, digest: bytes, body: bytes
    ) -> bool:
        """Tell whether an event is a version that is known already, under another digest; then remember this one, too.

        Args:
            stream: Source number and audience.
            minute: Where the id is remembered.
            key: Of the event.
            seen: The digests of its known versions, joined.
            digest: Of this version.
            body: This version.
        """
        known = [seen[at : at + DIGEST_BYTES] for at in range(0, len(seen), DIGEST_BYTES)]
        if is_pushed(digest) and not all(map(is_pushed, known)):
            return True  # the log gives it: a new version comes by it as well
        for number, entries, before in self._versions(stream, minute, key):
            if agree(before, body):
                more = entries + _ENTRY.pack(key, digest)
                self._con.execute("UPDATE ids SET entries = ? WHERE number = ?", (more, number))
                return True
        return False

    def _versions(self, stream: tuple[int, str], minute: str, key: bytes) -> Iterator[tuple[int, bytes, bytes]]:
        """Give the pushed versions that the log has not given yet and the spool still has.

        Each comes with the number and the entries of its row of ids: there the log's digest stands beside it then.
        """
        rows = self._con.execute(
            "SELECT number, entries FROM ids"
            " WHERE source = ? AND audience = ? AND minute = ? AND instr(entries, ?) > 0",
            (*stream, minute, key),
        ).fetchall()
        for number, entries in rows:
            if not all(is_pushed(digest) for found, digest in _ENTRY.iter_unpack(entries) if found == key):
                continue
            for page in self._pages.spanning((number, number)):
                try:
                    content = self._pages.read(page)
                except DamagedPage:
                    continue  # whoever delivers it says so
                for at, body in enumerate(content.bodies):
                    if content.keys[at * _KEY : (at + 1) * _KEY] == key:
                        yield number, entries, body


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
