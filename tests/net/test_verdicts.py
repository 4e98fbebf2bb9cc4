"""What an answer that a server of another kind, a proxy or a firewall wrote says about a request with events."""

from __future__ import annotations

import pytest

from forwarder.contracts import AuthFailed, Held
from forwarder.net.answers import leads_to, own_words
from forwarder.net.http import Response
from forwarder.net.verdicts import is_page, looks_like, may_mean_an_event, not_of, quoted, refused_between

PAGE = b"<!doctype html><title>Blocked</title>"
CREDENTIAL_KIND_OR_MOMENT = (401, 407, 408, 411, 413, 415, 425, 429)


def answer(status: int, body: bytes = b"", **headers: str) -> Response:
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


# --------------------------------------------------------------------------------------------------- is it a web page


@pytest.mark.parametrize(
    ("kind", "body", "page"),
    [
        ("text/html; charset=utf-8", b"anything", True),
        ("application/XHTML+xml", b"", True),
        ("text/plain", b"<!DOCTYPE html>x", True),
        ("", b"\n\t  <HTML lang=en>", True),
        ("text/plain", b"words", False),
        ("application/json", b'{"a":"<html>"}', False),
        ("text/xml", b"<?xml version='1.0'?>", False),
        ("", b"", False),
        ("", b" " * 194 + b"<html>", True),
        ("", b" " * 196 + b"<html>", False),
    ],
)
def test_a_page_is_known_by_its_type_or_its_first_bytes(kind: str, body: bytes, page: bool) -> None:
    assert is_page(answer(200, body, content_type=kind)) is page


# ---------------------------------------------------------------------------------- a success in other words than ours


@pytest.mark.parametrize("page", [False, True])
def test_a_success_in_other_words_says_nothing_of_the_events_and_what_it_looks_like(page: bool) -> None:
    made = not_of("the collector", answer(202, PAGE if page else b"hello"))
    assert (made.kind, made.sent, made.retry_after) == ("login_page" if page else "not_json", True, None)
    assert made.fix.startswith("Check url")
    meant = "a web page, as of a login or a proxy" if page else "not that of the collector"
    says = "it says Blocked; that looks like a firewall" if page else "it says hello"
    assert str(made) == f"the answer (202) is {meant}: {says}"


def test_silence_is_said_and_long_words_are_cut() -> None:
    assert quoted(answer(200)) == "it says nothing"
    long = quoted(answer(200, b"word " * 100))
    assert len("it says ") + 60 < len(long) <= len("it says ") + 120
    assert long.endswith("…")


@pytest.mark.parametrize(
    ("body", "like"),
    [
        (b'{"text":"Success","code":0}', "a Splunk event collector"),
        (b'{"took":3,\n"errors":false,"items":[]}', "a bulk endpoint of Elasticsearch"),
        (b'{"cluster_name":"x"}', "the front page of Elasticsearch or OpenSearch"),
        (b"<html><input type=password>", "a login page"),
        (b"Please Log-In", "a login page"),
        (b"The requested URL was rejected. Your support ID is 1", "a firewall"),
        (b" <HTML><body>hi", "a web server or proxy"),
        (b" Ok\n", "a plain HTTP input, such as that of a log shipper"),
        (b' {"a":1}', "another JSON API; an http sink takes any success for an answer"),
        (b"[1]", "another JSON API; an http sink takes any success for an answer"),
        (b"  ", "something that answers without a word, such as a plain HTTP input"),
    ],
)
def test_what_an_answer_reminds_of(body: bytes, like: str) -> None:
    assert looks_like(answer(200, body)) == f"; that looks like {like}"


def test_what_reminds_of_nothing_is_not_guessed_and_only_the_beginning_is_looked_at() -> None:
    assert looks_like(answer(200, b"hello")) == ""
    assert looks_like(answer(200, b"x" * 1995 + b" saml")) == "; that looks like a login page"
    assert looks_like(answer(200, b"x" * 1997 + b" saml")) == ""


# ------------------------------------------------------------------------------- may a refusal be about what is in it


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("status", [300, 302, 399, 400, 403, 404, 405, 406, 410, 418, 422, 451, 499])
def test_most_refusals_may_be_about_an_event_but_not_a_403_of_the_server_itself(status: int, own: bool) -> None:
    assert may_mean_an_event(answer(status), own=own) is not (status == 403 and own)


@pytest.mark.parametrize("own", [False, True, None])
@pytest.mark.parametrize("status", [200, 299, 500, 503, *CREDENTIAL_KIND_OR_MOMENT])
def test_what_no_event_changes_is_never_about_one(status: int, own: bool | None) -> None:
    assert not may_mean_an_event(answer(status), own=own)
    assert refused_between(answer(status, PAGE), own=own) is None


@pytest.mark.parametrize(
    ("body", "ours"),
    [
        (b'{"error":"forbidden"}', True),
        (b"[]", True),
        (b"forbidden", False),
        (b"", False),
        (PAGE, False),
        (b"\xff", False),
    ],
)
def test_a_403_in_json_is_the_servers_own_where_nobody_says_so(body: bytes, ours: bool) -> None:
    assert may_mean_an_event(answer(403, body)) is not ours
    assert (refused_between(answer(403, body)) is None) is ours


# ----------------------------------------------------------------------------------------- refused by something between


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "bad_request"),
        (403, "forbidden"),
        (406, "unexpected_status"),
        (418, "unexpected_status"),
        (499, "unexpected_status"),
    ],
)
def test_a_refusal_in_a_web_page_is_of_something_between(status: int, kind: str) -> None:
    made = refused_between(answer(status, PAGE), own=False)
    assert type(made) is Held
    assert (made.kind, made.suspect) == (kind, True)
    assert (
        made.reason == f"Something before the server refuses the request with a web page ({status}): it says Blocked."
    )
    assert "firewall" in made.fix


def test_a_403_in_unknown_words_may_be_of_the_credential_or_of_a_firewall() -> None:
    made = refused_between(answer(403, b"no entry"), own=False)
    assert type(made) is AuthFailed
    assert (made.kind, made.suspect) == ("forbidden", True)
    assert "(403): it says no entry." in made.reason
    assert "credential" in made.fix
    assert "firewall" in made.fix


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (302, PAGE),
        (399, PAGE),
        (404, PAGE),
        (405, PAGE),
        (410, PAGE),
        (400, b"words"),
        (418, b"words"),
        (499, b"words"),
        (500, PAGE),
    ],
)
def test_other_refusals_are_for_the_sink_to_read(status: int, body: bytes) -> None:
    assert refused_between(answer(status, body), own=False) is None


# --------------------------------------------------------------------------------------------------------- own words


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("https://login.example.com/sso?token=abc#x", " to https://login.example.com/sso"),
        ("https://me:pw@login.example.com:8443/a", " to https://login.example.com:8443/a"),
        ("https://login.example.com:123456/a", " to https://login.example.com/a"),
        (" /login?next=abc", " to /login"),
        ("?x=1", ""),
        ("https://[", ""),
    ],
)
def test_where_a_redirect_leads_to_the_letter(location: str, words: str) -> None:
    assert leads_to(answer(302, location=location)) == words


def test_words_are_read_from_the_beginning_only_and_joined_by_single_blanks() -> None:
    assert own_words(answer(400, b" a\n\n b\t c ")) == "a b c"
    assert own_words(answer(400, b" " * 2046 + b"ab")) == "ab"
    assert own_words(answer(400, b" " * 2047 + b"ab")) == "a"
    assert own_words(answer(400, b"<html><TITLE lang='x'>So\n it is</title>")) == "So it is"
    long = own_words(answer(400, b"word " * 100))
    assert 150 < len(long) <= 200
