"""What every account did in each hour, in numbers: for comparing one account with all others, without all their events.

A row is an hour of an account at one address, in one way; there are a tenth as many as events, and fewer. What is
counted here is counted of whole hours; of an hour that a question's time begins or ends in, its events are counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from duckdb import DuckDBPyConnection

_KEYS = {
    "user_id": "who",
    "hour": "date_trunc('hour', \"@timestamp\")",
    "ip": '"source.ip"',
    "country": '"source.geo.country_name"',
    "token_id": '"atlassian.audit.authentication.token_id"',
    "app_id": '"atlassian.audit.authentication.app_id"',
}
_VIEW = "suffix(\"event.code\", '.view')"
_TITLE = '("atlassian.audit.content.name" is not null or "atlassian.audit.content.key" is not null)'
_COUNTS = {
    "events": "count(*)",
    "views": f"count(*) filter ({_VIEW})",
    "deletions": "count(*) filter (list_contains(\"event.type\", 'deletion'))",
    "exports": "count(*) filter (suffix(\"event.code\", '.export'))",
    "titles": f"count(*) filter ({_VIEW} and {_TITLE})",
    "user_agents": 'count("user_agent.original")',
    "session_ids": 'count("atlassian.audit.authentication.session_id")',
}
_MOMENTS = {"first": 'min("@timestamp")', "last": 'max("@timestamp")'}


def _named(columns: Mapping[str, str]) -> str:
    return ", ".join(f'{expression} "{name}"' for name, expression in columns.items())


def _counted(table: str) -> str:
    return f"select {_named(_KEYS | _COUNTS | _MOMENTS)} from {table} group by {', '.join(_KEYS.values())}"


OF_EVENTS = _counted("kept")
"""The hours of the events that are kept."""

MERGED = ", ".join(
    (
        *_KEYS,
        *(f'sum("{name}")::bigint "{name}"' for name in _COUNTS),
        *(f'{expression.partition("(")[0]}("{name}") "{name}"' for name, expression in _MOMENTS.items()),
    )
)
"""Hours of several parts as one list, grouped by all that is no number."""

WHOLE = """create or replace temp table hours_cut as
select * from hours where hour >= $begins and hour < $ends"""
"""The whole hours of a time."""

_AT_THE_EDGES = """(select * from kept where "@timestamp" >= $since and "@timestamp" < $until
  and ("@timestamp" < $begins or "@timestamp" >= $ends))"""

EDGES = f" union all by name {_counted(_AT_THE_EDGES)}"
"""Besides, of the hours that it begins or ends in, what its events are."""

ALL, CUT = (f"create or replace temp view hours_within as select * from {table}" for table in ("hours", "hours_cut"))
"""Which of them are meant: those of all that is kept, or those of a time."""


def make_hours(connection: DuckDBPyConnection) -> None:
    """Make the table `hours` of the view `kept`."""
    connection.execute(f"create or replace table hours as {OF_EVENTS}")
