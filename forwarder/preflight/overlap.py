"""Whether an event could pass the filters of two sinks; "no" is said only when the rules alone prove it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forwarder.contracts.settings import FilterRule, SinkConfig

_OF_ONE_FACT = ("source", "organization", "product", "action")
"""Fields of which an event has one value. Of a site or an actor it has several, and two rules may match two of them."""


def never_both(one: SinkConfig, other: SinkConfig) -> bool:
    """Tell whether it is certain that no event passes the filters of both."""
    excluded = [*(one.exclude or []), *(other.exclude or [])]
    return all(
        _exclude_each_other(ours, theirs) or any(covers(rule, ours) or covers(rule, theirs) for rule in excluded)
        for ours in _rules(one)
        for theirs in _rules(other)
    )


def covers(wide: FilterRule, narrow: FilterRule | None, *, but: frozenset[str] = frozenset()) -> bool:
    """Tell whether one rule matches all that another does; of None, whether it matches everything.

    Args:
        wide: The rule that may match more.
        narrow: The other.
        but: Fields that are not compared.

    A glob without `?` and `[` covers whatever text it matches, wildcards included.
    """
    for field in wide.model_dump(exclude_none=True, exclude=set(but)):
        ours = _globs_of(wide, field) or []
        if any(glob and not glob.strip("*") for glob in ours):
            continue
        named = _globs_of(narrow, field)
        if named is None or not all(any(_within(each, glob) for glob in ours) for each in named):
            return False
    return True


def _rules(sink: SinkConfig) -> list[FilterRule | None]:
    return [None] if sink.include is None else [*sink.include]


def _exclude_each_other(one: FilterRule | None, other: FilterRule | None) -> bool:
    for field in _OF_ONE_FACT:
        ours, theirs = _globs_of(one, field), _globs_of(other, field)
        if ours is None or theirs is None:
            continue
        if not any(_may_meet(a, b) for a in ours for b in theirs):
            return True
    return False


def _globs_of(rule: FilterRule | None, field: str) -> list[str] | None:
    globs = None if rule is None else rule.source_globs() if field == "source" else getattr(rule, field)
    return None if globs is None else [glob.lower() for glob in ([globs] if isinstance(globs, str) else globs)]


def _within(narrow: str, wide: str) -> bool:
    return narrow == wide or (not {"?", "["} & set(wide) and fnmatchcase(narrow, wide))


def _may_meet(one: str, other: str) -> bool:
    """Tell whether one text could match both globs; a glob with brackets may match anything.

    After each character of the one, `met[n]` is whether some text matches that much of it and `n` characters of the
    other.
    """
    if "[" in one or "[" in other:
        return True
    met = [True]
    for right in other:
        met.append(met[-1] and right == "*")
    for left in one:
        row = [met[0] and left == "*"]
        for n, right in enumerate(other):
            both = {left, right}
            runs_on = "*" in both and (met[n + 1] or row[n])
            row.append(runs_on or (met[n] and (left == right or bool(both & {"*", "?"}))))
        met = row
    return met[-1]
