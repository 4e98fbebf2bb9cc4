"""Answers made to fill the memory or to take forever: what they would become is counted before it is built."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Awaitable, Callable

import pytest

from forwarder.contracts import Retryable
from forwarder.net.http import Response
from forwarder.net.json_size import LONGEST_EVENT, MOST_VALUES
from forwarder.sources.organization.actions import LONGEST_PAGE, MOST_ACTIONS, read_list
from forwarder.sources.organization.heads import PAGES, heads_of
from forwarder.sources.organization.refusals import error_of
from forwarder.sources.pages import MOST_EVENTS
from sinks.elasticsearch.answers import read
from tests.scaling import assert_in_proportion, cpu

MEGABYTE = 2**20


def page_of(events: bytes, more: bytes = b"") -> bytes:
    return b'{"data":[' + events + b"]" + more + b',"meta":{"next":"c"}}'


def much_of(value: bytes, count: int) -> bytes:
    return b",".join([value] * count)


def peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("event", [b"{}", b"[]", b"0", b'""', b"null", b'{"id":"x"}', b'"\\ud83d"', b"NaN", b"[NaN]"])
@pytest.mark.parametrize("more", [b"", b',"x":NaN'], ids=["strict", "lenient"])
def test_a_page_of_countless_events_is_refused_before_it_is_built(event: bytes, more: bytes) -> None:
    body = page_of(much_of(event, 500_000), more)

    def read() -> None:
        with pytest.raises(Retryable) as caught:
            PAGES.open(body)
        assert caught.value.kind == "too_many_events"

    assert peak(read) < 3 * len(body) + MEGABYTE


def test_of_several_lists_of_events_the_last_counts_and_no_other_is_built() -> None:
    body = page_of(much_of(b"{}", 500_000), b',"data":[1]')
    assert peak(lambda: PAGES.open(body)) < MEGABYTE
    assert PAGES.open(body)[0] == [b"1"]


@pytest.mark.parametrize("more", [b"", b',"x":NaN'], ids=["strict", "lenient"])
def test_so_many_events_are_read_and_one_more_is_refused(more: bytes) -> None:
    events, _ = PAGES.open(page_of(much_of(b"{}", MOST_EVENTS), more))
    assert events == [b"{}"] * MOST_EVENTS
    with pytest.raises(Retryable) as caught:
        PAGES.open(page_of(much_of(b"{}", MOST_EVENTS + 1), more))
    assert caught.value.kind == "too_many_events"


HEAVY: dict[str, Callable[[], bytes]] = {  # made by the test: every process that runs tests imports this file
    "values": lambda: b'{"id":"1","n":[%s]}' % much_of(b"{}", MOST_VALUES),
    "names": lambda: b'{"id":"1","n":{%s}}' % b",".join(b'"%d":0' % number for number in range(MOST_VALUES)),
    "text": lambda: b'{"id":"1","n":"%s \\ud83d\\ude00"}' % (b"x" * 12 * MEGABYTE),
    "an id": lambda: b'{"id":"\\ud83d\\ude00%s"}' % (b"x" * 12 * MEGABYTE),
    "digits": lambda: b'{"id":"1","n":%s}' % (b"7" * 12 * MEGABYTE),
    "depth": lambda: b'{"id":"1","n":%s%s}' % (b"[" * MOST_VALUES, b"]" * MOST_VALUES),
}


@pytest.mark.parametrize("odd", [b"{}", b'"\\ud83d"', b"NaN"], ids=["strict", "surrogate", "lenient"])
@pytest.mark.parametrize("name", HEAVY)
def test_an_event_that_is_too_much_to_be_read_is_cut_out_all_the_same(name: str, odd: bytes) -> None:
    heavy = HEAVY[name]()
    body = page_of(heavy + b"," + odd)
    found: list[list[bytes]] = []
    assert peak(lambda: found.append(PAGES.open(body)[0])) < 4 * len(body)
    assert found == [[heavy, odd]]


@pytest.mark.parametrize("name", HEAVY)
def test_the_head_of_such_an_event_costs_little(name: str) -> None:
    heads, heavy = [], HEAVY[name]()
    assert peak(lambda: heads.extend(heads_of([heavy, b'{"id":"2"}']))) < 2 * len(heavy)
    assert heads[0].id == (None if name in {"an id", "depth"} else "1")
    assert heads[1].id == "2"


@pytest.mark.parametrize("name", ["meta", "links", "x"])
def test_what_stands_beside_the_events_is_bounded_too(name: str) -> None:
    body = b'{"data":[1],"%s":{"next":[%s]}}' % (name.encode(), much_of(b"{}", MOST_VALUES))

    def read() -> None:
        assert PAGES.open(body) == ([b"1"], {})

    assert peak(read) < 3 * len(body)


SHAPES: dict[str, Callable[[int], bytes]] = {
    "white space": lambda size: page_of(b"NaN" + b" " * size),
    "white space behind": lambda size: page_of(b"NaN") + b"\n" * size,
    "members": lambda size: page_of(b"NaN", much_of(b',"x":0', size // 7)),
    "the same member": lambda size: page_of(b"NaN", b',"meta":{}' * (size // 10)),
    "open brackets": lambda size: page_of(b"[" * size),
    "open strings": lambda size: page_of(b'["' * (size // 2)),
    "backslashes": lambda size: page_of(b'NaN,"' + b"\\" * size),
    "brackets": lambda size: page_of(b"NaN," + b"[" * (size // 2) + b"]" * (size // 2)),
    "deep events": lambda size: page_of(much_of(b"[" * 1500 + b"]" * 1500 + b",NaN", size // 3000)),
    "an endless number": lambda size: page_of(b"NaN," + b"7" * size),
}


@pytest.mark.parametrize("name", SHAPES)
def test_twice_the_page_takes_twice_the_time(name: str) -> None:
    def read(body: bytes) -> None:
        try:
            heads_of(PAGES.open(body)[0])
        except Retryable:
            return

    once, twice = SHAPES[name](MEGABYTE), SHAPES[name](2 * MEGABYTE)
    assert_in_proportion(read, once, twice)


@pytest.mark.parametrize("more", [b"", b',"x":NaN'], ids=["strict", "lenient"])
@pytest.mark.parametrize("member", [b'"data":[]', b'"d\\u0061ta":[]', b'"meta":{}', b'"links":{}'])
def test_a_member_that_comes_again_and_again_costs_as_little_as_any_other(member: bytes, more: bytes) -> None:
    def read(body: bytes) -> None:
        assert PAGES.open(body)[0] == []

    bodies = [b'{%s%s,"data":[]}' % (much_of(each, 50_000), more) for each in (member, b'"what":[]')]
    again, other = (min(cpu(read, body) for _ in range(3)) for body in bodies)
    assert again < 10 * other + 0.03


def listing(count: int, following: str | None = None, first: int = 0) -> bytes:
    items = [{"id": f"a{number}", "attributes": {"displayName": "x" * 200}} for number in range(first, first + count)]
    return json.dumps({"data": items, "meta": {"next": following}}).encode()


def pages(*bodies: bytes) -> Callable[[str | None], Awaitable[bytes]]:
    left = list(bodies)

    async def ask(_cursor: str | None) -> bytes:
        return left.pop(0) if len(left) > 1 else left[0]

    return ask


async def test_the_list_of_actions_is_read_to_its_end() -> None:
    found = await read_list(pages(listing(3, "b"), listing(3, "c", 3), listing(3, None, 6)))
    assert [action.id for action in found] == [f"a{number}" for number in range(9)]
    assert len(await read_list(pages(listing(3, "b"), listing(3, "b", 3)))) == 6, "a cursor that stays is the end"


@pytest.mark.parametrize(
    ("body", "value", "count"),
    [
        (b'{"data":[%s]}', b"{}", 500_000),
        (b'{"data":[%s]}', b"1", MOST_VALUES),
        (b'{"data":[],"meta":{"x":[%s]}}', b"{}", 500_000),
        (b'{"data":["%s"]}', b"x" * LONGEST_PAGE, 1),
        (b'{"data":[{"id":"a","attributes":{"groupDisplayNames":[%s]}}]}', b'""', MOST_VALUES),
    ],
)
async def test_no_page_of_the_list_fills_the_memory(body: bytes, value: bytes, count: int) -> None:
    page = body % much_of(value, count)
    tracemalloc.start()
    with pytest.raises(Retryable, match="list"):
        await read_list(pages(page))
    assert tracemalloc.get_traced_memory()[1] < 4 * MEGABYTE
    tracemalloc.stop()


async def test_a_list_without_an_end_is_refused() -> None:
    asked = 0

    async def ask(_cursor: str | None) -> bytes:
        nonlocal asked
        asked += 1
        return listing(1000, f"c{asked}", asked * 1000)

    with pytest.raises(Retryable, match=f"{MOST_ACTIONS}"):
        await read_list(ask)
    assert asked == MOST_ACTIONS // 1000 + 1


async def test_a_list_of_empty_pages_without_an_end_is_refused() -> None:
    asked = 0

    async def ask(_cursor: str | None) -> bytes:
        nonlocal asked
        asked += 1
        return listing(0, f"c{asked}")

    with pytest.raises(Retryable):
        await read_list(ask)
    assert asked <= 500


def test_the_longest_event_is_far_above_what_real_ones_have() -> None:
    assert LONGEST_EVENT >= 4 * MEGABYTE


def test_an_error_of_countless_errors_is_not_read() -> None:
    body = b'{"errors":[%s]}' % much_of(b"{}", 1_000_000)
    assert peak(lambda: error_of(Response(400, {}, body))) < MEGABYTE
    assert error_of(Response(400, {}, b'{"errors":[{"code":"c","title":"t"}]}')) == ("c", "t")


@pytest.mark.parametrize("item", [b"{}", b'{"create":{"status":201}}', b'{"create":{"status":400,"error":{}}}'])
def test_a_bulk_answer_of_countless_items_is_refused_before_it_is_built(item: bytes) -> None:
    body = b'{"errors":true,"items":[%s]}' % much_of(item, 200_000)

    def read_it() -> None:
        with pytest.raises(Retryable) as caught:
            read(Response(200, {}, body), range(40), 0.0)
        assert caught.value.kind == "too_large"

    assert peak(read_it) < MEGABYTE


def test_a_bulk_answer_of_long_errors_is_read() -> None:
    error = b'{"type":"x","reason":"%s","caused_by":{"reason":"r"}}' % (b"a,b " * 90)
    body = b'{"errors":true,"items":[%s]}' % much_of(b'{"create":{"status":400,"error":%s}}' % error, 1000)
    assert len(read(Response(200, {}, body), range(1000), 0.0).rejected) == 1000
