"""What the status and the content of an answer say about a request with events: one table for every sink over HTTP.

An answer that the server itself wrote is read by its sink. Here is the rest: a success in other words than its own, and
a refusal that something between wrote, such as a login page or a web application firewall. Such a thing may object to
one event's text, so its refusals are suspect: the lane finds out whether they meet every batch. Quotes are the other
side's words, printable and short; secrets in them are taken out where they are shown.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts import AuthFailed, ErrorKind, Held, Retryable, plain
from forwarder.net.answers import own_words

if TYPE_CHECKING:
    from forwarder.net.http import Response

_QUOTED = 120

_CANNOT_BE_AN_EVENT = frozenset({401, 407, 408, 411, 413, 415, 425, 429})
"""Refusals of the credential, the kind or size of the body, or the moment: no event's text changes these.

With 429 the lane has the last word: one that meets the same batch again and again, and nothing else, is a failure
that an event may cause. 401 never does: a rotated secret must lose nothing.
"""

_OF_THE_ADDRESS = frozenset({404, 405, 410})
"""Refusals of the address or the method, as a rule; firewalls write these, too, and redirects, instead of 403."""

_FIREWALL_FIX = (
    "See the log of the firewall or proxy before the server, and let our requests through; when it is one event's text "
    "that it objects to, that event is found and set apart."
)
_FORBIDDEN_FIX = f"When it meets every event, see that the credential may write there. {_FIREWALL_FIX}"
_OTHER_FIX = "Check url: another server, or a proxy, answers there and does not say what became of the events."

_LOOKS_LIKE: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb'"text"\s*:.{0,200}"code"\s*:', re.DOTALL), "a Splunk event collector"),
    (re.compile(rb'"(?:took|errors)"\s*:.{0,200}"items"\s*:', re.DOTALL), "a bulk endpoint of Elasticsearch"),
    (re.compile(rb'"tagline"\s*:|"cluster_name"\s*:'), "the front page of Elasticsearch or OpenSearch"),
    (re.compile(rb"(?i)<input[^>]{0,200}password|sign.?in|log.?in|saml"), "a login page"),
    (re.compile(rb"(?i)request rejected|support id|access denied|forbidden|blocked"), "a firewall"),
    (re.compile(rb"(?i)\A\s*<(?:!doctype|html|\?xml)"), "a web server or proxy"),
    (re.compile(rb"\A\s*ok\s*\Z", re.IGNORECASE), "a plain HTTP input, such as that of a log shipper"),
    (re.compile(rb"\A\s*[{\[]"), "another JSON API; an http sink takes any success for an answer"),
    (re.compile(rb"\A\s*\Z"), "something that answers without a word, such as a plain HTTP input"),
)
"""What an answer reminds of, by its first bytes; the first that fits."""


def is_page(response: Response) -> bool:
    """Tell a web page by its type or, since proxies and logins give any or none, by how it begins."""
    kind = response.headers.get("content-type", "").lower()
    return "html" in kind or response.body[:200].lstrip().lower().startswith((b"<!doctype html", b"<html"))


def quoted(response: Response) -> str:
    """Return the beginning of what an answer says, printable, or that it says nothing."""
    words = plain(own_words(response), _QUOTED)
    return f"it says {words}" if words else "it says nothing"


def looks_like(response: Response) -> str:
    """Say what kind of server an answer reminds of, or nothing."""
    start = response.body[:2000]
    found = next((name for pattern, name in _LOOKS_LIKE if pattern.search(start)), "")
    return f"; that looks like {found}" if found else ""


def not_of(what: str, response: Response) -> Retryable:
    """Return the error for a success in other words than those of `what`: it says nothing about the events."""
    page = is_page(response)
    kind: ErrorKind = "login_page" if page else "not_json"
    meant = "a web page, as of a login or a proxy" if page else f"not that of {what}"
    message = f"the answer ({response.status}) is {meant}: {quoted(response)}{looks_like(response)}"
    return Retryable(message, kind=kind, sent=True, fix=_OTHER_FIX)


def refused_between(response: Response, *, own: bool | None = None) -> Held | None:
    """Return the error for a refusal that a firewall or proxy wrote, or may have, and None for any other answer.

    A 403 in words that are not the API's own may be about the credential as well, so neither is named alone.

    Args:
        response: A refusal.
        own: Whether the server wrote it itself; default: it did when it is JSON.
    """
    status = response.status
    if status < 400 or status in _OF_THE_ADDRESS or not may_mean_an_event(response, own=own):
        return None
    if is_page(response):
        reason = f"Something before the server refuses the request with a web page ({status}): {quoted(response)}."
        kinds: dict[int, ErrorKind] = {400: "bad_request", 403: "forbidden"}
        return Held(reason, fix=_FIREWALL_FIX, kind=kinds.get(status, "unexpected_status"), suspect=True)
    if status != 403:
        return None
    reason = f"The server, or a firewall or proxy before it, refuses the request ({status}): {quoted(response)}."
    refused = AuthFailed(reason, fix=_FORBIDDEN_FIX, kind="forbidden")
    refused.suspect = True
    return refused


def may_mean_an_event(response: Response, *, own: bool | None = None) -> bool:
    """Whether a refusal of a request as a whole may be about one event in it.

    That of a credential is not, when the server itself wrote it; what else is refused may be by a firewall, in any
    words: with 403, 404 or 405, or by a redirect to a page of its own.

    Args:
        response: A refusal.
        own: Whether the server wrote it itself; default: it did when it is JSON.
    """
    status = response.status
    if not 300 <= status < 500 or status in _CANNOT_BE_AN_EVENT:
        return False
    return status != 403 or not (_is_json(response) if own is None else own)


def _is_json(response: Response) -> bool:
    try:
        msgspec.json.decode(response.body, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
