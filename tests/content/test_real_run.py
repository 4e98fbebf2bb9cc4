"""A real Prometheus scrapes a real daemon through an outage: the right alerts fire, and the dashboard has its answers.

The rules are the shipped ones in a copy that waits for a second where they wait for minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from forwarder.testing.waiting import until
from simulator.config import RateLimits, SimulatorConfig
from simulator.http_types import Response
from simulator.receivers.http_lines import HttpLinesReceiver
from simulator.receivers.rules import Rule
from simulator.simulator import Simulator
from tests.content.prometheus import RULES, Prometheus
from tests.content.test_alerts import ALLOWED, complaints
from tests.content.test_dashboard import PANELS
from tests.daemon.engine import file_sink, source
from tests.daemon.process import Process, run_command, write_config
from tests.sockets import held_port

pytestmark = pytest.mark.packaging

NOTHING_YET = {
    "History still to fetch: {{source}}",  # all of it was fetched, or its pace is unknown
    "Events of an hour, beside what is usual: {{source}}",  # known after an hour
    "Events of an hour, beside what is usual: {{source}}, usual",  # after a week
    "Missing events: {{source}} to {{sink}}, out of balance",  # never, it is hoped
    "Not yet read a second time: {{source}}",  # after two hours
}
"""What nothing can be said of after a minute."""


class Asked:
    """A Prometheus that runs."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    async def ask(self, path: str, **words: str) -> Any:
        """Return the data of an answer; None while it does not answer yet. Raises ValueError with what it refuses."""

        def get() -> Any:
            url = f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(words)}"
            try:
                with self._opener.open(url, timeout=30) as answer:
                    return json.load(answer)["data"]
            except urllib.error.HTTPError as error:
                if error.code == 503:  # it begins
                    return None
                raise ValueError(error.read().decode()) from error
            except OSError:
                return None

        return await asyncio.to_thread(get)

    async def firing(self) -> set[str]:
        """Return the names of the alerts that fire, with what they are about."""
        found = await self.ask("alerts") or {"alerts": []}
        return {
            " ".join(filter(None, (labels["alertname"], labels.get("sink") or labels.get("source"))))
            for alert in found["alerts"]
            if alert["state"] == "firing"
            for labels in [alert["labels"]]
        }

    async def until_firing(self, wanted: set[str]) -> None:
        """Wait until just these fire."""
        last: set[str] = set()

        async def fire() -> bool:
            nonlocal last
            last = {name.removeprefix("AuditForwarder") for name in await self.firing()}
            return last == wanted

        await until(fire, shown=lambda: f"firing: {sorted(last)}, wanted: {sorted(wanted)}", every=0.5)


@asynccontextmanager
async def running(prometheus: Prometheus, folder: Path, target: str) -> AsyncIterator[Asked]:
    """Run Prometheus with the rules; it scrapes every second."""
    folder.mkdir()
    rules = re.sub(r"for: \d+\w", "for: 1s", RULES.read_text(encoding="utf-8"))
    rules = rules.replace("> 900 + forwarder_sink_objective_seconds", "> 2")
    (folder / "alerts.yaml").write_text(rules)
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["alerts.yaml"],
        "scrape_configs": [{"job_name": "audit-forwarder", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(settings))
    with (folder / "log").open("wb") as log, held_port() as port:
        process = await asyncio.create_subprocess_exec(
            prometheus.server,
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
        asked = Asked(f"http://127.0.0.1:{port}")
        try:
            await until(lambda: asked.ask("status/buildinfo"), shown=(folder / "log").read_text, every=0.2)
            yield asked
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def without_answer(asked: Asked) -> set[str]:
    """Return what the panels ask for and get no answer to. Raises ValueError with what Prometheus does not understand."""
    silent = set()
    for panel in PANELS:
        for target in panel["targets"]:
            expr = re.sub(r"\$__\w+", "5m", target["expr"])
            expr = re.sub(r"\$\w+", ".*", expr)
            found = (await asked.ask("query", query=expr))["result"]
            if not any(series["value"][1] != "NaN" for series in found):
                silent.add(f"{panel['title']}: {target['legendFormat']}")
    return silent


async def test_the_right_alerts_fire_in_an_outage_and_every_panel_has_an_answer(
    prometheus: Prometheus, tmp_path: Path
) -> None:
    ends = (datetime.now(UTC) + timedelta(hours=12)).strftime("%Y-%m-%dT%H:%M:%SZ")
    config = SimulatorConfig(events=200, rate=10, limits=RateLimits(stream=0, events=0))
    always = {"KeyExpires acme", "UnconfiguredLane"}
    async with Simulator(config) as sim, HttpLinesReceiver() as receiver:
        acme = {"acme": source(sim, api_key_expires_at=ends)}
        siem = {"type": "http", "url": receiver.url, "format": "raw", "retry": {"base": "100ms", "max": "1s"}}
        sinks = {"out": file_sink(tmp_path / "out.ndjson"), "siem": siem}
        with held_port() as closed:
            old = {**siem, "url": f"http://127.0.0.1:{closed}/ingest"}
            path = write_config(tmp_path, acme, {**sinks, "old": old})
            async with Process(path) as process:
                await process.start()
                await process.until_status(lambda status: any(line["waiting"] for line in status["books"]))
                await process.stop()
        async with Process(write_config(tmp_path, acme, sinks)) as process:
            await process.start()
            await process.until_got("/readyz", b"ready")
            async with running(prometheus, tmp_path / "prometheus", f"127.0.0.1:{process.port}") as asked:
                await asked.until_firing(always)
                sim.faults.add("server_error", times=3)
                receiver.rules.append(Rule(None, answer=Response(401)))
                await asked.until_firing({*always, "SinkHeld siem", "SinkLate siem"})
                receiver.rules.clear()
                await run_command(path, "lanes", "retry-now", "siem")
                await asked.until_firing(always)
                assert await without_answer(asked) <= NOTHING_YET
                assert complaints(prometheus, (await process.get("/metrics"))[1]) == ALLOWED
                await process.stop()
                await asked.until_firing({"Down"})
