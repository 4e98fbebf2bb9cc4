"""Every name that somebody or something had, with its first and last sight: rows that are added, never overwritten.

People, groups, apps and what events are about have ids, and names that change, repeat and are missing at times. A name
is folded for comparison: letters without case and accents, also where Unicode does not take an accent for one (ł, ø).
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts.heartbeat import HEARTBEAT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from duckdb import DuckDBPyConnection

COLUMNS = {
    "entity": "VARCHAR",
    "id": "VARCHAR",
    "kind": "VARCHAR",
    "value": "VARCHAR",
    "folded": "VARCHAR",
    "feed": "VARCHAR",
    "first": "TIMESTAMPTZ",
    "last": "TIMESTAMPTZ",
    "events": "BIGINT",
}
"""Of the table: `entity` is `person`, `group`, `app`, or a kind of content; `kind` of the name: `id`, `email`, `name`,
`key` or `url`."""

_LETTERS = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ħ": "h", "ŧ": "t", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"}
)

Name = tuple[str, str, str, str]
"""Expressions of what it is and its id, the kind of name, and the expression of the name."""


def folded(text: str) -> str:
    """Return a text as it is compared: `Zoë  Łuk` and `zoe luk` are the same."""
    plain = unicodedata.normalize("NFKD", text.casefold()).translate(_LETTERS)
    return " ".join("".join(char for char in plain if not unicodedata.combining(char)).split())


_AUDIT = "atlassian.audit"


def _people() -> Iterator[Name]:
    for prefix in ("user", "user.target", "on_behalf_of", "impersonated"):
        ident, name, email = f'"{prefix}.id"', f'"{prefix}.full_name"', f'lower("{prefix}.email")'
        account = f"coalesce({ident}, {email}, {name})"
        for kind, value in (("id", ident), ("email", email), ("name", name)):
            yield "'person'", account, kind, value


def _things() -> Iterator[Name]:
    for entity, ident, name in (
        ("group", '"group.id"', '"group.name"'),
        ("app", f'"{_AUDIT}.authentication.app_id"', f'"{_AUDIT}.authentication.app_name"'),
        ("app", f'"{_AUDIT}.app.id"', f'"{_AUDIT}.app.name"'),
        ("token", f'"{_AUDIT}.authentication.token_id"', f'"{_AUDIT}.authentication.token_label"'),
    ):
        for kind, value in (("id", ident), ("name", name)):
            yield f"'{entity}'", f"coalesce({ident}, {name})", kind, value
    for prefix in (f"{_AUDIT}.content", f"{_AUDIT}.space"):
        ident = f'coalesce("{prefix}.id", "{prefix}.key")'
        for kind in ("id", "key", "name"):
            yield f'"{prefix}.kind"', ident, kind, f'"{prefix}.{kind}"'
    yield f'"{_AUDIT}.content.kind"', f'coalesce("{_AUDIT}.content.id", "{_AUDIT}.content.key")', "url", '"url.full"'


def _others() -> Iterator[Name]:
    """Yield those in `also`, where the key of a user is an address."""
    for kind in ("id", "key", "name"):
        yield "o.kind", "coalesce(o.id, o.key, o.name)", kind, f"if(o.kind <> 'user', o.{kind}, null)"
    address, account = "lower(o.key)", "coalesce(o.id, lower(o.key), o.name)"
    for kind, value in (("id", "o.id"), ("email", address), ("name", "o.name")):
        yield "'person'", account, kind, f"if(o.kind = 'user', {value}, null)"


def _select(names: Iterable[Name], table: str) -> str:
    return " union all ".join(
        f"""select {entity} entity, {ident} id, '{kind}' kind, {value} "value", "event.provider" feed, "@timestamp" t
        from {table} where {value} is not null and {ident} is not null"""
        for entity, ident, kind, value in names
    )


_ALSO = '(select unnest(also) o, "event.provider", "@timestamp" from named where len(also) > 0)'

_KEYS = '(select unnest("user.keys") one, who, "event.provider", "@timestamp" from named where len("user.keys") > 0)'

SEEN = f"""
select entity, id, kind, "value", feed, min(t) "first", max(t) "last", count(*) events
from ({_select((*_people(), *_things()), "named")} union all {_select(_others(), _ALSO)}
union all {_select([("'person'", "who", "key", "one")], _KEYS)}) group by all
"""
"""Every name in the view `named`, without what it is folded to."""

NAMED = f"""create or replace view named as select * from held where "event.provider" <> '{HEARTBEAT}'"""
"""The view: what the table `held` has, but for our own parts; as a common table it would be copied."""


class _Name(msgspec.Struct, gc=False):
    value: str
    folded: str


def folded_rows(connection: DuckDBPyConnection) -> Iterator[bytes]:
    """Yield, as JSON, each different value of the table `seen` and what it is folded to."""
    found = connection.cursor().execute('select distinct "value" from seen')
    encode = msgspec.json.Encoder().encode
    while values := found.fetchmany(10_000):
        for (value,) in values:
            yield encode(_Name(value, folded(value)))
