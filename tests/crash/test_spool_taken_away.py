"""The spool's file is deleted, moved, replaced or cut while the daemon runs: it holds, says so, ends with 3; nothing is lost.

One sink has everything, the other is down and has a backlog. What was done to the files decides what the next start
finds; wherever the old content can still be had, that start goes on where the last one ended.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from forwarder.exit_codes import ExitCode
from simulator.config import SimulatorConfig
from simulator.receivers.bulk import BulkReceiver
from simulator.simulator import Simulator
from tests.crash.far_end import digest, look_into
from tests.crash.test_stop import elastic
from tests.daemon.engine import file_sink, lines_of, source, truth
from tests.daemon.process import Process, write_config
from tests.sockets import held_port

EVENTS = 300


class Place:
    """A daemon whose one sink is well and whose other one waits, and the folder of its spool."""

    def __init__(self, folder: Path, sim: Simulator, process: Process, port: int) -> None:
        self.sim, self.process, self.port = sim, process, port
        self.state = folder / "state"
        self.spool = self.state / "spool.db"
        self.log = self.state / "spool.db-wal"
        self.out = folder / "out.ndjson"

    def delivered(self) -> Counter[str]:
        return Counter(map(digest, lines_of(self.out)))

    async def settle(self) -> None:
        """Wait until the one sink has everything that exists, durably, and the other one waits for all of it."""
        many = len(truth(self.sim))

        def settled(found: dict[str, Any]) -> bool:
            waiting = {line["sink"]: line["waiting"] for line in found["books"]}
            return waiting == {"out": 0, "elastic": many}

        await self.process.until_status(settled)

    async def ends(self) -> str:
        """Wait for the end and return what the log says was done."""
        assert await self.process.wait() == ExitCode.SPOOL, self.process.text
        assert self.process.logged("spool_lost"), self.process.text
        assert self.process.logged("task_failed") == []
        assert "Traceback" not in self.process.text
        (entry,) = self.process.logged("spool_rescued")
        return str(entry["forwarder"]["result"])

    async def goes_on(self) -> None:
        """Start again, with both sinks up: every event is there, and none came twice to the first."""
        async with BulkReceiver(auto_create=True, port=self.port) as receiver:
            await self.process.start()
            self.sim.add_events(20)
            wanted = truth(self.sim)
            await self.process.until(lambda: set(self.delivered()) == wanted)
            await self.process.until(lambda: len(receiver.stream().ids()) == len(wanted))
            assert await self.process.stop() == 0
        assert max(self.delivered().values()) == 1, "delivered again"


@asynccontextmanager
async def place(folder: Path) -> AsyncIterator[Place]:
    with held_port() as port:
        async with Simulator(SimulatorConfig(events=EVENTS, history="2d")) as sim:
            sinks = {"elastic": elastic(f"http://127.0.0.1:{port}"), "out": file_sink(folder / "out.ndjson")}
            config = write_config(folder, {"acme": source(sim)}, sinks)
            async with Process(config) as process:
                found = Place(folder, sim, process, port)
                await process.start()
                await found.settle()
                yield found


def remove_all(state: Path) -> None:
    for path in (path for path in state.iterdir() if not path.is_dir()):
        path.unlink()


GONE: dict[str, Callable[[Place], Any]] = {
    "the file": lambda at: at.spool.unlink(),
    "the file and its log": lambda at: (at.spool.unlink(), at.log.unlink()),
    "everything": lambda at: remove_all(at.state),
    "the folder": lambda at: shutil.rmtree(at.state),
    "the log": lambda at: at.log.unlink(),
    "the log, for another": lambda at: (at.log.unlink(), at.log.write_bytes(b"x" * 5000)),
    "the file, moved": lambda at: at.spool.rename(at.state / "old.db"),
    "the file and its log, moved": lambda at: (
        at.spool.rename(at.out.parent / "a"),
        at.log.rename(at.out.parent / "b"),
    ),
    "a name of two": lambda at: (os.link(at.spool, at.state / "second.db"), at.spool.unlink()),
}


@pytest.mark.parametrize("what", GONE)
async def test_what_was_taken_away_is_put_back_and_the_next_start_goes_on(tmp_path: Path, what: str) -> None:
    async with place(tmp_path) as at:
        GONE[what](at)
        await at.ends()
        await at.goes_on()


async def test_events_that_come_while_it_is_gone_are_neither_acknowledged_nor_lost(tmp_path: Path) -> None:
    async with place(tmp_path) as at:
        at.process.signal(signal.SIGSTOP)
        at.spool.unlink()
        at.sim.add_events(50)
        at.process.signal(signal.SIGCONT)
        await at.ends()
        await at.goes_on()


async def test_a_folder_that_was_renamed_is_whole_and_no_start_begins_anew(tmp_path: Path) -> None:
    async with place(tmp_path) as at:
        moved = tmp_path / "moved"
        at.state.rename(moved)
        assert "put it back" in await at.ends()
        for _ in range(2):
            await at.process.start()
            assert await at.process.wait() == ExitCode.SPOOL
            assert "spool.db.missing" in at.process.text
        shutil.rmtree(at.state)
        moved.rename(at.state)
        await at.goes_on()


async def test_another_folder_in_its_place_is_left_alone(tmp_path: Path) -> None:
    async with place(tmp_path) as at:
        moved = tmp_path / "moved"
        at.state.rename(moved)
        at.state.mkdir()
        (at.state / "mine").write_text("mine")
        await at.ends()
        assert (at.state / "mine").read_text() == "mine"
        assert not at.spool.exists()
        shutil.rmtree(at.state)
        moved.rename(at.state)
        await at.goes_on()


@pytest.mark.parametrize("how", ["rename", "write"])
async def test_an_older_spool_restored_over_it_is_what_the_next_start_finds(tmp_path: Path, how: str) -> None:
    async with place(tmp_path) as at:
        assert await at.process.stop() == 0
        older = shutil.copy(at.spool, tmp_path / "older.db")
        content = at.spool.read_bytes()
        at.sim.add_events(40)
        await at.process.start()
        await at.settle()
        assert await at.process.stop() == 0  # what was new lies in the file now, no longer in its log
        await at.process.start()
        await at.settle()
        if how == "rename":
            Path(older).rename(at.spool)
        else:
            with at.spool.open("r+b") as file:
                file.truncate(0)
                file.write(content)
        output = await at.ends()
        assert at.spool.read_bytes() == content, "what was restored is not ours to change"
        assert not at.log.exists(), "it would be mixed into what was restored"
        async with BulkReceiver(auto_create=True, port=at.port) as receiver:
            await at.process.start()
            wanted = truth(at.sim)
            await at.process.until(lambda: len(receiver.stream().ids()) == len(wanted))
            await at.process.until_status(lambda found: not any(line["waiting"] for line in found["books"]))
            assert await at.process.stop() == 0
        assert set(at.delivered()) == wanted
        if how == "rename":  # what was there before is kept, whole
            (kept,) = at.state.glob("spool.db.lost-*")
            assert kept.name in output
            books = {line.sink: line for line in (await look_into(kept)).books}
            assert (books["out"].accepted, books["elastic"].waiting) == (len(wanted), len(wanted))


@pytest.mark.parametrize("size", [0, 4096, 20_000])
async def test_a_file_that_was_cut_is_not_begun_anew(tmp_path: Path, size: int) -> None:
    async with place(tmp_path) as at:
        os.truncate(at.spool, size)
        await at.ends()
        before = len(lines_of(at.out))
        await at.process.start()
        assert await at.process.wait() == ExitCode.SPOOL, at.process.text
        assert len(lines_of(at.out)) == before
        assert list(at.state.glob("spool.db.lost-wal-*"))


async def test_a_log_that_was_cut_ends_it_before_anything_else_is_written(tmp_path: Path) -> None:
    async with place(tmp_path) as at:
        os.truncate(at.log, 0)
        await at.ends()
        await at.process.start()
        await at.process.until_status(lambda found: found["ready"])
        await at.process.until(lambda: set(at.delivered()) == truth(at.sim))
        assert await at.process.stop() == 0


async def test_a_touched_file_a_second_name_and_a_deleted_lock_do_no_harm(tmp_path: Path) -> None:
    async with place(tmp_path) as at:
        os.utime(at.spool)
        os.utime(at.log)
        os.link(at.spool, tmp_path / "second.db")
        lock = at.state / "spool.db.lock"
        lock.unlink()
        at.sim.add_events(10)
        await at.settle()
        await at.process.until(lock.exists)
        assert await at.process.stop() == 0
        await at.goes_on()


@pytest.mark.parametrize("name", ["the same", "a second one"])
async def test_nobody_else_starts_on_it_meanwhile(tmp_path: Path, name: str) -> None:
    async with place(tmp_path) as at:
        second = tmp_path / "second"
        second.mkdir()
        path = at.spool
        if name == "a second one":
            path = second / "spool.db"
            os.link(at.spool, path)
        else:
            at.process.signal(signal.SIGSTOP)
            remove_all(at.state)
        out = file_sink(second / "out.ndjson")
        config = write_config(second, {"acme": source(at.sim)}, {"out": out}, spool={"path": str(path)})
        async with Process(config) as other:
            await other.start()
            assert await other.wait() == ExitCode.SPOOL, other.text
            assert "in use by" in other.text
        assert not (second / "out.ndjson").exists()
        at.process.signal(signal.SIGCONT)
        if name == "the same":
            await at.ends()
        else:
            path.unlink()
            assert await at.process.stop() == 0
        await at.goes_on()
