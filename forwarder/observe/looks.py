"""What is worth a look and is no fault: it shows in the status and once in the log, and nothing alarms because of it.

Each is made from one report, so the status, its JSON and the log say the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from forwarder.contracts.credentials import countdown, stage_of, what_to_do

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.observe.reports import DaemonReport, SourceReport

Kind = Literal["credential_ends", "credential_rolled_over"]


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
