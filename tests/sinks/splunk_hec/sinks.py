"""Splunk sinks at work, with a strict collector on the other side."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from forwarder.contracts import AuditEvent, Batch, Delivery, Record
from forwarder.testing.far_end import context
from forwarder.testing.lanes import batch_of
from simulator.receivers.hec import HecReceiver
from simulator.receivers.hec_rules import Token
from sinks.splunk_hec.sink import SplunkHecSink
from tests.clocks import FakeClock

SECRET = "made-up-5ecret-t0ken"


def sink_of(url: str, *, slots: int = 1, clock: FakeClock | None = None, **more: Any) -> SplunkHecSink:
    config = SplunkHecSink.Config(url=url, **{"token": SECRET, **more})
    return SplunkHecSink(config, context("splunk", slots=slots, clock=clock or FakeClock()))


@asynccontextmanager
async def delivering(
    *,
    slots: int = 1,
    acks: bool = False,
    clock: FakeClock | None = None,
    sink: dict[str, Any] | None = None,
    token: Token | None = None,
    **more: Any,
) -> AsyncIterator[tuple[SplunkHecSink, HecReceiver]]:
    async with HecReceiver({SECRET: token or Token(acknowledge=acks)}, **more) as receiver:
        built = sink_of(receiver.url, slots=slots, clock=clock, acknowledge=acks, **(sink or {}))
        try:
            yield built, receiver
        finally:
            await built.close()
        assert receiver.server.failures == []


def body(number: int) -> bytes:
    return b'{"id":"e-%d","x":"y"}' % number


def batch(count: int, first: int = 1, slot: int = 0) -> Batch:
    """Make records with bodies, and with no meaning."""
    return batch_of(*(body(number) for number in range(first, first + count)), first=first, slot=slot)


def with_products(products: Sequence[str | None], first: int = 1) -> Batch:
    """Make a batch whose records have a meaning, each with its product."""
    made = batch(len(products), first)
    for record, product in zip(made.records, products, strict=True):
        record.event = AuditEvent(
            document_id=record.id,
            feed="organization",
            organization="org-1",
            action="did_it",
            time_ms=1_770_000_000_123,
            read_ms=0,
            event_id=f"e-{record.seq}",
            product=product,
        )
    return made


def left_of(made: Batch, delivery: Delivery) -> Batch:
    """Return what a lane would send again."""
    decided = {*delivery.accepted, *delivery.rejected, *delivery.pending}
    return Batch([record for position, record in enumerate(made.records) if position not in decided], made.slot)


def numbers(records: Sequence[Record]) -> list[int]:
    return [record.seq for record in records]


def landed(receiver: HecReceiver) -> Counter[str]:
    """Count what is indexed, by the id in the event."""
    return Counter(json.loads(event.event)["id"] for event in receiver.events)


def decided(delivery: Delivery) -> tuple[list[int], list[int], list[int], list[int]]:
    """Return the positions accepted, rejected, kept and pending."""
    return (
        sorted(delivery.accepted),
        sorted(delivery.rejected),
        sorted(delivery.kept),
        sorted(delivery.pending),
    )
