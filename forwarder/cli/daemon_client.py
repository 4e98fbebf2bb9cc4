"""How a command acts: through the control socket of the daemon, or, while none runs, on the spool itself.

The two give the same answers, because both end in the same verbs. A command never opens the spool of a daemon that
runs: its lock is in the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from forwarder.admin.control import Answer, Request, Verb, connected, socket_path, who
from forwarder.admin.verbs import verbs_of
from forwarder.contracts import SourceContext, SystemClock
from forwarder.contracts.errors import ForwarderError
from forwarder.contracts.source import read_again_after
from forwarder.exit_codes import ExitCode
from forwarder.net.json_size import UNREADABLE
from forwarder.spool.contract import SpoolError, SpoolInUse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from forwarder.config.settings import Settings
    from forwarder.contracts import Origin, SinkConfig, Source
    from forwarder.spool.sqlite.store import SqliteSpool

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds for the daemon to answer."""

CHANGES = 10.0
"""Seconds that a daemon may take to start or to stop, while it holds the spool and does not answer."""

QUIET = 5.0
"""Seconds after which a command that waits says so."""


class Refused(ForwarderError):
    """The daemon says no, or does not answer as it should; `code` is the exit code that this means."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = ExitCode(code) if code in set(ExitCode) else ExitCode.UNEXPECTED


class VerbClient(Protocol):
    """Where a command hands in what it wants."""

    running: bool
    """Whether a daemon does it."""

    async def ask(self, verb: str, argument: Any, gives: type[T]) -> T:
        """Have it done and return the result. Raises ForwarderError."""
        ...


@contextlib.asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[VerbClient]:
    """Find the daemon, or open the spool in its place. Raises SpoolError when neither can be had."""
    path = socket_path(settings.spool.path)
    spool: SqliteSpool | None = None
    end = time.monotonic() + CHANGES
    while not _listens(path):
        try:
            spool = await _opened(settings)
            break
        except SpoolInUse as error:  # by a daemon that is starting or stopping, or by another command
            if time.monotonic() > end:
                raise SpoolError(f"{error} It has not answered at {path} for {CHANGES:.0f} s.") from error
            await asyncio.sleep(0.05)
    if spool is None:
        yield _Remote(path)
        return
    try:
        sources, proofs = partial(sources_of, settings), partial(_proofs, settings.sinks)
        delays = partial(_delays, settings)
        yield _Local(verbs_of(spool, settings.sinks, sources=sources, proofs=proofs, delays=delays))
    finally:
        await spool.close()


def running_daemon(settings: Settings) -> VerbClient:
    """Return the daemon that runs. Raises Refused when none does, SpoolError when it cannot be reached."""
    path = socket_path(settings.spool.path)
    if not _listens(path):
        raise Refused(f"no daemon answers at {path}; start it: audit-forwarder run", ExitCode.UNREACHABLE)
    return _Remote(path)


async def _opened(settings: Settings) -> SqliteSpool:
    from forwarder.spool.sqlite.store import SqliteSpool  # noqa: PLC0415 -- a running daemon answers without it

    spool = SqliteSpool(settings.spool, SystemClock())
    await spool.open(create=False)
    return spool


def origins_of(settings: Settings) -> Mapping[str, Origin]:
    """Return where the configured sources' events come from; nothing is asked."""
    return {name: source.origin for name, source in sources_of(settings).items()}


def sources_of(settings: Settings) -> Mapping[str, Source]:
    """Return the configured sources; nothing is asked."""
    from forwarder.net.retry import RequestBudget  # noqa: PLC0415
    from forwarder.registry import SOURCES  # noqa: PLC0415 -- few commands need a source

    clock = SystemClock()
    return {
        name: SOURCES.load(config.type)(config, SourceContext(name, clock, RequestBudget(clock)))
        for name, config in settings.readers.items()
    }


def _delays(settings: Settings) -> dict[str, tuple[float, ...]]:
    from forwarder.registry import SOURCES  # noqa: PLC0415 -- few commands need a source

    return {name: read_again_after(SOURCES.load(each.type), each) for name, each in settings.readers.items()}


async def _proofs(sinks: Mapping[str, SinkConfig]) -> dict[str, str]:
    """Return what an acceptance of each sink is worth; nothing is asked, and one that cannot be built is left out."""
    from forwarder.assembly import build_sink, close_all  # noqa: PLC0415 -- few commands need a sink

    proofs: dict[str, str] = {}
    for name, config in sinks.items():
        with contextlib.suppress(ForwarderError):
            sink = build_sink(name, config)
            proofs[name] = sink.proof
            await close_all([sink])
    return proofs


class _Remote:
    """A daemon, asked over its socket: one connection a question."""

    running = True

    def __init__(self, path: Path) -> None:
        self._path = path

    async def ask(self, verb: str, argument: Any, gives: type[T]) -> T:
        """Ask and wait; nothing else happens in a command meanwhile."""
        request = Request(verb, msgspec.Raw(msgspec.json.encode(argument)), os.environ.get("SUDO_USER", ""))
        try:
            with connected(self._path, PATIENCE) as connection:
                connection.sendall(msgspec.json.encode(request) + b"\n")
                if not select.select([connection], [], [], min(QUIET, PATIENCE))[0]:
                    print(f"waiting for the daemon, {PATIENCE:g} s at most", file=sys.stderr)  # noqa: T201
                with connection.makefile("rb") as answers:
                    line = answers.read()
        except TimeoutError:
            raise Refused(
                f"the daemon runs and did not answer within {PATIENCE:g} s; it may be stopped (SIGSTOP) or overloaded",
                ExitCode.UNREACHABLE,
            ) from None
        except OSError as error:
            raise Refused(
                f"the daemon broke off: {error.strerror or type(error).__name__}", ExitCode.UNREACHABLE
            ) from None
        if not line.endswith(b"\n"):
            raise Refused("the daemon broke off its answer; it may be stopping", ExitCode.UNREACHABLE)
        try:
            answer = msgspec.json.decode(line, type=Answer)
            if not answer.error:
                return msgspec.json.decode(answer.result, type=gives)
        except UNREADABLE:
            answer = Answer(error="the daemon's answer is not understood; use the command of its version", code=1)
        raise Refused(answer.error, answer.code)


class _Local:
    """The spool itself, under its lock."""

    running = False

    def __init__(self, verbs: Mapping[str, Verb]) -> None:
        self._verbs = verbs

    async def ask(self, verb: str, argument: Any, gives: type[T]) -> T:
        """Do it."""
        del gives
        result: T = await self._verbs[verb].run(argument, who(os.geteuid(), os.environ.get("SUDO_USER", "")))
        return result


def _listens(path: Path) -> bool:
    try:
        with connected(path, PATIENCE):
            return True
    except (FileNotFoundError, ConnectionRefusedError):
        return False  # no daemon, or one that was killed
    except OSError as error:
        raise SpoolError(
            f"The control socket {path} cannot be used ({error.strerror}). Run this as the user of the daemon."
        ) from error
