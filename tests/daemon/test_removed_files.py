"""A product removes files while the daemon is down: what is gone is on record, and what is there arrives."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from forwarder.spool.gap import Gap
from simulator.products.datacenter import DataCenter, Habits
from simulator.products.node_file import NodeFile
from simulator.world import World
from tests.daemon.engine import Engine, engine, file_sink, lines_of

pytestmark = pytest.mark.timeout(120)


class Product:
    """One node, which keeps few files, and the daemon that reads them."""

    def __init__(self, folder: Path, most_files: int) -> None:
        self.folder = folder
        node = NodeFile(folder / "audit", most_bytes=4000, most_files=most_files)
        self._product = DataCenter("jira", World(1), random.Random(1), token="", nodes={"node1": node}, habits=Habits())
        self._times: dict[bytes, int] = {}

    def happen(self, count: int) -> None:
        for _ in range(count):
            now = int(time.time() * 1000)
            self._times |= dict.fromkeys(self._product.happen(1, now), now)

    def daemon(self) -> Any:
        jira = {"type": "jira_datacenter", "site": "jira.example.com", "nodes": {"node1": str(self.folder / "audit")}}
        jira |= {"since": "1h", "every": "50ms", "budget": "fast"}
        return engine(self.folder, {"jira": jira}, {"archive": file_sink(self.folder / "out.ndjson")})

    def missing(self) -> set[bytes]:
        return self._times.keys() - set(lines_of(self.folder / "out.ndjson"))

    def is_on_record(self, record: bytes, gaps: list[Gap]) -> bool:
        time_ms, tick = self._times[record], 20  # the file system's clock may be behind
        return any((gap.from_ms or 0) - tick <= time_ms <= (gap.to_ms or 2**53) + tick for gap in gaps)


def lines_below(folder: Path) -> set[bytes]:
    return {line for file in folder.iterdir() for line in file.read_bytes().splitlines()}


@pytest.mark.parametrize("most_files", [3, 10**6])
async def test_what_a_product_removed_while_the_daemon_was_down_is_on_record_once(
    tmp_path: Path, most_files: int
) -> None:
    product = Product(tmp_path, most_files)
    product.happen(5)
    async with product.daemon() as running:
        await running.until(lambda: not product.missing())
    product.happen(120)
    lost = product.missing() - lines_below(tmp_path / "audit")
    assert bool(lost) == (most_files == 3)
    for life in (1, 2):
        async with product.daemon() as running:
            await running.until(lambda: product.missing() == lost)
            product.happen(1)  # when it arrives, there was a look after the first
            await running.until(lambda: product.missing() == lost)
            report = await running.daemon.report()
            if lost and life == 1:
                await running.until(lambda: state_says(running))
        assert report.spool is not None
        assert [(gap.cause, gap.state) for gap in report.spool.gaps] == [("retention", "lost")] * bool(lost)
        assert all(product.is_on_record(record, report.spool.gaps) for record in lost)


async def state_says(running: Engine) -> bool:
    (source,) = (await running.daemon.report()).sources
    return source.state == "retrying" and "the product removed" in source.reason
