"""For every mix of live rate, budget and faults each open walk ends: simulated time, the real budget, plan and shares.

A small world stands for the rest: how many pages each reader has before it, how many come while it reads, and what
becomes of its requests. Nothing sleeps.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forwarder.contracts import RetryConfig
from forwarder.net.retry import RequestBudget
from forwarder.polling.plan import BACKFILL, HEAL, RECONCILE, REREAD, TAIL, Plan
from forwarder.polling.shares import RECONCILE_MOST, TAIL_SHARE, least_share, path_of, reader_of
from tests.clocks import FakeClock
from tests.examples import examples

MORE = "backfill:more"
WALKS = (HEAL, REREAD, RECONCILE, BACKFILL, MORE)


@dataclass
class Walk:
    """A walk that has so many pages before it; of the tail, as many as have come."""

    left: float
    fails_every: int = 0
    takes: float = 0.1
    asked: int = 0
    ended: float | None = None
    done_at: float = 0.0


@dataclass
class World:
    """Sources that share a budget. `live` is how many pages come for each tail a minute, on the average."""

    per_minute: float
    live: float
    sources: list[dict[str, Walk]]
    rereads: float = 0.0  # pages of a re-read that begins again as soon as it ended
    clock: FakeClock = field(default_factory=FakeClock)
    turns: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def __post_init__(self) -> None:
        self.budget = RequestBudget(self.clock, self.per_minute)
        self.begun = self.clock.now
        self.plans = [Plan(RetryConfig(base=1, max=60), random.Random(number)) for number in range(len(self.sources))]

    def pages(self, walk: Walk) -> float:
        """Return the pages that wait for a tail."""
        return self.live * (self.clock.now - self.begun) / 60 - walk.asked

    def free(self, number: int) -> list[str]:
        """Return the cursors of a source that may be asked now: one walk at a time, beside the tail."""
        now, walks = self.clock.now, self.sources[number]
        is_busy = any(walk.done_at > now for name, walk in walks.items() if name != TAIL)
        names = [
            name for name, walk in walks.items()
            if walk.done_at <= now and (self.pages(walk) >= 1 if name == TAIL else not is_busy and walk.left > 0)
        ]  # fmt: skip
        return self.plans[number].ready(names, now)

    def until_a_tail_wants(self) -> float:
        """Return the seconds until some tail that wants nothing now does: whoever waits looks again then."""
        return min(map(self._until_it_wants, (walks[TAIL] for walks in self.sources)))

    def _until_it_wants(self, tail: Walk) -> float:
        pages, answer = self.pages(tail), tail.done_at - self.clock.now
        if pages >= 1:
            return answer if answer > 0 else math.inf
        return max((1.001 - pages) * 60 / self.live, answer) if self.live else math.inf

    def until_more_are_free(self) -> float:
        """Return the seconds until one may be asked who may not be now, or an answer comes; a step of the world at least."""
        now, soonest = self.clock.now, self.until_a_tail_wants()
        for walks, plan in zip(self.sources, self.plans, strict=True):
            for name, walk in walks.items():
                course = plan[name]
                for at in (walk.done_at, course.due, course.blocked, course.steps_back):
                    if 0 < at - now < soonest:
                        soonest = at - now
        return max(0.05, soonest)

    def ask(self) -> None:
        """Let the next place come, and give it to whom it belongs."""
        line, now = self.budget.line, self.clock.now
        claims = {path_of(str(n), name): (n, name) for n in range(len(self.sources)) for name in self.free(n)}
        waits = {path: line.order.wait(path, now) for path in claims}
        claims = {path: who for path, who in claims.items() if waits[path] <= 0}
        if not claims:
            self.clock.advance(max(0.001, min([self.until_more_are_free(), *waits.values()])))
            return
        with line.joined(lambda: claims):
            path = line.first(last=self.budget.wait(2) > 0) if self.budget.wait() <= 0 else None
        if path is None:
            self.clock.advance(max(1e-6, min(self.budget.wait() or self.budget.wait(2), self.until_a_tail_wants())))
            return
        number, name = claims[path]
        self.budget.reserve()
        line.charge(path, now, self.budget.interval)
        self.turns.append(name)
        walk, course = self.sources[number][name], self.plans[number][name]
        walk.asked += 1
        walk.done_at = now + walk.takes
        self.plans[number].took(name, walk.takes, walk.done_at)
        if walk.fails_every and walk.asked % walk.fails_every:
            course.blocked = walk.done_at + max(course.backoff.next(), walk.takes)
            return
        course.backoff.reset()
        if name == TAIL:
            self.slowest = max(self.slowest, self.pages(walk))
            return
        walk.left -= 1
        if walk.left <= 0:
            walk.ended = now
            if name == REREAD and self.rereads:
                self.plans[number].end(name)
                walk.left = self.rereads

    def run(self, until: float) -> None:
        """Go on until every walk has ended once."""
        while self.clock.now < self.begun + until:
            if all(walk.ended is not None for walks in self.sources for name, walk in walks.items() if name != TAIL):
                return
            self.ask()
        raise AssertionError({name: walk for walks in self.sources for name, walk in walks.items()})


def walks(**left: float) -> dict[str, Walk]:
    return {TAIL: Walk(0), **{name: Walk(pages) for name, pages in left.items()}}


FAULTS = st.sampled_from([0, 0, 2, 3])
SLOW = st.sampled_from([0.05, 0.5, 4.0, 30.0, 120.0])
WALK = st.builds(Walk, st.integers(1, 40).map(float), FAULTS, SLOW)


@settings(max_examples=examples(25), deadline=None)
@given(
    per_minute=st.sampled_from([10.0, 50.0, 600.0]),
    part=st.floats(0, 3),
    sources=st.lists(st.dictionaries(st.sampled_from(WALKS), WALK, min_size=1), min_size=1, max_size=4),
    rereads=st.sampled_from([0.0, 1.0, 20.0]),
    tail=st.builds(Walk, st.just(0.0), FAULTS, SLOW),
)
@example(per_minute=10.0, part=3.0, sources=[{name: Walk(40.0, 3, 120.0) for name in WALKS}], rereads=1.0, tail=Walk(0))
def test_each_walk_ends_whatever_the_others_want_and_whatever_fails_or_is_slow(
    per_minute, part, sources, rereads, tail
):
    made = [
        {TAIL: Walk(0, tail.fails_every, tail.takes)}
        | {name: Walk(walk.left, walk.fails_every, walk.takes) for name, walk in found.items()}
        for found in sources
    ]
    world = World(per_minute, part * per_minute / len(made), made, rereads)
    world.run(until=20 * 86_400)


@pytest.mark.parametrize("rereads", [1.0, 3.0, 167.0])
def test_history_goes_on_where_the_newest_is_read_again_all_the_time(rereads: float) -> None:
    """At a third of the limit of 50 a minute the tail needs a third, and what is read again fills what it leaves."""
    world = World(50, 50 / 3, [walks(trail=rereads, backfill=400)], rereads)
    world.run(until=3600)
    ended = world.sources[0][BACKFILL].ended
    assert ended is not None
    # Two thirds are free, and five sixths of that are for history: 27 a minute.
    assert 400 / 30 < (ended - world.begun) / 60 < 400 / 25
    assert world.slowest < 2, "live events wait for nothing"


@pytest.mark.parametrize("live", [0.0, 0.3, 0.6, 2.0])
def test_all_that_want_everything_get_their_shares(live: float) -> None:
    world = World(600, 600 * live, [walks(**dict.fromkeys(WALKS, 1e9))])
    for walk in world.sources[0].values():
        walk.takes = 0.01
    while len(world.turns) < 4000:
        world.ask()
    got = Counter(map(reader_of, world.turns))
    tail = min(live, TAIL_SHARE / (TAIL_SHARE + 1))
    assert got["tail"] / 4000 == pytest.approx(tail, abs=0.01)
    assert got["backfill"] / 4000 == pytest.approx((1 - tail) / 2, abs=0.02)
    assert got["reconcile"] / 4000 <= RECONCILE_MOST + 0.005
    for reader in ("heal", "reread", "backfill"):
        assert got[reader] / 4000 >= least_share(reader) - 0.01
    named = Counter(world.turns)
    assert abs(named[BACKFILL] - named[MORE]) <= 2


def test_reconcile_takes_no_more_than_its_part_when_nobody_else_wants_anything() -> None:
    world = World(600, 0, [walks(reconcile=1e9), walks(reconcile=1e9)])
    while world.clock.now < world.begun + 600:
        world.ask()
    assert len(world.turns) == pytest.approx(RECONCILE_MOST * 6000, rel=0.05)


def test_a_source_whose_history_is_long_does_not_hold_up_another_with_the_same_key() -> None:
    world = World(60, 10, [walks(backfill=1e9, heal=1e9), walks(backfill=30), walks()])
    world.sources[0][HEAL].ended = world.sources[0][BACKFILL].ended = 0.0  # of these, no end is waited for
    world.run(until=3600 * 2)
    assert world.slowest < 4, "the tails of all come first"


@pytest.mark.parametrize("live", [0.02, 0.1, 0.2, 1 / 3, 0.5, 0.7])
def test_live_events_wait_for_no_other_reader_while_the_whole_is_within_the_budget(live: float) -> None:
    delays: dict[bool, float] = {}
    for beside in (False, True):
        world = World(50, 50 * live, [walks(**dict.fromkeys(WALKS, 1e9 if beside else 0.0))])
        [tail], latest = [found[TAIL] for found in world.sources], 0.0
        while world.clock.now < world.begun + 3 * 3600:
            before = tail.asked
            world.ask()
            if tail.asked > before > 2:
                latest = max(latest, world.clock.now - world.begun - tail.asked * 60 / world.live)
        delays[beside] = latest
    assert delays[True] <= delays[False] + 0.06, "a step of the world is 0.05 s, a place comes every 1.2 s"
