"""One normaliser for each feed, and one catalogue for them all; lanes that are side by side share what it said."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from forwarder.catalogue import UsesCatalogue
from forwarder.contracts import ConfigError, Held, Normalizer
from forwarder.contracts.heartbeat import HEARTBEAT
from forwarder.records.heartbeats import HeartbeatNormalizer
from forwarder.registry import SOURCES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwarder.catalogue import Catalogue
    from forwarder.contracts import AuditEvent, Record, UnexpectedPayload

MOST_REMEMBERED = 2000
"""Events whose meaning is kept for the next lane: lanes at the tip are a page or two apart, and more is only memory."""

MOST_BYTES = 8 * 2**20
"""Bytes of the API that those events may have, and so about a measure of what their meanings take."""

LONGEST = 2**20
"""Bytes of an event that is understood for each lane anew: kept, one of 8 MB may take 40 MB of memory for ever."""


class Remembering:
    """A normaliser that gives lanes which read the same pages the same meanings, made once.

    Invariant: a meaning is given again for the very same bytes in memory only. So a lane whose privacy made other bytes
    of the event never gets what was made of the whole one, and what is read anew is understood anew.
    """

    def __init__(self, normalizer: Normalizer) -> None:
        self.inner = normalizer
        self._known: OrderedDict[int, tuple[bytes, AuditEvent | UnexpectedPayload]] = OrderedDict()  # by number
        self._bytes = 0

    def normalize(self, records: Sequence[Record]) -> list[AuditEvent | UnexpectedPayload]:
        """Return one result per record, in order; they are read by many and changed by no one."""
        known = self._known
        found = [known.get(record.seq) for record in records]
        results = [entry[1] for entry, record in zip(found, records, strict=True) if entry and entry[0] is record.raw]
        if len(results) == len(records):
            return results
        results = self.inner.normalize(records)
        for record, result in zip(records, results, strict=True):
            if len(record.raw) > LONGEST:
                continue
            if before := known.pop(record.seq, None):
                self._bytes -= len(before[0])
            known[record.seq] = record.raw, result
            self._bytes += len(record.raw)
        while len(known) > MOST_REMEMBERED or self._bytes > MOST_BYTES:
            self._bytes -= len(known.popitem(last=False)[1][0])
        return results


class Normalizers:
    """Finds the normaliser of a feed, configured now or not: the spool may hold events of a source that is gone.

    Args:
        catalogue: What actions mean.
        shared: Whether more than one lane asks.
    """

    def __init__(self, catalogue: Catalogue, *, shared: bool = False) -> None:
        self._catalogue = catalogue
        self._shared = shared
        self._found: dict[str, Normalizer] = {}

    def __call__(self, feed: str) -> Normalizer:
        """Return it. Raises Held when no installed source knows the feed."""
        if feed not in self._found:
            self._found[feed] = self._make(feed)
        return self._found[feed]

    def anew(self, feed: str) -> Normalizer:
        """Return the normaliser of a feed that keeps nothing between lanes: for events that one lane made private."""
        found = self(feed)
        return found.inner if isinstance(found, Remembering) else found

    def _make(self, feed: str) -> Normalizer:
        if feed == HEARTBEAT:
            return HeartbeatNormalizer()
        for name in SOURCES.names():
            try:
                source = SOURCES.load(name)
            except ConfigError:
                continue  # `check` and the start tell of a broken package; this search is for a whole one
            if source.feed == feed:
                normalizer: Normalizer = source.normalizer()
                if isinstance(normalizer, UsesCatalogue):
                    normalizer.use(self._catalogue)
                return Remembering(normalizer) if self._shared else normalizer
        raise Held(
            f"the spool holds events of the feed {feed!r}, and no installed source knows what they mean.",
            fix="Install the package of that source again, or give this sink the format raw and no filter on meaning.",
            kind="setup_missing",
        )
