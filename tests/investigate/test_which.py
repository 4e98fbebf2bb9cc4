"""Content of one id at two sites, or of two kinds, is listed and never mixed."""

from __future__ import annotations

import pytest

from forwarder.investigate.without_index import tables_of_files
from tests.investigate.asked import ask, dicts
from tests.investigate.lines import entry, event

SITES = {"s1": "acme", "s2": "umbra"}


def _issue(ident: str, site: str, user: str, issue: str = "10005") -> bytes:
    host = f"https://{SITES[site]}.example.net"
    lies = entry(
        "sites",
        site,
        siteName=SITES[site],
        siteHostName=host,
        issueId=issue,
        issueKeyOrId=f"{SITES[site][:3].upper()}-5",
    )
    return event("jira_issue_viewed", ident=ident, user=user, name=user, email=None, container=[lies])  # fmt: skip


def _page(ident: str, site: str, user: str, page: str = "10005", name: str = "Payroll") -> bytes:
    lies = entry("sites", site, siteName=SITES[site], siteHostName=f"https://{SITES[site]}.example.net", pageId=page)
    lies["attributes"]["name"] = name
    return event("confluence_page_viewed", ident=ident, user=user, name=user, email=None, container=[lies])


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    lines = [
        _issue("1", "s1", "a1"), _issue("2", "s1", "a2"), _issue("3", "s2", "b1"), _page("4", "s1", "c1"),
        _page("5", "s1", "c1", "77", "Plan"), _page("6", "s1", "c2", "77", "Plan of the year"),
    ]  # fmt: skip
    file = tmp_path_factory.mktemp("which") / "events.ndjson"
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    with tables_of_files([file]) as found:
        yield found


def _accounts(tables, what: str) -> set[str]:
    return {row["account"] for row in dicts(ask(tables, "content", what), "accounts")}


def test_things_of_one_id_are_listed_and_each_is_found_as_it_is_listed(tables):
    result = ask(tables, "content", "10005")
    assert result.several
    assert not result.parts
    listed = {one.id: one.events for one in result.subject.candidates}
    assert listed == {"acme/issue/10005": 2, "umbra/issue/10005": 1, "acme/page/10005": 1}
    assert [_accounts(tables, one) for one in listed] == [{"a1", "a2"}, {"b1"}, {"c1"}]


def test_an_address_chooses_by_its_host(tables):
    assert _accounts(tables, "https://umbra.example.net/browse/10005") == {"b1"}
    two = ask(tables, "content", "https://acme.example.net/browse/10005")
    assert {one.id for one in two.subject.candidates} == {"acme/issue/10005", "acme/page/10005"}


def test_what_names_none_of_them_lists_them_all(tables):
    assert len(ask(tables, "content", "elsewhere/10005").subject.candidates) == 3


def test_a_title_that_changed_makes_no_two_things(tables):
    result = ask(tables, "content", "77")
    assert result.subject.id == "77"
    assert _accounts(tables, "77") == {"c1", "c2"}


@pytest.mark.parametrize(
    "typed",
    ["https://other.example.net/wiki/spaces/FIN/pages/77", "other.example.net/wiki/spaces/FIN/pages/77/x", "other/77",
     "acme/issue/77", "https://acme.example.net/display/FIN/Plan+of+the+year"],
)  # fmt: skip
def test_what_is_elsewhere_or_only_has_the_title_is_listed(tables, typed):
    result = ask(tables, "content", typed)
    assert [one.id for one in result.subject.candidates] in (["acme/77"], ["77"])
    assert result.several
    assert not result.parts


@pytest.mark.parametrize(
    "typed",
    ["https://ACME.example.net/wiki/spaces/FIN/pages/77/?x#y", "acme/page/77", "acme.example.net/pages/77", "Plan"],
)
def test_what_is_there_is_found(tables, typed):
    assert ask(tables, "content", typed).subject.id == "77"


@pytest.mark.parametrize(
    ("typed", "said"),
    [("http://[::1/browse/X-1", "names no id, key or title"), ("https://acme.example.net/browse/X-1", "in it: X-1")],
)
def test_what_an_address_was_searched_by_is_said(tables, typed, said):
    assert said in ask(tables, "content", typed).searched
