"""What systemd is told, heard at a real socket as systemd has one."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import structlog

from forwarder.contracts import SystemClock
from forwarder.daemon.service_manager import ServiceManager
from forwarder.observe.reports import LaneReport, SourceReport
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.clocks import FakeClock
from tests.daemon.engine import engine, file_sink, source
from tests.daemon.process import Process, write_config


class Systemd:
    """A socket that hears what the daemon says. `messages` are datagrams, as dictionaries, in order."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)
        self._messages: list[dict[str, str]] = []

    @property
    def messages(self) -> list[dict[str, str]]:
        while True:
            try:
                text = self._socket.recv(65536).decode()
            except BlockingIOError:
                return self._messages
            self._messages.append(dict(line.split("=", 1) for line in text.splitlines()))

    def all(self, key: str) -> list[str]:
        return [message[key] for message in self.messages if key in message]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    place = (
        str(tmp_path / "notify") if request.param == "path" else f"@audit-forwarder-test-{os.getpid()}-{id(request)}"
    )
    heard = Systemd(place)
    yield heard
    heard.close()


class Known:
    """What the daemon's reporter knows."""

    def __init__(self, last_turn: float = 0.0) -> None:
        self.spool: Any = type("Spool", (), {"last_turn": last_turn})
        self.source_reports = {"acme": SourceReport("acme", "organization", state="well")}
        self.lane_reports = {"siem": LaneReport("siem", "syslog", state="well")}


def started(systemd: Systemd, clock: FakeClock, watchdog: float = 60.0) -> ServiceManager:
    manager = ServiceManager(systemd.address, watchdog, clock)
    manager.ready()
    return manager


async def test_the_whole_life_of_a_daemon(systemd: Systemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with Simulator(SimulatorConfig(events=50, history="1d")) as sim:
        out = tmp_path / "out.ndjson"
        process = Process(write_config(tmp_path, {"acme": source(sim)}, {"archive": file_sink(out)}), fresh=True)
        monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        async with process:
            await process.start()
            await process.until(lambda: systemd.all("READY"))
            await process.until(lambda: len(systemd.all("WATCHDOG")) >= 3)
            await process.until(lambda: "1 source, 1 sink; all well" in systemd.all("STATUS"))
            process.signal(signal.SIGHUP)
            await process.until(lambda: len(systemd.all("READY")) == 2)
            await process.until_logged("configuration_reloaded")
            process.config.write_text("nonsense: true\n")
            process.signal(signal.SIGHUP)
            await process.until(lambda: len(systemd.all("READY")) == 3)
            assert await process.stop() == 0
    assert next(message for message in systemd.messages if "STATUS" not in message) == {"READY": "1"}
    assert systemd.messages[0] == {"STATUS": "opening the spool"}
    assert len(systemd.all("RELOADING")) == 2
    reload = [message for message in systemd.messages if {"RELOADING", "READY"} & message.keys()][1:]
    assert [min(message) for message in reload] == ["MONOTONIC_USEC", "READY", "MONOTONIC_USEC", "READY"]
    assert all(re.fullmatch("[0-9]+", moment) for moment in systemd.all("MONOTONIC_USEC"))
    assert len(systemd.all("STOPPING")) == 1
    assert "WATCHDOG" not in systemd.messages[-1]
    assert "service_manager_not_told" not in process.text


async def test_what_a_server_says_is_told_to_nobody(systemd: Systemd, tmp_path: Path):
    """The status names who is not well; the reason is the server's own words and stays where it is asked for."""
    async with Simulator(SimulatorConfig(events=5)) as sim:
        manager = ServiceManager(systemd.address, 0.0, SystemClock())
        sources = {"acme": source(sim, api_key="wrong-key-of-the-test")}
        async with engine(tmp_path, sources, {"archive": file_sink(tmp_path / "out")}) as e:
            manager.ready()
            await e.until(lambda: any(not one.well for one in e.daemon._reporter.source_reports.values()))
            manager.beat(e.daemon._reporter)
        assert systemd.all("STATUS") == ["1 source, 1 sink; source acme is held"]


async def test_the_watchdog_hears_nothing_while_the_loop_hangs(systemd: Systemd, tmp_path: Path):
    """The beat comes out of the loop itself: there is no thread that could speak for one that hangs."""
    async with Simulator(SimulatorConfig(events=5)) as sim:
        manager = ServiceManager(systemd.address, 0.08, SystemClock())
        async with engine(
            tmp_path, {"acme": source(sim)}, {"archive": file_sink(tmp_path / "out")}, manager=manager
        ) as e:
            await e.until(lambda: len(systemd.all("WATCHDOG")) >= 3)
            heard = len(systemd.messages)
            for _ in range(20):
                threading.Event().wait(0.05)  # many times of what the watchdog wants, and the loop does not turn
                assert len(systemd.messages) == heard
            await e.until(lambda: len(systemd.messages) > heard)


async def test_the_watchdog_hears_nothing_while_the_spool_hangs(systemd: Systemd, tmp_path: Path):
    clock = FakeClock()
    manager, known = started(systemd, clock, 10.0), Known(clock.monotonic())
    manager.beat(known)
    assert len(systemd.all("WATCHDOG")) == 1
    clock.advance(9.9)
    manager.beat(known)
    assert len(systemd.all("WATCHDOG")) == 2
    clock.advance(0.2)
    manager.beat(known)
    assert len(systemd.all("WATCHDOG")) == 2
    known.spool.last_turn = clock.monotonic()
    manager.beat(known)
    assert len(systemd.all("WATCHDOG")) == 3


def test_nobody_is_told_anything_without_systemd(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise AssertionError("a socket was made")

    monkeypatch.setattr(socket, "socket", refuse)
    manager = ServiceManager.from_environment({}, SystemClock())
    manager.starting("opening the spool")
    manager.ready()
    with manager.reload():
        pass
    manager.beat(Known())
    manager.stopping()


@pytest.mark.parametrize(
    ("env", "watchdog"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "0"}, 0.0),
        ({"WATCHDOG_USEC": "-5"}, 0.0),
        ({"WATCHDOG_USEC": "٣"}, 0.0),
        ({"WATCHDOG_USEC": "9" * 5000}, 0.0),
        ({}, 0.0),
    ],
)
def test_the_watchdog_of_another_process_is_not_ours(env: dict[str, str], watchdog: float):
    env = {"NOTIFY_SOCKET": "", "PATH": "/bin", **env}
    assert ServiceManager.from_environment(env, SystemClock())._watchdog == watchdog
    assert env == {"PATH": "/bin"}, "what we start would inherit it"


def test_a_full_socket_holds_nothing_up_and_loses_nothing(systemd: Systemd):
    clock = FakeClock()
    manager, known = ServiceManager(systemd.address, 60.0, clock), Known()
    place = "\0" + systemd.address[1:] if systemd.address[0] == "@" else systemd.address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as other, suppress(BlockingIOError):
        while True:
            other.sendto(b"X=1", place)
    with structlog.testing.capture_logs() as logs:
        manager.starting("opening the spool")
        manager.ready()
        for _ in range(100):
            manager.beat(known)
            with manager.reload():
                pass
    assert systemd.all("READY") == []
    while "1 source, 1 sink; all well" not in systemd.all("STATUS"):
        manager.beat(known)
    told = [message for message in systemd.messages if {"RELOADING", "READY"} & message.keys()]
    assert told[-1] == {"READY": "1"}
    assert logs == []


@pytest.mark.parametrize("address", ["/nowhere/notify", "/" + "x" * 200, "@nobody-listens-here", "vsock:2:1", "notify"])
def test_who_cannot_be_told_is_named_once_and_nothing_stops(address: str):
    clock = FakeClock()
    with structlog.testing.capture_logs() as logs:
        manager = started(type("No", (), {"address": address}), clock)
        for _ in range(3):
            manager.beat(Known())
        manager.stopping()
    assert [entry["event"] for entry in logs] == ["service_manager_not_told"]
    assert logs[0]["reason"]


def test_a_status_of_many_fits_into_what_systemd_takes(systemd: Systemd):
    manager, known = started(systemd, FakeClock()), Known()
    known.source_reports = {f"s{n}": SourceReport(f"s{n}" + "x" * 60, "jira", state="held") for n in range(1000)}
    manager.beat(known)
    (status,) = systemd.all("STATUS")
    assert status.startswith("1000 sources, 1 sink; source s0x")
    assert status.endswith("; 995 more")
    assert len(status) < 1000
    manager.beat(known)
    assert len(systemd.all("STATUS")) == 1, "the same is said once"
