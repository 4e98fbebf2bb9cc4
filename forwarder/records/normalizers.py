"""One normaliser for each feed, and one catalogue for them all; lanes that are side by side share what it said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.catalogue import UsesCatalogue
from forwarder.contracts import ConfigError, Held, Normalizer
from forwarder.contracts.heartbeat import HEARTBEAT
from forwarder.records.heartbeats import HeartbeatNormalizer
from forwarder.records.shared import Shared
from forwarder.registry import SOURCES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwarder.catalogue import Catalogue
    from forwarder.contracts import AuditEvent, Record, UnexpectedPayload


class Remembering:
    """A normaliser that gives lanes which read the same pages the same meanings, made once."""

    def __init__(self, normalizer: Normalizer) -> None:
        self.inner = normalizer
        self._meanings: Shared[AuditEvent | UnexpectedPayload] = Shared()

    def normalize(self, records: Sequence[Record]) -> list[AuditEvent | UnexpectedPayload]:
        """Return one result per record, in order; they are read by many and changed by no one."""
        return self._meanings.of(records, self.inner.normalize)


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
        for name in sorted(SOURCES.names(), key=feed.__ne__):  # most are named as their feed, and each costs its import
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
