"""The Splunk sink over real sockets: each answer has its outcome, and no event is accepted by mistake."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import ValidationError

from forwarder.contracts import AuthFailed, ConfigError, Delivery, Held, PayloadTooLarge, Retryable
from forwarder.formats.raw import RawFormat
from forwarder.net import tls as tls_module
from forwarder.testing.lanes import batch_of
from simulator.http_types import Response, Wire
from simulator.receivers.hec import HecReceiver
from simulator.receivers.hec_rules import Rule, Token
from sinks.splunk_hec.sink import SplunkHecSink
from tests.events import golden_bodies, meaning_of, record_of
from tests.sinks.splunk_hec.sinks import SECRET, batch, body, decided, delivering, landed, sink_of, with_products
from tests.sockets import listening

# ------------------------------------------------------------------------------------------------------------- success


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("endpoint", ["event", "raw"])
async def test_events_arrive_once(compress: bool, endpoint: str) -> None:
    async with delivering(sink={"compress": compress, "endpoint": endpoint}) as (sink, receiver):
        assert await sink.send(batch(1000)) == Delivery(range(1000))
        assert [event.event for event in receiver.events] == [body(number) for number in range(1, 1001)]
        assert receiver.compressed_requests == (1 if compress else 0)
        assert receiver.requests == {endpoint: 1}
        (request,) = receiver.seen
        assert request.headers["user-agent"].startswith("audit-forwarder/")
        assert SECRET not in request.target


@pytest.mark.parametrize(("endpoint", "content_type"), [("event", "application/json"), ("raw", "text/plain")])
async def test_every_body_says_what_it_is(endpoint: str, content_type: str) -> None:
    async with delivering(acks=True, sink={"endpoint": endpoint}) as (sink, receiver):
        receiver.state.content_type_enforced = True
        assert all(finding.ok for finding in await sink.probe())
        delivery = await sink.send(batch(3))
        assert await sink.confirm([*delivery.pending.values()]) == dict.fromkeys(delivery.pending.values(), True)
        types = {
            request.target.split("?")[0]: request.headers["content-type"]
            for request in receiver.seen
            if request.method == "POST"
        }
        assert types[f"/services/collector/{endpoint}"].startswith(content_type)
        assert types["/services/collector/ack"] == "application/json"


async def test_an_envelope_says_where_when_and_what_to_filter_on() -> None:
    settings = {
        "index": "atlassian_{product}",
        "source": "{source}",
        "labels": {"env": "test"},
        "indexed_fields": ["event_id", "product"],
    }
    async with delivering(sink=settings) as (sink, receiver):
        await sink.send(with_products(["jira", None, "Bit bucket"]))
        assert [event.index for event in receiver.events] == [
            "atlassian_jira",
            "atlassian_unknown",
            "atlassian_bit_bucket",
        ]
        first = receiver.events[0]
        assert (first.time, first.source, first.host) == ("1770000000.123", "acme", "org-1")
        assert first.fields == {"event_id": "e-1", "product": "jira", "env": "test"}
        assert len(list(receiver.found("atlassian_jira", "atlassian:audit"))) == 1


async def test_on_raw_each_place_has_a_request_of_its_own() -> None:
    settings = {"endpoint": "raw", "index": {"jira": "j", "*": "other"}, "host": None}
    async with delivering(sink=settings) as (sink, receiver):
        made = with_products(["jira", "confluence", "jira", None])
        assert decided(await sink.send(made))[0] == [0, 1, 2, 3]
        assert receiver.requests["raw"] == 2
        assert {event.index: event.host for event in receiver.events} == {"j": None, "other": None}
        assert Counter(event.index for event in receiver.events) == {"j": 2, "other": 2}


async def test_an_empty_batch_asks_nobody() -> None:
    async with delivering() as (sink, receiver):
        assert await sink.send(batch_of()) == Delivery(range(0))
        assert receiver.server.requests == 0


async def test_slots_send_at_the_same_time() -> None:
    async with delivering(slots=3) as (sink, receiver):
        receiver.rules.append(Rule(times=None, wire=Wire(delay=0.1)))
        await asyncio.gather(*(sink.send(batch(5, first=1 + 5 * slot, slot=slot)) for slot in range(3)))
        assert receiver.server.connections == 3
        assert len(receiver.events) == 15


@pytest.mark.parametrize("code", [24, 25])
async def test_nearly_full_is_accepted_and_makes_the_slot_rest(code: int) -> None:
    async with delivering() as (sink, receiver):
        receiver.rules.append(
            Rule(answer=Response.json({"text": "nearly full", "code": code}, 200, {"retry-after": "3"}))
        )
        assert await sink.send(batch(3)) == Delivery(range(3), retry_after=3.0)
        receiver.rules.append(Rule(answer=Response.json({"text": "nearly full", "code": code})))
        assert (await sink.send(batch(3))).retry_after == 5.0


async def test_a_queue_that_fills_slows_down_and_then_stops() -> None:
    async with delivering(at_once=False, queue_bytes=300) as (sink, receiver):
        receiver.state.backpressure = True
        assert (await sink.send(batch(5))).retry_after is None
        slow = await sink.send(batch(7, first=6))
        assert (slow.accepted, slow.retry_after) == (range(7), 5.0)
        await sink.send(batch(4, first=13))
        with pytest.raises(Retryable) as caught:
            await sink.send(batch(5, first=100))
        assert (caught.value.kind, caught.value.sent) == ("rate_limited", False)
        receiver.index_queued()
        assert await sink.send(batch(5, first=100)) == Delivery(range(5))
        receiver.index_queued()
        assert len(receiver.events) == 21


# -------------------------------------------------------------------------------------------------- a batch as a whole


@pytest.mark.parametrize(
    ("state", "error", "sent"),
    [("busy", "503", True), ("failing", "500", True), ("stopping", "503", True)],
)
async def test_a_state_that_passes(state: str, error: str, sent: bool) -> None:
    async with delivering() as (sink, receiver):
        setattr(receiver.state, state, True)
        with pytest.raises(Retryable, match=error) as caught:
            await sink.send(batch(3))
        assert caught.value.sent is sent
        setattr(receiver.state, state, False)
        assert await sink.send(batch(3)) == Delivery(range(3))


async def test_busy_in_the_middle_of_a_batch_is_doubtful() -> None:
    async with delivering() as (sink, receiver):
        receiver.rules.append(Rule(busy_after=2))
        with pytest.raises(Retryable) as caught:
            await sink.send(batch(3))
        assert caught.value.sent, "two of them are there already"
        assert len(receiver.events) == 2


@pytest.mark.parametrize(
    ("token", "fix"),
    [(Token(disabled=True), "Enable"), (None, "token"), (Token(acknowledge=True), "acknowledge: true")],
)
async def test_what_a_token_may_not_is_held_with_the_fix(token: Token | None, fix: str) -> None:
    async with delivering() as (sink, receiver):
        receiver.tokens = {} if token is None else {SECRET: token}
        with pytest.raises(Held) as caught:
            await sink.send(batch(3))
        assert fix in caught.value.fix
        assert isinstance(caught.value, AuthFailed) is (token is None or token.disabled)
        assert SECRET not in str(caught.value)
        receiver.tokens = {SECRET: Token()}
        assert await sink.send(batch(3)) == Delivery(range(3))


async def test_a_collector_that_is_away_is_held_and_found_again() -> None:
    async with delivering() as (sink, receiver):
        receiver.state.away = True
        with pytest.raises(Held, match="restarting") as caught:
            await sink.send(batch(3))
        assert caught.value.kind == "not_found"
        receiver.state.away = False
        assert await sink.send(batch(3)) == Delivery(range(3))


async def test_a_body_the_server_finds_too_large() -> None:
    async with delivering(max_content=5_000, sink={"compress": False}) as (sink, receiver):
        with pytest.raises(PayloadTooLarge):
            await sink.send(batch(100))
        assert await sink.send(batch(5)) == Delivery(range(5))
        assert len(receiver.events) == 5


@pytest.mark.parametrize(
    "wire",
    [
        Wire(stop_at=-1, ending="reset"),
        Wire(stop_at=9),
        Wire(stop_at=9, ending="reset"),
        Wire(stop_at=9, ending="half_close"),
        Wire(stall_at=9, stall=3600),
        Wire(delay=3600),
        Wire(garbage=b"\x16\x03\x01 this is not HTTP\r\n\r\n"),
        Wire(garbage=b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
    ],
)
async def test_an_answer_lost_on_its_way_accepts_nothing(wire: Wire) -> None:
    async with delivering(sink={"http": {"read_timeout": 0.5, "total_timeout": 2}}) as (sink, receiver):
        receiver.rules.append(Rule(wire=wire))
        with pytest.raises(Retryable) as caught:
            await sink.send(batch(10))
        assert caught.value.sent
        assert len(receiver.events) == 10, "it was indexed although no one heard of it"
        assert await sink.send(batch(10)) == Delivery(range(10))


async def test_a_slow_answer_is_waited_for() -> None:
    async with delivering() as (sink, receiver):
        receiver.rules.append(Rule(wire=Wire(delay=0.1, drip=3, pause=0.005)))
        assert await sink.send(batch(10)) == Delivery(range(10))
        assert len(receiver.events) == 10


@asynccontextmanager
async def resetting(after: int) -> AsyncIterator[str]:
    """Serve connections that are reset once so many bytes of the request have come."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(after)
        writer.transport.abort()

    async with listening(serve) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("after", [1, 600, 200_000])
async def test_a_reset_in_the_middle_of_our_request_may_have_been_taken(after: int) -> None:
    async with resetting(after) as url:
        sink = sink_of(url, compress=False)
        with pytest.raises(Retryable) as caught:
            await sink.send(batch(10_000))
        await sink.close()
        assert caught.value.sent


async def test_nobody_there_is_nothing_sent() -> None:
    sink = sink_of("http://127.0.0.1:9")
    with pytest.raises(Retryable) as caught:
        await sink.send(batch(3))
    await sink.close()
    assert not caught.value.sent


# -------------------------------------------------------------------------------------------------------- secrets, TLS


async def test_a_rotated_token_counts_from_the_next_request_on(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(SECRET)
    async with delivering() as (_, receiver):
        sink = sink_of(receiver.url, token=None, token_file=path)
        assert await sink.send(batch(1)) == Delivery(range(1))
        receiver.tokens = {"another-t0ken": Token()}
        with pytest.raises(AuthFailed) as caught:
            await sink.send(batch(1))
        assert caught.value.kind == "forbidden"
        path.write_text("another-t0ken\n")
        assert await sink.send(batch(1)) == Delivery(range(1))
        for content in ("", None):
            path.unlink()
            if content is not None:
                path.write_text(content)
            with pytest.raises(AuthFailed):
                await sink.send(batch(1))
        await sink.close()


@pytest.fixture
def fresh_contexts() -> Iterator[None]:
    tls_module._build.cache_clear()
    yield
    tls_module._build.cache_clear()


@pytest.mark.usefixtures("fresh_contexts")
async def test_mutual_tls(tmp_path: Path) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # handshakes fail on purpose
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server_tls)
    authority.configure_trust(server_tls)
    server_tls.verify_mode = ssl.CERT_REQUIRED
    for name, issuer in (("good", authority), ("bad", stranger)):
        issuer.issue_cert(f"{name}.example").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / name))
    async with HecReceiver({SECRET: Token(acknowledge=True)}, ssl=server_tls) as receiver:
        for name in (None, "bad", "good"):
            files = {"ca_file": tmp_path / "ca.pem"} | ({"cert_file": tmp_path / name} if name else {})
            sink = sink_of(receiver.url, tls=files, acknowledge=True)
            if name == "good":
                assert decided(await sink.send(batch(3)))[3] == [0, 1, 2]
                assert receiver.seen[-1].certificate is not None
                assert all(finding.ok for finding in await sink.probe())
            else:
                with pytest.raises(Retryable) as caught:
                    await sink.send(batch(3))
                assert caught.value.kind in {"tls", "reset"}  # with TLS 1.3 the alert may be overtaken
                assert receiver.events == []
            await sink.close()


async def test_http_in_the_clear_stays_on_this_machine() -> None:
    with pytest.raises(ConfigError, match="insecure"):
        sink_of("http://splunk.example:8088")
    sink = sink_of("http://splunk.example:8088", insecure=True)
    await sink.close()


# -------------------------------------------------------------------------------------------------------------- probe


async def test_a_probe_of_what_is_well() -> None:
    for acks in (False, True):
        async with delivering(acks=acks) as (sink, receiver):
            findings = await sink.probe()
            assert [(finding.ok, finding.fix) for finding in findings] == [(True, "")] * (3 if acks else 2)
            assert receiver.indexed == 0
            assert ("acknowledgement" in findings[-1].subject) is acks


@pytest.mark.parametrize(
    ("settings", "token", "state", "says"),
    [
        ({}, None, {}, "token"),
        ({}, Token(disabled=True), {}, "Enable"),
        ({}, Token(acknowledge=True), {}, "acknowledge: true"),
        ({"acknowledge": True}, Token(), {}, "acknowledge: false"),
        ({}, Token(), {"away": True}, "url"),
        ({}, Token(), {"queues_full": True}, "queues"),
        ({"acknowledge": True}, Token(acknowledge=True), {"acks_down": True}, "queues"),
        ({}, Token(), {"busy": True}, "reached"),
    ],
)
async def test_a_probe_names_the_fix(settings: dict, token: Token | None, state: dict, says: str) -> None:
    async with HecReceiver({} if token is None else {SECRET: token}) as receiver:
        for name in state:
            setattr(receiver.state, name, True)
        sink = sink_of(receiver.url, **settings)
        findings = await sink.probe()
        await sink.close()
        assert any(says in finding.fix for finding in findings if not finding.ok), findings
        assert not any(SECRET in f"{finding}" for finding in findings)
        assert receiver.indexed == 0


async def test_a_probe_of_nobody() -> None:
    sink = sink_of("http://127.0.0.1:9")
    (finding,) = await sink.probe()
    await sink.close()
    assert not finding.ok
    assert finding.fix


# ------------------------------------------------------------------------------------------------------------ settings


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"url": "https://h:8088/services/collector/event"}, "leave out"),
        ({"index": "Audit"}, "small letters"),
        ({"index": "_internal"}, "small letters"),
        ({"index": {"jira": "no spaces"}}, "small letters"),
        ({"index": "a{action}"}, "not a template"),
        ({"source": "{product.__class__}"}, "not a template"),
        ({"source": "{product!r}"}, "not a template"),
        ({"source": "{product:>9}"}, "not a template"),
        ({"host": "{"}, "not a template"),
        ({"host": " "}, "not a template"),
        ({"sourcetype": "a\nb"}, "not a template"),
        ({"indexed_fields": ["event_id", "nothing_known"]}, "event_id"),
        ({"fields": ["action", "product"]}, "is called indexed_fields"),
        ({"labels": {"action": "x"}}, "not the name of a label"),
        ({"labels": {"_time": "x"}}, "not the name of a label"),
        ({"endpoint": "raw", "labels": {"a": "x"}}, "no indexed fields"),
        ({"max_event": "10B"}, "1KB"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SplunkHecSink.Config(**{"url": "https://127.0.0.1:1", "token": SECRET, **settings})
    assert says in str(caught.value)
    assert SECRET not in str(caught.value)


async def test_the_target_names_the_index_and_the_proof_follows_the_mode() -> None:
    for settings, target, proof in (
        ({}, "splunk_hec:127.0.0.1:1/default", "received"),
        ({"index": "a_{product}", "acknowledge": True}, "splunk_hec:127.0.0.1:1/a_{product}", "delivered"),
        ({"index": {"jira": "j", "*": "o"}}, "splunk_hec:127.0.0.1:1/*=o,jira=j", "received"),
    ):
        sink = sink_of("https://127.0.0.1:1/", **settings)
        assert (sink.target, sink.proof, sink.max_body) == (target, proof, 5_000_000)
        await sink.close()


async def test_a_batch_of_every_golden_shape_is_indexed() -> None:
    made = batch_of(*(raw.replace(b"\n", b" ") for raw in golden_bodies().values() if _is_object(raw)))
    for record in made.records:
        event = meaning_of(record.raw, ident=record.id)
        record.event = None if isinstance(event, Exception) else event
    async with delivering() as (sink, receiver):
        delivery = await sink.send(made)
        assert sorted(delivery.accepted) == list(range(len(made.records)))
        assert len(receiver.events) == len(made.records) > 50


def _is_object(raw: bytes) -> bool:
    [body] = RawFormat().render([record_of(raw)])
    return isinstance(body, bytes) and json.loads(body) != {}


async def test_the_receiver_counts_what_the_ledger_of_ids_counts() -> None:
    async with delivering() as (sink, receiver):
        await sink.send(batch(20))
        assert landed(receiver) == Counter(f"e-{number}" for number in range(1, 21))
