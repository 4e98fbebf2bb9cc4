"""No honest history of an archive is called tampered with: kills, clocks, keys, late objects and deletions in any order."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forwarder.archive.chain import ArchiveKeys, HourDigests
from forwarder.archive.digest import sha256
from forwarder.archive.keys import write_new_key
from forwarder.archive.retention import Retention
from tests.archive.places import HOUR, Killed, MemoryStore, digest_names, store_object
from tests.archive.verifiers import BEGIN, by_command, by_script
from tests.examples import examples

STEPS = st.one_of(
    st.tuples(st.just("store"), st.sampled_from(["acme", "b/ü"])),
    st.tuples(st.just("store late"), st.sampled_from(["acme", "b/ü"])),
    st.tuples(st.just("clock"), st.sampled_from([600, 1800, 3600, 3 * 3600, 30 * 3600, -7200])),
    st.tuples(st.just("close"), st.none()),
    st.tuples(st.just("kill at write"), st.integers(0, 6)),
    st.tuples(st.just("restart"), st.none()),
    st.tuples(st.just("new key"), st.none()),
    st.tuples(st.just("new spool"), st.none()),
    st.tuples(st.just("delete"), st.integers(0, 3)),
)


class History:
    """One archive, and the daemon that writes it."""

    def __init__(self, folder: Path, *, signed: bool) -> None:
        self.folder = folder
        self.store = MemoryStore()
        self.now, self.number, self.spool, self.take_over = BEGIN, 1, "a" * 32, ""
        self.keys = ArchiveKeys()
        self.made = 0
        if signed:
            self.new_key()
        self.heads: list[str] = []
        self.known: list[str] = []
        self.left = 10**9
        self.store.before_create = self._kill
        self.restart()

    def _kill(self, _: str) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed

    def new_key(self) -> None:
        self.made += 1
        path = self.folder / f"{self.made}.pem"
        write_new_key(path)
        self.keys = ArchiveKeys(path, self.keys.key)

    def restart(self) -> None:
        self.left = 10**9
        self.digests = HourDigests(self.store, self.spool, self.keys, take_over=self.take_over)

    async def do(self, what: str, value: object) -> None:
        now = self.now
        if what == "clock":
            self.now = max(BEGIN, self.now + value)  # type: ignore[operator]
        elif what == "restart":
            self.restart()
        elif what == "kill at write":
            self.left = value  # type: ignore[assignment]
        elif what in {"new key", "new spool"}:
            await self.digests.close_due(now)
            newest = self.digests.head.until  # type: ignore[union-attr]
            if what == "new spool":
                self.take_over, self.spool = self.spool, sha256(self.spool.encode())[:32]
                self.number = 1
            else:
                self.new_key()
            self.restart()
            while self.digests.head is None or self.digests.head.until <= newest:
                self.now += HOUR  # the change is on record before the next one
                await self.digests.close_due(self.now)
        elif what == "close":
            await self.digests.close_due(now)
        elif what == "delete":
            retention = Retention(self.store, 0, self.keys)
            for month in await retention.due(now + value * 31 * 24 * HOUR):  # type: ignore[operator]
                await retention.delete(month)
        else:
            await self.digests.open(now)
            await store_object(self.digests, self.store, value, self.number, 3, now)  # type: ignore[arg-type]
            self.number += 4
            if what == "store late":  # a sink keeps the hour open while it does not know whether it stored
                self.left = 10**9
                entry = self.digests._waiting.popitem()[1]
                await self.digests.close_due(now + HOUR)
                await self.digests.note(entry)
                await self.digests.close_due(now + 2 * HOUR)
        if self.digests.head is not None:
            self.heads.append(self.digests.head.sha256)

    async def live(self, steps: list[tuple[str, object]]) -> None:
        for what, value in steps:
            if what == "delete" and not digest_names(self.store):
                continue
            try:
                await self.do(what, value)
            except Killed:
                self.restart()


async def histories(signed: bool, steps: list[tuple[str, object]], *, script: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder), signed=signed)
        try:
            await history.digests.open(history.now)
        except Killed:
            history.restart()
        await history.live(steps)
        if not digest_names(history.store):
            return
        found = await by_command(history.store, history.heads)
        assert found == [], steps
        if script:
            assert by_script(history.store, Path(folder) / "copy", history.heads) == []


@given(st.booleans(), st.lists(STEPS, max_size=14))
@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_honest_history_is_called_tampered_with(signed: bool, steps: list[tuple[str, object]]) -> None:
    asyncio.run(histories(signed, steps, script=False))


@given(st.booleans(), st.lists(STEPS, min_size=4, max_size=10))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nor_by_the_script(signed: bool, steps: list[tuple[str, object]]) -> None:
    asyncio.run(histories(signed, steps, script=True))
