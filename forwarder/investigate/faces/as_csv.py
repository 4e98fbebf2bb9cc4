"""The answer as one table of CSV: a line for each limit, finding and row, `part` says of what.

The columns are those of all parts; a line fills its own. Invariant: no cell is a formula to a spreadsheet, and none
ends a line.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from forwarder.contracts.text import visible
from forwarder.investigate.faces.as_json import as_dict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.investigate.result import Result

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a formula begins; the last four are the wide forms, which some spreadsheets take for it, too."""
_HEADS = ("question", "subject", "run", "evidence", "totals")
_FIRST = ("part", "code", "mark", "text", "rule", "value", "own", "others", "start", "end", "count")
_LEFT = ("v", "queries")


def as_csv(result: Result) -> str:
    """Return the table, with a head line and line ends as RFC 4180 has them."""
    lines = list(_lines(as_dict(result)))
    names = dict.fromkeys([*_FIRST, *(name for line in lines for name in line)])
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(names)
    writer.writerows([[guarded(line.get(name)) for name in names] for line in lines])
    return out.getvalue()


def guarded(value: Any) -> str:
    """Return a cell that is text to a spreadsheet, on one line; numbers stay numbers."""
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return str(value)
    text = visible(", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))
    return f"'{text}" if text.lstrip(" \xa0").startswith(_FORMULA) else text


def _lines(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for part, value in found.items():
        if part in _LEFT:
            continue
        if part in _HEADS:
            yield {"part": part, **{name: each for name, each in value.items() if not _nested(each)}}
            for name, each in value.items():
                if _nested(each):
                    yield from ({"part": f"{part}.{name}", **one} for one in each)
        elif isinstance(value, list):
            for one in value:
                yield {"part": part, **(one if isinstance(one, dict) else {"text": one})}
        elif isinstance(value, dict):
            yield {"part": part, **value}
        else:
            yield {"part": part, "text": value}


def _nested(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)
