"""Dead letters of a real daemon in a process of its own: seen, retried, discarded and exported by other processes."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from forwarder.exit_codes import ExitCode
from simulator.config import SimulatorConfig
from simulator.receivers.bulk import BulkReceiver, Rule
from simulator.receivers.bulk_templates import Refused
from simulator.simulator import Simulator
from tests.commands import call_for_text
from tests.daemon.engine import source
from tests.daemon.process import Process, write_config

SECRET = "planted-secret-of-the-receiver"
EVENTS = 40


class Scene:
    """A receiver that refuses every fourth document, by its id, until it is fixed."""

    def __init__(self, folder: Path, receiver: BulkReceiver, process: Process) -> None:
        self.folder = folder
        self.receiver = receiver
        self.process = process
        self.refusing = True
        receiver.rules.append(Rule(times=None, item=self._refuse))

    def _refuse(self, ident: str, _: bytes) -> Refused | None:
        if self.refusing and int(ident[0], 16) % 4 == 0:
            return Refused("document_parsing_exception", f"failed to parse; you sent Authorization: ApiKey {SECRET}")
        return None

    async def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        words = "dead-letters", *words, "-c", str(self.folder / "config.yaml")
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        return await asyncio.to_thread(call_for_text, *words, cwd=self.folder, env=env)

    async def letters(self) -> list[dict[str, Any]]:
        done = await self.call("list", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["dead_letters"]

    async def settled(self, **wanted: int) -> dict[str, Any]:
        """Wait until nothing waits and the one line of the books says what is wanted; return it.

        The books are counted once a second, so the first look after a command may show them as they were before it.
        """
        wanted = {"spooled": EVENTS, "waiting": 0, **wanted}
        status = await self.process.until_status(
            lambda found: bool(found["books"]) and wanted.items() <= found["books"][0].items()
        )
        assert status["balanced"]
        return status["books"][0]

    async def until_refused_again(self) -> list[dict[str, Any]]:
        """Wait for letters that were retried and refused once more; return them."""

        async def again() -> list[dict[str, Any]]:
            return [letter for letter in await self.letters() if letter["tries"] == 2]

        return await self.process.until(again)


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    async with (
        Simulator(SimulatorConfig(events=EVENTS)) as sim,
        BulkReceiver(auto_create=True, credentials=[f"ApiKey {SECRET}"]) as receiver,
    ):
        sink = {
            "type": "elasticsearch",
            "url": receiver.url,
            "api_key": SECRET,
            "unmanaged": True,
            "batch": {"wait": 0.02},
        }
        config = write_config(folder, {"acme": source(sim, since="30d")}, {"elastic": sink})
        async with Process(config) as process:
            made = Scene(folder, receiver, process)
            await process.start()
            await made.settled()
            yield made


async def test_letters_of_a_running_daemon_are_retried_when_the_receiver_is_mended(tmp_path: Path) -> None:
    async with scene(tmp_path) as s:
        letters = await s.letters()
        assert 0 < len(letters) < EVENTS
        assert all(int(letter["document_id"][0], 16) % 4 == 0 for letter in letters)
        assert len(letters) + len(s.receiver.stream()) == EVENTS
        socket = tmp_path / "state" / "spool.db.sock"
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600

        done = await s.call("retry", str(letters[0]["number"]))  # it is refused again
        assert (done.returncode, "elastic: 1 put back" in done.stdout) == (0, True)
        again = await s.until_refused_again()
        assert [letter["document_id"] for letter in again] == [letters[0]["document_id"]]

        s.refusing = False
        done = await s.call("retry", "--sink", "elastic")
        assert f"elastic: {len(letters)} put back" in done.stdout
        await s.settled(accepted=EVENTS, rejected=0)
        assert len(s.receiver.stream()) == EVENTS
        assert await s.letters() == []
        _, metrics = await s.process.get("/metrics")
        assert f'forwarder_sink_retried_events_total{{sink="elastic"}} {len(letters) + 1}.0'.encode() in metrics
        assert b'forwarder_sink_dead_letters{sink="elastic"} 0.0' in metrics
        assert await s.process.stop() == 0
        assert not socket.exists()


async def test_discarded_letters_are_logged_with_who_and_stay_in_the_books(tmp_path: Path) -> None:
    async with scene(tmp_path) as s:
        letters = await s.letters()
        numbers = [str(letter["number"]) for letter in letters[:2]]
        refused = await s.call("discard", *numbers)
        assert refused.returncode == ExitCode.DEGRADED
        assert len(await s.letters()) == len(letters)
        done = await s.call("discard", *numbers, "--yes")
        assert done.returncode == 0, done.stderr
        entry = s.process.logged("dead_letters_discarded")[-1]["forwarder"]
        assert (entry["sink"], entry["count"], entry["numbers"]) == ("elastic", 2, ", ".join(numbers))
        assert entry["who"].endswith(f"(uid {os.geteuid()})")
        await s.settled(rejected=len(letters), discarded=2, balance=0)
        assert await s.process.stop() == 0
        await s.process.start()
        await s.settled(discarded=2)
        assert len(await s.letters()) == len(letters) - 2


async def test_letters_survive_a_kill_and_can_be_handled_while_nothing_runs(tmp_path: Path) -> None:
    async with scene(tmp_path) as s:
        letters = await s.letters()
        await s.process.kill()
        assert (tmp_path / "state" / "spool.db.sock").exists()  # left over, and no one answers
        assert await s.letters() == letters
        done = await s.call("discard", str(letters[0]["number"]), "-y")
        assert done.returncode == 0
        done = await s.call("retry", "--all")
        assert "they are sent when it starts" in done.stdout
        s.refusing = False
        await s.process.start()
        await s.settled(accepted=EVENTS - 1, rejected=1, discarded=1)
        assert len(s.receiver.stream()) == EVENTS - 1
        assert await s.letters() == []


async def test_no_secret_is_in_a_letter_an_export_or_the_spool(tmp_path: Path) -> None:
    """The receiver quotes our credential in its answer."""
    async with scene(tmp_path) as s:
        letters = await s.letters()
        shown = await s.call("show", *(str(letter["number"]) for letter in letters))
        exported = await s.call("export", "-o", str(tmp_path / "out.ndjson"))
        assert (shown.returncode, exported.returncode) == (0, 0)
        assert "you sent Authorization" in shown.stdout
        lines = (tmp_path / "out.ndjson").read_text().splitlines()
        assert [json.loads(line)["number"] for line in lines] == [letter["number"] for letter in letters]
        assert all(json.loads(line)["event"]["id"] for line in lines)
        await s.process.stop()
        for text in (shown.stdout, shown.stderr, exported.stderr, *lines, s.process.text, json.dumps(letters)):
            assert SECRET not in text
        for path in (path for path in (tmp_path / "state").rglob("*") if path.is_file()):
            assert SECRET.encode() not in path.read_bytes()


async def test_a_command_that_meets_the_lock_of_a_silent_process_says_so(tmp_path: Path) -> None:
    async with scene(tmp_path) as s:
        (tmp_path / "state" / "spool.db.sock").unlink()
        done = await s.call("list")
        assert done.returncode == ExitCode.SPOOL
        assert f"in use by process {s.process.pid}" in done.stderr
        assert "has not answered at" in done.stderr
        assert "problems" not in done.stderr
