"""The audit-log webhook beside the stream: sooner, and neither twice nor instead."""

from __future__ import annotations

import asyncio
import http.client
import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from forwarder.contracts import ConfigError
from forwarder.contracts.identity import EventKeys
from forwarder.daemon.lanes import Lanes
from forwarder.observe.reports import SourceReport
from forwarder.sources.organization.webhook import Pushes
from forwarder.spool.contract import SpoolError
from forwarder.testing.waiting import until
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.daemon.engine import Engine, engine, file_sink, lines_of, source
from tests.receiving.sending import SECRET
from tests.sockets import listening


def event(ident: str, action: str = "user_login") -> bytes:
    now = "2026-11-30T10:00:00.000Z"
    attributes = {
        "time": now,
        "processedAt": now,
        "action": action,
        "actor": {"id": "a1"},
        "context": [],
        "container": [],
    }
    return json.dumps({"id": ident, "type": "events", "attributes": attributes, "links": {"self": "x"}}).encode()


def pushed(ident: str, action: str = "user_login") -> bytes:
    """Return the event as the webhook writes it: the same fields in another order, and no links."""
    tree = json.loads(event(ident, action))
    del tree["links"]
    return json.dumps(dict(reversed(tree.items())), indent=1).encode()


async def post(e: Engine, body: bytes, secret: str = SECRET) -> int:
    def send() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", e.daemon._reception.port, timeout=60)
        try:
            connection.request("POST", "/webhook/acme", body, {"Authorization": secret})
            return connection.getresponse().status
        finally:
            connection.close()

    return await asyncio.to_thread(send)


def settings(sim: Simulator, **more: Any) -> dict[str, Any]:
    return {"acme": source(sim, webhook={"secret": SECRET}, **more)}


async def opened(e: Engine, *, port: bool = True) -> SourceReport:
    """Wait until the stream was asked, and the port is open."""
    reports = e.daemon._source_reports
    await e.until(lambda: "acme" in reports and reports["acme"].last_good_poll)
    await e.until(lambda: not port or e.daemon._reception.port)
    return reports["acme"]


RECEIVER = {"listen": "127.0.0.1:0"}


async def test_an_event_comes_once_whichever_way_is_first_and_over_a_restart(tmp_path):
    out = tmp_path / "out.ndjson"

    def ids() -> list[str]:
        return [json.loads(line)["id"] for line in lines_of(out)]

    async with Simulator(SimulatorConfig(events=0)) as sim:
        async with engine(tmp_path, settings(sim), {"out": file_sink(out)}, receiver=RECEIVER) as e:
            report = await opened(e)
            assert await post(e, pushed("e1")) == 200
            await e.until(lambda: ids() == ["e1"])
            sim.add_raw(event("e1"), "e1")
            await e.until(lambda: report.repeats >= 1)
            sim.add_raw(event("e2"), "e2")
            await e.until(lambda: ids() == ["e1", "e2"])
            assert await post(e, b'{"data": [%s, %s]}' % (pushed("e2"), pushed("e3"))) == 200
            assert await post(e, b"not json") == 422
            assert await post(e, pushed("e9"), "another") == 401
            assert report.refused["unreadable"] == report.refused["auth"] == 1
            assert report.well, "the stream is well"
            await e.until(lambda: ids() == ["e1", "e2", "e3"])
        async with engine(tmp_path, settings(sim), {"out": file_sink(out)}, receiver=RECEIVER) as e:
            report = await opened(e)
            sim.add_raw(event("e3"), "e3")
            sim.add_raw(event("e4"), "e4")
            await e.until(lambda: ids() == ["e1", "e2", "e3", "e4"])
            assert report.revisions == 0
            assert await post(e, pushed("e5")) == 200
            sim.add_raw(event("e5", "user_logout"), "e5")
            await e.until(lambda: ids() == ["e1", "e2", "e3", "e4", "e5", "e5"])
            assert report.revisions == 1, "another action is another version"


async def test_without_a_webhook_no_port_is_opened(tmp_path):
    async with Simulator(SimulatorConfig(events=0)) as sim:
        sinks = {"out": file_sink(tmp_path / "out.ndjson")}
        async with engine(tmp_path, {"acme": source(sim)}, sinks, receiver=RECEIVER) as e:
            report = await opened(e, port=False)
            assert e.daemon._reception.port == 0
            assert not report.receives


def names_of_tasks() -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith(("source ", "sink "))}


async def test_a_port_that_is_taken_ends_the_start_before_anything_was_read_or_delivered(tmp_path):
    out = tmp_path / "out.ndjson"
    async with Simulator(SimulatorConfig(events=0)) as sim, listening(not_served) as port:
        sim.add_raw(event("e1"), "e1")
        receiver = {"listen": f"127.0.0.1:{port}"}
        for _ in range(3):
            with capture_logs() as lines, pytest.raises(ConfigError, match=r"receiver\.listen"):
                async with engine(tmp_path, settings(sim), {"out": file_sink(out)}, receiver=receiver) as e:
                    await asyncio.wait({e.task})
            assert not names_of_tasks()
            assert not [line for line in lines if line["log_level"] == "error"]
        assert lines_of(out) == []
        async with engine(tmp_path, settings(sim), {"out": file_sink(out)}, receiver=RECEIVER) as e:
            await e.until(lambda: len(lines_of(out)) == 1)


async def test_whatever_ends_the_work_the_tasks_end_before_the_spool_and_the_sinks_are_closed(tmp_path, monkeypatch):
    out = tmp_path / "out.ndjson"

    async def fail(lanes: Lanes, _: Any) -> None:
        await until(lambda: len(lines_of(out)) == 1)
        raise SpoolError("made up")

    monkeypatch.setattr(Lanes, "name_unclaimed", fail)
    async with Simulator(SimulatorConfig(events=0)) as sim:
        sim.add_raw(event("e1"), "e1")
        with capture_logs() as lines, pytest.raises(SpoolError, match="made up"):
            async with engine(tmp_path, settings(sim), {"out": file_sink(out)}, receiver=RECEIVER) as e:
                await asyncio.wait({e.task})
        assert not names_of_tasks()
        assert not [line for line in lines if line["log_level"] == "error"]
        assert len(lines_of(out)) == 1


async def not_served(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


def without(*names: str, **more: Any) -> bytes:
    tree = json.loads(event("e1"))
    tree["attributes"] |= more
    for name in names:
        del tree["attributes"][name]
    return json.dumps(tree).encode()


NO_WHOLE_EVENTS = {
    "no time": without("time"),
    "no action": without("action"),
    "no attributes but the time": b'{"id": "e1", "attributes": {"time": "2026-11-30T10:00:00.000Z"}}',
    "empty": b'{"id": "e1", "attributes": {}}',
    "time null": without(time=None),
    "time as a number": without(time=1_780_000_000_000),
    "time in other words": without(time="30.11.2026 10:00"),
    "no such time": without(time="2026-99-30T10:00:00.000Z"),
    "nearly a time": without(time="2026-11-30Tnoon"),
    "action as an object": without(action={"a": 1}),
    "action empty": without(action=""),
    "id as a number": event("e1").replace(b'"e1"', b"1"),
    "id empty": event(""),
    "two lines": event("e1") + b"\n" + event("e2"),
    "garbage behind": event("e1") + b" x",
    "a second end": event("e1") + b"}",
    "cut": event("e1")[:-1],
    "not a number": without(more=float("nan")),
    "infinite": without(more=float("-inf")),
    "control character": event("e1").replace(b"user_login", b"user\nlogin"),
    "not UTF-8": event("e1").replace(b"user_login", b"user_\xff"),
    "text": b'"e1"',
}


@pytest.mark.parametrize("wrap", [b"%s", b"[%s]", b'{"data": [%s]}', b'\xef\xbb\xbf{"data": %s}'], ids=str)
@pytest.mark.parametrize("body", NO_WHOLE_EVENTS.values(), ids=NO_WHOLE_EVENTS)
def test_what_is_not_a_whole_event_is_left_to_the_stream(body, wrap):
    found = Pushes(EventKeys("organization", "o")).read(wrap % body)
    assert list(found.page.bodies) == []
    assert found.unreadable == 1
    assert found.reason


@pytest.mark.parametrize(
    "wrap", [b"%s", b"[%s]", b'{"data": %s}', b'{"links": {}, "data": [%s]}', b' {"data":[ %s ]}\n'], ids=str
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "behind a mark"])
@pytest.mark.parametrize(
    "body",
    [
        pushed("e1"),
        without("processedAt", "actor", "context", "container"),
        without(time="2026-11-30T10:00:00Z"),
        without(much=10**400),
    ],
    ids=["webhook", "few members", "no milliseconds", "large number"],
)
def test_a_whole_event_is_taken_as_it_is_sent(body, wrap, mark):
    found = Pushes(EventKeys("organization", "o")).read(mark + wrap % body)
    assert [bytes(each) for each in found.page.bodies] == [body]
    assert found.page.minutes == ["2026-11-30T10:00"]
    assert found.unreadable == 0
