"""A time of day that is set while the spool is open makes nothing old: neither ids nor lanes nor pages."""

from __future__ import annotations

import pytest

from tests.spool.spools import names, opened

DAY = 86_400.0
JUMPS = [180 * DAY, 3_650 * DAY, -180 * DAY, -7_000 * DAY]


@pytest.mark.parametrize("jump", JUMPS)
async def test_ids_are_known_after_the_clock_was_set(tmp_path, jump: float):
    async with opened(tmp_path) as harness:
        lane = await harness.lane()
        await harness.put(*names("a", 20))
        await harness.drain(lane)
        harness.clock.off = jump
        for _ in range(5):
            harness.clock.advance(60)
            await harness.spool.clean_up()
        again = await harness.put(*names("a", 20))
        assert (again.new, again.repeats) == (0, 20), "what was delivered is delivered again"
        harness.clock.off = 0.0
        harness.clock.advance(60)
        await harness.spool.clean_up()
        assert (await harness.put(*names("a", 20))).new == 0


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_lane_without_a_sink_keeps_what_waits_when_the_clock_is_set(tmp_path, jump: float):
    async with opened(tmp_path, retain=0, forget_lanes_after=7 * DAY) as harness:
        await harness.lane("gone")
        lane = await harness.lane()
        await harness.put(*names("a", 20))
        await harness.drain(lane)
        await harness.reopen()  # from now on only one of them has a sink
        lane = await harness.lane()
        harness.clock.advance(7_200)
        harness.clock.off = jump
        for _ in range(3):
            harness.clock.advance(60)
            await harness.spool.clean_up()
        await harness.reopen() if jump < 0 else None
        assert (await harness.line("gone")).waiting == 20
        assert (await harness.spool.status()).gaps == []


@pytest.mark.parametrize("jump", JUMPS)
async def test_settled_pages_stay_for_their_retention_and_go_afterwards_when_the_clock_is_set(tmp_path, jump: float):
    async with opened(tmp_path, retain=DAY) as harness:
        lane = await harness.lane()
        await harness.put(*names("a", 20))
        await harness.drain(lane)
        await harness.spool.clean_up()
        harness.clock.off = jump
        harness.clock.advance(DAY / 2)
        assert await harness.spool.clean_up() == 0
        for _ in range(200):  # samples of the horizon are a 64th of the retention apart
            harness.clock.advance(DAY / 64)
            await harness.spool.clean_up()
        assert (await harness.spool.status()).pages == 0
