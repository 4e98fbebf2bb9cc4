"""The answer to a question: one object behind every face, so that a number cannot differ between them.

It holds facts: what was asked, of what evidence, what that evidence cannot show, and rows of numbers with the ids of
their events. Texts in it are as the log has them, hostile ones included: each face makes them harmless at its edge.
Times are epoch milliseconds; a face writes them in UTC for programs, in the zone of the question for people.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Mark = Literal["!!", "!", ""]
"""`!!` act on it now, `!` look at it, or nothing."""

Kind = Literal["text", "time", "number", "texts", "ids"]
"""What a column holds: text, a moment, a number, several texts, ids of events."""

Cell = str | int | float | list[str] | None


class Question(msgspec.Struct, frozen=True):
    """What is asked.

    Attributes:
        kind: Of what: `user`, `content`, `ip`, `token`, `group`, `app`, `day`, `hunt`.
        who: What the person typed: an id, a name, an address, a day.
        zone: Name of the time zone that days and nights are of.
        since_ms: From when, included; None for everything kept.
        until_ms: Until when, excluded.
        gap_minutes: A pause longer than this ends a session.
        only: Kinds of acts that the timeline is limited to; empty for all.
        around: Id of the event around which was asked.
    """

    kind: str
    who: str
    zone: str
    since_ms: int | None = None
    until_ms: int | None = None
    gap_minutes: int = 30
    only: tuple[str, ...] = ()
    around: str | None = None


class Candidate(msgspec.Struct, frozen=True):
    """One of several that a name may mean."""

    id: str
    name: str | None = None
    address: str | None = None
    first_ms: int | None = None
    last_ms: int | None = None
    events: int = 0


class Subject(msgspec.Struct, frozen=True):
    """Whom or what the question is about, and how that was found; `id` is None where nothing matched.

    Attributes:
        ids: All accounts of the person, where that is more than one; `linked_by` says what makes them one person's.
        resolved_by: What of it matched: `id`, `address`, `name`, `key` and so on.
        names: Every name it had, the most frequent first.
        addresses: Every e-mail address it had.
        candidates: All that match, where that is more than one; then nothing else was asked.
        unlisted: How many more match, where they are too many to be listed.
    """

    kind: str
    id: str | None = None
    name: str | None = None
    resolved_by: str | None = None
    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    first_ms: int | None = None
    last_ms: int | None = None
    ids: tuple[str, ...] = ()
    linked_by: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    unlisted: int | None = None

    @property
    def accounts(self) -> tuple[str, ...]:
        """Return its id, or all of them."""
        return self.ids or ((self.id,) if self.id is not None else ())


class Run(msgspec.Struct, frozen=True):
    """Who asked when, where, with which version, and why; the only part that differs from run to run.

    Attributes:
        index: Parts of the index in which it was counted; the rest was counted in the evidence itself.
    """

    at_ms: int
    by: str
    host: str
    version: str
    case: str | None = None
    reason: str | None = None
    index: tuple[str, ...] = ()


class EvidenceObject(msgspec.Struct, frozen=True):
    """One object of evidence that was read, and its SHA-256."""

    name: str
    sha256: str


class EvidenceGap(msgspec.Struct, frozen=True):
    """A time of which evidence is missing, and why that is known."""

    since_ms: int
    until_ms: int
    text: str


class EvidenceFailure(msgspec.Struct, frozen=True):
    """Something of the evidence that is not as it was written: a finding of `archive verify`, and of what."""

    kind: str
    name: str
    detail: str


FILES = "files of events"
"""What evidence is that is no archive."""


class Evidence(msgspec.Struct, frozen=True):
    """What the answer is made from.

    Attributes:
        kind: Where it lies, in words: an archive's index, an archive, files.
        objects: What was read, by name.
        sha256: SHA-256 over `objects`: a line `<sha256>  <name>` for each, in order of names.
        events: Events that are kept, of all times.
        first_ms: Time of the first event that is kept.
        last_ms: Time of the last.
        gaps: What is known to be missing.
        repeated: How many events stand in it once more; counted in files only.
        head: Hash of the newest digest of the chain, where there is one.
        proof: What proves that it is whole and unchanged, or what does not, in words.
        proved: Whether something does.
        hours: How many digests were checked for this answer.
        signed_hours: How many of them have a signature that is right.
        keys: Ids of the keys that signed them.
        open_objects: How many objects are in no digest yet.
        failed: What is not as it was written.
        damaged_index: Parts of the index that are not as they were written; the evidence of their days was read.
    """

    kind: str
    objects: tuple[EvidenceObject, ...] = ()
    sha256: str = ""
    events: int = 0
    first_ms: int | None = None
    last_ms: int | None = None
    gaps: tuple[EvidenceGap, ...] = ()
    repeated: int = 0
    head: str | None = None
    proof: str = ""
    proved: bool = False
    hours: int = 0
    signed_hours: int = 0
    keys: tuple[str, ...] = ()
    open_objects: int = 0
    failed: tuple[EvidenceFailure, ...] = ()
    damaged_index: tuple[str, ...] = ()


class Limit(msgspec.Struct, frozen=True):
    """Something the evidence does not show, with the number of events it concerns where that is a number."""

    code: str
    text: str
    events: int | None = None


class Totals(msgspec.Struct, frozen=True):
    """Events of the time asked for, those of the subject, those in the timeline, and those left out of it."""

    window: int = 0
    subject: int = 0
    shown: int = 0
    left_out: int = 0


class Finding(msgspec.Struct, frozen=True):
    """A number, what it is compared with, the rule it comes from and the events it counts. Never a verdict.

    Attributes:
        code: `F1`, `F2` …, in order of weight.
        own: The same number of the same account at other times, where there is one.
        others: The same number of everybody else.
        events: Ids of the events, at most `MOST_IDS`; `count` is how many there are.
    """

    code: str
    mark: Mark
    text: str
    rule: str
    value: float
    own: float | None = None
    others: float | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    count: int = 0
    events: tuple[str, ...] = ()


class Column(msgspec.Struct, frozen=True):
    """One column of a part: its name in JSON and CSV, its title for people."""

    name: str
    title: str
    kind: Kind = "text"


class Part(msgspec.Struct, frozen=True):
    """A table of the answer.

    Attributes:
        name: Key in JSON, first cell in CSV.
        title: Heading for people.
        note: How it was counted, for people.
        rows: Cells in the order of `columns`.
        left_out: Rows that were not kept, because there are too many.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...] = ()
    note: str = ""
    left_out: int = 0


class Query(msgspec.Struct, frozen=True):
    """One query as it was run, with its bound values: how the numbers can be counted again."""

    name: str
    sql: str
    params: dict[str, Any]


class Result(msgspec.Struct, frozen=True):
    """The answer. `searched` says in words what was looked for, beside what was not found."""

    question: Question
    subject: Subject
    run: Run
    evidence: Evidence
    totals: Totals = Totals()
    limits: tuple[Limit, ...] = ()
    findings: tuple[Finding, ...] = ()
    parts: tuple[Part, ...] = ()
    not_found: tuple[str, ...] = ()
    searched: str = ""
    queries: tuple[Query, ...] = ()

    @property
    def several(self) -> bool:
        """Say whether the name means several, so that nothing was asked."""
        return bool(self.subject.candidates)

    def part(self, name: str) -> Part:
        """Return a part by its name. Raises KeyError."""
        return {part.name: part for part in self.parts}[name]


MOST_IDS = 1000
"""Ids of events that a row or a finding names."""

MOST_ROWS = 5000
"""Rows of a part: what is more is counted in `left_out`."""
