"""The analyst's ten questions, asked twice of what one daemon carried: of Elasticsearch, and of the archive.

The same events go by the same lanes to both; the queries are those of docs/analyst-questions.md.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from forwarder.archive.stores import open_store
from forwarder.investigate.building import Builder
from forwarder.investigate.opening import open_tables
from forwarder.investigate.parts import Index
from forwarder.investigate.reading import ArchiveReader
from forwarder.testing.far_end import context
from forwarder.testing.waiting import until
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from sinks.elasticsearch.settings import ElasticsearchConfig
from sinks.elasticsearch.sink import ElasticsearchSink
from tests.clocks import SetClock
from tests.daemon.engine import engine, source
from tests.investigate.asked import NOW
from tests.investigate.ten_questions import ANSWERS, Compared, Document
from tests.simulator.asking import Clock

if TYPE_CHECKING:
    from forwarder.investigate.tables import Tables
    from tests.servers.node import Node

EVERYTHING = 10_000


async def test_investigate_answers_the_ten_questions_as_elasticsearch_does(
    elasticsearch: Node, namespace: str, tmp_path: Path
) -> None:
    place = {"url": elasticsearch.url, "data_stream": f"logs-{namespace}.audit-default"}
    template = ElasticsearchSink(ElasticsearchConfig.model_validate(place), context("elastic"))
    await template.setup(apply=True)
    await template.close()
    sinks = {
        "elastic": {"type": "elasticsearch", **place, "batch": {"wait": 0.02}},
        "kept": {"type": "archive", "path": str(tmp_path / "archive"), "every": "1s"},
    }
    config = SimulatorConfig(seed=7, events=9_000, history="21d")
    async with Simulator(config, clock=Clock(NOW)) as sim:
        organization = sim.organizations[sim.org_id]
        wanted = sum(map(len, organization.feed.versions().values()))
        clock = SetClock(NOW - time.time())
        async with engine(tmp_path, {"acme": source(sim, since="30d")}, sinks, clock=clock) as running:

            async def arrived() -> bool:
                books = (await running.daemon.report()).audit_books
                return {line.sink: line.accepted for line in books} == dict.fromkeys(sinks, wanted)

            await until(arrived, watch=running.watch, within=500)

    def found(query: Document) -> list[Document]:
        answer = elasticsearch.client.get(f"/{place['data_stream']}/_search", {"query": query, "size": EVERYTHING})
        hits = answer["hits"]["hits"]
        assert len(hits) == answer["hits"]["total"]["value"]
        return [hit["_source"] for hit in hits]

    def compare(tables: Tables) -> list[str]:
        compared, differ = Compared(organization, tables, found), []
        for number, equal in ANSWERS.items():
            try:
                equal(compared)
            except AssertionError as error:
                differ.append(f"question {number}: {error}")
        return differ

    def ask() -> dict[str, list[str]]:
        index, said = Index(tmp_path / "index"), {}
        with ArchiveReader(open_store(str(tmp_path / "archive"))) as reader:
            with open_tables(reader) as tables:
                assert tables.ask("select count(*) from held").rows == [(wanted,)]
                said["evidence"] = compare(tables)
            built = Builder(reader, index).update(datetime.now(UTC) + timedelta(days=40))
            assert (built.rows, built.failed) == (wanted, {})
            with open_tables(reader, index) as tables:
                assert tables.made_of.objects == 0
                said["index"] = compare(tables)
        return said

    assert elasticsearch.client.request("POST", f"/{place['data_stream']}/_refresh").status == 200
    assert await asyncio.to_thread(ask) == {"evidence": [], "index": []}
