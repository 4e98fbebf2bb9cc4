"""Alerts by the hundred from a sender with every bad habit, and a daemon that is killed: none missing, none twice."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter

import pytest

from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from simulator.webhooks import SenderConfig
from tests.daemon.engine import file_sink, lines_of
from tests.receiving.sending import PATH, SECRET, Receiving
from tests.sockets import held_port


@pytest.fixture
def free_port():
    with held_port() as port:
        yield port


async def test_a_sender_with_every_habit_and_a_daemon_that_is_killed(tmp_path, free_port):
    rng = random.Random(11)
    out = tmp_path / "out.ndjson"
    receiving = Receiving(tmp_path, free_port, {"out": file_sink(out)})
    config = SenderConfig(
        url=f"http://127.0.0.1:{free_port}{PATH}",
        secret=f"Bearer {SECRET}",
        tries=20,
        wait=0.05,
        doubles=0.3,
        late=0.2,
        late_by=0.1,
        wrong_secret=0.05,
        shuffled=True,
    )
    async with Simulator(SimulatorConfig(events=0)) as sim, receiving.process:
        sending = asyncio.create_task(sim.send(config, 120))
        for _ in range(3):
            await receiving.start()
            had = len(lines_of(out))
            more = had + rng.randrange(1, 20)
            await receiving.process.until(lambda: sending.done() or len(lines_of(out)) >= more)  # noqa: B023 -- used at once
            await receiving.process.kill()
        await receiving.start()
        sent = await sending
        assert not sent.given_up
        assert len(sent.acknowledged) == 120
        await receiving.until_delivered(set(sent.acknowledged))
        status = await receiving.process.until_status(
            lambda found: found["sinks"][0]["lag_events"] == 0 and found["spool"]["sources"][0]["spooled"] >= 120
        )
        assert status["spool"]["sources"][0]["spooled"] == 120, "each once in the spool"
        assert status["balanced"]
        assert Counter(json.loads(line)["alertId"] for line in lines_of(out)).keys() == sent.acknowledged.keys()
