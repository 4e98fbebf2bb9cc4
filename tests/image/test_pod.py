"""What the chart renders, run in the image: the mounts fit, the probes answer, a changed Secret is used as it runs."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path

from forwarder.exit_codes import ExitCode
from simulator.config import RateLimits, SimulatorConfig
from simulator.receivers.bulk import BulkReceiver
from simulator.simulator import Simulator
from tests.daemon.engine import digests_of, source, truth
from tests.helm.chart import MINIMAL, Helm
from tests.helm.tools import tools_or_skip
from tests.image.container import Image, get
from tests.image.pod import Pod

SERVICE = "audit-forwarder.audit.svc"


async def test_the_pod_of_the_chart_works_in_the_image(image: Image, tmp_path: Path, dead_port: int):
    async with (
        Simulator(SimulatorConfig(events=600, history="2d", limits=RateLimits(stream=0, events=0))) as sim,
        BulkReceiver(auto_create=True) as receiver,
    ):
        acme = source(sim)
        key = {"sources__acme__api_key": acme.pop("api_key"), "admin__token": "token-of-the-status"}
        config = {
            "sources": {"acme": acme},
            "sinks": {
                "elastic": {"url": receiver.url, "unmanaged": True},
                "archive": {"type": "file", "path": "out/events.ndjson", "format": "raw"},
            },
            "budgets": {"fast": {"requests_per_minute": 600_000}},
            "admin": {"listen": f"0.0.0.0:{dead_port}"},
        }
        pod = Pod(image, Helm(tools_or_skip(), tmp_path).render(MINIMAL, config=config), tmp_path, key)
        pod.mount_volumes()
        archive = tmp_path / "state" / "out" / "events.ndjson"
        async with pod.container() as container:
            for kind in ("livenessProbe", "readinessProbe"):
                probe = pod.probe(kind)
                await container.until_answers(probe.port, probe.path, "127.0.0.1")
                assert await get(probe.port, probe.path, SERVICE) == 200
            await container.until(lambda: set(digests_of(archive)) == truth(sim))
            await container.until(lambda: len(receiver.stream()) == len(truth(sim)))

            sim.rotate_key()
            sim.add_events(20)
            await container.until(lambda: "source_degraded" in container.text)
            pod.change_secret("sources__acme__api_key", sim.api_key)
            await container.until(lambda: set(digests_of(archive)) == truth(sim))

            code, output = await container.exec("/opt/audit-forwarder/bin/audit-forwarder", "status", "--json")
            assert (code, json.loads(output)["degraded"]) == (ExitCode.OK, [])
            code, output = await container.exec("/opt/audit-forwarder/bin/audit-forwarder", "dead-letters", "list")
            assert code == ExitCode.OK, output
            async with asyncio.timeout(pod.grace):
                assert await container.stop() == ExitCode.OK, container.text[-4000:]
        spool = tmp_path / "state" / "state"
        assert stat.S_IMODE(spool.stat().st_mode) & 0o007 == 0
