"""Who a person means, over all logs: accounts by id, address, key or name, and which accounts are one person's.

The best way of matching decides: whom an id or an address finds is not mixed with whom a part of a name fits. Accounts
are one person's when an event names both (a key of Jira beside the account), when accounts of different logs have one
address, or when a directory says so; never for a common name. Two accounts of *one* log with one address are listed
apart: an address may go to another person. Several people are listed, not guessed.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.contracts import Held
from forwarder.investigate.names import folded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from forwarder.investigate.tables import Tables

MOST = 50
"""People that are listed."""

WAYS = ("id", "key", "address", "name", "beginning of a name or address", "part of a name")

_IN_DIRECTORY = {"id", "email", "name", "key"}

KNOWN_PEOPLE = """
create or replace table known_people as select account, kind, "value", folded, feed, min("first") "first",
  max("last") "last", sum(events)::bigint events from people group by all
"""
"""Every name of a person, read once: the statements below ask it again and again. Parts of an index have each."""

_FIND = """
with m as (select account, case
    when account = $text or (kind = 'id' and "value" = $text) then 0 when kind = 'key' and "value" = $text then 1
    when kind = 'email' and "value" = lower($text) then 2 when kind = 'name' and folded = $folded then 3
    when kind in ('name', 'email') and starts_with(folded, $folded) then 4
    when kind = 'name' and contains(folded, $folded) then 5 end how from known_people where {which})
select account, min(how) how from m where how = (select min(how) from m) group by account
"""
_WHOLLY = """account = $text or "value" = $text or "value" = lower($text) or folded = $folded"""
_PARTLY = "contains(folded, $folded)"

_NEXT = """
with mine as (select kind, "value", feed from known_people where account in (select unnest($ids)))
select distinct o.account, o.kind, o."value" from known_people o join mine on o.kind = 'email' and mine.kind = 'email'
  and o."value" = mine."value" and o.feed <> mine.feed where o.account not in (select unnest($ids))
union select distinct account, 'key', "value" from known_people where kind = 'key' and starts_with("value", 'ug:')
  and "value" in (select unnest($ids)) and account not in (select unnest($ids))
union select distinct o.account, 'key', mine."value" from known_people o join mine on mine.kind = 'key'
  and starts_with(mine."value", 'ug:') and o.account = mine."value" where o.account not in (select unnest($ids))
"""
"""Accounts that are linked to some, by what; only keys that begin so are one person's everywhere."""

_SAME_LOG = """
select 1 from known_people a join known_people b on a.kind = 'email' and b.kind = 'email' and a."value" = b."value"
  and a.feed = b.feed where a.account = $one and b.account in (select unnest($ids)) limit 1
"""

_DESCRIBE = """
with n as (select account, kind, "value", min("first") "first", max("last") "last", sum(events)::bigint events,
    list(distinct feed order by feed) feeds from known_people where account in (select unnest($ids)) group by all)
select account, arg_max("value", events) filter (kind = 'name') "name",
  coalesce(list("value" order by events desc, "value") filter (kind = 'name'), []) "names",
  coalesce(list("value" order by events desc, "value") filter (kind = 'email'), []) addresses,
  coalesce(list("value" order by events desc, "value") filter (kind = 'key'), []) keys,
  list_sort(list_distinct(flatten(list(feeds)))) feeds,
  epoch_ms(min("first")) "first", epoch_ms(max("last")) "last", max(events) events
from n group by account order by events desc, account
"""


class Account(msgspec.Struct, frozen=True):
    """An account, as events name it.

    Attributes:
        id: What `who` in events is: the id, else an address, else a name.
        name: The most frequent one.
        names, addresses, keys: All, the most frequent first.
        feeds: Logs in which it was seen.
        first_ms, last_ms: When it was seen, epoch milliseconds.
        events: How often.
    """

    id: str
    name: str | None
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    keys: tuple[str, ...]
    feeds: tuple[str, ...]
    first_ms: int | None
    last_ms: int | None
    events: int


class Person(msgspec.Struct, frozen=True):
    """Accounts of one person, that with most events first.

    Attributes:
        accounts: They.
        linked_by: What links them, such as `address ada@example.com`.
    """

    accounts: tuple[Account, ...]
    linked_by: tuple[str, ...] = ()

    @property
    def ids(self) -> list[str]:
        """Return what `who` in events is of each account."""
        return [account.id for account in self.accounts]


class Found(msgspec.Struct, frozen=True):
    """Who is meant.

    Attributes:
        how: One of `WAYS`; empty when nobody was found.
        people: Several are to be chosen from.
        unlisted: Accounts that match, too, and are of none of these: there are more than `MOST` people.
    """

    how: str = ""
    people: tuple[Person, ...] = ()
    unlisted: int = 0


class Directory:
    """People as an organization lists them: rows of ids, addresses and a name.

    Args:
        rows: Each with the ids, addresses and names of one person.
    """

    def __init__(self, rows: Iterable[Sequence[str]] = ()) -> None:
        self._rows = [tuple(dict.fromkeys(filter(None, row))) for row in rows]

    @classmethod
    def read(cls, file: Path) -> Directory:
        """Read a CSV file with a header: columns `id`, `email`, `name`, `key`; several of one kind are parted by `;`.

        Raises Held for a file that cannot be read, or has none of these columns.
        """
        fix = "Name a CSV file in UTF-8 whose header has the columns id, email and name."
        try:
            with file.open(encoding="utf-8-sig", newline="") as stream:
                reader = csv.DictReader(stream)
                wanted = [
                    name for name in reader.fieldnames or () if name.strip().lower() in {"id", "email", "name", "key"}
                ]
                if not wanted:
                    raise Held(f"{file} has none of the columns id, email and name.", fix=fix)
                return cls([[one.strip() for name in wanted for one in (row[name] or "").split(";")] for row in reader])
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise Held(f"{file} cannot be read: {error}.", fix=fix) from error

    def ids_for(self, text: str) -> set[str]:
        """Return everything that stands in the rows of which one entry is this text, folded."""
        wanted = folded(text)
        return {one for row in self._rows if any(folded(entry) == wanted for entry in row) for one in row}

    def beside(self, ids: Iterable[str]) -> set[str]:
        """Return everything that stands in one row with one of these ids or addresses."""
        wanted = set(ids)
        return {one for row in self._rows if wanted.intersection(row) for one in row}


def find(tables: Tables, text: str, directory: Directory | None = None) -> Found:
    """Return who is meant by an id, address, key, name or a part of one."""
    text, known = text.encode("utf-8", "replace").decode().strip(), directory or Directory()
    values = {"text": text, "folded": folded(text)}
    if not values["folded"]:
        return Found()
    tables.ask(KNOWN_PEOPLE)
    rows = tables.ask(_FIND.format(which=_WHOLLY), values).rows
    if not rows:
        rows = tables.ask(_FIND.format(which=_PARTLY), {"folded": values["folded"], "text": text}).rows
    matched = [account for account, _ in rows]
    way = min((how for _, how in rows), default=len(WAYS))
    if way > WAYS.index("name"):
        listed = _accounts(tables, known.ids_for(text))
        if listed:
            matched, way = listed, WAYS.index("name")
    people: list[Person] = []
    seen: set[str] = set()
    for account in sorted(matched):
        if account not in seen and len(people) < MOST:
            person = _person(tables, account, known)
            seen.update(person.ids)
            people.append(person)
    people.sort(key=lambda one: (-sum(account.events for account in one.accounts), one.ids))
    return Found(WAYS[way], tuple(people), len(set(matched) - seen)) if people else Found()


def _accounts(tables: Tables, ids: Iterable[str]) -> list[str]:
    """Return those of some ids and addresses that are accounts, or addresses of accounts."""
    asked = """select distinct account from known_people where account in (select unnest($ids))
        or (kind = 'email' and "value" in (select lower(one) from (select unnest($ids) one)))"""
    wanted = list(ids)
    return sorted(account for (account,) in tables.ask(asked, {"ids": wanted}).rows) if wanted else []


def _share_a_log(tables: Tables, account: str, ids: list[str]) -> bool:
    """Tell whether an account has, in one log, the address of one of these."""
    return bool(tables.ask(_SAME_LOG, {"one": account, "ids": ids}).rows)


def _person(tables: Tables, account: str, directory: Directory) -> Person:
    """Return all accounts of whom an account is."""
    ids, why = [account], dict[str, None]()
    while True:
        found: list[tuple[Any, ...]] = tables.ask(_NEXT, {"ids": ids}).rows
        links = {one: f"{'address' if kind == 'email' else kind} {value}" for one, kind, value in found}
        for one in _accounts(tables, directory.beside(ids)):
            links.setdefault(one, "directory")
        new = [
            one
            for one in sorted(links)
            if one not in ids
            and (links[one] == "directory" or not tables.ask(_SAME_LOG, {"one": one, "ids": ids}).rows)
        ]
        if not new:
            break
        ids += new
        why |= dict.fromkeys(links[one] for one in new)
    rows = tables.ask(_DESCRIBE, {"ids": ids}).dicts()
    accounts = tuple(
        Account(
            row["account"],
            row["name"],
            tuple(row["names"]),
            tuple(row["addresses"]),
            tuple(row["keys"]),
            tuple(row["feeds"]),
            row["first"],
            row["last"],
            row["events"],
        )
        for row in rows
    )
    return Person(accounts, tuple(why))
