"""Which gaps begin and end with what a source goes through: outages, what its log drops, what is read again. Pure.

A cursor outlives an outage, so nothing is lost by one as such. But while it lasts nobody can say that all of a stretch
of time has arrived; so one that is longer than an hour is a gap, until everything that the log shows was read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forwarder.spool.gap import LOST_PAGES, Gap, GapCause, GapChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

OUTAGE_MS = 3_600_000
"""How long a source may go without a good answer before that is a gap: as long as a window that is read again."""

SOON_MS = 7 * 86_400_000
"""How long before the log drops what was not read yet that is a gap."""

_CAUSES: dict[str, GapCause] = {"auth": "key_outage", "forbidden": "key_outage", "rate_limited": "rate_limited"}
"""Kinds of errors that make an outage ours to explain, the more telling first."""

_ENDED_BY_TAIL: tuple[GapCause, ...] = ("key_outage", "rate_limited", "retention", "restored")
_HEALED: tuple[GapCause, ...] = ("cursor_lost", *LOST_PAGES)
_DAY_MS = 86_400_000


class SourceSeen(msgspec.Struct, frozen=True):
    """What is known of a source at one moment. Times are epoch milliseconds.

    Attributes:
        number: In the spool.
        good_ms: Its last good answer, or the start of the program.
        tip_ms: When everything it shows had last been read; 0 for never.
        began_ms: When it was first looked at by this process.
        kinds: Kinds of the errors since the last good answer.
        high_ms: How far its tail has come; None while it has none.
        heals: A heal is at work.
        retention_ms: How long its log keeps events; None when that is not known.
    """

    number: int
    good_ms: int
    tip_ms: int = 0
    began_ms: int = 0
    kinds: frozenset[str] = frozenset()
    high_ms: int | None = None
    heals: bool = False
    retention_ms: int | None = None

    @property
    def kept_days(self) -> int:
        """How many days its log keeps events."""
        return (self.retention_ms or 0) // _DAY_MS


def doubts(sources: Iterable[SourceSeen], gaps: Sequence[Gap], now_ms: int) -> tuple[list[Gap], list[GapChange]]:
    """Return the gaps that begin now, and what becomes of those that are on record."""
    opened: list[Gap] = []
    changes: list[GapChange] = []
    for seen in sources:
        mine = [gap for gap in gaps if gap.source == seen.number and gap.is_open]
        opened += _begun(seen, {gap.cause for gap in mine}, now_ms)
        changes += _changed(seen, mine, now_ms)
    return opened, changes


def _begun(seen: SourceSeen, there: set[GapCause], now_ms: int) -> Iterator[Gap]:
    since = seen.good_ms if seen.high_ms is None else seen.high_ms
    cause = next((cause for kind, cause in _CAUSES.items() if kind in seen.kinds), None)
    hours = (now_ms - seen.good_ms) // 3_600_000
    if cause is not None and cause not in there and now_ms - seen.good_ms >= OUTAGE_MS:
        yield Gap(cause, _outage(cause, hours), seen.number, from_ms=since)
    if seen.retention_ms is None or seen.high_ms is None or "retention" in there:
        return
    if now_ms - (seen.tip_ms or seen.began_ms) >= OUTAGE_MS and seen.high_ms < now_ms - seen.retention_ms + SOON_MS:
        detail = f"the log keeps {seen.kept_days} days, and what it is about to drop is not read yet"
        yield Gap("retention", detail, seen.number, from_ms=since)


def _outage(cause: GapCause, hours: int) -> str:
    if cause == "rate_limited":
        return f"the rate limit let no request through for {hours} h"
    return f"the credential was refused for {hours} h"


def _changed(seen: SourceSeen, gaps: Iterable[Gap], now_ms: int) -> Iterator[GapChange]:
    oldest = None if seen.retention_ms is None else now_ms - seen.retention_ms
    for gap in gaps:
        end = gap.to_ms or gap.from_ms
        if gap.cause in _ENDED_BY_TAIL:
            if seen.tip_ms <= gap.opened_ms:
                continue
            if gap.cause == "retention" and oldest is not None and (gap.from_ms or 0) < oldest:
                why = f"the log keeps {seen.kept_days} days, and had dropped a part of this before it could be read"
                yield GapChange(gap.number, "lost", why=why)
            else:
                yield GapChange(gap.number, "closed", by="tail")
        elif oldest is not None and end is not None and end < oldest and gap.state == "open":
            yield GapChange(gap.number, "lost", why=f"the log keeps {seen.kept_days} days, and this is older")
        elif gap.cause in _HEALED and seen.heals and gap.state == "open" and gap.lane is None:
            yield GapChange(gap.number, "fetching")
