"""The lanes' side: where they begin, what they take, how they settle, and what is in doubt after a crash."""

from datetime import UTC, datetime

import pytest

from forwarder.contracts import ConfigError
from forwarder.spool.contract import PageCommit, Settlement, SpoolError
from forwarder.spool.letter import DeadLetter
from tests.spool.spools import OTHER, Harness, body_of, bulky, found, names, opened, page_of


@pytest.fixture
async def harness(tmp_path):
    async with opened(tmp_path) as harness:
        yield harness


async def three_pages(harness: Harness) -> None:
    """Numbers 1..10, 11..20, 21..30; an hour between."""
    for prefix in "abc":
        await harness.put(*names(prefix, 10))
        harness.clock.advance(3600)


# -------------------------------------------------------------------------------------------------------- start


@pytest.mark.parametrize(
    ("start", "position"),
    [
        (None, 0),
        ("oldest", 0),
        ("continue", 0),
        ("now", 30),
        ("2026-09-21T14:13:20Z", 0),
        ("2026-09-21T16:13:21+02:00", 10),
        ("2026-09-21T15:30:00", 20),
    ],
)
async def test_where_a_new_lane_begins(harness: Harness, start, position):
    assert harness.clock.now == datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC).timestamp()
    await three_pages(harness)  # read at 14:13:20, 15:13:20 and 16:13:20
    state = await harness.spool.open_lane("elastic", "t", start=start, on_full="pause")
    assert (state.created, state.position, state.doubtful) == (True, position, ())
    line = await harness.line()
    assert (line.spooled, line.waiting, line.balance) == (30 - position, 30 - position, 0)
    assert len(await harness.drain(state.number)) == 30 - position
    line = await harness.line()
    assert (line.accepted, line.waiting, line.balance) == (30 - position, 0, 0)


@pytest.mark.parametrize("start", ["soon", "", "2099-01-01T00:00:00Z"])
async def test_a_start_that_is_no_place_is_refused(harness: Harness, start):
    await harness.put("a")
    with pytest.raises(ConfigError, match=r"sinks\.elastic\.start"):
        await harness.lane(start=start)


async def test_a_changed_target_must_say_where_it_begins(harness: Harness):
    await three_pages(harness)
    lane = await harness.lane()
    await harness.take(lane, 10)
    await harness.settle(lane, (1, 10))
    with pytest.raises(ConfigError, match=r"start: now \| oldest \| <time> \| continue"):
        await harness.lane(target="elsewhere")
    state = await harness.spool.open_lane("elastic", "elsewhere", start="continue", on_full="pause")
    assert (state.position, state.created, state.number) == (10, False, lane)
    state = await harness.spool.open_lane("elastic", "third", start="now", on_full="pause")
    assert (state.position, state.created) == (30, True)
    (gap,) = (await harness.spool.status()).gaps
    assert (gap.cause, gap.lane, gap.first_seq, gap.last_seq, gap.events) == ("lane_forgotten", "elastic", 11, 30, 20)
    line = await harness.line()
    assert (line.spooled, line.balance) == (0, 0)
    state = await harness.spool.open_lane("elastic", "fourth", start="oldest", on_full="pause")
    assert len(await harness.drain(state.number)) == 30
    assert (await harness.line()).balance == 0


async def test_start_is_ignored_when_the_lane_is_known(harness: Harness):
    await three_pages(harness)
    lane = await harness.lane(start="now")
    await harness.put("late")
    state = await harness.spool.open_lane("elastic", "t", start="now", on_full="pause")
    assert (state.number, state.position, state.created) == (lane, 30, False)


# ----------------------------------------------------------------------------------------------- taking, settling


async def test_a_page_can_be_taken_in_parts(harness: Harness):
    await three_pages(harness)
    lane = await harness.lane()
    whole = found(await harness.take(lane))
    after, parts = 0, []
    while chunks := await harness.take(lane, 7, after):
        assert sum(len(chunk.bodies) for chunk in chunks) <= 7
        assert all(len(chunk.keys) == 16 * len(chunk.bodies) for chunk in chunks)
        parts += found(chunks)
        after = chunks[-1].last
    assert parts == whole
    assert len(whole) == 30


async def test_a_big_backlog_is_taken_by_bytes(harness: Harness, monkeypatch):
    monkeypatch.setattr("forwarder.spool.sqlite.exchange.READ_BYTES", 10_000)
    await harness.put(page=bulky("big", 20, 1500))
    lane = await harness.lane()
    after, seen = 0, 0
    while chunks := await harness.take(lane, 100, after):
        size = sum(map(len, found(chunks)))
        assert size <= 10_000 or len(found(chunks)) == 1
        seen, after = seen + len(found(chunks)), chunks[-1].last
    assert seen == 20
    await harness.put(page=bulky("huge", 2, 20_000))
    assert len(found(await harness.take(lane, 100, after))) == 1


async def test_the_position_is_the_longest_settled_prefix(harness: Harness):
    await three_pages(harness)
    lane = await harness.lane()
    await harness.take(lane, 25)
    assert await harness.settle(lane, (5, 8), (20, 25)) == 0
    assert await harness.settle(lane, (2, 4)) == 0
    assert await harness.settle(lane, (1, 1)) == 8
    harness = await harness.reopen()
    lane = await harness.lane()
    (again, *rest) = await harness.take(lane, 2, 8)
    assert (again.first, again.last, rest) == (9, 10, [])
    chunks = await harness.take(lane, 100, 10)
    assert [(chunk.first, chunk.last) for chunk in chunks] == [(11, 20), (21, 30)]
    assert [sorted(chunk.settled) for chunk in chunks] == [[20], [21, 22, 23, 24, 25]]
    assert await harness.settle(lane, (9, 19)) == 25
    assert await harness.settle(lane, (26, 30)) == 30
    line = await harness.line()
    assert (line.accepted, line.waiting, line.balance) == (30, 0, 0)


async def test_what_is_wholly_settled_is_not_handed_out(harness: Harness):
    await three_pages(harness)
    lane = await harness.lane()
    await harness.take(lane)
    await harness.settle(lane, (11, 20))
    assert [chunk.first for chunk in await harness.take(lane)] == [1, 21]


async def test_two_lanes_do_not_know_of_each_other(harness: Harness):
    await three_pages(harness)
    fast, slow = await harness.lane("fast"), await harness.lane("slow")
    assert len(await harness.drain(fast)) == 30
    assert len(found(await harness.take(slow))) == 30
    lags = {lane.name: (lane.lag, lane.oldest_ms) for lane in (await harness.spool.status()).lanes}
    assert lags == {"fast": (0, None), "slow": (30, 1_790_000_000_000)}


async def test_events_of_another_audience_are_nobodys(harness: Harness):
    await harness.put("a")
    await harness.put("b", "c", audience="archive")
    await harness.put("d")
    await harness.put("e", audience="nobody")
    lane, archive = await harness.lane(), await harness.lane("archive")
    assert found(await harness.take(lane)) == [body_of("a"), body_of("d")]
    assert found(await harness.take(archive)) == [body_of(name) for name in "abcd"]
    assert await harness.settle(lane, (4, 4)) == 0
    assert await harness.settle(lane, (1, 1)) == 5
    line, other = await harness.line(), await harness.line("archive")
    assert (line.spooled, line.waiting, line.balance) == (2, 0, 0)
    assert (other.spooled, other.waiting, other.balance) == (4, 4, 0)


async def test_books_are_kept_by_source(harness: Harness):
    await harness.put("a", "b")
    lane = await harness.lane(start="now")
    other = await harness.spool.open_source(OTHER)
    await harness.spool.commit(PageCommit(other.number, other.epoch, page=page_of("x", "y", "z")))
    await harness.put("c")
    chunks = await harness.take(lane)
    assert [chunk.source for chunk in chunks] == [other.number, harness.source.number]
    letter = DeadLetter(4, other.number, "0" * 32, "no", "", b"{}")
    settlement = Settlement(ranges=[(3, 6)], filtered=[(5, 6)], dead_letters=[letter])
    await harness.spool.exchange(lane, settlement, after=6, events=10)
    lines = {line.source: line for line in await harness.spool.books()}
    assert (lines["other"].spooled, lines["other"].rejected, lines["other"].balance) == (3, 1, 0)
    assert (lines["acme"].spooled, lines["acme"].filtered, lines["acme"].balance) == (1, 1, 0)


async def test_a_settlement_taken_in_before_changes_nothing(harness: Harness):
    await three_pages(harness)
    lane = await harness.lane()
    await harness.take(lane)
    for _ in range(2):
        await harness.settle(lane, (3, 9), (20, 20))
    assert (await harness.line()).accepted == 8
    await harness.settle(lane, (1, 2))
    await harness.settle(lane, (3, 9))
    assert (await harness.line()).accepted == 10


@pytest.mark.parametrize("span", [(9, 10), (3, 12), (26, 26), (0, 3)])
async def test_a_settlement_that_cannot_be_is_refused_whole(harness: Harness, span):
    await three_pages(harness)
    lane = await harness.lane()
    await harness.take(lane, 25)
    await harness.settle(lane, (1, 9))
    before = await harness.line()
    with pytest.raises(SpoolError):
        await harness.settle(lane, span)
    assert await harness.line() == before


async def test_an_unknown_lane_is_an_error(harness: Harness):
    with pytest.raises(SpoolError, match="no lane 7"):
        await harness.take(7)


async def test_dead_letters_keep_the_event(harness: Harness):
    await harness.put(*names("a", 3))
    lane = await harness.lane()
    await harness.take(lane)
    letters = [
        DeadLetter(seq, harness.source.number, f"id{seq}", "too_large", "<hostile>", b"as it was sent")
        for seq in (1, 3)
    ]
    settlement = Settlement([(1, 3)], dead_letters=letters)
    await harness.spool.exchange(lane, settlement, after=3, events=0)
    await harness.reopen()
    first, second = await harness.spool.dead_letters()
    assert (first.seq, first.raw, first.lane, first.detail) == (1, body_of("a0"), "elastic", "<hostile>")
    assert first.at_ms == int(harness.clock.now * 1000)
    assert await harness.spool.dead_letters("elastic", limit=1, after=first.number) == [second]
    assert await harness.spool.dead_letters("archive") == []
    assert (await harness.spool.open_lane("elastic", "t", start=None, on_full="pause")).dead_letters == 2
    assert (await harness.line()).rejected == 2


async def test_numbers_are_taken_again_exactly(harness: Harness):
    await three_pages(harness)
    lane = await harness.lane()
    every = found(await harness.take(lane))
    again = await harness.spool.take_again(lane, [(25, 26), (9, 12)])
    assert [(chunk.first, chunk.last) for chunk in again] == [(9, 10), (11, 12), (25, 26)]
    assert found(again) == every[8:12] + every[24:26]
    assert await harness.spool.take_again(lane, [(31, 99)]) == []


# --------------------------------------------------------------------------------------------------------- doubts


async def test_after_a_crash_exactly_what_was_in_flight_is_in_doubt(harness: Harness):
    await three_pages(harness)
    lane = await harness.lane()
    await harness.take(lane, 25)
    await harness.settle(lane, (1, 4), (10, 12))
    await harness.reopen()
    state = await harness.spool.open_lane("elastic", "t", start=None, on_full="pause")
    assert (state.position, state.doubtful) == (4, ((5, 9), (13, 25)))
    doubts = await harness.spool.doubts(lane)
    assert [(doubt.first, doubt.last, doubt.cause) for doubt in doubts] == [(5, 9, "restart"), (13, 25, "restart")]


async def test_after_leaving_in_order_nothing_is_in_doubt(harness: Harness):
    await three_pages(harness)
    lane = await harness.lane()
    await harness.take(lane, 25)
    await harness.spool.leave_lane(lane, Settlement([(1, 4), (10, 12)]))
    await harness.reopen()
    state = await harness.spool.open_lane("elastic", "t", start=None, on_full="pause")
    assert (state.position, state.doubtful) == (4, ())
    assert await harness.spool.doubts(lane) == []
    assert len(await harness.drain(lane)) == 23
    assert (await harness.line()).balance == 0


async def test_doubts_are_merged_and_bounded_but_never_shrink(harness: Harness, monkeypatch):
    monkeypatch.setattr("forwarder.spool.sqlite.lanes._MOST_DOUBTS", 3)
    lane = await harness.lane()
    spans = [(10, 12), (13, 14), (11, 20), (40, 41), (60, 61), (80, 81), (100, 101), (5, 5)]
    for span in spans:
        await harness.spool.exchange(lane, Settlement(doubts=[(span, "timeout")]), after=0, events=0)
    doubts = await harness.spool.doubts(lane)
    assert len(doubts) == 3
    for first, last in spans:
        assert any(doubt.first <= first and last <= doubt.last for doubt in doubts)
    harness.clock.advance(15 * 86_400)
    await harness.spool.clean_up()
    assert await harness.spool.doubts(lane) == []


@pytest.mark.parametrize(
    ("spans", "kept"),
    [
        ([(10, 12), (13, 20)], [(10, 20)]),
        ([(13, 20), (10, 12)], [(10, 20)]),
        ([(10, 12), (14, 20)], [(10, 12), (14, 20)]),
        ([(14, 20), (10, 12)], [(10, 12), (14, 20)]),
        ([(10, 12), (20, 22), (13, 19)], [(10, 22)]),
        ([(10, 12), (20, 22), (14, 18)], [(10, 12), (14, 18), (20, 22)]),
        ([(10, 20), (12, 13)], [(10, 20)]),
        ([(12, 13), (10, 20)], [(10, 20)]),
    ],
)
async def test_what_lies_between_two_doubts_is_in_no_doubt(harness: Harness, spans, kept):
    lane = await harness.lane()
    for span in spans:
        await harness.spool.exchange(lane, Settlement(doubts=[(span, "timeout")]), after=0, events=0)
    assert [(doubt.first, doubt.last) for doubt in await harness.spool.doubts(lane)] == kept


async def test_an_idle_exchange_writes_nothing(harness: Harness):
    await three_pages(harness)
    lane = await harness.lane()
    await harness.drain(lane)
    log = harness.config.path.with_name("spool.db-wal")
    before = log.read_bytes()
    for _ in range(5):
        assert await harness.take(lane, 500, 30) == []
    assert log.read_bytes() == before


async def test_a_doubt_costs_the_same_however_many_there_are(harness: Harness):
    """A storm of half-taken batches leaves thousands of ranges; counted in steps of SQLite, not in time."""
    await harness.put(*names("a", 9000))
    lane = await harness.lane()
    await harness.take(lane)
    steps: list[int] = []

    async def storm(begin: int) -> int:
        steps.clear()
        spans = [((begin + 4 * i, begin + 4 * i), "timeout") for i in range(500)]
        await harness.spool.exchange(lane, Settlement(doubts=spans), after=0, events=0)
        return len(steps)

    await harness.spool._run(lambda parts: parts.database.con.set_progress_handler(lambda: steps.append(1), 100))
    first = await storm(1)
    for begin in (2001, 4001):
        await storm(begin)
    assert await storm(6001) <= 2 * first
    assert len(await harness.spool.doubts(lane)) == 2000
