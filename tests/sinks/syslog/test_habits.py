"""Receivers of a stream that end connections by habit, or stop reading: what is believed, what is not, what is said."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from forwarder.delivery import Lane
from forwarder.testing.far_end import context
from forwarder.testing.lanes import Bench, bench, event
from sinks.syslog.habits import QUICK, Habits
from sinks.syslog.sink import SyslogConfig, SyslogSink
from tests.choking import in_doubt

# -------------------------------------------------------------------------------------------------------------- learning


def test_a_receiver_that_ends_empty_connections_twice_alike_is_believed_after_half_of_that_time() -> None:
    habits = Habits(5.0)
    assert habits.measured(1.0)
    assert (habits.believed_after, habits.warning()) == (5.0, None)
    assert not habits.measured(0.9)
    assert habits.believed_after == 0.45
    reason, fix = habits.warning() or ("", "")
    assert "0.9 s" in reason
    assert "resend: 450ms" in fix


@pytest.mark.parametrize("times", [(1.0, 3.0), (0.01, 0.01), (None, None), (1.0, None)])
def test_times_that_differ_or_say_nothing_are_no_habit(times: tuple[float | None, float | None]) -> None:
    habits = Habits(5.0)
    for lasted in times:
        habits.measured(lasted)
    assert habits.believed_after == 5.0


def test_a_habit_is_forgotten_when_a_connection_is_kept_longer() -> None:
    habits = Habits(5.0)
    habits.measured(1.0)
    habits.measured(1.0)
    habits.kept(1.9)
    assert habits.believed_after == 0.5
    habits.kept(2.1)
    assert (habits.believed_after, habits.warning()) == (5.0, None)


def test_what_is_already_set_is_no_warning() -> None:
    habits = Habits(0.4)
    habits.measured(1.0)
    habits.measured(1.0)
    assert (habits.believed_after, habits.warning()) == (0.4, None)


@pytest.mark.parametrize("taken", [1, 2, 3, 4, 5, 6, 7, 50, 299])
def test_a_number_of_records_is_found_and_kept_to(taken: int) -> None:
    """A receiver that ends a connection at the record behind so many."""
    habits = Habits(5.0)
    ended = 0
    for _ in range(200):
        count = min(300, habits.most or 300)
        if count > taken:
            ended += 1
            habits.ended(count, 0.0)
        else:
            habits.stayed(count)
    assert habits.most is not None
    assert habits.most <= taken + 1
    assert ended < 20, "it should not be tried again and again"
    reason, fix = habits.warning() or ("", "")
    assert f"those with {taken} did" in reason
    assert f"records_per_connection: {taken}." in fix


def test_a_restart_is_soon_forgotten() -> None:
    habits = Habits(5.0)
    habits.ended(500, 0.0)
    full = 0
    while habits.most is not None:
        full += 1
        habits.stayed(habits.most)
    assert full < 40


def test_an_end_after_silence_says_nothing_of_the_number_unless_empty_connections_are_kept() -> None:
    habits = Habits(5.0)
    habits.ended(300, QUICK)
    assert habits.most is None
    habits.measured(None)
    habits.ended(300, QUICK)
    assert habits.most == 75


def test_a_number_that_stays_again_is_no_habit() -> None:
    habits = Habits(5.0)
    habits.ended(4, 0)
    while habits.most != 4:
        habits.stayed(habits.most or 0)
    habits.ended(4, 0)
    assert "those with 4 records did not stay, those with 3 did" in (habits.warning() or ("", ""))[0]
    while habits.most != 4:
        habits.stayed(habits.most or 0)
    habits.stayed(4)
    assert (habits.most, habits.warning()) == (16, None)
    habits.stayed(16)
    assert (habits.most, habits.warning()) == (64, None)


def test_a_limit_that_is_set_is_never_passed_and_no_warning() -> None:
    habits = Habits(5.0, 3)
    assert habits.most == 3
    for _ in range(100):
        habits.stayed(3)
    assert (habits.most, habits.warning()) == (3, None)


# ------------------------------------------------------------------------------------------------------------ receivers


class Receiver:
    """Takes lines over TCP.

    Attributes:
        idle: Seconds of silence after which it ends a connection.
        most: Records after which it does.
        refuses: It ends a connection at the first record, so many seconds later, and takes nothing.
        reads: It reads so many records and then stands still.
        at_once: It ends each connection beyond so many.
        crowd: Most connections that there were at once.
    """

    def __init__(
        self,
        *,
        idle: float | None = None,
        most: int | None = None,
        refuses: float | None = None,
        reads: int | None = None,
        at_once: int = 10_000,
    ) -> None:
        self.at_once, self.crowd, self._open = at_once, 0, 0
        self.idle, self.most, self.refuses, self.reads = idle, most, refuses, reads
        self.has: Counter[str] = Counter()
        self.released = asyncio.Event()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        self.crowd = max(self.crowd, self._open)
        try:
            if self._open <= self.at_once:
                await self._take(reader)
        finally:
            self._open -= 1
            writer.close()

    async def _take(self, reader: asyncio.StreamReader) -> None:
        with suppress(TimeoutError, ConnectionError):
            count = 0
            while line := await asyncio.wait_for(reader.readline(), self.idle):
                if self.refuses is not None:
                    await asyncio.sleep(self.refuses)
                    break
                self.has[json.loads(line[line.index(b"{") :])["id"]] += 1
                count += 1
                if count == self.most:
                    break
                if count == self.reads:
                    await self.released.wait()


@asynccontextmanager
async def receiving(
    receiver: Receiver, folder: Path, slots: int = 1, events: int = 300, **config: Any
) -> AsyncIterator[tuple[Bench, Lane]]:
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, limit=200_000)
    settings = {
        "address": f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}",
        "format": "raw",
        "hostname": "here",
        "msgid": "-",
        "resend": 0.6,
        **config,
    }
    sink = SyslogSink(SyslogConfig.model_validate(settings), context("siem", slots=slots, render="raw"))
    async with bench(folder) as b:
        lane = b.start("one", sink, window=slots, batch={"events": events, "wait": 0.05}, patience=3600)
        try:
            yield b, lane
        finally:
            receiver.released.set()
            await b.stop("one")
            await sink.close()
            server.close()


async def everything_arrived(b: Bench, lane: Lane, receiver: Receiver, count: int) -> None:
    await b.drained("one")
    assert lane.report.accepted == count
    assert set(receiver.has) == {f"e{n}" for n in range(count)}, "accepted is what the receiver has"
    doubled = {name for name, times in receiver.has.items() if times > 1}
    assert doubled <= await in_doubt(b)
    await b.balanced()


@pytest.mark.parametrize("idle", [0.4, 0.8])
async def test_a_receiver_that_ends_quiet_connections_is_delivered_to_and_named(idle: float, tmp_path: Path) -> None:
    receiver = Receiver(idle=idle)
    async with receiving(receiver, tmp_path, resend=3) as (b, lane):
        await b.fill(*(event(f"e{n}") for n in range(60)))
        await everything_arrived(b, lane, receiver, 60)
        await b.until(lambda: "ends connections that are quiet" in lane.report.reason)
        assert "resend" in lane.report.fix
        assert not lane.report.well
        before = lane.report.resent
        await b.fill(*(event(f"e{n}") for n in range(60, 90)))
        await everything_arrived(b, lane, receiver, 90)
        assert lane.report.resent == before, "once known, nothing is sent twice for it"


@pytest.mark.parametrize("most", [2, 3, 7])
async def test_a_receiver_that_ends_each_connection_after_some_records_is_delivered_to(
    most: int, tmp_path: Path
) -> None:
    receiver = Receiver(most=most)
    async with receiving(receiver, tmp_path) as (b, lane):
        await b.fill(*(event(f"e{n}") for n in range(120)))
        await everything_arrived(b, lane, receiver, 120)
        assert lane.report.dead_letters == 0


@pytest.mark.parametrize("seconds", [0, 0.4])
async def test_a_receiver_that_takes_nothing_and_ends_is_never_believed(seconds: float, tmp_path: Path) -> None:
    receiver = Receiver(refuses=seconds)
    async with receiving(receiver, tmp_path) as (b, lane):
        await b.fill(*(event(f"e{n}") for n in range(40)))
        await b.until(lambda: lane.report.state == "held" and lane.report.tries >= 4)
        assert (lane.report.accepted, lane.report.dead_letters) == (0, 0)
        assert "resend" in lane.report.fix
        receiver.refuses = None
        await everything_arrived(b, lane, receiver, 40)


@pytest.mark.parametrize("slots", [1, 2, 3, 4])
async def test_all_slots_together_keep_no_more_connections_than_a_receiver_takes(slots: int, tmp_path: Path) -> None:
    receiver = Receiver(at_once=10)
    async with receiving(receiver, tmp_path, slots=slots, events=10, resend=0.3, records_per_connection=1) as (b, lane):
        for page in range(6):
            await b.fill(*(event(f"e{page * 10 + n}") for n in range(10)))
        await everything_arrived(b, lane, receiver, 60)
        assert receiver.crowd <= 10
        assert lane.report.aside == ()


async def test_one_record_a_connection_is_delivered_when_the_settings_say_so(tmp_path: Path) -> None:
    receiver = Receiver(most=1)
    async with receiving(receiver, tmp_path, resend=0, records_per_connection=1) as (b, lane):
        await b.fill(*(event(f"e{n}") for n in range(40)))
        await everything_arrived(b, lane, receiver, 40)
        assert max(receiver.has.values()) == 1
        assert lane.report.well


async def test_a_receiver_that_stops_reading_does_not_look_well(tmp_path: Path) -> None:
    receiver = Receiver(reads=2)
    async with receiving(receiver, tmp_path, max_message_bytes="1MiB") as (b, lane):
        text = "x" * 100_000
        bodies = [
            event(f"e{n}").replace(b'"user_login"', b'"user_login","text":"%s"' % text.encode()) for n in range(30)
        ]
        await b.fill(*bodies)
        await b.until(lambda: "stopped reading" in lane.report.reason)
        assert not lane.report.well
        assert "the last 30 events" in lane.report.reason
        assert "UTC" in lane.report.reason
        assert lane.report.accepted == 0
        receiver.reads = None
        receiver.released.set()
        await everything_arrived(b, lane, receiver, 30)
        await b.until(lambda: lane.report.well)
