"""The limits: a full spool, what gives way, what is forgotten, and space that goes back to the disk."""

from datetime import datetime
from typing import Any

import pytest

from forwarder.contracts import Held
from forwarder.spool.contract import Settlement, SpoolFull
from forwarder.spool.sqlite import retention
from tests.spool.spools import Harness, bulky, found, move, names, opened

MIB = 2**20


async def fill(harness: Harness, most: int = 100) -> int:
    """Commit pages of about 50 kB until the spool refuses; return how many went in."""
    begin = (await harness.spool.status()).last_seq
    for number in range(most):
        try:
            await harness.put(page=bulky(f"fill{begin}-{number}-"))
        except SpoolFull:
            return number
    return most


@pytest.fixture
async def harness(tmp_path):
    async with opened(tmp_path, max_bytes=MIB) as harness:
        yield harness


async def test_a_full_spool_refuses_events_but_not_cursors(harness: Harness):
    await harness.lane()
    assert 10 < await fill(harness) < 20
    with pytest.raises(SpoolFull) as caught:
        await harness.put(page=bulky("more"), moves=[move("tail", None, at=1)])
    assert (caught.value.kind, isinstance(caught.value, Held)) == ("spool_full", True)
    assert "elastic" in caught.value.reason
    assert "tail" in (await harness.put(moves=[move("tail", None, at=1)])).versions
    status = await harness.spool.status()
    assert status.bytes_used <= MIB
    assert status.bytes_used > 0.9 * MIB


async def test_settled_pages_go_first_and_unsettled_ones_never(harness: Harness):
    lane = await harness.lane()
    held = await fill(harness)
    await harness.take(lane)
    await harness.settle(lane, (1, 50 * (held // 2)))
    more = await fill(harness)
    assert held // 2 - 2 <= more <= held // 2 + 1
    status = await harness.spool.status()
    assert status.first_seq == 50 * (held // 2) + 1
    assert len(await harness.drain(lane)) == 50 * (held - held // 2 + more)
    line = await harness.line()
    assert (line.detached, line.balance) == (0, 0)


async def test_of_what_is_settled_as_much_goes_as_is_needed_and_a_little_more(harness: Harness):
    lane = await harness.lane()
    held = await fill(harness)
    await harness.drain(lane)
    await harness.put(page=bulky("one"))
    first = (await harness.spool.status()).first_seq
    assert 50 < first <= 1 + 50 * 3 < 50 * held, "the rest stays for whoever wants it again"


@pytest.mark.parametrize("more", [0, 1])
async def test_room_for_exactly_what_comes_is_enough(harness: Harness, more: int):
    await harness.lane()
    await harness.put(page=bulky("one"))
    parts: Any = harness.spool._parts  # type: ignore[attr-defined]

    def full() -> bool:
        size = MIB - parts.retention.used() - retention._OVERHEAD
        try:
            parts.retention.make_room(size + more, 0)
        except SpoolFull:
            return True
        return False

    assert await harness.spool._worker.run(full) is bool(more)  # type: ignore[union-attr]


async def test_without_lanes_old_pages_make_room(harness: Harness):
    assert await fill(harness, 40) == 40


async def test_a_page_above_the_limit_is_taken_by_an_empty_spool(harness: Harness):
    lane = await harness.lane()
    assert (await harness.put(page=bulky("giant", 50, 40_000))).new == 50
    with pytest.raises(SpoolFull):
        await harness.put("a")
    assert len(await harness.drain(lane)) == 50
    assert (await harness.put("a")).new == 1


async def test_detach_moves_the_lane_and_says_what_it_missed(harness: Harness):
    lane = await harness.lane(on_full="detach")
    assert await fill(harness, 40) == 40
    status = await harness.spool.status()
    assert status.bytes_used <= MIB
    (gap,) = status.gaps
    line = await harness.line()
    assert (gap.cause, gap.lane, gap.source) == ("detached", "elastic", harness.source.number)
    assert (gap.first_seq, gap.last_seq) == (1, status.first_seq - 1)
    assert gap.events == line.detached == status.first_seq - 1
    assert gap.from_ms is not None
    assert gap.from_ms <= gap.to_ms
    assert (line.spooled, line.balance) == (2000, 0)
    assert len(await harness.drain(lane)) == 2000 - line.detached
    assert (await harness.line()).balance == 0


@pytest.mark.parametrize(
    ("pages", "begins"),
    [
        ([["12:05", "11:58", "", "12:00"]], "11:58"),
        ([["12:05"], ["11:58", "12:30"]], "11:58"),
        ([["11:58", "12:30"], ["12:05"]], "11:58"),
        ([["12:05"], [""]], None),
        ([[""], ["12:05"]], None),
    ],
)
async def test_a_gap_begins_at_the_oldest_event_it_lacks_and_nowhere_when_a_page_does_not_say(tmp_path, pages, begins):
    async with opened(tmp_path, retain=0, forget_lanes_after=60) as harness:
        await harness.lane()
        for page, times in enumerate(pages):
            await harness.put(*((f"{page}-{at}", "", f"2026-01-31T{at}" if at else "") for at in times))
        await harness.reopen()
        harness.clock.advance(3600)
        assert await harness.spool.clean_up() == len(pages)
        (gap,) = (await harness.spool.status()).gaps
        assert gap.events == sum(map(len, pages))
        assert gap.from_ms == (begins and datetime.fromisoformat(f"2026-01-31T{begins}Z").timestamp() * 1000)


@pytest.mark.parametrize("pages", [1, 2])
async def test_a_lane_that_is_moved_on_loses_no_more_than_what_then_leaves(harness: Harness, pages: int):
    keeps, detaches = await harness.lane("keeps"), await harness.lane("detaches", on_full="detach")
    for number in range(pages):
        await harness.put(page=bulky(f"p{number}-", count=2))
    await harness.settle_taken(keeps)
    assert await fill(harness) < 30
    while True:
        try:
            await harness.put(page=bulky(f"small{(await harness.spool.status()).last_seq}-", count=2))
        except SpoolFull:
            break
    assert (await harness.line("detaches")).detached == 2 * pages
    assert (await harness.spool.status()).first_seq == 2 * pages + 1
    assert len(await harness.drain(detaches)) == len(await harness.drain(keeps))


async def test_one_lane_that_pauses_keeps_the_events_of_all(harness: Harness):
    await harness.lane("splunk", on_full="detach")
    pausing = await harness.lane(on_full="pause")
    held = await fill(harness)
    assert held < 20
    assert (await harness.spool.status()).gaps == []
    await harness.drain(pausing)
    assert held - 2 <= await fill(harness) <= held + 1
    line, other = await harness.line("splunk"), await harness.line("elastic")
    assert line.detached > 0
    assert other.detached == 0
    assert (line.balance, other.balance) == (0, 0)


async def test_a_lane_between_the_pages_loses_only_what_it_did_not_settle(harness: Harness):
    lane = await harness.lane(on_full="detach")
    await harness.put(page=bulky("first"))
    await harness.put(page=bulky("second"))
    await harness.take(lane)
    await harness.settle(lane, (1, 20), (41, 60))
    await fill(harness, 30)
    line = await harness.line()
    assert (line.accepted, line.balance) == (40, 0)
    assert line.detached == (await harness.spool.status()).first_seq - 1 - 40


async def test_what_was_detached_in_flight_and_arrives_after_all_is_accepted(harness: Harness):
    lane = await harness.lane(on_full="detach")
    await harness.put(page=bulky("first"))
    await harness.put(page=bulky("second"))
    await harness.take(lane, 75)
    await fill(harness, 40)
    detached = (await harness.line()).detached
    assert detached > 100
    position = (await harness.spool.status()).lanes[0].position
    assert await harness.settle(lane, (1, 20), (61, 75)) == position
    line = await harness.line()
    assert (line.accepted, line.detached, line.balance) == (35, detached - 35, 0)
    (gap,) = (await harness.spool.status()).gaps
    assert (gap.events, gap.closed_ms) == (line.detached, None)
    await harness.settle(lane, (1, 20))  # the same once more
    assert await harness.line() == line
    assert (await harness.spool.status()).gaps == [gap]
    assert await harness.spool.take_again(lane, [(21, 30)]) == []


async def test_what_was_detached_in_flight_is_remembered_no_longer_than_it_can_arrive(harness: Harness):
    """Else the spool would grow with every outage."""
    lane = await harness.lane(on_full="detach")
    await harness.put(page=bulky("first"))
    await harness.take(lane)
    await fill(harness, 40)

    async def remembered() -> int:
        parts: Any = harness.spool._parts  # type: ignore[attr-defined]
        return await harness.spool._run(
            lambda _: parts.database.con.execute("SELECT count(*) FROM overtaken").fetchone()[0]
        )

    assert await remembered()
    await harness.reopen()
    await harness.lane(on_full="detach")
    assert not await remembered()


async def test_also_when_it_was_the_first_of_a_page_alone(harness: Harness):
    lane = await harness.lane(on_full="detach")
    await harness.put(page=bulky("first"))
    await harness.take(lane, 1)
    await fill(harness, 40)
    detached = (await harness.line()).detached
    await harness.settle(lane, (1, 1))
    line = await harness.line()
    assert (line.accepted, line.detached, line.balance) == (1, detached - 1, 0)


async def test_a_gap_that_lacks_nothing_any_more_is_closed_and_a_later_one_is_another(harness: Harness):
    lane = await harness.lane(on_full="detach")
    gaps: list[Any] = []
    for number in range(40):
        await harness.put(page=bulky(f"some{number}"))
        if gaps := (await harness.spool.status()).gaps:
            break
        await harness.take(lane)
    [lacks] = [gap.events for gap in gaps]
    assert lacks
    await harness.settle(lane, (1, lacks - 20))
    await harness.settle(lane, (lacks - 19, lacks))
    (gap,) = (await harness.spool.status()).gaps
    assert (gap.events, gap.closed_ms) == (0, int(harness.clock.time() * 1000))
    assert (await harness.line()).detached == 0
    for number in range(40):
        await harness.put(page=bulky(f"later{number}"))
    first, second = (await harness.spool.status()).gaps
    assert (first, second.closed_ms, second.events) == (gap, None, (await harness.line()).detached)


async def test_gaps_of_one_outage_are_one_and_of_two_are_two(harness: Harness):
    lane = await harness.lane(on_full="detach")
    await fill(harness, 60)
    await harness.drain(lane)
    harness.clock.advance(60)
    await fill(harness, 60)
    gaps = (await harness.spool.status()).gaps
    assert len(gaps) == 2
    assert gaps[0].last_seq < gaps[1].first_seq
    assert sum(gap.events for gap in gaps) == (await harness.line()).detached


# ------------------------------------------------------------------------------------------------------- clean-up


async def test_events_stay_for_their_retention(tmp_path):
    async with opened(tmp_path, retain=3600) as harness:
        lane = await harness.lane()
        await harness.put("a")
        harness.clock.advance(9000)
        assert await harness.spool.clean_up() == 0  # not settled, however old
        await harness.drain(lane)
        await harness.put("b")
        minutes = 0
        while not await harness.spool.clean_up():
            harness.clock.advance(60)
            minutes += 1
        assert 60 <= minutes <= 62
        assert (await harness.spool.status()).pages == 1


async def test_the_slowest_lane_decides(tmp_path):
    async with opened(tmp_path, retain=0) as harness:
        fast, slow = await harness.lane("fast"), await harness.lane("slow")
        for name in "abc":
            await harness.put(name)
        await harness.drain(fast)
        await harness.take(slow)
        await harness.settle(slow, (1, 1))
        assert await harness.spool.clean_up() == 1
        assert await harness.spool.clean_up() == 0
        await harness.settle(slow, (2, 3))
        assert await harness.spool.clean_up() == 2


async def test_space_goes_back_to_the_disk_in_chunks(tmp_path):
    async with opened(tmp_path, retain=0) as harness:
        lane = await harness.lane()
        for number in range(300):
            await harness.put(page=bulky(f"p{number}-", 20))
        await harness.drain(lane)
        full = (await harness.spool.status()).bytes_file
        assert full > 6 * MIB
        assert await harness.spool.clean_up() == 200
        assert await harness.spool.clean_up() == 100
        while await harness.spool.clean_up():
            pass
        await harness.reopen()
        assert harness.config.path.stat().st_size < full - 4 * MIB
        assert harness.config.path.stat().st_size < 5 * MIB


async def test_a_lane_that_is_gone_pins_for_its_grace_only(tmp_path):
    async with opened(tmp_path, retain=0, forget_lanes_after=86_400) as harness:
        gone, stays = await harness.lane("gone"), await harness.lane("stays")
        await harness.put(*names("a", 5))
        await harness.take(gone)
        await harness.settle(gone, (1, 2), (4, 4))
        await harness.reopen()
        stays = await harness.lane("stays")
        await harness.drain(stays)
        harness.clock.advance(86_399)
        assert await harness.spool.clean_up() == 0
        harness.clock.advance(2)
        assert await harness.spool.clean_up() == 1
        status = await harness.spool.status()
        (gap,) = status.gaps
        assert (gap.cause, gap.lane, gap.first_seq, gap.last_seq, gap.events) == ("lane_forgotten", "gone", 1, 5, 2)
        assert {lane.name: lane.active for lane in status.lanes} == {"gone": False, "stays": True}
        line = await harness.line("gone")
        assert (line.accepted, line.detached, line.waiting, line.balance) == (3, 2, 0, 0)
        await harness.put("b")
        back = await harness.spool.open_lane("gone", "t", start=None, on_full="pause")
        assert (back.number, back.position, back.doubtful) == (gone, 5, ())
        assert len(found(await harness.take(gone))) == 1
        assert (await harness.line("gone")).balance == 0


async def test_a_long_stop_forgets_nobody_who_is_opened_again(tmp_path):
    async with opened(tmp_path, retain=0, forget_lanes_after=86_400) as harness:
        await harness.lane()
        await harness.put(*names("a", 5))
        await harness.spool.close()
        harness.clock.advance(30 * 86_400)
        await harness.reopen()
        assert await harness.spool.clean_up() == 0
        lane = await harness.lane()
        harness.clock.advance(2 * 86_400)
        assert await harness.spool.clean_up() == 0
        assert len(await harness.drain(lane)) == 5


@pytest.mark.parametrize("grace", [600, 3600, 86_400])
async def test_after_a_long_stop_a_lane_has_its_grace_or_an_hour_to_be_opened_whichever_is_less(tmp_path, grace):
    async with opened(tmp_path, retain=0, forget_lanes_after=grace) as harness:
        await harness.lane("gone")
        await harness.put(*names("a", 5))
        await harness.spool.close()
        harness.clock.advance(30 * 86_400)
        await harness.reopen()
        (lane,) = (await harness.spool.status()).lanes
        end = min(grace, 3600)
        assert lane.forgotten_ms == int(harness.clock.time() + end) * 1000
        harness.clock.advance(end)
        assert await harness.spool.clean_up() == 0
        harness.clock.advance(1)
        assert await harness.spool.clean_up() == 1
        (gap,) = (await harness.spool.status()).gaps
        assert (gap.cause, gap.lane, gap.events) == ("lane_forgotten", "gone", 5)


async def test_a_lane_in_use_is_never_forgotten(tmp_path):
    async with opened(tmp_path, retain=0, forget_lanes_after=60) as harness:
        lane = await harness.lane()
        await harness.put("a")
        harness.clock.advance(10_000)
        assert await harness.spool.clean_up() == 0
        harness.clock.advance(30)
        await harness.reopen()  # closed in order just now, so its grace begins now
        assert await harness.spool.clean_up() == 0
        assert len(found(await harness.take(lane))) == 1


async def test_hours_left_follow_the_recent_growth(tmp_path):
    async with opened(tmp_path, max_bytes=64 * MIB, retain=0) as harness:
        lane = await harness.lane()
        assert (await harness.spool.status()).hours_left is None
        for number in range(60):
            await harness.put(page=bulky(f"p{number}-"))
            harness.clock.advance(60)
        hours = (await harness.spool.status()).hours_left  # about 3 MB an hour of 64 MiB
        assert 10 < hours < 30
        await harness.drain(lane)
        assert (await harness.spool.status()).hours_left > hours
        harness.clock.advance(4000)
        assert (await harness.spool.status()).hours_left is None


async def test_ids_have_a_budget_of_their_own(tmp_path):
    async with opened(tmp_path, max_bytes=MIB) as harness:
        lane = await harness.lane()
        for number in range(100):
            await harness.put(*names(f"p{number}-", 500))
            chunks = await harness.take(lane)
            await harness.spool.exchange(
                lane,
                Settlement([(chunks[0].first, chunks[-1].last)]),
                after=0,
                events=0,
            )
        status = await harness.spool.status()
        assert status.id_bytes > MIB
        assert status.bytes_used <= MIB
        assert status.last_seq == 50_000
