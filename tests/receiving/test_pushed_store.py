"""What a full spool refuses: told to the sender, kept, and stored as soon as there is room."""

from __future__ import annotations

import asyncio
import http.client
import json
import random
from typing import Any

import pytest
from structlog.testing import capture_logs

from forwarder.contracts import Held, Retryable
from forwarder.observe.reports import SourceReport
from forwarder.spool.contract import Settlement, SpoolError, SpoolFull
from forwarder.spool.sqlite.store import SqliteSpool
from forwarder.testing.sender import Port, receiving
from forwarder.testing.waiting import until
from tests.contract.feeds import GuardDetectSender
from tests.daemon.engine import Engine, engine, file_sink, lines_of
from tests.receiving.sending import SECRET, alert, guard_detect

MADE = GuardDetectSender()


def large(number: int) -> bytes:
    """Return an alert of 60 kB that nothing compresses much."""
    return MADE.event(number, b'"%s"' % random.Random(number).randbytes(30_000).hex().encode())


async def fill(port: Port) -> int:
    """Send until one is refused; return its number."""
    number = 0
    while (await port.post(large(number))).status == 200:
        number += 1
    return number


async def settle_all(port: Port) -> None:
    """Let the only sink have everything, so that it may leave the spool."""
    spool = port.spool
    status = await spool.status()
    [lane] = status.lanes
    await spool.exchange(lane.number, Settlement(), after=lane.position, events=10_000)
    settlement = Settlement(ranges=[(lane.position + 1, status.last_seq)])
    await spool.exchange(lane.number, settlement, after=0, events=0)


async def test_what_was_refused_is_stored_when_there_is_room_whether_its_sender_comes_again_or_not(tmp_path):
    async with receiving(GuardDetectSender, tmp_path, max_bytes=2**20) as port:
        refused = await fill(port)
        assert (await port.post(large(refused))).status == 503, "as often as it comes"
        assert (await port.post(large(refused + 1))).status == 503
        assert port.report.state == "paused"
        stored = (await port.status()).last_seq
        await settle_all(port)
        await until(lambda: port.report.state == "idle")
        assert (await port.status()).last_seq == stored + 2, "each once"
        reply = await port.post(large(refused))
        assert (reply.status, reply.body["new"]) == (200, 0), "known when it comes again"
        assert port.report.spooled == stored + 2


async def test_what_is_kept_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("forwarder.receiving.kept.MOST_KEPT", 150_000)
    async with receiving(GuardDetectSender, tmp_path, max_bytes=2**20) as port:
        refused = await fill(port)
        for number in range(refused + 1, refused + 6):
            assert (await port.post(large(number))).status == 503
        stored = (await port.status()).last_seq
        await settle_all(port)
        await until(lambda: port.report.state == "idle")
        assert (await port.status()).last_seq == stored + 2, "the newest two"


TROUBLES = [
    SpoolFull("full", fix="f"),
    Held("the disk", fix="f"),
    Retryable("busy", fix="f"),
    SpoolError("cannot be written"),
]


def failing(error: Exception, over: asyncio.Event, real: Any) -> Any:
    async def call(*args: Any, **more: Any) -> Any:
        if not over.is_set():
            raise error
        return await real(*args, **more)

    return call


@pytest.mark.parametrize("error", TROUBLES, ids=lambda error: type(error).__name__)
async def test_whatever_the_spool_says_its_alerts_are_kept_and_stored_when_it_is_over(tmp_path, monkeypatch, error):
    over = asyncio.Event()
    async with receiving(GuardDetectSender, tmp_path) as port:
        monkeypatch.setattr(port.spool, "commit", failing(error, over, port.spool.commit))
        for number in (1, 2, 1):
            assert (await port.post(MADE.event(number))).status == 503
        assert not port.report.well
        over.set()
        await until(lambda: port.report.state == "idle")
        assert (await port.status()).last_seq == 2, "each once, and nobody sent again"


@pytest.mark.parametrize("error", TROUBLES, ids=lambda error: type(error).__name__)
async def test_what_comes_while_the_source_cannot_be_opened_is_kept(tmp_path, monkeypatch, error):
    over, out = asyncio.Event(), tmp_path / "out.ndjson"
    monkeypatch.setattr(SqliteSpool, "open_source", failing_method(error, over, SqliteSpool.open_source))
    sources, sinks = {"alerts": guard_detect()}, {"out": file_sink(out)}
    with capture_logs() as lines:
        async with engine(tmp_path, sources, sinks, receiver={"listen": "127.0.0.1:0"}) as e:
            await e.until(lambda: "alerts" in e.daemon._source_reports)
            report = e.daemon._source_reports["alerts"]
            await e.until(lambda: not report.well)
            for number in (1, 2):
                assert await post(e, alert(number)) == 503
            assert report.reason == getattr(error, "reason", str(error))
            over.set()
            await e.until(lambda: len(lines_of(out)) == 2)
            await e.until(lambda: report.state == "idle")
            assert e.daemon._reporter.restarts["source alerts"] == 0
    assert not [line for line in lines if line["log_level"] == "error"]


async def test_what_is_kept_outlives_the_task_that_is_to_store_it(tmp_path):
    out = tmp_path / "out.ndjson"
    sources, sinks = {"alerts": guard_detect()}, {"out": file_sink(out)}
    async with engine(tmp_path, sources, sinks, receiver={"listen": "127.0.0.1:0"}) as e:
        await e.until(lambda: (e.daemon._source_reports.get("alerts") or IDLE_NEVER).state == "idle")
        spool, source = e.daemon._reporter.spool, e.daemon._sources["alerts"]
        await spool.open_source(source.origin, configured=[source.origin.identity])  # the task is stale from now on
        for number in (1, 2):
            assert await post(e, alert(number)) == 503
        await e.until(lambda: len(lines_of(out)) == 2)
        assert e.daemon._reporter.restarts["source alerts"] >= 1


IDLE_NEVER = SourceReport("none", "none")


def failing_method(error: Exception, over: asyncio.Event, real: Any) -> Any:
    async def call(self: Any, *args: Any, **more: Any) -> Any:
        if not over.is_set():
            raise error
        return await real(self, *args, **more)

    return call


async def post(e: Engine, tree: dict[str, Any]) -> int:
    def send() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", e.daemon._reception.port, timeout=60)
        try:
            connection.request("POST", "/webhook/alerts", json.dumps(tree), {"Authorization": SECRET})
            return connection.getresponse().status
        finally:
            connection.close()

    return await asyncio.to_thread(send)
