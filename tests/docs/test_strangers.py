"""The pages for plugin authors, followed as they are printed: files, commands, clauses, and events that arrive."""

from __future__ import annotations

import asyncio
import csv
import fcntl
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts.identity import EventKeys
from forwarder.testing.far_end import SECRET
from forwarder.testing.waiting import until
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.docs.strangers import ROOT, Environment, build_wheel, clauses_passed, commands_of, files_of

PAGES = {
    "sink": ("http_ndjson.py", 30),
    "source": ("team_log.py", 20),
    "format": ("csv_line.py", 10),
}
"""The one file of each page, and so many clauses at least."""

CHECK, RUN = "audit-forwarder check -c config.yaml", "audit-forwarder run -c config.yaml"


def page_of(kind: str) -> Path:
    return ROOT / "docs" / f"write-a-{kind}.md"


def write(kind: str, folder: Path) -> Path:
    """Write the files of a page, and the credentials that its configuration names."""
    for name, text in files_of(page_of(kind)).items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "token").write_text(SECRET)
    (folder / "api-key").write_text(SECRET)
    return folder


pytestmark = pytest.mark.early


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Follow the pages up to the installation, once for all processes of this test run; return the folder of it all."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "strangers"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            environment = Environment(folder / "environment")
            environment.create(build_wheel(folder))
            for kind in PAGES:
                (folder / kind).mkdir()
                environment.run(commands_of(page_of(kind))[0], write(kind, folder / kind))
            (folder / "installed").touch()
    return folder


@pytest.fixture
def environment(shared: Path) -> Environment:
    return Environment(shared / "environment")


@pytest.mark.parametrize("kind", list(PAGES))
def test_a_component_is_one_file_and_its_commands_are_these(kind: str) -> None:
    assert set(files_of(page_of(kind))) == {"pyproject.toml", "conftest.py", "config.yaml", PAGES[kind][0]}
    assert commands_of(page_of(kind)) == ['pip install -e ".[test]"', "pytest", CHECK, RUN]


@pytest.mark.parametrize("kind", list(PAGES))
def test_it_passes_the_clauses_in_an_environment_of_its_own(kind: str, environment: Environment, shared: Path) -> None:
    clauses_passed(environment.run("pytest", shared / kind), PAGES[kind][1])


@pytest.mark.parametrize("kind", list(PAGES))
def test_check_knows_it_and_its_settings(kind: str, environment: Environment, tmp_path: Path) -> None:
    config = write(kind, tmp_path) / "config.yaml"
    environment.run(CHECK, tmp_path)
    if kind != "format":
        config.write_text(config.read_text().replace("token_file", "tokn_file"))
        with pytest.raises(AssertionError, match="tokn_file"):
            environment.run(CHECK, tmp_path)


def conftest_of(folder: Path) -> Any:
    """Import what a page tells its reader to test with."""
    spec = importlib.util.spec_from_file_location(f"conftest_of_{folder.name}", folder / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def organization(sim: Simulator, folder: Path) -> dict[str, str]:
    """Return the environment variables that lead the configuration of a page to a simulated organization."""
    (folder / "api-key").write_text(sim.api_key)
    return {"FORWARDER__SOURCES__ACME__BASE_URL": sim.base_url, "FORWARDER__SOURCES__ACME__ORG_ID": sim.org_id}


SMALL = SimulatorConfig(events=20, history=300, stories=False, oddities=0)
"""All of it within the ten minutes that live events begin with."""


async def test_events_arrive_at_the_sink(environment: Environment, tmp_path: Path) -> None:
    folder = write("sink", tmp_path)
    end = conftest_of(folder).CollectorEnd(tmp_path)
    await end.open()
    try:
        async with Simulator(SMALL) as sim:
            led = {**organization(sim, folder), "FORWARDER__SINKS__COLLECTOR__URL": f"{end.url}/audit"}
            with environment.daemon(RUN, folder, **led) as alive:
                await until(lambda: len(end.landed) == 20, watch=alive, shown=alive)
            assert set(end.landed) == set(sim.organizations[sim.org_id].feed.versions())
    finally:
        await end.close()


async def test_events_arrive_in_the_format(environment: Environment, tmp_path: Path) -> None:
    folder = write("format", tmp_path)
    out = folder / "out" / "events.csv"

    def rows() -> list[list[str]]:
        return list(csv.reader(out.read_text().splitlines())) if out.exists() else []

    async with Simulator(SMALL) as sim:
        with environment.daemon(RUN, folder, **organization(sim, folder)) as alive:
            await until(lambda: len(rows()) >= 20, watch=alive, shown=alive)
        ids = sim.organizations[sim.org_id].feed.versions()
        keys = EventKeys("organization", sim.org_id).keys(ids)
    assert sorted(row[1] for row in rows()) == sorted(key.hex() for key in keys)
    assert {len(row) for row in rows()} == {8}
    assert {row[4] for row in rows()} <= {"", "late"}  # none is history


async def test_events_of_the_source_arrive(environment: Environment, tmp_path: Path) -> None:
    folder = write("source", tmp_path)
    out = folder / "out" / "events.ndjson"
    feed = conftest_of(folder).TeamLogFeed(tmp_path)
    await feed.open()
    try:
        sent = feed.add(8, b'{"n": 1.10, "s": "\\/"}')
        with environment.daemon(RUN, folder, FORWARDER__SOURCES__BLUE__URL=feed.url) as alive:
            await until(lambda: out.exists() and out.read_bytes().count(b"\n") >= 8, watch=alive, shown=alive)
    finally:
        await feed.close()
    assert sorted(out.read_bytes().splitlines()) == sorted(sent)


@pytest.mark.parametrize("kind", list(PAGES))
def test_what_is_printed_passes_the_linters(kind: str, tmp_path: Path) -> None:
    write(kind, tmp_path)
    config = ["--config", str(ROOT / "pyproject.toml")]
    for tool in (["check", "--no-cache", "--ignore", "INP001"], ["format", "--check", "--no-cache"]):
        ruff = [str(Path(sys.executable).with_name("ruff")), *tool, *config, *map(str, tmp_path.glob("*.py"))]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stdout


def test_what_a_page_links_to_is_there() -> None:
    for kind in PAGES:
        for link in re.findall(r"\]\(([^)#]+)\)", page_of(kind).read_text(encoding="utf-8")):
            assert (ROOT / "docs" / link).exists(), link


async def test_the_room_of_the_clauses_is_no_part_of_the_product() -> None:
    code = (
        "import sys, forwarder.cli.app, forwarder.daemon.daemon; "
        "sys.exit(any(name.split('.')[0] == 'pytest' or name.startswith('forwarder.testing') for name in sys.modules))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0
