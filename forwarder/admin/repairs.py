"""Which command fetches what a gap lacks. Pure.

A sink that lacks what the spool has known gets it by a backfill for it alone. What all sinks lack is read again without
being asked for: by a heal, a later pass, or the tail.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from forwarder.contracts.moments import iso_ms
from forwarder.polling import backfill
from forwarder.polling.plan import TAIL
from forwarder.polling.progress import MOST_SKEW_MS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from forwarder.spool.contract import SourceStatus, SpoolStatus
    from forwarder.spool.gap import Gap

_SECOND = 1000


def repairs(gaps: Iterable[Gap], status: SpoolStatus, sinks: Collection[str], now_ms: int) -> dict[int, str]:
    """Return the command for each gap that one closes, by number of the gap.

    Args:
        gaps: On record.
        status: Of the spool that has them.
        sinks: Those that are configured.
        now_ms: The present.
    """
    sources = {source.number: source for source in status.sources}
    found: dict[int, str] = {}
    for gap in gaps:
        source = sources.get(gap.source or 0)
        if source is not None and gap.lane in sinks and (command := _command(gap, source, now_ms)):
            found[gap.number] = command
    return found


def _command(gap: Gap, source: SourceStatus, now_ms: int) -> str:
    tail = source.cursors.get(TAIL)
    if tail is None or "places" in tail.state or gap.from_ms is None or gap.to_ms is None:
        return ""  # it is only sent to us, or of files, of which no stretch of time can be read; or which is unknown
    since, until = gap.from_ms // _SECOND * _SECOND, -(-gap.to_ms // _SECOND) * _SECOND  # as the command says them
    if until > now_ms + MOST_SKEW_MS:
        return ""  # refused until then
    orders = [order for row in source.cursors.values() if (order := backfill.order_of(row.state)) is not None]
    if not backfill.closes(backfill.Order(since, until, gap.lane or "", asked_ms=now_ms), gap, orders):
        return ""
    where = f"--source {shlex.quote(source.name)} --sink {shlex.quote(gap.lane or '')}"
    return f"audit-forwarder backfill start {where} --from {iso_ms(since)} --to {iso_ms(until)}"
