"""A backup is made while events flow, and restored later: nothing is missing, and what comes twice is explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.cli.living import living
from tests.daemon.engine import digests_of, engine, file_sink, lines_of, source, truth


@pytest.mark.parametrize("running", [True, False])
async def test_nothing_is_missing_after_a_restore_and_every_double_came_since_the_backup(
    tmp_path: Path, running: bool
) -> None:
    out, other, copy = tmp_path / "out", tmp_path / "other", tmp_path / "copy.db"
    async with Simulator(SimulatorConfig(events=150, history="2d")) as sim:
        parts = {"acme": source(sim)}, {"out": file_sink(out), "other": file_sink(other)}
        async with engine(tmp_path, *parts) as e:
            await e.until(lambda: set(digests_of(out)) == set(digests_of(other)) == truth(sim))
            before = truth(sim)
            if running:
                sim.add_events(30)  # some of them come while it is made
                async with living(tmp_path, "backup", str(copy), "--json") as done:
                    assert await done.ended() == 0, done.noted
        if not running:
            async with living(tmp_path, "backup", str(copy)) as done:
                assert (await done.ended(), "restore" in str(done.lines)) == (0, True), done.noted
        async with engine(tmp_path, *parts) as e:
            sim.add_events(80)
            await e.until(lambda: set(digests_of(out)) == set(digests_of(other)) == truth(sim))
            async with living(tmp_path, "restore", str(copy), "--replace", "--yes") as refused:
                assert (await refused.ended(), "in use" in refused.noted) == (3, True)
        assert set(digests_of(out).values()) == {1}
        async with living(tmp_path, "restore", str(copy)) as refused:
            assert (await refused.ended(), "--replace" in refused.noted) == (2, True)
        async with living(tmp_path, "restore", str(copy), "--replace", "--yes") as done:
            assert await done.ended() == 0, done.noted
        sim.add_events(40)
        async with engine(tmp_path, *parts) as e:
            await e.until(lambda: set(digests_of(out)) >= truth(sim) and set(digests_of(other)) >= truth(sim))
            await e.until_settled()
            report = await e.daemon.report()
            assert report.spool is not None
            [gap] = [gap for gap in report.spool.gaps if gap.cause == "restored"]
            assert "may come to sinks twice" in gap.detail
            assert all(line.balance == 0 for line in report.books)
            assert all(not line.missing for line in report.completeness)
            for path in (out, other):
                twice = {digest for digest, times in digests_of(path).items() if times > 1}
                assert twice
                assert twice.isdisjoint(before)
                assert set(digests_of(path).values()) <= {1, 2}
        async with engine(tmp_path, *parts) as e:  # it is on record once, and closed when all was read again
            await e.until(lambda: e.daemon._source_reports)
            count = len(lines_of(out))
            sim.add_events(5)
            await e.until(lambda: len(lines_of(out)) >= count + 5)
            status = (await e.daemon.report()).spool
            assert status is not None
            assert [each.number for each in status.gaps if each.cause == "restored"] == [gap.number]


async def test_the_gap_of_a_restore_is_closed_when_the_log_was_read_to_its_end(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("forwarder.daemon.daemon.DOUBTS", 0.05)
    out, copy = tmp_path / "out", tmp_path / "copy.db"
    async with Simulator(SimulatorConfig(events=20, history="2d")) as sim:
        parts = {"acme": source(sim)}, {"out": file_sink(out)}
        async with engine(tmp_path, *parts) as e:
            await e.until(lambda: set(digests_of(out)) == truth(sim))
        async with living(tmp_path, "backup", str(copy)) as done:
            assert await done.ended() == 0, done.noted
        (tmp_path / "spool.db").unlink()
        copy.rename(tmp_path / "spool.db")  # as people do who know no command
        async with engine(tmp_path, *parts) as e:

            async def is_closed() -> bool:
                spool = (await e.daemon.report()).spool
                return spool is not None and [gap.state for gap in spool.gaps if gap.cause == "restored"] == ["closed"]

            await e.until(is_closed)
