"""The page for Jira and Confluence without Guard, followed as it is printed: the configurations, the commands, events."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from forwarder.config.settings import load
from simulator.command import build_config
from simulator.simulator import Simulator
from tests.daemon.engine import digests_of
from tests.daemon.process import COMMAND, Process
from tests.docs.strangers import ROOT, commands_of, files_of
from tests.sites import had_by

PAGE = ROOT / "docs" / "without-guard.md"


def test_the_configuration_names_each_site_as_a_source(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(files_of(PAGE)["config.yaml"])
    assert list(load(path).readers) == ["jira/acme", "jira/acme-labs", "confluence/acme"]


async def output_of(folder: Path, command: str) -> tuple[int | None, str]:
    words = command.partition("#")[0].split()
    process = await asyncio.create_subprocess_exec(
        COMMAND, *words[1:], cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output = (await process.communicate())[0].decode()
    return process.returncode, output


@pytest.mark.parametrize("page_port", ["8080"])
async def test_the_part_without_atlassian_brings_every_record(page_port, tmp_path):
    commands = [line for line in commands_of(PAGE) if "offline.yaml" in line]
    assert [line.split()[1] for line in commands] == ["check", "doctor", "run"]
    async with Simulator(build_config(events=0, records=40, rate=0)) as sim:
        port = sim.base_url.rpartition(":")[2]
        text = files_of(PAGE)["offline.yaml"]
        assert f"127.0.0.1:{page_port}" in text
        config = tmp_path / "offline.yaml"
        text = text.replace(page_port, port).replace("./", f"{tmp_path}/").replace("format: ecs", "format: raw")
        config.write_text(text + "admin: {listen: 127.0.0.1:0}\n")
        for line in commands[:2]:
            status, output = await output_of(tmp_path, line)
            assert status == 0, output
        assert output.count("takes the token") == 4
        process = Process(config)
        await process.start()
        out = tmp_path / "out" / "events.ndjson"
        wanted = sorted(had_by(sim, "jira") + had_by(sim, "confluence"))
        oldest = 4  # those at the very beginning of the history may be older by now than is asked for
        await process.until(lambda: len(list(digests_of(out).elements())) >= len(wanted) - oldest)
        assert await process.stop() == 0
        found = digests_of(out)
        assert max(found.values()) <= 2, "twins of Confluence are two records"
        assert set(found) <= set(wanted)
