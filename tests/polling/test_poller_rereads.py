"""Whatever happens to clock, cursors and process, what became visible within the promised time is in the spool.

A small API of its own decides what can be read; the poller is driven request by request, in simulated time.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forwarder.contracts import CursorLost, Page
from forwarder.polling.plan import HEAL
from forwarder.polling.poller import Poller
from forwarder.spool.sqlite.store import SqliteSpool
from tests.examples import examples
from tests.polling.pollers import ScriptedSource, page, poller_of, spool_in, spooled, step

START = 1_790_000_000_000
TRAILING, TRAILING_EVERY, OVERLAP, HISTORY = 20, 5, 600, 3600
POLLS = {
    "every": 1,
    "trailing": TRAILING,
    "trailing_every": TRAILING_EVERY,
    "overlap": OVERLAP,
    "since": HISTORY,
    "heal_every": 30,
}
PAGE = 3


class SkewedClock:
    """True time, which the API lives by, and a wall clock that may be wrong."""

    def __init__(self) -> None:
        self.true_ms = START
        self.skew_ms = 0

    def time(self) -> float:
        return (self.true_ms + self.skew_ms) / 1000

    def monotonic(self) -> float:
        return self.true_ms / 1000


@dataclass
class Log:
    """An audit log in order of processing, read by cursors that are lost now and then.

    Attributes:
        entries: (processed, happened, visible, name), times in epoch milliseconds.
        lost: How many of the next requests with a cursor are refused.
        known_from: Cursors issued before this one are unknown.
    """

    clock: SkewedClock
    by_time: bool
    resumes: bool
    entries: list[tuple[int, int, int, str]] = field(default_factory=list)
    lost: int = 0
    issued: int = 0
    known_from: int = 0

    def happen(self, count: int, *, seen_after: int = 0, told_after: int = 0) -> None:
        """Log events now.

        Args:
            count: How many.
            seen_after: Seconds until the last of them can be read.
            told_after: Seconds ago that it happened.
        """
        now = self.clock.true_ms
        for at in range(count):
            last = at == count - 1
            happened = now - 1000 * told_after * last
            self.entries.append((now + at, happened, now + at + 1000 * seen_after * last, f"e{len(self.entries)}"))
        self.clock.true_ms += count

    def answer(self, state: dict[str, Any]) -> Page | CursorLost:
        """Serve one request."""
        cursor = state.get("cursor")
        self.clock.true_ms += 20
        if cursor is not None and (self.lost or cursor["serial"] < self.known_from):
            self.lost = max(0, self.lost - 1)
            return CursorLost("ADMIN-400-1")
        after = cursor["after"] if cursor else -1
        lower = state["from"]
        found = sorted(
            entry
            for entry in self.entries
            if entry[0] > after and entry[2] <= self.clock.true_ms and entry[1 if self.by_time else 0] >= lower
        )[:PAGE]
        names = [entry[3] for entry in found]
        following = self._following(cursor, found)
        newest = max((entry[0] for entry in found), default=None)
        following_state = {**state, "cursor": following} if following is not None else state
        full = len(found) == PAGE
        return page(state, *names, next=following_state, done=following is None or not names, more=full, newest=newest)

    def _following(
        self, cursor: dict[str, int] | None, found: list[tuple[int, int, int, str]]
    ) -> dict[str, int] | None:
        if len(found) < PAGE and not self.resumes:
            return None
        if not found:
            return cursor
        self.issued += 1
        return {"after": found[-1][0], "serial": self.issued}


class Life:
    """A log, a spool, and one poller after the other."""

    def __init__(self, log: Log, clock: SkewedClock, spool: SqliteSpool) -> None:
        self.log, self.clock, self.spool = log, clock, spool
        self.poller: Poller | None = None

    async def start(self) -> None:
        """Begin a life; the one before was killed."""
        self.poller = poller_of(ScriptedSource(self.log.answer), self.spool, self.clock, **POLLS)
        await self.poller._open()

    async def live(self, seconds: int) -> None:
        """Poll for a while."""
        poller, end = self.poller, self.clock.true_ms + 1000 * seconds
        assert poller is not None
        while self.clock.true_ms < end:
            name, wait = poller._choose()
            if wait > 0:
                self.clock.true_ms += max(1, int(wait * 1000))
            else:
                await step(poller, name)

    async def rest(self) -> None:
        """Live on with nothing wrong any more, until everything that was promised is over."""
        self.clock.skew_ms, self.log.lost = 0, 0
        await self.live(TRAILING)
        poller = self.poller
        assert poller is not None
        for _ in range(20):
            if not poller._open_walk(HEAL):
                break
            await self.live(TRAILING)
        await self.live(4 * TRAILING_EVERY)


Act = tuple[str, int]
LATE = TRAILING - 2 * TRAILING_EVERY
ACTS = st.one_of(
    st.tuples(st.just("live"), st.sampled_from([1, 3, 6, 30, 200])),
    st.tuples(st.just("sleep"), st.sampled_from([1, 10, 100, 1000])),
    st.tuples(st.just("happen"), st.integers(1, 3 * PAGE)),
    st.tuples(st.just("late"), st.integers(1, LATE)),
    st.tuples(st.just("told late"), st.integers(1, OVERLAP - LATE - TRAILING)),
    st.tuples(st.just("skew"), st.sampled_from([-7200, -600, -60, 0, 0, 60, 600, 10_800])),
    st.tuples(st.just("kill"), st.just(0)),
    st.tuples(st.just("lose"), st.integers(1, 3)),
    st.tuples(st.just("forget"), st.just(0)),
)

BEHIND: list[Act] = [("live", 30), ("happen", 5), ("live", 3), ("skew", -7200), ("happen", 9), ("late", LATE)]
BEHIND += [("happen", 9), ("live", 6), ("skew", 0)]
"""Read while the clock is behind, so that `high` stays: the newest stretch is more than the first page after it."""

LOSSES: list[Act] = [("happen", 3), ("lose", 2), ("live", 1), ("lose", 2), ("live", 1), ("told late", 23)]
"""The tail that the history has become is lost while a shorter heal is on its way."""

AHEAD: list[Act] = [("late", 1), ("happen", 1), ("skew", 60), ("live", 1), ("live", 1), ("sleep", 100), ("happen", 1)]
AHEAD += [("kill", 0)]
"""The history reaches the present while the clock is ahead, and something becomes visible behind it at once."""

LOST_AHEAD: list[Act] = [
    ("late", 3),
    ("skew", 60),
    ("lose", 2),
    ("happen", 1),
    ("live", 3),
    ("sleep", 100),
    ("happen", 1),
]
"""The tail is lost while the clock is ahead, and something becomes visible behind the heal, which has read everything."""


async def play(folder: Path, acts: list[Act], *, by_time: bool, resumes: bool) -> None:
    clock = SkewedClock()
    log = Log(clock, by_time, resumes)
    async with spool_in(folder) as spool:
        life = Life(log, clock, spool)
        await life.start()
        for act, much in acts:
            if act == "live":
                await life.live(much)
            elif act == "sleep":
                clock.true_ms += 1000 * much
            elif act == "happen":
                log.happen(much)
            elif act == "late":
                log.happen(2, seen_after=much)
            elif act == "told late":
                log.happen(2, seen_after=LATE, told_after=much)
            elif act == "skew":
                clock.skew_ms = 1000 * much
            elif act == "kill":
                await life.start()
            elif act == "lose":
                log.lost = much
            elif act == "forget":
                log.known_from = log.issued + 1
        await life.rest()
        names = await spooled(spool)
    assert sorted(set(names)) == sorted(entry[3] for entry in log.entries)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("by_time", [False, True], ids=["from compares processing", "from compares time"])
@pytest.mark.parametrize("resumes", [False, True], ids=["null at the tip", "a cursor at the tip"])
@given(acts=st.lists(ACTS, max_size=25))
@example(acts=BEHIND)
@example(acts=LOSSES)
@example(acts=AHEAD)
@example(acts=LOST_AHEAD)
@settings(max_examples=examples(40), deadline=None)
def test_what_becomes_visible_in_time_is_in_the_spool(acts: list[Act], by_time: bool, resumes: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder), acts, by_time=by_time, resumes=resumes))


async def test_late_events_and_repeats_are_counted_by_who_found_them(tmp_path: Path) -> None:
    """Of 7 events one becomes visible behind the cursor: a re-read finds that one, and has seen the others."""
    clock = SkewedClock()
    log = Log(clock, by_time=False, resumes=True)
    async with spool_in(tmp_path) as spool:
        life = Life(log, clock, spool)
        await life.start()
        assert life.poller is not None
        report = life.poller.report
        await life.live(3)
        log.happen(4, seen_after=20)
        log.happen(3)
        await life.live(6)
        assert (report.spooled, report.late_found) == (6, 0)
        await life.live(20 + 2 * TRAILING_EVERY)
        assert (report.spooled, report.late_found) == (7, 1)
        assert report.events == report.spooled + report.repeats
        assert report.repeats >= 6
        (row,) = (await spool.status()).sources
        assert (row.spooled, row.repeats, row.revisions) == (7, report.repeats, 0)
