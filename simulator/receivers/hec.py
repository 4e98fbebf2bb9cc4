"""A strict double of Splunk's HTTP Event Collector, written from its documentation alone: Splunk cannot be had here.

It shares no code with the sink and takes the strictest reading throughout: events before a bad one are in already,
`invalid-event-number` is one too high for code 7, acks are told once and are lost with a restart. Rules make it busy,
refuse or break, for tests and demos. Not here, because no test could tell right from wrong: search, props.conf.
"""

from __future__ import annotations

import itertools
import random
import re
import ssl as ssl_module
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Self

import msgspec

from simulator.http_types import Request, Response
from simulator.httpd import Server
from simulator.receivers.hec_envelope import METADATA, Event, Rules, read_events, read_lines
from simulator.receivers.hec_indexer import Channel, Indexer
from simulator.receivers.hec_replies import Blocked, Refused, reply
from simulator.receivers.hec_rules import HecEndpoint, Rule, State, Token, secret_of

_PATHS: dict[HecEndpoint, tuple[str, ...]] = {
    "event": ("", "/event", "/event/1.0"),
    "raw": ("/raw", "/raw/1.0"),
    "ack": ("/ack", "/ack/1.0"),
    "health": ("/health", "/health/1.0"),
}
_ENDPOINTS = {f"/services/collector{path}": endpoint for endpoint, paths in _PATHS.items() for path in paths}
_GUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_COOKIE = "AWSALB"
_NEARLY_FULL = 0.8


class _Acks(msgspec.Struct, forbid_unknown_fields=True):
    acks: list[int]


_read_acks = msgspec.json.Decoder(_Acks).decode


class HecReceiver:
    """Serves the collector; `async with` starts and stops it.

    Args:
        tokens: By their secret.
        indexers: How many there are behind one address.
        sticky: Keep a client at one indexer by a cookie; else each request goes to any.
        seed: For which one.
        at_once: Index while the request is answered; else `index_queued` must be called.
        keep: Keep events; without, only their `event_id` is counted.
        max_content, max_event: Longest request and event in bytes.
        queue_bytes: Room of each indexer's queue; None for any.
        acks_per_channel: Room of each channel; None for any.
        max_idle: Seconds after which an unused channel is cleaned up.
        now: Monotonic seconds.
        host, port, ssl: Where to listen, and how.
    """

    def __init__(
        self,
        tokens: Mapping[str, Token],
        *,
        indexers: int = 1,
        sticky: bool = True,
        seed: int = 0,
        at_once: bool = True,
        keep: bool = True,
        max_content: int = 838_860_800,
        max_event: int = 5 * 2**20,
        queue_bytes: int | None = None,
        acks_per_channel: int | None = None,
        max_idle: float = 600.0,
        now: Callable[[], float] = time.monotonic,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl: ssl_module.SSLContext | None = None,
    ) -> None:
        self.tokens = dict(tokens)
        self.state = State()
        self.rules: list[Rule] = []
        self.events: list[Event] = []
        self.ids: Counter[str] = Counter()
        self.indexed = 0
        self.requests: Counter[HecEndpoint] = Counter()
        self.replies: Counter[int] = Counter()
        self.compressed_requests = 0
        self.seen: list[Request] = []  # heads of the last requests, without bodies
        self.max_content = max_content
        self._max_event = max_event
        self._keep = keep
        self._queue_bytes = queue_bytes
        self._acks_per_channel = acks_per_channel
        self._sticky = sticky
        self._turns = itertools.count()
        self._random = random.Random(seed)
        self.indexers = [Indexer(self._index, at_once=at_once, max_idle=max_idle, now=now) for _ in range(indexers)]
        self.server = Server(self._handle, host=host, port=port, ssl=ssl, max_body=2**30)

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return self.server.url

    async def __aenter__(self) -> Self:
        await self.server.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.server.close()

    # --------------------------------------------------------------------------------------------- for tests and demos

    def found(self, index: str | None = None, sourcetype: str | None = None) -> Iterator[Event]:
        """Go through what is indexed, of one index or sourcetype or of all."""
        for event in self.events:
            if index in {None, event.index} and sourcetype in {None, event.sourcetype}:
                yield event

    def index_queued(self, requests: int | None = None) -> None:
        """Index what was taken in, so that its acks become true."""
        for indexer in self.indexers:
            indexer.index_queued(requests)

    def forget_channels(self) -> None:
        """Lose the channels, as `ackIdleCleanup` does."""
        for indexer in self.indexers:
            indexer.forget_channels()

    async def restart(self) -> None:
        """Cut every connection and begin again, without channels and without what was not indexed yet."""
        await self.server.close()
        for indexer in self.indexers:
            indexer.restart()
        await self.server.start()

    def _index(self, events: Sequence[Event]) -> None:
        self.indexed += len(events)
        if self._keep:
            self.events += events
        self.ids.update(
            str(event.fields["event_id"]) for event in events if event.fields and "event_id" in event.fields
        )

    # --------------------------------------------------------------------------------------------------------- request

    async def _handle(self, request: Request) -> Response:
        endpoint = _ENDPOINTS.get(request.path)
        self.seen = [*self.seen[-99:], replace(request, body=b"")]
        if endpoint is None or self.state.away:
            return Response.json({"text": "The requested URL was not found on this server.", "code": 404}, 404)
        self.requests[endpoint] += 1
        rule = self._rule(endpoint)
        if rule.answer is not None:
            return rule.answer
        place = self._place(request)
        try:
            response = self._answer(endpoint, request, self.indexers[place], rule)
        except Refused as refused:
            self.replies[refused.code] += 1
            response = self._refusal(refused, rule)
        except Blocked as blocked:
            response = blocked.page
        if self._sticky and len(self.indexers) > 1:
            # As at the real balancer: another value every time, and the same indexer in it.
            cookie = f"{_COOKIE}={next(self._turns):x}.{place}; Path=/; Expires=Wed, 02 Dec 2099 10:00:00 GMT"
            headers = [*dict(response.headers).items(), ("set-cookie", cookie), ("set-cookie", "other=1; Path=/")]
            response = replace(response, headers=headers)
        return replace(response, misbehave=rule.wire)

    def _answer(self, endpoint: HecEndpoint, request: Request, indexer: Indexer, rule: Rule) -> Response:
        if endpoint == "health":
            return self._health(request)
        if request.method != "POST":
            raise Blocked(405, "Method Not Allowed")
        self._check_length(request.body)
        token = self._authorize(request)
        if self.state.stopping or self.state.failing or self.state.busy:
            raise Refused(23 if self.state.stopping else 8 if self.state.failing else 9)
        if self.state.cookie_enforced and token.acknowledge and _COOKIE not in request.headers.get("cookie", ""):
            raise Blocked(400, "Cookie is missing")
        if self.state.content_type_enforced and not request.headers.get("content-type"):
            raise Blocked(415, "Unsupported Media Type")
        if endpoint == "ack":
            return self._tell(request, indexer, token)
        channel = self._channel(request, indexer) if token.acknowledge else None
        body = self._body(request)
        self._check_room(indexer, channel)
        return self._take_in(endpoint, request, body, indexer, channel, token, rule)

    def _body(self, request: Request) -> bytes:
        if request.headers.get("content-encoding", "identity") not in {"gzip", "identity"}:
            raise Blocked(415, "Unsupported Media Type")
        try:
            body = request.decoded_body()
        except ValueError:
            raise Refused(6) from None
        self._check_length(body)
        self.compressed_requests += body is not request.body
        return body

    def _check_length(self, body: bytes) -> None:
        if len(body) > self.max_content:
            raise Blocked(413, "Content-Length exceeds the limit")

    def _take_in(
        self,
        endpoint: HecEndpoint,
        request: Request,
        body: bytes,
        indexer: Indexer,
        channel: Channel | None,
        token: Token,
        rule: Rule,
    ) -> Response:
        rules = Rules(token.indexes, self._max_event, rule.item)
        if endpoint == "event":
            events, refused = read_events(body, rules)
        else:
            query = {name: values[-1] for name, values in request.query.items()}
            events, refused = read_lines(body, {name: query[name] for name in METADATA if name in query}, rules)
        if rule.busy_after is not None:
            events, refused = events[: rule.busy_after], Refused(9)
        for number, event in enumerate(events):
            if event.index is None or event.sourcetype is None:
                events[number] = replace(
                    event, index=event.index or token.index, sourcetype=event.sourcetype or token.sourcetype
                )
        ack = indexer.take_in(events, None if refused else channel, lose=rule.lose)
        if refused is not None:
            raise refused
        code = self._room_left(indexer, channel)
        self.replies[code] += 1
        return reply(code, ackId=None if rule.unacked else ack)

    def _refusal(self, refused: Refused, rule: Rule) -> Response:
        number = refused.number
        if number is not None:
            number += refused.code == 7  # measured at the real one
            number = rule.number(number) if rule.number is not None else number
        return reply(refused.code, invalid_event_number=number)

    def _tell(self, request: Request, indexer: Indexer, token: Token) -> Response:
        if not token.acknowledge:
            raise Refused(14)
        channel = self._channel(request, indexer)
        try:
            asked = _read_acks(request.decoded_body()).acks
        except (msgspec.MsgspecError, ValueError):
            raise Refused(6) from None
        return Response.json({"acks": channel.tell(asked)})

    def _health(self, request: Request) -> Response:
        given = request.headers.get("authorization")
        if given is not None:
            token = self.tokens.get(secret_of(given) or "")
            if token is None or token.disabled:
                raise Refused(21 if token is None else 22)
        with_acks = self.state.acks_down and request.query.get("ack") == ["true"]
        if self.state.stopping:
            raise Refused(23)
        if self.state.queues_full or with_acks:
            raise Refused(20 if self.state.queues_full and with_acks else 19 if with_acks else 18)
        return reply(17)

    # ---------------------------------------------------------------------------------------------------------- checks

    def _authorize(self, request: Request) -> Token:
        """Return the token of a request. One in the query is looked at first, and not allowed by default."""
        queried = request.query.get("token")
        given = request.headers.get("authorization")
        if queried is None and given is None:
            raise Refused(2)
        secret = queried[0] if queried is not None else secret_of(given or "")
        if secret is None:
            raise Refused(3)
        token = self.tokens.get(secret)
        if token is None or token.disabled:
            raise Refused(4 if token is None else 1)
        if queried is not None and not self.state.query_token:
            raise Refused(16)
        return token

    @staticmethod
    def _channel(request: Request, indexer: Indexer) -> Channel:
        given = {*request.query.get("channel", []), *filter(None, [request.headers.get("x-splunk-request-channel")])}
        if not given:
            raise Refused(10)
        if len(given) > 1 or not _GUID.fullmatch(name := given.pop()):
            raise Refused(11)
        return indexer.channel(name.upper())

    def _check_room(self, indexer: Indexer, channel: Channel | None) -> None:
        if self._queue_bytes is not None and indexer.queued_bytes >= self._queue_bytes:
            raise Refused(26 if self.state.backpressure else 9)
        if channel is not None and self._acks_per_channel is not None and channel.pending >= self._acks_per_channel:
            raise Refused(27 if self.state.backpressure else 9)

    def _room_left(self, indexer: Indexer, channel: Channel | None) -> int:
        if self.state.backpressure:
            if self._queue_bytes is not None and indexer.queued_bytes >= _NEARLY_FULL * self._queue_bytes:
                return 24
            room = self._acks_per_channel
            if channel is not None and room is not None and channel.pending >= _NEARLY_FULL * room:
                return 25
        return 0

    def _place(self, request: Request) -> int:
        """Choose an indexer: by the cookie, else the next in turn; without stickiness any."""
        if not self._sticky:
            return self._random.randrange(len(self.indexers))
        found = re.search(rf"{_COOKIE}=[0-9a-f]+\.(\d+)", request.headers.get("cookie", ""))
        place = int(found[1]) if found else next(self._turns)
        return place % len(self.indexers)

    def _rule(self, endpoint: HecEndpoint) -> Rule:
        for rule in self.rules:
            if rule.endpoint == endpoint and rule.times != 0:
                rule.times = None if rule.times is None else rule.times - 1
                return rule
        return Rule()
