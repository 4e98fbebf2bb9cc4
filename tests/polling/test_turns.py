"""A walk that has had what its share is at most lets nobody wait: not its own source, and none that shares the budget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from forwarder.contracts import SystemClock
from forwarder.net.retry import RequestBudget
from forwarder.polling.plan import HEAL, RECONCILE, REREAD, TAIL
from forwarder.polling.poller import Poller
from forwarder.polling.shares import path_of
from forwarder.spool.contract import CursorRow
from tests.polling.pollers import ScriptedSource, page, poller_of, running, spool_in, until

LONG = 80_000.0
"""Seconds that nobody here waits for."""


class Held:
    """A poller that follows its log while a window is open and has had its share for hours."""

    def __init__(self, poller: Poller, source: ScriptedSource) -> None:
        self.poller, self.source = poller, source

    def asked(self, name: str = TAIL) -> int:
        return self.poller.report.requests_by_reader[name]

    async def rests(self) -> None:
        """Wait until only the window is wanted."""
        await until(lambda: self.asked() > 0 and self.poller._plan[TAIL].due > self.poller._clock.monotonic())
        for _ in range(20):
            await asyncio.sleep(0)


@asynccontextmanager
async def held(
    folder: Path, name: str = "acme", budget: RequestBudget | None = None, *, every: float = LONG, more: bool = False
) -> AsyncIterator[Held]:
    clock = SystemClock()
    budget = budget or RequestBudget(clock, 1e9)
    async with spool_in(folder, clock) as spool:
        source = ScriptedSource(lambda state: page(state, more=more), name=name)
        poller = poller_of(source, spool, clock, budget, every=every, trailing_every=LONG)
        budget.line.charge(path_of(name, RECONCILE), clock.monotonic(), LONG)
        opened = poller._open

        async def opening() -> None:
            await opened()
            poller._plan[REREAD].due = clock.monotonic() + LONG
            since = poller._rows[TAIL].state["from"]
            poller._rows[RECONCILE] = CursorRow(RECONCILE, poller._store._walk(since), 0)

        poller._open = opening  # type: ignore[method-assign]
        async with running(poller) as task:
            made = Held(poller, source)
            await until(lambda: made.asked() > 0, task)
            yield made


async def test_a_tail_that_somebody_rings_for_is_asked_while_a_window_has_had_its_share(tmp_path: Path) -> None:
    async with held(tmp_path) as d:
        for _ in range(3):
            await d.rests()
            before = d.asked()
            d.poller.ring()
            await until(lambda before=before: d.asked() > before)  # type: ignore[misc]
        assert d.asked(RECONCILE) == 0


@pytest.mark.parametrize("every", [0.05, LONG])
async def test_a_tail_that_falls_due_is_asked_while_a_window_has_had_its_share(tmp_path: Path, every: float) -> None:
    """By the clock, and because the page before it leads on."""
    async with held(tmp_path, every=every, more=every == LONG) as d:
        await until(lambda: d.asked() > 5)
        assert d.asked(RECONCILE) == 0


async def test_a_cursor_that_a_person_drops_is_dropped_while_a_window_has_had_its_share(tmp_path: Path) -> None:
    async with held(tmp_path) as d:
        await d.rests()
        assert await d.poller.drop(TAIL, "by hand")
        await until(lambda: d.poller.report.heals > 0 and d.asked(HEAL) > 0)


async def test_who_shares_a_budget_is_asked_while_a_window_of_another_has_had_its_share(tmp_path: Path) -> None:
    budget = RequestBudget(SystemClock(), 1e9)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with held(tmp_path / "a", "one", budget) as one, held(tmp_path / "b", "two", budget) as two:
        await one.rests()
        await two.rests()
        before = one.asked(), two.asked()
        one.poller._plan[TAIL].due = 0.0  # it falls due by the clock; nobody rings
        two.poller.ring()
        await until(lambda: two.asked() > before[1])
        one.poller.ring()
        await until(lambda: one.asked() > before[0])
