"""What an unexpected answer says of itself: where it leads, and its words; never what was sent in a query."""

import pytest

from forwarder.contracts import AuthFailed, ForwarderError, Held
from forwarder.net.answers import leads_to, own_words
from forwarder.net.http import Response
from sinks import http as http_sink
from sinks.elasticsearch import answers as elasticsearch_answers
from sinks.splunk_hec import answers as splunk_hec_answers


def _raised(response: Response) -> ForwarderError:
    try:
        splunk_hec_answers.interpret(response, 0.0)
    except ForwarderError as error:
        return error
    raise AssertionError


SINKS = {
    "http": lambda response: http_sink._refusal(response, 0.0),
    "elasticsearch": lambda response: elasticsearch_answers.refusal(response, 0.0),
    "splunk_hec": _raised,
}


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("https://login.corp.net/sso?token=abc#x", " to https://login.corp.net/sso"),
        ("https://me:pw@login.corp.net:8443/a", " to https://login.corp.net:8443/a"),
        ("/login?next=abc", " to /login"),
        ("//cdn.corp.net/x", " to ://cdn.corp.net/x"),
        ("", ""),
        ("https://[", ""),
        ("https://h/\x1b[2J\n", " to https://h/ [2J"),
    ],
)
def test_where_a_redirect_leads(location, words):
    found = leads_to(Response(302, {"location": location}, b""))
    assert found.startswith(words[:20])
    assert found.isprintable()
    for sent in ("abc", "pw", "?"):
        assert sent not in found


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"Quota exceeded for tenant 7\n", "Quota exceeded for tenant 7"),
        (b'{"message": "no such input"}', '{"message": "no such input"}'),
        (b"<html><head><title>403 Forbidden</title></head><body>x</body></html>", "403 Forbidden"),
        (b"<html><body>no title</body></html>", ""),
        (b"", ""),
        (b"\xff\xfe\x00\x1b[2J", "[2J"),
        (b"a " * 10_000, "a a a"),
    ],
)
def test_own_words(body, words):
    found = own_words(Response(400, {}, body))
    assert words in found
    assert len(found) <= 200
    assert found.isprintable()


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("status", [410, 418, 451])
def test_every_sink_quotes_a_plain_refusal(sink, status):
    error = SINKS[sink](Response(status, {"content-type": "text/plain"}, b"tenant 7 is suspended"))
    assert isinstance(error, Held | AuthFailed)
    assert "tenant 7 is suspended" in str(error)
    assert error.fix


@pytest.mark.parametrize("sink", SINKS)
def test_every_sink_says_where_a_redirect_leads(sink):
    error = SINKS[sink](Response(302, {"location": "https://login.corp.net/sso?x=abc"}, b""))
    assert "redirects (302) to https://login.corp.net/sso" in str(error)
    assert "abc" not in str(error)
