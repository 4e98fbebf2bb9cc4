"""The organization source alone, against hand-written answers on a socket."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from forwarder.contracts import CursorLost, Held
from forwarder.contracts.identity import EventKeys, content_digests
from forwarder.sources.organization.reading import EMPTY_PAGES_TO_TIP
from simulator.httpd import Response
from tests.sources.organization.answers import KEY, ODD_CURSOR, ORG, SINCE, event, harness, onward, page, refusal

# ------------------------------------------------------------------------------------------------------- requests


async def test_the_first_request_says_where_to_begin_and_later_ones_only_the_cursor() -> None:
    async with harness() as d:
        await d.step(onward("1", cursor="c1"))
        first = d.asked[0]
        assert first.path == f"/admin/v1/orgs/{ORG}/events-stream"
        assert first.headers["authorization"] == f"Bearer {KEY}"
        assert d.query == {"from": str(SINCE), "sortOrder": "asc", "limit": "500"}
        await d.step(onward("2", cursor="c2"))
        assert d.query == {"cursor": "c1", "limit": "500"}


@pytest.mark.parametrize(
    "members",
    [
        {"meta": {"next": ODD_CURSOR}},
        {"meta": {"next": ODD_CURSOR}, "links": {"next": "https://api.example.com/x?cursor=other"}},
        {"links": {"next": f"https://api.example.com/x?limit=5&cursor={quote(ODD_CURSOR, safe='')}&z=1"}},
        {"links": {"next": f"/relative?cursor={quote(ODD_CURSOR, safe='')}"}},
        {"meta": {"next": None}, "links": {"next": f"?cursor={quote(ODD_CURSOR, safe='')}"}},
        {"meta": {"next": f"https://api.example.com/x?cursor={quote(ODD_CURSOR, safe='')}"}},
        {"meta": None, "links": {"next": f"?cursor={quote(ODD_CURSOR, safe='')}"}},
        {"meta": [], "links": {"next": f"?cursor={quote(ODD_CURSOR, safe='')}"}},
    ],
)
async def test_the_cursor_is_found_and_comes_back_as_it_was(members: dict[str, Any]) -> None:
    async with harness() as d:
        found = await d.step(page("1", **members))
        assert (found.more, found.done) == (True, False)
        await d.step(onward(cursor=None))
        assert d.query["cursor"] == ODD_CURSOR


async def test_a_plus_that_a_url_does_not_escape_stays_one() -> None:
    async with harness() as d:
        await d.step(page("1", links={"next": "https://api.example.com/x?cursor=a+b/c=="}))
        await d.step(onward(cursor=None))
        assert d.query["cursor"] == "a+b/c=="


@pytest.mark.parametrize("url", ["https://[broken?cursor=c", "https://api.example.com/x", "?cursor=", ""])
async def test_a_link_without_a_cursor_is_the_tip(url: str) -> None:
    async with harness() as d:
        found = await d.step(page("1", links={"next": url}))
        assert (found.more, found.done, found.next["cursor"]) == (False, True, None)


async def test_a_refused_limit_falls_back_for_good() -> None:
    async with harness() as d:
        await d.step(refusal(400, "ADMIN-400-24"), onward("1", cursor="c1"))
        assert [request.query["limit"] for request in d.asked] == [["500"], ["200"]]
        await d.step(onward("2", cursor="c2"))
        assert d.query["limit"] == "200"
        assert len(d.asked) == 3


async def test_a_limit_that_was_not_to_blame_stays() -> None:
    async with harness() as d:
        with pytest.raises(Held):
            await d.fetch(refusal(400, "ADMIN-400-3"), refusal(400, "ADMIN-400-3"))
        await d.step(onward("1", cursor="c1"))
        assert d.query["limit"] == "500"


async def test_a_lost_cursor_is_not_taken_for_a_refused_limit() -> None:
    async with harness() as d:
        await d.step(onward("1", cursor="c1"))
        with pytest.raises(CursorLost) as caught:
            await d.fetch(refusal(400, "ADMIN-400-1"))
        assert len(d.asked) == 2
        assert "c1" not in str(caught.value)


async def test_a_lost_cursor_behind_a_refused_limit_is_lost() -> None:
    async with harness() as d:
        await d.step(onward("1", cursor="c1"))
        with pytest.raises(CursorLost):
            await d.fetch(refusal(400, "ADMIN-400"), refusal(400, "ADMIN-400-1"))


async def test_a_small_limit_is_asked_only_once() -> None:
    async with harness(limit=200) as d:
        with pytest.raises(Held):
            await d.fetch(refusal(400, "ADMIN-400-24"))
        assert len(d.asked) == 1


async def test_no_cursor_can_be_lost_that_was_not_given() -> None:
    async with harness() as d:
        with pytest.raises(Held) as caught:
            await d.fetch(refusal(400, "ADMIN-400-1"))
        assert caught.value.kind == "bad_request"


# ------------------------------------------------------------------------------------------------- tip and loops


async def test_null_at_the_tip_asks_the_last_cursor_again() -> None:
    async with harness() as d:
        await d.step(onward("1", cursor="c1"))
        found = await d.step(onward("2", cursor=None))
        assert (found.more, found.done, found.looping) == (False, True, False)
        for _ in range(3):
            found = await d.step(onward("2", cursor=None))
            assert d.query["cursor"] == "c1"
            assert (found.more, found.done, found.looping) == (False, True, False)
        found = await d.step(onward("2", "3", cursor="c2"))
        assert found.more
        assert d.state["cursor"] == "c2"


async def test_null_before_any_cursor_asks_from_the_beginning_again() -> None:
    async with harness() as d:
        await d.step(onward(cursor=None))
        await d.step(onward("1", cursor=None))
        await d.step(onward("1", cursor=None))
        assert d.query["from"] == str(SINCE)


async def test_an_unchanged_cursor_without_events_is_silence() -> None:
    async with harness() as d:
        await d.step(onward("1", cursor="c1"))
        before = dict(d.state)
        for _ in range(4):
            found = await d.step(onward(cursor="c1"))
            assert (found.more, found.done, found.looping) == (False, True, False)
        assert d.state == before


async def test_empty_pages_with_new_cursors_are_followed_and_in_the_end_taken_for_the_tip() -> None:
    async with harness() as d:
        await d.step(onward("1", cursor="c0"))
        more = []
        for n in range(1, EMPTY_PAGES_TO_TIP + 3):
            found = await d.step(onward(cursor=f"c{n}"))
            assert d.query["cursor"] == f"c{n - 1}"
            assert found.done == (not found.more)
            more.append(found.more)
        assert more == [True] * (EMPTY_PAGES_TO_TIP - 1) + [False] * 3
        await d.step(onward("2", cursor="c9"))
        found = await d.step(onward(cursor="c10"))
        assert found.more


async def test_the_same_cursor_with_the_same_events_is_a_loop_until_it_is_not() -> None:
    async with harness() as d:
        await d.step(onward("0", cursor="c1"))
        course = [await d.step(onward("1", "2", cursor="c1")) for _ in range(3)]
        assert [(found.more, found.looping, found.done) for found in course] == [
            (False, False, False),
            (False, True, False),
            (False, True, False),
        ]
        # Fixed: the very page that looped, but now with the right cursor.
        found = await d.step(onward("1", "2", cursor="c2"))
        assert (found.more, found.looping, d.state["cursor"]) == (True, False, "c2")


async def test_the_same_cursor_with_other_events_is_no_loop() -> None:
    async with harness() as d:
        await d.step(onward("0", cursor="c1"))
        for n in range(12):
            found = await d.step(onward(*map(str, range(n + 1)), cursor="c1"))
            assert not found.looping


@pytest.mark.parametrize("fixed_at", [0, 1])
async def test_a_loop_over_two_cursors_is_seen_and_left_wherever_it_mends(fixed_at: int) -> None:
    async with harness() as d:
        pages = {"a": ("1", "b"), "b": ("2", "a")}
        await d.step(onward("0", cursor="a"))
        course = []
        for _ in range(8):
            ident, cursor = pages[d.state["cursor"]]
            course.append(await d.step(onward(ident, cursor=cursor)))
        assert [found.looping for found in course] == [False, False] + [True] * 6
        assert [found.more for found in course] == [True, True] + [False] * 6
        fixed = "ab"[fixed_at]
        pages[fixed] = (pages[fixed][0], "c")
        for _ in range(2):
            if d.state["cursor"] != "c":
                ident, cursor = pages[d.state["cursor"]]
                await d.step(onward(ident, cursor=cursor))
        assert d.state["cursor"] == "c"


async def test_the_state_stays_small() -> None:
    async with harness() as d:
        for n in range(40):
            await d.step(onward(str(n), cursor=f"c{n}"))
        assert len(json.dumps(d.state)) < 400


# ------------------------------------------------------------------------------------------------------ one event


async def test_what_a_page_tells_of_its_events() -> None:
    events = [
        event("x", "2026-01-31T10:00:00.123Z", "2026-01-31T10:00:01Z"),
        event("y", "2026-01-31T10:01:00Z", "2026-01-31T10:01:05.5Z"),
    ]
    async with harness() as d:
        found = await d.fetch(onward(*events, cursor="c"))
        assert [json.loads(body) for body in found.bodies] == events
        assert found.keys == EventKeys("organization", ORG).keys(["x", "y"])
        assert found.digests == content_digests(found.bodies)
        assert list(found.minutes) == ["2026-01-31T10:00", "2026-01-31T10:01"]
        assert found.newest == 1_769_853_665_500
        assert (found.derived, found.late) == (frozenset(), 0)


@pytest.mark.parametrize(
    "body", [{"id": None}, {"id": ""}, {"id": 7}, {"id": ["a"]}, {}, [], "text", 5, None, {"attributes": 3}]
)
async def test_an_event_without_an_id_gets_one_from_its_content(body: Any) -> None:
    async with harness() as d:
        found = await d.fetch(Response.json({"data": [event("a"), body, event("b")], "meta": {"next": "c"}}))
        assert found.derived == {1}
        assert found.keys[1] == EventKeys("organization", ORG).derived(found.bodies[1])
        assert json.loads(found.bodies[1]) == body
        assert len(set(found.keys)) == 3
        assert found.minutes[1] == ""


async def test_times_that_are_none_do_not_stop_a_page() -> None:
    odd = [
        {"id": "1", "attributes": {"time": 5, "processedAt": []}},
        {"id": "2", "attributes": {"time": "yesterday", "processedAt": "zzz"}},
        {"id": "3", "attributes": None},
        {"id": "4", "attributes": "text"},
        {"id": "5"},
    ]
    async with harness() as d:
        found = await d.fetch(onward(*odd, cursor="c"))
        assert len(found.bodies) == 5
        assert found.derived == frozenset()
        assert list(found.minutes) == [""] * 5
        assert (found.newest, found.late) == (None, 0)


async def test_lateness_beyond_the_overlap_is_counted() -> None:
    async with harness(overlap="2h") as d:
        found = await d.fetch(
            onward(
                event("1", "2026-01-31T10:00:00Z", "2026-01-31T12:00:01Z"),
                event("2", "2026-01-31T10:00:00Z", "2026-01-31T12:00:00Z"),
                event("3", "2026-01-31T10:59:59Z", "2026-01-31T11:00:00Z"),
                event("4", "2026-01-01T10:00:00Z", "2026-01-31T10:00:00Z"),
                event("5", "not a time", "2026-01-31T10:00:00Z"),
                cursor="c",
            )
        )
        assert found.late == 2
