"""What the Elasticsearch sink believes about `_bulk`, templates, rollover and rights, asked of the servers themselves.

Nothing of ours is used here but a plain HTTP client, so a failing test means that a belief is wrong, not the sink.
"""

from __future__ import annotations

import base64
import gzip
import json
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.client import Client
    from tests.servers.node import Node


def _document(number: int, **fields: Any) -> dict[str, Any]:
    return {"@timestamp": "2026-01-31T12:00:00Z", "event": {"id": f"e-{number}"}, **fields}


def _stream(client: Client, namespace: str) -> str:
    """Put an index template for one data stream and return the stream's name."""
    name = f"logs-facts-{namespace}"
    answer = client.request(
        "PUT",
        f"/_index_template/facts-{namespace}",
        {
            "index_patterns": [name],
            "priority": 500,
            "data_stream": {},
            "template": {
                "settings": {"number_of_replicas": 0},
                "mappings": {
                    "properties": {
                        "@timestamp": {"type": "date"},
                        "event": {"properties": {"id": {"type": "keyword"}, "severity": {"type": "long"}}},
                    }
                },
            },
        },
    )
    assert answer.status == 200, answer.body
    return name


@pytest.fixture
def stream(plain: Node, namespace: str) -> Iterator[tuple[Client, str]]:
    client = plain.client
    name = _stream(client, namespace)
    yield client, name
    client.request("DELETE", f"/_data_stream/{name}")
    client.request("DELETE", f"/_index_template/facts-{namespace}")


def _statuses(items: list[dict[str, Any]]) -> list[int]:
    return [item["status"] for item in items]


def test_create_makes_the_stream_and_the_same_id_is_a_conflict(stream: tuple[Client, str]) -> None:
    client, name = stream
    pairs = [({"create": {"_id": f"id-{n}"}}, _document(n)) for n in range(3)]
    assert _statuses(client.bulk(name, *pairs)) == [201, 201, 201]
    again = client.bulk(name, *pairs, ({"create": {"_id": "id-3"}}, _document(3)))
    assert _statuses(again) == [409, 409, 409, 201]
    assert again[0]["error"]["type"] == "version_conflict_engine_exception"
    client.request("POST", f"/{name}/_refresh")
    assert client.get(f"/{name}/_count")["count"] == 4


def test_one_bad_field_refuses_one_item_only(stream: tuple[Client, str]) -> None:
    client, name = stream
    items = client.bulk(
        name,
        ({"create": {"_id": "good"}}, _document(1)),
        ({"create": {"_id": "bad"}}, {"@timestamp": "2026-01-31T12:00:00Z", "event": {"severity": "high"}}),
        ({"create": {"_id": "untimed"}}, {"event": {"id": "x"}}),
        ({"create": {"_id": "good-too"}}, _document(2)),
    )
    assert _statuses(items) == [201, 400, 400, 201]
    assert items[1]["error"]["type"] in {"document_parsing_exception", "mapper_parsing_exception"}


def test_a_stream_takes_create_only(stream: tuple[Client, str]) -> None:
    client, name = stream
    assert _statuses(client.bulk(name, ({"index": {"_id": "a"}}, _document(1)))) == [400]


def test_a_gzipped_body_is_taken(stream: tuple[Client, str]) -> None:
    client, name = stream
    lines = b"".join(json.dumps(part).encode() + b"\n" for part in ({"create": {"_id": "z"}}, _document(1)))
    answer = client.request("POST", f"/{name}/_bulk", gzip.compress(lines), headers={"Content-Encoding": "gzip"})
    assert answer.status == 200
    assert answer.json["items"][0]["create"]["status"] == 201


def test_after_a_rollover_the_same_id_is_taken_again(stream: tuple[Client, str]) -> None:
    client, name = stream
    pair = ({"create": {"_id": "once"}}, _document(1))
    assert _statuses(client.bulk(name, pair)) == [201]
    assert client.request("POST", f"/{name}/_rollover", {}).status == 200
    assert _statuses(client.bulk(name, pair)) == [201], "the conflict check reaches over a rollover: better than known"


def test_a_stream_without_template_is_refused_when_required(plain: Node, namespace: str) -> None:
    items = plain.client.request(
        "POST",
        f"/nothing-{namespace}/_bulk?require_data_stream=true",
        b'{"create":{"_id":"a"}}\n{"@timestamp":"2026-01-31T12:00:00Z"}\n',
    )
    if plain.kind == "elasticsearch":
        assert items.json["items"][0]["create"]["status"] == 404
    else:  # it does not know the parameter and says so for the whole request
        assert items.status == 400


def test_a_wrong_password_is_a_401_for_the_whole_request(secure: Node, namespace: str) -> None:
    stranger = replace(secure.client, password="not-the-password")
    answer = stranger.request("POST", f"/logs-x-{namespace}/_bulk", b'{"create":{}}\n{"a":1}\n')
    assert answer.status == 401


def test_a_certificate_of_an_unknown_authority_is_refused(secure: Node) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        replace(secure.client, ca_file="").request("GET", "/_cluster/health")
    assert secure.client.request("GET", "/_cluster/health").status == 200


def test_an_api_key_works_until_it_is_invalidated(elasticsearch_secure: Node) -> None:
    client = elasticsearch_secure.client
    made = client.request("POST", "/_security/api_key", {"name": "facts"}).json
    encoded = base64.b64encode(f"{made['id']}:{made['api_key']}".encode()).decode()
    keyed = replace(client, user="", headers={"Authorization": f"ApiKey {encoded}"})
    assert keyed.request("GET", "/_security/_authenticate").json["authentication_type"] == "api_key"
    assert client.request("DELETE", "/_security/api_key", {"ids": [made["id"]]}).status == 200
    assert keyed.request("GET", "/_security/_authenticate").status == 401


def test_missing_rights_are_a_403_for_each_item(elasticsearch_secure: Node, namespace: str) -> None:
    client = elasticsearch_secure.client
    allowed = f"logs-allowed-{namespace}"
    made = client.request(
        "POST",
        "/_security/api_key",
        {
            "name": "narrow",
            "role_descriptors": {
                "writer": {"indices": [{"names": [allowed], "privileges": ["create_doc", "create_index"]}]}
            },
        },
    ).json
    encoded = base64.b64encode(f"{made['id']}:{made['api_key']}".encode()).decode()
    keyed = replace(client, user="", headers={"Authorization": f"ApiKey {encoded}"})
    body = b"".join(
        json.dumps(part).encode() + b"\n"
        for index in (allowed, f"logs-other-{namespace}")
        for part in ({"create": {"_index": index, "_id": "a"}}, _document(1))
    )
    answer = keyed.request("POST", "/_bulk", body)
    assert answer.status == 200
    assert [item["create"]["status"] for item in answer.json["items"]] == [201, 403]
