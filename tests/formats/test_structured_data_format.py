"""Concrete elements of structured data: escapes, names, and what stays when room is short."""

import pytest

from forwarder.contracts import Actor, Change, Shrinks, Thing, UnexpectedPayload
from forwarder.formats.structured_data.format import StructuredDataFormat
from forwarder.formats.structured_data.names import NAMES
from forwarder.registry import FORMATS
from forwarder.testing.events import record_of
from tests.formats.structured_data_reader import strictly
from tests.hostile import ordinary_event, with_what_is_rare


def element_of(event):
    [element] = StructuredDataFormat().render([record_of(event)])
    assert isinstance(element, bytes), element
    return element


def test_the_format_is_installed_and_can_shrink():
    assert FORMATS.load("rfc5424_sd") is StructuredDataFormat
    assert isinstance(StructuredDataFormat(), Shrinks)


def test_escapes_of_a_value():
    element = element_of(ordinary_event(message='a"b\\c]d[e=f\r\ng'))
    assert b' message="a\\"b\\\\c\\]d[e=f  g" ' in element
    assert element.startswith(
        b'[atlassian@32473 time="2024-10-03T10:44:26.457Z" action="page_viewed" outcome="success"'
    )
    assert element.endswith(b'\\]"]')


@pytest.mark.parametrize("char", ["\x00", "\t", "\n", "\x1b", "\x7f", "\x85", "\u2028"])
def test_control_characters_become_blanks(char):
    assert strictly(element_of(ordinary_event(message=f"{char}a{char}b")))["message"] == " a b"


def test_other_characters_stay():
    text = "Zoë 😀 \u202edlrow\u202c \ufeff |="
    assert strictly(element_of(ordinary_event(message=text)))["message"] == text


def test_every_name_of_the_table_is_written_somewhere():
    event = ordinary_event(
        changes=(Change("role", "a", "b"),),
        marks=("revision",),
        app=Thing("app", "x", None, "X", None, "Example", "https://api.example.net/x"),
    )
    assert {name.name for name in NAMES} == set(strictly(element_of(with_what_is_rare(event))))


def test_names_are_printable_short_and_listed_once():
    names = [name.name for name in NAMES]
    assert len(set(names)) == len(names)
    assert all(name.isascii() and name.replace("_", "").isalnum() and len(name) <= 32 for name in names)


def test_absent_facts_are_absent():
    event = ordinary_event(action="", outcome="unknown", category=(), types=())
    for name in ("actor", "on_behalf_of", "target_user", "target_role", "authentication", "target_group", "content", "space", "site",
                 "app", "ip", "source_address", "geo", "country", "region", "city", "user_agent", "message", "context",
                 "container", "product", "reason", "act", "object", "organization_name", "related", "action_name", "event_id", "processed_ms"):  # fmt: skip
        setattr(event, name, None)
    assert strictly(element_of(event)) == {
        "time": "2024-10-03T10:44:26.457Z", "severity": "1", "layer": "attested", "feed": "organization",
        "id": "0123456789abcdef" * 2, "organization": "a1b2c3d4", "read_at": "2024-10-03T10:45:00.000Z",
    }  # fmt: skip


def test_a_record_without_meaning_costs_only_itself():
    good, bad = record_of(ordinary_event()), record_of(ordinary_event())
    bad.event = None
    elements = StructuredDataFormat().render([good, bad, good])
    assert isinstance(elements[1], UnexpectedPayload)
    assert elements[0] == elements[2] == element_of(ordinary_event())
    assert isinstance(StructuredDataFormat().shrink(bad, 1000), UnexpectedPayload)


def test_room_is_made_from_what_is_needed_least():
    event = ordinary_event(message="m" * 90)
    kept, lost = set(strictly(element_of(event))), []
    for limit in range(len(element_of(event)), 0, -1):
        short = StructuredDataFormat().shrink(record_of(event), limit)
        if isinstance(short, UnexpectedPayload):
            break
        now = set(strictly(short))
        lost += sorted(kept - now)
        kept = now
    assert lost[:2] == ["container", "context"]
    assert lost.index("message") < lost.index("object_url") < lost.index("source_ip") < lost.index("outcome")
    assert kept == {"time", "action", "id", "actor_id", "marks"}


@pytest.mark.parametrize(
    ("actor", "left"),
    [
        (Actor("1", "Nora", "n@example.com"), {"actor_id"}),
        (Actor(None, "Nora", "n@example.com"), {"actor_email"}),
        (Actor(None, "Nora"), {"actor_name"}),
    ],
)
def test_of_an_actor_the_strongest_identifier_stays(actor, left):
    event, limit = ordinary_event(actor=actor), 0
    while isinstance(short := StructuredDataFormat().shrink(record_of(event), limit), UnexpectedPayload):
        limit += 1
    assert {name for name in strictly(short) if name.startswith("actor")} == left


def test_a_megabyte_is_shortened_in_one_go():
    short = StructuredDataFormat().shrink(record_of(ordinary_event(message='"' * 2**20)), 8192)
    assert isinstance(short, bytes)
    assert 8190 <= len(short) <= 8192
    assert set(strictly(short)["message"]) == {'"'}


@pytest.mark.parametrize(
    "changed",
    [
        {"category": ("iam",)}, {"types": ("info",)}, {"outcome": "failure"}, {"feed": "jira"}, {"layer": "words"},
        {"product": "jira"}, {"act": "grant"}, {"object": "role"}, {"organization": "other"}, {"read_ms": 61_000}, {"action": ""},
        {"country": "Norway"}, {"geo": "1.5,2"}, {"severity": 7}, {"action_name": "Seen"}, {"time_ms": 1},
    ],
    ids=str,
)  # fmt: skip
def test_what_was_remembered_of_one_event_never_shows_in_the_next(changed):
    plain, other = ordinary_event(), ordinary_event(**changed)
    elements = StructuredDataFormat().render([record_of(event) for event in (plain, other, plain, other)])
    assert elements == [element_of(plain), element_of(other)] * 2
    assert elements[0] != elements[1]


def test_memories_are_bounded():
    sd = StructuredDataFormat()
    for number in range(5000):
        sd.render([record_of(ordinary_event(action=f"a{number}", city=f"c{number}"))])
    sd.render([record_of(ordinary_event(action=" " * 10**6, city=" " * 10**6))])
    assert all(0 < len(memory) <= 4096 for memory in (sd._actions.known, sd._places))
    assert not any(len(str(key)) > 2000 for memory in (sd._actions.known, sd._places) for key in memory)
