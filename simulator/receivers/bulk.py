"""A strict double of the part of Elasticsearch and OpenSearch that a log shipper meets.

It refuses what they refuse: a body without its last line end, an unknown content type, an action that a data stream
does not allow, a document without `@timestamp`, an id over 512 bytes. It shares no code with the sink, and is written
from the servers' specification of `_bulk` and their answers. Rules make it busy, refuse or break, for tests and demos.
Not here, because no test could tell right from wrong: sharding, refresh, search.
"""

from __future__ import annotations

import itertools
import ssl as ssl_module
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import msgspec

from simulator.http_types import Request, Response
from simulator.httpd import Server
from simulator.receivers.bulk_store import DataStream
from simulator.receivers.bulk_templates import Flavour, Templates, check_document
from simulator.receivers.bulk_wire import CREATED, Target, answer_of, examine, take_apart
from simulator.receivers.rules import Refused, Rule, due

_read_json = msgspec.json.Decoder().decode


class BulkReceiver:
    """Serves `_bulk`, index templates and what else a sink asks; `async with` starts and stops it.

    Args:
        flavour: Which of the two servers to be.
        version: Its version.
        credentials: Values of the Authorization header that are allowed; none at all: everybody is.
        strict: Decode every document and compare it with the template's types; else only its JSON, `@timestamp` and
            `event.id` are looked at, which is ten times as fast.
        keep_bodies: Keep documents.
        root_only: Know `_bulk` only without a data stream in its path, as some gateways do.
        auto_create: Make a data stream although no template matches, as Elasticsearch does for `logs-*-*`.
        max_content: Longest body in bytes, before decompression and after it.
        host, port, ssl: Where to listen, and how.
    """

    def __init__(
        self,
        *,
        flavour: Flavour = "elasticsearch",
        version: str = "9.2.4",
        credentials: Sequence[str] = (),
        strict: bool = False,
        keep_bodies: bool = True,
        root_only: bool = False,
        auto_create: bool = False,
        max_content: int = 100 * 2**20,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl: ssl_module.SSLContext | None = None,
    ) -> None:
        self.credentials = set(credentials)
        self.forbidden: set[str] = set()  # credentials that are known and may not write
        self.templates = Templates(flavour)
        self.streams: dict[str, DataStream] = {}
        self.failure_store: list[tuple[str, bytes]] = []
        self.failed_shards = 0  # of a search
        self.may_refresh = True
        self.refused: list[tuple[str, int]] = []  # document id and status of every item that was not stored
        self.rules: list[Rule] = []
        self.max_content = max_content
        self.bulk_requests = 0
        self._numbers = itertools.count(1)
        self.compressed_requests = 0
        self._flavour = flavour
        self._version = version
        self._strict = strict
        self._keep_bodies = keep_bodies
        self._root_only = root_only
        self._auto_create = auto_create
        self.server = Server(self._handle, host=host, port=port, ssl=ssl)

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return self.server.url

    async def __aenter__(self) -> Self:
        await self.server.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.server.close()

    # ------------------------------------------------------------------------------------------- questions of tests

    def stream(self, name: str = "logs-atlassian.audit-default") -> DataStream:
        """Return a data stream; an empty one when nothing was written to it yet."""
        return self.streams[name] if name in self.streams else DataStream(name)

    def rollover(self, name: str = "logs-atlassian.audit-default") -> None:
        """Begin a new backing index, from where on every id is new again."""
        self.streams[name].rollover()

    # --------------------------------------------------------------------------------------------------------- routes

    async def _handle(self, request: Request) -> Response:
        given = request.headers.get("authorization", "")
        if self.credentials and given not in self.credentials | self.forbidden:
            return self._error(401, "security_exception", "unable to authenticate user", {"www-authenticate": "ApiKey"})
        if "/../" in request.path or "//" in request.path:
            return self._error(400, "illegal_argument_exception", "request path is not canonical")
        try:
            return self._route(request)
        except Refused as refused:
            return self._error(400, refused.type, refused.reason)

    def _route(self, request: Request) -> Response:
        match request.method, request.path.strip("/").split("/"):
            case "GET" | "HEAD", [""]:
                return Response.json(self._identity())
            case "POST" | "PUT", ["_bulk"]:
                return self._bulk(request, None)
            case "POST" | "PUT", [stream, "_bulk"] if not self._root_only:
                return self._bulk(request, stream)
            case method, ["_index_template", name]:
                return self._template(method, name, request)
            case "POST", [names, "_search" | "_refresh"]:
                return self._search(request, names.split(","))
            case _, path:
                return self._ask_about(request, path)

    def _ask_about(self, request: Request, path: list[str]) -> Response:
        stream = self.streams.get(path[0])
        match request.method, path:
            case "GET", ["_data_stream" | "_resolve", *rest] if rest:
                return self._shown(rest[-1])
            case "POST", [_, "_rollover"] if stream is not None:
                return Response.json({"acknowledged": True, "rolled_over": True, "new_index": stream.rollover()})
            case "GET" | "POST", [_, "_count"] if stream is not None:
                return Response.json({"count": len(stream)})
            case "POST", ["_security", "user", "_has_privileges"] if self._flavour == "elasticsearch":
                allowed = request.headers.get("authorization", "") not in self.forbidden
                return Response.json({"username": "somebody", "has_all_requested": allowed})
        reason = f"no handler found for uri [{request.path}] and method [{request.method}]"
        return self._error(400, "illegal_argument_exception", reason)

    def _search(self, request: Request, names: list[str]) -> Response:
        """Answer a query for ids; whatever else is asked for is refused."""
        shards = {"total": 1, "successful": 1, "skipped": 0, "failed": self.failed_shards}
        if request.path.endswith("_refresh"):
            if not self.may_refresh:
                return self._error(403, "security_exception", "action [indices:admin/refresh] is unauthorized")
            return Response.json({"_shards": shards})
        self._check_content_type(request)
        asked = _read_json(request.decoded_body())
        ids = set(asked["query"]["ids"]["values"])
        if asked.get("_source") is not False or not 0 < len(ids) <= asked["size"] <= 10_000:
            raise Refused("illegal_argument_exception", "only for ids, without their sources, within the result window")
        streams = [self.streams[name] for name in names if name in self.streams]
        there = [each for stream in streams for each, _, _ in stream if each in ids]
        hits = [{"_index": names[0], "_id": each, "_score": 1.0} for each in there[: asked["size"]]]
        return Response.json({"took": 1, "timed_out": False, "_shards": shards, "hits": {"hits": hits}})

    def _identity(self) -> dict[str, Any]:
        version: dict[str, Any] = {"number": self._version}
        if self._flavour == "opensearch":
            version["distribution"] = "opensearch"
        return {"name": "node", "cluster_name": "double", "cluster_uuid": "double", "version": version}

    def _template(self, method: str, name: str, request: Request) -> Response:
        if method in {"PUT", "POST"}:
            self._check_content_type(request)
            try:
                template = _read_json(request.decoded_body())
            except (ValueError, msgspec.DecodeError) as error:
                raise Refused("x_content_parse_exception", str(error)) from error
            self.templates.put(name, template)
            return Response.json({"acknowledged": True})
        found = self.templates.get(name)
        if found is None:
            return self._error(404, "resource_not_found_exception", f"index template matching [{name}] not found")
        if method == "DELETE":
            del self.templates.stored[name]
            return Response.json({"acknowledged": True})
        return Response.json({"index_templates": [{"name": name, "index_template": found}]})

    def _shown(self, name: str) -> Response:
        stream = self.streams.get(name)
        if stream is None:
            return self._error(404, "index_not_found_exception", f"no such index [{name}]")
        shown = {
            "name": name,
            "backing_indices": [backing.name for backing in stream.backing],
            "timestamp_field": "@timestamp",
        }
        return Response.json({"indices": [], "aliases": [], "data_streams": [shown]})

    def _error(self, status: int, type_: str, reason: str, headers: dict[str, str] | None = None) -> Response:
        cause = {"type": type_, "reason": reason}
        return Response.json({"error": {"root_cause": [cause], **cause}, "status": status}, status, headers)

    # ----------------------------------------------------------------------------------------------------------- bulk

    def _bulk(self, request: Request, stream: str | None) -> Response:
        self.bulk_requests += 1
        rule = due(self.rules)
        if rule.answer is not None:
            return rule.answer
        if request.headers.get("authorization", "") in self.forbidden:
            return self._error(403, "security_exception", "action [indices:data/write/bulk] is unauthorized")
        type_ = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if type_ not in {"application/x-ndjson", "application/json"}:
            return Response.json({"error": f"Content-Type header [{type_}] is not supported", "status": 406}, 406)
        if len(request.body) > self.max_content:
            return Response(413)
        try:
            body = request.decoded_body()
        except ValueError as error:
            raise Refused("zip_exception", str(error)) from error
        if len(body) > self.max_content:
            return Response(413)
        self.compressed_requests += body is not request.body
        items = [self._store(action, target, document, rule) for action, target, document in take_apart(body, stream)]
        answer = answer_of(items, request.query.get("filter_path", [""])[0])
        return replace(answer, misbehave=rule.wire)

    def _check_content_type(self, request: Request) -> None:
        if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
            raise Refused("media_type_header_exception", "Content-Type header is not supported")

    def _store(self, action: str, target: Target, body: bytes, rule: Rule) -> dict[str, Any]:
        """Do one action and return its item."""
        index = target.index or ""
        document_id = target.id or f"auto-{next(self._numbers)}"
        try:
            return self._create(action, index, document_id, body, rule)
        except Refused as refused:
            self.refused.append((document_id, refused.status))
            error = {"type": refused.type, "reason": refused.reason}
            return {action: {"_index": index, "_id": document_id, "status": refused.status, "error": error}}

    def _create(self, action: str, index: str, document_id: str, body: bytes, rule: Rule) -> dict[str, Any]:
        refused = rule.item(document_id, body) if rule.item is not None else None
        if refused is not None:
            raise refused
        stream = self.streams.get(index)
        if stream is None:
            stream = self._make(index)
        if action != "create":
            reason = "only write ops with an op_type of create are allowed in data streams"
            raise Refused("illegal_argument_exception", reason)
        event_id = self._examine(index, body)
        if rule.failure_store is not None and rule.failure_store(document_id, body):
            self.failure_store.append((document_id, body))
            return {"create": {"_index": f".fs-{index}", "_id": document_id, "status": 201, "failure_store": "used"}}
        if not stream.create(document_id, event_id, body):
            reason = f"[{document_id}]: version conflict, document already exists (current version [1])"
            raise Refused("version_conflict_engine_exception", reason, 409)
        return CREATED

    def _make(self, name: str) -> DataStream:
        if self.templates.matching(name) is None and not self._auto_create:
            raise Refused("index_not_found_exception", f"no such index [{name}]", 404)
        self.streams[name] = DataStream(name, keep_bodies=self._keep_bodies)
        return self.streams[name]

    def _examine(self, index: str, body: bytes) -> str | None:
        """Return `event.id`. Raises Refused for what the mapping would not take."""
        event_id = examine(body)
        if self._strict:
            template = self.templates.matching(index) or {}
            mapping = (template.get("template") or {}).get("mappings") or {}
            check_document(_read_json(body), mapping)
        return event_id
