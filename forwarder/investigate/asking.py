"""Asks the tables, and keeps each query with its values for the report.

Invariant: what a person typed and what events hold reaches a query as a bound value only, never as part of its text.
"""

from __future__ import annotations

import datetime as dt
import re
from copy import copy
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from forwarder.investigate.moments import iso
from forwarder.investigate.result import MOST_ROWS, Column, Part, Query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwarder.investigate.duck import Answer
    from forwarder.investigate.tables import Tables

SHORT_NAMES = """
create or replace view {view} as select "@timestamp" t, "event.id" id, act, "event.code" code,
  "event.action" action,
  "event.category" category, "event.type" type, "event.outcome" outcome, "event.severity" severity,
  who user_id, "user.full_name" user_name, "user.email" user_email,
  "on_behalf_of.id" behalf_id, "on_behalf_of.full_name" behalf_name,
  "impersonated.id" as_id, "impersonated.full_name" as_name,
  target target_id, "user.target.full_name" target_name, coalesce("group.id", "group.name") group_id,
    "group.name" group_name,
  "atlassian.audit.roles" roles, "source.ip" ip, "source.geo.country_name" country, "source.geo.city_name" city,
  "user_agent.original" user_agent, "atlassian.audit.authentication.type" authentication,
  "atlassian.audit.authentication.session_id" session_id,
  "atlassian.audit.authentication.token_id" token_id, "atlassian.audit.authentication.token_label" token_label,
  "atlassian.audit.authentication.app_id" app_id, "atlassian.audit.authentication.app_name" app_name,
  "atlassian.audit.app.id" other_app_id, "atlassian.audit.app.name" other_app_name,
  "atlassian.audit.content.kind" content_kind,
  coalesce("atlassian.audit.content.id", "atlassian.audit.content.key") content_id,
  "atlassian.audit.content.id" own_id, "atlassian.audit.content.key" content_key,
    "atlassian.audit.content.name" content_name,
  coalesce("atlassian.audit.space.key", "atlassian.audit.space.name", "atlassian.audit.space.id",
    nullif(regexp_extract("atlassian.audit.content.key", '^([A-Z][A-Z0-9_]+)-[0-9]+$', 1), '')) space,
  "atlassian.audit.site.id" site_id, "atlassian.audit.site.name" site_name,
  "atlassian.audit.changes" changes, also, message, "evidence.object" evidence, "evidence.line" line
from {table}
"""
"""The index under the short names that the queries use: `e` has all events, `ea` the `acts` among them."""

IN_ZONE = "create or replace macro in_zone(moment, zone) as timezone(zone, timezone('UTC', moment))"
"""What clocks in a zone show at a moment, which is one of UTC here."""

_OTHER = re.compile(r"([\w.]+) is distinct from \$who\b")
_VALUE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")


class Asking:
    """Asks the tables of one archive.

    Args:
        tables: Open.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.queries: list[Query] = []
        self.accounts: tuple[str, ...] = ()
        self.run("times of clocks in a zone", IN_ZONE)
        self.run("short names", SHORT_NAMES.format(view="e", table="kept"))
        self.run("short names of acts", SHORT_NAMES.format(view="ea", table="acts_kept"))

    def beside(self) -> Asking:
        """Return what asks the same in another thread, and keeps its own queries."""
        other = copy(self)
        other.tables, other.queries = self.tables.beside(), []
        return other

    def run(self, name: str, sql: str, **values: Any) -> list[dict[str, Any]]:
        """Run a query with bound values; return its rows by column. Remembers it under a name."""
        return self._answer(name, sql, values).dicts()

    def _answer(self, name: str, sql: str, values: dict[str, Any]) -> Answer:
        if len(self.accounts) > 1 and values.get("who") == self.accounts[0]:
            sql, more = _for_all(sql, self.accounts)
            values |= more
        named = set(_VALUE.findall(sql))
        used = {key: value for key, value in values.items() if key in named}
        text = sql.strip()
        if not any(query.name == name for query in self.queries):
            self.queries.append(Query(name, text, {key: _shown(value) for key, value in used.items()}))
        return self.tables.ask(text, used)

    def note(self, name: str, sql: str) -> None:
        """Remember a query that others run, which those after it need."""
        self.queries.append(Query(name, sql, {}))

    def part(self, name: str, title: str, columns: Sequence[Column], sql: str, note: str = "", **values: Any) -> Part:
        """Return a part whose columns are those of a query, by name."""
        answer = self._answer(name, sql, values)
        cells = itemgetter(*(answer.columns.index(column.name) for column in columns))
        kept = map(cells, answer.rows[:MOST_ROWS])
        lists = [at for at, column in enumerate(columns) if column.kind in {"texts", "ids"}]
        rows = tuple(_with_lists(row, lists) for row in kept) if lists else tuple(kept)
        return Part(name, title, tuple(columns), rows, note, left_out=max(0, len(answer.rows) - MOST_ROWS))


def _for_all(sql: str, accounts: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Return a query about one account as one about several, and their values; the names of the values are ours."""
    names = ["who", *(f"who_{number}" for number in range(2, len(accounts) + 1))]
    several = "(" + ", ".join(f"${name}" for name in names) + ")"
    sql = _OTHER.sub(rf"(\1 is null or \1 not in {several})", sql)
    sql = sql.replace("<> $who", f"not in {several}").replace("= $who", f"in {several}")
    return sql, dict(zip(names, accounts, strict=True))


def _with_lists(row: tuple[Any, ...], lists: Sequence[int]) -> tuple[Any, ...]:
    """Return a row whose lists have texts only."""
    cells = list(row)
    for at in lists:
        if cells[at] is not None:
            cells[at] = [str(one) for one in cells[at] if one is not None]
    return tuple(cells)


def _shown(value: Any) -> Any:
    return iso(int(value.timestamp() * 1000)) if isinstance(value, dt.datetime) else value
