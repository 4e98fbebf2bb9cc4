"""State belongs to the organization, not to the name in the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from forwarder.contracts import ConfigError
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.daemon.engine import digests_of, engine, file_sink, lines_of, source, truth

SMALL = SimulatorConfig(events=80, history="2d", organizations=2)


def only(sim: Simulator, number: int) -> set[str]:
    """Return the digests of everything in one organization."""
    org = sim.org_ids[number]
    return {version.digest for versions in sim.ledger.versions(org).values() for version in versions}


async def test_a_renamed_source_goes_on_without_a_double(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    async with Simulator(SMALL) as sim:
        async with engine(tmp_path, {"acme": source(sim)}, {"out": file_sink(out)}) as e:
            await e.until(lambda: len(lines_of(out)) >= 80)
            await e.stop()
        sim.add_events(20)
        asked = len(sim.ledger.requests)
        async with engine(tmp_path, {"renamed": source(sim)}, {"out": file_sink(out)}) as e:
            await e.until(lambda: len(lines_of(out)) >= 100)
            report = await e.daemon.report()
            await e.stop()
        assert digests_of(out) == dict.fromkeys(only(sim, 0), 1)
        assert [(line.source, line.spooled, line.balance) for line in report.books] == [("renamed", 100, 0)]
        followed = [request for request in list(sim.ledger.requests)[asked:] if request.feed == "stream"]
        assert "cursor=" in followed[0].query


async def test_another_organization_under_an_old_name_is_refused_and_asked_for_no_event(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    async with Simulator(SMALL) as sim:
        async with engine(tmp_path, {"acme": source(sim)}, {"out": file_sink(out)}) as e:
            await e.until(lambda: len(lines_of(out)) >= 80)
            await e.stop()
        with pytest.raises(ConfigError) as caught:
            async with engine(tmp_path, {"acme": source(sim, sim.org_ids[1])}, {"out": file_sink(out)}) as e:
                await e.task
        for words in ("sources.acme", sim.org_ids[0], sim.org_ids[1]):
            assert words in str(caught.value)
        # its list of actions may be asked for before the spool has answered
        assert {asked.organization for asked in sim.ledger.requests if asked.feed != "actions"} == {sim.org_ids[0]}
        assert len(lines_of(out)) == 80


async def test_an_organization_may_be_added_and_the_names_swapped(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    async with Simulator(SMALL) as sim:
        one, two = sim.org_ids
        names = [{"acme": source(sim, one)}, {"acme": source(sim, one), "other": source(sim, two)}]
        names.append({"acme": source(sim, two), "other": source(sim, one)})
        for sources in names:
            sim.add_events(10, one)
            sim.add_events(10, two)
            async with engine(tmp_path, sources, {"out": file_sink(out)}) as e:
                wanted = truth(sim) if len(sources) > 1 else only(sim, 0)
                await e.until(lambda wanted=wanted: len(lines_of(out)) >= len(wanted))
                await e.stop()
        assert digests_of(out) == dict.fromkeys(truth(sim), 1)


async def test_two_sources_of_one_organization_are_refused(tmp_path: Path) -> None:
    async with Simulator(SMALL) as sim:
        sources = {"acme": source(sim), "twice": source(sim)}
        with pytest.raises(ConfigError, match="two sources follow the same"):
            async with engine(tmp_path, sources, {"out": file_sink(tmp_path / "out.ndjson")}) as e:
                await e.task
        assert not sim.ledger.requests
        assert not (tmp_path / "spool.db").exists()
