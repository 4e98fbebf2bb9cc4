"""Events that want to break out of a format: each text of an event in turn is what ends a value, a line or a header.

Which texts there are is read from the type of the event, so a new one is tried as soon as it exists.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec

from forwarder.contracts import (
    Actor,
    Also,
    AuditEvent,
    Authentication,
    Change,
    Origin,
    Record,
    Thing,
)

ORIGIN = Origin("acme", "organization", "a1b2c3d4-0000-1111-2222-333344445555")

HOSTILE = (
    "=", "\\", "\\=", "|", "\\|", "\n", "\r\n", "\x00", "\t", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u2029",
    "\ud800", "\udc00", "\ud83d", "]", '"', '\\"', '"]', "", " ", "  ", "\xa0", "\u202e", "\u2066", "\ufeff",
    "\U0001f600", "\u00e9", "\ufffe",
    "<14>1 - - - - - -", " act=x", " suid=admin ", "CEF:0|a|b|1|c|n|9|", "a=b c=d", '" actor_id="admin', '"][x@1 y="z',
    "\\n", "%s", "{}", '{"a":1}', "&amp;", "'; --", ",", ";", "=cmd|' /C'!A0", "x\ny=z", "<script>",
    "\\u0000", "\\ud800",
)  # fmt: skip
"""Line ends, NUL, escapes of a terminal, halves of characters, changes of direction, and what ends other grammars."""

OURS = frozenset({
    "document_id", "feed", "layer", "outcome", "act", "object", "category", "types", "marks", "ip", "app_kind",
    "related",
})  # fmt: skip
"""Texts that do not come from outside, or were proved to be what they say."""

EARLIEST, LATEST = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 and 9999, epoch milliseconds: no event is of another."""


def full_event() -> AuditEvent:
    """Return an ordinary event with every fact there is."""
    person = Actor("557058:bd95", "Nora Vale", "nora.vale@example.com", "person")
    other = Actor("712020:1f0c", "Iver Holm", "iver.holm@example.com", "person")
    return AuditEvent(
        document_id="0123456789abcdef" * 2, feed="organization", organization="a1b2c3d4", action="page_viewed",
        time_ms=1_727_952_266_457, read_ms=1_727_952_300_000, event_id="606a97f7", processed_ms=1_727_952_267_001,
        product="confluence", action_name="Viewed page", act="view", object="page", organization_name="Example",
        layer="attested", category=("web",), types=("access",), outcome="success", reason="as planned", severity=1,
        ocsf_class=6001, ocsf_activity=2, actor=person, on_behalf_of=other, impersonated=other, target_user=other,
        target_role="admin", authentication=Authentication("api_token", "t-1", "ci", "s-1", "app-1", "Notes", "agent"),
        target_group=Thing("group", "g-1", "G", "ops"), app=Thing("app", "x", "A", "Sync"),
        content=Thing("page", "98311", "K", "Runbook", "https://example.net/wiki/98311", "Example", "https://example.net/api"),
        space=Thing("space", "s", "OPS", "Operations"), site=Thing("site", "i", "S", "example", "https://example.net"),
        ip="203.0.113.155", source_address="gateway", geo="50.4501,30.5234", country="Ukraine", region="Kyiv City",
        city="Kyiv", user_agent="Browser/1.0", message="Nora Vale viewed a page", time_text="2024-10-03T10:31:06.457Z",
        changes=(Change("title", "before", "after"),), marks=("revision",), domain="example.com",
        related="rel-0123456789abcdef",
        also=Also((Actor("712020:2", "Ann", "ann@example.com"),), (Thing("group", "g-2"),), ("reader",), ("jira",)),
        context=msgspec.Raw(b'[{"id":"8d2e","type":"groups"}]'),
        container=msgspec.Raw(b'[{"id":"cee46caf","type":"sites"}]'), attributes=msgspec.Raw(b'{"browser":"x"}'),
    )  # fmt: skip


def bare_event() -> AuditEvent:
    """Return an event that says nothing but when it was read."""
    return AuditEvent("0" * 32, "organization", "", "", time_ms=1_727_952_300_000, read_ms=1_727_952_300_000)


def unknown_event() -> AuditEvent:
    """Return an event whose action no one knows."""
    event = AuditEvent(
        "f" * 32, "organization", "a1b2c3d4", "made_up_action", time_ms=1_727_952_266_457, read_ms=1_727_952_300_000
    )
    event.event_id = "e-1"
    event.actor = Actor("557058:bd95")
    return event


def places(value: Any) -> Iterator[tuple[str | int, ...]]:
    """Go through the ways to each text from outside in an event."""
    if isinstance(value, str):
        yield ()
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            for way in places(item):
                yield (index, *way)
    elif isinstance(value, msgspec.Struct):
        skipped = OURS | {"kind"} if isinstance(value, Actor) else OURS
        for field in value.__struct_fields__:
            for way in places(getattr(value, field)) if field not in skipped else ():
                yield (field, *way)


def with_text(value: Any, way: tuple[str | int, ...], text: str) -> Any:
    """Return a copy of an event, or of a part of it, with another text at one place."""
    if not way:
        return text
    first, rest = way[0], way[1:]
    if isinstance(first, int):
        return (*value[:first], with_text(value[first], rest, text), *value[first + 1 :])
    return msgspec.structs.replace(value, **{first: with_text(getattr(value, first), rest, text)})


def hostile_events() -> Iterator[AuditEvent]:
    """Give an event for each place and each hostile text, alone and among letters."""
    whole = full_event()
    for way in places(whole):
        for text in HOSTILE:
            yield with_text(whole, way, text)
            yield with_text(whole, way, f"x{text}\u00fc{text}y")
    for text in HOSTILE:
        sound = msgspec.json.encode([{"id": text.encode("utf-8", "replace").decode(), "n": [None, True, 2**70, -0.0]}])
        for name in ("context", "container"):
            yield msgspec.structs.replace(whole, **{name: msgspec.Raw(sound)})
            yield msgspec.structs.replace(whole, **{name: msgspec.Raw(msgspec.json.format(sound, indent=2))})


def mixed_events(count: int, seed: int = 1) -> Iterator[AuditEvent]:
    """Give events with several hostile texts, missing facts and extreme times; the same for the same seed."""
    draw = Random(seed)
    whole = full_event()
    ways = list(places(whole))
    optional = [
        field.name for field in msgspec.structs.fields(AuditEvent) if not field.required and field.default is None
    ]
    for _ in range(count):
        event = whole
        for way in draw.sample(ways, 6):
            event = with_text(event, way, "".join(draw.choices([*HOSTILE, "x", "Nora"], k=draw.randint(1, 4))))
        event = msgspec.structs.replace(event, **dict.fromkeys(draw.sample(optional, draw.randint(0, 20))))
        event.time_ms = draw.choice([EARLIEST, LATEST, 0, -1, 1_727_952_266_457])
        event.category, event.types = draw.choice([((), ()), (("iam", "web"), ("user", "change"))])
        yield event


def long_events() -> Iterator[AuditEvent]:
    """Give events with a text of a megabyte, in one place after the other."""
    whole = full_event()
    for way in list(places(whole))[::4]:
        yield with_text(whole, way, "\u00fc\n" * (2**20 // 3))


def record_of(event: AuditEvent | None, raw: bytes = b'{"id":"606a97f7"}') -> Record:
    """Return the record that a format is asked to render."""
    if event is None:
        return Record(1, ORIGIN, "0" * 32, raw, event, read_ms=1_727_952_300_000)
    return Record(1, ORIGIN, event.document_id, raw, event, read_ms=event.read_ms)


RAW = (
    b"{}",
    b'{"id":"606a97f7","attributes":{"action":"x","time":"2024-10-03T10:31:06.457Z"}}',
    b'{\r\n  "id": "606a97f7",\n\t"n": 1.10\n}\n',
    b'{"id":"\\ud83d half","u":"\\u0000"}',
    b'{"id":"a","id":"b"}',
    b'{"n":1e400}',
    b'{"n":NaN}',
    b'{"id":"\xff"}',
    b'{"id":"cut',
    b"[1]",
    b"null",
    b"",
    b"\x00",
    b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"id":"' + b"x" * 2**20 + b'"}',
)
"""Bytes of an API, sound and unsound."""
