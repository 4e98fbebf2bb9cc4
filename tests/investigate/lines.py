"""Events as the API sends them, for tables to be made of."""

from __future__ import annotations

import json
from typing import Any


def event(
    action: str = "page_viewed",
    *,
    ident: str = "e1",
    time: str = "2026-03-01T10:00:00.000Z",
    user: str = "712020:ada",
    name: str = "Ada Glenmoor",
    email: str | None = "ada@example.com",
    ip: str = "203.0.113.7",
    context: list[dict[str, Any]] | None = None,
    container: list[dict[str, Any]] | None = None,
    **actor: Any,
) -> bytes:
    who = {"id": user, "name": name, "email": email, **actor}
    attributes = {
        "time": time,
        "action": action,
        "actor": {key: value for key, value in who.items() if value is not None},
        "context": context or [],
        "container": container or [],
        "location": {"ip": ip, "countryName": "Ireland", "city": "Dublin"},
    }
    return json.dumps({"id": ident, "type": "events", "attributes": attributes}).encode()


def entry(kind: str, ident: str, **attributes: Any) -> dict[str, Any]:
    return {"id": ident, "type": kind, "attributes": attributes}
