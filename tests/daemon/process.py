"""The daemon as a process of its own: started, watched through its log and its port, signalled and killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil
import yaml

from forwarder.testing.waiting import until
from tests import commands

T = TypeVar("T")

COMMAND = str(Path(sys.executable).with_name("audit-forwarder"))


def write_config(folder: Path, sources: dict[str, Any], sinks: dict[str, Any], **more: Any) -> Path:
    tree = {
        "spool": {"path": str(folder / "state" / "spool.db")},
        "sources": sources,
        "sinks": sinks,
        "budgets": {"fast": {"requests_per_minute": 600_000}},
        "admin": {"listen": "127.0.0.1:0"},
        "shutdown": {"grace": "60s"},
        "log": {"format": "json"},
        **more,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


async def run_command(config: Path, *words: str) -> str:
    """Run a command beside the daemon, or without one; return what it prints."""
    done = await asyncio.to_thread(commands.call, *words, "-c", str(config), cwd=Path.cwd(), env=os.environ)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


class Fork:
    """A call of the command (see `tests.commands`), as asyncio shows a process that it has started."""

    def __init__(self, call: commands.Started) -> None:
        self.pid = call.pid
        self.returncode: int | None = None
        self._end = asyncio.ensure_future(self._until_ended(call))

    async def _until_ended(self, call: commands.Started) -> int:
        self.returncode = await call.ended()
        return self.returncode

    async def wait(self) -> int:
        return await asyncio.shield(self._end)

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def forked(words: Sequence[str], env: dict[str, str], output: int) -> commands.Started:
    with Path(os.devnull).open("rb") as nothing:
        streams = nothing.fileno(), output, output
        return commands.start(*words, cwd=Path.cwd(), env=env, streams=streams)


class Process:
    """One configuration; lives follow each other. `log` is that of the present life.

    A life is a fork of a process that has imported the program, unless it is asked for `fresh`, or behind other words: then it
    is a start from nothing, for what is tested of the start itself, or of the memory.
    """

    def __init__(
        self, config: Path, *, prefix: Sequence[str] = (), fresh: bool = False, token: str = "", other_port: int = 0
    ) -> None:
        self.config = config
        self._asking = f"Authorization: Bearer {token}\r\n" if token else ""
        self._port = 0
        self._other_port = other_port
        self._prefix = prefix
        self._fresh = fresh or bool(prefix)
        self._process: asyncio.subprocess.Process | Fork | None = None
        self._lives = 0
        self._log = config.with_name("daemon-0.log")

    async def start(self, *words: str) -> None:
        assert not self.alive
        self._lives += 1
        self._port = 0
        self._log = self.config.with_name(f"daemon-{self._lives}.log")
        words = *(words or ("run",)), "-c", str(self.config)
        env = {name: value for name, value in os.environ.items() if not name.startswith("FORWARDER")}
        with self._log.open("wb") as log:
            if self._fresh:
                self._process = await asyncio.create_subprocess_exec(
                    *self._prefix, COMMAND, *words, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=env
                )
            else:
                self._process = Fork(forked(words, env, log.fileno()))

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def port(self) -> int:
        """The admin port of this life. Raises OSError as long as no one listens.

        Any free one, and asked for here: a port chosen before the daemon starts may be someone else's by then.
        """
        if not self._port:
            with contextlib.suppress(psutil.Error):
                found = psutil.Process(self.pid).net_connections("tcp")
                ports = [there.laddr.port for there in found if there.status == psutil.CONN_LISTEN]
                self._port = next((port for port in ports if port != self._other_port), 0)
        if not self._port:
            raise ConnectionRefusedError
        return self._port

    @property
    def text(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def log(self) -> Path:
        return self._log

    def logged(self, message: str) -> list[dict[str, Any]]:
        """Return the lines of the log with this message."""
        found = []
        for line in self.text.splitlines(keepends=True):
            with contextlib.suppress(ValueError):  # not JSON, or still being written
                entry = json.loads(line)
                if isinstance(entry, dict) and entry.get("message") == message:
                    found.append(entry)
        return found

    async def until_logged(self, message: str, times: int = 1) -> dict[str, Any]:
        await self.until(lambda: len(self.logged(message)) >= times)
        return self.logged(message)[-1]

    async def until(self, holds: Callable[[], T | Awaitable[T]], every: float = 0.02, within: float = 90.0) -> T:
        return await until(holds, watch=self._watch, shown=lambda: self.text, every=every, within=within)

    def _watch(self) -> None:
        assert self.alive, f"the daemon ended by itself: {self.text[-4000:]}"

    async def until_status(self, holds: Callable[[dict[str, Any]], bool], within: float = 90.0) -> dict[str, Any]:
        """Ask /status until it answers and `holds`."""

        async def status() -> dict[str, Any] | None:
            with contextlib.suppress(OSError):
                code, body = await self.get("/status")
                if code == 200 and (found := json.loads(body))["spool"] is not None and holds(found):
                    return found
            return None

        found = await self.until(status, every=0.05, within=within)
        assert found is not None
        return found

    async def get(self, path: str) -> tuple[int, bytes]:
        """Ask the admin port. Raises OSError when no one listens."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{self._asking}Connection: close\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        if not head:
            raise ConnectionResetError
        return int(head.split(b" ", 2)[1]), body

    async def until_got(self, path: str, text: bytes) -> None:
        """Ask until the answer holds a text; before someone listens there is no answer."""

        async def got() -> bool:
            with contextlib.suppress(OSError):
                return text in (await self.get(path))[1]
            return False

        await self.until(got, every=0.05)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def wait(self) -> int:
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return await self.wait()

    async def kill(self) -> None:
        if self._process is not None and self.alive:
            self._process.kill()
            await self._process.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.kill()
