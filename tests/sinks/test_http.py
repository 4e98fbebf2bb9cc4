"""The http sink on a strict endpoint: what each answer means, which event is at fault, and what is in a request."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from forwarder.contracts import (
    AuthFailed,
    ConfigError,
    ContentRefused,
    Delivery,
    Held,
    PayloadTooLarge,
    Rejection,
    Retryable,
)
from forwarder.formats.raw import RawFormat
from forwarder.testing.far_end import context
from forwarder.testing.lanes import batch_of, bench, event
from simulator.http_types import Response, Wire
from simulator.receivers.http_lines import HttpLinesReceiver
from simulator.receivers.rules import Refused, Rule
from sinks.http import HttpSink
from tests.choking import in_doubt, letters_of
from tests.examples import examples

TOKEN = "made-up-t0ken"


@asynccontextmanager
async def delivering(
    receiver: dict[str, Any] | None = None, **more: Any
) -> AsyncIterator[tuple[HttpSink, HttpLinesReceiver]]:
    async with HttpLinesReceiver(**(receiver or {})) as end:
        sink = HttpSink(HttpSink.Config(**{"url": end.url, **more}), context("any"))
        try:
            yield sink, end
        finally:
            await sink.close()
        assert end.server.failures == []


def bodies(count: int) -> list[bytes]:
    return [b'{"n":%d}' % n for n in range(count)]


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("body", ["ndjson", "array"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_batch_is_one_request(compress: bool, body: str, method: str) -> None:
    async with delivering({"body": body}, body=body, compress=compress, method=method) as (sink, end):
        sent = batch_of(*bodies(50))
        assert await sink.send(sent) == Delivery.all_accepted(sent)
        assert [json.loads(line) for line in end.taken] == [{"n": n} for n in range(50)]
        assert end.server.requests == 1


async def test_an_empty_batch_asks_nobody() -> None:
    async with delivering() as (sink, end):
        assert not list((await sink.send(batch_of())).accepted)
        assert end.server.requests == 0


@pytest.mark.parametrize(
    ("more", "header", "value"),
    [
        ({"token": TOKEN}, "authorization", f"Bearer {TOKEN}"),
        ({"token": TOKEN, "headers": {"DD-API-KEY": "{token}"}}, "dd-api-key", TOKEN),
        (
            {"token": "a", "second_token": "b", "headers": {"One": "{token}", "Two": "x {second_token}"}},
            "two",
            "x b",
        ),
        ({"username": "u", "password": TOKEN}, "authorization", "Basic dTptYWRlLXVwLXQwa2Vu"),
        ({"headers": {"X-Source": "atlassian"}}, "x-source", "atlassian"),
    ],
)
async def test_a_secret_stands_in_the_header_that_names_it(more: dict[str, Any], header: str, value: str) -> None:
    async with delivering({"require": {header: value}}, **more) as (sink, end):
        await sink.send(batch_of(b"{}"))
        assert len(end.taken) == 1


@pytest.mark.parametrize(
    "more",
    [
        {"headers": {"Bad Name": "x"}},
        {"headers": {"X": "line\nbreak"}},
        {"headers": {"X": "{password}"}},
        {"headers": {"X": "{token}"}},
        {"headers": {"Content-Type": "text/plain"}},
        {"token": "a", "headers": {"Authorization": "x"}},
        {"token": "a", "username": "u", "password": "p"},
        {"username": "u"},
        {"second_token": "a"},
        {"reject_on": [500]},
        {"reject_on": [429]},
        {"reject_on": [400, 401]},
    ],
)
def test_what_cannot_be_meant_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HttpSink.Config(url="https://siem.example/", **more)


def test_an_array_of_what_is_no_json_is_refused() -> None:
    with pytest.raises(ConfigError, match="array"):
        HttpSink(HttpSink.Config(url="https://siem.example/", body="array", format="cef"), context("any", render="cef"))
    HttpSink(HttpSink.Config(url="https://siem.example/", body="array", format="ocsf"), context("any", render="ocsf"))


@pytest.mark.parametrize("url", ["http://siem.example/in", "ftp://siem.example/", "siem.example"])
def test_an_address_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        HttpSink(HttpSink.Config(url=url), context("any"))


@pytest.mark.parametrize(("template", "path"), [("/v1/{token}", "/v1/a/b?c=d"), ("/v1?key={token}", "/v1")])
async def test_a_key_that_is_part_of_the_address_is_seen_by_the_server_alone(template: str, path: str) -> None:
    async with HttpLinesReceiver(path=path) as end:
        url = end.url.removesuffix(path) + template
        sink = HttpSink(HttpSink.Config(url=url, token="a/b?c=d"), context("any"))
        await sink.send(batch_of(b"{}"))
        await sink.close()
        assert end.taken == [b"{}"]
        assert "a/b" not in sink.target
        assert "a%2Fb" not in sink.target


@pytest.mark.parametrize(
    "url", ["https://user:hunter2/in", "https://[::1/in", "https://h:99999/in", "https://h/?a=\x01"]
)
def test_what_is_no_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        HttpSink(HttpSink.Config(url=url), context("any"))
    assert "hunter2" not in str(caught.value)


def test_a_key_in_the_query_is_not_in_the_target() -> None:
    sink = HttpSink(HttpSink.Config(url=f"https://siem.example:8443/in?key={TOKEN}"), context("any"))
    assert sink.target == "http:siem.example:8443/in"


@pytest.mark.parametrize(
    ("answer", "error", "sent"),
    [
        (Response(301, {"location": "https://elsewhere.example/"}), Held, None),
        (Response(401), AuthFailed, None),
        (Response(403), AuthFailed, None),
        (Response(404), Held, None),
        (Response(405), Held, None),
        (Response(409), Held, None),
        (Response(413), PayloadTooLarge, None),
        (Response(415), Held, None),
        (Response(429, {"retry-after": "7"}), Retryable, False),
        (Response(500), Retryable, True),
        (Response(503), Retryable, True),
        (Response(200, {"content-type": "text/html; charset=utf-8"}, b"<title>Log in</title>"), Retryable, True),
        (Response(204, misbehave=Wire(stop_at=-1, ending="reset")), Retryable, True),
    ],
)
async def test_an_answer_that_is_no_success_accepts_nothing(
    answer: Response, error: type[Exception], sent: bool | None
) -> None:
    async with delivering() as (sink, end):
        end.rules.append(Rule(answer=answer))
        with pytest.raises(error) as caught:
            await sink.send(batch_of(*bodies(3)))
        if sent is not None:
            assert caught.value.sent is sent  # type: ignore[attr-defined]
        if isinstance(caught.value, Held):
            assert caught.value.fix


async def test_a_wish_for_a_pause_is_passed_on() -> None:
    async with delivering() as (sink, end):
        end.rules.append(Rule(answer=Response(429, {"retry-after": "7"})))
        with pytest.raises(Retryable) as caught:
            await sink.send(batch_of(b"{}"))
        assert caught.value.retry_after == 7


@pytest.mark.parametrize("success", [200, 201, 202, 204])
async def test_any_success_is_success(success: int) -> None:
    async with delivering() as (sink, end):
        end.rules.append(Rule(answer=Response(success)))
        assert await sink.send(batch_of(b"{}")) == Delivery.all_accepted(batch_of(b"{}"))


def _refusing(*numbers: int) -> Rule:
    bad = {b'{"n":%d}' % number for number in numbers}
    return Rule(times=None, item=lambda _, body: Refused("bad", "not \x1b[31mthis\n", 422) if body in bad else None)


@pytest.mark.parametrize("count", [1, 50])
async def test_a_refusal_for_the_content_is_given_to_the_lane_with_its_words(count: int) -> None:
    async with delivering() as (sink, end):
        end.rules.append(_refusing(0))
        with pytest.raises(ContentRefused) as caught:
            await sink.send(batch_of(*bodies(count)))
        assert caught.value.reason == "http_422"
        assert caught.value.detail.isprintable()
        assert "this" in caught.value.detail
        assert caught.value.sent is (count > 1), "of several, those before the one at fault may have been taken"
        assert end.server.requests == 1


@pytest.mark.parametrize("size", [1, 10, 50])
async def test_behind_the_lane_only_what_is_at_fault_is_refused(size: int, tmp_path: Path) -> None:
    async with delivering() as (sink, end), bench(tmp_path) as b:
        bad = {"e0", "e13", "e48"}
        refused = Refused("bad", "not this", 422)
        end.rules.append(Rule(times=None, item=lambda _, body: refused if json.loads(body)["id"] in bad else None))
        b.start("one", sink, window=1, batch={"events": size, "wait": 0.01})
        await b.fill(*(event(f"e{n}") for n in range(50)))
        await b.drained("one")
        assert await letters_of(b) == dict.fromkeys(bad, "http_422")
        landed = Counter(json.loads(line)["id"] for line in end.taken)
        assert set(landed) == {f"e{n}" for n in range(50)} - bad
        assert {name for name, times in landed.items() if times > 1} <= await in_doubt(b)


async def test_a_line_end_in_an_event_forges_nothing() -> None:
    async with delivering() as (sink, end):
        delivery = await sink.send(batch_of(b"{}", b"{}\n{}", b""))
        assert dict(delivery.rejected).keys() == {1, 2}
        assert delivery.rejected[1] == Rejection("line_break", "the rendered event is empty or contains a line end")
        assert end.taken == [b"{}"]


async def test_a_secret_file_that_is_gone_holds(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one")
    async with delivering({"require": {"authorization": "Bearer two"}}, token_file=str(file)) as (sink, end):
        with pytest.raises(AuthFailed):
            await sink.send(batch_of(b"{}"))
        file.unlink()
        with pytest.raises(AuthFailed, match="cannot be read"):
            await sink.send(batch_of(b"{}"))
        file.write_text("")
        with pytest.raises(AuthFailed, match="empty"):
            await sink.send(batch_of(b"{}"))
        file.write_text("two")
        await sink.send(batch_of(b"{}"))
        assert len(end.taken) == 1


async def test_a_probe_sends_no_event_and_tells_a_refusal() -> None:
    async with delivering({"require": {"authorization": "Bearer right"}}, token="wrong") as (sink, end):
        (finding,) = await sink.probe()
        assert finding.ok  # the endpoint refuses the method before it looks at the credential
        assert end.taken == []


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize("body", ["ndjson", "array"])
@settings(max_examples=examples(30), suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(events=st.lists(st.dictionaries(st.text(), _json, max_size=5), min_size=1, max_size=10), indent=st.booleans())
async def test_whatever_is_in_the_events_they_arrive_one_by_one(
    body: str, events: list[dict[str, Any]], indent: bool
) -> None:
    raw = [
        json.dumps(event, indent=1 if indent else None, ensure_ascii=indent).encode("utf-8", "surrogatepass")
        for event in events
    ]
    batch = batch_of(*raw)
    rendered = RawFormat().render(batch.records)
    sound = [(event, line) for event, line in zip(events, rendered, strict=True) if isinstance(line, bytes)]
    async with delivering({"body": body}, body=body) as (sink, end):
        await sink.send(batch_of(*(line for _, line in sound)))
        assert [json.loads(line) for line in end.taken] == [json.loads(line) for _, line in sound]
        assert len(end.taken) == len(sound)


async def test_a_refusal_that_is_a_web_page_buries_no_event() -> None:
    async with delivering() as (sink, end):
        page = b"<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>"
        end.rules.append(Rule(times=None, answer=Response(400, {"content-type": "text/html"}, page)))
        with pytest.raises(Held, match="400"):
            await sink.send(batch_of(b"{}"))
