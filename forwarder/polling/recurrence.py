"""Whether a walk reads the same events again and again under ever new cursors.

A walk goes forward: it gives no event twice, whatever is known of its events already, so a heal or a re-read over known
ground does not look so. What is compared is one page that came earlier in the same walk; the page to compare with is
replaced after 1, 2, 4, 8 … pages, so that a circle of any length is seen once it has come round, and memory holds one
page (R. P. Brent, "An improved Monte Carlo factorization algorithm", 1980).
"""

from __future__ import annotations

from forwarder.contracts import CursorState, Page

SURE = 3
"""Hits from which on it is one; a page or two may come again for a moment, when a server restarts."""

MOST_STANDING = 100
"""Pages in a row without any new event, and none of them beyond what had been read, that are no progress either."""


class Recurrence:
    """Looks at the pages of one walk; a walk that began anew is another one.

    Attributes:
        hits: Pages that gave earlier ones again, since the walk was last seen to go forward.
    """

    def __init__(self) -> None:
        self._next: CursorState | None = None
        self._begin()

    def _begin(self) -> None:
        self.hits = self._hits_before = 0
        self._earlier: set[tuple[bytes, bytes]] = set()
        self._pages, self._replaced_at = 0, 1
        self._standing = 0

    def observe(self, asked: CursorState, page: Page, *, new: int, high: int) -> bool:
        """Take note of a page and tell whether it gives earlier events of this walk again.

        Args:
            asked: The state of the walk that was asked.
            page: The answer.
            new: How many of its events were not known before.
            high: How far the walk had come before, epoch milliseconds.
        """
        if asked != self._next:
            self._begin()
        self._next = page.next
        if not page.more:
            self.hits = self._standing = 0  # the tip
        if not page.bodies or page.next == asked or page.looping or page.since is not None:
            return False
        events = set(zip(page.keys, page.digests, strict=True))
        again = len(events & self._earlier)
        is_behind = page.newest is not None and page.newest <= high
        self._standing = self._standing + 1 if not new and is_behind else 0
        is_earlier = 2 * again >= len(events) and (again > 1 or len(events) == 1 == again)
        hit = not new and (is_earlier or self._standing >= MOST_STANDING)  # a page may begin with some of the last one
        self.hits += hit
        self._pages += 1
        if self._pages == self._replaced_at:
            if self.hits == self._hits_before:
                self.hits = 0  # a whole stretch as long as all before it, and nothing of it again
            self._earlier, self._replaced_at, self._hits_before = events, 2 * self._replaced_at, self.hits
        return hit
