"""Parts that several questions have: sessions, the timeline, what was read, what was changed, who was there."""

from __future__ import annotations

from forwarder.investigate.questions.shape import Table, columns
from forwarder.investigate.sessions import SESSIONS, TIMELINE

SESSIONS_TABLE = Table(
    "sessions",
    "Sessions",
    columns(
        "session:number", "start:time", "end:time", "events:number", "views:number", "objects:number:different",
        "changes:number", "exports:number", "rights:number", "failed:number:failed logins", "ip::from", "country",
        "city", "how", "token", "name::who", "account", "on_behalf_of", "severity:number", "placed:number",
    ),
    SESSIONS,
    "no session",
    "One account, one way in, one address, no longer pause than asked. `placed`: events without an address, put where"
    " those around them were.",
)  # fmt: skip

TIMELINE_TABLE = Table(
    "timeline",
    "Timeline",
    columns(
        "session:number", "start:time", "end:time", "n:number:times", "act", "outcome", "object",
        "objects:number:different", "spaces:texts", "ip::from", "country", "name::who",
        "account", "on_behalf_of", "as", "severity:number",
        "ids:ids:events",
    ),
    TIMELINE,
    "no event",
    "Runs of one act with one outcome in one session are one line.",
)  # fmt: skip

READ_BY_SPACE = Table(
    "read",
    "What was read, by space",
    columns(
        "session:number",
        "space",
        "views:number",
        "objects:number:different",
        "no_object:number",
        "start:time",
        "end:time",
    ),
    """
select session, space, count(*) "views", count(distinct content_id) objects, count(*)
  filter (content_id is null) no_object,
  epoch_ms(min(t)) "start", epoch_ms(max(t)) "end"
from asked where is_view group by session, space order by session, "views" desc, space
""",
    "no view of a page or issue",
    "A view was delivered to the account; that a person read it is not in the log. `no object`: views that name none.",
)

OBJECTS = Table(
    "objects",
    "Pages and issues",
    columns(
        "content_id::id", "kind", "key", "title", "space", "views:number", "changes:number", "deleted:number",
        "start:time:first", "end:time:last", "sessions:number",
    ),
    """
select content_id, any_value(content_kind) kind, max(content_key) "key", arg_max(content_name, t) title,
  any_value(space) space, count(*) filter (is_view) "views",
  count(*) filter (is_change) changes, count(*) filter (list_contains(type, 'deletion')) deleted,
    epoch_ms(min(t)) "start",
  epoch_ms(max(t)) "end", count(distinct session) sessions
from asked where content_id is not null and (is_view or is_change) and code not like 'api_token.%'
group by content_id order by "views" desc, "start", content_id
""",
    "no page or issue with an id",
)  # fmt: skip

DEEDS = Table(
    "deeds",
    "Exports, rights, tokens and settings",
    columns(
        "time:time", "act", "outcome", "object", "space", "target::on whom", "group_name::group", "roles:texts",
        "changes:texts", "name::who", "account", "ip::from", "country", "severity:number", "id::event",
    ),
    """
select epoch_ms(t) "time", act, outcome, coalesce(content_name, content_key, content_id) object, space,
  coalesce(target_name, target_id) target, coalesce(group_name, group_id) group_name, roles,
  list_transform(changes, lambda c: concat(c."field", ' = ', c."after")) changes, user_name "name", user_id account,
  place ip, country, severity, id
from asked where not is_view and not (is_login and code in ('session.login', 'session.logout'))
  and (is_export or is_right or code like '%token.%' or code like 'mfa.%' or code like '%policy.%'
    or code like 'setting.%' or code like 'app.%' or code like 'group.%' or code like 'permission.%'
    or code like 'webhook.%' or list_contains(type, 'deletion') or list_contains(category, 'configuration'))
order by t, id
""",
    "no export, change of rights, token, setting or deletion",
)  # fmt: skip

ACCOUNTS = Table(
    "accounts",
    "Accounts",
    columns(
        "name::who", "account", "events:number", "views:number", "changes:number", "exports:number",
        "failed:number:failed logins", "start:time:first", "end:time:last", "ips:texts:from", "countries:texts",
        "tokens:texts", "did:texts",
    ),
    """
select mode(user_name) "name", user_id account, count(*) events, count(*) filter (is_view) "views",
  count(*) filter (is_change) changes, count(*) filter (is_export) exports,
  count(*) filter (code = 'session.login' and outcome = 'failure') failed,
  epoch_ms(min(t)) "start", epoch_ms(max(t)) "end", list(distinct ip order by ip) filter (ip is not null) ips,
  list(distinct country order by country) filter (country is not null) countries,
  list(distinct coalesce(token_id, app_id) order by coalesce(token_id, app_id))
    filter (coalesce(token_id, app_id) is not null) tokens,
  list(distinct act order by act) did
from asked group by user_id order by events desc, user_id
""",
    "no account",
)  # fmt: skip

DAYS = Table(
    "days",
    "Day by day",
    columns(
        "day", "events:number", "views:number", "changes:number", "exports:number", "rights:number",
        "failed:number:failed logins",
    ),
    """
select strftime(date_trunc('day', in_zone(t, $zone)), '%Y-%m-%d') "day", count(*) events,
  count(*) filter (is_view) "views", count(*) filter (is_change) changes, count(*) filter (is_export) exports,
  count(*) filter (is_right) rights, count(*) filter (code = 'session.login' and outcome = 'failure') failed
from asked group by 1 order by 1
""",
    "no day with an event",
    "Days of the zone of the question.",
)  # fmt: skip
