"""What is written with a window, at the end of a walk and where a place holds it: each cursor, each gap, in one commit."""

from __future__ import annotations

from typing import Any

import pytest

from forwarder.contracts import Held
from forwarder.polling import windows
from forwarder.polling.plan import BACKFILL, HEAL, RECONCILE, REREAD, TAIL
from forwarder.polling.window_cursors import WindowCursors
from tests.polling.pollers import ScriptedSource, page
from tests.polling.test_handover import DAY, HOUR, MINUTE, NOW, Harness, gap
from tests.polling.test_handover import row as stream_row

TEN = 10 * MINUTE
HELD = Held("it is too large", fix="none", kind="too_large")


def row(since: int, until: int | None = None, **more: Any) -> dict[str, Any]:
    walk = {**windows.begin(since, until), **more.pop("walk", {})}
    return {"walk": walk, "from": since, "high": since, "reached": since, **more}


async def harness(cursors: dict[str, dict[str, Any]] | None = None, **more: Any) -> Harness:
    return await Harness(cursors, of=WindowCursors, **more).open()


def cursors(**more: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {TAIL: row(NOW - TEN), REREAD: {"begun": NOW}, **more}


@pytest.mark.parametrize(
    ("since", "tail", "backfill"),
    [(7 * 86400, TEN, 7 * DAY), (601, TEN, 601_000), (600, TEN, None), (60, MINUTE, None)],
)
async def test_the_first_start(since: int, tail: int, backfill: int | None) -> None:
    d = await harness(since=since)
    moves = d.moves()
    assert moves[TAIL].state == row(NOW - tail)
    assert moves[REREAD].state == {"begun": NOW}
    assert (BACKFILL in moves) is (backfill is not None)
    if backfill is not None:
        assert moves[BACKFILL].state == row(NOW - backfill, NOW - tail)
    assert {move.version for move in d.last.moves} == {None}


@pytest.mark.parametrize(("since", "high", "begins"), [(3600, 3 * HOUR, 4 * HOUR), (86400, 3 * HOUR, DAY)])
async def test_a_log_that_is_read_in_another_way_begins_before_where_it_came(
    since: int, high: int, begins: int
) -> None:
    before = {TAIL: stream_row(NOW - DAY, high=NOW - high), HEAL: stream_row(NOW - DAY), REREAD: {"begun": 5}}
    d = await harness(before, since=since)
    moves = d.moves()
    assert moves[TAIL].state == row(NOW - TEN)
    assert moves[BACKFILL].state == row(NOW - begins, NOW - TEN)
    assert (moves[HEAL].state, moves[REREAD].state) == (row(NOW - DAY, NOW), {"begun": NOW})
    versions = {name: move.version for name, move in moves.items()}
    assert versions == {TAIL: 1, HEAL: 2, REREAD: 3, BACKFILL: None}
    assert len(d.last.moves) == 4


@pytest.mark.parametrize(
    ("before", "open_gaps", "backfill", "heal"),
    [
        ({BACKFILL: stream_row(NOW - 12 * DAY, high=NOW - 5 * DAY)}, (), 5 * DAY + HOUR, None),
        ({BACKFILL: stream_row(NOW - 5 * DAY, high=NOW - 5 * DAY)}, (), 5 * DAY, None),
        ({HEAL: stream_row(NOW - 9 * DAY, high=NOW - 2 * DAY)}, (), DAY, 2 * DAY + HOUR),
        ({}, (gap(7, from_ms=NOW - 20 * DAY), gap(8, from_ms=NOW - DAY)), DAY, 20 * DAY),
        ({HEAL: stream_row(NOW - 9 * DAY)}, (gap(7, from_ms=NOW - 3 * DAY),), DAY, 9 * DAY),
    ],
)
async def test_what_another_way_to_read_had_not_finished_is_read_before_a_gap_is_closed(
    before: dict[str, Any], open_gaps: tuple[Any, ...], backfill: int, heal: int | None
) -> None:
    tail = {TAIL: stream_row(NOW - DAY, high=NOW)}
    d = await harness({**tail, **before}, gaps=open_gaps, since=86400)
    moves = d.moves()
    assert moves[BACKFILL].state == row(NOW - backfill, NOW - TEN)
    assert (HEAL in moves) is (heal is not None)
    if heal is not None:
        assert moves[HEAL].state == row(NOW - heal, NOW)


async def test_of_places_the_newest_record_says_nothing_of_the_others() -> None:
    d = await harness({TAIL: {**stream_row(NOW - 6 * DAY, high=NOW), "places": True}}, since=3600)
    assert d.moves()[BACKFILL].state == row(NOW - 6 * DAY, NOW - TEN)


async def test_a_later_start_in_the_same_way_writes_nothing() -> None:
    assert (await harness(cursors())).spool.commits == []


async def test_a_window_is_written_with_the_cursor_behind_it() -> None:
    d = await harness(cursors())
    after = {**d.store.rows[TAIL].state["walk"], "at": NOW - 5, "scan": NOW - 5}
    done = await d.store.page(TAIL, page({}, "a", "b", next=after, newest=NOW - 2, done=True))
    assert (done.committed.new, done.ended, done.high) == (2, False, NOW - 2)
    assert d.moves()[TAIL].state == {**row(NOW - TEN), "walk": after, "high": NOW - 5, "reached": NOW - 2}
    assert (d.last.moves[0].version, d.last.page is not None) == (1, True)
    again = await d.store.page(TAIL, page({}, next=after, done=True))
    assert (again.committed, again.ended, again.high, len(d.spool.commits)) == (None, False, NOW - 2, 1)
    on = await d.store.page(TAIL, page({}, next={**after, "scan": NOW}, newest=NOW - 9))
    assert (on.committed.new, on.high, d.last.page) == (0, NOW - 2, None)


async def test_a_walk_that_is_done_has_ended_and_a_heal_closes_its_gaps() -> None:
    old = row(NOW - DAY, NOW - HOUR)
    d = await harness(cursors(heal=old, backfill=old, trail={**old, "begun": NOW - 7}), gaps=[gap(8)])
    at = {**old["walk"], "at": NOW - HOUR, "scan": NOW - HOUR}
    assert not (await d.store.page(BACKFILL, page({}, "x", next=at, done=False))).ended
    assert d.moves()[BACKFILL].state["walk"] == at
    assert (await d.store.page(BACKFILL, page({}, next=at, done=True))).ended
    assert (d.moves()[BACKFILL].state, d.last.close_gaps) == (None, ())
    assert (await d.store.page(REREAD, page({}, next=at, done=True))).ended
    assert (d.moves()[REREAD].state, d.last.close_gaps) == ({"begun": NOW - 7}, ())
    assert (await d.store.page(HEAL, page({}, "a", next=at, done=True))).ended
    assert (d.moves()[HEAL].state, d.last.close_gaps) == (None, (8,))
    assert not any(d.store.walks(name) for name in (HEAL, BACKFILL, REREAD))
    assert d.store._gaps == []


# ------------------------------------------------------------------------------------------------------- where it stands


async def test_a_window_that_was_too_much_is_narrower_at_that_place_and_no_other() -> None:
    d = await harness(cursors(backfill=row(NOW - DAY, NOW - TEN)))
    stands = d.store.rows[BACKFILL].state
    state, window = d.store.next(BACKFILL, stands)
    assert (window.since, window.until, window.last) == (NOW - DAY, NOW - DAY + HOUR, False)
    assert d.store.narrow(BACKFILL, stands, state, window, 9)
    state, window = d.store.next(BACKFILL, stands)
    assert (window.until - window.since, state["cap"]) == (HOUR // 2, 9)
    assert d.store.next(TAIL, d.store.rows[TAIL].state)[1].until == NOW
    elsewhere = {**stands, "walk": {**stands["walk"], "at": NOW - HOUR, "scan": NOW - HOUR}}
    assert d.store.next(BACKFILL, elsewhere)[0] == elsewhere["walk"]
    narrowest = windows.Window(5, 6, last=False)
    assert not d.store.narrow(TAIL, stands, state, narrowest)
    assert TAIL not in d.store._narrowed


@pytest.mark.parametrize(
    ("since", "scan", "at", "then"),
    [(2, 2, 1, 1), (2, 0.5, 1, 0.5), (1, 1, 1, 1), (0.5, 0.5, 0.5, 0.5)],
)
async def test_no_window_begins_before_what_the_source_keeps(since: float, scan: float, at: float, then: float) -> None:
    source = ScriptedSource(page)
    source.retention_ms = DAY
    stands = row(NOW - int(since * DAY), NOW, walk={"scan": NOW - int(scan * DAY)})
    d = await harness(cursors(backfill=stands), source=source)
    state, window = d.store.next(BACKFILL, stands)
    assert (state["at"], state["scan"], window.since) == tuple(NOW - int(days * DAY) for days in (at, then, then))


async def test_the_tail_is_asked_for_no_further_back_than_the_source_keeps_and_stays_where_it_is() -> None:
    source = ScriptedSource(page)
    source.retention_ms = DAY
    stands = row(NOW - 2 * DAY)
    d = await harness({**cursors(), TAIL: stands}, source=source)
    state, window = d.store.next(TAIL, stands)
    assert (state["at"], state["scan"], window.since) == (NOW - 2 * DAY, NOW - DAY, NOW - DAY)
    d.clock.off = 30 * DAY / 1000
    state, window = d.store.next(TAIL, stands)
    assert (state["at"], window.since) == (NOW - 2 * DAY, NOW + 29 * DAY)
    after = d.store.after(stands, state, windows.Window(window.since, NOW + 30 * DAY, last=True), 0, None)
    assert after["at"] == after["scan"] == NOW - 2 * DAY


@pytest.mark.parametrize("ahead", [1, HOUR, 9 * HOUR, 400 * DAY])
async def test_a_tail_that_was_written_while_the_clock_was_ahead_goes_on_near_now(ahead: int) -> None:
    stands = row(NOW + ahead)
    d = await harness({**cursors(), TAIL: stands})
    state, window = d.store.next(TAIL, stands)
    assert (window.since, window.until, window.last) == (NOW - TEN, NOW, True)
    assert d.store.after(stands, state, window, 0, None)["at"] == NOW - TEN
    assert d.store.narrow(TAIL, stands, state, window, 9)
    assert d.store.next(TAIL, stands)[1] == windows.Window(NOW - TEN, NOW - TEN // 2, last=False)
    history = row(NOW + ahead, NOW + ahead + HOUR)  # what is between two moments stays there
    assert d.store.next(BACKFILL, history)[0] == history["walk"]


async def test_no_clock_leads_before_the_beginning_of_time() -> None:
    d = await harness(cursors())
    d.clock.off = 5 - d.clock.now
    assert d.store.next(TAIL, d.store.rows[TAIL].state)[1].since == 0


@pytest.mark.parametrize(
    ("reached", "newest", "at"),
    [(0, -MINUTE, -MINUTE), (-HOUR, -5, -5), (-HOUR, None, -HOUR), (-HOUR, HOUR, 0), (HOUR, -5, 0)],
)
async def test_the_tail_goes_on_a_stretch_behind_the_newest_that_is_not_of_the_future(
    reached: int, newest: int | None, at: int
) -> None:
    d = await harness(cursors())
    stands = row(NOW - DAY, reached=NOW + (min(reached, at) if newest is None or newest < 0 else reached))
    window = windows.Window(NOW - HOUR, NOW, last=True)
    found = d.store.after(stands, stands["walk"], window, 0, None if newest is None else NOW + newest)
    assert found["at"] == NOW + at - TEN


# --------------------------------------------------------------------------------------------------- the newest again


@pytest.mark.parametrize(
    ("begun", "begins", "since"),
    [
        (HOUR, True, 2 * HOUR),
        (HOUR - 1, False, 0),
        (0, False, 0),
        (-1, True, HOUR),  # the clock was ahead then
        (3 * HOUR, True, 4 * HOUR),
    ],
)
async def test_the_last_overlap_is_read_again_once_in_that_time(begun: int, begins: bool, since: int) -> None:
    d = await harness({**cursors(), REREAD: {"begun": NOW - begun}})
    assert d.store.start_reread() is begins
    assert d.store.walks(REREAD) is begins
    if begins:
        assert d.store.rows[REREAD].state == {**row(NOW - since, NOW), "begun": NOW}
        assert d.store.rows[REREAD].version == 2
        assert not d.store.start_reread()
    assert d.spool.commits == []


async def test_the_stretch_behind_the_tail_is_read_again_where_it_is_longer_than_the_overlap() -> None:
    d = await harness({**cursors(), REREAD: {"begun": NOW - TEN}}, overlap=60)
    assert d.store.start_reread()
    assert d.store.rows[REREAD].state["from"] == NOW - 2 * TEN


# -------------------------------------------------------------------------------------------------------------- misfortune


async def test_a_cursor_that_is_lost_begins_its_window_anew() -> None:
    stands = row(NOW - DAY, NOW, walk={"scan": NOW - HOUR}, dropped="by ann", high=NOW - 7)
    d = await harness(cursors(backfill=stands))
    assert await d.store.lost(BACKFILL, "by ann") is False
    assert d.moves()[BACKFILL].state == row(NOW - DAY, NOW, high=NOW - 7)
    assert d.last.moves[0].version == 3
    assert await d.store.by_time(BACKFILL) is False
    assert d.store.untouched(BACKFILL)


async def test_a_place_that_holds_the_tail_is_left_to_a_heal() -> None:
    d = await harness({**cursors(), TAIL: row(NOW - 2 * HOUR)})
    assert await d.store.set_aside(TAIL, HELD) is True
    beyond = NOW - HOUR
    moves = d.moves()
    assert moves[TAIL].state == row(NOW - 2 * HOUR, walk={"at": beyond, "scan": beyond}, high=beyond)
    assert moves[HEAL].state == row(NOW - 2 * HOUR, beyond)
    assert (moves[TAIL].version, moves[HEAL].version) == (1, None)
    (opened,) = d.last.open_gaps
    assert (opened.cause, opened.detail, opened.source) == ("cursor_lost", "it is too large", 4)
    assert (opened.from_ms, opened.to_ms) == (NOW - 2 * HOUR, beyond)
    assert await d.store.set_aside(HEAL, HELD) is None


@pytest.mark.parametrize("name", [BACKFILL, REREAD])
@pytest.mark.parametrize("until", [HOUR, 2 * HOUR])
async def test_a_walk_that_is_held_in_its_last_window_has_ended(name: str, until: int) -> None:
    begun = {"begun": NOW - 3} if name == REREAD else {}
    d = await harness({**cursors(), name: {**row(NOW - DAY, NOW - DAY + until), **begun}})
    assert await d.store.set_aside(name, HELD) is True
    state = d.moves()[name].state
    if until == 2 * HOUR:
        assert state is not None
        assert state["walk"]["at"] == NOW - DAY + HOUR
    else:
        assert state == ({"begun": NOW - 3} if name == REREAD else None)


@pytest.mark.parametrize(
    ("heal", "scan", "at", "until", "then"),
    [
        ((-30, -20), -22, -24, -20, -24),  # what it has read of it comes again
        ((-30, -20), -25, -30, -20, -25),
        ((-20, -10), -15, -24, -10, -24),
        ((-30, -24), -26, -30, -23, -26),
        ((-30, -20), -24, -30, -20, -24),
    ],
)
async def test_a_heal_on_its_way_takes_the_place_over(
    heal: tuple[int, int], scan: int, at: int, until: int, then: int
) -> None:
    begin, end = (NOW + hours * HOUR for hours in heal)
    stands = row(begin, end, walk={"scan": NOW + scan * HOUR, "width": 77})
    d = await harness({**cursors(), BACKFILL: row(NOW - 24 * HOUR, NOW), HEAL: stands})
    assert await d.store.set_aside(BACKFILL, HELD) is False
    found = d.moves()[HEAL]
    expected = {**stands["walk"], "at": NOW + at * HOUR, "until": NOW + until * HOUR, "scan": NOW + then * HOUR}
    if scan == -22:
        expected["at"] = expected["scan"] = begin
    assert (found.state, found.version) == ({**stands, "walk": expected}, 4)
    (opened,) = d.last.open_gaps  # a place is on record also where another one is being healed
    assert (opened.cause, opened.from_ms, opened.to_ms) == ("cursor_lost", NOW - 24 * HOUR, NOW - 23 * HOUR)


@pytest.mark.parametrize("cause", ["cursor_lost", "damaged_page"])
@pytest.mark.parametrize(
    ("since", "until", "is_known"),
    [(0, HOUR, True), (-5, DAY, True), (1, HOUR - 1, True), (2, HOUR, False), (0, HOUR - 2, False), (HOUR, DAY, False)],
)
async def test_a_place_that_is_met_again_is_on_record_once(cause: Any, since: int, until: int, is_known: bool) -> None:
    place = NOW - DAY
    known = gap(8, cause, from_ms=place + since, to_ms=place + until)
    gaps = [known, gap(9, cause, source=5, from_ms=0, to_ms=NOW), gap(10, cause, from_ms=None, to_ms=NOW)]
    closed = gap(11, cause, from_ms=0, to_ms=NOW, closed_ms=NOW)
    heal = row(place - DAY, NOW)
    d = await harness({**cursors(), BACKFILL: row(place, NOW), HEAL: heal}, gaps=[*gaps, closed])
    assert await d.store.set_aside(BACKFILL, HELD) is False
    assert len(d.last.open_gaps) == (not is_known)


def otherwise() -> dict[str, dict[str, Any]]:
    """Return cursors of a log that was read in one way so far, where all of them are at work."""
    kept = {"walk": {"kept": "one"}}
    reread = {**row(NOW - DAY, NOW, **kept), "begun": NOW - HOUR, "floor": 5}
    front = {"to": NOW - 3 * HOUR, "at": 1, "windows": 7, "unread": 0}
    window = {"pass": 0, "since": NOW - 3 * HOUR, "until": NOW - 2 * HOUR, "asked": NOW}
    again = {**row(NOW - 3 * HOUR, NOW - 2 * HOUR, **kept), "begun": 1, "passes": [front, front], "window": window}
    return {TAIL: row(NOW - TEN, **kept), REREAD: reread, RECONCILE: again}


@pytest.mark.parametrize("name", [REREAD, RECONCILE])
async def test_what_the_tail_has_read_in_another_way_is_not_read_again(name: str) -> None:
    d = await harness(otherwise())
    before = len(d.spool.commits)
    read = page({**d.store.rows[name].state["walk"], "kept": "two"}, "a")
    done = await d.store.page(name, read)
    assert (done.committed, done.ended, len(d.spool.commits)) == (None, True, before)
    assert not d.store.walks(name)
    assert d.store.rows[REREAD].state["floor"] == 5


@pytest.mark.parametrize("kept", ["one", "two", None])
async def test_from_where_the_tail_reads_in_another_way_everything_begins_anew(kept: str | None) -> None:
    d = await harness(otherwise())
    at = NOW - TEN
    walk = {**d.store.rows[TAIL].state["walk"], "kept": kept}
    await d.store.page(TAIL, page(walk, "a", since=at))
    if kept != "two":
        assert set(d.moves()) == {TAIL}
        return
    moves = d.moves()
    assert moves[REREAD].state == {"begun": NOW - HOUR, "floor": at}
    again = moves[RECONCILE].state
    assert again is not None
    assert (again["begun"], [front["to"] for front in again["passes"]]) == (at, [at, at])
    assert "window" not in again
    d.clock.advance(2 * HOUR / 1000)
    assert d.store.start_reread()
    assert (d.store.rows[REREAD].state["from"], d.store.rows[REREAD].state["floor"]) == (at, at)
