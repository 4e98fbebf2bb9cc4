"""Late marks, heartbeats and a look at what a sink has: with the daemon and the commands, on real servers."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.testing import CliRunner

from forwarder.cli.app import app
from forwarder.observe.reports import LaneReport
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.cli.printed import printed_json
from tests.daemon.engine import engine, source, truth

if TYPE_CHECKING:
    from tests.servers.node import Node

EVENTS = 80


def documented() -> str:
    """Return the search for silence as the documents have it."""
    text = (Path(__file__).parents[2] / "docs/heartbeat.md").read_text(encoding="utf-8")
    return text.split("```json\n")[1].split("```")[0]


async def run(folder: Path, *words: str) -> Any:
    """Run a command in a thread, for it has a loop of its own."""
    words = (*words, "-c", str(folder / "config.yaml"))
    return await asyncio.to_thread(CliRunner().invoke, app, list(words))


def documents_of(node: Node, stream: str) -> dict[str, dict[str, Any]]:
    """Return what a data stream has, by document id."""
    assert node.client.request("POST", f"/{stream}/_refresh").status == 200
    hits = node.client.get(f"/{stream}/_search?size=1000", {"query": {"match_all": {}}})["hits"]["hits"]
    return {hit["_id"]: hit for hit in hits}


async def test_what_is_late_is_marked_and_apart_heartbeats_come_and_what_the_server_lost_is_found(
    plain: Node, namespace: str, tmp_path: Path
) -> None:
    began = time.time() * 1000
    stream, late = f"logs-{namespace}.audit-default", f"logs-{namespace}.audit-late"
    sink = {
        "type": "elasticsearch",
        "url": plain.url,
        "data_stream": stream,
        "late": {"events": "elsewhere", "data_stream": late},
        "batch": {"wait": 0.02},
    }
    async with Simulator(SimulatorConfig(events=EVENTS, history="2d")) as sim:
        more: dict[str, Any] = {"heartbeat": {"every": "1s"}}
        async with engine(tmp_path, {"acme": source(sim)}, {"elastic": sink}, **more) as e:

            def lane() -> LaneReport:
                return e.daemon._lanes.reports.get("elastic") or LaneReport("elastic", "elasticsearch")

            await e.until(lambda: lane().state == "held")  # its template is missing
            done = await run(tmp_path, "setup", "--yes")
            assert done.exit_code == 0, done.output
            assert (await run(tmp_path, "lanes", "retry-now", "elastic")).exit_code == 0
            wanted = len(truth(sim))

            async def arrived() -> bool:
                books = (await e.daemon.report()).audit_books
                return sum(line.accepted for line in books) == wanted

            await e.until(arrived)
            sim.add_events(5)
            wanted += 5
            await e.until(arrived)
            await e.until(lambda: lane().accepted >= wanted + 2)

            # ----------------------------------------------------------------------- what is late is marked, and apart
            old = documents_of(plain, late)
            kinds = Counter(hit["_source"]["atlassian"]["audit"]["late"]["kind"] for hit in old.values())
            assert kinds["backfill"] > EVENTS // 2
            assert all(set(kinds) & set(hit["_source"]["tags"]) for hit in old.values())
            assert all(hit["_source"]["atlassian"]["audit"]["late"]["seconds"] >= 300 for hit in old.values())
            query = {"query": {"terms": {"tags": ["late", "recovered", "backfill"]}}}
            assert plain.client.get(f"/{late}/_count", query)["count"] == len(old)
            range_of_late = {"query": {"range": {"atlassian.audit.late.seconds": {"gte": 300}}}}
            assert plain.client.get(f"/{late}/_count", range_of_late)["count"] == len(old), "it is a number there"

            # ------------------------------------------------------------------------------------------- heartbeats
            new = documents_of(plain, stream)
            beats = [hit for hit in new.values() if hit["_source"]["event"]["action"] == "heartbeat"]
            assert beats
            assert len(old) + len(new) - len(beats) == wanted
            for since, is_fresh in (("now-15m", True), ("now+1h", False)):
                found = plain.client.get(f"/{stream}/_search", json.loads(documented().replace("now-15m", since)))
                assert found["hits"]["total"]["value"] == len(beats)
                [by_source] = found["aggregations"]["source"]["buckets"]
                [pair] = by_source["sink"]["buckets"]
                assert (by_source["key"], pair["key"], pair["doc_count"]) == ("acme", "elastic", len(beats))
                assert pair["last"]["value"] >= began
                assert (pair["fresh"]["doc_count"] > 0) == is_fresh, "so a silent pair can be told from one that beats"

        # --------------------------------------------------------------------------------- has it what it accepted?
        whole = await run(tmp_path, "reconcile", "--verify-sink")
        assert (whole.exit_code, "dropped after" in whole.stdout) == (0, False), whole.output
        events = [hit for hit in new.values() if hit not in beats]
        gone = [*events[:1], *list(old.values())[:2]]
        for hit in gone:
            assert plain.client.request("DELETE", f"/{hit['_index']}/_doc/{hit['_id']}").status == 200
        documents_of(plain, stream), documents_of(plain, late)  # a refresh: until then a search shows what was deleted
        short = await run(tmp_path, "reconcile", "--verify-sink")
        assert short.exit_code == 1, short.output
        assert all(hit["_id"] in short.stdout for hit in gone)
        verdict = printed_json((await run(tmp_path, "reconcile", "--json")).stdout)
        assert verdict["sums"]["missing"] == len(gone)
        assert {gap["cause"] for gap in verdict["gaps"]} == {"dropped_by_sink"}
        for hit in gone:
            path = f"/{stream if hit in events else late}/_create/{hit['_id']}"
            assert plain.client.request("PUT", path, hit["_source"]).status == 201
        back = await run(tmp_path, "reconcile", "--verify-sink")
        assert back.exit_code == 0, back.output
