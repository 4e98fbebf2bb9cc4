r"""Rules of Sigma to SQL over the view `events`: fields are columns, values are bound.

What is read: `detection` with maps and lists of values, wildcards `*` and `?`, the modifiers `contains`, `startswith`,
`endswith`, `exists` and `all`, conditions of names, `and`, `or`, `not` and parentheses; `correlation` in the same rule
with `event_count` or `value_count`, `group-by` of one field, `timespan` and `gte`. Anything else is refused, so that no
rule means less than it says.

Run when the package is made (`make docs`); what came out is `shipped.json`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.contracts.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Collection

_LISTS = ("event.category", "event.type", "atlassian.audit.roles")
_PLURALS = {"atlassian.audit.space.key": "spaces", "source.ip": "addresses", "user.id": "accounts"}
_TOKEN = re.compile(r"\s*(\(|\)|[A-Za-z_][A-Za-z0-9_]*)")
_WORDS = {"and", "or", "not", "(", ")"}
_KNOWN = {
    "title", "id", "status", "description", "logsource", "detection", "correlation", "falsepositives", "level", "tags",
}  # fmt: skip


class Hunt(msgspec.Struct, frozen=True):
    """One rule, ready to run.

    Attributes:
        name: Of its file.
        sql: Its rows: `value`, `start`, `end`, `n`, `ids`, `who`; its values: `$since`, `$until`, `$most`, `params`.
        least: From which count on it matches, within how many seconds; both 0 where each event does.
    """

    name: str
    id: str
    title: str
    description: str
    level: str
    sql: str
    params: dict[str, Any]
    least: int = 0
    seconds: int = 0
    counted: str = "events"


def compiled(name: str, rule: dict[str, Any], columns: Collection[str]) -> Hunt:
    """Return a rule of Sigma as SQL. Raises ValueError for what is not read, with the place."""
    if unknown := set(rule) - _KNOWN:
        raise ValueError(f"{name}: {', '.join(sorted(unknown))} is not read")
    detection = dict(rule["detection"])
    condition = detection.pop("condition")
    made = _Conditions(name, columns)
    parts = {each: made.selection(value) for each, value in detection.items()}
    where = _joined(name, condition, parts)
    base = f'"@timestamp" >= $since and "@timestamp" < $until and ({where})'
    described = (name, rule["id"], rule["title"], rule["description"], rule["level"])
    if "correlation" not in rule:
        return Hunt(*described, _EVENTS.format(where=base), made.params)
    how = rule["correlation"]
    [group] = how["group-by"]
    least = how["condition"]
    seconds = int(parse_duration(how["timespan"]))
    field = least.get("field")
    if (how["type"], field is None) not in {("event_count", True), ("value_count", False)}:
        raise ValueError(f"{name}: correlation of type {how['type']} is not read")
    counted = "*" if field is None else f"distinct {made.column(field)}"
    value = "count(*)" if field is None else "seen"
    sql = _COUNTED.format(where=base, group=made.column(group), counted=counted, seconds=seconds, value=value)
    made.params["least"] = int(least["gte"])
    what = "events" if field is None else f"different {_PLURALS.get(field, field)}"
    return Hunt(*described, sql, made.params, int(least["gte"]), seconds, what)


_EVENTS = """
select distinct 1 "value", epoch_ms("@timestamp") "start", epoch_ms("@timestamp") "end", 1 n, ["event.id"] ids,
  coalesce("user.full_name", who) who
from events where {where} order by "start", ids
"""

_COUNTED = """
with hits as (select *, {group} g from events where {where} and {group} is not null),
w as (select *, count({counted}) over (partition by g order by "@timestamp"
  range between interval {seconds} seconds preceding and current row) seen from hits),
over_it as (select g, max(seen) seen, arg_max("@timestamp", seen) at_ from w where seen >= $least
  group by g, date_trunc('day', "@timestamp")),
inside as (select distinct over_it.*, "@timestamp" t, "event.id" id, "user.full_name" name from over_it join hits
  on hits.g = over_it.g and "@timestamp" between at_ - interval {seconds} seconds and at_)
select {value} "value", epoch_ms(min(t)) "start", epoch_ms(max(t)) "end", count(*) n,
  list(id order by t, id)[:$most] ids, coalesce(mode(name), g) who
from inside group by g, seen, at_ having "value" >= $least order by 2, 1
"""
"""Of events that are kept twice, `inside` has one. All are not looked through for such: there are too many.
"""


class _Conditions:
    """Makes conditions of selections; their values become parameters."""

    def __init__(self, name: str, columns: Collection[str]) -> None:
        self._name, self._columns = name, columns
        self.params: dict[str, Any] = {}

    def column(self, field: str) -> str:
        """Return a column, quoted."""
        if field not in self._columns:
            raise ValueError(f"{self._name}: there is no field {field}")
        return f'"{field}"'

    def selection(self, found: Any) -> str:
        """Return the condition of a map of fields, or of a list of such maps."""
        if isinstance(found, list):
            return "(" + " or ".join(map(self.selection, found)) + ")"
        return "(" + " and ".join(self._field(field, value) for field, value in found.items()) + ")"

    def _field(self, described: str, value: Any) -> str:
        field, *modifiers = described.split("|")
        if unknown := set(modifiers) - {"contains", "startswith", "endswith", "exists", "all"}:
            raise ValueError(f"{self._name}: modifier {', '.join(unknown)} is not read")
        column = self.column(field)
        if "exists" in modifiers:
            return f"{column} is {'not ' if value else ''}null"
        values = value if isinstance(value, list) else [value]
        each = [self._value(field, column, modifiers, one) for one in values]
        return "(" + (" and " if "all" in modifiers else " or ").join(each) + ")"

    def _value(self, field: str, column: str, modifiers: list[str], value: Any) -> str:
        if value is None:
            return f"{column} is null"
        if not isinstance(value, str):
            return f"{column} = {self._param(value)}"
        text = re.sub(r"([%_\\])", r"\\\1", value.lower()).replace("*", "%").replace("?", "_")
        before = "%" if {"contains", "endswith"} & set(modifiers) else ""
        after = "%" if {"contains", "startswith"} & set(modifiers) else ""
        text = f"{before}{text}{after}"
        if field in _LISTS:
            return f"len(list_filter({column}, lambda x: lower(x) like {self._param(text)} escape '\\')) > 0"
        if text == value.lower():
            return f"lower({column}) = {self._param(text)}"
        return f"lower({column}) like {self._param(text)} escape '\\'"

    def _param(self, value: Any) -> str:
        name = f"p{len(self.params)}"
        self.params[name] = value
        return f"${name}"


def _joined(name: str, condition: str, parts: dict[str, str]) -> str:
    """Return a condition of names with what they stand for; a comparison with what is absent is false."""
    found, at = [], 0
    while at < len(condition.rstrip()):
        match = _TOKEN.match(condition, at)
        if match is None or (match[1] not in _WORDS and match[1] not in parts):
            raise ValueError(f"{name}: the condition {condition!r} is not read from {condition[at:]!r} on")
        found.append(match[1] if match[1] in _WORDS else f"coalesce({parts[match[1]]}, false)")
        at = match.end()
    return " ".join(found)
