"""pytest again and again, in forks of one process: what no change touches is imported once.

As a program: reads a line of JSON (`words`, `env`, `output`) and answers with two lines, the process and its exit code.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

_FOREIGN = (
    "asyncio",
    "cryptography.x509",
    "httpx",
    "msgspec",
    "pydantic",
    "sqlite3",
    "ssl",
    "structlog",
    "trustme",
    "yaml",
)
"""What takes long to import; nothing of the project, and no plugin of pytest, which wants to import these itself."""


class Forks:
    """The other side of this program: runs pytest in a folder."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self._output = folder / ".output"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.mutants.forks"], cwd=folder, env=env, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, words: list[str], env: dict[str, str], within: float) -> tuple[int | None, str]:
        """Run pytest; return its exit code, or None when it took too long, and what it wrote."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"words": words, "env": env, "output": str(self._output)}) + "\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        ended, _, _ = select.select([self._process.stdout], [], [], within)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # what a test started goes with it
        code = int(self._process.stdout.readline())
        return (code if ended else None), self._output.read_text(errors="replace")

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def _run(order: dict) -> int:
    """Run pytest in a fork."""
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, null), (1, output), (2, output)):
            os.dup2(source, target)
        os.environ.update(order["env"])
        code = 70
        with contextlib.suppress(BaseException):
            code = int(pytest.main(order["words"]))
        sys.stdout.flush()
        os._exit(code)
    print(pid, flush=True)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def main() -> None:
    """Run pytest once for each line that comes in."""
    for name in _FOREIGN:
        importlib.import_module(name)
    for line in sys.stdin:
        print(_run(json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
