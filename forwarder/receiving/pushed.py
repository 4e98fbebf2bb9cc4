"""The task of one source that is only pushed: opens it in the spool, and stores what comes.

What could not be stored is answered with an error, so its sender comes again; but senders give up. So the newest of it
is kept in memory, and stored as soon as that is possible: when the sender comes again, it is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress

from forwarder.contracts import AuthFailed, Clock, Held, Page, Receives, Retryable, Source
from forwarder.contracts.log import get_logger
from forwarder.observe.reports import SourceReport
from forwarder.receiving.inbox import count_pushed, trouble_of
from forwarder.receiving.kept import Kept
from forwarder.receiving.secrets import FIX, secrets_of
from forwarder.spool.contract import WEBHOOK, Committed, Fenced, PageCommit, Spool, SpoolError, SpoolLost

LOOK = 1.0
"""Seconds between two tries to open the source, or to store what was refused."""


class PushedStore:
    """Stores what is sent to one source.

    Args:
        source: The source.
        spool: Where everything becomes durable.
        clock: Wall time.
        report: What is shown of it.
        announce: Called when there is something new.
        configured: Identities of all configured sources.
        kept: What waits, also from a task before this one.
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
        kept: Kept,
    ) -> None:
        self._source = source
        self._spool = spool
        self._clock = clock
        self._report = report
        self._announce = announce
        self._configured = configured
        self._log = get_logger().bind(source=source.origin.source)
        self._at: tuple[int, int] | None = None  # number and epoch
        self._trouble: Held | Retryable | SpoolError | None = None  # why it is not open
        self._kept = kept
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Open the source, then store what was refused whenever that is possible, until `stop`."""
        await self._open()
        while not self._stopped.is_set():
            self._look_at_secrets()
            await self._store_kept()
            await self._rest()
        self._at = None
        if self._kept:
            self._log.warning("pushed_events_left", pages=len(self._kept), reason="their sender was told so")
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
        """Store a page; what cannot be stored is kept. Raises why it is not open, and what the spool raises."""
        try:
            return await self._commit(page)
        except SpoolLost:
            raise
        except (Held, Retryable, SpoolError):
            self._kept.add(page)
            raise

    async def _open(self) -> None:
        while not self._stopped.is_set():
            try:
                state = await self._spool.open_source(self._source.origin, configured=self._configured)
            except (SpoolLost, Fenced):
                raise
            except (Held, Retryable, SpoolError) as error:
                self._trouble = error
                self._say(error)
                await self._rest()
                continue
            if state.known_as:
                self._log.info("source_renamed", known_as=state.known_as)
            self._at = (state.number, state.epoch)
            if self._trouble is not None or self._report.state in {
                "starting",
                "stopped",
                "retrying",
            }:  # what came before is kept
                self._report.turn("idle", self._clock.time())
            self._trouble = None
            return

    def _say(self, error: Held | Retryable | SpoolError) -> None:
        state, reason, fix = trouble_of(error)
        self._report.errors[getattr(error, "kind", "other")] += 1
        if self._report.turn(state, self._clock.time(), reason, fix):
            self._log.warning("source_degraded", state=state, reason=reason, fix=fix)

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK):
                await self._stopped.wait()

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
        if self._trouble is not None:
            raise self._trouble.with_traceback(None)
        if self._at is None:
            raise Retryable("the source is not open", fix="Nothing; it is opened or closed now.")
        number, epoch = self._at
        return await self._spool.commit(PageCommit(number, epoch, page=page, reader=WEBHOOK))

    async def _store_kept(self) -> None:
        while (page := self._kept.first) is not None and not self._stopped.is_set():
            try:
                done = await self._commit(page)
            except (SpoolLost, Fenced):
                raise
            except (Held, Retryable, SpoolError):
                return  # its state was shown when it was refused
            self._kept.remove(page)
            count_pushed(self._report, page, done)
            if done.new:
                self._announce()
            if not self._kept and self._report.turn("idle", self._clock.time()):
                self._log.info("source_recovered")
