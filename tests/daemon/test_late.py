"""Late is not new, in the whole daemon: history is marked, what comes as it happens is not, and both are in the books."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.daemon.engine import engine, file_sink, lines_of, source


def documents(path: Path) -> dict[str, dict[str, Any]]:
    read = [json.loads(line) for line in lines_of(path)]
    return {document["event"]["id"]: document for document in read}


async def test_history_is_marked_and_a_sink_may_do_without_it(tmp_path: Path) -> None:
    out, young = tmp_path / "out", tmp_path / "young"
    sinks = {
        "out": file_sink(out, format="ecs"),
        "young": file_sink(young, format="ecs", late={"events": "hold_back", "after": "1h"}),
    }
    async with (
        Simulator(SimulatorConfig(events=200, history="2d", rate=20)) as sim,
        engine(tmp_path, {"acme": source(sim, since="7d")}, sinks) as e,
    ):
        await e.until(lambda: len(documents(out)) >= 230)
        await e.until(lambda: any("tags" not in each for each in documents(young).values()))

        async def balanced() -> Any:
            report = await e.daemon.report()
            [line] = [line for line in report.books if line.sink == "young"]
            lane = next(lane for lane in report.lanes if lane.name == "young")
            return (line, lane) if line.balance == 0 and line.filtered == lane.held_back > 100 else None

        await e.until(balanced)
    found, kept = documents(out), documents(young)
    for ident, document in found.items():
        late = document["atlassian"]["audit"].get("late")
        assert document.get("tags", []) == ([late["kind"]] if late else [])
        assert ("ingested" in document["event"]) == (late is not None)
        if late is not None and late["seconds"] >= 3600:
            assert late["kind"] in {"backfill", "late"}
            assert ident not in kept
    assert sum("tags" not in document for document in found.values()) > 0
    assert sum(document.get("tags") == ["backfill"] for document in found.values()) > 100
