"""Events of one lane that are one change: how many share their id with one of another source, and which are left out.

An event is left out only where a setting names its source, and its twin of another source was made ready to be sent by
this lane in this run of the daemon: one for one, and for each site of the source. What came before its twin stays. Each
other source, and each of its sites, may have told of the same changes, so the one that told of most says how many there
are.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable

    from forwarder.contracts import Record

MOST = 2000
"""Records that are remembered: twins are minutes apart, and there are some changes a minute. Each takes up to 2 kB."""

MOST_IDS = 1000
"""Records of one change and source that are told apart."""

LINKED, LEFT_OUT = "linked", "left_out"
"""What is counted."""


class _Change(msgspec.Struct, gc=False):
    """Which records are about a change: ids of documents by source and site, and those left out by site."""

    ids: dict[str, set[str]]
    left_out: dict[str, set[str]]


class Links:
    """Follows the changes of one lane.

    Args:
        counts: `linked` events, and `left_out` ones.
        drop_from: Name of the source whose events are left out, `<source>/<site>` for one site; None leaves out none.
        most: Records to remember, of all changes; the changes longest untouched are forgotten first.
    """

    def __init__(self, counts: Counter[str], drop_from: str | None = None, most: int = MOST) -> None:
        self._counts = counts
        self._drop_from = drop_from
        self._most = most
        self._changes: OrderedDict[str, _Change] = OrderedDict()
        self._records = 0

    @property
    def drops(self) -> bool:
        """Whether any event may be left out."""
        return self._drop_from is not None

    def _may_leave_out(self, source: str) -> bool:
        return self._drop_from is not None and self._drop_from in {source, _entry(source)}

    def is_left_out(self, record: Record) -> bool:
        """Say whether a record is left out, and count it."""
        related = record.event.related if record.event is not None else None
        if related is None or not self._may_leave_out(record.origin.source):
            return False
        change = self._changes.get(related)
        if change is None:
            return False
        mine = _entry(record.origin.source)
        twins = max((len(ids) for source, ids in change.ids.items() if _entry(source) != mine), default=0)
        known = change.left_out.setdefault(record.origin.scope, set())
        if record.id in known:
            return True
        if len(known) >= twins:
            return False
        known.add(record.id)
        self._counts[LEFT_OUT] += 1
        return True

    def add(self, records: Iterable[tuple[str, Record]]) -> None:
        """Take the changes of which records are about to be sent, and count those that another source reports, too."""
        for related, record in records:
            change = self._changes.get(related)
            if change is None:
                change = self._changes[related] = _Change({}, {})
            else:
                self._changes.move_to_end(related)
            source = record.origin.source
            mine = change.ids.setdefault(source, set())
            if record.id not in mine and len(mine) < MOST_IDS:
                mine.add(record.id)
                self._records += 1
                self._counts[LINKED] += any(_entry(other) != _entry(source) for other in change.ids)
        while self._records > self._most and len(self._changes) > 1:
            _, change = self._changes.popitem(last=False)
            self._records -= sum(map(len, change.ids.values()))


def _entry(source: str) -> str:
    """Return the source that one of several sites belongs to."""
    return source.partition("/")[0]
