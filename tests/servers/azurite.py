"""Microsoft's emulator of Azure's blob storage on loopback: Azurite. It checks signatures, conditions and containers.

It has no rights of roles, no immutability policy that anyone enforces and no identity of a machine, and answers a wrong key
and an expired signature with other codes than the service, in the same words. It is installed with npm, once:
``python -m tests.servers.azurite``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import shutil
import signal
import tempfile
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from tests.servers.cache import Cache, Unavailable, run
from tests.servers.loopback import BucketServer

VERSION = "3.33.0"
"""The last one that an older Node runs, and that reports nothing to anyone."""
_BEFORE = "2026-11-01"
"""What it needs is taken as it was on this day."""
ACCOUNT = "madeupaccount"
ACCOUNT_KEY = base64.b64encode(b"a made-up key of 32 bytes length").decode()
_API = "2023-11-03"
_MAIN = Path("node_modules", "azurite", "dist", "src", "blob", "main.js")


class Azurite(BucketServer):
    """One server, over a folder."""

    scheme = "az"
    ending = signal.SIGTERM  # at which it writes down what it has

    def command(self) -> list[str | Path]:
        """Return what starts it; the account is the first part of a path."""
        where = ["--blobHost", "127.0.0.1", "--blobPort", str(self.port), "--location", str(self.folder)]
        return [_node(), self.program, *where, "--disableProductStyleUrl", "--silent"]

    def environment(self) -> dict[str, str]:
        """Return the one account that it knows."""
        return {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{ACCOUNT_KEY}"}

    @property
    def wrong(self) -> list[dict[str, Any]]:
        """Another key, a signature that is none, and two that were made for other times."""
        other = base64.b64encode(b"a wrong s3cr3t of the same length").decode()
        tokens = [
            "sv=2023-11-03&sig=s3cr3t",
            sas_token("2020-01-01", "2020-01-02"),
            sas_token("2099-01-01", "2099-01-02"),
        ]
        return [{"account_key": other}, *({"account_key": None, "sas_token": token} for token in tokens)]

    def make_bucket(self, name: str) -> None:
        """Make an empty container."""
        self.ask("PUT", name, {"restype": "container"})

    def overwrite(self, bucket: str, name: str, data: bytes) -> None:
        """Put other bytes in the place of an object, as an attacker with the key does."""
        self.ask("PUT", f"{bucket}/{name}", {}, data, {"x-ms-blob-type": "BlockBlob"})

    def settings(self, *, port: int = 0, **more: Any) -> dict[str, Any]:
        """Return how a container of this server is reached; the account is the first part of a path."""
        given = {"account": ACCOUNT, "account_key": ACCOUNT_KEY, "timeout": 5}
        return {**given, "endpoint": f"http://127.0.0.1:{port or self.port}/{ACCOUNT}", **more}

    def ask(
        self, method: str, path: str, query: dict[str, str], body: bytes = b"", headers: dict[str, str] | None = None
    ) -> bytes:
        """Do what our own code never does, signed with the key of the account. Raises HTTPError."""
        sent = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _API, **(headers or {})}
        named = "".join(f"{name}:{value}\n" for name, value in sorted(sent.items()))
        resource = f"/{ACCOUNT}/{ACCOUNT}/{path}" + "".join(
            f"\n{name}:{value}" for name, value in sorted(query.items())
        )
        length = str(len(body) or "")
        kind = "application/octet-stream"
        text = f"{method}\n\n\n{length}\n\n{kind}\n\n\n\n\n\n\n{named}{resource}"
        sent |= {"Authorization": f"SharedKey {ACCOUNT}:{signature(text)}", "Content-Type": kind}
        url = f"{self.url}/{ACCOUNT}/{path}?{urlencode(query)}"
        with urlopen(Request(url, data=body, headers=sent, method=method), timeout=10) as answer:
            found: bytes = answer.read()
            return found


def signature(text: str) -> str:
    """Return the signature of a text by the key of the account."""
    return base64.b64encode(hmac.digest(base64.b64decode(ACCOUNT_KEY), text.encode(), hashlib.sha256)).decode()


def sas_token(start: str, end: str, *, rights: str = "rwdlc") -> str:
    """Return a shared access signature for all containers, valid between two times such as `2026-01-31`."""
    signed = [ACCOUNT, rights, "b", "sco", start, end, "", "https,http", _API, "", ""]
    names = {"sv": _API, "ss": "b", "srt": "sco", "sp": rights, "st": start, "se": end, "spr": "https,http"}
    return urlencode({**names, "sig": signature("\n".join(signed))})


def _node() -> str:
    found = shutil.which("node")
    if found is None:
        raise Unavailable("node is not installed")
    return found


def start(cache: Cache) -> Azurite:
    """Install the server if need be, and start one. Raises Unavailable."""
    server = Azurite(install(cache), Path(tempfile.mkdtemp(prefix="azurite-", dir=cache.runs)))
    server.start()
    return server


def install(cache: Cache) -> Path:
    """Return the program, with all that it needs as of one day. Raises Unavailable."""
    final = cache.folder / f"azurite-{VERSION}-{_BEFORE}"
    with cache.locked(f"-{final.name}"):
        if not final.exists():
            _node()
            with cache.making(final) as rough:
                (rough / "package.json").write_text(json.dumps({"private": True}))
                run([
                    "npm", "install", "--prefix", str(rough), "--no-audit", "--no-fund", "--ignore-scripts",
                    "--omit=optional", f"--before={_BEFORE}", f"azurite@{VERSION}",
                ])  # fmt: skip
    return final / _MAIN


if __name__ == "__main__":
    print(install(Cache.default()))
