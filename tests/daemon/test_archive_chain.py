"""A daemon with an archive: its newest digest reaches the other sinks, and a second daemon is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from forwarder.archive.keys import write_new_key
from forwarder.archive.stores import open_store
from forwarder.archive.verify import verify
from simulator.config import RateLimits, SimulatorConfig
from simulator.simulator import Simulator
from tests.daemon.engine import Engine, engine, file_sink, source

EVENTS = 60


def beats_in(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
    return [line for line in lines if line.get("type") == "heartbeat" and "archive_heads" in line]


async def state_of(e: Engine, sink: str) -> tuple[str, str]:
    lanes = (await e.daemon.report()).lanes
    return next(((lane.state, lane.reason) for lane in lanes if lane.name == sink), ("", ""))


async def test_its_head_is_in_the_siem_and_a_second_daemon_is_held(tmp_path: Path) -> None:
    write_new_key(tmp_path / "key.pem")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    out, folder = tmp_path / "out.ndjson", tmp_path / "years"
    archive = {"type": "archive", "path": str(folder), "key_file": str(tmp_path / "key.pem"), "every": "100ms"}
    config = SimulatorConfig(events=EVENTS, history="2d", limits=RateLimits(stream=0, events=0))
    beat = {"heartbeat": {"every": "1s"}}
    async with Simulator(config) as sim:
        sinks = {"years": archive, "siem": file_sink(out)}
        async with engine(tmp_path / "one", {"acme": source(sim)}, sinks, **beat) as e:
            await e.until(lambda: beats_in(out))
            head = beats_in(out)[-1]["archive_heads"]["years"]

            async def is_stored() -> bool:
                return (
                    sum(line.accepted for line in (await e.daemon.report()).audit_books if line.sink == "years")
                    == EVENTS
                )

            await e.until(is_stored)
            async with engine(tmp_path / "two", {"acme": source(sim)}, {"years": archive}) as second:

                async def is_refused() -> bool:
                    state, reason = await state_of(second, "years")
                    return state == "held" and "another daemon" in reason

                await second.until(is_refused)
                assert (await state_of(e, "years"))[0] != "held"
        found = await verify(open_store(str(folder)), heads=[head])
        assert found.findings == []
        async with engine(tmp_path / "one", {"acme": source(sim)}, sinks, **beat) as e:
            before = len(beats_in(out))
            await e.until(lambda: len(beats_in(out)) > before)  # it goes on where it was
            assert (await state_of(e, "years"))[0] != "held"
