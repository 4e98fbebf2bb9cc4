"""Rows of lanes and the arithmetic of settling: the position is the longest settled prefix, and never goes back.

What settled beyond the position is kept as ranges. Events that were taken away from a lane while it had them in
flight (detached, damaged) are rows of `overtaken`: when the lane settles them after all, the books are corrected.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from forwarder.spool import ranges
from forwarder.spool.contract import SpoolError
from forwarder.spool.sqlite.missing import MissingPages, PagesMissing
from forwarder.spool.sqlite.schema import version_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from forwarder.spool.contract import Range
    from forwarder.spool.sqlite.letters import Letters
    from forwarder.spool.sqlite.pages import PageRow, Pages, Part

_MOST_DOUBTS = 10_000
_SELECT = (
    "SELECT l.number, l.name, l.target, l.position, l.head, l.on_full, l.seen_ms, l.paused, l.forgotten_ms, r.last "
    "FROM lanes l LEFT JOIN replays r ON r.lane = l.number "
)
_SELECT_2 = "SELECT l.number, l.name, l.target, l.position, l.head, l.on_full, l.seen_ms, '', NULL, NULL FROM lanes l "
"""The same of a spool of an earlier version, which is only looked at."""

Withdrawn = tuple[int, int, int, str]
"""First and last number, source and day of events that were taken away while they were in flight."""


class Doubt(msgspec.Struct, frozen=True):
    """A range of numbers that a lane may have delivered twice, why, and since when (epoch milliseconds)."""

    first: int
    last: int
    cause: str
    at_ms: int


class Lane(msgspec.Struct):
    """A row of `lanes` with its settled ranges above the position.

    Attributes:
        name: Of its sink; of the lane of a replay with `#` and the lane's number behind it.
        forgotten_ms: When someone let go of it; nothing is kept for it since.
        until: The last number that the lane of a replay takes; None for any other.
        recovered: Ranges with their source that were withdrawn and settled after all; their gap is made smaller.
    """

    number: int
    name: str
    target: str
    position: int
    head: int
    on_full: str
    seen_ms: int
    paused: str = ""
    forgotten_ms: int | None = None
    until: int | None = None
    settled: list[Range] = []
    stored: frozenset[Range] = frozenset()
    written: tuple[object, ...] = ()
    recovered: list[tuple[int, int, int]] = []

    @property
    def columns(self) -> tuple[object, ...]:
        """What changes of its row."""
        return self.target, self.position, self.head, self.on_full, self.seen_ms, self.paused, self.forgotten_ms

    @property
    def sink(self) -> str:
        """Whose pages it takes."""
        return self.name.partition("#")[0]

    def bounded(self, number: int) -> int:
        """Return a number of the spool, or the last one of the lane when that is lower."""
        return number if self.until is None else min(number, self.until)

    def unsettled(self, first: int, last: int) -> list[Range]:
        """Return what it has not settled of a stretch of numbers."""
        return ranges.outside(max(first, self.position + 1), self.bounded(last), self.settled)


class Lanes:
    """The tables `lanes`, `settled`, `overtaken`, `doubts` and `lane_books`. Runs inside its caller's transaction."""

    def __init__(self, con: sqlite3.Connection, pages: Pages, letters: Letters) -> None:
        self._con = con
        self._pages = pages
        self._letters = letters
        self._select = _SELECT if version_of(con) > 2 else _SELECT_2
        self._missing = MissingPages(con, pages)

    # -------------------------------------------------------------------------------------------------- rows

    def load(self, number: int) -> Lane:
        """Return a lane. Raises SpoolError when there is none of that number."""
        found = self._load("WHERE l.number = ?", (number,))
        if not found:
            raise SpoolError(f"The spool has no lane {number}. Open the lane before using it.")
        return found[0]

    def named(self, name: str) -> Lane | None:
        """Return the lane of a sink, if there is one."""
        return next(iter(self._load("WHERE l.name = ?", (name,))), None)

    def all(self) -> list[Lane]:
        """Return every lane that may still take something: of sinks, configured now or not, and of open replays."""
        lanes = self._load("ORDER BY l.number", ())
        return [lane for lane in lanes if lane.forgotten_ms is None and not self._ended(lane)]

    def of_sinks(self) -> list[Lane]:
        """Return every lane of a sink, configured now or not."""
        return [lane for lane in self.all() if lane.until is None]

    def _ended(self, lane: Lane) -> bool:
        return lane.until is not None and lane.position >= lane.until

    def _load(self, where: str, values: tuple[int | str, ...]) -> list[Lane]:
        rows = self._con.execute(
            self._select + where,
            values,
        ).fetchall()
        lanes = [Lane(*row) for row in rows]
        for lane in lanes:
            lane.settled = self._con.execute(
                "SELECT first, last FROM settled WHERE lane = ? ORDER BY first", (lane.number,)
            ).fetchall()
            lane.stored, lane.written = frozenset(lane.settled), lane.columns
        return lanes

    def make(self, name: str, target: str, position: int, on_full: str, now_ms: int) -> Lane:
        """Write a new lane that begins after `position`."""
        number = self._con.execute(
            "INSERT INTO lanes (name, target, position, head, on_full, seen_ms) VALUES (?, ?, ?, ?, ?, ?)",
            (name, target, position, position, on_full, now_ms),
        ).lastrowid
        return Lane(int(number or 0), name, target, position, position, on_full, now_ms)

    def waiting(self, lane: Lane) -> Counter[Part]:
        """Count what a lane has not settled, by source and day: in pages there are, and letters that are retried."""
        waiting = self._pages.counted(lane.position + 1, lane.bounded(self.newest()), lane.sink)
        for first, last in lane.settled:
            waiting.subtract(self._pages.counted(first, last, lane.sink))
        waiting.update(self._letters.waiting(lane.number))
        return waiting

    def parts_of(self, lane: Lane, spans: Iterable[Range]) -> Counter[Part]:
        """Count the events of ranges that a lane has in flight, by source and day, withdrawn or not."""
        counts: Counter[Part] = Counter()
        merged = ranges.merge(spans)
        if not merged:
            return counts
        withdrawn = self._withdrawn_in_flight(lane)
        taken = [(first, last) for first, last, _, _ in withdrawn]
        row: PageRow | None = None  # a filter may leave many small ranges of one page
        for begin, end in merged:
            for first, last in ranges.outside(begin, end, taken):
                if row is None or first > row.last:
                    row = self._pages.after(first - 1, lane.sink)
                if row is not None and row.first <= first and last <= row.last:
                    for day, events in row.by_day(first, last):
                        counts[row.source, day] += events
                else:
                    counts.update(self._pages.counted(first, last, lane.sink))
            for first, last, source, day in withdrawn:
                counts[source, day] += max(0, min(last, end) - max(first, begin) + 1)
        return +counts

    def save(self, lane: Lane) -> None:
        """Write what changed of a lane; an idle exchange writes nothing and costs no fsync."""
        if lane.columns != lane.written:
            self._con.execute(
                "UPDATE lanes SET target = ?, position = ?, head = ?, on_full = ?, seen_ms = ?, paused = ?, "
                "forgotten_ms = ? WHERE number = ?",
                (*lane.columns, lane.number),
            )
            lane.written = lane.columns
        now = frozenset(lane.settled)
        if now != lane.stored:
            self._con.executemany(
                "DELETE FROM settled WHERE lane = ? AND first = ?",
                [(lane.number, first) for first, _ in lane.stored - now],
            )
            self._con.executemany(
                "INSERT INTO settled VALUES (?, ?, ?)", [(lane.number, *span) for span in now - lane.stored]
            )
            lane.stored = now

    # ---------------------------------------------------------------------------------------------- settling

    def settle(self, lane: Lane, spans: Iterable[Range]) -> bool:
        """Take in what a lane settled, before `advance`; return False when all of it was settled before.

        Raises SpoolError for numbers that were never taken, and for a mixture of old and new ones.
        """
        new = ranges.merge(spans)
        if not new:
            return True
        if new[-1][1] > lane.head or new[0][0] < 1:
            raise SpoolError(f"The lane {lane.name} settles {new[-1]} but took nothing above {lane.head}.")
        known = ranges.merge([(1, lane.position), *lane.settled])  # at position 0 the first of them is empty
        repeated = sum(ranges.count(ranges.inside(first, last, known)) for first, last in new)
        withdrawn = self._withdrawn_in_flight(lane)
        taken = [(first, last) for first, last, _, _ in withdrawn]
        excused = [span for first, last in new for span in ranges.inside(first, last, taken)]
        repeated -= sum(ranges.count(ranges.inside(first, last, known)) for first, last in excused)
        if repeated == ranges.count(new):
            return False
        if repeated:
            raise SpoolError(f"The lane {lane.name} settles {repeated} events a second time among {new[:3]}.")
        if excused:
            self._correct_books(lane, withdrawn, new)
        lane.settled = ranges.merge([*lane.settled, *new])
        return True

    def begin(self, lane: Lane) -> None:
        """Move the position of a new lane over what has left the spool before it."""
        row = self._pages.after(lane.position, lane.sink)
        lane.position = max(lane.position, lane.bounded(self.newest() if row is None else row.first - 1))

    def advance(self, lane: Lane) -> None:
        """Move the position over what is settled or not for this lane. Raises PagesMissing."""
        for first, last in lane.settled:
            self._skip_absent(lane)
            if first > lane.position + 1:
                break
            lane.position = max(lane.position, last)
        else:
            self._skip_absent(lane)
        lane.settled = [span for span in lane.settled if span[1] > lane.position]
        lane.head = max(lane.head, lane.position)

    def _skip_absent(self, lane: Lane) -> None:
        row = self._pages.after(lane.position, lane.sink)
        upto = lane.bounded(self.newest() if row is None else row.first - 1)
        if upto > lane.position:
            for first, last in lane.unsettled(lane.position + 1, upto):
                self.see_pages(lane, first, last)
            lane.position = upto

    def see_pages(self, lane: Lane, first: int, last: int) -> None:
        """Raise PagesMissing when a lane needs numbers of this range, their page is gone, and its books miss them."""
        gone = {row.source for row in self._missing.within(first, last, lane.sink)}
        if gone and any(source in gone for source, _ in self.shortfall(lane)):
            raise PagesMissing

    def shortfall(self, lane: Lane) -> Counter[Part]:
        """Count what was spooled for a lane and of which its books do not say what became, by source and day."""
        found: Counter[Part] = Counter()
        if lane.until is None:
            for source, day, events in self._con.execute(
                "SELECT source, day, sum(events) FROM spooled WHERE audience IN ('', ?) GROUP BY source, day",
                (lane.sink,),
            ):
                found[source, day] += events
        for source, day, counted in self._con.execute(
            "SELECT source, day, spooled_before + accepted + rejected + filtered + detached FROM lane_books "
            "WHERE lane = ?",
            (lane.number,),
        ):
            found[source, day] -= counted
        found.subtract(self.waiting(lane))
        return +found

    def gone(self, lane: Lane) -> Counter[Part]:
        """Count the events of the pages that a lane still needs, and that are gone, as far as their days are known."""
        counts: Counter[Part] = Counter()
        for row in self.missing(lane):
            for first, last in lane.unsettled(row.first, row.last):
                for day, events in row.by_day(first, last):
                    counts[row.source, day] += events
        return counts

    def missing(self, lane: Lane) -> list[PageRow]:
        """Return rows as the pages had that a lane still needs, and that are gone."""
        needed = lane.unsettled(lane.position + 1, self.newest())
        return [row for first, last in needed for row in self._missing.within(first, last, lane.sink)]

    def newest(self) -> int:
        """Return the number of the newest event of the spool."""
        return int(self._con.execute("SELECT value FROM meta WHERE name = 'next_seq'").fetchone()[0]) - 1

    # -------------------------------------------------------------------------------- withdrawn while in flight

    def withdraw(self, lane: Lane, spans: Iterable[Range], part: Part) -> None:
        """Remember what was taken away from a lane while it may have it in flight, of one source and day."""
        self._con.executemany(
            "INSERT INTO overtaken VALUES (?, ?, ?, ?, ?)",
            [(lane.number, first, min(last, lane.head), *part) for first, last in spans if first <= lane.head],
        )

    def forget_withdrawn(self, lane: Lane) -> None:
        """Nothing of this lane is in flight any more."""
        self._con.execute("DELETE FROM overtaken WHERE lane = ?", (lane.number,))

    def _withdrawn_in_flight(self, lane: Lane) -> list[Withdrawn]:
        return self._con.execute(
            "SELECT first, last, source, day FROM overtaken WHERE lane = ? ORDER BY first", (lane.number,)
        ).fetchall()

    def _correct_books(self, lane: Lane, withdrawn: list[Withdrawn], new: list[Range]) -> None:
        self.forget_withdrawn(lane)
        for first, last, source, day in withdrawn:
            back = ranges.inside(first, last, new)
            self.count(lane.number, (source, day), detached=-ranges.count(back))
            lane.recovered += [(start, end, source) for start, end in back]
            self.withdraw(lane, ranges.outside(first, last, new), (source, day))

    # ------------------------------------------------------------------------------------------ books, doubts

    def count(
        self,
        lane: int,
        part: Part,
        *,
        accepted: int = 0,
        rejected: int = 0,
        filtered: int = 0,
        detached: int = 0,
        discarded: int = 0,
    ) -> None:
        """Add to a line of the books, of one source and day; `discarded` is of the rejected."""
        self._con.execute(
            "INSERT INTO lane_books (lane, source, day, accepted, rejected, filtered, detached, discarded) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET accepted = accepted + excluded.accepted, "
            "rejected = rejected + excluded.rejected, filtered = filtered + excluded.filtered, "
            "detached = detached + excluded.detached, discarded = discarded + excluded.discarded",
            (lane, *part, accepted, rejected, filtered, detached, discarded),
        )

    def doubt(self, lane: int, span: Range, cause: str, now_ms: int) -> None:
        """Record that a range may be doubled; what touches a range of the same cause grows it.

        Their number is bounded by `bound_doubts`; what is recorded stays a superset of what was doubled.
        """
        first, last = span
        touching: list[tuple[int, int, int]] = []
        for found in self._con.execute(
            "SELECT number, first, last FROM doubts WHERE lane = ? AND first <= ? AND cause = ? ORDER BY first DESC",
            (lane, last + 1, cause),
        ):
            if found[2] < first - 1:  # ranges of one cause do not overlap: nothing before it touches either
                break
            touching.append(found)
        self._con.executemany("DELETE FROM doubts WHERE number = ?", [(number,) for number, _, _ in touching])
        first = min([first, *(start for _, start, _ in touching)])
        last = max([last, *(end for _, _, end in touching)])
        self._con.execute(
            "INSERT INTO doubts (lane, first, last, cause, at_ms) VALUES (?, ?, ?, ?, ?)",
            (lane, first, last, cause, now_ms),
        )

    def bound_doubts(self, lane: int) -> None:
        """Make one of the oldest ranges beyond the limit; it covers all of them."""
        held = self._con.execute("SELECT count(*) FROM doubts WHERE lane = ?", (lane,)).fetchone()[0]
        if held <= _MOST_DOUBTS:
            return
        oldest = self._con.execute(
            "SELECT number, last FROM doubts WHERE lane = ? ORDER BY first LIMIT ?", (lane, held - _MOST_DOUBTS + 1)
        ).fetchall()
        end = max(last for _, last in oldest)
        self._con.execute("UPDATE doubts SET last = ? WHERE number = ?", (end, oldest[0][0]))
        self._con.executemany("DELETE FROM doubts WHERE number = ?", [(number,) for number, _ in oldest[1:]])

    def doubts(self, lane: int) -> list[Doubt]:
        """Return the ranges that a lane may have delivered twice, by number."""
        rows = self._con.execute(
            "SELECT first, last, cause, at_ms FROM doubts WHERE lane = ? ORDER BY first, number", (lane,)
        )
        return [Doubt(*row) for row in rows]
