"""The control socket: how a command acts on a running daemon, which alone may open the spool.

::

    command ─connect─► <spool>.sock (mode 0600) ─ one line of JSON ─► verb ─► one line of JSON ─► closed

Invariants: only the user of the daemon, and root, get an answer, whatever the folder allows; who acts is what the
kernel says; a client that is slow, cut off or wrong costs one task for a while, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from hashlib import blake2s
from pathlib import Path
from typing import Any

import msgspec

from forwarder.contracts.errors import ForwarderError
from forwarder.contracts.log import get_logger
from forwarder.exit_codes import ExitCode, code_for
from forwarder.net.json_size import UNREADABLE

PATIENCE = 10.0
"""Seconds for a client to send its line, and to take each part of its answer."""

LONGEST_REQUEST = 2**20
"""Bytes."""

_LONGEST_PATH = 100  # bytes; the kernel's limit is 107 on Linux and 103 on others
_LONGEST_NAME = 60
_CREDENTIALS = struct.Struct("3i")


class Verb(msgspec.Struct, frozen=True):
    """Something that can be asked: the type of its argument, and what does it; it is told who asks."""

    takes: type
    run: Callable[[Any, str], Awaitable[Any]]


class Request(msgspec.Struct, rename={"verb": "do", "argument": "about", "claimed_user": "says"}):
    """One line from a command, which may be of another version: the names in the line stay.

    Attributes:
        verb: What to do.
        argument: Of the type that the verb takes.
        claimed_user: Who called the command, as it says itself, such as the user of sudo.
    """

    verb: str
    argument: msgspec.Raw = msgspec.Raw(b"{}")
    claimed_user: str = ""


class Answer(msgspec.Struct, omit_defaults=True):
    """One line back: the result, or the text of an error and the exit code it means."""

    result: msgspec.Raw = msgspec.Raw(b"")
    error: str = ""
    code: int = 0


def socket_path(spool: Path) -> Path:
    """Return where the control socket of a spool lies: beside it. A long name is replaced by its digest."""
    path = spool.expanduser().resolve()
    name = f"{path.name}.sock"
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = f"{blake2s(os.fsencode(name), digest_size=8).hexdigest()}.sock"
    return path.with_name(name)


@contextlib.contextmanager
def short_name(path: Path) -> Iterator[str]:
    """Yield a name of `path` that a socket address can hold: through its open folder when the path is too long."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


@contextlib.contextmanager
def connected(path: Path, patience: float) -> Iterator[socket.socket]:
    """Yield a connection to a control socket that waits so many seconds for each answer. Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(patience)
        with short_name(path) as name:
            connection.connect(name)
        yield connection


class ControlSocket:
    """Serves the verbs of one daemon. Start it with the spool's lock held: what lies in its place is left over then.

    Args:
        path: Where it lies.
        verbs: What can be asked, by name.
    """

    def __init__(self, path: Path, verbs: Mapping[str, Verb]) -> None:
        self._path = path
        self._verbs = verbs
        self._server: asyncio.Server | None = None
        self._served: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._log = get_logger()

    async def start(self) -> None:
        """Listen. A socket that cannot be made is a line of the log: commands that act say so too."""
        try:
            found = self._listen()
        except OSError as error:
            self._log.warning(
                "control_socket_missing",
                reason=f"{self._path}: {error.strerror or error}",
                fix="Commands that act need the daemon stopped, or its state folder writable at its next start.",
            )
            return
        self._server = await asyncio.start_unix_server(self._accept, sock=found, limit=LONGEST_REQUEST)

    def _listen(self) -> socket.socket:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(self._path.lstat().st_mode):
                raise FileExistsError(0, "something that is not a socket is there")
            self._path.unlink()
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            os.fchmod(found.fileno(), 0o600)  # before it has a name: on Linux no one ever sees it wider
            with short_name(self._path) as name:
                found.bind(name)
            self._path.chmod(0o600)
        except BaseException:
            found.close()
            raise
        return found

    async def close(self) -> None:
        """Stop listening and drop who is being served. Safe to call twice."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        served = dict(self._served)
        for task, writer in served.items():
            task.cancel()
            writer.transport.abort()
        if served:
            await asyncio.wait(served)
        self._path.unlink(missing_ok=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:  # it was in the queue when we closed
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer), name="control request")
        self._served[task] = writer
        task.add_done_callback(self._served.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                line = await reader.readuntil(b"\n")
            answer = await self._answer(line, writer.get_extra_info("socket"))
            writer.transport.set_write_buffer_limits(high=0)  # so that drain waits until all of it is sent
            writer.write(msgspec.json.encode(answer) + b"\n")
            async with asyncio.timeout(PATIENCE):
                await writer.drain()  # before close: a transport that is closed while it still sends fails at abort
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # it went away, or never said anything that we could answer
        finally:
            writer.transport.abort()  # nothing to do when it is closed

    async def _answer(self, line: bytes, peer: socket.socket) -> Answer:
        try:
            uid = _uid_of(peer)
            if uid not in {0, os.geteuid()}:
                return Answer(error="only the user of the daemon may do this", code=ExitCode.CONFIGURATION)
            request = msgspec.json.decode(line, type=Request)
            verb = self._verbs[request.verb]
            argument: Any = msgspec.json.decode(request.argument, type=verb.takes)
        except (*UNREADABLE, KeyError):
            text = "the daemon does not know this request; use the command of the same version"
            return Answer(error=text, code=ExitCode.CONFIGURATION)
        try:
            result = await verb.run(argument, who(uid, request.claimed_user))
        except ForwarderError as error:
            return Answer(error=str(error), code=code_for(error))
        except Exception:  # noqa: BLE001 -- one request failed; the daemon goes on
            self._log.exception("control_request_failed", request=request.verb)
            return Answer(error="the daemon failed; its log says how", code=ExitCode.UNEXPECTED)
        return Answer(msgspec.Raw(msgspec.json.encode(result)))


def who(uid: int, claimed: str = "") -> str:
    """Return who acts, in words: the user the kernel knows, and the name that is claimed besides."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = "unknown"
    return f"{name} (uid {uid})" + (f", called by {claimed[:100]}" if claimed else "")


def _uid_of(peer: socket.socket) -> int:
    """Return the user of the other side; where the system does not tell, the mode of the socket has to do."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return os.geteuid()
    return int(_CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))[1])
