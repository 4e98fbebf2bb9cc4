"""Every name that somebody or something had, with its first and last sight: rows that are added, never overwritten.

People, groups, apps and what events are about have ids, and names that change, repeat and are missing at times. A name
is folded for comparison: letters without case and accents, also where Unicode does not take an accent for one (ł, ø).
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from duckdb import DuckDBPyConnection

COLUMNS = {
    "entity": "VARCHAR",
    "id": "VARCHAR",
    "kind": "VARCHAR",
    "value": "VARCHAR",
    "folded": "VARCHAR",
    "feed": "VARCHAR",
    "first": "TIMESTAMP",
    "last": "TIMESTAMP",
    "events": "BIGINT",
}
"""Of the table: `entity` is `person`, `group`, `app`, or a kind of content; `kind` of the name: `id`, `email`, `name`,
`key` or `url`."""

_LETTERS = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ħ": "h", "ŧ": "t", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"}
)


GROUPS = ("by", "how", "space", "content", "more")
"""What rows share that has names. Of each a table is asked for that has its columns, `event.provider`, and the `first`
moment, the `last` and the number of `events`."""


class _Named(NamedTuple):
    """Expressions of what something is, its id, and each kind of name that it has there; of which group."""

    entity: str
    ident: str
    values: dict[str, str]
    group: str = "more"
    table: str = "{table}"


def folded(text: str) -> str:
    """Return a text as it is compared: `Zoë  Łuk` and `zoe luk` are the same."""
    plain = unicodedata.normalize("NFKD", text.casefold()).translate(_LETTERS)
    return " ".join("".join(char for char in plain if not unicodedata.combining(char)).split())


_AUDIT = "atlassian.audit"


_ACCOUNTS = {"user": "who", "user.target": "target", "on_behalf_of": "on_behalf_of", "impersonated": "impersonated"}
"""Columns of people, by how those of their names begin."""


def _people() -> Iterator[_Named]:
    for prefix, account in _ACCOUNTS.items():
        values = {"id": f'"{prefix}.id"', "email": f'lower("{prefix}.email")', "name": f'"{prefix}.full_name"'}
        yield _Named("'person'", account, values, "by" if prefix == "user" else "more")


def _things() -> Iterator[_Named]:
    for entity, ident, name in (
        ("group", '"group.id"', '"group.name"'),
        ("app", f'"{_AUDIT}.authentication.app_id"', f'"{_AUDIT}.authentication.app_name"'),
        ("app", f'"{_AUDIT}.app.id"', f'"{_AUDIT}.app.name"'),
        ("token", f'"{_AUDIT}.authentication.token_id"', f'"{_AUDIT}.authentication.token_label"'),
    ):
        group = "how" if "authentication" in ident else "more"
        yield _Named(f"'{entity}'", f"coalesce({ident}, {name})", {"id": ident, "name": name}, group)
    for prefix in (f"{_AUDIT}.content", f"{_AUDIT}.space"):
        values = {kind: f'"{prefix}.{kind}"' for kind in ("id", "key", "name")}
        url = {"url": '"url.full"'} if prefix.endswith("content") else {}
        group = prefix.rpartition(".")[2]
        yield _Named(f'"{prefix}.kind"', f'coalesce("{prefix}.id", "{prefix}.key")', values | url, group)


def _others() -> Iterator[_Named]:
    """Yield those in `also`, where the key of a user is an address, and what products call the actor."""
    things = {kind: f"o.{kind}" for kind in ("id", "key", "name")}
    yield _Named("o.kind", "coalesce(o.id, o.key, o.name)", things, table=f"{_ALSO} where o.kind <> 'user'")
    people = {"id": "o.id", "email": "lower(o.key)", "name": "o.name"}
    yield _Named("'person'", "coalesce(o.id, lower(o.key), o.name)", people, table=f"{_ALSO} where o.kind = 'user'")
    yield _Named("'person'", "who", {"key": "one"}, "by", _KEYS)


def _select(one: _Named, table: str) -> str:
    """Return the select of these names: rows that are equal are one, before it is taken apart into its names."""
    values = ", ".join(f"{value} {kind}_" for kind, value in one.values.items())
    named = ", ".join(f"struct_pack(kind := '{kind}', \"value\" := {kind}_)" for kind in one.values)
    return f"""select entity, ident, unnest([{named}], recursive := true), feed, "first", "last", events
    from (select {one.entity} entity, {one.ident} ident, {values}, "event.provider" feed, min("first") "first",
      max("last") "last", sum(events) events from {one.table.format(table=table)} group by all)
    where ident is not null"""


_SIGHTS = '"event.provider", "first", "last", events'
_ALSO = f"(select unnest(also) o, {_SIGHTS} from {{table}} where len(also) > 0)"
_KEYS = f'(select unnest("user.keys") one, who, {_SIGHTS} from {{table}} where len("user.keys") > 0)'


def seen(tables: Mapping[str, str]) -> str:
    """Return the select of every name in the events, without what it is folded to.

    Args:
        tables: What was seen of each of `GROUPS`.
    """
    named = (_select(one, f"named_{one.group}") for one in (*_people(), *_things(), *_others()))
    return f"""with {", ".join(f"named_{group} as {table}" for group, table in tables.items())}
    select entity, ident id, kind, "value", feed, min("first") "first", max("last") "last",
    sum(events)::bigint events from ({" union all ".join(named)}) where "value" is not null group by all"""


_PLAIN = "[ -~]*"
"""Texts of ASCII that prints, which DuckDB folds as `folded` does."""

FOLDS = f"""
select distinct "value", trim(regexp_replace(lower("value"), ' +', ' ', 'g')) folded from seen
where regexp_full_match("value", '{_PLAIN}')
"""


STORED = """* replace ("first"::timestamp_ms as "first", "last"::timestamp_ms as "last",
nullif(folded, lower("value")) as folded)"""
"""What is written of the table: no microseconds, which are always 0, and nothing for what is only in small letters."""

RESTORED = '* replace (coalesce(folded, lower("value")) as folded)'
"""The inverse."""


MERGED = ", ".join(
    {"first": 'min("first") "first"', "last": 'max("last") "last"', "events": "sum(events)::bigint events"}.get(
        name, f'"{name}"'
    )
    for name in COLUMNS
)
"""Names of several parts as one list."""


class _Name(msgspec.Struct, gc=False):
    value: str
    folded: str


def folded_rows(connection: DuckDBPyConnection) -> Iterator[bytes]:
    """Yield, as JSON, each different value of the table `seen` that `FOLDS` has not, and what it is folded to."""
    found = connection.cursor().execute(
        f"""select distinct "value" from seen where not regexp_full_match("value", '{_PLAIN}')"""
    )
    encode = msgspec.json.Encoder().encode
    while values := found.fetchmany(10_000):
        for (value,) in values:
            yield encode(_Name(value, folded(value)))
