"""The task of one source that is only pushed: opens it in the spool, and stores what comes.

What could not be stored is answered with an error, so its sender comes again; but senders give up. So the newest of it
is kept in memory, and stored as soon as there is room: when the sender comes again, it is known.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress

import structlog

from forwarder.contracts import AuthFailed, Clock, Held, Page, Receives, Retryable, Source
from forwarder.observe.reports import SourceReport
from forwarder.receiving.inbox import count_pushed
from forwarder.receiving.secrets import FIX, secrets_of
from forwarder.spool.contract import Committed, PageCommit, Spool

LOOK = 1.0
"""Seconds between two tries to store what was refused."""

MOST_KEPT = 8 * 2**20
"""Bytes of what was refused that are kept."""


class PushedStore:
    """Stores what is sent to one source.

    Args:
        source: The source.
        spool: Where everything becomes durable.
        clock: Wall time.
        report: What is shown of it.
        announce: Called when there is something new.
        configured: Identities of all configured sources.
    """

    def __init__(
        self,
        source: Source,
        *,
        spool: Spool,
        clock: Clock,
        report: SourceReport,
        announce: Callable[[], None],
        configured: Collection[str],
    ) -> None:
        self._source = source
        self._spool = spool
        self._clock = clock
        self._report = report
        self._announce = announce
        self._configured = configured
        self._log = structlog.get_logger().bind(source=source.origin.source)
        self._at: tuple[int, int] | None = None  # number and epoch
        self._refused: deque[Page] = deque()
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Open the source, then store what was refused whenever that is possible, until `stop`."""
        state = await self._spool.open_source(self._source.origin, configured=self._configured)
        if state.known_as:
            self._log.info("source_renamed", known_as=state.known_as)
        self._at = (state.number, state.epoch)
        if self._report.state in {"starting", "stopped", "retrying"}:  # what came before it was open was refused
            self._report.turn("idle", self._clock.time())
        while not self._stopped.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._stopped.wait()
            self._look_at_secrets()
            await self._store_refused()
        self._at = None
        if self._refused:
            self._log.warning("pushed_events_left", pages=len(self._refused), reason="their sender was told so")
        self._report.turn("stopped", self._clock.time())

    def stop(self) -> None:
        """End."""
        self._stopped.set()

    def ring(self) -> None:
        """Do nothing: there is nothing to ask for."""

    async def drop(self, name: str, reason: str) -> bool:  # noqa: ARG002 -- there are no cursors
        """Return False: there is no cursor."""
        return False

    async def push(self, page: Page) -> Committed:
        """Store a page. Raises Retryable before the source is open, and what the spool raises."""
        try:
            return await self._commit(page)
        except Held:
            self._keep(page)
            raise

    def _look_at_secrets(self) -> None:
        """Say that nobody's secret could be compared before somebody sends, and that it can be again."""
        webhook = self._source.webhook if isinstance(self._source, Receives) else None
        if webhook is None or self._report.state not in {"idle", "held"}:
            return
        try:
            secrets_of(webhook, f"sources.{self._source.origin.source}.webhook")
        except AuthFailed as error:
            if self._report.turn("held", self._clock.time(), error.reason, FIX):
                self._log.warning("source_degraded", state="held", reason=error.reason, fix=FIX)
        else:
            if self._report.fix == FIX and self._report.turn("idle", self._clock.time()):
                self._log.info("source_recovered")

    async def _commit(self, page: Page) -> Committed:
        if self._at is None:
            raise Retryable("the source is not open", fix="Nothing; it is opened or closed now.")
        number, epoch = self._at
        return await self._spool.commit(PageCommit(number, epoch, page=page))

    def _keep(self, page: Page) -> None:
        if any(page.keys == kept.keys and page.digests == kept.digests for kept in self._refused):
            return
        self._refused.append(page)
        while sum(sum(map(len, kept.bodies)) for kept in self._refused) > MOST_KEPT:
            self._refused.popleft()

    async def _store_refused(self) -> None:
        while self._refused and not self._stopped.is_set():
            page = self._refused[0]
            try:
                done = await self._commit(page)
            except (Held, Retryable):
                return
            if self._refused and self._refused[0] is page:
                self._refused.popleft()
            count_pushed(self._report, page, done)
            if done.new:
                self._announce()
            if not self._refused and self._report.turn("idle", self._clock.time()):
                self._log.info("source_recovered")
