"""Everything that is unknown about the real API, any three of it in every combination: nothing is missing, nothing twice.

All 128 combinations: `make test ARGS="-m long tests/daemon/test_switches.py"`.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from simulator.config import SimulatorConfig, Switches
from simulator.simulator import Simulator
from tests.covering import covering
from tests.daemon.engine import digests_of, engine, file_sink, lines_of, source, truth

PRODUCT = list(
    itertools.product(
        ("processed", "time"),
        ("inclusive", "exclusive"),
        (("null", "unchanged"), ("resume", "unchanged"), ("resume", "fresh"), ("resume_without_to", "fresh")),
        ("accepted", "refused"),
        (0.0, 0.3),
        (0.0, 0.05),
    )
)


def name(row: tuple) -> str:
    compares, bounds, (tip, cursor), limit, behind, reissue = row
    return f"from={compares},{bounds},tip={tip}/{cursor},limit500={limit},behind={behind}s,reissue={reissue}"


SHORT = set(covering(PRODUCT))


@pytest.mark.parametrize(
    "row", [row if row in SHORT else pytest.param(row, marks=pytest.mark.long) for row in PRODUCT], ids=name
)
async def test_every_reading_of_the_unknown(tmp_path: Path, row: tuple) -> None:
    compares, bounds, (tip, cursor), limit, behind, reissue = row
    config = SimulatorConfig(
        events=700,
        history="2d",
        late_share=0.05,
        switches=Switches(
            from_compares=compares,
            bounds=bounds,
            tip=tip,
            tip_cursor=cursor,
            limit_above_200=limit,
            late_visible=behind,
            late_visible_share=0.3,
            reissue=reissue,
            reissue_within=0.5,
        ),
    )
    out = tmp_path / "out.ndjson"
    async with Simulator(config) as sim, engine(tmp_path, {"acme": source(sim)}, {"out": file_sink(out)}) as e:
        await e.until(lambda: len(lines_of(out)) >= 300)
        for _ in range(3):
            sim.add_events(60)
            wanted = truth(sim)
            await e.until(lambda wanted=wanted: len(lines_of(out)) >= len(wanted))
        report = await e.daemon.report()
        await e.stop()
        found = digests_of(out)
        assert truth(sim) == set(found)
        assert {digest: count for digest, count in found.items() if count > 1} == {}
        assert [line.balance for line in report.books] == [0]
