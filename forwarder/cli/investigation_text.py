"""An answer on a terminal, and the same words in a pipe: limits above findings, findings above tables.

Every cell and line passes `visible`: what events wrote is text here and nothing else.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from forwarder.cli.tables import paragraph, table
from forwarder.contracts.text import visible
from forwarder.investigate.faces import heading
from forwarder.investigate.faces.grid import candidate_row, grid
from forwarder.investigate.moments import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.cli.tables import Screen
    from forwarder.investigate.result import Part, Result
    from forwarder.observe.colours import Style

BRIEF_ROWS = 12
"""Rows of a part that are shown unless all are asked for."""

_HIDDEN_WHEN_BRIEF = {"objects", "names", "titles", "days"}
_STYLES: dict[str, Style] = {"!!": "bold red", "!": "yellow", "": ""}


def answer_text(result: Result, screen: Screen, *, brief: bool) -> Iterator[str]:
    """Yield the lines of an answer."""
    clock = Clock(result.question.zone)
    if result.several:
        yield from _several(result, screen, clock)
        yield from _limits(result, screen)
        return
    yield from paragraph(visible(heading.subject_line(result.subject, result.question.who)), screen, "bold")
    if result.subject.id is None:
        yield from _limits(result, screen)
        yield ""
        yield from paragraph(visible(f"Nothing found: {result.searched}."), screen)
        return
    for line in (heading.found_by(result.subject), heading.window(result, clock), heading.counted(result)):
        yield from paragraph(visible(line), screen)
    for line in heading.evidence_lines(result):
        yield from paragraph(visible(f"evidence: {line}"), screen)
    yield from _limits(result, screen)
    if not result.totals.subject:
        yield ""
        yield from paragraph(visible(f"Nothing found: {result.searched}.{heading.seen(result.subject, clock)}"), screen)
        return
    yield from _findings(result, screen)
    for part in result.parts:
        if part.rows and not (brief and part.name in _HIDDEN_WHEN_BRIEF):
            yield from _part(part, result, screen, clock, brief=brief)
    yield from _rest(result, screen, brief=brief)


def _several(result: Result, screen: Screen, clock: Clock) -> Iterator[str]:
    yield from paragraph(visible(heading.several(result)), screen)
    rows = [candidate_row(one, clock) for one in result.subject.candidates]
    head = ["name", "address", "id", "first seen", "last seen", "events"]
    yield from table(rows, screen, head=head, right={"events"}, indent=2)


def _limits(result: Result, screen: Screen) -> Iterator[str]:
    yield ""
    yield from paragraph("LIMITS", screen, "bold")
    for limit in result.limits:
        yield from _bullet(heading.limit_line(limit), screen)


def _findings(result: Result, screen: Screen) -> Iterator[str]:
    yield ""
    yield from paragraph("FINDINGS", screen, "bold")
    if not result.findings:
        yield from paragraph("none of the rules found anything", screen)
    for one in result.findings:
        yield from paragraph(visible(f"{one.mark or '-':2} {one.code}  {one.text}"), screen, _STYLES[one.mark])


def _part(part: Part, result: Result, screen: Screen, clock: Clock, *, brief: bool) -> Iterator[str]:
    shown = grid(part, clock, subject=result.subject.accounts, most=BRIEF_ROWS if brief else None)
    hidden = len(part.rows) - len(shown.rows) + part.left_out
    yield ""
    yield from paragraph(part.title.upper(), screen, "bold")
    right = {title.text for title in shown.titles if title.number}
    yield from table(shown.rows, screen, head=[title.text for title in shown.titles], right=right)
    if hidden:
        yield f"… {hidden} more: --depth full, --json, --csv or --html FILE"


def _rest(result: Result, screen: Screen, *, brief: bool) -> Iterator[str]:
    if result.not_found:
        yield ""
        yield from paragraph("LOOKED FOR AND NOT FOUND", screen, "bold")
        for text in result.not_found:
            yield from _bullet(text, screen)
        yield from paragraph(visible(result.searched), screen)
    if asked := heading.next_questions(result):
        yield ""
        yield from paragraph("NEXT", screen, "bold")
        for kind, who in asked:
            is_option = "-- " if who.startswith("-") else ""
            yield visible(f"- investigate {kind} {is_option}{shlex.quote(who)}")
    hidden = [part.title.lower() for part in result.parts if part.rows and part.name in _HIDDEN_WHEN_BRIEF]
    if brief and hidden:
        yield ""
        yield f"not shown: {', '.join(hidden)} (--depth full)"


def _bullet(text: str, screen: Screen) -> Iterator[str]:
    yield from paragraph(visible(f"- {text}"), screen)
