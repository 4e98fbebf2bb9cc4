"""Concrete records of LEEF, and the reader that judges them."""

import re
from datetime import UTC, datetime

import pytest

from forwarder.contracts import Actor, Change, Shrinks, Thing, UnexpectedPayload
from forwarder.formats.leef.attributes import ATTRIBUTES, TABLE
from forwarder.formats.leef.format import LeefFormat
from forwarder.registry import FORMATS
from forwarder.testing.events import record_of
from tests.formats.leef.reader import PREDEFINED, NotLeef, read
from tests.hostile import ordinary_event, with_what_is_rare

SOUND = b"LEEF:2.0|Vendor|Product|1|login|^|devTime=1727952266457^sev=3^src=203.0.113.7^own=a=b"


def leef_of(event):
    [line] = LeefFormat().render([record_of(event)])
    assert isinstance(line, bytes), line
    return line


def attributes_of(event):
    return read(leef_of(event)).attributes


# ------------------------------------------------------------------------------------------------------- the reader


def test_the_reader_reads_what_is_sound():
    found = read(SOUND)
    assert found[:4] == ("Vendor", "Product", "1", "login")
    assert found.attributes == {"devTime": "1727952266457", "sev": "3", "src": "203.0.113.7", "own": "a=b"}
    assert found.time == datetime(2024, 10, 3, 10, 44, 26, 457000, tzinfo=UTC)
    assert read(SOUND.replace(b"|^|", b"|x5E|")) == read(SOUND.replace(b"|^|", b"|0x5e|")) == found
    assert read(SOUND.replace(b"|^|", b"||").replace(b"^", b"\t")) == found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"LEEF:2.0", b"LEEF:1.0"), (b"LEEF", b" LEEF"), (b"|login|", b"||"), (b"|Vendor", b"| Vendor"),
        (b"|^|", b"|^^|"), (b"|^|", b"|a|"), (b"|^|", b"|"), (b"login", b"l" * 256), (b"sev=3", b"sev=0"), (b"sev=3", b"sev=11"),
        (b"sev=3", b"sev=x"), (b"sev=3", b"sev="), (b"sev=3", b"sev= 3"), (b"sev=3", b"sev"), (b"sev=3", b"sev=3^"), (b"sev=3", b"Sev=3"),
        (b"203.0.113.7", b"203.0.113"), (b"own=", b"src="), (b"own=", b"SRC="), (b"own=", b"a b="), (b"own=", b"="),
        (b"own=a=b", b"own=a|b"), (b"own=a=b", b"own=a\tb"), (b"own=a", b"own=\na"), (b"own=a", b"own=\x1b"), (b"own=a", b"own=\xff"),
        (b"own=a", b"own=\xc2\x85"), (b"own=a=b", b"isLoginEvent=true"), (b"own=a=b", b"usrName=" + b"u" * 256),
        (b"1727952266457", b"172795226645"), (b"1727952266457", b"2024-10-03"), (b"devTime=1727952266457", b"devTimeFormat=yyyy"),
        (b"1727952266457", b"2024-13-03^devTimeFormat=yyyy-MM-dd"), (b"own=a=b", b"identMAC=00:00:00:00:00:00"),
    ],
)  # fmt: skip
def test_the_reader_refuses_what_is_not_leef(old, new):
    assert old in SOUND
    with pytest.raises(NotLeef):
        read(SOUND.replace(old, new, 1))


# ------------------------------------------------------------------------------------------------------- the format


def test_the_format_is_installed_and_can_shrink():
    assert FORMATS.load("leef") is LeefFormat
    assert isinstance(LeefFormat(), Shrinks)


def test_the_header_and_the_time():
    line = leef_of(ordinary_event())
    assert line.startswith(
        b"LEEF:2.0|Atlassian|Audit|1|page_viewed|^|devTime=2024-10-03T10:44:26.457+0000^devTimeFormat="
    )
    assert read(line).time == datetime(2024, 10, 3, 10, 44, 26, 457000, tzinfo=UTC)


@pytest.mark.parametrize("ms", [-62_135_596_800_000, -1, 0, 999_999_999_999, 253_402_300_799_999])
def test_every_time_can_be_said(ms):
    found = read(leef_of(ordinary_event(time_ms=ms))).time
    assert round((found - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000) == ms


def test_what_ends_a_value_is_a_blank_and_the_record_says_so():
    found = attributes_of(ordinary_event(message="a|b^src=10.0.0.1=c\\d"))
    assert found["message"] == "a b src=10.0.0.1=c\\d"
    assert (found["src"], found["marks"]) == ("203.0.113.155", "replaced")


def test_json_loses_nothing():
    event = ordinary_event(changes=(Change("a|b", "\\^", None),))
    found = attributes_of(event)
    assert found["changes"] == '[{"field":"a\\u007cb","before":"\\\\\\u005e"}]'
    assert "marks" not in found


@pytest.mark.parametrize("char", ["\x00", "\t", "\n", "\r", "\x0b", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u2029"])
def test_control_characters_become_blanks(char):
    assert attributes_of(ordinary_event(message=f"a{char}b"))["message"] == "a b"
    assert "message" not in attributes_of(ordinary_event(message=char))


def test_other_characters_stay():
    text = 'Zoë 😀 \u202edlrow\u202c \ufeff = " \\ ]'
    assert attributes_of(ordinary_event(message=text))["message"] == text


@pytest.mark.parametrize("action", ["x|y^z=1\n2", "|", "", "a" * 300, " "])
def test_an_odd_action_is_an_event_id(action):
    found = read(leef_of(ordinary_event(action=action, action_name=None)))
    cleared = re.sub(r"[|^\n]", " ", action).strip()
    assert found.event_id == (cleared[:255] or "unknown")
    assert found.attributes.get("action", "") == cleared


@pytest.mark.parametrize("ident", ["a|b", "a^b", "a\nb", " a", "", None])
def test_an_id_that_cannot_be_carried_gives_way_to_the_document_id(ident):
    assert attributes_of(ordinary_event(event_id=ident))["eventId"] == "0123456789abcdef" * 2


@pytest.mark.parametrize("ip", ["203.0.113.7", "2001:db8::1", "::ffff:1.2.3.4"])
def test_an_address_of_either_kind(ip):
    assert attributes_of(ordinary_event(ip=ip))["src"] == ip


@pytest.mark.parametrize(
    ("actor", "user", "name"),
    [
        (Actor("1", "Nora Vale", "nora.vale@example.com"), "nora.vale@example.com", "Nora Vale"),
        (Actor("1", "Nora Vale"), "Nora Vale", "Nora Vale"), (Actor("1"), None, None), (None, None, None),
        (Actor(None, "N" * 300), "N" * 255, "N" * 300),
    ],
)  # fmt: skip
def test_who_acted(actor, user, name):
    found = attributes_of(ordinary_event(actor=actor))
    assert (found.get("usrName"), found.get("actorName")) == (user, name)
    assert ("truncated" in found.get("marks", "")) == (user == "N" * 255)


def test_an_unknown_act_claims_nothing():
    found = attributes_of(
        ordinary_event(layer="unknown", category=(), types=(), outcome="unknown", severity=0, act=None)
    )
    assert found["layer"] == "unknown"
    assert not {"cat", "sev", "type", "outcome", "act"} & set(found)


def test_absent_facts_are_absent():
    event = ordinary_event()
    for name in ("actor", "on_behalf_of", "target_user", "target_role", "authentication", "target_group", "content", "space", "site",
                 "app", "ip", "source_address", "geo", "country", "region", "city", "user_agent", "message", "context",
                 "container", "product", "act", "object", "organization_name", "related", "processed_ms", "action_name", "reason"):  # fmt: skip
        setattr(event, name, None)
    event.action, event.outcome, event.category, event.types, event.severity = "", "unknown", (), (), 0
    assert list(attributes_of(event)) == [
        "devTime",
        "devTimeFormat",
        "layer",
        "feed",
        "eventId",
        "organization",
        "readAt",
    ]


def test_every_attribute_of_the_table_is_written_somewhere_and_named_once():
    event = ordinary_event(changes=(Change("role", "a", "b"),), marks=("revision",), types=("access",))
    for name, thing in (("site", "s"), ("space", "p"), ("app", "a"), ("target_group", "g")):
        setattr(event, name, Thing(name, thing, "K", "N", "https://example.net", "V", "https://api.example.net"))
    written = set(attributes_of(with_what_is_rare(event)))
    event.target_user = None
    written |= set(attributes_of(with_what_is_rare(event)))
    assert written == {one.name for one in ATTRIBUTES}
    assert len({one.name.lower() for one in ATTRIBUTES}) == len(ATTRIBUTES) == len(TABLE.before) == len(TABLE.columns)


def test_lengths_are_those_of_the_guide():
    ours = {one.name: one.longest for one in ATTRIBUTES if one.name in PREDEFINED}
    assert ours == {name: int(PREDEFINED[name]["longest"] or 0) for name in ours}
    assert {"devTime", "devTimeFormat", "cat", "sev", "usrName", "src", "resource", "url", "role", "groupID"} == set(
        ours
    )


def test_a_record_without_meaning_costs_only_itself():
    good, bad = record_of(ordinary_event()), record_of(ordinary_event())
    bad.event = None
    lines = LeefFormat().render([good, bad, good])
    assert isinstance(lines[1], UnexpectedPayload)
    assert lines[0] == lines[2] == leef_of(ordinary_event())
    assert isinstance(LeefFormat().shrink(bad, 1000), UnexpectedPayload)


def test_room_is_made_from_what_is_needed_least():
    event = ordinary_event(message="m" * 90, user_agent="u" * 40)
    kept, lost = set(attributes_of(event)), []
    for limit in range(len(leef_of(event)), 0, -1):
        short = LeefFormat().shrink(record_of(event), limit)
        if isinstance(short, UnexpectedPayload):
            break
        now = set(read(short).attributes)
        lost += sorted(kept - now)
        kept = now
    assert lost[:2] == ["container", "context"]
    assert lost.index("message") < lost.index("url") < lost.index("src") < lost.index("cat")
    assert kept == {"devTime", "devTimeFormat", "action", "eventId", "actorId", "marks"}


def test_a_name_without_an_id_is_the_last_to_be_cut():
    event = ordinary_event(actor=Actor(None, "Nora " * 40))
    for limit in range(230, 500):
        short = LeefFormat().shrink(record_of(event), limit)
        if isinstance(short, bytes):
            assert read(short).attributes["usrName"].startswith("Nora Nora Nora")
            return
    pytest.fail("nothing fits")


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"category": ("iam",)}, "cat"), ({"outcome": "failure"}, "outcome"), ({"feed": "jira"}, "feed"), ({"severity": 7}, "sev"),
        ({"layer": "words"}, "layer"), ({"product": "jira"}, "product"), ({"act": "grant"}, "act"), ({"object": "role"}, "object"),
        ({"organization": "other"}, "organization"), ({"read_ms": 61_000}, "readAt"), ({"action": "other"}, "action"),
        ({"country": "Norway"}, "country"), ({"geo": "1.5,2"}, "geo"), ({"types": ("info",)}, "type"), ({"action_name": "Seen"}, "actionName"),
    ],
)  # fmt: skip
def test_what_was_remembered_of_one_event_never_shows_in_the_next(changed, name):
    plain, other = ordinary_event(), ordinary_event(**changed)
    lines = LeefFormat().render([record_of(event) for event in (plain, other, plain, other)])
    assert lines == [leef_of(plain), leef_of(other)] * 2
    assert attributes_of(plain)[name] != attributes_of(other)[name]
