"""The audit logs of Jira and Confluence sites: newest first by offset, over a list that grows while it is read."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from simulator.config import Products, SimulatorConfig
from simulator.products.site import CloudSite
from simulator.simulator import Simulator
from tests.simulator.asking import BEGINNING, Answer, Clock, parse

JIRA = "rest/api/3/auditing/record"
CONFLUENCE = "wiki/rest/api/audit"


def config(**products: Any) -> SimulatorConfig:
    return SimulatorConfig(events=0, history="2d", products=Products(**{"records": 300, **products}))


async def send(sim: Simulator, path: str, *, email: str, token: str, **query: Any) -> Answer:
    import asyncio

    reader, writer = await asyncio.open_connection("127.0.0.1", sim.server.port)
    basic = base64.b64encode(f"{email}:{token}".encode()).decode()
    writer.write(
        f"GET {path}?{urlencode(query)} HTTP/1.1\r\nhost: h\r\nauthorization: Basic {basic}\r\n"
        "connection: close\r\ncontent-length: 0\r\n\r\n".encode()
    )
    try:
        return parse(await reader.read())
    finally:
        writer.close()


async def ask(sim: Simulator, site: CloudSite, path: str, **query: Any) -> Answer:
    names = {"since": "from", "until": "to"}
    asked = {names.get(name, name): value for name, value in query.items()}
    return await send(sim, f"/site/{site.name}/{path}", email=site.email, token=site.token, **asked)


def first(sim: Simulator) -> CloudSite:
    return next(iter(sim.sites.values()))


async def test_jira_shows_every_record_once_newest_first_and_a_total_that_is_too_high():
    async with Simulator(config(), clock=Clock()) as sim:
        site = first(sim)
        seen: list[dict] = []
        while True:
            answer = (await ask(sim, site, JIRA, offset=len(seen), limit=70)).json
            if not answer["records"]:
                break
            seen += answer["records"]
            assert answer["total"] == 303
        assert {str(record["id"]) for record in seen} == sim.ledger.existed(site.logs["jira"].name)
        created = [record["created"] for record in seen]
        assert created == sorted(created, reverse=True)
        assert all(text.endswith("+0000") for text in created)


async def test_at_most_a_thousand_records_come_with_one_request():
    async with Simulator(config(records=1200), clock=Clock()) as sim:
        answer = await ask(sim, first(sim), JIRA, limit=5000)
        assert len(answer.json["records"]) == 1000


async def test_both_ends_of_a_window_are_inside_and_equal_ends_find_nothing():
    async with Simulator(config(), clock=Clock()) as sim:
        site = first(sim)
        found = (await ask(sim, site, JIRA)).json["records"]
        oldest, newest = found[-1]["created"], found[0]["created"]
        both = await ask(sim, site, JIRA, since=oldest.replace("+0000", "Z"), until=newest.replace("+0000", "Z"))
        assert len(both.json["records"]) == 300
        none = await ask(sim, site, JIRA, since=oldest, until=oldest)
        assert none.json["records"] == []


async def test_a_new_record_pushes_another_onto_the_next_page():
    clock = Clock()
    async with Simulator(config(), clock=clock) as sim:
        site = first(sim)
        one = (await ask(sim, site, JIRA, limit=10)).json["records"]
        clock.now += 60
        site.logs["jira"].happen(3, int(clock.now * 1000))
        two = (await ask(sim, site, JIRA, limit=10, offset=10)).json["records"]
        assert [record["id"] for record in two[:3]] == [record["id"] for record in one[-3:]]


async def test_confluence_links_to_the_next_page_and_gives_no_id():
    async with Simulator(config(confluence_most=100), clock=Clock()) as sim:
        site = first(sim)
        path, query, bodies = f"/site/{site.name}/{CONFLUENCE}", {"limit": "500"}, []
        while True:
            answer = (await send(sim, path, email=site.email, token=site.token, **query)).json
            assert answer["size"] == len(answer["results"]) <= 100
            assert not any("id" in record for record in answer["results"])
            bodies += answer["results"]
            if "next" not in answer["_links"]:
                break
            query = dict(part.split("=") for part in answer["_links"]["next"].partition("?")[2].split("&"))
        existed = [
            json.loads(body) for found in sim.ledger.bodies(site.logs["confluence"].name).values() for body in found
        ]
        assert sorted(map(json.dumps, bodies)) == sorted(map(json.dumps, existed))


async def test_twins_are_two_records_of_the_same_bytes():
    async with Simulator(config(twins=0.5), clock=Clock()) as sim:
        bodies = [body for found in sim.ledger.bodies(first(sim).logs["confluence"].name).values() for body in found]
        assert len(set(bodies)) < len(bodies)
        numbers = [body for found in sim.ledger.bodies(first(sim).logs["jira"].name).values() for body in found]
        assert len(set(numbers)) == len(numbers)


async def test_a_late_record_appears_behind_those_that_were_read():
    clock = Clock()
    async with Simulator(config(records=0, rate=0.001, late="1h", late_share=1.0), clock=clock) as sim:
        log = first(sim).logs["jira"]
        (ident,) = log.happen(1, int(clock.now * 1000))
        assert not log.newest_first(int(clock.now * 1000), None, None)
        clock.now += 3600
        (entry,) = log.newest_first(int(clock.now * 1000), None, None)
        assert (entry.id, entry.time_ms) == (ident, int(BEGINNING * 1000))


async def test_a_membership_of_the_organization_is_recorded_by_each_product_too():
    clock = Clock()
    async with Simulator(config(), clock=clock) as sim:
        organization = sim.organizations[sim.org_id]
        before = {log.name: len(log.feed) for site in sim.sites.values() for log in site.logs.values()}
        clock.now += 10
        while True:
            (ident,) = organization.happen(1, int(clock.now * 1000))
            event = json.loads(organization.feed.versions()[ident][-1].body)
            if event["attributes"]["action"] == "user_added_to_group":
                break
        for site in sim.sites.values():
            for log in site.logs.values():
                assert len(log.feed) > before[log.name]


@pytest.mark.parametrize(("gateway", "scoped"), [(False, False), (True, True)])
async def test_each_kind_of_token_is_good_at_its_own_host(gateway, scoped):
    async with Simulator(config(), clock=Clock()) as sim:
        site = first(sim)
        for product, path in (("jira", JIRA), ("confluence", CONFLUENCE)):
            at = f"/ex/{product}/{site.cloud_id}" if gateway else f"/site/{site.name}"
            good = site.scoped_token if scoped else site.token
            wrong = site.token if scoped else site.scoped_token
            assert (await send(sim, f"{at}/{path}", email=site.email, token=good)).status == 200
            assert (await send(sim, f"{at}/{path}", email=site.email, token=wrong)).status == 401


async def test_anybody_may_ask_for_the_cloud_id():
    async with Simulator(config(), clock=Clock()) as sim:
        site = first(sim)
        answer = await send(sim, f"/site/{site.name}/_edge/tenant_info", email="", token="")
        assert answer.json == {"cloudId": site.cloud_id}


@pytest.mark.parametrize(("login", "status"), [("refused", 401), ("page", 200), ("redirect", 302)])
async def test_a_wrong_token_gets_what_the_front_end_sends(login, status):
    async with Simulator(config(login=login), clock=Clock()) as sim:
        site = first(sim)
        answer = await send(sim, f"/site/{site.name}/{JIRA}", email=site.email, token="other")
        assert answer.status == status
        assert not answer.headers.get("content-type", "").startswith("application/json") or status == 401


async def test_a_free_plan_has_no_log():
    async with Simulator(config(plan="free"), clock=Clock()) as sim:
        assert (await ask(sim, first(sim), JIRA)).status == 403


async def test_a_burst_is_refused_with_its_reason_and_the_wait():
    async with Simulator(config(), clock=Clock()) as sim:
        sim.faults.add("rate_limit", feed="jira", wait=7, shape="retry_after")
        answer = await ask(sim, first(sim), JIRA)
        assert (answer.status, answer.headers["retry-after"]) == (429, "7")
        assert answer.headers["ratelimit-reason"] == "jira-burst-based"
        assert (await ask(sim, first(sim), JIRA)).status == 200


async def test_a_fault_of_one_product_leaves_the_other_alone():
    async with Simulator(config(), clock=Clock()) as sim:
        sim.faults.add("server_error", feed="confluence", status=503, times=1)
        assert (await ask(sim, first(sim), JIRA)).status == 200
        assert (await ask(sim, first(sim), CONFLUENCE)).status == 503
        assert (await ask(sim, first(sim), CONFLUENCE)).status == 200


async def test_the_same_seed_and_clock_record_the_same_bytes():
    def bodies() -> dict:
        sim = Simulator(config(), clock=Clock())
        return {log.name: sim.ledger.bodies(log.name) for site in sim.sites.values() for log in site.logs.values()}

    assert bodies() == bodies()
