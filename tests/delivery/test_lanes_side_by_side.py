"""Lanes that share what they render: what one sink refuses, or takes late, changes nothing of what another gets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from forwarder.contracts import Batch, Delivery, Rejection, UnexpectedPayload
from forwarder.delivery import Lane
from forwarder.records.shared import Shared
from forwarder.registry import build_format
from forwarder.testing.lanes import bench, event
from tests.delivery.scripted import ScriptedSink


class Keeping(ScriptedSink):
    """Keeps the bodies it takes, and refuses the events of these names."""

    def __init__(self, *refused: str, gate: asyncio.Event | None = None) -> None:
        super().__init__(self.take)
        self.bodies: dict[int, bytes] = {}
        self.refused = refused
        self.gate = gate

    async def take(self, batch: Batch, _: int) -> Delivery:
        if self.gate is not None:
            await self.gate.wait()
        no = [n for n, one in enumerate(batch.records) if one.raw.split(b'"')[3].decode() in self.refused]
        yes = [n for n in range(len(batch.records)) if n not in no]
        self.bodies |= {batch.records[n].seq: batch.records[n].body for n in yes}
        return Delivery(accepted=yes, rejected={n: Rejection("no") for n in no})


async def test_a_refusal_or_a_delay_in_one_lane_changes_nothing_of_another(tmp_path: Path) -> None:
    gate, shared = asyncio.Event(), Shared[bytes | UnexpectedPayload](20_000)  # two of six pages
    sinks = {"all": Keeping(), "but_one": Keeping("p1-3"), "behind": Keeping(gate=gate)}
    async with bench(tmp_path) as b:

        def start(name: str, sink: Any, **config: Any) -> Lane:
            lane = b.start(name, sink, render=build_format("ecs"), **config)
            lane._maker._bodies = shared
            return lane

        lanes = {name: start(name, sink, window=1) for name, sink in sinks.items()}
        for page in range(6):
            await b.fill(*(event(f"p{page}-{i}") for i in range(10)))
            await b.drained("all")
            await b.drained("but_one")
            assert shared.bytes <= 20_000
        gate.set()
        await b.drained("behind")
        alone = Keeping()
        b.start("alone", alone, render=build_format("ecs"))
        await b.drained("alone")
        assert len(alone.bodies) == 60
        assert sinks["all"].bodies == sinks["behind"].bodies == alone.bodies
        assert sinks["but_one"].bodies == {seq: body for seq, body in alone.bodies.items() if seq != 14}
        assert [lane.report.dead_letters for lane in lanes.values()] == [0, 1, 0]
        await b.balanced()
