"""The stored cursors of a log that is read by places in it, such as files by their offsets.

::

    tail      from `since` back, through what is there, to the end and on from there
    heal      from a moment on, once: what a damaged page of the spool held

A place is as certain as the log itself: there is nothing to doubt, and nothing becomes visible behind it. So nothing is
read again routinely, not by windows either, and history is the beginning of the tail.
"""

from __future__ import annotations

from typing import Any

from forwarder.contracts import Held, Page
from forwarder.polling import backfill
from forwarder.polling.cursors import Cursors, Done
from forwarder.polling.plan import HEAL, TAIL
from forwarder.polling.progress import MOST_SKEW_MS
from forwarder.spool.contract import CursorMove
from forwarder.spool.gap import Gap

Row = dict[str, Any]


class PlaceCursors(Cursors):
    """The cursors of a log that is read by places."""

    @classmethod
    def fits(cls, row: Row) -> bool:
        """Tell whether a row is one of these."""
        return "places" in row

    def _first_walks(self, live_ms: int, history_ms: int) -> dict[str, Row]:
        return {TAIL: self._walk(min(live_ms, history_ms))}

    def _walk(self, since_ms: int) -> Row:
        since_ms = self.kept(since_ms)
        walk = self._source.walk(since_ms)
        return {"walk": walk, "from": since_ms, "high": since_ms, "reached": since_ms, "places": True}

    def ahead(self, name: str) -> tuple[int, int] | None:  # noqa: ARG002 -- by the base class
        """Return None: a place is none in time."""
        return None

    def start_reread(self) -> bool:
        """Return False: there is no need of it."""
        return False

    async def page(self, name: str, page: Page) -> Done:
        """Commit a page with the places behind it; the end of a heal in the same transaction."""
        row, newest = self.rows[name], page.newest or 0
        high = max(row.state["high"], newest) if newest <= self._now_ms() + MOST_SKEW_MS else row.state["high"]
        after = {**row.state, "walk": page.next, "high": high, "reached": max(row.state["reached"], newest)}
        ended = name != TAIL and page.done
        if not ended and not page.bodies and not page.lost and page.next == row.state["walk"]:
            return Done(None, ended, high)
        closing = self._gaps if ended and name == HEAL else []
        move = CursorMove(name, row.version or None, None if ended else after)
        opening = self._lost_for_good(row.state, page)
        written = page if page.bodies else None
        done = await self._commit([move], page=written, opening=opening, closing=closing, reader=name)
        if closing:
            self._gaps = []
        for gap in opening:
            self._log.error("lost_before_it_was_read", what=gap.detail, why=gap.why, since=gap.from_ms, until=gap.to_ms)
        return Done(done, ended, high)

    def _lost_for_good(self, row: Row, page: Page) -> list[Gap]:
        """Return the gaps of what is gone. Nothing reads it again, so they are lost at once."""
        order = backfill.order_of(row)
        lane, now = (order.sink or None) if order is not None else None, self._now_ms()
        return [
            Gap(
                "retention",
                each.detail,
                source=self._number,
                lane=lane,
                from_ms=each.from_ms,
                to_ms=each.to_ms,
                lost_ms=now,
                why=each.why,
            )
            for each in page.lost
        ]

    async def lost(self, name: str, reason: str) -> bool:  # noqa: ARG002 -- the poller logs it
        """Read all of the walk again: what is known is known by its place.

        The newest record is that of one part of the log, and others may be far behind it: what a node that was down
        wrote before that record was not read.
        """
        row = self.rows[name]
        await self._commit([CursorMove(name, row.version or None, self._walk(row.state["from"]))])
        return False

    async def set_aside(self, name: str, error: Held) -> bool | None:  # noqa: ARG002 -- a place is waited for
        """Return None: the source goes on beyond a place by itself."""
        return None

    async def by_time(self, name: str) -> bool:  # noqa: ARG002 -- there is no other way
        """Return False: there is no other way to go on."""
        return False

    def untouched(self, name: str) -> bool:  # noqa: ARG002 -- there is no cursor to blame
        """Return True: a fault is never that of a cursor."""
        return True
