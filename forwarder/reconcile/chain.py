"""Recomputes the chain of daily reports: what an auditor does with what was kept. Blocking; changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.reconcile.reports import files_of, sha256_of
from forwarder.reconcile.words import COUNTS, worst_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Checked(msgspec.Struct):
    """What a check of a folder found: how many reports there are, of which to which day, and what is wrong."""

    reports: int
    first: str
    last: str
    problems: list[str]


def check(folder: Path) -> Checked:
    """Check every report of a folder. Raises OSError when it cannot be read.

    Older reports may have been moved away: the first that is there is believed to follow the one it names.
    """
    files = files_of(folder)
    problems: list[str] = []
    before: tuple[int, str] | None = None
    for number, name, day in files:
        try:
            report = msgspec.json.decode((folder / name).read_bytes())
            problems += [f"{name}: {what}" for what in _problems(folder, name, day, number, report, before)]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            problems.append(f"{name}: is not a report any more")
        before = number, name
    days = [day for _, _, day in files]
    return Checked(len(files), min(days, default=""), max(days, default=""), problems)


def _problems(
    folder: Path, name: str, day: str, number: int, report: dict[str, Any], before: tuple[int, str] | None
) -> Iterator[str]:
    if (report["report"], report["day"]) != (number, day):
        yield f"calls itself report {report['report']} of {report['day']}"
    previous = report["previous"]
    if before is not None:
        if before[0] != number - 1:
            yield f"the reports {before[0] + 1} to {number - 1} before it are absent"
        elif previous is None or previous["file"] != before[1]:
            yield f"does not name {before[1]} as the one before"
        elif previous["sha256"] != sha256_of(folder / before[1]):
            yield f"{before[1]}, the one before, was changed since"
    elif previous is None and number != 1:
        yield "names no report before it, and is not the first"
    yield from _of_content(folder / name.replace(".json", ".txt"), report)


def _of_content(text: Path, report: dict[str, Any]) -> Iterator[str]:
    if not text.exists():
        yield "its text is absent"
    elif sha256_of(text) != report["text_sha256"]:
        yield "its text was changed since"
    lines = report["lines"]
    for count in COUNTS:
        if sum(line[count] for line in lines) != report["sums"][count]:
            yield f"{count}: the lines do not sum up to {report['sums'][count]}"
    for line in lines:
        parts = sum(line[count] for count in ("delivered", "rejected", "filtered", "waiting", "missing"))
        if parts != line["expected"]:
            yield f"{line['source']} to {line['sink']}: the parts of {line['expected']} make {parts}"
    if "judgement" in report and report["judgement"] != worst_of(line["judgement"] for line in lines):
        yield f"is judged {report['judgement']} against its own lines"
    if report["complete"] != (not report["gaps"] and all(line["judgement"] != "gap" for line in lines)):
        yield "is called complete against its own lines"
