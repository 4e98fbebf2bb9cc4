"""What an error of a sink makes its lane do: the doubt, the wait, and whether an event may be at fault."""

from __future__ import annotations

import pytest

from forwarder.contracts import AuthFailed, ContentRefused, Held, Origin, Record, Rejection, Retryable
from forwarder.contracts.errors import fix_of
from forwarder.delivery.undelivered import AUTH_RETRY, Undelivered

ORIGIN = Origin("acme", "organization", "org-1")


def records(count: int) -> list[Record]:
    return [Record(seq=seq, origin=ORIGIN, id=f"id{seq}", raw=b"{}", body=b"{}") for seq in range(1, count + 1)]


@pytest.mark.parametrize("sent", [False, True])
@pytest.mark.parametrize("after", [None, 7.0])
def test_what_may_pass_by_itself_waits_at_least_as_long_as_it_was_asked(sent: bool, after: float | None) -> None:
    error = Retryable("busy", kind="server_error", sent=sent, retry_after=after)
    made = Undelivered.from_error(records(2), error)
    assert (made.left, made.kind, made.reason, made.fix) == (records(2), "server_error", "busy", fix_of("server_error"))
    assert (made.floor, made.ceiling, made.doubtful, made.state) == (after, None, sent, "retrying")
    assert (made.suspect, made.odd, made.rejections, made.refused) == (error.suspect, False, {}, False)
    assert str(made) == "busy"


def test_its_own_fix_is_said_before_that_of_its_kind() -> None:
    made = Undelivered.from_error(records(1), Retryable("x", kind="timeout", fix="Look there."))
    assert made.fix == "Look there."


@pytest.mark.parametrize("suspect", [False, True])
def test_what_a_person_must_fix_holds_and_is_in_no_doubt(suspect: bool) -> None:
    error = Held("no template", fix="Run setup.", kind="setup_missing", suspect=suspect)
    made = Undelivered.from_error(records(1), error)
    assert (made.kind, made.reason, made.fix, made.state) == ("setup_missing", "no template", "Run setup.", "held")
    assert (made.floor, made.ceiling, made.doubtful, made.suspect) == (None, None, False, suspect)


def test_a_refused_credential_is_tried_again_soon() -> None:
    made = Undelivered.from_error(records(1), AuthFailed("refused", fix="new key"))
    assert (made.ceiling, made.state) == (AUTH_RETRY, "held")
    assert AUTH_RETRY == 5.0


@pytest.mark.parametrize("sent", [False, True])
def test_a_refusal_of_content_names_the_event_when_it_was_alone(sent: bool) -> None:
    error = ContentRefused("http_422", "bad field", sent=sent)
    one, two = (Undelivered.from_error(records(count), error) for count in (1, 2))
    assert one.rejections == {1: Rejection("http_422", "bad field")}
    assert two.rejections == {}
    for made in (one, two):
        assert (made.refused, made.suspect, made.kind, made.doubtful) == (True, True, "refused", sent)


def test_what_led_to_it_is_let_go_with_the_request_that_it_keeps() -> None:
    made = Undelivered(records(1), "other", "x")
    made.__cause__, made.__context__ = RuntimeError("holds a request"), ValueError("holds another")
    with pytest.raises(Undelivered):
        raise made
    assert made.__traceback__ is not None
    made.let_go()
    assert (made.__cause__, made.__context__, made.__traceback__) == (None, None, None)
