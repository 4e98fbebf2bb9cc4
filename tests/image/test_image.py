"""What is in the image, and that it does its work with everything taken away that the work does not need."""

from __future__ import annotations

import json
import stat
import tarfile
import time
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from forwarder import __version__
from forwarder.exit_codes import ExitCode
from simulator.config import RateLimits, SimulatorConfig
from simulator.receivers.bulk import BulkReceiver
from simulator.simulator import Simulator
from tests.daemon.engine import digests_of, source, truth
from tests.image.container import Container, Image, Mount, get, writable_folder
from tests.servers.cache import Cache

UNCHECKED_HASH = 0b01
"""Flags of a compiled file, PEP 552."""
USER = 65532
STATE = "/var/lib/audit-forwarder"
SECRETS = "/run/secrets/audit-forwarder"
SERVICE = "audit-forwarder.audit.svc"
TOKEN = "token-of-the-status"


def few() -> SimulatorConfig:
    return SimulatorConfig(events=600, history="2d", limits=RateLimits(stream=0, events=0))


class Deployed:
    """Configuration, secrets and volume on this machine, as they are mounted."""

    def __init__(self, folder: Path, sim: Simulator, receiver: BulkReceiver, port: int) -> None:
        self.port = port
        self.volume = writable_folder(folder / "volume", USER)
        self.archive = self.volume / "out" / "events.ndjson"
        secrets = folder / "secrets"
        secrets.mkdir()
        (secrets / "sources__acme__api_key").write_text(sim.api_key + "\n")
        (secrets / "admin__token").write_text(TOKEN + "\n")
        acme = source(sim)
        del acme["api_key"]  # it comes from the secrets directory
        config = {
            "sources": {"acme": acme},
            "sinks": {
                "archive": {"type": "file", "path": "out/events.ndjson", "format": "raw"},
                "elastic": {"type": "elasticsearch", "url": receiver.url},
            },
            "budgets": {"fast": {"requests_per_minute": 600_000}},
            "admin": {"listen": f"0.0.0.0:{self.port}", "allowed_hosts": [SERVICE]},
        }
        file = folder / "config.yaml"
        file.write_text(yaml.safe_dump(config))
        file.chmod(0o644)
        self.mounts = [
            Mount(file, "/etc/audit-forwarder/config.yaml"),
            Mount(secrets, SECRETS),
            Mount(self.volume, STATE, writable=True),
        ]
        self.env = {"FORWARDER_SECRETS_DIR": SECRETS}


async def test_pages_are_delivered_from_inside(
    image: Image, tmp_path: Path, dead_port: int, capsys: pytest.CaptureFixture[str]
):
    async with Simulator(few()) as sim, BulkReceiver() as receiver:
        deployed = Deployed(tmp_path, sim, receiver, dead_port)
        async with Container(
            image, tmp_path / "run", deployed.mounts, env=deployed.env, words=["setup", "--yes"]
        ) as once:
            assert await once.wait() == ExitCode.OK, once.text
        began = time.monotonic()
        async with Container(image, tmp_path / "run", deployed.mounts, env=deployed.env) as container:
            await container.until_answers(deployed.port, "/readyz", SERVICE)
            await container.until(lambda: bool(digests_of(deployed.archive)))
            with capsys.disabled():
                print(f"\ncontainer: the first event after {time.monotonic() - began:.1f} s, the image at hand")
            await container.until(lambda: set(digests_of(deployed.archive)) == truth(sim))
            await container.until(lambda: len(receiver.stream()) == len(truth(sim)))
            assert [await get(deployed.port, path, SERVICE) for path in ("/livez", "/metrics", "/status")] == [
                200,
                200,
                401,
            ]

            inside = await container.state_of_init()
            assert set(inside["Uid"].split()) | set(inside["Gid"].split()) == {str(USER)}
            assert {int(inside[kind], 16) for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
            assert inside["NoNewPrivs"] == "1"

            code, output = await container.exec("/opt/audit-forwarder/bin/audit-forwarder", "status", "--json")
            status = json.loads(output)
            assert (code, status["ready"], status["degraded"]) == (ExitCode.OK, True, [])
            assert await container.stop() == ExitCode.OK, container.text[-4000:]
        assert TOKEN not in container.text
        assert sim.api_key not in container.text

        sim.add_events(50)
        async with Container(image, tmp_path / "run", deployed.mounts, env=deployed.env) as again:
            await again.until(lambda: set(digests_of(deployed.archive)) == truth(sim))
            assert await again.stop() == ExitCode.OK, again.text[-4000:]
        assert set(digests_of(deployed.archive).values()) == {1}, "the volume was not continued from"


async def test_without_a_volume_it_ends_and_says_why(image: Image, tmp_path: Path, dead_port: int):
    async with Simulator(few()) as sim, BulkReceiver() as receiver:
        deployed = Deployed(tmp_path, sim, receiver, dead_port)
        async with Container(image, tmp_path / "run", deployed.mounts[:2], env=deployed.env) as container:
            assert await container.wait() == ExitCode.SPOOL
    assert STATE in container.text
    assert "Read-only file system" in container.text


async def test_it_takes_any_user(image: Image, tmp_path: Path):
    """Some clusters choose the user."""
    user = {"uid": 1_000_650_000, "gid": 0}
    async with Container(image, tmp_path, words=["version"], user=user) as container:
        assert await container.wait() == 0
    assert container.text.strip() == f"audit-forwarder {__version__}"


async def test_how_large_it_is_and_how_fast_it_starts(image: Image, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Printed for whoever looks at a run, and not judged: machines differ."""
    began = time.monotonic()
    async with Container(image, tmp_path, words=["--help"]) as container:
        assert await container.wait() == 0
    took = time.monotonic() - began
    unpacked = sum(found.st_size for found in image.files.values() if stat.S_ISREG(found.st_mode))
    with capsys.disabled():
        print(
            f"\nimage: {image.size / 1e6:.0f} MB in a registry, {unpacked / 1e6:.0f} MB unpacked; help after {took:.1f} s"
        )
    assert image.size > 0


def test_it_says_what_it_was_made_of(image: Image):
    labels = image.config["Labels"]
    assert len(labels["org.opencontainers.image.revision"]) == 40
    assert datetime.fromisoformat(labels["org.opencontainers.image.created"]).tzinfo is not None
    assert labels["org.opencontainers.image.base.name"]
    assert labels["org.opencontainers.image.base.digest"].startswith("sha256:")


def test_it_says_what_it_is_and_needs_no_shell(image: Image):
    config = image.config
    assert config["Labels"]["org.opencontainers.image.version"] == __version__
    assert config["User"] == f"{USER}:{USER}"
    assert config["Entrypoint"] == ["/opt/audit-forwarder/bin/audit-forwarder"]
    assert config["Cmd"] == ["run"]
    assert config["WorkingDir"] == STATE
    assert "Volumes" not in config
    assert not [entry for entry in config["Env"] if entry.startswith(("PIP_", "FORWARDER_"))]


def test_it_is_the_base_and_two_folders(image: Image):
    """How this machine reaches its package index, what pip cached, what was built on the way: nothing of it is there."""
    (base,) = (Cache.default().folder / "image").glob("base-*.tar")
    with tarfile.open(base) as archive:
        before = {member.name.removeprefix("./").rstrip("/"): member for member in archive}
    ours = {name for name in image.files if name not in before}
    assert {name for name in ours if not name.startswith("opt/audit-forwarder/")} == {
        "opt/audit-forwarder",
        "var/lib/audit-forwarder",
    }
    changed = [
        name for name, found in image.files.items()
        if name in before and stat.S_ISREG(found.st_mode) and before[name].isreg() and found.st_size != before[name].size
    ]  # fmt: skip
    assert changed == []


def test_python_is_the_only_program(image: Image):
    """No shell, no package manager and no pip: who breaks in finds nothing to go on with."""
    runnable = {
        name
        for name, found in image.files.items()
        if stat.S_ISREG(found.st_mode) and found.st_mode & 0o111 and Path(name).parts[-2] in {"bin", "sbin"}
    }
    assert {Path(name).name for name in runnable if not name.startswith("opt/")} == {"python3.11"}
    installers = [name for name in image.files if Path(name).name in {"pip", "ensurepip", "setuptools"}]
    assert [
        name for name in installers if "dist-packages" in name or "site-packages" in name or "lib/python3" in name
    ] == []
    regular = {name: found for name, found in image.files.items() if stat.S_ISREG(found.st_mode)}
    assert [name for name, found in regular.items() if found.st_mode & (stat.S_ISUID | stat.S_ISGID)] == []


def test_it_says_what_is_in_it_and_who_wrote_that(image: Image):
    installed = {
        tuple(path.name.removesuffix(".dist-info").split("-", 1))
        for path in (image.rootfs / "opt").rglob("*.dist-info")
    }
    others = {(name, version) for name, version in installed if name != "audit_forwarder"}
    bill = json.loads((image.rootfs / "opt/audit-forwarder/sbom.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "audit-forwarder"
    listed = {
        (part["name"].lower().replace("-", "_").replace(".", "_"), part["version"]) for part in bill["components"]
    }
    assert {(name.lower().replace(".", "_"), version) for name, version in others} <= listed
    assert all(part.get("licenses") for part in bill["components"])
    notices = (image.rootfs / "opt/audit-forwarder/THIRD-PARTY-NOTICES").read_text().lower()
    missing = [
        name for name, _ in others if f"\n{name.lower()}\n" not in f"\n{notices}".replace("-", "_").replace(".", "_")
    ]
    assert missing == []
    for text in (json.dumps(bill), notices):
        assert "file:///" not in text


def test_a_new_volume_belongs_to_the_user(image: Image):
    """An engine gives a new, empty volume the owner that its place has in the image."""
    assert (image.files["var/lib"].st_uid, image.files["var/lib/audit-forwarder"].st_uid) == (0, USER)
    assert image.files["var/lib/audit-forwarder"].st_gid == USER


def test_nobody_there_can_change_what_runs(image: Image):
    ours = {name: found for name, found in image.files.items() if name.startswith("opt/")}
    assert len(ours) > 1000
    loose = [
        name
        for name, found in ours.items()
        if not stat.S_ISLNK(found.st_mode) and (found.st_uid != 0 or found.st_mode & 0o022)
    ]
    assert loose == []


def test_what_runs_is_compiled_whatever_times_a_builder_gives_to_files(image: Image):
    sources = [name for name in image.files if name.startswith("opt/") and name.endswith(".py")]
    assert len(sources) > 500
    by_time = []
    for name in sources:
        path = image.rootfs / name
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.cpython-*.pyc"):
            if int.from_bytes(compiled.read_bytes()[4:8], "little") != UNCHECKED_HASH:
                by_time.append(name)
    assert by_time == []
    assert list((image.rootfs / "opt").rglob("forwarder/cli/__pycache__/app.cpython-*.pyc"))
