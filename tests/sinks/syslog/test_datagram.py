"""Datagrams: one a message, what is too long, and what the network tells."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from forwarder.contracts import Delivery, Retryable
from forwarder.testing.lanes import batch_of
from forwarder.testing.waiting import until
from sinks.syslog import datagram
from sinks.syslog.address import Place, Times
from sinks.syslog.datagram import DatagramSlot
from tests.sinks.syslog.receivers import receiving, sink_for


async def test_every_message_is_one_datagram() -> None:
    async with receiving("udp") as receiver:
        sink = sink_for(receiver)
        batch = batch_of(*(b"%d" % n for n in range(100)))
        assert await sink.send(batch) == Delivery(accepted=list(range(100)))
        await until(lambda: len(receiver.messages) == 100)
        assert [message.content for message in receiver.messages] == [record.body for record in batch.records]
        await sink.close()
        await sink.close()


async def test_what_no_datagram_carries_is_refused_alone() -> None:
    async with receiving("udp", most=70_000) as receiver:
        slot = DatagramSlot(Place("127.0.0.1", receiver.port), Times(5, 5), 2000)
        records = batch_of(b"a", b"b", b"c").records
        header = b"<110>1 - h a - - - "
        delivery = await slot.send([header + b"a", b"x" * 65_508, header + b"c"], records)
        assert list(delivery.accepted) == [0, 2]
        assert {n: one.reason for n, one in delivery.rejected.items()} == {1: "too_large"}
        await until(lambda: len(receiver.messages) == 2)
        await slot.close()


class _ObjectsLate(socket.socket):
    """A socket whose network says that no one listens once all was sent, and the loop has turned."""

    sent = 0
    objection = 0

    def send(self, data: bytes, *_: object) -> int:  # type: ignore[override]
        if not self.sent:
            asyncio.get_running_loop().call_later(0, setattr, self, "objection", errno.ECONNREFUSED)
        self.sent += 1
        return len(data)

    def getsockopt(self, *_: object) -> int:  # type: ignore[override]
        return self.objection


async def test_an_objection_that_comes_after_the_last_message_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connected(*_: object) -> socket.socket:
        return _ObjectsLate(socket.AF_INET, socket.SOCK_DGRAM)

    monkeypatch.setattr(datagram, "connected", connected)
    slot = DatagramSlot(Place("127.0.0.1", 9), Times(5, 5), 2000)
    with pytest.raises(Retryable, match="no program listens there") as caught:
        await slot.send([b"a", b"b"], batch_of(b"a", b"b").records)
    assert caught.value.sent
    await slot.close()


async def test_the_longest_message_that_may_be_configured_goes_through() -> None:
    async with receiving("udp", most=65_507) as receiver:
        sink = sink_for(receiver, max_message_bytes=65_507)
        assert list((await sink.send(batch_of(b"x" * sink.max_body))).accepted) == [0]
        await until(lambda: len(receiver.messages) == 1)
        assert len(receiver.messages[0].content) == sink.max_body
        await sink.close()


async def test_nobody_listening_is_noticed_where_the_network_says_so() -> None:
    async with receiving("udp") as receiver:
        sink = sink_for(receiver)
        await sink.send(batch_of(b"a"))
        await until(lambda: len(receiver.messages) == 1)
        await receiver.close()
        with pytest.raises(Retryable, match="no program listens") as caught:
            await sink.send(batch_of(b"b", b"c"))
        assert caught.value.sent, "the first of them may have been taken by someone"
        await receiver.start()
        assert list((await sink.send(batch_of(b"b", b"c"))).accepted) == [0, 1]
        await until(lambda: len(receiver.messages) == 3)
        await sink.close()


async def test_a_name_that_is_unknown() -> None:
    async with receiving("udp") as receiver:
        sink = sink_for(receiver, address="udp://no-such-host.invalid:514", insecure=True)
        with pytest.raises(Retryable) as caught:
            await sink.send(batch_of(b"a"))
        assert not caught.value.sent
        assert [finding.ok for finding in await sink.probe()] == [False]
        await sink.close()


async def test_a_probe_promises_nothing() -> None:
    async with receiving("udp") as receiver:
        sink = sink_for(receiver)
        findings = await sink.probe()
        assert all(finding.ok for finding in findings)
        assert "nothing" in findings[-1].detail
        assert sink.proof == "none"
        assert receiver.messages == []
        await sink.close()


async def test_a_full_buffer_is_waited_for() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        async with receiving("udp") as receiver:
            sink = sink_for(receiver, address=f"udp://127.0.0.1:{far.getsockname()[1]}", udp_rate=1_000_000)
            delivery = await sink.send(batch_of(*[b"x" * 8000] * 500))
            assert len(delivery.accepted) == 500
            await sink.close()
