"""The command that a gap names fetches what the sink lacks, and closes it; where none does, none is named."""

from __future__ import annotations

import asyncio
import shlex
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from forwarder.admin.repairs import repairs
from forwarder.cli.app import app
from forwarder.cli.status_text import status_lines
from forwarder.cli.tables import Screen
from forwarder.observe.status_json import report_to_dict
from forwarder.polling.backfill import Order, at_rest
from forwarder.polling.progress import MOST_SKEW_MS
from forwarder.spool.contract import CursorRow, SourceStatus
from forwarder.spool.gap import Gap
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.daemon.engine import Engine, digests_of, engine, file_sink, lines_of, source, truth
from tests.observe.reports import spool_status

NOON = 1_794_657_600_000  # 2026-11-14T12:00Z
GAP = Gap("detached", source=4, lane="out", from_ms=NOON - 1500, to_ms=NOON + 1, opened_ms=NOON + 5000, number=7)
COMMAND = (
    "audit-forwarder backfill start --source acme --sink out --from 2026-11-14T11:59:58Z --to 2026-11-14T12:00:01Z"
)


def commands(gap: Gap = GAP, cursors: dict[str, dict[str, Any]] | None = None, sinks: tuple[str, ...] = ("out",)):
    rows = {"tail": {"walk": {}, "high": NOON}} if cursors is None else cursors
    found = {name: CursorRow(name, state, 1) for name, state in rows.items()}
    status = spool_status(sources=[SourceStatus(4, "acme", "organization:o", 0, 0, 0, found)])
    return repairs([gap], status, sinks, NOON + 9000)


def ordered(**fields: Any) -> dict[str, Any]:
    order = Order(NOON - 5000, NOON + 5000, ended_ms=1, **fields)
    return {"tail": {"walk": {}, "high": NOON}, "backfill:1": at_rest(order)}


def test_the_command_holds_the_whole_stretch_to_the_second() -> None:
    assert commands() == {7: COMMAND}
    dropped = msgspec.structs.replace(GAP, cause="dropped_by_sink")
    assert commands(dropped) == {7: COMMAND}


def test_what_it_names_is_accepted_where_the_clock_of_the_log_is_ahead_and_not_named_before() -> None:
    for ahead, is_named in ((1, True), (MOST_SKEW_MS - 2000, True), (MOST_SKEW_MS + 1, False)):
        gap = msgspec.structs.replace(GAP, to_ms=NOON + 9000 + ahead)
        assert bool(commands(gap)) == is_named, ahead


@pytest.mark.parametrize(
    "changes",
    [
        {"lane": None},
        {"lane": "removed"},
        {"source": None},
        {"source": 9},
        {"from_ms": None},
        {"to_ms": None},
        {"closed_ms": 1},
        {"lost_ms": 1},
    ],
    ids=str,
)
def test_of_a_gap_that_no_backfill_closes_none_is_named(changes: dict[str, Any]) -> None:
    assert commands(msgspec.structs.replace(GAP, **changes)) == {}


@pytest.mark.parametrize("cursors", [{}, {"webhook": {}}, {"tail": {"places": True, "walk": {}, "high": 1}}], ids=str)
def test_a_log_that_cannot_be_asked_for_a_stretch_of_time_names_none(cursors: dict[str, dict[str, Any]]) -> None:
    assert commands(cursors=cursors) == {}


def test_what_was_brought_before_the_gap_was_open_is_not_brought_again_and_what_was_since_matters_not() -> None:
    assert commands(cursors=ordered(sink="out", asked_ms=NOON)) == {}
    assert commands(cursors=ordered(sink="out", asked_ms=NOON + 6000)) == {7: COMMAND}
    assert commands(cursors=ordered(sink="other", asked_ms=NOON)) == {7: COMMAND}
    assert commands(cursors=ordered(asked_ms=NOON)) == {7: COMMAND}


async def run(folder: Path, words: str) -> Any:
    """Run a command in a thread, for it has a loop of its own."""
    line = [*shlex.split(words.removeprefix("audit-forwarder ")), "-c", str(folder / "config.yaml")]
    return await asyncio.to_thread(CliRunner().invoke, app, line)


async def status_of(e: Engine) -> tuple[list[dict[str, Any]], str]:
    """Return the gaps of what was detached, and the text for people."""
    shown = report_to_dict(await e.daemon.report())
    gaps = [gap for gap in shown["spool"]["gaps"] if gap["cause"] == "detached"]
    return gaps, "\n".join(status_lines(shown, Screen()))


async def is_closed(e: Engine, number: int) -> bool:
    return any(gap["number"] == number and gap["state"] == "closed" for gap in (await status_of(e))[0])


async def test_following_what_status_and_reconcile_name_closes_each_gap_and_the_sink_has_everything(
    tmp_path: Path,
) -> None:
    out, other = tmp_path / "out.ndjson", tmp_path / "other.ndjson"
    async with Simulator(SimulatorConfig(events=300, history="2d")) as sim:
        sinks = {"out": file_sink(out), "other": file_sink(other)}
        async with engine(tmp_path, {"acme": source(sim, limit=50)}, sinks) as e:
            await e.until(lambda: lines_of(out))
            for _ in range(2):  # two gaps, whose stretches overlap
                assert (await run(tmp_path, "lanes pause out")).exit_code == 0
                have, _ = len(lines_of(other)), sim.add_events(40)
                await e.until(lambda have=have: len(lines_of(other)) >= have + 40)  # type: ignore[misc]
                done = await run(tmp_path, "lanes detach out --yes")
                assert "names the command that fetches them" in done.stdout, done.output
                assert (await run(tmp_path, "lanes resume out")).exit_code == 0
                had, _ = len(lines_of(out)), sim.add_events(5)
                await e.until(lambda had=had: len(lines_of(out)) > had)  # type: ignore[misc]
            await e.until(lambda: truth(sim) <= set(digests_of(other)))
            await e.until_settled()
            missing = truth(sim) - set(digests_of(out))
            assert missing
            gaps, text = await status_of(e)
            assert len(gaps) == 2
            assert all(gap["repair"] in text for gap in gaps)
            while open_ones := [gap for gap in (await status_of(e))[0] if gap["repair"]]:
                command = open_ones[0]["repair"]  # one may close both
                assert command in (await run(tmp_path, "reconcile")).stdout.replace("\n", " ")
                done = await run(tmp_path, command)
                assert (done.exit_code, "is done" in done.stdout) == (0, True), done.output
                await e.until(partial(is_closed, e, open_ones[0]["number"]))

            assert {gap["state"] for gap in (await status_of(e))[0]} == {"closed"}
            await e.until(lambda: truth(sim) <= set(digests_of(out)))
            await e.until_settled()
            assert (await run(tmp_path, "reconcile")).exit_code == 0
    assert set(digests_of(other).values()) == {1}
