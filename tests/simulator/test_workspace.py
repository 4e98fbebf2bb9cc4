"""The Workspace Events API: what is published of it holds, and each thing that is not is a switch."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

from simulator.config import Products, SimulatorConfig, Workspaces
from simulator.products.site import CloudSite
from simulator.simulator import Simulator
from tests.simulator.asking import Answer, Clock, parse


def config(products: dict[str, Any] | None = None, **switches: Any) -> SimulatorConfig:
    workspaces = Workspaces(served=True, **switches)
    return SimulatorConfig(
        events=0, history="2d", products=Products(workspaces=workspaces, **{"records": 120, **(products or {})})
    )


async def ask(
    sim: Simulator,
    site: CloudSite,
    path: str = "events",
    *,
    product: str = "jira",
    ident: str | None = None,
    token: str | None = None,
    language: str | None = None,
    **query: Any,
) -> Answer:
    names = {"since": "from", "until": "to"}
    encoded = urlencode({names.get(name, name): value for name, value in query.items()})
    workspace = quote(f"ari:cloud:{product}::site/{site.cloud_id}", safe="") if ident is None else ident
    basic = base64.b64encode(f"{site.email}:{token or site.scoped_token}".encode()).decode()
    spoken = f"accept-language: {language}\r\n" if language is not None else ""
    reader, writer = await asyncio.open_connection("127.0.0.1", sim.server.port)
    writer.write(
        f"GET /audit-log/v1/workspaces/{workspace}/{path}?{encoded} HTTP/1.1\r\nhost: h\r\n{spoken}"
        f"authorization: Basic {basic}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".encode()
    )
    try:
        return parse(await reader.read())
    finally:
        writer.close()


def first(sim: Simulator) -> CloudSite:
    return next(iter(sim.sites.values()))


def onward(answer: Answer) -> str | None:
    document = answer.json
    if "next" in document["meta"]:
        return document["meta"]["next"]
    link = document["links"].get("next")
    return parse_qs(urlsplit(link).query)["cursor"][0] if link else None


async def everything(sim: Simulator, site: CloudSite, **query: Any) -> list[dict]:
    answer = await ask(sim, site, **query)
    found = answer.json["data"]
    while answer.json["data"] and (cursor := onward(answer)) is not None:
        answer = await ask(sim, site, cursor=cursor, limit=query.get("limit", 50))
        if answer.status == 400:
            break
        found += answer.json["data"]
    return found


@pytest.mark.parametrize(
    ("order", "tip", "cursor_in", "most"),
    list(
        itertools.product(
            ["newest_first", "oldest_first"], ["resume", "end", "refused"], ["meta", "links"], [7, 120, 500]
        )
    ),
)
async def test_every_event_comes_once_in_the_order_that_is_set(order, tip, cursor_in, most):
    async with Simulator(config(order=order, tip=tip, cursor_in=cursor_in, most=most), clock=Clock()) as sim:
        site = first(sim)
        found = await everything(sim, site, limit=60)
        assert sorted(event["id"] for event in found) == sorted(sim.ledger.existed(site.logs["jira"].workspace))
        times = [event["attributes"]["time"] for event in found]
        assert times == sorted(times, reverse=order == "newest_first")


async def test_a_cursor_at_the_tip_stays_valid_ends_or_is_refused():
    for tip in ("resume", "end", "refused"):
        clock = Clock()
        async with Simulator(config(tip=tip, order="oldest_first"), clock=clock) as sim:
            site = first(sim)
            answer = await ask(sim, site, limit=200)
            cursor = onward(answer)
            assert (cursor is None) == (tip == "end")
            if cursor is None:
                continue
            clock.now += 60
            site.logs["jira"].happen(2, int(clock.now * 1000))
            more = await ask(sim, site, cursor=cursor, limit=200)
            assert more.status == (200 if tip == "resume" else 400)
            if tip == "resume":
                assert len(more.json["data"]) == 2
            else:
                assert more.json["code"] == "INVALID_CURSOR"


async def test_a_limit_above_the_most_is_cut_or_refused():
    async with Simulator(config(most=20), clock=Clock()) as sim:
        assert len((await ask(sim, first(sim), limit=100)).json["data"]) == 20
    async with Simulator(config(most=20, above="refused"), clock=Clock()) as sim:
        answer = await ask(sim, first(sim), limit=100)
        assert (answer.status, answer.json["code"]) == (400, "INVALID_LIMIT")


@pytest.mark.parametrize(("bounds", "count"), [("inclusive", 1), ("exclusive", 0)])
async def test_the_ends_of_a_window_are_inside_or_outside(bounds, count):
    async with Simulator(config(bounds=bounds, products={"records": 0, "rate": 1e-9}), clock=Clock()) as sim:
        site = first(sim)
        at = int(sim.clock() * 1000)
        site.logs["jira"].happen(1, at)
        iso = "2026-01-01T00:00:00.000Z"
        for edges in ((at, at + 9), (at - 9, at), (iso, at + 9)):
            assert len((await ask(sim, site, since=edges[0], until=edges[1])).json["data"]) == count
        assert len((await ask(sim, site, since=at - 1, until=at + 1)).json["data"]) == 1


@pytest.mark.parametrize("language", ["en", "de-DE", "zh-Hans-CN"])
async def test_one_tag_is_a_language(language):
    async with Simulator(config(), clock=Clock()) as sim:
        assert (await ask(sim, first(sim), language=language)).status == 200


@pytest.mark.parametrize("language", ["en-GB,en;q=0.5", "en, de", "*", "en;q=1"])
async def test_a_weighted_list_of_languages_is_refused(language):
    async with Simulator(config(), clock=Clock()) as sim:
        answer = await ask(sim, first(sim), language=language)
        assert (answer.status, answer.json["code"]) == (400, "INVALID_LANGUAGE")


async def test_the_id_of_a_workspace_is_percent_encoded_and_of_one_product():
    async with Simulator(config(), clock=Clock()) as sim:
        site = first(sim)
        plain = f"ari:cloud:jira::site/{site.cloud_id}"
        assert (await ask(sim, site, ident=plain)).status == 404
        assert (await ask(sim, site, ident=quote("ari:cloud:jira::site/other", safe=""))).status == 404
        jira, confluence = await ask(sim, site), await ask(sim, site, product="confluence")
        assert {event["id"] for event in jira.json["data"]}.isdisjoint(event["id"] for event in confluence.json["data"])
        assert all(event["attributes"]["action"].startswith("confluence_") for event in confluence.json["data"])


async def test_refusals_of_the_application_and_of_the_gateway_have_two_shapes():
    async with Simulator(config(), clock=Clock()) as sim:
        site = first(sim)
        refused = await ask(sim, site, token="other")
        assert (refused.status, refused.json["code"]) == (401, 401)
        without_scopes = await ask(sim, site, token=site.token)
        assert (without_scopes.status, without_scopes.json) == (401, {"code": 401, "message": "Unauthorized"})
        for query in ({"since": "yesterday"}, {"since": 5, "until": 4}, {"cursor": "x"}, {"limit": 0}, {"page": 2}):
            answer = await ask(sim, site, **query)
            assert answer.status == 400
            assert set(answer.json) == {"status", "code", "message"}
        site.may_read = False
        assert (await ask(sim, site)).json["code"] == "FORBIDDEN"


async def test_where_there_is_no_such_api_its_paths_are_unknown():
    async with Simulator(SimulatorConfig(events=0, products=Products(records=5)), clock=Clock()) as sim:
        assert (await ask(sim, first(sim))).status == 404


async def test_the_actions_of_the_product_are_listed():
    async with Simulator(config(), clock=Clock()) as sim:
        items = (await ask(sim, first(sim), "event-actions")).json["data"]
        assert items
        assert all(item["type"] == "event_actions" and item["attributes"]["displayName"] for item in items)


@pytest.mark.parametrize(("ids", "same"), [("own", False), ("organization", True)])
async def test_an_event_of_the_organization_has_another_id_here_or_the_same(ids, same):
    clock = Clock()
    async with Simulator(config(ids=ids), clock=clock) as sim:
        organization = sim.organizations[sim.org_id]
        clock.now += 10
        while True:
            (ident,) = organization.happen(1, int(clock.now * 1000))
            event = json.loads(organization.feed.versions()[ident][-1].body)
            if event["attributes"]["action"] == "user_added_to_group":
                break
        found = {event["id"] for event in await everything(sim, first(sim), since=int(clock.now * 1000) - 1)}
        assert (ident in found) == same


async def test_a_burst_and_faults_of_the_wire_are_those_of_the_script():
    async with Simulator(config(), clock=Clock()) as sim:
        site = first(sim)
        sim.faults.add("rate_limit", feed="workspace", wait=9, shape="retry_after")
        answer = await ask(sim, site)
        assert (answer.status, answer.headers["retry-after"]) == (429, "9")
        sim.faults.add("invalid_json", feed="workspace")
        torn = await ask(sim, site)
        with pytest.raises(json.JSONDecodeError):
            json.loads(torn.body)
        sim.faults.add("cursor_lost", feed="workspace")
        good = await ask(sim, site, limit=5)
        assert good.status == 200
        assert (await ask(sim, site, cursor=onward(good))).json["code"] == "INVALID_CURSOR"
        sim.faults.add("empty_page", feed="workspace")
        empty = await ask(sim, site, limit=5)
        assert (empty.json["data"], onward(empty) is not None) == ([], True)
        assert sim.ledger.faults == {"rate_limit": 1, "invalid_json": 1, "cursor_lost": 1, "empty_page": 1}


async def test_the_records_are_the_same_bytes_with_and_without_workspaces():
    def bodies(served: bool) -> dict:
        made = SimulatorConfig(events=300, products=Products(records=40, workspaces=Workspaces(served=served)))
        sim = Simulator(made, clock=Clock())
        names = [sim.org_id, *(log.name for site in sim.sites.values() for log in site.logs.values())]
        return {name: sim.ledger.bodies(name) for name in names}

    assert bodies(True) == bodies(False)
