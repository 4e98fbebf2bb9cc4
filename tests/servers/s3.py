"""A real S3 server on loopback: versitygw, over a folder. It checks signatures, conditions, checksums and object locks.

It has no KMS and no rules of a lifecycle. It is built with Go, once: ``python -m tests.servers.s3``.
"""

from __future__ import annotations

import base64
import ctypes
import hashlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from forwarder.archive.stores.s3_history import Credentials, encoded, signed
from forwarder.archive.stores.settings import BucketConfig
from tests.servers.cache import Cache, Unavailable
from tests.servers.golang import Go

VERSION = "v1.8.0"
_MODULE = f"github.com/versity/versitygw/cmd/versitygw@{VERSION}"
_READY_WITHIN = 30.0
ACCESS_KEY = "made-up-access-key"
SECRET_KEY = "made-up-secret-key"
REGION = "us-east-1"


@dataclass
class S3Server:
    """One server. It ends with the thread that started it, if no one stops it before."""

    program: Path
    folder: Path
    port: int = 0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, at the same port as before, and wait until it answers. Raises Unavailable with the end of its log."""
        for name in ("data", "versions"):
            (self.folder / name).mkdir(exist_ok=True)
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        libc = ctypes.CDLL(None)
        log = self.folder / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    self.program, "--port", f"127.0.0.1:{self.port}",
                    "posix", "--versioning-dir", self.folder / "versions", self.folder / "data",
                ],
                env={"PATH": "/usr/bin:/bin", "ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=lambda: libc.prctl(1, signal.SIGKILL),  # noqa: PLW1509 -- tests start it in the main thread
            )  # fmt: skip
        deadline = time.monotonic() + _READY_WITHIN
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise Unavailable(f"versitygw does not listen:\n{log.read_text()[-2000:]}") from None
                time.sleep(0.05)
            else:
                return

    def make_bucket(self, name: str) -> None:
        """Make an empty bucket: to this server a folder."""
        (self.folder / "data" / name).mkdir()

    def make_locked_bucket(self, name: str, *, days: int = 0) -> None:
        """Make a bucket that keeps versions, and locks each of them for some days."""
        self.ask("PUT", name, headers={"x-amz-bucket-object-lock-enabled": "true"})
        if days:
            rule = f"<DefaultRetention><Mode>COMPLIANCE</Mode><Days>{days}</Days></DefaultRetention>"
            body = (
                "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>"
                f"<Rule>{rule}</Rule></ObjectLockConfiguration>"
            ).encode()
            md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
            self.ask("PUT", name, {"object-lock": ""}, body, {"content-md5": md5})

    def ask(
        self, method: str, path: str, query: dict[str, str] | None = None, body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> bytes:  # fmt: skip
        """Do what our own code never does: overwrite, delete, configure. Raises HTTPError."""
        url = f"{self.url}/{path}" + (f"?{encoded(query)}" if query else "")
        credentials = Credentials(ACCESS_KEY, SECRET_KEY)
        sent = signed(method, url, credentials, REGION, body=body, headers=headers)
        with urlopen(Request(url, data=body or None, headers=sent, method=method), timeout=10) as answer:
            found: bytes = answer.read()
            return found

    def remove_bucket(self, name: str) -> None:
        """Remove a bucket and all that is in it."""
        shutil.rmtree(self.folder / "data" / name)

    def bucket(self, **more: Any) -> BucketConfig:
        """Return the settings with which a bucket of this server is reached."""
        given = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY, "endpoint": self.url, "region": REGION}
        return BucketConfig(**{**given, "path_style": True, "timeout": 5, **more})

    def stop(self) -> None:
        """End it at once; what it has stored stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """End it, and remove what it has."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def start(cache: Cache) -> S3Server:
    """Build the server if need be, and start one. Raises Unavailable."""
    server = S3Server(install(cache), Path(tempfile.mkdtemp(prefix="s3-", dir=cache.runs)))
    server.start()
    return server


def install(cache: Cache) -> Path:
    """Return the program; building it takes minutes the first time. Raises Unavailable."""
    final = cache.folder / f"versitygw-{VERSION}"
    with cache.locked(f"-{final.name}"):
        if not final.exists():
            with Go.building(cache, final) as go:
                go.install(_MODULE)
    return final / "versitygw"


if __name__ == "__main__":
    print(install(Cache.default()))
