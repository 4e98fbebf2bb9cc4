"""Keeps the latest report, so that any number of readers cost one report a second and none waits long.

Invariant: at most one report is being made at a time; whoever waits longer than `patience` gets the last one.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

from forwarder.contracts import ForwarderError
from forwarder.contracts.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from forwarder.contracts import Clock
    from forwarder.observe.reports import DaemonReport

log = get_logger(__name__)


class Snapshots:
    """The latest report and, when there is none, why.

    Args:
        report: Makes one; may be asynchronous, may be slow, may fail.
        max_age: Seconds for which a report is good enough.
        patience: Longest wait for a new one, seconds; below the second that Kubernetes gives a probe by default.
    """

    def __init__(
        self,
        report: Callable[[], Awaitable[DaemonReport] | DaemonReport],
        clock: Clock,
        *,
        max_age: float = 1.0,
        patience: float = 0.8,
    ) -> None:
        self._report = report
        self._clock = clock
        self._max_age = max_age
        self._patience = patience
        self._made_at = float("-inf")
        self._making: asyncio.Task[None] | None = None
        self.latest: DaemonReport | None = None
        self.problem = "no report was made yet"

    async def fresh(self, patience: float | None = None, max_age: float | None = None) -> DaemonReport | None:
        """Return a report not older than `max_age` if one can be had in time, else the last one; None without any.

        Args:
            patience: Instead of the usual one, for whom the last report serves as well.
            max_age: Instead of the usual one, for whom it matters that something has just become other.
        """
        patience = self._patience if patience is None else patience
        if self._clock.monotonic() - self._made_at >= (self._max_age if max_age is None else max_age):
            if self._making is None or self._making.done():
                self._making = asyncio.create_task(self._make(), name="admin-report")
            done, _ = await asyncio.wait({self._making}, timeout=patience)
            if not done:
                self.problem = f"the report takes longer than {patience:g} s; the daemon is busy or its spool stuck"
        return self.latest

    async def close(self) -> None:
        """Give up the report that is being made."""
        if self._making is not None:
            self._making.cancel()
            await asyncio.wait({self._making})

    async def _make(self) -> None:
        try:
            made = self._report()
            self.latest = await made if inspect.isawaitable(made) else made
        except ForwarderError as error:  # says itself what is wrong
            if self._is_news(error):
                log.error("report_failed", reason=str(error))  # noqa: TRY400
        except Exception as error:
            if self._is_news(error):
                log.exception("report_failed")
        else:
            self._made_at = self._clock.monotonic()
            self.problem = ""

    def _is_news(self, error: Exception) -> bool:
        before, self.problem = self.problem, f"the report failed: {type(error).__name__}"
        return self.problem != before
