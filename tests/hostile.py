"""Hostile events for properties, by hypothesis; the texts and the event they start from are `forwarder.testing.events`."""

import msgspec
from hypothesis import example
from hypothesis import strategies as st

from forwarder.contracts import Actor, Also, AuditEvent, Authentication, Change, Late, Thing
from forwarder.testing.events import HOSTILE, full_event

long_text = st.builds(
    lambda piece, count: piece * count, st.sampled_from([*HOSTILE, "x", "ab ", "\\"]), st.integers(0, 1500)
)
text = st.one_of(
    st.text(max_size=10),
    st.lists(st.sampled_from([*HOSTILE, "x", "Nora Vale", "7"]), max_size=5).map("".join),
    long_text,
)
maybe = st.one_of(
    st.none(), st.none(), text, st.sampled_from(["Nora Vale", "nora.vale@example.com", "557058:bd95", "x"])
)
sound = text.map(lambda value: value.encode("utf-8", "replace").decode())
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(-1e300, 1e300), sound),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(sound, inner, max_size=4)),
    max_leaves=10,
)


def _json(value, indent) -> msgspec.Raw:
    encoded = msgspec.json.encode(value)
    return msgspec.Raw(msgspec.json.format(encoded, indent=indent) if indent else encoded)


parts = st.one_of(st.none(), st.builds(_json, st.lists(json_values, max_size=3), st.sampled_from([0, 0, 2])))
people = st.one_of(st.none(), st.builds(Actor, maybe, maybe, maybe, st.sampled_from([None, "person", "app", "system"])))
things = st.one_of(st.none(), st.builds(Thing, text, maybe, maybe, maybe, maybe))
moments = st.integers(-62_135_596_800_000, 253_402_300_799_999)
audit_events = st.builds(
    AuditEvent,
    document_id=st.sampled_from(["0123456789abcdef" * 2, "0123456789abcdef" * 2 + "-0123456789abcdef"]),
    feed=st.sampled_from(["organization", "jira"]),
    organization=text,
    organization_name=maybe,
    object=st.sampled_from([None, "page"]),
    action=text,
    time_ms=moments,
    read_ms=moments,
    event_id=maybe,
    processed_ms=st.one_of(st.none(), moments),
    product=maybe,
    action_name=maybe,
    act=st.sampled_from([None, "view"]),
    layer=st.sampled_from(["attested", "unknown"]),
    category=st.sampled_from([(), ("iam",), ("web", "file")]),
    outcome=st.sampled_from(["success", "failure", "unknown"]),
    severity=st.integers(0, 10),
    actor=people,
    on_behalf_of=people,
    impersonated=people,
    authentication=st.one_of(st.none(), st.builds(Authentication, maybe, maybe, maybe, maybe, maybe)),
    target_user=people,
    target_group=things,
    target_role=maybe,
    content=things,
    space=things,
    site=things,
    app=things,
    ip=st.one_of(st.none(), st.ip_addresses().map(str)),
    source_address=maybe,
    geo=maybe,
    country=maybe,
    region=maybe,
    city=maybe,
    user_agent=maybe,
    message=maybe,
    changes=st.one_of(st.just(()), st.lists(st.builds(Change, sound, st.none(), sound), max_size=2).map(tuple)),
    marks=st.sampled_from([(), ("derived_id",), ("revision", "odd_shape")]),
    time_text=maybe,
    context=parts,
    container=parts,
    domain=maybe,
    also=st.one_of(st.none(), st.builds(Also, st.lists(st.builds(Actor, sound, sound), max_size=2).map(tuple))),
)


_ORDINARY = {
    "impersonated": None,
    "target_group": Thing("group", "g-1", None, "ops"),
    "content": Thing("page", "98311", "K", "Runbook", "https://example.net/wiki/98311"),
    "site": Thing("site", "i", None, "example", "https://example.net"),
    "app": Thing("app", "x"),
    "time_text": None,
    "changes": (),
    "marks": (),
    "domain": None,
    "also": None,
    "attributes": None,
    **{f.name: f.default for f in msgspec.structs.fields(AuditEvent) if f.name in {"ocsf_class", "ocsf_activity"}},
}


def ordinary_event(**changes) -> AuditEvent:
    """Return an event with all that is not rare; `actor.name` and the like change one fact of a nested part."""
    event = msgspec.structs.replace(full_event(), **_ORDINARY)
    for name, value in changes.items():
        outer, _, inner = name.partition(".")
        changed = msgspec.structs.replace(getattr(event, outer), **{inner: value}) if inner else value
        setattr(event, outer, changed)
    return event


def with_what_is_rare(event: AuditEvent) -> AuditEvent:
    """Return an event with the facts that few have."""
    event.domain, event.related = "example.com", "0123456789abcdef"
    event.late = Late("recovered", 7200, "reconcile")
    if event.authentication is not None:
        event.authentication = msgspec.structs.replace(event.authentication, app_name="Notes", app_kind="agent")
    event.also = Also(
        (Actor("712020:2", "Ann Admin", "ann@example.com"),), (Thing("group", "g-2"),), ("reader",), ("jira",)
    )
    for name in ("content", "app"):
        attributes = {"vendor": "Example", "api_url": f"https://api.example.net/{name}"}
        setattr(event, name, msgspec.structs.replace(getattr(event, name), **attributes))
    return event


TEXT_FIELDS = [
    "organization", "action", "event_id", "product", "action_name", "reason", "target_role", "source_address", "geo", "country", "region",
    "city", "user_agent", "message", *(f"{who}.{fact}" for who in ("actor", "on_behalf_of", "target_user") for fact in (
    "id", "name", "address")), *(f"authentication.{fact}" for fact in ("type", "token_id", "token_label", "app_id")),
    *(f"{what}.{fact}" for what in ("content", "target_group", "space") for fact in ("kind", "id", "key", "name", "url")),
]  # fmt: skip
nearly_plain = st.builds(
    lambda field, before, nasty, after: ordinary_event(**{field: before + nasty + after}),
    st.sampled_from(TEXT_FIELDS), st.sampled_from(["", "x"]), st.sampled_from(HOSTILE), st.sampled_from(["", "y"]),
)  # fmt: skip
"""Ordinary but for one thing in one place, so that no other oddity hides how it is treated."""


GUARDED = (
    *(f"{before}{sign}{after}" for sign in ('"', "\\", "]", "=", "|", "^", "\x7f", "\x85", "\u2028", "\n", "\r", "\t", "\x00", "  ", "\ud800")
      for before, after in (("x", "y"), ("gr\u00fcn", ""), ("", "\u00fc"), ("\u4e2d", "\u4e2d"))),
    "", " ", " x", "x ", "\u00fc" * 256, "x" * 1024, "x" * 5000,
)  # fmt: skip
"""One text for each guard of a fast way, alone among letters that are ASCII and beside others."""


def at_every_guard(test):
    """Give a property about events an example for each guard, in a text and in the JSON of the API."""
    for text in GUARDED:
        test = example(ordinary_event(message=text))(test)
        if text.isprintable():
            test = example(ordinary_event(context=msgspec.Raw(msgspec.json.encode([{"id": text}]))))(test)
    for raw in (
        '[{"a":"\u00fc\x85"}]',
        '[{"a":"\u00fc\u2028"}]',
        '[{"a":"\x7f"}]',
        "[\n{}]",
        "[{}\t]",
        '[{"a":"\\n"}]',
    ):
        test = example(ordinary_event(container=msgspec.Raw(raw.encode())))(test)
    return test
