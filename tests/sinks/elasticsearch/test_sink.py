"""The Elasticsearch sink over real sockets: each kind of answer has its outcome, and no event is accepted by mistake."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import ValidationError

from forwarder.contracts import (
    AuthFailed,
    Batch,
    ConfigError,
    Delivery,
    ForwarderError,
    Held,
    PayloadTooLarge,
    Record,
    Retryable,
)
from forwarder.formats.ecs.format import EcsFormat
from forwarder.testing.far_end import context
from forwarder.testing.lanes import batch_of
from simulator.http_types import Response, Wire
from simulator.receivers.rules import Refused, Rule
from sinks.elasticsearch.settings import ElasticsearchConfig
from sinks.elasticsearch.sink import ElasticsearchSink
from tests.events import golden_bodies, meaning_of
from tests.registered import formats, is_not_json, lacks_timestamp
from tests.sinks.elasticsearch.sinks import (
    SECRET,
    batch,
    body,
    decided,
    delivering,
    error_of,
)

GOOD = b'{"create":{"status":201}}'


def second(refused: Refused) -> Rule:
    """Refuse the second record of a batch that starts at 1."""
    return Rule(item=lambda document_id, _: refused if int(document_id, 16) == 2 else None)


# ------------------------------------------------------------------------------------------------------------ success


@pytest.mark.parametrize("compress", [True, False])
async def test_events_arrive_under_their_ids(compress: bool) -> None:
    async with delivering(sink={"compress": compress}) as (sink, receiver):
        sent = batch(1000)
        delivery = await sink.send(sent)
        assert delivery == Delivery.all_accepted(sent)
        assert {id_: document for id_, _, document in receiver.stream()} == {r.id: r.body for r in sent.records}
        assert receiver.compressed_requests == (1 if compress else 0)


async def test_a_server_that_knows_no_stream_in_the_path_is_given_it_in_every_action() -> None:
    async with delivering(root_only=True) as (sink, receiver):
        with pytest.raises(ForwarderError):
            await sink.send(batch(3))
        assert receiver.streams == {}
    async with delivering(root_only=True, sink={"bulk_index": "action"}) as (sink, receiver):
        sent = batch(3)
        assert await sink.send(sent) == Delivery.all_accepted(sent)
        assert {id_: document for id_, _, document in receiver.stream()} == {r.id: r.body for r in sent.records}


@pytest.mark.parametrize("bulk_index", ["path", "action"])
async def test_what_is_for_the_other_place_goes_to_its_stream(bulk_index: str) -> None:
    late = {"events": "elsewhere", "data_stream": "logs-atlassian.audit-late"}
    async with delivering(sink={"bulk_index": bulk_index, "late": late}) as (sink, receiver):
        sent = batch_of(body(1), b"", body(3), b"forged\n", body(5), body(6))
        for position in (2, 3, 4):
            sent.records[position].elsewhere = True
        assert decided(await sink.send(sent)) == ([0, 2, 4, 5], [1, 3], [])
        streams = {name: {document for _, _, document in stream} for name, stream in receiver.streams.items()}
        assert streams == {
            "logs-atlassian.audit-default": {body(1), body(6)},
            "logs-atlassian.audit-late": {body(3), body(5)},
        }
        assert sink.target.endswith("logs-atlassian.audit-default")


async def test_what_is_there_already_is_accepted_and_counted() -> None:
    async with delivering() as (sink, receiver):
        await sink.send(batch(10))
        again = await sink.send(batch(15))
        assert decided(again) == (list(range(15)), [], [])
        assert again.duplicates == 10
        assert receiver.stream().ids() == {f"{number:032x}": 1 for number in range(1, 16)}
        receiver.rollover()  # a new backing index takes every id again, here as there
        assert (await sink.send(batch(3))) == Delivery.all_accepted(batch(3))
        assert receiver.stream().counts()["e-1"] == 2


async def test_an_empty_batch_asks_nobody() -> None:
    async with delivering(ready=False) as (sink, receiver):
        assert await sink.send(batch_of()) == Delivery()
        assert receiver.server.requests == 0


async def test_slots_send_at_the_same_time() -> None:
    async with delivering(slots=3) as (sink, receiver):
        slow = Rule(times=None, wire=Wire(delay=0.1))
        receiver.rules.append(slow)
        before = receiver.server.connections
        await asyncio.gather(*(sink.send(batch(5, first=1 + 5 * slot, slot=slot)) for slot in range(3)))
        assert receiver.server.connections - before == 3
        assert len(receiver.stream()) == 15


@pytest.mark.parametrize("flavour", ["elasticsearch", "opensearch"])
async def test_every_golden_event_fits_the_template(flavour: Any) -> None:
    records = []
    for number, raw in enumerate(golden_bodies().values()):
        event = meaning_of(raw, ident=f"{number:032x}")
        if not isinstance(event, Exception):
            records.append(Record(number, batch_of(b"").records[0].origin, f"{number:032x}", raw, event))
    for record, rendered in zip(records, EcsFormat().render(records), strict=True):
        assert isinstance(rendered, bytes)
        record.body = rendered
    async with delivering(flavour=flavour, strict=True) as (sink, receiver):
        delivery = await sink.send(Batch(records))
        assert delivery.rejected == {}
        assert len(receiver.stream()) == len(records) > 30


# ------------------------------------------------------------------------------------------------------ single events

REJECTED = [
    ("document_parsing_exception", "mapping_conflict"),
    ("mapper_parsing_exception", "mapping_conflict"),
    ("strict_dynamic_mapping_exception", "mapping_conflict"),
    ("illegal_argument_exception", "illegal_argument"),
    ("something_new_exception", "refused"),
]


@pytest.mark.parametrize(("type_", "reason"), REJECTED)
@pytest.mark.parametrize("alone", [True, False])
async def test_a_poisonous_event_becomes_a_dead_letter(type_: str, reason: str, alone: bool) -> None:
    async with delivering() as (sink, receiver):
        receiver.rules.append(second(Refused(type_, "failed to parse field [x]")))
        delivery = await sink.send(batch(1, first=2) if alone else batch(3))
        assert decided(delivery) == (([], [0], []) if alone else ([0, 2], [1], []))
        (rejection,) = delivery.rejected.values()
        assert rejection.reason == reason
        assert rejection.detail == f"{type_}: failed to parse field [x]"


@pytest.mark.parametrize(("status", "doubtful"), [(429, False), (500, True), (502, True), (503, True), (504, True)])
@pytest.mark.parametrize("alone", [True, False])
async def test_a_busy_server_keeps_only_that_event(status: int, doubtful: bool, alone: bool) -> None:
    async with delivering() as (sink, receiver):
        receiver.rules.append(second(Refused("es_rejected_execution_exception", "queue full", status)))
        sent = batch(1, first=2) if alone else batch(3)
        delivery = await sink.send(sent)
        assert decided(delivery) == (([], [], [0]) if alone else ([0, 2], [], [1]))
        assert delivery.doubtful is doubtful
        assert str(status) in delivery.reason
        assert decided(await sink.send(sent))[0] == list(range(len(sent.records)))


@pytest.mark.parametrize(
    ("item", "fate"),
    [
        (b'{"status":400}', "refused"),
        (b'{"status":400,"error":null}', "refused"),
        (b'{"status":400,"error":{"reason":"no type"}}', "refused: no type"),
        (b'{"status":400,"error":{"type":"x_exception"}}', "refused: x_exception:"),
        (b'{"status":400,"error":{"reason":"a","caused_by":{"reason":"b"}}}', "refused: a; b"),
        (b'{"status":404}', "kept: The data stream does not exist"),
        (b'{"status":404,"error":{"type":"new_exception"}}', "kept: The data stream does not exist"),
        (b'{"status":403}', "kept: The credential may not write"),
        (b'{"status":401}', "kept: The credential is refused"),
        (b'{"status":409}', "accepted"),
        (b'{"status":413}', "too_large"),
        (b'{"status":413,"error":{"reason":"too big"}}', "too_large: too big"),
        (b'{"status":503}', "kept: the server is busy (503"),
    ],
)
async def test_an_item_that_says_less_than_usual_is_decided_by_its_status(item: bytes, fate: str) -> None:
    async with delivering() as (sink, receiver):
        reply = b'{"errors":true,"items":[%b,{"create":%b},%b]}' % (GOOD, item, GOOD)
        receiver.rules.append(Rule(answer=Response(200, {}, reply)))
        delivery = await sink.send(batch(3))
        if 1 in delivery.accepted:
            assert fate == "accepted"
        elif 1 in delivery.kept:
            assert f"kept: {delivery.reason}".startswith(fate)
        else:
            why = delivery.rejected[1]
            assert f"{why.reason}: {why.detail}".strip(": ") == fate.strip(": ")
        assert {0, 2} <= set(delivery.accepted)


HELD = [
    (401, "security_exception", AuthFailed, "auth"),
    (403, "security_exception", AuthFailed, "forbidden"),
    (403, "cluster_block_exception", Held, "disk_full"),
    (404, "index_not_found_exception", Held, "setup_missing"),
    (400, "index_closed_exception", Held, "forbidden"),
]


@pytest.mark.parametrize(("status", "type_", "error", "kind"), HELD)
async def test_what_speaks_of_the_index_never_becomes_a_dead_letter(
    status: int, type_: str, error: type[Held], kind: str
) -> None:
    async with delivering() as (sink, receiver):
        receiver.rules += [
            second(Refused(type_, "no", status)),
            Rule(times=1, item=lambda *_: Refused(type_, "no", status)),
        ]
        delivery = await sink.send(batch(3))  # what was stored must not be forgotten for it
        assert decided(delivery) == ([0, 2], [], [1])
        assert delivery.reason
        with pytest.raises(error) as caught:
            await sink.send(batch(3, first=10))
        assert type(caught.value) is error
        assert caught.value.kind == kind
        assert caught.value.fix
        assert decided(await sink.send(batch(3, first=10)))[0] == [0, 1, 2]


async def test_the_failure_store_is_a_dead_letter_not_a_success() -> None:
    async with delivering() as (sink, receiver):
        receiver.rules.append(Rule(failure_store=lambda document_id, _: int(document_id, 16) == 2))
        delivery = await sink.send(batch(3))
        assert decided(delivery) == ([0, 2], [1], [])
        assert delivery.rejected[1].reason == "failure_store"
        assert len(receiver.failure_store) == 1


async def test_an_event_that_would_forge_lines_is_left_out() -> None:
    forged = (
        b'{"@timestamp":"2026-01-31T12:00:00Z"}\n{"create":{"_id":"forged"}}\n{"@timestamp":"2026-01-31T12:00:00Z"}'
    )
    async with delivering() as (sink, receiver):
        delivery = await sink.send(batch_of(body(1), forged, b"", body(4)))
        assert decided(delivery) == ([0, 3], [1, 2], [])
        assert {rejection.reason for rejection in delivery.rejected.values()} == {"line_break"}
        assert set(receiver.stream().ids()) == {f"{1:032x}", f"{4:032x}"}
        assert decided(await sink.send(batch_of(b"\n"))) == ([], [0], [])


async def test_all_outcomes_in_one_answer_keep_their_places() -> None:
    fates = [None, Refused("x", "", 400), Refused("x", "", 429), None, Refused("x", "", 409), Refused("x", "", 503)]
    async with delivering() as (sink, receiver):
        receiver.rules.append(Rule(item=lambda document_id, _: fates[(int(document_id, 16) - 1) % 7 % 6]))
        sent = batch_of(*(b"" if number % 7 == 6 else body(number) for number in range(70)))
        delivery = await sink.send(sent)
        want: list[set[int]] = [set(), set(), set()]
        for number in range(70):
            want[[0, 1, 2, 0, 0, 2, 1][number % 7]].add(number)
        assert [set(part) for part in decided(delivery)] == want


@pytest.mark.parametrize(("status", "type_", "error", "kind"), HELD)
async def test_what_was_decided_beside_what_is_held_is_not_lost(
    status: int, type_: str, error: type[Held], kind: str
) -> None:
    del error, kind
    fates = [Refused("document_parsing_exception", "x", 400), Refused(type_, "x", status)]
    async with delivering() as (sink, receiver):
        receiver.rules.append(Rule(item=lambda document_id, _: fates[int(document_id, 16) % 2]))
        delivery = await sink.send(batch(4))
        assert decided(delivery) == ([], [1, 3], [0, 2])
        assert delivery.reason, "nothing says why the others wait"


async def test_the_words_of_the_server_are_made_harmless() -> None:
    async with delivering() as (sink, receiver):
        receiver.rules.append(second(Refused("document_parsing_exception", "a\x1b[31m\r\n\u202e" + "x" * 5000)))
        (rejection,) = (await sink.send(batch(3))).rejected.values()
        assert len(rejection.detail) <= 300
        assert rejection.detail.isprintable()


# -------------------------------------------------------------------------------------------------------- whole answers


@pytest.mark.parametrize(
    ("answer", "error", "kind"),
    [
        (error_of(400, "illegal_argument_exception", "malformed"), Held, "bad_request"),
        (Response.json({"error": "as a text", "status": 400}, 400), Held, "bad_request"),
        (error_of(401, "security_exception"), AuthFailed, "auth"),
        (error_of(403, "security_exception"), AuthFailed, "forbidden"),
        (error_of(403, "cluster_block_exception"), Held, "disk_full"),
        (error_of(404, "index_not_found_exception"), Held, "setup_missing"),
        (Response(404, {}, b"<html>nothing here</html>"), Held, "not_found"),
        (error_of(405), Held, "unexpected_status"),
        (error_of(406), Held, "unexpected_status"),
        (Response(204), Retryable, "not_json"),
        (Response.json({"accepted": True}, 202), Retryable, "not_json"),
        (Response(413), PayloadTooLarge, None),
        (Response(302, {"location": "https://login.example.com"}), Held, "redirect"),
        (Response(408), Retryable, "timeout"),
        (error_of(429, "es_rejected_execution_exception", **{"retry-after": "7"}), Retryable, "rate_limited"),
        (error_of(500), Retryable, "server_error"),
        (Response(502, {}, b"<html>bad gateway</html>"), Retryable, "server_error"),
        (error_of(503, "cluster_block_exception", "no master"), Retryable, "server_error"),
        (Response(504), Retryable, "server_error"),
    ],
)
async def test_a_refused_request_has_its_kind_and_loses_nothing(
    answer: Response, error: type[ForwarderError], kind: str | None
) -> None:
    async with delivering() as (sink, receiver):
        receiver.rules.append(Rule(answer=answer))
        with pytest.raises(error) as caught:
            await sink.send(batch(3))
        assert type(caught.value) is error
        assert getattr(caught.value, "kind", None) == kind
        if isinstance(caught.value, Held):
            assert caught.value.fix
        if isinstance(caught.value, Retryable):
            assert caught.value.sent is (answer.status != 429), "a server in trouble may have taken some of it"
        if answer.status == 429:
            assert isinstance(caught.value, Retryable)
            assert (caught.value.retry_after, caught.value.sent) == (7.0, False)
        assert SECRET not in str(caught.value)
        assert await sink.send(batch(3)) == Delivery.all_accepted(batch(3))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ({"reason": "only a reason"}, "only a reason"),
        ({"type": "x_exception"}, "x_exception"),
        ({"type": "x_exception", "reason": "why"}, "x_exception: why"),
        ({"reason": "why", "caused_by": {"type": "y", "reason": "deeper"}}, "why; deeper"),
        ("a text", "a text"),
    ],
)
async def test_what_a_refusal_says_is_quoted_whichever_part_of_it_is_missing(error: Any, words: str) -> None:
    async with delivering() as (sink, receiver):
        receiver.rules.append(Rule(answer=Response.json({"error": error, "status": 400}, 400)))
        with pytest.raises(Held) as caught:
            await sink.send(batch(3))
        assert words in caught.value.reason


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"<!doctype html><title>Log in</title>", "login_page"),
        (b"", "not_json"),
        (b"ok", "not_json"),
        (b"[]", "not_json"),
        (b"{}", "not_json"),
        (b'{"errors":false}', "not_json"),
        (b'{"errors":false,"items":null}', "not_json"),
        (b'{"errors":false,"items":[%b,%b' % (GOOD, GOOD), "not_json"),
        (b'{"errors":false,"items":[]}', "not_json"),
        (b'{"errors":false,"items":[%b,%b]}' % (GOOD, GOOD), "not_json"),
        (b'{"errors":false,"items":[%b,%b,%b,%b]}' % (GOOD, GOOD, GOOD, GOOD), "not_json"),
        (b'{"errors":false,"items":[%b,{},%b]}' % (GOOD, GOOD), "not_json"),
        (b'{"errors":true,"items":[%b,{"create":{"error":{}}},%b]}' % (GOOD, GOOD), "not_json"),
        (b'{"errors":false,"items":[%b,%b,{"create":{"status":"201"}}]}' % (GOOD, GOOD), "not_json"),
    ],
)
async def test_an_answer_that_does_not_say_it_of_each_event_is_no_success(reply: bytes, kind: str) -> None:
    async with delivering() as (sink, receiver):
        receiver.rules.append(Rule(answer=Response(200, {"content-type": "application/json"}, reply)))
        with pytest.raises(Retryable) as caught:
            await sink.send(batch(3))
        assert (caught.value.kind, caught.value.sent) == (kind, True)


@pytest.mark.parametrize(
    "reply",
    [
        b'{"errors":false,"items":[%b,%b,%b]}' % (GOOD, GOOD, GOOD),
        b'{ "errors" : false, "items" : [ %b, %b, %b ] }\n' % (GOOD, GOOD, GOOD),
        b'{"took":3,"errors":false,"items":[%b,%b,{"create":{"_index":"x","status":201,"failure_store":"not_enabled"}}]}'
        % (GOOD, GOOD),
        b'{"errors":true,"items":[%b,%b,{"create":{"status":409,"error":{"type":"version_conflict_engine_exception"}}}]}'
        % (GOOD, GOOD),
    ],
)
async def test_success_in_other_words_is_success(reply: bytes) -> None:
    async with delivering() as (sink, receiver):
        receiver.rules.append(Rule(answer=Response(200, {}, reply)))
        assert await sink.send(batch(3)) == Delivery(accepted=range(3), duplicates=reply.count(b"409"))


@pytest.mark.parametrize("wire", [Wire(stop_at=-1, ending="reset"), Wire(stop_at=9), Wire(stop_at=9, ending="reset")])
async def test_an_answer_lost_on_its_way_doubles_nothing(wire: Wire) -> None:
    async with delivering() as (sink, receiver):
        receiver.rules.append(Rule(wire=wire))
        with pytest.raises(Retryable) as caught:
            await sink.send(batch(100))
        assert caught.value.sent
        assert len(receiver.stream()) == 100, "it was stored although no one heard of it"
        assert await sink.send(batch(100)) == Delivery(accepted=range(100), duplicates=100)
        assert len(receiver.stream()) == 100


async def test_a_body_the_server_finds_too_large() -> None:
    async with delivering(max_content=20_000, sink={"compress": False}) as (sink, receiver):
        with pytest.raises(PayloadTooLarge):
            await sink.send(batch(1000))
        assert decided(await sink.send(batch(50)))[0] == list(range(50))
        assert len(receiver.stream()) == 50


@pytest.mark.parametrize("name", formats(is_not_json))
def test_a_format_that_is_no_json_is_refused_before_anything_runs(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is not JSON; use ecs"):
        ElasticsearchSink(ElasticsearchConfig(url="https://es.example", format=name), context(render=name))


@pytest.mark.parametrize("name", formats(lacks_timestamp))
def test_json_without_a_timestamp_needs_a_mapping_of_your_own(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} has no @timestamp"):
        ElasticsearchSink(ElasticsearchConfig(url="https://es.example", format=name), context(render=name))
    ElasticsearchSink(ElasticsearchConfig(url="https://es.example", format=name, unmanaged=True), context(render=name))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("event.start", "event.start is of type date"),
        ("tags.env", "tags.env is within tags, which is of type keyword"),
        ("data_stream", "data_stream is an object"),
        ("labels", "labels is of type flattened"),
    ],
)
def test_a_new_name_where_our_template_takes_no_text_is_refused(name: str, why: str) -> None:
    for fields in ({"add": {name: "x"}}, {"rename": {"source.ip": name}}):
        with pytest.raises(ValidationError, match=f"fields: {why} in our template"):
            ElasticsearchConfig.model_validate({"url": "https://es.example", "fields": fields})
        assert ElasticsearchConfig.model_validate({"url": "https://es.example", "fields": fields, "unmanaged": True})


@pytest.mark.parametrize("unmanaged", [False, True])
def test_no_name_that_elasticsearch_has_itself(unmanaged: bool) -> None:
    for fields in ({"add": {"_id": "x"}}, {"rename": {"source.ip": "_source.ip"}}):
        with pytest.raises(
            ValidationError, match="begins with _, as fields of Elasticsearch itself do; leave that out"
        ):
            ElasticsearchConfig.model_validate({"url": "https://es.example", "fields": fields, "unmanaged": unmanaged})


@pytest.mark.parametrize("name", ["labels.env", "tags", "event.code", "client_ip", "client.ip"])
def test_a_new_name_where_a_text_fits_is_taken(name: str) -> None:
    assert ElasticsearchConfig.model_validate({"url": "https://es.example", "fields": {"add": {name: "x"}}})
