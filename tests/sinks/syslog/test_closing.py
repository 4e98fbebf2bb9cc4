"""A receiver over TCP that ends its connection at one record, at every record, or by habit, behind the real lane."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forwarder.testing.lanes import bench, event
from simulator.receivers.syslog import Rule
from tests.sinks.syslog.receivers import receiving, sink_for


@pytest.mark.parametrize("bad", [0, 60, 119])
async def test_one_record_that_ends_connections_is_a_dead_letter_and_the_others_arrive(
    bad: int, tmp_path: Path
) -> None:
    async with receiving() as receiver, bench(tmp_path) as b:
        receiver.rules = [
            Rule("close", times=None, only=lambda message: json.loads(message.content)["id"] == f"e{bad}")
        ]
        sink = sink_for(receiver, resend=0.05, format="raw")
        lane = b.start("one", sink, window=1, patience=0.2, batch={"events": 500, "wait": 0.02})
        await b.fill(*(event(f"e{n}") for n in range(120)))
        await b.until(lambda: not lane.report.well)
        await b.drained("one")
        (letter,) = await b.spool.dead_letters("one")
        assert (letter.seq, letter.reason) == (bad + 1, "not_taken")
        arrived = {json.loads(message.content)["id"] for message in receiver.messages}
        assert arrived >= {f"e{n}" for n in range(120)} - {f"e{bad}"}
        await b.balanced()
        await b.stop("one")
        await sink.close()


async def test_a_receiver_that_ends_every_connection_is_named_with_the_setting(tmp_path: Path) -> None:
    async with receiving() as receiver, bench(tmp_path) as b:
        receiver.rules = [Rule("close", times=None)]
        sink = sink_for(receiver, resend=0.2, format="raw")
        lane = b.start("one", sink, window=1, patience=0, batch={"events": 500, "wait": 0.02})
        await b.fill(*(event(f"e{n}") for n in range(50)))
        await b.until(lambda: lane.report.state == "held")
        assert "ends the connection" in lane.report.reason
        assert "resend" in lane.report.fix
        assert lane.report.dead_letters == 0
        receiver.rules.clear()
        await b.drained("one")
        await b.stop("one")
        await sink.close()
