"""Writes events into a data stream of Elasticsearch (7.17 and later) or OpenSearch (2 and later), by one code path.

Invariant: an event is accepted when the server said so for exactly this event, or already has it. Every document has a
deterministic `_id` and is only ever created, so a repeated send finds itself (409) as long as the stream has not rolled
over in between. Sources: the servers' own specification of `_bulk`, and what they answer in tests/real_servers.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import msgspec

from forwarder.contracts import (
    Asked,
    Batch,
    ConfigError,
    Delivery,
    Endpoint,
    Finding,
    FormatTraits,
    ForwarderError,
    Held,
    OldTimes,
    Record,
    Rejection,
    Retryable,
    SetupStep,
    SinkContext,
    plain,
)
from forwarder.net.compression import Compressed, compressed
from forwarder.net.http import UNREADABLE, HttpClient, Response, answer_to, check_url
from sinks.elasticsearch.answers import ADVICE, QUERY, RIGHTS_FIX, SETUP_FIX, URL_FIX, read, refusal
from sinks.elasticsearch.settings import ElasticsearchConfig
from sinks.elasticsearch.template import Flavour, compare, index_template, template_name

_NDJSON = {"content-type": "application/x-ndjson"}
_JSON = {"content-type": "application/json"}
_MOST_HITS = 10_000
"""Most that a server gives at once. After a roll-over one id may be in several indices behind the stream."""


_TIME_SERIES = OldTimes(
    2 * 3600.0,
    "if your template makes a time series stream (index.mode: time_series), that refuses, by its look_back_time,",
)


class ElasticsearchSink:
    """One bulk request per batch and slot."""

    Config: ClassVar[type[ElasticsearchConfig]] = ElasticsearchConfig
    proof: ClassVar[Literal["delivered", "received", "none"]] = "delivered"
    default_format: ClassVar[str] = "ecs"
    ids_at_once: ClassVar[int] = 1000
    advice: ClassVar[Mapping[str, str]] = ADVICE

    def __init__(self, config: ElasticsearchConfig, context: SinkContext) -> None:
        _check_format(config, context.format)
        self._config = config
        self._clock = context.clock
        url = check_url(config.url, insecure=config.insecure)
        # One client per slot, and one for everything else, so that a probe never waits for a send.
        self._clients = [
            HttpClient(base_url=url, http=config.http, tls=config.tls, insecure=config.insecure)
            for _ in range(context.slots + 1)
        ]
        parts = urlsplit(url)
        self._place = f"{parts.netloc}{parts.path}"
        in_path = config.bulk_index == "path"
        self._bulk = f"/{config.data_stream}/_bulk" if in_path else "/_bulk"
        self._action = "" if in_path else f'"_index":"{config.data_stream}",'
        self._late_action = f'"_index":"{config.late.data_stream}",'
        self._template = f"/_index_template/{template_name(config.data_stream)}"
        self._template_seen = config.unmanaged
        self.old_times = _TIME_SERIES if config.unmanaged else None  # our own template makes no such stream
        self._looking = asyncio.Lock()

    @property
    def target(self) -> str:
        """Host, path prefix and data stream."""
        return f"elasticsearch:{self._place}/{self._config.data_stream}"

    @property
    def endpoints(self) -> list[Endpoint]:
        """Where it connects to."""
        return [Endpoint.of_url(self._config.url, self._config.tls, self._config.http)]

    async def send(self, batch: Batch) -> Delivery:
        """Create the events of the batch.

        Raises:
            Held: Our index template is missing, or the server needs a person's help.
            AuthFailed: The credential is refused, or cannot be read.
            PayloadTooLarge: The server refuses the size.
            Retryable: The server is busy, or its answer does not say what became of the batch.
        """
        content, positions, refused = self._content(batch.records)
        if not positions:
            return Delivery(rejected=refused)
        await self._look_for_template()
        try:
            response = await self._ask(
                "POST", self._bulk, slot=batch.slot, params=QUERY, headers=_NDJSON, content=content
            )
            if response.status != 200:
                raise refusal(response, self._clock.time())
            delivery = read(response, positions, self._clock.time())
        except Held:
            self._template_seen = self._config.unmanaged  # whatever was fixed, the template may have gone with it
            raise
        if refused:
            delivery.rejected = {**delivery.rejected, **refused}
        return delivery

    def _content(self, records: Sequence[Record]) -> tuple[bytes | Compressed, Sequence[int], dict[int, Rejection]]:
        """Return the body of a bulk request, the events in it, and those left out because they would forge lines."""
        lines, positions, refused = _lines(records, self._actions_of(records))
        return compressed(lines) if self._config.compress else lines, positions, refused

    def _actions_of(self, records: Sequence[Record]) -> Sequence[str]:
        """Return what stands before the id in the action line of each record: where it goes, if the path does not."""
        return [self._late_action if record.elsewhere else self._action for record in records]

    async def holds(self, asked: Asked) -> set[str]:
        """Search for the ids, in the data stream of late events too. Raises what `send` raises."""
        late = self._config.late.data_stream
        streams = self._config.data_stream if late is None else f"{self._config.data_stream},{late}"
        found = await self._found(streams, asked.ids)
        if absent := [each for each in asked.ids if each not in found]:  # what was written just now is not seen yet
            status, _ = await self._json("POST", f"/{streams}/_refresh?ignore_unavailable=true")
            if status == 403:
                fix = f"Give it the index privilege maintenance on {streams}."
                raise Held("The credential may not refresh, so what was just written is not seen.", fix=fix)
            found |= await self._found(streams, absent)
        return found

    async def _found(self, streams: str, ids: Sequence[str]) -> set[str]:
        query = {"query": {"ids": {"values": ids}}, "_source": False, "size": _MOST_HITS}
        status, body = await self._json("POST", f"/{streams}/_search?ignore_unavailable=true", query)
        if status == 403:
            fix = f"Give it the index privilege read on {streams}."
            raise Held("The credential may not search.", fix=fix, kind="forbidden")
        try:
            whole = status == 200 and not body["timed_out"] and not body["_shards"]["failed"]
            hits = [str(hit["_id"]) for hit in body["hits"]["hits"]]
        except (LookupError, TypeError):
            whole, hits = False, []
        if not whole:
            raise Retryable(f"the server answers {status} and not from all of its shards", kind="server_error")
        return set(hits)

    async def close(self) -> None:
        """Close the connections. Safe to call twice."""
        for client in self._clients:
            await client.close()

    # -------------------------------------------------------------------------------------------------------- asking

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        slot: int = -1,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | Compressed | None = None,
    ) -> Response:
        given = {**(headers or {}), **self._authorization()}
        most = answer_to(content or b"")
        return await self._clients[slot].request(method, path, params=params, headers=given, content=content, most=most)

    def _authorization(self) -> dict[str, str]:
        """Return the header of the credential as it is now: a rotated file counts from the next request on."""
        config = self._config
        if config.api_key is not None:
            key = config.api_key.present("api_key")
            return {"authorization": f"ApiKey {_base64(key) if ':' in key else key}"}
        if config.password is not None:
            pair = f"{config.username}:{config.password.present('password')}"
            return {"authorization": f"Basic {_base64(pair)}"}
        if config.bearer_token is not None:
            return {"authorization": f"Bearer {config.bearer_token.present('bearer_token')}"}
        return {}

    async def _json(self, method: str, path: str, value: Any = None) -> tuple[int, Any]:
        """Ask for JSON; return the status and the decoded body, None when it is not JSON. Raises on 401 and 5xx."""
        content = None if value is None else msgspec.json.encode(value)
        response = await self._ask(method, path, headers=_JSON, content=content)
        if response.status in {401, 408, 425, 429} or response.status >= 500:
            raise refusal(response, self._clock.time())
        try:
            return response.status, msgspec.json.decode(response.body)
        except UNREADABLE:
            return response.status, None

    # ------------------------------------------------------------------------------------------------------ template

    async def _look_for_template(self) -> None:
        """Make sure once that our template is there. Raises Held when it is missing or cannot be seen."""
        if self._template_seen:
            return
        async with self._looking:
            if not self._template_seen and await self._standing_template() is None:
                raise Held("The index template is missing.", fix=SETUP_FIX, kind="setup_missing")
            self._template_seen = True

    async def _standing_template(self) -> Mapping[str, Any] | None:
        status, body = await self._json("GET", self._template)
        if status == 404 and isinstance(body, dict):
            return None
        if status == 403:
            raise Held(
                "The credential may not see the index template.",
                fix="Give it the cluster privilege monitor, or set unmanaged: true.",
                kind="forbidden",
            )
        try:
            found: Mapping[str, Any] = body["index_templates"][0]["index_template"]
        except (LookupError, TypeError):
            raise Held(f"The server answers {status} to a look at a template.", fix=URL_FIX, kind="not_found") from None
        return found

    async def setup(self, *, apply: bool) -> list[SetupStep]:
        """Compare our index template with the one at the server, and with `apply` write it if that is ours to do.

        Raises what `send` raises; Held also when the server refuses the template.
        """
        if self._config.unmanaged:
            return []
        wanted = index_template(self._config.data_stream, await self._flavour(), self._config.ilm_policy)
        step = compare(await self._standing_template(), wanted, self._template.rpartition("/")[2])
        if apply and step.state in {"missing", "ours_older"}:
            content = msgspec.json.encode(wanted)
            response = await self._ask("PUT", self._template, headers=_JSON, content=content)
            if response.status != 200:
                raise _refused_template(response, self._clock.time())
        return [step]

    async def _flavour(self) -> Flavour:
        """Ask which server it is; one that does not say so is taken for Elasticsearch."""
        _, body = await self._json("GET", "/")
        version = body.get("version") if isinstance(body, dict) else None
        return (
            "opensearch"
            if isinstance(version, dict) and version.get("distribution") == "opensearch"
            else "elasticsearch"
        )

    # --------------------------------------------------------------------------------------------------------- probe

    async def probe(self) -> list[Finding]:
        """Ask who the server is, whether it knows us, whether the template stands and whether we may write."""
        findings: list[Finding] = []
        try:
            findings.append(await self._probe_server())
            if not self._config.unmanaged:
                findings.append(await self._probe_template())
            findings.append(await self._probe_rights())
        except Held as held:
            findings.append(Finding(self._place, ok=False, detail=held.reason, fix=held.fix))
        except Retryable as error:
            fix = "See that the server runs and can be reached from here."
            findings.append(Finding(self._place, ok=False, detail=str(error), fix=fix))
        return findings

    async def _probe_server(self) -> Finding:
        status, body = await self._json("GET", "/")
        version = body.get("version") if isinstance(body, dict) else None
        if not isinstance(version, dict):
            return Finding(self._place, ok=True, detail=f"answers, and does not say what it is ({status})")
        name = plain(str(version.get("distribution", "elasticsearch")), 40)
        return Finding(self._place, ok=True, detail=f"{name} {plain(str(version.get('number')), 40)}")

    async def _probe_template(self) -> Finding:
        (step,) = await self.setup(apply=False)
        details = {
            "same": (True, "in place", ""),
            "missing": (False, "missing", SETUP_FIX),
            "ours_older": (True, "an older one of ours", "Run `audit-forwarder setup` to renew it."),
            "foreign": (True, "changed by others, left as it is", ""),
        }
        ok, detail, fix = details[step.state]
        return Finding(step.what, ok=ok, detail=detail, fix=fix)

    async def _probe_rights(self) -> Finding:
        stream = self._config.data_stream
        names = [stream] if self._config.late.data_stream is None else [stream, self._config.late.data_stream]
        wanted = {"index": [{"names": names, "privileges": ["create_doc", "auto_configure"]}]}
        status, body = await self._json("POST", "/_security/user/_has_privileges", wanted)
        subject = f"right to write to {' and '.join(names)}"
        if status != 200 or not isinstance(body, dict) or not isinstance(body.get("has_all_requested"), bool):
            return Finding(subject, ok=True, detail="this server cannot be asked; the first event will tell")
        if body["has_all_requested"]:
            return Finding(subject, ok=True, detail="given")
        return Finding(subject, ok=False, detail="not given", fix=RIGHTS_FIX)


def _lines(records: Sequence[Record], actions: Sequence[str]) -> tuple[bytes, Sequence[int], dict[int, Rejection]]:
    bodies = [record.body for record in records]
    forged = Rejection("line_break", "the rendered event is empty or contains a line end")
    refused = {n: forged for n, body in enumerate(bodies) if not body or b"\n" in body}
    if not refused:
        return _join(records, bodies, actions), range(len(records)), {}
    positions = [n for n in range(len(records)) if n not in refused]
    left = ([each[n] for n in positions] for each in (records, bodies, actions))
    return _join(*left), positions, refused  # type: ignore[arg-type]


def _join(records: Sequence[Record], bodies: Sequence[bytes], actions: Sequence[str]) -> bytes:
    lines = [b""] * (2 * len(records))
    lines[::2] = [
        f'{{"create":{{{action}"_id":"{record.id}"}}}}'.encode()
        for record, action in zip(records, actions, strict=True)
    ]
    lines[1::2] = bodies
    return b"\n".join([*lines, b""])


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")


def _refused_template(response: Response, now: float) -> ForwarderError:
    if response.status == 403:
        fix = "Run setup with a credential that has the cluster privilege manage_index_templates."
        return Held("The credential may not write index templates.", fix=fix, kind="forbidden")
    error = refusal(response, now)
    if response.status == 400 and isinstance(error, Held):
        return Held(error.reason, fix="The server does not take the template; see its own words.", kind="bad_request")
    return error


def _check_format(config: ElasticsearchConfig, written: FormatTraits) -> None:
    if written.writes != "json":
        raise ConfigError(f"format: {config.format} is not JSON; use ecs")
    if not written.has_timestamp and not config.unmanaged:  # a data stream refuses every document without one
        raise ConfigError(
            f"format: {config.format} has no @timestamp and our template no fields for it; use ecs, or unmanaged: true "
            "with a template and a pipeline of your own"
        )
