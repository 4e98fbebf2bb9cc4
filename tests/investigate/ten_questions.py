"""What `investigate` and `hunt` must answer to the ten questions of docs/analyst-questions.md: what its queries find.

Whoever runs the queries, a server or our own reading of their clauses, is given as `found`.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forwarder.investigate.hunt.hunting import hunt
from forwarder.investigate.hunt.shipped import hunts
from forwarder.investigate.questions.answer import Archive
from forwarder.investigate.result import Evidence, Question
from tests.investigate.asked import RUN, ask, dicts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forwarder.investigate.tables import Tables
    from simulator.organization import Organization

Document = dict[str, Any]

PAGE = (Path(__file__).parents[2] / "docs" / "analyst-questions.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
MONDAY = "2026-02-16T00:00:00+01:00"
_FIRST, _DAYS = dt.date(2026, 2, 9), 22


class Compared:
    """Both sides of the comparison.

    Args:
        acme: Whose log it is.
        tables: What `investigate` asks.
        found: Returns the documents that a query finds.
    """

    def __init__(self, acme: Organization, tables: Tables, found: Callable[[Document], list[Document]]) -> None:
        self.acme = acme
        self.tables = tables
        self._found = found

    def found(self, number: int, **values: str) -> list[Document]:
        """Return the documents that a query of the page finds, with these values in its place holders."""
        text = QUERIES[number - 1]
        for name, value in values.items():
            text = text.replace(f"<{name.replace('_', ' ')}>", value)
        return self._found(json.loads(text)["query"])

    @cached_property
    def deeds(self) -> list[dict[str, Any]]:
        """What the question about a day says of exports, rights, tokens, settings and deletions, of all days."""
        days = (str(_FIRST + dt.timedelta(days=at)) for at in range(_DAYS))
        return [row for day in days for row in dicts(ask(self.tables, "day", day), "deeds")]


def values_of(document: Document, field: str) -> list[Any]:
    """Return what a document has in a field."""
    here: list[Any] = [document]
    for name in field.split("."):
        here = [one[name] for one in here if isinstance(one, dict) and name in one]
    return [each for one in here for each in (one if isinstance(one, list) else [one])]


def moment(text: str) -> dt.datetime:
    """Return a moment, also with date math."""
    base, _, more = text.partition("||")
    at = dt.datetime.fromisoformat(base)
    for sign, count, unit in re.findall(r"([+-])(\d+)([dh])", more):
        step = dt.timedelta(days=int(count)) if unit == "d" else dt.timedelta(hours=int(count))
        at = at + step if sign == "+" else at - step
    return at


def ids(documents: Iterable[Document]) -> set[str]:
    return {one["event"]["id"] for one in documents}


def by_account(documents: Iterable[Document]) -> Counter[str]:
    return Counter(one["user"]["id"] for one in documents)


def _ms(text: str) -> int:
    return int(moment(text).timestamp() * 1000)


def _what_an_account_did_between_two_times(it: Compared) -> None:
    for person in (it.acme.world.people[7], it.acme.world.admins[1], it.acme.world.people[12]):
        since, until = "2026-02-10T00:00:00+00:00", "2026-02-20T00:00:00+00:00"
        wanted = it.found(1, account_id=person.id, **{"from": since, "to": until})
        result = ask(it.tables, "user", person.id, since_ms=_ms(since), until_ms=_ms(until))
        assert {each for row in dicts(result, "timeline") for each in row["ids"]} == ids(wanted)
        assert len(wanted) > 5


def _who_looked_at_a_page(it: Compared) -> None:
    for page in it.acme.world.pages[30:34]:
        wanted = by_account(it.found(2, address_of_the_page=page.url))
        accounts = dicts(ask(it.tables, "content", page.url), "accounts")
        assert {row["account"]: row["views"] for row in accounts if row["views"]} == wanted


def _who_was_granted_admin(it: Compared) -> None:
    wanted = it.found(3, admin_group="org-admins", another_admin_group="site-admins")
    given = [one for one in wanted if one["event"]["code"] != "group.add"]
    got = {row["id"] for row in it.deeds if row["act"] == "admin.grant"}
    got |= {row["id"] for row in it.deeds if row["act"] == "role.grant" and any("admin" in one for one in row["roles"])}
    assert got == ids(given)
    assert len(got) >= 2
    assert ids(wanted) <= {row["id"] for row in it.deeds}


def _who_exported(it: Compared) -> None:
    wanted = it.found(4)
    acts = {one["event"]["code"] for one in wanted}
    assert {row["id"] for row in it.deeds if row["act"] in acts} == ids(wanted)
    assert "space.export" in acts
    assert len(wanted) >= 10


def _which_tokens_were_made_and_used_from_where(it: Compared) -> None:
    wanted = it.found(5)
    made = {one["event"]["id"] for one in wanted if one["event"].get("code", "").endswith("token.create")}
    assert {row["id"] for row in it.deeds if row["act"].endswith("token.create")} == made
    used: dict[str, list[Document]] = {}
    for one in wanted:
        for token in values_of(one, "atlassian.audit.authentication.token_id"):
            used.setdefault(token, []).append(one)
    assert used
    for token, uses in list(used.items())[:4]:
        result = ask(it.tables, "token", token)
        assert result.totals.subject == len(uses)
        places = {address for row in dicts(result, "accounts") for address in row["ips"] or ()}
        assert places == {address for one in uses for address in values_of(one, "source.ip")}


def _who_acted_as_another_person(it: Compared) -> None:
    wanted = by_account(it.found(6))
    assert sum(wanted.values()) == 13
    for account, count in wanted.items():
        rows = dicts(ask(it.tables, "user", account), "impersonation")
        assert sum(row["n"] for row in rows if row["account"] == account) == count


def _what_was_viewed_out_of_hours(it: Compared) -> None:
    wanted = by_account(it.found(7, monday=MONDAY))
    monday = _ms(MONDAY)
    hour = 3_600_000
    outside = [(day * 24 * hour, (day * 24 + 8) * hour) for day in range(5)]
    outside += [((day * 24 + 18) * hour, (day + 1) * 24 * hour) for day in range(5)]
    outside.append((5 * 24 * hour, 7 * 24 * hour))
    for account, count in wanted.most_common(2):
        views = 0
        for begin, end in outside:
            result = ask(it.tables, "user", account, since_ms=monday + begin, until_ms=monday + end)
            rows = dicts(result, "sessions") if result.parts else []
            views += sum(row["views"] for row in rows if row["account"] == account)
        assert views == count


def _who_viewed_very_much_in_an_hour(it: Compared) -> None:
    views = it.found(8)
    hours = Counter((one["user"]["id"], one["@timestamp"][:13]) for one in views)
    wanted = {account for (account, _), count in hours.items() if count >= 100}
    rule = [one for one in hunts() if one.name == "many_views"]
    result = hunt(Archive(it.tables, Evidence("x")), rule, Question("hunt", "x", "UTC"), RUN, lambda _: None)
    names = {one["user"]["full_name"] for one in views if one["user"]["id"] in wanted}
    assert len(result.findings) == len(wanted) == 1
    assert any(result.findings[0].text.endswith(name) for name in names)


def _which_issues_were_deleted(it: Compared) -> None:
    wanted = it.found(9)
    rows = [row for row in it.deeds if row["act"] == "issue.delete"]
    assert {row["id"] for row in rows} == ids(wanted)
    assert Counter(row["account"] for row in rows) == by_account(wanted)
    assert len(rows) == 30


def _who_changed_how_people_sign_in(it: Compared) -> None:
    wanted = it.found(10)
    assert {row["id"] for row in it.deeds if row["act"].startswith("authentication_policy.")} == ids(wanted)
    assert len(wanted) >= 2


ANSWERS: dict[int, Callable[[Compared], None]] = {
    1: _what_an_account_did_between_two_times,
    2: _who_looked_at_a_page,
    3: _who_was_granted_admin,
    4: _who_exported,
    5: _which_tokens_were_made_and_used_from_where,
    6: _who_acted_as_another_person,
    7: _what_was_viewed_out_of_hours,
    8: _who_viewed_very_much_in_an_hour,
    9: _which_issues_were_deleted,
    10: _who_changed_how_people_sign_in,
}
"""What is compared for each question, by its number."""
