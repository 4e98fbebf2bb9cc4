"""Whoever reads the log may stand still, go away or never have been there: delivery, probes and signals go on."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from forwarder.exit_codes import ExitCode
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.daemon.engine import digests_of, file_sink, source, truth
from tests.daemon.process import Process, write_config

ENTRY = [sys.executable, "-c", "from forwarder.__main__ import main; main()"]


class Piped(Process):
    """A daemon whose standard error (and output) is what a test gives it."""

    async def start_with(self, error: int | None, *, shell: str = "") -> None:
        words = [*ENTRY, "run", "-c", str(self.config)]
        if shell:
            words = ["sh", "-c", f'exec "$@" {shell}', "sh", *words]
        self._process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=error
        )

    async def until_ready(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                if (await self.get("/readyz"))[0] == 200:
                    return
            assert self.alive
            await asyncio.sleep(0.05)


@asynccontextmanager
async def world(folder: Path, **more) -> AsyncIterator[tuple[Simulator, Piped, Path]]:
    async with Simulator(SimulatorConfig(events=300, history="2d")) as sim:
        out = folder / "out.ndjson"
        config = write_config(folder, {"acme": source(sim)}, {"out": file_sink(out)}, **more)
        async with Piped(config) as process:
            yield sim, process, out


async def delivers(sim: Simulator, process: Piped, out: Path) -> None:
    await process.until_ready()
    sim.add_events(50)
    await process.until(lambda: set(digests_of(out)) == truth(sim))
    assert (await process.get("/livez"))[0] == 200


async def lost_lines(process: Piped) -> float:
    _, metrics = await process.get("/metrics")
    return float(
        next(line for line in metrics.splitlines() if line.startswith(b"forwarder_log_errors_total ")).split()[1]
    )


def small_pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    return reading, writing


@pytest.mark.parametrize("blocking", [True, False])
async def test_a_reader_that_stands_still_stops_nothing(tmp_path: Path, blocking: bool) -> None:
    reading, writing = small_pipe()
    with contextlib.suppress(OSError):
        while True:  # full before the first line
            os.set_blocking(writing, False)
            os.write(writing, b"x" * 512)
    os.set_blocking(writing, blocking)
    try:
        async with world(tmp_path, log={"format": "json", "level": "debug"}) as (sim, process, out):
            await process.start_with(writing)
            await delivers(sim, process, out)
            process.signal(signal.SIGHUP)
            process.signal(signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        os.close(reading)
        os.close(writing)


async def test_a_reader_that_went_away_stops_nothing(tmp_path: Path) -> None:
    reading, writing = small_pipe()
    async with world(tmp_path) as (sim, process, out):
        await process.start_with(writing)
        os.close(writing)
        await process.until_ready()
        os.close(reading)
        process.signal(signal.SIGHUP)
        await delivers(sim, process, out)
        await process.until(lambda: lost_lines(process), every=0.05)
        assert await process.stop() == 0


@pytest.mark.parametrize(
    "shell", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full", ">/dev/full 2>/dev/full", "<&- 2>&-"]
)
async def test_closed_and_full_descriptors_stop_nothing(tmp_path: Path, shell: str) -> None:
    async with world(tmp_path) as (sim, process, out):
        await process.start_with(None, shell=shell)
        await delivers(sim, process, out)
        assert await process.stop() == 0
        spool = tmp_path / "state" / "spool.db"
        assert spool.read_bytes().startswith(b"SQLite format 3")


async def test_the_last_lines_are_there_when_the_reader_reads(tmp_path: Path) -> None:
    async with world(tmp_path, log={"format": "json", "level": "debug"}) as (sim, process, out):
        log = tmp_path / "log"
        with log.open("wb") as file:
            await process.start_with(file.fileno())
        await delivers(sim, process, out)
        assert await process.stop() == 0
        assert json.loads(log.read_text().splitlines()[-1])["message"] == "stopped"


async def test_an_error_at_the_start_does_not_hang_on_the_reader_either(tmp_path: Path) -> None:
    reading, writing = small_pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(OSError):
        while True:
            os.write(writing, b"x" * 512)
    os.set_blocking(writing, True)
    try:
        async with world(tmp_path) as (_, process, _):
            (tmp_path / "state").mkdir()
            (tmp_path / "state" / "spool.db").write_text("not a spool" * 100)
            await process.start_with(writing)
            assert await process.wait() == ExitCode.SPOOL
    finally:
        os.close(reading)
        os.close(writing)


EARLY = "import os, signal; from forwarder.__main__ import listen; listen({words}); os.kill(os.getpid(), signal.{name})"


@pytest.mark.parametrize("command", ["run", "simulate"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_before_anything_is_imported_ends_with_0(command: str, name: str) -> None:
    script = EARLY.format(words=[command], name=name) + "; print('went on')"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_that_was_blocked_by_whoever_starts_us_is_heard(name: str) -> None:
    number = signal.Signals[name]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})  # what is started takes it over
    try:
        process = subprocess.Popen([*ENTRY, "run", "-c", "/nowhere"], stderr=subprocess.PIPE)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    process.send_signal(number)  # long before the interpreter is up
    _, errors = process.communicate()
    assert (process.returncode, errors) == (0, b"")


def test_other_commands_die_of_it_as_ever() -> None:
    script = EARLY.format(words=["check"], name="SIGTERM")
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGTERM


async def test_sighup_before_the_handlers_stand_is_heard_later(tmp_path: Path) -> None:
    async with world(tmp_path) as (_, process, _):
        script = EARLY.format(words=["run"], name="SIGHUP") + "; from forwarder.cli.app import main; main()"
        log = tmp_path / "log"
        with log.open("wb") as file:
            process._process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", script, "run", "-c", str(process.config), stderr=file
            )
        await process.until(lambda: "configuration_reloaded" in log.read_text())
        assert await process.stop() == 0
