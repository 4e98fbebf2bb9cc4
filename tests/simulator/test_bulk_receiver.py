"""The bulk receiver refuses what the servers refuse; a lenient double would prove nothing."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from forwarder.contracts import HttpConfig, TlsConfig
from forwarder.net.http import HttpClient, Response
from simulator.receivers.bulk import BulkReceiver

STREAM = "logs-x-default"
TEMPLATE: dict[str, Any] = {
    "index_patterns": ["logs-x-*"],
    "priority": 200,
    "data_stream": {},
    "template": {
        "settings": {"number_of_replicas": 0},
        "mappings": {
            "properties": {
                "@timestamp": {"type": "date"},
                "event": {"properties": {"id": {"type": "keyword"}, "severity": {"type": "long"}}},
                "source": {"properties": {"ip": {"type": "ip"}}},
                "whole": {"type": "flattened"},
            }
        },
    },
}
DOCUMENT = b'{"@timestamp":"2026-01-31T12:00:00Z","event":{"id":"e"}}'
CREATE = b'{"create":{"_id":"a"}}'


class Caller:
    """Asks a receiver."""

    def __init__(self, receiver: BulkReceiver) -> None:
        self.receiver = receiver
        self._client = HttpClient(base_url=receiver.url, http=HttpConfig(), tls=TlsConfig())

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        given = {"content-type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
        return await self._client.request(method, path, headers=given, content=content)

    async def items(self, *lines: bytes) -> list[dict[str, Any]]:
        answer = await self("POST", f"/{STREAM}/_bulk", b"\n".join([*lines, b""]))
        assert answer.status == 200, answer.body
        return [next(iter(item.values())) for item in msgspec.json.decode(answer.body)["items"]]

    async def close(self) -> None:
        await self._client.close()


@asynccontextmanager
async def calling(**more: Any) -> AsyncIterator[Caller]:
    async with BulkReceiver(**more) as receiver:
        caller = Caller(receiver)
        try:
            whole = "flat_object" if more.get("flavour") == "opensearch" else "flattened"
            receiver.templates.put("x", json.loads(json.dumps(TEMPLATE).replace("flattened", whole)))
            yield caller
        finally:
            await caller.close()
        assert receiver.server.failures == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "required"),
        (CREATE + b"\n" + DOCUMENT, "terminated by a newline"),
        (b"\n", "no requests"),
        (CREATE + b"\n", "document"),
        (b"not json\n" + DOCUMENT + b"\n", "Malformed action"),
        (b'{"create":{"_id":"a"},"index":{}}\n' + DOCUMENT + b"\n", "Malformed action"),
        (b"{}\n" + DOCUMENT + b"\n", "Malformed action"),
        (b'{"invent":{}}\n' + DOCUMENT + b"\n", "Malformed action"),
        (b'{"create":{"_id":"a","_type":"x"}}\n' + DOCUMENT + b"\n", "Malformed action"),
        (b'{"create":{"_id":"%b"}}\n%b\n' % (b"x" * 513, DOCUMENT), "no longer than 512"),
    ],
)
async def test_a_malformed_body_is_refused_whole(body: bytes, says: str) -> None:
    async with calling() as call:
        good = CREATE + b"\n" + DOCUMENT + b"\n" if body.strip() else b""
        answer = await call("POST", f"/{STREAM}/_bulk", good + body)
        assert answer.status == 400
        assert says in msgspec.json.decode(answer.body)["error"]["reason"]
        assert len(call.receiver.stream(STREAM)) == 0, "nothing of it is stored, not even what came before"


@pytest.mark.parametrize("type_", ["text/plain", "application/x-www-form-urlencoded", "", "application/ndjson"])
async def test_other_content_types(type_: str) -> None:
    async with calling() as call:
        answer = await call("POST", f"/{STREAM}/_bulk", CREATE + b"\n" + DOCUMENT + b"\n", content_type=type_)
        assert answer.status == 406


@pytest.mark.parametrize(
    ("document", "strict", "status"),
    [
        (b"not json", False, 400),
        (b"[]", False, 400),
        (b'{"@timestamp":"2026-01-31T12:00:00Z"', False, 400),
        (b'{"@timestamp":"2026-01-31T12:00:00Z"} {}', False, 400),
        (b'{"event":{"id":"no time"}}', False, 400),
        (b'{"@timestamp":null}', False, 400),
        (b'{"@timestamp":"2026-01-31T12:00:00Z","event":"text"}', False, 400),
        (b'{"@timestamp":"2026-01-31T12:00:00Z","new":1}', True, 201),
        (b'{"@timestamp":"yesterday"}', True, 400),
        (b'{"@timestamp":1769860800000}', True, 201),
        (b'{"@timestamp":"2026-01-31T12:00:00Z","event":{"severity":"high"}}', True, 400),
        (b'{"@timestamp":"2026-01-31T12:00:00Z","event":{"severity":"7"}}', True, 201),
        (b'{"@timestamp":"2026-01-31T12:00:00Z","event":{"severity":[1,"x"]}}', True, 400),
        (b'{"@timestamp":"2026-01-31T12:00:00Z","source":{"ip":"nowhere"}}', True, 400),
        (b'{"@timestamp":"2026-01-31T12:00:00Z","source":{"ip":["::1","10.0.0.1",null]}}', True, 201),
        (b'{"@timestamp":"2026-01-31T12:00:00Z","whole":"text"}', True, 400),
        (b'{"@timestamp":"2026-01-31T12:00:00Z","whole":[{"a":1}]}', True, 201),
        (b'{"@timestamp":"2026-01-31T12:00:00Z","event":{"id":{"a":1}}}', True, 400),
    ],
)
async def test_a_document_that_does_not_fit_is_refused_alone(document: bytes, strict: bool, status: int) -> None:
    async with calling(strict=strict) as call:
        items = await call.items(CREATE, DOCUMENT, b'{"create":{"_id":"b"}}', document, b'{"create":{}}', DOCUMENT)
        assert [item["status"] for item in items] == [201, status, 201]
        assert len(call.receiver.stream(STREAM)) == (3 if status == 201 else 2)
        assert len(call.receiver.refused) == (0 if status == 201 else 1)


@pytest.mark.parametrize("action", ["index", "update"])
async def test_a_data_stream_only_takes_create(action: str) -> None:
    async with calling() as call:
        (item,) = await call.items(json.dumps({action: {"_id": "a"}}).encode(), DOCUMENT)
        assert item["status"] == 400
        assert "create" in item["error"]["reason"]


async def test_an_id_is_unique_within_the_write_index_only() -> None:
    async with calling() as call:
        assert [item["status"] for item in await call.items(CREATE, DOCUMENT, CREATE, DOCUMENT)] == [201, 409]
        assert (await call("POST", f"/{STREAM}/_rollover")).status == 200
        assert [item["status"] for item in await call.items(CREATE, DOCUMENT, CREATE, DOCUMENT)] == [201, 409]
        assert call.receiver.stream(STREAM).ids() == {"a": 2}
        assert call.receiver.stream(STREAM).counts() == {"e": 2}
        assert msgspec.json.decode((await call("GET", f"/{STREAM}/_count")).body) == {"count": 2}
        shown = msgspec.json.decode((await call("GET", f"/_resolve/index/{STREAM}")).body)
        assert len(shown["data_streams"][0]["backing_indices"]) == 2


async def test_no_template_no_stream() -> None:
    async with calling() as call:
        call.receiver.templates.stored.clear()
        (item,) = await call.items(CREATE, DOCUMENT)
        assert (item["status"], item["error"]["type"]) == (404, "index_not_found_exception")
        assert call.receiver.streams == {}


async def test_credentials() -> None:
    async with calling(credentials=["ApiKey good"]) as call:
        assert (await call("GET", "/")).status == 401
        assert (await call("GET", "/", authorization="ApiKey bad")).status == 401
        assert (await call("GET", "/", authorization="ApiKey good")).status == 200


async def test_gzip_is_undone_and_damage_refused() -> None:
    async with calling(max_content=1000) as call:
        body = CREATE + b"\n" + DOCUMENT + b"\n"
        packed = gzip.compress(body)
        assert (await call("POST", f"/{STREAM}/_bulk", packed, content_encoding="gzip")).status == 200
        assert (await call("POST", f"/{STREAM}/_bulk", packed[:-9], content_encoding="gzip")).status == 400
        assert (await call("POST", f"/{STREAM}/_bulk", body, content_encoding="gzip")).status == 400
        assert (await call("POST", f"/{STREAM}/_bulk", gzip.compress(body * 20), content_encoding="gzip")).status == 413
        assert (await call("POST", f"/{STREAM}/_bulk", body * 20)).status == 413
        assert len(call.receiver.stream(STREAM)) == 1


@pytest.mark.parametrize(
    "path", ["errors,items.*.status,items.*.error,items.*.failure_store", "items.*.status", "errors"]
)
async def test_the_answer_is_cut_to_the_filter(path: str) -> None:
    async with calling() as call:
        for lines in ([CREATE, DOCUMENT], [CREATE, DOCUMENT, b'{"create":{"_id":"b"}}', DOCUMENT]):
            body = b"\n".join([*lines, b""])
            answer = msgspec.json.decode((await call("POST", f"/{STREAM}/_bulk?filter_path={path}", body)).body)
            assert set(answer) == {part.split(".")[0] for part in path.split(",")}
            for item in answer.get("items", []):
                assert set(item["create"]) <= {"status", "error"}
        if "status" in path:
            assert [item["create"]["status"] for item in answer["items"]] == [409, 201]


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ([], "not an object"),
        ({}, "index_patterns"),
        ({"index_patterns": []}, "index_patterns"),
        ({**TEMPLATE, "surprise": 1}, "surprise"),
        ({**TEMPLATE, "priority": 200}, "same priority"),
        (
            {**TEMPLATE, "priority": 1, "template": {"mappings": {"properties": {"a": {"type": "flat_object"}}}}},
            "No handler",
        ),
    ],
)
async def test_templates_that_no_server_takes(template: Any, says: str) -> None:
    async with calling() as call:
        answer = await call("PUT", "/_index_template/other", template)
        assert answer.status == 400
        assert says in msgspec.json.decode(answer.body)["error"]["reason"]
        assert list(call.receiver.templates.stored) == ["x"]


@pytest.mark.parametrize("flavour", ["elasticsearch", "opensearch"])
async def test_a_template_comes_back_in_the_servers_spelling(flavour: Any) -> None:
    template = {key: value for key, value in TEMPLATE.items() if key != "template"} | {
        "template": {"settings": {"number_of_replicas": 0, "index.hidden": False}}
    }
    async with calling(flavour=flavour) as call:
        assert (await call("PUT", "/_index_template/x", template)).status == 200
        answer = msgspec.json.decode((await call("GET", "/_index_template/x")).body)
        found = answer["index_templates"][0]["index_template"]
        assert found["template"]["settings"] == {"index": {"number_of_replicas": "0", "hidden": "false"}}
        assert found["composed_of"] == []
        assert found["data_stream"] != {}
        assert (await call("DELETE", "/_index_template/x")).status == 200
        assert (await call("GET", "/_index_template/x")).status == 404


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/_bulk"), ("POST", "//_bulk"), ("POST", f"/{STREAM}/_doc/_bulk")]
)
async def test_no_such_handler(method: str, path: str) -> None:
    async with calling() as call:
        assert (await call(method, path)).status == 400
