"""A walk with an end: asked for with a millisecond more on either side, and over there whatever the server does."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.sources.organization.answers import SINCE, Harness, event, harness, onward

HOUR = 3_600_000
UNTIL = SINCE + HOUR


def at(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def begin(d: Harness) -> None:
    d.state = d.source.walk(SINCE, UNTIL)


async def test_the_end_is_asked_for_and_stays_with_the_walk() -> None:
    async with harness() as d:
        begin(d)
        await d.step(onward(event("1", at(SINCE)), cursor="c1"))
        assert (d.query["from"], d.query["to"]) == (str(SINCE - 1), str(UNTIL + 1))
        await d.step(onward(event("2", at(UNTIL)), cursor="c2"))
        assert d.query == {"cursor": "c1", "limit": "500"}
        assert d.state["to"] == UNTIL + 1


async def test_a_walk_without_an_end_asks_for_none() -> None:
    async with harness() as d:
        await d.step(onward("1", cursor="c1"))
        assert "to" not in d.query
        assert "to" not in d.state


@pytest.mark.parametrize("cursor", ["fresh", None])
async def test_a_server_that_forgets_the_end_is_not_followed_beyond_it(cursor: str | None) -> None:
    async with harness() as d:
        begin(d)
        outside = [event(str(each), at(UNTIL + each), at(UNTIL + 900)) for each in range(2, 5)]
        found = await d.step(onward(event("1", at(UNTIL)), *outside, cursor=cursor))
        assert (len(found.bodies), found.more, found.done) == (1, False, True)


async def test_what_happened_inside_and_was_processed_later_is_inside_and_what_follows_is_read() -> None:
    async with harness() as d:
        begin(d)
        found = await d.step(onward(event("1", at(SINCE + 5), at(UNTIL + 9 * HOUR)), cursor="c1"))
        assert (len(found.bodies), found.more) == (1, True)


async def test_one_odd_time_in_between_does_not_end_the_walk() -> None:
    async with harness() as d:
        begin(d)
        odd, plain = event("1", at(UNTIL + 9 * HOUR)), event("2", at(SINCE + 5))
        found = await d.step(onward(odd, plain, cursor="c1"))
        assert (len(found.bodies), found.more) == (1, True)


@pytest.mark.parametrize("inside", [0, 1, 2, 5])
@pytest.mark.parametrize("odd", [1, 2])
async def test_odd_times_at_the_end_of_a_page_do_not_end_the_walk_and_the_page_behind_does(
    inside: int, odd: int
) -> None:
    async with harness() as d:
        begin(d)
        plain = [event(f"p{each}", at(SINCE + each)) for each in range(inside)]
        behind = [event(f"o{each}", at(UNTIL + 9 * HOUR)) for each in range(odd)]
        found = await d.step(onward(*plain, *behind, cursor="c1"))
        assert (len(found.bodies), found.more) == (inside, bool(inside))
        if inside:
            found = await d.step(onward(event("n", at(UNTIL + 2), at(UNTIL + 9)), cursor="c2"))
            assert (len(found.bodies), found.done) == (0, True)


@pytest.mark.parametrize("odd", [UNTIL + 999 * HOUR, SINCE - 999 * HOUR])
@pytest.mark.parametrize("place", [0, 3, 6])
async def test_a_page_says_where_the_stream_stands_whatever_one_event_claims(place: int, odd: int) -> None:
    async with harness() as d:
        moments = [SINCE + each for each in range(6)]
        moments.insert(place, odd)
        events = [event(str(number), at(moment)) for number, moment in enumerate(moments)]
        found = await d.step(onward(*events, cursor="c1"))
        assert found.stands_at in {SINCE + 4, SINCE + 5}
        for one in events:
            one["attributes"]["processedAt"] = None
        assert (await d.step(onward(*events, cursor="c2"))).stands_at is None


@pytest.mark.parametrize(
    ("moments", "reached"),
    [((1, 2, 900 * HOUR, 3), 3), ((1, 2, 3, 900 * HOUR), 3), ((0, 0, 0, 4), 4), ((1, 2), 2), ((5,), 5), ((0, 0), 0)],
)
async def test_a_walk_by_time_goes_on_where_the_page_ends_and_not_at_an_odd_time_in_it(
    moments: tuple[int, ...], reached: int
) -> None:
    async with harness() as d:
        state = d.source.by_time(d.source.walk(SINCE), SINCE)
        found = d.source._reading._step(state, [at(SINCE + each) for each in moments], False, SINCE + 1000 * HOUR)
        assert found.state["at"] == SINCE + reached


async def test_an_event_without_any_time_is_kept() -> None:
    async with harness() as d:
        begin(d)
        found = await d.step(onward({"id": "1"}, cursor="c1"))
        assert (len(found.bodies), found.more) == (1, True)


async def test_what_lies_behind_the_end_is_not_asked_for() -> None:
    async with harness() as d:
        begin(d)
        d.state = {**d.state, "from": UNTIL + 2}
        found = await d.step()
        assert (found.done, len(d.asked)) == (True, 0)


async def test_by_time_it_goes_on_to_the_same_end() -> None:
    async with harness() as d:
        begin(d)
        assert d.source.by_time(d.state, SINCE + 5)["to"] == UNTIL + 1


@pytest.mark.parametrize("processed", [None, "soon", "", 5])
async def test_only_a_time_of_processing_tells_that_the_end_is_passed(processed: object) -> None:
    async with harness() as d:
        begin(d)
        plain, odd = event("1", at(SINCE + 5)), event("2", at(UNTIL + 9 * HOUR))
        odd["attributes"]["processedAt"] = processed
        found = await d.step(onward(plain, odd, cursor="c1"))
        assert (len(found.bodies), found.more, found.done) == (1, True, False)


@pytest.mark.parametrize("cursor", ["fresh", None])
async def test_the_last_time_of_processing_of_a_page_counts(cursor: str | None) -> None:
    async with harness() as d:
        begin(d)
        behind, odd = event("1", at(UNTIL + 2), at(UNTIL + 900)), event("2", at(UNTIL + 9 * HOUR))
        odd["attributes"]["processedAt"] = None
        found = await d.step(onward(behind, odd, cursor=cursor))
        assert (len(found.bodies), found.more, found.done) == (0, False, True)
