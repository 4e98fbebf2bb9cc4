"""Replays: lanes with an end, and books of their own. Runs inside its caller's transaction.

A replay has a row of `lanes`, so everything that is kept of a lane is kept of it: what is settled, in flight, in doubt,
dead. Its name is that of its sink, `#` and the number of its row; it takes the pages of the sink, up to its last
number, and its books begin with what lies in them. It never makes the spool wait: when that is full, a replay is the
first to be moved on.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from forwarder.contracts.errors import ConfigError
from forwarder.contracts.moments import whole_seconds
from forwarder.spool import ranges
from forwarder.spool.contract import LaneState
from forwarder.spool.operations import Replay
from forwarder.spool.sqlite.kept import KeptEvents

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from forwarder.spool.operations import ReplayOrder
    from forwarder.spool.sqlite.gaps import Losses
    from forwarder.spool.sqlite.lanes import Lane, Lanes
    from forwarder.spool.sqlite.letters import Letters
    from forwarder.spool.sqlite.pages import Pages

_DAY_MS = 86_400_000
_FARTHEST_ZONE_MS = 14 * 3_600_000  # a gap begins at a time as its log writes it, in whatever zone
_KEPT_MS = 90 * _DAY_MS
_ROWS = (
    "SELECT r.number, r.first, r.last, r.since_ms, r.until_ms, r.chosen, r.who, r.whole_since_ms, r.opened_ms, "
    "r.closed_ms, r.ended_by, r.lane FROM replays r "
)


class Replays:
    """The table `replays`, and the lanes that belong to it."""

    def __init__(self, con: sqlite3.Connection, pages: Pages, lanes: Lanes, letters: Letters, losses: Losses) -> None:
        self._con = con
        self._pages = pages
        self._lanes = lanes
        self._letters = letters
        self._losses = losses
        self.kept = KeptEvents(con, pages)

    def begin(self, order: ReplayOrder, live: Lane, now_ms: int) -> Replay:
        """Make a replay of what the live lane has settled. Raises ConfigError when the spool has nothing of that."""
        oldest = self._pages.oldest()
        whole_since = oldest.committed_ms if oldest is not None and oldest.first > 1 else None
        first, last = self._span(order, live)
        if first > last:
            has = f"; it has what was read since {_minute(whole_since)}" if whole_since is not None else ""
            begin, end = whole_seconds(order.since_ms, min(order.until_ms, now_ms))
            raise ConfigError(
                f"sinks.{order.sink}: the spool has nothing that was sent to it from {_minute(order.since_ms)} to "
                f"{_minute(order.until_ms)}{has}. What it does not have is read from its source again: "
                f"audit-forwarder backfill start --source NAME --sink {order.sink} --from {begin} --to {end}"
            )
        lane = self._lanes.make("", live.target, first - 1, "detach", now_ms)
        self._con.execute("UPDATE lanes SET name = ? WHERE number = ?", (f"{order.sink}#{lane.number}", lane.number))
        number = self._con.execute(
            "INSERT INTO replays (lane, first, last, since_ms, until_ms, chosen, who, whole_since_ms, opened_ms) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(lane.number, first, last, order.since_ms, order.until_ms),
                *(order.chosen, order.who, whole_since, now_ms),
            ),
        ).lastrowid
        lane = self._lanes.load(lane.number)
        waiting = self._lanes.waiting(lane)
        self._con.executemany(
            "INSERT INTO lane_books (lane, source, day, spooled_before) VALUES (?, ?, ?, ?)",
            [(lane.number, *part, -events) for part, events in (waiting + self._lanes.gone(lane)).items()],
        )
        return self._named(int(number or 0))

    def _span(self, order: ReplayOrder, live: Lane) -> tuple[int, int]:
        """Return the numbers between which pages may hold events of the time, in a page that is there.

        A page knows its oldest event as its log writes that, in whatever zone, and when the newest was processed.
        """
        until = _minute_of_logs(order.until_ms + _DAY_MS)
        found = self._con.execute(
            "SELECT min(first_seq), max(last_seq) FROM pages WHERE audience IN ('', :sink) AND first_seq <= :settled "
            "AND (oldest_minute <= :until OR oldest_minute NOT GLOB '[12][0-9][0-9][0-9]-*') "
            "AND coalesce(newest_ms, committed_ms) >= :since",
            {
                "sink": live.sink,
                "settled": live.position,
                "until": until,
                "since": order.since_ms - _DAY_MS,
            },
        ).fetchone()
        return (1, 0) if found[0] is None else (found[0], min(found[1], live.position))

    def open(self, number: int, now_ms: int) -> LaneState:
        """Begin or go on with a replay: what was in flight is in doubt."""
        lane = self._lane(number)
        self._lanes.forget_withdrawn(lane)
        self._lanes.advance(lane)
        doubtful = ranges.outside(lane.position + 1, lane.head, lane.settled) + self._letters.taken(lane.number)
        self._letters.mark_waiting(lane.number)
        for span in doubtful:
            self._lanes.doubt(lane.number, span, "restart", now_ms)
        self._lanes.bound_doubts(lane.number)
        lane.seen_ms = now_ms
        self._lanes.save(lane)
        dead = self._letters.dead().get(lane.number, 0)
        return LaneState(lane.number, lane.position, tuple(doubtful), created=False, dead_letters=dead)

    def close(self, number: int, now_ms: int) -> bool:
        """Note that nothing is left; a gap of which all was sent is closed. False when something is left."""
        lane = self._lane(number)
        if sum(self._lanes.waiting(lane).values()):
            return False
        self._con.execute("UPDATE replays SET closed_ms = ? WHERE number = ? AND closed_ms IS NULL", (now_ms, number))
        replay = self._named(number)
        if not (replay.ended_by or replay.detached):
            self._close_gaps(replay, lane.number, now_ms)
        return True

    def _close_gaps(self, replay: Replay, lane: int, now_ms: int) -> None:
        """Close the gaps of which the sink has all now: nothing left out or refused, but for what its filter keeps."""
        self._con.execute(
            "UPDATE gaps SET closed_ms = :now, closed_by = 'replay' WHERE cause = 'detached' AND lane = :sink "
            "AND closed_ms IS NULL AND first_seq >= :first AND last_seq <= :last "
            "AND (:filtered = 0 OR (:chosen = '[]' AND from_ms - :zone >= :since AND to_ms <= :until)) "
            "AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE lane = :lane AND seq BETWEEN first_seq AND last_seq)",
            {
                "lane": lane,
                "now": now_ms,
                "sink": replay.sink,
                "first": replay.first,
                "last": replay.last,
                "filtered": replay.filtered,
                "chosen": replay.chosen,
                "zone": _FARTHEST_ZONE_MS,
                "since": replay.since_ms,
                "until": replay.until_ms,
            },
        )

    def cancel(self, number: int, who: str, now_ms: int) -> Replay:
        """End a replay; dead letters of it that wait to be sent again are dead again."""
        lane = self._lane(number)
        if self._named(number).is_open:
            for part, letters in self._letters.stop_retrying(lane.number).items():
                self._lanes.count(lane.number, part, rejected=letters)
            self._losses.pass_over(lane, lane.until or lane.position, "detached", f"ended by {who}", now_ms)
            self._con.execute("UPDATE replays SET closed_ms = ?, ended_by = ? WHERE number = ?", (now_ms, who, number))
        return self._named(number)

    def cancel_all(self, sink: str, why: str, now_ms: int) -> None:
        """End every replay of a sink."""
        for replay in self.listed(sink):
            if replay.is_open:
                self.cancel(replay.number, why, now_ms)

    def reopen(self, lanes: Iterable[int]) -> None:
        """Note that dead letters of these lanes wait to be sent again."""
        self._con.executemany(
            "UPDATE replays SET closed_ms = NULL, ended_by = '' WHERE lane = ?", [(number,) for number in lanes]
        )

    def listed(self, sink: str | None = None) -> list[Replay]:
        """Return the replays on record, oldest first."""
        rows = self._con.execute(f"{_ROWS} ORDER BY r.number").fetchall()
        found = [self._replay(row) for row in rows]
        return [replay for replay in found if sink in {None, replay.sink}]

    def open_ones(self) -> list[Replay]:
        """Return those that are open, oldest first."""
        return [self._replay(row) for row in self._con.execute(f"{_ROWS} WHERE closed_ms IS NULL ORDER BY r.number")]

    def _named(self, number: int) -> Replay:
        row = self._con.execute(f"{_ROWS} WHERE r.number = ?", (number,)).fetchone()
        if row is None:
            raise ConfigError(f"there is no replay {number}; `audit-forwarder replay list` shows all on record")
        return self._replay(row)

    def _lane(self, number: int) -> Lane:
        row = self._con.execute("SELECT lane FROM replays WHERE number = ?", (number,)).fetchone()
        if row is None:
            raise ConfigError(f"there is no replay {number}; `audit-forwarder replay list` shows all on record")
        return self._lanes.load(row[0])

    def _replay(self, row: tuple[Any, ...]) -> Replay:
        *order, number = row
        lane = self._lanes.load(number)
        before, accepted, rejected, filtered, detached = self._con.execute(
            "SELECT coalesce(sum(spooled_before), 0), coalesce(sum(accepted), 0), coalesce(sum(rejected), 0), "
            "coalesce(sum(filtered), 0), coalesce(sum(detached), 0) FROM lane_books WHERE lane = ?",
            (number,),
        ).fetchone()
        counts = (-before, accepted, rejected, filtered, detached, sum(self._lanes.waiting(lane).values()))
        fields = (*order, lane.sink, *counts)
        return Replay(**dict(zip(Replay.__struct_fields__, fields, strict=True)))

    def disagreement(self) -> str:
        """Return which replay's books do not balance, or nothing."""
        for replay in self.listed():
            parts = (replay.accepted, replay.rejected, replay.filtered, replay.detached, replay.waiting)
            if replay.balance or min(replay.events, *parts) < 0:
                return f"the books of replay {replay.number} do not balance"
        return ""

    def forget_old(self, now_ms: int) -> None:
        """Remove replays that ended long ago and have no dead letters, with their lanes."""
        old = self._con.execute(
            "SELECT number, lane FROM replays WHERE closed_ms < ? "
            "AND lane NOT IN (SELECT lane FROM dead_letters) AND lane NOT IN (SELECT lane FROM discards)",
            (now_ms - _KEPT_MS,),
        ).fetchall()
        for number, lane in old:
            for table in ("lane_books", "settled", "overtaken", "doubts"):
                self._con.execute(f"DELETE FROM {table} WHERE lane = ?", (lane,))  # noqa: S608 -- names from here
            self._con.execute("DELETE FROM replays WHERE number = ?", (number,))
            self._con.execute("DELETE FROM lanes WHERE number = ?", (lane,))


def _minute_of_logs(at_ms: int) -> str:
    try:
        return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%dT%H:%M}"
    except (ValueError, OverflowError, OSError):
        return "9999"


def _minute(at_ms: int) -> str:
    try:
        return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return "the beginning"
