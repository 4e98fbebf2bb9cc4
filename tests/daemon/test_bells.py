"""Bells go by the monotonic clock: what is done to the time of day changes nothing, and nothing is made up for."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from apscheduler.schedulers import base

from forwarder.daemon.bells import Bells

DAY = 86_400.0


class Machine:
    """A machine whose time of day someone sets, and which counts how often a bell's next time is computed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.off = timedelta()
        machine = self

        class Jumping(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                wall = datetime.now(UTC) + machine.off
                return tz.fromutc(wall.replace(tzinfo=tz))

        monkeypatch.setattr(base, "datetime", Jumping)


async def until(rings: list[float], many: int) -> None:
    async with asyncio.timeout(30):
        while len(rings) < many:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("days", [180, 36_500, -180, -9_000, 0.01, -0.01])
async def test_a_jump_of_the_time_of_day_neither_silences_nor_repeats_a_bell(
    monkeypatch: pytest.MonkeyPatch, days: float
) -> None:
    machine = Machine(monkeypatch)
    rings: list[float] = []
    bells = Bells(random.Random(1))
    bells.add(lambda: rings.append(time.monotonic()), 0.02)
    bells.start()
    try:
        await until(rings, 2)
        machine.off = timedelta(days=days)
        before = len(rings)
        await until(rings, before + 5)
        machine.off = timedelta()
        await until(rings, before + 10)
    finally:
        bells.stop()
    most = (rings[-1] - rings[0]) / 0.02 + 2
    assert len(rings) <= most, "a bell was rung for times that had passed"


async def test_a_loop_that_stood_still_for_half_a_year_rings_each_bell_once() -> None:
    off, computed = 0.0, 0
    rings: list[str] = []

    def monotonic() -> float:
        nonlocal computed
        computed += 1
        return time.monotonic() + off

    bells = Bells(random.Random(1), monotonic)
    bells.add(lambda: rings.append("often"), 0.05)
    bells.add(lambda: rings.append("seldom"), DAY)
    bells.start()
    try:
        await until(rings, 1)
        rings.clear()
        computed, off = 0, 180 * DAY
        async with asyncio.timeout(30):
            while "seldom" not in rings or rings.count("often") < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert rings.count("seldom") == 1
        assert computed < 100, "it computed what was missed"
    finally:
        bells.stop()


async def test_work_is_not_begun_again_while_it_runs_and_goes_on_afterwards() -> None:
    gate, begun, ended = asyncio.Event(), 0, []

    async def work() -> None:
        nonlocal begun
        begun += 1
        await gate.wait()
        ended.append(1.0)

    others: list[float] = []
    bells = Bells(random.Random(1))
    bells.add_work(work, 0.01)
    bells.add(lambda: others.append(1.0), 0.01)
    bells.start()
    try:
        await until(others, 5)
        assert begun == 1
        gate.set()
        await until(ended, 3)
    finally:
        bells.stop()


@pytest.mark.parametrize("turns", range(5))
@pytest.mark.parametrize("kind", ["add", "add_work"])
async def test_a_bell_whose_time_came_with_the_end_is_no_fault(
    kind: str, turns: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        return

    bells = Bells(random.Random(1))
    getattr(bells, kind)(work if kind == "add_work" else lambda: None, 0.05)
    before = asyncio.all_tasks()
    bells.start()
    for _ in range(3):
        await asyncio.sleep(0)
    time.sleep(0.1)  # noqa: ASYNC251 -- its time has come, and so many turns of the loop later so has the end
    for _ in range(turns):
        await asyncio.sleep(0)
    bells.stop()
    for _ in range(5):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
