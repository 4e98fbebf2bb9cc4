"""Windows of the organization's stream under every reading of its bounds and tip: the real source, poller and spool."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import SourceContext
from forwarder.net.retry import RequestBudget
from forwarder.polling.plan import RECONCILE
from forwarder.sources.organization.source import OrganizationConfig, OrganizationSource
from forwarder.spool.contract import Settlement
from simulator.config import SimulatorConfig, Switches
from simulator.simulator import Simulator
from tests.polling.test_reconcile_properties import HOUR, PASSES, Reconciling, Ticking

READINGS = list(
    itertools.product(
        ("processed", "time"),
        ("inclusive", "exclusive"),
        (("null", "unchanged"), ("resume", "unchanged"), ("resume", "fresh"), ("resume_without_to", "fresh")),
    )
)


class Simulated(Reconciling):
    beats = False
    sim: Simulator

    async def live(self, hours: float, *, every: float = 300) -> None:
        end = self.clock.now + hours * HOUR
        while self.clock.now < end:
            self.sim.add_events(6)
            await self.follow(every)

    async def bodies(self) -> Counter[bytes]:
        lane = await self.spool.open_lane("bodies", "memory", start=None, on_full="pause")
        found: Counter[bytes] = Counter()
        after = lane.position
        while chunks := (await self.spool.exchange(lane.number, Settlement(), after=after, events=500)).chunks:
            for chunk in chunks:
                found.update(chunk.bodies)
            after = chunks[-1].last
        return found

    def truth(self) -> Counter[bytes]:
        [organization] = self.sim.organizations.values()
        versions = organization.feed.versions().values()
        return Counter(entry.body for entries in versions for entry in entries)


@pytest.mark.parametrize("reading", READINGS, ids=str)
async def test_what_appears_behind_the_readers_is_found_by_the_windows(tmp_path: Path, reading: Any) -> None:
    compares, bounds, (tip, cursor) = reading
    clock = Ticking()
    switches = Switches(
        from_compares=compares,
        bounds=bounds,
        tip=tip,
        tip_cursor=cursor,
        late_visible=1.9 * HOUR,
        late_visible_share=0.1,
        reissue=0.05,
        reissue_within=1800,
    )
    config = SimulatorConfig(events=0, late_share=0, switches=switches, seed=14)
    async with Simulator(config, clock=lambda: clock.now) as sim:
        [organization] = sim.organizations.values()
        made = OrganizationConfig(
            type="organization",
            org_id=organization.id,
            api_key=organization.key.value,
            base_url=sim.base_url,
            every=300,
            since=0,
            limit=10,
            trailing_every=900,
            reconcile={**PASSES, "again": 4 * HOUR},
        )
        source = OrganizationSource(made, SourceContext("acme", clock, RequestBudget(clock, 1e9)))
        world = Simulated(tmp_path, source, clock, made)
        world.sim = sim
        await world.start()
        try:
            await world.follow(600)
            await world.live(1.5)
            await world.follow(7 * HOUR)
            wanted, found = world.truth(), await world.bodies()
            assert found == wanted
            recovered = (await world.by_reader()).get(RECONCILE, [])
            assert recovered, "else this tries nothing"
            assert world.report.recovered == len(recovered)
            assert {gap.state for gap in (await world.spool.status()).gaps} == {"closed"}
        finally:
            await world.spool.close()
            await source.close()
