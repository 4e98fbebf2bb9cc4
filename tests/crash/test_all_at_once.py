"""Three faults at once: the reader of the log stands still, the clock jumps, and the spool's file is taken away.

Each alone is tried elsewhere. Together none of them may keep the daemon from noticing the others, from ending with 3,
or the next start from going on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forwarder.exit_codes import ExitCode
from simulator.config import SimulatorConfig
from simulator.receivers.bulk import BulkReceiver
from simulator.simulator import Simulator
from tests.crash.test_log_reader import small_pipe
from tests.crash.test_spool_taken_away import Place, remove_all
from tests.crash.test_stop import elastic
from tests.daemon.engine import file_sink, source, truth
from tests.daemon.process import Process, write_config
from tests.sockets import held_port

DAY = 86_400
SET_CLOCK = """
import time
from pathlib import Path
right, off = time.time, Path({off!r})
time.time = lambda: right() + float(off.read_text())
from forwarder.__main__ import main
main()
"""


class Deaf(Process):
    """A daemon whose time of day a test sets, and whose log nobody reads."""

    async def start_deaf(self, off: Path, error: int) -> None:
        words = [sys.executable, "-c", SET_CLOCK.format(off=str(off)), "run", "-c", str(self.config)]
        self._process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=error
        )


@contextlib.contextmanager
def full_pipe() -> Iterator[int]:
    reading, writing = small_pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(OSError):
        while True:
            os.write(writing, b"x" * 512)
    os.set_blocking(writing, True)
    try:
        yield writing
    finally:
        os.close(reading)
        os.close(writing)


def replace_by_a_copy(at: Place) -> None:
    copy = at.state / "copy.db"
    shutil.copy(at.spool, copy)
    copy.replace(at.spool)


def set_clock(file: Path, seconds: int) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(str(seconds))
    fresh.replace(file)  # it is read at any moment


GONE: dict[str, tuple[Callable[[Place], object], int]] = {
    "the file": (lambda at: at.spool.unlink(), 180 * DAY),
    "everything": (lambda at: remove_all(at.state), -400 * DAY),
    "replaced": (replace_by_a_copy, 180 * DAY),
}
"""What is done to the spool, and by how much the clock jumps before."""


@pytest.mark.parametrize("what", GONE)
async def test_none_of_three_faults_hides_another(tmp_path: Path, what: str) -> None:
    how, jump = GONE[what]
    off = tmp_path / "off"
    set_clock(off, 0)
    with held_port() as port, full_pipe() as nobody:
        async with Simulator(SimulatorConfig(events=300, history="2d")) as sim:
            sinks = {"elastic": elastic(f"http://127.0.0.1:{port}"), "out": file_sink(tmp_path / "out.ndjson")}
            config = write_config(tmp_path, {"acme": source(sim)}, sinks, log={"format": "json", "level": "debug"})
            async with Deaf(config) as process:
                await process.start_deaf(off, nobody)
                at = Place(tmp_path, sim, process, port)
                await at.settle()
                set_clock(off, jump)
                sim.add_events(20)
                await at.settle()  # the jump stops nothing
                assert (await process.get("/livez"))[0] == 200
                how(at)
                assert await process.wait() == ExitCode.SPOOL
                async with BulkReceiver(auto_create=True, port=port) as receiver:
                    await process.start()
                    sim.add_events(20)
                    wanted = truth(sim)
                    await process.until(lambda: set(at.delivered()) == wanted)
                    await process.until(lambda: len(receiver.stream().ids()) == len(wanted))
                    assert await process.stop() == 0
                if what != "replaced":  # by what is older; that comes again, as the documentation says
                    assert max(at.delivered().values()) == 1, "delivered again"
