"""Rules of single fields: a table with what the settings say of a path put in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forwarder.records.privacy.tables import TABLES, ByType, Table
from forwarder.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from forwarder.contracts.privacy import Treatment

ANY = "*"
BY_RULE = "="
"""Before a treatment and the kind of text: what a rule says of everything at its path, whatever it is."""

_NEARLY = 0.75


def with_rules(table: Table, rules: Mapping[str, Treatment]) -> Table:
    """Return a table that obeys rules; of two for the same field the one that says more of its path counts."""
    paths = sorted(((path.split("."), treatment) for path, treatment in rules.items()), key=_weight)
    for parts, treatment in paths:
        table = _changed(table, parts, treatment)
    return table


def _with_treatment(table: Table, treatment: Treatment) -> Table:
    """Return what a rule says of everything that a table describes; a text keeps its kind, by which pseudonyms join."""
    if type(table) is str:
        kind = table.rpartition(":")[2] if table.startswith(BY_RULE) else table
        return f"{BY_RULE}{treatment}:{kind}"
    if treatment != "store":
        return f"{BY_RULE}{treatment}:unknown"
    if type(table) is list:
        return [_with_treatment(table[0], treatment)]
    if type(table) is ByType:
        tables = {word: _with_treatment(inner, treatment) for word, inner in table.tables.items()}
        return ByType(
            table.member, tables, _with_treatment(table.other, treatment), _with_treatment(table.either, treatment)
        )
    return {
        ANY: f"{BY_RULE}store:unknown",
        **{name: _with_treatment(inner, treatment) for name, inner in table.items()},
    }


def _weight(rule: tuple[list[str], Treatment]) -> tuple[int, int]:
    parts, _ = rule
    return len(parts), -parts.count(ANY)


def _changed(table: Table, parts: list[str], treatment: Treatment) -> Table:
    if not parts:
        return _with_treatment(table, treatment)
    if type(table) is list:
        return [_changed(table[0], parts, treatment)]
    if type(table) is ByType:
        tables = {word: _changed(inner, parts, treatment) for word, inner in table.tables.items()}
        return ByType(
            table.member, tables, *(_changed(inner, parts, treatment) for inner in (table.other, table.either))
        )
    members: dict[str, Table] = dict(table) if type(table) is dict else {}
    if type(table) is str and table.startswith(BY_RULE):
        members = {ANY: table}
    first, rest = parts[0], parts[1:]
    names = {*members, ANY} if first == ANY else {first}
    for name in names:
        members[name] = _changed(members.get(name, members.get(ANY, "unknown")), rest, treatment)
    return members


def odd_paths(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield (path, fix) for paths that name nothing in an event of any feed, and are nearly one that does.

    A member that no table knows may be a new one of the API, but not the first of a path, nor one nearly like another.
    """
    for path in paths:
        if fix := _odd(path.split(".")):
            yield path, fix


def _odd(parts: list[str]) -> str:
    tables: list[Table] = list(TABLES.values())
    for place, part in enumerate(parts):
        known: dict[str, list[Table]] = {}
        for members in _objects(tables):
            for name, inner in members.items():
                known.setdefault(name, []).append(inner)
        if not known:
            return ""
        if part == ANY:
            tables = [inner for each in known.values() for inner in each]
        elif part in known or ANY in known:
            tables = [*known.get(part, []), *known.get(ANY, [])]
        else:
            guess = nearest(part, known, cutoff=0.6 if place == 0 else _NEARLY)
            if guess:
                return f"did you mean {'.'.join([*parts[:place], guess, *parts[place + 1 :]])}?"
            return "" if place else f"a path begins with one of {', '.join(sorted(known))}"
    return ""


def _objects(tables: Iterable[Table]) -> Iterator[dict[str, Any]]:
    for table in tables:
        if type(table) is dict:
            yield table
        elif type(table) is list:
            yield from _objects(table)
        elif type(table) is ByType:
            yield from _objects([*table.tables.values(), table.other])
