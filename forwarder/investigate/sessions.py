"""Sessions: what belongs together, of one account, one way in and one address, without a longer pause than asked.

The events of a subject in a time are laid into the table `asked` first, each with its session; what follows is counted
there. An event that names no address, or not how it was authenticated,
  takes those of its neighbours of the same account
within the pause, and `placed` says so: left apart, they would break sessions in pieces.
"""

from __future__ import annotations

import re

COLUMNS = (
    "t", "id", "act", "code", "category", "type", "outcome", "severity", "user_id", "user_name", "behalf_id",
    "behalf_name", "as_id", "as_name", "target_id", "target_name", "group_id", "group_name", "roles", "ip", "country",
    "city", "user_agent", "authentication", "token_id", "token_label", "app_id", "app_name", "content_kind",
    "content_id", "content_key", "content_name", "space", "site_id",
    "site_name", "changes", "message", "evidence", "line",
)  # fmt: skip
"""What `asked` may have of an event."""

_ALWAYS = {
    "t", "id", "act", "code", "category", "type", "outcome", "user_id", "ip", "authentication", "token_id", "app_id",
    "content_id", "target_id", "evidence", "line",
}  # fmt: skip

LIFETIME = """
create or replace table lifetime as select {columns} from e where user_id = $who
"""
"""What an account did at any time: read once, for its sessions and for what is new of it."""

OF_ACCOUNT = """
select {columns} from lifetime where t >= $since and t < $until
union all select {columns} from ea where behalf_id = $who and user_id is distinct from $who and t >= $since
  and t < $until
union all select {columns} from ea where as_id = $who and user_id is distinct from $who
  and behalf_id is distinct from $who and t >= $since and t < $until
"""
"""What an account did, what was done on its behalf, and who logged in as it, which are no plain views. No `or` over two
columns: that reads everything."""


def of_column(column: str) -> str:
    """Return the events of a column's value; the name of the column is ours."""
    return f"select {{columns}} from e where {column} = $who and t >= $since and t < $until"


def asked(events: str, used: str) -> str:
    """Return the statement that makes `asked`.

    Args:
        events: The select of the events, with `{columns}`.
        used: All statements that ask it: columns that none of them names are not read.
    """
    return _ASKED.format(events=with_columns(events, used))


def with_columns(statement: str, used: str) -> str:
    """Return a statement with those columns that some others need in the place of `{columns}`."""
    return statement.format(columns=", ".join(_read(used)))


def _read(used: str) -> tuple[str, ...]:
    words = set(_WORD.findall(used))
    return tuple(name for name in COLUMNS if name in _ALWAYS or name in words)


def once(table: str, used: str) -> str:
    """Return the statement that leaves one of the rows of a table that are the same event of the same source.

    Not every column counts: where it stands differs. Revisions of an event stay, for they say something else.
    """
    same = ", ".join(name for name in _read(used) if name not in {"evidence", "line"})
    source = "if(contains(evidence, '/day='), split_part(evidence, '/day=', 1), '')"
    return f"""create or replace table {table} as select * from {table}
      qualify row_number() over (partition by {source}, {same} order by evidence, line) = 1"""


DOUBLES = "select count(id) - count(distinct id) n from {table}"
"""How many rows have the id of another one: an event that is kept twice, a revision, or one of another source."""

_WORD = re.compile(r"[a-z_]+")

_ASKED = """
create or replace table asked as
with found as materialized (select *, row_number() over () number from ({events})),
w as (select number, t, id, user_id, ip, coalesce(token_id, app_id, if(authentication = 'session', authentication,
    null)) own_way, coalesce(token_id, app_id, authentication) said_way from found),
way as (select number, t, id, user_id, ip, coalesce(own_way, if(before.t >= t - to_minutes($gap), before.v, null), '?')
    way from (select *, last_value(if(said_way is null, null, struct_pack(t := t, v := said_way)) ignore nulls) over
    (partition by user_id, ip order by t, id rows between unbounded preceding and current row) before from w)),
place as (select number, t, id, user_id, way, coalesce(ip, if(before.t >= t - to_minutes($gap), before.v, null),
    if("after".t <= t + to_minutes($gap), "after".v, null)) place
  from (select *, last_value(it ignore nulls) over (s rows between unbounded preceding and current row) before,
      first_value(it ignore nulls) over (s rows between current row and unbounded following) "after"
    from (select *, if(ip is null, null, struct_pack(t := t, v := ip)) it from way)
    window s as (partition by user_id, way order by t, id))),
cut as (select *, if(t - lag(t) over s <= to_minutes($gap), null, t) begins from place
  window s as (partition by user_id, way, place order by t, id)),
begun as (select *, last_value(begins ignore nulls) over (partition by user_id, way, place order by t, id
    rows between unbounded preceding and current row) begun from cut),
placed as (select number, way, place,
  dense_rank() over (order by begun, user_id nulls first, way, place nulls first) session from begun)
select found.*, way, place, session,
  suffix(code, '.view') is true is_view,
  coalesce(list_has_any(type, ['change', 'creation', 'deletion']), false) is_change,
  (suffix(code, '.export') or (list_contains(category, 'file') and list_contains(type, 'access')
    and not suffix(code, '.view'))) is true is_export,
  coalesce(list_contains(category, 'iam'), false) is_right,
  coalesce(list_contains(category, 'authentication'), false) is_login
from found join placed using (number)
"""

ONLY = {
    "views": "is_view",
    "changes": "is_change",
    "exports": "is_export",
    "rights": "is_right",
    "logins": "is_login",
}
"""Kinds of acts that a timeline may be limited to, by the column that says so."""

SESSIONS = """
select session, epoch_ms(min(t)) "start", epoch_ms(max(t)) "end", count(*) events, user_id account,
  mode(user_name) "name", place ip, any_value(country) country, any_value(city) city,
  case when any_value(token_id) is not null then 'token' when any_value(app_id) is not null then 'app'
    when way = '?' then null else way end "how", coalesce(any_value(token_id), any_value(app_id)) token,
  any_value(behalf_id) on_behalf_of,
  count(*) filter (code = 'session.login' and outcome = 'failure') failed,
  count(*) filter (is_view) views, count(distinct content_id) filter (is_view) objects,
  count(*) filter (is_change) changes, count(*) filter (is_export) exports, count(*) filter (is_right) rights,
  max(severity) severity, count(*) filter (ip is null) placed
from asked group by session, user_id, way, place order by 1
"""

TIMELINE = """
with n as (select number, row_number() over (partition by session order by t, id)
  - row_number() over (partition by session, act, outcome order by t, id) island from asked where {only}),
i as (select asked.*, island from asked join n using (number))
select session, epoch_ms(min(t)) "start", epoch_ms(max(t)) "end", count(*) n, act, outcome, user_id account,
  mode(user_name) "name", place ip, any_value(country) country, any_value(behalf_id) on_behalf_of,
  any_value(as_id) "as", count(distinct content_id) objects,
  if(min(coalesce(content_name, content_key, content_id)) = max(coalesce(content_name, content_key, content_id)),
    min(coalesce(content_name, content_key, content_id)), null) object,
  list_sort(list(distinct space) filter (space is not null)) spaces, max(severity) severity,
  list(id order by t, id)[:$ids] ids
from i group by session, user_id, place, act, outcome, island order by 2, 1, min(id)
"""
"""A line for each run of one act with one outcome in one session."""
