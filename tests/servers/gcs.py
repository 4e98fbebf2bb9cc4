"""An emulator of Google Cloud Storage on loopback: fake-gcs-server, behind a front that gives it what our client needs.

The emulator alone takes no object as our client sends it: of Google's XML API it knows listing, reading and deleting, but
neither an upload nor `x-goog-if-generation-match`; and it lets everyone in. So the front passes an upload on by the JSON
API, with `ifGenerationMatch`, which the emulator keeps, and lets in only those whose token is signed with the one key.

It lists all in one answer, answers 500 for a bucket that is not there, and has no roles and no locks that it enforces: those
answers of the service are in ``tests/archive/test_bucket.py``, by its words. It is built with Go, once:
``python -m tests.servers.gcs``.
"""

from __future__ import annotations

import base64
import json
import tempfile
import threading
import time
from functools import cache as once
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.servers.cache import Cache
from tests.servers.golang import Go
from tests.servers.loopback import BucketServer

VERSION = "v1.56.1"
_MODULE = f"github.com/fsouza/fake-gcs-server@{VERSION}"
_CONDITION = "x-goog-if-generation-match"


@once
def _keys() -> tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey]:
    """Return the key that is let in, and one that is not."""
    return rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 2048)


def service_account(key: rsa.RSAPrivateKey | None = None) -> str:
    """Return the file of a service account's key, on many lines as Google gives it."""
    kinds = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem = (key or _keys()[0]).private_bytes(*kinds).decode()
    account = {"type": "service_account", "private_key_id": "made-up-id", "client_email": "made-up@example.com"}
    return json.dumps({**account, "private_key": pem}, indent=2)


class Gcs(BucketServer):
    """One server, over a folder, and its front."""

    scheme = "gs"
    _front: ThreadingHTTPServer | None = None

    @property
    def wrong(self) -> list[dict[str, Any]]:
        """Another key than the one that is let in."""
        return [{"service_account_key": service_account(_keys()[1])}]

    @property
    def front(self) -> int:
        """The port of the front."""
        assert self._front is not None
        return int(self._front.server_address[1])

    def command(self) -> list[str | Path]:
        """Return what starts it."""
        where = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(self.port), "-filesystem-root"]
        return [self.program, *where, self.folder / "data", "-public-host", f"127.0.0.1:{self.port}"]

    def start(self) -> None:
        """Start the emulator, and the front if that does not stand yet. Raises Unavailable."""
        super().start()
        if self._front is None:
            handler = type("Handler", (_Front,), {"behind": self})
            self._front = ThreadingHTTPServer(("127.0.0.1", 0), handler)
            threading.Thread(target=self._front.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """End both, and remove what it has."""
        if self._front is not None:
            self._front.shutdown()
            self._front.server_close()
        super().close()

    def make_bucket(self, name: str) -> None:
        """Make an empty bucket."""
        status, _, answer = self.ask("POST", "/storage/v1/b", json.dumps({"name": name}).encode())
        assert status == 200, answer

    def overwrite(self, bucket: str, name: str, data: bytes) -> None:
        """Put other bytes in the place of an object, as an attacker with the rights does."""
        status, _, answer = self.upload(bucket, name, data)
        assert status == 200, answer

    def settings(self, *, port: int = 0, **more: Any) -> dict[str, Any]:
        """Return how a bucket of this server is reached."""
        endpoint = f"http://127.0.0.1:{port or self.front}"
        return {"service_account_key": service_account(), "endpoint": endpoint, "timeout": 5, **more}

    def upload(self, bucket: str, name: str, data: bytes, condition: str = "") -> tuple[int, HTTPResponse, bytes]:
        """Store an object by the JSON API, on the condition that it is of this generation."""
        query = {"uploadType": "media", "name": name, **({"ifGenerationMatch": condition} if condition else {})}
        return self.ask("POST", f"/upload/storage/v1/b/{quote(bucket)}/o?{urlencode(query)}", data)

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, HTTPResponse, bytes]:
        """Ask the emulator itself."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body or None, headers or {})
            answer = connection.getresponse()
            return answer.status, answer, answer.read()
        finally:
            connection.close()


class _Front(BaseHTTPRequestHandler):
    behind: Gcs
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if not _is_let_in(self.headers.get("authorization", "")):
            self._answer(401, b"<?xml version='1.0'?><Error><Code>AuthenticationRequired</Code></Error>")
            return
        condition = self.headers.get(_CONDITION)
        try:
            if self.command == "PUT":
                bucket, _, name = urlsplit(self.path).path[1:].partition("/")
                status, _, answer = self.behind.upload(bucket, unquote(name), body, condition or "")
                found = {"etag": f'"{json.loads(answer)["etag"]}"'} if status == 200 else {}
                self._answer(status, b"" if status == 200 else answer, found)
                return
            range_ = self.headers.get("range")
            sent = {"range": range_} if range_ else {}
            status, said, answer = self.behind.ask(self.command, self.path, body, sent)
        except (OSError, HTTPException):  # the emulator is away
            self.close_connection = True
            return
        names = ("etag", "last-modified", "content-range", "content-length", "x-goog-generation", "content-type")
        self._answer(status, answer, {name: said.headers[name] for name in names if name in said.headers})

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_DELETE = _pass_on  # noqa: N815 -- names of the library

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _is_let_in(authorization: str) -> bool:
    """Return whether this is a token that the one key has signed, and that is valid now."""
    kind, _, token = authorization.partition(" ")
    try:
        signed, _, signature = token.rpartition(".")
        _keys()[0].public_key().verify(_decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return kind == "Bearer" and json.loads(_decoded(signed.partition(".")[2]))["exp"] > time.time()
    except (InvalidSignature, ValueError, KeyError):
        return False


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def start(cache: Cache) -> Gcs:
    """Build the server if need be, and start one. Raises Unavailable."""
    server = Gcs(install(cache), Path(tempfile.mkdtemp(prefix="gcs-", dir=cache.runs)))
    server.start()
    return server


def install(cache: Cache) -> Path:
    """Return the program; building it takes a minute or two the first time. Raises Unavailable."""
    final = cache.folder / f"fake-gcs-server-{VERSION}"
    with cache.locked(f"-{final.name}"):
        if not final.exists():
            with Go.building(cache, final) as go:
                go.install(_MODULE, compiler="all=-N -l")  # a third less to compile, and fast enough
    return final / "fake-gcs-server"


if __name__ == "__main__":
    print(install(Cache.default()))
