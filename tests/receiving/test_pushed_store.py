"""What a full spool refuses: told to the sender, kept, and stored as soon as there is room."""

from __future__ import annotations

import random

from forwarder.spool.contract import Settlement, Tally
from forwarder.testing.sender import Port, receiving
from forwarder.testing.waiting import until
from tests.contract.feeds import GuardDetectSender

MADE = GuardDetectSender()


def large(number: int) -> bytes:
    """Return an alert of 60 kB that nothing compresses much."""
    return MADE.event(number, b'"%s"' % random.Random(number).randbytes(30_000).hex().encode())


async def fill(port: Port) -> int:
    """Send until one is refused; return its number."""
    number = 0
    while (await port.post(large(number))).status == 200:
        number += 1
    return number


async def settle_all(port: Port) -> None:
    """Let the only sink have everything, so that it may leave the spool."""
    spool = port.spool
    status = await spool.status()
    [lane], [source] = status.lanes, status.sources
    await spool.exchange(lane.number, Settlement(), after=lane.position, events=10_000)
    tallies = {source.number: Tally(accepted=status.last_seq - lane.position)}
    settlement = Settlement(ranges=[(lane.position + 1, status.last_seq)], tallies=tallies)
    await spool.exchange(lane.number, settlement, after=0, events=0)


async def test_what_was_refused_is_stored_when_there_is_room_whether_its_sender_comes_again_or_not(tmp_path):
    async with receiving(GuardDetectSender, tmp_path, max_bytes=2**20) as port:
        refused = await fill(port)
        assert (await port.post(large(refused))).status == 503, "as often as it comes"
        assert (await port.post(large(refused + 1))).status == 503
        assert port.report.state == "paused"
        stored = (await port.status()).last_seq
        await settle_all(port)
        await until(lambda: port.report.state == "idle")
        assert (await port.status()).last_seq == stored + 2, "each once"
        reply = await port.post(large(refused))
        assert (reply.status, reply.body["new"]) == (200, 0), "known when it comes again"
        assert port.report.spooled == stored + 2


async def test_what_is_kept_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("forwarder.receiving.pushed.MOST_KEPT", 150_000)
    async with receiving(GuardDetectSender, tmp_path, max_bytes=2**20) as port:
        refused = await fill(port)
        for number in range(refused + 1, refused + 6):
            assert (await port.post(large(number))).status == 503
        stored = (await port.status()).last_seq
        await settle_all(port)
        await until(lambda: port.report.state == "idle")
        assert (await port.status()).last_seq == stored + 2, "the newest two"
