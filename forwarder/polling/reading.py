"""The ways to read a log: how one answer of a named cursor comes about. The poller does the rest alike for all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from forwarder.contracts import Clock, ErrorKind, Held, Page, Retryable, Source, SourceConfig
from forwarder.contracts.identity import EventKeys
from forwarder.polling import progress, windows
from forwarder.polling.asking import Asker
from forwarder.polling.handover import HandOver
from forwarder.polling.place_cursors import PlaceCursors
from forwarder.polling.tips import Tips
from forwarder.polling.trial import Trial
from forwarder.polling.window_cursors import WindowCursors
from forwarder.spool.contract import Spool

_SIZES: frozenset[ErrorKind] = frozenset({"too_large", "too_many_events"})
_SLOW: frozenset[ErrorKind] = frozenset({"timeout", "truncated", "not_json", "server_error"})
"""Failures that a narrower window may avoid."""

_NARROW_ENOUGH = 60_000
"""Milliseconds below which a window is not narrowed for being slow: an outage looks so as well."""


class ReadingPlan(Protocol):
    """Decides what to ask of a source for one of its named cursors."""

    @property
    def store(self) -> HandOver | WindowCursors | PlaceCursors:
        """The stored cursors."""
        ...

    async def read(self, name: str, row: progress.Progress) -> Page | None:
        """Ask for what a row leads to; None when the end came first. Raises Retryable, Held or CursorLost."""
        ...

    async def is_cursor_to_blame(self, name: str, row: progress.Progress) -> bool:
        """Find out whether failing requests are the cursor's fault."""
        ...


class Stream:
    """A log that is followed by cursors, oldest first."""

    def __init__(self, store: HandOver, asker: Asker) -> None:
        self.store = store
        self._asker = asker
        self._tips = Tips(store, asker.ask)
        self._trial = Trial(asker, self._tips, store)

    async def read(self, name: str, row: progress.Progress) -> Page | None:
        """Ask for the next page, and make sure of one that is empty."""
        return await self._tips.sure(name, row, await self._asker.fetch(row["walk"]))

    async def is_cursor_to_blame(self, name: str, row: progress.Progress) -> bool:
        """Ask with the cursor and without it, unless the walk has none yet."""
        return not self.store.untouched(name) and await self._trial.convicts(name, row)


class Windows:
    """A log that is read in windows, in whatever order it answers."""

    def __init__(self, source: Source, store: WindowCursors, asker: Asker) -> None:
        self.store = store
        self._source = source
        self._asker = asker
        self._keys = EventKeys(source.feed, source.origin.scope)

    async def read(self, name: str, row: progress.Progress) -> Page | None:
        """Read the next window as a whole.

        Raises:
            Retryable: It cannot be read now, or is tried next at half the width.
            Held: It cannot be halved any more.
        """
        is_turn = True  # the poller has waited for a place in the budget
        while True:
            state, window = self.store.next(name, row)
            try:
                reading = await self._window(name, window, state.get("kept"), is_turn=is_turn)
            except (Retryable, Held) as error:
                raise self._narrowed(name, row, state, window, error) from None
            if reading is None:
                return None
            if reading.is_whole:
                after = self.store.after(row, state, window, reading.events, reading.newest)
                if reading.kept is not None:
                    after = {**after, "kept": reading.kept}
                return reading.page(self._keys, next=after, more=not window.last, done=window.last, since=window.since)
            cap = 0 if reading.shifted else reading.events
            if not self.store.narrow(name, row, state, window, cap):
                raise Held(
                    "More events carry one time than a page holds, and paging through them does not come to an end.",
                    fix="Report it: the API, or a proxy before it, has changed.",
                    kind="no_cursor",
                )
            is_turn = False

    async def _window(
        self, name: str, window: windows.Window, kept: object, *, is_turn: bool
    ) -> windows.Reading | None:
        """Read one window until it is whole or proves too much; None when the end came first."""
        reading = windows.Reading(window)
        first = self._source.walk(window.since, window.until)
        state = first = first if kept is None else {**first, "kept": kept}
        while True:
            page = await (self._asker.fetch(state) if is_turn else self._asker.ask(name, state))
            if page is None:
                return None
            what, is_turn = reading.take(page), False
            if what in {"whole", "halve", "endless"}:
                return reading
            state = first if what == "again" else page.next

    def _narrowed(
        self, name: str, row: progress.Progress, state: windows.State, window: windows.Window, error: Retryable | Held
    ) -> Retryable | Held:
        """Return the error, after which half of the time is asked for where that may help."""
        is_size = error.kind in _SIZES
        if not is_size and (error.kind not in _SLOW or window.until - window.since <= _NARROW_ENOUGH):
            return error
        reason = error.reason if isinstance(error, Held) else str(error)
        if not self.store.narrow(name, row, state, window):
            return Held(f"{reason.rstrip('.')}, and no shorter time can be asked for.", fix=error.fix, kind=error.kind)
        if is_size:
            return Retryable(
                f"{reason.rstrip('.')}; half of that time is asked for next", kind=error.kind, smaller=True
            )
        return error

    async def is_cursor_to_blame(self, name: str, row: progress.Progress) -> bool:  # noqa: ARG002 -- by the protocol
        """Return False: there is none that outlives a window."""
        return False


class Places:
    """A log that is followed by places in it, which nothing but the log itself can move."""

    def __init__(self, store: PlaceCursors, asker: Asker) -> None:
        self.store = store
        self._asker = asker

    async def read(self, name: str, row: progress.Progress) -> Page | None:  # noqa: ARG002 -- by the protocol
        """Read on."""
        return await self._asker.fetch(row["walk"])

    async def is_cursor_to_blame(self, name: str, row: progress.Progress) -> bool:  # noqa: ARG002 -- by the protocol
        """Return False: a place is no word of another that may be forgotten."""
        return False


def plan_of(
    source: Source,
    config: SourceConfig,
    asker: Asker,
    *,
    spool: Spool,
    clock: Clock,
    refused: Callable[[Held], Awaitable[None]],
) -> ReadingPlan:
    """Return how to read a source, by what it says of itself."""
    if source.reads == "windows":
        return Windows(source, WindowCursors(source, config, spool=spool, clock=clock, refused=refused), asker)
    if source.reads == "places":
        return Places(PlaceCursors(source, config, spool=spool, clock=clock, refused=refused), asker)
    return Stream(HandOver(source, config, spool=spool, clock=clock, refused=refused), asker)
