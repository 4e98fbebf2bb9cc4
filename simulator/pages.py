"""Pages of `/events-stream` and `/events`: which entries, which cursor, and their JSON.

The switches decide what no one outside knows. A page is a list of bodies that were rendered when the events were
logged; putting it together costs a join.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from simulator.cursors import Cursors, Position
from simulator.feed import Entry, Feed, Range, first_key
from simulator.render import without_processed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulator.config import Switches
    from simulator.faults import Rule

_encode = msgspec.json.encode


class Page(msgspec.Struct):
    """What a request gets: entries, the next cursor or None, and the rule that altered it, if any."""

    entries: Sequence[Entry]
    next: str | None
    rule: Rule | None = None


class StreamPager:
    """Reads pages of `/events-stream` under the switches."""

    def __init__(self, switches: Switches, cursors: Cursors) -> None:
        self._switches = switches
        self._cursors = cursors

    def page(
        self, feed: Feed, position: Position, asked: str | None, limit: int, oldest_ms: int, rule: Rule | None
    ) -> Page:
        """Return one page.

        Args:
            feed: The log.
            position: What the cursor or the parameters say.
            asked: The cursor as it was sent, or None.
            limit: Entries a page.
            oldest_ms: What was processed earlier has been deleted.
            rule: A fault of the kind `PAGES`, or None. It is in the result only when it applied.
        """
        entries = self._entries(feed, position, limit, oldest_ms)
        what = rule.what if rule is not None else ""
        if what in {"empty_page", "unchanged_cursor"}:
            same = asked if asked is not None and what == "unchanged_cursor" else None
            return Page([], same or self._cursors.issue(position), rule)
        if what == "loop" and entries:
            return Page(entries, asked or self._cursors.issue(position), rule)
        if (
            rule is not None
            and what == "repeated_ids"
            and position.after is not None
            and position.ascending
            and limit > 1
        ):
            before = feed.before(position.after, min(rule.count, limit // 2))
            entries = [*before, *entries][:limit]
            return Page(entries, self._next(position, entries, asked, limit), rule)
        applied = rule if what in {"missing_meta", "missing_links"} else None
        return Page(entries, self._next(position, entries, asked, limit), applied)

    def _entries(self, feed: Feed, position: Position, limit: int, oldest_ms: int) -> list[Entry]:
        switches = self._switches
        by_time = switches.from_compares == "time"
        inclusive = switches.bounds == "inclusive"
        wanted = Range(position.lower, position.upper, by_time, inclusive)
        entries = feed.walk(wanted, position.after, limit, ascending=position.ascending)
        if entries and min(entries[0].processed_ms, entries[-1].processed_ms) < oldest_ms:
            kept = first_key(oldest_ms) - 1
            after = max(position.after or 0, kept) if position.ascending else position.after
            entries = feed.walk(wanted, after, limit, ascending=position.ascending)
            entries = [entry for entry in entries if entry.processed_ms >= oldest_ms]
        return entries

    def _next(self, position: Position, entries: Sequence[Entry], asked: str | None, limit: int) -> str | None:
        further = position
        if entries:
            further = msgspec.structs.replace(position, after=entries[-1].key)
        if len(entries) == limit:
            return self._cursors.issue(further)
        switches = self._switches
        resumes = switches.tip == "resume" or (switches.tip == "resume_without_to" and position.upper is None)
        if not resumes or not position.ascending:
            return None
        if not entries and asked is not None and switches.tip_cursor == "unchanged":
            return asked
        return self._cursors.issue(further)


class EventsPager:
    """Reads pages of `/events`: by event time, newest first, filtered."""

    def __init__(self, cursors: Cursors, *, inclusive: bool) -> None:
        self._cursors = cursors
        self._inclusive = inclusive

    def page(self, feed: Feed, position: Position, limit: int, oldest_ms: int) -> Page:
        """Return one page; `position.after` is the time key of the last entry that was served."""
        wanted = Range(position.lower, position.upper, by_time=True, inclusive=self._inclusive)
        found: list[Entry] = []
        for entry in feed.newest_first():
            key = entry.time_key
            if (position.after is not None and key >= position.after) or entry.time_ms < oldest_ms:
                continue
            if wanted.holds(entry.time_ms) and _fits(entry, position.filters):
                found.append(entry)
                if len(found) == limit:
                    further = msgspec.structs.replace(position, after=key)
                    return Page(found, self._cursors.issue(further))
        return Page(found, None)


def _fits(entry: Entry, filters: dict[str, list[str]]) -> bool:
    if not filters:
        return True
    try:
        document = msgspec.json.decode(entry.body)
    except msgspec.DecodeError:
        return False  # what cannot be read cannot be found by its content
    attributes = document["attributes"]
    for name, values in filters.items():
        if name == "q":
            fits = all(value.lower().encode() in entry.body.lower() for value in values)
        elif name == "action":
            fits = attributes.get("action") in values
        elif name == "actor":
            fits = attributes.get("actor", {}).get("id") in values
        elif name == "ip":
            fits = attributes.get("location", {}).get("ip") in values
        else:
            fits = any(attributes.get("action", "").startswith(value) for value in values)
        if not fits:
            return False
    return True


def render(page: Page, url: str, limit: int, *, processed: bool) -> list[bytes]:
    """Return a page as the pieces of a JSON body.

    Args:
        page: What to show.
        url: Full URL of the feed without parameters.
        limit: Entries asked for.
        processed: Whether events show `processedAt`.
    """
    bodies = [entry.body for entry in page.entries]
    if not processed:
        bodies = [without_processed(body) for body in bodies]
    what = page.rule.what if page.rule is not None else ""
    pieces = [b'{"data":[', b",".join(bodies), b"]"]
    if what != "missing_meta":
        meta = {
            "attributes": None,
            "next": page.next,
            "prev": None,
            "current": None,
            "page_size": limit,
            "start_index": None,
            "end_index": None,
            "count": None,
            "total": 0,
        }
        pieces += [b',"meta":', _encode(meta)]
    if what != "missing_links":
        following = (
            {"self": url, "prev": None, "next": f"{url}?cursor={quote(page.next, safe='')}"} if page.next else {}
        )
        pieces += [b',"links":', _encode(following)]
    pieces.append(b"}")
    return pieces
