"""The verdict on a source, day and sink: expected = delivered + rejected + filtered + waiting + missing.

*Expected* is what the log showed on that day, as far as it was read, once a document id, since the sink is there.
*Missing* is what left the spool before the sink had it, and what a look at the sink did not find. A gap of numbers is
in the books, so it concerns the days that lack something; a gap of time is not, and a day in it is not complete even
when no number is missing: how many events lie in it is not known. Pure.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, get_args

import msgspec

from forwarder.spool.gap import LOST_PAGES, Gap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from forwarder.reconcile.passes import Passes
    from forwarder.spool.books import DayBooks


Judgement = Literal["gap", "waiting", "not compared", "not read again", "not provable", "complete"]
"""What a line comes to; the first that applies, so only a day of which nothing else can be said is complete."""

JUDGEMENTS: tuple[Judgement, ...] = get_args(Judgement)
"""Each of them, the worst first."""

_READ_AGAIN = frozenset(LOST_PAGES)
"""Causes after which the ids are forgotten: what is read again is spooled once more, and counted once more."""

_MOST_DAYS = 400
"""Days of one gap that get a line when the books have none of them."""


class GapLine(msgspec.Struct, frozen=True):
    """A gap that is not closed, as it is shown.

    Attributes:
        source, sink: By name; empty when it concerns all.
        since_ms, until_ms: Stretch of processing time, where it is known.
        events: How many, where it is known.
        seen_ms: When it was seen still open: one without an end lasts until then.
        repair: The command that fetches what it lacks, if there is one.
    """

    number: int
    cause: str
    state: str
    source: str
    sink: str
    detail: str
    opened_ms: int
    since_ms: int | None = None
    until_ms: int | None = None
    first_seq: int | None = None
    last_seq: int | None = None
    events: int | None = None
    why: str = ""
    seen_ms: int = 0
    closed_by: str = ""
    repair: str = ""

    @property
    def is_counted(self) -> bool:
        """Whether the books count its events as detached."""
        return self.first_seq is not None

    @property
    def still_lacks(self) -> bool:
        """Whether something may still be missing for it."""
        return self.state != "closed"

    @property
    def is_counted_again(self) -> bool:
        """Whether its events were, or will be, spooled and counted once more, so that the first count is to go."""
        return self.cause in _READ_AGAIN or (not self.still_lacks and self.closed_by == "backfill")

    @property
    def is_sent_since(self) -> bool:
        """Whether a replay brought its events: they are with the sink, and in the books of the replay only."""
        return not self.still_lacks and self.is_counted and self.closed_by == "replay"

    def days(self) -> tuple[str, str]:
        """Return the first and last day it can concern; a bound that is not known is open."""
        return (
            "" if self.since_ms is None else _day(self.since_ms),
            _day(max(self.opened_ms, self.seen_ms) if self.until_ms is None else self.until_ms),
        )


class Line(msgspec.Struct, frozen=True):
    """What is known of one source, day and sink; `day` is empty for events without one.

    Attributes:
        accepted: By the sink, as it said; `delivered` is without those that it was found not to have, and with those
            that a replay brought after they had left its lane.
        recovered: Of the expected ones, those that were not there at first and found when the day was read again.
        compared: How many events were read again to see whether all are there.
        passes: Names of the passes that read the whole day again.
        is_compared: Whether the day is read again at all.
        late_ms: When that is long overdue, epoch milliseconds: nobody should wait for it any longer.
        proof: What an acceptance of the sink is worth: delivered, received or none; empty when it is not configured.
        gaps: Numbers of the gaps that concern it.
    """

    day: str
    source: str
    sink: str
    judgement: Judgement
    expected: int = 0
    accepted: int = 0
    delivered: int = 0
    rejected: int = 0
    filtered: int = 0
    waiting: int = 0
    missing: int = 0
    recovered: int = 0
    compared: int = 0
    passes: list[str] = []
    is_compared: bool = False
    late_ms: int = 0
    proof: str = ""
    gaps: list[int] = []

    @property
    def provable(self) -> bool:
        """Whether the sink confirms that it has what it accepts."""
        return self.proof == "delivered"


class Verdict(msgspec.Struct, frozen=True):
    """All of it, of one moment. `made_ms` is epoch milliseconds."""

    made_ms: int
    lines: list[Line]
    gaps: list[GapLine]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing and no gap is open. Says nothing of what waits or cannot be proved."""
        return not self.gaps and not any(line.judgement == "gap" for line in self.lines)


class Chosen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of what a verdict is wanted; an empty name or day means any. Days are ISO 8601 dates, both included."""

    since: str = ""
    until: str = ""
    source: str = ""
    sink: str = ""

    def wants(self, source: str, sink: str) -> bool:
        """Tell whether a line or gap of these is wanted; one of a whole organization stands for its places."""
        return self.sink in {"", sink} and self.source in {"", source, source.partition("/")[0]}

    @property
    def days(self) -> tuple[str, str]:
        """Return the first and the last day, as bounds for texts."""
        return self.since, self.until or "9999"


def judge(
    books: Iterable[DayBooks],
    gaps: Sequence[GapLine],
    *,
    chosen: Chosen,
    proofs: Mapping[str, str],
    passes: Mapping[str, Passes],
    now_ms: int,
) -> Verdict:
    """Return the verdict.

    Args:
        books: By source, day and sink, in the days that are chosen.
        gaps: All that are on record.
        chosen: What is wanted.
        proofs: What an acceptance is worth, by sink.
        passes: How far each source was read again, by its name.
        now_ms: The moment of the books.
    """
    since, until = chosen.days
    relevant = (gap for gap in gaps if gap.still_lacks or gap.is_counted_again or gap.is_sent_since)
    wanted = [gap for gap in relevant if _is_of(gap, chosen) and _overlaps(gap, since, until)]
    chosen_books = [line for line in books if chosen.wants(line.source, line.sink)]
    near = _near(chosen_books, wanted)
    lines = [_line(line, near.get((line.source, line.sink, line.day), ()), proofs, passes) for line in chosen_books]
    timed = [gap for gap in wanted if gap.still_lacks and not gap.is_counted]
    lines += _beyond_the_books(lines, timed, chosen, proofs)
    lines.sort(key=lambda line: (line.day, line.source, line.sink))
    named = {number for line in lines for number in line.gaps} | {gap.number for gap in timed}
    # a lane that is forgotten has no books any more, so no line names what it lacks
    named |= {gap.number for gap in wanted if gap.still_lacks and gap.cause == "lane_forgotten"}
    return Verdict(now_ms, lines, [gap for gap in wanted if gap.number in named])


def _is_of(gap: GapLine, chosen: Chosen) -> bool:
    return chosen.wants(gap.source or chosen.source, gap.sink or chosen.sink)


def _overlaps(gap: GapLine, since: str, until: str) -> bool:
    first, last = gap.days()
    return first <= until and last >= since


def _near(books: Iterable[DayBooks], gaps: Iterable[GapLine]) -> dict[tuple[str, str, str], list[GapLine]]:
    """Return which gaps may be of a source, sink and day; an unknown day may be any. Each gap is looked at once a sink.

    Lines and gaps may be thousands each, so they are not tried each with each.
    """
    booked: dict[tuple[str, str], set[str]] = defaultdict(set)
    for line in books:
        booked[line.source, line.sink].add(line.day)
    days = {at: sorted(each) for at, each in booked.items()}
    found: dict[tuple[str, str, str], list[GapLine]] = defaultdict(list)
    for gap in gaps:
        first, last = gap.days()
        for (source, sink), listed in days.items():
            if gap.source not in {"", source} or gap.sink not in {"", sink}:
                continue
            if first and not listed[0]:  # the unknown day comes before all others
                found[source, sink, ""].append(gap)
            for day in listed[bisect_left(listed, first) : bisect_right(listed, last)]:
                found[source, sink, day].append(gap)
    return found


def _line(books: DayBooks, near: Sequence[GapLine], proofs: Mapping[str, str], passes: Mapping[str, Passes]) -> Line:
    lost = books.spooled - books.accepted - books.rejected - books.filtered - books.waiting
    mine = [gap for gap in near if gap.still_lacks and (lost or not gap.is_counted)]
    repaired = lost - _still_lost(lost, near)
    sent = sum(gap.events or 0 for gap in near if gap.is_sent_since) if repaired else 0
    # what was read again since was counted again; where nothing was, all that is repaired was sent by a replay
    sent = min(repaired, sent) if any(gap.is_counted_again for gap in near) else repaired
    expected, lost = books.spooled - repaired + sent, lost - repaired
    # what a sink had accepted and does not have; never more than it accepted, whatever was found when
    dropped = min(books.accepted, sum(gap.events or 0 for gap in mine if gap.cause == "dropped_by_sink" and gap.sink))
    missing = lost + dropped
    read = passes.get(books.source)
    done = None if read is None else read.over(books.day)
    proof = proofs.get(books.sink, "")
    judgement: Judgement = "complete"
    if missing or mine:
        judgement = "gap"
    elif books.waiting:
        judgement = "waiting"
    elif not done:
        judgement = "not read again" if done is None else "not compared"
    elif proof != "delivered":
        judgement = "not provable"
    return Line(
        day=books.day,
        source=books.source,
        sink=books.sink,
        expected=expected,
        accepted=books.accepted,
        delivered=books.accepted - dropped + sent,
        rejected=books.rejected,
        filtered=books.filtered,
        waiting=books.waiting,
        missing=missing,
        recovered=books.recovered,
        compared=books.compared,
        passes=list(done or ()),
        is_compared=done is not None,
        late_ms=0 if read is None else read.late_ms(books.day),
        proof=proof,
        gaps=[gap.number for gap in mine],
        judgement=judgement,
    )


def _still_lost(lost: int, near: Sequence[GapLine]) -> int:
    """Return how many of the lost events of a line may be missing still: at most those of the gaps that are open."""
    if not any(gap.is_counted_again or gap.is_sent_since for gap in near):
        return lost
    left = [gap.events for gap in near if gap.still_lacks and gap.is_counted]
    return lost if None in left else min(lost, sum(events or 0 for events in left))


def _beyond_the_books(
    lines: Sequence[Line], gaps: Sequence[GapLine], chosen: Chosen, proofs: Mapping[str, str]
) -> Iterator[Line]:
    """Yield a line for each day of a gap on which nothing was booked: that may be just what it took away."""
    since, until = chosen.days
    known = {(line.day, line.source, line.sink) for line in lines}
    added: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for gap in gaps:
        if gap.since_ms is None or not gap.source:
            continue  # it has no first day, and is shown by itself
        first, last = gap.days()
        for sink in (gap.sink,) if gap.sink else sorted(proofs):
            for day in _days(max(first, since), min(last, until)) if chosen.wants(gap.source, sink) else ():
                if (at := (day, gap.source, sink)) not in known:
                    added[at].append(gap.number)
    for (day, source, sink), numbers in added.items():
        yield Line(day, source, sink, "gap", proof=proofs.get(sink, ""), gaps=numbers)


def _days(first: str, last: str) -> Iterator[str]:
    if first > last:
        return
    day, end = date.fromisoformat(first), date.fromisoformat(last)
    for _ in range(_MOST_DAYS):
        yield day.isoformat()
        if day >= end:
            return
        day += timedelta(days=1)


@lru_cache(maxsize=10_000)
def _day(at_ms: int) -> str:
    """Return the date in UTC of a moment, or the last there is for one that no calendar holds."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return "9998-12-31"


def gap_line(gap: Gap, names: Mapping[int, str], now_ms: int, repair: str = "") -> GapLine:
    """Return a gap as it is shown.

    Args:
        gap: From the spool.
        names: Of the sources, by number.
        now_ms: The moment at which the spool said so.
        repair: The command that fetches what it lacks.
    """
    return GapLine(
        number=gap.number,
        cause=gap.cause,
        state=gap.state,
        source="" if gap.source is None else names.get(gap.source, f"source {gap.source}"),
        sink=gap.lane or "",
        detail=gap.detail,
        opened_ms=gap.opened_ms,
        since_ms=gap.from_ms,
        until_ms=gap.to_ms,
        first_seq=gap.first_seq,
        last_seq=gap.last_seq,
        events=gap.events,
        why=gap.why,
        seen_ms=now_ms if gap.is_open else 0,
        closed_by=gap.closed_by,
        repair=repair,
    )
