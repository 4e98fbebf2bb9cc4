"""The search for the event that a sink fails on: what is sent next, and whose fault a failure is. Nothing is sent here."""

from __future__ import annotations

import asyncio

import pytest

from forwarder.contracts import Origin, Record
from forwarder.delivery.isolation import ALIKE, ALONE, STALE, Case, Evidence, Part

ORIGIN = Origin("acme", "organization", "org-1")


def record(seq: int) -> Record:
    return Record(seq=seq, origin=ORIGIN, id=f"{seq:032x}", raw=b"{}", body=b"{}")


def records(*numbers: int) -> list[Record]:
    return [record(number) for number in numbers]


def numbers(part: Part | None) -> list[int]:
    assert part is not None
    return [one.seq for one in part.records]


class Search:
    """One batch, sent again and again; another slot may be taken from meanwhile."""

    def __init__(self, *seqs: int, suspected: bool = False) -> None:
        self.evidence = Evidence()
        self.case = Case(records(*seqs), self.evidence, suspected=suspected)

    def next(self) -> Part:
        part = self.case.next()
        assert part is not None
        self.evidence.begin()
        return part

    def fails(self, *, at_once: bool = False, named: int | None = None) -> tuple[list[int], Record | None]:
        """Send what is next, in vain; return what it was, and who is at fault."""
        part = self.next()
        return numbers(part), self.case.failed(part, part.records, at_once=at_once, named=named)

    def another_is_taken(self) -> None:
        self.evidence.taken(self.evidence.begin())

    def fails_alike(self) -> None:
        for _ in range(ALIKE):
            self.fails()


# ---------------------------------------------------------------------------------------------------- what comes next


def test_a_batch_goes_whole_until_it_failed_so_often_that_a_search_begins() -> None:
    s = Search(1, 2, 3, 4)
    for failures in range(ALIKE):
        assert not s.case.searching
        assert not s.case.blames_sink
        part = s.next()
        assert (part.role, numbers(part)) == ("whole", [1, 2, 3, 4])
        assert s.case.failures == failures
        assert s.case.failed(part, part.records) is None
    assert s.case.searching
    assert s.case.blames_sink
    assert s.next().role == "probe"
    assert [one.seq for one in s.case.rest()] == [1, 2, 3, 4], "a probe takes nothing out of the batch"


def test_a_sink_that_names_the_event_is_searched_for_it_at_once() -> None:
    s = Search(1, 2)
    assert s.fails(at_once=True) == ([1, 2], None)
    assert s.case.searching
    assert s.next().role == "probe"


@pytest.mark.parametrize(
    ("events", "named", "parts"),
    [
        (5, 1, [[1], [2, 3, 4, 5]]),
        (5, 3, [[3], [1, 2], [4, 5]]),
        (5, 5, [[5], [1, 2, 3, 4]]),
        (5, 9, [[1, 2], [3, 4, 5]]),
        (5, None, [[1, 2], [3, 4, 5]]),
        (2, 2, [[2], [1]]),
        (2, None, [[1], [2]]),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_the_event_that_the_sink_names_is_tried_alone_before_its_neighbours(
    events: int, named: int | None, parts: list[list[int]], known: bool
) -> None:
    s = Search(*range(1, events + 1))
    if known:
        s.fails()
        s.another_is_taken()
    s.fails(at_once=True, named=named)
    if not known:
        s.fails()  # the first alone, while it is not known whether the sink takes anything
        s.case.failed(Part(records(9), "control"), records(9), named=named)
        s.another_is_taken()
    assert [numbers(s.next()) for _ in parts] == parts


def test_a_suspected_batch_is_searched_from_the_first_send_on() -> None:
    s = Search(1, 2, suspected=True)
    assert s.case.blames_sink
    assert s.next().role == "probe"
    s.another_is_taken()
    fresh = Case(records(1, 2), Evidence(), suspected=True)
    assert (fresh.searching, fresh.failures, fresh.controlled) == (True, ALIKE, False)


@pytest.mark.parametrize("events", range(2, 14))
def test_while_all_fails_the_first_the_last_and_then_every_event_is_tried_alone(events: int) -> None:
    s = Search(*range(1, events + 1))
    s.fails_alike()
    tried = [s.fails()[0] for _ in range(2 * (events + 2))]
    assert all(len(one) == 1 for one in tried)
    alone = [one[0] for one in tried]
    assert alone[:4] == [1, 1, events, events]
    assert set(alone) == set(range(1, events + 1))


def test_every_other_question_is_about_an_event_behind_the_batch() -> None:
    s = Search(1, 2, 3)
    s.fails_alike()
    lent: list[int] = []

    def control() -> Record:
        lent.append(1)
        return record(99)

    roles = []
    for _ in range(6):
        part = s.case.next(control)
        assert part is not None
        roles.append(part.role)
        assert s.case.failed(part, part.records) is None
        assert s.case.controlled is ("control" in roles)
    assert roles == ["probe", "control"] * 3
    assert len(lent) == 3, "nothing is borrowed that is not sent"


def test_a_single_event_is_always_compared_when_another_waits_and_asked_alone_when_none_does() -> None:
    s = Search(1)
    s.fails_alike()
    assert [s.case.next(lambda: record(99)) for _ in range(3)] == [Part([record(99)], "control")] * 3
    for _ in range(3):
        assert s.case.next(lambda: None) == Part([record(1)], "probe")
    alone = Search(1)
    alone.fails_alike()
    assert alone.case.next(lambda: None) == Part([record(1)], "probe")
    assert not alone.case.controlled


def test_no_other_is_borrowed_while_the_sink_is_not_in_question() -> None:
    s = Search(1, 2)
    assert s.case.next(lambda: record(99)) == Part(records(1, 2), "whole")
    s.case.failed(Part(records(1, 2), "whole"), records(1, 2))
    assert s.case.next(lambda: record(99)) == Part(records(1, 2), "whole")
    assert not s.case.controlled


# ------------------------------------------------------------------------------------------------------- the halving


def test_once_another_is_taken_the_batch_is_halved_each_half_once_and_in_order() -> None:
    s = Search(1, 2, 3, 4)
    s.fails_alike()
    assert s.next().role == "probe"
    s.another_is_taken()
    assert not s.case.blames_sink
    first = s.next()
    assert (first.role, numbers(first)) == ("part", [1, 2])
    s.case.taken(first)
    assert numbers(s.next()) == [3, 4]
    assert not s.case
    assert s.case.next() is None


def test_a_batch_that_is_suspected_while_others_are_taken_goes_whole_once_more() -> None:
    s = Search(1, 2, 3, 4, suspected=True)
    s.another_is_taken()
    assert s.next() == Part(records(1, 2, 3, 4), "part")


def test_a_part_that_fails_is_halved_behind_the_others_and_a_lone_one_waits_for_its_turn() -> None:
    s = Search(1, 2, 3, 4)
    s.fails_alike()
    s.next()
    s.another_is_taken()
    assert s.fails() == ([1, 2], None)
    assert s.fails() == ([3, 4], None)
    assert s.fails() == ([1], None)
    assert [numbers(s.next()) for _ in range(4)] == [[2], [3], [4], [1]]


def test_a_batch_that_fails_before_the_search_stays_in_front() -> None:
    s = Search(1, 2, 3, 4)
    s.case.split(s.next().records)
    assert s.fails()[0] == [1, 2]
    assert numbers(s.next()) == [1, 2]
    assert numbers(s.next()) == [3, 4]


def test_the_failure_that_begins_the_search_while_others_are_taken_halves_in_front_of_nothing() -> None:
    s = Search(1, 2, 3, 4)
    s.fails()
    s.another_is_taken()
    s.fails()
    s.fails()
    assert [numbers(s.next()) for _ in range(2)] == [[1, 2], [3, 4]]


def test_what_is_too_large_is_halved_in_order_without_blame() -> None:
    s = Search(1, 2, 3, 4, 5)
    whole = s.next()
    s.case.split(whole.records)
    assert s.case.failures == 1
    assert not s.case.searching
    small = s.next()
    assert (small.role, numbers(small)) == ("whole", [1, 2])
    s.case.split(small.records)
    assert [numbers(s.next()) for _ in range(3)] == [[1], [2], [3, 4, 5]]


def test_too_large_after_other_failures_forgets_none_of_them() -> None:
    s = Search(1, 2)
    s.fails()
    s.another_is_taken()
    s.fails()
    s.case.split(s.next().records)
    assert s.case.failures == 2
    assert s.case.others_taken


def test_what_was_taken_before_something_was_too_large_is_no_evidence() -> None:
    s = Search(1, 2)
    part, other = s.next(), s.evidence.begin()
    s.case.split(part.records)
    s.evidence.taken(other)
    assert not s.case.others_taken
    s.another_is_taken()
    assert s.case.others_taken


# ---------------------------------------------------------------------------------------------------------- the blame


def test_an_event_that_fails_alone_twice_while_others_are_taken_is_at_fault_and_gone() -> None:
    s = Search(1, 2)
    s.fails_alike()
    s.next()
    s.another_is_taken()
    assert s.fails() == ([1], None)
    s.case.taken(s.next())
    assert s.fails() == ([1], record(1))
    assert not s.case
    assert ALONE == 2


def test_an_event_that_the_sink_names_is_at_fault_when_it_fails_alone_once() -> None:
    s = Search(1, 2)
    s.fails_alike()
    s.next()
    s.another_is_taken()
    assert s.fails(at_once=True) == ([1], record(1))
    assert [one.seq for one in s.case.rest()] == [2]


def test_a_question_that_failed_counts_as_once_alone() -> None:
    s = Search(1, 2)
    s.fails_alike()
    assert s.fails() == ([1], None)  # the probe
    s.another_is_taken()
    assert s.fails() == ([1], record(1))


@pytest.mark.parametrize("at_once", [False, True])
def test_while_nothing_else_is_taken_no_event_is_ever_at_fault(at_once: bool) -> None:
    s = Search(1, 2, 3)
    for _ in range(200):
        assert s.fails(at_once=at_once)[1] is None
    assert len(s.case.rest()) == 3


def test_a_lone_event_is_not_at_fault_before_its_batch_failed_often_enough() -> None:
    s = Search(1)
    assert s.fails()[1] is None
    s.another_is_taken()
    assert s.fails()[1] is None, "it failed alone twice, but a short trouble of the sink does that too"
    assert s.fails() == ([1], record(1))


def test_an_event_from_behind_the_batch_is_never_at_fault_and_never_becomes_part_of_it() -> None:
    s = Search(1, 2)
    s.fails_alike()
    s.another_is_taken()
    for _ in range(2 * ALONE):
        assert s.case.failed(Part([record(99)], "control"), [record(99)], at_once=True) is None
    assert [one.seq for one in s.case.rest()] == [1, 2]


def test_only_what_began_after_the_first_failure_says_anything_of_it() -> None:
    s = Search(1, 2)
    part, other = s.next(), s.evidence.begin()
    s.case.failed(part, part.records)
    s.evidence.taken(other)
    assert not s.case.others_taken
    s.fails()  # later failures move nothing
    s.another_is_taken()
    assert s.case.others_taken
    s.fails()
    assert s.case.others_taken
    s.evidence.taken(1)  # an old send comes home late
    assert s.case.others_taken


def test_a_batch_that_never_failed_knows_what_was_taken_since_it_was_cut() -> None:
    s = Search(1)
    assert not s.case.others_taken
    s.another_is_taken()
    assert s.case.others_taken
    late = Case(records(2), s.evidence)
    assert not late.others_taken


# -------------------------------------------------------------------------------------------- what was taken in part


@pytest.mark.parametrize("odd", [False, True])
def test_what_is_left_of_a_part_comes_next_and_counts_as_the_first_failure(odd: bool) -> None:
    s = Search(1, 2, 3, 4)
    s.fails()
    s.fails()
    part = s.next()
    s.evidence.taken(s.evidence.begun)
    s.case.progressed(part, records(2, 3), odd=odd)
    assert s.case.failures == 1
    assert s.case.others_taken is odd, "what stands before others that were taken is compared already"
    assert numbers(s.next()) == [2, 3]


def test_what_was_taken_before_is_no_comparison_for_what_is_left() -> None:
    s = Search(1, 2)
    part, other = s.next(), s.evidence.begin()
    s.evidence.taken(1)
    s.case.progressed(part, records(2), odd=False)
    s.evidence.taken(other)
    assert not s.case.others_taken
    s.another_is_taken()
    assert s.case.others_taken


def test_nothing_is_put_back_of_a_question_or_of_nothing() -> None:
    s = Search(1, 2)
    whole = s.next()
    for part in (Part([record(99)], "control"), Part([record(1)], "probe")):
        s.case.put_back(part, part.records)
    s.case.put_back(whole, [])
    assert not s.case
    s.case.put_back(whole, whole.records)
    assert numbers(s.next()) == [1, 2]


def test_a_question_that_is_taken_leaves_the_batch() -> None:
    s = Search(1, 2, 3)
    s.fails_alike()
    probe = s.next()
    s.evidence.taken(s.evidence.begun)
    s.case.taken(probe)
    assert [one.seq for one in s.case.rest()] == [2, 3]
    s.case.taken(Part([record(99)], "control"))
    assert [one.seq for one in s.case.rest()] == [2, 3]


def test_what_has_no_place_apart_is_tried_again_behind_the_others() -> None:
    s = Search(1, 2)
    s.fails_alike()
    s.another_is_taken()
    s.case.next()
    s.case.keep(record(1))
    s.case.keep(record(2))
    assert [numbers(s.next()) for _ in range(2)] == [[1], [2]]


# -------------------------------------------------------------------------------------------------- proof grows stale


def fail_apart(s: Search, times: int) -> None:
    for _ in range(times):
        s.case.failed(Part([record(99)], "control"), [record(99)])


@pytest.mark.parametrize("events", [1, 4])
def test_after_many_failures_in_a_row_the_sink_is_in_question_again(events: int) -> None:
    s = Search(*range(1, events + 1))
    s.fails_alike()
    s.another_is_taken()
    left = events + 1  # the batch, and the one from behind it
    fail_apart(s, 1)  # the first after something was taken
    fail_apart(s, STALE + 2 * ALONE * left - 1)
    assert s.case.others_taken
    fail_apart(s, 1)
    assert not s.case.others_taken
    assert s.case.blames_sink
    s.another_is_taken()
    assert s.case.others_taken


@pytest.mark.parametrize("how", ["another is taken", "a part is taken", "a part is taken in part"])
def test_anything_taken_makes_the_proof_fresh_again(how: str) -> None:
    s = Search(1, 2, 3)
    s.fails_alike()
    s.another_is_taken()
    patience = STALE + 2 * ALONE * 4
    fail_apart(s, patience)
    if how == "another is taken":
        s.another_is_taken()
        fail_apart(s, 1)
    elif how == "a part is taken":
        s.case.taken(Part([record(98)], "control"))
    else:
        s.case.progressed(Part(records(5, 6), "part"), records(6), odd=True)
    fail_apart(s, STALE)
    assert s.case.others_taken
    fail_apart(s, patience - STALE - 1)
    assert s.case.others_taken
    fail_apart(s, 1)
    assert not s.case.others_taken


def test_a_send_that_hung_since_long_before_is_no_comparison() -> None:
    """Nothing was ever taken: what comes home after so many failures began before the question."""
    for failures, counts in ((STALE + 2 * ALONE * 3, True), (STALE + 2 * ALONE * 3 + 1, False)):
        s = Search(1, 2, 3)
        s.fails()
        hung = s.evidence.begin()
        for _ in range(failures - 1):
            s.case.failed(Part([record(1)], "probe"), [record(1)])
        s.evidence.taken(hung)
        assert s.case.others_taken is counts


# ----------------------------------------------------------------------------------------------------------- evidence


def test_the_newest_send_that_was_taken_stays_the_newest() -> None:
    evidence = Evidence()
    assert [evidence.begin() for _ in range(3)] == [1, 2, 3]
    evidence.taken(3)
    evidence.taken(1)
    assert (evidence.begun, evidence.newest_taken) == (3, 3)
    evidence.believed_alone = True
    evidence.taken(2)
    assert not evidence.believed_alone


@pytest.mark.parametrize("news", ["taken", "stir"])
async def test_who_waits_for_a_reason_is_woken_by_news_and_looks_whether_it_is_one(news: str) -> None:
    evidence, reason = Evidence(), []
    waiting = asyncio.create_task(evidence.wait(lambda: bool(reason), 3600))
    await asyncio.sleep(0)
    evidence.stir()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done(), "news that is no reason"
    reason.append(1)
    evidence.taken(evidence.begin()) if news == "taken" else evidence.stir()
    await waiting


async def test_who_waits_for_a_reason_does_not_wait_for_ever_nor_at_all_when_there_is_one() -> None:
    evidence = Evidence()
    await evidence.wait(lambda: False, 0.001)
    await evidence.wait(lambda: True, 3600)
