"""The same events under ever new cursors are noticed, and a walk over known ground is not taken for that."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.polling.plan import BACKFILL, HEAL, REREAD, TAIL
from forwarder.polling.recurrence import Recurrence
from tests.clocks import FakeClock
from tests.polling.pollers import KEYS, ScriptedSource, attempt, page, poller_of, spool_in, spooled
from tests.polling.test_places import live
from tests.polling.test_reading_on import course, names
from tests.sources.organization.feeds import START, Log

NOW = START + 100_000_000

# ------------------------------------------------------------------------------------------------------ the one walk


def observe(walk: Recurrence, pages: list[list[str]], *, new: int = 0, **more: Any) -> list[bool]:
    """Let the walk read these pages, each under a new cursor; return which of them it has had before."""
    found, state = [], {"walk": 1, "n": 0}
    for idents in pages:
        answer = page(state, *idents, more=True, **more)
        found.append(walk.observe(state, answer, new=new, high=0))
        state = answer.next
    return found


def stretch(first: int, count: int) -> list[str]:
    return [f"e{number}" for number in range(first, first + count)]


@given(length=st.integers(1, 40), size=st.integers(3, 20), shift=st.integers(0, 19))
def test_a_circle_of_any_length_is_seen_whatever_the_borders_of_its_pages(length: int, size: int, shift: int) -> None:
    events = max(length * size - shift, 1)
    pages = [
        [f"e{(number * size + at) % events}" for at in range(min(size, events))] for number in range(16 * length + 40)
    ]
    walk = Recurrence()
    assert any(observe(walk, pages))
    assert walk.hits > 0


@given(st.lists(st.integers(1, 30), max_size=60), st.integers(0, 1))
def test_a_walk_that_goes_forward_is_no_circle_even_when_pages_overlap(sizes: list[int], overlap: int) -> None:
    pages, first = [], 0
    for size in sizes:
        pages.append(stretch(first, size + overlap))
        first += size
    assert not any(observe(Recurrence(), pages))


def test_events_without_an_id_that_are_alike_are_no_circle() -> None:
    walk, state, seen = Recurrence(), {"walk": 1}, 0
    for _ in range(30):
        answer = page(state, *["same"] * 5, more=True)
        keys = [bytes([seen + at]) * 16 for at in range(5)]  # told apart by how often they came
        answer = type(answer)(**{f: getattr(answer, f) for f in answer.__struct_fields__} | {"keys": keys})
        seen += 5
        assert not walk.observe(state, answer, new=5, high=0)
        state = answer.next


def test_a_hundred_pages_without_progress_are_none_whatever_is_in_them() -> None:
    rng, walk = random.Random(1), Recurrence()
    pages = [stretch(rng.randrange(10**6), 3) for _ in range(150)]
    found = observe(walk, pages, newest=-1)
    assert found.index(True) == 99
    assert not any(observe(Recurrence(), pages, new=1, newest=-1))
    assert not any(observe(Recurrence(), pages, newest=1))


def test_a_walk_that_begins_anew_and_one_that_comes_to_the_tip_are_another() -> None:
    walk = Recurrence()
    observe(walk, [["a", "b"]] * 3)
    assert walk.hits > 0
    assert not walk.observe({"walk": 2}, page({"walk": 2}, "a", "b", more=True), new=0, high=0)
    assert walk.hits == 0
    observe(walk, [["a", "b"]] * 3)
    walk.observe({"walk": 1, "n": 3}, page({"walk": 1, "n": 3}, "c", more=False), new=1, high=0)
    assert walk.hits == 0


@pytest.mark.parametrize("of", [{"looping": True}, {"since": 5}, {"next": {"walk": 1}}, {}])
def test_a_page_that_leads_nowhere_or_was_read_without_a_cursor_says_nothing(of: dict[str, Any]) -> None:
    walk = Recurrence()
    walk.observe({"walk": 1}, page({"walk": 1}, "a", "b", more=True, next={"walk": 1}), new=2, high=0)
    walk.observe({"walk": 1}, page({"walk": 1}, "a", "b", more=True), new=2, high=0)
    asked = {"walk": 1, "n": 1}
    answer = page(asked, "a", "b", more=True, next=asked if "next" in of else {"walk": 1, "n": 2})
    answer = type(answer)(**{f: getattr(answer, f) for f in answer.__struct_fields__} | {**of, "next": answer.next})
    assert walk.observe(asked, answer, new=0, high=0) is (not of)
    assert walk.hits == (not of)


@pytest.mark.parametrize(
    ("earlier", "later", "again"),
    [
        ("abcd", "abcd", True),
        ("abcd", "abxy", True),
        ("abcd", "abxyz", False),
        ("abcd", "axyz", False),
        ("ab", "ax", False),
        ("a", "a", True),
        ("ab", "a", True),
    ],
)
def test_half_of_a_page_again_is_that_page_again(earlier: str, later: str, again: bool) -> None:
    assert observe(Recurrence(), [list(earlier), list(later)]) == [False, again]


def test_the_page_to_compare_with_is_replaced_after_one_two_four_and_eight_pages() -> None:
    walk = Recurrence()
    kept = []
    for number in range(1, 17):
        observe_on(walk, number)
        kept.append(next(iter(walk._earlier))[0])
    keys = KEYS.keys([f"e{number}" for number in range(17)])
    assert [keys.index(key) for key in kept] == [1, 2, 2, 4, 4, 4, 4, *[8] * 8, 16]


def test_hits_are_forgotten_after_a_stretch_as_long_as_all_before_it_without_any() -> None:
    walk = Recurrence()
    found = []
    for number, ident in enumerate([1, 1, 3, 4, 5, 6, 7, 8, 9], 1):
        observe_on(walk, number, ident)
        found.append(walk.hits)
    assert found == [0, 1, 1, 0, 0, 0, 0, 0, 0]


def observe_on(walk: Recurrence, number: int, ident: int | None = None) -> None:
    asked = {"walk": 1, "n": number}
    answer = page(asked, f"e{number if ident is None else ident}", more=True)
    walk.observe(asked, answer, new=0, high=0)


# ------------------------------------------------------------------------------------------------------- the poller

PLAYS: dict[str, Callable[[Log], None]] = {}


def play(function: Callable[[Log], None]) -> Callable[[Log], None]:
    PLAYS[function.__name__] = function
    return function


def _fresh(log: Log, unwrap: Callable[[int, str], str]) -> None:
    """Give a cursor that was never given before each time; `unwrap` says what one is good for."""
    given = [0]

    def wrap(text: str) -> str:
        given[0] += 1
        return f"{given[0]}|{text}"

    log.resumes = True
    log.wrap, log.unwrap = wrap, lambda sent: unwrap(given[0], sent.split("|")[-1])


@play
def always_the_first_page(log: Log) -> None:
    _fresh(log, lambda _, __: "[0, 0]")


@play
def from_the_start_again_after_two_pages(log: Log) -> None:
    _fresh(log, lambda given, sent: "[0, 0]" if given % 3 == 0 else sent)


@play
def pages_by_chance(log: Log) -> None:
    rng = random.Random(1)
    _fresh(log, lambda _, __: json.dumps([rng.randrange(len(log.events) // 2), 0]))


@play
def one_event_forward_at_most(log: Log) -> None:
    _fresh(log, lambda given, _: json.dumps([given % 7, 0]))


@pytest.mark.parametrize("known", [20, 499, 1307])
@pytest.mark.parametrize("how", PLAYS)
async def test_the_same_events_under_new_cursors_are_said_slowed_down_and_read_by_time(
    tmp_path: Path, how: str, known: int
) -> None:
    log = Log()
    log.happen(known, at=NOW - 500_000, every=300)
    PLAYS[how](log)
    async with course(tmp_path, log) as c:
        await c.start()
        begun, named = c.clock.now, set()
        while c.clock.now < begun + 1800:
            await c.step()
            named.add(c.poller.report.reason)
        report = c.poller.report
        assert not report.well
        assert any("has read already" in reason for reason in named)
        assert report.errors["no_progress"] > 0
        assert len(log.asked) < 600  # it does not spin
        assert Counter(await c.until_all(2000)) == names(log)
        await live(c, turns=20)
        log.wrap, log.unwrap, log.resumes = str, lambda sent: sent.split("|")[-1], False
        log.happen(1300, at=int(c.clock.now * 1000))
        c.clock.advance(7 * 3600)
        assert Counter(await c.until_all(2000)) == names(log)
        await c.until(lambda: report.state == "idle", 2000)


async def test_a_source_that_cannot_go_on_by_time_is_asked_less_and_it_is_said(tmp_path: Path) -> None:
    clock = FakeClock()
    source = ScriptedSource(lambda state: page(state, "a", "b", "c", more=True, newest=int(clock.now * 1000) - 5000))
    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(source, spool, clock)
        await poller._open()
        begun = clock.now
        while clock.now < begun + 3600:
            name, wait = poller._choose()
            if wait > 0:
                clock.advance(wait + 0.001)
            else:
                await attempt(poller, name)
        assert "has read already" in poller.report.reason
        assert len(source.asked) < 400
        asked = [0]

        def better(state: dict[str, Any]) -> Any:
            asked[0] += 1
            return page(state, f"n{asked[0]}", more=True) if asked[0] < 5 else page(state)

        source.answer = better
        for _ in range(30):
            name, wait = poller._choose()
            clock.advance(wait + 0.001)
            await attempt(poller, name)
        assert poller.report.well


@pytest.mark.parametrize("by_time", [False, True], ids=["processed", "time"])
async def test_walks_over_known_ground_are_not_taken_for_a_circle(tmp_path: Path, by_time: bool) -> None:
    log = Log(cap=20, by_time=by_time)
    log.happen(700, at=NOW - 3_000_000, every=4000)
    log.happen(207, at=NOW - 100_000, every=0)
    async with course(tmp_path, log, limit=20) as c:
        await c.start(overlap=7200, trailing=600)
        await c.until_all(2000)
        await c.until(lambda: c.poller.report.state == "idle", 3000)
        for _ in range(3):
            await c.poller._lost(TAIL, "by a test", by_hand=True)  # everything is read again
            assert HEAL in c.poller._open_walks()
            await c.until(lambda: c.poller._open_walks() == [TAIL], 3000)
            c.clock.advance(400)
            await c.until(lambda: REREAD in c.poller._open_walks(), 3000)
            await c.until(lambda: c.poller._open_walks() == [TAIL], 3000)
        assert c.poller.report.errors["no_progress"] == 0
        assert BACKFILL not in c.poller._rows
        assert Counter(await spooled(c.spool)) == names(log)
