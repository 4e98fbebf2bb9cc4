"""Whatever is late, hidden or lost: each window is read again and ends, and what the API shows by then is in the spool."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forwarder.contracts import Held, Page, Retryable, SourceConfig
from forwarder.polling.plan import HEAL, RECONCILE, TAIL
from forwarder.spool.contract import Settlement
from tests.clocks import FakeClock
from tests.polling.pollers import attempt
from tests.polling.test_following_properties import Event, Feed, World

HOUR = 3600
PASSES = {"after": 2 * HOUR, "again": 6 * HOUR, "last": 0}


class Ticking(FakeClock):
    """A clock that goes on when it is looked at: a share that is not to be exceeded waits for it."""

    def monotonic(self) -> float:
        self.now += 0.0001
        return self.now


@dataclass
class Bounded(Feed):
    """The same API, asked for an end as well; a millisecond more on either side, since its bounds are not known."""

    asked: list[tuple[int, int]] = field(default_factory=list)  # for what windows
    breaks: set[int] = field(default_factory=set)  # ends of windows that cannot be read
    error: Exception | None = None
    keeps_to_an_end: bool = True

    def walk(self, since_ms: int, until_ms: int | None = None) -> dict:
        if until_ms is None:
            return {"from": since_ms}
        self.asked.append((since_ms, until_ms))
        return {"from": since_ms - 1, "to": until_ms + 1}

    async def fetch(self, state: dict) -> Page:
        if "to" not in state:
            return await super().fetch(state)
        if state["to"] - 1 in self.breaks and self.error is not None:
            raise self.error
        whole = self.events

        def inside(event: Event) -> bool:
            moment = event.time if self.by_time else event.processed
            return moment < state["to"] or (self.inclusive and moment == state["to"])

        self.events = [event for event in whole if inside(event)]
        try:
            page = await super().fetch(state)
        finally:
            self.events = whole
        page.next["to"] = state["to"]
        return page


class Reconciling(World):
    """A log in which something happens every ten minutes, so that the reread leaves behind what is older."""

    feed: Bounded
    beats, last_beat = True, 0.0

    async def step(self) -> None:
        await self.poller._reconcile.begin()
        name, wait = self.poller._choose()
        if wait > 0:
            self.clock.advance(wait + 0.001)
        else:
            await attempt(self.poller, name)
            self.clock.advance(1)

    async def follow(self, seconds: float) -> None:
        end = self.clock.now + seconds
        while self.clock.now < end:
            if self.beats and self.clock.now - self.last_beat > 600:
                self.last_beat = self.clock.now
                self.happen(f"beat-{self.clock.now:.0f}")
            await self.step()

    def happen(self, name: str, *, ago: float = 0, hidden: float = 0) -> None:
        now = int(self.clock.now * 1000)
        self.feed.events.append(Event(name, now - int(ago * 1000), now, now + int(hidden * 1000)))

    @property
    def row(self) -> dict:
        return self.poller._rows[RECONCILE].state

    async def by_reader(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        lane = await self.spool.open_lane("readers", "memory", start=None, on_full="pause")
        after = lane.position
        while chunks := (await self.spool.exchange(lane.number, Settlement(), after=after, events=500)).chunks:
            for chunk in chunks:
                found.setdefault(chunk.reader, []).extend(body.split(b'"')[3].decode() for body in chunk.bodies)
            after = chunks[-1].last
        return found


def reconciling(folder: Path, feed: Bounded, **config: object) -> Reconciling:
    settled = {"every": 300, "since": 0, "trailing_every": 1800, "reconcile": PASSES, **config}
    return Reconciling(folder, feed, feed.clock, SourceConfig(type="feed", **settled))


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("happen"), st.integers(1, 5)),
        st.tuples(st.just("hidden"), st.integers(1, 3 * HOUR)),
        st.tuples(st.just("late"), st.integers(1, 20 * HOUR)),
        st.tuples(st.just("wait"), st.integers(1, 3 * HOUR)),
        st.tuples(st.just("lose"), st.just(0)),
        st.tuples(st.just("fail"), st.integers(1, 3)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=14,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    actions=ACTIONS,
    by_time=st.booleans(),
    inclusive=st.booleans(),
    tip=st.sampled_from(["null", "unchanged", "fresh"]),
    limit=st.sampled_from([1, 3, 500]),
)
def test_what_the_api_shows_at_the_last_pass_is_in_the_spool_and_what_was_there_is_not_recovered(
    actions: list[tuple[str, int]], by_time: bool, inclusive: bool, tip: str, limit: int
) -> None:
    async def course() -> None:
        clock = Ticking()
        with tempfile.TemporaryDirectory() as folder:
            world = reconciling(Path(folder), Bounded(clock, by_time, inclusive, tip, limit), since=24 * HOUR)
            await world.start()
            await world.follow(600)
            hidden = set()
            for number, (what, amount) in enumerate(actions):
                if what == "happen":
                    for at in range(amount):
                        world.happen(f"{what}-{number}-{at}")
                elif what == "hidden":
                    world.happen(f"{what}-{number}", hidden=amount)
                    hidden.add(f"{what}-{number}")
                elif what == "late":
                    world.happen(f"{what}-{number}", ago=amount)
                elif what == "wait":
                    await world.follow(amount)
                elif what == "lose":
                    world.feed.epoch += 1
                elif what == "fail":
                    world.feed.fail = amount
                else:
                    await world.restart()
                await world.step()
            await world.follow(9 * HOUR)
            found, readers = await world.spooled(), await world.by_reader()
            now = int(clock.now * 1000)
            assert Counter(found) == Counter({event.name: 1 for event in world.feed.events})
            assert set(readers.get(RECONCILE, [])) <= hidden
            recovered = sum(line.recovered for line in await world.spool.day_books() if line.sink == "all")
            assert recovered == len(readers.get(RECONCILE, []))
            gaps = [gap for gap in (await world.spool.status()).gaps if gap.cause == "late"]
            assert sum(gap.events or 0 for gap in gaps) == recovered
            assert {(gap.state, gap.closed_by) for gap in gaps} <= {("closed", RECONCILE)}
            for front, after in zip(world.row["passes"], (2 * HOUR, 6 * HOUR), strict=True):
                assert now - front["to"] <= (after + HOUR + 1800) * 1000, "it goes on"
            await world.spool.close()

    asyncio.run(course())


def world_of(tmp_path: Path, **config: object) -> Reconciling:
    return reconciling(tmp_path, Bounded(Ticking(), False, True, "unchanged", 500), **config)


async def test_an_event_that_became_visible_behind_every_other_reader_is_recovered_and_on_record(
    tmp_path: Path,
) -> None:
    world = world_of(tmp_path)
    await world.start()
    await world.follow(60)
    world.happen("hidden", hidden=2 * HOUR)
    world.happen("plain")
    await world.follow(5 * HOUR)
    assert (await world.by_reader())[RECONCILE] == ["hidden"]
    [gap] = [gap for gap in (await world.spool.status()).gaps if gap.cause == "late"]
    assert (gap.state, gap.events, gap.closed_by) == ("closed", 1, RECONCILE)
    assert (gap.from_ms or 0) <= next(e.processed for e in world.feed.events if e.name == "hidden") < (gap.to_ms or 0)
    assert world.report.recovered == 1
    await world.spool.close()


async def test_each_window_is_asked_for_once_by_each_pass(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    await world.start()
    await world.follow(24 * HOUR)
    asked = Counter(until for since, until in world.feed.asked if until - since == 3_600_000)
    assert {asked[min(asked) + hour * 3_600_000] for hour in range(15)} == {2}
    await world.spool.close()


async def test_a_window_is_read_without_a_wait_however_seldom_the_log_is_asked(tmp_path: Path) -> None:
    """The later passes go last: with a wait in each window of the first ones their turn never came."""
    world = world_of(tmp_path, every=2700)
    await world.start()
    for hour in range(30):
        world.happen(f"e{hour}")
        await world.follow(HOUR)
    now = int(world.clock.now * 1000)
    for front, after in zip(world.row["passes"], (2 * HOUR, 6 * HOUR), strict=True):
        assert now - front["to"] <= (after + 4 * HOUR) * 1000
    await world.spool.close()


async def test_nothing_is_recovered_that_is_only_on_its_way(tmp_path: Path) -> None:
    """A daemon that was down for a day reads all of it by the tail; a window that is due waits for that."""
    world = world_of(tmp_path)
    world.feed.limit, world.beats = 2, False
    await world.start()
    await world.follow(HOUR)
    for at in range(40):
        world.clock.advance(1800)
        world.happen(f"e{at}")
    await world.restart()
    await world.follow(9 * HOUR)
    assert RECONCILE not in await world.by_reader()
    assert len(await world.spooled()) == 40
    await world.spool.close()


async def test_a_window_that_cannot_be_read_is_a_gap_until_a_later_pass_reads_it(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    await world.start()
    await world.follow(60)
    world.happen("hidden", hidden=2 * HOUR)
    await world.follow(HOUR)
    hidden = next(event for event in world.feed.events if event.name == "hidden")
    broken = (hidden.processed // 3_600_000 + 1) * 3_600_000
    world.feed.breaks = {broken}
    world.feed.error = Held("one event is too large", fix="Wait.", kind="too_large")
    await world.follow(4 * HOUR)
    [gap] = [gap for gap in (await world.spool.status()).gaps if gap.cause == "late"]
    assert (gap.state, gap.to_ms) == ("open", broken)
    assert "one event is too large" in gap.detail
    assert world.row["passes"][0]["to"] > broken
    assert world.report.state in {"idle", "working"}, "it is no trouble of the others"
    world.feed.breaks = set()
    await world.restart()
    await world.follow(5 * HOUR)
    states = {gap.state for gap in (await world.spool.status()).gaps if gap.cause == "late"}
    assert states == {"closed"}
    assert "hidden" in await world.spooled()
    await world.spool.close()


async def test_a_window_that_always_fails_is_left_while_the_tail_is_well(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    await world.start()
    await world.follow(2 * HOUR)
    broken = (int(world.clock.now * 1000) // 3_600_000 + 1) * 3_600_000
    world.feed.breaks, world.feed.error = {broken}, Retryable("busy", kind="server_error")
    world.happen("plain")
    await world.follow(8 * HOUR)
    assert "plain" in await world.spooled()
    assert world.row["passes"][0]["to"] > broken
    gaps = [gap for gap in (await world.spool.status()).gaps if gap.cause == "late"]
    assert [gap.state for gap in gaps] == ["open"]
    await world.spool.close()


async def test_a_cursor_that_is_lost_within_a_window_begins_it_again(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    world.feed.limit = 1
    await world.start()
    for at in range(6):
        world.happen(f"e{at}", hidden=2 * HOUR)
        world.clock.advance(1)
    await world.follow(2 * HOUR)
    while not world.poller._open_walk(RECONCILE):
        await world.step()
    await attempt(world.poller, RECONCILE)
    world.feed.epoch += 1
    await world.follow(3 * HOUR)
    found = [name for name in await world.spooled() if name[0] == "e"]
    assert Counter(found) == Counter([f"e{at}" for at in range(6)])
    assert "e0" in (await world.by_reader())[RECONCILE]
    assert {gap.state for gap in (await world.spool.status()).gaps} <= {"closed"}
    await world.spool.close()


async def test_a_kill_within_a_window_goes_on_with_it(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    world.feed.limit = 1
    await world.start()
    for at in range(6):
        world.happen(f"e{at}", hidden=2 * HOUR)
        world.clock.advance(1)
    await world.follow(2 * HOUR)
    while not world.poller._open_walk(RECONCILE):
        await world.step()
    window = world.row["window"]
    await attempt(world.poller, RECONCILE)
    await attempt(world.poller, RECONCILE)
    await world.restart()
    assert world.row["window"] == window
    await world.follow(3 * HOUR)
    found = [name for name in await world.spooled() if name[0] == "e"]
    assert Counter(found) == Counter([f"e{at}" for at in range(6)])
    assert "e0" in (await world.by_reader())[RECONCILE]
    await world.spool.close()


async def test_what_no_ids_are_remembered_of_any_more_is_not_compared_and_not_delivered_twice(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    world.beats = False
    await world.start()
    await world.follow(600)
    for at in range(3):
        world.happen(f"e{at}")
    await world.follow(1200)
    await world.spool.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as con:
        con.execute("DELETE FROM ids")
        con.execute("UPDATE meta SET value = ? WHERE name = 'ids_gone_ms'", (int(world.clock.now * 1000),))
        con.commit()
    await world.start()
    await world.follow(9 * HOUR)
    assert RECONCILE not in await world.by_reader()
    gaps = [gap for gap in (await world.spool.status()).gaps if gap.cause == "late"]
    assert {(gap.state, gap.why) for gap in gaps} == {("lost", "the ids to compare with are remembered no more")}
    assert len(gaps) <= 2, "one for each window that was due"
    await world.spool.close()


async def test_a_stream_that_keeps_to_no_end_is_not_read_again(tmp_path: Path) -> None:
    clock = Ticking()
    feed = Feed(clock, False, True, "unchanged", 500)
    world = Reconciling(tmp_path, feed, clock, SourceConfig(type="feed", every=300, since=0, reconcile=PASSES))
    await world.start()
    await world.follow(4 * HOUR)
    assert RECONCILE not in world.poller._rows
    await world.spool.close()


async def test_off_reads_nothing_again(tmp_path: Path) -> None:
    world = world_of(tmp_path, reconcile="off")
    await world.start()
    world.happen("hidden", hidden=HOUR)
    await world.follow(9 * HOUR)
    assert (world.feed.asked, RECONCILE in world.poller._rows) == ([], False)
    await world.spool.close()


async def test_a_heal_is_waited_for_and_one_that_is_held_is_not(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    await world.start()
    await world.follow(2 * HOUR)
    store = world.poller._store
    until = int(world.clock.now * 1000)
    store.rows[HEAL] = store.rows[TAIL]
    state = {**store.rows[HEAL].state, "high": until - 1}
    store.rows[HEAL] = type(store.rows[HEAL])(HEAL, state, 0)
    assert not store._is_read(until, until, [])
    assert store._is_read(until, until, [HEAL])
    await world.spool.close()


async def test_a_quiet_log_costs_a_fiftieth_at_most_of_ten_requests_a_minute(tmp_path: Path) -> None:
    world = world_of(tmp_path, reconcile={"again": 6 * HOUR, "last": 0}, every=600, trailing_every=3600)
    await world.start()
    await world.follow(8 * HOUR)
    before = world.report.requests_by_reader[RECONCILE]
    await world.follow(6 * HOUR)
    assert 0 < world.report.requests_by_reader[RECONCILE] - before <= 6 * 60 * 10 / 50
    await world.spool.close()


@pytest.mark.parametrize("off", [3 * 86_400, -3 * 86_400])
async def test_a_clock_that_is_wrong_for_a_while_leaves_no_window_out(tmp_path: Path, off: int) -> None:
    world = world_of(tmp_path)
    await world.start()
    await world.follow(3 * HOUR)
    world.happen("hidden", hidden=2 * HOUR)
    world.clock.off = off
    await world.follow(1800)
    world.clock.off = 0
    await world.follow(9 * HOUR)
    assert "hidden" in await world.spooled()
    for front, after in zip(world.row["passes"], (2 * HOUR, 6 * HOUR), strict=True):
        assert 0 <= int(world.clock.now * 1000) - after * 1000 - front["to"] <= 2 * HOUR * 1000
    await world.spool.close()


@pytest.mark.parametrize("days", [1, 365, 4000])
@pytest.mark.parametrize("since", [0, 7 * 86_400])
async def test_a_first_start_by_a_clock_that_is_ahead_is_made_up_for_when_it_is_right(
    tmp_path: Path, days: int, since: int
) -> None:
    world = world_of(tmp_path, since=since)
    before = int(world.clock.now * 1000) - 5 * 86_400_000
    world.feed.events.append(Event("history", before, before, before))
    world.clock.off = days * 86_400
    await world.start()
    await world.follow(1200)
    world.clock.off = 0
    await world.follow(900)
    begun = world.row["begun"]
    assert begun <= world.clock.time() * 1000
    world.happen("live")
    await world.follow(900)
    found = await world.spooled()
    assert "live" in found
    assert len([name for name in found if name.startswith("beat")]) >= 4
    assert ("history" in found) is bool(since)
    await world.restart()
    await world.follow(5 * HOUR)
    assert world.row["begun"] == begun
    assert world.row["passes"][0]["to"] > begun
    assert "reconcile" not in await world.by_reader(), "nothing of it was found late"
    await world.spool.close()


async def test_a_clock_that_falls_behind_begins_no_walk_anew(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    await world.start()
    await world.follow(900)
    begun = world.poller._rows[TAIL].state["from"]
    world.clock.off = -50 * 365 * 86_400
    await world.follow(900)
    assert world.poller._rows[TAIL].state["from"] == begun
    await world.spool.close()
