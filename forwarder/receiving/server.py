"""The port of all sources that receive: who may send, how often and how much, before anything reaches the daemon.

::

    request ─► path ─► method ─► secret ─► rate ─► body, up to a limit ─► source.receive ─► Inbox (daemon's loop)

Invariants: 200 is answered only when everything of the body is durable; of a request without the right secret nothing
is looked at but its head; what had the right secret and cannot be read is stored all the same, and its sender is told
why.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from forwarder.contracts import AuthFailed, Held, Received, Receives, WebhookConfig
from forwarder.contracts.log import get_logger
from forwarder.net.listener import Listener
from forwarder.observe.reports import REFUSALS
from forwarder.receiving.inbox import AGAIN, EVERY, Answer
from forwarder.receiving.rates import Rates
from forwarder.receiving.secrets import FIX, brings, secrets_of

if TYPE_CHECKING:
    import ssl

    from starlette.types import Receive, Scope, Send

log = get_logger(__name__)

PATIENCE = 10.0
"""Seconds for the spool to take what came."""

MOST_UNDER_WAY = 32 * 2**20
"""Bytes of bodies that wait for the spool together; one may always, however large it is."""

_KEPT_OF_TOO_MUCH = 64 * 1024
_MOST_DRAINED = 16 * 2**20  # so that the sender of too much reads the answer
_OF_STRANGERS = 64 * 1024
_WAIT_FOR_STRANGERS = 0.5


class Route(msgspec.Struct):
    """One source that receives, at a path of its own.

    Attributes:
        name: Of the source.
        source: Reads bodies.
        webhook: Its settings.
        refused: How many requests were refused, by label; all labels are there, so that a copy can be made at any time.
    """

    name: str
    source: Receives
    webhook: WebhookConfig
    refused: dict[str, int]

    @property
    def setting(self) -> str:
        """Where the settings are."""
        return f"sources.{self.name}.webhook"


class ReceiverServer:
    """Serves one port, in a loop of its own.

    Args:
        host, port: Where to listen; port 0 takes a free one.
        routes: The sources, and their paths.
        take: Stores what came, in the daemon's loop.
        rates: How many requests are taken.
        max_body: Bytes of a body that are read.
        tls: Gives what makes a connection one of TLS.
        patience: Seconds for a client to send its request or to take its answer.
    """

    def __init__(
        self,
        host: str,
        port: int,
        routes: list[Route],
        take: Callable[[str, Received | Held], Awaitable[Answer]],
        *,
        rates: Rates,
        max_body: int,
        tls: Callable[[], ssl.SSLContext] | None = None,
        patience: float = 15.0,
    ) -> None:
        self._routes: Mapping[str, Route] = {route.webhook.path_of(route.name): route for route in routes}
        self._take = take
        self._rates = rates
        self._max_body = max_body
        self._under_way = 0
        self._logged_at: dict[str, float] = {}
        self._listener = Listener(
            self._serve,
            host,
            port,
            patience=patience,
            setting="receiver.listen",
            wanted="those who send events",
            tls=tls,
        )

    @property
    def port(self) -> int:
        """The port that is listened on; after `start` never 0."""
        return self._listener.port

    async def start(self) -> None:
        """Listen and serve. Raises ConfigError when the address cannot be had."""
        await self._listener.start()

    async def close(self) -> None:
        """Stop; what is under way gets a second. Safe to call twice."""
        await self._listener.close()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        peer = scope["client"][0] if scope.get("client") else ""
        route = self._routes.get(_path_of(scope["path"]))
        try:
            answer = await self._answer(route, peer, scope, receive)
        except Exception as error:  # noqa: BLE001 -- whatever was sent: it is an answer, and one line a minute
            answer = _failed(error)
        if answer is None:
            return  # it went away in the middle
        if answer.refusal:
            self._note(route, peer, answer)
        await _send(send, scope["method"], answer)

    async def _answer(self, route: Route | None, peer: str, scope: Scope, receive: Receive) -> Answer | None:
        """Return the answer, or None when there is nobody to give it to."""
        refusal = self._refusal(route, peer, scope)
        if route is None or refusal is not None:
            refusal = refusal or _NOT_HERE
            if refusal.status == 503 and route is not None:
                refusal = await self._take(route.name, AuthFailed(refusal.reason, fix=FIX))
            await _drain(receive)
            return refusal
        body, is_whole = await self._read(receive)
        if body is None:
            route.refused["cut"] += 1
            return None
        if self._under_way and self._under_way + len(body) > MOST_UNDER_WAY:
            return Answer(503, "too much waits for the spool", retry_after=AGAIN, refusal="unavailable")
        self._under_way += len(body)
        storing = asyncio.ensure_future(self._store(route, body, is_whole=is_whole))
        storing.add_done_callback(partial(self._release, len(body)))
        try:
            async with asyncio.timeout(PATIENCE):
                # An end of patience undoes nothing: it is durable a little later, and known when it comes again.
                answer = await asyncio.shield(storing)
        except TimeoutError:
            return Answer(503, "the spool takes long", retry_after=AGAIN, refusal="unavailable")
        if not is_whole and answer.status in {200, 422}:
            return Answer(413, self._too_much, refusal="too_large")
        return answer

    async def _store(self, route: Route, body: bytes, *, is_whole: bool) -> Answer:
        try:
            found = route.source.receive(body)
            if not is_whole:  # its beginning is kept, so that a person can see what it was
                found = msgspec.structs.replace(found, unreadable=max(1, found.unreadable), reason=self._too_much)
            return await self._take(route.name, found)
        except Exception as error:  # noqa: BLE001 -- its sender may be gone: then nobody asks this task for its error
            return _failed(error)

    def _release(self, size: int, _: asyncio.Task[Answer]) -> None:
        self._under_way -= size

    @property
    def _too_much(self) -> str:
        return f"the body has more than {self._max_body} bytes"

    def _refusal(self, route: Route | None, peer: str, scope: Scope) -> Answer | None:
        """Return why a request is not read, or None. One with the right secret waits for no stranger."""
        now = time.monotonic()
        if route is None:
            return self._of_stranger(peer, now, _NOT_HERE)
        if scope["method"] != "POST":
            return self._of_stranger(peer, now, Answer(405, "send events with POST", refusal="method"))
        name = route.webhook.header.lower().encode()
        values = [value for key, value in scope["headers"] if key == name]
        try:
            known = brings(values, secrets_of(route.webhook, route.setting))
        except AuthFailed as error:
            return self._of_stranger(peer, now, Answer(503, error.reason, refusal="unavailable"))
        if not known:
            words = f"the header {route.webhook.header} does not hold the secret"
            return self._of_stranger(peer, now, Answer(401, words, refusal="auth"))
        if wait := self._rates.known(route.name, peer, now):
            return Answer(429, "too many requests", retry_after=max(1, math.ceil(wait)), refusal="rate")
        return None

    def _of_stranger(self, peer: str, now: float, answer: Answer) -> Answer:
        wait = self._rates.stranger(peer, now)
        if not wait:
            return answer
        return Answer(429, "too many requests", retry_after=max(1, math.ceil(wait)), refusal=answer.refusal)

    async def _read(self, receive: Receive) -> tuple[bytes | None, bool]:
        """Return the body, or the beginning of one that is too long; None when the sender went away."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None, False
            part: bytes = message.get("body", b"")
            if size < self._max_body:
                parts.append(part[: self._max_body - size])
            size += len(part)
            if not message.get("more_body", False) or size > self._max_body + _MOST_DRAINED:
                break
        body = b"".join(parts)
        return (body, True) if size <= self._max_body else (body[:_KEPT_OF_TOO_MUCH], False)

    def _note(self, route: Route | None, peer: str, answer: Answer) -> None:
        """Count a refusal, and write at most one line a minute about each kind of it."""
        if route is not None:
            route.refused[answer.refusal if answer.refusal in REFUSALS else "other"] += 1
        now, kind = time.monotonic(), f"{route.name if route else ''} {answer.refusal}"
        if now - self._logged_at.get(kind, -math.inf) >= EVERY:
            self._logged_at[kind] = now
            log.warning(
                "push_not_taken",
                source=route.name if route else None,
                peer=peer,
                status=answer.status,
                reason=answer.reason,
            )


def _path_of(target: str) -> str:
    """Return the path that is asked for; a proxy may send the whole address."""
    with suppress(ValueError):
        return urlsplit(target).path if "://" in target else target
    return ""


def _failed(error: Exception) -> Answer:
    """Return the answer to a fault of ours; its words may hold anything of the body."""
    return Answer(500, f"it failed here ({type(error).__name__})", refusal="other")


_NOT_HERE = Answer(404, "no source receives at this path", refusal="path")


async def _drain(receive: Receive) -> None:
    """Read what is there of a body nobody wants: an end with unread bytes would take the answer with it."""
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_WAIT_FOR_STRANGERS):
            while size < _OF_STRANGERS:
                message = await receive()
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


async def _send(send: Send, method: str, answer: Answer) -> None:
    value: dict[str, Any] = {"reason": answer.reason} if answer.reason else {}
    if answer.status in {200, 422}:
        value |= {"received": answer.received, "new": answer.new}
    body = msgspec.json.encode(value)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    if answer.status == 405:
        headers.append((b"allow", b"POST"))
    if answer.retry_after:
        headers.append((b"retry-after", str(answer.retry_after).encode()))
    if answer.status not in {200, 422, 503}:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
