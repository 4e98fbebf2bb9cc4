"""A backfill of every kind of log that is asked for: all that the log has of a stretch comes once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from forwarder.cli.app import app
from forwarder.cli.commands import backfill as command
from simulator.config import Products, SimulatorConfig, Workspaces
from simulator.products.datacenter import DataCenter, Habits
from simulator.simulator import Simulator
from simulator.world import World
from tests.daemon.engine import digests_of, engine, file_sink
from tests.sites import of_sites


async def backfilled(folder: Path, source: dict[str, Any], since: str) -> Counter[str]:
    """Read a stretch of a log of which nothing was read before, and return what came."""
    out = folder / "out.ndjson"
    async with engine(folder, {"log": {**source, "since": "0s"}}, {"out": file_sink(out)}) as e:
        await e.until(lambda: any(report.requests > 0 for report in e.daemon._source_reports.values()))
        words = ["backfill", "start", "-c", str(folder / "config.yaml"), "--source", "log", "--from", since]
        done = await asyncio.to_thread(CliRunner().invoke, app, words)
        assert (done.exit_code, "is done" in done.stdout) == (0, True), done.output
        await e.until_settled()
    return digests_of(out)


@pytest.mark.parametrize(("product", "feed"), [("jira", "jira"), ("confluence", "confluence"), ("jira", "workspace")])
async def test_of_a_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, product: str, feed: str) -> None:
    monkeypatch.setattr(command, "LOOK_EVERY", 0.05)
    products = Products(records=150, twins=0.1, workspaces=Workspaces(served=feed == "workspace"))
    async with Simulator(SimulatorConfig(events=0, history="10d", products=products)) as sim:
        site = next(iter(sim.sites.values()))
        api = {"api": "workspace_events"} if feed == "workspace" else {}
        log = site.logs[product]  # type: ignore[index]
        name = log.workspace if feed == "workspace" else log.name
        came = await backfilled(tmp_path, of_sites(sim, product, site.name, **api), "20d")
        bodies = [body for found in sim.ledger.bodies(name).values() for body in found]
        assert sum(came.values()) == len(bodies) > 0


async def test_of_data_center_by_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "LOOK_EVERY", 0.05)
    token = tmp_path / "token"
    token.write_text("pat-1")
    token.chmod(0o600)
    async with Simulator(SimulatorConfig(events=0)) as sim:
        product = DataCenter("bitbucket", World(2), random.Random(3), token="pat-1", habits=Habits(most=50))
        sim.add_datacenter(product)
        for days in range(1, 9):
            product.happen(20, sim._now_ms() - days * 86_400_000)
        source = {"type": "bitbucket_datacenter", "url": f"{sim.base_url}/dc/bitbucket", "token_file": str(token)}
        came = await backfilled(tmp_path, {**source, "every": "50ms", "budget": "fast"}, "20d")
        assert sum(came.values()) == 160
