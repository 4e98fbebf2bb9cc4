"""A log by one of two APIs: which one, what a change costs, and that it is said."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from forwarder.admin.backfills import Backfills, BackfillWanted
from forwarder.cli.app import app
from forwarder.polling.plan import RECONCILE
from simulator.config import Products, Workspaces
from simulator.products.deeds import Product
from tests.sources.sites import Course, course

PRODUCTS: list[Product] = ["jira", "confluence"]


def products(*, served: bool = True) -> Products:
    return Products(records=40, workspaces=Workspaces(served=served))


def with_api(c: Course, served: bool) -> None:
    """Give the site the API, or take it away."""
    c.sim._workspaces._switches = Workspaces(served=served)


def asked(c: Course, feed: str) -> int:
    return sum(request.feed == feed for request in c.sim.ledger.requests)


async def hold_both(c: Course, both: range) -> None:
    """Nothing is missing, and only deeds of a stretch came by both APIs."""
    arrived = await c.bodies()
    records, events = (c.sim.ledger.bodies(log) for log in (c.log.name, c.log.workspace))
    count = 0
    for record, event in zip(records.values(), events.values(), strict=True):
        came = (arrived[record[0]] > 0) + (arrived[event[0]] > 0)
        assert came, "missing by both"
        count += came == 2
    assert count in both
    assert max(Counter(arrived).values()) <= 2  # twins of Confluence are the same bytes


@pytest.mark.parametrize("product", PRODUCTS)
async def test_auto_reads_the_events_where_there_are_any_and_else_the_records(tmp_path: Path, product: Product) -> None:
    for served in (True, False):
        folder = tmp_path / str(served)
        folder.mkdir()
        async with course(folder, product, products(served=served), api="auto") as c:
            await c.rest()
            await c.all_arrived(c.log.workspace if served else c.log.name)
            assert c.poller.report.errors == Counter()
            findings = await c.source.probe()
            assert findings[0].subject == "api"
            assert ("preview" in findings[0].detail) == served
            assert all(finding.ok for finding in findings)


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize(("before", "after"), [("records", "workspace_events"), ("workspace_events", "records")])
async def test_a_change_of_the_setting_loses_nothing_and_is_said_once(
    tmp_path: Path, product: Product, before: str, after: str
) -> None:
    async with course(tmp_path, product, products(), api=before) as c:
        await c.rest()
        c.log.happen(5, c.now_ms)
        c.clock.advance(60)
        await c.until(lambda: c.poller._at_tip)
        await c.until(lambda: c.poller.report.spooled >= 45)
        await c.start(api=after)
        for turn in range(40):
            if turn % 4 == 0:
                c.log.happen(1, c.now_ms)
            await c.step()
        assert c.poller.report.errors["other"] == 1
        await c.rest()
        assert c.poller.report.errors.total() == 1
        assert c.poller.report.well
        await hold_both(c, range(5, 30))
        await c.start(api=after)  # and not again after a restart
        await c.rest()
        assert c.poller.report.errors == Counter()


async def test_auto_falls_back_to_the_records_where_the_events_are_gone_and_says_so(tmp_path: Path) -> None:
    async with course(tmp_path, "jira", products(), api="auto") as c:
        await c.rest()
        with_api(c, served=False)
        c.log.happen(3, c.now_ms)
        lines: list[str] = []
        for _ in range(60):
            await c.step()
            lines.append(c.poller.report.reason)
        assert any("the product's own audit records from now on" in reason for reason in lines)
        await c.rest()
        assert c.poller.report.well
        await hold_both(c, range(20))
        before = asked(c, "workspace")
        await c.rest()
        assert asked(c, "workspace") == before


async def test_auto_remembers_across_a_restart_what_it_read_by(tmp_path: Path) -> None:
    async with course(tmp_path, "confluence", products(), api="auto") as c:
        await c.rest()
        with_api(c, served=False)
        await c.start()
        lines: list[str] = []
        for _ in range(30):
            await c.step()
            lines.append(c.poller.report.reason)
        assert any("from now on" in reason for reason in lines)
        with_api(c, served=True)
        await c.start()
        for _ in range(30):
            await c.step()
            lines.append(c.poller.report.reason)
        assert any("the Workspace Events API from now on" in reason for reason in lines)
        await c.rest()
        await hold_both(c, range(20))


async def test_auto_does_not_leave_the_events_for_a_refused_token_or_an_outage(tmp_path: Path) -> None:
    async with course(tmp_path, "jira", products(), api="auto") as c:
        await c.rest()
        faults: list[tuple[str, dict[str, Any]]] = [
            ("unauthorized", {}),
            ("server_error", {}),
            ("rate_limit", {"wait": 5}),
            ("not_found", {"times": 2}),
        ]
        for what, more in faults:
            given: dict[str, Any] = {"times": 8, **more}
            c.sim.faults.add(what, feed="all", **given)  # type: ignore[arg-type]
            c.log.happen(2, c.now_ms)
            await c.rest()
        c.sim.faults.clear()
        await c.rest()
        await c.all_arrived(c.log.workspace)


async def test_an_outage_at_the_start_decides_nothing(tmp_path: Path) -> None:
    async with course(tmp_path, "jira", products(), api="auto") as c:
        c.sim.faults.add("server_error", feed="workspace", times=3, status=503)
        await c.rest()
        assert asked(c, "jira") == 0
        await c.all_arrived(c.log.workspace)


async def test_a_free_plan_is_said_by_either_api(tmp_path: Path) -> None:
    free = products().model_copy(update={"plan": "free"})
    for number, api in enumerate(("records", "workspace_events", "auto")):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with course(folder, "confluence", free, api=api) as c:
            await c.start(token=c.site.scoped_token if api == "workspace_events" else c.site.token)
            await c.step()
            assert c.poller.report.state == "held"
            assert "Free plan" in c.poller.report.reason + c.poller.report.fix
            findings = await c.source.probe()
            assert not all(finding.ok for finding in findings)


@pytest.mark.parametrize("product", PRODUCTS)
async def test_auto_reads_the_records_with_a_token_without_scopes(tmp_path: Path, product: Product) -> None:
    async with course(tmp_path, product, products(), api="auto") as c:
        await c.start(token=c.site.token)
        await c.rest()
        await c.all_arrived(c.log.name)
        assert c.poller.report.errors == Counter()
        assert all(finding.ok for finding in await c.source.probe())
        before = asked(c, "workspace")
        await c.rest()
        assert asked(c, "workspace") == before


async def test_an_outage_of_the_site_is_not_called_a_token_that_has_expired(tmp_path: Path) -> None:
    async with course(tmp_path, "jira", products(), api="auto") as c:
        await c.start(token=c.site.token)
        c.sim.faults.add("server_error", feed="jira", times=1, status=503)
        await c.step()
        assert c.poller.report.errors == Counter({"server_error": 1})
        await c.rest()
        await c.all_arrived(c.log.name)


async def follow_for(c: Course, hours: int) -> None:
    end = c.clock.now + hours * 3600
    happened = c.clock.now
    while c.clock.now < end:
        if c.clock.now - happened > 1500:
            happened = c.clock.now
            c.log.happen(1, c.now_ms)
        await c.step()


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("stopped", [0, 5])
@pytest.mark.parametrize(("before", "after"), [("records", "workspace_events"), ("workspace_events", "records")])
async def test_what_was_read_by_one_api_is_not_compared_with_what_the_other_says(
    tmp_path: Path, product: Product, before: str, after: str, stopped: int
) -> None:
    async with course(tmp_path, product, products(), api=before, every=600) as c:
        c.reconcile = {"after": 7200, "again": 21_600, "last": 0}
        await c.start()
        await follow_for(c, 7)
        row = c.poller._rows[RECONCILE].state
        assert row["passes"][0]["to"] > row["begun"]
        for _ in range(stopped):
            c.clock.advance(3600)
            c.log.happen(1, c.now_ms)
        changed = c.now_ms
        await c.start(api=after)
        await follow_for(c, 9)
        row = c.poller._rows[RECONCILE].state
        assert changed - (stopped + 2) * 3_600_000 < row["begun"] <= changed
        assert row["passes"][0]["to"] > changed + 3_600_000, "what came since is compared"
        assert c.poller.report.recovered == 0
        gaps = (await c.spool.status()).gaps
        assert {(gap.cause, gap.state) for gap in gaps} == {("late", "lost")}
        assert "another API" in gaps[0].why
        assert (gaps[0].to_ms or 0) == row["begun"]
        await hold_both(c, range(5))


@pytest.mark.parametrize(("before", "after"), [("records", "workspace_events"), ("workspace_events", "records")])
async def test_a_backfill_of_what_the_other_api_has_read_says_that_it_comes_once_more(
    tmp_path: Path, before: str, after: str
) -> None:
    async with course(tmp_path, "jira", products(), api=before, every=600) as c:
        await c.start()
        await follow_for(c, 5)
        backfills = Backfills(
            c.spool, lambda: {"acme": c.source}, {}, c.clock, lambda _, *act: c.poller.ordered.change(*act)
        )
        c.poller._reads = True
        early = BackfillWanted("acme", c.now_ms - 4 * 3_600_000, c.now_ms - 60_000)
        with capture_logs() as logs:
            assert (await backfills.start(early, "me")).other_ids_ms == 0
            await c.rest()
            assert "read_under_other_ids" not in [line["event"] for line in logs]
        changed = c.now_ms
        await c.start(api=after)
        c.poller._reads = True
        await follow_for(c, 3)
        floor = (await backfills.start(early, "me")).other_ids_ms
        assert 0 < floor <= changed
        late = BackfillWanted("acme", floor + 1, c.now_ms)
        assert (await backfills.start(late, "me")).other_ids_ms == 0
        with capture_logs() as logs:
            await c.rest()
        told = [line["cursor"] for line in logs if line["event"] == "read_under_other_ids"]
        assert told == ["backfill:2"], "once, of that walk, and of no other"


@pytest.mark.parametrize("api", ["records", "workspace_events", "auto"])
def test_check_says_that_it_is_a_preview(tmp_path: Path, api: str) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        f"""spool: {{path: {tmp_path}/spool.db}}
sources:
  wiki: {{type: confluence, site: acme, email: audit@acme.test, token: ATATT3xFfGF0madeup, api: {api}}}
sinks: {{archive: {{type: file, path: {tmp_path}/events.ndjson, format: raw}}}}
"""
    )
    lines = CliRunner().invoke(app, ["check", "-c", str(config)])
    assert lines.exit_code == 0, lines.output
    assert ("preview" in lines.output) == (api != "records")


async def test_a_site_without_the_api_is_said_by_its_name_with_what_else_there_is(tmp_path: Path) -> None:
    async with course(tmp_path, "confluence", products(served=False), api="workspace_events") as c:
        await c.step()
        assert c.poller.report.state == "held"
        assert c.poller.report.reason.startswith("The Workspace Events API refuses")
        assert "api: records" in c.poller.report.fix
        assert "manage:jira-configuration" in c.poller.report.fix
        workspace = next(finding for finding in await c.source.probe() if finding.subject == "workspace")
        assert not workspace.ok
        assert "api: records" in workspace.fix
        assert asked(c, "confluence") == 0  # it is set, so nothing else is read
