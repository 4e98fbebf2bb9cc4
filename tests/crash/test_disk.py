"""Disks that are full, read-only, shared or damaged: the process says so, overwrites nothing and loses nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from forwarder.exit_codes import ExitCode
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.crash.far_end import digest, look_into, whole_lines
from tests.daemon.engine import digests_of, file_sink, lines_of, source, truth
from tests.daemon.process import Process, write_config

NOBODY = 65534


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of six megabytes."""
    if os.geteuid() != 0:
        pytest.skip("FULL DISK NOT TESTED: mounting a tmpfs needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"FULL DISK NOT TESTED: mount says {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def plug(folder: Path, *, leave: int = 0) -> Path:
    """Fill the disk with a file of another program."""
    path = folder / "plug"
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    os.truncate(path, max(0, path.stat().st_size - leave))
    return path


@asynccontextmanager
async def world(
    folder: Path, *, events: int = 3000, sinks: dict[str, Any] | None = None, **more: Any
) -> AsyncIterator[tuple[Simulator, Process]]:
    async with Simulator(SimulatorConfig(events=events, history="2d")) as sim:
        acme = source(sim, overlap="3d")
        config = write_config(folder, {"acme": acme}, sinks or {"out": file_sink(folder / "out.ndjson")}, **more)
        async with Process(config) as process:
            yield sim, process


async def until_it_has(process: Process, sim: Simulator, out: Path) -> None:
    await process.until(lambda: truth(sim) <= set(map(digest, lines_of(out))))


async def assert_whole(sim: Simulator, process: Process, out: Path, spool: Path) -> None:
    """Stop; everything is there once, and the books balance."""
    assert await process.stop() == 0, process.text[-3000:]
    lines = Counter(map(digest, whole_lines(out)))
    assert set(lines) == truth(sim)
    kept = await look_into(spool)
    assert kept.undoubted("out", lines) == []
    assert [line.balance for line in kept.books] == [0] * len(kept.books)


# ------------------------------------------------------------------------------------------------------- full disks


async def test_a_full_disk_under_the_spool(small_disk: Path, tmp_path: Path) -> None:
    spool = small_disk / "spool.db"
    async with world(tmp_path, spool={"path": str(spool)}) as (sim, process):
        await process.start()
        await until_it_has(process, sim, tmp_path / "out.ndjson")
        ballast = plug(small_disk)
        while not process.logged("source_degraded"):  # the spool goes on for a while in the space it has
            sim.add_events(200)
            await process.until_status(lambda _: True)
        entry = process.logged("source_degraded")[-1]["forwarder"]
        assert entry["state"] == "held"
        assert str(spool) in entry["reason"]
        assert "room" in entry["fix"]
        found = await process.until_status(lambda found: found["sources"][0]["state"] == "held")
        assert found["degraded"] == ["acme"]
        assert found["sources"][0]["fix"]
        assert (await process.get("/readyz"))[0] == (await process.get("/livez"))[0] == 200
        ballast.unlink()
        await until_it_has(process, sim, tmp_path / "out.ndjson")
        await process.until_status(lambda found: not found["degraded"])
        await assert_whole(sim, process, tmp_path / "out.ndjson", spool)


async def test_a_full_disk_under_the_file(small_disk: Path, tmp_path: Path) -> None:
    out, other = small_disk / "out.ndjson", tmp_path / "other.ndjson"
    sinks = {"out": file_sink(out, batch={"events": 100, "wait": 0.02}), "other": file_sink(other)}
    async with world(tmp_path, sinks=sinks, events=100) as (sim, process):
        await process.start()
        await until_it_has(process, sim, out)
        ballast = plug(small_disk, leave=100_000)
        sim.add_events(1000)
        entry = (await process.until_logged("sink_degraded"))["forwarder"]
        assert (entry["sink"], entry["state"]) == ("out", "held")
        assert "Free space" in entry["fix"]
        await until_it_has(process, sim, other)
        found = await process.until_status(lambda found: found["degraded"] == ["out"])
        assert next(sink for sink in found["sinks"] if sink["name"] == "out")["lag_events"] > 0
        assert out.read_bytes().endswith(b"\n"), "half of a batch stayed"
        ballast.unlink()
        await until_it_has(process, sim, out)
        await process.until_status(lambda found: not found["degraded"])
        await assert_whole(sim, process, out, tmp_path / "state" / "spool.db")
        assert set(digests_of(out).values()) == {1}


async def test_a_kill_and_a_start_on_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    """A disk that is full at the start is waited for; probes are answered meanwhile."""
    spool, out = small_disk / "state" / "spool.db", small_disk / "out.ndjson"
    async with world(tmp_path, sinks={"out": file_sink(out)}, spool={"path": str(spool)}, events=500) as (sim, process):
        ballast = plug(small_disk)
        (small_disk / "state").mkdir()
        await process.start()
        entry = (await process.until_logged("spool_held"))["forwarder"]
        assert "room" in entry["fix"]
        await process.until_got("/readyz", b"the spool is not open")
        assert (await process.get("/livez"))[0] == 200
        assert await process.stop() == 0
        await process.start()
        await process.until_logged("spool_held")
        ballast.unlink()
        await until_it_has(process, sim, out)
        sim.add_events(300)
        await process.until(lambda: len(lines_of(out)) > 600)
        plug(small_disk)
        sim.add_events(300)
        await process.kill()
        await process.start()
        await process.until_logged("started")
        ballast.unlink()
        await until_it_has(process, sim, out)
        await assert_whole(sim, process, out, spool)


@pytest.mark.parametrize("full", [("spool",), ("out",), ("spool", "out")], ids="+".join)
async def test_a_stop_on_a_full_disk_ends_with_0(small_disk: Path, tmp_path: Path, full: tuple[str, ...]) -> None:
    spool = (small_disk if "spool" in full else tmp_path) / "spool.db"
    out = (small_disk if "out" in full else tmp_path) / "out.ndjson"
    async with world(tmp_path, sinks={"out": file_sink(out)}, spool={"path": str(spool)}, events=1000) as (
        sim,
        process,
    ):
        await process.start()
        await process.until(lambda: len(lines_of(out)) > 500)
        ballast = plug(small_disk)
        while "_degraded" not in process.text:  # the spool goes on for a while in the space it has
            sim.add_events(100)
            await process.until_status(lambda _: True)
        assert await process.stop() == 0
        ballast.unlink()
        await process.start()
        await process.until_logged("started")  # before that, no one listens to a signal
        await until_it_has(process, sim, out)
        await assert_whole(sim, process, out, spool)


# -------------------------------------------------------------------------------------------- other people's hands


async def refused(process: Process) -> str:
    await process.start()
    assert await process.wait() == ExitCode.SPOOL, process.text
    assert "Traceback" not in process.text
    return process.text.split("error: ", 1)[1]


def picture(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {file.name: (file.read_bytes(), file.stat().st_mode) for file in folder.iterdir() if file.is_file()}


async def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("READ-ONLY FOLDER NOT TESTED: giving files away needs root")
    async with world(tmp_path, events=200) as (sim, process):
        await process.start()
        await until_it_has(process, sim, tmp_path / "out.ndjson")
        assert await process.stop() == 0
        state = tmp_path / "state"
        # Root without its right over foreign files, because another user may not reach this interpreter.
        for path in (state, *state.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        stranger = Process(process.config, prefix=["setpriv", "--bounding-set=-dac_override,-dac_read_search"])
        before = picture(state)
        text = await refused(stranger)
        assert "uid 0" in text
        assert str(state) in text
        assert picture(state) == before
        # nor when it can read every file, or there is none yet
        for file in (path for path in state.rglob("*") if path.is_file()):
            file.chmod(0o644)
        before = picture(state)
        assert "uid 0" in await refused(stranger)
        assert picture(state) == before
        shutil.rmtree(state)
        state.mkdir(mode=0o755)
        os.chown(state, NOBODY, NOBODY)
        assert "uid 0" in await refused(stranger)
        assert picture(state) == {}


async def test_a_second_process_is_told_who_has_the_spool(tmp_path: Path) -> None:
    async with world(tmp_path, events=200) as (sim, process):
        await process.start()
        await until_it_has(process, sim, tmp_path / "out.ndjson")
        config = tmp_path / "second.yaml"
        config.write_text(process.config.read_text())
        text = await refused(Process(config))
        assert f"in use by process {process.pid}" in text
        sim.add_events(50)
        await until_it_has(process, sim, tmp_path / "out.ndjson")
        await assert_whole(sim, process, tmp_path / "out.ndjson", tmp_path / "state" / "spool.db")


@pytest.mark.parametrize("kind", ["text", "another database", "newer", "header", "first pages", "cut"])
async def test_a_file_that_is_not_a_sound_spool_is_left_as_it_is(tmp_path: Path, kind: str) -> None:
    spool = tmp_path / "state" / "spool.db"
    spool.parent.mkdir()
    async with world(tmp_path, events=300) as (sim, process):
        if kind == "text":
            spool.write_text("my notes\n" * 100)
        elif kind == "another database":
            with contextlib.closing(sqlite3.connect(spool)) as con:
                con.executescript("CREATE TABLE notes (text); INSERT INTO notes VALUES ('mine')")
        else:
            await process.start()
            await until_it_has(process, sim, tmp_path / "out.ndjson")
            assert await process.stop() == 0
            _damage(spool, kind)
        before = spool.read_bytes()
        text = await refused(process)
        assert str(spool) in text
        assert spool.read_bytes() == before
        assert not spool.with_name("spool.db-wal").exists()


def _damage(spool: Path, kind: str) -> None:
    if kind == "newer":
        with contextlib.closing(sqlite3.connect(spool)) as con:
            con.execute("PRAGMA user_version = 999")
        return
    with spool.open("r+b") as file:
        if kind == "header":
            file.write(b"\0" * 100)
        elif kind == "first pages":
            file.seek(100)
            file.write(b"\xff" * 8000)
        else:
            file.truncate(2000)


async def test_a_damaged_page_is_a_gap_and_the_rest_goes_on(tmp_path: Path) -> None:
    spool, late = tmp_path / "state" / "spool.db", tmp_path / "late.ndjson"
    async with world(tmp_path, events=2500) as (sim, process):
        await process.start()
        await until_it_has(process, sim, tmp_path / "out.ndjson")
        assert await process.stop() == 0
        with contextlib.closing(sqlite3.connect(spool)) as con:
            last, first = con.execute(
                "SELECT last_seq, first_seq FROM pages ORDER BY last_seq LIMIT 1 OFFSET 2"
            ).fetchone()
            (packed,) = con.execute("SELECT packed FROM bodies WHERE last_seq = ?", (last,)).fetchone()
            middle = len(packed) // 2
            hurt = packed[:middle] + bytes([packed[middle] ^ 0x55]) + packed[middle + 1 :]
            con.execute("UPDATE bodies SET packed = ? WHERE last_seq = ?", (hurt, last))
            con.commit()
        config = process.config.read_text().replace(
            "sinks:\n", f"sinks:\n  late: {file_sink(late)}\n".replace("'", '"')
        )
        process.config.write_text(config)
        await process.start()
        lost = last - first + 1
        await process.until_status(lambda found: any(g["cause"] == "damaged_page" for g in found["spool"]["gaps"]))
        await process.until(lambda: len(lines_of(late)) >= len(truth(sim)) - lost)
        # The spool has forgotten its ids, and the source reads that time again by itself.
        await until_it_has(process, sim, late)
        found = await process.until_status(
            lambda found: all(not line["waiting"] for line in found["books"]) and not found["spool"]["open_gaps"]
        )
        assert found["balanced"]
        (gap,) = [gap for gap in found["spool"]["gaps"] if gap["cause"] == "damaged_page"]
        assert (gap["first_seq"], gap["last_seq"], gap["events"]) == (first, last, lost)
        (line,) = [line for line in found["books"] if line["sink"] == "late"]
        assert line["detached"] == lost
        assert await process.stop() == 0
        assert set(digests_of(late).values()) == {1}
        kept = await look_into(spool)
        assert [line.balance for line in kept.books] == [0, 0]
        # The sink that had them all got some again, and that it may is on record.
        again = len(lines_of(tmp_path / "out.ndjson")) - len(truth(sim))
        assert again == lost
        assert [(doubt.first, doubt.last) for doubt in kept.doubts["out"] if doubt.cause == "damaged_page"] == [
            (first, last)
        ]
