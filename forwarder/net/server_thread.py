"""Runs a server in a thread of its own: it answers while the daemon's loop works on an event, and cannot hold it up.

::

    thread: listener ─► routes ──ask──► daemon's loop

Invariant: of the daemon only `ask` is called, and in the daemon's own loop; what goes there and back never changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar

from forwarder.contracts.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

P = ParamSpec("P")
T = TypeVar("T")

log = get_logger(__name__)


class Serves(Protocol):
    """What runs in the thread."""

    @property
    def port(self) -> int:
        """The port that is listened on."""
        ...

    async def start(self) -> None:
        """Listen and serve. Raises ConfigError."""
        ...

    async def close(self) -> None:
        """Stop."""
        ...


class ServerThread(Generic[P, T]):
    """One server in one thread; everything here is called from the daemon's loop.

    Args:
        make: Makes the server, given what to call to ask the daemon.
        ask: Answers it, in the loop that calls `start`.
        name: Of the thread.
    """

    def __init__(
        self,
        make: Callable[[Callable[P, Awaitable[T]]], Serves],
        ask: Callable[P, Coroutine[Any, Any, T]],
        *,
        name: str = "admin",
    ) -> None:
        self._call = ask
        self._name = name
        self._server = make(self._ask)
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; after `start` never 0."""
        return self._server.port

    async def start(self) -> None:
        """Listen and serve. Raises ConfigError when the address cannot be had."""
        self._home = asyncio.get_running_loop()
        self._started: asyncio.Future[None] = self._home.create_future()
        self._ended: asyncio.Future[None] = self._home.create_future()
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()
        await asyncio.shield(self._started)

    async def close(self) -> None:
        """Stop the server and the thread. Safe to call twice."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        await asyncio.wait({self._started, self._ended}, return_when=asyncio.FIRST_COMPLETED)
        if not self._ended.done():
            with contextlib.suppress(RuntimeError):  # it never came up, and its loop is closed already
                self._loop.call_soon_threadsafe(self._closing.set)
            await self._ended  # the daemon's loop turns meanwhile: a report may be asked of it
        await asyncio.to_thread(thread.join)

    # -------------------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 -- raised where `start` waits
            self._tell(self._started, error)
        finally:
            self._tell(self._ended)

    async def _serve(self) -> None:
        self._closing, self._loop = asyncio.Event(), asyncio.get_running_loop()
        await self._server.start()
        self._tell(self._started)
        await self._closing.wait()
        try:
            await self._server.close()
        except Exception:
            log.exception("server_close_failed", server=self._name)

    def _tell(self, future: asyncio.Future[None], error: BaseException | None = None) -> None:
        with contextlib.suppress(RuntimeError):  # the daemon's loop was closed meanwhile, and no one waits
            self._home.call_soon_threadsafe(_settle, future, error)

    async def _ask(self, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._call(*args, **kwargs), self._home))


def _settle(future: asyncio.Future[None], error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
