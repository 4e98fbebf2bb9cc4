"""The port that receives, with a daemon of its own: kills, floods, secrets, and what is shown."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import ssl
from collections import Counter
from pathlib import Path

import psutil
import pytest
import trustme

from tests.receiving.sending import SECRET, Receiving, alert, guard_detect
from tests.sockets import held_port


@pytest.fixture
def free_port():
    with held_port() as port:
        yield port


def source_of(status: dict) -> dict:
    [found] = status["sources"]
    return found


async def until_answered(receiving: Receiving, posts: list[asyncio.Task], enough: int) -> None:
    await receiving.process.until(lambda: sum(post.done() for post in posts) >= enough, every=0.001)


async def test_what_was_acknowledged_survives_kills_and_comes_once_in_the_spool(tmp_path, free_port):
    rng = random.Random(7)
    receiving = Receiving(tmp_path, free_port)
    acknowledged: set[str] = set()
    number = 0
    async with receiving.process:
        for _ in range(6):
            await receiving.start()
            posts = {
                f"a{each}": asyncio.create_task(receiving.post(alert(each))) for each in range(number, number + 12)
            }
            number += 12

            await until_answered(receiving, list(posts.values()), rng.randrange(1, 9))
            await receiving.process.kill()
            acknowledged |= {ident for ident, post in posts.items() if (await post)[0] == 200}
        await receiving.start()
        for each in range(number):  # each sender that had no answer comes again, and so do the others
            assert (await receiving.post(alert(each)))[0] == 200
        await receiving.until_delivered({f"a{each}" for each in range(number)})
        status = await receiving.process.until_status(
            lambda found: found["sinks"][0]["lag_events"] == 0 and found["spool"]["sources"][0]["spooled"] >= number
        )
        assert status["spool"]["sources"][0]["spooled"] == number
        assert status["balanced"]
        assert acknowledged


async def test_replays_are_known_after_a_restart_and_a_new_version_is_a_revision(tmp_path, free_port):
    receiving = Receiving(tmp_path, free_port)
    async with receiving.process:
        await receiving.start()
        assert await receiving.post([alert(1), alert(2)]) == (200, {"received": 2, "new": 2})
        await receiving.process.stop()
        await receiving.start()
        assert await receiving.post([alert(2), alert(1)]) == (200, {"received": 2, "new": 0})
        assert await receiving.post(alert(1, detectionTime=1)) == (200, {"received": 1, "new": 1})
        status = await receiving.process.until_status(lambda found: source_of(found)["revisions"] == 1)
        assert source_of(status)["repeats"] == 2
        await receiving.process.until(lambda: len(receiving.delivered()) == 3)


async def test_neither_idle_nor_slow_connections_keep_probes_or_senders_out(tmp_path, free_port):
    receiving = Receiving(tmp_path, free_port)
    async with receiving.process:
        await receiving.start()
        with contextlib.ExitStack() as held:
            for number in range(2000):
                one = held.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", free_port))))
                with contextlib.suppress(OSError):  # cut already
                    one.sendall((b"", b"POST /webhook/alerts HTTP/1.1\r\nHost: a\r\n")[number % 2])
            assert (await receiving.process.get("/livez"))[0] == 200
            assert (await receiving.post(alert(1)))[0] == 200
            await receiving.until_delivered({"a1"})
            assert len(receiving.process.logged("receiver_connections_cut")) == 1


async def test_a_secret_is_replaced_without_a_moment_in_which_nothing_is_taken(tmp_path, free_port):
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text(SECRET)
    new.write_text("another-secret-made-up")
    source = guard_detect(secret_file=str(new), previous_secret_file=str(old))
    del source["webhook"]["secret"]
    receiving = Receiving(tmp_path, free_port, sources={"alerts": source})
    async with receiving.process:
        await receiving.start()
        assert (await receiving.post(alert(1)))[0] == 200
        assert (await receiving.post(alert(2), "another-secret-made-up"))[0] == 200
        old.unlink()
        assert (await receiving.post(alert(3)))[0] == 401
        assert (await receiving.post(alert(3), "another-secret-made-up"))[0] == 200
        new.unlink()
        held = await receiving.process.until_status(lambda found: source_of(found)["state"] == "held")
        assert source_of(held)["fix"], "said before anybody sends"
        new.write_text("another-secret-made-up")
        await receiving.process.until_status(lambda found: source_of(found)["state"] == "idle")


async def test_no_secret_is_ever_shown(tmp_path, free_port):
    receiving = Receiving(tmp_path, free_port)
    shown = []
    async with receiving.process:
        await receiving.start()
        for body, secret in ((alert(1), SECRET[:-1]), (b"garbage", SECRET), (alert(2), SECRET)):
            shown.append(str(await receiving.post(body, secret)))
        await receiving.until_delivered({"a2"})
        await receiving.process.until_status(lambda found: found["sinks"][0]["lag_events"] == 0)
        for path in ("/status", "/metrics", "/readyz"):
            shown.append((await receiving.process.get(path))[1].decode())
        shown += [receiving.process.text, receiving.out.read_text()]
    assert not any(SECRET in text for text in shown)


async def test_refusals_are_counted_and_an_unreadable_body_is_a_dead_letter(tmp_path, free_port):
    receiving = Receiving(tmp_path, free_port, receiver={"max_body": 4096})
    async with receiving.process:
        await receiving.start()
        assert (await receiving.post(alert(1), "wrong"))[0] == 401
        assert (await receiving.post(alert(1), path="/webhook/other"))[0] == 404
        assert (await receiving.post(b"x" * 100_000))[0] == 413
        assert (await receiving.post({"hello": "world"}))[0] == 422
        status = await receiving.process.until_status(lambda found: source_of(found)["state"] == "held")
        found = source_of(status)
        assert found["refused"] == {"auth": 1, "too_large": 1, "unreadable": 1}
        assert found["fix"]
        assert (await receiving.post([alert(1), 7]))[0] == 422, "one of two: told, and the other one is taken"
        assert (await receiving.post(alert(2))) == (200, {"received": 1, "new": 1})
        status = await receiving.process.until_status(lambda found: source_of(found)["state"] == "idle")
        assert (source_of(status)["received"], source_of(status)["spooled"]) == (1, 5)
        refused = b'forwarder_source_refused_requests_total{reason="unreadable",source="alerts"} 2.0'
        await receiving.process.until_got("/metrics", refused)
        page = (await receiving.process.get("/metrics"))[1].decode()
        assert 'forwarder_source_last_good_poll_age_seconds{source="alerts"}' not in page


async def test_more_than_the_rate_is_told_to_come_later_and_a_stranger_takes_nothing_of_it(tmp_path, free_port):
    receiving = Receiving(tmp_path, free_port, receiver={"requests_per_minute": 5})
    async with receiving.process:
        await receiving.start()
        strangers = Counter([(await receiving.post(alert(0), "wrong"))[0] for _ in range(80)])
        assert strangers[429] > 0
        assert set(strangers) == {401, 429}
        answers = Counter([(await receiving.post(alert(each)))[0] for each in range(12)])
        assert answers[200] >= 5
        assert answers[429] > 0


def issue(cert: Path, key: Path) -> ssl.SSLContext:
    """Write a new certificate and its key; return what trusts it."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(key)
    issued.cert_chain_pems[0].write_to_path(cert)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_over_tls_a_renewed_certificate_is_shown_without_a_restart(tmp_path, free_port):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    shown = []
    tls = {"cert_file": str(cert), "key_file": str(key)}
    receiving = Receiving(tmp_path, free_port, receiver=tls)
    async with receiving.process:
        for _ in range(2):
            context = issue(cert, key)
            if not shown:
                await receiving.start()
            shown.append((await receiving.post(alert(len(shown)), tls=context))[0])
        assert shown == [200, 200]
        key.write_text("in the middle of a renewal")
        assert (await receiving.post(alert(7), tls=context))[0] == 200


async def test_connections_that_never_shake_hands_keep_nobody_out(tmp_path, free_port):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    context = issue(cert, key)
    receiving = Receiving(tmp_path, free_port, receiver={"cert_file": str(cert), "key_file": str(key)})
    async with receiving.process:
        await receiving.start()
        with contextlib.ExitStack() as held:
            for _ in range(1000):
                held.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", free_port))))
            assert (await receiving.post(alert(1), tls=context))[0] == 200
            assert (await receiving.process.get("/livez"))[0] == 200
            assert len(psutil.Process(receiving.process.pid).net_connections("tcp")) < 600


async def test_a_request_in_drops_is_cut_and_one_in_pieces_is_taken(tmp_path, free_port):
    receiving = Receiving(tmp_path, free_port)
    head = f"POST /webhook/alerts HTTP/1.1\r\nHost: a\r\nAuthorization: {SECRET}\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with receiving.process:
        await receiving.start()
        slow_reader, slow = await asyncio.open_connection("127.0.0.1", free_port)
        slow.write(head.encode() + b"1\r\n{\r\n")
        reader, writer = await asyncio.open_connection("127.0.0.1", free_port)
        body = json.dumps(alert(1)).encode()
        writer.write(head.encode())
        for byte in body:
            writer.write(b"1\r\n%c\r\n" % byte)
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        assert (await reader.readline()).split()[1] == b"200"
        with contextlib.suppress(ConnectionError):
            assert await slow_reader.read() == b"", "cut, without a word"
        status = await receiving.process.until_status(lambda found: source_of(found)["refused"] != {})
        assert source_of(status)["refused"] == {"cut": 1}
        assert source_of(status)["spooled"] == 1
        for each in (slow, writer):
            each.close()
