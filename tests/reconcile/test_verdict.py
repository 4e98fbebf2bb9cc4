"""The verdict: what a day comes to, of books, gaps and passes."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.reconcile.passes import Passes, passes_of
from forwarder.reconcile.verdict import Chosen, GapLine, Line, Verdict, gap_line, judge
from forwarder.spool.books import DayBooks
from forwarder.spool.gap import Gap

DAY, NEXT = "2026-11-14", "2026-11-15"
NOON = 1_794_657_600_000  # 2026-11-14T12:00Z
HOUR = 3_600_000
PROOFS = {"out": "delivered", "udp": "none"}
READ = {"acme": Passes(0, [NOON + 90 * 24 * HOUR])}  # every day, again


def books(day: str = DAY, sink: str = "out", source: str = "acme", **counts: int) -> DayBooks:
    numbers = dict.fromkeys(("accepted", "rejected", "filtered", "detached", "waiting"), 0) | counts
    spooled = counts.get("spooled", sum(numbers[name] for name in numbers if name not in {"recovered", "compared"}))
    return DayBooks(source, sink, spooled, **{k: v for k, v in numbers.items() if k != "spooled"}, day=day)


def gap(number: int = 1, cause: str = "cursor_lost", state: str = "open", **more: object) -> GapLine:
    around: dict[str, object] = {"source": "acme", "sink": "", "detail": "", "opened_ms": NOON}
    return GapLine(number, cause, state, **{**around, **more})  # type: ignore[arg-type]


def verdict_on(
    *lines: DayBooks,
    gaps: tuple[GapLine, ...] = (),
    passes: dict[str, Passes] | None = None,
    chosen: Chosen | None = None,
) -> Verdict:
    return judge(
        lines, gaps, chosen=chosen or Chosen(), proofs=PROOFS, passes=READ if passes is None else passes, now_ms=NOON
    )


def only(verdict: Verdict) -> Line:
    [line] = verdict.lines
    return line


def test_a_day_whose_events_all_arrived_is_complete() -> None:
    verdict = verdict_on(books(accepted=5, rejected=1, filtered=2))
    line = only(verdict)
    assert (line.expected, line.delivered, line.missing, line.judgement) == (8, 5, 0, "complete")
    assert verdict.complete


def test_what_left_the_spool_before_the_sink_had_it_is_missing_whether_a_gap_is_open_or_not() -> None:
    lost = books(accepted=5, detached=3)
    for state in ("open", "fetching", "lost", "closed"):
        of_numbers = gap(
            cause="detached", state=state, sink="out", since_ms=NOON, until_ms=NOON, first_seq=1, last_seq=9
        )
        verdict = verdict_on(lost, gaps=(of_numbers,))
        assert (only(verdict).missing, only(verdict).judgement, verdict.complete) == (3, "gap", False)
        assert only(verdict).gaps == ([] if state == "closed" else [1])


def test_what_was_damaged_and_read_again_since_is_not_missing_any_more() -> None:
    twice = books(accepted=5, detached=3)  # of the five, three are those that were damaged
    damaged = gap(cause="damaged_page", state="closed", since_ms=NOON, until_ms=NOON, first_seq=1, last_seq=3)
    line = only(verdict_on(twice, gaps=(damaged,)))
    assert (line.expected, line.delivered, line.missing, line.judgement) == (5, 5, 0, "complete")


def test_what_a_backfill_for_the_sink_brought_since_is_not_missing_any_more() -> None:
    twice = books(accepted=5, detached=3)
    around: dict[str, object] = {"sink": "out", "since_ms": NOON, "until_ms": NOON, "first_seq": 1, "last_seq": 3}
    brought = gap(cause="detached", state="closed", closed_by="backfill", **around)
    verdict = verdict_on(twice, gaps=(brought,))
    assert (only(verdict).expected, only(verdict).missing, verdict.complete) == (5, 0, True)
    verdict = verdict_on(twice, gaps=(brought, gap(2, cause="detached", **around)))
    assert (only(verdict).missing, only(verdict).gaps, verdict.complete) == (3, [2], False)


def test_what_a_replay_brought_since_is_delivered_and_of_the_rest_no_more_is_missing_than_open_gaps_lack() -> None:
    around: dict[str, object] = {"sink": "out", "since_ms": NOON, "until_ms": NOON, "first_seq": 1, "last_seq": 9}
    sent = gap(cause="detached", state="closed", closed_by="replay", events=3, **around)
    line = only(verdict_on(books(accepted=5, detached=3), gaps=(sent,)))
    assert (line.expected, line.accepted, line.delivered, line.missing, line.judgement) == (8, 5, 8, 0, "complete")
    for cause in ("detached", "lane_forgotten", "damaged_page"):
        rest = gap(2, cause=cause, events=2, **around)
        line = only(verdict_on(books(accepted=5, detached=5), gaps=(sent, rest)))
        assert (line.delivered + line.missing, line.missing, line.gaps) == (line.expected, 2, [2])
    assert only(verdict_on(books(NEXT, accepted=5, detached=3), gaps=(sent,))).missing == 3, "of another day"
    assert only(verdict_on(books(sink="udp", accepted=5, detached=3), gaps=(sent,))).missing == 3


def test_what_waited_for_a_lane_that_was_forgotten_is_shown_although_no_books_of_it_are_left() -> None:
    around: dict[str, object] = {"sink": "gone", "since_ms": NOON, "until_ms": NOON, "first_seq": 1, "last_seq": 3}
    forgotten = gap(cause="lane_forgotten", **around)
    verdict = verdict_on(books(accepted=5), gaps=(forgotten,))
    assert (only(verdict).judgement, verdict.gaps, verdict.complete) == ("complete", [forgotten], False)
    assert verdict_on(books(accepted=5), gaps=(forgotten,), chosen=Chosen(sink="out")).complete
    assert verdict_on(books(NEXT, accepted=5), gaps=(forgotten,), chosen=Chosen(since=NEXT)).complete


def test_a_gap_of_numbers_is_none_of_a_day_that_lacks_nothing() -> None:
    of_numbers = gap(cause="damaged_page", since_ms=None, until_ms=NOON, first_seq=1, last_seq=9)
    verdict = verdict_on(books(accepted=5), books("2026-01-01", accepted=5), gaps=(of_numbers,))
    assert [line.judgement for line in verdict.lines] == ["complete", "complete"]
    assert (verdict.gaps, verdict.complete) == ([], True)


@pytest.mark.parametrize("state", ["open", "fetching", "lost"])
def test_a_gap_of_time_makes_a_day_incomplete_although_no_number_is_missing(state: str) -> None:
    of_time = gap(state=state, since_ms=NOON, until_ms=NOON + HOUR)
    verdict = verdict_on(books(accepted=5), books(NEXT, accepted=5), gaps=(of_time,), chosen=Chosen(sink="out"))
    assert [(line.day, line.judgement) for line in verdict.lines] == [(DAY, "gap"), (NEXT, "complete")]
    assert not verdict.complete


def test_a_gap_that_is_open_without_an_end_lasts_until_now() -> None:
    lasts = Gap("key_outage", source=1, from_ms=NOON, opened_ms=NOON)
    lines = books(accepted=5), books(NEXT, accepted=5), books("2026-11-16", accepted=5)
    shown = gap_line(lasts, {1: "acme"}, NOON + 24 * HOUR)
    verdict = verdict_on(*lines, gaps=(shown,), chosen=Chosen(sink="out"))
    assert [line.judgement for line in verdict.lines] == ["gap", "gap", "complete"]
    given_up = gap_line(msgspec.structs.replace(lasts, lost_ms=NOON + 1), {1: "acme"}, NOON + 24 * HOUR)
    verdict = verdict_on(*lines, gaps=(given_up,), chosen=Chosen(sink="out"))
    assert [line.judgement for line in verdict.lines] == ["gap", "complete", "complete"]


def test_a_closed_gap_says_nothing() -> None:
    verdict = verdict_on(books(accepted=5), gaps=(gap(state="closed", since_ms=NOON, until_ms=NOON),))
    assert (only(verdict).judgement, verdict.gaps, verdict.complete) == ("complete", [], True)


def test_a_day_of_which_nothing_was_booked_has_a_line_when_a_gap_covers_it() -> None:
    outage = gap(cause="key_outage", since_ms=NOON - 24 * HOUR, until_ms=NOON + 24 * HOUR)
    verdict = verdict_on(books(accepted=5), gaps=(outage,), chosen=Chosen(sink="out"))
    assert [(line.day, line.sink, line.judgement) for line in verdict.lines] == [
        ("2026-11-13", "out", "gap"),
        (DAY, "out", "gap"),
        ("2026-11-15", "out", "gap"),
    ]


def test_a_gap_of_an_unknown_stretch_is_shown_and_not_complete() -> None:
    verdict = verdict_on(gaps=(gap(cause="rate_limited", since_ms=None, until_ms=None, source=""),))
    assert ([each.number for each in verdict.gaps], verdict.complete) == ([1], False)


def test_what_a_sink_accepted_and_does_not_have_is_missing_and_not_delivered() -> None:
    dropped = gap(cause="dropped_by_sink", sink="out", since_ms=NOON, until_ms=NOON, events=2)
    verdict = verdict_on(books(accepted=5), books(sink="udp", accepted=5), gaps=(dropped,))
    assert [(line.sink, line.delivered, line.missing) for line in verdict.lines] == [("out", 3, 2), ("udp", 5, 0)]
    more = msgspec.structs.replace(dropped, events=9)
    assert only(verdict_on(books(accepted=5), gaps=(more,))).delivered == 0


def test_what_waits_and_what_nothing_confirms_is_not_called_complete() -> None:
    assert only(verdict_on(books(accepted=5, waiting=1))).judgement == "waiting"
    assert only(verdict_on(books(sink="udp", accepted=5))).judgement == "not provable"
    assert only(verdict_on(books(sink="gone", accepted=5))).judgement == "not provable"


def test_a_day_is_complete_once_a_pass_is_over_it() -> None:
    begin, end = NOON - 12 * HOUR, NOON + 12 * HOUR
    for reached, judgement, over in ((end - 1, "not compared", []), (end, "complete", ["1"])):
        line = only(verdict_on(books(accepted=5), passes={"acme": Passes(begin, [reached, begin])}))
        assert (line.judgement, line.passes) == (judgement, over)
    begun_later = Passes(begin + 1, [begin + 1])
    assert (only(verdict_on(books(accepted=5), passes={"acme": begun_later})).judgement) == "not read again"
    assert begun_later.closed_ms is None


def test_the_row_of_the_cursor_says_how_far_each_pass_came() -> None:
    passes = passes_of({"begun": 5, "passes": [{"to": 9, "windows": 1}, {"to": 5}]})
    assert passes == Passes(5, [9, 5])
    assert passes.closed_ms == 9
    for damaged in ({}, {"begun": 5}, {"begun": None, "passes": []}, {"begun": 5, "passes": [3]}):
        assert passes_of(damaged) is None


def test_only_what_is_chosen_is_judged_and_a_source_stands_for_its_places() -> None:
    lines = (books(source="acme/one", accepted=1), books(source="other", accepted=1, detached=1))
    verdict = verdict_on(*lines, gaps=(gap(source="other"),), chosen=Chosen(source="acme"))
    assert [line.source for line in verdict.lines] == ["acme/one"]
    assert verdict.complete
    assert verdict_on(gaps=(gap(source="other", since_ms=NOON),), chosen=Chosen(until="2026-11-13")).complete


def test_no_gap_is_tried_with_each_line(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    days_of = GapLine.days

    def days(self: GapLine) -> tuple[str, str]:
        asked.append(self.number)
        return days_of(self)

    def work(count: int) -> int:
        asked.clear()
        lines = [books(f"2026-{1 + at // 28:02}-{1 + at % 28:02}", accepted=5) for at in range(count)]
        gaps = tuple(gap(at, sink="out", since_ms=NOON + at, until_ms=NOON + HOUR) for at in range(20))
        verdict_on(*lines, gaps=gaps)
        return len(asked)

    monkeypatch.setattr(GapLine, "days", days)
    assert work(300) == work(3)


def test_gaps_of_any_source_sink_and_day_are_near_the_lines_that_they_may_concern() -> None:
    lines = [
        books(day, sink, source, accepted=5)
        for day in ("", DAY, NEXT)
        for sink in ("out", "udp")
        for source in ("acme", "other")
    ]
    gaps = (
        gap(1, source="", sink="", since_ms=NOON, until_ms=NOON),
        gap(2, source="other", sink="", since_ms=None, until_ms=NOON),
        gap(3, source="", sink="udp", since_ms=NOON + 24 * HOUR, until_ms=None, opened_ms=NOON + 24 * HOUR),
        gap(4, source="acme", sink="out", since_ms=NOON, until_ms=NOON + 24 * HOUR),
    )
    found = {(line.day, line.source, line.sink): line.gaps for line in verdict_on(*lines, gaps=gaps).lines}
    in_time = {DAY: {1, 2, 4}, NEXT: {3, 4}, "": {1, 2, 3, 4}}
    for (day, source, sink), numbers in found.items():
        of_it = {
            1,
            *([2] * (source == "other")),
            *([3] * (sink == "udp")),
            *([4] * ((source, sink) == ("acme", "out"))),
        }
        if day in in_time:
            assert numbers == sorted(of_it & in_time[day]), (day, source, sink)


@given(
    st.lists(
        st.tuples(*[st.integers(0, 5)] * 5, st.sampled_from([DAY, NEXT, ""]), st.sampled_from(["out", "udp"])),
        unique_by=lambda row: row[5:],
    ),
    st.lists(
        st.builds(
            gap,
            number=st.integers(1, 9),
            cause=st.sampled_from(["detached", "damaged_page", "cursor_lost", "dropped_by_sink"]),
            state=st.sampled_from(["open", "fetching", "closed", "lost"]),
            sink=st.sampled_from(["", "out", "udp"]),
            since_ms=st.sampled_from([None, NOON, NOON + 24 * HOUR]),
            until_ms=st.sampled_from([None, NOON + HOUR]),
            first_seq=st.sampled_from([None, 1]),
            events=st.sampled_from([None, 0, 3]),
            closed_by=st.sampled_from(["", "replay", "backfill"]),
        ),
        max_size=4,
    ),
)
def test_each_line_adds_up_and_nothing_missing_is_ever_called_complete(
    rows: list[tuple[int, int, int, int, int, str, str]], gaps: list[GapLine]
) -> None:
    names = ("accepted", "rejected", "filtered", "detached", "waiting")
    found = [books(day, sink, **dict(zip(names, numbers, strict=True))) for *numbers, day, sink in rows]
    verdict = verdict_on(*found, gaps=tuple(gaps))
    for line in verdict.lines:
        parts = (line.delivered, line.rejected, line.filtered, line.waiting, line.missing)
        assert (line.expected, min(parts) >= 0) == (sum(parts), True)
        assert (line.judgement == "gap") == bool(line.missing or line.gaps)
    assert verdict.complete == (not verdict.gaps and all(line.judgement != "gap" for line in verdict.lines))
    for one, other in itertools.pairwise(verdict.lines):
        assert (one.day, one.source, one.sink) < (other.day, other.source, other.sink)
