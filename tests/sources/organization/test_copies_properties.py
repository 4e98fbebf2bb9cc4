"""Equal events without an id are as many events as there are, however pages are cut, and a re-read doubles none."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from forwarder.polling.plan import TAIL
from forwarder.spool.contract import Settlement
from forwarder.spool.sqlite.store import SqliteSpool
from tests.polling.test_reading_on import Course, course
from tests.sources.organization.answers import event, onward
from tests.sources.organization.feeds import START, Log


def body_of(kind: int, at: int, *, timed: bool = True) -> tuple[int, int, str]:
    times = {"time": iso(at), "processedAt": iso(at)} if timed else {}
    return at, at, json.dumps({"attributes": {**times, "action": f"a{kind}"}})


def iso(at_ms: int) -> str:
    return f"2026-05-28T{at_ms // 3_600_000 % 24:02d}:{at_ms // 60_000 % 60:02d}:{at_ms // 1000 % 60:02d}.000Z"


async def bodies_in(spool: SqliteSpool) -> Counter[bytes]:
    lane = await spool.open_lane("all", "memory", start=None, on_full="pause")
    found: Counter[bytes] = Counter()
    keys: list[bytes] = []
    after = 0
    while chunks := (await spool.exchange(lane.number, Settlement(), after=after, events=500)).chunks:
        for chunk in chunks:
            found.update(chunk.bodies)
            keys += [chunk.keys[at : at + 16] for at in range(0, len(chunk.keys), 16)]
        after = chunks[-1].last
    assert len(set(keys)) == len(keys)  # each copy has an id of its own
    return found


async def rest(c: Course) -> None:
    end = c.clock.now + 400  # two trails at least
    await c.until(lambda: c.clock.now > end, 20_000)


EVENTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(1, 5)), min_size=1, max_size=4)


@given(events=EVENTS, limits=st.lists(st.integers(1, 7), min_size=1, max_size=3), by_time=st.booleans())
@example(events=[(0, 0, 3)], limits=[2, 1], by_time=False)
@example(events=[(0, 0, 3)], limits=[500], by_time=False)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
def test_as_many_copies_as_there_are_under_any_split(
    events: list[tuple[int, int, int]], limits: list[int], by_time: bool
) -> None:
    async def play(folder: Path) -> None:
        log = Log(lambda cursor: {"meta": {"next": cursor}}, by_time=by_time)
        for kind, second, count in events:
            log.events += [body_of(kind, START + 99_800_000 + 1000 * second)] * count
        log.events.sort(key=lambda entry: entry[0])
        wanted = Counter(body.encode() for _, _, body in log.events)
        async with course(folder, log) as c:
            for limit in limits:  # pages are cut anew in every life, which reads again from before the last good point
                log.cap = limit
                await c.start(trailing=1200, trailing_every=150)
                await rest(c)
                c.poller._reads = True
                assert await c.poller.drop(TAIL, "by hand")
                await rest(c)
            assert await bodies_in(c.spool) == wanted

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder)))


@pytest.mark.parametrize("timed", [True, False])
async def test_copies_that_come_one_after_the_other_at_the_tip_are_all_kept(tmp_path: Path, timed: bool) -> None:
    log = Log(resumes=True)
    async with course(tmp_path, log) as c:
        await c.start()
        at = int(c.clock.now * 1000) - 1000
        for _ in range(4):
            log.events.append(body_of(0, at, timed=timed))
            await c.until(lambda: c.poller.report.spooled == len(log.events))
        await rest(c)
        assert set((await bodies_in(c.spool)).values()) == {4}


async def test_a_copy_that_becomes_visible_behind_the_cursor_is_found(tmp_path: Path) -> None:
    log = Log(resumes=True)
    async with course(tmp_path, log) as c:
        await c.start()
        at = int(c.clock.now * 1000) - 1000
        log.events += [body_of(0, at), body_of(1, at + 5000)]
        await c.until(lambda: c.poller.report.spooled == 2)
        log.events.insert(0, body_of(0, at))
        await rest(c)
        assert (await bodies_in(c.spool))[body_of(0, at)[2].encode()] == 2


async def test_a_loop_makes_no_new_copies() -> None:
    from tests.sources.organization.answers import harness

    same = event(None)
    async with harness() as d:
        pages = {None: "a", "a": "b", "b": "a"}
        keys: list[set[bytes]] = []
        for _ in range(9):
            found = await d.step(onward(same, same, cursor=pages[d.state["cursor"]]))
            keys.append(set(found.keys))
        assert len(set.union(*keys)) == 6  # three answers, before it is known for a loop
        assert len(set.union(*keys[3:])) == 2


async def test_the_number_of_remembered_copies_is_bounded() -> None:
    from tests.sources.organization.answers import harness

    async with harness() as d:
        for number in range(30):
            odd = [{"attributes": {"action": f"{number}-{i}"}} for i in range(20)]
            await d.step(onward(*odd, cursor=f"c{number}"))
        assert len(json.dumps(d.state)) < 4000
