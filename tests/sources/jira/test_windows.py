"""Jira's records over a simulated site and a real spool: every record once, whatever the API does with its windows."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import SourceContext
from forwarder.net.retry import RequestBudget
from forwarder.polling.plan import TAIL
from forwarder.sources.jira.source import JiraConfig, JiraSource
from forwarder.spool.contract import Settlement
from forwarder.spool.sqlite.store import SqliteSpool
from simulator.config import Products, SimulatorConfig
from simulator.http_types import Request, Response
from simulator.products.log import ProductLog
from simulator.simulator import Simulator
from tests.clocks import FakeClock
from tests.polling.pollers import spool_in
from tests.polling.test_windows import Course

DAY_MS = 86_400_000


class Site:
    """One simulated site with a clock of its own, a source that reads its Jira, and a spool.

    Attributes:
        before_answer: Called before each answer.
    """

    def __init__(self, sim: Simulator, source: JiraSource, spool: SqliteSpool, clock: FakeClock) -> None:
        self.sim, self.source, self.spool, self.clock = sim, source, spool, clock
        self.log: ProductLog = next(iter(sim.sites.values())).logs["jira"]
        self.before_answer = lambda: None
        answer = sim.server.handler

        async def answering(request: Request) -> Response:
            self.before_answer()
            return await answer(request)

        sim.server.handler = answering

    def add(self, at_ms: int, count: int = 1, visible_ms: int | None = None) -> None:
        """Record some deeds of one millisecond."""
        for _ in range(count):
            entry = self.log.add(self.log._deeds.at(at_ms))
            if visible_ms is not None:
                entry.visible_ms = visible_ms

    @property
    def now(self) -> int:
        return int(self.clock.now * 1000)

    def course(self) -> Course:
        course: Any = Course
        made: Course = course(self.source, self.spool, retry={"base": 0.01, "max": 0.05})
        return made

    async def all_arrived_once(self) -> None:
        lane = await self.spool.open_lane("all", "memory", start=None, on_full="pause")
        found: Counter[bytes] = Counter()
        after = lane.position
        while chunks := (await self.spool.exchange(lane.number, Settlement(), after=after, events=500)).chunks:
            found.update(bytes(body) for chunk in chunks for body in chunk.bodies)
            after = chunks[-1].last
        bodies = self.sim.ledger.bodies(self.log.name)
        assert found == Counter(body for versions in bodies.values() for body in versions)


class Clocked(JiraSource):
    """A source whose clock the course can see."""

    clock: FakeClock


async def site_of(
    folder: Path,
    stack: Any,
    *,
    limit: int = 10,
    records: int = 0,
    faults: tuple[dict[str, Any], ...] = (),
    **products: Any,
) -> Site:
    clock = FakeClock()
    made = SimulatorConfig(events=0, products=Products(records=records, rate=1, **products), faults=faults)
    sim = Simulator(made, clock=lambda: clock.now)
    await sim.up()
    stack.push_async_callback(sim.close)
    first = next(iter(sim.sites.values()))
    config = JiraConfig(
        type="jira",
        site=first.name,
        site_url=f"{sim.base_url}/site/{{site}}",
        gateway=sim.base_url,
        email=first.email,
        token=first.token,
        limit=limit,
        access="site",
    )
    source = Clocked(config, SourceContext("acme", clock, RequestBudget(clock, 1e9)))
    source.clock = clock
    stack.push_async_callback(source.close)
    spool = await stack.enter_async_context(spool_in(folder, clock))
    return Site(sim, source, spool, clock)


FAULTS = tuple(
    {"what": what, "feed": "jira", "every": 1, "share": 0.03}
    for what in ("server_error", "rate_limit", "truncated", "reset_mid", "login_page", "redirect")
)


@pytest.mark.parametrize("seed", range(6))
async def test_every_record_comes_once_in_any_order_with_any_insertion_and_any_reading_of_bounds(seed, tmp_path, stack):
    rng = random.Random(seed)
    site = await site_of(
        tmp_path,
        stack,
        limit=rng.choice([10, 17, 60]),
        jira_times=rng.choice(["milliseconds", "seconds"]),
        jira_bounds=rng.choice(["inclusive", "exclusive"]),
        faults=FAULTS if seed % 2 else (),
    )
    begun = site.now
    moments = [begun - rng.randrange(6 * DAY_MS) for _ in range(12)]
    for _ in range(120):
        at = rng.choice(moments) + rng.choice([0, 0, 0, 1, 999, 1000, rng.randrange(60_000)])
        site.add(at, rng.choice([1, 1, 2, 7]))
    if rng.random() < 0.7:
        plain = site.log.newest_first
        place = cache(lambda ident: random.Random(f"{seed}{ident}").random())
        site.log.newest_first = lambda *asked: sorted(  # type: ignore[method-assign]
            plain(*asked), key=lambda entry: place(entry.id)
        )

    to_come = [(rng.choice([1, 1, 3, 15]), rng.choice([0, 0, 0, 250_000, 3_000_000, None])) for _ in range(25)]

    def happen() -> None:
        site.clock.advance(rng.choice([0, 0.001, 0.3, 2]))
        if to_come and rng.random() < 0.2:
            count, late = to_come.pop()
            at = site.now if late is not None else site.now - rng.randrange(590_000)
            site.add(at, count, site.now + (late or 0))

    site.before_answer = happen
    course = site.course()
    await course.start()
    for _ in range(30):
        await course.step()
    await course.start()  # another life: the window at hand is read anew
    await course.until(lambda: not to_come)
    await course.rest()
    await site.all_arrived_once()


@pytest.mark.parametrize("bounds", ["inclusive", "exclusive"])
@pytest.mark.parametrize("times", ["milliseconds", "seconds"])
async def test_more_records_of_one_second_than_a_page_holds_are_paged_while_others_arrive(
    times, bounds, tmp_path, stack
):
    site = await site_of(tmp_path, stack, limit=20, jira_times=times, jira_bounds=bounds)
    for offset in (0, 1, 499, 999):
        site.add(site.now - 3_600_000 + offset, 30)
    site.add(site.now - 1_800_000, 130)
    asked = site.sim.server
    site.before_answer = lambda: site.add(site.now, 1) if site.now % 7 == 0 else None
    course = site.course()
    await course.start()
    await course.rest()
    site.before_answer = lambda: None
    await course.rest()
    await site.all_arrived_once()
    assert asked.requests < 2000, "a second is read as a whole, not once for each of its milliseconds"


async def test_a_total_that_lies_and_a_page_of_a_thousand_lose_nothing(tmp_path, stack):
    site = await site_of(tmp_path, stack, limit=1000, records=2500, total_excess=10_000)
    course = site.course()
    course.config["since"] = 20 * 86_400
    await course.start()
    await course.until(lambda: course.poller._open_walks() == [TAIL] and course.poller._at_tip)
    await site.all_arrived_once()
