"""What every account did in each hour, in numbers: for comparing one account with all others, without all their events.

A row is an hour of an account at one address, in one way; there are a tenth as many as events, and fewer. What is
counted here is counted of whole hours; of an hour that a question's time begins or ends in, its events are counted.

Each row of an hour says as well how many views and deletions the account had in that hour at all its addresses: the
busiest hours of everybody are the highest of these, without adding up a year of hours. An hour that several parts of an
index have something of is added up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

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


GROUPS = ("by", "what", "whence", "how", "content")
"""What rows share that these columns are of."""

MERGED = ", ".join(
    (
        *_KEYS,
        *(f'sum("{name}")::bigint "{name}"' for name in _COUNTS),
        *(f'{expression.partition("(")[0]}("{name}") "{name}"' for name, expression in _MOMENTS.items()),
    )
)
"""Hours of several parts as one list, grouped by all that is no number."""

_WITH_SUMS = f"""*, '' part, {
    ", ".join(
        f'(sum("{name}") over (partition by user_id, hour))::bigint "hour_{name}"' for name in ("views", "deletions")
    )
}"""


def of_events(table: str) -> str:
    """Return the hours of events, as a part of an index has them."""
    return f"select {_WITH_SUMS} from ({_counted(table)})"


STORED = '* replace ("first"::timestamp_ms as "first", "last"::timestamp_ms as "last")'
"""What is written of hours: no microseconds, which are always 0."""

OF_PARTS = f"select {STORED} from (select {_WITH_SUMS} from (select {MERGED} from stored_hours group by all))"
"""The hours of several parts as one part."""

RESTORED = "* exclude (filename) replace (filename as part)"
"""The inverse, of files."""


class Sums(NamedTuple):
    """What hours add up to; `first` and `last` are epoch milliseconds, None where there are no events."""

    events: int
    views: int
    titles: int
    user_agents: int
    session_ids: int
    first: int | None
    last: int | None


_SUMMED = ("events", "views", "titles", "user_agents", "session_ids")
_SUMS = ", ".join(
    (
        *(f'coalesce(sum("{name}"), 0)::bigint "{name}"' for name in _SUMMED),
        *(f'epoch_ms({which}("{name}"))::bigint "{name}"' for name, which in (("first", "min"), ("last", "max"))),
    )
)


def sums_of(table: str) -> str:
    """Return the select of `Sums` of a table of hours."""
    return f"select {_SUMS} from {table}"


OF_SUMS = f"""select {", ".join(f'sum("{name}")::bigint "{name}"' for name in _SUMMED)}, min("first") "first",
  max("last") "last" from sums"""
"""All of the view `sums`, which has a row of them for each `part`."""

WHOLE = """create or replace table hours_cut as
select * from hours where hour >= $begins and hour < $ends"""
"""The whole hours of a time."""

_AT_THE_EDGES = """(select * from kept where "@timestamp" >= $since and "@timestamp" < $until
  and ("@timestamp" < $begins or "@timestamp" >= $ends))"""

EDGES = f" union all by name {_counted(_AT_THE_EDGES)}"
"""Besides, of the hours that it begins or ends in, what its events are."""

_ADDED_UP = """select user_id, sum(views)::bigint views, sum(deletions)::bigint deletions from {hours}
  group by user_id, hour"""
_HIGHEST = "select user_id, max(views) views, max(deletions) deletions from ({sums}) group by user_id"
SHARED = """create or replace table shared_hours as
with spans as (select part, make_timestamp("first" * 1000) - interval 1 hour begins, make_timestamp("last" * 1000) ends
  from sums where "first" is not null),
overlap as (select min(greatest(one.begins, other.begins)) begins, max(least(one.ends, other.ends)) ends
  from spans one join spans other on one.part < other.part and one.begins <= other.ends and other.begins <= one.ends
  having count(*) > 0)
select hour from hours, overlap where hour >= begins and hour <= ends group by hour having min(part) <> max(part)"""
"""Hours that several parts have something of, which `busiest` needs; a table, for within a statement DuckDB takes them
for many, and adds up every hour."""

_OF_ALL = f"""select user_id, hour_views views, hour_deletions deletions from hours
  union all {_ADDED_UP.format(hours="hours where hour in (from shared_hours)")}"""

ALL, CUT = (
    f"""create or replace table shared_hours (hour timestamp);
    create or replace view hours_within as select * from {table};
    create or replace view sums_within as {OF_SUMS if table == "hours" else sums_of(table)};
    create or replace view busiest as {_HIGHEST.format(sums=sums)}"""
    for table, sums in (("hours", _OF_ALL), ("hours_cut", _ADDED_UP.format(hours="hours_cut")))
)
"""Which of them are meant, as `hours_within` and `sums_within`: all that are kept, or those of a time. `busiest`
has the most views and deletions of each account in one of these hours; `SHARED` comes before it."""
