"""The ten questions of docs/analyst-questions.md: `investigate` and `hunt` give the answers that its queries give.

The queries run over the documents that a sink would send, by the few clauses of Elasticsearch that the page uses.
"""

from __future__ import annotations

import datetime as dt
import fnmatch
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from forwarder.formats.ecs.format import EcsFormat
from forwarder.investigate.hunt.hunting import hunt
from forwarder.investigate.hunt.shipped import hunts
from forwarder.investigate.questions.answer import Archive
from forwarder.investigate.result import Evidence, Question
from forwarder.sources.organization.normalizer import OrganizationNormalizer
from tests.events import record_of
from tests.investigate.asked import RUN, ask, dicts

PAGE = (Path(__file__).parents[2] / "docs" / "analyst-questions.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
MONDAY = "2026-02-16T00:00:00+01:00"


@pytest.fixture(scope="module")
def documents(acme):
    bodies = [entry.body for entries in acme.feed.versions().values() for entry in entries]
    records = [record_of(body) for body in bodies]
    for record, event in zip(records, OrganizationNormalizer().normalize(records), strict=True):
        record.event = event
    return [json.loads(line) for line in EcsFormat().render(records)]


@pytest.fixture(scope="module")
def deeds(tables):
    """What the question about a day says of exports, rights, tokens, settings and deletions, of all days."""
    first = dt.date(2026, 2, 9)
    return [row for at in range(22) for row in dicts(ask(tables, "day", str(first + dt.timedelta(days=at))), "deeds")]


def found(documents, number, **values):
    """Return the documents that a query of the page finds."""
    text = QUERIES[number - 1]
    for name, value in values.items():
        text = text.replace(f"<{name.replace('_', ' ')}>", value)
    return [one for one in documents if _matches(json.loads(text)["query"], one)]


def _values(document, field):
    here = [document]
    for name in field.split("."):
        here = [one[name] for one in here if isinstance(one, dict) and name in one]
    return [each for one in here for each in (one if isinstance(one, list) else [one])]


def _moment(text):
    base, _, more = text.partition("||")
    at = dt.datetime.fromisoformat(base)
    for sign, count, unit in re.findall(r"([+-])(\d+)([dh])", more):
        step = dt.timedelta(days=int(count)) if unit == "d" else dt.timedelta(hours=int(count))
        at = at + step if sign == "+" else at - step
    return at


def _matches(query, document):
    [(clause, body)] = query.items()
    if clause == "bool":
        sides = {name: value if isinstance(value, list) else [value] for name, value in body.items()}
        return (
            all(_matches(one, document) for one in sides.get("filter", ()))
            and ("should" not in sides or any(_matches(one, document) for one in sides["should"]))
            and not any(_matches(one, document) for one in sides.get("must_not", ()))
        )
    if clause == "exists":
        return bool(_values(document, body["field"]))
    [(field, value)] = body.items()
    have = _values(document, field)
    if clause == "range":
        return any(_moment(value["gte"]) <= _moment(one) < _moment(value["lt"]) for one in have)
    if clause == "wildcard":
        pattern = value["value"] if isinstance(value, dict) else value
        return any(fnmatch.fnmatchcase(one, pattern) for one in have)
    if clause == "prefix":
        return any(one.startswith(value) for one in have)
    return any(one in (value if clause == "terms" else [value]) for one in have)


def ids(documents):
    return {one["event"]["id"] for one in documents}


def by_account(documents):
    return Counter(one["user"]["id"] for one in documents)


def _ms(text):
    return int(_moment(text).timestamp() * 1000)


def test_1_what_an_account_did_between_two_times(acme, tables, documents):
    for person in (acme.world.people[7], acme.world.admins[1], acme.world.people[12]):
        since, until = "2026-02-10T00:00:00+00:00", "2026-02-20T00:00:00+00:00"
        wanted = found(documents, 1, account_id=person.id, **{"from": since, "to": until})
        result = ask(tables, "user", person.id, since_ms=_ms(since), until_ms=_ms(until))
        assert {each for row in dicts(result, "timeline") for each in row["ids"]} >= ids(wanted)
        assert len(wanted) > 5


def test_2_who_looked_at_a_page(acme, tables, documents):
    for page in acme.world.pages[30:34]:
        wanted = by_account(found(documents, 2, address_of_the_page=page.url))
        accounts = dicts(ask(tables, "content", page.url), "accounts")
        assert {row["account"]: row["views"] for row in accounts if row["views"]} == wanted


def test_3_who_was_granted_admin(documents, deeds):
    wanted = found(documents, 3, admin_group="org-admins", another_admin_group="site-admins")
    given = [one for one in wanted if one["event"]["code"] != "group.add"]
    got = {row["id"] for row in deeds if row["act"] == "admin.grant"}
    got |= {row["id"] for row in deeds if row["act"] == "role.grant" and any("admin" in one for one in row["roles"])}
    assert got == ids(given)
    assert len(got) >= 2
    assert ids(wanted) <= {row["id"] for row in deeds}


def test_4_who_exported(documents, deeds):
    wanted = found(documents, 4)
    assert {row["id"] for row in deeds if row["act"] == "space.export"} == {
        one["event"]["id"] for one in wanted if one["event"]["code"] == "space.export"
    }
    assert ids(wanted) <= {row["id"] for row in deeds}
    assert len(wanted) >= 10


def test_5_which_tokens_were_made_and_used_from_where(tables, documents, deeds):
    wanted = found(documents, 5)
    made = {one["event"]["id"] for one in wanted if one["event"].get("code", "").endswith("token.create")}
    assert {row["id"] for row in deeds if row["act"].endswith("token.create")} == made
    used = {}
    for one in wanted:
        for token in _values(one, "atlassian.audit.authentication.token_id"):
            used.setdefault(token, []).append(one)
    assert used
    for token, uses in list(used.items())[:4]:
        result = ask(tables, "token", token)
        assert result.totals.subject == len(uses)
        places = {address for row in dicts(result, "accounts") for address in row["ips"] or ()}
        assert places == {address for one in uses for address in _values(one, "source.ip")}


def test_6_who_acted_as_another_person(tables, documents):
    wanted = by_account(found(documents, 6))
    assert sum(wanted.values()) == 13
    for account, count in wanted.items():
        rows = dicts(ask(tables, "user", account), "impersonation")
        assert sum(row["n"] for row in rows if row["account"] == account) == count


def test_7_what_was_viewed_out_of_hours(tables, documents):
    wanted = by_account(found(documents, 7, monday=MONDAY))
    monday = _ms(MONDAY)
    hour = 3_600_000
    outside = [(day * 24 * hour, (day * 24 + 8) * hour) for day in range(5)]
    outside += [((day * 24 + 18) * hour, (day + 1) * 24 * hour) for day in range(5)]
    outside.append((5 * 24 * hour, 7 * 24 * hour))
    for account, count in wanted.most_common(2):
        views = 0
        for begin, end in outside:
            result = ask(tables, "user", account, since_ms=monday + begin, until_ms=monday + end)
            rows = dicts(result, "sessions") if result.parts else []
            views += sum(row["views"] for row in rows if row["account"] == account)
        assert views == count


def test_8_who_viewed_very_much_in_an_hour(tables, documents):
    hours = Counter((one["user"]["id"], one["@timestamp"][:13]) for one in found(documents, 8))
    wanted = {account for (account, _), count in hours.items() if count >= 100}
    rule = [one for one in hunts() if one.name == "many_views"]
    result = hunt(Archive(tables, Evidence("x")), rule, Question("hunt", "x", "UTC"), RUN, lambda _: None)
    names = {one["user"]["full_name"] for one in documents if one.get("user", {}).get("id") in wanted}
    assert len(result.findings) == len(wanted) == 1
    assert any(result.findings[0].text.endswith(name) for name in names)


def test_9_which_issues_were_deleted(documents, deeds):
    wanted = found(documents, 9)
    rows = [row for row in deeds if row["act"] == "issue.delete"]
    assert {row["id"] for row in rows} == ids(wanted)
    assert Counter(row["account"] for row in rows) == by_account(wanted)
    assert len(rows) == 30


def test_10_who_changed_how_people_sign_in(documents, deeds):
    wanted = found(documents, 10)
    assert {row["id"] for row in deeds if row["act"].startswith("authentication_policy.")} == ids(wanted)
    assert len(wanted) >= 2
