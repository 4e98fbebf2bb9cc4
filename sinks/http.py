"""Posts events to any URL that takes plain HTTP: lines of JSON (or of any one-line format), or one JSON array.

Invariant: accepted means that the server answered 2xx to a request that held exactly these events, and not with a web
page. A server that refuses a request for what is in it (`reject_on`) is asked again with halves, until the events it
refuses stand alone; these become dead letters, and their neighbours arrive. No one knows whether such a server took
what stood before the event at fault, so the batch is given back as doubtful first, and halved when it comes again.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal
from urllib.parse import quote, urlsplit

from forwarder.contracts import (
    AuthFailed,
    Batch,
    ConfigError,
    ContentRefused,
    Delivery,
    Endpoint,
    ErrorKind,
    Finding,
    ForwarderError,
    Held,
    HttpConfig,
    OldTimes,
    PayloadTooLarge,
    Rejection,
    Retryable,
    Secret,
    SinkConfig,
    SinkContext,
    TlsConfig,
    plain,
)
from forwarder.contracts.declared import AfterValidator, Field, PydanticCustomError, model_validator
from forwarder.net.answers import leads_to, own_words
from forwarder.net.compression import Compressed, compressed
from forwarder.net.http import HttpClient, Response, answer_to, check_url
from forwarder.net.retry import retry_after_seconds
from forwarder.net.verdicts import is_page, may_mean_an_event, not_of, refused_between

_CONTENT_TYPES = {"ndjson": "application/x-ndjson", "array": "application/json"}
_AUTH_FIX = "Check the credential of this sink; a secret from a file is read again by itself."
_URL_FIX = "Check url and method: they must be those at which the server takes events."
_TYPE_FIX = "Check body and content_type: the server does not take this kind of body."

_DAY = 86_400.0
_HOLD_BACK = "hold back what is older (late: {events: hold_back, after: %s}), and let a sink that takes it have it."
_COLUMN = "keep the event's own time in a column of its own and search by that; or hold back what is older."

_OLD_TIMES = {
    ".ingest.monitor.azure.com": OldTimes(2 * _DAY, "Microsoft Sentinel replaces TimeGenerated of", _COLUMN),
    ".ods.opinsights.azure.com": OldTimes(2 * _DAY, "Microsoft Sentinel replaces TimeGenerated of", _COLUMN),
    ".datadoghq.com": OldTimes(18 * 3600.0, "Datadog does not take the time of", _HOLD_BACK % "18h"),
    ".datadoghq.eu": OldTimes(18 * 3600.0, "Datadog does not take the time of", _HOLD_BACK % "18h"),
    ".newrelic.com": OldTimes(2 * _DAY, "New Relic does not take", _HOLD_BACK % "2d"),
}
"""Receivers that take no old times, by the end of the host; all by their own documentation."""

_HELD: dict[int, tuple[str, str]] = {
    404: ("The server knows no such address.", _URL_FIX),
    405: ("The server does not take events this way.", _URL_FIX),
    406: ("The server does not take this kind of body.", _TYPE_FIX),
    410: ("The address is gone.", _URL_FIX),
    411: ("The server asks for a length, which was sent; something in between removes it.", _URL_FIX),
    415: ("The server does not take this kind of body.", _TYPE_FIX),
}
"""Statuses that only a person can fix, with what they say; other 3xx and 4xx are held too, by their number."""

_REFUSED = (
    "The server refuses the event for what is in it: fix there what its answer names, or choose another format, then "
    "retry. When it means the request and not the event, take the status out of reject_on: the sink then waits instead."
)

_PARTS = {206, 207}
"""Successes that do not speak for every event."""

_NO_FAULT = {401, 407, 408, 425, 429}
"""Statuses of a credential or a pause: taken for a refusal of events, they would empty the log into dead letters."""

_BUSY: dict[int, ErrorKind] = {408: "timeout", 425: "server_error", 429: "rate_limited"}


# --------------------------------------------------------------------------------------------------------- settings


def _checked_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            raise PydanticCustomError(
                "header", "not the name of a header; write letters, digits and dashes, such as X-Api-Key"
            )
        if name.lower() in {"content-type", "content-length", "content-encoding", "transfer-encoding", "host"}:
            raise PydanticCustomError("header", "this header is set by the sink; see content_type and compress")
        if not (value.isascii() and value.isprintable()):
            raise PydanticCustomError("header", "the value of a header is printable ASCII")
        _check_templates(value)
    return headers


def _check_templates(text: str) -> str:
    if set(re.findall(r"\{(.*?)\}", text)) - {"token", "second_token"}:
        raise PydanticCustomError("template", "unknown template; known: {token}, {second_token}")
    return text


def _media_type(text: str) -> str:
    if not re.fullmatch(r"[!#$&^\w.+-]+/[!#$&^\w.+-]+(?:\s*;[ -~]*)?", text, re.ASCII):
        raise PydanticCustomError("content_type", "not a content type; write one such as application/x-ndjson")
    return text


def _checked_statuses(statuses: list[int]) -> list[int]:
    if _NO_FAULT & set(statuses):
        shown = ", ".join(map(str, sorted(_NO_FAULT)))
        raise PydanticCustomError("statuses", "{shown} never mean that an event is at fault", {"shown": shown})
    return statuses


class HttpSinkConfig(SinkConfig):
    """Settings of an `http` sink."""

    type: Literal["http"] = "http"
    """Which kind of sink this is."""
    url: Annotated[str, AfterValidator(_check_templates)]
    """Where events are taken, with path and query. A path or query that is itself the key is written with `{token}` or
    `{second_token}`, as in headers; the path is shown in the status, the query and the secrets are not."""
    method: Literal["POST", "PUT"] = "POST"
    """How they are sent."""
    body: Literal["ndjson", "array"] = "ndjson"
    """One event a line, or one JSON array."""
    content_type: Annotated[str, AfterValidator(_media_type)] | None = None
    """Content type; default: `application/x-ndjson` for lines and `application/json` for an array."""
    headers: Annotated[dict[str, str], AfterValidator(_checked_headers)] = Field(default_factory=dict)
    """More headers; `{token}` and `{second_token}` stand for these secrets: `X-Api-Key: "{token}"`."""
    token: Secret | None = None
    """Secret for the headers; when neither they nor `url` name it, it is sent as `Authorization: Bearer`."""
    second_token: Secret | None = None
    """Another secret for the headers, where a server wants two."""
    username: str | None = None
    """User name, together with `password`."""
    password: Secret | None = None
    """Password of `username`."""
    reject_on: Annotated[list[Annotated[int, Field(ge=400, le=499)]], AfterValidator(_checked_statuses)] = Field(
        default=[400, 422]
    )
    """Statuses that mean that an event is at fault; the request is halved until the event is alone."""
    compress: bool = True
    """Send gzip."""
    insecure: bool = False
    """Allow `http://` to another machine than this one."""
    tls: TlsConfig = TlsConfig()
    """What to trust, and our client certificate."""
    http: HttpConfig = HttpConfig()
    """Time-outs and proxy."""

    @model_validator(mode="after")
    def _credentials_fit(self) -> HttpSinkConfig:
        if (self.username is None) != (self.password is None):
            raise PydanticCustomError("credential", "username and password go together; one of them is missing")
        named = " ".join([*self.headers.values(), self.url])
        for name in ("token", "second_token"):
            if f"{{{name}}}" in named and getattr(self, name) is None:
                raise PydanticCustomError(
                    "credential", "{name} is named in headers or url, and is not set", {"name": name}
                )
        if self.second_token is not None and "{second_token}" not in named:
            raise PydanticCustomError("credential", "neither a header nor url names second_token")
        authorizes = {name.lower() for name in self.headers} & {"authorization"}
        given = [self.password is not None, bool(authorizes), self.token is not None and "{token}" not in named]
        if sum(given) > 1:
            raise PydanticCustomError("credential", "more than one Authorization; keep one of password, token, headers")
        return self


# ------------------------------------------------------------------------------------------------------------- sink


class HttpSink:
    """One request per batch."""

    Config: ClassVar[type[HttpSinkConfig]] = HttpSinkConfig
    proof: ClassVar[Literal["delivered", "received", "none"]] = "delivered"
    default_format: ClassVar[str] = "ecs"
    unverifiable: ClassVar[str] = (
        "an endpoint for lines has no question for what it kept: its answer to each batch is all there is; search its "
        "store for the ids that `reconcile --ids` or the events name"
    )
    advice: ClassVar[Mapping[str, str]] = {f"http_{status}": _REFUSED for status in range(400, 500)}

    def __init__(self, config: HttpSinkConfig, context: SinkContext) -> None:
        if config.body == "array" and context.format.writes != "json":
            raise ConfigError(
                f"body: array needs events in JSON, and format {config.format} is not JSON; use ecs, ocsf or raw"
            )
        self._config = config
        self._clock = context.clock
        where, mark, query = config.url.partition("#")[0].partition("?")
        check_url(where, insecure=config.insecure)  # before anything is read out of it: it may be no URL at all
        if not (query.isascii() and query.isprintable() and " " not in query):
            raise ConfigError("The query of the URL holds characters that a URL cannot hold. Percent-encode them.")
        parts = urlsplit(where)
        base = f"{parts.scheme}://{parts.netloc}"
        self._place = f"{parts.hostname}{f':{parts.port}' if parts.port else ''}"
        self._path = parts.path or "/"
        self._at = self._path + mark + query
        self._clients = [
            HttpClient(base_url=base, http=config.http, tls=config.tls, insecure=config.insecure)
            for _ in range(context.slots + 1)
        ]
        self.old_times = _old_times_of(config.url)
        self._type = config.content_type or _CONTENT_TYPES[config.body]

    @property
    def target(self) -> str:
        """Host and path, before secrets are put in; the query may hold a key and is left out."""
        return f"http:{self._place}{self._path}"

    @property
    def endpoints(self) -> list[Endpoint]:
        """Where it connects to."""
        return [Endpoint.of_url(self._config.url, self._config.tls, self._config.http)]

    async def send(self, batch: Batch) -> Delivery:
        """Post the events of the batch.

        Raises:
            Held: The server needs a person's help.
            AuthFailed: The credential is refused, or cannot be read.
            PayloadTooLarge: The server refuses the size.
            Retryable: The server is busy, or its answer does not say what became of the batch.
        """
        forged = Rejection("line_break", "the rendered event is empty or contains a line end")
        bodies = [record.body for record in batch.records]
        rejected = {n: forged for n, body in enumerate(bodies) if not body or b"\n" in body}
        accepted = [n for n in range(len(bodies)) if n not in rejected] if rejected else range(len(bodies))
        if accepted:
            await self._post([bodies[n] for n in accepted], batch.slot)
        return Delivery(accepted=accepted, rejected=rejected)

    async def probe(self) -> list[Finding]:
        """Ask the server for its options: whether it can be reached, and whether it lets us in. Sends no event."""
        try:
            headers = self._headers()
            response = await self._clients[-1].request("OPTIONS", self._address(), headers=headers, most=answer_to(b""))
        except Held as held:
            return [Finding(self._place, ok=False, detail=held.reason, fix=held.fix)]
        except Retryable as error:
            fix = "See that the server runs and can be reached from here."
            return [Finding(self._place, ok=False, detail=str(error), fix=fix)]
        if response.status in {401, 403, 407}:
            return [Finding(self._place, ok=False, detail=f"refuses the credential ({response.status})", fix=_AUTH_FIX)]
        return [Finding(self._place, ok=True, detail=f"answers ({response.status}); the first event will tell more")]

    async def close(self) -> None:
        """Close the connections. Safe to call twice."""
        for client in self._clients:
            await client.close()

    # -------------------------------------------------------------------------------------------------------- asking

    async def _post(self, bodies: Sequence[bytes], slot: int) -> None:
        """Send one request. Raises as `send` does when it was not taken whole."""
        content = self._content(bodies)
        headers = self._headers()
        response = await self._clients[slot].request(
            self._config.method, self._address(), headers=headers, content=content
        )
        if 200 <= response.status < 300 and response.status not in _PARTS and not is_page(response):
            return
        if response.status in self._config.reject_on and not is_page(
            response
        ):  # a page is a proxy's, or a wrong port's
            words = plain(response.body[:1200].decode("utf-8", "replace"), 300).strip()
            raise ContentRefused(f"http_{response.status}", words, sent=len(bodies) > 1)
        raise _refusal(response, self._clock.time())

    def _content(self, bodies: Sequence[bytes]) -> bytes | Compressed:
        content = b"[%b]" % b",".join(bodies) if self._config.body == "array" else b"\n".join([*bodies, b""])
        return compressed(content) if self._config.compress else content

    def _headers(self) -> dict[str, str]:
        """Return the headers with the secrets of now: a rotated file counts from the next request on."""
        config, values = self._config, self._secrets()
        headers = {"content-type": self._type}
        used = "{token}" in self._at
        for name, template in config.headers.items():
            headers[name.lower()] = _filled(template, values)
            used = used or "{token}" in template
        if config.password is not None:
            pair = f"{config.username}:{values['{password}']}".encode()
            headers["authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        if config.token is not None and not used:
            headers["authorization"] = f"Bearer {values['{token}']}"
        return headers

    def _address(self) -> str:
        """Return path and query with the secrets of now."""
        if "{" not in self._at:
            return self._at
        return _filled(self._at, {name: quote(value, safe="") for name, value in self._secrets().items()})

    def _secrets(self) -> dict[str, str]:
        """Return the secrets by what stands for them in a template. Raises AuthFailed."""
        config = self._config
        given = {"token": config.token, "second_token": config.second_token, "password": config.password}
        return {f"{{{name}}}": secret.present(name) for name, secret in given.items() if secret is not None}


def _old_times_of(url: str) -> OldTimes | None:
    """Return what the receiver at an address does with old times, if that is known."""
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    return next((found for end, found in _OLD_TIMES.items() if f".{host}".endswith(end)), None)


def _filled(template: str, values: dict[str, str]) -> str:
    return re.sub(r"\{\w+\}", lambda found: values[found[0]], template)


def _refusal(response: Response, now: float) -> ForwarderError:  # noqa: PLR0911 -- one for each kind of answer
    """Return what a status makes the lane do."""
    status = response.status
    if is_page(response) and status < 300:
        return not_of("a receiver of events", response)
    if status in _PARTS:
        return Retryable(f"the server took a part, or says so ({status})", kind="partial", sent=True)
    if status == 413:
        return PayloadTooLarge("the server refuses the size of the request")
    if (between := refused_between(response)) is not None:
        return between
    if status in {401, 403, 407}:
        refused = AuthFailed(f"The server refuses the credential ({status}).{_quoted(response)}", fix=_AUTH_FIX)
        refused.suspect = may_mean_an_event(response)
        return refused
    if status in _BUSY or status >= 500:
        kind = _BUSY.get(status, "server_error")
        after = retry_after_seconds(response.headers, now)
        return Retryable(f"the server answers {status}", kind=kind, retry_after=after, sent=status >= 500)
    return _held(response)


def _held(response: Response) -> Held:
    status = response.status
    if 300 <= status < 400:
        return Held(
            f"The server redirects ({status}){leads_to(response)}.", fix=_URL_FIX, kind="redirect", suspect=True
        )
    reason, fix = _HELD.get(status, (f"The server answers {status}.", _URL_FIX))
    return Held(f"{reason}{_quoted(response)}", fix=fix, suspect=may_mean_an_event(response))


def _quoted(response: Response) -> str:
    words = own_words(response)
    return f" It says: {words}" if words else ""
