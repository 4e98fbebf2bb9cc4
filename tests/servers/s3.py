"""A real S3 server on loopback: versitygw, over a folder. It checks signatures, conditions, checksums and object locks.

It has no KMS and no rules of a lifecycle. It is built with Go, once: ``python -m tests.servers.s3``.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from forwarder.archive.stores.s3_history import Credentials, encoded, signed
from tests.servers.cache import Cache
from tests.servers.golang import Go
from tests.servers.loopback import BucketServer

VERSION = "v1.8.0"
_MODULE = f"github.com/versity/versitygw/cmd/versitygw@{VERSION}"
ACCESS_KEY = "made-up-access-key"
SECRET_KEY = "made-up-secret-key"
REGION = "us-east-1"


class S3Server(BucketServer):
    """One server, over a folder."""

    scheme = "s3"

    def command(self) -> list[str | Path]:
        """Return what starts it; a bucket is a folder below `data`."""
        for name in ("data", "versions"):
            (self.folder / name).mkdir(exist_ok=True)
        return [
            self.program, "--port", f"127.0.0.1:{self.port}",
            "posix", "--versioning-dir", self.folder / "versions", self.folder / "data",
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        """Return the one key that it knows."""
        return {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}

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

    @property
    def wrong(self) -> list[dict[str, Any]]:
        """A key that is not known, and another secret."""
        return [{"access_key_id": "unknown"}, {"secret_access_key": "a-wrong-s3cr3t"}]

    def settings(self, *, port: int = 0, **more: Any) -> dict[str, Any]:
        """Return how a bucket of this server is reached."""
        given = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY, "region": REGION, "path_style": True}
        return {**given, "endpoint": f"http://127.0.0.1:{port or self.port}", "timeout": 5, **more}


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
