"""Every sink over HTTP behind its lane, and a server with something before it that chokes on one event or on all."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from forwarder.registry import SINKS
from forwarder.testing.far_end import context
from forwarder.testing.http_far_end import HttpFarEnd
from forwarder.testing.lanes import Bench, bench, event
from tests.contract.far_ends import FAR_ENDS

PAGE = b"<html><head><title>Request Rejected</title></head><body>Support ID: 1234</body></html>"
FAULTS: dict[str, bytes] = {
    "403 page": b"HTTP/1.1 403 Forbidden\r\ncontent-type: text/html\r\n",
    "403 words": b"HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain\r\n",
    "403 silent": b"HTTP/1.1 403 Forbidden\r\n",
    "403 JSON of a gateway": b"HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\n",
    "302": b"HTTP/1.1 302 Found\r\nlocation: https://firewall.example.com/blocked\r\n",
    "404 silent": b"HTTP/1.1 404 Not Found\r\n",
    "405 page": b"HTTP/1.1 405 Method Not Allowed\r\ncontent-type: text/html\r\n",
    "406 page": b"HTTP/1.1 406 Not Acceptable\r\ncontent-type: text/html\r\n",
    "400 page": b"HTTP/1.1 400 Bad Request\r\n",
    "200 page": b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n",
    "500": b"HTTP/1.1 500 Internal Server Error\r\n",
    "502 page": b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\n",
    "reset": b"",
    "closed": b"",
}
BODIES = {
    "403 words": b"denied",
    "403 silent": b"",
    "403 JSON of a gateway": b'{"message": "Forbidden"}',
    "302": b"",
    "404 silent": b"",
}
"""What an answer says that is no page."""


class Server:
    """Takes batches as the sink expects, unless the fault is on everything, or on what a body holds."""

    def __init__(self, sink: str, fault: str) -> None:
        self.sink, self.fault = sink, fault
        self.bad: set[str] = set()
        self.everything = False
        self.words: bytes | None = None  # a success in these words
        self.has: Counter[str] = Counter()
        self.requests = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                self.requests += 1
                answer = self._answer(await reader.readexactly(length))
                if not answer:
                    self._end(writer)
                    return
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _end(self, writer: asyncio.StreamWriter) -> None:
        if self.fault == "reset":
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _answer(self, body: bytes) -> bytes:
        lines = [json.loads(line) for line in body.splitlines()]
        found = [line.get("event", line) for line in lines if "create" not in line]
        names = [one["id"] for one in found]
        if self.everything or self.bad & set(names):
            head = FAULTS[self.fault]
            content = BODIES.get(self.fault, PAGE)
            return head and head + b"content-length: %d\r\n\r\n" % len(content) + content
        if self.words is not None:
            return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(self.words) + self.words
        self.has.update(names)
        items = b",".join([b'{"create":{"status":201}}'] * len(names))
        good = {
            "elasticsearch": b'{"errors":false,"items":[' + items + b"]}",
            "http": b"{}",
            "splunk_hec": b'{"text":"Success","code":0}',
        }[self.sink]
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(good) + good


SETTINGS: dict[str, dict[str, Any]] = {
    "elasticsearch": {"unmanaged": True},
    "http": {},
    "splunk_hec": {"token": "made-up-t0ken"},
}


def test_every_sink_of_ours_that_speaks_http_is_tried() -> None:
    assert {end.name for end in FAR_ENDS if issubclass(end, HttpFarEnd)} == set(SETTINGS)


@asynccontextmanager
async def delivering(sink: str, fault: str, folder: Path) -> AsyncIterator[tuple[Bench, Server, Any]]:
    server = Server(sink, fault)
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening, bench(folder) as b:
        kind = SINKS.load(sink)
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        config = kind.Config(type=sink, url=url, compress=False, **SETTINGS[sink])
        built = kind(config, context(sink, slots=2))
        try:
            yield b, server, built
        finally:
            for name in list(b.lanes):
                await b.stop(name)
            await built.close()


each_pair = pytest.mark.parametrize(
    ("sink", "fault"),
    # Behind an http sink any API may be, so JSON may be its own.
    [(sink, fault) for sink in SETTINGS for fault in FAULTS if (sink, "JSON" in fault) != ("http", True)],
)


@each_pair
async def test_b15_an_event_that_something_chokes_on_is_a_dead_letter_and_the_others_arrive(
    sink: str, fault: str, tmp_path: Path
) -> None:
    async with delivering(sink, fault, tmp_path) as (b, server, built):
        server.bad = {"e13"}
        lane = b.start("one", built, patience=0.1)
        await b.fill(*(event(f"e{n}") for n in range(25)))
        await b.until(lambda: not lane.report.well)
        await b.drained("one")
        (letter,) = await b.spool.dead_letters("one")
        assert (letter.seq, letter.reason) == (14, "not_taken")
        assert letter.detail
        assert "credential" not in letter.detail
        assert set(server.has) == {f"e{n}" for n in range(25)} - {"e13"}
        doubled = {name for name, times in server.has.items() if times > 1}
        in_doubt = {b.names[seq - 1] for first, last in await b.doubts("one") for seq in range(first, last + 1)}
        assert doubled <= in_doubt
        await b.balanced()


@each_pair
async def test_b16_what_meets_everything_is_no_events_fault(sink: str, fault: str, tmp_path: Path) -> None:
    async with delivering(sink, fault, tmp_path) as (b, server, built):
        server.everything = True
        lane = b.start("one", built, patience=0)
        await b.fill(*(event(f"e{n}") for n in range(25)))
        await b.until(lambda: lane.report.tries >= 30)
        assert not lane.report.well
        assert "credential" not in lane.report.reason
        assert (lane.report.dead_letters, lane.report.aside) == (0, ())
        server.everything = False
        await b.drained("one")
        assert set(server.has) == {f"e{n}" for n in range(25)}


@pytest.mark.parametrize("sink", ["elasticsearch", "splunk_hec"])
@pytest.mark.parametrize(
    ("words", "quoted"),
    [(b'{"status":"Success"}', "Success"), (b"", "says nothing"), (PAGE, "Request Rejected"), (b"ok", "ok")],
)
async def test_b17_a_success_in_other_words_holds_and_quotes_them(
    sink: str, words: bytes, quoted: str, tmp_path: Path
) -> None:
    async with delivering(sink, "500", tmp_path) as (b, server, built):
        server.words = words
        lane = b.start("one", built)
        await b.fill(*(event(f"e{n}") for n in range(25)))
        await b.until(lambda: lane.report.state == "held")
        assert quoted in lane.report.reason
        assert "looks like" in lane.report.reason
        assert lane.report.fix
        server.words = None
        await b.drained("one")
        assert lane.report.dead_letters == 0


async def test_b17_an_answer_about_another_number_of_events_holds(tmp_path: Path) -> None:
    async with delivering("elasticsearch", "500", tmp_path) as (b, server, built):
        server.words = b'{"errors":false,"items":[]}'
        lane = b.start("one", built)
        await b.fill(*(event(f"e{n}") for n in range(25)))
        await b.until(lambda: lane.report.state == "held")
        assert "speaks of 0 events" in lane.report.reason
        assert lane.report.fix
        server.words = None
        await b.drained("one")
        assert lane.report.dead_letters == 0
