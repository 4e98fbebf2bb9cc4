"""Settings that change while the daemon runs: what is put in force, what is refused, and that nothing is lost by it."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from forwarder.admin.reloads import Reloaded
from forwarder.contracts import ConfigError
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.cli.living import living
from tests.daemon.engine import Engine, digests_of, engine, file_sink, lines_of, source, truth
from tests.daemon.process import Process, write_config

Tree = dict[str, Any]


def rewrite(folder: Path, change: Callable[[Tree], object]) -> None:
    path = folder / "config.yaml"
    tree = yaml.safe_load(path.read_text())
    change(tree)
    path.write_text(yaml.safe_dump(tree))


async def changed(e: Engine, folder: Path, change: Callable[[Tree], object]) -> Reloaded:
    await e.until(lambda: e.daemon._running.has_begun)
    rewrite(folder, change)
    return await e.daemon.reload("a test")


def whole(path: Path) -> set[str]:
    """Return what a file sink has, each event once."""
    found = digests_of(path)
    assert set(found.values()) <= {1}, "something came twice"
    return set(found)


async def test_a_sink_that_differs_is_begun_anew_and_the_others_are_not_touched(tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    async with Simulator(SimulatorConfig(events=60, history="2d")) as sim:
        parts = {"acme": source(sim)}, {"out": file_sink(out), "other": file_sink(other)}
        async with engine(tmp_path, *parts) as e:
            await e.until(lambda: len(lines_of(out)) >= 60 and len(lines_of(other)) >= 60)
            before = e.daemon._lanes.live("other")
            done = await changed(e, tmp_path, lambda tree: tree["sinks"]["out"].update(exclude=[{"action": "*"}]))
            assert (done.sinks, done.sources) == (["out"], [])
            [change] = done.changes
            assert (change.path, change.after, change.needs_restart) == (
                "sinks.out.exclude",
                '[{"action": "*"}]',
                False,
            )
            assert e.daemon._lanes.live("other") is before
            sim.add_events(20)
            await e.until(lambda: len(lines_of(other)) >= 80)
            await e.until_settled()
            assert len(lines_of(out)) == 60
            await changed(e, tmp_path, lambda tree: tree["sinks"]["out"].pop("exclude"))
            sim.add_events(20)
            await e.until(lambda: len(lines_of(out)) >= 80)
            await e.until(lambda: len(lines_of(other)) >= 100)
            assert whole(other) == truth(sim)
            report = await e.daemon.report()
            assert all(line.balance == 0 for line in report.books)
            assert (await e.daemon.reload("a test")).changes == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tree: tree["sinks"]["out"].update(typo=1), "typo"),
        (lambda tree: tree.update(sinks={}), "sinks"),
        (lambda tree: tree["sinks"].update(twin=dict(tree["sinks"]["out"])), "same place"),
        (lambda tree: tree["sources"].update(twin=dict(tree["sources"]["acme"])), "same"),
        (lambda tree: tree["sinks"]["out"].update(path=tree["sinks"]["out"]["path"] + "-2"), "start"),
        (lambda tree: tree["sources"]["acme"].update(org_id="b1b2c3d4-0000-1111-2222-333344445555"), "new name"),
    ],
)
async def test_what_cannot_work_changes_nothing(tmp_path: Path, change: Callable[[Tree], object], words: str) -> None:
    out = tmp_path / "out"
    async with Simulator(SimulatorConfig(events=10, history="2d")) as sim:
        parts = {"acme": source(sim)}, {"out": file_sink(out)}
        async with engine(tmp_path, *parts) as e:
            await e.until(lambda: len(lines_of(out)) >= 10)
            lane, digest = e.daemon._lanes.live("out"), (await e.daemon.report()).config_digest
            with pytest.raises(ConfigError, match=words):
                await changed(e, tmp_path, change)
            assert e.daemon._lanes.live("out") is lane
            assert (await e.daemon.report()).config_digest == digest
            sim.add_events(5)
            await e.until(lambda: len(lines_of(out)) >= 15)
            assert whole(out) == truth(sim)


async def test_a_sink_and_a_source_come_and_go(tmp_path: Path) -> None:
    out, late = tmp_path / "out", tmp_path / "late"
    async with Simulator(SimulatorConfig(events=30, history="2d", organizations=2)) as sim:
        first, second = sim.organizations
        async with engine(tmp_path, {"acme": source(sim, first)}, {"out": file_sink(out)}) as e:
            await e.until(lambda: len(lines_of(out)) >= 30)
            await changed(e, tmp_path, lambda tree: tree["sinks"].update(late=file_sink(late, start="oldest")))
            await e.until(lambda: len(lines_of(late)) >= 30)
            done = await changed(e, tmp_path, lambda tree: tree["sources"].update(beta=source(sim, second)))
            assert (done.sources, done.sinks) == (["beta"], [])
            await e.until(lambda: whole(out) == whole(late) == truth(sim))
            done = await changed(e, tmp_path, lambda tree: tree["sinks"].pop("late"))
            assert done.sinks == ["late"]
            assert list(e.daemon._lanes.taps) == ["out"]
            sim.add_events(10)
            await e.until(lambda: whole(out) == truth(sim))

            async def has_gone() -> bool:
                report = await e.daemon.report()
                lanes = {lane.name: lane for lane in report.spool.lanes} if report.spool else {}
                return lanes["late"].forgotten_ms is not None and "late" not in {lane.name for lane in report.lanes}

            await e.until(has_gone)
            await changed(e, tmp_path, lambda tree: tree["sinks"].update(late=file_sink(late, start="oldest")))
            await e.until(lambda: whole(late) == truth(sim))
            await changed(e, tmp_path, lambda tree: tree["sinks"]["late"].update(batch={"wait": 0.03}))
            assert [one.name for one in (await e.daemon.report()).lanes] == ["late", "out"]  # as in the file
            await changed(e, tmp_path, lambda tree: tree["sources"].pop("beta"))
            assert [one.name for one in (await e.daemon.report()).sources] == ["acme"]
            await changed(e, tmp_path, lambda tree: tree["sources"].update(beta=source(sim, second, every="70ms")))
            sim.add_events(10)
            await e.until(lambda: whole(late) == whole(out) == truth(sim))


async def test_what_needs_a_restart_is_named_and_the_rest_is_in_force(tmp_path: Path) -> None:
    out = tmp_path / "out"
    async with Simulator(SimulatorConfig(events=5, history="2d")) as sim:
        parts = {"acme": source(sim)}, {"out": file_sink(out)}
        async with engine(tmp_path, *parts) as e:
            await e.until(lambda: len(lines_of(out)) >= 5)

            def change(tree: Tree) -> None:
                tree["spool"]["max_bytes"] = "3GiB"
                tree["log"] = {"level": "warning", "format": "json"}
                tree["sources"]["acme"]["webhook"] = {"secret": "another-planted-secret-value"}
                tree["sinks"]["out"]["batch"] = {"events": 7}
                tree["heartbeat"] = {"every": "1s"}

            done = await changed(e, tmp_path, change)
            waits = {each.path for each in done.changes if each.needs_restart}
            assert waits == {"spool.max_bytes", "log.format", "sources.acme.webhook"}
            assert (done.sources, done.sinks) == ([], ["out"])
            assert "planted" not in repr(done)
            await e.until(lambda: any(b'"heartbeat"' in line for line in lines_of(out)))
            again = await e.daemon.reload("a test")
            assert {each.path for each in again.changes} == waits


async def test_a_secret_that_changed_is_in_force_and_shown_to_nobody(tmp_path: Path) -> None:
    out = tmp_path / "out"
    async with Simulator(SimulatorConfig(events=5, history="2d")) as sim:
        good = source(sim)
        bad = {**good, "api_key": "planted-secret-value"}
        async with engine(tmp_path, {"acme": bad}, {"out": file_sink(out)}) as e:
            await e.until(lambda: [one.state for one in e.daemon._source_reports.values()] == ["held"])
            done = await changed(e, tmp_path, lambda tree: tree["sources"].update(acme=good))
            assert [each.path for each in done.changes] == ["sources.acme.api_key"]
            assert "planted" not in repr(done)
            assert str(good["api_key"]) not in repr(done)
            await e.until(lambda: whole(out) == truth(sim))


@pytest.mark.parametrize("seed", range(3))
async def test_reloads_at_any_moment_under_load_lose_nothing_and_double_nothing(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    paths = {name: tmp_path / name for name in ("one", "two", "three")}
    async with Simulator(SimulatorConfig(events=200, history="2d")) as sim:
        sinks = {name: file_sink(path, start="oldest") for name, path in paths.items()}
        async with engine(tmp_path, {"acme": source(sim)}, sinks, rng=rng) as e:

            def change(tree: Tree) -> None:
                what = rng.randrange(5)
                name = rng.choice(sorted(paths))
                if what == 0 and len(tree["sinks"]) > 1:
                    tree["sinks"].pop(name, None)
                elif what == 1:
                    tree["sources"]["acme"]["every"] = f"{rng.randrange(20, 90)}ms"
                elif what == 2:
                    tree["places"] = {"eu": [f"site-{rng.randrange(100)}"]}
                else:
                    batch = {"wait": 0.02, "events": rng.randrange(1, 50)}
                    tree["sinks"][name] = file_sink(paths[name], start="oldest", batch=batch)

            for _ in range(12):
                sim.add_events(rng.randrange(1, 30))
                await asyncio.sleep(rng.random() / 10)
                await changed(e, tmp_path, change)
            await changed(e, tmp_path, lambda tree: tree.update(sinks=sinks))
            for path in paths.values():
                await e.until(lambda path=path: set(digests_of(path)) >= truth(sim))  # type: ignore[misc]
            await e.until_settled()
            report = await e.daemon.report()
            assert all(line.balance == 0 for line in report.books)
            assert all(lane.doubtful == 0 for lane in report.lanes)
            assert {name: whole(path) for name, path in paths.items()} == dict.fromkeys(paths, truth(sim))


async def test_signal_command_and_file_reload_a_process_that_may_be_killed_meanwhile(tmp_path: Path) -> None:
    rng = random.Random(7)
    out, other = tmp_path / "out", tmp_path / "other"
    async with Simulator(SimulatorConfig(events=100, history="2d")) as sim:
        sinks = {"out": file_sink(out), "other": file_sink(other)}
        path = write_config(tmp_path, {"acme": source(sim)}, sinks, reload={"watch": True})
        async with Process(path) as daemon:
            for turn in range(3):
                await daemon.start()
                await daemon.until_logged("started")
                for count in range(3):
                    sim.add_events(20)
                    events = rng.randrange(1, 90) + 100 * (3 * turn + count)
                    rewrite(tmp_path, lambda tree, n=events: tree["sinks"]["out"]["batch"].update(events=n))  # type: ignore[misc]
                    if count == 0:
                        daemon.signal(signal.SIGHUP)
                    elif count == 1:
                        async with living(tmp_path, "reload") as done:
                            assert await done.ended() == 0, done.noted
                    await daemon.until_logged("configuration_reloaded", count + 1)
                rewrite(tmp_path, lambda tree: tree["sinks"]["out"].update(typo=1))
                await daemon.until_logged("configuration_not_reloaded")
                async with living(tmp_path, "reload") as done:
                    assert (await done.ended(), "typo" in done.noted) == (2, True)
                rewrite(tmp_path, lambda tree: tree["sinks"]["out"].pop("typo"))
                daemon.signal(signal.SIGHUP)
                await asyncio.sleep(rng.random() / 5)
                await daemon.kill()
            await daemon.start()
            await daemon.until_logged("started")
            await daemon.until(lambda: set(digests_of(out)) >= truth(sim) and set(digests_of(other)) >= truth(sim))
            assert await daemon.stop() == 0
    assert Counter(digests_of(out).values())[1] > 100
