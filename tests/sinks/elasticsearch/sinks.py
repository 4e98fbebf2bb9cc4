"""Elasticsearch sinks at work: with a strict receiver on the other side, or with an answer of the test's choice."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from forwarder.contracts import (
    Batch,
    Delivery,
)
from forwarder.testing.far_end import context
from forwarder.testing.lanes import batch_of
from simulator.http_types import Request, Response
from simulator.httpd import Server
from simulator.receivers.bulk import BulkReceiver
from sinks.elasticsearch.sink import ElasticsearchSink
from tests.clocks import FakeClock

SECRET = "bWFkZTp1cC1zZWNyZXQ="
STREAM = "logs-atlassian.audit-default"
TEMPLATE = "logs-atlassian.audit"


def sink_of(url: str, *, slots: int = 1, **more: Any) -> ElasticsearchSink:
    config = ElasticsearchSink.Config(url=url, **{"api_key": SECRET, **more})
    return ElasticsearchSink(config, context("elastic", slots=slots, clock=FakeClock()))


@asynccontextmanager
async def delivering(
    *, ready: bool = True, slots: int = 1, sink: dict[str, Any] | None = None, **more: Any
) -> AsyncIterator[tuple[ElasticsearchSink, BulkReceiver]]:
    async with BulkReceiver(**more) as receiver:
        built = sink_of(receiver.url, slots=slots, **(sink or {}))
        try:
            if ready:
                await built.setup(apply=True)
            yield built, receiver
        finally:
            await built.close()
        assert receiver.server.failures == []


def body(number: int, **more: Any) -> bytes:
    return json.dumps({"@timestamp": "2026-01-31T12:00:00Z", "event": {"id": f"e-{number}"}, **more}).encode()


def batch(count: int, first: int = 1, slot: int = 0) -> Batch:
    return batch_of(*(body(number) for number in range(first, first + count)), first=first, slot=slot)


def decided(delivery: Delivery) -> tuple[list[int], list[int], list[int]]:
    return sorted(delivery.accepted), sorted(delivery.rejected), sorted(delivery.kept)


def error_of(status: int, type_: str = "", reason: str = "", **headers: str) -> Response:
    return Response.json({"error": {"type": type_, "reason": reason}, "status": status}, status, headers)


@asynccontextmanager
async def answering(answer: Callable[[Request], Response]) -> AsyncIterator[ElasticsearchSink]:
    async def handle(request: Request) -> Response:
        return answer(request)

    async with Server(handle) as server:
        sink = sink_of(server.url)
        try:
            yield sink
        finally:
            await sink.close()
