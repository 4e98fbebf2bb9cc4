"""Makes the answer to a question: finds whom it is about, lays out their events, and asks what its shape says."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from forwarder.contracts import ConfigError
from forwarder.investigate import hours
from forwarder.investigate.asking import Asking
from forwarder.investigate.findings import findings
from forwarder.investigate.identity import KNOWN_PEOPLE
from forwarder.investigate.limits import limits, limits_of_all
from forwarder.investigate.moments import Clock, utc, zone_of
from forwarder.investigate.questions.resolve import resolve, resolve_person
from forwarder.investigate.result import MOST_IDS, Result, Subject, Totals
from forwarder.investigate.sessions import DOUBLES, ONLY, once, with_columns
from forwarder.investigate.sessions import asked as asked_of

if TYPE_CHECKING:
    from forwarder.investigate.identity import Directory
    from forwarder.investigate.questions.shape import Shape
    from forwarder.investigate.reading import ArchiveReader
    from forwarder.investigate.result import Evidence, Finding, Limit, Part, Question, Run
    from forwarder.investigate.tables import Tables

_MILLISECOND = 1
_HOUR_MS = 3_600_000
_AROUND_MS = 30 * 60_000

_IN_WINDOW = "select coalesce(events, 0) n from sums_within"
_OF_SUBJECT = "select count(*) n, count(*) filter ({only}) shown from asked"
OBJECTS = """
select evidence "name", any_value(sha256) sha256 from (select distinct evidence from asked where evidence is not null)
left join objects on "name" = evidence group by evidence order by evidence
"""
"""Of the events in `asked`."""
_MOMENT_OF = "select epoch_ms(t) t from e where id = $event"


class Archive(NamedTuple):
    """What is asked.

    Attributes:
        tables: Open.
        evidence: What they were made from, without what only they know: events, times, objects.
        prove: Returns the evidence with objects of it, and with what proves that these are unchanged; by their names,
            and the SHA-256 that the index has of them.
        reader: Of the archive; None for files.
        directory: Whose accounts are one person's, besides what events say.
    """

    tables: Tables
    evidence: Evidence
    prove: Callable[[Evidence, Mapping[str, str | None]], Evidence] = lambda evidence, _: evidence
    directory: Directory | None = None
    reader: ArchiveReader | None = None


def answer(archive: Archive, shape: Shape, question: Question, run: Run, progress: Callable[[str], None]) -> Result:
    """Return the answer.

    Raises ConfigError for an event (`around`) or a zone that is not there, and duckdb.InterruptException when it is
    cancelled.
    """
    _refuse_zone(archive.tables, question.zone)
    asking = Asking(archive.tables)
    evidence = evidence_of_tables(asking, archive.evidence)
    question = _of_day(shape, _around(asking, question))
    clock = Clock(question.zone)
    since, until = window_of(question, evidence)
    progress("who or what that is")
    subject = _subject(archive, asking, shape, question)
    asking.accounts = subject.accounts
    values: dict[str, Any] = {
        "who": subject.id,
        "since": utc(since),
        "until": utc(until),
        "gap": question.gap_minutes,
        "zone": question.zone,
        "ids": MOST_IDS,
        "whole": is_all(evidence, since, until),
    }
    window = events_between(asking, evidence, since, until)
    what = shape.searched(question.who) if shape.searched is not None else shape.what
    searched = searched_in(what, question, evidence, clock, window)
    repeated = 0
    if subject.id is not None and shape.first:
        progress("all of its events")
        asking.run("all of its events", with_columns(shape.first, shape.statements), **values)
        repeated = _once(asking, "lifetime", shape)
        subject = shape.choose(asking, subject, question.who)
    if subject.id is None:
        progress("whether the evidence is unchanged")
        evidence = with_objects(archive, evidence, ())
        shown = limits_of_all(asking, question, evidence, clock, **values)
        return Result(
            question, subject, run, evidence, Totals(window), shown, searched=searched, queries=tuple(asking.queries)
        )
    only = " or ".join(ONLY[name] for name in question.only) or "true"
    progress("its events")
    asking.run("asked", asked_of(shape.events, shape.statements), **values)
    repeated += _once(asking, "asked", shape)
    for name, statement in shape.before:
        asking.run(name, statement, **values)
    progress("whether the evidence is unchanged")
    evidence = with_objects(archive, evidence, asking.run("objects of evidence", OBJECTS))
    [own] = asking.run("events of the subject", _OF_SUBJECT.format(only=only))
    beside = asking.beside()

    def of_all() -> tuple[tuple[Finding, ...], tuple[Limit, ...]]:
        found, more = findings(beside, shape.rules, clock, **values)
        known = limits(
            beside,
            question,
            evidence,
            clock,
            repeated=repeated,
            table="lifetime" if shape.first else "asked",
            now_ms=run.at_ms,
            **values,
        )
        return found, (*known, *more)

    parts: list[Part] = []
    not_found: list[str] = []
    with ThreadPoolExecutor(1) as another:  # one core asks what stands out while the other fills the tables
        standing_out = another.submit(of_all)
        for table in shape.tables:
            progress(table.title)
            part = asking.part(
                table.name, table.title, table.columns, table.sql.replace("{only}", only), table.note, **values
            )
            parts.append(part)
            if not part.rows:
                not_found.append(table.none)
        progress("what stands out")
        found, limited = standing_out.result()
    return Result(
        question=question,
        subject=subject,
        run=run,
        evidence=evidence,
        totals=Totals(window, own["n"], own["shown"], own["n"] - own["shown"]),
        limits=limited,
        findings=found,
        parts=tuple(parts),
        not_found=tuple(not_found),
        searched=searched,
        queries=(*asking.queries, *beside.queries),
    )


def _refuse_zone(tables: Tables, zone: str) -> None:
    """Raise ConfigError for a zone that this machine knows and DuckDB does not, such as `localtime`."""
    if not tables.ask("select 1 from pg_timezone_names() where name = $zone", {"zone": zone}).rows:
        raise ConfigError(f"--tz {zone}: no such time zone for DuckDB; write one such as Europe/Berlin or UTC")


def _once(asking: Asking, table: str, shape: Shape) -> int:
    """Leave every event in a table once: a forwarder that was restored may store some again. Return how many went."""
    count = f"select count(*) n from {table}"
    [doubles] = asking.run(f"ids in {table} that are there again", DOUBLES.format(table=table))
    if not doubles["n"]:
        return 0
    [before] = asking.run(f"all in {table}", count)
    asking.run(f"each event of {table} once", once(table, shape.statements))
    [after] = asking.run(f"all in {table}", count)
    gone: int = before["n"] - after["n"]
    return gone


def _subject(archive: Archive, asking: Asking, shape: Shape, question: Question) -> Subject:
    if not shape.entities:
        return Subject(shape.kind, shape.normal(question.who), resolved_by="what was typed")
    if shape.entities == ("person",):
        asking.note("names of people", KNOWN_PEOPLE)
        return resolve_person(archive.tables, question.who, archive.directory)
    return resolve(asking, shape.kind, shape.entities, question.who)


def _around(asking: Asking, question: Question) -> Question:
    """Return the question with the half hours before and after an event as its window."""
    if question.around is None:
        return question
    rows = asking.run("the event around which was asked", _MOMENT_OF, event=question.around)
    if not rows:
        raise ConfigError(f"--around {question.around}: there is no event of this id in what is kept")
    at = rows[0]["t"]
    return msgspec.structs.replace(question, since_ms=at - _AROUND_MS, until_ms=at + _AROUND_MS + _MILLISECOND)


def _of_day(shape: Shape, question: Question) -> Question:
    """Return the question with the day that it is about as its window."""
    if not shape.is_day:
        return question
    zone = zone_of(question.zone)
    day = dt.date.fromisoformat(shape.normal(question.who))
    since, until = (
        int(dt.datetime.combine(each, dt.time(), zone).timestamp() * 1000) for each in (day, day + dt.timedelta(days=1))
    )
    return msgspec.structs.replace(question, since_ms=since, until_ms=until)


def evidence_of_tables(asking: Asking, evidence: Evidence) -> Evidence:
    """Return the evidence with how much it is, and of which times."""
    [kept] = asking.run("what is kept", hours.OF_SUMS)
    return msgspec.structs.replace(evidence, events=kept["events"] or 0, first_ms=kept["first"], last_ms=kept["last"])


def with_objects(archive: Archive, evidence: Evidence, rows: Sequence[dict[str, Any]]) -> Evidence:
    """Return the evidence with the objects that an answer is made from, and the hash of their list."""
    evidence = archive.prove(evidence, {row["name"]: row["sha256"] for row in rows})
    lines = "".join(f"{one.sha256}  {one.name}\n" for one in evidence.objects)
    return msgspec.structs.replace(evidence, sha256=hashlib.sha256(lines.encode()).hexdigest())


def events_between(asking: Asking, evidence: Evidence, since: int, until: int) -> int:
    """Lay out the hours of a time as `hours_within`; return how many events there are in it."""
    if is_all(evidence, since, until):
        asking.run("hours that are meant", hours.ALL)
        return evidence.events
    begins, ends = -(-since // _HOUR_MS) * _HOUR_MS, until // _HOUR_MS * _HOUR_MS
    statement = hours.WHOLE if (begins, ends) == (since, until) else hours.WHOLE + hours.EDGES
    times = {"since": utc(since), "until": utc(until), "begins": utc(begins), "ends": utc(ends)}
    asking.run("hours of the time", statement, **times)
    asking.run("hours that are meant", hours.CUT)
    [found] = asking.run("events of the time", _IN_WINDOW)
    count: int = found["n"]
    return count


def is_all(evidence: Evidence, since: int, until: int) -> bool:
    """Tell whether a time is that of all that is kept."""
    first, last = evidence.first_ms, evidence.last_ms
    return first is None or last is None or (since <= first and until > last)


def window_of(question: Question, evidence: Evidence) -> tuple[int, int]:
    """Return from and until in milliseconds; what was left open is all that is kept."""
    first, last = evidence.first_ms or 0, evidence.last_ms or 0
    since = first if question.since_ms is None else question.since_ms
    return since, max(last + _MILLISECOND, since) if question.until_ms is None else question.until_ms


def searched_in(what: str, question: Question, evidence: Evidence, clock: Clock, events: int) -> str:
    """Return what was looked through, in words: said beside what was not found."""
    since, until = window_of(question, evidence)
    if not evidence.events:
        return "nothing is kept: no event was searched"
    return f"searched for {what} in {events} events, {clock.full(since)} to {clock.full(until)}"
