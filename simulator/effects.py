"""What each fault does. Five kinds, by where they take hold.

`ANSWERS` replace the whole answer; `CHANGES` alter the server and let the request go on; `PAGES` alter which events and
which cursor a page has (done in `pages`); `WIRES` break a good answer while it is sent, or its JSON; `CLOCKS` only tell
another time.
Every function returns None when the fault does not apply to this request; then it has not fired.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from simulator import answers
from simulator.http_types import Response, Wire
from simulator.limits import headers
from simulator.render import iso

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.cursors import Cursors
    from simulator.faults import Rule
    from simulator.organization import Organization


# ----------------------------------------------------------------------------------------------------------- answers


def _rate_limit(rule: Rule, now: float) -> Response:
    given = headers(10, 0, now + rule.wait, now, rule.shape, refused=True)
    return answers.refusal("ADMIN-429-1", given)


def _server_error(rule: Rule, now: float) -> Response:
    del now
    if rule.status == 500:
        return answers.refusal("ADMIN-500-1")
    return answers.gateway_page(rule.status, {502: b"Bad Gateway", 504: b"Gateway Time-out"}.get(rule.status, b"Error"))


ANSWERS: dict[str, Callable[[Rule, float], Response]] = {
    "rate_limit": _rate_limit,
    "unauthorized": lambda *_: answers.unauthorized(),
    "forbidden": lambda *_: answers.refusal("ADMIN-403-3"),
    "not_found": lambda *_: answers.refusal("ADMIN-404-2"),
    "bad_date": lambda *_: answers.refusal("ADMIN-400-3"),
    "server_error": _server_error,
    "html": lambda rule, _: answers.gateway_page(rule.status),
    "login_page": lambda *_: answers.login_page(),
    "redirect": lambda *_: answers.redirect("/login?continue=admin"),
    "cursor_lost": lambda *_: answers.refusal("ADMIN-400-1"),
}

# ----------------------------------------------------------------------------------------------------------- changes

_ODD = {
    "surrogate": (b'"Mara"', b'"Mara \\ud83d lone"'),
    "nan": (b'"score":1', b'"score":NaN'),
    "huge_number": (b'"score":1', b'"score":1e400,"ids":[36893488147419103232]'),
    "bad_utf8": (b'"Mara"', b'"Mara \xff\xfe"'),
}


def bad_event(organization: Organization, kind: str, now_ms: int) -> None:
    """Log one event that a strict JSON reader, or one that needs an id and a time, cannot take."""
    ident = organization.new_id()
    attributes = {
        "time": "yesterday" if kind == "bad_time" else iso(now_ms - 1000),
        "processedAt": iso(now_ms),
        "action": "user_profile_viewed",
        "actor": {"id": "557058:00000000-0000-4000-8000-000000000000", "name": "Mara", "risk": {"score": 1}},
        "context": [],
        "location": {"ip": "198.51.100.7"},
    }
    document = {
        "id": ident,
        "type": "events",
        "attributes": attributes,
        "message": {"content": ident, "format": "simple"},
    }
    if kind == "without_id":
        del document["id"]
        ident = f"~{ident}"
    if kind == "without_time":
        del attributes["time"]
    body = msgspec.json.encode(document).replace(*_ODD.get(kind, (b"", b"")), 1)
    organization.add_raw(body, ident, now_ms - 1000, now_ms)


def change(rule: Rule, organization: Organization, cursors: Cursors, now: float) -> None:
    """Alter the server as a rule of the kind `CHANGES` says."""
    if rule.what == "cursors_lost":
        cursors.forget()
    elif rule.what == "key_expiry":
        organization.key.expires = now
    elif rule.what == "key_rotation":
        organization.rotate_key()
    else:
        for _ in range(rule.count):
            bad_event(organization, rule.kind, int(now * 1000))


CHANGES = frozenset({"cursors_lost", "key_expiry", "key_rotation", "bad_event"})

PAGES = frozenset({"repeated_ids", "loop", "empty_page", "unchanged_cursor", "missing_meta", "missing_links"})

# ------------------------------------------------------------------------------------------------------------- wires


def _part(rule: Rule, size: int) -> int:
    return size // 2 if rule.bytes is None else min(rule.bytes, max(size - 1, 0))


_WIRES: dict[str, Callable[[Rule, int], Wire]] = {
    "delay": lambda rule, _: Wire(delay=rule.wait),
    "truncated": lambda rule, size: Wire(stop_at=_part(rule, size)),
    "drip": lambda rule, _: Wire(drip=rule.chunk, pause=rule.pause),
    "stall": lambda rule, size: Wire(stall_at=_part(rule, size), stall=rule.wait),
    "reset_before": lambda *_: Wire(stop_at=-1, ending="reset"),
    "reset_after_headers": lambda *_: Wire(stop_at=0, ending="reset"),
    "reset_mid": lambda rule, size: Wire(stop_at=_part(rule, size), ending="reset"),
    "half_close": lambda rule, size: Wire(stop_at=_part(rule, size), ending="half_close"),
    "garbage": lambda *_: Wire(garbage=b"\x16\x03\x01\x00\xff not HTTP at all\r\n\r\n"),
}
WIRES = frozenset(_WIRES) | {"invalid_json"}

CLOCKS = frozenset({"wrong_clock"})


def spoil(rule: Rule, response: Response) -> bool:
    """Break a good answer as a rule of the kind `WIRES` says; return whether its events are torn."""
    body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
    if rule.what == "invalid_json":
        response.body = body[: _part(rule, len(body))]
        return True
    response.body = body
    response.misbehave = _WIRES[rule.what](rule, len(body))
    return response.misbehave.stop_at is not None or response.misbehave.garbage is not None
