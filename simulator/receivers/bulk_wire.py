"""The wire of `_bulk`: takes a request apart as strictly as the servers do, and writes their answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from simulator.http_types import Response
from simulator.receivers.rules import Refused

LONGEST_ID = 512
"""Bytes."""


class Target(msgspec.Struct, forbid_unknown_fields=True):
    """Where an action goes."""

    index: str | None = msgspec.field(name="_index", default=None)
    id: str | None = msgspec.field(name="_id", default=None)
    routing: str | None = None
    require_data_stream: bool = False


class _Action(msgspec.Struct, forbid_unknown_fields=True):
    create: Target | None = None
    index: Target | None = None
    update: Target | None = None
    delete: Target | None = None


class _Event(msgspec.Struct):
    id: str | int | None = None


class _Document(msgspec.Struct):
    timestamp: str | int | float | None = msgspec.field(name="@timestamp", default=None)
    event: _Event | None = None


_read_action = msgspec.json.Decoder(_Action).decode
_read_document = msgspec.json.Decoder(_Document).decode


CREATED: dict[str, Any] = {"create": {"_version": 1, "result": "created", "status": 201}}
"""The item of a stored document, always this very object."""

_ALL_CREATED = b'{"errors":false,"items":['


def take_apart(body: bytes, stream: str | None) -> list[tuple[str, Target, bytes]]:
    """Return (action, where to, document) of every operation; `stream` is the one of the URL.

    Raises Refused for what makes the server refuse all of it.
    """
    if not body:
        raise Refused("parse_exception", "request body is required")
    if not body.endswith(b"\n"):
        raise Refused("illegal_argument_exception", "The bulk request must be terminated by a newline [\\n]")
    lines = iter(body.split(b"\n")[:-1])
    found: list[tuple[str, Target, bytes]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        action, target = _action_of(line, number)
        target.index = target.index or stream
        if target.index is None:
            raise Refused("action_request_validation_exception", "Validation Failed: 1: index is missing;")
        if target.id is not None and len(target.id.encode()) > LONGEST_ID:
            reason = f"Validation Failed: 1: id is too long, must be no longer than {LONGEST_ID} bytes;"
            raise Refused("action_request_validation_exception", reason)
        document = b"" if action == "delete" else next(lines, None)
        if document is None:
            raise Refused("illegal_argument_exception", "The bulk request must have a document after its last action")
        found.append((action, target, document))
    if not found:
        raise Refused("action_request_validation_exception", "Validation Failed: 1: no requests added;")
    return found


def _action_of(line: bytes, number: int) -> tuple[str, Target]:
    try:
        action = _read_action(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("illegal_argument_exception", f"Malformed action/metadata line [{number}]: {error}") from error
    named = [(name, target) for name in ("create", "index", "update", "delete") if (target := getattr(action, name))]
    if len(named) != 1:
        raise Refused("illegal_argument_exception", f"Malformed action/metadata line [{number}], expected one action")
    return named[0]


def examine(body: bytes) -> str | None:
    """Return `event.id` of a document. Raises Refused for what no data stream would take."""
    try:
        document = _read_document(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("document_parsing_exception", f"[1:1] failed to parse: {error}") from error
    if document.timestamp is None:
        reason = "[1:1] failed to parse: data stream timestamp field [@timestamp] is missing"
        raise Refused("document_parsing_exception", reason)
    event_id = document.event.id if document.event is not None else None
    return str(event_id) if event_id is not None else None


def answer_of(items: Sequence[dict[str, Any]], filter_path: str) -> Response:
    """Return the answer, cut down to `filter_path` as far as a bulk answer is concerned."""
    errors = any("error" in fields for item in items for fields in item.values())
    whole = {"took": 1, "errors": errors, "items": items}
    if not filter_path:
        return Response.json(whole)
    paths = filter_path.split(",")
    top = {path for path in paths if "." not in path}
    names = {path.split(".")[2] for path in paths if path.startswith("items.*.")}
    if not errors and all(item is CREATED for item in items) and "status" in names and top == {"errors"}:
        one = msgspec.json.encode({"create": {name: v for name, v in CREATED["create"].items() if name in names}})
        return Response(200, {"content-type": "application/json"}, _ALL_CREATED + b",".join([one] * len(items)) + b"]}")
    cut: dict[str, Any] = {key: value for key, value in whole.items() if key in top}
    if "items" not in top and names:
        kept = [
            {action: {name: value for name, value in fields.items() if name in names}}
            for item in items
            for action, fields in item.items()
        ]
        cut["items"] = [item for item in kept if any(item.values())]  # the server leaves out what is empty
    return Response.json(cut)
