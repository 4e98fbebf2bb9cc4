"""What the answers of Splunk's HTTP Event Collector mean for the events of a request: the table of reply codes as data.

Invariant: events are taken for received only by status 200 with code 0, 24 or 25; a code counts only together with
the HTTP status that belongs to it, else the status alone decides. Source: Splunk, "Troubleshoot HTTP Event Collector".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from forwarder.contracts import AuthFailed, ErrorKind, ForwarderError, Held, PayloadTooLarge, Retryable, plain
from forwarder.net.answers import leads_to, own_words
from forwarder.net.http import UNREADABLE, Response
from forwarder.net.retry import retry_after_seconds
from forwarder.net.verdicts import may_mean_an_event, not_of, refused_between

SLOW_DOWN = 5.0
"""Seconds a client slot rests when Splunk is nearly full and does not say how long."""

CREDENTIAL_FIX = "Check the token of this sink; a secret from a file is read again by itself."
URL_FIX = "Check url: it must be the address of the HTTP Event Collector itself, such as https://host:8088."
ACK_FIX = "Switch on indexer acknowledgement for the token, or set acknowledge: false."
NEEDS_ACK_FIX = "Set acknowledge: true, or use a token without indexer acknowledgement."
_BODY_FIX = "See that no proxy between changes requests; compress: false may tell."

Verdict = Literal["taken", "slow", "isolate", "index", "busy", "unsure", "auth", "hold", "health"]


class Fate(NamedTuple):
    """What a reply code makes of a request.

    `taken` and `slow` (which asks for a pause): received. `isolate`: one event is at fault. `index`: the index of one
    is. `busy`: surely not taken, try again; `unsure`: try again, a part may have been taken. `auth`, `hold`: a person
    must fix something. `health`: no answer to events.
    """

    status: int
    verdict: Verdict
    meaning: str
    fix: str = ""
    kind: ErrorKind = "other"


ANSWERS: dict[int, Fate] = {
    0: Fate(200, "taken", "taken"),
    1: Fate(403, "auth", "The token is disabled.", "Enable it in Splunk, or use another token.", "forbidden"),
    2: Fate(401, "auth", "Splunk saw no token.", "See that no proxy between removes the Authorization header.", "auth"),
    3: Fate(401, "auth", "Splunk cannot read the token.", CREDENTIAL_FIX, "auth"),
    4: Fate(403, "auth", "The token is not known to Splunk.", CREDENTIAL_FIX, "forbidden"),
    5: Fate(400, "hold", "Splunk saw no data in the request.", _BODY_FIX, "bad_request"),
    6: Fate(400, "isolate", "invalid_format"),
    7: Fate(400, "index", "The token may not write to the index, or there is none of this name."),
    8: Fate(500, "unsure", "internal error", kind="server_error"),
    9: Fate(503, "unsure", "busy", kind="server_error"),
    10: Fate(400, "hold", "The token demands indexer acknowledgement.", NEEDS_ACK_FIX, "bad_request"),
    11: Fate(400, "hold", "Splunk refuses the channel.", "See that no proxy changes X-Splunk-Request-Channel."),
    12: Fate(400, "isolate", "no_event"),
    13: Fate(400, "isolate", "blank"),
    14: Fate(400, "hold", "The token has no indexer acknowledgement.", ACK_FIX, "setup_missing"),
    15: Fate(400, "isolate", "invalid_fields"),
    16: Fate(400, "hold", "Splunk saw a token in the query.", URL_FIX, "bad_request"),
    17: Fate(200, "health", "healthy"),
    18: Fate(503, "unsure", "its queues are full", kind="server_error"),
    19: Fate(503, "unsure", "its ack service is unavailable", kind="server_error"),
    20: Fate(503, "unsure", "its queues are full, and its ack service is unavailable", kind="server_error"),
    21: Fate(400, "auth", "The token is not known to Splunk.", CREDENTIAL_FIX, "forbidden"),
    22: Fate(400, "auth", "The token is disabled.", "Enable it in Splunk, or use another token.", "forbidden"),
    23: Fate(503, "unsure", "shutting down", kind="server_error"),
    24: Fate(200, "slow", "its queue is nearly full"),
    25: Fate(200, "slow", "its ack channel is nearly full"),
    26: Fate(429, "busy", "its queue is full", kind="rate_limited"),
    27: Fate(429, "busy", "its ack channel is full", kind="rate_limited"),
}
"""By reply code. For `isolate`, the meaning is the reason of the dead letter; for `hold` and `auth`, a sentence."""

_OURS = "Splunk does not take the event in the form in which we send it. Set endpoint: raw, and report it; then retry."
ADVICE = {
    "invalid_format": _OURS,
    "no_event": _OURS,
    "invalid_fields": (
        "Splunk refuses the indexed fields of the event. Leave out of `indexed_fields` what its answer names, then "
        "retry."
    ),
}
"""What to change, by the reason of a rejection."""

INDEX_FIX = "Create the index in Splunk and allow the token to write to it, or change index."

_BY_STATUS = {
    fate.status: fate
    for fate in (
        Fate(401, "auth", "The token is refused.", CREDENTIAL_FIX, "auth"),
        Fate(403, "auth", "The token may not write here.", CREDENTIAL_FIX, "forbidden"),
        Fate(404, "hold", "There is no collector at this address, or it is restarting.", URL_FIX, "not_found"),
        Fate(405, "hold", "There is no collector at this address.", URL_FIX, "unexpected_status"),
        Fate(415, "hold", "Something before Splunk refuses gzip.", "Set compress: false.", "unexpected_status"),
        Fate(408, "unsure", "no patience", kind="timeout"),
        Fate(425, "busy", "too early", kind="server_error"),
        Fate(429, "busy", "too many requests", kind="rate_limited"),
    )
}


class Answer(NamedTuple):
    """What an answer says that raises nothing.

    Attributes:
        fate: The row of the table: taken, slow, isolate or index.
        ack: Number of the acknowledgement to ask for, if one was given.
        number: Position of the event at fault, as Splunk counts; for code 7 that is one too high.
        words: Splunk's own, harmless and short.
        retry_after: Seconds until the next request, if it is asked to wait.
    """

    fate: Fate
    ack: int | None = None
    number: int | None = None
    words: str = ""
    retry_after: float | None = None


class _Reply(msgspec.Struct):
    code: int
    text: str = ""
    ack: int | None = msgspec.field(name="ackId", default=None)
    number: int | None = msgspec.field(name="invalid-event-number", default=None)


class _Acks(msgspec.Struct):
    acks: dict[str, bool]


_decode_reply = msgspec.json.Decoder(_Reply).decode
_decode_acks = msgspec.json.Decoder(_Acks).decode


def parse_reply(response: Response) -> _Reply | None:
    """Return the reply of an answer, or None when the collector itself did not write it."""
    try:
        return _decode_reply(response.body)
    except UNREADABLE:
        return None


def interpret(response: Response, now: float) -> Answer:
    """Return what became of the events of a request. Raises what the engine should do when nothing was decided.

    Args:
        response: To a request with events.
        now: Epoch seconds.
    """
    reply = parse_reply(response)
    fate = _fate(response, reply)
    words = _words(reply, response)
    wait = retry_after_seconds(response.headers, now)
    if fate is None or fate.verdict not in {"taken", "slow", "isolate", "index"}:
        raise _error(response, fate, words, wait)
    if reply is None:
        raise _not_ours(response)
    if fate.verdict == "slow":
        wait = SLOW_DOWN if wait is None else wait
    return Answer(fate, reply.ack, reply.number, words, wait if fate.verdict == "slow" else None)


def parse_acks(response: Response, now: float) -> Mapping[str, bool]:
    """Return what an answer says of acknowledgements, by their number as text. Raises when it says nothing."""
    if response.status == 200:
        try:
            return _decode_acks(response.body).acks
        except UNREADABLE:
            raise _not_ours(response) from None
    reply = parse_reply(response)
    fate = _fate(response, reply)
    if fate is not None and fate.verdict in {"isolate", "index"}:
        fate = None
    raise _error(response, fate, _words(reply, response), retry_after_seconds(response.headers, now))


def _fate(response: Response, reply: _Reply | None) -> Fate | None:
    found = ANSWERS.get(reply.code) if reply is not None else None
    return found if found is not None and found.status == response.status else _BY_STATUS.get(response.status)


def _error(response: Response, fate: Fate | None, words: str, wait: float | None) -> ForwarderError:
    status = response.status
    if status == 413:
        return PayloadTooLarge("the server refuses the size of the request")
    if 200 <= status < 300:
        return _not_ours(response)
    fate = fate or _fate_of_unknown(response, words)
    if fate.verdict in {"busy", "unsure"}:
        message = f"the server answers {status}: {fate.meaning}"
        return Retryable(message, kind=fate.kind, retry_after=wait, sent=fate.verdict == "unsure")
    reply = parse_reply(response)
    own = reply is not None and reply.code in ANSWERS
    if (between := refused_between(response, own=own)) is not None:
        return between
    held = (AuthFailed if fate.verdict == "auth" else Held)(fate.meaning, fix=fate.fix, kind=fate.kind)
    held.suspect = not own and may_mean_an_event(response, own=own)
    return held


def _fate_of_unknown(response: Response, words: str) -> Fate:
    status = response.status
    shown = f" ({words})" if words else ""
    if status >= 500:
        return Fate(status, "unsure", f"not at its best{shown}", kind="server_error")
    if 300 <= status < 400:
        return Fate(status, "hold", f"The server redirects ({status}){leads_to(response)}.", URL_FIX, "redirect")
    kind: ErrorKind = "bad_request" if status == 400 else "unexpected_status"
    return Fate(status, "hold", f"The server answers {status}{shown}.", URL_FIX, kind)


def _not_ours(response: Response) -> Retryable:
    """Return the error for a success that the collector did not write: it says nothing about the events."""
    return not_of("the collector", response)


def _words(reply: _Reply | None, response: Response) -> str:
    if reply is None:
        return own_words(response)
    return plain(f"{reply.text}, code {reply.code}" if reply.text else f"code {reply.code}", 200)
