"""Sinks in front of servers that lie, drown them or fall silent: nothing is believed, and nothing waits forever."""

from __future__ import annotations

import asyncio
import re
import sys
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import Delivery, Retryable, Thing
from forwarder.testing.far_end import context
from forwarder.testing.lanes import batch_of, bench, event
from sinks.http import HttpSink
from sinks.splunk_hec.envelope import Wrapper
from sinks.splunk_hec.sink import SplunkHecSink
from sinks.syslog.sink import SyslogSink
from tests.hostile import ordinary_event

EVENT = b'{"n":1}'
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """Serve connections one after the other or at once; yield the port."""
    served: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await handler(reader, writer)
        finally:
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        served.add(task)
        task.add_done_callback(served.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in served:
            task.cancel()
        await asyncio.gather(*served, return_exceptions=True)


async def read_http(reader: asyncio.StreamReader) -> bytes:
    """Return the body of the next request."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    return await reader.readexactly(int(length[1]) if length else 0)


def http_answers(*answers: bytes) -> Handler:
    """Answer the requests of a connection in turn; the last answer is given to all that follow."""
    left = list(answers)

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_http(reader)
            writer.write(left.pop(0) if len(left) > 1 else left[0])

    return handler


def http_answer(status: int, body: bytes, kind: str = "application/json") -> bytes:
    kind = f"content-type: {kind}\r\n" if kind else ""
    return f"HTTP/1.1 {status} X\r\n{kind}content-length: {len(body)}\r\n\r\n".encode() + body


# ------------------------------------------------------------------------------------------------------------ splunk


def hec(port: int, **more: Any) -> SplunkHecSink:
    settings = {"url": f"http://127.0.0.1:{port}", "token": "made-up-t0ken", "compress": False, **more}
    return SplunkHecSink(SplunkHecSink.Config(**settings), context("splunk"))


@pytest.mark.parametrize("number", ["-1", "9" * 30, "1e30", '"0"', "true"])
async def test_an_impossible_acknowledgement_number_is_no_promise(number: str) -> None:
    looked, good = http_answer(200, b'{"acks":{"0":false}}'), http_answer(200, b'{"text":"Success","code":0,"ackId":7}')
    odd = http_answer(200, b'{"text":"Success","code":0,"ackId":%b}' % number.encode())
    async with serving(http_answers(looked, good, odd, http_answer(200, b'{"acks":{"7":true}}'))) as port:
        sink = hec(port, acknowledge=True)
        try:
            promised = await sink.send(batch_of(EVENT))
            receipt = promised.pending[0]
            with pytest.raises(Retryable) as caught:
                await sink.send(batch_of(EVENT))
            assert caught.value.sent
            assert await sink.confirm([receipt]) in ({receipt: True}, {receipt: False})
        finally:
            await sink.close()


@pytest.mark.parametrize("status", [201, 202, 204, 206])
async def test_a_success_that_is_not_splunks_may_have_taken_the_events(status: int) -> None:
    body = b"" if status == 204 else b'{"text":"Success","code":0}'
    async with serving(http_answers(http_answer(status, body))) as port:
        sink = hec(port)
        try:
            with pytest.raises(Retryable) as caught:
                await sink.send(batch_of(EVENT))
            assert caught.value.sent
        finally:
            await sink.close()


async def test_an_answer_nested_without_end_is_none_of_splunks() -> None:
    deep = b'{"code":0,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    async with serving(http_answers(http_answer(200, deep))) as port:
        sink = hec(port)
        try:
            with pytest.raises(Retryable) as caught:
                await sink.send(batch_of(EVENT))
            assert caught.value.sent
        finally:
            await sink.close()


async def test_a_question_under_way_is_waited_for_before_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinks.splunk_hec.acks.PATIENCE", 0.05)
    unknown, unpromised = http_answer(200, b'{"acks":{}}'), http_answer(200, b'{"text":"Success","code":0}')
    taken = [http_answer(200, b'{"text":"Success","code":0,"ackId":%d}' % number) for number in (0, 1)]
    answers = [unknown, *taken, unpromised, unknown, unknown, taken[0]]
    asked = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, answer in enumerate(answers):
            await read_http(reader)
            if number == 4:  # the question; whoever sends meanwhile has to look first, because of the answer before
                asked.set()
                await asyncio.sleep(0.3)
            writer.write(answer)

    async with serving(handler) as port:
        sink = hec(port, acknowledge=True)
        try:
            promised = [(await sink.send(batch_of(EVENT))).pending[0] for _ in range(2)]
            with pytest.raises(Retryable):
                await sink.send(batch_of(EVENT))
            question = asyncio.create_task(sink.confirm(promised))
            await asked.wait()
            assert (await sink.send(batch_of(EVENT))).pending
            await question
        finally:
            await sink.close()


def test_long_names_of_sites_are_not_remembered() -> None:
    wrapper = Wrapper(SplunkHecSink.Config(url="https://splunk.example:8088", token="t"), "raw", is_json=True)
    tracemalloc.start()
    try:
        for number in range(50):
            record = batch_of(EVENT).records[0]
            record.event = ordinary_event(site=Thing("site", name=f"{number}{'x' * 100_000}"))
            wrapper.wrap(record)
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


# -------------------------------------------------------------------------------------------------------------- http


def http(port: int, **more: Any) -> HttpSink:
    return HttpSink(
        HttpSink.Config(**{"url": f"http://127.0.0.1:{port}/in", "compress": False, **more}), context("any")
    )


@pytest.mark.parametrize("kind", ["text/html", "", "application/xhtml+xml", "text/plain"])
async def test_a_page_is_not_taken_for_an_acceptance_whatever_it_says_it_is(kind: str) -> None:
    page = b"\n<!DOCTYPE html><html><body>Sign in</body></html>"
    async with serving(http_answers(http_answer(200, page, kind))) as port:
        sink = http(port)
        try:
            with pytest.raises(Retryable) as caught:
                await sink.send(batch_of(EVENT))
            assert caught.value.kind == "login_page"
        finally:
            await sink.close()


async def test_a_status_for_a_part_accepts_nothing() -> None:
    async with serving(http_answers(http_answer(207, b'{"items":[{"status":201},{"status":500}]}'))) as port:
        sink = http(port)
        try:
            with pytest.raises(Retryable) as caught:
                await sink.send(batch_of(EVENT, EVENT))
            assert caught.value.sent
        finally:
            await sink.close()


@pytest.mark.parametrize("later", [False, True])
async def test_an_answer_that_comes_before_its_question_is_no_answer(later: bool) -> None:
    good = http_answer(200, b"{}")
    asked = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await read_http(reader)
        asked += 1
        if asked > 1:  # another connection
            return
        writer.write(good if later else good + good)
        if later:
            await writer.drain()
            await asyncio.sleep(0.1)
            writer.write(good)
        await read_http(reader)
        asked += 1

    async with serving(handler) as port:
        sink = http(port)
        try:
            await sink.send(batch_of(EVENT))
            await asyncio.sleep(0.3 if later else 0)
            with pytest.raises(Retryable):
                await sink.send(batch_of(EVENT))
        finally:
            await sink.close()


async def test_what_a_server_took_before_it_stumbled_is_doubled_only_on_record(tmp_path: Path) -> None:
    taken: Counter[bytes] = Counter()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            lines = (await read_http(reader)).splitlines()
            bad = next((number for number, line in enumerate(lines) if b'"bad' in line), None)
            taken.update(lines[:bad])
            writer.write(http_answer(200 if bad is None else 400, b"{}"))

    events = [event(f"{'bad' if number in {3, 17} else 'good'}-{number}") for number in range(30)]
    async with serving(handler) as port, bench(tmp_path) as spool:
        await spool.fill(*events)
        sink = http(port)
        spool.start("siem", sink)
        await spool.drained("siem")
        await spool.stop("siem")
        await sink.close()
        await spool.balanced()
        numbers = {body: number for number, body in enumerate(events, 1)}
        assert set(taken) == {body for body in events if b'"bad' not in body}
        doubled = {numbers[body] for body, times in taken.items() if times > 1}
        assert doubled
        doubts = await spool.doubts("siem")
        assert all(any(first <= number <= last for first, last in doubts) for number in doubled)
        assert {letter.seq for letter in await spool.spool.dead_letters("siem")} == {4, 18}


# ------------------------------------------------------------------------------------------------------------ syslog


def syslog(scheme: str, port: int, **more: Any) -> SyslogSink:
    settings = {"address": f"{scheme}://127.0.0.1:{port}", "hostname": "h", **more}
    return SyslogSink(SyslogSink.Config(**settings), context("syslog"))


def relp_frame(number: int, content: bytes) -> bytes:
    return b"%d rsp %d %b\n" % (number, len(content), content)


OFFER = b"200 OK\nrelp_version=0\nrelp_software=any\ncommands=syslog"


async def read_relp(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b" ")) + (await reader.readuntil(b" "))
    length = b""
    while (char := await reader.readexactly(1)).isdigit():
        length += char
    if char == b" ":
        await reader.readexactly(int(length) + 1)
    number, command = head.split()
    return int(number), command


async def test_a_relp_server_that_never_answers_the_goodbye_costs_no_more_than_a_moment() -> None:
    ended = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            number, command = await read_relp(reader)
            if command == b"close":
                await reader.read()
                ended.set()
                return
            writer.write(relp_frame(number, OFFER if command == b"open" else b"200 OK"))

    async with serving(handler) as port:
        sink = syslog("relp", port, format="raw")
        sent = batch_of(EVENT)
        assert await sink.send(sent) == Delivery.all_accepted(sent)
        await sink.close()
        await sink.close()
        async with asyncio.timeout(10):
            await ended.wait()


async def test_a_relp_answer_that_trickles_is_given_up_like_silence() -> None:
    trickled = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal trickled
        while True:
            number, command = await read_relp(reader)
            if command == b"open":
                writer.write(relp_frame(number, OFFER))
                continue
            writer.write(b"%d rsp 60000 200 " % number)
            while True:
                writer.write(b"x")
                await writer.drain()
                trickled += 1
                await asyncio.sleep(0.02)

    async with serving(handler) as port:
        sink = syslog("relp", port, format="raw", silence_timeout=0.5)
        try:
            async with asyncio.timeout(20):
                with pytest.raises(Retryable) as caught:
                    await sink.send(batch_of(EVENT))
            assert caught.value.sent
            assert caught.value.kind == "timeout"
        finally:
            await sink.close()


FLOOD = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
peer, _ = server.accept()
chunk = b"0" * 2**20
sent = 0
try:
    while sent < 2**28:
        sent += peer.send(chunk)
except OSError:
    pass
print(sent, flush=True)
"""


@pytest.mark.parametrize("scheme", ["tcp", "relp"])
async def test_a_server_that_floods_us_fills_no_memory(scheme: str) -> None:
    flood = await asyncio.create_subprocess_exec(sys.executable, "-c", FLOOD, stdout=asyncio.subprocess.PIPE)
    assert flood.stdout is not None
    sink = syslog(scheme, int(await flood.stdout.readline()), format="raw")
    with suppress(Retryable):
        await sink.send(batch_of(EVENT))
    await sink.close()
    assert int(await flood.stdout.readline()) < 2**26
    await flood.wait()


@pytest.mark.parametrize("more", [{}, {"protocol": "rfc3164"}, {"protocol": "rfc3164", "procid": "123"}, {"bom": True}])
async def test_the_longest_body_fits_the_longest_message(more: dict[str, Any]) -> None:
    got = bytearray()

    async def handler(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            got.extend(piece)

    async with serving(handler) as port:
        sink = syslog("tcp", port, format="raw", resend=0, max_message_bytes=1024, **more)
        sent = batch_of(b"x" * (sink.max_body or 0))
        assert await sink.send(sent) == Delivery.all_accepted(sent)
        await sink.close()
    assert len(got) <= 1025
