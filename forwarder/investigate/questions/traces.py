"""Who came from this address, what was this token or app used for, what happened to this group."""

from __future__ import annotations

from forwarder.contracts import ConfigError
from forwarder.investigate.findings import Rule
from forwarder.investigate.questions.shape import Shape, Table, columns
from forwarder.investigate.questions.tables import (
    ACCOUNTS,
    DAYS,
    DEEDS,
    OBJECTS,
    READ_BY_SPACE,
    SESSIONS_TABLE,
    TIMELINE_TABLE,
)
from forwarder.investigate.questions.user_rules import EXPORTS_BY_ANY, FAILED_LOGINS
from forwarder.normalize.addresses import canonical_ip


def _ip(text: str) -> str:
    """Return an address as the index has it."""
    try:
        return canonical_ip(text.strip().strip("[]"))
    except ValueError:
        raise ConfigError(f"{text!r} is not an IP address; write one such as 203.0.113.7 or 2001:db8::7") from None


def _events(*columns_: str) -> str:
    """Return the events of which one of these columns has the value, each once."""
    selects, before = [], ""
    for name in columns_:
        selects.append(f"select {{columns}} from e where {name} = $who and t >= $since and t < $until{before}")
        before += f" and {name} is distinct from $who"
    return " union all ".join(selects)


_FEW_USES = Rule(
    "an address of few days",
    "an address that one account uses for at most 48 hours, while it uses others, too",
    "{when}: {who} came from this address at no other time, {value} events",
    """
with a as (select user_id, min("first") "first", max("last") "last" from hours where ip = $who group by user_id),
rare as (select * from a where "last" - "first" <= interval 48 hours
  and exists (from hours h where h.user_id = a.user_id and h.ip <> $who))
select '!' mark, count(*) "value", 0 own, null others, epoch_ms(min(t)) "start", epoch_ms(max(t)) "end", count(*) n,
  list(id order by t, id)[:$most] ids, coalesce(mode(user_name), user_id) who
from asked join rare using (user_id) group by user_id order by "start", user_id
""",
)

IP = Shape(
    kind="ip",
    what="an address",
    events=_events("ip"),
    tables=(ACCOUNTS, SESSIONS_TABLE, TIMELINE_TABLE, DAYS, DEEDS, READ_BY_SPACE, OBJECTS),
    rules=(FAILED_LOGINS, _FEW_USES, EXPORTS_BY_ANY),
    normal=_ip,
)

_MADE = Table(
    "made",
    "Made and taken back",
    columns("time:time", "act", "outcome", "object", "name::who", "account", "ip::from", "country", "id::event"),
    """
select epoch_ms(t) "time", act, outcome, content_name object, user_name "name", user_id account, ip, country, id
from ea where content_id = $who and not suffix(code, '.view') order by t, id
""",
    "no event that it was made, changed or taken back",
    "That a token's id in this event is the one with which it is used is an observation, not a promise of Atlassian.",
)

_SOON = Rule(
    "used soon",
    "a token used within a day of being made; whether its maker's two-step verification went off in the day before",
    "{when}: made by {who} from {made_ip}, used {value} times within a day, first from {ip}; two-step verification"
    " {mfa}",
    """
with made as (select t, id, user_id, user_name, ip from ea where code = 'api_token.create' and content_id = $who),
used as (select min(e.t) "first", max(e.t) "last", count(*) n, arg_min(e.ip, e.t) ip, list(e.id order by e.t,
  e.id)[:$most] ids
  from e, made where e.token_id = $who and e.t - made.t < interval 1 day),
off as (select max(ea.id) id from ea, made where ea.code = 'mfa.disable' and ea.user_id = made.user_id
  and ea.t between made.t - interval 1 day and made.t)
select if(off.id is null, '!', '!!') mark, used.n "value", null own, null others, epoch_ms(made.t) "start",
  epoch_ms(used."last") "end", used.n + 1 + if(off.id is null, 0, 1) n,
  list_filter([off.id, made.id], lambda x: x is not null) || used.ids ids, coalesce(made.user_name, made.user_id) who,
  made.ip made_ip, used.ip ip, if(off.id is null, 'was not switched off before',
    'was switched off in the day before') mfa
from made, used, off where used.n > 0
""",
)

TOKEN = Shape(
    kind="token",
    what="the id or label of a token",
    entities=("token", "api-token"),
    events=_events("token_id"),
    tables=(ACCOUNTS, _MADE, SESSIONS_TABLE, TIMELINE_TABLE, DAYS, READ_BY_SPACE, OBJECTS),
    rules=(_SOON, EXPORTS_BY_ANY),
)

APP = Shape(
    kind="app",
    what="the id or name of an app",
    entities=("app",),
    events=_events("app_id", "other_app_id"),
    tables=(ACCOUNTS, DEEDS, SESSIONS_TABLE, TIMELINE_TABLE, DAYS, READ_BY_SPACE, OBJECTS),
    rules=(EXPORTS_BY_ANY,),
)

_MEMBERS = Table(
    "members",
    "Members added and removed",
    columns(
        "time:time",
        "act",
        "outcome",
        "target::on whom",
        "target_id",
        "name::who",
        "account",
        "ip::from",
        "country",
        "id::event",
    ),
    """
select epoch_ms(t) "time", act, outcome, target_name target, target_id, user_name "name", user_id account, place ip,
  country, id
from asked where code in ('group.add', 'group.remove') order by t, id
""",
    "no one added or removed",
    "Who was a member before the archive begins is not known. Some events do not name whom they added.",
)

_ADMIN = Rule(
    "admin access",
    "the group was given admin access; whether it was made or deleted within a day of that",
    "{when}: given admin access by {who}; within a day of it: {did}; members added: {members}, not named: {unnamed}",
    """
with g as (select min(t) t, any_value(coalesce(user_name, user_id)) who from asked where code = 'admin.grant')
select if(bool_or(code in ('group.create', 'group.delete')), '!!', '!') mark, count(*) "value", null own, null others,
  epoch_ms(min(a.t)) "start", epoch_ms(max(a.t)) "end", count(*) n, list(a.id order by a.t, a.id)[:$most] ids,
    any_value(g.who) who,
  array_to_string(list(act order by a.t, a.id), ', ') did, count(*) filter (code = 'group.add') members,
  count(*) filter (code = 'group.add' and target_id is null) unnamed
from asked a, g where a.t between g.t - interval 1 day and g.t + interval 1 day having count(*) > 0
""",
)

GROUP = Shape(
    kind="group",
    what="the id or name of a group",
    entities=("group",),
    events=f"""{_events("group_id")} union all select {{columns}} from e where group_id is distinct from $who
      and also is not null and len(list_filter(also, lambda x: x.kind = 'group' and coalesce(x.id, x.name) = $who)) > 0
      and t >= $since and t < $until""",
    tables=(TIMELINE_TABLE, _MEMBERS, DEEDS, ACCOUNTS, DAYS),
    rules=(_ADMIN,),
)
