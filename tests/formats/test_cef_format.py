"""Concrete records of CEF: escapes, lengths, addresses, labels, and what stays when room is short."""

import pytest

from forwarder.contracts import Actor, Change, Shrinks, Thing, UnexpectedPayload
from forwarder.formats.cef.format import CefFormat
from forwarder.formats.cef.keys import KEYS, TABLE
from forwarder.registry import FORMATS
from forwarder.testing.events import record_of
from tests.formats.cef_reader import LABELS, strictly
from tests.hostile import ordinary_event, with_what_is_rare


def cef_of(event):
    [line] = CefFormat().render([record_of(event)])
    assert isinstance(line, bytes), line
    return line


def extension_of(event):
    return strictly(cef_of(event))[1]


def test_the_format_is_installed_and_can_shrink():
    assert FORMATS.load("cef") is CefFormat
    assert isinstance(CefFormat(), Shrinks)


def test_escapes_of_a_value_and_of_the_header():
    event = ordinary_event(message="a=b\\c|d\r\ne", action="x|y\\z=1\n2", action_name=None)
    line = cef_of(event)
    assert b" msg=a\\=b\\\\c|d\\r\\ne " in line
    assert line.startswith(b"CEF:0|Atlassian|Audit|1|x\\|y\\\\z=1 2|x\\|y\\\\z=1 2|1|rt=1727952266457 ")


@pytest.mark.parametrize("char", ["\x00", "\t", "\x0b", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u2029"])
def test_control_characters_become_blanks(char):
    assert extension_of(ordinary_event(message=f"a{char}b"))["msg"] == "a b"
    assert extension_of(ordinary_event(message=f"{char}b{char}"))["msg"] == "b"
    assert "msg" not in extension_of(ordinary_event(message=char))


def test_other_characters_stay():
    text = 'Zoë 😀 \u202edlrow\u202c \ufeff | " ]'
    assert extension_of(ordinary_event(message=text))["msg"] == text


@pytest.mark.parametrize(
    ("ip", "key", "other"),
    [("203.0.113.7", "src", "c6a2"), ("2001:db8::1", "c6a2", "src"), ("::ffff:1.2.3.4", "c6a2", "src")],
)
def test_an_address_stands_where_its_kind_belongs(ip, key, other):
    extension = extension_of(ordinary_event(ip=ip))
    assert extension[key] == ip
    assert other not in extension
    assert extension.get("c6a2Label") == ("Source IPv6 Address" if key == "c6a2" else None)


def test_texts_are_cut_between_characters_and_the_record_says_so():
    extension = extension_of(ordinary_event(message="😀" * 1024, action="a" * 64))
    assert extension["msg"] == "😀" * 1023
    assert extension["flexString2"] == "truncated"
    assert extension["act"] == "a" * 63


def test_a_long_action_is_whole_as_class_so_nothing_is_marked():
    header, extension = strictly(cef_of(ordinary_event(action="a" * 64)))
    assert (header["class"], extension["act"]) == ("a" * 64, "a" * 63)
    assert "flexString2" not in extension


@pytest.mark.parametrize("ident", ["x" * 41, "a\nb", " a", "", None])
def test_an_id_that_cannot_be_carried_gives_way_to_the_document_id(ident):
    assert extension_of(ordinary_event(event_id=ident))["externalId"] == "0123456789abcdef" * 2


def test_an_id_is_escaped_and_not_replaced():
    assert extension_of(ordinary_event(event_id="a=b\\c"))["externalId"] == "a=b\\c"


def test_absent_facts_are_absent():
    event = ordinary_event()
    for name in ("actor", "on_behalf_of", "target_user", "target_role", "authentication", "target_group", "content", "space", "site",
                 "app", "ip", "source_address", "geo", "country", "region", "city", "user_agent", "message", "context",
                 "container", "product", "reason", "act", "object", "organization_name", "related", "processed_ms"):  # fmt: skip
        setattr(event, name, None)
    event.action, event.outcome, event.category = "", "unknown", ()
    assert list(extension_of(event)) == [
        "rt", "deviceFacility", "AtlassianAuditLayer", "externalId", "deviceExternalId", "deviceCustomDate2Label",
        "deviceCustomDate2",
    ]  # fmt: skip


def test_every_key_of_the_table_is_written_somewhere():
    event = with_what_is_rare(ordinary_event(changes=(Change("role", "a", "b"),), marks=("revision",)))
    seen = {**extension_of(event), **extension_of(ordinary_event(ip="2001:db8::1"))}
    assert {key.name for key in KEYS} | set(LABELS) == set(seen)


def test_no_key_is_listed_twice():
    assert len({key.name for key in KEYS}) == len(KEYS) == len(TABLE.before) == len(TABLE.columns)


def test_a_bare_actor_is_named():
    extension = extension_of(ordinary_event(actor=Actor(None, "Nora Vale")))
    assert (extension.get("suid"), extension["suser"]) == (None, "Nora Vale")


def test_the_app_is_the_object_where_there_is_no_other():
    extension = extension_of(ordinary_event(content=None, app=Thing("app", "com.example", None, "Board")))
    assert [extension[key] for key in ("fileType", "fileId", "fname")] == ["app", "com.example", "Board"]


def test_a_record_without_meaning_costs_only_itself():
    good, bad = record_of(ordinary_event()), record_of(ordinary_event())
    bad.event = None
    lines = CefFormat().render([good, bad, good])
    assert isinstance(lines[1], UnexpectedPayload)
    assert lines[0] == lines[2] == cef_of(ordinary_event())
    assert isinstance(CefFormat().shrink(bad, 1000), UnexpectedPayload)


def test_room_is_made_from_what_is_needed_least():
    event = ordinary_event(message="m" * 90, user_agent="u" * 40)
    whole = cef_of(event)
    lost = []
    kept = set(extension_of(event))
    for limit in range(len(whole), 0, -1):
        short = CefFormat().shrink(record_of(event), limit)
        if isinstance(short, UnexpectedPayload):
            break
        now = set(strictly(short)[1])
        lost += sorted(name for name in kept - now if not name.endswith("Label"))
        kept = now
    assert lost[:2] == ["AtlassianAuditContainer", "cs6"]
    assert lost.index("msg") < lost.index("request") < lost.index("src") < lost.index("cat")
    assert kept == {"rt", "act", "externalId", "suid", "flexString2", "flexString2Label"}


def test_a_name_without_an_id_is_the_last_to_be_cut():
    event = ordinary_event(actor=Actor(None, "Nora " * 100))
    short = CefFormat().shrink(record_of(event), 250)
    assert isinstance(short, bytes)
    extension = strictly(short)[1]
    assert extension["suser"] != "Nora " * 100
    assert extension["suser"].startswith("Nora Nora Nora")


def test_a_limit_below_the_essentials_is_refused_with_a_reason():
    short = CefFormat().shrink(record_of(ordinary_event()), 100)
    assert isinstance(short, UnexpectedPayload)
    assert "100 bytes" in short.reason


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"category": ("iam",)}, "cat"), ({"outcome": "failure"}, "outcome"), ({"feed": "jira"}, "deviceFacility"),
        ({"layer": "words"}, "AtlassianAuditLayer"), ({"product": "jira"}, "destinationServiceName"),
        ({"act": "grant"}, "AtlassianAuditAct"), ({"object": "role"}, "AtlassianAuditObject"), ({"organization": "other"}, "deviceExternalId"),
        ({"read_ms": 61_000}, "deviceCustomDate2"), ({"action": ""}, "act"), ({"country": "Norway"}, "AtlassianAuditCountry"),
        ({"geo": "1.5,2"}, "AtlassianAuditGeo"), ({"site": Thing("site", url="https://x.example")}, "dvchost"),
        ({"severity": 7}, None), ({"action_name": "Seen"}, None),
    ],
)  # fmt: skip
def test_what_was_remembered_of_one_event_never_shows_in_the_next(changed, key):
    plain, other = ordinary_event(), ordinary_event(**changed)
    lines = CefFormat().render([record_of(event) for event in (plain, other, plain, other)])
    assert lines == [cef_of(plain), cef_of(other)] * 2
    assert lines[0] != lines[1]
    if key is not None:
        assert extension_of(plain).get(key) != extension_of(other).get(key)


def test_memories_are_bounded():
    cef = CefFormat()
    for number in range(5000):
        event = ordinary_event(
            action=f"a{number}", city=f"c{number}", site=Thing("site", url=f"https://s{number}.example")
        )
        cef.render([record_of(event)])
    cef.render([record_of(ordinary_event(action=" " * 10**6, city=" " * 10**6))])
    assert all(0 < len(memory) <= 4096 for memory in (cef._actions.known, cef._places, cef._dialect._hosts))
    assert not any(
        len(str(key)) > 2000 for memory in (cef._actions.known, cef._places, cef._dialect._hosts) for key in memory
    )
