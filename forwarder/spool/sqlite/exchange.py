"""The side of the lanes: opening, settling and taking, and the end of a lane in order.

What a lane takes counts as in flight from the same transaction on (`head`), so after a crash every possible double
lies in (position, head].
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts import Origin
from forwarder.contracts.errors import ConfigError
from forwarder.spool import days, ranges
from forwarder.spool.contract import Chunk, Exchange, LaneState, SpoolError
from forwarder.spool.known import start_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from forwarder.spool.contract import Range, Settlement
    from forwarder.spool.letter import DeadLetter, LetterAct, Selection
    from forwarder.spool.sqlite.database import Database
    from forwarder.spool.sqlite.gaps import Losses
    from forwarder.spool.sqlite.lanes import Lane, Lanes
    from forwarder.spool.sqlite.letters import Letters
    from forwarder.spool.sqlite.pages import Content, PageRow, Pages, Part
    from forwarder.spool.sqlite.replays import Replays
    from forwarder.spool.sqlite.retention import Retention

READ_BYTES = 8 * 2**20
"""Most bytes of events that one exchange gives; one event is always given."""


class Ledger:
    """What lanes do with the spool. Runs inside its caller's transaction."""

    def __init__(
        self,
        database: Database,
        pages: Pages,
        lanes: Lanes,
        letters: Letters,
        losses: Losses,
        retention: Retention,
        replays: Replays,
    ) -> None:
        self._database = database
        self._con = database.con
        self._pages = pages
        self._lanes = lanes
        self._letters = letters
        self._losses = losses
        self._retention = retention
        self._replays = replays
        self._origins: dict[int, Origin] = {}

    def forget_origins(self) -> None:
        """Read the names of sources again, after one was renamed."""
        self._origins.clear()

    # ------------------------------------------------------------------------------------------------- opening

    def open(self, name: str, target: str, start: str | None, on_full: str, now_ms: int) -> LaneState:
        """Find or make a lane. Raises ConfigError when its target changed and `start` does not say what to do."""
        lane = self._lanes.named(name)
        created = lane is None
        if lane is None:
            lane = self._lanes.make(name, target, self._start(name, start, now_ms), on_full, now_ms)
            self._begin_books(lane)
        elif lane.forgotten_ms is not None:
            created, lane.target, lane.paused, lane.forgotten_ms = True, target, "", None
            self._begin_anew(lane, self._start(name, start, now_ms))
        elif lane.target != target:
            if start is None:
                raise ConfigError(
                    f"sinks.{name}: it wrote to {lane.target} until now and is configured for {target}. Say where the "
                    f"new target begins: sinks.{name}.start: now | oldest | <time> | continue."
                )
            lane.target = target
            if start != "continue":
                created = True
                self._restart(lane, self._start(name, start, now_ms), now_ms)
        self._lanes.forget_withdrawn(lane)
        self._lanes.advance(lane)
        doubtful = ranges.outside(lane.position + 1, lane.head, lane.settled) + self._letters.taken(lane.number)
        self._letters.mark_waiting(lane.number)
        for span in doubtful:
            self._lanes.doubt(lane.number, span, "restart", now_ms)
        self._lanes.bound_doubts(lane.number)
        lane.on_full, lane.seen_ms = on_full, now_ms
        self._lanes.save(lane)
        number = lane.number
        self._retention.activate(number)
        dead = self._letters.dead().get(number, 0)
        return LaneState(number, lane.position, tuple(doubtful), created, dead, lane.paused)

    def _restart(self, lane: Lane, position: int, now_ms: int) -> None:
        """Begin anew for another target; what the old one did not get goes on record."""
        why = "the target of the sink changed"
        self._losses.pass_over(lane, self._lanes.newest(), "lane_forgotten", why, now_ms)
        self._replays.cancel_all(lane.sink, why, now_ms)
        self._begin_anew(lane, position)

    def _begin_anew(self, lane: Lane, position: int) -> None:
        """Let a lane have nothing to do with what it got before."""
        lane.position = lane.head = position
        lane.settled = []
        self._letters.mark_former(lane.number)
        self._con.execute("DELETE FROM lane_books WHERE lane = ?", (lane.number,))
        self._begin_books(lane)

    def _begin_books(self, lane: Lane) -> None:
        """Note how much each source had spooled before the place where the lane begins."""
        self._lanes.begin(lane)
        waiting = self._lanes.waiting(lane)
        waiting.update(self._lanes.gone(lane))
        rows = self._con.execute(
            "SELECT source, day, sum(events) FROM spooled WHERE audience IN ('', ?) GROUP BY source, day", (lane.name,)
        ).fetchall()
        self._con.executemany(
            "INSERT INTO lane_books (lane, source, day, spooled_before) VALUES (?, ?, ?, ?)",
            [(lane.number, source, day, events - waiting[source, day]) for source, day, events in rows],
        )

    def _start(self, name: str, start: str | None, now_ms: int) -> int:
        """Return the number behind which a lane begins; `advance` moves it over what is not there any more."""
        if start == "now":
            return self._lanes.newest()
        if start in {None, "oldest", "continue"}:
            return 0
        try:
            since_ms = start_ms(start or "")
        except ValueError as error:
            raise ConfigError(
                f"sinks.{name}.start: {start!r} is not a place to begin. Write now, oldest, continue, or a time such "
                "as 2026-01-31T00:00:00Z."
            ) from error
        if since_ms > now_ms:
            raise ConfigError(f"sinks.{name}.start: {start} is in the future. Write now, or a time that has passed.")
        found = self._con.execute("SELECT max(last_seq) FROM pages WHERE committed_ms < ?", (since_ms,)).fetchone()
        return int(found[0] or 0)

    # ----------------------------------------------------------------------------------------------- exchange

    def exchange(self, number: int, settlement: Settlement, after: int, events: int, now_ms: int) -> Exchange:
        """Settle, then take up to `events` events above `after`. Raises DamagedPage or PagesMissing."""
        lane = self._lanes.load(number)
        self._settle(lane, settlement, now_ms)
        again, unreadable = self._take_letters(lane, events)
        chunks = self._take(lane, max(after, lane.position), events - len(again))
        if chunks:
            lane.head = max(lane.head, chunks[-1].last)
        self._lanes.advance(lane)
        self._lanes.save(lane)
        return Exchange(lane.position, lane.bounded(self._lanes.newest()), chunks, again, unreadable)

    def leave(self, number: int, settlement: Settlement, now_ms: int) -> None:
        """Settle for the last time: nothing is in flight, so nothing is in doubt."""
        lane = self._lanes.load(number)
        self._settle(lane, settlement, now_ms)
        self._lanes.advance(lane)
        lane.head = lane.position
        lane.seen_ms = now_ms
        self._letters.mark_waiting(number)
        self._lanes.save(lane)

    def _settle(self, lane: Lane, settlement: Settlement, now_ms: int) -> None:
        if not (settlement or settlement.filtered):
            return
        for span, cause in settlement.doubts:
            self._lanes.doubt(lane.number, span, cause, now_ms)
        if settlement.doubts:
            self._lanes.bound_doubts(lane.number)
        retried = self._letters.taken(lane.number)
        new, again = _split(settlement.ranges, retried)
        letters = [self._dated(lane, letter, retried) for letter in settlement.dead_letters]
        left_out = self._parts_of(lane, *_split(settlement.filtered, retried))
        counts = _counts(self._parts_of(lane, new, again), left_out, letters)
        if not self._lanes.settle(lane, new):
            return
        if sum(map(sum, counts.values())) < ranges.count(new) + ranges.count(again):
            for first, last in new:
                self._lanes.see_pages(lane, first, last)
        if any(accepted < 0 for accepted, _, _ in counts.values()):
            raise SpoolError(f"The lane {lane.name} rejects or filters events that it does not settle.")
        self._losses.recovered(lane, now_ms)
        for part, (accepted, rejected, filtered) in counts.items():
            self._lanes.count(lane.number, part, accepted=accepted, rejected=rejected, filtered=filtered)
        self._letters.add(lane.number, self._as_spooled(lane, letters, again), now_ms)
        self._letters.remove_taken(lane.number, again)

    def _dated(self, lane: Lane, letter: DeadLetter, retried: Sequence[Range]) -> DeadLetter:
        parts = self._parts_of(lane, *_split([(letter.seq, letter.seq)], retried))
        return msgspec.structs.replace(letter, day=next((day for _, day in parts), days.UNKNOWN))

    def _parts_of(self, lane: Lane, new: Sequence[Range], again: Sequence[Range]) -> Counter[Part]:
        """Count numbers in flight by source and day: of pages, and of retried letters."""
        return self._lanes.parts_of(lane, new) + self._letters.parts_of(lane.number, again)

    def _take(self, lane: Lane, after: int, events: int) -> list[Chunk]:
        chunks: list[Chunk] = []
        room = READ_BYTES
        while events > 0 and room > 0 and (row := self._pages.after(after, lane.sink)) is not None:
            first = max(row.first, after + 1)
            if lane.bounded(first) < first:  # a replay may end within a page
                break
            last = lane.bounded(min(row.last, first + events - 1))
            after = last
            if not ranges.outside(first, last, lane.settled):
                continue
            content = self._pages.read(row)
            if chunks and len(content.bodies[first - row.first]) > room:
                break
            chunk, room = self._chunk(row, content, first, last, lane.settled, room)
            chunks.append(chunk)
            if chunk.last < last:
                break
            after = chunk.last
            events -= len(chunk.bodies)
        return chunks

    def take_again(self, number: int, spans: Sequence[Range]) -> list[Chunk]:
        """Read these numbers as far as one exchange gives; what left the spool is left out. Raises DamagedPage."""
        lane = self._lanes.load(number)
        chunks: list[Chunk] = []
        room = READ_BYTES
        new, again = _split(spans, self._letters.taken(number))
        retried = set(again)
        for first, last in sorted([*new, *again]):
            if (first, last) in retried:
                for letter in self._readable(lane, self._letters.taken_within(number, (first, last))):
                    chunks.append(self._chunk_of(letter))
                    room -= len(letter.raw)
                    if room <= 0:
                        return chunks
                continue
            for row in self._pages.spanning((first, last), lane.sink):
                start, end = max(first, row.first), min(last, row.last)
                chunk, room = self._chunk(row, self._pages.read(row), start, end, lane.settled, room)
                chunks.append(chunk)
                if chunk.last < end or room <= 0:
                    return chunks
        return chunks

    # ------------------------------------------------------------------------------------------- dead letters

    def _as_spooled(self, lane: Lane, letters: Iterable[DeadLetter], again: Sequence[Range]) -> Iterator[DeadLetter]:
        """Give each letter the event as the API sent it: of the letter that was retried, or of its page, by number.

        What the lane has of an event is what its privacy leaves. That is kept only when the spool has nothing better,
        because the page was damaged, or withdrawn for want of room, while the event was in flight; the letter says so.
        """
        page: PageRow | None = None
        for letter in sorted(letters, key=lambda letter: letter.seq):
            seq, tries, raw = letter.seq, 0, b""
            if ranges.inside(seq, seq, again):
                tries, raw = self._letters.taken_event(lane.number, seq)
            if not raw:
                if page is None or page.last < seq:
                    page = self._pages.after(seq - 1, lane.sink)
                if page is not None and page.first <= seq:
                    raw = self._pages.read(page).bodies[seq - page.first]
            kept = msgspec.structs.replace(letter, raw=raw) if raw else letter.without_page()
            kept.tries = tries + 1
            yield kept

    def retry(self, lane: str | None, chosen: Selection) -> list[LetterAct]:
        """Let dead letters wait again; the books follow."""
        acts, counts = self._letters.retry(lane, chosen)
        for (number, source, day), events in counts.items():
            self._lanes.count(number, (source, day), rejected=-events)
        self._replays.reopen({number for number, _, _ in counts})
        return acts

    def discard(self, lane: str | None, chosen: Selection, who: str, words: str, now_ms: int) -> list[LetterAct]:
        """Remove dead letters; they stay rejected in the books, and are counted as discarded there."""
        acts, counts = self._letters.discard(lane, chosen, who, words, now_ms)
        for (number, source, day), events in counts.items():
            self._lanes.count(number, (source, day), discarded=events)
        return acts

    def _take_letters(self, lane: Lane, events: int) -> tuple[list[Chunk], int]:
        """Take letters that are retried; also return how many were found to be damaged."""
        taken = self._letters.take(lane.number, events, READ_BYTES)
        chunks = [self._chunk_of(letter) for letter in self._readable(lane, taken)]
        return chunks, len(taken) - len(chunks)

    def _readable(self, lane: Lane, letters: list[DeadLetter]) -> list[DeadLetter]:
        """Leave out letters that were damaged since they were retried: they are dead and rejected as before."""
        damaged = [letter for letter in letters if not letter.raw]
        self._letters.mark_dead(damaged)
        for letter in damaged:
            self._lanes.count(lane.number, (letter.source, letter.day), rejected=1)
        return [letter for letter in letters if letter.raw]

    def _chunk_of(self, letter: DeadLetter) -> Chunk:
        """Make what a page would have given; the document id is the key, and for a revision its digest."""
        key, _, digest = letter.document_id.partition("-")
        return Chunk(
            letter.source,
            self._origin(letter.source),
            letter.seq,
            [letter.raw],
            bytes.fromhex(key),
            letter.read_ms or letter.at_ms,
            {0: bytes.fromhex(digest)} if digest else {},
            frozenset({0} if letter.derived else ()),
            reader=letter.reader,
        )

    # ------------------------------------------------------------------------------------------------- chunks

    def _chunk(
        self, row: PageRow, content: Content, first: int, last: int, settled: list[Range], room: int
    ) -> tuple[Chunk, int]:
        start, end = first - row.first, last - row.first + 1
        bodies = list(content.bodies[start:end])
        size = sum(map(len, bodies))
        if size > room:
            while len(bodies) > 1 and size > room:
                size -= len(bodies.pop())
            end = start + len(bodies)
        chunk = Chunk(
            row.source,
            self._origin(row.source),
            first,
            bodies,
            content.keys[16 * start : 16 * end],
            row.committed_ms,
            reader=row.reader,
        )
        if content.revisions:
            chunk.revisions = {at - start: digest for at, digest in content.revisions.items() if start <= at < end}
        if content.derived:
            chunk.derived = frozenset(at - start for at in content.derived if start <= at < end)
        if settled:
            spans = ranges.inside(chunk.first, chunk.last, settled)
            chunk.settled = frozenset(seq for begin, stop in spans for seq in range(begin, stop + 1))
        return chunk, room - size

    def _origin(self, source: int) -> Origin:
        origin = self._origins.get(source)
        if origin is None:
            row = self._con.execute(
                "SELECT name, feed, organization, site FROM sources WHERE number = ?", (source,)
            ).fetchone()
            origin = self._origins[source] = Origin(*row)
        return origin


def _split(spans: Sequence[Range], retried: Sequence[Range]) -> tuple[list[Range], list[Range]]:
    """Part numbers that are settled for the first time from those of letters that are retried."""
    merged = ranges.merge(spans)
    new = [span for first, last in merged for span in ranges.outside(first, last, retried)]
    return new, [span for first, last in merged for span in ranges.inside(first, last, retried)]


def _counts(
    settled: Counter[Part], filtered: Counter[Part], letters: Sequence[DeadLetter]
) -> dict[Part, tuple[int, int, int]]:
    """Return how many events were accepted, rejected and filtered, by source and day."""
    rejected = Counter((letter.source, letter.day) for letter in letters)
    return {
        part: (settled[part] - rejected[part] - filtered[part], rejected[part], filtered[part])
        for part in settled | rejected | filtered
    }
