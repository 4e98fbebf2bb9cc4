"""Retention: what may go, what must give way when the limit is reached, and the work of giving space back.

Pages go from the oldest on. A lane pins what lies above its position while it is in use, and for a grace time after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.spool.contract import SpoolFull

if TYPE_CHECKING:
    from forwarder.spool.config import SpoolConfig
    from forwarder.spool.sqlite.age import Age
    from forwarder.spool.sqlite.database import Database
    from forwarder.spool.sqlite.gaps import Losses
    from forwarder.spool.sqlite.ids import IdMemory
    from forwarder.spool.sqlite.lanes import Lane, Lanes
    from forwarder.spool.sqlite.letters import Letters
    from forwarder.spool.sqlite.pages import Pages
    from forwarder.spool.sqlite.replays import Replays

PAGES_A_CHUNK = 200
"""Most pages that are deleted at once."""
VACUUM_STEP = 2000
"""Database pages that one step of giving back moves: at most about 0.1 s."""
_SPARE = 1024  # database pages kept free for the next commits, rather than given back and asked for again
_ID_ROWS_A_CHUNK = 5000
_SEEN_EVERY_MS = 60_000
_TO_OPEN_MS = 3_600_000
_GAPS_KEPT_MS = 90 * 86_400_000
_OVERHEAD = 512  # of a page beside its bytes


class Retention:
    """Decides what leaves the spool. Runs inside its caller's transaction.

    Args:
        config: The limits.
        age_ms: The time by which things grow old, epoch milliseconds: see `Age`.

    Attributes:
        active: Lanes that were opened since the spool was.
    """

    def __init__(
        self,
        config: SpoolConfig,
        database: Database,
        pages: Pages,
        lanes: Lanes,
        letters: Letters,
        losses: Losses,
        ids: IdMemory,
        age: Age,
        replays: Replays,
    ) -> None:
        self._config = config
        self._database = database
        self._con = database.con
        self._pages = pages
        self._lanes = lanes
        self._letters = letters
        self._losses = losses
        self._ids = ids
        self._age = age
        self._replays = replays
        self.active: set[int] = set()

    def used(self) -> int:
        """Return the bytes that count against `max_bytes`: all but the ids, which have a budget of their own."""
        return max(0, self._database.used() - self._database.meta("id_bytes"))

    def activate(self, lane: int) -> None:
        """Note that a lane is in use, once the transaction at hand is done."""
        self._database.after.append(lambda: self.active.add(lane))

    def deactivate(self, lane: int) -> None:
        """Note that a lane is in use no longer: its sink was taken out of the configuration."""
        self._database.after.append(lambda: self.active.discard(lane))

    def lanes_that_pin(self) -> list[Lane]:
        """Return the lanes whose unsettled events must stay.

        After a long stop every lane is long unseen, so each gets time to be opened before any is forgotten.
        """
        grace = self._config.forget_lanes_after * 1000
        now_ms = self._age.now_ms()
        starting = now_ms - self._age.opened_ms <= min(grace, _TO_OPEN_MS)
        return [
            lane
            for lane in self._lanes.all()
            if starting or lane.number in self.active or now_ms - lane.seen_ms <= grace
        ]

    def forgotten_ms(self, lane: Lane) -> int | None:
        """Return when a lane stops pinning what waits for it, epoch milliseconds; None while it is in use."""
        if lane.number in self.active:
            return None
        grace = self._config.forget_lanes_after * 1000
        return int(max(lane.seen_ms + grace, self._age.opened_ms + min(grace, _TO_OPEN_MS)))

    def settled_by_all(self) -> int:
        """Return the number up to which no lane needs anything."""
        return min((lane.position for lane in self.lanes_that_pin()), default=self._lanes.newest())

    # -------------------------------------------------------------------------------------------------- full

    def make_room(self, size: int, now_ms: int) -> None:
        """Make room for a page of `size` bytes.

        First goes what every lane settled; then, when every lane that holds the oldest page says `detach`, those
        lanes are moved past it. Raises SpoolFull. A page that alone exceeds the limit is taken by an empty spool.
        """
        spare = self._config.max_bytes // 64  # a little more, so that not every commit comes through here
        while (over := self._over(size)) > 0 and (oldest := self._pages.oldest()) is not None:
            pinning = self.lanes_that_pin()
            holders = [lane for lane in pinning if lane.position < oldest.last]
            if stubborn := [lane.name for lane in holders if lane.on_full != "detach"]:
                raise self._full(stubborn)
            upto = self._pages.end_of_oldest(over + spare)
            # no further than the pages that then leave: what another lane keeps in the spool is lost to no lane
            others = min((lane.position for lane in pinning if lane.position >= oldest.last), default=upto)
            if others < upto:
                upto = self._pages.end_before(others)
            for lane in holders:
                self._losses.pass_over(lane, upto, "detached", "the spool was full", now_ms)
            self._remove(min(upto, self.settled_by_all()), now_ms)

    def _over(self, size: int) -> int:
        """Return how many bytes a page of `size` bytes is too much."""
        return self.used() + size + _OVERHEAD - self._config.max_bytes

    def _full(self, names: list[str]) -> SpoolFull:
        return SpoolFull(
            f"The spool {self._database.path} is full ({self._config.max_bytes} bytes) of events that "
            f"{', '.join(names)} did not take yet.",
            fix="Fix the sink, raise spool.max_bytes, or set the sink's on_full to detach.",
            kind="spool_full",
        )

    def _remove(self, upto: int, now_ms: int) -> int:
        """Delete one chunk of the pages that end at `upto` or before, oldest first; return how many."""
        rows = self._con.execute(
            "SELECT last_seq FROM pages WHERE last_seq <= ? ORDER BY last_seq LIMIT ?", (upto, PAGES_A_CHUNK)
        )
        gone = [last for (last,) in rows]
        if not gone:
            return 0
        for lane in self._lanes.all():
            if lane.position < gone[-1]:  # only a lane that no longer pins can be here
                detail = "the sink was not configured for longer than spool.forget_lanes_after"
                self._losses.pass_over(lane, gone[-1], "lane_forgotten", detail, now_ms)
        self._pages.remove(gone)
        return len(gone)

    # ---------------------------------------------------------------------------------------------- clean-up

    def clean_up(self, now_ms: int) -> int:
        """Delete one chunk of what is over: pages, ids, doubts, gaps, discards. Return how many pages went."""
        self.mark_seen(now_ms, _SEEN_EVERY_MS)
        gone = self._remove(self._settled_long_ago(), now_ms)
        aged_ms = self._age.now_ms()
        before = aged_ms - int(self._config.id_retention * 1000)
        held = self._database.meta("id_bytes")
        freed = self._ids.retire(before, held - self._config.id_max_bytes, _ID_ROWS_A_CHUNK)
        if freed:
            self._database.set_meta("id_bytes", held - freed)
        self._con.execute("DELETE FROM doubts WHERE at_ms < ?", (before,))
        self._losses.forget_closed(aged_ms - _GAPS_KEPT_MS)
        self._letters.forget_discards(aged_ms)
        self._replays.forget_old(aged_ms)
        return gone

    def _settled_long_ago(self) -> int:
        """Return the number up to which everything was settled long enough ago.

        When a page settled is known from samples of `settled_by_all`, so nothing is written per page.
        """
        now_ms, retain = self._age.now_ms(), int(self._config.retain * 1000)
        settled = self.settled_by_all()
        # taken by a clock that was ahead then: as if taken now
        self._con.execute("UPDATE horizons SET at_ms = :now WHERE at_ms > :now", {"now": now_ms})
        newest = self._con.execute("SELECT seq, at_ms FROM horizons ORDER BY seq DESC LIMIT 1").fetchone()
        spacing = retain // 64
        if newest is None or (settled > newest[0] and now_ms - newest[1] >= spacing):
            self._con.execute("INSERT INTO horizons VALUES (?, ?)", (settled, now_ms))
        found = self._con.execute("SELECT max(seq) FROM horizons WHERE at_ms <= ?", (now_ms - retain,)).fetchone()
        if found[0] is None:
            return 0
        self._con.execute("DELETE FROM horizons WHERE seq < ?", (found[0],))
        return min(int(found[0]), settled)

    def mark_seen(self, now_ms: int, every_ms: int) -> None:
        """Remember when the lanes in use were last in use."""
        for number in self.active:
            self._con.execute(
                "UPDATE lanes SET seen_ms = ? WHERE number = ? AND abs(? - seen_ms) >= ?",
                (now_ms, number, now_ms, every_ms),
            )

    def give_back(self) -> bool:
        """Return free database pages to the file system, one step; return whether there is more to give.

        Runs outside a transaction.
        """
        free = self._database.pragma("freelist_count")
        if free <= _SPARE:
            return False
        self._database.outside(f"PRAGMA incremental_vacuum({min(VACUUM_STEP, free - _SPARE // 2)})")
        return free - VACUUM_STEP > _SPARE
