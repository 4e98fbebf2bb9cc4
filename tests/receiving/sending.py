"""A daemon of its own that receives, and what sends to it."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
from pathlib import Path
from typing import Any

import psutil

from tests.daemon.engine import file_sink, lines_of
from tests.daemon.process import Process, write_config

SECRET = "0123456789abcdef-made-up"
ORG = "11111111-2222-3333-4444-555555555555"
PATH = "/webhook/alerts"


def alert(number: int, **more: Any) -> dict[str, Any]:
    return {"alertId": f"a{number}", "alertTitle": "Suspicious search", "detectionTime": 1_780_000_000_000, **more}


def guard_detect(**webhook: Any) -> dict[str, Any]:
    return {"type": "guard_detect", "org_id": ORG, "webhook": {"secret": SECRET, **webhook}}


class Receiving:
    """One configuration with a guard_detect source, whose lives follow each other at one port."""

    def __init__(self, folder: Path, port: int, sinks: dict[str, Any] | None = None, **more: Any) -> None:
        self.out = folder / "out.ndjson"
        receiver = {"listen": f"127.0.0.1:{port}", **more.pop("receiver", {})}
        sources = more.pop("sources", {"alerts": guard_detect()})
        self.config = write_config(folder, sources, sinks or {"out": file_sink(self.out)}, receiver=receiver, **more)
        self.process = Process(self.config, other_port=port)
        self.port = port

    async def start(self) -> None:
        await self.process.start()
        await self.process.until(self.is_open)
        # The port is there before the sources are open; until then it answers 503.
        await self.process.until_status(lambda found: all(each["state"] != "starting" for each in found["sources"]))

    def is_open(self) -> bool:
        there = psutil.Process(self.process.pid).net_connections("tcp")
        return any(each.status == psutil.CONN_LISTEN and each.laddr.port == self.port for each in there)

    async def post(
        self, body: Any, secret: str = SECRET, path: str = PATH, tls: ssl.SSLContext | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Send a body; 0 when there was no answer."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await asyncio.to_thread(self._post, raw, secret, path, tls)

    def _post(self, body: bytes, secret: str, path: str, tls: ssl.SSLContext | None) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        if tls is not None:
            connection = http.client.HTTPSConnection("localhost", self.port, timeout=60, context=tls)
        try:
            connection.request("POST", path, body, {"Authorization": f"Bearer {secret}"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")
        except (OSError, http.client.HTTPException):
            return 0, {}
        finally:
            connection.close()

    def delivered(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in lines_of(self.out)]

    async def until_delivered(self, ids: set[str]) -> None:
        await self.process.until(lambda: {each.get("alertId", "") for each in self.delivered()} >= ids)
