"""`python -m bench.sending`: what `send` of the syslog sink costs by itself: header, framing, writing, answers.

CPU µs per event of this thread (user and system), best of all rounds; bodies of about 1.2 kB in batches of 1000, to a
far end in a process of its own. What the lane and the format add is in `bench.sinks`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time

import msgspec

from bench.harness import helper
from bench.meaning import ORGANIZATION, event
from forwarder.contracts import AuditEvent, Batch, Origin, Record, SinkContext, SystemClock
from forwarder.sources.organization.normalizer import OrganizationNormalizer
from sinks.syslog.sink import SyslogConfig, SyslogSink

EVENTS = 1000


def batch() -> Batch:
    rng, origin = random.Random(7), Origin("bench", "organization", ORGANIZATION)
    bodies = [msgspec.json.encode(event(rng, number)) for number in range(EVENTS)]
    records = [Record(number, origin, f"{number:032x}", body, body=body) for number, body in enumerate(bodies)]
    for record, meaning in zip(records, OrganizationNormalizer().normalize(records), strict=True):
        assert isinstance(meaning, AuditEvent)
        record.event = meaning
    return Batch(records)


async def cost(address: str, records: Batch, rounds: int) -> tuple[float, float]:
    """Return CPU µs per event and events per second of the best round."""
    sink = SyslogSink(SyslogConfig(address=address), SinkContext("bench", 1, SystemClock()))
    best, fastest = float("inf"), float("inf")
    for _ in range(rounds):
        cpu, clock = time.thread_time(), time.monotonic()
        await sink.send(records)
        best = min(best, time.thread_time() - cpu)
        fastest = min(fastest, time.monotonic() - clock)
    await sink.close()
    return best / EVENTS * 1e6, EVENTS / fastest


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sending", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=40)
    asked, records = parser.parse_args(), batch()
    with helper("bench.syslog_drain") as far:
        for scheme in ("tcp", "relp"):
            micros, rate = await cost(far[scheme], records, asked.rounds)
            print(f"syslog {scheme:<6} {micros:6.2f} µs/event {rate:9.0f} events/s")


if __name__ == "__main__":
    asyncio.run(main())
