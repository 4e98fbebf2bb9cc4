"""What an answer of Elasticsearch or OpenSearch decides, event by event and for a request as a whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forwarder.contracts import AuthFailed, Delivery, ForwarderError, Held, PayloadTooLarge, Rejection, Retryable
from forwarder.net.http import Response
from sinks.elasticsearch.answers import read, refusal

NOW = 1_790_000_000.0


def item(status: int, type_: str | None = None, **more: Any) -> dict[str, Any]:
    error = {} if type_ is None else {"error": {"type": type_, "reason": "its words"}}
    return {"create": {"status": status, **error, **more}}


def bulk(*items: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(200, headers or {}, json.dumps({"errors": True, "items": items}).encode())


def found(*items: dict[str, Any], headers: dict[str, str] | None = None) -> Delivery:
    return read(bulk(*items, headers=headers), range(5, 5 + len(items)), NOW)


OK = item(201)
BUSY = item(429, "es_rejected_execution_exception")
BAD = item(400, "mapper_parsing_exception")


# ---------------------------------------------------------------------------------------------------- event by event


def test_the_answer_of_most_days_is_known_to_the_byte() -> None:
    body = b'{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}}]}'
    assert read(Response(200, {}, body), range(2), NOW) == Delivery(accepted=range(2))
    assert read(Response(200, {}, body.replace(b'{"status"', b'{ "status"')), range(2), NOW).accepted == range(2)
    with pytest.raises(Retryable):
        read(Response(200, {}, body), range(3), NOW)


@pytest.mark.parametrize("events", [1, 3])
def test_an_answer_may_hold_ten_thousand_values_and_four_hundred_for_each_event(events: int) -> None:
    """An error quotes a field of the event, whose commas count as well."""
    short = bulk(*[item(201)] * events).body[:-1] + b',"x":"'
    room = 10_000 + 400 * events - 1 - sum(short.count(sign) for sign in (b",", b"[", b"{"))
    most = short + b"," * room + b'"}'
    assert len(read(Response(200, {}, most), range(events), NOW).accepted) == events
    with pytest.raises(Retryable, match="far more") as raised:
        read(Response(200, {}, most.replace(b',"}', b',,"}')), range(events), NOW)
    assert (raised.value.kind, raised.value.sent) == ("too_large", True)


def test_places_are_those_of_the_batch_and_each_outcome_is_its_own() -> None:
    made = found(OK, BAD, item(409), BUSY, item(200))
    assert list(made.accepted) == [5, 7, 9]
    assert made.rejected == {6: Rejection("mapping_conflict", "mapper_parsing_exception: its words")}
    assert list(made.kept) == [8]
    assert (made.duplicates, made.doubtful, made.suspect, made.retry_after) == (1, False, False, None)
    assert made.reason == "the server is busy (429 es_rejected_execution_exception)"


def test_what_is_all_taken_is_said_without_any_reason() -> None:
    made = found(OK, item(409), item(409))
    assert (list(made.accepted), made.duplicates, made.reason, made.kept) == ([5, 6, 7], 2, "", ())


@pytest.mark.parametrize(
    ("status", "doubtful", "suspect"), [(429, False, False), (500, True, True), (503, True, True), (599, True, True)]
)
def test_a_busy_server_keeps_and_only_what_it_may_have_taken_is_in_doubt(
    status: int, doubtful: bool, suspect: bool
) -> None:
    for items in ((item(status, "x"),), (OK, item(status, "x")), (item(status, "x"), OK)):
        made = found(*items)
        assert len(made.kept) == 1
        assert (made.doubtful, made.suspect) == (doubtful, suspect)


def test_one_doubtful_or_busy_event_among_others_decides_for_all_that_is_kept() -> None:
    made = found(item(503, "x"), BUSY, item(503, "x"), OK)
    assert (made.doubtful, made.suspect) == (True, False)
    made = found(BUSY, item(503, "x"), BUSY)
    assert (made.doubtful, made.suspect) == (True, False)


def test_a_wish_for_a_pause_is_heard_only_when_something_is_kept() -> None:
    wish = {"retry-after": "7"}
    assert found(OK, BUSY, headers=wish).retry_after == 7
    assert found(OK, BAD, headers=wish).retry_after is None


def test_a_document_in_the_failure_store_is_a_dead_letter_and_one_that_is_not_is_taken() -> None:
    made = found(item(201, failure_store="used"), item(201, failure_store="not_applicable_or_unknown"))
    assert list(made.accepted) == [6]
    assert set(made.rejected) == {5}
    assert made.rejected[5].reason == "failure_store"


@pytest.mark.parametrize(
    ("status", "type_", "reason"),
    [
        (400, "mapper_parsing_exception", "mapping_conflict"),
        (400, "document_parsing_exception", "mapping_conflict"),
        (400, "strict_dynamic_mapping_exception", "mapping_conflict"),
        (400, "illegal_argument_exception", "illegal_argument"),
        (413, "x", "too_large"),
        (400, "x", "refused"),
        (418, None, "refused"),
        (499, "x", "refused"),
    ],
)
def test_what_is_of_the_event_is_rejected_with_the_word_for_it(status: int, type_: str | None, reason: str) -> None:
    assert found(item(status, type_)).rejected[5].reason == reason


@pytest.mark.parametrize(
    ("status", "type_", "error", "kind"),
    [
        (404, "index_not_found_exception", Held, "setup_missing"),
        (404, "x", Held, "setup_missing"),
        (400, "index_closed_exception", Held, "forbidden"),
        (403, "cluster_block_exception", Held, "disk_full"),
        (403, "security_exception", AuthFailed, "forbidden"),
        (403, "x", AuthFailed, "forbidden"),
        (401, "x", AuthFailed, "auth"),
        (401, "mapper_parsing_exception", AuthFailed, "auth"),
    ],
)
def test_what_is_of_the_index_holds_and_beside_anything_decided_it_is_only_said(
    status: int, type_: str, error: type[Held], kind: str
) -> None:
    bad = item(status, type_)
    for items in ((bad,), (BUSY, bad), (bad, BUSY)):
        with pytest.raises(error) as caught:
            found(*items)
        assert type(caught.value) is error
        assert caught.value.kind == kind
        assert caught.value.fix
    for decided in (OK, BAD, item(409)):
        for items in ((decided, bad), (bad, decided), (decided, BUSY, bad)):
            made = found(*items)
            assert made.reason == f"{caught.value.reason} {caught.value.fix}"
            assert len(made.kept) == len(items) - 1
            assert not made.doubtful


def test_the_first_that_holds_is_the_one_that_is_said() -> None:
    made = found(OK, item(401), item(404))
    assert made.reason.startswith("The credential is refused.")


def test_a_cause_is_quoted_behind_what_it_caused() -> None:
    def words(**error: Any) -> str:
        return found({"create": {"status": 400, "error": error}}).rejected[5].detail

    assert words(type="t", reason="r", caused_by={"reason": "c"}) == "t: r; c"
    assert words(type="t", reason=None) == "t: "
    assert words(reason="r") == "r"
    assert words(type="t", reason="r", caused_by={"type": "c"}) == "t: r"
    assert len(words(type="t", reason="word " * 100)) <= 300
    assert len(words(type="t", reason="x" * 1000)) == 300
    assert len(words(type="t", reason="word " * 100)) > 200


# ------------------------------------------------------------------------------------------ an answer that is none


@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_answer_for_another_number_of_events_decides_nothing(count: int) -> None:
    with pytest.raises(Retryable) as caught:
        read(bulk(*[OK] * count), range(2), NOW)
    assert f"speaks of {count} events, 2 were sent" in str(caught.value)
    assert (caught.value.kind, caught.value.sent) == ("not_json", True)
    assert "url" in caught.value.fix


@pytest.mark.parametrize("events", [1, 4])
def test_an_answer_with_far_more_than_it_should_hold_is_not_read(events: int) -> None:
    """Values are counted by commas and openings, so that nothing large is built of it."""

    def answer(commas: int) -> Response:
        words = "," * commas
        error = {"type": "mapper_parsing_exception", "reason": words}
        items = [*[OK] * (events - 1), {"create": {"status": 400, "error": error}}]
        return bulk(*items)

    most = 10_000 + 400 * events
    assert set(read(answer(most - 1000), range(events), NOW).rejected) == {events - 1}
    with pytest.raises(Retryable) as caught:
        read(answer(most + 1), range(events), NOW)
    assert (caught.value.kind, caught.value.sent) == ("too_large", True)


@pytest.mark.parametrize("body", [b"", b"{}", b"ok", b'{"errors":false}', b'{"errors":false,"items":[{"create":{}}]}'])
def test_a_success_that_says_nothing_of_events_may_have_taken_them(body: bytes) -> None:
    with pytest.raises(Retryable) as caught:
        read(Response(200, {}, body), range(1), NOW)
    assert (caught.value.kind, caught.value.sent) == ("not_json", True)
    assert "not that of _bulk" in str(caught.value)


# -------------------------------------------------------------------------------------------------- a request refused


def refused(status: int, body: Any = None, **headers: str) -> ForwarderError:
    raw = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    return refusal(Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw), NOW)


@pytest.mark.parametrize(
    ("status", "kind", "sent"),
    [
        (408, "timeout", True),
        (425, "server_error", True),
        (429, "rate_limited", False),
        (500, "server_error", True),
        (502, "server_error", True),
        (599, "server_error", True),
    ],
)
def test_what_passes_is_tried_again_when_it_is_wished(status: int, kind: str, sent: bool) -> None:
    error = refused(status, {"error": {"type": "t", "reason": "r"}}, retry_after="9")
    assert type(error) is Retryable
    assert (error.kind, error.sent, error.retry_after) == (kind, sent, 9)
    assert str(error) == f"the server answers {status} (t: r)"
    assert str(refused(status)) == f"the server answers {status} ({{}})"
    assert str(refused(status, b"")) == f"the server answers {status}"


@pytest.mark.parametrize("status", [200, 202, 299])
def test_a_success_in_an_unknown_form_is_no_refusal(status: int) -> None:
    error = refused(status, b"")
    assert type(error) is Retryable
    assert (error.kind, error.sent) == ("not_json", True)


def test_a_size_that_is_refused_is_halved() -> None:
    assert type(refused(413)) is PayloadTooLarge


@pytest.mark.parametrize(
    ("status", "error", "type_", "kind", "suspect"),
    [
        (300, None, Held, "redirect", True),
        (302, None, Held, "redirect", True),
        (399, None, Held, "redirect", True),
        (400, {"type": "x", "reason": "r"}, Held, "bad_request", True),
        (400, {"type": "illegal_argument_exception", "reason": "r"}, Held, "bad_request", False),
        (401, None, AuthFailed, "auth", False),
        (401, {"type": "index_closed_exception"}, AuthFailed, "auth", False),
        (403, {"type": "security_exception", "reason": "r"}, AuthFailed, "forbidden", False),
        (403, {"type": "x", "reason": "r"}, AuthFailed, "forbidden", False),
        (403, {"type": "cluster_block_exception", "reason": "r"}, Held, "disk_full", False),
        (404, {"type": "index_not_found_exception", "reason": "r"}, Held, "setup_missing", False),
        (404, "no handler", Held, "not_found", True),
        (405, "wrong method", Held, "unexpected_status", True),
        (415, "gzip", Held, "unexpected_status", False),
        (418, None, Held, "unexpected_status", True),
    ],
)
def test_what_a_person_must_fix_holds(status: int, error: Any, type_: type[Held], kind: str, suspect: bool) -> None:
    made = refused(status, {"error": error} if error is not None else {})
    assert type(made) is type_
    assert isinstance(made, Held)
    assert (made.kind, made.suspect) == (kind, suspect)
    assert made.fix
    if isinstance(error, str):
        assert f"({error})" in made.reason


def test_a_refusal_that_a_firewall_wrote_is_told_as_its() -> None:
    page = b"<html><title>Request rejected</title>"
    assert "Something before the server" in str(refused(403, page))
    assert "a firewall or proxy before it" in str(refused(403, b"no entry"))
    assert "Something before the server" in str(refused(400, page))


def test_an_error_with_a_type_and_no_reason_is_quoted_by_its_type() -> None:
    assert str(refused(500, {"error": {"type": "t"}})) == "the server answers 500 (t: )"
    assert str(refused(500, {"error": "words"})) == "the server answers 500 (words)"
