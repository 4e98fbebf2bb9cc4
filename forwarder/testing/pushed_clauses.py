"""Receiving: what is acknowledged is durable, what is known is not stored again, the secret decides who may send."""

from __future__ import annotations

import random
import time
from pathlib import Path

from forwarder.contracts import AuditEvent, Received, Receives, Record, UnexpectedPayload
from forwarder.contracts.identity import DIGEST_BYTES, KEY_BYTES
from forwarder.registry import SOURCES
from forwarder.testing.events import RAW
from forwarder.testing.far_end import SECOND_SECRET, SECRET, secret_file
from forwarder.testing.sender import Sender, build, receiving
from forwarder.testing.source_clauses import ODD
from forwarder.testing.suite import clause

NO_EVENTS = (
    *(b"", b" ", b"null", b"7", b'"text"', b"{", b"[", b"[{]", b"{}", b"[[]]", b"[7]", b"\xff\xfe", b"<html>", b"a=b"),
    *(b"[" * 100_000, b'{"a":' * 100_000, b"\x1f\x8b\x08\x00" + bytes(40), b"[" + b"{}," * 200_000 + b"{}]"),
)
"""Bodies that hold no event of any product."""


def read(source: Receives, body: bytes) -> Received:
    """Read a body, and look at what is promised of every one."""
    found = source.receive(body)
    page = found.page
    assert len({len(page.bodies), len(page.keys), len(page.digests), len(page.minutes)}) == 1
    assert all(len(key) == KEY_BYTES for key in page.keys)
    assert all(len(digest) == DIGEST_BYTES for digest in page.digests)
    assert page.derived <= set(range(len(page.bodies)))
    assert bool(found.reason) == (found.unreadable > 0)
    return found


def joined(events: list[bytes]) -> bytes:
    """Return the body that holds several events."""
    return b" [ " + b" ,\n".join(events) + b" ]\r\n"


@clause()
async def test_one_and_many_are_read_byte_for_byte(sender: type[Sender], tmp_path: Path) -> None:
    made = sender()
    source = build(sender, tmp_path)
    events = [made.event(number, extra) for number, extra in enumerate(ODD)]
    assert [bytes(body) for body in read(source, joined(events)).page.bodies] == events
    for event in events:
        found = read(source, b"\xef\xbb\xbf " + event + b"\n")
        assert ([bytes(body) for body in found.page.bodies], found.unreadable) == ([event], 0)
    await source.close()


@clause()
async def test_an_event_has_one_key_in_every_life(sender: type[Sender], tmp_path: Path) -> None:
    made, seen = sender(), []
    for name in ("first", "second"):
        source = build(sender, tmp_path, name)
        page = read(source, joined([made.event(1), made.event(2), made.event(1, b"7")])).page
        await source.close()
        assert page.keys[0] != page.keys[1]
        assert page.keys[0] == page.keys[2], "the id decides, not the content"
        assert page.digests[0] != page.digests[2]
        seen.append([*map(bytes, page.keys), *map(bytes, page.digests)])
    assert seen[0] == seen[1]


@clause()
async def test_what_cannot_be_read_is_kept_and_becomes_a_dead_letter(sender: type[Sender], tmp_path: Path) -> None:
    source = build(sender, tmp_path)
    normalizer = SOURCES.load(sender.name).normalizer()
    for body in NO_EVENTS:
        found = read(source, body)
        assert found.unreadable == len(found.page.bodies) > 0, body[:40]
        again = read(source, body)
        assert [*found.page.keys] == [*again.page.keys], "sent again it is known"
        records = [
            Record(number, source.origin, key.hex(), bytes(event), read_ms=1)
            for number, (key, event) in enumerate(zip(found.page.keys, found.page.bodies, strict=True))
        ]
        assert all(isinstance(each, UnexpectedPayload) for each in normalizer.normalize(records)), body[:40]
    await source.close()


@clause()
async def test_the_normalizer_understands_what_is_sent_and_raises_at_nothing(
    sender: type[Sender], tmp_path: Path
) -> None:
    made, now = sender(), int(time.time() * 1000)
    source = build(sender, tmp_path)
    own = [made.event(number) for number in range(3)] + [made.event(3, b'"\\ud83d \\u0000 \\u202e"')]
    records = [
        Record(number, source.origin, f"{number:032x}", raw, read_ms=now) for number, raw in enumerate((*own, *RAW))
    ]
    found = SOURCES.load(sender.name).normalizer().normalize(records)
    assert len(found) == len(records)
    assert all(isinstance(event, AuditEvent) and event.action for event in found[: len(own)]), found[: len(own)]
    assert all(isinstance(event, AuditEvent | UnexpectedPayload) for event in found)
    await source.close()


@clause()
async def test_what_is_acknowledged_is_there_in_the_next_life(sender: type[Sender], tmp_path: Path) -> None:
    made = sender()
    for life in range(3):
        async with receiving(sender, tmp_path) as port:
            assert (await port.status()).last_seq == life * 2
            reply = await port.post(joined([made.event(life * 2), made.event(life * 2 + 1)]))
            assert (reply.status, reply.body) == (200, {"received": 2, "new": 2})
            assert (await port.status()).last_seq == life * 2 + 2


@clause()
async def test_what_comes_again_is_acknowledged_and_not_stored_again(sender: type[Sender], tmp_path: Path) -> None:
    made = sender()
    for life in range(2):
        async with receiving(sender, tmp_path) as port:
            for body in (made.event(1), joined([made.event(1), made.event(1)])):
                assert (await port.post(body)).status == 200
            assert (await port.status()).last_seq == 1
            assert port.report.repeats == (2 if life == 0 else 3)


@clause()
async def test_without_the_secret_nothing_is_taken_and_it_is_never_shown(sender: type[Sender], tmp_path: Path) -> None:
    made = sender()
    async with receiving(sender, tmp_path) as port:
        for wrong in ("", "Bearer", "Bearer ", SECRET[:-1], f"{SECRET}x", f"Bearer {SECRET} x", SECOND_SECRET):
            reply = await port.post(made.event(1), wrong)
            assert reply.status == 401, wrong
            assert SECRET not in str(reply)
        assert (await port.status()).last_seq == 0
        assert port.report.refused["auth"] == 7
        for right in (SECRET, f"Bearer {SECRET}", f"Splunk  {SECRET} "):
            assert (await port.post(made.event(1), right)).status == 200
        secret_file(tmp_path, SECOND_SECRET)
        assert (await port.post(made.event(2))).status == 401
        assert (await port.post(made.event(2), SECOND_SECRET)).status == 200
        secret_file(tmp_path, "").unlink()
        reply = await port.post(made.event(3), SECOND_SECRET)
        assert reply.status == 503, "who sends it tries again"
        assert int(reply.headers["retry-after"]) > 0
        assert not port.report.well
        assert port.report.fix
        shown = f"{port.report} {reply}"
        assert not any(secret in shown for secret in (SECRET, SECOND_SECRET))
        secret_file(tmp_path, SECOND_SECRET)
        assert (await port.post(made.event(3), SECOND_SECRET)).status == 200
        assert port.report.well
        assert (await port.status()).last_seq == 3


@clause()
async def test_a_full_spool_is_said_and_what_was_sent_is_taken_later(sender: type[Sender], tmp_path: Path) -> None:
    made = sender()
    most = 2**20
    async with receiving(sender, tmp_path, max_bytes=most) as port:
        filler = [bytes(made.event(number, b'"%s"' % _noise(number, 60_000))) for number in range(1, 40)]
        status = 200
        sent = 0
        while status == 200:
            status = (reply := await port.post(filler[sent])).status
            sent += 1
        assert (status, port.report.state) == (503, "paused")
        assert int(reply.headers["retry-after"]) > 0
        assert "spool" in reply.body["reason"]
        stored = (await port.status()).last_seq
        assert stored == sent - 1
    async with receiving(sender, tmp_path, max_bytes=2 * most) as port:
        assert (await port.post(filler[sent - 1])).status == 200
        assert (await port.status()).last_seq == stored + 1


def _noise(seed: int, size: int) -> bytes:
    """Return hexadecimal digits that nothing compresses much."""
    return random.Random(seed).randbytes(size // 2).hex().encode()
