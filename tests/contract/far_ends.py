"""The other side of each sink, by one interface, so that every clause is tried on every sink.

A new sink adds a class and a line to `FAR_ENDS`. `can` says which clauses make sense for it; what its protocol does not
have (a refusal for a file, say) is left out there, and nowhere else. Of the clauses about an event at fault every far
end says in `cannot` why it has no part in them.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from forwarder.registry import FORMATS, SINKS
from simulator.http_types import Request, Response, Wire
from simulator.httpd import Server
from simulator.receivers.bulk import BulkReceiver
from simulator.receivers.hec import HecReceiver
from simulator.receivers.hec_rules import Rule as HecRule
from simulator.receivers.hec_rules import Token
from simulator.receivers.http_lines import HttpLinesReceiver
from simulator.receivers.rules import Refused, Rule
from simulator.receivers.syslog import Rule as SyslogRule
from simulator.receivers.syslog import SyslogReceiver
from simulator.receivers.syslog_wire import Message
from tests.contract.abilities import (
    BELIEVED,
    ISOLATION,
    SECOND_SECRET,
    SECRET,
    Ability,
    FarEnd,
    UnhurriedClock,
    secret_file,
)
from tests.contract.sinks_for_tests import context
from tests.crash.far_end import whole_lines


def build(end: FarEnd, **more: Any) -> Any:
    """Build the sink of a far end as the daemon would."""
    found = SINKS.load(end.name)
    return found(found.Config(**{**end.settings(), **more}), context(end.name, slots=2, clock=UnhurriedClock()))


def format_of(end: FarEnd) -> Any:
    """Return the format that the sink takes by default, ready to render."""
    return FORMATS.load(end.settings().get("format") or SINKS.load(end.name).default_format)()


HTTP_FAULTS: dict[Ability, Rule] = {
    "busy": Rule(answer=Response(503, {"retry-after": "0"})),
    "too_large": Rule(answer=Response(413)),
    "slow": Rule(wire=Wire(delay=0.2, drip=20, pause=0.005)),
    "stall": Rule(wire=Wire(stall_at=5, stall=3600)),
    "reset": Rule(wire=Wire(stop_at=5, ending="reset")),
    "other_words": Rule(answer=Response(200, {"content-type": "text/html"}, b"<html><title>Welcome</title></html>")),
    "garbage": Rule(wire=Wire(garbage=b"\x16\x03\x01\x02\x00\x01 this is not HTTP\r\n\r\n")),
}
"""How any receiver that speaks HTTP plays a fault."""

HTTP_CAN: frozenset[Ability] = frozenset({*HTTP_FAULTS, *ISOLATION, "reject", "reject_all", "auth", "restart", "tls"})

HTTP_TIMES = {"connect_timeout": 5, "read_timeout": 1, "total_timeout": 5}
"""Times short enough that a stall ends soon, and long enough for a busy machine."""


async def serve_again(server: Server, tls: ssl.SSLContext | None) -> None:
    """Open a server, at its old address when it had one, with this certificate."""
    server._ssl = tls
    await server.start()


class HttpServer:
    """A receiver over HTTP with something before it that may choke on an event: a filter, say, that falls over."""

    can: ClassVar[frozenset[Ability]] = HTTP_CAN
    cannot: ClassVar[dict[Ability, str]] = {}
    patience: ClassVar[str] = "patience"
    _choked: frozenset[str] | set[str] = frozenset()

    def _stand_before(self, server: Server) -> None:
        behind = server.handler

        async def choke(request: Request) -> Response:
            content = request.decoded_body()
            if any(b'"%b"' % name.encode() in content for name in self._choked):
                return Response(500)
            return await behind(request)

        server.handler = choke

    def choke(self, ids: set[str]) -> None:
        self._choked = ids


class ElasticsearchEnd(HttpServer):
    """A strict bulk receiver."""

    name: ClassVar[str] = "elasticsearch"
    can: ClassVar[frozenset[Ability]] = HTTP_CAN | {"idempotent"}

    def __init__(self, folder: Path) -> None:
        self._secret = secret_file(folder, SECRET)
        self._receiver = BulkReceiver(credentials=[f"Bearer {SECRET}"], auto_create=True)
        self._stand_before(self._receiver.server)

    @property
    def landed(self) -> Counter[str]:
        return self._receiver.stream().counts()

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        await serve_again(self._receiver.server, tls)

    async def close(self) -> None:
        await self._receiver.server.close()

    def settings(self) -> dict[str, Any]:
        url = self._receiver.url
        return {
            "type": "elasticsearch",
            "url": url,
            "unmanaged": True,
            "bearer_token_file": str(self._secret),
            "http": HTTP_TIMES,
        }

    def rotate(self) -> None:
        self._receiver.credentials = {f"Bearer {SECOND_SECRET}"}

    def reject(self, ids: set[str]) -> None:
        def refuse(_: str, body: bytes) -> Refused | None:
            refused = json.loads(body)["event"]["id"] in ids
            return Refused("document_parsing_exception", "will not do", 400) if refused else None

        self._receiver.rules.append(Rule(times=None, item=refuse))

    def play(self, fault: Ability, times: int | None = 1) -> None:
        rule = HTTP_FAULTS[fault]
        self._receiver.rules.append(Rule(times=times, answer=rule.answer, wire=rule.wire))

    def calm(self) -> None:
        self._choked = set()
        self._receiver.rules.clear()


class HttpEnd(HttpServer):
    """A strict endpoint for lines of JSON. What it had taken when an answer got lost, it takes again."""

    name: ClassVar[str] = "http"

    def __init__(self, folder: Path) -> None:
        self._secret = secret_file(folder, SECRET)
        self._receiver = HttpLinesReceiver(require={"X-Api-Key": SECRET})
        self._stand_before(self._receiver.server)

    @property
    def landed(self) -> Counter[str]:
        return Counter(json.loads(line)["event"]["id"] for line in self._receiver.taken)

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        await serve_again(self._receiver.server, tls)

    async def close(self) -> None:
        await self._receiver.server.close()

    def settings(self) -> dict[str, Any]:
        return {
            "type": "http",
            "url": self._receiver.url,
            "headers": {"X-Api-Key": "{token}"},
            "token_file": str(self._secret),
            "http": HTTP_TIMES,
        }

    def rotate(self) -> None:
        self._receiver.require = {"X-Api-Key": SECOND_SECRET}

    def reject(self, ids: set[str]) -> None:
        def refuse(_: str, body: bytes) -> Refused | None:
            return Refused("bad_event", "will not do", 422) if json.loads(body)["event"]["id"] in ids else None

        self._receiver.rules.append(Rule(times=None, item=refuse))

    def play(self, fault: Ability, times: int | None = 1) -> None:
        rule = HTTP_FAULTS[fault]
        self._receiver.rules.append(Rule(times=times, answer=rule.answer, wire=rule.wire))

    def calm(self) -> None:
        self._choked = set()
        self._receiver.rules.clear()


class FileEnd:
    """A folder; the faults of a network do not reach it, and those of a disk have tests of their own."""

    name: ClassVar[str] = "file"
    patience: ClassVar[str] = "patience"
    can: ClassVar[frozenset[Ability]] = frozenset()
    cannot: ClassVar[dict[Ability, str]] = {
        "choke": "a disk takes every text alike: one that fails, fails on all",
        "away": "a folder is made when it is not there",
        "other_words": "nothing answers",
    }

    def __init__(self, folder: Path) -> None:
        self._path = folder / "out" / "events.ndjson"

    @property
    def landed(self) -> Counter[str]:
        return Counter(json.loads(line)["id"] for line in whole_lines(self._path))

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        assert tls is None

    async def close(self) -> None:
        return

    def settings(self) -> dict[str, Any]:
        return {"type": "file", "path": str(self._path)}

    def rotate(self) -> None:
        raise NotImplementedError

    def reject(self, ids: set[str]) -> None:
        raise NotImplementedError

    def choke(self, ids: set[str]) -> None:
        raise NotImplementedError

    def play(self, fault: Ability, times: int | None = 1) -> None:
        raise NotImplementedError

    def calm(self) -> None:
        return


def _id_of(message: Message) -> str:
    found: str = json.loads(message.content)["event"]["id"]
    return found


class SyslogStreamEnd:
    """A strict receiver of counted frames over TCP or TLS, which never says a word.

    It cannot stall here: what a stalled receiver's system took and its program never read is lost without a sign, and
    the sink does not promise otherwise (docs/syslog.md).
    """

    name: ClassVar[str] = "syslog"
    can: ClassVar[frozenset[Ability]] = frozenset(
        {"busy", "slow", "reset", "garbage", "restart", "tls", "late", "choke", "away"}
    )
    cannot: ClassVar[dict[Ability, str]] = {"other_words": "nothing answers; what is said all the same is `garbage`"}
    patience: ClassVar[str] = "patience"
    faults: ClassVar[dict[Ability, SyslogRule]] = {
        "busy": SyslogRule("close"),
        "slow": SyslogRule("slow"),
        "reset": SyslogRule("reset", after=3),
        "garbage": SyslogRule("garbage", after=3),
        "stall": SyslogRule("stall", after=3),
    }
    transport: ClassVar[Literal["tcp", "relp", "udp"]] = "tcp"

    def __init__(self, folder: Path) -> None:
        self._receiver = SyslogReceiver(self.transport, framing="octet-counting")

    @property
    def landed(self) -> Counter[str]:
        assert self._receiver.violations == []
        return Counter(map(_id_of, self._receiver.messages))

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        self._receiver.ssl = tls
        await self._receiver.start()

    async def close(self) -> None:
        await self._receiver.close()

    def settings(self) -> dict[str, Any]:
        return {
            "type": "syslog",
            "address": self._receiver.address,
            "format": "ecs",
            "framing": "octet-counting",
            "resend": BELIEVED,
            "silence_timeout": 1,
        }

    def rotate(self) -> None:
        raise NotImplementedError

    def reject(self, ids: set[str]) -> None:
        raise NotImplementedError

    def choke(self, ids: set[str]) -> None:
        self._receiver.rules.append(SyslogRule("close", times=None, only=lambda message: _id_of(message) in ids))

    def play(self, fault: Ability, times: int | None = 1) -> None:
        if fault in self.faults:
            self._receiver.rules.append(replace(self.faults[fault], times=times))

    def calm(self) -> None:
        self._receiver.rules.clear()


class SyslogRelpEnd(SyslogStreamEnd):
    """A strict receiver of RELP, which answers for every record, and has no word for *never*."""

    can: ClassVar[frozenset[Ability]] = frozenset(
        {"reject", "busy", "slow", "stall", "reset", "garbage", "restart", "tls", "choke", "away"}
    )
    cannot: ClassVar[dict[Ability, str]] = {"other_words": "any answer but 200 is a refusal"}
    patience: ClassVar[str] = "relp_patience"
    transport = "relp"

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "relp_patience": 0.1}

    def reject(self, ids: set[str]) -> None:
        self._receiver.rules.append(SyslogRule("refuse", times=None, only=lambda message: _id_of(message) in ids))


class SyslogDatagramEnd(SyslogStreamEnd):
    """A strict receiver of datagrams."""

    can: ClassVar[frozenset[Ability]] = frozenset({"away"})
    cannot: ClassVar[dict[Ability, str]] = {
        "choke": "what a receiver makes of a datagram never comes back",
        "other_words": "nothing answers",
    }
    transport = "udp"


class SplunkEnd(HttpServer):
    """A strict event collector; `/event`, and what it answers is believed."""

    name: ClassVar[str] = "splunk_hec"
    acknowledge: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        self._secret = secret_file(folder, SECRET)
        self._receiver = HecReceiver({SECRET: Token(acknowledge=self.acknowledge)})
        self._stand_before(self._receiver.server)

    @property
    def landed(self) -> Counter[str]:
        return Counter(json.loads(event.event)["id"] for event in self._receiver.events)

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        await serve_again(self._receiver.server, tls)

    async def close(self) -> None:
        await self._receiver.server.close()
        for indexer in self._receiver.indexers:
            indexer.restart()

    def settings(self) -> dict[str, Any]:
        return {
            "type": "splunk_hec",
            "url": self._receiver.url,
            "token_file": str(self._secret),
            "acknowledge": self.acknowledge,
            "http": HTTP_TIMES,
        }

    def rotate(self) -> None:
        self._receiver.tokens = {SECOND_SECRET: Token(acknowledge=self.acknowledge)}

    def reject(self, ids: set[str]) -> None:
        refuse = HecRule(times=None, item=lambda event: 6 if json.loads(event.event)["id"] in ids else None)
        self._receiver.rules.append(refuse)

    def play(self, fault: Ability, times: int | None = 1) -> None:
        rule = HTTP_FAULTS[fault]
        self._receiver.rules.append(HecRule(times=times, answer=rule.answer, wire=rule.wire))

    def calm(self) -> None:
        self._choked = set()
        self._receiver.rules.clear()


class AcknowledgingSplunkEnd(SplunkEnd):
    """The same with indexer acknowledgement; what it takes in is indexed later, and lost with a restart before that."""

    can: ClassVar[frozenset[Ability]] = SplunkEnd.can | {"late"}
    acknowledge: ClassVar[bool] = True

    def play(self, fault: Ability, times: int | None = 1) -> None:
        if fault != "late":
            super().play(fault, times)
            return
        (indexer,) = self._receiver.indexers
        indexer.at_once = False

        def index() -> None:
            indexer.index_queued()
            indexer.at_once = True

        asyncio.get_running_loop().call_later(0.3 * (times or 1), index)


FAR_ENDS: dict[str, Callable[[Path], FarEnd]] = {
    "elasticsearch": ElasticsearchEnd,
    "file": FileEnd,
    "http": HttpEnd,
    "splunk_hec": SplunkEnd,
    "splunk_hec acks": AcknowledgingSplunkEnd,
    "syslog stream": SyslogStreamEnd,
    "syslog relp": SyslogRelpEnd,
    "syslog udp": SyslogDatagramEnd,
}


def able(*needed: Ability) -> list[str]:
    """Return the sinks whose far end can play all of these."""
    return [name for name, end in FAR_ENDS.items() if set(needed) <= end.can]  # type: ignore[attr-defined]
