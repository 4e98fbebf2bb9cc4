"""Streams that no one answers: when a batch is believed, when it is not, and what a break leaves behind."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import Delivery, Receipt, Retryable, SystemClock
from forwarder.testing.lanes import batch_of
from forwarder.testing.waiting import until
from simulator.receivers.syslog import Rule, SyslogReceiver
from sinks.syslog.address import Place, Times
from sinks.syslog.connection import Pipe, Taken
from sinks.syslog.habits import Habits
from sinks.syslog.link import Trust
from sinks.syslog.sink import SyslogSink
from sinks.syslog.stream import StreamSlot
from tests.sinks.syslog.receivers import Authority, receiving, sink_for

BIG = [b"x" * 8000] * 1000  # far more than two systems buffer for a receiver that does not read


def contents(receiver: SyslogReceiver) -> list[bytes]:
    return [message.content for message in receiver.messages]


def receipts(delivery: Delivery) -> list[Receipt]:
    assert delivery.accepted == ()
    return sorted(set(delivery.pending.values()), key=lambda receipt: receipt.token)


async def verdict(sink: SyslogSink, receipt: Receipt) -> bool:
    while (answer := (await sink.confirm([receipt])).get(receipt)) is None:  # noqa: ASYNC110 -- polled, as a lane does
        await asyncio.sleep(0.01)
    return answer


# -------------------------------------------------------------------------------------------------------------- trust


def test_a_batch_is_good_when_it_was_acknowledged_and_then_time_went_by() -> None:
    trust = Trust(5)
    assert trust.note(Taken(100, 900)) == 1
    trust.seen_well(Taken(999, 1), 0.0)
    trust.seen_well(Taken(999, 1), 99.0)
    assert trust.good == 0, "one byte is still on its way"
    trust.seen_well(Taken(1000, 0), 100.0)
    trust.seen_well(Taken(1000, 0), 104.9)
    assert trust.good == 0
    trust.seen_well(Taken(1000, 0), 105.0)
    assert trust.good == 1


def test_nothing_becomes_good_while_nothing_moves() -> None:
    trust = Trust(5)
    trust.note(Taken(0, 1000))
    trust.seen_well(Taken(1000, 0), 0.0)
    trust.note(Taken(1000, 5000))
    trust.seen_well(Taken(2000, 4000), 1.0)
    trust.seen_well(Taken(2000, 4000), 60.0)
    assert trust.good == 0, "the other side does not read; what it has taken may never be read either"
    trust.seen_well(Taken(2001, 3999), 61.0)
    assert trust.good == 1


def test_batches_become_good_in_order_each_by_its_own_time() -> None:
    trust = Trust(5)
    for moment in range(10):
        number = trust.note(Taken(moment * 100, 100))
        assert number == moment + 1
        trust.seen_well(Taken(number * 100, 0), float(moment))
    assert trust.good == 5  # the fifth was seen at 4, and now is 9
    trust.seen_well(Taken(1000, 0), 12.5)
    assert trust.good == 8


def test_a_system_that_does_not_tell_is_believed_by_time_alone() -> None:
    trust = Trust(5)
    trust.note(None)
    trust.seen_well(None, 0.0)
    trust.seen_well(None, 5.0)
    assert trust.good == 1


async def test_what_is_acknowledged_and_what_waits_add_up_to_what_was_written_at_every_look() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        pipe = await Pipe.open(Place(*server.getsockname()), None, Times(5, 5))
        receiver, _ = server.accept()
        with receiver:
            reading = threading.Thread(target=lambda: all(iter(lambda: receiver.recv(1 << 16), b"")))
            reading.start()
            assert pipe.taken() == Taken(0, 0)
            for number in range(1, 500):
                await pipe.write(b"x" * 5000)
                taken = pipe.taken()
                assert taken is not None
                assert sum(taken) == number * 5000
                assert taken.waiting >= 0
            await until(lambda: pipe.taken() == Taken(499 * 5000, 0))
            pipe.abort()
            reading.join()


# -------------------------------------------------------------------------------------------------------------- believing


@pytest.mark.parametrize("framing", ["newline", "octet-counting"])
async def test_a_batch_arrives_in_order_and_is_believed_later(framing: Any) -> None:
    async with receiving(framing=framing) as receiver:
        sink = sink_for(receiver, framing=framing)
        delivery = await sink.send(batch_of(*(b"%d" % n for n in range(500))))
        [receipt] = receipts(delivery)
        assert set(delivery.pending) == set(range(500))
        assert await sink.confirm([receipt]) == {}
        assert await verdict(sink, receipt)
        await until(lambda: len(receiver.messages) == 500)
        assert contents(receiver) == [b"%d" % n for n in range(500)]
        await sink.close()
        assert (receiver.connections, receiver.halves) == (1, [])


async def test_without_resend_a_write_is_enough() -> None:
    async with receiving() as receiver:
        sink = sink_for(receiver, resend=0)
        assert await sink.send(batch_of(b"a", b"b")) == Delivery(accepted=range(2))
        await until(lambda: len(receiver.messages) == 2)
        await sink.close()


async def test_an_end_in_a_quiet_time_is_seen_before_the_next_write() -> None:
    async with receiving() as receiver:
        sink = sink_for(receiver, resend=3600)
        [first] = receipts(await sink.send(batch_of(b"first")))
        await until(lambda: len(receiver.messages) == 1)
        await receiver.close()
        await receiver.start()
        [second] = receipts(await sink.send(batch_of(b"second")))
        await until(lambda: len(receiver.messages) == 2)
        assert contents(receiver) == [b"first", b"second"]
        assert await sink.confirm([first, second]) == {first: False}, "the second is on a connection that is well"
        await sink.close()


async def test_what_was_good_before_a_break_stays_good() -> None:
    async with receiving() as receiver:
        sink = sink_for(receiver)
        [first] = receipts(await sink.send(batch_of(b"first")))
        assert await verdict(sink, first)
        [second] = receipts(await sink.send(batch_of(b"second")))
        await receiver.close()
        assert not await verdict(sink, second)
        assert await sink.confirm([first, Receipt(0, "99.1")]) == {first: True, Receipt(0, "99.1"): False}
        await sink.close()


async def test_a_receiver_that_ends_at_once_is_never_believed() -> None:
    async with receiving() as receiver:
        receiver.rules = [Rule("close", times=3)]
        sink = sink_for(receiver)
        taken = 0
        for n in range(4):  # each try meets a connection that is closed at once, until the rule is used up
            try:
                [receipt] = receipts(await sink.send(batch_of(b"%d" % n)))
            except Retryable as error:
                assert (error.kind, error.sent) == ("reset", True)
            else:
                taken += await verdict(sink, receipt)
        await until(lambda: len(receiver.messages) == taken)
        assert taken == 1
        await sink.close()


# -------------------------------------------------------------------------------------------------------------- breaking


async def broken(sink: SyslogSink, *bodies: bytes) -> Retryable:
    with pytest.raises(Retryable) as caught:
        await sink.send(batch_of(*bodies))
    assert caught.value.sent
    return caught.value


@pytest.mark.parametrize("framing", ["newline", "octet-counting"])
async def test_after_a_reset_in_the_middle_a_new_connection_begins_with_a_whole_frame(framing: Any) -> None:
    async with receiving(framing=framing) as receiver:
        receiver.rules = [Rule("reset", after=2)]
        sink = sink_for(receiver, framing=framing)
        assert (await broken(sink, *BIG)).kind == "reset"
        [receipt] = receipts(await sink.send(batch_of(b"after")))
        assert await verdict(sink, receipt)
        await until(lambda: b"after" in contents(receiver))
        assert contents(receiver) == [*BIG[:2], b"after"]
        assert receiver.connections == 2
        await sink.close()


async def test_a_receiver_that_does_not_read_is_given_up_and_nothing_is_believed() -> None:
    async with receiving() as receiver:
        receiver.rules = [Rule("stall", after=2)]
        sink = sink_for(receiver, resend=0.01, silence_timeout=0.5)
        [receipt] = receipts(await sink.send(batch_of(b"small", b"small")))
        sending = asyncio.create_task(broken(sink, *BIG))
        await until(lambda: len(receiver.messages) == 2)
        assert (await sending).kind == "timeout"
        assert receipt.token == "1.1"
        assert receipts(await sink.send(batch_of(b"next")))[0].token == "2.1", "the stuck connection is used no more"
        await sink.close()


async def test_a_cancelled_write_ends_the_connection() -> None:
    async with receiving(framing="octet-counting") as receiver:
        receiver.rules = [Rule("slow", after=1, seconds=0.3)]
        sink = sink_for(receiver, framing="octet-counting")
        sending = asyncio.create_task(sink.send(batch_of(*BIG)))
        await until(lambda: len(receiver.messages) == 1)
        sending.cancel()
        await asyncio.wait({sending})
        assert sending.cancelled()
        [receipt] = receipts(await sink.send(batch_of(b"after")))
        assert await verdict(sink, receipt)
        await until(lambda: b"after" in contents(receiver))
        assert receiver.connections == 2
        await until(lambda: len(receiver.halves) == 1)  # the begun frame, and nothing appended to it
        await sink.close()
    assert b"after" not in receiver.halves[0]


async def test_what_the_receiver_says_is_passed_over() -> None:
    async with receiving() as receiver:
        receiver.rules = [Rule("garbage")]
        sink = sink_for(receiver)
        for n in range(3):
            [receipt] = receipts(await sink.send(batch_of(b"%d" % n)))
            assert await verdict(sink, receipt)
        await until(lambda: len(receiver.messages) == 3)
        assert contents(receiver) == [b"0", b"1", b"2"]
        await sink.close()


async def test_a_receiver_that_ends_its_half_is_left() -> None:
    async with receiving() as receiver:
        receiver.rules = [Rule("half_close", after=1)]
        sink = sink_for(receiver, resend=3600)
        await sink.send(batch_of(b"1"))
        [receipt] = receipts(await sink.send(batch_of(b"2")))
        await until(lambda: len(receiver.messages) == 2)
        assert not await verdict(sink, receipt)
        await sink.send(batch_of(b"3"))
        await until(lambda: receiver.connections == 2)
        await sink.close()


async def test_slots_have_connections_of_their_own() -> None:
    async with receiving() as receiver:
        sink = sink_for(receiver, slots=2)
        first, second = await asyncio.gather(sink.send(batch_of(b"a", slot=0)), sink.send(batch_of(b"b", slot=1)))
        assert [receipts(first)[0].slot, receipts(second)[0].slot] == [0, 1]
        await until(lambda: len(receiver.messages) == 2)
        assert receiver.connections == 2
        await sink.close()


async def test_a_name_with_several_addresses_is_tried_in_turn() -> None:
    async with receiving() as receiver:
        sink = sink_for(receiver, address=f"tcp://localhost:{receiver.port}")
        assert receipts(await sink.send(batch_of(b"a")))
        await sink.close()


@pytest.mark.parametrize(("host", "words"), [("127.0.0.1", "connection refused"), ("no-such-host.invalid", "the name")])
async def test_a_place_that_cannot_be_reached_got_nothing(host: str, words: str) -> None:
    async with receiving() as receiver:
        await receiver.close()
        sink = sink_for(receiver, address=f"tcp://{host}:{receiver.port}", insecure=True)
        with pytest.raises(Retryable, match=words) as caught:
            await sink.send(batch_of(b"a"))
        assert (caught.value.kind, caught.value.sent) == ("connection", False)
        await sink.close()


# ------------------------------------------------------------------------------------------------------------------ TLS


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_tls_carries_a_large_batch_whole(authority: Authority) -> None:
    async with receiving(framing="octet-counting", ssl=authority.server()) as receiver:
        sink = sink_for(receiver, tls={"ca_file": str(authority.ca_file)})
        [receipt] = receipts(await sink.send(batch_of(*BIG)))
        assert await verdict(sink, receipt)
        await until(lambda: len(receiver.messages) == len(BIG))  # its system had it, its program may be behind
        assert contents(receiver) == BIG
        await sink.close()
        await until(lambda: receiver.goodbyes == 1)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_refused_certificate_is_noticed_before_anything_is_written(
    authority: Authority, version: ssl.TLSVersion
) -> None:
    context = authority.server(ask=True)
    context.minimum_version = context.maximum_version = version
    async with receiving(framing="octet-counting", ssl=context) as receiver:
        sink = sink_for(receiver, tls={"ca_file": str(authority.ca_file)})
        with pytest.raises(Retryable) as caught:
            await sink.send(batch_of(b"secret"))
        assert (caught.value.kind, caught.value.sent) == ("tls", False)
        assert "cert_file" in str(caught.value)
        assert not (await sink.probe())[-1].ok
        await sink.close()
        files = {"ca_file": str(authority.ca_file), "cert_file": str(authority.client)}
        good = sink_for(receiver, tls=files)
        [receipt] = receipts(await good.send(batch_of(b"secret")))
        assert await verdict(good, receipt)
        await until(lambda: len(receiver.messages) == 1)
        assert contents(receiver) == [b"secret"]
        await good.close()


class RawServer:
    """Blocking TLS in a thread: says whether the other side took leave, which asyncio's server does not."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.got = b""
        self.end: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, args=(context,))
        self._thread.start()

    def _serve(self, context: ssl.SSLContext) -> None:
        opened, _ = self._listener.accept()
        with context.wrap_socket(opened, server_side=True, suppress_ragged_eofs=False) as stream:
            try:
                while piece := stream.recv(65536):
                    self.got += piece
            except OSError as error:
                self.end = error

    async def finished(self) -> None:
        await asyncio.to_thread(self._thread.join)
        self._listener.close()


async def test_the_end_of_tls_is_said(authority: Authority) -> None:
    server = RawServer(authority.server())
    async with receiving() as receiver:
        tls = {"ca_file": str(authority.ca_file)}
        sink = sink_for(receiver, address=f"tls://127.0.0.1:{server.port}", tls=tls)
        await sink.send(batch_of(b"a"))
        await sink.close()
        await server.finished()
    assert server.got.endswith(b"- a")
    assert server.end is None, "the stream ended without a farewell"


async def test_closing_waits_for_nobody_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with receiving() as receiver:
            sink = sink_for(receiver, address=f"tcp://127.0.0.1:{silent.getsockname()[1]}")
            await sink.send(batch_of(b"a"))
            async with asyncio.timeout(30):
                await sink.close()
                await sink.close()


# ---------------------------------------------------------------------------------------------------------------- probe


async def findings(sink: SyslogSink) -> dict[str, bool]:
    found = await sink.probe()
    assert all(finding.fix for finding in found if not finding.ok)
    await sink.close()
    return {finding.subject.split()[0]: finding.ok for finding in found}


async def test_a_probe_tells_how_far_it_came(authority: Authority) -> None:
    tls = {"ca_file": str(authority.ca_file)}
    async with receiving(framing="octet-counting", ssl=authority.server()) as receiver, receiving() as plain:
        place = f"127.0.0.1:{receiver.port}"
        assert await findings(sink_for(receiver, tls=tls)) == {"session": True}
        assert await findings(sink_for(receiver)) == {"tls": False}
        silent = sink_for(receiver, address=f"tls://127.0.0.1:{plain.port}", silence_timeout=1)
        assert await findings(silent) == {"tls": False}
        assert await findings(sink_for(receiver, tls={"ca_file": "/nowhere"})) == {"tls": False}
        assert await findings(sink_for(receiver, address="tls://no-such-host.invalid:6514")) == {"tcp": False}
        await receiver.close()
        assert await findings(sink_for(receiver, address=f"tls://{place}")) == {"tcp": False}
        assert receiver.messages == plain.messages == []
        plain.violations.clear()  # a TLS greeting is no message


async def test_a_receiver_that_never_stops_talking_does_not_keep_us_from_anything_else() -> None:
    looks = 0

    class Talks(Pipe):
        def look(self) -> bytes:
            nonlocal looks
            looks += 1
            if looks > 1000:
                raise Retryable("the test has seen enough")
            return b"x"

    ours, theirs = socket.socketpair()
    ours.setblocking(False)

    async def dial() -> Pipe:
        return Talks(Place("127.0.0.1", 514), ours, 5)

    slot = StreamSlot(0, dial, b"".join, Habits(3600), SystemClock(), 2)
    with theirs:
        await slot.send([b"one"], batch_of(b"one").records)
        await until(lambda: looks > 1)
        assert looks < 1000, "it looked and looked, and nobody else had a turn"
        await slot.close()
