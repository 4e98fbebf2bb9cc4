"""Asks one source, within the request budget, and takes whatever it raises for one of the errors of its contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any

from forwarder.contracts import Clock, CursorLost, CursorState, Held, Page, Retryable, Source
from forwarder.contracts.log import get_logger
from forwarder.net.fair import Line, Path
from forwarder.net.retry import RequestBudget
from forwarder.observe.reports import SourceReport
from forwarder.polling.shares import path_of, reader_of

LONG = 60.0
"""Seconds from which a wait that the API asks for is shown: a limit per minute is used up again and again."""

LOOK_AGAIN = 1.0
"""Seconds after which one that waits for another's turn looks again whose it is."""

_LONG_FIX = "Nothing is lost. If it stays so, see who else uses this API key."


class Asker:
    """The requests of one source; the poller has two of them under way at most.

    Args:
        source: Who is asked.
        budget: When that is allowed.
        clock: Time.
        report: Counts the requests, and shows a long wait.
    """

    def __init__(self, source: Source, budget: RequestBudget, clock: Clock, report: SourceReport) -> None:
        self._source = source
        self._budget = budget
        self._asks_a_server = source.reads != "places"
        self._line = budget.line if self._asks_a_server else Line()
        self._clock = clock
        self._report = report
        self._log = get_logger().bind(source=source.origin.source)
        self._stopped = asyncio.Event()
        self._alone: asyncio.Task[Any] | None = None
        self._free = asyncio.Condition()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Let no request of another walk begin meanwhile: a fault that goes by turns would meet other ones of ours."""
        async with self._free:
            await self._free.wait_for(lambda: self._alone is None)
            self._alone = asyncio.current_task()
        try:
            yield
        finally:
            async with self._free:
                self._alone = None
                self._free.notify_all()

    def stop(self) -> None:
        """End every wait: nothing more is asked."""
        self._stopped.set()

    async def pause(self, seconds: float) -> None:
        """Sleep out a back-off; only `stop` ends it early."""
        end = self._clock.monotonic() + seconds
        while not self._stopped.is_set() and (left := end - self._clock.monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._stopped.wait()
            except TimeoutError:
                continue

    async def turn(
        self,
        wants: Callable[[], Collection[str]],
        *,
        wake: asyncio.Event | None = None,
        tail_due: Callable[[], float] = lambda: LOOK_AGAIN,
    ) -> str | None:
        """Wait for a place in the budget; return the cursor whose it is, None when nothing is wanted or the end came.

        Args:
            wants: Returns the cursors that may be asked; it is called until a place comes, by whoever decides then. One
                that is held by its share is none of them: who slept that out here would let others wait for it.
            wake: Ends the wait of one that leaves a place for the tail; then None is returned, too.
            tail_due: Returns the seconds until the tail wants a place by time.
        """
        waited, is_shown = False, False
        with self._line.joined(lambda: self._claims(wants())):
            while not self._stopped.is_set() and (names := wants()):
                wait, more = self._wait(), self._budget.wait(2) if self._asks_a_server else 0.0
                path = self._line.first(last=more > 0) if wait <= 0 else None
                if path is not None and (name := self._mine(names, path)) is not None:
                    self._take(name, waited=waited)
                    return name
                if not is_shown and (blocked := self._budget.blocked()) > LONG:
                    self._say_so(blocked)
                    is_shown = True
                waited = True
                if wait > 0:
                    await self.pause(wait)
                elif path is not None:
                    await self._line.change(LOOK_AGAIN)
                elif await _rings(wake, min(more, tail_due())):
                    return None
        return None

    async def may_ask(self, name: str) -> bool:
        """Wait for a place in the budget for one cursor, whatever its share is; False when the end came first."""
        return await self.turn(lambda: (name,)) is not None

    def held(self, name: str) -> float:
        """Return the seconds for which a cursor has had what its share is at most; others may be asked meanwhile.

        A request that belongs to one before does not wait for that, since all other walks wait for its end; the next
        one that begins anew waits for both.
        """
        if not self._asks_a_server:
            return 0.0
        return self._line.order.wait(self._path(name), self._clock.monotonic())

    def first(self, names: Collection[str]) -> str:
        """Return which of several cursors (one at least) would be asked next."""
        paths = {self._path(name): name for name in names}
        return paths[self._line.order.first(paths)]

    @property
    def room(self) -> float:
        """Seconds until the tails that share the budget have had no more than their share of it."""
        return self._line.room(self._clock.monotonic()) if self._asks_a_server else 0.0

    @property
    def others(self) -> float:
        """Part of the API's limit that others use up in this period, 0 to 1."""
        seen = self._budget.seen.get(self._source.origin.source)
        return (seen.others_part or 0.0) if seen is not None else 0.0

    def share(self, name: str) -> float:
        """Return the part of the last places in the budget that a cursor had."""
        return self._line.share(self._path(name))

    def _path(self, name: str) -> Path:
        return path_of(self._source.origin.source, name)

    def _claims(self, names: Collection[str]) -> list[Path]:
        return [self._path(name) for name in names] if self._refusal() <= 0 else []

    def _wait(self) -> float:
        """Return the seconds until this source may be asked, if no other one wanted to."""
        return max(self._budget.wait(), self._refusal()) if self._asks_a_server else 0.0

    def _refusal(self) -> float:
        """Return the seconds for which others may be asked, and this source not."""
        seen = self._budget.seen.get(self._source.origin.source) if self._asks_a_server else None
        return 0.0 if seen is None else seen.blocked()

    def _mine(self, names: Collection[str], path: Path) -> str | None:
        """Return the cursor whose turn it is, None when another source has it."""
        return next((name for name in names if self._path(name) == path), None)

    def _take(self, name: str, *, waited: bool) -> None:
        if self._asks_a_server:
            self._budget.reserve(waited=waited)
        self._line.charge(self._path(name), self._clock.monotonic(), self._budget.interval)
        self._report.requests_by_reader[reader_of(name)] += 1

    def _say_so(self, seconds: float) -> None:
        """Show that the API itself keeps us from asking, and until when."""
        now = self._clock.time()
        reason = "the API takes no requests for a while: its answer says that the limit of requests is used up"
        if self._report.turn("retrying", now, reason, _LONG_FIX):
            self._log.warning("source_degraded", state="retrying", reason=reason, fix=_LONG_FIX, seconds=round(seconds))
        self._report.failed(now, seconds)

    async def ask(self, name: str, walk: CursorState) -> Page | None:
        """Ask in turn, for a cursor; None when the end came first. Raises what `fetch` raises."""
        return await self.fetch(walk) if await self.may_ask(name) else None

    async def fetch(self, walk: CursorState) -> Page:
        """Ask now. What the source raises beside the errors of its contract is a fault of it, and passes for one.

        Raises Retryable, Held or CursorLost.
        """
        if self._alone not in {None, asyncio.current_task()}:
            async with self._free:
                await self._free.wait_for(lambda: self._alone is None)
        self._report.requests += 1
        try:
            with self._budget.request():
                return await self._source.fetch(walk)
        except (Retryable, Held, CursorLost):
            raise
        except Exception as error:  # noqa: BLE001 -- the plugin boundary; it is logged, and becomes a state
            kind = type(error).__name__
            if kind not in self._report.reason:
                self._log.exception("source_failed")
            raise Retryable(f"the source failed with {kind}; the log holds where: please report it") from None


async def _rings(wake: asyncio.Event | None, within: float) -> bool:
    """Wait so many seconds; return True as soon as a bell rings."""
    try:
        async with asyncio.timeout(within):
            await (wake or asyncio.Event()).wait()
    except TimeoutError:
        return False
    return True
