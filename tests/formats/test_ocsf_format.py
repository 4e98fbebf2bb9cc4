"""Concrete events of OCSF: which class they get, where their facts stand, and that the schema is the one we copied."""

import json

import pytest

from forwarder.catalogue import load_catalogue
from forwarder.catalogue.known import LISTS
from forwarder.catalogue.ocsf import ocsf_classes
from forwarder.contracts import Actor, Authentication, Shrinks, Thing, UnexpectedPayload
from forwarder.formats.ocsf.format import SEVERITIES, STATUSES, OcsfFormat
from forwarder.formats.ocsf.observables import TYPES
from forwarder.registry import FORMATS, build_format
from forwarder.testing.events import record_of
from tests.formats import ocsf_reader as ocsf
from tests.formats.ocsf_reader import findings, strictly
from tests.hostile import ordinary_event

NOBODY = dict.fromkeys(("target_user", "target_group", "target_role", "content", "space", "site", "app"))


def event_with(**changes) -> dict:
    [body] = OcsfFormat().render([record_of(ordinary_event(**changes))])
    assert isinstance(body, bytes), body
    return strictly(body)


def test_the_format_is_installed_and_can_shrink():
    assert FORMATS.load("ocsf") is OcsfFormat
    assert isinstance(OcsfFormat(), Shrinks)


# --------------------------------------------------------------------------------------------------- what was copied


def test_our_classes_are_those_of_the_schema():
    for number, found in ocsf_classes().items():
        attributes = ocsf.SCHEMA["classes"][ocsf.EMBEDDED.lookup_class_name_from_uid(number)]["attributes"]
        assert attributes["class_uid"]["enum"][str(number)]["caption"] == found.name, number
        assert attributes["category_uid"]["enum"][str(found.category[0])]["caption"] == found.category[1]
        captions = {int(activity): one["caption"] for activity, one in attributes["activity_id"]["enum"].items()}
        assert captions == found.activities
        assert (attributes["actor"].get("profiles") or []) == ([found.profile] if found.profile else [])


def test_our_other_numbers_are_those_of_the_schema():
    base = ocsf.SCHEMA["classes"]["base_event"]["attributes"]
    for number, caption in SEVERITIES.items():
        assert base["severity_id"]["enum"][str(number)]["caption"] == caption
    for number, caption in STATUSES.values():
        assert base["status_id"]["enum"][str(number)]["caption"] == caption
    observables = ocsf.SCHEMA["objects"]["observable"]["attributes"]["type_id"]["enum"]
    for number, caption in TYPES.items():
        assert observables[str(number)]["caption"] == caption


def test_every_known_action_has_a_class_and_an_activity_of_it():
    catalogue = load_catalogue()
    for name in LISTS:
        for line, meaning in catalogue.records.lines(name):
            assert meaning.ocsf_activity in ocsf_classes()[meaning.ocsf_class].activities, line
            assert meaning.ocsf_activity, line


def test_a_record_may_say_its_class_itself():
    found = load_catalogue().records.by_name["reset password with recovery link"]
    assert (found.act, found.ocsf_class, found.ocsf_activity) == ("change", 3001, 4)


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("type_uid", 600103, "type_uid"),
        ("category_uid", 9, "category_uid"),
        ("activity_name", "Update", "activity_id 2 is Read, not Update"),
        ("severity", "High", "severity_id"),
        ("time", "2026-01-31", "time"),
        ("web_resources", [{"type": "page"}], "web_resources"),
        ("surplus", 1, "surplus"),
        ("actor.user.type", "Admin", "type_id"),
        ("src_endpoint.ip", "300.1.1.1", "ip"),
        ("user", {"uid": "u"}, "user"),
        ("observables", [{"name": "src_endpoint.ip", "type_id": 2, "value": "203.0.113.1"}], "not what stands there"),
        ("observables", [{"name": "src_endpoint.ip", "type_id": 1, "value": "203.0.113.155"}], "is of type 2"),
    ],
)
def test_the_reader_finds_what_is_wrong(path, value, why):
    event = event_with(ocsf_class=6001, ocsf_activity=2)
    *way, last = path.split(".")
    holder = event
    for name in way:
        holder = holder[name]
    holder[last] = value
    assert any(why in found for found in findings(event)), findings(event)


@pytest.mark.parametrize("name", ["activity_name", "class_uid"])
def test_the_reader_misses_what_is_missing(name):
    event = event_with(ocsf_class=6001, ocsf_activity=99)
    if name == "activity_name":
        del event[name]
        assert findings(event) == [".activity_id is Other without activity_name"]
    else:
        event[name] = 3002
        assert len(findings(event)) >= 3


# -------------------------------------------------------------------------------------------------------- its class


@pytest.mark.parametrize(
    ("claimed", "changes", "given"),
    [
        ((3002, 1), {}, 300201),
        ((3002, 1), {**NOBODY, "actor": None}, 99),
        ((3002, 7), {**NOBODY}, 99),
        ((3001, 1), {}, 300101),
        ((3001, 1), {**NOBODY}, 99),
        ((3001, 3), {**NOBODY, "product": "atlassian-account"}, 300103),
        ((3006, 3), {}, 300603),
        ((3006, 6), {**NOBODY}, 99),
        ((3005, 1), {}, 300501),
        ((3005, 2), {**NOBODY, "target_group": Thing("group", "g")}, 300602),
        ((3005, 1), {**NOBODY, "content": Thing("page", "1")}, 300403),
        ((3004, 4), {"content": Thing("policy", "1"), "object": "policy"}, 300404),
        ((3004, 4), {"content": Thing("page", "1"), "object": "restriction"}, 300403),
        ((3004, 4), {**NOBODY, "object": "policy"}, 300404),
        ((3004, 1), {**NOBODY, "object": "space", "space": Thing("space", None, "OPS")}, 300401),
        ((6001, 4), {"content": Thing("issue", "1"), "object": "issue"}, 600104),
        ((6001, 4), {"content": Thing("issue", "1"), "object": "comment"}, 600103),
        ((6001, 4), {"content": Thing("blogpost", "1"), "object": "blog"}, 600104),
        ((6001, 4), {"content": Thing("pull_request", "1"), "object": "comment"}, 600103),
        ((6001, 1), {"content": Thing("live-doc", "1"), "object": "comment"}, 600103),
        ((6001, 4), {"content": Thing("comment", "1"), "object": "comment"}, 600104),
        ((3004, 4), {"content": Thing("issue", "1"), "object": "issue_type"}, 300403),
        ((3004, 4), {"content": Thing("dashboard", "1"), "object": "chart"}, 300403),
        ((3004, 4), {"content": Thing("workspace", "1"), "object": "space"}, 300403),
        ((3004, 4), {"content": Thing("permission_scheme", "1"), "object": "permission"}, 300403),
        ((3004, 4), {"content": Thing("policy", "1"), "object": "authentication_policy"}, 300404),
        ((3004, 4), {"content": Thing("custom-field", "1"), "object": "field"}, 300404),
        ((3004, 4), {"content": Thing("organization_policy", "1"), "object": "policy"}, 300404),
        ((6001, 7), {"content": Thing("page", "1"), "object": "attachment"}, 600107),
        ((6001, 4), {**NOBODY}, 99),
        ((6001, 2), {**NOBODY}, 600102),
        ((6003, 99), {}, 600399),
        ((6003, 99), {"ip": None, "source_address": None}, 99),
        ((2004, 1), {**NOBODY}, 200401),
        ((0, 0), {"layer": "unknown"}, 0),
        ((0, 0), {"layer": "local"}, 99),
        ((6006, 2), {}, 99),
    ],
)
def test_an_event_gets_the_class_whose_facts_it_names(claimed, changes, given):
    event = event_with(ocsf_class=claimed[0], ocsf_activity=claimed[1], **changes)
    assert event["type_uid"] == given
    wanted = claimed[0] * 100 + claimed[1]
    assert event["unmapped"].get("instead_of") == (wanted if wanted != given and claimed[0] else None)


def test_who_saw_a_page_can_be_told():
    event = event_with(ocsf_class=6001, ocsf_activity=2)
    assert event["metadata"]["profiles"] == ["host"]
    assert event["actor"]["user"]["uid"] == "557058:bd95"
    assert event["web_resources"][0] == {
        "uid": "98311", "name": "Runbook", "type": "page", "uid_alt": "K", "url_string": "https://example.net/wiki/98311",
    }  # fmt: skip
    assert event["dst_endpoint"]["hostname"] == "example.net"


def test_the_user_is_who_it_was_done_to_and_the_actor_who_did_it():
    event = event_with(ocsf_class=3001, ocsf_activity=5)
    assert (event["actor"]["user"]["uid"], event["user"]["uid"]) == ("557058:bd95", "712020:1f0c")
    assert "target_user" not in event["unmapped"]


def test_an_impersonation_says_whom():
    event = event_with(ocsf_class=3002, ocsf_activity=7, impersonated=Actor("i"), target_user=None)
    assert event["user"] == {"uid": "i"}
    assert (event["account_switch_type_id"], event["account_switch_type"]) == (2, "Impersonate")


def test_a_power_without_a_name_is_named_by_its_kind():
    assert event_with(ocsf_class=3005, ocsf_activity=1)["privileges"] == ["admin"]
    assert event_with(ocsf_class=3005, ocsf_activity=1, target_role=None, object="permission")["privileges"] == [
        "permission"
    ]


def test_an_organization_is_not_deleted_with_its_policy():
    event = event_with(ocsf_class=3004, ocsf_activity=4, **NOBODY, object="policy")
    assert event["entity"] == {"type_id": 5, "type": "Policy", "org": {"uid": "a1b2c3d4", "name": "Example"}}


# -------------------------------------------------------------------------------------------------------- its facts


@pytest.mark.parametrize(
    ("actor", "user"),
    [
        (Actor("u", "N", "n@example.com", "person"), {"uid": "u", "name": "n@example.com", "display_name": "N",
         "email_addr": "n@example.com", "type_id": 1, "type": "User"}),
        (Actor("u", "N"), {"uid": "u", "display_name": "N"}),
        (Actor(None, "System", None, "system"), {"name": "System", "display_name": "System", "type_id": 3, "type": "System"}),
        (Actor("a", None, None, "app"), {"uid": "a", "type_id": 4, "type": "Service"}),
        (Actor("s", None, None, "support"), {"uid": "s", "type_id": 99, "type": "Atlassian support"}),
        (Actor(None, "x", None, "anonymous"), {"name": "x", "display_name": "x", "type_id": 99, "type": "Anonymous"}),
        (Actor(None, None, "zoë@example.com"), {"name": "zoë@example.com"}),
    ],
)  # fmt: skip
def test_people(actor, user):
    assert event_with(actor=actor, ocsf_class=6001)["actor"]["user"] == user


@pytest.mark.parametrize(
    ("severity", "number"), [(0, 0), (1, 1), (2, 1), (3, 2), (5, 3), (6, 3), (7, 4), (8, 4), (10, 5)]
)
def test_severities(severity, number):
    assert event_with(severity=severity)["severity_id"] == number


@pytest.mark.parametrize(("outcome", "number"), [("success", 1), ("failure", 2), ("unknown", 0)])
def test_outcomes(outcome, number):
    event = event_with(outcome=outcome, reason="no right")
    assert (event["status_id"], event["status_detail"]) == (number, "no right")
    finding = event_with(outcome=outcome, ocsf_class=2004, ocsf_activity=1)
    assert "status_id" not in finding  # there 1 is New
    assert finding["unmapped"]["outcome"] == outcome


def test_how_somebody_was_authenticated():
    event = event_with(authentication=Authentication("api_token", "t-1", "ci", "s-1", "app-1"))
    assert event["actor"]["session"] == {"uid": "s-1", "credential_uid": "t-1"}
    assert event["actor"]["app_uid"] == "app-1"
    assert event["unmapped"]["authentication"] == {"type": "api_token", "token_label": "ci"}


def test_names_of_countries_are_no_codes():
    named = event_with(ocsf_class=6001, country="Ukraine")
    assert named["src_endpoint"]["location"] == {"city": "Kyiv", "lat": 50.4501, "long": 30.5234}
    assert named["unmapped"]["source"] == {"country": "Ukraine", "region": "Kyiv City"}
    coded = event_with(ocsf_class=6001, country="UA", city=None, region=None)
    assert coded["src_endpoint"]["location"] == {"country": "UA", "lat": 50.4501, "long": 30.5234}
    assert "source" not in coded["unmapped"]


def test_a_long_ip_address_is_still_told():
    event = event_with(ocsf_class=6001, ip="0000:0000:0000:0000:0000:ffff:203.100.113.155")
    assert event["src_endpoint"]["name"] == "0000:0000:0000:0000:0000:ffff:203.100.113.155"


def test_the_original_is_the_whole_event_or_is_left_out():
    render = build_format("ocsf", original=True)
    record = record_of(ordinary_event(ocsf_class=6001, ocsf_activity=2), raw=b'{"id": "e"}')
    [body] = render.render([record])
    assert strictly(body)["raw_data"] == '{"id": "e"}'
    assert isinstance(render, Shrinks)
    short = render.shrink(record, len(body) - 1)
    assert isinstance(short, bytes)
    assert "raw_data" not in strictly(short)


# ------------------------------------------------------------------------------------------------------- when cut


def test_what_is_needed_least_goes_first():
    event = ordinary_event(ocsf_class=6001, ocsf_activity=2, message="m" * 3000)
    [whole] = OcsfFormat().render([record_of(event)])
    short = OcsfFormat().shrink(record_of(event), len(whole) - 100)
    assert isinstance(short, bytes)
    document = strictly(short)
    assert (document["metadata"]["is_truncated"], document["metadata"]["untruncated_size"]) == (True, 7)
    assert len(document["message"]) == 3000
    assert "observables" not in document
    assert document["unmapped"]["context"]


def test_a_long_title_of_what_the_class_requires_is_cut_but_no_id():
    page = Thing("page", "i" * 200, None, "t" * 5000, "https://example.net/" + "p" * 5000)
    short = OcsfFormat().shrink(record_of(ordinary_event(ocsf_class=6001, ocsf_activity=4, content=page)), 1500)
    assert isinstance(short, bytes)
    [resource] = strictly(short)["web_resources"]
    assert resource == {"uid": "i" * 200, "name": "t" * 64, "type": "page"}


def test_half_an_address_is_no_address():
    actor = Actor("u", "N", "a" * 200 + "@" + "b" * 60 + ".example", "person")
    record = record_of(ordinary_event(ocsf_class=6001, ocsf_activity=2, actor=actor))
    [whole] = OcsfFormat().render([record])
    assert isinstance(whole, bytes)
    for limit in range(1200, len(whole), 20):
        short = OcsfFormat().shrink(record, limit)
        assert isinstance(short, bytes)
        assert len(short) <= limit
        assert "email_addr" not in strictly(short)["actor"]["user"]


def test_who_has_an_address_only_is_named_by_it():
    record = record_of(ordinary_event(ocsf_class=6001, ocsf_activity=2, actor=Actor(None, "N", "n@example.com")))
    [whole] = OcsfFormat().render([record])
    assert isinstance(whole, bytes)
    shortest = None
    for limit in range(len(whole) - 1, 200, -7):
        short = OcsfFormat().shrink(record, limit)
        if isinstance(short, bytes):
            shortest = strictly(short)
            assert shortest["actor"]["user"]["name"] == "n@example.com"
    assert shortest is not None
    assert "email_addr" not in shortest["actor"]["user"]


def test_too_little_room_is_refused():
    refused = OcsfFormat().shrink(record_of(ordinary_event(ocsf_class=6001, ocsf_activity=2)), 300)
    assert isinstance(refused, UnexpectedPayload)
    assert "300 bytes" in refused.reason


def test_no_meaning_no_record():
    record = record_of(ordinary_event())
    record.event = None
    [refused] = OcsfFormat().render([record])
    assert isinstance(refused, UnexpectedPayload)
    assert isinstance(OcsfFormat().shrink(record, 9000), UnexpectedPayload)


def test_the_memory_is_bounded():
    render = OcsfFormat()
    for number in range(9000):
        render.render([record_of(ordinary_event(action=f"a{number}"))])
    assert 500 < len(render._by_action) <= 4096
    [body] = render.render([record_of(ordinary_event(action="x" * 100_000))])
    assert json.loads(body)["metadata"]["event_code"] == "x" * 100_000
    assert not any("x" * 1000 in str(key) for key in render._by_action)
