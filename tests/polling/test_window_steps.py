"""Which stretch of a log is asked for next, and what a page of it means: by numbers alone."""

from __future__ import annotations

from typing import Any

import pytest

from forwarder.contracts import Page
from forwarder.polling import windows
from forwarder.polling.windows import Reading, Window
from tests.polling.pollers import KEYS, bodies_of, page

HOUR, DAY = 3_600_000, 86_400_000


def state(**more: Any) -> dict[str, Any]:
    return {"at": 1000, "scan": 1000, "until": None, "width": 500, "cap": 0, **more}


@pytest.mark.parametrize(
    ("given", "now", "since", "until", "last"),
    [
        ({}, 1400, 1000, 1400, True),
        ({}, 1500, 1000, 1500, True),
        ({}, 1501, 1000, 1500, False),
        ({"scan": 1300}, 1500, 1300, 1500, True),
        ({"scan": 1500}, 1500, 1500, 1501, True),
        ({"scan": 1501}, 1500, 1000, 1500, True),  # the clock went back
        ({}, 900, 1000, 1001, True),
        ({"until": 1200}, 9000, 1000, 1200, True),
        ({"until": 1000}, 9000, 1000, 1001, True),
        ({"until": 2000}, 900, 1000, 1500, False),
        ({"width": 0, "until": 2000}, 900, 1000, 1001, False),
    ],
)
def test_the_next_window(given: dict[str, Any], now: int, since: int, until: int, last: bool) -> None:
    found = windows.next_window(state(**given), now)
    assert (found.since, found.until, found.last) == (since, until, last)


@pytest.mark.parametrize(("step", "width", "until"), [(1, 0, 1001), (1000, 0, 2000), (1000, 1500, 2500)])
def test_no_window_is_narrower_than_what_the_source_tells_apart(step: int, width: int, until: int) -> None:
    found = windows.next_window(state(width=width), 9000, step)
    assert (found.until, found.step) == (until, step)
    assert found.can_be_halved is (until - 1000 > step)


@pytest.mark.parametrize(
    ("since", "until", "step", "cap", "width", "kept"),
    [(0, 101, 1, 0, 50, 7), (0, 101, 1, 9, 50, 9), (5, 6, 1, 0, 1, 7), (0, 1500, 1000, 0, 1000, 7)],
)
def test_half_of_a_window(since: int, until: int, step: int, cap: int, width: int, kept: int) -> None:
    found = windows.halved(state(cap=7), Window(since, until, last=False, step=step), cap)
    assert found == state(width=width, cap=kept)


@pytest.mark.parametrize(
    ("given", "last", "reached", "then"),
    [
        ({}, False, 5000, {"scan": 1500, "width": 1000}),
        ({"until": 1500}, True, 5000, {"at": 1500, "scan": 1500, "width": 1000}),
        ({}, True, None, {"width": 1000}),
        ({"scan": 1200}, True, 1700, {"at": 1600, "scan": 1600, "width": 1000}),
        ({"scan": 1200}, True, 1050, {"width": 1000, "scan": 1000}),  # never back
    ],
)
def test_after_a_window(given: dict[str, Any], last: bool, reached: int | None, then: dict[str, Any]) -> None:
    before = state(**given)
    assert windows.read(before, Window(1000, 1500, last=last), 0, reached, 100) == {**before, **then}


@pytest.mark.parametrize(
    ("cap", "events", "width", "then"),
    [(0, 99, 500, 1000), (9, 3, 500, 1000), (9, 4, 500, 500), (0, 0, 300 * DAY, 400 * DAY), (0, 0, 1, 2)],
)
def test_a_window_widens_where_twice_as_many_would_fit(cap: int, events: int, width: int, then: int) -> None:
    found = windows.read(state(cap=cap, width=width), Window(1000, 1500, last=False), events, None, 0)
    assert found["width"] == then


# --------------------------------------------------------------------------------------------- the pages of a window


WIDE, NARROW = Window(0, 2, last=True), Window(0, 1, last=True)


def answer(*idents: str, more: bool = False, **of: Any) -> Page:
    return page({}, *idents, more=more, **of)


def alike(*idents: str, more: bool = False) -> Page:
    """A page whose events have no id."""
    return answer(*idents, more=more, derived=frozenset(range(len(idents))))


def fates(window: Window, *pages: Page) -> list[str]:
    reading = Reading(window)
    found = [reading.take(one) for one in pages]
    assert reading.is_whole is (found[-1] == "whole")
    return list(found)


@pytest.mark.parametrize(
    ("window", "pages", "expected"),
    [
        (WIDE, [answer()], ["whole"]),
        (WIDE, [answer("a"), answer()], ["on", "whole"]),
        (WIDE, [answer("a", more=True)], ["halve"]),
        (WIDE, [answer("a"), answer("b")], ["on", "halve"]),
        (WIDE, [answer("a"), answer("a")], ["on", "whole"]),  # the offset is not heeded
        (WIDE, [answer("a"), answer("a", more=True)], ["on", "halve"]),
        (NARROW, [answer("a", more=True), answer("a", more=True)], ["on", "endless"]),
        (NARROW, [answer("a"), answer("b"), answer(), answer("a"), answer("b"), answer()],
         ["on", "on", "again", "on", "on", "whole"]),
        (NARROW, [answer("a"), answer("b"), answer(), answer("b"), answer("a"), answer(), answer("b"), answer("a"), answer()],
         ["on", "on", "again", "on", "on", "again", "on", "on", "whole"]),
        (NARROW, [answer("a"), answer("b"), answer(), answer(), answer(), answer("a"), answer(), answer("a"), answer(),
                  answer("a"), answer("b"), answer(), answer("a"), answer("b"), answer()],  # seen is seen
         ["on", "on", "again", "again", "again", "on", "again", "on", "again", "on", "on", "again", "on", "on", "whole"]),
        (NARROW, [answer("a"), answer("b"), answer(), answer("a"), answer("a"), answer("a"), answer("a")],
         ["on", "on", "again", "on", "again", "on", "again"]),
        (NARROW, [alike("a", "a", more=True), alike("a", "a", more=True)], ["on", "on"]),  # more of the same
        (NARROW, [alike("a", "b", more=True), alike("a", "b", more=True)], ["on", "endless"]),
        (NARROW, [alike(*"aa"), alike(*"aa")], ["on", "whole"]),
        (NARROW, [alike(*"aaaaaaaaa"), alike(*"aaaaaaaaa")], ["on", "whole"]),
        (NARROW, [alike(*"aaaaaaaaaa"), alike(*"aaaaaaaaaa")], ["on", "on"]),  # a server may cut at ten
    ],
)  # fmt: skip
def test_what_a_page_means(window: Window, pages: list[Page], expected: list[str]) -> None:
    assert fates(window, *pages) == expected


@pytest.mark.parametrize(
    ("pages", "is_shifted"),
    [
        ([answer(*"abcdefghijkl"), answer("l")], True),
        ([answer(*"abcdefghijkl"), answer("k", "l")], True),
        ([answer(*"abcdefghijkl"), answer("new", "a")], True),  # more came than the page held
        ([answer(*"abcdefghijkl"), answer("m")], False),
        ([answer(*"abcdefghijkl"), answer("l", more=True)], False),
        ([answer(*"abcdefghijkl", more=True)], False),
        ([answer(*"abcdefghi"), answer("j")], True),  # oldest first: no server cuts below ten
        ([answer(*"abcdefghij"), answer("k")], False),
    ],
)
def test_what_arrives_between_two_pages_is_not_the_size_of_a_page(pages: list[Page], is_shifted: bool) -> None:
    reading = Reading(WIDE)
    assert [reading.take(one) for one in pages][-1] == "halve"
    assert reading.shifted is is_shifted


@pytest.mark.parametrize("passes", [11, 12])
def test_twelve_passes_that_differ_are_enough(passes: int) -> None:
    reading, found = Reading(NARROW), ""
    for number in range(passes):
        for one in (answer(f"a{number}"), answer("b"), answer()):
            found = reading.take(one)
    assert found == ("endless" if passes == 12 else "again")


def test_a_thousand_pages_are_enough() -> None:
    reading = Reading(NARROW)
    found = [reading.take(answer(f"a{number}", more=True)) for number in range(1000)]
    assert set(found[:-1]) == {"on"}
    assert found[-1] == "endless"


def test_a_window_is_one_page_whose_events_without_an_id_are_numbered_by_how_often_they_came() -> None:
    reading = Reading(NARROW)
    assert (reading.events, reading.newest) == (0, None)
    reading.take(answer("a", "x", derived=frozenset({1}), newest=7, late=2))
    reading.take(answer("x", "b", derived=frozenset({0}), newest=5, late=1))
    reading.take(answer("c"))
    assert (reading.events, reading.newest) == (5, 7)
    made = reading.page(KEYS, next={"n": 1}, more=False, done=True, since=3)
    assert list(made.bodies) == bodies_of("a", "x", "x", "b", "c")
    named = KEYS.keys(["a", "b", "c"])
    x = bodies_of("x")[0]
    assert list(made.keys) == [named[0], KEYS.derived(x, 0), KEYS.derived(x, 1), named[1], named[2]]
    assert (made.derived, made.newest, made.late) == ({1, 2}, 7, 3)
    assert (made.next, made.more, made.done, made.since) == ({"n": 1}, False, True, 3)
    assert len(made.digests) == len(made.minutes) == 5
