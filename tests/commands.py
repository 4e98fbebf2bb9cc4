"""The command line in processes that are forks of one which has imported it: a call without the cost of a start.

Each call has its own process, with the working folder, the environment and the streams that it is given, and ends as any
program does. What only a start from nothing shows (what is imported when, warnings of an import) needs one: see `FRESH`.

As a program: takes requests from the socket that is its standard input, until the other side closes that.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FRESH = (sys.executable, "-m", "forwarder.cli.app")
"""Words of a call that starts from nothing."""

_IMPORTED = (
    "forwarder.cli", "forwarder.daemon", "forwarder.formats", "forwarder.investigate", "forwarder.sources", "forwarder.spool",
    "sinks", "simulator",
)  # fmt: skip
"""Rooms of which everything is imported, with what that imports: not the scripts for others that lie in a room."""

_LONGEST = 1 << 20
_ASK = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


class Started:
    """A call that has begun. `pid` is that of its process."""

    def __init__(self, reply: socket.socket) -> None:
        self._reply = reply
        self.pid = int(reply.recv(64))

    def wait(self, timeout: float = 60) -> int:
        """Return the exit code. Raises TimeoutError, when the process has been killed."""
        self._reply.settimeout(timeout)
        try:
            return int(self._reply.recv(64))
        except TimeoutError:
            os.kill(self.pid, signal.SIGKILL)
            raise
        finally:
            self._reply.close()

    async def ended(self) -> int:
        """Return the exit code, whenever it comes."""
        with self._reply:
            self._reply.setblocking(False)
            return int(await asyncio.get_running_loop().sock_recv(self._reply, 64))


def start(
    *words: str, cwd: Path, env: Mapping[str, str], streams: tuple[int, int, int], new_session: bool = False
) -> Started:
    """Call the command with these streams for standard input, output and errors."""
    reply, others = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    asked = {"words": words, "cwd": str(cwd), "env": dict(env), "new_session": new_session}
    try:
        socket.send_fds(_server(), [json.dumps(asked).encode()], [*streams, others.fileno()])
    finally:
        others.close()
    return Started(reply)


def call(
    *words: str, cwd: Path, env: Mapping[str, str], stdin: bytes = b"", timeout: float = 60
) -> subprocess.CompletedProcess[bytes]:
    """Call the command, and return its exit code, output and errors. Raises TimeoutError."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        given.write(stdin)
        files = given, output, errors
        for file in files:
            file.seek(0)
        code = start(*words, cwd=cwd, env=env, streams=tuple(file.fileno() for file in files)).wait(timeout)  # type: ignore[arg-type]
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(words, code, output.read(), errors.read())


def call_for_text(
    *words: str, cwd: Path, env: Mapping[str, str], timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Call the command, and return its exit code, and its output and errors as text."""
    done = call(*words, cwd=cwd, env=env, timeout=timeout)
    return subprocess.CompletedProcess(words, done.returncode, done.stdout.decode(), done.stderr.decode())


@functools.cache
def _server() -> socket.socket:
    ours, others = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.commands"], cwd=ROOT, stdin=others, stdout=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"]}, start_new_session=True,
    )  # fmt: skip
    others.close()

    def end() -> None:
        ours.close()
        process.wait(10)

    atexit.register(end)
    return ours


# ------------------------------------------------------------------------------------------------------- the program


def _import_everything() -> None:
    for name in _IMPORTED:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            importlib.import_module(module.name)


def _serve(control: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Fork for each request. Returns in such a fork only: with what was asked, and the three streams."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        asked, handles, _, _ = socket.recv_fds(control, _LONGEST, 4)
        if not asked:
            os._exit(0)
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            control.close()
            signal.pthread_sigmask(signal.SIG_BLOCK, _ASK)  # until the call listens
            if not (child := os.fork()):
                os.close(handles.pop())
                return json.loads(asked), handles
            for handle in handles[:3]:
                os.close(handle)
            _tell_end(child, socket.socket(fileno=handles[3]))
        for handle in handles:
            os.close(handle)


def _tell_end(child: int, reply: socket.socket) -> None:
    reply.send(str(child).encode())
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        reply.send(str(code).encode())
    finally:
        os._exit(0)


def _become(asked: dict[str, Any], handles: list[int]) -> None:
    """Make of this process what a start with these words, in this place, would be."""
    from forwarder.__main__ import listen

    for number, handle in enumerate(handles):
        os.dup2(handle, number)
        os.close(handle)
    if asked["new_session"]:
        os.setsid()
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    for action in filter(None, os.environ.get("PYTHONWARNINGS", "").split(",")):
        warnings.simplefilter(action)  # type: ignore[arg-type]
    sys.path[:1] = [asked["cwd"], *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    listen(asked["words"])
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASK)
    sys.argv = [str(Path(sys.executable).with_name("audit-forwarder")), *asked["words"]]
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        before = getattr(sys, name)
        stream = open(number, mode, encoding=before.encoding, errors=before.errors, closefd=False)  # noqa: SIM115
        if mode == "w":
            stream.reconfigure(line_buffering=name == "stderr" or os.isatty(number))  # type: ignore[union-attr]
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _run() -> int:
    from forwarder.cli.app import main

    code = 1
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 -- as the interpreter does
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return code


if __name__ == "__main__":
    _import_everything()
    gc.freeze()  # what never goes away is not to be looked through, and so copied, in each fork
    _become(*_serve(socket.socket(fileno=os.dup(0))))
    os._exit(_run())  # not one by one: what was imported for all of them takes long to be taken apart
