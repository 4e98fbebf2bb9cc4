"""Start, find and stop one server: its own folder for every run, ports the system chooses, stopped by process id."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped]
import trustme
from cryptography.hazmat.primitives import serialization

from tests.servers.cache import NOBODY, Cache, Unavailable
from tests.servers.client import Client
from tests.servers.distributions import KINDS, PASSWORD, Kind, install

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAP = "512m"
_READY_WITHIN = 180.0


@dataclass(frozen=True)
class Node:
    """A server that was started; `ca_file` and the user are empty without security, and a syslog daemon has many urls.

    With an owner (process id and time of its creation) it belongs to that process and ends with it; without one it
    stays until someone stops it.
    """

    kind: str
    url: str
    pid: int
    started: float
    folder: str
    owner: tuple[int, float] | None = None
    user: str = ""
    password: str = ""
    ca_file: str = ""

    @property
    def process(self) -> psutil.Process | None:
        """Its process, unless that ended."""
        return _alive(self.pid, self.started)

    @property
    def orphaned(self) -> bool:
        """Whether the test session that started it is gone."""
        return self.owner is not None and _alive(*self.owner) is None

    @property
    def client(self) -> Client:
        """A plain HTTP client as the administrator."""
        return Client(self.url, user=self.user, password=self.password, ca_file=self.ca_file)

    def stop(self) -> None:
        """End the process and remove its folder."""
        process = self.process
        if process is not None:
            process.terminate()
            try:
                process.wait(30)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


def _alive(pid: int, started: float) -> psutil.Process | None:
    """Return the process; its time of creation tells it from a later one with the same number."""
    try:
        process = psutil.Process(pid)
        if process.create_time() == started and process.status() != psutil.STATUS_ZOMBIE:
            return process
    except psutil.NoSuchProcess:
        return None
    return None


def running(cache: Cache) -> Iterator[Node]:
    """Yield the servers that are up; clean up after those that died, and stop those whose owner died."""
    for file in sorted(cache.runs.glob("*/node.json")):
        try:
            node = Node(**json.loads(file.read_text()))
        except FileNotFoundError:  # its owner just stopped it
            continue
        if node.process is None or node.orphaned:
            node.stop()
        else:
            yield node


def remember(node: Node) -> Node:
    """Write down that it runs, for whoever asks `running`; return it."""
    folder = Path(node.folder)
    rough = folder / "node.json.new"
    rough.write_text(json.dumps(asdict(node)))
    rough.rename(folder / "node.json")
    return node


def start(kind: Kind, cache: Cache, *, owned: bool = False) -> Node:
    """Install (once), start and wait until the server answers. Raises Unavailable with the end of its log.

    Args:
        kind: Which one.
        cache: Where it is installed and runs.
        owned: Tie it to this process.
    """
    home, java = install(kind, cache)
    folder = Path(tempfile.mkdtemp(prefix=f"{kind.name}-", dir=cache.runs))
    folder.chmod(0o755)
    try:
        ca_file = _configure(kind, home, folder)
        pid = _launch(kind, home, java, folder)
        owner = (os.getpid(), psutil.Process().create_time()) if owned else None
        return _wait(kind, pid, folder, ca_file, owner)
    except BaseException:
        pid_file = folder / "pid"
        if pid_file.exists() and (text := pid_file.read_text().strip()):
            _end(int(text))
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _end(pid: int) -> None:
    try:
        psutil.Process(pid).kill()
    except psutil.NoSuchProcess:
        return


def _configure(kind: Kind, home: Path, folder: Path) -> Path | None:
    config = folder / "config"
    shutil.copytree(home / "config", config)
    for name in ("data", "logs", "tmp"):
        (folder / name).mkdir()
    settings: dict[str, Any] = {
        "cluster.name": folder.name,
        "node.name": folder.name,
        "discovery.type": "single-node",
        "network.host": "127.0.0.1",
        "http.port": 0,
        "transport.port": 0,
        "node.portsfile": True,  # the server writes down which ports it got: no one can take them in between
        "path.data": str(folder / "data"),
        "path.logs": str(folder / "logs"),
        "cluster.routing.allocation.disk.threshold_enabled": False,
    }
    ca_file = _issue_certificate(config) if kind.secure else None
    if kind.product == "elasticsearch":
        settings |= {"xpack.security.autoconfiguration.enabled": False, "xpack.security.enabled": kind.secure}
        if kind.secure:
            settings |= {
                "xpack.security.http.ssl.enabled": True,
                "xpack.security.http.ssl.key": "node.key",
                "xpack.security.http.ssl.certificate": "node.crt",
            }
        else:
            (config / "elasticsearch.keystore").unlink()
    elif kind.secure:
        for layer in ("transport", "http"):
            settings |= {
                f"plugins.security.ssl.{layer}.pemcert_filepath": "node.crt",
                f"plugins.security.ssl.{layer}.pemkey_filepath": "node.key",
                f"plugins.security.ssl.{layer}.pemtrustedcas_filepath": "ca.crt",
            }
        settings |= {
            "plugins.security.ssl.transport.enforce_hostname_verification": False,
            "plugins.security.ssl.http.enabled": True,
            "plugins.security.allow_default_init_securityindex": True,
            "plugins.security.nodes_dn": ["*CN=localhost*"],
            "plugins.security.restapi.roles_enabled": ["all_access"],
        }
    lines = (f"{key}: {json.dumps(value)}\n" for key, value in settings.items())
    (config / f"{kind.product}.yml").write_text("".join(lines))
    return ca_file


def _issue_certificate(config: Path) -> Path:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1", common_name="localhost")
    authority.cert_pem.write_to_path(config / "ca.crt")
    (config / "node.crt").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    (config / "node.key").write_bytes(  # OpenSearch reads PKCS#8 only
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return config / "ca.crt"


def _launch(kind: Kind, home: Path, java: Path, folder: Path) -> int:
    prefix = "ES" if kind.product == "elasticsearch" else "OPENSEARCH"
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "TMPDIR": str(folder / "tmp"),
        f"{prefix}_TMPDIR": str(folder / "tmp"),
        f"{prefix}_JAVA_HOME": str(java),
        f"{prefix}_PATH_CONF": str(folder / "config"),
        f"{prefix}_JAVA_OPTS": f"-Xms{_HEAP} -Xmx{_HEAP} -XX:TieredStopAtLevel=1 -XX:-AlwaysPreTouch",
        "CLI_JAVA_OPTS": "-XX:TieredStopAtLevel=1",
    }
    identity: dict[str, Any] = {}
    if os.getuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    log, pid_file = folder / "logs" / "start.log", folder / "pid"
    with log.open("wb") as output:
        code = subprocess.run(
            [str(home / "bin" / kind.product), "-d", "-p", str(pid_file)],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            timeout=_READY_WITHIN, check=False, **identity,
        ).returncode  # fmt: skip
    if code:
        raise Unavailable(f"{kind.name} did not start:\n{_tail(folder)}")
    return _read_pid(pid_file, kind, folder)


def _read_pid(pid_file: Path, kind: Kind, folder: Path) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if pid_file.exists() and (text := pid_file.read_text().strip()):
            return int(text)
        time.sleep(0.1)
    raise Unavailable(f"{kind.name} wrote no process id:\n{_tail(folder)}")


def _tail(folder: Path) -> str:
    lines = [
        line for log in sorted((folder / "logs").glob("*.log")) for line in log.read_text(errors="replace").splitlines()
    ]
    return "\n".join(lines[-40:])


def _wait(kind: Kind, pid: int, folder: Path, ca_file: Path | None, owner: tuple[int, float] | None) -> Node:
    deadline = time.monotonic() + _READY_WITHIN
    ports = folder / "logs" / "http.ports"
    process = psutil.Process(pid)
    while time.monotonic() < deadline and process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if ports.exists() and (addresses := ports.read_text().split()):
            node = Node(
                kind=kind.name,
                url=f"{'https' if kind.secure else 'http'}://{addresses[0]}",
                pid=pid,
                started=process.create_time(),
                folder=str(folder),
                owner=owner,
                user=kind.user,
                password=PASSWORD if kind.secure else "",
                ca_file=str(ca_file or ""),
            )
            if node.client.healthy() and (not kind.secure or _lets_in(kind, node.client)):
                return remember(node)
        time.sleep(0.2)
    raise Unavailable(f"{kind.name} is not ready:\n{_tail(folder)}")


def _lets_in(kind: Kind, client: Client) -> bool:
    """Return whether the administrator is let in from now on.

    Elasticsearch makes its index of users and roles some time after it answers, and refuses everybody (401) while that
    comes up: under load for seconds. A role of ours has it made now, and is taken when it is there.
    """
    try:
        if kind.product == "elasticsearch":
            role = {"cluster": ["monitor"]}
            if client.request("PUT", "/_security/role/harness", role, timeout=10.0).status != 200:
                return False
            return client.request("GET", "/_security/_authenticate", timeout=5.0).status == 200
        return client.request("GET", "/_plugins/_security/authinfo", timeout=5.0).status == 200
    except (OSError, HTTPException):
        return False


def kinds(product: str, *, secure: bool) -> list[Kind]:
    """Return what the command line names: `elasticsearch`, `opensearch`, `all`, or a name with `-secure`."""
    if product in KINDS:
        named = f"{product}-secure" if secure and not KINDS[product].secure else product
        return [KINDS[named]]
    return [kind for kind in KINDS.values() if kind.secure == secure]
