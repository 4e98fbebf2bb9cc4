"""Workspace events arrive once each through faults of the API, by whichever habit it has at the end of a window."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from simulator.config import Products, Workspaces
from simulator.products.deeds import Product
from tests.sources.sites import course

FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("cursor_lost", {"times": 1}),
    ("cursor_lost", {"times": 2}),
    ("cursor_lost", {"times": 3}),
    ("cursor_lost", {"times": 25}),
    ("cursor_lost", {"every": 2, "times": 40}),
    ("cursor_lost", {"share": 0.3, "times": 40}),
    ("empty_page", {"times": 1}),
    ("empty_page", {"times": 2}),
    ("empty_page", {"every": 3, "times": 40}),
    ("loop", {"share": 0.3, "times": 40}),
    ("invalid_json", {"share": 0.3, "times": 40}),
    ("truncated", {"share": 0.3, "times": 40}),
    ("reset_mid", {"share": 0.3, "times": 40}),
    ("server_error", {"share": 0.3, "times": 40, "status": 502}),
    ("html", {"share": 0.3, "times": 40, "status": 200}),
    ("rate_limit", {"share": 0.2, "times": 20, "shape": "retry_after", "wait": 5}),
    ("unauthorized", {"share": 0.3, "times": 20}),
    ("forbidden", {"share": 0.3, "times": 20}),
    ("bad_date", {"share": 0.3, "times": 20}),
    ("redirect", {"share": 0.3, "times": 20}),
]


PRODUCTS: list[Product] = ["jira", "confluence"]
TIPS: list[Any] = ["resume", "end", "refused"]
CASES = [
    (what, more, tip)
    for number, (what, more) in enumerate(FAULTS)
    for tip in (TIPS if what in {"cursor_lost", "empty_page", "loop"} else [TIPS[number % 3]])
]


@pytest.mark.parametrize(("what", "more", "tip"), CASES, ids=str)
async def test_a_fault_neither_loses_nor_doubles(tmp_path: Path, what: Any, more: dict[str, Any], tip: Any) -> None:
    rng = random.Random(f"{what}{more}{tip}")
    served = Workspaces(served=True, most=25, tip=tip, order=rng.choice(["newest_first", "oldest_first"]))
    async with course(tmp_path, "jira", Products(records=60, workspaces=served), api="workspace_events") as c:
        c.log.happen(40, c.now_ms - 3_600_000)  # more than a page in one millisecond
        c.sim.faults.add(what, feed="workspace", **more)
        for turn in range(80):
            c.clock.advance(rng.choice([0.0, 0.001, 0.3]))
            if rng.random() < 0.2:
                c.log.happen(rng.choice([1, 2, 9]), c.now_ms)
            await c.step()
            if turn % 20 == 7:
                await c.start()  # a restart
        c.sim.faults.clear()
        await c.rest()
        assert c.sim.faults.fired(what)
        await c.all_arrived(c.log.workspace)
        assert c.poller.report.well


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_missing_or_doubled_through_faults_and_kills(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    served = Workspaces(
        served=True,
        most=rng.choice([25, 200]),
        above=rng.choice(["cut", "refused"]),
        tip=rng.choice(TIPS),
        order=rng.choice(["newest_first", "oldest_first"]),
        bounds=rng.choice(["inclusive", "exclusive"]),
    )
    products = Products(records=40, late=900.0, late_share=0.1, workspaces=served)
    async with course(tmp_path, rng.choice(PRODUCTS), products, api="workspace_events") as c:
        c.log.happen(rng.choice([3, 40]), c.now_ms - 3_600_000)
        for what, more in rng.sample(FAULTS, 4):
            c.sim.faults.add(what, feed="workspace", **{**more, "share": 0.15, "times": 15})  # type: ignore[arg-type]
        for _ in range(80):
            c.clock.advance(rng.choice([0.0, 0.001, 0.3, 20]))
            if rng.random() < 0.2:
                c.log.happen(rng.choice([1, 2, 30]), c.now_ms)
            await (c.killed(rng) if rng.random() < 0.1 else c.step())
        c.sim.faults.clear()
        await c.rest()
        await c.all_arrived(c.log.workspace)
        assert c.poller.report.well
