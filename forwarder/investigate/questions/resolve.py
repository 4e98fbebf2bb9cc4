"""Whom or what a person means: an id, an address, a key, a name, a part of a name. Several are listed, never guessed.

The best way of matching decides: who is found by an id or an address is not mixed with whom only a part of a name fits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forwarder.investigate.identity import find
from forwarder.investigate.names import folded
from forwarder.investigate.questions.addresses import address
from forwarder.investigate.questions.which import spellings
from forwarder.investigate.result import Candidate, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from forwarder.investigate.asking import Asking
    from forwarder.investigate.identity import Directory, Person
    from forwarder.investigate.tables import Tables

MOST_CANDIDATES = 50

_WAYS = ("id", "key", "e-mail address", "address", "name", "beginning of the e-mail address", "part of the name")

_FIND = """
with m as (select entity, id, kind, "value", "first", "last", events, case
    when id = $text then 0 when kind = 'id' and "value" = $text then 0
    when kind = 'key' and lower("value") = lower($text) then 1
    when kind = 'email' and "value" = lower($text) then 2 when kind = 'url' and "value" = $text then 3
    when kind in ('name', 'key') and folded = $folded then 4
    when kind = 'email' and length($text) >= 3 and starts_with("value", lower($text)) then 5
    when kind = 'name' and length($folded) >= 3 and contains(folded, $folded) then 6 end how
  from sightings where {entities}),
best as (select id, min(how) how from m where how = (select min(how) from m) group by id)
select id, how from best order by id
"""

_DESCRIBE = """
with n as (select id, kind, "value", min("first") "first", max("last") "last", sum(events)::bigint events from sightings
  where {entities} and id in (select unnest($ids)) group by id, kind, "value")
select id, arg_max("value", events) filter (kind = 'name') "name", arg_max("value", events)
  filter (kind = 'email') address,
  list("value" order by events desc, "value") filter (kind = 'name') "names",
  list("value" order by events desc, "value") filter (kind = 'email') addresses,
  epoch_ms(min("first")) "first", epoch_ms(max("last")) "last",
  coalesce(max(events) filter (kind = 'id'), max(events)) events
from n group by id order by events desc, id
"""

_NO_CONTENT = ("person", "group", "app", "token", "api-token", "space", "site", "organization")


def resolve(asking: Asking, kind: str, entities: Sequence[str], text: str) -> Subject:
    """Return the subject; with `candidates` when several match, without an id when none does."""
    where = _where(entities)
    for each, is_sure in _spellings(kind, text):
        values = {"text": each, "folded": folded(each)}
        rows = asking.run("who is meant", _FIND.format(entities=where), **values)
        if rows:
            return _subject(asking, kind, where, rows, is_sure=is_sure)
    return Subject(kind)


def resolve_person(tables: Tables, text: str, directory: Directory | None) -> Subject:
    """Return the person, with all accounts; with `candidates` when several match, without an id when nobody does."""
    found = find(tables, text, directory)
    if len(found.people) > 1:
        listed = tuple(map(_candidate, found.people))
        return Subject("user", resolved_by=found.how, candidates=listed, unlisted=found.unlisted or None)
    if not found.people:
        return Subject("user")
    [person] = found.people
    first = person.accounts[0]
    seen = [ms for account in person.accounts for ms in (account.first_ms, account.last_ms) if ms is not None]
    return Subject(
        "user",
        first.id,
        first.name,
        found.how,
        names=tuple(dict.fromkeys(name for account in person.accounts for name in account.names)),
        addresses=tuple(dict.fromkeys(each for account in person.accounts for each in account.addresses)),
        first_ms=min(seen, default=None),
        last_ms=max(seen, default=None),
        ids=tuple(person.ids) if len(person.ids) > 1 else (),
        linked_by=person.linked_by,
    )


def _candidate(person: Person) -> Candidate:
    first = person.accounts[0]
    address = next((each for account in person.accounts for each in account.addresses), None)
    seen = [ms for account in person.accounts for ms in (account.first_ms, account.last_ms) if ms is not None]
    events = sum(account.events for account in person.accounts)
    return Candidate(first.id, first.name, address, min(seen, default=None), max(seen, default=None), events)


def _where(entities: Sequence[str]) -> str:
    """Return the condition; the names are ours."""
    if entities == ("content",):
        return "entity not in ({})".format(", ".join(f"'{name}'" for name in _NO_CONTENT))
    return "entity in ({})".format(", ".join(f"'{name}'" for name in entities))


def _spellings(kind: str, text: str) -> Iterator[tuple[str, bool]]:
    """Yield what was typed and, of an address of the web, what is in it; and whether it means one thing only.

    A title in an address is of one space, which is not compared: what has it is listed.
    """
    text = text.strip()
    yield text, True
    if kind != "content":
        return
    if (at := address(text)) is None:
        yield from ((each, True) for each in spellings(text))
        return
    yield text.partition("?")[0].partition("#")[0], True
    yield from ((each, True) for each in at.ids)
    if at.title is not None:
        yield at.title, False


def _subject(asking: Asking, kind: str, where: str, rows: list[dict[str, Any]], *, is_sure: bool) -> Subject:
    how = _WAYS[rows[0]["how"]]
    ids = [row["id"] for row in rows]
    described = asking.run("who that is", _DESCRIBE.format(entities=where), ids=ids[:MOST_CANDIDATES])
    if len(ids) > 1 or not is_sure:
        candidates = tuple(
            Candidate(row["id"], row["name"], row["address"], row["first"], row["last"], row["events"])
            for row in described
        )
        unlisted = len(ids) - len(candidates)
        return Subject(kind, resolved_by=how, candidates=candidates, unlisted=unlisted or None)
    row = described[0]
    return Subject(
        kind,
        row["id"],
        row["name"],
        how,
        tuple(row["names"] or ()),
        tuple(row["addresses"] or ()),
        row["first"],
        row["last"],
    )
