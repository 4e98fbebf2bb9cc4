"""The events that wait apart: how many, when each is tried again, and when the patience is over."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from forwarder.contracts import Origin, Record
from forwarder.delivery import aside
from forwarder.delivery.aside import MOST, MOST_BYTES, TRIES, Asides
from forwarder.observe.reports import LaneReport
from tests.clocks import FakeClock

ORIGIN = Origin("acme", "organization", "org-1")


def record(seq: int, raw: int = 10, body: int = 10) -> Record:
    return Record(seq=seq, origin=ORIGIN, id=f"id{seq}", raw=b"r" * raw, body=b"b" * body)


class Apart:
    """Events apart, a clock and a report."""

    def __init__(self, patience: float = 100.0) -> None:
        self.clock = FakeClock()
        self.report = LaneReport("one", "scripted")
        self.asides = Asides(patience, clock=self.clock, report=self.report)

    def named(self) -> list[int]:
        return [one.seq for one in self.report.aside]


def test_an_event_apart_is_named_with_its_reason_and_the_moment_and_again_with_each_failure() -> None:
    a = Apart()
    assert not a.asides
    with capture_logs() as logs:
        assert a.asides.add(record(7), "it resets")
    assert [(line["event"], line["number"], line["id"], line["reason"]) for line in logs] == [
        ("event_set_aside", 7, "id7", "it resets")
    ]
    assert a.asides
    began = a.clock.time()
    (shown,) = a.report.aside
    assert (shown.seq, shown.document_id, shown.reason, shown.since, shown.tries) == (7, "id7", "it resets", began, 1)
    a.clock.advance(25)
    assert a.asides.next_try() == began + 25
    assert a.asides.take() == record(7)
    assert a.asides.next_try() == 0, "it is on its way"
    a.asides.put_back(record(7), "now a 500", counts=True)
    (shown,) = a.report.aside
    assert (shown.reason, shown.since, shown.tries) == ("now a 500", began, 2)
    a.clock.advance(25)
    a.asides.take()
    a.asides.put_back(record(7), "the network is down", counts=False)
    assert a.report.aside == (shown,), "what says nothing of the event is not told of it"


def test_the_words_name_the_first_and_say_how_many_more() -> None:
    a = Apart()
    a.asides.add(record(7), "it resets")
    assert a.asides.in_words() == "event 7 (id id7) waits apart while others are taken: it resets"
    a.asides.add(record(9), "other")
    assert a.asides.in_words() == "event 7 (id id7) and 1 more waits apart while others are taken: it resets"
    a.asides.add(record(3), "other")
    assert " and 2 more waits" in a.asides.in_words()


def test_each_is_tried_after_a_quarter_of_the_patience_the_longest_waiting_first_and_never_twice_at_once() -> None:
    a = Apart(patience=100)
    assert a.asides.due() == float("inf")
    assert a.asides.take() is None
    a.asides.add(record(1), "x")
    a.clock.advance(10)
    a.asides.add(record(2), "x")
    assert a.asides.due() == 15
    assert a.asides.take() is None
    a.clock.advance(15)
    assert a.asides.due() == 0
    assert a.asides.take() == record(1)
    assert a.asides.take() is None, "it is on its way, and the other is not due"
    assert a.asides.due() == 10
    a.clock.advance(50)
    assert a.asides.due() == 0
    assert a.asides.take() == record(2)
    assert a.asides.take() is None
    a.asides.put_back(record(1), "x", counts=True)
    assert a.asides.due() == 25


@pytest.mark.parametrize(("failures", "seconds", "over"), [(3, 100, True), (3, 99, False), (2, 100, False)])
def test_the_patience_is_over_after_enough_failures_and_enough_time(failures: int, seconds: float, over: bool) -> None:
    assert TRIES == 3
    a = Apart(patience=100)
    a.asides.add(record(1), "x")  # which is the first failure
    for _ in range(failures - 2):
        assert not a.asides.put_back(record(1), "x", counts=True)
    a.clock.advance(seconds)
    assert a.asides.put_back(record(1), "x", counts=True) is over


def test_what_says_nothing_of_the_event_never_ends_the_patience() -> None:
    a = Apart(patience=0)
    a.asides.add(record(1), "x")
    for _ in range(2 * TRIES):
        assert not a.asides.put_back(record(1), "x", counts=False)
    assert not a.asides.put_back(record(1), "x", counts=True)
    assert a.asides.put_back(record(1), "x", counts=True)
    assert not a.asides.put_back(record(1), "x", counts=False)
    assert a.asides.put_back(record(1), "x", counts=True)


def test_what_is_settled_is_forgotten_and_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "MOST", 2)
    a = Apart()
    assert a.asides.add(record(1), "x")
    assert a.asides.add(record(2), "x")
    assert not a.asides.add(record(3), "x")
    assert a.named() == [1, 2]
    a.asides.settled(record(1))
    assert a.named() == [2]
    assert a.asides.due() == 25
    assert a.asides.add(record(3), "x")
    for seq in (2, 3):
        a.asides.settled(record(seq))
    assert (a.asides.due(), a.report.aside, bool(a.asides)) == (float("inf"), (), False)


def test_the_room_is_bounded_in_bytes_of_event_and_body_but_for_one_alone() -> None:
    half = MOST_BYTES // 2
    a = Apart()
    assert a.asides.add(record(1, raw=2 * half, body=2 * half), "x")
    assert not a.asides.add(record(2), "x")
    a.asides.settled(record(1, raw=2 * half, body=2 * half))
    assert a.asides.add(record(3, raw=half, body=0), "x")
    assert not a.asides.add(record(4, raw=half // 2, body=half // 2 + 1), "x")
    assert a.asides.add(record(4, raw=half // 2, body=half // 2), "x")
    assert not a.asides.add(record(5, raw=0, body=1), "x")
    a.asides.settled(record(4, raw=half // 2, body=half // 2))
    assert a.asides.add(record(5, raw=0, body=half), "x")
    assert (MOST, MOST_BYTES) == (100, 8 * 1024 * 1024)
