"""The start of the daemon while something else has its spool."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from forwarder.admin.control import short_name, socket_path
from forwarder.daemon.opening import PATIENCE, Opening
from forwarder.spool.config import SpoolConfig
from forwarder.spool.contract import SpoolError, SpoolInUse
from forwarder.spool.sqlite.store import SqliteSpool
from forwarder.testing.waiting import until
from tests.clocks import FakeClock


class Start:
    """A spool that something else has, and a daemon that begins."""

    def __init__(self, folder: Path) -> None:
        self.path, self.clock, self.stopping = folder / "spool.db", FakeClock(), asyncio.Event()
        self.holder, self.spool = (SqliteSpool(SpoolConfig(path=self.path), self.clock) for _ in range(2))
        self.told: list[str] = []
        self.opening = Opening(self.path, self.clock, self.stopping, self.told.append)

    async def begins(self) -> asyncio.Task[bool]:
        """Begin, and return when it has been seen that the spool is not to be had."""
        await self.holder.open()
        task = asyncio.create_task(self.opening.open(self.spool))
        await until(lambda: self.opening._waits_until is not None or task.done())
        return task

    async def close(self) -> None:
        await self.holder.close()
        await self.spool.close()


async def test_a_command_that_has_the_spool_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    start = Start(tmp_path)
    task = await start.begins()
    assert not task.done()
    await start.holder.close()
    assert await task is True
    assert set(start.told) == {"waiting for the spool, which another process has"}
    await start.close()


async def test_who_keeps_it_is_named_after_some_seconds(tmp_path: Path) -> None:
    start = Start(tmp_path)
    task = await start.begins()
    start.clock.advance(PATIENCE)
    with pytest.raises(SpoolInUse, match=r"in use by process \d+[.].* It did not let go of it within 10 s[.]"):
        await task
    await start.close()


async def test_a_daemon_at_work_is_not_waited_for(tmp_path: Path) -> None:
    start = Start(tmp_path)
    path = socket_path(start.path)
    with socket.socket(socket.AF_UNIX) as listener:
        with short_name(path) as name:
            listener.bind(name)
        listener.listen()
        task = await start.begins()
        with pytest.raises(SpoolInUse, match="in use by process"):
            await task
    await start.close()


async def test_the_end_is_not_kept_waiting(tmp_path: Path) -> None:
    start = Start(tmp_path)
    task = await start.begins()
    start.stopping.set()
    assert await task is False
    await start.close()


async def test_what_time_does_not_mend_is_an_error_at_once(tmp_path: Path) -> None:
    start = Start(tmp_path)
    start.path.write_bytes(b"not a spool" * 1000)
    with pytest.raises(SpoolError):
        await start.opening.open(start.spool)
    await start.close()
