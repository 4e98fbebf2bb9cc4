"""A log that is read in windows arrives whole, in whatever order and with whatever paging it answers."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from forwarder.contracts import CursorLost, Held, Page, Retryable, SourceConfig
from forwarder.contracts.identity import content_digests
from forwarder.polling import windows
from forwarder.polling.plan import BACKFILL, HEAL, REREAD, TAIL
from forwarder.polling.poller import Poller
from forwarder.polling.windows import Reading, Window
from forwarder.spool.sqlite.store import SqliteSpool
from tests.clocks import FakeClock
from tests.polling.pollers import KEYS, ScriptedSource, attempt, poller_of, spool_in, spooled

HOUR, DAY = 3_600_000, 86_400_000


@dataclass
class WindowLog:
    """An audit log that is asked for a window and an offset.

    Attributes:
        order: Sorts what is found, from a list of (time, name).
        limit: Events of a page.
        has_ids: Events have an id; else equal ones are alike.
        edges: Whether the beginning and the end of a window are included.
        before_answer: Called before each answer.
    """

    clock: FakeClock
    order: Callable[[list[tuple[int, str]]], list[tuple[int, str]]] = lambda found: sorted(found, reverse=True)
    limit: int = 10
    has_ids: bool = True
    heeds_offset: bool = True
    retention_ms: int | None = 180 * DAY
    before_answer: Callable[[], None] = lambda: None
    events: list[tuple[int, int, str]] = field(default_factory=list)  # time, visible from, name
    asked: list[dict[str, Any]] = field(default_factory=list)
    origin = ScriptedSource(lambda _: None).origin
    feed = "organization"
    reads = "windows"
    Config = SourceConfig

    def add(self, at: int, name: str, visible: int | None = None) -> None:
        self.events.append((at, at if visible is None else visible, name))

    def walk(self, since_ms: int, until_ms: int | None = None) -> dict[str, Any]:
        assert until_ms is not None
        assert since_ms <= until_ms
        return {"since": since_ms, "until": until_ms, "offset": 0}

    async def fetch(self, state: dict[str, Any]) -> Page:
        self.before_answer()
        self.asked.append(state)
        now = int(self.clock.now * 1000)
        kept = now - (self.retention_ms or now)
        lower = max(state["since"], kept)
        found = self.order(
            [(at, name) for at, seen, name in self.events if lower <= at <= state["until"] and seen <= now]
        )
        offset = state["offset"] if self.heeds_offset else 0
        page = found[offset : offset + self.limit]
        bodies = [f'{{"id":"{name}","t":{at}}}'.encode() for at, name in page]
        keys = KEYS.keys(name for _, name in page) if self.has_ids else [KEYS.derived(body) for body in bodies]
        return Page(
            bodies=bodies,
            keys=keys,
            digests=content_digests(bodies),
            minutes=["m"] * len(page),
            derived=frozenset() if self.has_ids else frozenset(range(len(page))),
            next={**state, "offset": state["offset"] + len(page)},
            more=len(page) >= self.limit,
            newest=max((at for at, _ in page), default=None),
        )

    async def probe(self) -> list[Any]:
        return []

    async def close(self) -> None:
        return


class Course:
    """A poller over a log in windows, in simulated time."""

    def __init__(self, log: WindowLog, spool: SqliteSpool, **config: Any) -> None:
        self.log, self.spool, self.clock = log, spool, log.clock
        self.config = {"every": 30, "since": 7 * 86400, "trailing": 600, "overlap": 7200, **config}
        self.poller: Poller

    async def start(self) -> None:
        self.poller = poller_of(self.log, self.spool, self.clock, **self.config)  # type: ignore[arg-type]
        await self.poller._open()

    def now(self) -> int:
        return int(self.clock.now * 1000)

    async def step(self) -> None:
        await self.poller._drop_by_hand()
        name, wait = self.poller._choose()
        if wait > 0:
            self.clock.advance(wait + 0.001)
        else:
            await attempt(self.poller, name)

    async def until(self, holds: Callable[[], bool], most: int = 3000) -> None:
        for _ in range(most):
            if holds():
                return
            await self.step()
        raise AssertionError(f"not after {most} steps: {self.poller.report} {self.poller._rows}")

    async def rest(self) -> None:
        """Go on until history is read and the last hours were read again."""
        for _ in range(2):
            begun = self.clock.now
            await self.until(lambda: self.poller._open_walks() == [TAIL] and self.poller._at_tip)
            row = self.poller._rows[REREAD].state["begun"]
            self.clock.advance(7300)
            await self.until(lambda row=row: self.poller._rows[REREAD].state["begun"] > row)  # type: ignore[misc]
            await self.until(lambda: self.poller._open_walks() == [TAIL] and self.poller._at_tip)
            assert self.clock.now > begun

    async def all_arrived(self) -> None:
        assert Counter(await spooled(self.spool)) == Counter(name for _, _, name in self.log.events)


def shuffled(seed: int) -> Callable[[list[tuple[int, str]]], list[tuple[int, str]]]:
    """An order that is no order, and the same at each request: by a hash of the event."""

    @cache
    def place(event: tuple[int, str]) -> float:
        return random.Random(f"{seed}{event}").random()

    return lambda found: sorted(found, key=place)


ORDERS: dict[str, Callable[[list[tuple[int, str]]], list[tuple[int, str]]]] = {
    "newest first": lambda found: sorted(found, reverse=True),
    "oldest first": sorted,
    "none": shuffled(1),
}


# --------------------------------------------------------------------------------------------------------- the world


@pytest.mark.parametrize("seed", range(40))
async def test_nothing_is_missing_or_doubled_whatever_happens_while_it_is_read(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    clock = FakeClock()
    has_ids = rng.random() < 0.5
    log = WindowLog(clock, rng.choice(list(ORDERS.values())), rng.choice([2, 7, 50]), has_ids)
    start = int(clock.now * 1000)
    for number in range(rng.randrange(60)):
        log.add(start - rng.randrange(6 * DAY), f"h{number}")
    for number in range(rng.choice([0, 9, 30])):  # equal milliseconds, more than a page
        log.add(start - 2 * DAY, f"s{number if has_ids else number % 4}")
    busy = [True]

    def happen() -> None:
        clock.advance(rng.choice([0, 0, 0.001, 0.3]))
        now = int(clock.now * 1000)
        if busy[0] and rng.random() < 0.2:  # also between two pages of a window
            late = rng.choice([0, 0, 0, 1000, 300_000, 5_000_000])
            name = f"n{len(log.events)}" if has_ids or rng.random() < 0.5 else "alike"
            log.add(now - late, name, now)

    log.before_answer = happen
    async with spool_in(tmp_path, clock) as spool:
        c = Course(log, spool)
        await c.start()
        fetch = log.fetch

        async def failing(state: dict[str, Any]) -> Page:
            if busy[0] and rng.random() < 0.1:
                kind: Any = rng.choice(["timeout", "server_error", "connection", "too_large", "rate_limited"])
                raise rng.choice([Retryable("made up", kind=kind), CursorLost("made up")])
            return await fetch(state)

        log.fetch = failing  # type: ignore[method-assign]
        for _ in range(rng.choice([30, 150])):
            await c.step()
            if rng.random() < 0.05:
                await c.start()  # a restart
            if rng.random() < 0.05:
                clock.advance(rng.choice([60, 3600, 20_000]))
        busy[0] = False
        await c.rest()
        await c.all_arrived()
        assert c.poller.report.well


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("count", [1, 9, 10, 11, 1000])
async def test_equal_milliseconds_are_read_whole_with_and_without_ids(tmp_path: Path, order: str, count: int) -> None:
    for has_ids in (True, False):
        clock = FakeClock()
        log = WindowLog(clock, ORDERS[order], 10, has_ids)
        for number in range(count):
            log.add(int(clock.now * 1000) - HOUR, f"e{number if has_ids else number % 3}")
        folder = tmp_path / str(has_ids)
        folder.mkdir()
        async with spool_in(folder, clock) as spool:
            c = Course(log, spool)
            await c.start()
            await c.rest()
            await c.all_arrived()


# ------------------------------------------------------------------------------------------------------- single cases


async def test_a_window_is_read_anew_after_a_restart_between_its_pages(tmp_path: Path) -> None:
    clock = FakeClock()
    log = WindowLog(clock, limit=4, has_ids=False)
    for _ in range(10):
        log.add(int(clock.now * 1000) - HOUR, "alike")
    async with spool_in(tmp_path, clock) as spool:
        c = Course(log, spool)
        await c.start()

        def breaks() -> None:
            if log.asked and log.asked[-1]["offset"] == 4:
                raise Retryable("made up", kind="connection")

        log.before_answer = breaks
        for _ in range(60):
            await c.step()
        assert await spooled(spool) == []  # nothing of a window that was not read to its end
        log.before_answer = lambda: None
        await c.start()
        await c.rest()
        await c.all_arrived()


async def test_a_log_that_does_not_heed_the_offset_is_read_as_far_as_a_page_goes_and_then_said(tmp_path: Path) -> None:
    clock = FakeClock()
    log = WindowLog(clock, limit=10, heeds_offset=False)
    for number in range(300):
        log.add(int(clock.now * 1000) - DAY + number * 60_000, f"e{number}")
    async with spool_in(tmp_path, clock) as spool:
        c = Course(log, spool)
        await c.start()
        await c.rest()
        await c.all_arrived()
        at = c.now() - 2000
        for number in range(11):
            log.add(at, f"same{number}")
        await c.until(lambda: c.poller.report.state == "held")
        assert "one time" in c.poller.report.reason
        log.add(c.now() + 100, "later")
        clock.advance(40)
        await c.until(lambda: c.poller.report.spooled >= 301)  # live events do not wait behind it
        assert c.poller.report.state == "held"
        assert [gap.closed_ms for gap in (await spool.status()).gaps] == [None]
        log.heeds_offset = True
        await c.until(lambda: HEAL not in c.poller._rows)
        await c.rest()
        await c.all_arrived()
        assert all(gap.closed_ms for gap in (await spool.status()).gaps)


async def test_a_window_that_is_too_large_is_halved_and_one_event_that_is_holds_its_place_only(tmp_path: Path) -> None:
    clock = FakeClock()
    log = WindowLog(clock)
    at = int(clock.now * 1000) - DAY
    for number in range(50):
        log.add(at + number * 60_000, f"e{number}")
    fetch, most = log.fetch, [5]

    async def limited(state: dict[str, Any]) -> Page:
        page = await fetch(state)
        if len(page.bodies) > most[0] or (any(b'"e7"' in body for body in page.bodies) and most[0] < 99):
            raise Retryable("the answer is larger than allowed", kind="too_large")
        return page

    log.fetch = limited  # type: ignore[method-assign]
    async with spool_in(tmp_path, clock) as spool:
        c = Course(log, spool)
        await c.start()
        await c.until(lambda: c.poller.report.spooled == 49)
        most[0] = 99
        await c.rest()
        await c.all_arrived()


async def test_what_lies_beyond_retention_is_not_asked_for(tmp_path: Path) -> None:
    clock = FakeClock()
    log = WindowLog(clock, retention_ms=3 * DAY)
    log.add(int(clock.now * 1000) - 2 * DAY, "kept")
    async with spool_in(tmp_path, clock) as spool:
        c = Course(log, spool, since=30 * 86400)
        await c.start()
        assert c.poller._rows[BACKFILL].state["from"] == c.now() - 3 * DAY
        await c.rest()
        await c.all_arrived()
        clock.advance(10 * 86400)
        log.asked.clear()
        await c.until(lambda: len(log.asked) >= 3)
        assert min(state["since"] for state in log.asked) >= c.now() - 3 * DAY - HOUR


async def test_a_quiet_log_is_idle_and_asked_once_a_poll(tmp_path: Path) -> None:
    clock = FakeClock()
    log = WindowLog(clock)
    async with spool_in(tmp_path, clock) as spool:
        c = Course(log, spool, since=0, trailing_every=300)
        await c.start()
        await c.until(lambda: c.poller.report.state == "idle")
        log.asked.clear()
        end = clock.now + 6 * 3600
        while clock.now < end:
            await c.step()
            assert c.poller.report.well
        assert len(log.asked) < 6 * 3600 / 30 * 1.2
        assert c.poller.report.errors == Counter()


@pytest.mark.parametrize("ahead", [-5 * 86400, -4000, 4000, 5 * 86400])
async def test_a_clock_that_jumps_and_comes_back_leaves_nothing_out(tmp_path: Path, ahead: int) -> None:
    clock = FakeClock()
    log = WindowLog(clock)
    async with spool_in(tmp_path, clock) as spool:
        c = Course(log, spool)
        log.clock = real = FakeClock()  # the time of the API goes on as ever
        await c.start()

        async def follow(polls: int) -> None:
            for _ in range(polls):
                log.add(int(real.now * 1000), f"e{len(log.events)}")
                before = clock.now
                for _ in range(4):
                    name, wait = c.poller._choose()
                    clock.advance(wait + 0.001) if wait > 0 else await attempt(c.poller, name)
                real.advance(clock.now - before)

        await follow(20)
        clock.off = ahead
        await follow(20)
        clock.off = 0
        await follow(20)
        clock.advance(60)
        real.now = clock.now
        await c.rest()
        await c.all_arrived()


@pytest.mark.parametrize(("retention", "before", "ahead"), [(3 * DAY, 20, 9 * 86400), (180 * DAY, 0, 9 * 3600)])
async def test_a_clock_that_was_ahead_leaves_the_tail_where_events_are(
    tmp_path: Path, retention: int, before: int, ahead: int
) -> None:
    clock = FakeClock()
    log = WindowLog(clock, retention_ms=retention)
    async with spool_in(tmp_path, clock) as spool:
        c = Course(log, spool)
        log.clock = FakeClock()  # the time of the API goes on as ever; nothing is added while it stands
        clock.off = 0 if before else ahead
        await c.start()
        for _ in range(before):
            await c.step()
        clock.off = ahead
        for _ in range(20):
            await c.step()
        clock.off = 0
        log.clock = clock
        await c.start()
        await c.until(lambda: c.poller._rows[REREAD].state["begun"] <= c.now())
        await c.until(lambda: c.poller._open_walks() == [TAIL] and c.poller._at_tip)
        began = c.poller._rows[REREAD].state["begun"]
        log.add(c.now() + 1000, "live")
        clock.advance(31)
        await c.until(lambda: c.poller.report.spooled == 1, most=10)
        assert c.poller._rows[REREAD].state["begun"] == began
        assert c.poller._rows[TAIL].state["walk"]["at"] <= c.now()


async def test_events_that_arrive_between_two_pages_do_not_multiply_the_requests(tmp_path: Path) -> None:
    clock = FakeClock()
    log = WindowLog(clock, limit=1000)
    fetch = log.fetch

    async def busy(state: dict[str, Any]) -> Page:
        if state["offset"] and len(log.asked) % 10 < 6 and state["until"] >= c.now():
            log.add(c.now(), f"n{len(log.events)}")
        return await fetch(state)

    log.fetch = busy  # type: ignore[method-assign]
    async with spool_in(tmp_path, clock) as spool:
        c = Course(log, spool, since=600)
        await c.start()
        end = clock.now + 1200
        while clock.now < end:
            if len(log.asked) % 5 == 0:
                log.add(c.now(), f"e{len(log.events)}")
            await c.step()
        looks = {state["until"] for state in log.asked}
        assert 30 < len(looks) < 0.75 * len(log.asked), "it happens between two pages of most looks"
        assert len(log.asked) < 4 * len(looks)
        log.fetch = fetch  # type: ignore[method-assign]
        await c.rest()
        await c.all_arrived()


@pytest.mark.parametrize("empties", [2, 3])
async def test_what_was_seen_of_one_millisecond_is_not_gone_for_an_empty_answer(tmp_path: Path, empties: int) -> None:
    clock = FakeClock()
    log = WindowLog(clock)
    for number in range(15):
        log.add(int(clock.now * 1000) - DAY, f"e{number}")
    fetch, left = log.fetch, [empties]

    async def failing(state: dict[str, Any]) -> Page:
        page = await fetch(state)
        begins = state["until"] - state["since"] == windows.NARROWEST and not state["offset"]
        has_ended = any(one["until"] - one["since"] == windows.NARROWEST and one["offset"] == 15 for one in log.asked)
        if begins and has_ended and page.bodies and left[0]:
            left[0] -= 1
            return Page(bodies=(), keys=(), digests=(), minutes=(), next=state)
        return page

    log.fetch = failing  # type: ignore[method-assign]
    async with spool_in(tmp_path, clock) as spool:
        c = Course(log, spool)
        await c.start()
        await c.rest()
        assert left == [0]
        await c.all_arrived()


async def test_the_last_events_of_a_quiet_log_are_delivered_once_however_long_it_stays_quiet(tmp_path: Path) -> None:
    clock = FakeClock()
    log = WindowLog(clock)
    for number in range(3):
        log.add(int(clock.now * 1000) - number * 60_000, f"e{number}")
    fetch = log.fetch

    async def timed(state: dict[str, Any]) -> Page:
        page = await fetch(state)
        times = [json.loads(body)["t"] / 1000 for body in page.bodies]
        return msgspec.structs.replace(
            page, minutes=[f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M}" for at in times]
        )

    log.fetch = timed  # type: ignore[method-assign]
    async with spool_in(tmp_path, clock, id_retention=14 * 86400, id_memory=1) as spool:
        c = Course(log, spool)
        await c.start()
        for days in (0, 13, 2, 30):
            clock.advance(days * 86400)
            for _ in range(20):
                await spool.clean_up()
                await c.step()
            await c.start()
            await c.rest()
            await c.all_arrived()
        log.add(c.now(), "new")
        await c.rest()
        clock.advance(15 * 86400)
        await spool.clean_up()
        assert (await spool.status()).ids_since_ms is None
        await c.rest()
        await c.all_arrived()


async def test_a_damaged_page_of_the_spool_is_read_again(tmp_path: Path) -> None:
    clock = FakeClock()
    log = WindowLog(clock)
    log.add(int(clock.now * 1000) - HOUR, "e")
    async with spool_in(tmp_path, clock) as spool:
        c = Course(log, spool)
        await c.start()
        await c.until(lambda: c.poller.report.spooled == 1)
        from forwarder.spool.contract import PageCommit
        from forwarder.spool.gap import Gap

        store = c.poller._store
        gap = Gap("damaged_page", source=store._number, from_ms=c.now() - 2 * HOUR, to_ms=c.now())
        await spool.commit(PageCommit(store._number, store._epoch, open_gaps=[gap]))
        await c.start()
        assert c.poller.report.heals == 1
        await c.rest()
        assert HEAL not in c.poller._rows
        assert all(gap.closed_ms for gap in (await spool.status()).gaps)


async def test_a_cursor_that_is_dropped_by_hand_reads_its_window_anew(tmp_path: Path) -> None:
    clock = FakeClock()
    log = WindowLog(clock)
    async with spool_in(tmp_path, clock) as spool:
        c = Course(log, spool)
        await c.start()
        c.poller._reads = True
        for name in (TAIL, BACKFILL):
            assert await c.poller.drop(name, "by hand")
        log.add(c.now(), "e")
        await c.rest()
        assert "dropped" not in c.poller._rows[TAIL].state
        await c.all_arrived()


# ---------------------------------------------------------------------------------------------------------- the parts


def test_a_window_is_halved_down_to_one_step_of_time_and_widens_again() -> None:
    state = windows.begin(0)
    widths = []
    while (window := windows.next_window(state, 10 * DAY)).can_be_halved:
        widths.append(window.until - window.since)
        state = windows.halved(state, window, cap=10)
    assert widths[0] == HOUR
    assert window.until - window.since == windows.NARROWEST
    for _ in range(12):
        window = windows.next_window(state, 10 * DAY)
        state = windows.read(state, window, 2, None, 0)
    assert state["width"] == windows.NARROWEST * 2**12
    wide = windows.read(state, windows.next_window(state, 10 * DAY), 9, None, 0)
    assert wide["width"] == state["width"]  # twice as many would not fit


def test_windows_leave_no_hole_between_them() -> None:
    rng = random.Random(1)
    state, now, ends = windows.begin(1000, 10**7), 10**9, []
    for _ in range(500):
        window = windows.next_window(state, now)
        assert window.since == (ends[-1] if ends else 1000)
        if rng.random() < 0.5:
            state = windows.halved(state, window)
            continue
        ends.append(window.until)
        state = windows.read(state, window, 0, None, 0)
        if window.last:
            break
    assert ends[-1] == 10**7


async def test_no_more_than_so_many_passes_over_a_window_that_never_is_the_same() -> None:
    clock = FakeClock()
    log = WindowLog(clock, limit=2)
    for number in range(3):
        log.add(1, f"e{number}")
    reading, first = Reading(Window(0, 1, last=True)), log.walk(0, 1)
    state, turns = first, 0
    clock.now = 10.0
    while True:
        page = await log.fetch(state)
        what = reading.take(page)
        if what in {"whole", "endless", "halve"}:
            break
        state = first if what == "again" else page.next
        if what == "again":
            turns += 1
            log.add(1, f"more{turns}")
    assert what == "endless"
    assert not reading.is_whole
    assert turns == windows.MOST_PASSES - 1


async def test_a_place_that_holds_is_the_end_of_no_other(tmp_path: Path) -> None:
    clock = FakeClock()
    log = WindowLog(clock)

    async def refused(_: dict[str, Any]) -> Page:
        raise Held("It is wrong.", fix="Correct it.", kind="forbidden")

    async with spool_in(tmp_path, clock) as spool:
        c = Course(log, spool)
        await c.start()
        fetch = log.fetch
        log.fetch = refused  # type: ignore[method-assign]
        for _ in range(20):
            await c.step()
        assert (c.poller.report.state, HEAL in c.poller._rows) == ("held", False)
        log.fetch = fetch  # type: ignore[method-assign]
        await c.rest()


def test_no_window_is_narrower_than_the_step_of_a_source():
    state = windows.begin(0, 10 * DAY)
    while (window := windows.next_window(state, 10 * DAY, 1000)).can_be_halved:
        state = windows.halved(state, window)
    assert window.until - window.since == 1000
    state = windows.read(state, window, 5000, None, 0)
    assert windows.next_window(state, 10 * DAY, 1000).since == 1000
