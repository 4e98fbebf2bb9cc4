"""Runs uvicorn inside the daemon: on its loop, without its signals, and with patience of our own.

uvicorn installs handlers for SIGTERM and SIGINT and begins to stop at once, so probes would die while the daemon
drains; `capture_signals` is therefore empty. It also has no limit for a client that sends its request drop by drop or
never reads the answer; `PatientProtocol` has one. And asyncio's own way to accept takes as many connections at once as
may wait, and writes a line of the log for each it has no descriptor for; `_Server` takes a few at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from forwarder.contracts.errors import ConfigError
from forwarder.contracts.log import get_logger
from forwarder.net.addresses import bound
from forwarder.net.connections import OpenConnections

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp


log = get_logger(__name__)

ENDLESS = "audit_forwarder.endless"
"""Key of a request's scope: its answer has no end, and is good as long as the other side takes what it is sent."""

_LONGEST_HEAD = 16 * 1024
_BACKLOG = 1024  # a probe must not be turned away by those that connected in the same moment
_AT_ONCE = 16  # accepted before the loop turns again
_HANDSHAKE = 10.0  # seconds
_GOODBYE = 2.0  # seconds for the other side to end TLS in order
_PAUSE = 0.2  # seconds without accepting when there is no descriptor
_NO_DESCRIPTOR = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_UVICORN_GRACE = 10  # seconds, never reached: `close` cuts connections earlier, without uvicorn's tracebacks


def _listening(host: str, port: int, setting: str) -> socket.socket:
    """Return a socket that listens. Raises ConfigError that names the setting when the address cannot be had."""
    try:
        listener = bound(host, port)
    except (socket.gaierror, ValueError) as error:  # ValueError: a name that DNS cannot even be asked for
        raise ConfigError(f"{setting}: cannot resolve the host {host!r} ({error}); write an address") from error
    except OSError as error:
        raise _not_had(host, port, setting, error) from error
    try:
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _not_had(host, port, setting, error) from error
    listener.setblocking(False)  # noqa: FBT003 -- the standard library's signature
    return listener


def _not_had(host: str, port: int, setting: str, error: OSError) -> ConfigError:
    return ConfigError(
        f"{setting}: cannot listen on {host}:{port} ({error.strerror}); "
        "stop what holds the port, perhaps a forwarder that runs already (`audit-forwarder status`), or choose another "
        "one, such as 127.0.0.1:9465"
    )


def abort(transport: asyncio.Transport) -> None:
    """End a connection at once, also one that is closed already.

    asyncio forgets what is below TLS when such a connection is closed twice, and then `abort` fails (Python 3.11.2, as
    Debian 12 has it). It has `_GOODBYE` seconds left there to end by itself.
    """
    if not (transport.is_closing() and getattr(transport, "_ssl_protocol", transport) is None):
        transport.abort()


class PatientProtocol(H11Protocol):
    """Cuts a connection on which no answer was finished for `patience` seconds; idle ones end earlier.

    One whose answer has no end (`ENDLESS`) stays for as long as the other side takes what it is sent.
    """

    patience = 15.0
    open_connections: OpenConnections

    @property
    def peer(self) -> str:
        """Address of the other side."""
        return self.client[0] if self.client else ""

    @property
    def is_answered(self) -> bool:
        """Whether a complete request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def cut(self) -> None:
        """End the connection at once."""
        abort(self.transport)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Start the clock."""
        super().connection_made(transport)
        self.open_connections.enter(self)
        self._answers = self._answers_before = 0
        self._clock = self.loop.call_later(self.patience, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._clock.cancel()
        self.open_connections.leave(self)
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Count the answer."""
        self._answers += 1
        super().on_response_complete()

    def _look(self) -> None:
        if self._answers == self._answers_before and not self._is_taken():
            abort(self.transport)
            return
        self._answers_before = self._answers
        self._clock = self.loop.call_later(self.patience, self._look)

    def _is_taken(self) -> bool:
        """Tell whether an answer without end is under way, and the other side has taken all of it so far."""
        endless = self.is_answered and self.cycle.scope.get(ENDLESS) is True
        return endless and not self.transport.get_write_buffer_size()


class _Handshake:
    """A connection before its TLS handshake is done; it counts as one that waits for nothing."""

    is_answered = False

    def __init__(self, peer: str, task: asyncio.Task[None]) -> None:
        self.peer = peer
        self._task = task

    def cut(self) -> None:
        """End the handshake at once."""
        self._task.cancel()


def _host_of(peer: Any) -> str:
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""


class _Server(uvicorn.Server):
    """A server that leaves signals to the daemon, accepts by itself, and says when it has started."""

    def __init__(
        self,
        config: uvicorn.Config,
        listener: socket.socket,
        connections: OpenConnections,
        tls: Callable[[], ssl.SSLContext] | None,
    ) -> None:
        super().__init__(config)
        self._tls = tls
        self.ready = asyncio.Event()
        self._listener = listener
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._handshakes: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets=sockets)
        self._listen()
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing more, then end."""
        self._loop.remove_reader(self._listener)
        self._listener.close()
        await super().shutdown(sockets=sockets)

    def _listen(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        """Take a few of those that wait; the loop comes back for the others."""
        for _ in range(_AT_ONCE):
            try:
                connection, peer = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_DESCRIPTOR:
                    raise
                self._connections.make_room(f"the process has no descriptor left ({error.strerror})")
                self._loop.remove_reader(self._listener)
                self._loop.call_later(_PAUSE, self._listen)
                return
            connection.setblocking(False)  # noqa: FBT003 -- the standard library's signature
            task = self._loop.create_task(self._begin(connection))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)
            if self._tls is not None:
                handshake = _Handshake(_host_of(peer), task)
                self._connections.enter(handshake)
                task.add_done_callback(partial(self._handshake_ended, handshake, connection))

    def _handshake_ended(self, handshake: _Handshake, connection: socket.socket, task: asyncio.Task[None]) -> None:
        self._connections.leave(handshake)
        if task.cancelled():
            connection.close()  # it was cut before it had a transport, perhaps

    async def _begin(self, connection: socket.socket) -> None:
        def protocol() -> asyncio.Protocol:
            make: Any = self.config.http_protocol_class
            found: asyncio.Protocol = make(
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state, _loop=self._loop
            )
            return found

        try:
            if self._tls is None:
                await self._loop.connect_accepted_socket(protocol, connection)
            else:
                await self._loop.connect_accepted_socket(
                    protocol,
                    connection,
                    ssl=self._tls(),
                    ssl_handshake_timeout=_HANDSHAKE,
                    ssl_shutdown_timeout=_GOODBYE,
                )
        except OSError:  # it went away meanwhile, or does not speak TLS
            connection.close()

    def abort_connections(self) -> None:
        """Cut what is still open, without waiting for the other side."""
        for connection in list(self.server_state.connections):
            transport: Any = getattr(connection, "transport", None)
            if transport is not None:
                abort(transport)


class Listener:
    """One TCP port that serves one application until it is closed.

    Args:
        app: What answers.
        host: The address to listen on. port: 0 takes a free one.
        patience: Seconds within which an answer must have been finished.
        grace: Seconds that answers under way get at the end.
        setting: Names the address, such as `admin.listen`.
        wanted: Who is meant to connect.
        tls: Gives what makes a connection one of TLS; asked for each, so that a certificate can be renewed.
    """

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        *,
        patience: float = 15.0,
        grace: float = 1.0,
        setting: str = "admin.listen",
        wanted: str = "probes and scrapers",
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self._address = (host, port)
        self._grace = grace
        self._setting = setting
        self._name = setting.partition(".")[0]
        self._tls = tls
        self._connections = OpenConnections(time.monotonic, setting=setting, wanted=wanted)
        protocol = type("Protocol", (PatientProtocol,), {"patience": patience, "open_connections": self._connections})
        self._config = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            log_level="error",  # a line for each request that is not HTTP would let strangers fill the disk
            timeout_graceful_shutdown=_UVICORN_GRACE,
            h11_max_incomplete_event_size=_LONGEST_HEAD,
        )
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.port = port

    async def start(self) -> None:
        """Bind and serve. Raises ConfigError when the address cannot be had."""
        listener = _listening(*self._address, self._setting)
        self.port = listener.getsockname()[1]
        self._server = _Server(self._config, listener, self._connections, self._tls)
        self._task = asyncio.create_task(self._server.serve(sockets=[]), name=f"{self._name}-listener")
        ready = asyncio.create_task(self._server.ready.wait())
        try:
            await asyncio.wait({ready, self._task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if self._task.done():
            listener.close()
            await self._task
            raise ConfigError(
                f"{self._setting}: the server on {self._address[0]}:{self.port} ended as soon as it began"
            )
        self._task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Stop listening; answers under way get the grace time, then every connection is cut. Safe to call twice."""
        if self._server is None or self._task is None:
            return
        server, task, self._server, self._task = self._server, self._task, None, None
        server.should_exit = True
        try:
            await asyncio.wait({task}, timeout=self._grace)
        finally:
            server.abort_connections()
        await asyncio.wait({task}, timeout=_UVICORN_GRACE)
        if not task.done():
            task.cancel()
        elif not task.cancelled() and task.exception() is not None:
            log.error("server_close_failed", server=self._name, exc_info=task.exception())

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._task is task and not task.cancelled():
            log.error("server_ended", server=self._name, exc_info=task.exception())
