"""The world of a torture run: simulator and far ends in this process, the daemon as a child, all secrets planted."""

from __future__ import annotations

import asyncio
import random
import secrets as dice
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import yaml

from forwarder.testing.far_end import SECOND_SECRET, SECRET
from simulator.config import SimulatorConfig, Switches
from simulator.simulator import Simulator
from tests.daemon.engine import source
from tests.daemon.process import Process, write_config
from tests.torture.certificates import Certificates
from tests.torture.clock import JumpingClock
from tests.torture.disk import SmallDisk
from tests.torture.leaks import Leaks
from tests.torture.places import PLACES, Place

T = TypeVar("T")

FASTER = {"events": 40, "wait": 0.02}
PATIENCE = {"connect_timeout": 2, "read_timeout": 1, "total_timeout": 3}


@dataclass
class Lived:
    """What a simulated organization has lived through, enough to live through it again.

    Attributes:
        began: When the simulator started, epoch seconds.
        happenings: (how many events, when in epoch milliseconds); 0 events stand for a new key.
    """

    began: float
    happenings: list[tuple[int, int]] = field(default_factory=list)


class World:
    """Everything a round needs.

    Args:
        folder: Where the run lives; its spool goes on from round to round.
        seed: Decides what is unknown about the API in this run, who its people are, and every round.
        only: Names of the places; all of them when empty.
        library: libfaketime, where it is to be had.
        lived: What this organization has lived through in an earlier run.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        only: Sequence[str] = (),
        library: Path | None = None,
        lived: Lived | None = None,
    ) -> None:
        self.folder, self.seed = folder, seed
        rng = random.Random(f"world {seed}")
        switches = Switches(
            from_compares=rng.choice(("processed", "time")),
            bounds=rng.choice(("inclusive", "exclusive")),
            tip=rng.choice(("null", "resume", "resume_without_to")),
            tip_cursor=rng.choice(("unchanged", "fresh")),
            limit_above_200=rng.choice(("accepted", "refused")),
            late_visible=0.5,
            late_visible_share=0.05,
            reissue=0.03,
            reissue_within=0.5,
        )
        config = SimulatorConfig(
            seed=seed, events=300, history="2d", late_share=0.05, late_up_to="20m", switches=switches
        )
        self.lived = Lived(time.time())
        self._now: float | None = lived.began if lived else self.lived.began
        self.sim = Simulator(config, clock=lambda: time.time() if self._now is None else self._now)
        if lived is not None:
            self.lived.began = lived.began
            self._live_again(lived)
        self._now = None
        self.clock = JumpingClock(folder, library)
        self.spool_disk = SmallDisk(folder / "spool", "48m")
        self.out_disk = SmallDisk(folder / "archive" / "out", "16m")
        self.key_file = folder / "atlassian-key"
        self.key_file.write_text(self.sim.api_key)
        certificates = Certificates(folder)
        self.places: dict[str, Place] = {}
        for name in only or PLACES:
            (folder / name).mkdir(exist_ok=True)
            self.places[name] = PLACES[name](name, folder / name, certificates)
        self._token = dice.token_hex(24)
        self.leaks = Leaks([self._token, self.sim.api_key, SECRET, SECOND_SECRET])
        self.process: Process = None  # type: ignore[assignment] -- made when every port is known

    @property
    def spool(self) -> Path:
        return self.spool_disk.folder / "spool.db"

    async def open(self, stack: AsyncExitStack) -> None:
        """Listen everywhere and write the configuration."""
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # handshakes fail on purpose
        stack.push_async_callback(_no_connection_left)
        stack.callback(self.spool_disk.unmount)
        stack.callback(self.out_disk.unmount)
        await stack.enter_async_context(self.sim)
        for place in self.places.values():
            await place.open()
            stack.push_async_callback(place.close)
        config = self._write_config()
        self.process = await stack.enter_async_context(
            Process(config, prefix=self.clock.prefix, fresh=True, token=self._token)
        )

    def _write_config(self) -> Path:
        acme = source(
            self.sim, overlap="1h", trailing="90s", trailing_every="500ms", retry={"base": "20ms", "max": "300ms"}
        )
        del acme["api_key"]
        acme |= {"api_key_file": str(self.key_file), "http": PATIENCE}
        common: dict[str, Any] = {
            "batch": FASTER,
            "window": 2,
            "retry": {"base": "10ms", "max": "200ms"},
            "confirm_every": "200ms",
            "confirm_within": "2s",
        }
        path = write_config(
            self.folder,
            {"acme": acme},
            {name: {**common, **place.sink()} for name, place in self.places.items()},
            spool={"path": str(self.spool), "max_bytes": "4MiB"},
            shutdown={"grace": "4s"},
        )
        tree = yaml.safe_load(path.read_text())
        tree["admin"]["token"] = self._token
        path.write_text(yaml.safe_dump(tree))
        return path

    def _live_again(self, lived: Lived) -> None:
        for count, at_ms in lived.happenings:
            self._now = (at_ms + 0.5) / 1000
            if count:
                self.happen(count)
            else:
                self._new_key()

    def happen(self, count: int) -> list[str]:
        """Let events happen now; return their ids."""
        return self._at_one_moment(lambda: self.sim.add_events(count), count)

    def _new_key(self) -> str:
        return self._at_one_moment(self.sim.rotate_key, 0)

    def _at_one_moment(self, act: Callable[[], T], count: int) -> T:
        """Let something happen while the simulator's clock stands still, and remember when."""
        before, moment = self._now, self.sim.clock()
        self._now = moment
        self.lived.happenings.append((count, int(moment * 1000)))
        try:
            return act()
        finally:
            self._now = before

    async def rotate_key(self, lasts: float) -> None:
        """Let Atlassian forget the key; the file follows a while later."""
        value = self._new_key()
        self.leaks.plant(value)
        await asyncio.sleep(lasts)
        fresh = self.key_file.with_suffix(".new")
        fresh.write_text(value)
        fresh.replace(self.key_file)


async def _no_connection_left() -> None:
    """Wait until every connection of this process has ended.

    The daemon is gone by now. A server that closes leaves connections alone that are in their TLS handshake: they end
    by themselves, when their loop sees that the other side has gone.
    """
    async with asyncio.timeout(30):
        while any(found.raddr for found in psutil.Process().net_connections("tcp")):  # noqa: ASYNC110 -- no one tells
            await asyncio.sleep(0.01)
