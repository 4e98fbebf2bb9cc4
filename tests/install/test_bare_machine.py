"""Every documented way to install, from nothing, as its page is written: how long until the first event."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.install.machine import PATIENCE, PROJECT, Machine, Stopwatch, blocks, build, machine, tools_or_skip
from tests.install.test_systemd_unit import unit

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(1200)]

COMMANDS = ["--help", "version", "schema", "docs configuration", "examples full.yaml"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def stopwatch(capsys: pytest.CaptureFixture[str]) -> Stopwatch:
    return Stopwatch(capsys)


@pytest.fixture
def port_of_the_pages() -> None:
    """The pages name one port for the simulator; what else listens there would answer in its place."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 8085))


def test_pip_as_the_page_says(wheel: Path, tmp_path: Path, stopwatch: Stopwatch, port_of_the_pages: None):
    install, demo, *_ = blocks("pip.md")
    with machine(tmp_path / "home") as bare:
        shutil.copy(wheel, bare.home)
        bare.type(install)
        bare.type(demo)
        bare.wait_for(bare.home / "try" / "out" / "events.ndjson")
        stopwatch.stop("pip")
        assert bare.type("audit-forwarder status").count("simulated")
        for words in COMMANDS:
            bare.type(f"audit-forwarder {words}")
        bare.type("audit-forwarder check")
        (bare.home / "audit").symlink_to(bare.home / "try")
        bare.where = bare.home  # the update begins where the wheel lies
        bare.type(blocks("pip.md")[-1])


def test_readme_as_it_is_written(tmp_path: Path, stopwatch: Stopwatch, port_of_the_pages: None):
    (use,) = blocks("README.md")
    with machine(tmp_path / "home") as bare:
        source = bare.home / "source"
        shutil.copytree(PROJECT, source, ignore=shutil.ignore_patterns(".*", "tests", "dist", "build", "__pycache__"))
        bare.where = source
        bare.type(use)
        (simulate,) = re.findall(r"`(audit-forwarder simulate --port \d+)`", (PROJECT / "README.md").read_text())
        bare.type(f"{simulate} &\ncd ~/audit\naudit-forwarder run &")
        bare.wait_for(bare.home / "audit" / "out" / "events.ndjson")
        stopwatch.stop("README")
        assert "simulated" in bare.type("audit-forwarder status")


@pytest.mark.parametrize("way", ["pipx", "uv tool"])
def test_with_pipx_and_uv(wheel: Path, tmp_path: Path, way: str):
    tools = tools_or_skip()
    page = (PROJECT / "docs" / "install" / "pip.md").read_text()
    (command,) = re.findall(rf"`({way} install \S+)`", " ".join(page.split()))
    with machine(tmp_path / "home") as bare:
        shutil.copy(wheel, bare.home)
        bare.env["PATH"] = f"{bare.home}/.local/bin:{bare.env['PATH']}"
        bare.type(f"{tools}/{command}")
        assert bare.type("audit-forwarder version").startswith("audit-forwarder ")
        bare.type("audit-forwarder init try --demo --listen 127.0.0.1:0")
        bare.type("audit-forwarder check -c try/config.yaml")


def test_the_oldest_dependencies_that_are_supported(wheel: Path, tmp_path: Path):
    """The newest are what the other ways get: there the index decides."""
    lock = (PROJECT / "requirements" / "oldest.lock").read_text()
    with machine(tmp_path / "home") as bare:
        pins = [line.rstrip(" \\") for line in lock.splitlines() if re.match(r"[a-z0-9].*==", line)]
        (bare.home / "oldest.txt").write_text("\n".join(pins) + "\n")
        bare.type(
            f"python3 -m venv venv\nvenv/bin/pip install --quiet --constraint oldest.txt '{wheel}[archive,investigate]'"
        )
        bare.env["PATH"] = f"{bare.home}/venv/bin:{bare.env['PATH']}"
        bare.type("pip check")
        for words in COMMANDS:
            bare.type(f"audit-forwarder {words}")
        _deliver(bare)


def test_twine_takes_both(wheel: Path, tmp_path: Path):
    sdist = build("sdist", tmp_path)
    words = [tools_or_skip() / "twine", "check", "--strict", wheel, sdist]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2


def _deliver(bare: Machine) -> None:
    """Run the daemon on a port of its own against a simulator on any, until the first event."""
    script = """
audit-forwarder simulate > simulator.yaml &
until grep -q api_key simulator.yaml; do sleep 0.1; done
audit-forwarder init run --demo --listen 127.0.0.1:0
sed -i "s#http://127.0.0.1:8085#$(sed -n 's/ *base_url: //p' simulator.yaml)#" run/config.yaml
audit-forwarder run -c run/config.yaml &
"""
    bare.type(script)
    bare.wait_for(bare.where / "run" / "out" / "events.ndjson")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can enter; those of pytest are closed."""
    with tempfile.TemporaryDirectory(prefix="audit-forwarder-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_systemd_but_for_systemd(wheel: Path, open_folder: Path, stopwatch: Stopwatch, dead_port: int):
    """What the unit runs, as its user, with its environment and its state folder, heard by a socket as systemd has one."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() or setpriv is None:
        pytest.skip("needs root and setpriv, to become the user of a service")
    install, init, example, _ = blocks("systemd.md")
    service = unit()["Service"]
    opt, etc, state = open_folder / "opt", open_folder / "etc", open_folder / "state"

    def here(text: str) -> str:
        for path, place in (
            ("/opt/audit-forwarder", opt),
            ("/etc/audit-forwarder", etc),
            ("/var/lib/audit-forwarder", state),
            ("/etc/systemd/system", open_folder),
            ("/usr/local/bin/", f"{open_folder}/"),
        ):
            text = text.replace(path, str(place))
        return text

    with (
        machine(open_folder / "root") as bare,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd,
        (open_folder / "log").open("wb") as log,
    ):
        shutil.copy(wheel, bare.home)
        system = ["/usr/bin/python3", "-c", "import sys, ensurepip; sys.exit(sys.version_info < (3, 11))"]
        if subprocess.run(system, capture_output=True, check=False).returncode == 0:
            bare.env["PATH"] = "/usr/bin:/bin"  # the user of a service cannot reach a Python in the home of root
        bare.type(here(install))
        bare.env["PATH"] = f"{open_folder}:{bare.env['PATH']}"
        with _simulated() as sim_address:
            bare.type(f"{here(init).strip()} --demo --listen 127.0.0.1:{dead_port}")
            config = etc / "config.yaml"
            config.write_text(config.read_text().replace("http://127.0.0.1:8085", sim_address))
            out = state / "out.ndjson"
            config.write_text(re.sub(r'path: ".*events.ndjson"', f'path: "{out}"', config.read_text()))
            bare.type(here(example))
            assert (open_folder / "audit-forwarder.service").read_text().endswith("WantedBy=multi-user.target\n")

            credentials = open_folder / "credentials"
            credentials.mkdir(mode=0o755)
            for secret in (etc / "secrets").iterdir():  # LoadCredential=: a copy that only the user can read
                copy = credentials / secret.name
                copy.write_bytes(secret.read_bytes())
                copy.chmod(0o400)
                os.chown(copy, 64000, 64000)
                secret.unlink()
            for path in (state, *state.rglob("*")):  # StateDirectory=
                os.chown(path, 64000, 64000)
            systemd.bind(str(open_folder / "notify"))
            (open_folder / "notify").chmod(0o777)
            systemd.settimeout(PATIENCE)
            name, _, value = service["Environment"].replace("%d", str(credentials)).partition("=")
            words = [
                setpriv,
                "--reuid=64000",
                "--regid=64000",
                "--clear-groups",
                "--no-new-privs",
                "--bounding-set=-all",
            ]
            daemon = subprocess.Popen(
                [*words, *here(service["ExecStart"]).split()],
                cwd=state,
                env={
                    name: value,
                    "NOTIFY_SOCKET": str(open_folder / "notify"),
                    "WATCHDOG_USEC": "60000000",
                    "PATH": "",
                },
                stdin=subprocess.DEVNULL,
                stderr=log,
                umask=int(service["UMask"], 8),
            )
            try:
                said = []
                while "READY=1" not in said:
                    said += systemd.recv(4096).decode().splitlines()
                bare.wait_for(out)
                stopwatch.stop("systemd")
                assert "well" in bare.type(f"audit-forwarder status -c {config} || true")
            finally:
                daemon.terminate()
            assert daemon.wait(60) == 0, (open_folder / "log").read_text()


@contextmanager
def _simulated() -> Iterator[str]:
    """A simulator in a process of its own; gives its address."""
    words = [sys.executable, "-m", "forwarder", "simulate", "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        text = "".join(process.stdout.readline() for _ in range(6))
        try:
            yield yaml.safe_load(text)["sources"]["simulated1"]["base_url"]
        finally:
            process.terminate()
