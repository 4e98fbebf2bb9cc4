"""Workspace events arrive once each, whatever the API does where nobody knows what it does: any three things together.

All 48 combinations: `make test ARGS="-m long tests/sources/workspace"`.
"""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest

from simulator.config import Products, Workspaces
from simulator.products.deeds import Product
from tests.covering import covering
from tests.sources.sites import Course, course

PRODUCT = list(
    itertools.product(
        ["newest_first", "oldest_first"],
        ["resume", "end", "refused"],
        ["inclusive", "exclusive"],
        [(7, "cut"), (25, "refused"), (200, "cut"), (500, "cut")],
    )
)
READINGS = [
    {"order": order, "tip": tip, "bounds": bounds, "most": most, "above": above}
    for order, tip, bounds, (most, above) in PRODUCT
]
SHORT = {PRODUCT.index(row) for row in covering(PRODUCT)}
NUMBERS = [
    number if number in SHORT else pytest.param(number, marks=pytest.mark.long) for number in range(len(PRODUCT))
]


def products(number: int, **switches: Any) -> Products:
    # What cannot matter to how windows are read takes turns.
    served = Workspaces(
        served=True,
        cursor_in=["meta", "links"][number % 2],
        ids=["own", "organization"][number // 2 % 2],
        **switches,
    )
    return Products(records=30, late=900.0, late_share=0.1, workspaces=served)


async def happen(c: Course, rng: random.Random) -> None:
    """Let things happen between two requests, also many in one millisecond."""
    c.clock.advance(rng.choice([0.0, 0.0, 0.001, 0.3]))
    if rng.random() < 0.3:
        c.log.happen(rng.choice([1, 1, 2, 9]), c.now_ms)


@pytest.mark.parametrize("number", NUMBERS, ids=lambda n: "-".join(map(str, READINGS[n].values())))
async def test_every_reading_of_the_unknown(tmp_path: Path, number: int) -> None:
    rng = random.Random(number)
    product: Product = rng.choice(["jira", "confluence"])
    async with course(tmp_path, product, products(number, **READINGS[number]), api="workspace_events") as c:
        most = min(READINGS[number]["most"], 100)
        c.log.happen(most + 3, c.now_ms - 3_600_000)  # more than a page in one millisecond
        c.log.happen(most, c.now_ms - 7_200_000)  # and as many as a page
        for turn in range(60):
            await happen(c, rng)
            await c.step()
            if turn in {15, 40}:
                await c.start()  # a restart
        await c.rest()
        await c.all_arrived(c.log.workspace)
        assert c.poller.report.well, c.poller.report
