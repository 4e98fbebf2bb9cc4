"""The other side of each sink of ours, for the clauses of `forwarder.testing`."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from forwarder.archive.evidence import events_of
from forwarder.testing.far_end import ABILITIES, BELIEVED, SECOND_SECRET, SECRET, Ability, FarEnd, event_id
from forwarder.testing.http_far_end import HTTP_CAN, HTTP_CANNOT, HTTP_FAULTS, HTTP_TIMES, HttpFarEnd
from simulator.http_types import Request, Response
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
from tests.crash.far_end import whole_lines


class ReceiverEnd(HttpFarEnd):
    """A strict receiver of the simulator with something before it that may choke on an event: a filter, say."""

    rule: ClassVar[Callable[..., Any]] = Rule

    def __init__(self, folder: Path, receiver: Any) -> None:
        super().__init__(folder)
        self._receiver = receiver
        self._server: Server = receiver.server
        self._behind = self._server.handler
        self._server.handler = self._handle

    async def answer(self, request: Request) -> Response:
        return await self._behind(request)

    def play(self, fault: Ability, times: int | None = 1) -> None:
        rule = HTTP_FAULTS[fault]
        self._receiver.rules.append(self.rule(times=times, answer=rule.answer, wire=rule.wire))

    def calm(self) -> None:
        super().calm()
        self._receiver.rules.clear()


class ElasticsearchEnd(ReceiverEnd):
    """A strict bulk receiver."""

    name: ClassVar[str] = "elasticsearch"
    can: ClassVar[frozenset[Ability]] = HTTP_CAN | {"idempotent"}
    cannot: ClassVar[dict[Ability, str]] = {"late": HTTP_CANNOT["late"]}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, BulkReceiver(credentials=[f"Bearer {SECRET}"], auto_create=True))

    @property
    def landed(self) -> Counter[str]:
        found: Counter[str] = self._receiver.stream().counts()
        return found

    def settings(self) -> dict[str, Any]:
        return {
            "type": "elasticsearch",
            "url": self.url,
            "unmanaged": True,
            "bearer_token_file": str(self.secret_file),
            "http": HTTP_TIMES,
        }

    def rotate(self) -> None:
        self._receiver.credentials = {f"Bearer {SECOND_SECRET}"}

    def reject(self, ids: set[str]) -> None:
        def refuse(_: str, body: bytes) -> Refused | None:
            refused = event_id(body) in ids
            return Refused("document_parsing_exception", "will not do", 400) if refused else None

        self._receiver.rules.append(Rule(times=None, item=refuse))


class HttpEnd(ReceiverEnd):
    """A strict endpoint for lines of JSON. What it had taken when an answer got lost, it takes again."""

    name: ClassVar[str] = "http"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, HttpLinesReceiver(require={"X-Api-Key": SECRET}))

    @property
    def landed(self) -> Counter[str]:
        return Counter(map(event_id, self._receiver.taken))

    def settings(self) -> dict[str, Any]:
        return {
            "type": "http",
            "url": self._receiver.url,
            "headers": {"X-Api-Key": "{token}"},
            "token_file": str(self.secret_file),
            "http": HTTP_TIMES,
        }

    def rotate(self) -> None:
        self._receiver.require = {"X-Api-Key": SECOND_SECRET}

    def reject(self, ids: set[str]) -> None:
        def refuse(_: str, body: bytes) -> Refused | None:
            return Refused("bad_event", "will not do", 422) if event_id(body) in ids else None

        self._receiver.rules.append(Rule(times=None, item=refuse))


class FileEnd:
    """A folder; the faults of a network do not reach it, and those of a disk have tests of their own."""

    name: ClassVar[str] = "file"
    patience: ClassVar[str] = "patience"
    variant: ClassVar[str] = ""
    can: ClassVar[frozenset[Ability]] = frozenset()
    cannot: ClassVar[dict[Ability, str]] = dict.fromkeys(ABILITIES, "nothing answers, and there is no connection") | {
        "choke": "a disk takes every text alike: one that fails, fails on all",
        "away": "a folder is made when it is not there",
    }

    def __init__(self, folder: Path) -> None:
        self._path = folder / "out" / "events.ndjson"

    @property
    def landed(self) -> Counter[str]:
        return Counter(map(event_id, whole_lines(self._path)))

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


class ArchiveEnd(FileEnd):
    """A folder of evidence."""

    name: ClassVar[str] = "archive"
    can: ClassVar[frozenset[Ability]] = frozenset({"idempotent"})
    cannot: ClassVar[dict[Ability, str]] = {
        fault: why for fault, why in FileEnd.cannot.items() if fault != "idempotent"
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder = folder / "archive"

    @property
    def landed(self) -> Counter[str]:
        objects = self._folder.glob("evidence/**/*.ndjson.zst")
        return Counter(event_id(line) for each in objects for line in events_of(each.read_bytes()))

    def settings(self) -> dict[str, Any]:
        return {"type": "archive", "path": str(self._folder), "every": "50ms"}


def _id_of(message: Message) -> str:
    return event_id(message.content)


class SyslogStreamEnd:
    """A strict receiver of counted frames over TCP or TLS, which never says a word.

    It cannot stall here: what a stalled receiver's system took and its program never read is lost without a sign, and
    the sink does not promise otherwise (docs/syslog.md).
    """

    name: ClassVar[str] = "syslog"
    can: ClassVar[frozenset[Ability]] = frozenset(
        {"busy", "slow", "reset", "garbage", "restart", "tls", "late", "choke", "away"}
    )
    cannot: ClassVar[dict[Ability, str]] = dict.fromkeys(ABILITIES - can, "nothing answers") | {
        "stall": "what a stalled receiver's system took is lost without a sign",
        "other_words": "what is said all the same is `garbage`",
        "auth": "there is no credential",
    }
    variant: ClassVar[str] = "stream"
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
    cannot: ClassVar[dict[Ability, str]] = {
        "other_words": "any answer but 200 is a refusal",
        "reject_all": "RELP has no word for never, so what is refused is kept",
        "auth": "there is no credential",
        "too_large": "no answer means the size",
        "late": "the answer is the last word",
        "idempotent": "what comes again is taken again",
    }
    variant: ClassVar[str] = "relp"
    patience: ClassVar[str] = "relp_patience"
    transport = "relp"

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "relp_patience": 0.1}

    def reject(self, ids: set[str]) -> None:
        self._receiver.rules.append(SyslogRule("refuse", times=None, only=lambda message: _id_of(message) in ids))


class SyslogDatagramEnd(SyslogStreamEnd):
    """A strict receiver of datagrams."""

    can: ClassVar[frozenset[Ability]] = frozenset({"away"})
    cannot: ClassVar[dict[Ability, str]] = dict.fromkeys(
        ABILITIES - can, "nothing answers, and nothing is connected"
    ) | {
        "choke": "what a receiver makes of a datagram never comes back",
    }
    variant: ClassVar[str] = "udp"
    transport = "udp"


class SplunkEnd(ReceiverEnd):
    """A strict event collector; `/event`, and what it answers is believed."""

    name: ClassVar[str] = "splunk_hec"
    rule: ClassVar[Callable[..., Any]] = HecRule
    acknowledge: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, HecReceiver({SECRET: Token(acknowledge=self.acknowledge)}))

    @property
    def landed(self) -> Counter[str]:
        return Counter(event_id(event.event) for event in self._receiver.events)

    async def close(self) -> None:
        await super().close()
        for indexer in self._receiver.indexers:
            indexer.restart()

    def settings(self) -> dict[str, Any]:
        return {
            "type": "splunk_hec",
            "url": self.url,
            "token_file": str(self.secret_file),
            "acknowledge": self.acknowledge,
            "http": HTTP_TIMES,
        }

    def rotate(self) -> None:
        self._receiver.tokens = {SECOND_SECRET: Token(acknowledge=self.acknowledge)}

    def reject(self, ids: set[str]) -> None:
        refuse = HecRule(times=None, item=lambda event: 6 if event_id(event.event) in ids else None)
        self._receiver.rules.append(refuse)


class AcknowledgingSplunkEnd(SplunkEnd):
    """The same with indexer acknowledgement; what it takes in is indexed later, and lost with a restart before that."""

    variant: ClassVar[str] = "acks"
    can: ClassVar[frozenset[Ability]] = SplunkEnd.can | {"late"}
    cannot: ClassVar[dict[Ability, str]] = {"idempotent": HTTP_CANNOT["idempotent"]}
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


FAR_ENDS: list[type[FarEnd]] = [
    ArchiveEnd,
    ElasticsearchEnd,
    FileEnd,
    HttpEnd,
    SplunkEnd,
    AcknowledgingSplunkEnd,
    SyslogStreamEnd,
    SyslogRelpEnd,
    SyslogDatagramEnd,
]
"""A new sink adds a class and a line."""
