"""The second and third step of the tutorial, typed as they are written: one's own organization, and one's own SIEM.

Doubles stand for both: a simulated organization, and a strict receiver that knows `_bulk`.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

from forwarder.testing.waiting import until
from simulator.receivers.bulk import BulkReceiver
from tests.daemon.process import COMMAND
from tests.docs.strangers import ROOT

KEY = "bXlpZDpteXNlY3JldGtleQ=="
ENV = {**os.environ, "PATH": f"{Path(COMMAND).parent}:{os.environ['PATH']}"}


def steps() -> list[list[str]]:
    """Return the blocks of commands of each step."""
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    return [
        re.findall(r"^```sh\n(.*?)^```", step, re.MULTILINE | re.DOTALL)
        for step in re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    ]


def sink_of_the_page() -> str:
    """Return the sink that the page about Elasticsearch shows, as it is pasted below `sinks:`."""
    page = (ROOT / "docs" / "siem" / "elastic.md").read_text(encoding="utf-8")
    [sink] = re.findall(r"^sinks:\n((?:  .*\n)+)", page, re.MULTILINE)
    return str(sink)


async def typed(block: str, folder: Path, said: str = "") -> str:
    """Type a block into a shell; return what it prints. Each of its commands must be well."""
    shell = await asyncio.create_subprocess_exec(
        "/bin/bash", "-ec", block, cwd=folder, env=ENV, stdin=-1, stdout=-1, stderr=asyncio.subprocess.STDOUT
    )  # fmt: skip
    printed, _ = await shell.communicate(said.encode())
    assert shell.returncode == 0, f"{block}\n{printed.decode()}"
    return printed.decode()


@asynccontextmanager
async def left_running(words: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Type a command that stays, and end it at last as Ctrl-C does."""
    command = await asyncio.create_subprocess_exec(*words.split(), cwd=folder, env=ENV, stdout=-1, stderr=-3)
    try:
        yield command
    finally:
        command.terminate()
        await command.wait()


@pytest.mark.timeout(600)  # a dozen commands, each a process of its own
async def test_your_organization_and_your_siem(tmp_path: Path, dead_port: int) -> None:
    _, (init, run, status), (secret, try_out), *_ = steps()
    async with left_running("audit-forwarder simulate --port 0", tmp_path) as simulate, BulkReceiver() as elastic:
        assert simulate.stdout is not None
        said = [await simulate.stdout.readline() for _ in range(7)]
        [organization] = yaml.safe_load(b"".join(said))["sources"].values()
        elastic.credentials = {f"ApiKey {KEY}"}
        (tmp_path / "key").write_text(organization["api_key"])
        answers = f"--org-id {organization['org_id']} --key-file key --listen 127.0.0.1:{dead_port} --no-doctor"
        await typed(f"{init.strip()} {answers}", tmp_path)  # there is no terminal to ask on
        folder = tmp_path / "acme"
        config = folder / "config.yaml"
        own = config.read_text().replace("    org_id:", f"    base_url: {organization['base_url']}\n    org_id:")
        config.write_text(own)

        into, daemon = run.strip().splitlines()
        assert into == "cd acme"
        async with left_running(daemon, folder):
            events = folder / "out" / "events.ndjson"
            await until(lambda: events.exists() and b"\n" in events.read_bytes())
            assert "atlassian" in await typed(status, folder)

            sink = sink_of_the_page().replace("https://elastic.example:9200", elastic.url)
            config.write_text(own.replace("sinks:\n", f"sinks:\n{sink}"))
            await typed(secret, folder, f"{KEY}\n")
            assert (folder / "secrets" / "elastic").stat().st_mode & 0o777 == 0o600
            printed = await typed(try_out, folder)
            assert "sink elastic (elasticsearch, format ecs): gets " in printed
            [stream] = elastic.streams
            assert stream == "logs-atlassian.audit-default"
            assert "elastic: accepted" in printed
