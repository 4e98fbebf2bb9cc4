"""The audit log of a Data Center product: files on its nodes, and an API that records its own searches."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from simulator.config import SimulatorConfig
from simulator.products.datacenter import SEARCH, DataCenter, NodeFile
from simulator.simulator import Simulator
from simulator.world import World
from tests.simulator.asking import Answer, Clock, parse

DAY = 86_400


def jira(nodes: dict[str, NodeFile] | None = None) -> DataCenter:
    return DataCenter("jira", World(1), random.Random(1), token="pat", nodes=nodes)


async def ask(sim: Simulator, path: str = "events", *, token: str = "pat", **query: Any) -> Answer:
    reader, writer = await asyncio.open_connection("127.0.0.1", sim.server.port)
    names = {"since": "from", "until": "to"}
    asked = urlencode({names.get(name, name): value for name, value in query.items()})
    target = f"/dc/jira/rest/auditing/1.0/{path}?{asked}"
    head = f"GET {target} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
    writer.write(head.encode())
    try:
        return parse(await reader.read())
    finally:
        writer.close()


def lines(folder: Path) -> list[bytes]:
    return [line for path in sorted(folder.iterdir()) for line in path.read_bytes().splitlines()]


async def test_pages_by_cursor_hold_every_record_once_newest_first():
    clock = Clock()
    async with Simulator(SimulatorConfig(events=0), clock=clock) as sim:
        records = sim.add_datacenter(jira()).happen(50, int(clock.now * 1000))
        seen: list[Any] = []
        query: dict[str, Any] = {"limit": 20}
        while True:
            answer = (await ask(sim, **query)).json
            seen += answer["entities"]
            if answer["pagingInfo"]["lastPage"]:
                break
            query["pageCursor"] = answer["pagingInfo"]["nextPageCursor"]
        assert not any("id" in record for record in seen)
        assert [one for one in seen if one["type"]["action"] != SEARCH] == [json.loads(body) for body in records[::-1]]


async def test_a_search_is_recorded():
    clock = Clock()
    async with Simulator(SimulatorConfig(events=0), clock=clock) as sim:
        sim.add_datacenter(jira())
        assert (await ask(sim)).json["entities"] == []
        (record,) = (await ask(sim)).json["entities"]
        assert record["type"]["action"] == SEARCH


async def test_only_the_token_may_read_and_a_wrong_parameter_is_refused():
    async with Simulator(SimulatorConfig(events=0), clock=Clock()) as sim:
        sim.add_datacenter(jira())
        assert (await ask(sim, token="other")).status == 401
        for query in ({"limit": 0}, {"limit": "many"}, {"since": "yesterday"}, {"pageCursor": "x"}):
            assert (await ask(sim, **query)).status == 400


async def test_coverage_and_denylist_are_shown():
    async with Simulator(SimulatorConfig(events=0), clock=Clock()) as sim:
        product = sim.add_datacenter(jira())
        product.coverage, product.denylist = {"SECURITY": "base"}, ["jira.auditing.user.created"]
        assert (await ask(sim, "configuration/coverage")).json == {"levelByArea": {"SECURITY": "base"}}
        assert (await ask(sim, "configuration/denylist")).json == {"denylist": ["jira.auditing.user.created"]}


def test_every_node_writes_its_own_file(tmp_path):
    nodes = {name: NodeFile(tmp_path / name) for name in ("node1", "node2")}
    records = jira(nodes).happen(9, int(Clock().now * 1000))
    assert sorted(lines(tmp_path / "node1") + lines(tmp_path / "node2")) == sorted(records)
    assert len(lines(tmp_path / "node1")) == 4


def test_a_new_file_begins_each_day_and_above_a_size(tmp_path):
    file = NodeFile(tmp_path, most_bytes=10)
    now = int(Clock().now * 1000)
    for moment in (now, now, now + DAY * 1000):
        file.write(b'{"record":1}', moment)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "20260101-00000.audit.log",
        "20260101-00001.audit.log",
        "20260102-00000.audit.log",
    ]


def test_a_write_can_be_cut_short(tmp_path):
    file = NodeFile(tmp_path)
    file.write(b'{"record":1}', int(Clock().now * 1000), cut=5)
    assert file.path.read_bytes() == b'{"rec'
