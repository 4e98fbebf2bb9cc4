"""What is written with a page, at the end of a walk and after a loss: each cursor, each gap, in one commit."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from forwarder.contracts import Held, SourceConfig
from forwarder.polling.handover import HandOver
from forwarder.spool.contract import Committed, CursorMove, CursorRow, PageCommit, SourceState, SpoolFull
from forwarder.spool.gap import Gap
from tests.clocks import FakeClock
from tests.polling.pollers import ScriptedSource, page

DAY, HOUR, MINUTE = 86_400_000, 3_600_000, 60_000
OLDEST_MS = 180 * DAY
TAIL, HEAL, BACKFILL, TRAIL = "tail", "heal", "backfill", "trail"


class ByTime(ScriptedSource):
    """A source that can go on without a cursor."""

    def by_time(self, walk: Mapping[str, Any], from_ms: int) -> dict[str, Any]:
        return {"by_time": dict(walk), "since": from_ms}


class ScriptedSpool:
    """Keeps every commit; versions rise by one."""

    def __init__(self, cursors: dict[str, dict[str, Any]], gaps: list[Gap], known_as: str | None) -> None:
        self.cursors = {name: CursorRow(name, state, number) for number, (name, state) in enumerate(cursors.items(), 1)}
        self.gaps = gaps
        self.known_as = known_as
        self.version = 10
        self.commits: list[PageCommit] = []
        self.fails: list[Exception] = []
        self.tried = 0

    async def open_source(self, _: Any, *, configured: Any = ()) -> SourceState:
        return SourceState(4, 7, self.cursors, self.known_as)

    async def status(self) -> Any:
        return SimpleNamespace(gaps=self.gaps)

    async def gaps_that_matter(self) -> list[Gap]:
        return self.gaps

    async def commit(self, commit: PageCommit) -> Committed:
        self.tried += 1
        if self.fails:
            raise self.fails.pop(0)
        self.commits.append(commit)
        versions = {}
        for move in commit.moves:
            self.version += 1
            stored = self.cursors.get(move.name)
            assert move.version == (stored.version if stored else None), f"fenced: {move.name}"
            self.cursors = {**self.cursors, move.name: CursorRow(move.name, move.state or {}, self.version)}
            if move.state is None:
                del self.cursors[move.name]
            if move.state is not None:
                versions[move.name] = self.version
        gaps = tuple(100 + at for at in range(len(commit.open_gaps)))
        return Committed(len(commit.page.bodies) if commit.page else 0, 0, 0, 0, versions, gaps)


class Harness:
    """The cursors of a source as a spool has them; trailing is ten minutes, overlap an hour."""

    def __init__(
        self,
        cursors: dict[str, dict[str, Any]] | None = None,
        *,
        gaps: list[Gap] | None = None,
        known_as: str | None = None,
        source: ScriptedSource | None = None,
        of: Any = HandOver,
        **config: Any,
    ) -> None:
        self.clock = FakeClock()
        self.now = int(self.clock.time() * 1000)
        self.spool: Any = ScriptedSpool(cursors or {}, gaps or [], known_as)
        self.refused: list[Held] = []
        self.source = source or ScriptedSource(page)
        made = {"since": 7 * 86400, "overlap": 3600, "trailing": 600, "trailing_every": 300, **config}
        self.store = of(
            self.source,
            SourceConfig(type="scripted", reconcile="off", **made),
            spool=self.spool,
            clock=self.clock,
            refused=self._refused,
        )

    async def _refused(self, error: Held) -> None:
        self.refused.append(error)

    async def open(self) -> Harness:
        await self.store.open(())
        return self

    @property
    def last(self) -> PageCommit:
        return self.spool.commits[-1]

    def moves(self) -> dict[str, CursorMove]:
        """Return the moves of the last commit, each of which is now where the store says it is."""
        for move in self.last.moves:
            row = self.store.rows.get(move.name)
            assert (row.state if row else None) == move.state
        return {move.name: move for move in self.last.moves}


def row(since: int, *, walk: Any = None, high: int | None = None, **more: Any) -> dict[str, Any]:
    """Return a row of a walk that began at `since` and came as far as `high`."""
    begun = {"walk": 0, "from": since}
    high = since if high is None else high
    walk = {"walk": 0, "from": since, "n": 3} if walk is None else walk
    return {"walk": walk, "from": since, "high": high, "reached": high, "marks": [[since, begun]], **more}


def gap(number: int, cause: Any = "cursor_lost", source: int | None = 4, **more: Any) -> Gap:
    return Gap(cause=cause, source=source, number=number, opened_ms=1_700_000_000_000, **more)


NOW = Harness().now


# ------------------------------------------------------------------------------------------------------ the first start


@pytest.mark.parametrize(
    ("since", "tail", "backfill"),
    [
        (7 * 86400, 600_000, 7 * DAY),
        (601, 600_000, 601_000),
        (600, 600_000, None),
        (60, 60_000, None),
        (0, 0, None),
        (180 * 86400, 600_000, OLDEST_MS),
    ],
)
async def test_the_first_start_begins_near_now_and_reads_history_behind_it(
    since: float, tail: int, backfill: int | None
) -> None:
    d = await Harness(since=since).open()
    moves = d.moves()
    assert [(move.name, move.version) for move in d.last.moves] == [
        (name, None) for name in ([TAIL] if backfill is None else [TAIL, BACKFILL])
    ]
    for name, back in ((TAIL, tail), (BACKFILL, backfill)):
        if back is not None:
            state = moves[name].state
            assert state is not None
            began = d.now - back
            assert state["walk"]["from"] == began
            assert (state["from"], state["high"], state["reached"]) == (began, began, began)
            assert state["marks"] == [[began, state["walk"]]]
            assert d.store.untouched(name)
    assert (d.last.source, d.last.epoch, d.last.page) == (4, 7, None)


async def test_a_later_start_goes_on_where_the_spool_says_and_names_a_source_that_was_renamed() -> None:
    with capture_logs() as logs:
        d = await Harness({TAIL: row(NOW - HOUR), TRAIL: {"begun": 5}}, known_as="before").open()
    assert d.spool.commits == []
    assert [(line["event"], line["known_as"]) for line in logs] == [("source_renamed", "before")]
    assert [d.store.walks(name) for name in (TAIL, HEAL, BACKFILL, TRAIL)] == [True, False, False, False]
    assert not d.store.untouched(TAIL)
    with capture_logs() as logs:
        await Harness({TAIL: row(NOW)}).open()
    assert logs == []


def test_a_walk_is_untouched_until_it_moved() -> None:
    d = Harness()
    begun = {"walk": 0, "from": 5}
    for state, untouched in (
        (row(5, walk=begun), True),
        (row(5), False),
        ({**row(5, walk=begun), "marks": [[5, begun], [9, {"n": 1}]]}, False),
    ):
        d.store.rows[TAIL] = CursorRow(TAIL, state, 1)
        assert d.store.untouched(TAIL) is untouched


async def test_what_a_person_dropped_is_kept_with_the_cursor() -> None:
    d = await Harness({TAIL: row(NOW)}).open()
    assert d.store.dropped(TAIL) == d.store.dropped(HEAL) == ""
    await d.store.note_dropped(TAIL, "by ann")
    (move,) = d.last.moves
    assert (move.version, move.state) == (1, {**row(NOW), "dropped": "by ann"})
    assert (d.store.dropped(TAIL), d.store.rows[TAIL].version) == ("by ann", 11)
    d.store.rows[TRAIL] = CursorRow(TRAIL, row(NOW), 0)
    await d.store.note_dropped(TRAIL, "by ann")
    assert d.last.moves[0].version is None, "it is not in the spool yet"


# ------------------------------------------------------------------------------------------------------------- a page


async def test_a_page_and_its_cursor_are_one_commit_and_an_empty_one_that_leads_nowhere_is_none() -> None:
    d = await Harness({TAIL: row(NOW - HOUR)}).open()
    state = d.store.rows[TAIL].state["walk"]
    made = page(state, "a", "b", newest=NOW - MINUTE, done=False, more=True)
    done = await d.store.page(TAIL, made)
    assert (done.ended, done.high, done.heals) == (False, NOW - MINUTE, False)
    assert done.committed is not None
    move = d.moves()[TAIL]
    assert (move.version, d.last.page, d.last.close_gaps) == (1, made, ())
    assert move.state is not None
    assert (move.state["walk"], move.state["high"], move.state["from"]) == (made.next, NOW - MINUTE, NOW - HOUR)
    assert d.store.rows[TAIL].version == 11
    done = await d.store.page(TAIL, page(made.next))
    assert (done.committed, done.ended, len(d.spool.commits)) == (None, False, 1)
    await d.store.page(TAIL, page(made.next, next={"n": 99}, done=False))
    assert (d.last.page, d.moves()[TAIL].version) == (None, 11)


@pytest.mark.parametrize(
    "refusals",
    [
        [SpoolFull("full", fix="x", kind="spool_full")],
        [Held("disk", fix="x", kind="disk_full"), SpoolFull("full", fix="x", kind="spool_full")],
    ],
)
async def test_a_page_that_finds_no_room_is_kept_and_offered_again(refusals: list[Exception]) -> None:
    d = await Harness({TAIL: row(NOW - HOUR)}).open()
    d.spool.fails = list(refusals)
    made = page(d.store.rows[TAIL].state["walk"], "a")
    await d.store.page(TAIL, made)
    assert d.refused == refusals
    assert (d.spool.tried, d.last.page) == (len(refusals) + 1, made)


# ------------------------------------------------------------------------------------------------------ a walk's end


@pytest.mark.parametrize("name", [HEAL, BACKFILL])
async def test_a_walk_that_reached_the_tip_becomes_the_tail(name: str) -> None:
    tail, walk = (
        row(NOW - HOUR, high=NOW),
        row(NOW - DAY, high=NOW - MINUTE, near=NOW - 2 * MINUTE, tip=True, dropped="x"),
    )
    d = await Harness({TAIL: tail, name: walk, TRAIL: {"begun": NOW - 5 * MINUTE}}, gaps=[gap(3)]).open()
    done = await d.store.page(name, page(walk["walk"]))
    assert done.ended
    moves = d.moves()
    assert set(moves) == {name, TAIL, TRAIL}
    assert (moves[name].state, moves[name].version) == (None, 2)
    assert (moves[TRAIL].state, moves[TRAIL].version) == ({"begun": NOW - 2 * MINUTE}, 3)
    assert moves[TAIL].version == 1
    assert moves[TAIL].state is not None
    assert {**moves[TAIL].state, "marks": 0} == {**row(NOW - DAY, high=NOW - MINUTE), "marks": 0}
    assert d.last.close_gaps == (3,)
    assert not d.store.walks(name)


@pytest.mark.parametrize("since", [NOW - HOUR, NOW - HOUR + 1])
async def test_a_walk_that_covers_no_more_than_the_tail_does_not_replace_it(since: int) -> None:
    d = await Harness({TAIL: row(NOW - HOUR), HEAL: row(since, near=NOW)}).open()
    await d.store.page(HEAL, page(d.store.rows[HEAL].state["walk"]))
    moves = d.moves()
    assert set(moves) == {HEAL, TRAIL}
    assert moves[TRAIL].version is None, "there was none"


async def test_the_end_of_a_walk_that_still_gave_events_is_made_sure_of() -> None:
    d = await Harness({TAIL: row(NOW - HOUR), HEAL: row(NOW - DAY)}).open()
    walk = d.store.rows[HEAL].state["walk"]
    done = await d.store.page(HEAL, page(walk, "a", done=True, newest=NOW))
    assert not done.ended
    state = d.store.rows[HEAL].state
    assert state["tip"] is True
    done = await d.store.page(HEAL, page(state["walk"], "b", done=True))
    assert done.ended
    assert not d.store.walks(HEAL)
    assert d.last.page is not None, "its events come with the end"


async def test_a_gap_is_closed_by_the_walk_that_reads_it_again_and_by_no_other() -> None:
    cursors = {TAIL: row(NOW - HOUR), HEAL: row(NOW - DAY, near=NOW), BACKFILL: row(NOW - 2 * DAY, near=NOW)}
    gaps = [gap(3), gap(5, closed_ms=1), gap(6, source=9), gap(7, cause="detached"), gap(8)]
    d = await Harness(cursors, gaps=gaps).open()
    await d.store.page(BACKFILL, page(d.store.rows[BACKFILL].state["walk"]))
    assert d.last.close_gaps == ()
    await d.store.page(HEAL, page(d.store.rows[HEAL].state["walk"]))
    assert d.last.close_gaps == (3, 8)
    d.store.rows[HEAL] = d.spool.cursors[HEAL] = CursorRow(HEAL, row(NOW - DAY, near=NOW), 30)
    await d.store.page(HEAL, page(d.store.rows[HEAL].state["walk"]))
    assert d.last.close_gaps == (), "closed once"


@pytest.mark.parametrize("name", [HEAL, BACKFILL])
@pytest.mark.parametrize("wrong", [NOW - 6 * HOUR, NOW - MINUTE, NOW, NOW + MINUTE, NOW + 400 * DAY])
@pytest.mark.parametrize("high", [NOW - 100 * DAY, NOW - MINUTE])
async def test_an_event_of_a_wrong_time_ends_no_walk(name: str, wrong: int, high: int) -> None:
    """Where the log is in order of when events happened, one that was processed only now is such an event as well."""
    walk = row(NOW - 150 * DAY, high=high, begun=NOW - 3 * DAY)
    d = await Harness({TAIL: row(NOW - 3 * DAY, high=NOW - MINUTE), name: walk}, gaps=[gap(3)]).open()

    async def read(*newest: int | None) -> list[bool]:
        ended = []
        for each in newest:
            state = d.store.rows[name].state["walk"]
            ended.append((await d.store.page(name, page(state, f"e{each}", newest=each, more=True))).ended)
        return ended

    old = NOW - 99 * DAY
    assert not any(await read(wrong, old, wrong, None, wrong, wrong, old, wrong, wrong))
    assert d.last.close_gaps == ()
    assert await read(old, NOW - HOUR, NOW - HOUR, NOW - HOUR) == [False, False, False, True]
    assert not d.store.walks(name)
    assert d.last.close_gaps == (3,)


async def test_a_walk_that_ends_while_a_reread_is_on_its_way_lets_all_of_that_be_read_again() -> None:
    trail = row(NOW - HOUR, begun=NOW - 9 * MINUTE, until=NOW - 8 * MINUTE)
    d = await Harness({TAIL: row(NOW - HOUR), HEAL: row(NOW - DAY, near=NOW), TRAIL: trail}).open()
    await d.store.page(HEAL, page(d.store.rows[HEAL].state["walk"]))
    assert d.moves()[TRAIL].state == {"begun": NOW - 9 * MINUTE}
    trail["until"], trail["floor"] = NOW - 20 * MINUTE, NOW - 15 * MINUTE
    d = await Harness({TAIL: row(NOW - HOUR), HEAL: row(NOW - DAY, near=NOW), TRAIL: trail}).open()
    await d.store.page(HEAL, page(d.store.rows[HEAL].state["walk"]))
    assert d.moves()[TRAIL].state == {"begun": NOW - 20 * MINUTE}


@pytest.mark.parametrize(
    ("newest", "done", "ended"),
    [(NOW - MINUTE, False, False), (NOW - MINUTE + 1, False, True), (None, True, True), (None, False, False)],
)
async def test_a_reread_ends_beyond_what_the_tail_had_read(newest: int | None, done: bool, ended: bool) -> None:
    trail = row(NOW - HOUR, begun=NOW - 5 * MINUTE, until=NOW - MINUTE)
    d = await Harness({TAIL: row(NOW - HOUR), TRAIL: trail}, gaps=[gap(3)]).open()
    made = await d.store.page(TRAIL, page(trail["walk"], "a", newest=newest, done=done))
    assert made.ended is ended
    move = d.moves()[TRAIL]
    assert (move.version, d.last.close_gaps) == (2, ())
    assert d.last.page is not None
    if ended:
        assert move.state == {"begun": NOW - 5 * MINUTE, "floor": NOW - 5 * MINUTE}
    else:
        assert move.state is not None
        assert (move.state["begun"], move.state["until"]) == (trail["begun"], trail["until"])


async def test_a_tail_that_has_a_cursor_again_after_a_walk_by_time_lets_a_heal_see_to_that_stretch() -> None:
    tail = row(NOW - DAY, high=NOW - MINUTE, by_time=NOW - 3 * HOUR)
    d = await Harness({TAIL: tail}).open()
    done = await d.store.page(TAIL, page(tail["walk"], "a", newest=NOW))
    assert done.heals
    moves = d.moves()
    assert set(moves) == {TAIL, HEAL}
    assert moves[TAIL].state is not None
    assert "by_time" not in moves[TAIL].state
    assert moves[TAIL].state["high"] == NOW
    assert moves[HEAL].version is None
    assert moves[HEAL].state is not None
    assert moves[HEAL].state["from"] == NOW - 4 * HOUR
    assert d.last.page is not None


@pytest.mark.parametrize("why", ["still by time", "a heal is on its way", "not the tail"])
async def test_no_heal_begins_for_a_walk_by_time_where_it_has_no_sense(why: str) -> None:
    name = BACKFILL if why == "not the tail" else TAIL
    cursors = {TAIL: row(NOW - DAY)} | {name: row(NOW - DAY, by_time=NOW - 3 * HOUR)}
    if why == "a heal is on its way":
        cursors[HEAL] = row(NOW - 2 * DAY)
    d = await Harness(cursors).open()
    done = await d.store.page(name, page({"n": 3}, "a", newest=NOW - HOUR, done=False, by_time=why == "still by time"))
    assert not done.heals
    assert set(d.moves()) == {name}


# ------------------------------------------------------------------------------------------------------ a lost cursor


@pytest.mark.parametrize(
    ("since", "high", "back"),
    [
        (NOW - DAY, NOW - 2 * HOUR, NOW - 3 * HOUR),
        (NOW - DAY, NOW + HOUR, NOW - HOUR),
        (NOW - 2 * HOUR, NOW - 90 * MINUTE, NOW - 2 * HOUR),
    ],
)
async def test_a_lost_tail_goes_on_near_now_and_a_heal_reads_again_from_before_it(
    since: int, high: int, back: int
) -> None:
    d = await Harness({TAIL: row(since, high=high)}).open()
    assert await d.store.lost(TAIL, "refused") is True
    moves = d.moves()
    assert set(moves) == {TAIL, HEAL}
    assert (moves[TAIL].version, moves[HEAL].version) == (1, None)
    states = {name: move.state for name, move in moves.items()}
    assert (states[TAIL]["from"], states[TAIL]["high"]) == (NOW - 10 * MINUTE, NOW - 10 * MINUTE)
    assert (states[HEAL]["from"], states[HEAL]["walk"]["from"]) == (back, back)
    (opened,) = d.last.open_gaps
    assert (opened.cause, opened.detail, opened.source) == ("cursor_lost", "refused", 4)
    assert (opened.from_ms, opened.to_ms) == (min(high, NOW), NOW), "no gap begins in the future"
    d.store.rows[HEAL].state["near"] = NOW
    await d.store.page(HEAL, page(states[HEAL]["walk"]))
    assert d.last.close_gaps == (100,)


@pytest.mark.parametrize(
    ("heal", "moved"), [(NOW - 2 * DAY, False), (NOW - 3 * HOUR, False), (NOW - 3 * HOUR + 1, True)]
)
async def test_a_tail_lost_while_a_heal_is_on_its_way_moves_that_back_only_where_it_began_later(
    heal: int, moved: bool
) -> None:
    d = await Harness({TAIL: row(NOW - DAY, high=NOW - 2 * HOUR), HEAL: row(heal, high=NOW)}).open()
    assert await d.store.lost(TAIL, "refused") is False
    moves = d.moves()
    assert set(moves) == ({TAIL, HEAL} if moved else {TAIL})
    assert d.last.open_gaps == () or list(d.last.open_gaps) == []
    if moved:
        assert moves[HEAL].version == 2
        assert moves[HEAL].state is not None
        assert moves[HEAL].state["from"] == NOW - 3 * HOUR


@pytest.mark.parametrize("name", [HEAL, BACKFILL])
async def test_a_lost_walk_begins_again_an_overlap_before_where_it_was_without_a_gap(name: str) -> None:
    d = await Harness({TAIL: row(NOW), name: row(NOW - 5 * DAY, high=NOW - 2 * DAY)}).open()
    assert await d.store.lost(name, "refused") is False
    (move,) = d.last.moves
    assert (move.name, move.version) == (name, 2)
    assert move.state is not None
    assert (move.state["from"], move.state["high"]) == (NOW - 2 * DAY - HOUR,) * 2
    assert list(d.last.open_gaps) == []


async def test_a_lost_reread_begins_again_and_costs_no_write() -> None:
    trail = row(NOW - HOUR, high=NOW - MINUTE, begun=NOW - 5 * MINUTE, until=NOW - MINUTE)
    d = await Harness({TAIL: row(NOW), TRAIL: trail}).open()
    assert await d.store.lost(TRAIL, "refused") is False
    assert d.spool.commits == []
    state = d.store.rows[TRAIL].state
    assert (state["from"], state["high"], state["begun"], state["until"]) == (
        NOW - HOUR, NOW - HOUR, NOW - 5 * MINUTE, NOW - MINUTE,
    )  # fmt: skip
    assert d.store.rows[TRAIL].version == 2


async def test_no_walk_begins_before_what_the_api_keeps() -> None:
    old = row(NOW - OLDEST_MS - DAY, high=NOW - OLDEST_MS - HOUR)
    d = await Harness({TAIL: old}).open()
    await d.store.lost(TAIL, "refused")
    state = d.moves()[HEAL].state
    assert state is not None
    assert state["from"] == state["walk"]["from"] == NOW - OLDEST_MS


# ------------------------------------------------------------------------------------------ a place it cannot get past


@pytest.mark.parametrize(
    ("kind", "high", "beyond"),
    [
        ("too_large", NOW - HOUR, NOW),
        ("no_cursor", NOW - HOUR, NOW - HOUR + 1),
        ("no_cursor", NOW - DAY, NOW),
        ("no_cursor", NOW + HOUR, NOW),
    ],
)
async def test_a_tail_goes_on_beyond_a_place_and_leaves_it_to_the_heal(kind: Any, high: int, beyond: int) -> None:
    tail = row(NOW - DAY, high=high)
    d = await Harness({TAIL: tail}).open()
    assert await d.store.set_aside(TAIL, Held("too much", fix="x", kind=kind)) is True
    moves = d.moves()
    assert (moves[TAIL].version, moves[HEAL].version, moves[HEAL].state) == (1, None, tail)
    assert moves[TAIL].state is not None
    assert moves[TAIL].state["from"] == beyond
    (opened,) = d.last.open_gaps
    assert (opened.cause, opened.detail, opened.from_ms, opened.to_ms) == ("cursor_lost", "too much", high, NOW)
    assert opened.source == 4


@pytest.mark.parametrize(("heal", "taken"), [(NOW - HOUR, False), (NOW - HOUR + 1, True), (NOW - DAY, False)])
async def test_a_heal_on_its_way_takes_the_place_over_only_when_it_is_beyond_it(heal: int, taken: bool) -> None:
    tail = row(NOW - DAY, high=NOW - HOUR)
    d = await Harness({TAIL: tail, HEAL: row(NOW - DAY, high=heal)}).open()
    assert await d.store.set_aside(TAIL, Held("x", fix="x", kind="too_large")) is False
    moves = d.moves()
    assert set(moves) == ({TAIL, HEAL} if taken else {TAIL})
    if taken:
        assert (moves[HEAL].version, moves[HEAL].state) == (2, tail)
    assert list(d.last.open_gaps) == []


async def test_a_reread_leaves_a_place_to_a_heal_and_waits_where_there_is_none() -> None:
    trail = row(NOW - HOUR, begun=NOW - 5 * MINUTE, until=NOW - 7 * MINUTE)
    held = Held("x", fix="x", kind="too_large")
    d = await Harness({TAIL: row(NOW), TRAIL: trail}).open()
    assert await d.store.set_aside(TRAIL, held) is None
    assert d.spool.commits == []
    d = await Harness({TAIL: row(NOW), TRAIL: trail, HEAL: row(NOW - DAY)}).open()
    assert await d.store.set_aside(TRAIL, held) is False
    (move,) = d.last.moves
    assert (move.name, move.version) == (TRAIL, 2)
    assert move.state == {"begun": NOW - 5 * MINUTE, "floor": NOW - 7 * MINUTE}
    for name in (HEAL, BACKFILL):
        d.store.rows[name] = CursorRow(name, row(NOW - DAY), 5)
        assert await d.store.set_aside(name, held) is None


@pytest.mark.parametrize("high", [NOW - HOUR, NOW + HOUR])
async def test_a_walk_goes_on_by_time_from_what_it_read_last_where_the_source_can(high: int) -> None:
    tail = row(NOW - DAY, high=high)
    d = await Harness({TAIL: tail}).open()
    assert await d.store.by_time(TAIL) is False
    assert d.spool.commits == []
    d = await Harness({TAIL: tail}, source=ByTime(page)).open()
    assert await d.store.by_time(TAIL) is True
    (move,) = d.last.moves
    assert move.version == 1
    assert move.state == {**tail, "walk": {"by_time": tail["walk"], "since": min(high, NOW)}}


# ------------------------------------------------------------------------------------------------------ damaged pages


def damaged(number: int, **more: Any) -> Gap:
    return gap(number, "damaged_page", **more)


@pytest.mark.parametrize(
    ("gaps", "since"),
    [
        ([damaged(1, from_ms=NOW - DAY, to_ms=NOW)], NOW - DAY),
        ([damaged(1, from_ms=NOW - HOUR), damaged(2, from_ms=NOW - DAY)], NOW - DAY),
        ([damaged(1, to_ms=NOW - DAY)], NOW - DAY - HOUR),
        ([damaged(1, from_ms=NOW - DAY), damaged(2, to_ms=NOW - DAY)], NOW - DAY - HOUR),
        ([damaged(1)], NOW - OLDEST_MS),
    ],
)
async def test_what_a_damaged_page_held_is_read_again(gaps: list[Gap], since: int) -> None:
    d = await Harness({TAIL: row(NOW)}, gaps=[*gaps, damaged(9, closed_ms=5), damaged(10, source=2)]).open()
    with capture_logs() as logs:
        assert await d.store.heal_damage() is True
    assert [(line["event"], line["gaps"]) for line in logs] == [("damaged_page_is_read_again", len(gaps))]
    (move,) = d.last.moves
    assert (move.name, move.version) == (HEAL, None)
    assert move.state is not None
    assert move.state["from"] == since
    assert await d.store.heal_damage() is False, "it is on its way"
    d.store.rows[HEAL].state["near"] = NOW
    await d.store.page(HEAL, page(move.state["walk"]))
    assert d.last.close_gaps == tuple(one.number for one in gaps)


async def test_nothing_is_read_again_when_nothing_is_damaged() -> None:
    d = await Harness({TAIL: row(NOW)}, gaps=[gap(1)]).open()
    assert await d.store.heal_damage() is False
    assert d.spool.commits == []
