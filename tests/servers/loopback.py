"""A server of one process on loopback, at a port that the system chose and that it keeps when it is started again."""

from __future__ import annotations

import ctypes
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from forwarder.archive.stores.settings import BucketConfig
from tests.servers.cache import Unavailable

_READY_WITHIN = 60.0


@dataclass
class LoopbackServer:
    """One server. It ends with the thread that started it, if no one stops it before."""

    program: Path
    folder: Path
    port: int = 0
    ending: ClassVar[signal.Signals] = signal.SIGKILL
    """How it is ended."""
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str | Path]:
        """Return what starts it at its port."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Return the variables it is started with, besides PATH."""
        return {}

    def start(self) -> None:
        """Start, at the same port as before, and wait until it answers. Raises Unavailable with the end of its log."""
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        libc = ctypes.CDLL(None)
        log = self.folder / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                env={"PATH": "/usr/bin:/bin", **self.environment()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=lambda: libc.prctl(1, signal.SIGKILL),  # noqa: PLW1509 -- tests start it in the main thread
            )
        deadline = time.monotonic() + _READY_WITHIN
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    end = log.read_text(errors="replace")[-2000:]
                    raise Unavailable(f"{self.program.name} does not listen:\n{end}") from None
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.send_signal(self.ending)
            self._process.wait(30)
            self._process = None

    def close(self) -> None:
        """End it, and remove what it has."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class BucketServer(LoopbackServer):
    """One that keeps an archive's objects, and what a test does with it that our own code does not."""

    scheme: ClassVar[str]
    """Of the URL of an archive there."""

    @property
    def front(self) -> int:
        """The port that clients use."""
        return self.port

    @property
    def wrong(self) -> list[dict[str, Any]]:
        """Settings with credentials that are refused. A wrong secret that can be chosen has `s3cr3t` in it."""
        raise NotImplementedError

    def make_bucket(self, name: str) -> None:
        """Make an empty bucket."""
        raise NotImplementedError

    def overwrite(self, bucket: str, name: str, data: bytes) -> None:
        """Put other bytes in the place of an object, as an attacker with all rights does."""
        raise NotImplementedError

    def settings(self, *, port: int = 0, **more: Any) -> dict[str, Any]:
        """Return how a bucket of this server is reached, as a configuration says it; `port` is of what stands before."""
        raise NotImplementedError

    def bucket(self, **more: Any) -> BucketConfig:
        """Return the same as settings."""
        return BucketConfig(**self.settings(**more))
