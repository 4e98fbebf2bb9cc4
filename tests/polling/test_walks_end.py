"""A walk ends also where the budget never lets it reach the tip: live events come faster than it can follow them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Self

import pytest

from forwarder.contracts import SourceConfig
from forwarder.net.retry import RequestBudget
from forwarder.polling.plan import BACKFILL, HEAL, REREAD, TAIL
from forwarder.spool.contract import CursorRow
from tests.clocks import FakeClock
from tests.polling.test_following_properties import Event, Feed, World

PLACE = 600.0
"""Seconds between two requests; a page holds one event."""


class Places(RequestBudget):
    """The test gives the places: nobody waits for one, and it says how far they are apart."""

    def wait(self, places: int = 1) -> float:
        return 0.0 * places


class Busy(World):
    """Events happen while it is read, one each `every` seconds; a request takes its place in the budget."""

    every, next_event, numbers = 1000.0, 0.0, 0

    async def __aenter__(self) -> Self:
        await self.start()
        self.budget = self.poller._asker._budget = Places(self.clock)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.spool.close()

    def happen(self, late: float = 0.0) -> None:
        now = int(self.clock.now * 1000)
        self.numbers += 1
        self.feed.events.append(Event(f"e{self.numbers}", int(now - late * 1000), now, now))

    async def request(self, place: float = PLACE) -> str:
        """Ask once; return for which cursor."""
        self.budget.per_minute = 60 / place
        self.clock.advance(place)
        while self.next_event <= self.clock.now:
            self.next_event += self.every
            self.happen()
        await self.poller._drop_by_hand()
        name, wait = self.poller._choose()
        if wait <= 0 and await self.poller._asker.may_ask(name):
            await self.poller._request(name)
            return name
        return ""


def busy(folder: Path, *, by_time: bool, every: float, **config: float) -> Self:
    clock = FakeClock()
    feed = Feed(clock, by_time=by_time, inclusive=True, tip="fresh", limit=1)
    made = {"every": 30, "since": 86_400, "trailing": 600, "trailing_every": 86_400 * 30, **config}
    world = Busy(folder, feed, clock, SourceConfig.model_validate({"type": "feed", **made}))
    world.next_event, world.every = clock.now, every
    for number in range(100):
        moment = int((clock.now - 700 - number * 800) * 1000)
        feed.events.append(Event(f"h{number}", moment, moment, 0))
    return world


@pytest.mark.parametrize("by_time", [False, True])
@pytest.mark.parametrize("part", [0.55, 0.7, 1.5])
async def test_history_ends_where_the_tail_takes_more_than_half_or_all(
    tmp_path: Path, part: float, by_time: bool
) -> None:
    async with busy(tmp_path, by_time=by_time, every=PLACE / part) as world:
        begun = world.clock.now
        asked: Counter[str] = Counter()
        while BACKFILL in world.poller._rows:
            asked[await world.request()] += 1
            if asked.total() == 5:
                world.happen(late=3 * 3600)  # before the tail began, and processed after
            assert asked.total() < 3000, world.poller._rows
        found = Counter(await world.spooled())
        assert {name for name in found if name.startswith("h")} == {f"h{number}" for number in range(100)}
        assert max(found.values()) == 1
        late = next(event for event in world.feed.events if event.processed - event.time == 3 * 3_600_000)
        assert late.name in found
        assert world.poller._rows[TAIL].state["from"] >= int((begun - 700) * 1000), "the tail is still its own"
        assert asked[TAIL] >= asked[BACKFILL]


async def test_a_heal_that_never_reaches_the_tip_ends_and_closes_its_gap(tmp_path: Path) -> None:
    async with busy(tmp_path, by_time=False, every=PLACE / 0.7, since=0, overlap=7200) as world:
        for _ in range(60):
            await world.request()
        world.feed.epoch += 1
        while HEAL not in world.poller._rows:
            await world.request()
        known = [event.name for event in world.feed.events if not event.name.startswith("h")]
        for _ in range(3000):
            if HEAL not in world.poller._rows:
                break
            await world.request()
        status = await world.spool.status()
        assert [(gap.cause, gap.closed_ms is not None) for gap in status.gaps] == [("cursor_lost", True)]
        assert set(known) <= set(await world.spooled())


async def test_a_walk_that_the_budget_lets_reach_the_tip_becomes_the_tail(tmp_path: Path) -> None:
    async with busy(tmp_path, by_time=False, every=PLACE / 0.1, since=8_000) as world:
        began = world.poller._rows[BACKFILL].state["from"]
        for _ in range(1000):
            if BACKFILL not in world.poller._rows:
                break
            await world.request()
        assert world.poller._rows[TAIL].state["from"] == began


@pytest.mark.parametrize("name", ["backfill:march", REREAD])
async def test_a_walk_with_an_end_of_its_own_ends_there_and_becomes_nothing(tmp_path: Path, name: str) -> None:
    async with busy(tmp_path, by_time=False, every=PLACE, since=0) as world:
        store = world.poller._store
        since = int((world.clock.now - 86_400) * 1000)
        until = since + 7_200_000
        store.rows[name] = CursorRow(name, {**store._walk(since), "until": until}, 0)
        tail = world.poller._rows[TAIL].state["from"]
        for _ in range(200):
            if not store.walks(name):
                break
            await world.request()
        assert (store.walks(name), world.poller._rows[TAIL].state["from"]) == (False, tail)
        inside = {event.name for event in world.feed.events if since <= event.processed <= until}
        assert inside <= set(await world.spooled())
        outside = {event.name for event in world.feed.events if event.name[0] == "h"} - inside
        assert len(outside & set(await world.spooled())) <= 1, "one page may go beyond it"


async def test_history_is_read_and_ends_at_a_third_of_the_limit_beside_the_rereads(tmp_path: Path) -> None:
    """What is read again every five minutes costs as much as all requests: it is their share that it gets."""
    place = 12.0
    async with busy(
        tmp_path, by_time=False, every=3 * place, trailing=600, trailing_every=300, since=80_000, overlap=7200
    ) as world:
        began = world.poller._rows[BACKFILL].state["from"]
        asked: Counter[str] = Counter()
        while BACKFILL in world.poller._rows:
            asked[await world.request(place)] += 1
            assert asked.total() < 1500, asked
        assert world.poller._rows[TAIL].state["from"] == began
        assert asked[REREAD] > 0
        assert asked[BACKFILL] > 3 * asked[REREAD]
        assert {f"h{number}" for number in range(99)} <= set(await world.spooled())
