"""The ids that a spool remembers can be asked for by day and by number, a page at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from forwarder.contracts.identity import document_id, pushed_digests
from forwarder.spool.contract import PageCommit
from forwarder.spool.evidence import IdsWanted
from forwarder.spool.gap import Gap
from tests.spool.spools import Harness, body_of, key_of, names, opened, page_of

DAY, NEXT = "2026-01-31", "2026-02-01"


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    async with opened(tmp_path) as harness:
        yield harness


def at(minute: str, *events: str, day: str = DAY) -> list[tuple[str, str, str]]:
    return [(name, "", f"{day}T{minute}") for name in events]


async def ids(harness: Harness, wanted: IdsWanted, limit: int = 1000) -> list[str]:
    found: list[str] = []
    after = None
    while True:
        page = await harness.spool.known_ids(wanted, after=after, limit=limit)
        found += page.ids
        if page.after is None:
            return found
        assert page.ids
        after = page.after


def documents(*events: str) -> list[str]:
    return [key_of(name).hex() for name in events]


@pytest.mark.parametrize("limit", [1, 3, 1000])
async def test_each_event_of_a_day_is_named_once_however_large_a_page_of_names_is(harness: Harness, limit: int) -> None:
    await harness.put(*at("10:00", "a", "b"), *at("10:01", "c"), *at("00:00", "x", day=NEXT))
    await harness.put(*at("10:00", "d", "a"), *at("23:59", "e"))
    found = await ids(harness, IdsWanted("acme", "elastic", DAY), limit)
    assert sorted(found) == sorted(documents("a", "b", "c", "d", "e"))
    assert await ids(harness, IdsWanted("acme", "elastic", NEXT), limit) == documents("x")
    assert not await ids(harness, IdsWanted("other", "elastic", DAY), limit)


async def test_events_without_a_time_are_those_of_no_day(harness: Harness) -> None:
    await harness.put(("a", "", ""), ("b", "", ""), *at("10:00", "c"))
    assert sorted(await ids(harness, IdsWanted("acme", "elastic", ""))) == sorted(documents("a", "b"))


async def test_what_is_for_another_sink_alone_is_not_named(harness: Harness) -> None:
    await harness.put(*at("10:00", "a"))
    await harness.put(*at("10:00", "b"), audience="elastic")
    assert sorted(await ids(harness, IdsWanted("acme", "elastic", DAY), 1)) == sorted(documents("a", "b"))
    assert await ids(harness, IdsWanted("acme", "splunk", DAY)) == documents("a")


async def test_only_what_pages_between_two_numbers_brought_is_named(harness: Harness) -> None:
    await harness.put(*at("10:00", *names("a", 3)))
    await harness.put(*at("10:00", *names("b", 3)))
    await harness.put(*at("10:00", *names("c", 3)))
    assert await ids(harness, IdsWanted("acme", "elastic", DAY, 4, 6)) == documents(*names("b", 3))


async def test_a_revision_is_named_as_sinks_know_it(harness: Harness) -> None:
    await harness.put(*at("10:00", "a"))
    await harness.put(("a", "changed", f"{DAY}T10:00"))
    digest = page_of(("a", "changed")).digests[0]
    revision = document_id(key_of("a"), digest)
    assert await ids(harness, IdsWanted("acme", "elastic", DAY)) == [*documents("a"), revision]
    assert await ids(harness, IdsWanted("acme", "elastic", DAY, 2, 2)) == [revision]


async def test_what_was_pushed_and_then_given_by_the_log_is_one_document(harness: Harness) -> None:
    events = at("10:00", "a", "b")
    page = page_of(*events)
    pushed = pushed_digests([body_of("a"), body_of("b")])
    await harness.put(page=msgspec.structs.replace(page, digests=pushed))
    await harness.put(page=page)
    assert await ids(harness, IdsWanted("acme", "elastic", DAY)) == documents("a", "b")


async def test_however_many_gaps_are_open_each_is_given(harness: Harness) -> None:
    def gaps(count: int, **more: object) -> list[Gap]:
        return [Gap("late", source=harness.source.number, from_ms=at, to_ms=at, **more) for at in range(count)]  # type: ignore[arg-type]

    found = [*gaps(1500), *gaps(50, closed_ms=5)]
    await harness.spool.commit(PageCommit(harness.source.number, harness.source.epoch, open_gaps=found))
    assert [gap.from_ms for gap in await harness.spool.gaps_that_matter()] == list(range(1500))


async def test_what_a_look_at_a_sink_found_takes_the_place_of_what_was_known(harness: Harness) -> None:
    gap = Gap("dropped_by_sink", source=harness.source.number, lane="elastic", from_ms=0, to_ms=9, events=3)
    await harness.spool.record_loss(gap)
    await harness.spool.record_loss(msgspec.structs.replace(gap, events=2, detail="two"))
    [found] = (await harness.spool.status()).gaps
    assert (found.events, found.detail, found.state) == (2, "two", "open")
    await harness.spool.record_loss(msgspec.structs.replace(gap, events=0, closed_by="verify-sink"))
    await harness.spool.record_loss(msgspec.structs.replace(gap, events=0, closed_by="verify-sink"))
    [found] = (await harness.spool.status()).gaps
    assert (found.state, found.closed_by) == ("closed", "verify-sink")
    await harness.spool.record_loss(gap)
    assert [each.state for each in (await harness.spool.status()).gaps] == ["closed", "open"]
