"""The stored cursors of one source, and what becomes durable with each page: its events, and every cursor that moves.

::

    tail      begins ten minutes back on the first start: live events never wait for history
    backfill  begins `since` back, and walks to the tip behind the tail
    heal      begins `overlap` before the last good point when the source lost the tail's cursor
    reread    reads the newest ten minutes again every five, for events that became visible behind the cursor

`backfill` and `heal` walk without an end; at the tip, or where they have come as far as the tail, they *become* the
tail, in one transaction. So the tail's own lower bound moves back to theirs, and it does not matter whether the API
compares it with processing or event time.
Where the budget does not let them reach the tip, they are over once they have read a day, or `overlap`, of what the
tail has read: what is processed later than that after it happened is for the reconcile to find. Both are judged by
several pages in a row, of which the row holds the number: `beyond` for that day, `abreast` for being as far as the
tail. A walk with an `until` in its row is over behind that. What is known is dropped by the spool.

The reread (stored as `trail`) begins at a checkpoint of the tail, so in its order and under its bound; its row holds
`begun` and `until` besides what `progress` explains. A walk has `begun`, too: when it was.
"""

from __future__ import annotations

from forwarder.contracts import CursorState, GoesOnByTime, Held, Page
from forwarder.polling import backfill, progress
from forwarder.polling.cursors import Done
from forwarder.polling.plan import BACKFILL, HEAL, RECONCILE, REREAD, TAIL
from forwarder.polling.rechecked import RecheckedCursors
from forwarder.spool.contract import CursorMove, CursorRow
from forwarder.spool.gap import Gap

_DAY_MS = 86_400_000

_OF_A_WALK = frozenset({"tip", "dropped", "beyond", "abreast", "present"})
"""Members of a row that mean nothing once it is that of the tail."""

_KEPT = ("begun", "until", "order", "present")
"""Members of a row that stay when its walk begins again."""


class HandOver(RecheckedCursors):
    """The cursors of a log that is followed as a stream."""

    @classmethod
    def fits(cls, row: progress.Progress) -> bool:
        """Tell whether a row is one of these."""
        return "places" not in row and "scan" not in row["walk"]

    def _first_walks(self, live_ms: int, history_ms: int) -> dict[str, progress.Progress]:
        """Return the walks of the first start by name, from the moments at which they begin."""
        walks = {TAIL: self._walk(live_ms)}
        if history_ms < live_ms:
            walks[BACKFILL] = self._walk(history_ms)
        return walks

    def _walk(self, since_ms: int) -> progress.Progress:
        since_ms = self.kept(since_ms)
        return {**progress.begin(self._source.walk(since_ms), since_ms), "begun": self._now_ms()}

    async def begin_by_clock(self) -> None:
        """Begin the first walks anew when the clock was ahead at the first start: they would wait for that moment."""
        now, tail = self._now_ms(), self.rows[TAIL].state
        if tail["from"] <= now or progress.reached(tail) > tail["from"]:
            return
        history = max(int(self._config.since * 1000), self._overlap_ms)
        first = self._first_walks(now - min(history, self._trailing_ms), now - history)
        self._log.warning("first_walks_begin_anew", reason="the clock was ahead when they began")
        versions = {name: row.version or None for name, row in self.rows.items()}
        await self._commit([CursorMove(name, versions.get(name), first[name]) for name in first])

    @property
    def _beyond_ms(self) -> int:
        return max(self._overlap_ms, _DAY_MS)

    def _stretch(self, since_ms: int, until_ms: int) -> progress.Progress:
        return progress.begin(self._source.walk(since_ms, until_ms), since_ms)

    def walk_at(self, name: str, since_ms: int) -> CursorState:
        """Return the state of the source that begins at a moment, and ends where a walk does, if it has an end."""
        row, since_ms = self.rows[name].state, self.kept(since_ms)
        if name != RECONCILE:
            return self._source.walk(since_ms)
        until: int = row["window"]["until"]
        return self._source.walk(min(since_ms, until), until)

    def seen_lately(self, row: progress.Progress) -> int:
        """Return the newest processing time that a walk has read, whatever times single events carry."""
        return progress.seen_lately(row, self._overlap_ms)

    # --------------------------------------------------------------------------------------------- the newest again

    def start_reread(self) -> bool:
        """Begin to read the newest stretch again when it is time; True when it begins."""
        if self.walks(REREAD):
            return False
        row, now, tail = self.rows.get(REREAD), self._now_ms(), self.rows[TAIL].state
        begun = row.state["begun"] if row else None
        if begun is not None and 0 <= now - begun < self._config.trailing_every * 1000:
            return False
        since = min(min(now, tail["high"]) - self._trailing_ms, self._reread_from())
        least = self.rereads.begin(since, now)
        high, walk = (
            progress.checkpoint_before(tail, since) if least <= since else progress.checkpoint_after(tail, least)
        )
        state = {**progress.begin(walk, high), "begun": now, "until": self.seen_lately(tail)}
        # Durable with its first page; before that a restart simply begins it again.
        self.rows[REREAD] = CursorRow(REREAD, state, row.version if row else 0)
        return True

    def _reread_from(self) -> int:
        """Return where the next reread begins at the latest, epoch milliseconds: a stretch before the last one began.

        By what was read as by the clock: one that was ahead for a while must not leave a stretch out.
        """
        row = self.rows.get(REREAD)
        begun = row.state["begun"] if row is not None else None
        if row is None or begun is None:
            return self._now_ms() - self._trailing_ms
        floor: int = min(begun, row.state.get("floor", begun), row.state.get("until", begun))
        return floor - self._trailing_ms

    # ------------------------------------------------------------------------------------------------------ a page

    async def page(self, name: str, page: Page) -> Done:
        """Commit a page with the cursor that follows it; a walk's end and promotion in the same transaction."""
        row = self.rows[name]
        after, at_tip = self._after(name, row.state, page)
        if name == RECONCILE:
            return await self._page_of_window(page, after, ended=at_tip)
        at_end = name != TAIL and self._is_behind(after)
        moves: list[CursorMove] = []
        closing: list[int] = []
        ended, promoted = at_end or at_tip, at_tip and name in {HEAL, BACKFILL}
        if ended and name in {HEAL, BACKFILL}:
            closing = self._gaps if name == HEAL or not self.walks(HEAL) else []
        if promoted:
            moves = self._promotion(name, after)
        elif ended:
            rested = _between_rereads(row.state) if name == REREAD else backfill.over(after, self._now_ms())
            moves = [CursorMove(name, row.version or None, rested)]
            closing = closing or await self._covered(after)
        elif page.bodies or page.next != row.state["walk"]:
            moves = [CursorMove(name, row.version or None, after)]
        heals = name == TAIL and "by_time" in after and not page.by_time and not self.walks(HEAL)
        if heals:
            # What the walk by time could not see under one reading of its bound, a walk by cursor finds.
            back = after["by_time"]
            moves = [
                CursorMove(TAIL, row.version, {key: after[key] for key in after if key != "by_time"}),
                CursorMove(HEAL, None, self._walk(back - self._overlap_ms)),
            ]
        if not moves:
            return Done(None, ended, after["high"], promoted=promoted)
        done = await self._commit(moves, page=page if page.bodies else None, closing=closing, reader=name)
        if closing and name in {HEAL, BACKFILL}:
            self._gaps = []
        if name == REREAD:
            self.rereads.read(ended=ended)
        return Done(done, ended, after["high"], heals, promoted)

    def _after(self, name: str, row: progress.Progress, page: Page) -> tuple[progress.Progress, bool]:
        """Return the row behind a page, and whether its walk has come to the end of what there is."""
        shortened = int(self.rereads.stretch * 1000) if self.rereads.left_out else 0  # it begins at a checkpoint, too
        after = progress.advance(
            row,
            page,
            self._now_ms(),
            self._trailing_ms,
            max(int(self._config.trailing_every * 1000), shortened),
            self._reread_from() if name == TAIL else row["near" if "near" in row else "high"] - self._trailing_ms,
            apart_ms=shortened // (2 * progress.CHECKPOINTS_PER_REREAD),
            present_ms=self._present(row),
        )
        after = self._read(name, after, page)
        if name in {HEAL, BACKFILL} and page.bodies:
            after = self._beside_tail(name, after, progress.end_of(page))
        at_tip = name != TAIL and page.done
        if at_tip and name != REREAD and page.bodies and "tip" not in row:
            # A server that cuts its pages without a word looks so too: a source can tell when it asks there once more.
            at_tip, after["tip"] = False, True
        # Where events come without a pause, no page is empty: a walk that has read what the tail has is there as well.
        at_tip = at_tip or after.get("abreast", 0) >= backfill.PAGES_BEYOND
        return after, at_tip

    def _present(self, row: progress.Progress) -> int | None:
        """Return what the present is not before, by what was read; None when nothing was.

        Behind a clock that is ahead a walk that has read everything looks far from the present.
        """
        tail = self.rows[TAIL].state
        rows = (row, self.rows[HEAL].state) if HEAL in self.rows else (row,)
        known: list[int] = [each["present"] for each in rows if "present" in each]
        if progress.reached(tail) > tail["from"]:
            known.append(self.seen_lately(tail))
        return max(known, default=None)

    def _beside_tail(self, name: str, row: progress.Progress, newest: int | None) -> progress.Progress:
        """Return the row of a walk after a page, with the pages in a row counted that lie where the tail has read.

        One alone may hold an event of a wrong time, or one of long ago that was processed only now.
        """
        tail, until = self.rows[TAIL].state, self._end_of(name, row)
        if newest is None or newest > self._now_ms() + progress.MOST_SKEW_MS:
            newest = row["from"]
        counts = {
            "beyond": until is not None and newest > until + self._beyond_ms,
            "abreast": tail["from"] < tail["high"] <= newest,
        }
        counted = {key: row.get(key, 0) + 1 for key, holds in counts.items() if holds}
        return {key: value for key, value in row.items() if key not in counts} | counted

    def _is_behind(self, after: progress.Progress) -> bool:
        """Tell whether a walk has come behind where it was to end, or where the tail has read for it for long."""
        if backfill.order_of(after) is not None:
            return backfill.is_behind(after)
        if "until" in after:
            return progress.stands_at(after) > int(after["until"])
        return bool(after.get("beyond", 0) >= backfill.PAGES_BEYOND)

    def _end_of(self, name: str, row: progress.Progress) -> int | None:
        """Return from where on all that a walk reads has been read by the tail, or its end; None when unknown."""
        if "until" in row:
            until: int = row["until"]
            return until
        if (order := backfill.order_of(row)) is not None:
            return order.until_ms
        if name not in {HEAL, BACKFILL}:
            return None
        tail = self.rows[TAIL].state
        begun = row.get("begun", tail["from"] if row["from"] < tail["from"] else None)
        return None if begun is None else max(begun, tail["from"])

    def ahead(self, name: str) -> tuple[int, int] | None:
        """Return where a walk is and where the tail, or its own end, takes over."""
        row = self.rows[name].state
        end = self._end_of(name, row)
        return None if end is None else (self._read_up_to(row), end)

    def _promotion(self, name: str, after: progress.Progress) -> list[CursorMove]:
        """Return the moves by which a heal or backfill that reached the tip becomes the tail."""
        # What became visible behind this walk while it was near the present is for the next reread to find,
        # and what a reread that is still on its way has not read.
        reread, tail, begun = self.rows.get(REREAD), self.rows[TAIL], after.pop("near", after["high"])
        after = {key: after[key] for key in after if key not in _OF_A_WALK}
        if self.walks(REREAD):
            begun = min(begun, self._reread_from() + self._trailing_ms)
        moves = [
            CursorMove(name, self.rows[name].version, None),
            CursorMove(REREAD, (reread.version or None) if reread else None, {"begun": begun}),
        ]
        if after["from"] < tail.state["from"]:  # else another walk has moved the bound further back meanwhile
            moves.append(CursorMove(TAIL, tail.version, after))
        return moves

    # ------------------------------------------------------------------------------------------------- a lost cursor

    async def lost(self, name: str, reason: str) -> bool:
        """Go on near now, and read again from before the last good point; True when a heal begins."""
        row, now = self.rows[name], self._now_ms()
        read = min(self._read_up_to(row.state), now)
        back = max(read - self._overlap_ms, row.state["from"])
        if name == REREAD:
            again = {**self._walk(row.state["from"]), "begun": row.state["begun"], "until": row.state["until"]}
            self.rows[REREAD] = CursorRow(REREAD, again, row.version)
            return False
        if name == RECONCILE:
            self.rows[name] = self._anew()
            return False
        if name != TAIL:
            kept: progress.Progress = {key: row.state[key] for key in _KEPT if key in row.state}
            dropped = [] if "order" in row.state else await self._dropped_by_log(read)
            await self._commit([CursorMove(name, row.version or None, {**self._walk(back), **kept})], opening=dropped)
            return False
        moves = [CursorMove(TAIL, row.version, self._walk(now - self._trailing_ms))]
        gaps, self._dropped = list[Gap](), []
        heals = not self.walks(HEAL)
        if heals:
            moves.append(CursorMove(HEAL, None, {**self._walk(back), "present": self.seen_lately(row.state)}))
            gaps = [Gap("cursor_lost", reason, source=self._number, from_ms=self.kept(read), to_ms=now)]
            gaps += await self._dropped_by_log(read)
        elif back < self.rows[HEAL].state["from"]:  # a longer walk had become this tail
            heal = {**self._walk(back), "present": self.seen_lately(row.state)}
            moves.append(CursorMove(HEAL, self.rows[HEAL].version, heal))
        await self._commit(moves, opening=gaps)
        return heals

    async def set_aside(self, name: str, error: Held) -> bool | None:
        """Leave a place that cannot be passed to the heal, and go on beyond it; True when a heal begins.

        Returns None for a cursor that has to wait there itself.
        """
        row, heal, now = self.rows[name], self.rows.get(HEAL), self._now_ms()
        if name == REREAD and heal is not None:
            await self._commit([CursorMove(REREAD, row.version or None, _between_rereads(row.state))])
            return False
        if name != TAIL:
            return None
        # Events of one time end with its millisecond; where an event is that does not come is unknown.
        high, beyond = row.state["high"], now
        if error.kind == "no_cursor" and high > row.state["from"]:
            beyond = min(high + 1, now)
        moves, gaps = [CursorMove(TAIL, row.version, self._walk(beyond))], []
        if heal is None:
            gaps = [Gap("cursor_lost", error.reason, source=self._number, from_ms=high, to_ms=now)]
        if heal is None or high < heal.state["high"]:  # else the heal comes to that place
            moves.append(CursorMove(HEAL, heal.version if heal else None, row.state))
        await self._commit(moves, opening=gaps)
        return heal is None

    def _beyond_place(self, row: CursorRow) -> tuple[int, int, progress.Progress | None]:
        until = row.state["window"]["until"]
        return min(progress.read_up_to(row.state), until), until, None

    async def by_time(self, name: str) -> bool:
        """Go on without any cursor, from what was read last; False when the source cannot do that."""
        row = self.rows[name]
        if not isinstance(self._source, GoesOnByTime):
            return False
        walk = self._source.by_time(row.state["walk"], min(self._read_up_to(row.state), self._now_ms()))
        await self._commit([CursorMove(name, row.version or None, {**row.state, "walk": walk})])
        return True

    def untouched(self, name: str) -> bool:
        """Tell whether a walk stands where it began, so that it has no cursor of the source yet."""
        row = self.rows[name].state
        return len(row["marks"]) == 1 and bool(row["marks"][0][1] == row["walk"])


def _between_rereads(row: progress.Progress) -> progress.Progress:
    """Return what stays of a reread between two reads."""
    return {"begun": row["begun"], "floor": min(row["begun"], row["until"])}
