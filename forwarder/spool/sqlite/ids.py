"""The memory of ids: which events of a page are new, which are repeats, and which are revisions.

Ids are remembered per stream (source, audience) and minute of event time, one row per minute and page, 24 bytes an
event: 16 of key, 8 of content digest. A page is compared with a minute when all its rows are in memory; within it the
answer is exact whatever the size of the window. An id that comes back under *another* minute is recognised while its
first minute is in memory, and is a new event afterwards; that is the price of not searching everything.

Events without a time have 256 stand-in minutes, by the first byte of their key.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts.identity import is_pushed
from forwarder.spool.contract import SpoolError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from forwarder.contracts import Page
    from forwarder.spool.sqlite.pushed import PushedVersions

Stream = tuple[int, str]
"""Source number and audience; empty audience: everybody."""

ROW_BYTES = 64
"""What a row of ids costs beside its entries, index included; for the byte budget."""
_ENTRY = struct.Struct("16s8s")
_KEY, _DIGEST = 16, 8
SAME_BYTES = _ENTRY.size
"""What a further digest of a known version costs, for the byte budget."""


_NOT_READ_AGAIN = """NOT EXISTS (
  SELECT 1 FROM cursors WHERE cursors.source = ids.source AND name = 'tail'
  AND json_extract(state, '$.walk.scan') IS NOT NULL AND minute < '?'
  AND minute >= strftime('%Y-%m-%dT%H:%M', json_extract(state, '$.walk.at') / 1000 - 43200, 'unixepoch'))"""
"""Rows of no log that is read in windows from before their minute on: while it is quiet, its tail reads the same events
in every pass, however old they become, and they are no news. Minutes are as the log writes them, in any zone."""


class Novelty(msgspec.Struct, frozen=True):
    """What a page holds that is not known yet.

    Attributes:
        kept: Positions in the page of what is to be stored, rising.
        revisions: Position in `kept` -> digest, of known keys with new content.
        parts: Minute -> entries (key, digest) to remember.
        same: The same of further digests of versions that are known, as they were pushed; written already.
    """

    stream: Stream
    kept: Sequence[int]
    repeats: int
    revisions: dict[int, bytes]
    parts: dict[str, list[tuple[bytes, bytes]]]
    same: dict[str, list[tuple[bytes, bytes]]] = {}


class IdMemory:
    """The table `ids` and a window of it in memory. Runs inside its caller's transaction.

    Args:
        con: The spool's connection.
        limit: Most entries to keep in memory; a page's own minutes may exceed it.
        pushed: Compares events that were pushed with what the log gives of them.
    """

    def __init__(self, con: sqlite3.Connection, limit: int, pushed: PushedVersions) -> None:
        self._con = con
        self._pushed = pushed
        self._limit = limit
        self._known: dict[Stream, dict[bytes, bytes]] = {}  # key -> its digests, joined
        self._loaded: OrderedDict[tuple[Stream, str], list[bytes]] = OrderedDict()
        self._extra: dict[tuple[Stream, bytes], int] = {}  # keys that loaded minutes hold more than once
        self._held = 0

    def classify(self, stream: Stream, page: Page) -> Novelty:
        """Tell new events and revisions from repeats. Raises SpoolError when the page's columns do not fit."""
        keys, digests = page.keys, page.digests
        events = len(page.bodies)
        if not (
            len(keys) == len(digests) == len(page.minutes) == events
            and len(b"".join(keys)) == _KEY * events
            and len(b"".join(digests)) == _DIGEST * events
        ):
            raise SpoolError("The columns of a page do not fit together. This is a fault of its source.")
        minutes = _minutes(page)
        distinct = set(minutes)
        known = self._known.setdefault(stream, {})
        for minute in distinct:
            self._load(stream, minute)
        revisions: dict[int, bytes] = {}
        same: dict[str, list[tuple[bytes, bytes]]] = {}
        kept: Sequence[int]
        if known.keys().isdisjoint(keys) and len(set(keys)) == events:
            kept = range(events)
        else:
            chosen: list[int] = []
            kept = chosen
            mine: dict[bytes, bytes] = {}
            for at, key in enumerate(keys):
                seen = mine.get(key) or known.get(key)
                digest = digests[at]
                if seen is None:
                    mine[key] = digest
                elif _holds(seen, digest) or (is_pushed(digest) and not _all_pushed(seen)):
                    continue  # once the log gives an id, a new version of it comes by the log as well
                elif _any_pushed(seen) and (
                    times := self._pushed.remember(stream, minutes[at], key, digest, page.bodies[at])
                ):
                    mine[key] = seen + digest
                    same.setdefault(minutes[at], []).extend([(key, digest)] * times)
                    continue
                else:
                    revisions[len(chosen)] = digest
                    mine[key] = seen + digest
                chosen.append(at)
        parts: dict[str, list[tuple[bytes, bytes]]] = {}
        if len(distinct) == 1 and len(kept) == events:
            parts[minutes[0]] = list(zip(keys, digests, strict=True))
        else:
            for at in kept:
                parts.setdefault(minutes[at], []).append((keys[at], digests[at]))
        return Novelty(stream, kept, events - len(kept), revisions, parts, same)

    def write(self, novelty: Novelty, first_seq: int, now_ms: int) -> int:
        """Write the rows of a page whose events begin at `first_seq`; return the bytes of the budget they take."""
        source, audience = novelty.stream
        rows = [
            (first_seq + at, source, audience, minute, now_ms, b"".join(chain.from_iterable(entries)))
            for at, (minute, entries) in enumerate(novelty.parts.items())
        ]
        self._con.executemany("INSERT INTO ids VALUES (?, ?, ?, ?, ?, ?)", rows)
        return sum(len(row[5]) + ROW_BYTES for row in rows)

    def remember(self, novelty: Novelty) -> None:
        """Take what was committed into the window, then shrink it to its limit."""
        for minute, entries in chain(novelty.parts.items(), novelty.same.items()):
            self._take(novelty.stream, minute, entries)
        while self._held > self._limit and len(self._loaded) > len(novelty.parts):
            self._evict()

    def forget(self, stream: Stream, first_seq: int, last_seq: int) -> int:
        """Forget the ids that the page first_seq..last_seq brought; return the bytes of the budget that frees."""
        span = (first_seq, last_seq)
        rows, size = self._con.execute(
            "SELECT count(*), coalesce(sum(length(entries)), 0) FROM ids WHERE number BETWEEN ? AND ?", span
        ).fetchone()
        self._con.execute("DELETE FROM ids WHERE number BETWEEN ? AND ?", span)
        for minute in [at for at in self._loaded if at[0] == stream]:
            del self._loaded[minute]
        self._extra = {at: times for at, times in self._extra.items() if at[0] != stream}
        self._known.pop(stream, None)
        self._held = sum(len(keys) + 1 for keys in self._loaded.values())
        return int(size + rows * ROW_BYTES)

    def retire(self, before_ms: int, surplus: int, rows: int) -> int:
        """Delete the oldest rows: those written before `before_ms`, and more until `surplus` bytes went.

        What the tail of a log still reads again goes only for a surplus, and last. Looks at `rows` rows at most;
        returns the bytes of the budget that went.
        """
        gone, freed = self._retire(before_ms, surplus, rows, _NOT_READ_AGAIN)
        if gone < rows and freed < surplus:
            freed += self._retire(0, surplus - freed, rows - gone, "1")[1]
        return freed

    def _retire(self, before_ms: int, surplus: int, rows: int, which: str) -> tuple[int, int]:
        """Return how many rows went, and their bytes."""
        last, newest_ms, gone, freed = None, 0, 0, 0
        for number, written_ms, size in self._con.execute(
            f"SELECT number, written_ms, length(entries) FROM ids WHERE {which} ORDER BY number LIMIT ?",  # noqa: S608
            (rows,),
        ):
            if written_ms >= before_ms and freed >= surplus:
                break
            last, gone, freed = number, gone + 1, freed + size + ROW_BYTES
            newest_ms = max(newest_ms, written_ms)
        if last is not None:
            self._con.execute(f"DELETE FROM ids WHERE number <= ? AND {which}", (last,))  # noqa: S608
            self._con.execute("UPDATE meta SET value = max(value, ?) WHERE name = 'ids_gone_ms'", (newest_ms,))
        return gone, freed

    def since_ms(self) -> int | None:
        """Return when the oldest remembered id was written, beside those that a quiet log is still read for."""
        found = self._con.execute(
            f"SELECT written_ms FROM ids WHERE {_NOT_READ_AGAIN} ORDER BY number LIMIT 1"  # noqa: S608
        ).fetchone()
        return None if found is None else int(found[0])

    # -------------------------------------------------------------------------------------------------- window

    def _load(self, stream: Stream, minute: str) -> None:
        at = (stream, minute)
        if at in self._loaded:
            self._loaded.move_to_end(at)
            return
        self._loaded[at] = []
        self._held += 1
        rows = self._con.execute(
            "SELECT entries FROM ids WHERE source = ? AND audience = ? AND minute = ?", (*stream, minute)
        )
        self._take(stream, minute, [entry for (entries,) in rows for entry in _ENTRY.iter_unpack(entries)])

    def _take(self, stream: Stream, minute: str, entries: list[tuple[bytes, bytes]]) -> None:
        known = self._known.setdefault(stream, {})
        self._loaded[stream, minute].extend(key for key, _ in entries)
        self._held += len(entries)
        fresh = dict(entries)
        if len(fresh) == len(entries) and known.keys().isdisjoint(fresh):
            known.update(fresh)
            return
        for key, digest in entries:
            seen = known.get(key)
            if seen is None:
                known[key] = digest
                continue
            self._extra[stream, key] = self._extra.get((stream, key), 0) + 1
            if not _holds(seen, digest):
                known[key] = seen + digest

    def _evict(self) -> None:
        (stream, _), keys = self._loaded.popitem(last=False)
        self._held -= len(keys) + 1
        known = self._known[stream]
        for key in keys:
            times = self._extra.get((stream, key))
            if times is None:
                del known[key]
            elif times == 1:
                del self._extra[stream, key]
            else:
                self._extra[stream, key] = times - 1


def versions(entries: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield key and digest of each event that a row of ids stands for.

    Behind what was pushed stands what the log gave of the same version: that is one event.
    """
    before: tuple[bytes, bytes] | None = None
    for key, digest in _ENTRY.iter_unpack(entries):
        same = before is not None and before[0] == key and is_pushed(before[1])
        before = key, digest
        if not same:
            yield key, digest


def _minutes(page: Page) -> Sequence[str]:
    if "" not in page.minutes:
        return page.minutes
    return [minute or f"?{key[0]:02x}" for minute, key in zip(page.minutes, page.keys, strict=True)]


def _holds(digests: bytes, digest: bytes) -> bool:
    at = digests.find(digest)
    while at > 0 and at % _DIGEST:
        at = digests.find(digest, at + 1)
    return at >= 0


def _any_pushed(digests: bytes) -> bool:
    return any(is_pushed(digests[at : at + _DIGEST]) for at in range(0, len(digests), _DIGEST))


def _all_pushed(digests: bytes) -> bool:
    return all(is_pushed(digests[at : at + _DIGEST]) for at in range(0, len(digests), _DIGEST))


def oldest_minute(minutes: Iterable[str]) -> str:
    """Return the least known minute, or nothing."""
    return min((minute for minute in set(minutes) if minute), default="")
