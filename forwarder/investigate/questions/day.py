"""What was unusual on a day: more of an act than on other days of its kind, and what never was before."""

from __future__ import annotations

import datetime as dt

from forwarder.contracts import ConfigError
from forwarder.investigate.findings import Rule, where_from
from forwarder.investigate.questions.shape import Shape, Table, columns
from forwarder.investigate.questions.tables import DEEDS
from forwarder.investigate.questions.user_rules import RULES_OF_ANY


def _day(text: str) -> str:
    """Return a date as it is compared."""
    try:
        day = dt.date.fromisoformat(text.strip())
    except ValueError:
        day = dt.date.min
    if not 1 < day.year < 9999:  # it needs a day before and one after
        raise ConfigError(f"{text!r} is not a date; write one such as 2026-01-31")
    return day.isoformat()


_COUNTS = """
create or replace table counted as
with c as (select date_trunc('day', in_zone(t, $zone))::date d, act, count(*) n from e
  where t >= $since - interval 35 days and t < $until group by 1, 2)
select dd.d, cc.act, coalesce(n, 0) n from (select distinct d from c) dd cross join (select distinct act from c) cc
  left join c using (d, act)
"""

_USUAL = """
with x as (from counted),
b as (select act, median(n) usual, mad(n) spread, max(n) most, count(*) "days" from x
  where d < $who::date and (isodow(d) >= 6) = (isodow($who::date) >= 6) group by act)
"""

_ACTS = Table(
    "acts",
    "Acts of the day, and of days of the same kind before",
    columns(
        "act", "n:number:events", "usual:number:median before", "most:number:most before", "days:number:days compared"
    ),
    f"""
{_USUAL}
select x.act act, x.n n, coalesce(b.usual, 0) usual, coalesce(b.most, 0) most, coalesce(b."days", 0) "days"
from x left join b using (act) where x.d = $who::date and x.n > 0 order by x.n - coalesce(b.usual, 0) desc, x.act
""",
    "no event on this day",
    "Working days are compared with working days, weekends with weekends, of the 35 days before.",
)

_MORE = Rule(
    "more than usual",
    "an act that none of the days of the same kind in the 35 days before had, or that this day had more often than any"
    " of them and by four times the spread more than their median; two such days are needed",
    "{act}: {value} events on this day; on {days} days of the same kind before at most {own}, median {others}",
    f"""
{_USUAL}
select if(x.n >= 10 and x.n > 2 * b.most, '!!', '!') mark, x.n "value", b.most own, b.usual others,
  (select epoch_ms(min(t)) from asked a where a.act = x.act) "start", (select epoch_ms(max(t)) from asked a
    where a.act = x.act) "end",
  x.n n, (select list(id order by t, id)[:$most] from asked a where a.act = x.act) ids, x.act act, b."days" "days"
from x join b using (act) where x.d = $who::date and x.n > b.most and b."days" >= 2
  and (b.most = 0 or x.n - b.usual > 4 * (1.4826 * b.spread + greatest(sqrt(b.usual), 1)))
order by x.n - b.usual desc
""",
)

_NEW_VALUE = Rule(
    "new values of settings",
    "a setting changed to a value that it never had before in everything kept; the first value of a setting is not one",
    "{when}: {field} set to {value_set} by {who}, never so before; changes of this setting before: {value}",
    """
with mine as (select t, id, user_id, user_name, unnest(changes) c from asked where len(changes) > 0),
old as (select t, unnest(changes) c from ea where exists (from mine) and changes is not null and t < $until)
select '!' mark, count(old.t) filter (old.t < mine.t) "value", 0 own, null others, epoch_ms(mine.t) "start",
  epoch_ms(mine.t) "end",
  1 n, [mine.id] ids, mine.c."field" "field", mine.c."after" value_set, any_value(coalesce(user_name, user_id)) who
from mine join old on old.c."field" = mine.c."field" group by mine.t, mine.id, mine.c."field", mine.c."after"
having count(old.t) filter (old.t < mine.t) > 0
  and count(old.t) filter (old.t < mine.t and old.c."after" is not distinct from mine.c."after") = 0 order by mine.t
""",
)

_IMPERSONATED = Rule(
    "impersonation",
    "a login as another account",
    "{when}: {actor} logged in as {victim}, from {ip}",
    """
select '!!' mark, 1 "value", null own, null others, epoch_ms(t) "start", epoch_ms(t) "end", 1 n, [id] ids,
  coalesce(user_name, user_id) actor, coalesce(as_name, as_id) victim, place ip
from asked where code = 'user.impersonate' order by t
""",
)

_LOUD = Rule(
    "an account far above the others",
    "50 or more views by one account in an hour, and more than twice the busiest hour of any other account of the day",
    "{when}: {value} views by {who} in one hour, from {origin}; any other account at most {others}",
    f"""
with h as (select user_id, date_trunc('hour', t) h, count(*) n, mode(user_name) who, {where_from()} origin,
    min(t) "first", max(t) "last", list(id order by t, id)[:$most] ids
  from asked where is_view group by 1, 2),
top as (select * from h qualify row_number() over (partition by user_id order by n desc, h) = 1)
select '!!' mark, n "value", null own, (select coalesce(max(n), 0) from top o where o.user_id <> top.user_id) others,
  epoch_ms("first") "start", epoch_ms("last") "end", n, ids, coalesce(who, user_id) who, origin
from top where n >= 50 and n > 2 * (select coalesce(max(n), 0) from top o where o.user_id <> top.user_id)
""",
)

_NIGHT = Rule(
    "accounts at night",
    "20 or more events of an account between 22:00 and 06:00 of the day, none of them by a token or an app, three times"
    " as many as on any day before",
    "{when}: {value} events of {who} at night, from {origin}; before at most {own} a day",
    f"""
with n as (select user_id, mode(user_name) who, count(*) n, min(t) "first", max(t) "last", {where_from()} origin,
    list(id order by t, id)[:$most] ids from asked where token_id is null and app_id is null
    and (hour(in_zone(t, $zone)) >= 22 or hour(in_zone(t, $zone)) < 6) group by user_id having count(*) >= 20),
b as (select user_id, max(n) n from (select user_id, count(*) n from e where user_id in (select user_id from n)
    and t >= $since - interval 35 days and t < $since and token_id is null and app_id is null
    and (hour(in_zone(t, $zone)) >= 22 or hour(in_zone(t, $zone)) < 6)
    group by user_id, date_trunc('day', in_zone(t, $zone))) group by user_id)
select if(n.n >= 100, '!!', '!') mark, n.n "value", coalesce(b.n, 0) own, null others, epoch_ms("first") "start",
  epoch_ms("last") "end",
  n.n n, ids, coalesce(who, user_id) who, origin
from n left join b using (user_id) where n.n >= 3 * greatest(coalesce(b.n, 0), 1) order by n.n desc
""",
)

_ACCOUNTS = Table(
    "busiest",
    "The busiest accounts",
    columns(
        "name::who",
        "account",
        "events:number",
        "views:number",
        "changes:number",
        "exports:number",
        "ips:number:addresses",
        "start:time:first",
        "end:time:last",
    ),
    """
select mode(user_name) "name", user_id account, count(*) events, count(*) filter (is_view) "views",
  count(*) filter (is_change) changes, count(*) filter (is_export) exports, count(distinct ip) ips,
    epoch_ms(min(t)) "start", epoch_ms(max(t)) "end"
from asked group by user_id order by events desc, account limit 30
""",
    "no account",
)

SHAPE = Shape(
    kind="day",
    what="a day",
    events="select {columns} from e where t >= $since and t < $until",
    before=(("acts of the days before", _COUNTS),),
    tables=(_ACTS, DEEDS, _ACCOUNTS),
    rules=(_MORE, _NEW_VALUE, _IMPERSONATED, _LOUD, _NIGHT, *RULES_OF_ANY),
    is_day=True,
    normal=_day,
)
