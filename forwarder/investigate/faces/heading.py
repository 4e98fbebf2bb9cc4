"""What stands above the findings, in words: what was asked, of whom, in which time, of what evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.investigate.moments import DASH
from forwarder.investigate.result import FILES

if TYPE_CHECKING:
    from forwarder.investigate.moments import Clock
    from forwarder.investigate.result import Limit, Result, Subject

TYPED = "what was typed"
"""How a subject is found that has no name to be looked up."""

_ASKED = {
    "user": "What did this account do?",
    "content": "Who looked at this, and what was done with it?",
    "ip": "Who came from this address?",
    "token": "What was this token used for?",
    "group": "What happened to this group?",
    "app": "What did this app do, and who brought it?",
    "day": "What was unusual on this day?",
    "hunt": "Where do the rules match?",
}


def asked(result: Result) -> str:
    """Return the question as a sentence."""
    return _ASKED.get(result.question.kind, result.question.kind)


def subject_parts(subject: Subject, typed: str) -> list[str]:
    """Return whom or what it is about: its name, address and id, as far as there are; the texts are foreign."""
    if subject.id is None:
        return [typed]
    more = [subject.addresses[0]] if subject.addresses else []
    if subject.name and subject.id not in {subject.name, *more}:
        more.append(subject.id)
    return [subject.name or subject.id, *more]


def subject_line(subject: Subject, typed: str) -> str:
    """Return the same on one line."""
    return " · ".join(subject_parts(subject, typed))


def found_by(subject: Subject) -> str:
    """Return how it was found, and how many names it had."""
    spellings = len(subject.names)
    more = f"; {spellings} spellings of its name" if spellings > 1 else ""
    if subject.ids:
        more += (
            f"; {len(subject.ids)} accounts, one person's by {', '.join(subject.linked_by)}: {', '.join(subject.ids)}"
        )
    if subject.resolved_by == TYPED:
        return "as it was typed"
    return subject.resolved_by or "" if subject.kind == "hunt" else f"found by {subject.resolved_by}{more}"


def several(result: Result) -> str:
    """Return what is said above a list of whom or what is meant, perhaps; the texts are foreign."""
    subject, who = result.subject, result.question.who
    if len(subject.candidates) == 1:
        return f"{who!r} may mean this, by {subject.resolved_by}, which may lie elsewhere. Ask with its id if it does:"
    count = len(subject.candidates)
    if subject.unlisted:
        said = f"{count + subject.unlisted} match {who!r} by {subject.resolved_by}, of which {count} are listed"
        return f"{said}. Write more of the name, or ask again with an id or address:"
    return f"{count} match {who!r} by {subject.resolved_by}. Ask again with an id or address:"


def window(result: Result, clock: Clock) -> str:
    """Return the time that was asked about, with its zone and offsets."""
    since, until = result.question.since_ms, result.question.until_ms
    first, last = result.evidence.first_ms, result.evidence.last_ms
    if first is None or last is None:
        return f"nothing is kept; zone {clock.name}"
    begin, end = first if since is None else since, last if until is None else until
    everything = " (all that is kept)" if since is None and until is None else ""
    return f"{clock.full(begin)} {DASH} {clock.full(end)}{everything}, {clock.name}"


def counted(result: Result) -> str:
    """Return how many events the answer is made from."""
    totals = result.totals
    left = f"; {totals.left_out} of them are not in the timeline (--only)" if totals.left_out else ""
    return f"{totals.subject} events of {totals.window} in this time, of {result.evidence.events} that are kept{left}"


def evidence_lines(result: Result) -> list[str]:
    """Return what the evidence is, and how it can be known again."""
    evidence = result.evidence
    count = len(evidence.objects)
    noun = f"file{'s' * (count != 1)} of events" if evidence.kind == FILES else f"object{'s' * (count != 1)}"
    where = "" if evidence.kind == FILES else f" of the {evidence.kind}"
    lines = [f"{count} {noun}{where}; sha256 of the list: {evidence.sha256 or 'none'}"]
    if evidence.head:
        lines.append(f"head of the chain of digests: {evidence.head}")
    if result.run.index:
        parts = f"{len(result.run.index)} part{'s' * (len(result.run.index) != 1)}"
        lines.append(f"counted in {parts} of the index, which was made of the evidence and is not signed")
    return [*lines, evidence.proof] if evidence.proved else lines


def limit_line(limit: Limit) -> str:
    """Return a limit, with the number of events that it concerns."""
    return limit.text if limit.events is None else f"{limit.text}: {limit.events}"


def next_questions(result: Result) -> list[tuple[str, str]]:
    """Return what may be asked next: the word of the question, and of whom; the texts are foreign."""
    part = next((part for part in result.parts if part.name == "first_seen"), None)
    rows = part.rows if part is not None else ()
    return [(_NEXT[str(row[0])], str(row[1])) for row in rows if row[0] in _NEXT][:_MOST_NEXT]


_NEXT = {"address": "ip", "token": "token", "app": "app"}
_MOST_NEXT = 3


def seen(subject: Subject, clock: Clock) -> str:
    """Return when the subject was seen at all, as a sentence behind another one."""
    if subject.first_ms is None or subject.last_ms is None:
        return ""
    return f" It was seen {clock.span(subject.first_ms, subject.last_ms)}."
