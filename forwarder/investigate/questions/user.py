"""What did this account do: sessions, what it read and changed, what is new of it, who else was there."""

from __future__ import annotations

from forwarder.investigate.questions.shape import Shape, Table, columns
from forwarder.investigate.questions.tables import DAYS, DEEDS, OBJECTS, READ_BY_SPACE, SESSIONS_TABLE, TIMELINE_TABLE
from forwarder.investigate.questions.user_rules import USER_RULES
from forwarder.investigate.sessions import LIFETIME, OF_ACCOUNT

_FIRST_SEEN = Table(
    "first_seen",
    "Seen for the first time",
    columns(
        "what",
        "value",
        "start:time:first",
        "end:time:last",
        "inside:number",
        "after:number",
        "others:number:other accounts",
    ),
    """
with o as (select t, unnest([struct_pack(w := 'country', x := country),
    struct_pack(w := 'city', x := country || ', ' || city), struct_pack(w := 'address', x := ip),
    struct_pack(w := 'user agent', x := user_agent), struct_pack(w := 'token', x := token_id),
    struct_pack(w := 'app', x := app_id), struct_pack(w := 'act', x := act)], recursive := true)
  from lifetime),
f as (select w, x, min(t) "first", max(t) "last", count(*) filter (t >= $since and t < $until) inside,
    count(*) filter (t >= $until) "after" from o where x is not null group by w, x
  having inside > 0 and "first" >= $since),
span as (select min(t) begins, max(t) ends from lifetime),
other as (select 'address' w, ip x, count(distinct user_id) n from hours
    where ip in (select x from f where w = 'address') and user_id <> $who group by ip
  union all select 'token', token_id, count(distinct user_id) from hours
    where token_id in (select x from f where w = 'token') and user_id <> $who group by token_id)
select w what, x "value", epoch_ms("first") "start", epoch_ms("last") "end", inside, "after",
  case when w in ('address', 'token')
  then coalesce(n, 0) end others
from f left join other using (w, x), span where "first" > span.begins + interval 1 day
  or (w not in ('act', 'app') and "last" - "first" <= interval 2 days and "last" < span.ends - interval 1 day)
order by "first", w, x
""",
    "nothing that this account had not had or done before",
    "On the first day of an account everything is new: of that day only what came never again after two days.",
)


def _sharing(name: str, hours: str, which: str = "true") -> str:
    """Return what was done with the same address, token or app, of the hours of a table, as a common table."""
    columns_ = {"address": "ip", "token": "token_id", "app": "app_id"}
    selects = (
        f"""select '{what}' w, {column} x, user_id, events, "first", "last" from {hours}
        where {which} and {column} in (select x from m where w = '{what}')"""
        for what, column in columns_.items()
    )
    return f"{name} as ({' union all '.join(selects)})"


_ELSEWHERE = Table(
    "elsewhere",
    "Who else had the same address, token or app",
    columns(
        "what",
        "value",
        "events:number",
        "accounts:number",
        "by_others:number",
        "by_others_in_window:number",
        "start:time:first",
        "end:time:last",
    ),
    f"""
with m as (select distinct w, x from (select unnest([struct_pack(w := 'address', x := ip),
    struct_pack(w := 'token', x := token_id), struct_pack(w := 'app', x := app_id)], recursive := true) from asked
    where user_id = $who) where x is not null),
{_sharing("o", "hours")},
{_sharing("within", "hours_within", "not $whole")},
inside as (select w, x, sum(events) n from within where user_id is distinct from $who group by w, x)
select w what, x "value", sum(events)::bigint events, count(distinct user_id) accounts,
  coalesce(sum(events) filter (user_id is distinct from $who), 0)::bigint by_others,
  if($whole, by_others, coalesce(any_value(inside.n), 0))::bigint by_others_in_window,
  epoch_ms(min("first")) "start", epoch_ms(max("last")) "end"
from o left join inside using (w, x) group by w, x having by_others > 0
order by by_others_in_window desc, events desc, w, x
""",
    "no one else at the same address, with the same token or app",
    "Counted in everything that is kept. Many accounts at an address: an office, a VPN or a mobile network.",
)

_IMPERSONATION = Table(
    "impersonation",
    "As another account, in both directions",
    columns(
        "start:time",
        "end:time",
        "n:number:events",
        "direction",
        "name::who",
        "account",
        "other",
        "other_id",
        "ip::from",
    ),
    """
select epoch_ms(min(t)) "start", epoch_ms(max(t)) "end", count(*) n,
  case when code = 'user.impersonate' then 'logged in as' else 'on behalf of' end direction, mode(user_name) "name",
  user_id account, any_value(coalesce(as_name, behalf_name)) other, coalesce(as_id, behalf_id) other_id,
  any_value(place) ip
from asked where as_id is not null or behalf_id is not null
group by session, direction, user_id, other_id order by 1
""",
    "no impersonation, in neither direction",
    "As the log has it: `on behalf of` is who acts behind the account.",
)

_GRANT = "select distinct t, id, code, user_id, user_name, target_id, group_name, roles from ea"
_GIVEN = f"""
create or replace table given as {_GRANT}
where target_id = $who and code in ('admin.grant', 'role.grant', 'group.add') and t < $until
"""
_GRANTS = f"""
create or replace table grants as from given
union all {_GRANT} where target_id <> $who and code in ('admin.grant', 'role.grant') and t < $until
  and exists (from given)
"""
"""What was given to others is read only for an account that was given anything: they may have given it."""

_POWERS = Table(
    "powers",
    "Who gave it rights, and who gave them theirs",
    columns(
        "level:number",
        "start:time:first",
        "end:time:last",
        "n:number:times",
        "giver",
        "giver_id",
        "act",
        "roles:texts",
        "group_name::group",
    ),
    """
with recursive g as (select t, id, code, user_id giver, user_name giver_name, target_id taker, group_name, roles
  from grants),
up as (select 0 lvl, g.* from g where taker = $who and t < $until
  union all select lvl + 1, g.* from g join up on g.taker = up.giver and g.t < up.t and g.taker <> g.giver
    where lvl < 4 and (g.code = 'admin.grant' or len(list_filter(g.roles, lambda x: x like '%admin%')) > 0))
select lvl "level", epoch_ms(min(t)) "start", epoch_ms(max(t)) "end", count(distinct id) n,
  mode(giver_name) giver, giver giver_id, code act, flatten(list(distinct roles)) roles, group_name
from up group by lvl, giver, code, group_name order by lvl, 2, giver_id, act
""",
    "no event that gave this account rights, a role or a group",
    "Level 0 gave it to the account, level 1 gave admin rights to those, and so on. Groups and roles from before the"
    " archive begins are not known.",
)

_NAMES = Table(
    "names",
    "Names it had",
    columns("kind", "value", "start:time:first", "end:time:last", "events:number"),
    """
select kind, "value", epoch_ms(min("first")) "start", epoch_ms(max("last")) "end", sum(events)::bigint events
from known_people where account = $who group by kind, "value" order by kind, events desc, "value"
""",
    "no name",
)

SHAPE = Shape(
    kind="user",
    what="an account id, an e-mail address or a name",
    entities=("person",),
    first=LIFETIME,
    events=OF_ACCOUNT,
    before=(("what it was given", _GIVEN), ("what was given", _GRANTS)),
    tables=(
        SESSIONS_TABLE, TIMELINE_TABLE, DAYS, READ_BY_SPACE, DEEDS, _FIRST_SEEN, _ELSEWHERE, _IMPERSONATION,
        _POWERS, OBJECTS, _NAMES,
    ),
    rules=USER_RULES,
)  # fmt: skip
