"""What is worth a look and is no fault: it shows in the status and once in the log, and nothing alarms because of it.

Each is made from one report, so the status, its JSON and the log say the same.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from forwarder.contracts.credentials import countdown, stage_of, what_to_do
from forwarder.spool.volume import LEAST_WEEKS, SETTLED_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.observe.reports import DaemonReport, SourceReport
    from forwarder.spool.contract import SourceStatus
    from forwarder.spool.volume import Volume

Kind = Literal["credential_ends", "credential_rolled_over", "user_activity_not_arriving", "quieter_than_ever"]

ENOUGH = 10
"""So many events tell whether any of them is of what people do."""


NO_USER_ACTIVITY = (
    "user activity is not arriving: needs Guard Premium or Cloud Enterprise, or is switched off in in-app data settings"
)
WHAT_USER_ACTIVITY_NEEDS = (
    "look at the plan, and at the in-app data settings, in Atlassian Administration; nothing, when only administration "
    "is to be recorded"
)
QUIET_FIX = "nothing, when few people work at this hour; else see that nothing was excluded or unlinked in Atlassian"


class Look(msgspec.Struct, frozen=True):
    """One thing that is worth a look.

    Attributes:
        kind: Of a closed set; the event of the log.
        source: Name of the source, or of the entry whose sites share it.
        what: A clause.
        fix: A clause in the imperative.
        stage: What makes it news: it is logged once for each.
    """

    kind: Kind
    source: str
    what: str
    fix: str
    stage: str = ""


def looks(report: DaemonReport) -> list[Look]:
    """Return everything that is worth a look at the moment of a report, each once for all sites of an entry."""
    found = [look for source in report.sources for look in _of_source(source, report)]
    return list(dict.fromkeys(found))


def _of_source(source: SourceReport, report: DaemonReport) -> Iterator[Look]:
    yield from _credentials(source, report.now)
    row = spooled_of(source, report)
    if row is not None and not row.user_activity and row.classified >= ENOUGH:
        yield Look("user_activity_not_arriving", source.name, NO_USER_ACTIVITY, WHAT_USER_ACTIVITY_NEEDS)
    volume = None if row is None else row.volume
    if volume is not None and is_quieter_than_ever(source, volume):
        what = (
            f"quieter than ever at this hour: {volume.events} events from {hour_in_words(volume.hour)}; in the same "
            f"hour of the last {volume.weeks} weeks there were {volume.least} at least, {volume.expected:g} as a rule"
        )
        yield Look("quieter_than_ever", source.name, what, QUIET_FIX, str(volume.hour))


def spooled_of(source: SourceReport, report: DaemonReport) -> SourceStatus | None:
    """Return what the spool knows of a source."""
    rows = report.spool.sources if report.spool is not None else ()
    return next((row for row in rows if row.identity == source.identity), None)


def is_quieter_than_ever(source: SourceReport, volume: Volume) -> bool | None:
    """Tell whether the last hour brought less than it ever did; None while that cannot be said.

    It cannot be said while too few weeks are known, or the hour may not have been read to its end.
    """
    if volume.weeks < LEAST_WEEKS or source.tip_reached < volume.over + SETTLED_MS / 2000:
        return None
    return volume.is_least


def hour_in_words(hour: int) -> str:
    """Return an hour as `2026-01-31 23:00 to 24:00 UTC`."""
    begin = datetime.fromtimestamp(hour * 3600, UTC)
    return f"{begin:%Y-%m-%d %H}:00 to {begin.hour + 1:02}:00 UTC"


def _credentials(source: SourceReport, now: float) -> Iterator[Look]:
    entry = source.name.partition("/")[0]
    last = source.credentials[-1].setting if source.credentials else ""
    for each in source.credentials:
        stage = stage_of(each.ends, now) if each.ends else None
        if stage is not None:
            fix = what_to_do(each.setting, last if last != each.setting else "")
            yield Look(
                "credential_ends", entry, countdown(each.setting, each.ends, now), fix, f"{each.setting} {stage}"
            )
    first, used = next(iter(source.credentials), None), source.credential
    if first is not None and used is not None and used is not first:
        what = f"{used.setting} is in use: {first.setting} was refused, cannot be read, or has ended"
        fix = f"make {used.setting} the {first.setting}, and write a new one as {used.setting} in time"
        yield Look("credential_rolled_over", source.name, what, fix, used.setting)


class News:
    """Finds out which looks are new, so that each is logged once."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str, str]] = set()

    def of(self, found: list[Look]) -> list[Look]:
        """Return those that were not there the last time."""
        now = {(look.kind, look.source, look.stage): look for look in found}
        fresh = [look for key, look in now.items() if key not in self._known]
        self._known = set(now)
        return fresh
