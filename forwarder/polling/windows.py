"""What to ask next of a log that is read in windows: stretches between two moments, each read as a whole. Pure.

For logs that answer newest first, page by offset, cap their pages, or give no ids. Nothing is believed of their order,
totals or paging: a window that does not fit a page is halved; one that cannot be halved is paged until two passes in a
row agree. A window is done when all of it was read, never before, so a restart reads it anew.

State of a walk, JSON, epoch milliseconds: `at` (everything before it is done), `scan` (where the pass under way has
come to), `until` (its end, or None: the present), `width` (of the next window), `cap` (events of a page that was full,
0 while none was), `kept` (what the source keeps from window to window). A pass of the tail ends at the present; then
`at` follows the newest event that was *seen*, a trailing stretch behind: a clock that is ahead cannot lead past
anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from forwarder.contracts import Page
from forwarder.contracts.identity import EventKeys

State = dict[str, Any]
What = Literal["on", "halve", "again", "whole", "endless"]

FIRST_WIDTH = 3_600_000
NARROWEST = 1
"""A window from one millisecond to the next: the end is included, and times may be finer than they are written."""

WIDEST = 400 * 86_400_000

LEAST_CUT = 10
"""Events of a page below which no server cuts its pages."""

MOST_PAGES = 1000
"""Pages of one pass over a window that cannot be halved."""

MOST_PASSES = 12
"""Passes over such a window without two in a row that agree."""


class Window(msgspec.Struct, frozen=True):
    """A stretch of time, both ends included; `last` when the pass ends with it, `step` is the narrowest there is."""

    since: int
    until: int
    last: bool
    step: int = NARROWEST

    @property
    def can_be_halved(self) -> bool:
        """Whether it spans more than one step of time."""
        return self.until - self.since > self.step


def begin(since_ms: int, until_ms: int | None = None) -> State:
    """Return the state of a walk."""
    return {"at": since_ms, "scan": since_ms, "until": until_ms, "width": FIRST_WIDTH, "cap": 0}


def next_window(state: State, now_ms: int, step: int = NARROWEST) -> Window:
    """Return what to read now; `step` is the narrowest stretch that the source tells apart, milliseconds."""
    end = max(state["at"], now_ms) if state["until"] is None else state["until"]
    since = state["scan"] if state["scan"] <= end else state["at"]  # the clock went back
    until = min(since + max(state["width"], step), max(end, since + NARROWEST))
    return Window(since, until, last=until >= end, step=step)


def halved(state: State, window: Window, cap: int = 0) -> State:
    """Return the state after a window that was too much; `cap` is how many events a page of it held."""
    return {**state, "width": max((window.until - window.since) // 2, window.step), "cap": cap or state["cap"]}


def read(state: State, window: Window, events: int, reached_ms: int | None, trailing_ms: int) -> State:
    """Return the state after a window that was read as a whole.

    Args:
        state: Before it.
        window: What was read.
        events: How many it held.
        reached_ms: The newest event that was seen so far and is not of the future, None without one.
        trailing_ms: Stretch behind it that is read again.
    """
    width = state["width"]
    if not state["cap"] or 3 * events <= state["cap"]:
        width = min(2 * width, WIDEST)
    if not window.last:
        return {**state, "scan": window.until, "width": width}
    if state["until"] is not None:
        return {**state, "at": window.until, "scan": window.until, "width": width}
    at = state["at"] if reached_ms is None else max(state["at"], reached_ms - trailing_ms)
    return {**state, "at": at, "scan": at, "width": width}


class Reading:
    """The pages of one window, until it is whole or proves too much.

    Attributes:
        is_whole: All of it was read.
        shifted: What came while it was read moved the offset, so its pages tell nothing of their size.
        kept: What the source keeps for the windows that follow.
    """

    def __init__(self, window: Window) -> None:
        self.is_whole = False
        self.shifted = False
        self.kept: Any = None
        self._window = window
        self._pass: list[Page] = []
        self._before: list[bytes] | None = None
        self._seen: set[bytes] = set()
        self._passes = 0
        self._newest: int | None = None
        self._own = 0

    def take(self, page: Page) -> What:
        """Take the next page and say what follows.

        Returns:
            `on`: ask `page.next`. `halve`: read a narrower window. `again`: read this one from its start. `whole`: all
            of it was read. `endless`: it does not end, or is never twice the same, and cannot be halved.
        """
        if page.newest is not None:  # also of a page of which nothing counts
            self._newest = max(page.newest, self._newest or page.newest)
        self._own += page.own
        what = self._take(page)
        self.kept = page.next.get("kept")
        self.is_whole = what == "whole"
        return what

    def _take(self, page: Page) -> What:
        if not page.bodies:
            return self._end()
        if self._repeats(page):
            if not page.more:
                return self._end()  # the offset is not heeded, and all fits a page
            return "halve" if self._window.can_be_halved else "endless"
        is_too_much = bool(page.more or self._pass)
        self.shifted = bool(self._pass) and not page.more and self._has_shifted(page, self._pass[-1])
        self._pass.append(page)
        if is_too_much and self._window.can_be_halved:
            return "halve"
        return "on" if len(self._pass) < MOST_PAGES else "endless"

    def _repeats(self, page: Page) -> bool:
        """Tell whether a page is the one before it again, and not merely as like it as events without an id can be."""
        if not self._pass or list(page.digests) != list(self._pass[-1].digests):
            return False
        return len(set(page.digests)) > 1 or not page.derived or (not page.more and len(page.bodies) < LEAST_CUT)

    @staticmethod
    def _has_shifted(page: Page, before: Page) -> bool:
        """Tell whether a page is there because of events that arrived behind the one before it, which was not full."""
        return len(before.bodies) < LEAST_CUT or not set(page.digests).isdisjoint(before.digests)

    def _end(self) -> What:
        if len(self._pass) < 2 and self._before is None:
            return "whole"  # one answer is of one moment
        events = [digest for page in self._pass for digest in page.digests]
        keys = {key for page in self._pass for key in page.keys}
        if events == self._before and keys >= self._seen:  # what one pass held is no more gone for two that lack it
            return "whole"
        self._seen |= keys
        self._before, self._pass = events, []
        self._passes += 1
        return "endless" if self._passes >= MOST_PASSES else "again"

    @property
    def events(self) -> int:
        """How many events were taken."""
        return sum(len(page.bodies) for page in self._pass)

    @property
    def newest(self) -> int | None:
        """Time of the newest that was seen, epoch milliseconds."""
        return self._newest

    def page(self, keys: EventKeys, **onward: Any) -> Page:
        """Return the window as one page, its events without an id numbered by how often each came in it.

        Args:
            keys: Of the feed.
            onward: `next`, `more`, `done` and `since` of the page.
        """
        pages = self._pass
        bodies = [body for page in pages for body in page.bodies]
        named = [key for page in pages for key in page.keys]
        derived = frozenset(_positions(pages))
        counts: Counter[bytes] = Counter()
        for position in sorted(derived):
            named[position] = keys.derived(bodies[position], counts[bodies[position]])
            counts[bodies[position]] += 1
        return Page(
            bodies=bodies,
            keys=named,
            digests=[digest for page in pages for digest in page.digests],
            minutes=[minute for page in pages for minute in page.minutes],
            derived=derived,
            newest=self.newest,
            late=sum(page.late for page in pages),
            own=self._own,
            **onward,
        )


def _positions(pages: Sequence[Page]) -> Iterator[int]:
    before = 0
    for page in pages:
        yield from (before + position for position in page.derived)
        before += len(page.bodies)
