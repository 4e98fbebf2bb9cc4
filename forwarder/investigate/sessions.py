"""Sessions: what belongs together, of one account, one way in and one address, without a longer pause than asked.

The events of a subject in a time are laid into the table `asked` first, each with its session; what follows is counted
there. An event that names no address, or not how it was authenticated,
  takes those of its neighbours of the same account
within the pause, and `placed` says so: left apart, they would break sessions in pieces.
"""

from __future__ import annotations

COLUMNS = """
t, id, act, code, category, type, outcome, severity, user_id, user_name, behalf_id, behalf_name, as_id, as_name,
target_id, target_name, group_id, group_name, roles, ip, country, city, authentication, token_id, token_label,
  app_id, app_name,
content_kind, content_id, content_key, content_name, space, changes, message, evidence
"""

OF_ACCOUNT = f"""
select {COLUMNS} from e where user_id = $who and t >= $since and t < $until
union all select {COLUMNS} from e where behalf_id = $who and user_id is distinct from $who and t >= $since
  and t < $until
union all select {COLUMNS} from e where as_id = $who and user_id is distinct from $who
  and behalf_id is distinct from $who and t >= $since and t < $until
"""
"""What an account did, what was done on its behalf, and who logged in as it. No `or` over two columns: that reads
everything."""


def of_column(column: str) -> str:
    """Return the events of a column's value; the name of the column is ours."""
    return f"select {COLUMNS} from e where {column} = $who and t >= $since and t < $until"


ASKED = """
create or replace temp table asked as
with w as ({events}),
way as (select *, coalesce(token_id, app_id, if(authentication = 'session', authentication, null),
    last_value(coalesce(token_id, app_id, authentication) ignore nulls) over (partition by user_id, ip order by t
      range between to_minutes($gap) preceding and current row), '?') way from w),
place as (select *, coalesce(ip,
    last_value(ip ignore nulls) over (partition by user_id, way order by t
      range between to_minutes($gap) preceding and current row),
    first_value(ip ignore nulls) over (partition by user_id, way order by t
      range between current row and to_minutes($gap) following)) place from way),
cut as (select *, if(t - lag(t) over s <= to_minutes($gap), 0, 1) begins from place
  window s as (partition by user_id, way, place order by t, id)),
part as (select *, sum(begins) over (partition by user_id, way, place order by t, id) part from cut),
begun as (select *, min(t) over (partition by user_id, way, place, part) begun from part)
select * exclude (begins, part, begun),
  dense_rank() over (order by begun, user_id nulls first, way, place nulls first, part) session,
  code like '%.view' is true is_view,
  coalesce(list_has_any(type, ['change', 'creation', 'deletion']), false) is_change,
  (code like '%.export' or (list_contains(category, 'file') and list_contains(type, 'access')
    and code not like '%.view')) is true is_export,
  coalesce(list_contains(category, 'iam'), false) is_right,
  coalesce(list_contains(category, 'authentication'), false) is_login
from begun
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
with s as (select * from asked where {only}),
i as (select *, row_number() over (partition by session order by t, id)
  - row_number() over (partition by session, act, outcome order by t, id) island from s)
select session, epoch_ms(min(t)) "start", epoch_ms(max(t)) "end", count(*) n, act, outcome, user_id account,
  mode(user_name) "name", place ip, any_value(country) country, any_value(behalf_id) on_behalf_of,
  any_value(as_id) "as", count(distinct content_id) objects,
  case when count(distinct coalesce(content_name, content_key, content_id)) = 1
    then any_value(coalesce(content_name, content_key, content_id)) end object,
  list(distinct space order by space) filter (space is not null) spaces, max(severity) severity,
  list(id order by t, id)[:$ids] ids
from i group by session, user_id, place, act, outcome, island order by 2, 1, min(id)
"""
"""A line for each run of one act with one outcome in one session."""
