"""Who looked at this page or issue, who changed it, and how it may have left without a view of it."""

from __future__ import annotations

from forwarder.investigate.findings import Rule, where_from
from forwarder.investigate.questions.addresses import searched_for
from forwarder.investigate.questions.shape import Shape, Table, columns
from forwarder.investigate.questions.tables import ACCOUNTS, DAYS, TIMELINE_TABLE
from forwarder.investigate.questions.which import THINGS, choose

_LIFETIME = """
create or replace table lifetime as select {columns} from e where own_id = $who
union all select {columns} from e where content_key = $who and own_id is null
"""

_EVENTS = "select {columns} from lifetime where t >= $since and t < $until"

_IT = """
create or replace table it as
select arg_max(space, t) space, arg_max(content_name, t) title from lifetime
"""

_NEAR = """
create or replace table near as
with found as (select distinct t, id, code, user_id, user_name, ip, country, space, message from ea
  where (code in ('space.export', 'permission.grant')
    or (suffix(code, '.view') and own_id is null and content_key is null)) and t >= $since and t < $until)
select case code when 'space.export' then 'the whole space was exported'
    when 'permission.grant' then 'rights on the whole space were given'
    else 'the event names no page, but its message has this title' end why,
  t, id, code, user_id, user_name, ip, country
from found, it where if(code in ('space.export', 'permission.grant'), found.space = it.space,
  length(it.title) >= 5 and contains(message, it.title))
"""
"""Of events kept twice, one."""

_INDIRECTLY = Table(
    "perhaps",
    "Perhaps also, not counted above",
    columns(
        "why",
        "start:time:first",
        "end:time:last",
        "n:number:events",
        "name::who",
        "account",
        "ips:texts:from",
        "countries:texts",
        "ids:ids:events",
    ),
    """
select why, epoch_ms(min(t)) "start", epoch_ms(max(t)) "end", count(*) n, mode(user_name) "name", user_id account,
  list(distinct ip order by ip) filter (ip is not null) ips,
  list(distinct country order by country) filter (country is not null) countries, list(id order by t, id)[:$ids] ids
from near group by why, user_id order by 1 desc, 2, account
""",
    "no export of its space, no rights given on its space, no view that names it in its message only",
    "An export names its space only: every page of it may have left with it.",
)

_TITLES = Table(
    "titles",
    "Names it had",
    columns("kind", "value", "start:time:first", "end:time:last", "events:number"),
    """
select kind, "value", epoch_ms(min("first")) "start", epoch_ms(max("last")) "end", sum(events)::bigint events
from sightings where id = $who and entity not in ('person', 'group', 'app', 'token', 'space', 'site')
group by kind, "value" order by kind, events desc, "value"
""",
    "no title, key or address",
)

_EXPORTED = Rule(
    "its space was exported",
    "an export or download of the space that holds it",
    "{when}: {who} exported or downloaded the space {space} that holds it, {value} times",
    """
select '!' mark, count(*) "value", null own, null others, epoch_ms(min(t)) "start", epoch_ms(max(t)) "end",
  count(*) n, list(id order by t, id)[:$most] ids, coalesce(mode(user_name), user_id) who,
  (select space from it) space
from near where code = 'space.export' group by user_id order by "start", user_id
""",
)

_BEHIND = Rule(
    "read for another account",
    "events of it that were done on behalf of another account",
    "{when}: {behind} acted on it as {who}, {value} times, from {origin}",
    f"""
select '!' mark, count(*) "value", null own, null others, epoch_ms(min(t)) "start", epoch_ms(max(t)) "end", count(*) n,
  list(id order by t, id)[:$most] ids, coalesce(mode(user_name), user_id) who,
  coalesce(any_value(behalf_name), behalf_id) behind, {where_from()} origin
from asked where behalf_id is not null group by user_id, behalf_id order by "start", user_id, behalf_id
""",
)

_NEW_PLACE = Rule(
    "from a place new for the reader",
    "events of it from a country from which that account acts for at most 48 hours in all, and from others, too",
    "{when}: {who} came to it from {origin}, from where that account acts at no other time; events: {value}",
    f"""
with p as (select user_id, country, min("first") "first", max("last") "last" from hours
  where user_id in (select user_id from asked)
  and country is not null group by user_id, country),
rare as (select * from p where "last" - "first" <= interval 48 hours
  and exists (from p q where q.user_id = p.user_id and q.country <> p.country))
select '!' mark, count(*) "value", 0 own, null others, epoch_ms(min(t)) "start", epoch_ms(max(t)) "end", count(*) n,
  list(id order by t, id)[:$most] ids, coalesce(mode(user_name), user_id) who, {where_from()} origin
from asked join rare using (user_id, country) group by user_id, country order by "start", user_id, country
""",
)

SHAPE = Shape(
    kind="content",
    what="an id, a key, an address or a title",
    entities=("content",),
    first=_LIFETIME,
    events=_EVENTS,
    choose=choose,
    things=THINGS,
    searched=searched_for,
    before=(("its space and title", _IT), ("what happened to its space", _NEAR)),
    tables=(ACCOUNTS, TIMELINE_TABLE, DAYS, _INDIRECTLY, _TITLES),
    rules=(_EXPORTED, _BEHIND, _NEW_PLACE),
)
