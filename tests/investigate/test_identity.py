"""Who is meant: by any name that anybody had, over all logs; several are listed, never guessed."""

import json

import pytest

from forwarder.contracts import Held, Origin
from forwarder.formats.ecs.format import EcsFormat
from forwarder.investigate.identity import Directory, find
from forwarder.investigate.names import folded
from forwarder.investigate.opening import open_tables
from forwarder.investigate.without_index import tables_of_files
from tests.events import meaning_of, record_of
from tests.investigate.evidence import Archive
from tests.investigate.lines import entry, event


def other_feed(body: bytes, feed: str) -> bytes:
    """Return an event as ECS of another log."""
    record = record_of(body)
    record.event = meaning_of(body)
    record.event.feed = feed
    [line] = EcsFormat().render([record])
    return line


def jira(number, account, key=None, **more):
    record = {
        "id": number,
        "summary": "User created",
        "created": "2026-03-01T01:00:00.000+0000",
        "authorAccountId": account,
    }
    return json.dumps(record | ({"authorKey": key} if key else {}) | more).encode()


LINES = [
    *[event(ident=f"a{number}", user="712020:ada", name="Ada Glenmoor") for number in range(3)],
    event(ident="a9", user="712020:ada", name="Ada Smith", email=None),
    event(ident="b", user="712020:zoe", name="Zoë  Łukasz-Søren", email="zoe@example.com"),
    event(ident="c1", user="712020:twin1", name="Sam Common", email="sam1@example.com"),
    event(ident="c2", user="712020:twin2", name="Sam Common", email="sam2@example.com"),
    event(ident="d1", user="712020:old", name="Left", email="desk@example.com"),
    event(ident="d2", user="712020:new", name="Came", email="desk@example.com"),
    event("user_added_to_group", ident="t", context=[entry("users", "712020:never-acted", name="Quiet One")]),
    other_feed(event(user="JIRAUSER10100", name="A. Glenmoor", email="ADA@example.com"), "jira_datacenter"),
    other_feed(event(user="JIRAUSER10200", name="Sam Common", email=None), "jira_datacenter"),
    jira(1, "712020:zoe", "ug:0a1b"),
    jira(2, "712020:ada", objectItem={"id": "ug:0a1b", "name": "zoe", "typeName": "USER"}),
    json.dumps(
        {
            "author": {"accountId": "712020:ada", "userKey": "8a8b", "username": "aglen", "displayName": "Ada"},
            "creationDate": 1772359200000,
            "summary": "Space created",
            "category": "Spaces",
        }
    ).encode(),
    event(ident="hostile", user="712020:eve", name="%_' or 1=1 --", email="eve@example.com"),
]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    file = tmp_path_factory.mktemp("identity") / "events.ndjson"
    file.write_bytes(b"".join(line + b"\n" for line in LINES))
    with tables_of_files([file]) as found:
        yield found


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("712020:ada", "id"),
        ("JIRAUSER10100", "id"),
        ("8a8b", "key"),
        ("aglen", "key"),
        ("ada@example.com", "address"),
        ("Ada@Example.COM ", "address"),
        ("ada glenmoor", "name"),
        ("ADA  SMITH", "name"),
        ("ada s", "beginning of a name or address"),
        ("lenmoo", "part of a name"),
    ],
)
def test_one_person_by_any_name_over_all_logs(tables, text, how):
    found = find(tables, text)
    assert found.how == how
    [person] = found.people
    assert person.ids == ["712020:ada", "JIRAUSER10100"]
    assert person.linked_by == ("address ada@example.com",)
    first = person.accounts[0]
    assert first.name == "Ada Glenmoor"
    assert set(first.names) == {"Ada Glenmoor", "Ada Smith", "Ada"}
    assert first.feeds == ("confluence", "jira", "organization")
    assert first.first_ms < first.last_ms


def test_a_key_and_its_account_are_one_person(tables):
    for text in ("ug:0a1b", "712020:zoe", "zoe lukasz-soren", "ZOË ŁUKASZ-SØREN"):
        [person] = find(tables, text).people
        assert set(person.ids) == {"712020:zoe", "ug:0a1b"}
        assert person.linked_by == ("key ug:0a1b",)


def test_people_of_one_name_are_listed(tables):
    found = find(tables, "sam common")
    assert {tuple(person.ids) for person in found.people} == {("712020:twin1",), ("712020:twin2",), ("JIRAUSER10200",)}


def test_two_accounts_of_one_log_with_one_address_are_listed_apart(tables):
    found = find(tables, "desk@example.com")
    assert sorted(person.ids for person in found.people) == [["712020:new"], ["712020:old"]]


def test_who_never_acted_is_found(tables):
    [person] = find(tables, "quiet one").people
    assert person.ids == ["712020:never-acted"]


@pytest.mark.parametrize("text", ["", "  ", "nobody at all", "%", "_", "\x00", "\ud800"])
def test_nobody(tables, text):
    found = find(tables, text)
    if text in {"%", "_"}:
        assert all(person.ids == ["712020:eve"] for person in found.people)
    else:
        assert found.people == ()


def test_a_hostile_name_is_a_name(tables):
    [person] = find(tables, "%_' or 1=1 --").people
    assert person.ids == ["712020:eve"]


def test_a_directory_links_accounts_and_knows_more_names(tables, tmp_path):
    file = tmp_path / "people.csv"
    file.write_text(
        "\ufeffName,ID,email\nSammy Real,712020:twin1;JIRAUSER10200,\nOther,712020:none,none@example.com\n",
        encoding="utf-8",
    )
    directory = Directory.read(file)
    for text in ("sammy real", "712020:twin1", "JIRAUSER10200"):
        [person] = find(tables, text, directory).people
        assert set(person.ids) == {"712020:twin1", "JIRAUSER10200"}
        assert person.linked_by == ("directory",)
    assert len(find(tables, "sam common", directory).people) == 2


def test_a_directory_that_is_none_is_refused(tmp_path):
    file = tmp_path / "people.csv"
    with pytest.raises(Held, match="cannot be read"):
        Directory.read(file)
    file.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(Held, match="columns"):
        Directory.read(file)
    file.write_bytes(b"id\n\xff\xfe\n")
    with pytest.raises(Held, match="cannot be read"):
        Directory.read(file)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Zoë", "zoe"),
        ("ŁUKASZ", "lukasz"),
        ("Søren", "soren"),
        ("Straße", "STRASSE"),
        ("\uff21da", "ada"),
        ("a \u00a0 b", "A B"),
        ("I\u0307stanbul", "istanbul"),
        ("Đặng", "dang"),
    ],
)
def test_names_are_folded(one, other):
    assert folded(one) == folded(other)


def test_accounts_of_two_data_centers_are_two_even_when_they_count_alike(tmp_path):
    archive = Archive(tmp_path)
    for host, name in (("jira.example.com", "Ada Glenmoor"), ("test.example.com", "Sam Common")):
        body = {
            "timestamp": "2026-03-01T10:00:00Z",
            "author": {"name": name, "id": "JIRAUSER10100"},
            "type": {"categoryI18nKey": "jira.x", "actionI18nKey": "jira.auditing.user.created"},
        }
        origin = Origin(host.partition(".")[0], "jira_datacenter", "", host)
        archive.put("2026-03-01T11", [json.dumps(body).encode()], origin)
    with archive.reader() as reader, open_tables(reader) as tables:
        both = find(tables, "JIRAUSER10100")
        assert both.how == "id"
        assert sorted(one.ids for one in both.people) == [
            ["jira.example.com/JIRAUSER10100"],
            ["test.example.com/JIRAUSER10100"],
        ]
        [one] = find(tables, "test.example.com/JIRAUSER10100").people
        assert one.accounts[0].name == "Sam Common"
        [events] = tables.ask("select list(who order by who) from events").rows
        assert events == (["jira.example.com/JIRAUSER10100", "test.example.com/JIRAUSER10100"],)
