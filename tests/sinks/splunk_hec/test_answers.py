"""The table of Splunk's reply codes, row by row, and what is no reply of Splunk."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.contracts import AuthFailed, ForwarderError, Held, PayloadTooLarge, Retryable
from forwarder.net.http import Response
from simulator.receivers.hec_replies import REPLIES
from sinks.splunk_hec.answers import ANSWERS, SLOW_DOWN, interpret, parse_acks

NOW = 1_790_000_000.0


def answer(status: int, body: Any, **headers: str) -> Response:
    given_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, given_headers, body if isinstance(body, bytes) else json.dumps(body).encode())


def reply(code: int, status: int | None = None, **more: Any) -> Response:
    return answer(ANSWERS[code].status if status is None else status, {"text": "Words", "code": code, **more})


def test_there_is_a_row_for_every_code_with_the_status_of_the_documentation() -> None:
    assert {code: fate.status for code, fate in ANSWERS.items()} == {
        code: status for code, (status, _) in REPLIES.items()
    }


TAKEN = {0, 24, 25}
ISOLATING = {6: "invalid_format", 12: "no_event", 13: "blank", 15: "invalid_fields"}
RAISING: dict[int, tuple[type[ForwarderError], Any]] = {
    **dict.fromkeys([1, 4, 21, 22], (AuthFailed, "forbidden")),
    **dict.fromkeys([2, 3], (AuthFailed, "auth")),
    **dict.fromkeys([5, 10, 16], (Held, "bad_request")),
    11: (Held, "other"),
    14: (Held, "setup_missing"),
    **dict.fromkeys([8, 9, 18, 19, 20, 23], (Retryable, True)),
    **dict.fromkeys([26, 27], (Retryable, False)),
    17: (Retryable, True),
}


@pytest.mark.parametrize("code", ANSWERS)
def test_each_code(code: int) -> None:
    if code in RAISING:
        type_, kind = RAISING[code]
        with pytest.raises(type_) as caught:
            interpret(reply(code), NOW)
        assert type(caught.value) is type_
        if isinstance(caught.value, Retryable):
            assert caught.value.sent is kind
        else:
            assert isinstance(caught.value, Held)
            assert caught.value.kind == kind
            assert caught.value.fix
        return
    found = interpret(reply(code, **{"ackId": 7, "invalid-event-number": 3}), NOW)
    assert (found.ack, found.number) == (7, 3)
    assert found.fate.verdict == (
        "slow" if code in {24, 25} else "taken" if code in TAKEN else "index" if code == 7 else "isolate"
    )
    assert found.retry_after == (SLOW_DOWN if code in {24, 25} else None)
    assert found.words == f"Words, code {code}"
    if code in ISOLATING:
        assert found.fate.meaning == ISOLATING[code]


def test_a_wish_for_a_pause_is_heard() -> None:
    assert interpret(answer(200, {"code": 24}, retry_after="17"), NOW).retry_after == 17
    assert interpret(answer(200, {"code": 0}, retry_after="17"), NOW).retry_after is None
    for code in (9, 26, 27):
        with pytest.raises(Retryable) as caught:
            interpret(answer(ANSWERS[code].status, {"code": code}, retry_after="17"), NOW)
        assert caught.value.retry_after == 17


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (301, Held, "redirect"),
        (400, Held, "bad_request"),
        (401, AuthFailed, "auth"),
        (403, AuthFailed, "forbidden"),
        (404, Held, "not_found"),
        (405, Held, "unexpected_status"),
        (408, Retryable, "timeout"),
        (413, PayloadTooLarge, None),
        (415, Held, "unexpected_status"),
        (418, Held, "unexpected_status"),
        (425, Retryable, "server_error"),
        (429, Retryable, "rate_limited"),
        (500, Retryable, "server_error"),
        (502, Retryable, "server_error"),
        (503, Retryable, "server_error"),
        (504, Retryable, "server_error"),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        b"<html>a page</html>",
        b"",
        b"{}",
        b'{"text":"not found","code":404}',
        b'{"text":"x","code":0}',
        b'{"code":true}',
    ],
)
def test_the_status_alone_decides_where_no_code_fits_it(
    status: int, error: type[ForwarderError], kind: str | None, body: bytes
) -> None:
    if status == 403 and body.startswith(b"<"):
        error = Held  # a firewall wrote it, and not the collector
    with pytest.raises(error) as caught:
        interpret(answer(status, body), NOW)
    assert type(caught.value) is error
    assert getattr(caught.value, "kind", None) == kind
    if isinstance(caught.value, Retryable):
        assert caught.value.sent is (status not in {425, 429})


@pytest.mark.parametrize(
    ("status", "meant", "fix"),
    [
        (401, "token", "token"),
        (403, "firewall or proxy", "credential"),
        (404, "no collector at this address", "url"),
        (405, "no collector at this address", "url"),
        (415, "gzip", "compress: false"),
        (418, "418", "url"),
    ],
)
def test_a_status_without_a_code_says_what_is_wrong_and_what_to_change(status: int, meant: str, fix: str) -> None:
    with pytest.raises(Held) as caught:
        interpret(answer(status, {}), NOW)
    assert meant in caught.value.reason
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<!doctype html><title>Log in</title>", "login_page"),
        (b"", "not_json"),
        (b"ok", "not_json"),
        (b"{}", "not_json"),
        (b'{"text":"Success"}', "not_json"),
        (b'{"text":"Success","code":"0"}', "not_json"),
        (b'{"text":"Success","code":0', "not_json"),
        (b'[{"code":0}]', "not_json"),
        (b'{"text":"Success","code":0,"ackId":"7"}', "not_json"),
        (b'{"code":6}', "not_json"),
        (b'{"code":17}', "not_json"),
        (b'{"code":99}', "not_json"),
    ],
)
def test_a_200_that_is_no_success_is_none(body: bytes, kind: str) -> None:
    with pytest.raises(Retryable) as caught:
        interpret(answer(200, body), NOW)
    assert (caught.value.kind, caught.value.sent) == (kind, True)


def test_the_words_of_the_server_are_made_harmless() -> None:
    words = interpret(answer(400, {"code": 6, "text": "a\x1b[31m\r\n\u202e" + "x" * 5000}), NOW).words
    assert len(words) <= 200
    assert words.isprintable()


@given(
    st.integers(100, 599),
    st.one_of(
        st.binary(max_size=30),
        st.fixed_dictionaries(
            {"code": st.integers(-1, 30) | st.none() | st.text(max_size=2)},
            optional={
                "ackId": st.integers() | st.none(),
                "invalid-event-number": st.integers() | st.text(),
                "text": st.text(),
            },
        ),
    ),
)
def test_nothing_is_taken_but_by_a_success(status: int, body: Any) -> None:
    response = answer(status, body)
    try:
        found = interpret(response, NOW)
    except (Retryable, Held, PayloadTooLarge):
        return
    assert isinstance(body, dict)
    if found.fate.verdict in {"taken", "slow"}:
        assert status == 200
        assert body["code"] in TAKEN
    else:
        assert status == 400
        assert body["code"] in {*ISOLATING, 7}


# ---------------------------------------------------------------------------------------------------------------- acks


def test_what_is_told_of_acks() -> None:
    assert parse_acks(answer(200, {"acks": {"0": True, "1": False}}), NOW) == {"0": True, "1": False}


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b'{"acks":{"0":1}}', b'{"acks":{"0":"true"}}', b'{"acks":[true]}', b'{"acks":{"0":true}'],
)
def test_what_tells_nothing_of_acks_is_unknown(body: bytes) -> None:
    with pytest.raises(Retryable):
        parse_acks(answer(200, body), NOW)


@pytest.mark.parametrize("code", [code for code, fate in ANSWERS.items() if fate.status != 200])
def test_a_refused_question_for_acks_tells_nothing(code: int) -> None:
    with pytest.raises(Held if ANSWERS[code].status < 404 else Retryable):
        parse_acks(reply(code, acks={"0": True}), NOW)


@pytest.mark.parametrize(
    ("status", "kind"), [(299, "not_json"), (300, "redirect"), (399, "redirect"), (499, None), (500, "server_error")]
)
def test_where_successes_redirects_and_refusals_end(status: int, kind: str | None) -> None:
    with pytest.raises(Retryable if kind in {"not_json", "server_error"} else Held) as caught:
        interpret(answer(status, b"x"), NOW)
    assert getattr(caught.value, "kind", None) == (kind or "unexpected_status")


@pytest.mark.parametrize("code", [6, 99])
def test_a_refusal_with_a_code_that_is_not_in_the_table_may_be_a_firewall_s(code: int) -> None:
    """Another status than that of the code: the status decides, and who wrote it does not matter but for a 403."""
    with pytest.raises(Held) as caught:
        interpret(answer(403, {"text": "x", "code": code}), NOW)
    assert caught.value.suspect is (code == 99)


@pytest.mark.parametrize("code", [code for code, (type_, _) in RAISING.items() if issubclass(type_, Held)])
def test_what_the_collector_itself_says_of_token_and_request_is_of_no_event(code: int) -> None:
    with pytest.raises(Held) as caught:
        interpret(reply(code), NOW)
    assert not caught.value.suspect


@pytest.mark.parametrize(("status", "suspect"), [(401, False), (415, False), (404, True), (405, True), (418, True)])
def test_what_somebody_else_says_may_be_of_an_event_where_that_can_be(status: int, suspect: bool) -> None:
    with pytest.raises(Held) as caught:
        interpret(answer(status, b"x"), NOW)
    assert caught.value.suspect is suspect
