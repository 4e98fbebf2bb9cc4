"""The answer as JSON: moments in UTC, texts as the log has them, what is absent is absent, always in the same order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.investigate.moments import iso

if TYPE_CHECKING:
    from forwarder.investigate.result import Cell, Kind, Part, Result

VERSION = 1


def as_dict(result: Result) -> dict[str, Any]:
    """Return the answer as JSON values. The same question of the same evidence gives the same, but for `run`."""
    found: dict[str, Any] = {"v": VERSION}
    for name in ("question", "subject", "run", "evidence", "totals", "limits", "findings"):
        found[name] = _plain(getattr(result, name))
    for part in result.parts:
        found[part.name] = _rows(part)
    left_out = {part.name: part.left_out for part in result.parts if part.left_out}
    if left_out:
        found["left_out"] = left_out
    found["not_found"] = list(result.not_found)
    found["searched"] = result.searched
    found["queries"] = _plain(result.queries)
    return found


def _rows(part: Part) -> list[dict[str, Any]]:
    return [
        {
            column.name: cell(value, column.kind)
            for column, value in zip(part.columns, row, strict=True)
            if value is not None
        }
        for row in part.rows
    ]


def cell(value: Cell, kind: Kind) -> Any:
    """Return a cell for programs."""
    return iso(value) if kind == "time" and isinstance(value, int) else value


def _plain(value: Any) -> Any:
    """Return a part of the result as JSON values, `…_ms` as a moment, nothing that is absent."""
    if isinstance(value, msgspec.Struct):
        found = {}
        for name in value.__struct_fields__:
            each = getattr(value, name)
            if each is None or each == ():
                continue
            moment = name.endswith("_ms") and isinstance(each, int)
            found[name.removesuffix("_ms")] = iso(each) if moment else _plain(each)
        return found
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value
