"""The table of dead letters: adding, choosing, retrying and discarding. Runs inside its caller's transaction.

A letter that is retried keeps its row until the sink decides: `waiting`, then `taken` while the lane has it in flight.
So a crash loses no retry, and what may be doubled by it is known. Invariant: for each lane and source, rejected =
letters that are dead and not of a former target + discarded; the rows that are retried count as waiting.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.spool import ranges
from forwarder.spool.letter import DeadLetter, Discard, LetterAct, LetterCount, Selection
from forwarder.spool.sqlite.pages import compress, decompress

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from forwarder.spool.contract import Range
    from forwarder.spool.sqlite.pages import Part

Counts = Counter[tuple[int, int, str]]
"""How many letters, by number of the lane and of the source, and day."""

DEAD, WAITING, TAKEN = 0, 1, 2
"""Values of `state`."""

DISCARDS_KEPT_MS = 365 * 86_400_000
"""How long it is on record who discarded what; that it was discarded stays in the books forever."""

_CHOSEN = (
    "(:lane IS NULL OR l.sink = :lane) AND (:reasons = '[]' OR d.reason IN (SELECT value FROM json_each(:reasons))) "
    "AND (:numbers = '[]' OR d.number IN (SELECT value FROM json_each(:numbers))) "
    "AND (:since IS NULL OR d.at_ms >= :since) AND (:until IS NULL OR d.at_ms <= :until) "
    "AND (:upto IS NULL OR d.number <= :upto) "
)
_COLUMNS = (
    "d.seq, d.source, d.document_id, d.reason, d.detail, {raw}, d.at_ms, d.number, l.sink, d.read_ms, d.derived, "
    "d.tries, d.state > 0, d.former, coalesce(s.name, ''), coalesce(s.feed, ''), d.day, d.reader "
)
_TABLES = (
    "FROM dead_letters d "
    "JOIN (SELECT number, substr(name, 1, instr(name || '#', '#') - 1) AS sink FROM lanes) l ON l.number = d.lane "
    "LEFT JOIN sources s ON s.number = d.source "
)
"""The lane of a replay is named by its sink, `#` and a number."""


_WHOLE = f"SELECT {_COLUMNS.format(raw='d.raw')} {_TABLES}"
_SMALL = f"SELECT {_COLUMNS.format(raw='zeroblob(0)')} {_TABLES}"


class Found(msgspec.Struct, frozen=True):
    """A letter that was chosen, with what acting on it needs."""

    number: int
    lane: int
    name: str
    source: int
    day: str
    state: int
    former: int


class Letters:
    """Rows of `dead_letters` and `discards`."""

    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con

    # ------------------------------------------------------------------------------------------------- looking

    def listed(
        self, lane: str | None, chosen: Selection, *, after: int, limit: int, room: int, events: bool
    ) -> list[DeadLetter]:
        """Return letters in the order of their numbers, above `after`: at most `limit`, and about `room` bytes."""
        rows = self._con.execute(
            f"{_WHOLE if events else _SMALL} WHERE {_CHOSEN} AND d.number > :after ORDER BY d.number LIMIT :limit",
            _values(lane, chosen) | {"after": after, "limit": limit},
        )
        return _as_many_as_fit(rows, room)

    def counted(self, lane: str | None, chosen: Selection) -> list[LetterCount]:
        """Count letters by lane and reason."""
        rows = self._con.execute(
            "SELECT l.sink, d.reason, sum(d.state = 0), sum(d.state > 0), sum(d.former), min(d.at_ms), max(d.at_ms), "
            f"max(d.number) {_TABLES} WHERE {_CHOSEN} GROUP BY 1, d.reason ORDER BY 1, 3 DESC, d.reason",
            _values(lane, chosen),
        )
        return [LetterCount(*row) for row in rows]

    def dead(self) -> dict[int, int]:
        """Return how many letters of each lane are dead, by its number."""
        return dict(self._con.execute("SELECT lane, sum(state = 0) FROM dead_letters GROUP BY lane").fetchall())

    def dead_by_sink(self) -> dict[str, int]:
        """Return how many letters of each sink are dead, those of replays among them."""
        query = f"SELECT l.sink, sum(d.state = 0) {_TABLES} GROUP BY 1"
        return dict(self._con.execute(query).fetchall())

    def stop_retrying(self, lane: int) -> dict[Part, int]:
        """Let no letter of a lane be on its way again; return how many are dead for it, by source and day."""
        parts = self.waiting(lane)
        self._con.execute("UPDATE dead_letters SET state = ? WHERE lane = ? AND state > 0", (DEAD, lane))
        return parts

    def waiting(self, lane: int) -> dict[Part, int]:
        """Return how many letters of a lane are retried, by source and day."""
        rows = self._con.execute(
            "SELECT source, day, count(*) FROM dead_letters WHERE lane = ? AND state > 0 GROUP BY source, day", (lane,)
        )
        return {(source, day): letters for source, day, letters in rows}

    def parts_of(self, lane: int, spans: Iterable[Range]) -> Counter[Part]:
        """Count the letters in flight again of ranges of spool numbers, by source and day."""
        return Counter(
            part
            for first, last in spans
            for part in self._con.execute(
                "SELECT source, day FROM dead_letters WHERE lane = ? AND state > 0 AND state = ? "
                "AND seq BETWEEN ? AND ?",
                (lane, TAKEN, first, last),
            )
        )

    def oldest_waiting(self, lane: int) -> int | None:
        """Return when the oldest event among the retried letters of a lane was read, epoch milliseconds."""
        found: int | None = self._con.execute(
            "SELECT min(coalesce(nullif(read_ms, 0), at_ms)) FROM dead_letters WHERE lane = ? AND state > 0", (lane,)
        ).fetchone()[0]
        return found

    def discards(self, lane: str | None) -> list[Discard]:
        """Return what was discarded, oldest first."""
        rows = self._con.execute(
            "SELECT d.number, coalesce(l.sink, ''), d.at_ms, d.who, d.chosen, d.events, d.letters FROM discards d "
            "LEFT JOIN (SELECT number, substr(name, 1, instr(name || '#', '#') - 1) AS sink FROM lanes) l "
            "ON l.number = d.lane WHERE :lane IS NULL OR l.sink = :lane ORDER BY d.number",
            {"lane": lane},
        )
        return [
            Discard(number, name, at_ms, who, chosen, events, _read_named(decompress(packed)))
            for number, name, at_ms, who, chosen, events, packed in rows
        ]

    # -------------------------------------------------------------------------------------------------- acting

    def add(self, lane: int, letters: Iterable[DeadLetter], now_ms: int) -> None:
        """Write new letters."""
        self._con.executemany(
            "INSERT INTO dead_letters (lane, seq, source, day, reader, document_id, reason, detail, at_ms, read_ms, "
            "derived, tries, raw) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (  # one after the other: together they may be large
                (
                    lane,
                    letter.seq,
                    letter.source,
                    letter.day,
                    letter.reader,
                    letter.document_id,
                    letter.reason,
                    letter.detail,
                    letter.at_ms or now_ms,
                    letter.read_ms,
                    letter.derived,
                    letter.tries,
                    compress(letter.raw),
                )
                for letter in letters
            ),
        )

    def retry(self, lane: str | None, chosen: Selection) -> tuple[list[LetterAct], Counts]:
        """Put letters on their way again; also return how many there are by lane, source and day.

        Those of a former target are left: they are no events of this lane's books any more. So are damaged ones: there
        is nothing that could be sent in their place.
        """
        dead = [letter for letter in self._chosen(lane, chosen) if letter.state == DEAD]
        ours = [letter for letter in dead if not letter.former]
        damaged = self._damaged(ours)
        found = [letter for letter in ours if letter.number not in damaged]
        self._con.executemany(
            "UPDATE dead_letters SET state = ? WHERE number = ?", [(WAITING, letter.number) for letter in found]
        )
        return _acts(found, [letter for letter in dead if letter.former], damaged), _counts(found)

    def discard(
        self, lane: str | None, chosen: Selection, who: str, words: str, now_ms: int
    ) -> tuple[list[LetterAct], Counts]:
        """Remove letters for good and put that on record; also return how many of them are in the books.

        What is on its way to the sink again is left.
        """
        among = self._chosen(lane, chosen)
        found = [letter for letter in among if letter.state == DEAD]
        for number in dict.fromkeys(letter.lane for letter in found):
            named = self._con.execute(
                "SELECT number, seq, document_id, reason, at_ms FROM dead_letters "
                "WHERE number IN (SELECT value FROM json_each(?)) ORDER BY number",
                (_json([letter.number for letter in found if letter.lane == number]),),
            ).fetchall()
            self._con.execute(
                "INSERT INTO discards (lane, at_ms, who, chosen, events, letters) VALUES (?, ?, ?, ?, ?, ?)",
                (number, now_ms, who, words, len(named), compress(msgspec.json.encode(named))),
            )
        self._con.executemany("DELETE FROM dead_letters WHERE number = ?", [(letter.number,) for letter in found])
        left = [letter for letter in among if letter.state != DEAD]
        return _acts(found, left, {}), _counts([letter for letter in found if not letter.former])

    def _chosen(self, lane: str | None, chosen: Selection) -> list[Found]:
        rows = self._con.execute(
            f"SELECT d.number, d.lane, l.sink, d.source, d.day, d.state, d.former {_TABLES} WHERE {_CHOSEN} "
            "ORDER BY d.number",
            _values(lane, chosen),
        )
        return [Found(*row) for row in rows]

    def _damaged(self, letters: Sequence[Found]) -> dict[int, str]:
        """Return the letters whose event cannot be read, by number with the name of the lane."""
        rows = self._con.execute(
            "SELECT number, raw FROM dead_letters WHERE number IN (SELECT value FROM json_each(?))",
            (_json([letter.number for letter in letters]),),
        )
        unreadable = {number for number, packed in rows if not _raw(packed)}
        return {letter.number: letter.name for letter in letters if letter.number in unreadable}

    def forget_discards(self, now_ms: int) -> None:
        """Remove records of discards that are old enough."""
        self._con.execute("DELETE FROM discards WHERE at_ms < ?", (now_ms - DISCARDS_KEPT_MS,))

    # ------------------------------------------------------------------------------- retried, on their way again

    def take(self, lane: int, most: int, room: int) -> list[DeadLetter]:
        """Take what waits to be sent again, at most `most` and about `room` bytes; it counts as in flight now.

        One that was damaged since it was retried is among them, without its event: give it to `mark_dead`.
        """
        rows = self._con.execute(
            f"{_WHOLE} WHERE d.lane = ? AND d.state > 0 AND d.state = ? ORDER BY d.seq LIMIT ?", (lane, WAITING, most)
        )
        found = _as_many_as_fit(rows, room)
        self._con.executemany(
            "UPDATE dead_letters SET state = ? WHERE number = ?", [(TAKEN, letter.number) for letter in found]
        )
        return found

    def taken(self, lane: int) -> list[Range]:
        """Return the spool numbers of what is in flight again, as ranges."""
        rows = self._con.execute(
            "SELECT seq, seq FROM dead_letters WHERE lane = ? AND state > 0 AND state = ? ORDER BY seq", (lane, TAKEN)
        )
        return ranges.merge(rows.fetchall())

    def taken_within(self, lane: int, span: Range) -> list[DeadLetter]:
        """Return what is in flight again of a range of spool numbers."""
        rows = self._con.execute(
            f"{_WHOLE} WHERE d.lane = ? AND d.state > 0 AND d.state = ? AND d.seq BETWEEN ? AND ? ORDER BY d.seq",
            (lane, TAKEN, *span),
        )
        return [_letter(row) for row in rows]

    def taken_event(self, lane: int, seq: int) -> tuple[int, bytes]:
        """Return how often what is in flight again under a spool number was rejected, and its event unless damaged."""
        tries, packed = self._con.execute(
            "SELECT tries, raw FROM dead_letters WHERE lane = ? AND state > 0 AND state = ? AND seq = ?",
            (lane, TAKEN, seq),
        ).fetchone()
        return tries, _raw(packed)

    def remove_taken(self, lane: int, spans: Iterable[Range]) -> None:
        """Remove what the sink decided of the letters in flight; what it rejected again was added anew before."""
        self._con.executemany(
            "DELETE FROM dead_letters WHERE lane = ? AND state > 0 AND state = ? AND seq BETWEEN ? AND ?",
            [(lane, TAKEN, *span) for span in spans],
        )

    def mark_dead(self, letters: Iterable[DeadLetter]) -> None:
        """Nothing came of retrying these: they stay dead."""
        self._con.executemany(
            "UPDATE dead_letters SET state = ? WHERE number = ?", [(DEAD, letter.number) for letter in letters]
        )

    def mark_waiting(self, lane: int) -> None:
        """Nothing of this lane is in flight any more; what it had of retried letters waits."""
        self._con.execute(
            "UPDATE dead_letters SET state = ? WHERE lane = ? AND state > 0 AND state = ?", (WAITING, lane, TAKEN)
        )

    def mark_former(self, lane: int) -> None:
        """The lane begins anew for another target: its letters stay, outside of the new books."""
        self._con.execute("UPDATE dead_letters SET state = ?, former = 1 WHERE lane = ?", (DEAD, lane))


_read_named = msgspec.json.Decoder(tuple[tuple[int, int, str, str, int], ...]).decode


def _values(lane: str | None, chosen: Selection) -> dict[str, object]:
    return {
        "lane": lane,
        "reasons": _json(chosen.reasons),
        "numbers": _json(chosen.numbers),
        "since": chosen.since_ms,
        "until": chosen.until_ms,
        "upto": chosen.upto,
    }


def _json(values: Sequence[str] | Sequence[int]) -> str:
    return msgspec.json.encode(values).decode()


def _as_many_as_fit(rows: Iterable[Any], room: int) -> list[DeadLetter]:
    """Return letters until their events are more than `room` bytes; one is always returned."""
    found: list[DeadLetter] = []
    for row in rows:
        found.append(_letter(row))
        room -= len(found[-1].raw)
        if room <= 0:
            break
    return found


def _letter(row: Any) -> DeadLetter:
    letter = DeadLetter(*row)
    letter.raw = _raw(letter.raw)
    letter.derived, letter.retried, letter.former = bool(letter.derived), bool(letter.retried), bool(letter.former)
    return letter


def _raw(packed: bytes) -> bytes:
    """Return the event of a dead letter; nothing when it is damaged, so that the others can still be read."""
    try:
        return decompress(packed)
    except ValueError:
        return b""


def _acts(found: list[Found], left: list[Found], damaged: Mapping[int, str]) -> list[LetterAct]:
    names = dict.fromkeys([*(letter.name for letter in (*found, *left)), *damaged.values()])
    return [
        LetterAct(
            name,
            tuple(letter.number for letter in found if letter.name == name),
            sum(letter.name == name for letter in left),
            tuple(number for number, its in damaged.items() if its == name),
        )
        for name in names
    ]


def _counts(found: list[Found]) -> Counts:
    return Counter((letter.lane, letter.source, letter.day) for letter in found)
