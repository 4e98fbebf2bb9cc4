"""A bare machine, as far as one can be had here: an empty home, no environment, and the pages' own commands."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.main import get_command

from forwarder.cli.app import app
from tests.servers.cache import Cache, Unavailable, run

PROJECT = Path(__file__).resolve().parents[2]
LOCK = PROJECT / "requirements" / "release.lock"
PROMISED = 120
"""Seconds from nothing to the first event; printed beside what it took, and never asserted: machines differ."""
PATIENCE = 600.0
"""Seconds to wait for any one thing."""


def blocks(page: str, language: str = "sh") -> list[str]:
    """Return the code blocks of a page in `docs/install`, or of another file of the project, in order."""
    path = PROJECT / page if "/" in page or page == "README.md" else PROJECT / "docs" / "install" / page
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def options_of(words: Sequence[str]) -> dict[str, Any]:
    """Return what our command line reads in these words, and run nothing. Raises a usage error of the command line."""
    command: Any = get_command(app)
    context = command.make_context("audit-forwarder", list(words))
    rest = [*context._protected_args, *context.args]
    while rest and hasattr(command, "commands"):
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
        rest = [*context._protected_args, *context.args] if hasattr(command, "commands") else []
    found: dict[str, Any] = context.params
    return found


def build(target: str, into: Path, root: Path = PROJECT) -> Path:
    """Build the `wheel` or `sdist` of a source tree as pip would, without asking an index."""
    words = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(into)]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = into.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return made


def release_tools() -> Path:
    """Return the folder of the programs of `requirements/release.lock`. Raises Unavailable."""
    cache = Cache.default()
    final = cache.folder / f"release-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    with cache.locked():
        if not final.exists():  # a virtual environment cannot be moved, so it is made where it stays
            try:
                run([sys.executable, "-m", "venv", str(final)])
                pip = [str(final / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
                run([*pip, "--no-deps", "--require-hashes", "-r", str(LOCK)])
            except BaseException:
                shutil.rmtree(final, ignore_errors=True)
                raise
    return final / "bin"


def tools_or_skip() -> Path:
    """Return them; without them a test is skipped, and with `CI=true` it fails."""
    try:
        return release_tools()
    except Unavailable as why:
        if os.environ.get("CI") == "true":
            pytest.fail(f"tools are missing, and CI=true forbids to go on without: {why}")
        pytest.skip(f"NO TOOLS: {why}")


class Machine:
    """An empty home in which commands of a page are typed, one block after the other, in one shell a block."""

    def __init__(self, home: Path, **env: str) -> None:
        self.home = home
        self.where = home
        # How this machine reaches its package index is the one thing that is not of a bare machine.
        index = {
            name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_", "REQUESTS"))
        }
        proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
        self.env = {
            "HOME": str(home),
            "PATH": f"{Path(sysconfig.get_config_var('BINDIR'))}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            **index,
            **proxies,
            **env,
        }
        self._typed: list[subprocess.Popen[str]] = []
        self.text = ""

    def type(self, block: str, within: float = PATIENCE) -> str:
        """Run a block as it is written, and keep folder and environment for the next; what it starts with & stays."""
        log, after = self.home / ".typed", self.home / ".after"
        script = f"set -e\n{block}\npwd > {after}\nenv -0 >> {after}\n"
        with log.open("wb") as out:
            shell = subprocess.Popen(
                ["/bin/bash", "-c", script],
                cwd=self.where,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                text=True,
                start_new_session=True,
            )
        self._typed.append(shell)
        code = shell.wait(within)
        text = log.read_text(errors="replace")
        self.text += text
        assert code == 0, f"{block}\nended with {code}:\n{text}"
        where, _, env = after.read_text().partition("\n")
        self.where = Path(where)
        self.env = dict(pair.split("=", 1) for pair in env.split("\0") if "=" in pair)
        return text

    def wait_for(self, path: Path, within: float = PATIENCE) -> None:
        """Wait until a file has a line."""
        end = time.monotonic() + within
        while not (path.exists() and b"\n" in path.read_bytes()):
            assert time.monotonic() < end, f"{path} has nothing after {within:.0f} s\n{self.log}"
            time.sleep(0.1)

    @property
    def log(self) -> str:
        """What the last block printed so far, and what it left running."""
        return (self.home / ".typed").read_text(errors="replace")

    def end(self) -> None:
        """End what was left running: each block has a session of its own."""
        for shell in self._typed:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGTERM)
        end = time.monotonic() + 60
        while any(_lives_in(shell.pid) for shell in self._typed):
            assert time.monotonic() < end, f"what was started does not end:\n{self.text}"
            time.sleep(0.1)


def _lives_in(group: int) -> bool:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


@contextmanager
def machine(home: Path, **env: str) -> Iterator[Machine]:
    """Give a machine, and end what runs on it."""
    home.mkdir()
    made = Machine(home, **env)
    try:
        yield made
    finally:
        made.end()


class Stopwatch:
    """Seconds from nothing to the first event, printed where the figures of a run are looked for."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._began = time.monotonic()
        self._capsys = capsys

    def stop(self, way: str) -> None:
        """Print it."""
        took = time.monotonic() - self._began
        with self._capsys.disabled():
            print(f"\n{way}: the first event after {took:.1f} s of the {PROMISED} s that are promised")
