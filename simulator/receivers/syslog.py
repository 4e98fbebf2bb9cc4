"""A strict syslog receiver: UDP, TCP, TLS and RELP, by the letter, with a fault script.

What it takes is in `messages`; whatever breaks a rule is in `violations` and ends the connection. Frames that were
begun and never ended are in `halves`: they are no messages here, though some receivers store them. It shares no code
with the sink. Not here, because no test could tell right from wrong: filters, queues, and storing in pieces what is too
long.
"""

from __future__ import annotations

import asyncio
import socket
import ssl as ssl_module
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Self

from simulator.kept_port import KeptPort
from simulator.receivers.syslog_wire import (
    Counted,
    Lines,
    Malformed,
    Message,
    RelpFrame,
    RelpFrames,
    read_3164,
    read_5424,
)

Transport = Literal["tcp", "relp", "udp"]
What = Literal[
    "close",
    "reset",
    "half_close",
    "stall",
    "slow",
    "garbage",
    "refuse",
    "silence",
    "wrong_number",
    "twice",
    "serverclose",
]

_ANSWERS = {"refuse", "silence", "wrong_number", "twice", "serverclose"}
_ABORTING = struct.pack("ii", 1, 0)
_GARBAGE = b"\x16\x03\x01 this is no answer\r\n\r\n"


@dataclass(slots=True)
class Rule:
    """What goes wrong. The first rule that has something left and fits is played.

    Attributes:
        what: `close` and `reset` end the connection before the message is taken, a reset as an abort; `half_close` ends
            our half and reads on; `stall` reads nothing more; `slow` waits before each message; `garbage` sends what is
            no answer. Over RELP: `refuse` answers `code`, `silence` takes without an answer, `wrong_number` and `twice`
            answer wrongly, `serverclose` takes, does not answer, and says goodbye.
        times: How often; None forever.
        after: Messages of this connection that are taken first.
        only: Whether the rule is for this message.
        code: Of `refuse`.
        words: Of `refuse`.
        seconds: Of `slow`.
    """

    what: What
    times: int | None = 1
    after: int = 0
    only: Callable[[Message], bool] | None = None
    code: int = 500
    words: str = "not taken"
    seconds: float = 0.05

    def fits(self, taken: int, message: Message | None) -> bool:
        """Say whether it is its turn: `message` is None before the first of a connection."""
        if self.times == 0 or taken < self.after or (message is None and self.what in _ANSWERS):
            return False
        return self.only is None or (message is not None and self.only(message))


class SyslogReceiver:
    """Receives on one port; `async with` starts and stops it.

    Args:
        transport: TCP and TLS are one; so are RELP and RELP over TLS.
        framing: How a stream is cut.
        protocol: Which header is expected.
        ssl: Context for TLS, or None.
        most: Longest message in bytes.
        host, port: Where to listen.
    """

    def __init__(
        self,
        transport: Transport = "tcp",
        *,
        framing: Literal["octet-counting", "newline"] = "newline",
        protocol: Literal["rfc5424", "rfc3164"] = "rfc5424",
        ssl: ssl_module.SSLContext | None = None,
        most: int = 8192,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.messages: list[Message] = []
        self.violations: list[str] = []
        self.halves: list[bytes] = []
        self.rules: list[Rule] = []
        self.connections = 0
        self.goodbyes = 0  # connections that the other side ended in order, with close_notify where there is TLS
        self.leaves = 0  # RELP sessions that the other side closed in order
        self.talks: set[_Talk] = set()
        self.clients: list[dict[str, object] | None] = []  # certificates of the other sides
        self.ssl = ssl
        self.most = most
        self._transport = transport
        self._framing = framing
        self._read = read_5424 if protocol == "rfc5424" else read_3164
        self._address = (host, port)
        self._server: asyncio.Server | None = None
        self._kept = KeptPort()
        self._udp: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port, also after `close`: a restart takes it again."""
        return self._address[1]

    @property
    def address(self) -> str:
        """Scheme, host and port as a sink is told."""
        scheme = {"tcp": "tls" if self.ssl else "tcp", "relp": "relps" if self.ssl else "relp", "udp": "udp"}
        return f"{scheme[self._transport]}://{self._address[0]}:{self.port}"

    async def start(self) -> None:
        """Listen; after `close` on the same port again."""
        loop = asyncio.get_running_loop()
        if self._transport == "udp":
            self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self.take), local_addr=self._address)
            self._address = self._udp.get_extra_info("sockname")[:2]
            return
        self._server = await asyncio.start_server(self._serve, *self._address, ssl=self.ssl, backlog=512)
        self._address = self._server.sockets[0].getsockname()[:2]
        self._kept.release()

    async def close(self) -> None:
        """Stop listening and cut every connection. Safe to call twice."""
        if self._udp is not None:
            self._udp.close()
            self._udp = None
            await asyncio.sleep(0)  # only then is the socket closed
        if self._server is not None:
            family = self._server.sockets[0].family
            # No wait_closed: since Python 3.12 it waits for connections that this cannot see, those in a TLS handshake.
            self._server.close()
            self._kept.keep(family, self._address)
            self._server = None
            for task in list(self._tasks):
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def take(self, raw: bytes) -> None:
        """Take a whole message. What breaks a rule becomes a violation."""
        try:
            self.messages.append(self.read(raw))
        except Malformed as broken:
            self.violations.append(str(broken))

    def read(self, raw: bytes) -> Message:
        """Read one message. Raises Malformed."""
        if len(raw) > self.most:
            raise Malformed(f"a message of {len(raw)} bytes")
        return self._read(raw)

    def rule(self, taken: int, message: Message | None) -> Rule | None:
        """Return the rule that is played now, and count it."""
        for rule in self.rules:
            if rule.fits(taken, message):
                if rule.times is not None:
                    rule.times -= 1
                return rule
        return None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:  # accepted before `close`, and come to us after it
            writer.transport.abort()
            return
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 -- asyncio runs this as a task
        self._tasks.add(task)
        if self.ssl is not None:
            self.clients.append(writer.get_extra_info("peercert"))
        make = _RelpTalk if self._transport == "relp" else _Talk
        frames = Counted(self.most) if self._framing == "octet-counting" else Lines(self.most)
        talk = make(self, reader, writer, RelpFrames(self.most) if self._transport == "relp" else frames)
        self.talks.add(talk)
        try:
            await talk.run()
        except Malformed as broken:
            self.violations.append(str(broken))
        except (OSError, ssl_module.SSLError):
            pass  # the other side went away; what it had begun is told below
        except asyncio.CancelledError:
            talk.abort()  # `close` wants it so; as the task of a connection this must end without an error
        finally:
            if talk.frames.rest:
                self.halves.append(talk.frames.rest)
            writer.close()
            with suppress(OSError, ssl_module.SSLError, asyncio.CancelledError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()
            writer.transport.abort()  # over TLS it may wait half a minute more for a goodbye of who is gone
            self.talks.discard(talk)
            self._tasks.discard(task)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: object) -> None:
        del addr
        self._take(data)


class _Over(OSError):
    """This connection has been ended by a rule."""


class _Talk:
    """One connection that no one answers."""

    def __init__(
        self,
        owner: SyslogReceiver,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        frames: Counted | Lines | RelpFrames,
    ) -> None:
        self.owner, self.reader, self.writer, self.frames = owner, reader, writer, frames
        self.taken = 0
        self.last = 0  # number of the last transaction, over RELP

    async def run(self) -> None:
        """Read until the end."""
        await self.play(self.owner.rule(0, None))
        while arrived := await self.reader.read(65536):
            for frame in self.frames.feed(arrived):
                await self.receive(frame)
        self.owner.goodbyes += 1

    async def receive(self, frame: bytes | RelpFrame) -> None:
        """Take one frame."""
        assert isinstance(frame, bytes)  # noqa: S101 -- RELP has a class of its own
        message = self.owner.read(frame)
        await self.play(self.owner.rule(self.taken, message))
        self.owner.messages.append(message)
        self.taken += 1

    async def play(self, rule: Rule | None) -> None:
        """Misbehave. Raises _Over when the connection is over by that."""
        match rule.what if rule else "":
            case "close":
                self.writer.close()
                raise _Over
            case "reset":
                self.abort()
                raise _Over
            case "half_close":
                self.writer.write_eof()
            case "garbage":
                self.writer.write(_GARBAGE)
            case "stall":
                self.writer.transport.pause_reading()  # type: ignore[attr-defined]
                await asyncio.Event().wait()
            case "slow":
                await asyncio.sleep(rule.seconds if rule else 0)

    def abort(self) -> None:
        """End with a reset."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORTING)
        self.writer.transport.abort()


class _RelpTalk(_Talk):
    """One RELP session."""

    opened = False

    async def receive(self, frame: bytes | RelpFrame) -> None:
        """Take one frame, and answer it unless a rule says otherwise."""
        assert isinstance(frame, RelpFrame)  # noqa: S101 -- made by RelpFrames
        if frame.number != (self.last + 1 if self.last < 999_999_999 else 1):
            raise Malformed(f"transaction {frame.number} after {self.last}")
        self.last = frame.number
        if not self.opened:
            self._open(frame)
        elif frame.command == "close":
            self.owner.leaves += 1
            self.answer(frame.number, 200, "OK")
            self.writer.write(b"0 serverclose 0\n")
            self.writer.close()
            raise _Over
        elif frame.command == "syslog":
            await self._syslog(frame)
        else:
            raise Malformed(f"command {frame.command} in an open session")
        await self.writer.drain()

    def _open(self, frame: RelpFrame) -> None:
        offers = dict(line.partition(b"=")[::2] for line in frame.content.split(b"\n"))
        if frame.command != "open" or offers.get(b"relp_version") != b"0":
            raise Malformed(f"a session that begins with {frame.command} and {offers!r}")
        if b"syslog" not in offers.get(b"commands", b"").split(b","):
            raise Malformed("a session without syslog")
        self.opened = True
        self.answer(frame.number, 200, "OK\nrelp_version=0\nrelp_software=double\ncommands=syslog")

    async def _syslog(self, frame: RelpFrame) -> None:
        message = self.owner.read(frame.content)
        rule = self.owner.rule(self.taken, message)
        await self.play(rule)
        self.taken += 1
        what = rule.what if rule else ""
        if what == "refuse" and rule is not None:
            self.answer(frame.number, rule.code, rule.words)
            return
        self.owner.messages.append(message)
        if what == "serverclose":
            self.writer.write(b"0 serverclose 0\n")
            self.writer.close()
            raise _Over
        for _ in range(2 if what == "twice" else 0 if what in {"silence", "garbage"} else 1):
            self.answer(frame.number + (1000 if what == "wrong_number" else 0), 200, "OK")

    def answer(self, number: int, code: int, words: str) -> None:
        """Answer one transaction."""
        content = f"{code} {words}".encode()
        self.writer.write(b"%d rsp %d %b\n" % (number, len(content), content))
