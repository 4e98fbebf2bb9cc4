"""The limits: a full spool, what gives way, what is forgotten, and space that goes back to the disk."""

from datetime import datetime
from typing import Any

import pytest

from forwarder.contracts import Held
from forwarder.spool.contract import Settlement, SpoolFull, Tally
from forwarder.spool.sqlite import retention
from tests.spool.spools import Desk, bulky, found, move, names, opened

MIB = 2**20


async def fill(desk: Desk, most: int = 100) -> int:
    """Commit pages of about 50 kB until the spool refuses; return how many went in."""
    begin = (await desk.spool.status()).last_seq
    for number in range(most):
        try:
            await desk.put(page=bulky(f"fill{begin}-{number}-"))
        except SpoolFull:
            return number
    return most


@pytest.fixture
async def desk(tmp_path):
    async with opened(tmp_path, max_bytes=MIB) as desk:
        yield desk


async def test_a_full_spool_refuses_events_but_not_cursors(desk: Desk):
    await desk.lane()
    assert 10 < await fill(desk) < 20
    with pytest.raises(SpoolFull) as caught:
        await desk.put(page=bulky("more"), moves=[move("tail", None, at=1)])
    assert (caught.value.kind, isinstance(caught.value, Held)) == ("spool_full", True)
    assert "elastic" in caught.value.reason
    assert "tail" in (await desk.put(moves=[move("tail", None, at=1)])).versions
    status = await desk.spool.status()
    assert status.bytes_used <= MIB
    assert status.bytes_used > 0.9 * MIB


async def test_settled_pages_go_first_and_unsettled_ones_never(desk: Desk):
    lane = await desk.lane()
    held = await fill(desk)
    await desk.take(lane)
    await desk.settle(lane, (1, 50 * (held // 2)))
    more = await fill(desk)
    assert held // 2 - 2 <= more <= held // 2 + 1
    status = await desk.spool.status()
    assert status.first_seq == 50 * (held // 2) + 1
    assert len(await desk.drain(lane)) == 50 * (held - held // 2 + more)
    line = await desk.line()
    assert (line.detached, line.balance) == (0, 0)


async def test_of_what_is_settled_as_much_goes_as_is_needed_and_a_little_more(desk: Desk):
    lane = await desk.lane()
    held = await fill(desk)
    await desk.drain(lane)
    await desk.put(page=bulky("one"))
    first = (await desk.spool.status()).first_seq
    assert 50 < first <= 1 + 50 * 3 < 50 * held, "the rest stays for whoever wants it again"


@pytest.mark.parametrize("more", [0, 1])
async def test_room_for_exactly_what_comes_is_enough(desk: Desk, more: int):
    await desk.lane()
    await desk.put(page=bulky("one"))
    parts: Any = desk.spool._parts  # type: ignore[attr-defined]

    def full() -> bool:
        size = MIB - parts.retention.used() - retention._OVERHEAD
        try:
            parts.retention.make_room(size + more, 0)
        except SpoolFull:
            return True
        return False

    assert await desk.spool._worker.run(full) is bool(more)  # type: ignore[union-attr]


async def test_without_lanes_old_pages_make_room(desk: Desk):
    assert await fill(desk, 40) == 40


async def test_a_page_above_the_limit_is_taken_by_an_empty_spool(desk: Desk):
    lane = await desk.lane()
    assert (await desk.put(page=bulky("giant", 50, 40_000))).new == 50
    with pytest.raises(SpoolFull):
        await desk.put("a")
    assert len(await desk.drain(lane)) == 50
    assert (await desk.put("a")).new == 1


async def test_detach_moves_the_lane_and_says_what_it_missed(desk: Desk):
    lane = await desk.lane(on_full="detach")
    assert await fill(desk, 40) == 40
    status = await desk.spool.status()
    assert status.bytes_used <= MIB
    (gap,) = status.gaps
    line = await desk.line()
    assert (gap.cause, gap.lane, gap.source) == ("detached", "elastic", desk.source.number)
    assert (gap.first_seq, gap.last_seq) == (1, status.first_seq - 1)
    assert gap.events == line.detached == status.first_seq - 1
    assert gap.from_ms is not None
    assert gap.from_ms <= gap.to_ms
    assert (line.spooled, line.balance) == (2000, 0)
    assert len(await desk.drain(lane)) == 2000 - line.detached
    assert (await desk.line()).balance == 0


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
    async with opened(tmp_path, retain=0, forget_lanes_after=60) as desk:
        await desk.lane()
        for page, times in enumerate(pages):
            await desk.put(*((f"{page}-{at}", "", f"2026-01-31T{at}" if at else "") for at in times))
        await desk.reopen()
        desk.clock.advance(3600)
        assert await desk.spool.clean_up() == len(pages)
        (gap,) = (await desk.spool.status()).gaps
        assert gap.events == sum(map(len, pages))
        assert gap.from_ms == (begins and datetime.fromisoformat(f"2026-01-31T{begins}Z").timestamp() * 1000)


async def test_a_lane_that_is_moved_on_loses_no_more_than_what_then_leaves(desk: Desk):
    keeps, detaches = await desk.lane("keeps"), await desk.lane("detaches", on_full="detach")
    for number in range(2):
        await desk.put(page=bulky(f"p{number}-", count=2))
    await desk.settle_taken(keeps)
    assert await fill(desk) < 30
    while True:
        try:
            await desk.put(page=bulky(f"small{(await desk.spool.status()).last_seq}-", count=2))
        except SpoolFull:
            break
    assert (await desk.line("detaches")).detached == 4
    assert (await desk.spool.status()).first_seq == 5
    assert len(await desk.drain(detaches)) == len(await desk.drain(keeps))


async def test_one_lane_that_pauses_keeps_the_events_of_all(desk: Desk):
    await desk.lane("splunk", on_full="detach")
    pausing = await desk.lane(on_full="pause")
    held = await fill(desk)
    assert held < 20
    assert (await desk.spool.status()).gaps == []
    await desk.drain(pausing)
    assert held - 2 <= await fill(desk) <= held + 1
    line, other = await desk.line("splunk"), await desk.line("elastic")
    assert line.detached > 0
    assert other.detached == 0
    assert (line.balance, other.balance) == (0, 0)


async def test_a_lane_between_the_pages_loses_only_what_it_did_not_settle(desk: Desk):
    lane = await desk.lane(on_full="detach")
    await desk.put(page=bulky("first"))
    await desk.put(page=bulky("second"))
    await desk.take(lane)
    await desk.settle(lane, (1, 20), (41, 60))
    await fill(desk, 30)
    line = await desk.line()
    assert (line.accepted, line.balance) == (40, 0)
    assert line.detached == (await desk.spool.status()).first_seq - 1 - 40


async def test_what_was_detached_in_flight_and_arrives_after_all_is_accepted(desk: Desk):
    lane = await desk.lane(on_full="detach")
    await desk.put(page=bulky("first"))
    await desk.put(page=bulky("second"))
    await desk.take(lane, 75)
    await fill(desk, 40)
    detached = (await desk.line()).detached
    assert detached > 100
    position = (await desk.spool.status()).lanes[0].position
    assert await desk.settle(lane, (1, 20), (61, 75)) == position
    line = await desk.line()
    assert (line.accepted, line.detached, line.balance) == (35, detached - 35, 0)
    (gap,) = (await desk.spool.status()).gaps
    assert (gap.events, gap.closed_ms) == (line.detached, None)
    await desk.settle(lane, (1, 20))  # the same once more
    assert await desk.line() == line
    assert (await desk.spool.status()).gaps == [gap]
    assert await desk.spool.take_again(lane, [(21, 30)]) == []


async def test_also_when_it_was_the_first_of_a_page_alone(desk: Desk):
    lane = await desk.lane(on_full="detach")
    await desk.put(page=bulky("first"))
    await desk.take(lane, 1)
    await fill(desk, 40)
    detached = (await desk.line()).detached
    await desk.settle(lane, (1, 1))
    line = await desk.line()
    assert (line.accepted, line.detached, line.balance) == (1, detached - 1, 0)


async def test_a_gap_that_lacks_nothing_any_more_is_closed_and_a_later_one_is_another(desk: Desk):
    lane = await desk.lane(on_full="detach")
    await desk.put(page=bulky("first"))
    await desk.take(lane)
    for number in range(40):
        await desk.put(page=bulky(f"more{number}"))
        if gaps := (await desk.spool.status()).gaps:
            break
    assert [gap.events for gap in gaps] == [50]
    await desk.settle(lane, (1, 30))
    await desk.settle(lane, (31, 50))
    (gap,) = (await desk.spool.status()).gaps
    assert (gap.events, gap.closed_ms) == (0, int(desk.clock.time() * 1000))
    assert (await desk.line()).detached == 0
    for number in range(40):
        await desk.put(page=bulky(f"later{number}"))
    first, second = (await desk.spool.status()).gaps
    assert (first, second.closed_ms, second.events) == (gap, None, (await desk.line()).detached)


async def test_gaps_of_one_outage_are_one_and_of_two_are_two(desk: Desk):
    lane = await desk.lane(on_full="detach")
    await fill(desk, 60)
    await desk.drain(lane)
    desk.clock.advance(60)
    await fill(desk, 60)
    gaps = (await desk.spool.status()).gaps
    assert len(gaps) == 2
    assert gaps[0].last_seq < gaps[1].first_seq
    assert sum(gap.events for gap in gaps) == (await desk.line()).detached


# ------------------------------------------------------------------------------------------------------- clean-up


async def test_events_stay_for_their_retention(tmp_path):
    async with opened(tmp_path, retain=3600) as desk:
        lane = await desk.lane()
        await desk.put("a")
        desk.clock.advance(9000)
        assert await desk.spool.clean_up() == 0  # not settled, however old
        await desk.drain(lane)
        await desk.put("b")
        minutes = 0
        while not await desk.spool.clean_up():
            desk.clock.advance(60)
            minutes += 1
        assert 60 <= minutes <= 62
        assert (await desk.spool.status()).pages == 1


async def test_the_slowest_lane_decides(tmp_path):
    async with opened(tmp_path, retain=0) as desk:
        fast, slow = await desk.lane("fast"), await desk.lane("slow")
        for name in "abc":
            await desk.put(name)
        await desk.drain(fast)
        await desk.take(slow)
        await desk.settle(slow, (1, 1))
        assert await desk.spool.clean_up() == 1
        assert await desk.spool.clean_up() == 0
        await desk.settle(slow, (2, 3))
        assert await desk.spool.clean_up() == 2


async def test_space_goes_back_to_the_disk_in_chunks(tmp_path):
    async with opened(tmp_path, retain=0) as desk:
        lane = await desk.lane()
        for number in range(300):
            await desk.put(page=bulky(f"p{number}-", 20))
        await desk.drain(lane)
        full = (await desk.spool.status()).bytes_file
        assert full > 6 * MIB
        assert await desk.spool.clean_up() == 200
        assert await desk.spool.clean_up() == 100
        while await desk.spool.clean_up():
            pass
        await desk.reopen()
        assert desk.config.path.stat().st_size < full - 4 * MIB
        assert desk.config.path.stat().st_size < 5 * MIB


async def test_a_lane_that_is_gone_pins_for_its_grace_only(tmp_path):
    async with opened(tmp_path, retain=0, forget_lanes_after=86_400) as desk:
        gone, stays = await desk.lane("gone"), await desk.lane("stays")
        await desk.put(*names("a", 5))
        await desk.take(gone)
        await desk.settle(gone, (1, 2), (4, 4))
        await desk.reopen()
        stays = await desk.lane("stays")
        await desk.drain(stays)
        desk.clock.advance(86_399)
        assert await desk.spool.clean_up() == 0
        desk.clock.advance(2)
        assert await desk.spool.clean_up() == 1
        status = await desk.spool.status()
        (gap,) = status.gaps
        assert (gap.cause, gap.lane, gap.first_seq, gap.last_seq, gap.events) == ("lane_forgotten", "gone", 1, 5, 2)
        assert {lane.name: lane.active for lane in status.lanes} == {"gone": False, "stays": True}
        line = await desk.line("gone")
        assert (line.accepted, line.detached, line.waiting, line.balance) == (3, 2, 0, 0)
        await desk.put("b")
        back = await desk.spool.open_lane("gone", "t", start=None, on_full="pause")
        assert (back.number, back.position, back.doubtful) == (gone, 5, ())
        assert len(found(await desk.take(gone))) == 1
        assert (await desk.line("gone")).balance == 0


async def test_a_long_stop_forgets_nobody_who_is_opened_again(tmp_path):
    async with opened(tmp_path, retain=0, forget_lanes_after=86_400) as desk:
        await desk.lane()
        await desk.put(*names("a", 5))
        await desk.spool.close()
        desk.clock.advance(30 * 86_400)
        await desk.reopen()
        assert await desk.spool.clean_up() == 0
        lane = await desk.lane()
        desk.clock.advance(2 * 86_400)
        assert await desk.spool.clean_up() == 0
        assert len(await desk.drain(lane)) == 5


@pytest.mark.parametrize("grace", [600, 3600, 86_400])
async def test_after_a_long_stop_a_lane_has_its_grace_or_an_hour_to_be_opened_whichever_is_less(tmp_path, grace):
    async with opened(tmp_path, retain=0, forget_lanes_after=grace) as desk:
        await desk.lane("gone")
        await desk.put(*names("a", 5))
        await desk.spool.close()
        desk.clock.advance(30 * 86_400)
        await desk.reopen()
        (lane,) = (await desk.spool.status()).lanes
        end = min(grace, 3600)
        assert lane.forgotten_ms == int(desk.clock.time() + end) * 1000
        desk.clock.advance(end)
        assert await desk.spool.clean_up() == 0
        desk.clock.advance(1)
        assert await desk.spool.clean_up() == 1
        (gap,) = (await desk.spool.status()).gaps
        assert (gap.cause, gap.lane, gap.events) == ("lane_forgotten", "gone", 5)


async def test_a_lane_in_use_is_never_forgotten(tmp_path):
    async with opened(tmp_path, retain=0, forget_lanes_after=60) as desk:
        lane = await desk.lane()
        await desk.put("a")
        desk.clock.advance(10_000)
        assert await desk.spool.clean_up() == 0
        desk.clock.advance(30)
        await desk.reopen()  # closed in order just now, so its grace begins now
        assert await desk.spool.clean_up() == 0
        assert len(found(await desk.take(lane))) == 1


async def test_hours_left_follow_the_recent_growth(tmp_path):
    async with opened(tmp_path, max_bytes=64 * MIB, retain=0) as desk:
        lane = await desk.lane()
        assert (await desk.spool.status()).hours_left is None
        for number in range(60):
            await desk.put(page=bulky(f"p{number}-"))
            desk.clock.advance(60)
        hours = (await desk.spool.status()).hours_left  # about 3 MB an hour of 64 MiB
        assert 10 < hours < 30
        await desk.drain(lane)
        assert (await desk.spool.status()).hours_left > hours
        desk.clock.advance(4000)
        assert (await desk.spool.status()).hours_left is None


async def test_ids_have_a_budget_of_their_own(tmp_path):
    async with opened(tmp_path, max_bytes=MIB) as desk:
        lane = await desk.lane()
        for number in range(100):
            await desk.put(*names(f"p{number}-", 500))
            chunks = await desk.take(lane)
            await desk.spool.exchange(
                lane,
                Settlement([(chunks[0].first, chunks[-1].last)], {desk.source.number: Tally(accepted=500)}),
                after=0,
                events=0,
            )
        status = await desk.spool.status()
        assert status.id_bytes > MIB
        assert status.bytes_used <= MIB
        assert status.last_seq == 50_000
