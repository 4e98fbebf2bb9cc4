"""The far ends of a soak: which events has each, and how often. They refuse, break and dawdle now and then.

Run: `python -m bench.soak.far EVENTS FOLDER FAULT_EVERY`. It prints an address for each place but the file, which it
follows in FOLDER; at `control`, `GET /count` tells and `GET /calm` ends the faults. A place remembers a byte for each event, touched at the start, so the
process does not grow.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from bench.soak.dice import Dice
from bench.syslog_drain import ANSWERS, HEAD
from simulator.http_types import Request, Response, Wire
from simulator.httpd import Server

IN_JSON = re.compile(rb'"id":"00000000-0000-4000-8000-(\d{12})"')
ANYWHERE = re.compile(rb"00000000-0000-4000-8000-(\d{12})")

FILE = "out.ndjson"

BEFORE: dict[str, Response] = {
    "429": Response(429, {"retry-after": "1"}),
    "503": Response(503),
    "reset before it is read": Response(200, misbehave=Wire(stop_at=-1, ending="reset")),
    "garbage": Response(200, misbehave=Wire(garbage=b"\x16\x03\x01\x00\xff not HTTP at all\r\n\r\n")),
}
"""Faults of HTTP in which nothing is taken."""
AFTER = {
    "reset instead of an answer": Wire(stop_at=0, ending="reset"),
    "answer cut": Wire(stop_at=5),
    "slow": Wire(delay=2.0),
}
"""Faults of HTTP after everything was taken."""

LOOK_EVERY = 0.25


class Known:
    """Which events a place has; `documents` counts them as often as they came."""

    def __init__(self, events: int, kinds: Iterable[str], every: float, name: str) -> None:
        self.documents = self.different = 0
        self.dice = Dice(list(kinds), every, name)
        self._known = bytearray(b"\0" * events)

    def take(self, ident: bytes) -> bool:
        """Note an event by the digits of its id; return whether it is there for the first time."""
        number = int(ident)
        self.documents += 1
        if self._known[number]:
            return False
        self._known[number] = 1
        self.different += 1
        return True

    def told(self) -> dict:
        return {"documents": self.documents, "different": self.different, "faults": self.dice.thrown}


class Http:
    """What is common to places that speak HTTP."""

    MORE: tuple[str, ...] = ()

    def __init__(self, name: str, events: int, every: float) -> None:
        self.known = Known(events, (*BEFORE, *AFTER, *self.MORE), every, name)

    async def handle(self, request: Request) -> Response:
        fault = self.known.dice.due()
        if fault in BEFORE:
            found = BEFORE[fault]
            return Response(found.status, found.headers, b"", found.misbehave)
        response = self.answer(request, fault)
        response.misbehave = AFTER.get(fault)
        return response

    def answer(self, request: Request, fault: str) -> Response:
        raise NotImplementedError


class Bulk(Http):
    """Elasticsearch: each event under an id of its own, so one that comes again is a conflict."""

    MORE = ("every third item is refused",)
    TAKEN, CONFLICT, BUSY = (
        b'{"create":{"status":201}}',
        b'{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"exists"}}}',
        b'{"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"full"}}}',
    )

    def answer(self, request: Request, fault: str) -> Response:
        items = []
        for position, line in enumerate(request.decoded_body().split(b"\n")[1::2]):
            if fault in self.MORE and position % 3 == 0:
                items.append(self.BUSY)
            else:
                found = IN_JSON.search(line)
                assert found is not None, line
                items.append(self.TAKEN if self.known.take(found[1]) else self.CONFLICT)
        errors = b"false" if self.TAKEN * len(items) == b"".join(items) else b"true"
        body = b'{"errors":%b,"items":[%b]}' % (errors, b",".join(items))
        return Response(200, {"content-type": "application/json"}, body)


class Collector(Http):
    """Splunk's event collector, with acknowledgement."""

    def __init__(self, name: str, events: int, every: float) -> None:
        super().__init__(name, events, every)
        self._given: dict[str | None, int] = {}

    def answer(self, request: Request, fault: str) -> Response:
        del fault
        if request.path == "/services/collector/ack":
            return Response.json({"acks": {str(number): True for number in json.loads(request.body)["acks"]}})
        for ident in IN_JSON.findall(request.decoded_body()):
            self.known.take(ident)
        channel = request.headers.get("x-splunk-request-channel")
        self._given[channel] = self._given.get(channel, -1) + 1
        return Response.json({"text": "Success", "code": 0, "ackId": self._given[channel]})


class Stream(asyncio.Protocol):
    """Records that end with a line feed. Nothing answers, so nothing is broken here; it reads slowly now and then."""

    KINDS: tuple[str, ...] = ("slow",)

    def __init__(self, known: Known) -> None:
        self.known, self.rest = known, b""

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.play(self.known.dice.due())
        whole, _, self.rest = (self.rest + data).rpartition(b"\n")
        for ident in ANYWHERE.findall(whole):
            self.known.take(ident)

    def play(self, fault: str) -> None:
        if fault == "slow":
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(2.0, self._go_on)

    def _go_on(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()


class Relp(Stream):
    """Records of RELP, answered with 200; now and then the connection breaks before, or one is refused."""

    KINDS = ("slow", "reset instead of an answer", "refused")

    def data_received(self, data: bytes) -> None:
        fault = self.known.dice.due()
        self.play(fault)
        content, start, answers = self.rest + data, 0, []
        while head := HEAD.match(content, start):
            length = int(head[3])
            end = head.end() + (length + 1 if length else 0)
            if end > len(content):
                break
            answer = ANSWERS[head[2]]
            if head[2] == b"syslog" and fault == "refused":
                answer, fault = b"500 busy", ""
            elif head[2] == b"syslog":
                self.known.take(ANYWHERE.search(content, start, end)[1])  # type: ignore[index]
            answers.append(b"%b rsp %d %b\n" % (head[1], len(answer), answer))
            start = end
        self.rest = content[start:]
        if fault == "reset instead of an answer":
            sock: socket.socket = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            self.transport.write(b"".join(answers))


class Files:
    """The file of the sink and those that were set aside, each read on from where it was."""

    def __init__(self, folder: Path, known: Known) -> None:
        self._folder, self._known = folder, known
        self._read: dict[int, tuple[int, bytes]] = {}

    def look(self) -> None:
        there = {}
        for path in self._folder.glob(f"{Path(FILE).stem}*"):
            try:
                with path.open("rb") as file:
                    found = os.fstat(file.fileno())
                    at, rest = self._read.get(found.st_ino, (0, b""))
                    if found.st_size < at:  # another file, with the number of one that has gone
                        at, rest = 0, b""
                    file.seek(at)
                    content = file.read()
            except FileNotFoundError:  # the oldest one goes when the next is set aside
                continue
            whole, _, left = (rest + content).rpartition(b"\n")
            for line in whole.split(b"\n") if whole else ():
                self._known.take(IN_JSON.search(line)[1])  # type: ignore[index]
            there[found.st_ino] = at + len(content), left
        self._read = there

    async def follow(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY)


async def main(events: int, folder: Path, every: float) -> None:
    places = {"elastic": Bulk("elastic", events, every), "splunk": Collector("splunk", events, every)}
    known = {name: place.known for name, place in places.items()}
    addresses = {}
    for name, place in places.items():
        server = Server(place.handle, max_body=1 << 30)
        await server.start()
        addresses[name] = server.url
    loop = asyncio.get_running_loop()
    for name, protocol in {"tcp": Stream, "relp": Relp}.items():
        known[name] = Known(events, protocol.KINDS, every, name)
        made = lambda protocol=protocol, known=known[name]: protocol(known)  # noqa: E731
        listener = await loop.create_server(made, "127.0.0.1", 0)
        addresses[name] = f"{name}://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    known["file"] = Known(events, (), 0, "file")

    async def tell(request: Request) -> Response:
        if request.path == "/calm":
            for each in known.values():
                each.dice.stop()
        return Response.json({name: each.told() for name, each in known.items()})

    control = Server(tell)
    await control.start()
    print(json.dumps({"control": control.url, "addresses": addresses}), flush=True)
    await Files(folder, known["file"]).follow()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])))
