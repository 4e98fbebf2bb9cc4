"""Whom a name means: the best way of matching decides, several are listed, nobody is no error."""

from __future__ import annotations

import pytest

from forwarder.contracts import ConfigError
from forwarder.investigate.faces import heading
from forwarder.investigate.faces.heading import found_by
from forwarder.investigate.identity import Directory
from forwarder.investigate.questions.shapes import SHAPES
from forwarder.investigate.without_index import tables_of_files
from tests.investigate.asked import ask, dicts
from tests.investigate.lines import entry, event


@pytest.fixture
def few(tmp_path):
    """Tables of a few events whose people share names."""
    page = entry(
        "sites", "s1", siteName="acme", siteHostName="https://acme.example.net", pageId="77", key="FIN", name="Payroll"
    )
    issue = entry(
        "sites", "s1", siteName="acme", siteHostName="https://acme.example.net", issueId="5", issueKeyOrId="SEC-5"
    )
    issue["links"] = {"alt": "https://acme.example.net/browse/SEC-5"}
    page["links"] = {"alt": "https://acme.example.net/wiki/spaces/FIN/pages/77"}
    lines = [
        event("confluence_page_viewed", ident="1", user="a1", name="Zo\u00eb \u0141uk", email="zoe@example.com", container=[page]),
        event("confluence_page_viewed", ident="2", user="a2", name="Zoe Luk", email="zoe.luk@example.com", container=[page]),
        event("jira_issue_viewed", ident="3", user="a3", name="Ada", email="Ada@Example.com", container=[issue]),
        event("jira_issue_viewed", ident="4", user="a3", name="Ada Glenmoor", email="ada@example.com", container=[issue]),
        event("user_login", ident="5", user="x'; drop table held; --", name="Bob", email="bob@example.com"),
        event("user_added_to_group", ident="6", user="a3", context=[entry("users", "a4", name="Cleo"), entry("groups", "g1", groupName="ops")]),
    ]  # fmt: skip
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    with tables_of_files([file]) as tables:
        yield tables


@pytest.mark.parametrize(
    ("who", "ident", "how"),
    [
        ("a3", "a3", "id"),
        ("ada@example.com", "a3", "address"),
        ("ADA@EXAMPLE.COM", "a3", "address"),
        ("ada", "a3", "name"),
        ("  Ada Glenmoor ", "a3", "name"),
        ("ada glen", "a3", "beginning of a name or address"),
        ("x'; drop table held; --", "x'; drop table held; --", "id"),
        ("zoe@example.com", "a1", "address"),
        ("cleo", "a4", "name"),
    ],
)
def test_one_account_is_found(few, who, ident, how):
    subject = ask(few, "user", who).subject
    assert (subject.id, subject.resolved_by, subject.candidates) == (ident, how, ())


@pytest.mark.parametrize("name", ["zoe luk", "ZO\u00cb \u0141UK", "Zoe  Luk", "luk"])
def test_several_of_one_name_are_listed_and_nothing_is_asked(few, name):
    result = ask(few, "user", name)
    assert result.several
    assert {one.id for one in result.subject.candidates} == {"a1", "a2"}
    assert result.subject.id is None
    assert not result.parts
    assert not result.findings


def test_what_is_too_much_to_be_listed_is_counted(tmp_path):
    lines = [
        event("group_granted_admin_access", ident=str(n), user=f"m{n}", name=f"Many {n}", email=None,
              context=[entry("groups", f"g{n}", groupName=f"g{n}")]) for n in range(60)
    ]  # fmt: skip
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    with tables_of_files([file]) as tables:
        many, day = ask(tables, "user", "many"), ask(tables, "day", "2026-03-01")
    assert (len(many.subject.candidates), many.subject.unlisted) == (50, 10)
    assert "60 match 'many'" in heading.several(many)
    assert "of which 50 are listed" in heading.several(many)
    assert len(day.findings) == 20
    assert [one.events for one in day.limits if one.code == "unlisted"] == [40]


@pytest.mark.parametrize("who", ["nobody", "nobody@example.com", "%", "_", "*", "'", "$who", "a3 "[:1] * 40])
def test_nobody_is_said_with_what_was_searched(few, who):
    result = ask(few, "user", who)
    assert (result.subject.id, result.several) == (None, False)
    assert "in 6 events" in result.searched


@pytest.mark.parametrize(
    "what",
    [
        "77",
        "payroll",
        "https://acme.example.net/wiki/spaces/FIN/pages/77",
        "https://acme.example.net/wiki/spaces/FIN/pages/77/Another+title?focusedCommentId=9",
        "https://acme.example.net/wiki/pages/viewpage.action?pageId=77",
    ],
)
def test_a_page_is_found_however_it_is_named(few, what):
    result = ask(few, "content", what)
    assert result.subject.id == "77", result.subject
    assert result.totals.subject == 2


@pytest.mark.parametrize("what", ["SEC-5", "sec-5", "5", "https://acme.example.net/browse/SEC-5?filter=1", "https://acme.example.net/jira/x?selectedIssue=SEC-5"])  # fmt: skip
def test_an_issue_is_found_however_it_is_named(few, what):
    assert ask(few, "content", what).totals.subject == 2


def test_two_accounts_of_one_person_are_one_answer(tmp_path):
    lines = [
        event("user_login", ident="1", user="a1", name="Ada", email="ada@example.com", ip="203.0.113.1"),
        event("user_login", ident="2", user="b7", name="Ada G.", email="ada.g@example.com", ip="203.0.113.1"),
        event("user_login", ident="3", user="c1", name="Bob", email="bob@example.com", ip="203.0.113.1"),
    ]
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    directory = Directory([["a1", "b7", "Ada Glenmoor"]])
    with tables_of_files([file]) as tables:
        alone = ask(tables, "user", "a1")
        both = ask(tables, "user", "a1", directory=directory)
    assert (alone.totals.subject, alone.subject.ids) == (1, ())
    assert both.totals.subject == 2
    assert set(both.subject.ids) == {"a1", "b7"}
    assert both.subject.linked_by == ("directory",)
    assert {row["account"] for row in dicts(both, "timeline")} == {"a1", "b7"}
    [elsewhere] = dicts(both, "elsewhere")
    assert (elsewhere["events"], elsewhere["by_others"]) == (3, 1)
    assert "2 accounts, one person's by directory: " in found_by(both.subject)


def test_a_group_is_found_by_id_and_name(few):
    assert ask(few, "group", "ops").totals.subject == ask(few, "group", "g1").totals.subject == 1


@pytest.mark.parametrize(
    ("kind", "who", "normal"),
    [
        ("ip", "2001:DB8:0::7", "2001:db8::7"),
        ("ip", " [2001:db8::7] ", "2001:db8::7"),
        ("ip", "::ffff:203.0.113.7", "203.0.113.7"),
        ("day", "2026-03-01", "2026-03-01"),
    ],
)
def test_addresses_and_days_are_asked_for_as_the_index_writes_them(kind, who, normal):
    assert SHAPES[kind].normal(who) == normal


@pytest.mark.parametrize(
    ("kind", "who"),
    [
        ("ip", "example.com"),
        ("ip", "203.0.113.0/24"),
        ("day", "yesterday"),
        ("day", "9999-12-31"),
        ("day", "0001-01-01"),
    ],
)
def test_what_is_no_address_or_day_is_refused_with_an_example(kind, who):
    with pytest.raises(ConfigError, match="write one such as"):
        SHAPES[kind].normal(who)


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("2001:DB8:0:0::7", "2001:db8::7"),
        ("2001:0db8::0007", "2001:DB8::7"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9", "::FFFF:203.0.113.9"),
        ("198.51.100.1, 203.0.113.9", "203.0.113.8"),
    ],
)
def test_an_address_is_found_in_any_spelling(tmp_path, written, asked):
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"\n".join([event(ip=written, ident="e1"), event(ip="203.0.113.8", ident="e2"), b""]))
    with tables_of_files([file], memory="64MB") as tables:
        answered = ask(tables, "ip", SHAPES["ip"].normal(asked))
    assert answered.totals.subject == 1
