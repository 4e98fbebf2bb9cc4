"""Names, types and allowed values of what the ECS format writes, against the ECS release itself."""

import ipaddress
import re
from pathlib import Path

import msgspec
import pytest

from forwarder.catalogue import load_catalogue
from forwarder.contracts import Actor, Also, AuditEvent, Change, Late, Record, Thing, UnexpectedPayload
from forwarder.formats.ecs.format import EcsFormat
from tests.events import ORIGIN, ecs_of, golden_bodies, meaning_of, record_of, strictly

TABLES = Path(__file__).parent / "ecs"
LATE = Path(__file__).parents[1] / "golden" / "late"
FIELDS = {
    name: (kind, many == "array", set(allowed.split()))
    for name, kind, many, allowed in (
        (line + "\t\t").split("\t")[:4] for line in (TABLES / "fields.tsv").read_text().splitlines()
    )
}
PAIRS = {
    (category, kind)
    for line in (TABLES / "category_types.tsv").read_text().splitlines()
    for category, kinds in [line.split("\t")]
    for kind in kinds.split()
}
TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z")

# Our own name space, and the shape of each field in the index.
OWN = {
    "atlassian.audit." + name: kind
    for name, kind in {
        "feed": str, "layer": str, "product": str, "act": str, "action_name": str, "actor_kind": str, "revision": str,
        "marks": list, "authentication": dict, "content": dict, "space": dict, "site": dict, "app": dict,
        "roles": list, "domain": str, "also": dict, "changes": list, "context": (dict, list), "container": (dict, list), "processed_at": str,
        "related": str, "late": dict,
    }.items()
}  # fmt: skip


def leaves(tree, path=""):
    """Yield every field with its value; a geo point is one value, our own things are checked as a whole."""
    for name, value in tree.items():
        full = f"{path}{name}"
        if isinstance(value, dict) and full not in OWN and FIELDS.get(full, ("",))[0] != "geo_point":
            assert value, f"{full} is empty"
            yield from leaves(value, f"{full}.")
        else:
            yield full, value


def check_type(name, kind, value):
    if kind in {"keyword", "wildcard", "match_only_text"}:
        assert isinstance(value, str), name
        assert value, f"{name} is empty"
    elif kind == "date":
        assert TIME.fullmatch(value), name
    elif kind == "ip":
        ipaddress.ip_address(value)
    elif kind == "long":
        assert type(value) is int, name
    elif kind == "geo_point":
        assert set(value) == {"lat", "lon"}
        assert abs(value["lat"]) <= 90
        assert abs(value["lon"]) <= 180
    else:
        pytest.fail(f"{name}: no check for the type {kind}")


def check(document) -> set[str]:
    """Assert that a document keeps to ECS; return the names of its fields."""
    seen = set()
    for name, value in leaves(document):
        seen.add(name)
        if name in OWN:
            assert isinstance(value, OWN[name]), name
            assert value, f"{name} is empty"
            continue
        kind, many, allowed = FIELDS[name]
        assert isinstance(value, list) == many, f"{name}: array or not"
        values = value if many else [value]
        assert values, name
        for item in values:
            check_type(name, kind, item)
            assert not allowed or item in allowed, f"{name}: {item}"
        assert not many or len(set(values)) == len(values), f"{name} has doubles"
    assert {"@timestamp", "ecs.version", "event.kind", "event.id", "event.outcome"} <= seen
    check_pairs(document["event"].get("category", ()), document["event"].get("type", ()))
    return seen


def check_pairs(categories, types):
    assert bool(categories) == bool(types)
    for kind in types:
        assert any((category, kind) in PAIRS for category in categories), f"{categories} do not go with {kind}"
    for category in categories:
        assert any((category, kind) in PAIRS for kind in types), f"{types} do not go with {category}"


@pytest.fixture(scope="module")
def documents():
    found = {}
    for name, body in golden_bodies().items():
        event = meaning_of(body)
        if not isinstance(event, UnexpectedPayload):
            found[name] = strictly(ecs_of(event))
    assert len(found) >= 150
    return found


def test_every_golden_document_keeps_to_ecs(documents):
    for name, document in documents.items():
        try:
            check(document)
        except (AssertionError, KeyError) as error:
            raise AssertionError(f"{name}: {error}") from error


@pytest.mark.parametrize("case", ["late", "recovered", "backfill"])
def test_a_late_event_keeps_to_ecs(case):
    seen = check(strictly((LATE / case / "ecs.json").read_bytes().replace(b"\n", b"")))
    assert {"event.ingested", "tags", "atlassian.audit.late"} <= seen


def full_event() -> AuditEvent:
    person = Actor("1", "Nora Vale", "nora.vale@example.com", "person")
    return AuditEvent(
        document_id="0" * 32 + "-0123456789abcdef", feed="organization", organization="o", action="a", time_ms=1, read_ms=2,
        reason="no right to do so", object="user",
        processed_ms=3, actor=person, target_user=person, user_agent="Browser/1.0", changes=(Change("Email", "old@example.com", "new@example.com"), Change("Full name", None, "Nora Vane"),
        Change("Username", None, "nora")),
        target_group=Thing("group", "g", None, "admins"), source_address="gateway", app=Thing("app", "x"),
        event_id="e", message="m", domain="example.com", also=Also((Actor("2"),)), target_role="admin", impersonated=person,
        late=Late("recovered", 7200, "reconcile"),
    )  # fmt: skip


def test_every_listed_field_is_written_somewhere(documents):
    seen = set().union(*(check(document) for document in documents.values()), full_fields())
    assert set(FIELDS) - seen == set()
    assert set(OWN) - seen == set()


def full_fields() -> set[str]:
    record = record_of(b'{"id": "e"}')
    record.event = full_event()
    [line] = EcsFormat(original=True).render([record])
    document = strictly(line)
    assert document["event"]["original"] == '{"id": "e"}'
    return check(document)


def test_every_meaning_of_the_catalogue_keeps_to_ecs():
    catalogue = load_catalogue()
    meanings = [
        *catalogue.records.by_id.values(),
        *catalogue.records.by_name.values(),
        *(
            catalogue.meaning(f"{thing}_{verb}")
            for thing in ("login", "audit_log", "policy", "token", "role", "group", "user", "app", "page", "board", "flux")
            for verb in (
                "viewed", "searched", "created", "changed", "deleted", "moved", "exported", "shared", "granted", "revoked",
                "added", "removed", "invited", "installed", "uninstalled", "enabled", "suspended", "reactivated", "login",
                "logout", "impersonated", "update", "failed",
            )
        ),
    ]  # fmt: skip
    outcomes, kinds = FIELDS["event.outcome"][2], FIELDS["event.type"][2]
    for meaning in meanings:
        assert meaning.outcome in outcomes
        assert set(meaning.types) <= kinds
        assert 0 <= meaning.severity <= 10
        check_pairs(meaning.category, meaning.types)


def test_a_revision_names_its_digest():
    document = strictly(ecs_of(full_event()))
    assert document["atlassian"]["audit"]["revision"] == "0123456789abcdef"


def test_an_event_without_id_has_the_document_id():
    event = full_event()
    event.event_id = None
    assert strictly(ecs_of(event))["event"]["id"] == event.document_id


def test_untouched_parts_keep_their_very_tokens():
    event = meaning_of(golden_bodies()["exact_numbers_kept"])
    line = ecs_of(event)
    assert b'"n": 1.10, "m": 12345678901234567890123, "u": "\\/"' in line


def test_one_bad_record_costs_only_itself():
    good, bad, none = record_of(b"{}", "1" * 32), record_of(b"{}", "2" * 32), record_of(b"{}", "3" * 32)
    good.event = full_event()
    bad.event = msgspec.structs.replace(full_event(), message="half \ud800")
    lines = EcsFormat().render([good, bad, none, good])
    assert isinstance(lines[0], bytes)
    assert lines[0] == lines[3]
    assert isinstance(lines[1], UnexpectedPayload)
    assert isinstance(lines[2], UnexpectedPayload)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_line_ends_in_a_copied_part_stay_on_the_line(end):
    event = full_event()
    event.context = msgspec.Raw(f'[{{"a":{end} 1}}]'.encode())
    record = Record(1, ORIGIN, "1" * 32, b"{}", event)
    plain = Record(2, ORIGIN, "2" * 32, b"{}", full_event())
    lines = EcsFormat().render([record, plain, record])
    assert [strictly(line)["atlassian"]["audit"].get("context") for line in lines] == [[{"a": 1}], None, [{"a": 1}]]


def test_the_original_is_the_whole_event_or_is_left_out():
    body = b'{"id":"e","n":1.10,"u":"\\u00e9 \\ud800","bad":"\xff"}'
    record = record_of(body)
    record.event = full_event()
    [line] = EcsFormat(original=True).render([record])
    assert strictly(line)["event"]["original"] == body.decode("utf-8", "replace")
    [plain] = EcsFormat().render([record])
    assert "original" not in strictly(plain)["event"]
    short = strictly(EcsFormat(original=True).shrink(record, len(plain) + 60))
    assert "original" not in short["event"]
    assert short["atlassian"]["audit"]["marks"] == ["truncated"]


@pytest.mark.parametrize(("act", "changes", "target"), [("grant", ["admin"], None), ("revoke", None, ["admin"])])
def test_a_role_stands_where_it_is_now(act, changes, target):
    event = full_event()
    event.act = act
    user = strictly(ecs_of(event))["user"]
    assert user.get("changes", {}).get("roles") == changes
    assert user["target"].get("roles") == target


def test_what_changed_of_an_account_is_found_by_its_new_names():
    document = strictly(ecs_of(full_event()))
    new = {"email": "new@example.com", "full_name": "Nora Vane", "name": "nora"}
    assert document["user"]["changes"] == new
    assert set(document["related"]["user"]) >= set(new.values())


@pytest.mark.parametrize("changed", [{"object": "policy"}, {"target_user": None}, {"changes": (Change("Email", "x"),)}])
def test_what_changed_of_anything_else_changes_nobody(changed):
    assert "changes" not in strictly(ecs_of(msgspec.structs.replace(full_event(), **changed)))["user"]


def test_two_actors_of_one_name_are_not_mixed_up():
    records = []
    for number in ("1", "2", "1"):
        event = full_event()
        event.target_user = event.target_role = event.impersonated = None
        event.actor = Actor(number, "Nora Vale")
        records.append(Record(1, ORIGIN, number * 32, b"{}", event))
    assert [strictly(line)["user"]["id"] for line in EcsFormat().render(records)] == ["1", "2", "1"]


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("https://site.example.net/browse/WEB-1", "site.example.net"),
        ("https://site.example.net", "site.example.net"),
        ("http://a/b", "a"),
        ("https://user:pass@Site.example.net:8443/x", "site.example.net"),
        ("https://site.example.net?q=/x", "site.example.net"),
        ("https://[::1]/x", "::1"),
        ("https://[", None),
        ("https:///x", None),
    ],
)
def test_domain_of_a_url(url, domain):
    event = full_event()
    event.content = Thing("page", url=url)
    assert strictly(ecs_of(event))["url"] == {"full": url} | ({"domain": domain} if domain else {})


def test_more_records_than_one_chunk_keep_their_order():
    records = []
    for number in range(100):
        event = full_event()
        event.event_id = str(number)
        records.append(Record(number, ORIGIN, "0" * 32, b"{}", event))
    records[40].event = None
    lines = EcsFormat().render(records)
    assert isinstance(lines.pop(40), UnexpectedPayload)
    assert [strictly(line)["event"]["id"] for line in lines] == [str(number) for number in range(100) if number != 40]


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"category": ("iam",), "types": ("user", "change")}, "event.category"),
        ({"types": ("info",), "category": ("iam",)}, "event.type"),
        ({"outcome": "failure"}, "event.outcome"),
        ({"severity": 7}, "event.severity"),
        ({"reason": "another"}, "event.reason"),
        ({"feed": "jira"}, "event.provider"),
        ({"feed": "jira"}, "atlassian.audit.feed"),
        ({"layer": "words"}, "atlassian.audit.layer"),
        ({"product": "jira"}, "atlassian.audit.product"),
        ({"act": "view"}, "atlassian.audit.act"),
        ({"action_name": "Viewed"}, "atlassian.audit.action_name"),
        ({"organization": "other"}, "organization.id"),
        ({"read_ms": 61_000}, "event.created"),
        ({"action": ""}, "event.action"),
        ({"country": "Norway"}, "source.geo.country_name"),
        ({"geo": "1.5,2"}, "source.geo.location"),
        ({"ip": "192.0.2.1"}, "source.ip"),
        ({"time_ms": 1001}, "@timestamp"),
    ],
)
def test_what_was_remembered_of_one_event_never_shows_in_the_next(changed, path):
    """Render two events of one action in turns; each comes out as it does alone."""
    plain, other = full_event(), msgspec.structs.replace(full_event(), **changed)
    records = [Record(1, ORIGIN, "1" * 32, b"{}", event) for event in (plain, other, plain, other)]
    assert EcsFormat().render(records) == [ecs_of(plain), ecs_of(other)] * 2

    def at(document):
        for name in path.split("."):
            document = document.get(name, {})
        return document

    assert at(strictly(ecs_of(plain))) != at(strictly(ecs_of(other)))
