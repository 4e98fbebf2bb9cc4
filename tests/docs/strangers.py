"""A new environment in which a page for plugin authors is followed: its files written, its commands run.

The forwarder is installed there from its wheel, so that what the wheel lacks is missed. Everything else comes from the
environment of the tests, and pip asks no registry.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import site
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_FILE = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def files_of(page: Path) -> dict[str, str]:
    """Return the files that a page prints, by their names."""
    return dict(_FILE.findall(page.read_text(encoding="utf-8")))


def commands_of(page: Path) -> list[str]:
    """Return the commands of a page, in order."""
    return [line for block in _COMMANDS.findall(page.read_text(encoding="utf-8")) for line in block.splitlines()]


class Environment:
    """One environment of Python with the forwarder in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bin = folder / "bin"

    def create(self, wheel: Path) -> None:
        """Make it, and install the forwarder."""
        folder = self._folder
        venv.create(folder, with_pip=False, symlinks=True)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        site_packages = folder / "lib" / version / "site-packages"
        others = [path for path in site.getsitepackages() if Path(path).is_dir()]
        (site_packages / "of_the_tests.pth").write_text("\n".join(others) + "\n")  # without what is editable there
        for tool in ("pip", "pytest"):
            script = self._bin / tool
            script.write_text(f'#!/bin/sh\nexec "{self._bin}/python" -m {tool} "$@"\n')
            script.chmod(0o755)
        self.run(f"pip install {shlex.quote(str(wheel))}", folder)

    def run(self, command: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command of a page in a folder. Fails when it fails."""
        done = subprocess.run(
            shlex.split(command), cwd=folder, env=self.variables(**more), capture_output=True, text=True, timeout=300,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
        return done

    @contextmanager
    def daemon(self, command: str, folder: Path, **more: str) -> Iterator[Callable[[], str]]:
        """Run a command that goes on, and let it end as a service manager does; gives what looks into its log."""
        log = folder / "daemon.log"
        with log.open("w") as writes:
            process = subprocess.Popen(
                shlex.split(command), cwd=folder, env=self.variables(**more), stdout=writes, stderr=subprocess.STDOUT
            )

        def alive() -> str:
            assert process.poll() is None, log.read_text()
            return log.read_text()

        try:
            yield alive
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        assert process.returncode == 0, log.read_text()

    def variables(self, **more: str) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items()
            if not name.startswith(("PIP_", "PYTEST", "PYTHON", "FORWARDER", "COV_", "VIRTUAL_ENV"))
        }  # fmt: skip
        offline = {
            "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_QUIET": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_IGNORE_INSTALLED": "1", "PIP_NO_CACHE_DIR": "1",
        }  # fmt: skip
        ours = {"PATH": f"{self._bin}:{kept['PATH']}", "COLUMNS": "200", "FORWARDER__ADMIN__LISTEN": "127.0.0.1:0"}
        return {**kept, **offline, **ours, **more}


def build_wheel(folder: Path) -> Path:
    """Build the wheel of the forwarder."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel"]
    offline = ["--no-build-isolation", "--no-deps", "--no-index", "-w", str(folder), str(ROOT)]
    subprocess.run([*pip, *offline], check=True, capture_output=True, timeout=300)
    (wheel,) = folder.glob("*.whl")
    return wheel


def clauses_passed(done: subprocess.CompletedProcess[str], least: int) -> None:
    """Fail unless pytest ran at least so many clauses, and each of them passed."""
    last: Any = re.search(r"(\d+) passed(.*) in ", done.stdout)
    assert last, done.stdout[-2000:]
    assert int(last[1]) >= least
    assert not re.search(r"failed|error", done.stdout.splitlines()[-1]), last[0]
