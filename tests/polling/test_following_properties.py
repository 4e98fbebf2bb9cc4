"""Whatever the feed does (splitting, overlap, lateness, lost cursors, restarts), the spool ends with the same set.

A small feed in memory stands for the API under every reading of its unknowns; the poller and the spool are the real ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forwarder.contracts import CursorLost, Origin, Page, Retryable, SourceConfig
from forwarder.contracts.identity import EventKeys, content_digests
from forwarder.net.retry import RequestBudget
from forwarder.observe.reports import SourceReport
from forwarder.polling.plan import HEAL, REREAD, TAIL
from forwarder.polling.poller import Poller
from forwarder.spool.config import SpoolConfig
from forwarder.spool.contract import Committed, PageCommit, Settlement, SpoolFull
from forwarder.spool.sqlite.store import SqliteSpool
from tests.clocks import FakeClock
from tests.examples import examples
from tests.polling.pollers import step

ORIGIN = Origin("acme", "organization", "org-1")
KEYS = EventKeys("organization", "org-1")


@dataclass
class Event:
    name: str
    time: int
    processed: int
    visible: int


@dataclass
class Feed:
    """The API: ascending by processing time, opaque cursors, a filter on either time, that lasts in the cursor."""

    clock: FakeClock
    by_time: bool
    inclusive: bool
    tip: str  # null | unchanged | fresh
    limit: int
    events: list[Event] = field(default_factory=list)
    epoch: int = 0  # cursors of an older epoch are refused
    feed: str = "organization"
    reads: str = "stream"
    retention_ms: int | None = 180 * 86_400_000
    origin: Origin = ORIGIN
    fetches: Counter[str] = field(default_factory=Counter)
    fail: int = 0

    def walk(self, since_ms: int, until_ms: int | None = None) -> dict:
        return {"from": since_ms}

    async def fetch(self, state: dict) -> Page:
        if self.fail:
            self.fail -= 1
            raise Retryable("busy", kind="server_error")
        if state.get("epoch", self.epoch) != self.epoch:
            raise CursorLost("ADMIN-400-1")
        now = int(self.clock.now * 1000)
        since = state["from"]

        def inside(event: Event) -> bool:
            bound = event.time if self.by_time else event.processed
            return event.visible <= now and (bound > since or (self.inclusive and bound == since))

        found = sorted((e for e in self.events if inside(e)), key=lambda e: (e.processed, e.name))
        after = tuple(state["after"]) if "after" in state else (-1, "")
        rest = [e for e in found if (e.processed, e.name) > after]
        page, more = rest[: self.limit], len(rest) > self.limit
        at = [page[-1].processed, page[-1].name] if page else list(after)
        onward = {"from": since, "after": at, "epoch": self.epoch, "n": state.get("n", 0) + 1}
        done = not more
        if done and (self.tip == "null" or (not page and self.tip == "unchanged")):
            onward = state
        bodies = [f'{{"id":"{e.name}","t":{e.time}}}'.encode() for e in page]
        minutes = [f"m{e.time // 60000}" for e in page]
        return Page(
            bodies=bodies,
            keys=KEYS.keys(e.name for e in page),
            digests=content_digests(bodies),
            minutes=minutes,
            next=onward,
            more=more,
            done=done and (self.tip == "null" or not page),
            newest=max((e.processed for e in page), default=None),
        )


class World:
    def __init__(self, folder: Path, feed: Feed, clock: FakeClock, config: SourceConfig) -> None:
        self.folder, self.feed, self.clock, self.config = folder, feed, clock, config
        self.report = SourceReport("acme", "organization")

    async def start(self) -> None:
        self.spool = SqliteSpool(SpoolConfig(path=self.folder / "spool.db"), self.clock)
        await self.spool.open()
        self.poller = Poller(
            self.feed,
            self.config,
            spool=self.spool,
            budget=RequestBudget(self.clock, 1e9),
            clock=self.clock,
            rng=random.Random(1),
            report=self.report,
        )
        await self.poller._open()

    async def restart(self) -> None:
        await self.spool.close()
        await self.start()

    async def step(self) -> None:
        name, wait = self.poller._choose()
        if wait > 0:
            self.clock.advance(wait + 0.001)
            return
        try:
            await step(self.poller, name)
        except Retryable:
            self.clock.advance(1)

    async def settle_down(self) -> None:
        """Run until every walk is over and the newest was read again after the last event became visible."""
        self.clock.advance(5)
        begun = None
        rounds = 0
        for _ in range(4000):
            await self.step()
            row = self.poller._rows.get(REREAD)
            # A walk that becomes the tail changes it as well.
            if row and row.state.get("walk") is None and row.state["begun"] != begun:
                begun, rounds = row.state["begun"], rounds + 1
            if rounds >= 4 and not any(self.poller._open_walk(name) for name in ("heal", "backfill")):
                return
        raise AssertionError(f"never came to rest: {self.poller._rows}")

    async def spooled(self) -> list[str]:
        lane = await self.spool.open_lane("all", "memory", start=None, on_full="pause")
        names: list[str] = []
        after = lane.position
        while True:
            done = await self.spool.exchange(lane.number, Settlement(), after=after, events=500)
            if not done.chunks:
                return names
            for chunk in done.chunks:
                names += [body.split(b'"')[3].decode() for body in chunk.bodies]
                after = chunk.last


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("happen"), st.integers(1, 7), st.integers(0, 3600)),
        st.tuples(st.just("late"), st.integers(1, 3), st.integers(1, 20 * 3600)),
        st.tuples(st.just("behind"), st.integers(1, 3), st.integers(1, 240)),
        st.tuples(st.just("late and behind"), st.integers(1, 3), st.integers(1, 240)),
        st.tuples(st.just("poll"), st.integers(1, 6), st.just(0)),
        st.tuples(st.just("lose"), st.just(0), st.just(0)),
        st.tuples(st.just("fail"), st.integers(1, 3), st.just(0)),
        st.tuples(st.just("restart"), st.just(0), st.just(0)),
        st.tuples(st.just("wait"), st.integers(1, 400), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    actions=ACTIONS,
    by_time=st.booleans(),
    inclusive=st.booleans(),
    tip=st.sampled_from(["null", "unchanged", "fresh"]),
    limit=st.sampled_from([1, 3, 500]),
    history=st.integers(0, 12),
)
def test_any_course_of_events_gives_the_same_set(actions, by_time, inclusive, tip, limit, history) -> None:
    async def course() -> None:
        clock = FakeClock()
        feed = Feed(clock, by_time, inclusive, tip, limit)
        start = int(clock.now * 1000)
        for i in range(history):
            moment = start - 1000 - i * 3_600_000
            feed.events.append(Event(f"h{i}", moment, moment + 500, 0))
        config = SourceConfig(type="feed", every=30, since=7 * 86400, trailing_every=300)
        with tempfile.TemporaryDirectory() as folder:
            world = World(Path(folder), feed, clock, config)
            await world.start()
            for number, (what, count, seconds) in enumerate(actions):
                now = int(clock.now * 1000)
                names = [f"{what}-{number}-{i}" for i in range(count)]
                if what == "happen":
                    feed.events += [Event(n, now - 5 + i, now + i, now + i) for i, n in enumerate(names)]
                elif what == "late":
                    feed.events += [Event(n, now - seconds * 1000, now + i, now + i) for i, n in enumerate(names)]
                elif what == "behind":  # its place in the order has been passed when it becomes visible
                    feed.events += [Event(n, now - seconds * 1000, now - seconds * 1000, now) for n in names]
                elif what == "late and behind":
                    seen = now - seconds * 1000
                    feed.events += [Event(n, seen - 10 * 3_600_000, seen, now) for n in names]
                elif what == "poll":
                    for _ in range(count):
                        await world.step()
                elif what == "lose":
                    feed.epoch += 1
                elif what == "fail":
                    feed.fail = count
                elif what == "restart":
                    await world.restart()
                elif what == "wait":
                    clock.advance(count)
            await world.settle_down()
            found = await world.spooled()
            await world.spool.close()
        assert Counter(found) == Counter({event.name: 1 for event in feed.events})

    asyncio.run(course())


def test_a_damaged_page_is_read_again_by_itself(tmp_path: Path) -> None:
    async def course() -> None:
        clock = FakeClock()
        feed = Feed(clock, by_time=False, inclusive=True, tip="fresh", limit=500)
        world = World(tmp_path, feed, clock, SourceConfig(type="feed", since=0, every=30))
        await world.start()
        for name in ("a", "b", "c"):
            now = int(clock.now * 1000)
            feed.events.append(Event(name, now, now, now))
            await world.step()
            clock.advance(60)
        lane = await world.spool.open_lane("before", "memory", start=None, on_full="pause")
        done = await world.spool.exchange(lane.number, Settlement(), after=0, events=500)
        taken = [(chunk.first, chunk.last) for chunk in done.chunks]
        await world.spool.exchange(lane.number, Settlement(ranges=taken), after=lane.position, events=0)
        await world.spool.close()
        with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as con:
            con.execute("UPDATE bodies SET packed = zeroblob(40) WHERE last_seq = 2")
            con.commit()
        await world.start()
        assert await world.spooled() == ["a", "c"]  # reading finds the damage
        await world.settle_down()
        assert sorted(await world.spooled()) == ["a", "b", "c"]
        gaps = (await world.spool.status()).gaps
        assert [(gap.cause, gap.closed_ms is not None) for gap in gaps] == [("damaged_page", True)]
        # The lane that had it all may get `b` twice, and that is on record.
        assert [(d.first, d.last, d.cause) for d in await world.spool.doubts(lane.number)] == [(2, 2, "damaged_page")]
        assert {line.balance for line in await world.spool.books()} == {0}
        await world.spool.close()

    asyncio.run(course())


def test_a_lost_cursor_opens_a_gap_and_the_heal_closes_it(tmp_path: Path) -> None:
    async def course() -> None:
        clock = FakeClock()
        feed = Feed(clock, by_time=False, inclusive=True, tip="fresh", limit=2)
        world = World(tmp_path, feed, clock, SourceConfig(type="feed", since=0, every=30))
        await world.start()
        for i in range(5):
            now = int(clock.now * 1000)
            feed.events.append(Event(f"e{i}", now, now, now))
            await world.step()
            clock.advance(60)
        feed.epoch += 1
        while HEAL not in world.poller._rows:
            await world.step()
        gaps = (await world.spool.status()).gaps
        assert [(gap.cause, gap.closed_ms) for gap in gaps] == [("cursor_lost", None)]
        await world.settle_down()
        gaps = (await world.spool.status()).gaps
        assert [gap.closed_ms is not None for gap in gaps] == [True]
        assert HEAL not in world.poller._rows
        assert world.report.heals == 1
        assert world.poller._rows[TAIL].state["from"] <= int(clock.now * 1000)
        await world.spool.close()

    asyncio.run(course())


def test_a_clock_that_was_ahead_for_a_while_leaves_nothing_unread(tmp_path: Path) -> None:
    class AheadClock(FakeClock):
        ahead = 0.0

        def time(self) -> float:
            return self.now + self.ahead

    async def course() -> None:
        clock = AheadClock()
        feed = Feed(clock, by_time=False, inclusive=True, tip="fresh", limit=50)
        world = World(tmp_path, feed, clock, SourceConfig(type="feed", since=0, every=30))
        await world.start()

        async def follow(minutes: int) -> None:
            end = clock.now + minutes * 60
            while clock.now < end:
                now = int(clock.now * 1000)
                feed.events.append(Event(f"e{len(feed.events)}", now, now, now))
                await world.step()
                clock.advance(20)

        await follow(30)
        clock.ahead = 3 * 86400
        await follow(12)
        clock.ahead = 0
        await follow(10)
        now = int(clock.now * 1000)
        feed.events.append(Event("late", now - 120_000, now - 120_000, now))
        await follow(20)
        assert "late" in await world.spooled()
        await world.spool.close()

    asyncio.run(course())


def test_a_bell_does_not_hurry_a_poller_that_waits_for_room(tmp_path: Path) -> None:
    async def course() -> None:
        clock = FakeClock()
        feed = Feed(clock, by_time=False, inclusive=True, tip="fresh", limit=2)
        world = World(tmp_path, feed, clock, SourceConfig(type="feed", since=0, every=30))
        await world.start()
        commit, refused = world.spool.commit, 0

        async def refuse(what: PageCommit) -> Committed:
            nonlocal refused
            refused += 1
            world.poller.ring()
            if refused > 20:  # far more than one a second
                return await commit(what)
            raise SpoolFull("full", fix="wait", kind="spool_full")

        world.spool.commit = refuse  # type: ignore[method-assign]
        now = int(clock.now * 1000)
        feed.events.append(Event("e", now, now, now))
        stepping = asyncio.create_task(step(world.poller, TAIL))
        for _ in range(2000):
            await asyncio.sleep(0)
        assert refused == 1
        clock.advance(10)
        world.poller.stop()
        with pytest.raises(SpoolFull):
            await stepping
        await world.spool.close()

    asyncio.run(course())
