"""Many sites under one credential: each is read, counted and shown by itself, and the fault of one is its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.simulator import Simulator
from tests.daemon.engine import digests_of, engine, file_sink, lines_of
from tests.sites import had_by, of_sites, products


def delivered(path: Path) -> list[str]:
    return sorted(digests_of(path).elements())


async def test_each_site_is_a_source_of_its_own_and_one_that_is_not_there_stops_no_other(tmp_path):
    out = tmp_path / "out.ndjson"
    async with Simulator(products()) as sim:
        first, second = sim.sites
        jira = of_sites(sim, "jira", first, "no-such-site", second)
        async with engine(tmp_path, {"jira": jira}, {"out": file_sink(out)}) as running:
            await running.until(lambda: len(lines_of(out)) >= len(had_by(sim, "jira")))

            async def all_told():
                sources = {source.name: source for source in (await running.daemon.report()).sources}
                return sources if sources["jira/no-such-site"].state == "held" else None

            sources = await running.until(all_told)
        assert list(sources) == [f"jira/{first}", "jira/no-such-site", f"jira/{second}"]
        assert {source.identity for source in sources.values()} == {
            f"jira:{site}.atlassian.net" for site in (first, "no-such-site", second)
        }
        assert "knows no Jira" in sources["jira/no-such-site"].reason
        assert "site" in sources["jira/no-such-site"].fix
        for name in (first, second):
            assert sources[f"jira/{name}"].well
        assert delivered(out) == had_by(sim, "jira")


async def test_the_books_are_kept_by_site(tmp_path):
    out = tmp_path / "out.ndjson"
    async with (
        Simulator(products()) as sim,
        engine(tmp_path, {"jira": of_sites(sim, "jira")}, {"out": file_sink(out)}) as running,
    ):
        expected = {f"jira/{site}": len(had_by(sim, "jira", site)) for site in sim.sites}

        async def balanced():
            return {line.source: line.accepted for line in (await running.daemon.report()).books} == expected

        await running.until(balanced)


@pytest.mark.parametrize("lives", [("0", "01", "1"), ("01", "1", "01"), ("01", "10")])
async def test_a_list_may_grow_and_shrink_and_every_site_goes_on_where_it_was(lives, tmp_path):
    out = tmp_path / "out.ndjson"
    async with Simulator(products()) as sim:
        for numbers in lives:
            sites = [list(sim.sites)[int(number)] for number in numbers]
            async with engine(tmp_path, {"jira": of_sites(sim, "jira", *sites)}, {"out": file_sink(out)}) as running:
                for site in sites:
                    sim.sites[site].logs["jira"].happen(3, int(sim.clock() * 1000))
                wanted = {digest for site in sites for digest in had_by(sim, "jira", site)}
                await running.until(lambda wanted=wanted: wanted <= set(digests_of(out)))
        assert delivered(out) == had_by(sim, "jira")


@pytest.mark.parametrize(("kind", "glob"), [("include", "jira"), ("include", "jira/*"), ("exclude", "other")])
async def test_the_name_of_an_entry_stands_for_its_sites_in_a_filter(kind, glob, tmp_path):
    out, one = tmp_path / "out.ndjson", tmp_path / "one.ndjson"
    async with Simulator(products()) as sim:
        first, _ = sim.sites
        sinks = {
            "out": file_sink(out, **{kind: [{"source": glob}]}),
            "one": file_sink(one, include=[{"source": f"JIRA/{first}"}]),
        }
        sources = {"jira": of_sites(sim, "jira"), "other": {**of_sites(sim, "jira", "third")}}
        async with engine(tmp_path, sources, sinks) as running:
            await running.until(lambda: delivered(out) == had_by(sim, "jira"))
            await running.until(lambda: delivered(one) == had_by(sim, "jira", first))


async def test_a_site_is_routed_by_the_name_that_it_has_in_sites(tmp_path):
    eu, one = tmp_path / "eu.ndjson", tmp_path / "one.ndjson"
    async with Simulator(products(40)) as sim:
        first, second = sim.sites
        sinks = {
            "eu": file_sink(eu, include=[{"place": "eu"}]),
            "one": file_sink(one, include=[{"site": f"{second}"}]),
        }
        places = {"eu": [first]}
        async with engine(tmp_path, {"jira": of_sites(sim, "jira")}, sinks, places=places) as running:
            await running.until(lambda: delivered(eu) == had_by(sim, "jira", first))
            await running.until(lambda: delivered(one) == had_by(sim, "jira", second))
