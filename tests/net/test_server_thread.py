"""The admin port in its thread: what it answers while the daemon's loop stands still, and how it begins and ends."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest

from forwarder.admin.server import AdminServer
from forwarder.contracts import ConfigError
from forwarder.net.server_thread import ServerThread
from forwarder.observe.reports import DaemonReport
from forwarder.testing.waiting import until
from tests.observe.reports import full_report


class Made:
    """Makes reports in the loop of the test, and keeps in mind in which threads."""

    def __init__(self) -> None:
        self.threads: list[int] = []
        self.fails = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def report(self) -> DaemonReport:
        self.threads.append(threading.get_ident())
        await self.gate.wait()
        if self.fails:
            raise OSError
        return full_report()


def serve(report: Callable[[], Awaitable[DaemonReport]], listen: str = "127.0.0.1:0") -> AdminServer:
    return AdminServer(listen, None, (), report, live_within=1e9)


@asynccontextmanager
async def running(made: Made) -> AsyncIterator[ServerThread]:
    admin = ServerThread(serve, made.report)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()
        await admin.close()


def get(port: int, path: str) -> tuple[int, dict]:
    """Ask without letting the loop of the caller turn."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


async def test_probes_are_answered_while_the_loop_of_the_daemon_stands_still() -> None:
    made = Made()
    async with running(made) as admin:
        assert get(admin.port, "/livez") == (200, {"live": True, "reasons": []}), "no report was made yet"
        assert made.threads == [], "the loop cannot have turned"
        code, ready = await asyncio.to_thread(get, admin.port, "/readyz")
        assert code == 200, ready
        assert set(made.threads) == {threading.get_ident()}, "a report belongs to the loop of the daemon"
        for path, member in (("/livez", "live"), ("/readyz", "ready"), ("/status", "ready")):
            for _ in range(3):
                code, answer = get(admin.port, path)
                assert (code, answer[member]) == (200, True)


async def test_a_report_that_fails_or_never_comes_is_said(caplog: pytest.LogCaptureFixture) -> None:
    made = Made()
    async with running(made) as admin:
        made.fails = True
        code, answer = await asyncio.to_thread(get, admin.port, "/status")
        assert (code, answer["reasons"]) == (503, ["the report failed: OSError"])
        made.fails = False
        made.gate.clear()
        code, answer = await asyncio.to_thread(get, admin.port, "/status")
        assert code == 503
        assert "longer than" in answer["reasons"][0]
    await until(lambda: not any(task.get_name() == "admin-report" for task in asyncio.all_tasks()))


async def test_an_address_that_is_taken_is_an_error_of_the_start() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = f"127.0.0.1:{holder.getsockname()[1]}"
        admin = ServerThread(partial(serve, listen=taken), Made().report)
        with pytest.raises(ConfigError, match="cannot listen"):
            await admin.start()
        await admin.close()
    assert "admin" not in [thread.name for thread in threading.enumerate()]


async def test_a_server_that_never_comes_up_is_an_error_of_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = ServerThread(serve, Made().report)

    async def broken() -> None:
        raise OSError(24, "no descriptor")

    monkeypatch.setattr(admin._server, "start", broken)
    with pytest.raises(OSError, match="no descriptor"):
        await admin.start()
    await admin.close()


async def test_one_that_was_never_started_can_be_closed() -> None:
    await ServerThread(serve, Made().report).close()


async def test_the_end_waits_for_a_start_that_was_given_up() -> None:
    admin = ServerThread(serve, Made().report)
    start = asyncio.create_task(admin.start())
    await asyncio.sleep(0)
    start.cancel()
    await asyncio.wait({start})
    await admin.close()
    assert "admin" not in [thread.name for thread in threading.enumerate()]
