"""How soon the tail looks again at the tip, in simulated time: the real budget and shares, and events that arrive."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forwarder.contracts import Page
from forwarder.net.fair import FORGOTTEN
from forwarder.net.retry import RequestBudget
from forwarder.observe.reports import SourceReport
from forwarder.polling.looks import LEAST, NET, PART, Looks, next_wait
from forwarder.polling.plan import BACKFILL, RECONCILE, REREAD, TAIL
from forwarder.polling.shares import TAIL_SHARE, least_share, path_of
from tests.clocks import FakeClock

HOUR = 3600.0


def page_of(events: int, *, more: bool = False, stands_at: float | None = None) -> Page:
    """A page of so many events, whatever they are."""
    at = None if stands_at is None else int(stands_at * 1000)
    return Page(bodies=range(events), keys=(), digests=(), minutes=(), next={}, more=more, stands_at=at)  # type: ignore[arg-type]


class Left:
    """What is left of a budget."""

    def __init__(self, budget: RequestBudget, clock: FakeClock) -> None:
        self._budget, self._clock = budget, clock
        self.others = 0.0

    @property
    def room(self) -> float:
        return self._budget.line.room(self._clock.now)


class Tail:
    """The tail of a source whose events arrive by chance, `rate` a second, and are read as soon as it is asked."""

    def __init__(self, number: int, rate: float, every: float, left: Left, clock: FakeClock, *, leads_on: bool) -> None:
        self._leads_on = leads_on
        self.path = path_of(f"source{number}", TAIL)
        self.asked, self.delays = list[float](), list[float]()
        self.due = clock.now + number * every / 50  # they do not begin at one moment
        self.every, self._rate, self._rng = every, rate, random.Random(number)
        self._report = SourceReport("acme", "scripted")
        self._looks = Looks(every, left, clock, self._report)
        self._next = clock.now + self._gap()

    def _gap(self) -> float:
        return self._rng.expovariate(self._rate) if self._rate else math.inf

    def look(self, now: float) -> None:
        self.asked.append(now)
        before = len(self.delays)
        while self._next <= now and len(self.delays) - before < 500:
            self.delays.append(now - self._next)
            self._next += self._gap()
        new = len(self.delays) - before
        self._report.requests_by_reader[TAIL] += 1
        page = page_of(new, more=self._leads_on and new > 0, stands_at=now - 2)
        self.due = min(self._looks.due(page, new), now + self.every)  # the bell


@dataclass
class World:
    """Tails at the tip that share a budget.

    Attributes:
        walks: They begin so many pages every so many seconds, by cursor.
        leads_on: The API gives a cursor with each event, also where no more follows.
    """

    per_minute: float
    rates: Sequence[float]
    every: float = 30.0
    walks: dict[str, tuple[float, float]] = field(default_factory=dict)
    leads_on: bool = False
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.budget, self.begun = RequestBudget(self.clock, self.per_minute), self.clock.now
        self.left = Left(self.budget, self.clock)
        around = (self.every, self.left, self.clock)
        self.tails = [Tail(n, rate, *around, leads_on=self.leads_on) for n, rate in enumerate(self.rates)]
        self.pages = dict.fromkeys(self.walks, 0.0)
        self._begins = dict.fromkeys(self.walks, self.begun)
        self.walked = dict.fromkeys(self.walks, 0)

    def run(self, seconds: float) -> World:
        line, end = self.budget.line, self.clock.now + seconds
        while (now := self.clock.now) < end:
            for name, (pages, period) in self.walks.items():
                while self._begins[name] <= now:
                    self.pages[name] += pages
                    self._begins[name] += period
            tails = {tail.path: tail for tail in self.tails if tail.due <= now}
            walks = {path_of("source0", name): name for name, left in self.pages.items() if left >= 1}
            walks = {path: name for path, name in walks.items() if line.order.wait(path, now) <= 0}
            claims = [*tails, *walks]
            with line.joined(lambda claims=claims: claims):
                path = line.first(last=self.budget.wait(2) > 0) if claims and self.budget.wait() <= 0 else None
            if path is None:
                self.clock.advance(max(1e-3, min(0.5, self._until_something(now))))
                continue
            self.budget.reserve()
            line.charge(path, now, self.budget.interval)
            if path in tails:
                tails[path].look(now)
            else:
                self.pages[walks[path]] -= 1
                self.walked[walks[path]] += 1
        return self

    def _until_something(self, now: float) -> float:
        waits = [tail.due - now for tail in self.tails if tail.due > now]
        return min([*waits, self.budget.wait() or self.budget.wait(2) or math.inf])

    def most_in_an_hour(self) -> int:
        """Return the most requests for all tails in any hour."""
        asked = sorted(moment for tail in self.tails for moment in tail.asked)
        first, most = 0, 0
        for last, moment in enumerate(asked):
            while asked[first] <= moment - HOUR:
                first += 1
            most = max(most, last - first + 1)
        return most

    def delays(self) -> tuple[float, float]:
        """Return what half of the events waited at most, and 99 of 100."""
        cuts = statistics.quantiles([delay for tail in self.tails for delay in tail.delays], n=100)
        return cuts[49], cuts[98]


BUSY = {REREAD: (24.0, 300.0), RECONCILE: (3 * 144.0, HOUR)}
"""What 20 events a second make others read: the newest ten minutes every five, and each hour three times."""


def looks_of(clock: FakeClock) -> tuple[Looks, SourceReport]:
    report = SourceReport("acme", "scripted")
    return Looks(30.0, Left(RequestBudget(clock, 1e9), clock), clock, report), report


def test_the_next_look_comes_sooner_while_there_is_news() -> None:
    waits, last = [], 30.0
    for news in (True, True, False, False, False, True):
        last = next_wait(last, 30.0, news=news)
        waits.append(last)
    assert waits == [5, 5, 10, 20, 30, 5]


@pytest.mark.parametrize(("requests", "events", "new", "wait"), [
    (1, 1000, 1, 5), (2, 1010, 1010, 5), (2, 2000, 20, 9.9), (8, 8000, 8, 45), (1, 5, 0, 45),
])  # fmt: skip
def test_a_look_that_reads_much_that_is_known_is_as_much_rarer(requests, events, new, wait) -> None:
    clock = FakeClock()
    looks, report = looks_of(clock)
    report.requests_by_reader[TAIL] += requests
    assert looks.due(page_of(events), new) - clock.now == pytest.approx(wait)


@given(
    last=st.floats(0.01, 1e5), every=st.floats(0.01, 86_400), news=st.booleans(), room=st.floats(0, 1e3),
    others=st.floats(0, 1), known=st.floats(0, 100),
)  # fmt: skip
def test_no_look_comes_later_than_ever_nor_sooner_than_there_is_room(last, every, news, known, room, others) -> None:
    wait = next_wait(last, every, news=news, known=known, room=room, others=others)
    assert min(every, LEAST) <= wait <= every
    assert wait >= min(every, room)
    assert wait >= min(every, every / PART)
    assert news or wait >= min(every, 2 * last)
    assert wait <= next_wait(last, every, news=news, known=known, room=room + 1, others=others)


@pytest.mark.parametrize(("others", "wait"), [(0.0, 5), (0.5, 10), (0.8, 25), (0.9, 30), (1.0, 30)])
def test_what_others_use_up_makes_looks_as_much_rarer(others: float, wait: float) -> None:
    assert next_wait(30.0, 30.0, news=True, others=others) == pytest.approx(wait)


def test_a_page_of_a_look_with_several_that_is_empty_takes_no_news_away() -> None:
    clock = FakeClock()
    looks, report = looks_of(clock)
    assert (looks.due(page_of(3, more=True), 3), report.next_look) == (0, 0)
    waits = []
    for _ in range(4):
        waits.append(looks.due(page_of(0), 0) - clock.now)
        assert report.next_look == (clock.now + waits[-1] if len(waits) < 4 else 0)
    assert waits == [5, 10, 20, 30 * NET]


def test_a_loop_is_asked_as_seldom_as_when_it_is_quiet() -> None:
    clock = FakeClock()
    looks, _ = looks_of(clock)
    page = msgspec.structs.replace(page_of(3), looping=True)
    assert [looks.due(page, new) - clock.now for new in (3, 0)] == [30 * NET, 30 * NET]


@pytest.mark.parametrize(("events", "age", "due"), [
    (100, 2, 5), (100, 59, 5), (100, -3600, 5), (100, 61, None), (500, 2, None), (501, 2, None), (0, 2, None),
])  # fmt: skip
def test_a_page_that_leads_on_is_the_end_of_a_look_where_it_is_smaller_than_others_and_near_now(
    events: int, age: float, due: float | None
) -> None:
    clock = FakeClock()
    looks, _ = looks_of(clock)
    assert looks.due(page_of(500, more=True, stands_at=clock.now - 5000), 500) == 0
    found = looks.due(page_of(events, more=True, stands_at=clock.now - age), events)
    assert found == (0 if due is None else clock.now + due)
    assert looks.is_near == (due is not None)


def test_what_is_read_in_windows_or_has_no_times_is_asked_at_once_while_more_follows() -> None:
    looks, _ = looks_of(FakeClock())
    assert [looks.due(page_of(events, more=True), events) for events in (500, 100)] == [0, 0]


@pytest.mark.parametrize("leads_on", [False, True])
@pytest.mark.parametrize(("per_minute", "walks"), [(50.0, BUSY), (50.0, BUSY | {BACKFILL: (1e9, 1e9)}), (10.0, {})])
def test_live_events_of_a_busy_organization_are_read_within_seconds(
    per_minute: float, walks: dict, *, leads_on: bool
) -> None:
    world = World(per_minute, [20.0], walks=walks, leads_on=leads_on).run(HOUR)
    p50, p99 = world.delays()
    assert p50 <= 4.1
    assert p99 <= 9
    assert len(world.tails[0].asked) <= HOUR / 5 * 1.05


def test_a_quiet_organization_is_asked_as_often_as_ever() -> None:
    [tail] = World(50, [0.0]).run(10 * HOUR).tails
    assert len(tail.asked) == pytest.approx(10 * HOUR / 30, abs=2)


@example(per_minute=2.0, rates=[0.0, 0.0, 0.3, 0.0], every=300.0, walks={})
@settings(max_examples=12, deadline=None)
@given(
    per_minute=st.sampled_from([2.0, 10.0, 50.0]),
    rates=st.lists(st.sampled_from([0.0, 0.001, 0.02, 0.3, 20.0]), min_size=1, max_size=8),
    every=st.sampled_from([5.0, 30.0, 300.0]),
    walks=st.dictionaries(
        st.sampled_from([BACKFILL, REREAD]), st.sampled_from([(1e9, 1e9), (24.0, 300.0)]), max_size=2
    ),
)
def test_tails_ask_no_more_in_any_hour_than_their_share_or_than_they_ever_did(per_minute, rates, every, walks) -> None:
    world = World(per_minute, rates, every, walks).run(1.2 * HOUR)
    ever = len(rates) * HOUR / every
    share = least_share("tail") * per_minute * 60
    assert world.most_in_an_hour() <= max(share, ever) + len(rates) + 2
    assert share == TAIL_SHARE / (TAIL_SHARE + 1) * per_minute * 60


@pytest.mark.parametrize("leads_on", [False, True])
@pytest.mark.parametrize("per_minute", [10.0, 50.0])
def test_history_gets_three_quarters_of_what_the_api_allows_beside_a_busy_tail(
    per_minute: float, *, leads_on: bool
) -> None:
    world = World(per_minute, [10.0], walks={BACKFILL: (1e9, 1e9)}, leads_on=leads_on).run(HOUR)
    assert world.walked[BACKFILL] >= 0.74 * per_minute * 60


def test_sources_that_share_a_budget_share_the_room_in_it() -> None:
    world = World(10, [20.0] * 3).run(HOUR)
    asked = [len(tail.asked) for tail in world.tails]
    assert max(asked) - min(asked) <= 4
    assert world.delays()[0] <= 13


def test_what_was_asked_for_long_ago_keeps_no_look_away() -> None:
    """A tail that caught up for an hour has paid that back in minutes."""
    clock = FakeClock()
    line = RequestBudget(clock, 10).line
    for _ in range(600):
        line.charge(path_of("acme", TAIL), clock.now, 6.0)
        clock.advance(6)
    assert 0 < line.room(clock.now) <= FORGOTTEN
    clock.advance(FORGOTTEN)
    assert line.room(clock.now) == 0
