"""The truth for tests: what existed, what could be seen when, and what was served how often.

Counts only what the server knows: an event is served when a complete, well-formed answer that holds it was written;
what was written and then cut on purpose is torn. Whether a client read it is the client's to prove.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulator.feed import Entry, Feed

_REQUESTS_KEPT = 2_000


class Version(msgspec.Struct, frozen=True):
    """One content of one event. The digest is SHA-256 of the bytes as `/events-stream` serves them."""

    digest: str
    time_ms: int
    processed_ms: int
    visible_ms: int
    served: int


class Asked(msgspec.Struct, frozen=True):
    """One request and its answer."""

    number: int
    at: float
    organization: str
    feed: str
    query: str
    status: int
    ids: tuple[str, ...]
    torn: bool
    fault: str


class Ledger:
    """What existed and what was served, by organization."""

    def __init__(self) -> None:
        self._feeds: dict[str, Feed] = {}
        self.requests: deque[Asked] = deque(maxlen=_REQUESTS_KEPT)
        self.statuses: Counter[int] = Counter()
        self.faults: Counter[str] = Counter()
        self.stories: dict[str, dict[str, list[str]]] = {}
        self.served_events = 0
        self.torn_events = 0
        self._number = 0

    def open(self, organization: str, feed: Feed) -> None:
        """Begin to keep the books of an organization."""
        self._feeds[organization] = feed

    def note(
        self,
        at: float,
        organization: str,
        feed: str,
        query: str,
        status: int,
        page: Sequence[Entry] = (),
        *,
        torn: bool = False,
        fault: str = "",
    ) -> None:
        """Write down one request and the events in its answer."""
        self._number += 1
        self.statuses[status] += 1
        if torn:
            self.torn_events += len(page)
        else:
            self.served_events += len(page)
            for entry in page:
                entry.served += 1
        ids = tuple([entry.id for entry in page])
        self.requests.append(Asked(self._number, at, organization, feed, query, status, ids, torn, fault))

    # -------------------------------------------------------------------------------------------------- questions

    @property
    def organizations(self) -> list[str]:
        """Return the ids of all organizations."""
        return list(self._feeds)

    def existed(self, organization: str | None = None, *, visible_by: float | None = None) -> set[str]:
        """Return the ids of all events, or of those that could be read by a moment (epoch seconds)."""
        moment = None if visible_by is None else int(visible_by * 1000)
        return {
            ident
            for feed in self._of(organization)
            for ident, entries in feed.versions().items()
            if moment is None or any(entry.visible_ms <= moment for entry in entries)
        }

    def versions(self, organization: str | None = None) -> dict[str, list[Version]]:
        """Return every content of every event, in the order they were logged."""
        return {
            ident: [_version(entry) for entry in entries]
            for feed in self._of(organization)
            for ident, entries in feed.versions().items()
        }

    def bodies(self, organization: str | None = None) -> dict[str, list[bytes]]:
        """Return every content of every event as bytes."""
        return {
            ident: [entry.body for entry in entries]
            for feed in self._of(organization)
            for ident, entries in feed.versions().items()
        }

    def served(self, organization: str | None = None) -> dict[str, int]:
        """Return how often each event was served, whatever the version; those never served have 0."""
        return {
            ident: sum(entry.served for entry in entries)
            for feed in self._of(organization)
            for ident, entries in feed.versions().items()
        }

    def summary(self) -> dict[str, Any]:
        """Return counts only, as JSON."""
        organizations = {}
        for organization, feed in self._feeds.items():
            counts = [sum(entry.served for entry in entries) for entries in feed.versions().values()]
            organizations[organization] = {
                "existed": len(counts),
                "versions": len(feed),
                "visible_versions": feed.visible,
                "served_ids": sum(count > 0 for count in counts),
                "never_served": sum(count == 0 for count in counts),
                "served": sum(counts),
            }
        return {
            "requests": self._number,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "served_events": self.served_events,
            "torn_events": self.torn_events,
            "faults": dict(self.faults),
            "stories": {
                org: {name: len(ids) for name, ids in by_story.items()} for org, by_story in self.stories.items()
            },
            "organizations": organizations,
        }

    def _of(self, organization: str | None) -> list[Feed]:
        return list(self._feeds.values()) if organization is None else [self._feeds[organization]]


def _version(entry: Entry) -> Version:
    digest = hashlib.sha256(entry.body).hexdigest()
    return Version(digest, entry.time_ms, entry.processed_ms, entry.visible_ms, entry.served)
