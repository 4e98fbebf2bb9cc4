"""What a HEC receiver is told to be: its tokens, its switches, and rules for single requests."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

from simulator.http_types import Response, Wire
from simulator.receivers.hec_envelope import Event

HecEndpoint = Literal["event", "raw", "ack", "health"]


@dataclass(slots=True)
class Token:
    """What a token may do.

    Attributes:
        acknowledge: It has indexer acknowledgement, so every request needs a channel.
        indexes: That it may write to; None for any.
        index, sourcetype: What an event gets that names none.
    """

    acknowledge: bool = False
    disabled: bool = False
    indexes: Collection[str] | None = None
    index: str = "main"
    sourcetype: str = "httpevent"


@dataclass(slots=True)
class Rule:
    """How requests at one endpoint are treated while the rule lasts. The first rule that has something left is used.

    Attributes:
        endpoint: Which requests it is about.
        times: For so many of them; None forever.
        answer: Answers the whole request; nothing is taken in.
        wire: Misbehaves while it answers; what the request asked for is done nevertheless.
        item: Gets each event that is good so far, and gives back the code to refuse it with, or None.
        number: Makes another `invalid-event-number` of the right one, or None to say none.
        busy_after: Takes in so many events, then is too busy for the others (code 9).
        lose: Takes the events in and loses them: no ack will ever come.
        unacked: Answers without `ackId`.
    """

    endpoint: HecEndpoint = "event"
    times: int | None = 1
    answer: Response | None = None
    wire: Wire | None = None
    item: Callable[[Event], int | None] | None = None
    number: Callable[[int], int | None] | None = None
    busy_after: int | None = None
    lose: bool = False
    unacked: bool = False


@dataclass(slots=True)
class State:
    """Switches that tests and demos turn: what the collector suffers from now."""

    busy: bool = False
    failing: bool = False
    stopping: bool = False
    away: bool = False  # the endpoint is not there, as in a rolling restart
    queues_full: bool = False
    acks_down: bool = False
    backpressure: bool = False  # warn at 80 %, then 429 instead of 503
    query_token: bool = False
    cookie_enforced: bool = False
    content_type_enforced: bool = False


def secret_of(authorization: str) -> str | None:
    """Return the token of an Authorization header: `Splunk TOKEN`, or Basic with the token as password."""
    scheme, _, rest = authorization.partition(" ")
    if scheme == "Splunk" and rest:
        return rest
    if scheme == "Basic":
        try:
            return base64.b64decode(rest, validate=True).decode().partition(":")[2] or None
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None
