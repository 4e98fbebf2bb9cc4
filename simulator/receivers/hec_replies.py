"""The replies of Splunk's HTTP Event Collector, as the double gives them. Source: Splunk, "Troubleshoot HTTP Event
Collector", codes 0 to 27, with the HTTP status each comes with."""  # noqa: D205, D209

from __future__ import annotations

from typing import Any

from simulator.http_types import Response

REPLIES: dict[int, tuple[int, str]] = {
    0: (200, "Success"),
    1: (403, "Token disabled"),
    2: (401, "Token is required"),
    3: (401, "Invalid authorization"),
    4: (403, "Invalid token"),
    5: (400, "No data"),
    6: (400, "Invalid data format"),
    7: (400, "Incorrect index"),
    8: (500, "Internal server error"),
    9: (503, "Server is busy"),
    10: (400, "Data channel is missing"),
    11: (400, "Invalid data channel"),
    12: (400, "Event field is required"),
    13: (400, "Event field cannot be blank"),
    14: (400, "ACK is disabled"),
    15: (400, "Error in handling indexed fields"),
    16: (400, "Query string authorization is not enabled"),
    17: (200, "HEC is healthy"),
    18: (503, "HEC is unhealthy, queues are full"),
    19: (503, "HEC is unhealthy, ack service unavailable"),
    20: (503, "HEC is unhealthy, queues are full, ack service unavailable"),
    21: (400, "Invalid token"),
    22: (400, "Token disabled"),
    23: (503, "Server is shutting down"),
    24: (200, "Success, but the queue is approaching its capacity"),
    25: (200, "Success, but the ACK channel is approaching its capacity"),
    26: (429, "The queue is at its capacity"),
    27: (429, "The ACK channel is at its capacity"),
}
"""Code -> HTTP status and text."""

_HTML = "<!doctype html><html><head><title>{0} {1}</title></head><body><h1>{1}</h1></body></html>"


class Refused(Exception):
    """A request ends with this reply; `number` is that of the event at fault, counted from 0."""

    def __init__(self, code: int, number: int | None = None) -> None:
        super().__init__(f"{code} {REPLIES[code][1]}")
        self.code = code
        self.number = number


class Blocked(Exception):
    """A request ends with a web page: what the server in front of the collector says by itself."""

    def __init__(self, status: int, title: str) -> None:
        super().__init__(title)
        self.page = Response(status, {"content-type": "text/html; charset=UTF-8"}, _HTML.format(status, title).encode())


def reply(code: int, **more: Any) -> Response:
    """Return the JSON answer of a code; `more` are further members, `None` leaves one out."""
    status, text = REPLIES[code]
    members = {name.replace("_", "-") if name != "ackId" else name: value for name, value in more.items()}
    given = {name: value for name, value in members.items() if value is not None}
    return Response.json({"text": text, "code": code, **given}, status)
