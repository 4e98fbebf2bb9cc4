"""Runs rules over what is kept, for any time, and answers as every question does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from forwarder.investigate.asking import Asking
from forwarder.investigate.findings import unlisted
from forwarder.investigate.limits import limits_of_all
from forwarder.investigate.moments import Clock, pause, utc
from forwarder.investigate.questions.answer import (
    OBJECTS,
    events_between,
    evidence_of_tables,
    searched_in,
    window_of,
    with_objects,
)
from forwarder.investigate.questions.shape import columns
from forwarder.investigate.result import MOST_IDS, Finding, Part, Result, Subject, Totals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from forwarder.investigate.hunt.sigma import Hunt
    from forwarder.investigate.questions.answer import Archive
    from forwarder.investigate.result import Mark, Question, Run

_EVENTS = """
create or replace table asked as select t, id, evidence, line from e
where id in (select unnest($events)) and t >= $since and t < $until
"""
_MARKS: dict[str, Mark] = {"critical": "!!", "high": "!!", "medium": "!"}
_MOST_MATCHES = 200
"""Matches of a rule that are findings; all are counted."""


def hunt(
    archive: Archive, rules: Sequence[Hunt], question: Question, run: Run, progress: Callable[[str], None]
) -> Result:
    """Return what the rules match."""
    asking = Asking(archive.tables)
    evidence = evidence_of_tables(asking, archive.evidence)
    clock = Clock(question.zone)
    since, until = window_of(question, evidence)
    values = {"since": utc(since), "until": utc(until), "most": MOST_IDS}
    window = events_between(asking, evidence, since, until)
    matched: list[tuple[Hunt, dict[str, Any]]] = []
    rows = []
    for rule in rules:
        progress(rule.title)
        found = asking.run(f"rule {rule.name}", rule.sql, **values, **rule.params)
        matched += [(rule, row) for row in found[:_MOST_MATCHES]]
        rows.append((rule.name, rule.title, rule.level, len(found), sum(row["n"] for row in found), rule.id))
    ids = [ident for _, row in matched for ident in row["ids"] if ident is not None]
    asking.run("events that findings name", _EVENTS, **values, events=ids)
    evidence = with_objects(archive, evidence, asking.run("objects of evidence", OBJECTS))
    matched.sort(key=lambda one: (_MARKS.get(one[0].level, "") != "!!", one[1]["start"] or math.inf))
    findings = tuple(_finding(number, rule, row, clock) for number, (rule, row) in enumerate(matched, 1))
    events = sum(row[4] for row in rows)
    titles = columns("name::rule", "title", "level", "matches:number", "events:number", "id")
    part = Part("matches", "Rules", titles, tuple(rows), "Each rule, also one without a match.")
    names = ", ".join(rule.name for rule in rules)
    return Result(
        question,
        Subject("hunt", names, resolved_by="rules that are shipped"),
        run,
        evidence,
        Totals(window, events, events, 0),
        (
            *limits_of_all(asking, question, evidence, clock, **values),
            *(unlisted(row[0], row[3] - _MOST_MATCHES) for row in rows if row[3] > _MOST_MATCHES),
        ),
        findings,
        (part,),
        tuple(f"no match of {row[0]}" for row in rows if not row[3]),
        searched_in(f"matches of {len(rules)} rules", question, evidence, clock, window),
        tuple(asking.queries),
    )


def _finding(number: int, rule: Hunt, row: dict[str, Any], clock: Clock) -> Finding:
    what = f"{row['value']} {rule.counted} within {pause(rule.seconds * 1000)}" if rule.seconds else "an event"
    who = row["who"] or "no one named"
    return Finding(
        f"F{number}",
        _MARKS.get(rule.level, ""),
        f"{clock.span(row['start'], row['end'])}: {rule.title}: {what}, {who}",
        rule.description.rstrip("."),
        row["value"],
        start_ms=row["start"],
        end_ms=row["end"],
        count=row["n"],
        events=tuple(one for one in row["ids"] if one is not None),
    )
