"""What changed between a configuration and its spool is said by `check`, `doctor` and `run` alike, and nothing is touched."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from forwarder.config.settings import load
from forwarder.exit_codes import ExitCode
from forwarder.preflight import certain_to_fail, worth_a_look
from forwarder.spool.sqlite.glimpse import glimpse
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.daemon.engine import file_sink, source
from tests.daemon.process import Process, write_config


class World:
    """A configuration with a spool: one sink has everything, one is down and waits."""

    def __init__(self, folder: Path, config: Path, sim: Simulator, process: Process) -> None:
        self.folder, self.config, self.sim, self.process = folder, config, sim, process
        self.state = folder / "state"

    def change(self, **sections: Any) -> None:
        self.config.write_text(yaml.safe_dump({**yaml.safe_load(self.config.read_text()), **sections}))

    def sinks(self) -> dict[str, Any]:
        return yaml.safe_load(self.config.read_text())["sinks"]

    async def found(self) -> tuple[str, str]:
        """Return what is a fault and what is worth a look, as text."""
        settings = load(self.config)
        faults, looks = [await asyncio.to_thread(ask, settings) for ask in (certain_to_fail, worth_a_look)]
        return "\n".join(map(str, faults)), "\n".join(map(str, looks))

    def content(self) -> dict[str, tuple[str, int]]:
        """Everything in the state folder: names, content, times."""
        return {
            path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
            for path in self.state.iterdir()
            if path.is_file()
        }


@pytest.fixture(params=["running", "stopped", "killed"])
async def world(tmp_path: Path, dead_port: int, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with made(tmp_path, request.param, dead_port) as found:
        yield found


@asynccontextmanager
async def made(folder: Path, how: str, port: int) -> AsyncIterator[World]:
    async with Simulator(SimulatorConfig(events=200, history="2d", organizations=2)) as sim:
        down = {"type": "http", "url": f"http://127.0.0.1:{port}/in", "retry": {"base": "10ms", "max": "100ms"}}
        config = write_config(folder, {"acme": source(sim)}, {"out": file_sink(folder / "out.ndjson"), "down": down})
        async with Process(config) as process:
            await process.start()
            await process.until_status(
                lambda found: {line["sink"]: line["waiting"] for line in found["books"]} == {"out": 0, "down": 200}
            )
            if how == "stopped":
                assert await process.stop() == 0
            elif how == "killed":
                await process.kill()
            yield World(folder, config, sim, process)


async def test_nothing_is_said_of_what_fits_and_nothing_is_touched(world: World) -> None:
    if not world.process.alive:
        before = world.content()
    assert (await world.found())[0] == ""
    known = glimpse(world.state / "spool.db")
    assert known is not None
    assert {lane.name: lane.waiting for lane in known.lanes} == {"out": 0, "down": 200}
    if not world.process.alive:
        assert world.content() == before
    else:
        world.sim.add_events(10)
        await world.process.until_status(lambda found: sum(line["waiting"] for line in found["books"]) == 210)


async def test_a_target_that_changed_is_a_fault_unless_start_says_what_to_do(world: World) -> None:
    down = world.sinks()["down"]
    other = {**down, "url": "http://127.0.0.1:1/other"}
    world.change(sinks={**world.sinks(), "down": other})
    faults, _ = await world.found()
    assert "sinks.down" in faults
    assert "200 events wait for it" in faults
    assert "sinks.down.start" in faults
    for start in ("now", "oldest", "continue"):
        world.change(sinks={**world.sinks(), "down": {**other, "start": start}})
        faults, looks = await world.found()
        assert faults == ""
        assert "instead of" in looks


async def test_another_kind_under_an_old_name_is_a_changed_target(world: World) -> None:
    world.change(sinks={**world.sinks(), "down": file_sink(world.folder / "new.ndjson")})
    assert "sinks.down" in (await world.found())[0]


async def test_an_id_in_other_letters_is_the_same_organization(world: World) -> None:
    sources = yaml.safe_load(world.config.read_text())["sources"]
    was = sources["acme"]["org_id"]
    for other in (was.upper(), was.replace("-", "")):
        world.change(sources={"acme": {**sources["acme"], "org_id": other}})
        faults, _ = await world.found()
        assert "sources.acme: is the same organization as until now" in faults
        assert f"write {was} again" in faults
        world.change(sources={"renamed": {**sources["acme"], "org_id": other}})
        assert f"write {was} again" in (await world.found())[0]


async def test_a_removed_and_a_renamed_sink_with_what_waits_are_worth_a_look(world: World) -> None:
    sinks = world.sinks()
    down = sinks.pop("down")
    world.change(sinks=sinks)
    faults, looks = await world.found()
    assert faults == ""
    assert "sinks.down" in looks
    assert "200 events" in looks
    assert "UTC" in looks
    world.change(sinks={**sinks, "renamed": down})
    faults, looks = await world.found()
    assert faults == ""
    assert "name it down again" in looks


async def test_another_organization_under_an_old_name_is_a_fault_a_new_name_is_not(world: World) -> None:
    acme = source(world.sim)
    other = source(world.sim, world.sim.org_ids[1])
    world.change(sources={"acme": other})
    assert "sources.acme" in (await world.found())[0]
    for fine in ({"renamed": acme}, {"acme": acme, "other": other}, {"other": other}):
        world.change(sources=fine)
        assert (await world.found())[0] == ""


async def test_check_doctor_and_run_agree_and_nothing_is_sent(tmp_path: Path, dead_port: int) -> None:
    async with made(tmp_path, "running", dead_port) as world:
        new = tmp_path / "new.ndjson"
        world.change(sinks={"out": file_sink(new)})
        for words in (["check"], ["doctor", "configuration"]):
            async with Process(world.config) as command:
                await command.start(*words)
                assert await command.wait() in {ExitCode.CONFIGURATION, ExitCode.DEGRADED}
                assert "sinks.out" in command.text
                assert "start" in command.text
        assert world.process.alive
        assert await world.process.stop() == 0
        await world.process.start()
        assert await world.process.wait() == ExitCode.CONFIGURATION
        assert "wrote to" in world.process.text
        assert not new.exists()


async def test_a_lane_without_a_sink_is_in_the_log_the_status_and_the_metrics(tmp_path: Path, dead_port: int) -> None:
    async with made(tmp_path, "stopped", dead_port) as world:
        sinks = world.sinks()
        del sinks["down"]
        world.change(sinks=sinks)
        await world.process.start()
        found = await world.process.until_status(lambda found: found["ready"])
        (lane,) = [lane for lane in found["spool"]["lanes"] if lane["name"] == "down"]
        assert (lane["active"], lane["lag_events"]) == (False, 200)
        assert lane["forgotten"] > found["now"]
        line = await world.process.until_logged("lane_not_configured")
        assert (line["forwarder"]["sink"], line["forwarder"]["waiting"]) == ("down", 200)
        assert line["forwarder"]["forgotten"]
        await world.process.until_got("/metrics", b'\nforwarder_spool_unclaimed_events{sink="down"} 200.0\n')
        assert await world.process.stop() == 0


async def test_a_spool_that_cannot_be_read_is_worth_a_look_and_no_spool_is_nothing(
    tmp_path: Path, dead_port: int
) -> None:
    async with made(tmp_path, "stopped", dead_port) as world:
        spool = world.state / "spool.db"
        content = spool.read_bytes()
        for odd in (b"x" * 5_000, content[:100] + os.urandom(3_996), content[: len(content) // 2]):
            spool.write_bytes(odd)
            faults, looks = await world.found()
            assert faults == ""
            assert "spool.path" in looks or odd == content[: len(content) // 2]
        spool.unlink()
        faults, looks = await world.found()
        assert faults == ""
        assert "spool.path" not in looks
