"""`reconcile --verify-sink`: sinks that drop what they acknowledged, or that cannot be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.config import SimulatorConfig
from simulator.receivers.bulk import BulkReceiver
from simulator.receivers.hec import HecReceiver
from simulator.receivers.hec_rules import Token
from simulator.receivers.http_lines import HttpLinesReceiver
from simulator.simulator import Simulator
from tests.cli.test_reconcile_command import command, shown
from tests.daemon.engine import Engine, engine, file_sink, lines_of, source, truth

TOKEN = "5c0fe9a2-7d3b-4e61-9a48-1f2b3c4d5e6f"


def elastic(receiver: BulkReceiver) -> dict[str, Any]:
    return {"type": "elasticsearch", "url": receiver.url, "unmanaged": True, "batch": {"wait": 0.02}}


async def settled(e: Engine, events: int, sinks: int) -> None:
    async def all_accepted() -> bool:
        return sum(line.accepted for line in (await e.daemon.report()).books) == events * sinks

    await e.until(all_accepted)


async def test_what_a_sink_acknowledged_and_dropped_is_found_and_closed_when_it_is_back(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    async with Simulator(SimulatorConfig(events=60, history="2d")) as sim, BulkReceiver(auto_create=True) as receiver:
        sinks = {"out": file_sink(out), "elastic": elastic(receiver)}
        async with engine(tmp_path, {"acme": source(sim, limit=40)}, sinks) as e:
            await settled(e, len(truth(sim)), 2)
            whole = await command(tmp_path, "--verify-sink")
            assert whole.exit_code == 0, whole.output
            assert "dropped after" not in whole.stdout

            documents = receiver.stream().backing[0].documents
            dropped = {each: documents.pop(each) for each in sorted(documents)[:3]}
            lines = lines_of(out)
            out.write_bytes(b"".join(line + b"\n" for line in lines[2:]))
            found = await command(tmp_path, "--verify-sink")
            assert found.exit_code == 1
            assert all(each in found.stdout for each in dropped)
            verdict = shown(await command(tmp_path, "--json"))
            missing = {"out": 0, "elastic": 0}
            for line in verdict["lines"]:
                missing[line["sink"]] += line["missing"]
            assert missing == {"out": 2, "elastic": 3}
            assert {gap["cause"] for gap in verdict["gaps"]} == {"dropped_by_sink"}

            for shards, may_refresh in ((1, True), (0, False)):
                receiver.failed_shards, receiver.may_refresh = shards, may_refresh
                unsure = await command(tmp_path, "--verify-sink", "--sink", "elastic")
                assert (unsure.exit_code, "nothing is claimed of it" in unsure.stdout) == (1, True)
            receiver.failed_shards, receiver.may_refresh = 0, True

            documents |= dropped
            out.write_bytes(b"".join(line + b"\n" for line in lines))
        back = await command(tmp_path, "--verify-sink")
        assert back.exit_code == 0, back.output
        assert shown(await command(tmp_path, "--json"))["complete"]


async def test_a_sink_that_cannot_be_asked_says_why_and_splunk_which_search_to_run(tmp_path: Path) -> None:
    async with (
        Simulator(SimulatorConfig(events=20, history="1d")) as sim,
        HecReceiver({TOKEN: Token()}) as splunk,
        HttpLinesReceiver() as lines,
    ):
        sinks: dict[str, Any] = {
            "splunk": {"type": "splunk_hec", "url": splunk.url, "token": TOKEN, "batch": {"wait": 0.02}},
            "lines": {"type": "http", "url": lines.url, "batch": {"wait": 0.02}},
        }
        async with engine(tmp_path, {"acme": source(sim)}, sinks) as e:
            await settled(e, len(truth(sim)), 2)
        asked = await command(tmp_path, "--verify-sink")
        assert asked.exit_code == 1
        assert "lines: not asked: an endpoint for lines has no question" in asked.stdout
        assert "| tstats count where (index=*)" in asked.stdout
        ids = sorted({str(event.fields["document_id"]) for event in splunk.found()})
        assert len(ids) == len(truth(sim))
        export = tmp_path / "export.csv"
        export.write_text("document_id,count\n" + "".join(f"{each},1\n" for each in ids))
        words = ("--verify-sink", "--sink", "splunk", "--result", str(export))
        assert (await command(tmp_path, *words)).exit_code == 0
        export.write_text("document_id,count\n" + "".join(f"{each},1\n" for each in ids[1:]))
        short = await command(tmp_path, *words)
        assert (short.exit_code, ids[0] in short.stdout) == (1, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--result", "config.yaml"), "--result is of one sink"),
        (("--verify-sink", "--json"), "ask for --json afterwards"),
        (("--verify-sink", "--within", "0"), "--within"),
    ],
)
async def test_words_that_do_not_go_together_are_refused(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    (tmp_path / "config.yaml").write_text("{}")
    words = tuple(str(tmp_path / word) if word == "config.yaml" else word for word in words)
    refused = await command(tmp_path, *words)
    assert (refused.exit_code, says in " ".join(refused.stderr.replace("│", " ").split())) == (2, True), refused.stderr
