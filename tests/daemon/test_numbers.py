"""The numbers that people read of a running forwarder agree with each other and with what is there."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any, get_args

import pytest
from structlog.testing import capture_logs

from forwarder.contracts import ConfigError, Held, Retryable
from forwarder.contracts.errors import ErrorKind, fix_of
from forwarder.delivery.undelivered import Undelivered
from forwarder.observe import summary
from simulator.config import RateLimits, SimulatorConfig, Switches
from simulator.simulator import Simulator
from tests.daemon.engine import Engine, engine, file_sink, source, truth

EVENTS = 2500


def some() -> SimulatorConfig:
    return SimulatorConfig(events=EVENTS, history="2d", limits=RateLimits(stream=0, events=0))


def dead(port: int) -> dict[str, Any]:
    batch = {"events": 10, "wait": 0.02}
    retry = {"base": "100ms", "max": "300ms"}
    return {"type": "http", "url": f"http://127.0.0.1:{port}/in", "batch": batch, "window": 1, "retry": retry}


async def status(e: Engine) -> dict[str, Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", e.daemon.admin_port)
    writer.write(b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    found: dict[str, Any] = json.loads((await reader.read()).partition(b"\r\n\r\n")[2])
    writer.close()
    await writer.wait_closed()
    return found


async def metric(e: Engine, name: str) -> float:
    reader, writer = await asyncio.open_connection("127.0.0.1", e.daemon.admin_port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    page = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    (found,) = [line.rpartition(" ")[2] for line in page.splitlines() if line.startswith(name + " ")]
    return float(found)


async def test_what_waits_for_a_dead_sink_is_all_that_was_read_and_goes_on_growing(
    tmp_path: Path, dead_port: int
) -> None:
    """Its lane is full after a few batches and makes no exchange any more, so it cannot know by itself."""
    sinks = {"out": file_sink(tmp_path / "out.ndjson"), "far": dead(dead_port)}
    async with Simulator(some()) as sim, engine(tmp_path, {"acme": source(sim)}, sinks) as e:
        await e.until(lambda: e.daemon.admin_port > 0)
        for more in (0, 300):
            if more:
                sim.add_events(more)
            while (found := await status(e))["spool"] is None or sum(  # noqa: ASYNC110 -- the status is what is asked
                line["waiting"] for line in found["books"] if line["sink"] == "far"
            ) < len(truth(sim)):
                await asyncio.sleep(0.05)
            far = next(sink for sink in found["sinks"] if sink["name"] == "far")
            assert far["lag_events"] == len(truth(sim))
            assert far["oldest_waiting"] is not None
            assert await metric(e, 'forwarder_sink_lag_events{sink="far"}') == len(truth(sim))
        assert far["state"] == "retrying"
        assert far["trouble_since"] is not None


async def test_every_status_is_of_one_moment(tmp_path: Path) -> None:
    """Asked again and again while events run through: a lane's row never contradicts its line in the books."""
    out = file_sink(tmp_path / "out.ndjson", batch={"events": 20, "wait": 0.02})
    async with Simulator(some()) as sim, engine(tmp_path, {"acme": source(sim)}, {"out": out}) as e:
        moving = 0
        while True:
            report = await e.daemon.report()
            if report.spool is not None and report.books and report.lanes:
                (lane,) = report.lanes
                (line,) = report.books
                assert (lane.lag, line.balance) == (line.waiting, 0)
                assert bool(lane.oldest_waiting) == bool(line.waiting)
                assert line.spooled == report.spool.sources[0].spooled
                moving += bool(line.waiting)
                if line.accepted == EVENTS:
                    break
            await asyncio.sleep(0)
        assert moving


async def test_a_report_keeps_its_moment(tmp_path: Path) -> None:
    async with (
        Simulator(some()) as sim,
        engine(tmp_path, {"acme": source(sim)}, {"out": file_sink(tmp_path / "out.ndjson")}) as e,
    ):
        while not (early := await e.daemon.report()).lanes or not early.lanes[0].accepted:  # noqa: ASYNC110 -- as below
            await asyncio.sleep(0.01)
        before = [(lane.accepted, lane.state) for lane in early.lanes]
        asked = [source.requests for source in early.sources]
        while (await e.daemon.report()).lanes[0].accepted < EVENTS:  # noqa: ASYNC110 -- the report is what is asked
            await asyncio.sleep(0.05)
        assert [(lane.accepted, lane.state) for lane in early.lanes] == before
        while (await e.daemon.report()).sources[0].requests == asked[0]:  # noqa: ASYNC110 -- the report is what is asked
            await asyncio.sleep(0.05)
        assert [source.requests for source in early.sources] == asked


async def test_the_first_summary_comes_soon_and_says_what_is_wrong(
    tmp_path: Path, monkeypatch: Any, dead_port: int
) -> None:
    assert summary.FIRST <= 10
    monkeypatch.setattr(summary, "FIRST", 0.5)
    sinks = {"out": file_sink(tmp_path / "out.ndjson"), "far": dead(dead_port)}
    with capture_logs() as lines:
        async with Simulator(some()) as sim, engine(tmp_path, {"acme": source(sim)}, sinks) as e:
            await e.until(lambda: any(line["event"] == "summary" for line in lines))
    entry = next(line for line in lines if line["event"] == "summary")
    assert entry["sinks"]["out"].keys() == {"state", "accepted", "lag", "dead_letters"}
    assert entry["sinks"]["far"]["lag"] > 10
    assert "cannot be reached" in entry["sinks"]["far"]["reason"]
    assert [line["event"] for line in lines][-2:] == ["stopping", "stopped"]


async def test_a_start_that_is_refused_says_why_and_not_that_it_stopped(tmp_path: Path) -> None:
    """The error is the last word: what never began does not stop."""
    out = file_sink(tmp_path / "out.ndjson")
    async with Simulator(SimulatorConfig(events=10, organizations=2)) as sim:
        one, two = sim.org_ids
        async with engine(tmp_path, {"acme": source(sim, one)}, {"out": out}) as e:
            await e.until(lambda: any(one.spooled for one in e.daemon._source_reports.values()))
        with capture_logs() as lines, pytest.raises(ConfigError):
            async with engine(tmp_path, {"acme": source(sim, two)}, {"out": out}) as e:
                await e.task
        assert not {"stopping", "stopped"} & {line["event"] for line in lines}
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            listen = {"listen": f"127.0.0.1:{taken.getsockname()[1]}"}
            with capture_logs() as lines, pytest.raises(ConfigError):
                async with engine(tmp_path, {"acme": source(sim, one)}, {"out": out}, admin=listen) as e:
                    await e.task
        assert not {"started", "stopping", "stopped"} & {line["event"] for line in lines}


async def test_revisions_are_spooled_and_counted_once_and_over_a_restart_by_the_spool(tmp_path: Path) -> None:
    config = SimulatorConfig(
        events=400,
        history="2d",
        limits=RateLimits(stream=0, events=0),
        switches=Switches(reissue=0.1, reissue_within=1),
    )
    out = file_sink(tmp_path / "out.ndjson")
    async with Simulator(config) as sim:
        sim.add_events(200)
        async with engine(tmp_path, {"acme": source(sim)}, {"out": out}) as e:
            await e.until(lambda: e.daemon.admin_port > 0)
            while not (found := await status(e))["books"] or found["books"][0]["accepted"] < len(truth(sim)):  # noqa: ASYNC110 -- the status is asked
                await asyncio.sleep(0.05)
            again = len(truth(sim)) - len(sim.ledger.existed())
            assert again > 0
            (acme,) = found["sources"]
            (row,) = found["spool"]["sources"]
            assert (
                (acme["revisions"], acme["spooled"]) == (row["revisions"], row["spooled"]) == (again, len(truth(sim)))
            )
            assert acme["events"] == acme["spooled"] + acme["repeats"]
            assert await metric(e, 'forwarder_source_revised_events_total{source="acme"}') == again
        async with engine(tmp_path, {"acme": source(sim)}, {"out": out}) as e:
            await e.until(lambda: e.daemon.admin_port > 0)
            while not (found := await status(e))["sources"] or not found["sources"][0]["last_good_poll"]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            (acme,) = found["sources"]
            (row,) = found["spool"]["sources"]
            assert (acme["revisions"], acme["spooled"]) == (0, 0)
            assert (row["revisions"], row["spooled"]) == (again, len(truth(sim)))


async def test_the_budget_that_is_shown_is_the_one_the_api_gave(tmp_path: Path) -> None:
    limits = RateLimits(stream=240, events=0)
    async with Simulator(SimulatorConfig(events=50, limits=limits)) as sim:
        sources = {"acme": source(sim, budget=None)}
        async with engine(tmp_path, sources, {"out": file_sink(tmp_path / "out.ndjson")}) as e:
            await e.until(lambda: e.daemon.admin_port > 0)
            while not (found := await status(e))["sources"] or found["sources"][0]["budget_remaining"] is None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            (acme,) = found["sources"]
            assert acme["requests_per_minute"] == 240
            assert 0 <= acme["budget_remaining"] < 240
            assert await metric(e, 'forwarder_source_budget_requests_per_minute{source="acme"}') == 240


async def test_what_others_use_up_of_the_limit_is_shown(tmp_path: Path) -> None:
    limits, out = RateLimits(stream=100_000, events=0, others=60_000), {"out": file_sink(tmp_path / "out.ndjson")}
    async with (
        Simulator(SimulatorConfig(events=50, limits=limits)) as sim,
        engine(tmp_path, {"acme": source(sim, budget=None)}, out) as e,
    ):
        await e.until(lambda: e.daemon.admin_port > 0)
        while not (found := await status(e))["sources"] or not found["sources"][0]["others_requests"]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        (acme,) = found["sources"]
        assert (acme["limit"], acme["foreign_limits"]) == (100_000, 0)
        assert 0 <= acme["others_share"] < 1
        assert acme["readers"][0]["cursor"] == "tail"
        assert await metric(e, 'forwarder_source_others_requests_total{source="acme"}') > 0
        assert await metric(e, 'forwarder_source_reader_requests_total{reader="tail",source="acme"}') > 0


def test_whatever_may_pass_says_what_a_person_can_do() -> None:
    for kind in get_args(ErrorKind):
        assert Retryable("x", kind=kind).fix.endswith(".")
    assert Retryable("x", kind="tls", fix="Do that.").fix == "Do that."
    assert Undelivered([], "partial", "x").fix == fix_of("partial")
    assert Undelivered.from_error([], Retryable("x", kind="reset")).fix == fix_of("reset")
    assert Undelivered.from_error([], Held("x.", fix="Do this.")).fix == "Do this."
