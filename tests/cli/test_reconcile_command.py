"""`reconcile`: what it shows, with the daemon running or not, and what a script learns from its exit code."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from forwarder.cli.app import app
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.cli.printed import printed_json
from tests.daemon.engine import engine, file_sink, lines_of, source, truth


async def command(folder: Path, *words: str) -> Any:
    """Run the command in a thread, for it has a loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, app, ["reconcile", "-c", str(folder / "config.yaml"), *words])


def shown(result: Any) -> Any:
    return printed_json(result.stdout)


async def test_every_event_is_accounted_for_by_day_source_and_sink(tmp_path: Path) -> None:
    out, other = tmp_path / "out.ndjson", tmp_path / "other.ndjson"
    sinks = {"out": file_sink(out), "other": file_sink(other, exclude=[{"action": "*"}])}
    async with Simulator(SimulatorConfig(events=60, history="5d")) as sim:  # of which some are working days
        async with engine(tmp_path, {"acme": source(sim, limit=40)}, sinks) as e:
            await e.until(lambda: len(lines_of(out)) >= len(truth(sim)))

            async def all_settled() -> bool:
                return not sum(line.waiting for line in (await e.daemon.report()).books)

            await e.until(all_settled)

            async def judged() -> bool:
                found = {line.sink: line for line in (await e.daemon.report()).completeness}
                return "out" in found and found["out"].delivered == len(truth(sim)) and not found["out"].missing

            e.daemon._reporter.completeness = []
            await e.until(judged)
            running = await command(tmp_path, "--json")
            people = await command(tmp_path)
        stopped = await command(tmp_path, "--json")
        for result in (running, stopped):
            assert result.exit_code == 0, result.output
            verdict = shown(result)
            assert verdict["complete"]
            for sink, column in (("out", "delivered"), ("other", "filtered")):
                lines = [line for line in verdict["lines"] if line["sink"] == sink]
                assert len(lines) >= 2
                assert sum(line["expected"] for line in lines) == len(truth(sim))
                assert sum(line[column] for line in lines) == len(truth(sim))
        assert people.exit_code == 0
        assert f"expected {2 * len(truth(sim))} = delivered {len(truth(sim))}" in people.stdout
        day = shown(stopped)["lines"][0]["day"]
        one = shown(await command(tmp_path, "--json", "--day", day, "--sink", "out"))
        assert [(line["day"], line["sink"]) for line in one["lines"]] == [(day, "out")]


async def test_what_a_full_spool_gave_up_is_missing_by_name(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    async with (
        Simulator(SimulatorConfig(events=60, history="2d")) as sim,
        engine(tmp_path, {"acme": source(sim, limit=40)}, {"out": file_sink(out)}) as e,
    ):
        await e.until(lambda: len(lines_of(out)) >= len(truth(sim)))
    with closing(sqlite3.connect(tmp_path / "spool.db")) as con:  # as detaching the first page leaves it
        first, last, number = con.execute("SELECT min(first_seq), min(last_seq), min(source) FROM pages").fetchone()
        day = con.execute("SELECT min(day) FROM lane_books WHERE accepted > 0").fetchone()[0]
        con.execute("UPDATE lane_books SET accepted = accepted - 1, detached = detached + 1 WHERE day = ?", (day,))
        con.execute(
            "INSERT INTO gaps (cause, detail, source, lane, first_seq, last_seq, events, opened_ms) "
            "VALUES ('detached', 'the spool was full', ?, 'out', ?, ?, 1, 4000000000000)",
            (number, first, last),
        )
        con.commit()
    result = await command(tmp_path, "--json", "--ids")
    assert result.exit_code == 1
    verdict = shown(result)
    lines = {line["day"]: line for line in verdict["lines"]}
    assert (lines[day]["missing"], lines[day]["judgement"]) == (1, "gap")
    assert all(line["judgement"] != "gap" for other, line in lines.items() if other != day)
    assert all(len(each) == 32 for line in verdict["lines"] for each in line["missing_ids"])
    people = await command(tmp_path, "--ids")
    assert people.exit_code == 1
    assert "detached (open), 1 events; from acme to out" in people.stdout
    assert f"missing of {day}, acme to out: 1 of these" in people.stdout


async def test_a_name_or_day_that_is_not_there_is_refused_not_complete(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    async with (
        Simulator(SimulatorConfig(events=5)) as sim,
        engine(tmp_path, {"acme": source(sim)}, {"out": file_sink(out)}) as e,
    ):
        await e.until(lambda: lines_of(out))
    for words, says in (
        (("--sink", "nowhere"), "there is no such sink; there are: out"),
        (("--source", "nobody"), "there is no such source; there are: acme"),
        (("--day", "14.11.2026"), "is not a date"),
        (("--day", "2026-11-14", "--since", "2026-11-01"), "--day is one day"),
    ):
        refused = await command(tmp_path, *words)
        assert (refused.exit_code, says in " ".join(refused.stderr.split())) == (2, True), refused.stderr


async def test_the_daemon_writes_daily_reports_and_a_command_recomputes_them(tmp_path: Path) -> None:
    out, folder = tmp_path / "out.ndjson", tmp_path / "kept"
    parts: dict[str, Any] = {"reports": {"folder": str(folder)}}
    feed = {"reconcile": "off", "since": "9d"}  # so that a day is due a while after it; all of the history is read
    async with Simulator(SimulatorConfig(events=60, history="8d")) as sim:
        async with engine(tmp_path, {"acme": source(sim, limit=40, **feed)}, {"out": file_sink(out)}, **parts) as e:
            none = await command(tmp_path, "--check-reports")
            await e.until(lambda: len(lines_of(out)) >= len(truth(sim)))
            await e.until(lambda: list(folder.glob("report-*.json")))
        fine = await command(tmp_path, "--check-reports")
        assert (fine.exit_code, "each is as it was written, and adds up" in fine.stdout) == (0, True), fine.output
        assert none.exit_code == 0
        first = min(folder.glob("report-*.txt"))
        first.write_text(first.read_text() + " ")
        changed = await command(tmp_path, "--check-reports", "--json")
        assert changed.exit_code == 1
        assert [first.stem in each for each in shown(changed)["problems"]] == [True]
