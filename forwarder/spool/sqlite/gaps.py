"""What a lane will not get from the spool: detached, forgotten or damaged pages. Each is a gap and in the books.

Invariant: an event leaves the spool unsettled only through here, counted as `detached` for each lane it was for.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from forwarder.spool import ranges
from forwarder.spool.gap import Gap, GapCause, GapChange

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Iterator, Sequence

    from forwarder.spool.contract import Range
    from forwarder.spool.sqlite.database import Database
    from forwarder.spool.sqlite.ids import IdMemory
    from forwarder.spool.sqlite.lanes import Lane, Lanes
    from forwarder.spool.sqlite.pages import DamagedPage, PageRow, Pages, Part

_SELECT = (
    "SELECT cause, detail, source, lane, from_ms, to_ms, first_seq, last_seq, events, opened_ms, closed_ms, number, "
    "fetching_ms, closed_by, lost_ms, why FROM gaps "
)


class Losses:
    """The table `gaps`, and the acts that write to it. Runs inside its caller's transaction."""

    def __init__(self, database: Database, pages: Pages, lanes: Lanes, ids: IdMemory) -> None:
        self._database = database
        self._con = database.con
        self._pages = pages
        self._lanes = lanes
        self._ids = ids

    # -------------------------------------------------------------------------------------------------- gaps

    def open(self, gap: Gap, now_ms: int) -> int:
        """Write a gap and return its number."""
        columns = msgspec.structs.astuple(gap)
        cursor = self._con.execute(
            "INSERT INTO gaps (cause, detail, source, lane, from_ms, to_ms, first_seq, last_seq, events, opened_ms, "
            "closed_ms, fetching_ms, closed_by, lost_ms, why) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*columns[:9], gap.opened_ms or now_ms, gap.closed_ms, *columns[12:]),
        )
        return int(cursor.lastrowid or 0)

    def close(self, number: int, now_ms: int, by: str = "") -> None:
        """Mark a gap as closed; one that is closed or lost stays so."""
        self.change((), [GapChange(number, "closed", by=by)], now_ms)

    def change(self, opened: Iterable[Gap], changes: Iterable[GapChange], now_ms: int) -> None:
        """Write gaps, and what became of others; one that is closed or lost stays so."""
        for gap in opened:
            self.open(gap, now_ms)
        for change in changes:
            self._change(change, now_ms)

    def _change(self, change: GapChange, now_ms: int) -> None:
        column = {"fetching": "fetching_ms", "closed": "closed_ms", "lost": "lost_ms"}[change.state]
        self._con.execute(
            f"UPDATE gaps SET {column} = ?, closed_by = ?, why = ? "  # noqa: S608
            "WHERE number = ? AND closed_ms IS NULL AND lost_ms IS NULL",
            (now_ms, change.by, change.why, change.number),
        )

    def found(self, gap: Gap, events: int, by: str, now_ms: int) -> None:
        """Put a gap on record of which events were found just now, or add them to it."""
        done = self._con.execute(
            "UPDATE gaps SET events = events + ?, closed_ms = ? WHERE cause = ? AND detail = ? AND source IS ? "
            "AND from_ms = ? AND to_ms = ? AND closed_by = ? AND closed_ms IS NOT NULL",
            (events, now_ms, gap.cause, gap.detail, gap.source, gap.from_ms, gap.to_ms, by),
        )
        if not done.rowcount:
            self.open(msgspec.structs.replace(gap, events=events, closed_ms=now_ms, closed_by=by), now_ms)

    def listed(self, most: int) -> list[Gap]:
        """Return the open gaps, then the newest lost and the newest closed ones, at most `most`; by number."""
        order = "ORDER BY closed_ms IS NULL AND lost_ms IS NULL DESC, closed_ms IS NULL DESC, number DESC LIMIT ?"
        rows = self._con.execute(_SELECT + order, (most,))
        return sorted((Gap(*row) for row in rows), key=lambda gap: gap.number)

    def that_matter(self) -> list[Gap]:
        """Return all that are not closed, and of the closed ones those whose events came since; by number."""
        rows = self._con.execute(
            _SELECT + "WHERE closed_ms IS NULL OR cause IN ('damaged_page', 'missing_page') "
            "OR (first_seq IS NOT NULL AND closed_by IN ('backfill', 'replay')) ORDER BY number"
        )
        return [Gap(*row) for row in rows]

    def forget_closed(self, before_ms: int) -> None:
        """Remove what was closed before that moment, but for what explains events that the books of a lane lack."""
        self._con.execute(
            "DELETE FROM gaps WHERE closed_ms < ? AND (first_seq IS NULL OR events = 0 OR source NOT IN ("
            "SELECT b.source FROM lane_books b JOIN lanes l ON l.number = b.lane "
            "WHERE b.detached > 0 AND l.forgotten_ms IS NULL))",
            (before_ms,),
        )

    def _goes_on(self, cause: str, detail: str, lane: Lane) -> bool:
        """Return whether the lane got nothing since its last open gap of this cause."""
        found = self._con.execute(
            "SELECT max(last_seq) FROM gaps WHERE cause = ? AND detail = ? AND lane = ? AND closed_ms IS NULL",
            (cause, detail, lane.name),
        ).fetchone()
        return found[0] is not None and found[0] >= lane.position

    def _record(self, gap: Gap, now_ms: int, *, grow: bool) -> None:
        """Open a gap, or add to the newest open one of the same cause, lane and source."""
        found = self._con.execute(
            "SELECT number FROM gaps WHERE cause = ? AND detail = ? AND lane IS ? AND source IS ? "
            "AND closed_ms IS NULL AND lost_ms IS NULL ORDER BY number DESC LIMIT 1",
            (gap.cause, gap.detail, gap.lane, gap.source),
        ).fetchone()
        if found is None or not grow:
            self.open(gap, now_ms)
            return
        self._con.execute(
            # min() and max() of SQLite are NULL when one side is; an unknown bound must stay unknown
            "UPDATE gaps SET from_ms = min(from_ms, ?), to_ms = max(to_ms, ?), first_seq = min(first_seq, ?), "
            "last_seq = max(last_seq, ?), events = events + ? WHERE number = ?",
            (gap.from_ms, gap.to_ms, gap.first_seq, gap.last_seq, gap.events, found[0]),
        )

    # -------------------------------------------------------------------------------------------------- acts

    def pass_over(self, lane: Lane, upto: int, cause: str, detail: str, now_ms: int) -> None:
        """Move a lane to `upto`, the end of a page, and record what it will not get. Raises PagesMissing."""
        for first, last in lane.unsettled(lane.position + 1, upto):
            self._lanes.see_pages(lane, first, last)
        by_source: dict[int, list[tuple[PageRow, int]]] = {}
        upto = lane.bounded(upto)
        for row in self._pages.spanning((lane.position + 1, upto), lane.sink):
            missing = lane.unsettled(row.first, row.last)
            events = ranges.count(missing)
            if not events:
                continue
            self._detach(lane, row, missing)
            by_source.setdefault(row.source, []).append((row, events))
        grow = self._goes_on(cause, detail, lane)
        for missed in by_source.values() if lane.until is None else ():  # what a replay does not send lacks nowhere
            self._record(_gap_of(missed, cause, detail, lane.name), now_ms, grow=grow)
        lane.position = max(lane.position, upto)
        self._lanes.advance(lane)
        self._lanes.save(lane)

    def _detach(self, lane: Lane, row: PageRow, missing: Sequence[Range]) -> None:
        """Take events of a page away from a lane, day by day."""
        at = row.first
        for day, events in row.by_day(row.first, row.last):
            spans = [span for first, last in missing for span in ranges.inside(first, last, [(at, at + events - 1)])]
            if spans:
                part = row.source, day
                self._lanes.count(lane.number, part, detached=ranges.count(spans))
                self._lanes.withdraw(lane, spans, part)
            at += events

    def recovered(self, lane: Lane, now_ms: int) -> None:
        """Take out of the gaps of a lane what it settled after all; a gap that lacks nothing any more is closed."""
        for first, last, source in lane.recovered:
            self._con.execute(
                "UPDATE gaps SET events = max(events - :settled, 0), "
                "closed_ms = CASE WHEN closed_ms IS NULL AND events <= :settled THEN :now ELSE closed_ms END "
                "WHERE cause = 'detached' AND lane = :lane AND source = :source AND first_seq <= :first "
                "AND last_seq >= :last",
                {
                    "settled": last - first + 1,
                    "now": now_ms,
                    "lane": lane.name,
                    "source": source,
                    "first": first,
                    "last": last,
                },
            )
        lane.recovered = []

    def set_aside(self, damage: DamagedPage, now_ms: int) -> None:
        """Take a damaged page out of the way of every lane, and forget its ids so that they can be read again.

        What SQLite cannot even read stays in the file: deleting it could fail for the same reason. Needs a
        transaction of its own, because SQLite writes nothing more in the one that met the damage.
        """
        row = damage.row
        for lane in self._lanes.all():
            if row.audience in {"", lane.sink}:
                self._detach(lane, row, lane.unsettled(row.first, row.last))
        self._doubt(row, "damaged_page", now_ms)
        self.open(_gap_of([(row, row.events)], "damaged_page", str(damage), row.audience or None), now_ms)
        self._forget(row)
        self._pages.remove((damage.row.last,), bodies=damage.readable)

    def take_out_missing(self, now_ms: int) -> None:
        """Take from the lanes that need them the pages that somebody else deleted from the file."""
        lost: dict[int, PageRow] = {}
        for lane in self._lanes.all():
            short = self._lanes.shortfall(lane)
            for row in self._lanes.missing(lane) if short else ():
                if self._detach_short(lane, row, short):
                    lost[row.last] = row
        detail = "its row was deleted from the spool by another program"
        for pages in _neighbours(sorted(lost.values(), key=lambda row: row.last)):
            audience = pages[0].audience or None
            self.open(_gap_of([(row, row.events) for row in pages], "missing_page", detail, audience), now_ms)
        for row in lost.values():
            self._doubt(row, "missing_page", now_ms)
            self._forget(row)

    def _detach_short(self, lane: Lane, row: PageRow, short: Counter[Part]) -> int:
        """Take from a lane what it lacks of a page that is gone; the books alone know the days. Return how many."""
        taken = 0
        for first, last in lane.unsettled(row.first, row.last):
            at = first
            for part in sorted(part for part in short if part[0] == row.source):
                end = min(last, at + short[part] - 1)
                if end < at:
                    continue
                short[part] -= end - at + 1
                self._lanes.count(lane.number, part, detached=end - at + 1)
                self._lanes.withdraw(lane, [(at, end)], part)
                taken, at = taken + end - at + 1, end + 1
        return taken

    def _doubt(self, row: PageRow, cause: GapCause, now_ms: int) -> None:
        """Note for each lane what it has of a page that is read again: it may come to it newly numbered."""
        for lane in self._lanes.all():
            missing = lane.unsettled(row.first, row.last)
            if row.audience in {"", lane.sink} and lane.until is None and ranges.count(missing) < row.events:
                self._lanes.doubt(lane.number, (row.first, row.last), cause, now_ms)

    def _forget(self, row: PageRow) -> None:
        freed = self._ids.forget((row.source, row.audience), row.first, row.last)
        self._database.set_meta("id_bytes", self._database.meta("id_bytes") - freed)


def _neighbours(rows: Iterable[PageRow]) -> Iterator[list[PageRow]]:
    """Yield rows of pages, oldest first, in groups that follow upon each other and are of one source and audience."""
    group: list[PageRow] = []
    for row in rows:
        before = group[-1] if group else row
        if group and (before.last + 1, before.source, before.audience) != (row.first, row.source, row.audience):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _gap_of(missed: Sequence[tuple[PageRow, int]], cause: str, detail: str, lane: str | None) -> Gap:
    """Make the gap of pages of one source, oldest first, with how many events of each are missing."""
    rows = [row for row, _ in missed]
    begins = [begin for row in rows if (begin := _minute_ms(row.oldest_minute)) is not None]
    return Gap(
        cause=cause,  # type: ignore[arg-type]
        detail=detail,
        source=rows[0].source,
        lane=lane,
        from_ms=min(begins) if len(begins) == len(rows) else None,
        to_ms=max(row.committed_ms if row.newest_ms is None else row.newest_ms for row in rows),
        first_seq=rows[0].first,
        last_seq=rows[-1].last,
        events=sum(events for _, events in missed),
    )


def _minute_ms(minute: str) -> int | None:
    """An event is processed after it happened, so its minute is a bound from below, when it is a time at all."""
    try:
        return int(datetime.fromisoformat(minute).replace(tzinfo=UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
