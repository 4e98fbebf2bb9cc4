"""`tail`: what a sink is sent, beside a daemon that delivers; it is never slowed, and nothing is said that is not so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from forwarder.contracts import Batch, Delivery, Record, Rejection
from forwarder.delivery.taps import MOST_BYTES, MOST_EVENTS, Taps
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.cli.letters import HOSTILE
from tests.cli.living import living
from tests.daemon.engine import Engine, engine, file_sink, lines_of, source
from tests.events import ORIGIN


def records(count: int, size: int = 10) -> list[Record]:
    return [Record(seq, ORIGIN, f"{seq:032x}", b"{}", body=b"b" * size) for seq in range(1, count + 1)]


async def test_what_is_more_than_a_viewer_can_take_is_counted_and_what_is_kept_is_bounded() -> None:
    taps = Taps()
    assert not taps
    tap = taps.open()
    for _ in range(3):
        batch = records(MOST_EVENTS)
        taps.sent(batch, Delivery.all_accepted(Batch(batch)))
    events, dropped = await tap.take(0)
    assert (len(events), dropped) == (MOST_EVENTS, 2 * MOST_EVENTS)
    batch = records(100, size=2**16 + 1)
    taps.sent(batch, Delivery.all_accepted(Batch(batch)))
    events, dropped = await tap.take(0)
    assert sum(len(event.body) for event in events) <= MOST_BYTES
    assert (len(events) + dropped, {event.length for event in events}) == (100, {2**16 + 1})
    assert await tap.take(0) == ([], 0)
    taps.close(tap)
    taps.close(tap)
    assert not taps


async def test_each_outcome_is_shown_and_what_is_kept_is_shown_when_it_is_sent_again() -> None:
    taps = Taps()
    tap = taps.open()
    taps.expect(3)
    assert taps.found(3) is None
    taps.sent(records(3), Delivery(accepted=[0], rejected={2: Rejection("mapping", "no")}, kept=[1]))
    events, _ = await tap.take(0)
    assert [(event.number, event.outcome, event.reason) for event in events] == [
        (1, "accepted", ""),
        (3, "refused", "mapping no"),
    ]
    found = taps.found(3)
    assert found is not None
    assert found.outcome == "refused"


def parts(sim: Simulator, folder: Path, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"acme": source(sim)}, {
        "out": file_sink(folder / "out.ndjson", **more),
        "other": file_sink(folder / "other"),
    }


async def until_delivered(e: Engine, folder: Path, count: int) -> None:
    await e.until(lambda: len(lines_of(folder / "out.ndjson")) >= count)


async def test_a_pipe_gets_the_bodies_that_the_sink_gets_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    async with Simulator(SimulatorConfig(events=20, history="1d")) as sim, engine(tmp_path, *parts(sim, tmp_path)) as e:
        await until_delivered(e, tmp_path, 20)
        async with (
            living(tmp_path, "tail", "--sink", "out") as raw,
            living(tmp_path, "tail", "--sink", "out", "--json") as told,
        ):
            await e.until(lambda: "from now on" in raw.noted and "from now on" in told.noted)
            sim.add_events(15)
            await e.until(lambda: len(raw.lines) >= 15 and len(told.lines) >= 15)
            await until_delivered(e, tmp_path, 35)
            assert raw.lines == lines_of(tmp_path / "out.ndjson")[20:]
            shown = [json.loads(line) for line in told.lines]
            assert [one["body"].encode() for one in shown] == raw.lines
            assert {one["outcome"] for one in shown} == {"accepted"}
            assert (await raw.end(), "Traceback" in raw.noted) == (130, False)
            assert await told.end() == 130


async def test_privacy_of_the_sink_applies_and_the_end_of_the_daemon_is_said(tmp_path: Path) -> None:
    async with (
        Simulator(SimulatorConfig(events=5, history="1d")) as sim,
        engine(tmp_path, *parts(sim, tmp_path, privacy="strict", format="ecs")) as e,
        living(tmp_path, "tail", "--sink", "out") as shown,
    ):
        await e.until(lambda: "from now on" in shown.noted)
        sim.add_events(5)
        await e.until(lambda: len(shown.lines) >= 5)
        await e.until(lambda: set(shown.lines) <= set(lines_of(tmp_path / "out.ndjson")))
        await e.stop()
        assert await shown.ended() == 5
        assert "Traceback" not in shown.noted


async def test_a_sink_that_does_not_exist_and_a_daemon_that_does_not_run_are_named(tmp_path: Path) -> None:
    async with Simulator(SimulatorConfig(events=5, history="1d")) as sim:
        async with engine(tmp_path, *parts(sim, tmp_path)) as e:
            await until_delivered(e, tmp_path, 5)
            async with living(tmp_path, "tail", "--sink", "nobody") as shown:
                assert (await shown.ended(), "the sinks are: other, out" in shown.noted) == (2, True)
        async with living(tmp_path, "tail", "--sink", "out") as shown:
            assert (await shown.ended(), "audit-forwarder run" in shown.noted) == (5, True)


async def test_a_test_event_is_accepted_by_every_sink_and_found_there_by_its_id(tmp_path: Path) -> None:
    async with Simulator(SimulatorConfig(events=5, history="1d")) as sim:
        sources, sinks = parts(sim, tmp_path, include=[{"action": "nothing"}], format="ecs")
        async with engine(tmp_path, sources, sinks, heartbeat={"every": "1s"}) as e:
            await e.until(lambda: len(lines_of(tmp_path / "other")) >= 5)
            async with living(tmp_path, "test-event", "--json", "--source", "acme") as sent:
                assert await sent.ended() == 0, sent.noted
            told = {one["sink"]: one for one in json.loads(b"\n".join(sent.lines))["sinks"]}
            assert {one["outcome"] for one in told.values()} == {"accepted"}
            [document] = [json.loads(line) for line in lines_of(tmp_path / "out.ndjson") if b"test_event" in line]
            assert document["event"]["id"] == told["out"]["id"]
            assert document["event"]["action"] == "test_event"
            [raw] = [json.loads(line) for line in lines_of(tmp_path / "other") if b"test_event" in line]
            assert (raw["id"], raw["audit_source"]) == (told["other"]["id"], "acme")
            beats = len([line for line in lines_of(tmp_path / "other") if b'"heartbeat"' in line])
            await e.until(lambda: len([1 for line in lines_of(tmp_path / "other") if b'"heartbeat"' in line]) > beats)
            report = await e.daemon.report()
            assert (report.degraded, report.task_restarts["heartbeat"]) == ([], 0)


async def test_a_sink_that_is_paused_or_refuses_is_said_and_the_event_stays(tmp_path: Path) -> None:
    async with Simulator(SimulatorConfig(events=5, history="1d")) as sim:
        sources, sinks = parts(sim, tmp_path)
        sinks["dead"] = {"type": "http", "url": "http://127.0.0.1:9/", "format": "raw"}
        async with engine(tmp_path, sources, sinks) as e:
            await until_delivered(e, tmp_path, 5)
            async with living(tmp_path, "lanes", "pause", "out") as done:
                assert await done.ended() == 0
            async with living(tmp_path, "test-event", "--sink", "out", "--sink", "dead", "--timeout", "3") as sent:
                assert await sent.ended() == 4
            text = b"\n".join(sent.lines).decode()
            assert "out: NOT YET: paused" in text
            assert "lanes resume out" in text
            assert "dead: NOT YET: retrying" in text
            assert len(lines_of(tmp_path / "out.ndjson")) == 5
            async with living(tmp_path, "lanes", "resume", "out") as done:
                assert await done.ended() == 0
            await until_delivered(e, tmp_path, 6)
            async with living(tmp_path, "test-event", "--sink", "nobody") as sent:
                assert await sent.ended() == 2
        async with living(tmp_path, "test-event") as sent:
            assert await sent.ended() == 5


def test_a_hostile_body_is_inert_where_people_read_it(monkeypatch, capsys) -> None:
    from forwarder.cli.commands import tail
    from forwarder.delivery.taps import Sent

    tail._show(Sent(1, "0" * 32, HOSTILE.encode() + b"\xff", 10**6, "refused", HOSTILE, 0.0))
    assert all(char.isprintable() or char == "\n" for char in capsys.readouterr().out)
