"""What was sent and could not be stored: the newest of it is kept in memory, since senders give up.

It outlives the task that stores it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forwarder.contracts import Page

MOST_KEPT = 8 * 2**20
"""Bytes that are kept; the newest page stays, however large it is."""

BESIDE = 512
"""Bytes that an event takes beside its own."""

_Mark = tuple[tuple[bytes, ...], tuple[bytes, ...]]


class Kept:
    """The pages of one source that wait for the spool, oldest first."""

    def __init__(self) -> None:
        self._pages: dict[_Mark, Page] = {}
        self._bytes = 0

    def __len__(self) -> int:
        """Return how many pages wait."""
        return len(self._pages)

    @property
    def first(self) -> Page | None:
        """The oldest."""
        return next(iter(self._pages.values()), None)

    def add(self, page: Page) -> None:
        """Keep a page, unless it is kept already; the oldest ones go when that is too much."""
        if self._pages.setdefault(_mark(page), page) is not page:
            return
        self._bytes += _size(page)
        while self._bytes > MOST_KEPT and len(self._pages) > 1:
            self.remove(next(iter(self._pages.values())))

    def remove(self, page: Page) -> None:
        """Let a page go, if it is still here."""
        if self._pages.get(_mark(page)) is page:
            del self._pages[_mark(page)]
            self._bytes -= _size(page)


def _mark(page: Page) -> _Mark:
    return tuple(page.keys), tuple(page.digests)


def _size(page: Page) -> int:
    return sum(map(len, page.bodies)) + BESIDE * max(1, len(page.bodies))
