"""Shows the JSON of `/status` to people: tables and sentences, the same on a terminal and in a pipe.

It reads the JSON and not the report, so that a command can show a daemon it reaches over HTTP, of this version or a
near one: a missing key shows as `-`.

One number has one meaning: what was spooled and accepted, what waits and the dead letters are the spool's books, over
restarts; failures are those of the process, and the line below the tables says so.

Invariant: text from outside cannot reach the terminal as control characters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forwarder.cli.tables import paragraph, table
from forwarder.observe.runbooks import runbook_commands, runbooks_of
from forwarder.observe.status_problems import MOST_GAPS, problems
from forwarder.observe.status_reading import reading_lines
from forwarder.observe.status_sums import archive_lines, books_line, completeness_line, is_running, spool_lines
from forwarder.observe.status_values import (
    age,
    audit_books,
    cell,
    count_of,
    duration,
    is_number,
    moment_text,
    objects,
    spool_of,
    texts,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from forwarder.cli.tables import Screen
    from forwarder.observe.colours import Style

Row = tuple[str, ...]

_STYLES: dict[str, Style] = {
    "working": "green",
    "idle": "green",
    "starting": "cyan",
    "retrying": "yellow",
    "paused": "yellow",
    "held": "bold red",
    "stopped": "red",
}
_SOURCE_COLUMNS = ("source", "state", "last good poll", "newest event", "spooled", "failed", "next poll")
_SINK_COLUMNS = ("sink", "state", "waiting", "lag", "accepted", "dead letters", "failed", "proof")
_GAP_COLUMNS = ("gap", "cause", "state", "concerns", "from", "to", "opened")

_BOOKS_COLUMNS = ("source", "sink", "spooled", "accepted", "rejected", "filtered", "detached", "waiting", "balance")
_NUMBERS = {
    *("last good poll", "newest event", "spooled", "failed", "waiting", "lag", "accepted", "dead letters", "opened"),
    *("rejected", "filtered", "detached", "balance", "next poll"),
}
"""Columns that are aligned at their ends."""

_LATE = 5.0
"""Seconds that a poll may be late: an answer takes its time."""


def status_lines(report: Mapping[str, Any], screen: Screen) -> Iterator[str]:
    """Yield the lines that show a report."""
    yield from paragraph(_headline(report), screen, "bold" if _well(report) else "bold yellow")
    verdict = report.get("verdict")
    if isinstance(verdict, dict) and is_running(report):
        words = " ".join(cell(verdict.get(part)) for part in ("what", "lost") if verdict.get(part))
        yield from paragraph(words, screen, "green" if verdict.get("tone") == "well" else "yellow")
    for title, columns, rows in _tables(report):
        yield ""
        yield from paragraph(f"{title}:", screen, "bold")
        styles = _STYLES if "state" in columns else {}
        yield from table(rows, screen, head=columns, right=_NUMBERS, styles=styles, indent=2)
    yield ""
    for line in (*_legend(report), *_held_back(report), *reading_lines(report), *spool_lines(report)):
        yield from paragraph(line, screen)
    for line in problems(report):
        yield from paragraph(line, screen, "yellow")
    for command in runbook_commands(runbooks_of(report)):
        yield from paragraph(f"more about this: {command}", screen)
    yield from paragraph(books_line(report), screen, "green" if report.get("balanced", True) else "bold red")
    if line := completeness_line(report):
        yield from paragraph(line, screen, "bold red" if "INCOMPLETE" in line else "green")
    for line in archive_lines(report):
        yield from paragraph(line, screen, "bold red" if "NOT" in line else "green" if "as it was" in line else "")


def _held_back(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for every sink that does without late events, with how many they were since the start."""
    for sink in objects(report, "sinks"):
        if count := count_of(sink, "held_back"):
            yield f"sink {cell(sink.get('name'))}: of those filtered, {count} were held back because they came too late"


def _tables(report: Mapping[str, Any]) -> Iterable[tuple[str, Row, list[Row]]]:
    yield "sources", _SOURCE_COLUMNS, [_source_row(source, report) for source in objects(report, "sources")]
    yield "sinks", _SINK_COLUMNS, [_sink_row(sink, report) for sink in objects(report, "sinks")]
    gaps = [gap for gap in objects(spool_of(report), "gaps") if gap.get("state") != "closed"]
    if gaps:
        title = "gaps that are not closed" + (
            f", the newest {MOST_GAPS} of {len(gaps)}" if len(gaps) > MOST_GAPS else ""
        )
        yield title, _GAP_COLUMNS, [_gap_row(gap, report.get("time_zone", "UTC")) for gap in gaps[-MOST_GAPS:]]
    wrong = [line for line in objects(report, "books") if line.get("balance")]
    if wrong:
        yield "books that do not balance", _BOOKS_COLUMNS, [_row(line, _BOOKS_COLUMNS) for line in wrong]


def _source_row(source: Mapping[str, Any], report: Mapping[str, Any]) -> Row:
    rows = objects(spool_of(report), "sources")
    spooled = next((row.get("spooled") for row in rows if row.get("identity") == source.get("identity")), None)
    runs = is_running(report)
    answered = "last_received_age_seconds" if source.get("is_pushed") is True else "last_good_poll_age_seconds"
    return (
        cell(source.get("name")),
        cell(source.get("state")),
        age(source.get(answered), "never" if runs else "-"),
        age(source.get("newest_event_age_seconds"), "none yet" if runs else "-"),
        cell(spooled),
        _failed(source),
        _until_next(source.get("next_poll_in_seconds")),
    )


def _sink_row(sink: Mapping[str, Any], report: Mapping[str, Any]) -> Row:
    lines = [line for line in audit_books(report) if line.get("sink") == sink.get("name")]
    return (
        cell(sink.get("name")),
        cell(sink.get("state")),
        cell(sink.get("lag_events")),
        duration(sink.get("lag_seconds")),
        cell(sum(count_of(line, "accepted") for line in lines) if lines else None),
        cell(sink.get("dead_letters")),
        _failed(sink),
        cell(sink.get("proof")),
    )


def _until_next(seconds: Any) -> str:
    if not is_number(seconds):
        return "-"
    if -_LATE < seconds < 1:
        return "now"
    return f"in {duration(seconds)}" if seconds > 0 else f"{duration(-seconds)} late"


def _failed(component: Mapping[str, Any]) -> str:
    errors = component.get("errors")
    return cell(sum(count for count in errors.values() if is_number(count)) if isinstance(errors, dict) else None)


def _gap_row(gap: Mapping[str, Any], zone: Any) -> Row:
    concerns = " → ".join(cell(gap.get(side)) for side in ("source", "sink") if gap.get(side) is not None)
    first, last = (
        moment_text(gap[edge], zone) if gap.get(edge) else cell(gap.get(number))
        for edge, number in (("from", "first_seq"), ("to", "last_seq"))
    )
    opened = age(gap.get("opened_age_seconds"), "-")
    named = (cell(gap.get(name)) for name in ("number", "cause", "state"))
    return *named, concerns or "all", first, last, opened


def _row(line: Mapping[str, Any], columns: Sequence[str]) -> Row:
    return tuple(cell(line.get(column)) for column in columns)


def _headline(report: Mapping[str, Any]) -> str:
    degraded, reasons = texts(report, "degraded"), texts(report, "not_ready")
    if not is_running(report):
        written = age(report.get("spool_written_age_seconds"), "")
        last = f"; its spool was last written {written}" if written else ""
        return f"audit-forwarder is NOT RUNNING{last}. What follows is what the spool holds."
    if report.get("draining"):
        word = "draining"
    elif not report.get("ready", True):
        word = "not ready: " + ", ".join(reasons)
    elif degraded:
        word = "degraded: " + ", ".join(degraded)
    else:
        word = "well"
    started = duration(report.get("started_age_seconds"))
    text = f"audit-forwarder {cell(report.get('version'))}, process {cell(report.get('pid'))}, up {started}: {word}"
    return f"{text} ({cell(report['problem'])})" if report.get("problem") else text


def _well(report: Mapping[str, Any]) -> bool:
    return (
        is_running(report)
        and bool(report.get("ready", True))
        and not report.get("degraded")
        and not report.get("problem")
    )


def _legend(report: Mapping[str, Any]) -> list[str]:
    """Say since when the numbers in the tables count."""
    if not objects(report, "sources") and not objects(report, "sinks"):
        return []
    durable = "spooled, waiting, accepted, dead letters: by the spool, over restarts"
    if not is_running(report):
        return [durable]
    started = duration(report.get("started_age_seconds"))
    return [f"{durable}; failed: tries since this process started, {started} ago, whatever became of them later"]
