"""The Elasticsearch sink on real servers; what arrived is asked of the server by a client that shares no code with it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from forwarder.contracts import AuthFailed, Delivery, Held, Retryable, UnexpectedPayload
from forwarder.formats.ecs.format import EcsFormat
from forwarder.sources.organization.normalizer import OrganizationNormalizer
from forwarder.testing.far_end import context
from forwarder.testing.lanes import batch_of
from sinks.elasticsearch.settings import ElasticsearchConfig
from sinks.elasticsearch.sink import ElasticsearchSink
from sinks.elasticsearch.template import digest, index_template
from tests.events import golden_bodies, record_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from tests.servers.client import Client
    from tests.servers.node import Node

    Build = Callable[..., ElasticsearchSink]


@pytest.fixture
def stream(namespace: str) -> str:
    """A data stream whose template belongs to this test alone."""
    return f"logs-{namespace}.audit-default"


@pytest.fixture
async def build(stream: str) -> AsyncIterator[Build]:
    """Build sinks for a server, with the administrator's password unless told otherwise; close them at the end."""
    made: list[ElasticsearchSink] = []

    def sink(node: Node, *, slots: int = 1, **settings: Any) -> ElasticsearchSink:
        values: dict[str, Any] = {"url": node.url, "data_stream": stream}
        if node.ca_file:
            values["tls"] = {"ca_file": node.ca_file}
        if node.user and not settings.keys() & {"api_key", "api_key_file", "username"}:
            values |= {"username": node.user, "password": node.password}
        config = ElasticsearchConfig.model_validate({**values, **settings})
        made.append(ElasticsearchSink(config, context("elastic", slots=slots)))
        return made[-1]

    yield sink
    for each in made:
        await each.close()


def _body(number: int, **fields: Any) -> bytes:
    event = {"id": f"e-{number}", **fields.pop("event", {})}
    return json.dumps({"@timestamp": "2026-01-31T12:00:00.123Z", "event": event, **fields}).encode()


def _count(client: Client, stream: str) -> int:
    assert client.request("POST", f"/{stream}/_refresh").status == 200
    return int(client.get(f"/{stream}/_count")["count"])


def _distinct(client: Client, stream: str) -> int:
    query = {"size": 0, "aggs": {"ids": {"cardinality": {"field": "event.id", "precision_threshold": 40_000}}}}
    return int(client.get(f"/{stream}/_search", query)["aggregations"]["ids"]["value"])


# --------------------------------------------------------------------------------------------------------- setup


async def test_setup_plans_then_applies_then_has_nothing_to_do(server: Node, build: Build, stream: str) -> None:
    sink, path = build(server), f"/_index_template/{stream.removesuffix('-default')}"
    (step,) = await sink.setup(apply=False)
    assert step.state == "missing"
    assert step.diff
    assert server.client.request("GET", path).status == 404, "a plan wrote something"
    await sink.setup(apply=True)
    assert server.client.request("GET", path).status == 200
    assert [step.state for step in await sink.setup(apply=True)] == ["same"]
    assert [step.state for step in await build(server).setup(apply=False)] == ["same"]


async def test_without_setup_the_lane_holds_and_then_goes_on(server: Node, build: Build, stream: str) -> None:
    sink = build(server)
    with pytest.raises(Held) as caught:
        await sink.send(batch_of(_body(1)))
    assert caught.value.kind == "setup_missing"
    assert "setup" in caught.value.fix
    assert server.client.request("GET", f"/{stream}/_count").status == 404, "an index was made by accident"
    await build(server).setup(apply=True)
    delivery = await sink.send(batch_of(_body(1)))
    assert list(delivery.accepted) == [0]


async def test_what_somebody_else_changed_is_never_overwritten(server: Node, build: Build, stream: str) -> None:
    sink, path = build(server), f"/_index_template/{stream.removesuffix('-default')}"
    await sink.setup(apply=True)
    theirs = server.client.get(path)["index_templates"][0]["index_template"]
    theirs["template"]["mappings"]["properties"]["theirs"] = {"type": "keyword"}
    theirs["priority"] = 499
    theirs = {key: value for key, value in theirs.items() if not key.endswith(("_date", "_date_millis"))}
    assert server.client.request("PUT", path, theirs).status == 200
    before = server.client.get(path)
    (step,) = await sink.setup(apply=True)
    assert step.state == "foreign"
    assert "theirs" in step.diff
    assert server.client.get(path) == before
    assert list((await sink.send(batch_of(_body(1)))).accepted) == [0], "foreign is no reason to hold"


async def test_an_older_one_of_ours_is_renewed(server: Node, build: Build, stream: str) -> None:
    sink, path = build(server), f"/_index_template/{stream.removesuffix('-default')}"
    older = index_template(stream, "opensearch" if "opensearch" in server.kind else "elasticsearch")
    del older["template"]["mappings"]["properties"]["message"]
    older["version"] = older["_meta"]["version"] = 0
    older["_meta"]["digest"] = digest(older)
    assert server.client.request("PUT", path, older).status == 200
    assert [step.state for step in await sink.setup(apply=False)] == ["ours_older"]
    await sink.setup(apply=True)
    assert [step.state for step in await sink.setup(apply=False)] == ["same"]
    mapped = server.client.get(path)["index_templates"][0]["index_template"]["template"]["mappings"]["properties"]
    assert mapped["message"] == {"type": "text"}


# --------------------------------------------------------------------------------------------------------- sending


@pytest.mark.parametrize("compress", [True, False], ids=["gzip", "plain"])
async def test_a_batch_arrives_and_its_repeat_finds_itself(
    server: Node, build: Build, stream: str, compress: bool
) -> None:
    sink = build(server, compress=compress)
    await sink.setup(apply=True)
    batch = batch_of(*(_body(number) for number in range(500)))
    assert await sink.send(batch) == Delivery.all_accepted(batch)
    assert _count(server.client, stream) == 500
    again = await sink.send(batch)
    assert list(again.accepted) == list(range(500)), "a duplicate is there, so it is accepted"
    assert again.duplicates == 500
    assert _count(server.client, stream) == _distinct(server.client, stream) == 500
    found = server.client.get(f"/{stream}/_search", {"query": {"term": {"event.id": "e-123"}}})["hits"]["hits"]
    assert [(hit["_id"], hit["_source"]) for hit in found] == [(f"{124:032x}", json.loads(_body(123)))]


async def test_a_mapping_conflict_is_rejected_alone(server: Node, build: Build, stream: str) -> None:
    sink = build(server)
    await sink.setup(apply=True)
    delivery = await sink.send(
        batch_of(
            _body(0),
            _body(1, event={"severity": "not a number"}),
            _body(2, source={"ip": "not an address"}),
            b'{"event":{"id":"no-time"}}',
            b"not json at all",
            _body(5),
        )
    )
    assert list(delivery.accepted) == [0, 5]
    assert set(delivery.rejected) == {1, 2, 3, 4}
    assert {delivery.rejected[number].reason for number in (1, 2)} == {"mapping_conflict"}
    assert "severity" in delivery.rejected[1].detail
    assert all("\n" not in rejection.detail for rejection in delivery.rejected.values())
    assert _count(server.client, stream) == 2


async def test_fields_of_no_mapping_and_odd_shapes_break_nothing(server: Node, build: Build, stream: str) -> None:
    sink = build(server)
    await sink.setup(apply=True)
    bodies = [
        _body(0, newcomer="text"),
        _body(1, newcomer={"a": {"b": 1}}),
        _body(2, atlassian={"audit": {"context": {"a": 1}}}),
        _body(3, url={"full": "https://example.com/" + "x" * 40_000}),
        _body(4, labels={f"l{number}": "v" for number in range(2000)}),
    ]
    delivery = await sink.send(batch_of(*bodies))
    assert delivery.rejected == {}
    assert _count(server.client, stream) == len(bodies)


async def test_a_very_long_value_in_the_context_is_taken(server: Node, build: Build, stream: str) -> None:
    sink = build(server)
    await sink.setup(apply=True)
    delivery = await sink.send(batch_of(_body(0, atlassian={"audit": {"context": {"a": {"b": "c" * 40_000}}}})))
    assert delivery.rejected == {}


def _golden_documents() -> list[bytes]:
    """Return every golden event as ECS, with the original beside it."""
    records = [record_of(body, f"{number:032x}") for number, body in enumerate(golden_bodies().values())]
    for record, event in zip(records, OrganizationNormalizer().normalize(records), strict=True):
        record.event = None if isinstance(event, UnexpectedPayload) else event
    rendered = EcsFormat(original=True).render([record for record in records if record.event is not None])
    return [body for body in rendered if isinstance(body, bytes)]


def _leaves(tree: Any, path: str = "") -> Iterator[str]:
    if isinstance(tree, dict) and path != "source.geo.location":
        for name, value in tree.items():
            yield from _leaves(value, f"{path}.{name}" if path else name)
    elif isinstance(tree, list) and any(isinstance(item, dict) for item in tree):
        for item in tree:
            yield from _leaves(item, path)
    else:
        yield path


def _mapping(client: Client, stream: str) -> dict[str, Any]:
    (found,) = client.get(f"/{stream}/_mapping").values()
    properties: dict[str, Any] = found["mappings"]["properties"]
    return properties


async def test_every_golden_event_is_taken_and_found_by_every_field(server: Node, build: Build, stream: str) -> None:
    bodies = _golden_documents()
    assert len(bodies) >= 150
    sink = build(server)
    await sink.setup(apply=True)
    await sink.send(batch_of(_body(0), first=10_000))
    before = _mapping(server.client, stream)
    delivery = await sink.send(batch_of(*bodies))
    assert delivery.rejected == {}
    assert list(delivery.accepted) == list(range(len(bodies)))
    assert _count(server.client, stream) == len(bodies) + 1
    assert _mapping(server.client, stream) == before, "an event has changed the mapping"

    kept_whole = ("atlassian.audit.context", "atlassian.audit.container", "event.original")
    written: Counter[str] = Counter()
    for body in bodies:
        document = json.loads(body)
        written.update({leaf for leaf in _leaves(document) if not leaf.startswith(kept_whole)})
    asked = {path.replace(".", "/"): {"exists": {"field": path}} for path in written}
    query = {"size": 0, "aggs": {"has": {"filters": {"filters": asked}}}}
    answer = server.client.get(f"/{stream}/_search", query)["aggregations"]
    cut = server.client.get(f"/{stream}/_search", {"size": 1000, "query": {"exists": {"field": "_ignored"}}})
    ignored = Counter(field for hit in cut["hits"]["hits"] for field in hit["_ignored"])
    present = {path.replace("/", "."): found["doc_count"] for path, found in answer["has"]["buckets"].items()}
    own = set(_leaves(json.loads(_body(0))))
    expected = {path: count - ignored.get(path, 0) + (path in own) for path, count in written.items()}
    assert present == expected
    assert ignored.keys() <= {"url.full", "atlassian.audit.changes.after"}, "too long to be indexed, and nothing else"


async def test_after_a_rollover_a_repeat_is_a_second_document(server: Node, build: Build, stream: str) -> None:
    # Known and not hidden: why the forwarder records what may come twice, and remembers ids of its own.
    sink = build(server)
    await sink.setup(apply=True)
    first, second = (batch_of(*(_body(n) for n in range(lo, lo + 10)), first=lo + 1) for lo in (0, 10))
    await sink.send(first)
    assert server.client.request("POST", f"/{stream}/_rollover", {}).status == 200
    await sink.send(second)
    await sink.send(second)
    assert _count(server.client, stream) == 20
    await sink.send(first)
    assert _count(server.client, stream) == 30
    assert _distinct(server.client, stream) == 20


async def test_slots_send_at_the_same_time(server: Node, build: Build, stream: str) -> None:
    sink = build(server, slots=4)
    await sink.setup(apply=True)
    batches = [
        batch_of(*(_body(slot * 200 + n) for n in range(200)), first=slot * 200 + 1, slot=slot) for slot in range(4)
    ]
    deliveries = await asyncio.gather(*(sink.send(batch) for batch in batches))
    assert [len(delivery.accepted) for delivery in deliveries] == [200] * 4
    assert _count(server.client, stream) == 800


async def test_a_probe_says_what_is_missing_and_then_that_all_is_well(server: Node, build: Build) -> None:
    sink = build(server)
    before = await sink.probe()
    assert [finding.ok for finding in before if "template" in finding.subject] == [False]
    await sink.setup(apply=True)
    after = await sink.probe()
    assert [finding for finding in after if not finding.ok] == []
    assert server.kind.split("-")[0] in after[0].detail


async def test_an_unmanaged_stream_is_left_alone(server: Node, build: Build, namespace: str) -> None:
    # The user's own template: an index without one would be a plain index, which takes creates as well.
    name = f"own-{namespace}"
    sink = build(server, unmanaged=True, data_stream=name)
    assert await sink.setup(apply=True) == []
    delivery = await sink.send(batch_of(_body(1)))
    assert list(delivery.accepted) == [0]
    assert _count(server.client, name) == 1


# --------------------------------------------------------------------------------------------------- credentials, TLS


async def test_a_refused_password_holds_until_the_file_is_mended(secure: Node, build: Build, tmp_path: Path) -> None:
    await build(secure).setup(apply=True)
    file = tmp_path / "password"
    file.write_text("not-the-password\n")
    sink = build(secure, username=secure.user, password_file=str(file))
    for _ in range(2):
        with pytest.raises(AuthFailed):
            await sink.send(batch_of(_body(1)))
    file.unlink()
    with pytest.raises(AuthFailed):
        await sink.send(batch_of(_body(1)))
    file.write_text(secure.password + "\n")
    assert list((await sink.send(batch_of(_body(1)))).accepted) == [0]


async def test_an_unknown_authority_is_refused(secure: Node, build: Build) -> None:
    with pytest.raises(Retryable) as caught:
        await build(secure, tls={}).send(batch_of(_body(1)))
    assert caught.value.kind == "tls"
    assert not caught.value.sent
    assert [finding.ok for finding in await build(secure, tls={}).probe()] == [False]


def _api_key(client: Client, stream: str, *privileges: str) -> tuple[str, str]:
    roles = {"writer": {"cluster": ["monitor"], "indices": [{"names": [stream], "privileges": list(privileges)}]}}
    made = client.request("POST", "/_security/api_key", {"name": "forwarder", "role_descriptors": roles})
    assert made.status == 200, made.body
    return made.json["id"], made.json["api_key"]


@pytest.mark.parametrize("encoded", [True, False], ids=["encoded", "id:key"])
async def test_an_api_key_with_few_rights_is_enough(
    elasticsearch_secure: Node, build: Build, stream: str, encoded: bool
) -> None:
    admin = elasticsearch_secure.client
    await build(elasticsearch_secure).setup(apply=True)
    identity, secret = _api_key(admin, stream, "create_doc", "auto_configure")
    key = f"{identity}:{secret}"
    sink = build(elasticsearch_secure, api_key=base64.b64encode(key.encode()).decode() if encoded else key)
    assert list((await sink.send(batch_of(_body(1), _body(2)))).accepted) == [0, 1]
    assert [finding for finding in await sink.probe() if not finding.ok] == []
    assert admin.request("DELETE", "/_security/api_key", {"ids": [identity]}).status == 200
    with pytest.raises(AuthFailed):
        await sink.send(batch_of(_body(3)))


async def test_a_missing_right_holds_and_makes_no_dead_letter(
    elasticsearch_secure: Node, build: Build, stream: str
) -> None:
    await build(elasticsearch_secure).setup(apply=True)
    identity, secret = _api_key(elasticsearch_secure.client, stream, "read")
    sink = build(elasticsearch_secure, api_key=f"{identity}:{secret}")
    with pytest.raises(AuthFailed) as caught:
        await sink.send(batch_of(_body(1)))
    assert "create_doc" in caught.value.fix
    assert [finding.ok for finding in await sink.probe() if "right" in finding.subject] == [False]
