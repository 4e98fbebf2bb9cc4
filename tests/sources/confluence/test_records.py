"""Confluence's records arrive once each, twins included, and each keeps its document id however it is read."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import SourceContext
from forwarder.contracts.identity import EventKeys
from forwarder.net.retry import RequestBudget
from forwarder.sources.confluence.source import ConfluenceConfig, ConfluenceSource
from forwarder.spool.contract import Settlement
from simulator.config import Products
from simulator.httpd import Request, Response, Server
from tests.clocks import FakeClock
from tests.sources.sites import Course, course

FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("invalid_json", {}),
    ("truncated", {}),
    ("reset_mid", {}),
    ("half_close", {}),
    ("garbage", {}),
    ("server_error", {"status": 502}),
    ("html", {"status": 200}),
    ("redirect", {}),
    ("login_page", {}),
    ("rate_limit", {"shape": "retry_after", "wait": 5}),
    ("rate_limit", {"shape": "none"}),
    ("unauthorized", {}),
    ("forbidden", {}),
    ("not_found", {}),
]


async def keys_in(c: Course) -> dict[str, bytes]:
    """Return every event of the spool by its document id."""
    lane = await c.spool.open_lane("keys", "memory", start=None, on_full="pause")
    found: dict[str, bytes] = {}
    after = lane.position
    while chunks := (await c.spool.exchange(lane.number, Settlement(), after=after, events=500)).chunks:
        for chunk in chunks:
            keys = (chunk.keys[16 * number : 16 * number + 16].hex() for number in range(len(chunk.bodies)))
            found.update(zip(keys, map(bytes, chunk.bodies), strict=True))
        after = chunks[-1].last
    return found


@pytest.mark.parametrize("seed", range(6))
async def test_nothing_is_missing_or_doubled_through_faults_and_kills(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    products = Products(records=50, twins=0.3, late=900.0, late_share=0.1, confluence_most=rng.choice([1000, 25, 10]))
    async with course(tmp_path, "confluence", products, limit=rng.choice([1000, 30])) as c:
        deed = c.log._deeds.at(c.now_ms - 3_600_000)
        for _ in range(rng.choice([3, 40])):
            c.log.add(deed)  # equal records of one millisecond, perhaps more than a page
        for what, more in rng.sample(FAULTS, 4):
            c.sim.faults.add(what, feed="confluence", share=0.15, times=15, **more)  # type: ignore[arg-type]
        for _ in range(80):
            c.clock.advance(rng.choice([0.0, 0.001, 0.3, 20]))
            if rng.random() < 0.2:
                c.log.happen(rng.choice([1, 2, 30]), c.now_ms)
            await (c.killed(rng) if rng.random() < 0.1 else c.step())
        c.sim.faults.clear()
        await c.rest()
        await c.all_arrived(c.log.name)
        assert c.poller.report.well
        existed = Counter(body for found in c.sim.ledger.bodies(c.log.name).values() for body in found)
        keys = EventKeys("confluence", f"{c.site.name}.atlassian.net")
        named = {keys.derived(body, number).hex() for body, count in existed.items() for number in range(count)}
        assert set(await keys_in(c)) == named


async def test_ids_stay_whatever_windows_they_are_read_in_and_what_is_added_later(tmp_path: Path) -> None:
    seen: list[dict[str, bytes]] = []
    for number, limit in enumerate((1000, 10, 3)):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with course(folder, "confluence", Products(records=80, twins=0.4), limit=limit) as c:
            deed = c.log._deeds.at(c.now_ms - 300_000)
            for _ in range(5):
                c.log._add(deed)
            await c.rest()
            first = await keys_in(c)
            seen.append(first)
            before = c.poller.report.spooled
            c.log._add(deed)  # the same bytes once more, at a time that was read already
            await c.start()
            await c.until(lambda c=c: c.poller.report.requests > 20)  # type: ignore[misc]
            await c.rest()
            later = await keys_in(c)
            assert set(first) < set(later)
            assert len(later) == len(first) + 1 == before + 1
            await c.all_arrived(c.log.name)
    assert seen[0] == seen[1] == seen[2]


# ---------------------------------------------------------------------------------------------------------- by hand


@asynccontextmanager
async def site(answer: Any, **config: Any) -> AsyncIterator[tuple[ConfluenceSource, list[Request]]]:
    """Serve a site that answers by hand."""
    asked: list[Request] = []
    clock = FakeClock()

    async def handle(request: Request) -> Response:
        asked.append(request)
        return answer(request)  # type: ignore[no-any-return]

    async with Server(handle) as server:
        made = ConfluenceConfig(
            type="confluence",
            site="acme",
            email="audit@example.com",
            token="ATATT-made-up",  # type: ignore[arg-type]
            access="site",
            site_url=server.url,
            gateway=server.url,
            **config,
        )
        source = ConfluenceSource(made, SourceContext("acme", clock, RequestBudget(clock)))
        try:
            yield source, asked
        finally:
            await source.close()
    assert server.failures == []


def page(*times: Any, **more: Any) -> Response:
    results = [{"creationDate": time, "summary": f"s{number}"} for number, time in enumerate(times)]
    return Response.json({"results": results, "start": 0, "limit": 1000, "size": len(results), "_links": {}, **more})


@pytest.mark.parametrize(
    ("link", "then"),
    [
        ("/rest/api/audit?start=2&limit=2&startDate=1&endDate=2", {"start": "2", "limit": "2"}),
        ("/wiki/rest/api/audit?cursor=a%2Bb%3D&limit=2", {"cursor": "a+b=", "limit": "2"}),
        ("https://evil.example/rest/api/audit?start=7", {"start": "7"}),
        ("//evil.example?start=7", {"start": "7"}),
        ("/rest/api/audit?start=0&limit=1000", {"start": "2", "limit": "1000"}),  # leads to itself
        ("/rest/api/audit", {"start": "2", "limit": "1000"}),
        ("/rest/api/audit?limit=5", {"start": "2", "limit": "1000"}),
        ("http://[", {"start": "2", "limit": "1000"}),
        (None, {"start": "2", "limit": "1000"}),
        (5, {"start": "2", "limit": "1000"}),
        ({"href": "/x?start=9"}, {"start": "2", "limit": "1000"}),
        ("/x?" + "&".join(f"a{n}=1" for n in range(50)) + "&start=9", {"start": "2", "limit": "1000"}),
        ("/x?start=9&" + "a" * 90_000, {"start": "9"}),
    ],
)
async def test_of_the_link_to_the_next_page_only_what_to_ask_is_used(link: Any, then: dict[str, str]) -> None:
    answers = [page(2_000, 1_500, _links={"next": link, "base": "https://evil.example"}), page()]
    async with site(lambda _: answers.pop(0)) as (source, asked):
        first = await source.fetch(source.walk(1_000, 3_000))
        await source.fetch(json.loads(json.dumps(first.next)))
        assert [request.path for request in asked] == ["/wiki/rest/api/audit"] * 2
        query = {name: values[0] for name, values in asked[1].query.items()}
        assert query.pop("startDate") == "1000"
        assert query.pop("endDate") == "3000"
        assert {name: value for name, value in query.items() if len(value) < 100} == then


@pytest.mark.parametrize(
    ("limit", "full"), [(2, True), (3, False), (0, False), (-1, False), ("2", False), (None, False)]
)
async def test_a_page_as_large_as_the_server_says_is_full(limit: Any, full: bool) -> None:
    async with site(lambda _: page(2_000, 1_500, limit=limit)) as (source, _):
        assert (await source.fetch(source.walk(1_000, 3_000))).more == full


@pytest.mark.parametrize("time", [None, "soon", -1, 10**20, 1.5, True, [], "2026-01-01"])
async def test_a_time_that_cannot_be_read_costs_no_record(time: Any) -> None:
    async with site(lambda _: page(time, 1_500)) as (source, _):
        found = await source.fetch(source.walk(1_000, 3_000))
        assert (len(found.bodies), found.newest, found.minutes[1]) == (2, 1_500, "1970-01-01T00:00")


async def test_a_record_that_no_strict_reader_takes_costs_none_of_its_neighbours() -> None:
    bad = (
        b'{"creationDate": 2000, "summary": "half \\ud83d"}',
        b'{"creationDate": 2001, "summary": "bad \xff"}',
        b'{"creationDate": 2002, "n": NaN, "m": 1e999}',
        b"null",
    )
    body = b'{"results":[' + b" , ".join(bad) + b'],"start":0,"limit":1000,"size":4,"_links":{}}'
    async with site(lambda _: Response(200, {"content-type": "application/json"}, body)) as (source, _):
        found = await source.fetch(source.walk(1_000, 3_000))
        assert tuple(found.bodies) == bad
        assert found.newest == 2002


async def test_the_probe_says_how_long_records_are_kept_and_that_not_knowing_it_harms_nothing() -> None:
    def answer(request: Request) -> Response:
        if request.path.endswith("/retention"):
            return retention[0]
        return page(1_700_000_000_000)

    retention = [Response.json({"number": 3, "units": "Months"})]
    async with site(answer) as (source, _):
        findings = {finding.subject: finding for finding in await source.probe()}
        assert findings["retention"].detail == "records are kept for 3 months"
        assert findings["log"].detail == "the newest record is of 2023-11-14T22:13:20.000Z"
        assert findings["windows"].ok
        for other in (Response(403), Response.json({"number": "many"}), Response(500), Response.json([1])):
            retention[0] = other
            findings = {finding.subject: finding for finding in await source.probe()}
            assert findings["retention"].ok
            assert "a year is the default" in findings["retention"].detail


async def test_the_probe_says_when_a_record_is_not_found_by_its_own_time() -> None:
    async with site(lambda request: page() if "startDate" in request.query else page(1_700_000_000_000)) as (source, _):
        findings = {finding.subject: finding for finding in await source.probe()}
        assert not findings["windows"].ok
        assert findings["windows"].fix
