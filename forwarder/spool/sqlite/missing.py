"""Pages whose rows are gone although a lane still needs them: somebody else deleted them from the file.

Numbers have no holes, and a page leaves the spool only when every lane is past it (`Retention`) or after it was taken
from them (`Losses`), which forgets its ids. So numbers above a lane's position that no page holds, and whose ids are
remembered, were deleted by somebody else. What they were is found in the memory of ids: whose, how many, of which days.
"""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import TYPE_CHECKING

import msgspec

from forwarder.spool import days
from forwarder.spool.sqlite.ids import versions
from forwarder.spool.sqlite.pages import PageRow

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from forwarder.spool.sqlite.pages import Pages

_SELECT = "SELECT source, audience, written_ms, number, minute, entries FROM ids "


class _Minute(msgspec.Struct, frozen=True, gc=False):
    """A row of ids: of one page, the events of one minute."""

    source: int
    audience: str
    written_ms: int
    number: int
    minute: str
    events: int

    @property
    def page(self) -> tuple[int, str, int]:
        """What the rows of one page have in common."""
        return self.source, self.audience, self.written_ms


class PagesMissing(Exception):
    """A lane needs numbers that no page holds any more, and nothing that the spool did took them away."""


class MissingPages:
    """What the memory of ids knows of pages that are not there. Runs inside its caller's transaction."""

    def __init__(self, con: sqlite3.Connection, pages: Pages) -> None:
        self._con = con
        self._pages = pages

    def within(self, first: int, last: int, audience: str) -> Iterator[PageRow]:
        """Yield a row as each page for an audience had that held any of these numbers and is gone."""
        for begin, end in list(self._pages.holes(first, last)):
            for row in self._remembered(begin):
                if row.first > end:
                    break
                if row.audience in {"", audience}:
                    yield row

    def _remembered(self, first: int) -> Iterator[PageRow]:
        """Yield the pages that held a number that none holds now, and what follows, up to the next page there is."""
        last = self._pages.begin_after(first) - 1
        rows = [*self._before(first), *self._minutes("WHERE number > ? AND number <= ? ORDER BY number", first, last)]
        parts = [list(part) for _, part in groupby(rows, key=lambda row: row.page)]
        for part, following in pairwise([*parts, []]):
            begin = part[0].number
            minutes = [row.minute for row in part for _ in range(row.events)]
            end = min(begin + len(minutes), following[0].number if following else last + 1) - 1
            if end >= first:
                yield _row(part, end, days.of_minutes(minutes))

    def _before(self, number: int) -> list[_Minute]:
        """Return the rows of the page that a number was in, as far as they lie before it."""
        found: list[_Minute] = []
        lowest = self._pages.end_before(number)
        for row in self._minutes("WHERE number > ? AND number <= ? ORDER BY number DESC", lowest, number):
            if found and found[0].page != row.page:
                break
            found.insert(0, row)
        return found

    def _minutes(self, where: str, above: int, upto: int) -> Iterator[_Minute]:
        for source, audience, written_ms, number, minute, entries in self._con.execute(_SELECT + where, (above, upto)):
            yield _Minute(source, audience, written_ms, number, minute, sum(1 for _ in versions(entries)))


def _row(part: list[_Minute], end: int, runs: list[days.Run]) -> PageRow:
    begin, known = part[0].number, [row.minute for row in part if not row.minute.startswith("?")]
    source, audience, written_ms = part[0].page
    fitted = list(days.between(runs, 0, end - begin + 1))
    return PageRow(
        end, begin, source, audience, 0, written_ms, min(known, default=""), None, 0, "", days.written(fitted)
    )
