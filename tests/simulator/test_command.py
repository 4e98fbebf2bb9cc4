"""The command: what it prints is enough to connect, and it ends cleanly on a signal."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import yaml

from simulator.command import build_config, snippet, status_line
from simulator.faults import Rule
from simulator.simulator import Simulator
from tests.simulator.asking import Clock, ask

PROGRAM = """
from simulator.command import build_config, simulate
simulate(build_config(events=50, rate=100))
"""


def test_it_runs_prints_how_to_connect_and_stops_on_sigterm():
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = [process.stdout.readline() for _ in range(7)]
            source = yaml.safe_load("".join(lines))["sources"]["simulated1"]
            url = f"{source['base_url']}/admin/v1/orgs/{source['org_id']}/events-stream?limit=5"
            request = urllib.request.Request(url, headers={"authorization": f"Bearer {source['api_key']}"})
            with urllib.request.urlopen(request) as answer:
                assert answer.status == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait() == 0
        finally:
            process.kill()


async def test_snippet_and_status_line():
    config = build_config(events=100, organizations=2, rate=0, switches=["tip=null"], rate_limit=0)
    async with Simulator(config, clock=Clock()) as sim:
        sources = yaml.safe_load(snippet(sim))["sources"]
        assert {source["org_id"] for source in sources.values()} == set(sim.org_ids)
        sim.faults.add("html")
        await ask(sim)
        await ask(sim, limit=10)
        assert status_line(sim) == "events 200 · requests 2 · served 10 · torn 0 · faults html 1"


def test_command_line_words_become_settings(tmp_path):
    script = tmp_path / "faults.yaml"
    script.write_text("- {what: rate_limit, every: 60s, for: 5s}\n")
    config = build_config(faults=script, switches=["bounds=exclusive"], history="1d", ugc="not_stored")
    assert config.faults[0]["what"] == "rate_limit"
    assert (config.history, config.ugc, config.switches.bounds) == (86400, "not_stored", "exclusive")
    assert (config.limits.stream, config.limits.events) == (50, 10)
    with pytest.raises(ValueError, match="history"):
        build_config(history="long")


def test_the_documentation_names_every_fault_parameter_and_its_example_is_valid():
    text = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()
    for name, field in Rule.model_fields.items():
        assert f"`{field.alias or name}`" in text
    for what in Rule.model_fields["what"].annotation.__args__:
        assert f"`{what}`" in text
    (example,) = [
        block.partition("```")[0] for block in text.split("```yaml\n")[1:] if block.startswith("# faults.yaml")
    ]
    for rule in yaml.safe_load(io.StringIO(example)):
        Rule.model_validate(rule)
