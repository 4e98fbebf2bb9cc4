"""The syslog sink behind a real lane and a real spool, while its receiver does whatever a receiver can do."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from forwarder.delivery import Lane
from forwarder.registry import FORMATS
from forwarder.testing.lanes import Bench, bench, event
from forwarder.testing.waiting import until
from simulator.receivers.syslog import Rule, SyslogReceiver
from sinks.syslog import habits, stream
from tests.registered import formats
from tests.sinks.syslog.receivers import receiving, sink_for

EVENTS = 400
STREAM_FAULTS = ["close", "reset", "half_close", "slow", "garbage"]
RELP_FAULTS = [*STREAM_FAULTS, "stall", "refuse", "silence", "wrong_number", "twice", "serverclose"]


@asynccontextmanager
async def delivering(
    folder: Path, receiver: SyslogReceiver, *, render: str = "raw", **settings: Any
) -> AsyncIterator[tuple[Bench, Lane]]:
    sink = sink_for(receiver, slots=2, silence_timeout=0.5, format=render, **settings)
    try:
        async with bench(folder) as b:
            yield b, b.start("siem", sink, render=FORMATS.load(render)())
    finally:
        await sink.close()


def landed(receiver: SyslogReceiver) -> Counter[str]:
    return Counter(json.loads(message.content)["id"] for message in receiver.messages)


async def in_doubt(b: Bench) -> set[str]:
    return {b.names[seq - 1] for first, last in await b.doubts("siem") for seq in range(first, last + 1)}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("transport", "faults"), [("tcp", STREAM_FAULTS), ("relp", RELP_FAULTS)])
async def test_through_every_fault_all_arrive_and_doubles_are_on_record(
    transport: Any, faults: list[Any], seed: int, tmp_path: Path
) -> None:
    dice = random.Random(seed)
    async with receiving(transport, framing="octet-counting") as receiver:
        receiver.rules = [Rule(dice.choice(faults), after=dice.randrange(12), seconds=0.01) for _ in range(12)]
        async with delivering(tmp_path, receiver, framing="octet-counting", relp_window=5) as (b, lane):
            for start in range(0, EVENTS, 40):
                await b.fill(*(event(f"e{n}") for n in range(start, start + 40)))
            await b.drained("siem")
            await b.balanced()
            await until(lambda: set(landed(receiver)) == {f"e{n}" for n in range(EVENTS)})
            assert lane.report.errors.total() > 0, "nothing went wrong, so nothing was tried"
            doubled = {name for name, times in landed(receiver).items() if times > 1}
            assert doubled <= await in_doubt(b)
            assert lane.report.dead_letters == 0
        receiver.violations.clear()  # a wrong answer makes us leave, and the double calls that a broken frame


async def test_after_a_break_the_last_seconds_come_again_and_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (habits, stream):  # an end that comes sooner is taken for a habit, and few are sent again at once
        monkeypatch.setattr(module, "QUICK", 0.0)
    async with receiving() as receiver, delivering(tmp_path, receiver, resend=3600) as (b, lane):
        await b.fill(*(event(f"e{n}") for n in range(30)))
        await until(lambda: lane.report.pending == 3)
        await until(lambda: len(receiver.messages) == 30)
        assert lane.report.accepted == 0
        await receiver.close()
        await receiver.start()
        await until(lambda: len(receiver.messages) == 60)
        assert landed(receiver) == Counter({f"e{n}": 2 for n in range(30)})
        assert lane.report.resent == 30
        assert await in_doubt(b) == {f"e{n}" for n in range(30)}


async def test_a_new_life_sends_again_what_was_not_believed_yet(tmp_path: Path) -> None:
    async with receiving() as receiver:
        async with delivering(tmp_path, receiver, resend=3600) as (b, lane):
            await b.fill(*(event(f"e{n}") for n in range(10)))
            await until(lambda: lane.report.pending == 1)
            await b.stop("siem")
            sink = sink_for(receiver, slots=2, format="raw")
            b.start("siem", sink)
            await b.drained("siem")
            assert await in_doubt(b) == {f"e{n}" for n in range(10)}
            await sink.close()
        await until(lambda: landed(receiver) == Counter({f"e{n}": 2 for n in range(10)}))


@pytest.mark.parametrize("render", formats())
@pytest.mark.parametrize("most", [1500, 8192])
async def test_a_huge_event_is_shortened_and_never_split(render: str, most: int, tmp_path: Path) -> None:
    huge = event("huge").replace(
        b'"actor"', b'"context":[{"id":"x","attributes":{"t":"%b"}}],"actor"' % (b"]=|" * 300_000)
    )
    async with receiving("relp", most=most) as receiver:
        async with delivering(tmp_path, receiver, render=render, max_message_bytes=most) as (b, lane):
            await b.fill(event("before"), huge, event("after"))
            await b.drained("siem")
            assert lane.report.dead_letters == 0
        assert len(receiver.messages) == 3
        sizes = [message.size for message in receiver.messages]
        assert max(sizes) <= most
        assert all(marker in receiver.messages[1].raw for marker in (b"huge", b"truncated"))


async def test_an_event_whose_essentials_do_not_fit_is_a_dead_letter(tmp_path: Path) -> None:
    huge = event("huge" * 3000)
    async with receiving("relp") as receiver:
        async with delivering(tmp_path, receiver) as (b, _):
            await b.fill(event("before"), huge, event("after"))
            await b.drained("siem")
            [letter] = await b.spool.dead_letters("siem")
            assert letter.reason == "too_large"
        assert set(landed(receiver)) == {"before", "after"}
