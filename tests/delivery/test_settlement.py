"""What is settled is written once: by whoever writes next, also when a write fails, is cut off or overtaken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from forwarder.contracts import Held, Origin, Record, Rejection, SinkConfig
from forwarder.delivery import settlement
from forwarder.delivery.ages import DeliveryAges
from forwarder.delivery.settlement import RETRY_WRITE, STOP_RETRY, TELL_EVERY, Settler, runs
from forwarder.observe.reports import LaneReport
from forwarder.spool.contract import Exchange, Settlement
from forwarder.spool.letter import DeadLetter
from forwarder.testing.waiting import until
from tests.clocks import FakeClock

ORIGIN = Origin("acme", "organization", "org-1")
FULL = Held("the disk is full", fix="make room", kind="disk_full")


def record(seq: int, source: int = 1) -> Record:
    return Record(seq=seq, origin=ORIGIN, id=f"id{seq}", raw=b"{}", body=b"{}", source=source)


def records(*seqs: int) -> list[Record]:
    return [record(seq) for seq in seqs]


class ScriptedSpool:
    """Keeps what it is given; fails as it is told."""

    def __init__(self) -> None:
        self.written: list[Settlement] = []
        self.asked: list[tuple[int, int, int]] = []
        self.left: list[tuple[int, Settlement]] = []
        self.fails: list[BaseException] = []
        self.unreadable = 0
        self.meanwhile: Callable[[], None] = lambda: None
        self.gate: asyncio.Event | None = None

    async def exchange(self, lane: int, notes: Settlement, *, after: int, events: int) -> Exchange:
        self.asked.append((lane, after, events))
        self.meanwhile()
        if self.gate is not None:
            await self.gate.wait()
        if self.fails:
            raise self.fails.pop(0)
        self.written.append(notes)
        return Exchange(5, 9, [], unreadable=self.unreadable)

    async def leave_lane(self, lane: int, notes: Settlement) -> None:
        if self.fails:
            raise self.fails.pop(0)
        self.left.append((lane, notes))


class Harness:
    """A settler over a scripted spool; it sleeps no time at all."""

    def __init__(self, **config: Any) -> None:
        self.spool: Any = ScriptedSpool()
        self.clock = FakeClock()
        self.report = LaneReport("one", "scripted")
        self.slept: list[float] = []
        self.stopped = False
        self.held: list[tuple[str, str, str]] = []
        self.on_sleep: Callable[[], None] = lambda: None
        self.settler = Settler(
            "one",
            SinkConfig(type="scripted", **config),
            spool=self.spool,
            clock=self.clock,
            report=self.report,
            ages=DeliveryAges(self.report, self.clock),
            sleep=self._sleep,
            hold=lambda *state: self.held.append(state),
            redact=lambda words: words.replace("secret", "***"),
        )
        self.settler.lane = 3

    async def _sleep(self, seconds: float) -> bool:
        self.slept.append(seconds)
        self.on_sleep()
        await asyncio.sleep(0)
        return self.stopped

    async def written(self) -> Settlement:
        """Write; return what was written."""
        assert await self.settler.exchange(after=7, events=2) is not None
        return self.spool.written[-1]


async def test_a_doubt_alone_is_waited_for_until_it_is_written() -> None:
    d = Harness()
    d.settler.doubt([(4, 5)], "reset")
    d.spool.fails = [FULL, FULL]
    assert await d.settler.flush(after=0)
    assert d.spool.written[0].doubts == [((4, 5), "reset")]


async def test_everything_noted_is_in_one_settlement_and_counted() -> None:
    d = Harness()
    assert not d.settler
    d.settler.accept(records(4, 1, 2))
    assert d.settler
    d.settler.accept([record(9, source=2)])
    d.settler.confirm([(11, 13), (20, 20)])
    d.settler.record_filtered([30, 31])
    d.settler.doubt([(40, 42), (50, 50)], "reset")
    await d.settler.reject(record(60), Rejection("no", "a secret"))
    notes = await d.written()
    assert sorted(notes.ranges) == [(1, 2), (4, 4), (9, 9), (11, 13), (20, 20), (30, 31), (60, 60)]
    assert notes.filtered == [(30, 31)]
    assert notes.doubts == [((40, 42), "reset"), ((50, 50), "reset")]
    (letter,) = notes.dead_letters
    assert (letter.seq, letter.reason, letter.detail, letter.lane) == (60, "no", "a ***", "one")
    assert letter.at_ms == int(d.clock.time() * 1000)
    report = d.report
    assert (report.accepted, report.filtered, report.doubtful, report.rejected, report.dead_letters) == (8, 2, 4, 1, 1)
    assert report.last_accepted == d.clock.time()
    assert d.spool.asked == [(3, 7, 2)]
    assert not d.settler, "it is written and not noted any more"
    assert (await d.written()) == Settlement()


async def test_nothing_settles_nothing() -> None:
    d = Harness()
    d.settler.accept([])
    d.settler.confirm([])
    assert not d.settler
    assert d.report.last_accepted == 0.0
    d.settler.confirm([(1, 1)])
    assert d.report.last_accepted == d.clock.time()


async def test_letters_that_were_found_damaged_are_counted_with_the_dead() -> None:
    d = Harness()
    d.report.dead_letters = 2
    d.spool.unreadable = 3
    done = await d.settler.exchange(after=0, events=1)
    assert done is not None
    assert (done.position, d.report.dead_letters) == (5, 5)
    assert d.slept == []


async def test_what_could_not_be_written_goes_with_what_is_noted_meanwhile_and_in_its_order() -> None:
    d = Harness()
    d.settler.accept([record(1), record(5, source=2)])
    d.settler.doubt([(2, 2)], "older")
    d.settler.record_filtered([6])
    await d.settler.reject(record(3), Rejection("older"))
    newer = DeadLetter.of(record(4), "newer", "")
    d.spool.fails = [FULL]

    def meanwhile() -> None:
        d.spool.meanwhile = lambda: None
        d.settler.accept([record(7), record(8, source=3)])
        d.settler.record_filtered([9])
        d.settler.doubt([(10, 10)], "newer")
        task = asyncio.ensure_future(d.settler.add_dead_letter(newer))
        tasks.append(task)

    tasks: list[Any] = []
    d.spool.meanwhile = meanwhile
    assert await d.settler.exchange(after=0, events=0) is None
    await tasks[0]
    assert d.held == [("the disk is full", "make room", "disk_full")]
    assert d.slept == [RETRY_WRITE]
    assert d.spool.written == []
    notes = await d.written()
    assert sorted(notes.ranges) == [(1, 1), (3, 3), (4, 4), (5, 5), (6, 6), (7, 8), (9, 9)]
    assert notes.filtered == [(6, 6), (9, 9)]
    assert [letter.reason for letter in notes.dead_letters] == ["older", "newer"]
    assert [cause for _, cause in notes.doubts] == ["older", "newer"]
    assert not d.settler


async def test_a_fault_of_the_spool_that_is_no_hold_goes_up_and_loses_nothing() -> None:
    d = Harness()
    d.settler.accept(records(1))
    d.spool.fails = [RuntimeError("broken")]
    with pytest.raises(RuntimeError):
        await d.settler.exchange(after=0, events=0)
    assert d.held == []
    assert (await d.written()).ranges == [(1, 1)]


async def test_a_lane_that_stops_tries_again_sooner_but_not_without_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settlement, "STOP_RETRY", 0.001)
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(settlement.asyncio, "sleep", noted)
    d = Harness()
    d.stopped = True
    d.spool.fails = [FULL]
    assert await d.settler.exchange(after=0, events=0) is None
    assert 0.001 in pauses
    assert 0 < STOP_RETRY < RETRY_WRITE


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("fails", [False, True])
async def test_a_write_that_is_cut_off_is_waited_for_and_repeated_only_when_it_failed(fails: bool, times: int) -> None:
    d = Harness()
    d.spool.gate = asyncio.Event()
    d.spool.fails = [FULL] if fails else []
    d.settler.accept(records(1, 2))
    writing = asyncio.create_task(d.settler.exchange(after=0, events=0))
    await until(lambda: bool(d.spool.asked))
    for _ in range(times):
        writing.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not writing.done(), "the spool carries it out all the same"
    d.spool.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert bool(d.settler) is fails
    await d.written()
    assert [notes.ranges for notes in d.spool.written if notes] == [[(1, 2)]], "written once, and not twice"


async def test_only_one_writes_at_a_time() -> None:
    d = Harness()
    d.spool.gate = asyncio.Event()
    both = [asyncio.create_task(d.settler.exchange(after=number, events=0)) for number in (1, 2)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert d.spool.asked == [(3, 1, 0)]
    d.spool.gate.set()
    await asyncio.gather(*both)
    assert d.spool.asked == [(3, 1, 0), (3, 2, 0)]


# -------------------------------------------------------------------------------------------------------------- flush


async def test_a_flush_ends_only_after_what_others_were_writing_and_takes_nothing() -> None:
    d = Harness()
    d.spool.gate = asyncio.Event()
    d.settler.accept(records(1))
    other = asyncio.create_task(d.settler.exchange(after=0, events=5))
    await until(lambda: bool(d.spool.asked))
    flush = asyncio.create_task(d.settler.flush(after=4))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not flush.done()
    d.spool.gate.set()
    await other
    assert await flush is True
    assert d.spool.asked == [(3, 0, 5), (3, 4, 0)]


async def test_a_flush_tries_until_it_is_written() -> None:
    d = Harness()
    d.settler.doubt([(1, 1)], "reset")
    d.spool.fails = [FULL, FULL, FULL]
    assert await d.settler.flush(after=4) is True
    assert len(d.spool.asked) == 4
    assert d.spool.written[0].doubts == [((1, 1), "reset")]
    assert len(d.held) == 3


async def test_a_flush_writes_what_was_noted_while_it_wrote() -> None:
    d = Harness()
    d.settler.doubt([(1, 1)], "reset")

    def meanwhile() -> None:
        d.spool.meanwhile = lambda: None
        d.settler.doubt([(2, 2)], "reset")

    d.spool.meanwhile = meanwhile
    assert await d.settler.flush(after=4) is True
    assert [notes.doubts[0][0] for notes in d.spool.written] == [(1, 1), (2, 2)]


async def test_a_stop_ends_a_flush_that_cannot_write_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settlement, "STOP_RETRY", 0)
    d = Harness()
    d.stopped = True
    d.settler.doubt([(1, 1)], "reset")
    d.spool.fails = [FULL] * 5
    assert await d.settler.flush(after=4) is False
    assert len(d.spool.asked) == 1
    assert d.settler
    d.spool.fails = []
    assert await d.settler.flush(after=4) is True, "a stop does not end what can be written"


# ------------------------------------------------------------------------------------------------------- the last one


async def test_the_last_write_gives_everything_and_a_spool_that_cannot_is_said() -> None:
    d = Harness()
    d.settler.accept(records(1))
    await d.settler.leave()
    ((lane, notes),) = d.spool.left
    assert (lane, notes.ranges) == (3, [(1, 1)])
    d.spool.fails = [FULL]
    await d.settler.leave()
    assert d.held == [("the disk is full", "make room", "disk_full")]


# ------------------------------------------------------------------------------------------------------- dead letters


async def test_a_dead_letter_beyond_the_limit_waits_for_room_and_says_what_to_do() -> None:
    d = Harness(max_dead_letters=2)
    waited: list[int] = []

    def look() -> None:
        waited.append(d.settler.waiting)
        if len(waited) == 3:
            d.report.dead_letters -= 1

    d.on_sleep = look
    for seq in (1, 2):
        await d.settler.reject(record(seq), Rejection("no"))
    await d.written()
    assert d.held == []
    d.settler.waiting = 0
    await d.settler.reject(record(3), Rejection("no"))
    assert waited == [1, 1, 1]
    assert set(d.slept) == {RETRY_WRITE}
    assert d.settler.waiting == 0
    reason, fix, _ = d.held[0]
    assert "2 dead letters" in reason
    assert "dead-letters retry --sink one" in fix
    assert (d.report.dead_letters, d.report.rejected) == (2, 3)
    assert [letter.seq for letter in (await d.written()).dead_letters] == [3]


async def test_a_stop_while_a_dead_letter_waits_for_room_notes_and_counts_nothing() -> None:
    d = Harness(max_dead_letters=1)
    d.report.dead_letters = 1
    d.stopped = True
    with capture_logs() as logs:
        await d.settler.reject(record(3), Rejection("no"))
    assert (d.report.rejected, d.report.dead_letters, d.settler.waiting, bool(d.settler), logs) == (0, 1, 0, False, [])


@pytest.mark.parametrize("fails", [False, True])
async def test_what_others_settled_is_written_while_a_dead_letter_waits_for_room(fails: bool) -> None:
    d = Harness(max_dead_letters=1)
    d.report.dead_letters = 1
    d.settler.accept(records(1))
    d.spool.fails = [FULL] if fails else []

    def look() -> None:
        if d.spool.written:
            d.report.dead_letters = 0

    d.on_sleep = look
    await d.settler.reject(record(3), Rejection("no"))
    assert d.spool.written[0].ranges == [(1, 1)]
    assert set(d.spool.asked) == {(3, 0, 0)}, "it takes nothing"
    assert len(d.spool.asked) == (2 if fails else 1)
    assert d.slept == ([RETRY_WRITE, 0, RETRY_WRITE] if fails else [RETRY_WRITE]), "a failed write has waited already"


async def test_a_flood_of_dead_letters_is_a_line_now_and_then_that_counts_them() -> None:
    d = Harness()
    with capture_logs() as logs:
        for seq in range(1, 6):
            await d.settler.reject(record(seq), Rejection(f"no{seq}"))
        d.clock.advance(TELL_EVERY - 1)
        await d.settler.reject(record(6), Rejection("no6"))
        d.clock.advance(1)
        await d.settler.reject(record(7), Rejection("no7"))
        await d.settler.reject(record(8), Rejection("no8"))
        d.clock.advance(TELL_EVERY)
        await d.settler.reject(record(9), Rejection("no9"))
    assert [(line["count"], line["last_id"], line["last_reason"]) for line in logs] == [
        (1, "id1", "no1"),
        (6, "id7", "no7"),
        (2, "id9", "no9"),
    ]


@pytest.mark.parametrize(
    ("numbers", "ranges"),
    [
        ([], []),
        ([4], [(4, 4)]),
        ([4, 5, 6], [(4, 6)]),
        ([4, 6], [(4, 4), (6, 6)]),
        ([1, 2, 4, 5, 6, 9], [(1, 2), (4, 6), (9, 9)]),
        ([6, 4, 5], [(4, 6)]),
        ([1, 4, 3], [(1, 1), (3, 4)]),
    ],
)
def test_numbers_as_ranges(numbers: list[int], ranges: list[tuple[int, int]]) -> None:
    assert runs(numbers) == ranges


@given(st.lists(st.integers(1, 12), unique=True))
def test_ranges_hold_the_numbers_and_no_others_in_whatever_order_they_come(numbers: list[int]) -> None:
    found = runs(numbers)
    assert [seq for first, last in found for seq in range(first, last + 1)] == sorted(numbers)
    assert all(later[0] > earlier[1] + 1 for earlier, later in pairwise(found))
