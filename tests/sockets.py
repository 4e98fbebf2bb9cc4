"""Ports that stay ours, and servers of a few lines that are gone when their test is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from ssl import SSLContext

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextmanager
def held_port() -> Iterator[int]:
    """Keep a port on which no one listens, until someone of this test does.

    Bound and not listening, it refuses connections and is given to no one who asks for any port; with SO_REUSEADDR on
    both sides, which asyncio and the daemon set, a server of the test can take it by name.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def below(writer: asyncio.StreamWriter) -> asyncio.Transport:
    """Return the transport of the socket itself: one over TLS cannot be cut when it was closed twice (Python 3.11.2)."""
    return getattr(getattr(writer.transport, "_ssl_protocol", None), "_transport", writer.transport)


@asynccontextmanager
async def listening(serve: Serve, ssl: SSLContext | None = None) -> AsyncIterator[int]:
    """Serve every connection with a coroutine; give the port. At the end each is cut, whatever it is at.

    Server.wait_closed, and with it `async with server`, waits for open connections since Python 3.12: forever, where
    the double under test keeps one.
    """
    # Its writer is kept, too: one that is let go before it is closed warns, since Python 3.13.
    served: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, asyncio.Transport]] = {}

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def run() -> None:
            with suppress(OSError, asyncio.IncompleteReadError):  # the other side left
                await serve(reader, writer)

        task = asyncio.create_task(run())
        served[task] = writer, below(writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=ssl)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task, (_, transport) in served.items():
            task.cancel()
            transport.abort()
        for fault in await asyncio.gather(*served, return_exceptions=True):
            if isinstance(fault, Exception):  # of the double itself
                raise fault
