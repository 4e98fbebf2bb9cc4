"""`import` of an exported table: what came by the API is known, what did not becomes an event, what is unclear is named."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from forwarder.cli.app import app
from forwarder.cli.commands.export_import import CameByApi, agree
from forwarder.contracts.export import ExportedRow, SeenEvent
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.daemon.engine import engine, file_sink, lines_of, source

COLUMNS = ("Date", "Activity", "Actor", "IP address", "Location")
EVENTS = 120


def rows_of(path: Path) -> list[list[str]]:
    """Return what an export would have of the events of a file."""
    rows = []
    for line in lines_of(path):
        at = json.loads(line)["attributes"]
        who = at.get("actor") or {}
        email = who.get("email") or ""
        name = email if "@" in email else who.get("name") or ""
        rows.append([at["time"], at["action"], name, (at.get("location") or {}).get("ip") or "", "=1+1"])
    return rows


def table(path: Path, rows: list[list[str]]) -> Path:
    text = io.StringIO()
    csv.writer(text).writerows([COLUMNS, *rows])
    path.write_bytes(text.getvalue().encode("utf-8-sig"))
    return path


async def run_import(*words: str) -> Any:
    return await asyncio.to_thread(CliRunner().invoke, app, ["import", *words, "--source", "acme"])


def not_known(days: int = 400) -> list[list[str]]:
    """Return rows of what came never, of a day that the API does not keep; two of them are equal."""
    day = (datetime.now(UTC) - timedelta(days=days)).date().isoformat()
    rows = [[f"{day}T10:00:{n:02}Z", "user_did_it", f"ada{n}@example.com", "", "x\ny"] for n in range(10)]
    return [*rows, rows[0]]


async def test_what_came_is_known_and_what_did_not_becomes_an_event_that_says_where_it_is_from(tmp_path: Path) -> None:
    # no oddities: an event without a time of its own has no row
    async with Simulator(SimulatorConfig(events=EVENTS, history="2d", oddities=0.0, late_share=0.0)) as sim:
        out, ecs, config = tmp_path / "out", tmp_path / "ecs", str(tmp_path / "config.yaml")
        sinks = {"out": file_sink(out), "ecs": file_sink(ecs, format="ecs")}
        async with engine(tmp_path, {"acme": source(sim)}, sinks) as e:
            await e.until(lambda: len(lines_of(out)) == EVENTS)
            rows, new = rows_of(out), not_known()
            export = table(tmp_path / "export.csv", [*new, *rows])
            done = await run_import(str(export), "-c", config)
            assert done.exit_code == 0, done.output
            assert f"acme: 11 new, {EVENTS} known already, 0 lines left out\n" in done.stdout
            assert "see that this is so" in done.stderr
            await e.until(lambda: len(lines_of(out)) == len(lines_of(ecs)) == EVENTS + 11)
            made = [json.loads(line) for line in lines_of(out)[EVENTS:]]
            assert len({event["id"] for event in made}) == 11
            first = next(event for event in made if event["audit_forwarder_import"]["line"] == 2)
            assert first["audit_forwarder_import"] == {
                "file": "export.csv", "line": 2, "row": [list(pair) for pair in zip(COLUMNS, new[0], strict=True)],
            }  # fmt: skip
            assert first["attributes"]["actor"] == {"email": "ada0@example.com"}
            marked = [json.loads(line) for line in lines_of(ecs)]
            marks = [event for event in marked if "imported" in event["atlassian"]["audit"].get("marks", [])]
            assert len(marks) == 11
            assert {event["user"]["email"] for event in marks} == {f"ada{n}@example.com" for n in range(10)}
            again = await run_import(str(export), "-c", config)
            assert f"acme: 0 new, {EVENTS + 11} known already, 0 lines left out\n" in again.stdout
        # without the daemon, and under another name
        other = table(tmp_path / "other.csv", [*rows[:5], *not_known()])
        done = await run_import(str(other), "-c", config)
        assert "acme: 0 new, 16 known already" in done.stdout, done.output


async def test_what_cannot_be_told_is_left_out_and_named_until_somebody_says_to_take_it(tmp_path: Path) -> None:
    async with Simulator(SimulatorConfig(events=EVENTS, history="1h", oddities=0.0, late_share=0.0)) as sim:
        out, config = tmp_path / "out", str(tmp_path / "config.yaml")
        async with engine(tmp_path, {"acme": source(sim)}, {"out": file_sink(out)}) as e:
            await e.until(lambda: len(lines_of(out)) == EVENTS)
            [first, *_] = rows = rows_of(out)
            words = table(
                tmp_path / "words.csv", [[first[0], "Did something", *first[2:]], ["soon", *first[1:]], first[:4]]
            )
            done = await run_import(str(words), "-c", config)
            assert done.exit_code == 1
            assert "acme: 0 new, 0 known already, 3 lines left out" in done.stdout, done.output
            for said in (
                f"line 2 is left out: '{first[1]}' came",
                "line 3 is left out: its time",
                "line 4 is left out: it has",
            ):
                assert said in done.stderr
        with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as con:
            con.execute("DELETE FROM bodies")
            con.execute("DELETE FROM pages")
            con.commit()
        export = table(tmp_path / "export.csv", rows)
        done = await run_import(str(export), "-c", config)
        assert f"acme: 0 new, 0 known already, {EVENTS} lines left out" in done.stdout, done.output
        assert "have left the spool" in done.stderr
        done = await run_import(str(export), "-c", config, "--again")
        assert (done.exit_code, f"acme: {EVENTS} new" in done.stdout) == (0, True), done.output


async def test_what_cannot_be_meant_is_refused_before_anything_is_taken(tmp_path: Path) -> None:
    config, export = str(tmp_path / "config.yaml"), table(tmp_path / "export.csv", not_known())
    odd = tmp_path / "odd.csv"
    odd.write_bytes(b"Wann;Was;Wer\n1;2;3\n")
    bare = table(tmp_path / "bare.csv", [["2026-01-31 10:00:00", "x", "Ada", "", ""]] * 3)
    async with Simulator(SimulatorConfig(events=0, history="1h")) as sim:
        async with engine(tmp_path, {"acme": source(sim)}, {"out": file_sink(tmp_path / "out")}) as e:
            await e.until(lambda: any(report.requests for report in e.daemon._source_reports.values()))
        for words, said in (
            ((str(odd),), "documented nowhere"),
            ((str(bare),), "--tz UTC"),
            ((str(export), "--sink", "out"), "go to all sinks"),
            ((str(export), "--tz", "Nowhere"), "not a time zone"),
            ((str(tmp_path / "absent.csv"),), "No such file"),
            (("x.ndjson", "--tz", "UTC"), "say --csv"),
            (("--from", "out", "--csv"), "of a table only"),
        ):
            refused = await run_import(*words, "-c", config)
            assert (refused.exit_code, said in refused.stderr) == (2, True), refused.output


AT = 1_769_853_600_000


def seen(action: str = "user_login", email: str = "ada@example.com", at: int = AT, words: str = "") -> SeenEvent:
    return SeenEvent(at, ("712020:1", "Ada", email), (action, words, ""))


def row(
    action: str = "user_login", actor: tuple[str, str, str] = ("", "", "ada@example.com"), at: int = AT
) -> ExportedRow:
    return ExportedRow(at, 1000, action, actor)


def test_what_agrees() -> None:
    assert agree(row(), seen()) is True
    assert agree(row("User Login"), seen()) is True, "the same but for signs"
    assert agree(row("Logged in"), seen(words="Logged in")) is True
    assert agree(row(actor=("", "Ada", "")), seen()) is True
    assert agree(row(actor=("", "Ada", "other@example.com")), seen()) is True, "one of them is enough"
    assert agree(row("user_logout"), seen()) is False
    assert agree(row(actor=("", "", "bob@example.com")), seen()) is False
    assert agree(row("Signed in"), seen()) is None, "other words may be for the same"
    assert agree(row(actor=("", "", "")), seen()) is None
    assert agree(row(actor=("", "Ada Lovelace", "")), seen()) is None, "a name may have been changed"
    assert agree(row(actor=("", "", "")), SeenEvent(AT, ("", "", ""), ("user_login",))) is True


class Counts:
    def __init__(self) -> None:
        self.known, self.left = 0, []

    def leave_out(self, place: str, reason: str) -> None:
        self.left.append((place, reason))


def sorted_out(rows: list[ExportedRow], events: list[SeenEvent], **how: Any) -> tuple[int, int, int]:
    counts: Any = Counts()
    new = CameByApi(events, how.get("held", {}), how.get("spooled", {})).sort_out(rows, counts, again=False)
    return counts.known, len(new), len(counts.left)


def test_one_event_is_one_row() -> None:
    assert sorted_out([row(), row(), row()], [seen(), seen()]) == (2, 1, 0)
    assert sorted_out([row(at=AT - 999), row(at=AT + 999)], [seen()]) == (1, 1, 0)
    assert sorted_out([row(at=AT - 1000)], [seen()]) == (0, 1, 0)
    assert sorted_out([row("Signed in"), row()], [seen()]) == (1, 1, 0), "what is taken is not doubted"
    assert sorted_out([row("Signed in")], [seen()]) == (0, 0, 1)
    assert sorted_out([row()], [], held={"2026-01-31": 4}, spooled={"2026-01-31": 5}) == (0, 0, 1)
    assert sorted_out([row()], [], held={"2026-01-31": 5}, spooled={"2026-01-31": 5}) == (0, 1, 0)
