"""Daily reports: what is kept as proof, as JSON and as text, each with the SHA-256 of the one before.

::

    report-000012-2026-11-14.json   the verdict on the day, `previous` {file, sha256}, `text_sha256`, `replaces`
    report-000012-2026-11-14.txt    the same for people, every number explained

A report is written once the first pass over its day is through, or long overdue, and never changed. When later passes
or looks change what it says, a new version is written, which names the old one. Blocking.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder import __version__
from forwarder.catalogue.state_files import write_whole
from forwarder.contracts.moments import beside, iso_ms
from forwarder.reconcile.words import COUNTS, JUDGEMENTS, MEANINGS, PROOFS, sums_in_words, verdict_as_dict, worst_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from forwarder.reconcile.verdict import GapLine, Line, Verdict

_NAME = re.compile(r"report-(\d{6,})-(\d{4}-\d\d-\d\d)\.json")
_SETTLE_MS = 2 * 3_600_000
"""After a day of which nothing is read again."""
_LATE_MS = 86_400_000
"""How much longer what waits on such a day is waited for."""
_BETWEEN_MS = 3_600_000
"""Least time between two versions of a report, unless a pass came to its end."""

MOST_AT_ONCE = 50
"""Reports that are written at once. Events of years come in one moment by a backfill or an import."""


class Written(msgspec.Struct):
    """What is known of the newest version of a day's report."""

    file: str
    version: int
    content: str = ""
    passes: list[list[str]] = []
    made_ms: int = 0


class ReportFolder:
    """The reports of one installation.

    Args:
        folder: Where they lie; made when the first is written.
        sources: Of which log each source is, by its name.
        zone: Time zone that the text shows beside UTC.
    """

    def __init__(self, folder: Path, sources: Mapping[str, str] = {}, zone: str = "UTC") -> None:
        self.folder = folder
        self._zone = zone
        self._sources = sources
        self._days: dict[str, Written] = {}
        self._last: tuple[int, str] | None = None
        self._same: dict[str, tuple[list[Line], list[GapLine]]] = {}  # what the newest report of a day says

    def update(self, verdict: Verdict, today: str, archive_heads: Mapping[str, str] = {}) -> list[str]:
        """Write what is due of a verdict over all days; return the names of the files. Raises OSError.

        Args:
            verdict: On all days.
            today: The day that is not over.
            archive_heads: The SHA-256 of the newest digest of each archive at this moment, by its sink.
        """
        self._read_folder()
        names: list[str] = []
        for day, found in _by_day(verdict, today):
            if len(names) == MOST_AT_ONCE:
                break  # the others with the next verdict: the end must not wait for years of days
            if self._same.get(day) == (found.lines, found.gaps) or not _is_due(found, day, verdict.made_ms):
                continue
            content = verdict_as_dict(found)
            del content["made_at"]
            digest = hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()
            before = self._days.get(day)
            passes = [line.passes for line in found.lines]
            if before is not None:
                is_soon = verdict.made_ms - before.made_ms < _BETWEEN_MS and passes == before.passes
                if digest == before.content:
                    self._same[day] = found.lines, found.gaps
                if digest == before.content or is_soon:
                    continue
            self._same.pop(day, None)
            known = Written("", 0, digest, passes, verdict.made_ms)
            names.append(self._write(day, found, content, known, archive_heads))
        return names

    def _read_folder(self) -> None:
        """Learn what is there, unless nothing changed since: the newest is still the one we wrote."""
        files = files_of(self.folder)
        newest = files[-1][:2] if files else (0, "")
        if self._last == newest:
            return
        self._days, self._same = {}, {}
        for _, name, day in files:
            before = self._days.get(day)
            self._days[day] = Written(name, before.version + 1 if before else 1)
        for known in self._days.values():
            _recall(known, _report(self.folder / known.file))
        self._last = newest

    def _write(
        self,
        day: str,
        verdict: Verdict,
        content: Mapping[str, Any],
        written: Written,
        archive_heads: Mapping[str, str],
    ) -> str:
        number, last = self._last or (0, "")
        before = self._days.get(day)
        name = f"report-{number + 1:06}-{day}.json"
        previous = {"file": last, "sha256": sha256_of(self.folder / last)} if last else None
        head = {
            "report": number + 1,
            "day": day,
            "version": before.version + 1 if before else 1,
            "made_at": iso_ms(verdict.made_ms),
            "previous": previous,
            "replaces": before.file if before else None,
            "made_by": f"audit-forwarder {__version__}",
            "judgement": worst_of(line.judgement for line in verdict.lines),
            "sources": {line.source: self._sources.get(line.source, "not configured") for line in verdict.lines},
            **({"archive_heads": archive_heads} if archive_heads else {}),
        }
        text = "\n".join([*_text(head, verdict, self._zone), ""]).encode()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(self.folder / name.replace(".json", ".txt"), text)
        body = {**head, "text_sha256": hashlib.sha256(text).hexdigest(), **content}
        write_whole(self.folder / name, msgspec.json.format(msgspec.json.encode(body), indent=2) + b"\n")
        self._days[day] = msgspec.structs.replace(written, file=name, version=head["version"])
        self._last = (number + 1, name)
        return name


def _by_day(verdict: Verdict, today: str) -> Iterator[tuple[str, Verdict]]:
    """Yield each day before today with what the verdict says of it, the oldest first."""
    lines: dict[str, list[Line]] = defaultdict(list)
    for line in verdict.lines:
        lines[line.day].append(line)
    gaps = {gap.number: gap for gap in verdict.gaps}
    for day in sorted(day for day in lines if day and day < today):
        numbers = sorted({number for line in lines[day] for number in line.gaps})
        yield day, msgspec.structs.replace(verdict, lines=lines[day], gaps=[gaps[number] for number in numbers])


def _is_due(verdict: Verdict, day: str, now_ms: int) -> bool:
    """Tell whether the first pass over a day is through, for all whose day is read again; else a while after it.

    There is a report in the end, whatever does not come: one source or sink must not hold up those of all others.
    """
    compared = [line for line in verdict.lines if line.is_compared]
    if compared:
        return all(line.passes or now_ms >= line.late_ms for line in compared)
    since_ms = now_ms - _end_ms(day) - _SETTLE_MS
    return since_ms >= (_LATE_MS if any(line.waiting for line in verdict.lines) else 0)


def _end_ms(day: str) -> int:
    return int((datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1)).timestamp() * 1000)


def _recall(known: Written, report: Mapping[str, Any]) -> None:
    content = {name: report[name] for name in ("complete", "sums", "lines", "gaps") if name in report}
    known.content = hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()
    lines = report.get("lines")
    lines = [line for line in lines if isinstance(line, dict)] if isinstance(lines, list) else []
    known.passes = [line.get("passes", []) for line in lines]


def _report(path: Path) -> dict[str, Any]:
    """Return a report; nothing when it is not one any more: then a new version is written."""
    try:
        found = msgspec.json.decode(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def files_of(folder: Path) -> list[tuple[int, str, str]]:
    """Return number, name and day of each report, in the order of their numbers."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    found = [match for name in names if (match := _NAME.fullmatch(name)) is not None]
    return sorted((int(match.group(1)), match.group(0), match.group(2)) for match in found)


def sha256_of(path: Path) -> str:
    """Return the digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _text(head: Mapping[str, Any], verdict: Verdict, zone: str) -> Iterator[str]:
    yield f"Completeness of {head['day']}: report {head['report']}, version {head['version']}"
    begin = datetime.fromisoformat(head["day"]).replace(tzinfo=UTC)
    yield f"The day is one of UTC, from 00:00{beside(begin, zone)} on, 24 hours."
    made = f"{head['made_at']}{beside(datetime.fromtimestamp(verdict.made_ms / 1000, UTC), zone)}"
    yield f"Made at {made} by {head['made_by']}. Counted in the books of the spool at that moment."
    for source, log in head["sources"].items():
        yield f"The source {source} is: {log}"
    if head["replaces"]:
        yield f"It replaces {head['replaces']}: later readings or looks changed what is known of the day."
    yield ""
    yield f"The day as a whole: {head['judgement']}, the worst of what follows"
    yield "For each source and sink: expected = delivered + rejected + filtered + waiting + missing"
    yield ""
    for line in verdict.lines:
        counts = ", ".join(f"{name} {getattr(line, name)}" for name in COUNTS)
        yield f"{line.source} to {line.sink}: {line.judgement}"
        yield f"  {counts}"
        passes = ", ".join(line.passes) or ("none yet" if line.is_compared else "none, and none will read it")
        yield f"  read again by pass: {passes}; {line.compared} events compared"
        yield f"  an acceptance of this sink means: {PROOFS.get(line.proof, line.proof)}"
    yield ""
    yield from sums_in_words(verdict, zone)
    yield ""
    yield "What the judgements say"
    said = {line.judgement for line in verdict.lines}
    for judgement, meaning in JUDGEMENTS.items():
        if judgement in said:
            yield f"  {judgement}: {meaning}"
    yield ""
    yield "What the numbers are"
    for name in COUNTS:
        yield f"  {name}: {MEANINGS[name]}"
    yield ""
    previous = head["previous"]
    for sink, newest in head.get("archive_heads", {}).items():
        yield f"The newest digest of the archive {sink} at that moment: SHA-256 {newest}"
    yield f"The report before: {previous['file']}, SHA-256 {previous['sha256']}" if previous else "No report before."
    yield "The JSON of this report holds the SHA-256 of this text. `audit-forwarder reconcile --check-reports`"
    yield "recomputes all of them; `sha256sum` does for one."
