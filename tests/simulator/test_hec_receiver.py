"""The HEC receiver refuses what Splunk refuses, by the strictest reading; a lenient double would prove nothing."""

from __future__ import annotations

import base64
import gzip
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.contracts import HttpConfig, TlsConfig
from forwarder.net.http import HttpClient, Response
from simulator.http_types import Response as Answer
from simulator.receivers.hec import HecReceiver
from simulator.receivers.hec_envelope import Event, Rules, read_events
from simulator.receivers.hec_replies import REPLIES
from simulator.receivers.hec_rules import Rule, Token

PLAIN, ACKING, OFF = "t0ken-plain", "t0ken-acking", "t0ken-off"
GUID = "0aeeac95-ac74-4aa9-b30d-6c4c0ac581ba"
ACK = f"/services/collector/ack?channel={GUID}"


class Caller:
    def __init__(self, receiver: HecReceiver) -> None:
        self.receiver = receiver
        self._client = HttpClient(base_url=receiver.url, http=HttpConfig(), tls=TlsConfig())

    async def __call__(
        self,
        path: str = "",
        body: bytes | str = b'{"event":"e"}',
        *,
        token: str | None = PLAIN,
        method: str = "POST",
        **headers: str,
    ) -> Response:
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        if token is not None:
            given.setdefault("authorization", f"Splunk {token}")
        content = body if isinstance(body, bytes) else body.encode()
        path = path if path.startswith("/services") else f"/services/collector{path}"
        where, _, query = path.partition("?")
        params = dict(pair.split("=", 1) for pair in query.split("&")) if query else None
        return await self._client.request(method, where, headers=given, content=content, params=params)

    async def acking(self, body: bytes = b'{"event":"e"}', channel: str = GUID) -> dict[str, Any]:
        return reply(await self("", body, token=ACKING, x_splunk_request_channel=channel))

    async def acks(self, *numbers: int, channel: str = GUID) -> dict[str, bool]:
        answer = await self(f"/ack?channel={channel}", json.dumps({"acks": numbers}), token=ACKING)
        assert answer.status == 200, answer.body
        return dict(reply(answer)["acks"])

    async def close(self) -> None:
        await self._client.close()


def reply(answer: Response) -> dict[str, Any]:
    return dict(json.loads(answer.body))


@asynccontextmanager
async def calling(**more: Any) -> AsyncIterator[Caller]:
    tokens = {PLAIN: Token(indexes={"main", "audit"}), ACKING: Token(acknowledge=True), OFF: Token(disabled=True)}
    async with HecReceiver(tokens, **more) as receiver:
        caller = Caller(receiver)
        try:
            yield caller
        finally:
            await caller.close()
        assert receiver.server.failures == []


def events_of(call: Caller) -> list[bytes]:
    return [event.event for event in call.receiver.events]


# ------------------------------------------------------------------------------------------------------------ envelopes

GOOD = b'{"event":"good"}'
JUDGED: list[tuple[bytes, int | None]] = [
    (b'{"event":"x"}', None),
    (b'{"event":{"a":1}}', None),
    (b' {"event" : "x" , "time" : 1.5 } \r\n', None),
    (b'{"event":""}', 13),
    (b'{"event":"  \\n\\t "}', 13),
    (b'{"event":{}}', 13),
    (b'{"event":{ }}', 13),
    (b'{"event":[]}', 13),
    (b'{"event":null}', 12),
    (b'{"time":1}', 12),
    (b"{}", 12),
    (b'{"event":7}', 6),
    (b'{"event":true}', 6),
    (b'{"event":["x"]}', 6),
    (b'[{"event":"x"}]', 6),
    (b'"event"', 6),
    (b'{"event":"x"', 6),
    (b'{"event":"x",}', 6),
    (b'{"event":"x"},', 6),
    (b"{event:1}", 6),
    (b"{'event':'x'}", 6),
    (b'{"event":"\x01"}', 6),
    (b'{"event":"\xff"}', 6),
    (b'{"event":{"a":"\xed\xa0\x80"}}', 6),
    (b'{"event":{"a":NaN}}', 6),
    (b'{"event":{"a":-Infinity}}', 6),
    (b'{"event":{"a":1e999}}', 6),
    (b'{"event":{"a":01}}', 6),
    (b'{"event":{"a":1}},"index":"other"}', 6),
    (b'{"event":"x","event":"y"}', 6),
    (b'{"index":"main","event":"x","index":"audit"}', 6),
    (b'{"event":"x","severity":3}', 6),
    (b'{"event":"x","host":7}', 6),
    (b'{"event":"x","sourcetype":null}', 6),
    (b'{"event":"\\ud800"}', None),
    (b'{"event":"x","index":"audit"}', None),
    (b'{"event":"x","index":"secret"}', 7),
    (b'{"event":"x","time":1770000000.123}', None),
    (b'{"event":"x","time":"1770000000.123"}', None),
    (b'{"event":"x","time":1.770000000123e9}', 15),
    (b'{"event":"x","time":"1.77e9"}', 15),
    (b'{"event":"x","time":"2026-01-31"}', 15),
    (b'{"event":"x","time":-1}', 15),
    (b'{"event":"x","time":null}', 15),
    (b'{"event":"x","time":true}', 15),
    (b'{"event":"x","fields":{"a":"b","c":1,"d":true,"e":["f",1.5]}}', None),
    (b'{"event":"x","fields":{}}', None),
    (b'{"event":"x","fields":[]}', 6),
    (b'{"event":"x","fields":["a"]}', 6),
    (b'{"event":"x","fields":"a"}', 6),
    (b'{"event":"x","fields":{"a":{"b":1}}}', 15),
    (b'{"event":"x","fields":{"a":{}}}', 15),
    (b'{"event":"x","fields":{"a":null}}', 15),
    (b'{"event":"x","fields":{"a":[["b"]]}}', 15),
    (b'{"event":"x","fields":{"a":[{}]}}', 15),
    (b'{"event":"x","fields":{"a":1,"a":2}}', 15),
    (b'{"event":"x","fields":{"":1}}', 15),
]  # fmt: skip


@pytest.mark.parametrize(("envelope", "code"), JUDGED)
@pytest.mark.parametrize("between", [b"", b"\n", b" \r\n\t"])
async def test_what_comes_before_a_bad_event_is_in_already(envelope: bytes, code: int | None, between: bytes) -> None:
    async with calling() as call:
        answer = await call("/event", between.join([GOOD, GOOD, envelope, GOOD]))
        if code is None:
            assert (answer.status, reply(answer)) == (200, {"text": "Success", "code": 0})
            assert len(events_of(call)) == 4
        else:
            assert answer.status == REPLIES[code][0]
            number = 3 if code == 7 else 2
            if b"}," in envelope[:18] and code == 6:  # the object ends there, and what follows it is the bad one
                assert (reply(answer)["code"], reply(answer)["invalid-event-number"]) == (6, 3)
            else:
                assert reply(answer) == {"text": REPLIES[code][1], "code": code, "invalid-event-number": number}
                assert events_of(call) == [b'"good"'] * 2


@pytest.mark.parametrize("body", [b"", b" ", b"\n\r\n\t"])
async def test_no_data(body: bytes) -> None:
    async with calling() as call:
        for endpoint in ("/event", "/raw"):
            assert reply(await call(endpoint, body)) == {"text": "No data", "code": 5}


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_envelopes = st.fixed_dictionaries(
    {"event": st.text() | st.dictionaries(st.text(), _json, max_size=3) | _json},
    optional={
        "time": st.integers(-5, 2**40) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
        "index": st.text(max_size=3) | st.none(),
        "fields": _json,
    },
)


@given(st.lists(_envelopes, min_size=1, max_size=4), st.sampled_from(["", "\n"]), st.booleans())
def test_both_ways_to_read_come_to_the_same(envelopes: list[dict[str, Any]], between: str, escaped: bool) -> None:
    """Written plainly a body takes the fast way; with a space in it, the slow one."""
    order = ["time", "index", "event", "fields"]
    plain = [
        json.dumps({k: e[k] for k in order if k in e}, separators=(",", ":"), ensure_ascii=escaped) for e in envelopes
    ]
    try:
        one = between.join(plain).encode()
    except UnicodeEncodeError:
        return
    other = b" " + between.join(line.replace("{", "{ ", 1) for line in plain).encode()
    fast, slow = read_events(one, Rules()), read_events(other, Rules())
    assert fast[0] == slow[0]
    assert str(fast[1]) == str(slow[1])
    assert (fast[1] and fast[1].number) == (slow[1] and slow[1].number)


@given(st.binary(max_size=40), st.integers(0, 40))
def test_no_bytes_make_it_stumble(noise: bytes, place: int) -> None:
    body = b'{"time":1.5,"event":{"a":"b"},"fields":{"c":1}}\n{"event":"x"}'
    read_events(body[:place] + noise + body[place:], Rules())


async def test_an_event_over_the_limit_is_a_bad_one() -> None:
    async with calling(max_event=20) as call:
        answer = await call("", b'{"event":"0123456789"}{"event":"0123456789012345678"}')
        assert reply(answer)["code"] == 6
        assert reply(answer)["invalid-event-number"] == 1
        assert events_of(call) == [b'"0123456789"']


# ---------------------------------------------------------------------------------------------------- tokens, endpoints


@pytest.mark.parametrize(
    ("authorization", "status", "code"),
    [
        (f"Splunk {PLAIN}", 200, 0),
        ("Basic " + base64.b64encode(f"x:{PLAIN}".encode()).decode(), 200, 0),
        (None, 401, 2),
        (f"Bearer {PLAIN}", 401, 3),
        (f"splunk {PLAIN}", 401, 3),
        (PLAIN, 401, 3),
        ("Splunk", 401, 3),
        ("Basic !!!", 401, 3),
        ("Splunk wrong", 403, 4),
        (f"Splunk {OFF}", 403, 1),
    ],
)
async def test_authorization(authorization: str | None, status: int, code: int) -> None:
    async with calling() as call:
        headers = {} if authorization is None else {"authorization": authorization}
        answer = await call("/event", token=None, **headers)
        assert (answer.status, reply(answer)["code"]) == (status, code)
        assert len(events_of(call)) == (code == 0)


async def test_a_token_in_the_query_is_validated_first_and_wins_over_the_header() -> None:
    async with calling() as call:
        assert reply(await call(f"?token={PLAIN}"))["code"] == 16
        assert reply(await call("?token=wrong"))["code"] == 4
        call.receiver.state.query_token = True
        assert reply(await call(f"?token={PLAIN}", token="wrong"))["code"] == 0


async def test_endpoints() -> None:
    async with calling() as call:
        for path in ("", "/event", "/event/1.0"):
            assert (await call(path)).status == 200
        assert (await call("/raw", b"one\n\ntwo\n")).status == 200
        assert events_of(call)[-2:] == [b"one", b"two"]
        assert (await call("/event", method="GET")).status == 405
        answer = await call("/services/other")
        assert (answer.status, reply(answer)["code"]) == (404, 404)


async def test_raw_takes_its_metadata_from_the_query() -> None:
    async with calling() as call:
        assert reply(await call("/raw?index=secret", b"x"))["code"] == 7
        assert reply(await call("/raw?index=audit&host=h&source=s&sourcetype=t", b"x"))["code"] == 0
        (event,) = call.receiver.found("audit", "t")
        assert (event.host, event.source) == ("h", "s")


async def test_gzip_and_lengths() -> None:
    async with calling(max_content=60) as call:
        assert (await call("", gzip.compress(GOOD), content_encoding="gzip")).status == 200
        assert call.receiver.compressed_requests == 1
        assert reply(await call("", b"\x1f\x8b no", content_encoding="gzip"))["code"] == 6
        assert (await call("", GOOD, content_encoding="br")).status == 415
        for body, headers in ((GOOD * 4, {}), (gzip.compress(GOOD * 4), {"content_encoding": "gzip"})):
            answer = await call("", body, **headers)
            assert answer.status == 413
            assert answer.body.startswith(b"<!doctype html>")
        assert events_of(call) == [b'"good"']


# ----------------------------------------------------------------------------------------------------- every reply code


BODIES = {
    5: b"",
    6: b"{",
    7: b'{"event":"x","index":"no"}',
    12: b"{}",
    13: b'{"event":""}',
    15: b'{"event":"x","time":"t"}',
}
ASKED: dict[int, dict[str, Any]] = {
    0: {},
    1: {"token": OFF},
    2: {"token": None},
    3: {"token": None, "authorization": "Bearer x"},
    4: {"token": "none"},
    8: {},
    9: {},
    10: {"token": ACKING},
    11: {"token": ACKING, "x_splunk_request_channel": "7"},
    14: {"path": ACK, "body": b'{"acks":[0]}'},
    16: {"path": f"?token={PLAIN}"},
    **{code: {"body": body} for code, body in BODIES.items()},
    **{code: {"path": "/health?ack=true", "body": b"", "method": "GET", "token": None} for code in (17, 18, 19, 20)},
    **{code: {"path": "/health", "token": token} for code, token in ((21, "none"), (22, OFF))},
    23: {},
    24: {"body": b'{"event":"12345678"}'},
    25: {"token": ACKING, "x_splunk_request_channel": GUID},
    26: {},
    27: {"token": ACKING, "x_splunk_request_channel": GUID},
}
"""What to ask, so that each code is the answer, for some after it was asked SEVERAL times."""

SEVERAL = {25: 4, 26: 5, 27: 6}


@pytest.mark.parametrize("code", REPLIES)
async def test_every_reply_code_can_be_met(code: int) -> None:
    async with calling(at_once=False, queue_bytes=12, acks_per_channel=5) as call:
        state = call.receiver.state
        state.failing, state.stopping, state.busy = code == 8, code == 23, code == 9
        state.queues_full, state.acks_down = code in {18, 20}, code in {19, 20}
        state.backpressure = code >= 24
        for _ in range(SEVERAL.get(code, 1)):
            answer = await call(**ASKED[code])
            if code in {25, 27}:
                call.receiver.index_queued()
        assert (answer.status, reply(answer)["code"], reply(answer)["text"]) == (
            REPLIES[code][0],
            code,
            REPLIES[code][1],
        )


async def test_without_backpressure_a_full_queue_is_a_busy_server() -> None:
    async with calling(at_once=False, queue_bytes=5, acks_per_channel=1) as call:
        assert reply(await call("", b'{"event":"12345678"}'))["code"] == 0
        assert reply(await call(""))["code"] == 9
        call.receiver.index_queued()
        assert reply(await call(""))["code"] == 0
        call.receiver.index_queued()
        assert (await call.acking())["code"] == 0
        call.receiver.index_queued()
        assert (await call.acking())["code"] == 9


# -------------------------------------------------------------------------------------------------------------- acks


async def test_an_ack_is_told_once_and_only_when_indexed() -> None:
    async with calling(at_once=False) as call:
        assert [(await call.acking())["ackId"] for _ in range(3)] == [0, 1, 2]
        assert await call.acks(0, 1, 9) == {"0": False, "1": False, "9": False}
        assert call.receiver.indexed == 0
        call.receiver.index_queued(2)
        assert call.receiver.indexed == 2
        assert await call.acks(0, 2) == {"0": True, "2": False}
        assert await call.acks(0, 1) == {"0": False, "1": True}


async def test_channels_have_numbers_of_their_own_and_a_bad_request_gets_none() -> None:
    other = str(uuid.uuid4())
    async with calling() as call:
        assert (await call.acking())["ackId"] == 0
        assert "ackId" not in await call.acking(b"{")
        assert (await call.acking(channel=other))["ackId"] == 0
        assert (await call.acking(channel=GUID.upper()))["ackId"] == 1
        assert await call.acks(1, channel=other) == {"1": False}


@pytest.mark.parametrize("body", [b"", b"{}", b"[0]", b'{"acks":["0"]}', b'{"acks":0}', b'{"acks":[0],"x":1}'])
async def test_a_malformed_question_for_acks(body: bytes) -> None:
    async with calling() as call:
        assert reply(await call(ACK, body, token=ACKING))["code"] == 6


async def test_a_restart_loses_channels_and_what_was_not_indexed() -> None:
    async with calling(at_once=False) as call:
        await call.acking()
        call.receiver.index_queued()
        await call.acking(b'{"event":"lost"}')
        await call.receiver.restart()
        assert await call.acks(0) == {"0": False}
        assert (await call.acking())["ackId"] == 0, "it counts from 0 again"
        call.receiver.index_queued()
        assert events_of(call) == [b'"e"', b'"e"']


async def test_an_idle_channel_is_cleaned_up() -> None:
    now = 0.0
    async with calling(now=lambda: now, max_idle=600.0) as call:
        await call.acking()
        now = 600.0
        assert (await call.acking())["ackId"] == 1
        now = 1201.0
        assert await call.acks(0) == {"0": False}
        assert (await call.acking())["ackId"] == 0


async def test_acks_belong_to_one_indexer_and_a_cookie_leads_to_it() -> None:
    async with calling(indexers=2) as call:
        first = await call("", token=ACKING, x_splunk_request_channel=GUID)
        cookie = first.cookies[0].split(";")[0]
        assert first.cookies[1].startswith("other=")
        assert reply(first)["ackId"] == 0
        stranger = [await call.acks(0) for _ in range(2)]
        assert sorted(answer["0"] for answer in stranger) == [False, True]
        kept = await call("", token=ACKING, x_splunk_request_channel=GUID, cookie=cookie)
        assert reply(kept)["ackId"] == 1
        assert kept.cookies[0].split(";")[0] != cookie, "another value every time"


async def test_without_stickiness_requests_go_anywhere() -> None:
    async with calling(indexers=2, sticky=False) as call:
        first = await call("", token=ACKING, x_splunk_request_channel=GUID)
        assert first.cookies == ()
        given = [reply(first)["ackId"], *[(await call.acking())["ackId"] for _ in range(20)]]
        assert given != sorted(set(given))


async def test_a_missing_cookie_may_be_refused() -> None:
    async with calling(indexers=2) as call:
        call.receiver.state.cookie_enforced = True
        refused = await call("", token=ACKING, x_splunk_request_channel=GUID)
        assert refused.status == 400
        cookie = refused.cookies[0].split(";")[0]
        assert (await call("", token=ACKING, x_splunk_request_channel=GUID, cookie=cookie)).status == 200
        assert (await call("")).status == 200, "a token without acks needs none"


# --------------------------------------------------------------------------------------------------------------- rules


async def test_rules_are_used_up_in_their_order_and_at_their_endpoint() -> None:
    async with calling() as call:
        call.receiver.rules += [
            Rule(answer=Answer(429)),
            Rule(endpoint="ack", answer=Answer(500)),
            Rule(item=lambda event: 6 if event.event == b'"bad"' else None, number=lambda number: number + 5),
            Rule(busy_after=1),
        ]
        assert (await call("")).status == 429
        assert reply(await call("", GOOD + b'{"event":"bad"}' + GOOD))["invalid-event-number"] == 6
        assert reply(await call("", GOOD + GOOD))["code"] == 9
        assert events_of(call) == [b'"good"', b'"good"']
        assert (await call("")).status == 200
        assert (await call(ACK, token=ACKING)).status == 500


async def test_what_is_lost_is_never_acked() -> None:
    async with calling() as call:
        call.receiver.rules += [Rule(lose=True), Rule(unacked=True)]
        assert (await call.acking())["ackId"] == 0
        assert "ackId" not in await call.acking()
        call.receiver.index_queued()
        assert await call.acks(0, 1) == {"0": False, "1": True}
        assert call.receiver.indexed == 1


async def test_without_bodies_the_ids_are_counted() -> None:
    async with calling(keep=False) as call:
        await call("", b'{"event":"x","fields":{"event_id":"a"}}' * 2 + GOOD)
        assert call.receiver.events == []
        assert (call.receiver.indexed, dict(call.receiver.ids)) == (3, {"a": 2})


def test_an_event_says_where_it_went() -> None:
    events, refused = read_events(
        b'{"time":1.50,"host":"h","source":"s","sourcetype":"t","index":"i","event":{"a": 1}}', Rules()
    )
    assert refused is None
    assert events == [Event(b'{"a": 1}', "1.50", "h", "s", "t", "i")]
