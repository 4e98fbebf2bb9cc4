"""The whole daemon in this process: what it shows is the truth, and the trouble of one part stays that part's."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import ConfigError
from forwarder.exit_codes import ExitCode, code_for
from forwarder.observe.reports import LaneReport, SourceReport
from simulator.config import SimulatorConfig
from simulator.receivers.bulk import BulkReceiver
from simulator.simulator import Simulator
from tests.daemon.engine import Engine, digests_of, engine, file_sink, lines_of, source, truth

SMALL = {"max_bytes": "1MiB", "retain": 0}
TOO_MANY = 14_000
"""Events that a spool of that size cannot hold."""


def elastic(port: int, **more: Any) -> dict[str, Any]:
    retry = {"base": "10ms", "max": "100ms"}
    batch = {"events": 500, "wait": 0.02}
    url = f"http://127.0.0.1:{port}"
    return {"type": "elasticsearch", "url": url, "unmanaged": True, "batch": batch, "retry": retry, **more}


def few(**more: Any) -> SimulatorConfig:
    return SimulatorConfig(**{"events": 400, "history": "2d", **more})


def lane(e: Engine, name: str) -> LaneReport:
    return e.daemon._lane_reports.get(name) or LaneReport(name, "not built yet")


def polled(e: Engine, name: str = "acme") -> SourceReport:
    return e.daemon._source_reports.get(name) or SourceReport(name, "not built yet")


async def get(e: Engine, path: str) -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", e.daemon.admin_port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split(b" ", 2)[1]), body.decode()


async def until_it_has(e: Engine, sim: Simulator, out: Path) -> None:
    """Wait for everything that exists, in one file, and for its settlement."""
    wanted = truth(sim)
    await e.until(lambda: len(lines_of(out)) >= len(wanted))
    assert set(digests_of(out)) == wanted
    await e.until_settled("out")


async def books(e: Engine) -> list[Any]:
    return (await e.daemon.report()).books


async def assert_balanced(e: Engine) -> None:
    assert [line.balance for line in await books(e)] == [0] * len(await books(e))


# ------------------------------------------------------------------------------------------------------ what it shows


async def test_metrics_status_and_probes_agree_with_the_ledger(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    only_jira = file_sink(tmp_path / "jira.ndjson", include=[{"product": "jira"}])
    async with Simulator(few()) as sim:
        sinks = {"out": file_sink(out), "jira": only_jira}
        async with engine(tmp_path, {"acme": source(sim)}, sinks) as e:
            await until_it_has(e, sim, out)
            events = len(truth(sim))
            while True:
                status = json.loads((await get(e, "/status"))[1])
                if not any(line["waiting"] for line in status["books"]) and status["books"]:
                    break
                await asyncio.sleep(0.05)
            lines = {line["sink"]: line for line in status["books"]}
            assert status["balanced"]
            assert lines["out"]["spooled"] == lines["out"]["accepted"] == lines["jira"]["spooled"] == events
            jira = len(lines_of(tmp_path / "jira.ndjson"))
            assert (lines["jira"]["accepted"], lines["jira"]["filtered"]) == (jira, events - jira)
            assert status["sources"][0]["spooled"] == events
            assert status["degraded"] == []

            page = (await get(e, "/metrics"))[1]
            for sample, value in {
                'forwarder_source_spooled_events_total{source="acme"}': events,
                'forwarder_sink_accepted_events_total{sink="out"}': events,
                'forwarder_sink_accepted_events_total{sink="jira"}': jira,
                'forwarder_sink_filtered_events_total{sink="jira"}': events - jira,
                'forwarder_sink_lag_events{sink="out"}': 0,
            }.items():
                (found,) = re.findall(rf"^{re.escape(sample)} (\S+)$", page, re.MULTILINE)
                assert float(found) == value, sample
            assert (await get(e, "/readyz"))[0] == (await get(e, "/livez"))[0] == 200


# ----------------------------------------------------------------------------------------------- trouble of one part


async def test_a_lane_and_a_poller_that_fail_are_begun_anew_and_counted(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    async with (
        Simulator(few()) as sim,
        engine(tmp_path, {"acme": source(sim)}, {"out": file_sink(out)}, rng=random.Random(4)) as e,
    ):
        await e.until(lambda: len(lines_of(out)) > 0)
        spool = e.daemon._reporter.spool
        assert spool is not None
        real = spool.exchange, spool.commit
        failed: list[str] = []

        def broken(name: str, method: Any) -> Any:
            async def call(*args: Any, **more: Any) -> Any:
                if name not in failed:
                    failed.append(name)
                    raise RuntimeError("a fault nobody foresaw")
                return await method(*args, **more)

            return call

        spool.exchange, spool.commit = broken("lane", real[0]), broken("poller", real[1])  # type: ignore[method-assign]
        sim.add_events(100)
        await e.until(lambda: +Counter(e.daemon._reporter.restarts) == Counter({"source acme": 1, "sink out": 1}))
        sim.add_events(100)
        wanted = truth(sim)
        await e.until(lambda: wanted <= set(digests_of(out)))
        page = (await get(e, "/metrics"))[1]
        assert re.search(r'^forwarder_task_restarts_total\{task="sink out"\} 1\.0$', page, re.MULTILINE)
        await assert_balanced(e)


async def test_a_dead_sink_leaves_the_others_alone_and_catches_up(tmp_path: Path, dead_port: int) -> None:
    out = tmp_path / "out.ndjson"
    sinks = {"out": file_sink(out), "elastic": elastic(dead_port)}
    async with Simulator(few()) as sim, engine(tmp_path, {"acme": source(sim)}, sinks) as e:
        await until_it_has(e, sim, out)
        await e.until(lambda: lane(e, "elastic").state == "retrying")
        assert lane(e, "elastic").reason
        assert (await e.daemon.report()).degraded == ["elastic"]
        assert (await get(e, "/readyz"))[0] == 200
        async with BulkReceiver(auto_create=True, port=dead_port) as receiver:
            await e.until(lambda: len(receiver.stream()) >= len(truth(sim)))
            await e.until(lambda: lane(e, "elastic").well)
            assert receiver.refused == []
            await assert_balanced(e)
            await e.stop()


async def test_a_full_spool_pauses_polling_and_goes_on(tmp_path: Path, dead_port: int) -> None:
    out = tmp_path / "out.ndjson"
    sinks = {"out": file_sink(out), "elastic": elastic(dead_port)}
    spool = {"path": str(tmp_path / "spool.db"), **SMALL}
    async with (
        Simulator(few(events=TOO_MANY)) as sim,
        engine(tmp_path, {"acme": source(sim)}, sinks, spool=spool) as e,
    ):
        await e.until(lambda: polled(e).state == "paused")
        report = polled(e)
        assert "elastic" in report.reason
        assert "on_full" in report.fix
        await e.until(lambda: len(lines_of(out)) == report.spooled)
        requests, objections = report.requests, report.errors["spool_full"]
        await e.until(lambda: report.errors["spool_full"] >= objections + 2)
        assert report.requests == requests, "it went on asking for what it cannot keep"
        async with BulkReceiver(auto_create=True, port=dead_port) as receiver:
            await e.until(lambda: len(receiver.stream()) >= TOO_MANY)
            await until_it_has(e, sim, out)
            await e.until(lambda: report.well)
            assert len(receiver.stream()) == TOO_MANY
            await assert_balanced(e)
            await e.stop()


async def test_a_full_spool_detaches_who_asked_for_it(tmp_path: Path, dead_port: int) -> None:
    out = tmp_path / "out.ndjson"
    sinks = {"out": file_sink(out), "elastic": elastic(dead_port, on_full="detach")}
    spool = {"path": str(tmp_path / "spool.db"), **SMALL}
    async with (
        Simulator(few(events=TOO_MANY)) as sim,
        engine(tmp_path, {"acme": source(sim)}, sinks, spool=spool) as e,
    ):
        await until_it_has(e, sim, out)
        report = await e.daemon.report()
        assert report.spool is not None
        gaps = [gap for gap in report.spool.gaps if gap.cause == "detached"]
        assert {gap.lane for gap in gaps} == {"elastic"}
        missed = sum(gap.events or 0 for gap in gaps)
        (line,) = [line for line in report.books if line.sink == "elastic"]
        assert line.detached == missed > 0
        async with BulkReceiver(auto_create=True, port=dead_port) as receiver:
            await e.until_settled("elastic")
            (line,) = [line for line in await books(e) if line.sink == "elastic"]
            # what was in flight when it was detached may have arrived after all; then it is not detached any more
            assert line.detached <= missed
            after = await e.daemon.report()
            assert after.spool is not None
            gaps = [gap for gap in after.spool.gaps if gap.cause == "detached"]
            assert sum(gap.events or 0 for gap in gaps) == line.detached
            assert len(receiver.stream()) == line.accepted == TOO_MANY - line.detached
            await assert_balanced(e)
            await e.stop()


# ------------------------------------------------------------------------------------------------------------ secrets


async def test_a_rotated_key_of_the_source_is_read_without_a_restart(tmp_path: Path) -> None:
    out, key = tmp_path / "out.ndjson", tmp_path / "api-key"
    async with Simulator(few()) as sim:
        key.write_text(sim.api_key)
        acme = {**source(sim), "api_key_file": str(key)}
        del acme["api_key"]
        async with engine(tmp_path, {"acme": acme}, {"out": file_sink(out)}) as e:
            await until_it_has(e, sim, out)
            fresh = sim.rotate_key()
            sim.add_events(30)
            await e.until(lambda: polled(e).state == "held")
            assert "key" in polled(e).reason + polled(e).fix
            key.write_text(fresh)
            await until_it_has(e, sim, out)
            assert set(digests_of(out).values()) == {1}
            await assert_balanced(e)


async def test_a_rotated_key_of_the_sink_loses_nothing(tmp_path: Path) -> None:
    key, out = tmp_path / "es-key", tmp_path / "out.ndjson"
    key.write_text("Zmlyc3Q6a2V5")
    async with BulkReceiver(auto_create=True, credentials=["ApiKey Zmlyc3Q6a2V5"]) as receiver, Simulator(few()) as sim:
        sink = elastic(receiver.server.port, api_key_file=str(key))
        sinks = {"out": file_sink(out), "elastic": sink}
        async with engine(tmp_path, {"acme": source(sim)}, sinks) as e:
            await e.until(lambda: len(receiver.stream()) >= len(truth(sim)))
            receiver.credentials = {"ApiKey c2Vjb25kOmtleQ"}
            sim.add_events(30)
            await e.until(lambda: lane(e, "elastic").state == "held")
            await until_it_has(e, sim, out)
            assert lane(e, "elastic").dead_letters == 0
            key.write_text("c2Vjb25kOmtleQ")
            await e.until(lambda: len(receiver.stream()) >= len(truth(sim)))
            await e.until(lambda: lane(e, "elastic").well)
            await assert_balanced(e)
            await e.stop()


# -------------------------------------------------------------------------------------- changes of the configuration


async def test_a_removed_sink_pins_the_spool_for_a_grace_time_only(tmp_path: Path, dead_port: int) -> None:
    out = tmp_path / "out.ndjson"
    spool = {"path": str(tmp_path / "spool.db"), **SMALL}
    async with Simulator(few(events=TOO_MANY)) as sim:
        acme = {"acme": source(sim)}
        async with engine(tmp_path, acme, {"out": file_sink(out), "gone": elastic(dead_port)}, spool=spool) as e:
            await e.until(lambda: polled(e).state == "paused")
        async with engine(tmp_path, acme, {"out": file_sink(out)}, spool=spool) as e:
            await e.until(lambda: polled(e).state == "paused")
            assert "gone" in polled(e).reason
        async with engine(tmp_path, acme, {"out": file_sink(out)}, spool={**spool, "forget_lanes_after": "100ms"}) as e:
            await until_it_has(e, sim, out)
            report = await e.daemon.report()
            assert report.spool is not None
            assert {gap.lane for gap in report.spool.gaps if gap.cause == "lane_forgotten"} == {"gone"}
            await assert_balanced(e)


async def test_a_renamed_source_is_recognised(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    async with Simulator(few()) as sim:
        async with engine(tmp_path, {"acme": source(sim)}, {"out": file_sink(out)}) as e:
            await until_it_has(e, sim, out)
        sim.add_events(40)
        async with engine(tmp_path, {"head_office": source(sim)}, {"out": file_sink(out)}) as e:
            await until_it_has(e, sim, out)
            (line,) = await books(e)
            assert (line.source, line.spooled, line.accepted) == ("head_office", 440, 440)
        assert set(digests_of(out).values()) == {1}


async def test_another_organization_under_an_old_name_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    async with Simulator(few(organizations=2)) as sim:
        one, two = sim.org_ids
        async with engine(tmp_path, {"acme": source(sim, one)}, {"out": file_sink(out)}) as e:
            await e.until(lambda: len(lines_of(out)) >= 400)
        had = lines_of(out)
        with pytest.raises(ConfigError, match=f"sources.acme.*{one}") as caught:
            async with engine(tmp_path, {"acme": source(sim, two)}, {"out": file_sink(out)}) as e:
                await e.task
        assert code_for(caught.value) == ExitCode.CONFIGURATION
        assert lines_of(out) == had
        both = {"acme": source(sim, one), "other": source(sim, two)}
        async with engine(tmp_path, both, {"out": file_sink(out)}) as e:
            await until_it_has(e, sim, out)


async def test_a_new_sink_begins_where_it_says(tmp_path: Path) -> None:
    outs = {name: tmp_path / f"{name}.ndjson" for name in ("out", "oldest", "now", "since")}
    async with Simulator(few()) as sim:
        acme = {"acme": source(sim)}
        async with engine(tmp_path, acme, {"out": file_sink(outs["out"])}) as e:
            await until_it_has(e, sim, outs["out"])
        moment = datetime.now(UTC)
        before = truth(sim)
        sim.add_events(50)
        async with engine(tmp_path, acme, {"out": file_sink(outs["out"])}) as e:
            await until_it_has(e, sim, outs["out"])
        between = truth(sim) - before
        starts = {"oldest": "oldest", "now": "now", "since": moment.isoformat()}
        sinks = {name: file_sink(outs[name], start=start) for name, start in starts.items()}
        async with engine(tmp_path, acme, {"out": file_sink(outs["out"]), **sinks}) as e:
            await e.until(lambda: all(lane(e, name).state == "idle" for name in starts))
            sim.add_events(20)
            after = truth(sim) - before - between
            await e.until(lambda: all(after <= set(digests_of(outs[name])) for name in starts))
            await e.until(lambda: len(lines_of(outs["oldest"])) >= len(truth(sim)))
            await assert_balanced(e)
        assert set(digests_of(outs["oldest"])) == before | between | after
        assert set(digests_of(outs["since"])) == between | after
        assert set(digests_of(outs["now"])) == after
        with pytest.raises(ConfigError, match=r"sinks\.late\.start"):
            async with engine(tmp_path, acme, {"late": file_sink(tmp_path / "late", start="yesterday")}) as e:
                await e.task


async def test_several_organizations_in_one_process(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    async with Simulator(few(organizations=3)) as sim:
        names = dict(zip(("north", "south", "west"), sim.org_ids, strict=True))
        sources = {name: source(sim, ident) for name, ident in names.items()}
        sinks = {
            "out": file_sink(out),
            "north": file_sink(tmp_path / "north.ndjson", include=[{"source": "north"}]),
        }
        async with engine(tmp_path, sources, sinks) as e:
            for ident in sim.org_ids:
                sim.add_events(25, ident)
            sim.faults.add("forbidden", organization=0, times=3)
            await until_it_has(e, sim, out)
            await e.until(lambda: lane(e, "north").accepted == 425)
            found = {(line.source, line.sink): line for line in await books(e)}
            assert {line.spooled for line in found.values()} == {425}
            await assert_balanced(e)
        assert set(digests_of(out).values()) == {1}
        mine = {v.digest for versions in sim.ledger.versions(names["north"]).values() for v in versions}
        assert set(digests_of(tmp_path / "north.ndjson")) == mine


async def test_a_sink_that_cannot_be_built_is_named(tmp_path: Path) -> None:
    sink = {"type": "http", "url": "http://127.0.0.1:9/in", "body": "array", "format": "cef"}
    async with Simulator(SimulatorConfig(events=1)) as sim:
        with pytest.raises(
            ConfigError, match=r"sinks\.far \(config\.yaml line \d+\): body: array needs events in JSON"
        ):
            async with engine(tmp_path, {"acme": source(sim)}, {"far": sink}) as e:
                await e.task
