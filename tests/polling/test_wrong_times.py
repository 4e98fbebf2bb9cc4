"""An event of a wrong time brings no walk forward: what lies between is read, also when the cursor is lost behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.contracts import Page, SourceConfig
from forwarder.polling import progress
from forwarder.polling.plan import BACKFILL, HEAL, TAIL
from tests.clocks import FakeClock
from tests.polling.pollers import page, step
from tests.polling.test_following_properties import Event, Feed, World

HOUR, DAY = 3_600_000, 86_400_000
FUTURE = 10 * 365 * DAY


@dataclass
class Claiming(Feed):
    """A log in which some events claim another time of processing than that at which they stand in it."""

    claims: dict[str, int] = field(default_factory=dict)
    says_end: bool = False

    async def fetch(self, state: dict) -> Page:
        found = await super().fetch(state)
        names = [body.split(b'"')[3].decode() for body in found.bodies]
        times = {event.name: event.processed for event in self.events}
        claimed = [self.claims.get(name, times[name]) for name in names]
        end = sorted(claimed[-3:])[len(claimed[-3:]) // 2] if claimed and self.says_end else None
        return msgspec.structs.replace(found, newest=max(claimed, default=None), stands_at=end)


async def history(folder: Path, wrong: dict[int, int], *, limit: int, days: int = 30, says_end: bool = False) -> World:
    """Return a world whose log has an event every six hours; those of the wrong numbers claim to be so much later."""
    clock = FakeClock()
    feed = Claiming(clock, by_time=False, inclusive=True, tip="unchanged", limit=limit, says_end=says_end)
    begin = int(clock.now * 1000) - days * DAY
    for number, at in enumerate(range(begin, begin + (days - 1) * DAY, 6 * HOUR)):
        feed.events.append(Event(f"e{number:04}", at, at, at))
        if number in wrong:
            feed.claims[f"e{number:04}"] = max(0, at + wrong[number])
    world = World(folder, feed, clock, SourceConfig(type="feed", every=300, since=days * 86_400))
    await world.start()
    return world


async def read_until(world: World, name: str, event: str) -> None:
    while event not in await world.spooled():
        await step(world.poller, name)


@pytest.mark.parametrize("later", [2 * DAY, 20 * DAY, 29 * DAY, FUTURE, -FUTURE], ids=str)
@pytest.mark.parametrize(("limit", "numbers"), [(1, [40]), (1, [40, 41, 42]), (3, [40]), (3, [38, 40, 44]), (7, [41])])
@pytest.mark.parametrize("restarts", [False, True])
async def test_a_backfill_that_loses_its_cursor_behind_one_goes_on_where_it_was(
    tmp_path: Path, later: int, limit: int, numbers: Sequence[int], restarts: bool
) -> None:
    world = await history(tmp_path, dict.fromkeys(numbers, later), limit=limit)
    await read_until(world, BACKFILL, f"e{numbers[-1]:04}")
    assert len(await world.spooled()) < 60, "there is much left to read"
    world.feed.epoch += 1
    if restarts:
        await world.restart()
    await world.settle_down()
    assert sorted(await world.spooled()) == [event.name for event in world.feed.events]
    await world.spool.close()


async def test_a_log_with_one_in_each_page_is_read_as_well_where_its_source_says_where_it_stands(
    tmp_path: Path,
) -> None:
    world = await history(tmp_path, dict.fromkeys(range(0, 120, 4), 15 * DAY), limit=4, says_end=True)
    await read_until(world, BACKFILL, "e0041")
    world.feed.epoch += 1
    await world.settle_down()
    assert sorted(await world.spooled()) == [event.name for event in world.feed.events]
    await world.spool.close()


async def test_a_tail_that_was_down_for_days_and_meets_one_is_healed_from_where_it_was(tmp_path: Path) -> None:
    world = await history(tmp_path, {}, limit=2, days=2)
    await world.settle_down()
    start = int(world.clock.now * 1000)
    world.clock.advance(20 * 86_400)
    late = [Event(f"n{at:03}", *[start + at * 3 * HOUR] * 3) for at in range(150)]
    world.feed.events += late
    world.feed.claims["n005"] = start + 19 * DAY  # type: ignore[attr-defined]
    await world.restart()
    await read_until(world, TAIL, "n005")
    world.feed.epoch += 1
    await step(world.poller, TAIL)
    [gap] = [gap for gap in (await world.spool.status()).gaps if gap.cause == "cursor_lost"]
    assert (gap.from_ms or 0) <= start + 5 * 3 * HOUR, "what may be missing begins there"
    assert HEAL in world.poller._rows
    await world.settle_down()
    assert {event.name for event in late} <= set(await world.spooled())
    await world.spool.close()


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30), st.data())
def test_where_a_walk_stands_is_never_ahead_of_it_for_three_wrong_pages_of_five(steps: list[int], data: st.DataObject):
    at, row, right = 0, progress.begin({}, 0), [0]
    for number, each in enumerate(steps):
        at += each
        wrong = data.draw(st.booleans()) if number % 5 < 3 else False
        row = progress.advance(row, page({}, "a", newest=at + FUTURE if wrong else at), 10**9, 600_000, 300_000)
        right.append(at)
        assert progress.read_up_to(row) <= at
        assert progress.read_up_to(row, FUTURE * 2) == row["high"], "near enough for who looks back as far"
    assert progress.read_up_to(row) >= right[-6] if len(right) > 6 else True


def test_a_row_of_an_earlier_version_knows_only_the_newest() -> None:
    assert progress.read_up_to({"from": 1, "high": 7}) == 7
    assert progress.seen_lately({"from": 1, "high": 7, "reached": 9}, 0) == 9


def test_an_event_of_the_future_is_forgotten_as_the_newest_after_some_pages() -> None:
    row = progress.advance(progress.begin({}, 0), page({}, "a", newest=FUTURE), 10**9, 600_000, 300_000)
    assert progress.seen_lately(row, DAY) == FUTURE
    for at in range(5):
        row = progress.advance(row, page({}, "a", newest=1000 + at), 10**9, 600_000, 300_000)
    assert progress.seen_lately(row, DAY) == 1004
