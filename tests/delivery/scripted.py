"""A sink that answers as a test says; the lane and the spool around it are in `forwarder.testing.lanes`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from forwarder.contracts import Batch, Delivery, Finding, SinkConfig


class ScriptedSink:
    """Answers as a function says; remembers what it durably has."""

    Config = SinkConfig
    proof = "delivered"
    default_format = "raw"

    def __init__(self, answer: Callable[[Batch, int], Any] | None = None) -> None:
        self.answer = answer or (lambda batch, _: Delivery.all_accepted(batch))
        self.sends = 0
        self.seen: list[str] = []  # every id that came in a send, in order
        self.batches: list[list[int]] = []
        self.running = 0
        self.most_running = 0

    @property
    def target(self) -> str:
        return "scripted"

    async def send(self, batch: Batch) -> Delivery:
        self.sends += 1
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            self.batches.append([record.seq for record in batch.records])
            self.seen += [record.raw.split(b'"')[3].decode() for record in batch.records]
            result = self.answer(batch, self.sends)
            if asyncio.iscoroutine(result):
                result = await result
            if isinstance(result, BaseException):
                raise result
            return result
        finally:
            self.running -= 1

    async def probe(self) -> list[Finding]:
        return []

    async def close(self) -> None:
        return
