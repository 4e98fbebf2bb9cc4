"""Findings: rules as data. Each is a query whose rows are numbers with what they are compared with, and a sentence.

Invariant: a rule compares and counts; it never says what that means. The queries read the table `asked` (the events of
the subject, `forwarder.investigate.sessions`) and, for what others do, the view `e`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.investigate.result import MOST_IDS, Finding, Limit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forwarder.investigate.asking import Asking
    from forwarder.investigate.moments import Clock


def where_from(place: str = "place") -> str:
    """Return an expression over events for where they came from: the address of most of them, and how many more.

    Args:
        place: The column of the address; `t`, `id` and `country` stand beside it.
    """
    both = f"""mode(struct_pack(p := {place}, c := country) order by t, id)
      filter ({place} is not null and country is not null)"""
    return f"""concat_ws(', ', coalesce(({both}).p, mode({place} order by t, id), 'an unknown address'), ({both}).c,
      if(count(distinct {place}) > 1, 'and ' || (count(distinct {place}) - 1) || ' more', null))"""


_WEIGHT = {"!!": 0, "!": 1, "": 2}
_MOST_ROWS = 20


class Rule(msgspec.Struct, frozen=True):
    """One rule.

    Attributes:
        name: Of its query.
        rule: What it counts and when it says so, in words.
        text: The sentence: a template of `str.format` with the columns of the row; `when` is its time for people.
        sql: Its query. Columns: `mark`, `value`, `own`, `others`, `start`, `end`, `n` (events), `ids`, and those of
            the sentence. No row: nothing to say.
        gate: An expression over `asked` that is true where the query can find anything: it spares a look at all events;
            empty where there is nothing to spare.
    """

    name: str
    rule: str
    text: str
    sql: str
    gate: str = ""


def findings(
    asking: Asking, rules: Iterable[Rule], clock: Clock, **values: Any
) -> tuple[tuple[Finding, ...], tuple[Limit, ...]]:
    """Return what the rules find, the weightiest first, numbered; and what says how many of a rule are not listed."""
    found: list[tuple[Rule, dict[str, Any]]] = []
    more: list[Limit] = []
    for rule in rules:
        if rule.gate:
            [gate] = asking.run(f"may find {rule.name}", f"select ({rule.gate}) is true opens", **values)
            if not gate["opens"]:
                continue
        rows = asking.run(f"finding {rule.name}", rule.sql, most=MOST_IDS, **values)
        found += [(rule, row) for row in rows[:_MOST_ROWS]]
        if len(rows) > _MOST_ROWS:
            more.append(unlisted(rule.name, len(rows) - _MOST_ROWS))
    found.sort(key=lambda one: (_WEIGHT[one[1]["mark"]], one[1]["start"] or 0))
    return tuple(_finding(number, rule, row, clock) for number, (rule, row) in enumerate(found, 1)), tuple(more)


def unlisted(rule: str, count: int) -> Limit:
    """Return what says how many findings of a rule are not listed."""
    return Limit("unlisted", f"findings of the rule “{rule}” that are not listed: ask about less time", count)


def _finding(number: int, rule: Rule, row: dict[str, Any], clock: Clock) -> Finding:
    start, end = row["start"], row["end"]
    when = "" if start is None else clock.span(start, end)
    shown = {name: _said(value) for name, value in row.items()}
    return Finding(
        code=f"F{number}",
        mark=row["mark"],
        text=rule.text.format(**shown, when=when),
        rule=rule.rule,
        value=row["value"],
        own=row.get("own"),
        others=row.get("others"),
        start_ms=start,
        end_ms=end,
        count=row["n"],
        events=tuple(one for one in row["ids"] if one is not None),
    )


def _said(value: Any) -> Any:
    if value is None:
        return "unknown"
    if isinstance(value, list):
        return ", ".join(str(one) for one in value if one is not None) or "unknown"
    if isinstance(value, float):
        return f"{value:g}"
    return value
