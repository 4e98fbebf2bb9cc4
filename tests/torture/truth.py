"""What existed, read from the simulator's ledger a round at a time, and where the spool put it."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable

import msgspec

from simulator.ledger import Ledger
from tests.crash.far_end import digest


class _Head(msgspec.Struct):
    id: str


_head = msgspec.json.Decoder(_Head)


class Truth:
    """Every version of every event so far, by id and by content, and its number in the spool.

    Attributes:
        ids, digests: How many versions an id has; a digest has one.
        fresh_ids, fresh_digests: What came since `look` was called before.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._seen = 0
        self.ids: Counter[str] = Counter()
        self.digests: Counter[str] = Counter()
        self.fresh_ids: Counter[str] = Counter()
        self.fresh_digests: Counter[str] = Counter()
        self.numbers: dict[str, list[int]] = defaultdict(list)

    def look(self) -> None:
        """Take in what happened since the last call."""
        self.fresh_ids, self.fresh_digests = Counter(), Counter()
        (organization,) = self._ledger.organizations
        found = self._ledger._feeds[organization].versions()
        for ident, entries in itertools.islice(found.items(), self._seen, None):
            self.fresh_ids[ident] += len(entries)
            self.fresh_digests.update(digest(entry.body) for entry in entries)
        self._seen = len(found)
        self.ids += self.fresh_ids
        self.digests += self.fresh_digests

    @property
    def happened(self) -> int:
        """Return how many versions exist now, those not looked at yet among them."""
        return sum(len(feed) for feed in self._ledger._feeds.values())

    def number(self, bodies: Iterable[tuple[int, bytes]]) -> None:
        """Note where the spool put events."""
        for seq, body in bodies:
            self.numbers[digest(body)].append(seq)
            self.numbers[ident_of(body)].append(seq)


def ident_of(body: bytes) -> str:
    """Return the id of an event; of one that cannot be read, a stand-in."""
    try:
        return _head.decode(body).id
    except (msgspec.DecodeError, ValueError):
        return f"unreadable {digest(body)}"
