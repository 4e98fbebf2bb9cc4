"""The one writer of events of our own into the spool: heartbeats and test events.

Whoever opens a source of the spool fences off who had it before, so both go through here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from forwarder.contracts.heartbeat import HEARTBEATS
from forwarder.spool.contract import PageCommit

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from forwarder.contracts import Page
    from forwarder.spool.contract import Committed, CursorMove, CursorRow, Spool


class OwnEvents:
    """Writes them.

    Args:
        spool: Where they go.
        identities: Returns those of all configured sources.
        announce: Called when a test event was written.
    """

    def __init__(
        self, spool: Spool, identities: Callable[[], Collection[str]], announce: Callable[[], None] = lambda: None
    ) -> None:
        self._spool = spool
        self._identities = identities
        self._announce = announce
        self._at: tuple[int, int] | None = None  # number and epoch
        self._one = asyncio.Lock()

    async def open(self) -> Mapping[str, CursorRow]:
        """Take the place in the spool and return the cursors there. Raises what the spool raises."""
        async with self._one:
            return await self._open()

    async def _open(self) -> Mapping[str, CursorRow]:
        configured = [*self._identities(), HEARTBEATS.identity]
        state = await self._spool.open_source(HEARTBEATS, configured=configured)
        self._at = (state.number, state.epoch)
        return state.cursors

    async def write(self, page: Page, sink: str, *, reader: str, moves: Sequence[CursorMove] = ()) -> Committed:
        """Write a page for one sink. Raises what the spool raises."""
        async with self._one:
            if self._at is None:
                await self._open()
            assert self._at is not None  # noqa: S101 -- opened just now
            number, epoch = self._at
            return await self._spool.commit(PageCommit(number, epoch, moves, page=page, audience=sink, reader=reader))

    async def write_trial(self, page: Page, sink: str) -> Committed:
        """Write a test event and let it be sent at once."""
        done = await self.write(page, sink, reader="test_event")
        self._announce()
        return done
