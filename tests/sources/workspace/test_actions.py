"""The list of actions of a workspace: read where its events are, and never in the way of an event."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from forwarder.contracts import ForwarderError
from forwarder.daemon.action_lists import kept_lists
from simulator.actions import ACTIONS
from simulator.config import Products, SimulatorConfig, Workspaces
from simulator.products.deeds import Product
from simulator.simulator import Simulator
from tests.daemon.engine import digests_of, engine, file_sink
from tests.sites import of_sites
from tests.sources.sites import course

PRODUCTS: list[Product] = ["jira", "confluence"]


def products(*, served: bool = True) -> Products:
    return Products(records=20, workspaces=Workspaces(served=served))


@pytest.mark.parametrize("product", PRODUCTS)
async def test_a_source_that_reads_events_gives_the_actions_of_its_workspace(tmp_path: Path, product: Product) -> None:
    async with course(tmp_path, product, products(), api="auto") as c:
        asked = asyncio.create_task(c.source.actions())  # before it is known which API there is
        await c.step()
        assert {action.id for action in await asked} == {action.id for action in ACTIONS if action.product == product}
        assert all(action.name and action.groups for action in asked.result())


@pytest.mark.parametrize(("api", "served"), [("records", True), ("auto", False)])
async def test_a_source_that_reads_records_asks_for_no_list(tmp_path: Path, api: str, served: bool) -> None:
    async with course(tmp_path, "jira", products(served=served), api=api) as c:
        await c.step()
        assert await c.source.actions() == []
        assert not [request for request in c.sim.ledger.requests if request.feed == "actions"]


async def test_a_refused_list_is_no_objection_to_the_log_and_shows_no_token(tmp_path: Path) -> None:
    async with course(tmp_path, "jira", products(), api="workspace_events") as c:
        await c.step()
        for what in ("rate_limit", "forbidden", "not_found"):
            c.sim.faults.add(what, feed="actions", every=1, times=1)
            with pytest.raises(ForwarderError) as caught:
                await c.source.actions()
            assert c.settings["token"] not in str(caught.value)
        assert await c.source.actions()
        await c.rest()
        await c.all_arrived(c.log.workspace)
        assert c.poller.report.errors.total() == 0


async def test_a_daemon_learns_and_keeps_the_list_of_each_site(tmp_path: Path) -> None:
    out = tmp_path / "out"
    async with Simulator(SimulatorConfig(events=0, history="2d", products=products())) as sim:
        site = next(iter(sim.sites))
        jira = of_sites(sim, "jira", site, api="workspace_events")
        async with engine(tmp_path, {"jira": jira}, {"out": file_sink(out)}) as e:
            await e.until(lambda: bool(kept_lists(tmp_path)))
            await e.until(lambda: len(digests_of(out)) >= 20)
        [kept] = kept_lists(tmp_path)
        assert {action.id for action in kept.actions} == {action.id for action in ACTIONS if action.product == "jira"}
