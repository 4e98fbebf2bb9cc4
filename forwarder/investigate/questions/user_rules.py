"""What stands out of an account: rules over `asked`, compared with its own other days and with all other accounts.

What all accounts do is counted only where a number is large enough to need it: over years that reads far more than the
events of one account. The same time is compared, so a report for a week reads a week.
"""

from __future__ import annotations

from forwarder.investigate import hours
from forwarder.investigate.findings import Rule, where_from

FAILED_LOGINS = Rule(
    "failed logins",
    "three or more failed logins of one session, and whether one that worked followed in it",
    "{when}: {value} failed logins of {who}{then}, from {ip}, {country}",
    """
with l as (select *, count(*) filter (outcome <> 'failure') over (partition by session order by t, id
    rows between unbounded preceding and 1 preceding) worked from asked where code = 'session.login')
select if(bool_or(outcome = 'success'), '!!', '!') mark, count(*) filter (outcome = 'failure') "value", null own,
  null others, epoch_ms(min(t)) "start", epoch_ms(max(t)) "end", count(*) n, list(id order by t, id)[:$most] ids,
  if(bool_or(outcome = 'success'), ', then one that worked', ', none worked') "then", any_value(place) ip,
  any_value(country) country, coalesce(mode(user_name), any_value(user_id)) who
from l group by session, coalesce(worked, 0) having "value" >= 3 order by "start"
""",
)

_BUSY = """
(select max(n) >= {half} from (select count(*) n from asked where {condition} group by date_trunc('hour', t)))
"""
_BURST = """
{shared};
with busy as (select date_trunc('hour', t) from asked where {condition} group by 1 having count(*) >= {least} / 2),
peak as (select t, id, session, place, country, count(*) over (order by t range between interval 1 hour preceding and
    current row) n from asked where {condition}),
top as (select * from peak where n >= {least} and exists (from busy) order by n desc, t limit 1),
mine as (select hour h, sum({counted})::bigint n from hours where user_id = $who group by hour),
own as (select max(mine.n) n from mine, top where date_trunc('day', mine.h) not in (date_trunc('day', top.t),
    date_trunc('day', top.t - interval 1 hour))),
others as (select quantile_disc({counted}, 0.99) n from busiest where user_id <> $who and {counted} > 0)
select case when top.n > 3 * coalesce(own.n, 0) and top.n > coalesce(others.n, 0) then '!!' else '!' end mark,
  top.n "value", coalesce(own.n, 0) own, coalesce(others.n, 0) others, epoch_ms("in".begun) "start",
    epoch_ms(top.t) "end",
  top.n n, "in".ids ids, "in".origin origin
from top, own, others, (select min(t) begun, list(id order by t, id)[:$most] ids, {origin} origin from peak
  where t between (select t from top) - interval 1 hour and (select t from top)) "in"
where top.n > coalesce(own.n, 0) or top.n > coalesce(others.n, 0)
"""

VIEWS = Rule(
    "views in an hour",
    "50 or more views within 60 minutes, more than in any hour of the account's other days or than 99 of 100 accounts"
    " in their busiest hour",
    "{when}: {value} views within an hour, from {origin}; on other days of this account at most {own}, and 99 of"
    " 100 accounts at most {others}",
    _BURST.format(shared=hours.SHARED, least=50, condition="is_view", counted="views", origin=where_from()),
    gate=_BUSY.format(condition="is_view", half=25),
)

DELETIONS = Rule(
    "deletions in an hour",
    "10 or more deletions within 60 minutes, more than in any hour of the account's other days or than 99 of 100"
    " accounts in their busiest hour",
    "{when}: {value} deletions within an hour; on other days of this account at most {own}, and 99 of 100 accounts at "
    "most {others}",
    _BURST.format(
        shared=hours.SHARED,
        least=10,
        condition="list_contains(type, 'deletion')",
        counted="deletions",
        origin=where_from(),
    ),
    gate=_BUSY.format(condition="list_contains(type, 'deletion')", half=5),
)

NIGHT = Rule(
    "nights",
    "20 or more events between 22:00 and 06:00, three times as many as in any other night, without those of tokens and"
    " apps",
    "{when}: {value} events in one night, from 22:00 to 06:00; on any other night at most {own}",
    """
with n as (select date_trunc('day', in_zone(t, $zone) - interval 6 hours) night, count(*) n
  from lifetime where token_id is null and app_id is null
    and (hour(in_zone(t, $zone)) >= 22 or hour(in_zone(t, $zone)) < 6) group by 1),
b as (select *, max(n) over (order by night rows between unbounded preceding and unbounded following
    exclude current row) own from n),
a as (select *, date_trunc('day', in_zone(t, $zone) - interval 6 hours) night from asked where user_id = $who
  and token_id is null and app_id is null and (hour(in_zone(t, $zone)) >= 22 or hour(in_zone(t, $zone)) < 6))
select '!!' mark, count(*) "value", coalesce(any_value(b.own), 0) own, null others, epoch_ms(min(a.t)) "start",
  epoch_ms(max(a.t)) "end", count(*) n, list(a.id order by a.t, a.id)[:$most] ids
from a join b using (night) group by night
having "value" >= 20 and "value" >= 3 * greatest(own, 1) order by "value" desc
""",
)

PLACE = Rule(
    "places",
    "a country from which the account acts for at most 48 hours, while it acts from others before or after",
    "{when}: from {country} ({ips}) and from there at no other time; other accounts from that country: {others}",
    """
with p as (select country, min("first") "first", max("last") "last", sum(events) n from hours
  where user_id = $who and country is not null group by country),
one as (select p.*, (select count(*) from p) countries, (select sum(n) from p) everything from p
  where "last" - "first" <= interval 48 hours),
rare as (select * from one where countries > 1 and n < everything and "last" >= $since and "first" < $until),
others as (select country, count(distinct user_id) n from hours_within where user_id <> $who
  and country in (select country from rare) group by country)
select if(coalesce(any_value(others.n), 0) = 0, '!!', '!') mark, count(*) "value", 0 own,
  coalesce(any_value(others.n), 0) others, epoch_ms(min(asked.t)) "start", epoch_ms(max(asked.t)) "end", count(*) n,
  list(asked.id order by asked.t, asked.id)[:$most] ids, country,
  list(distinct asked.ip order by asked.ip) filter (asked.ip is not null) ips
from rare join asked using (country) left join others using (country) where asked.user_id = $who
group by country order by "start"
""",
)

TOKEN = Rule(
    "tokens",
    "a token that was made by the account, and what it was used for within a day; and whether two-step verification was"
    " switched off in the day before",
    "{when}: token {label} made from {ip}, {country}, and used {value} times within a day, first after {after};"
    " two-step verification {mfa}",
    """
with made as (select t, id, content_id token, content_name label, place ip, country from asked
  where code = 'api_token.create' and content_id is not null),
used as (select made.token, min(e.t) "first", max(e.t) "last", count(*) n, list(e.id order by e.t, e.id)[:$most] ids
  from made join e on e.token_id = made.token and e.t >= $since and e.t < $until and e.t - made.t < interval 1 day
  group by made.token),
off as (select made.token, max(asked.id) id from made join asked on asked.code = 'mfa.disable'
  and asked.t between made.t - interval 1 day and made.t group by made.token)
select if(off.id is null, '!', '!!') mark, used.n "value", null own, null others, epoch_ms(made.t) "start",
  epoch_ms(used."last") "end", used.n + 1 + if(off.id is null, 0, 1) n,
  list_filter([off.id, made.id], lambda x: x is not null) || used.ids ids, coalesce(made.label, made.token) label,
    made.ip ip,
  made.country country, (date_diff('second', made.t, used."first") || ' s') "after",
  if(off.id is null, 'was not switched off before', 'was switched off in the day before') mfa
from made join used using (token) left join off using (token) order by "start"
""",
    gate="exists (from asked where code = 'api_token.create')",
)

MFA_OFF = Rule(
    "two-step verification off",
    "two-step verification switched off by the account or for it",
    "{when}: two-step verification of {who} switched off, from {ip}, {country}",
    """
select '!' mark, 1 "value", null own, null others, epoch_ms(t) "start", epoch_ms(t) "end", 1 n, [id] ids, place ip,
  country,
  coalesce(target_name, user_name, user_id) who
from asked where code = 'mfa.disable' order by t
""",
)

EXPORTS = Rule(
    "exports",
    "three or more exports and downloads in one day, or more than in any other day of the account",
    "{when}: {value} exports and downloads in one day, of {spaces}; on other days at most {own}, and any other account "
    "in a day at most {others}",
    """
with d as (select date_trunc('day', in_zone(t, $zone)) on_day, count(*) n from lifetime
    where suffix(code, '.export') group by 1),
a as (select *, date_trunc('day', in_zone(t, $zone)) on_day from asked where is_export and suffix(code, '.export')
  and user_id = $who),
x as (select on_day, count(*) n, min(t) "first", max(t) "last", list(id order by t, id)[:$most] ids,
  list(distinct coalesce(space, content_name, content_id) order by coalesce(space, content_name, content_id)) spaces
  from a group by on_day),
others as (select max(n) n from (select count(*) n from ea where exists (from x where n >= 3)
  and suffix(code, '.export') and t >= $since and t < $until and user_id <> $who
  group by user_id, date_trunc('day', in_zone(t, $zone))))
select if(x.n > 3 * coalesce(own.n, 0) and x.n > coalesce(others.n, 0), '!!', '!') mark, x.n "value",
  coalesce(own.n, 0) own, coalesce(others.n, 0) others, epoch_ms(x."first") "start", epoch_ms(x."last") "end", x.n n,
  x.ids ids, x.spaces spaces
from x, others left join lateral (select max(n) n from d where d.on_day <> x.on_day) own on true
where x.n >= 3 or x.n > coalesce(own.n, 0) order by "start"
""",
    gate="exists (from asked where suffix(code, '.export'))",
)

EXPORTS_BY_ANY = Rule(
    "exports by an account",
    "three or more exports and downloads by one account in one day",
    "{when}: {value} exports and downloads by {who} in one day, of {spaces}",
    """
select '!' mark, count(*) "value", null own, null others, epoch_ms(min(t)) "start", epoch_ms(max(t)) "end", count(*) n,
  list(id order by t, id)[:$most] ids, coalesce(mode(user_name), user_id) who,
  list(distinct coalesce(space, content_name, content_id) order by coalesce(space, content_name, content_id)) spaces
from asked where suffix(code, '.export') group by user_id, date_trunc('day', in_zone(t, $zone)) having "value" >= 3
order by "start", user_id
""",
)

DELETIONS_BY_ANY = Rule(
    "deletions by an account",
    "ten or more deletions by one account in one hour of the clock",
    "{when}: {value} deletions by {who} in one hour, from {origin}",
    f"""
select '!!' mark, count(*) "value", null own, null others, epoch_ms(min(t)) "start", epoch_ms(max(t)) "end", count(*) n,
  list(id order by t, id)[:$most] ids, coalesce(mode(user_name), user_id) who, {where_from()} origin
from asked where list_contains(type, 'deletion') group by user_id, date_trunc('hour',
  t) having "value" >= 10 order by "start", user_id
""",
)

ADMIN_GIVEN = Rule(
    "admin access given",
    "admin access given to an account or a group",
    "{when}: {giver} gave admin access to {whom}",
    """
select '!' mark, 1 "value", null own, null others, epoch_ms(t) "start", epoch_ms(t) "end", 1 n, [id] ids,
  coalesce(user_name, user_id) giver, coalesce(target_name, target_id, group_name, group_id) whom
from asked where code = 'admin.grant' order by t
""",
)

IMPERSONATION = Rule(
    "impersonation",
    "a login as another account, by this one or as this one, and what was done on behalf of it until a day later",
    "{when}: {actor} logged in as {victim}, from {ip}; {value} events on its behalf within a day",
    """
with l as (select * from asked where code = 'user.impersonate')
select '!!' mark, count(o.id) "value", null own, null others, epoch_ms(l.t) "start",
  epoch_ms(coalesce(max(o.t), l.t)) "end", count(o.id) + 1 n, [l.id] || list(o.id order by o.t, o.id)[:$most] ids,
  coalesce(l.user_name, l.user_id) actor, coalesce(l.as_name, l.as_id) victim, l.place ip
from l left join ea o on o.behalf_id = l.user_id and o.user_id = l.as_id and o.t >= l.t and o.t < l.t + interval 1 day
group by l.id, l.t, l.user_name, l.user_id, l.as_name, l.as_id, l.place order by l.t
""",
    gate="exists (from asked where code = 'user.impersonate')",
)

POWER = Rule(
    "powers given",
    "admin access or an admin role that the account was given",
    "{when}: given {what} by {giver}",
    """
select '!' mark, 1 "value", null own, null others, epoch_ms(t) "start", epoch_ms(t) "end", 1 n, [id] ids,
  coalesce(user_name, user_id) giver, coalesce(array_to_string(roles, ', '), 'admin access') what
from grants where target_id = $who and t >= $since
  and (code = 'admin.grant' or (code = 'role.grant' and len(list_filter(roles, lambda x: x like '%admin%')) > 0))
order by t
""",
)

GROUP_MADE_ADMIN = Rule(
    "groups that had admin access for a while",
    "a group that the account gave admin access, and that was made or deleted within a day of it",
    "{when}: group {group_name} {did}; members added: {members}, not named: {unnamed}",
    """
with g as (select group_id, any_value(group_name) group_name, min(t) granted from asked where code = 'admin.grant'
  and group_id is not null group by group_id),
m as (select ea.*, g.granted from ea join g on ea.group_id = g.group_id where ea.t >= $since and ea.t < $until
  and ea.t between g.granted - interval 1 day and g.granted + interval 1 day
  and ea.code in ('group.create', 'group.add', 'group.remove', 'group.delete', 'admin.grant'))
select if(bool_or(code = 'group.create') and bool_or(code = 'group.delete'), '!!', '!') mark, count(*) "value",
  null own, null others, epoch_ms(min(t)) "start", epoch_ms(max(t)) "end", count(*) n,
  list(id order by t, id)[:$most] ids, coalesce(any_value(group_name), group_id) group_name,
  array_to_string(list(case code when 'group.create' then 'made' when 'admin.grant' then 'given admin access'
    when 'group.add' then 'filled' when 'group.remove' then 'emptied' else 'deleted' end order by t, id), ', ') did,
  count(*) filter (code = 'group.add') members,
  count(*) filter (code = 'group.add' and target_id is null) unnamed
from m group by group_id having bool_or(code in ('group.create', 'group.delete')) order by "start"
""",
    gate="exists (from asked where code = 'admin.grant' and group_id is not null)",
)

NEW_VALUES = Rule(
    "new values of settings",
    "a setting changed by the account to a value that it never had before in everything kept; the first value of a"
    " setting is not one",
    "{when}: {field} set to {value_set}, never so before; changes of this setting before: {value}",
    """
with mine as (select t, id, unnest(changes) c from asked where changes is not null and len(changes) > 0),
before as (select t, unnest(changes) c from ea where changes is not null
  and t < (select max(t) from mine)),
n as (select mine.t t, any_value(mine.id) id, mine.c."field" f, mine.c."after" a,
  count(before.t) filter (before.t < mine.t) earlier,
  count(before.t) filter (before.t < mine.t and before.c."after" is not distinct from mine.c."after") same
  from mine join before on before.c."field" = mine.c."field" group by mine.t, mine.c."field", mine.c."after")
select '!' mark, earlier "value", 0 own, null others, epoch_ms(t) "start", epoch_ms(t) "end", 1 n, [id] ids, f "field",
  a value_set
from n where earlier > 0 and same = 0 order by t
""",
    gate="exists (from asked where len(changes) > 0)",
)

USER_RULES = (
    FAILED_LOGINS, VIEWS, NIGHT, PLACE, TOKEN, MFA_OFF, EXPORTS, DELETIONS, IMPERSONATION, POWER, GROUP_MADE_ADMIN,
    NEW_VALUES,
)  # fmt: skip

RULES_OF_ANY = (FAILED_LOGINS, TOKEN, MFA_OFF, GROUP_MADE_ADMIN, EXPORTS_BY_ANY, DELETIONS_BY_ANY, ADMIN_GIVEN)
"""Those that need no account: of every account in `asked`."""
