"""A format of JSON with a sink's `fields` applied to what it wrote, by dotted path.

Invariant: no value of the event is overwritten. Where an event has a member of its own in the place of a new one, which
only the format `raw` allows, the event is refused and becomes a dead letter.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec

from forwarder.contracts import FieldsConfig, Format, Record, Shrinks, UnexpectedPayload
from forwarder.formats.kit.fields import Rules, check
from forwarder.formats.kit.json_shortening import decode
from forwarder.net.json_size import TOO_MUCH, is_beyond_reading
from forwarder.normalize.lenient import Unreadable, read_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

JSON_NAME = re.compile(r"[A-Za-z_@][A-Za-z0-9_@-]{0,62}(\.[A-Za-z_@][A-Za-z0-9_@-]{0,62}){0,7}")
JSON_EXAMPLE = "client_ip or labels.env"

Path = tuple[str, ...]

_encode = msgspec.json.Encoder(decimal_format="number").encode
_ABSENT = object()


class JsonTemplate:
    """Renders as another format does, and then renames, drops and adds.

    Args:
        inner: That format.
        changes: What was configured.
        rules: What the format allows.

    Raises ConfigError for what `check` refuses.
    """

    writes: ClassVar[Literal["json", "line", "structured_data"]] = "json"
    needs_event: ClassVar[bool] = True

    def __init__(self, inner: Format, changes: FieldsConfig, rules: Rules) -> None:
        check(changes, rules)
        self._inner = inner
        self._renamed = [(_path(old), _path(new)) for old, new in changes.rename.items()]
        self._dropped = [_path(name) for name in changes.drop]
        self._added = [(_path(name), value) for name, value in changes.add.items()]
        longest = [(new, None) for _, new in self._renamed] + list(self._added)
        self._more = sum(len(_encode(_nested(path, value))) for path, value in longest)

    def render(self, records: Sequence[Record]) -> list[bytes | UnexpectedPayload]:
        """Return one JSON object per record, in order; a refused one is its own result."""
        return [
            body if isinstance(body, UnexpectedPayload) else self.apply(body) for body in self._inner.render(records)
        ]

    def shrink(self, record: Record, limit: int) -> bytes | UnexpectedPayload:
        """Render at most `limit` bytes: the format leaves room for what comes on top."""
        if not isinstance(self._inner, Shrinks):
            return UnexpectedPayload(f"longer than the {limit} bytes that the sink carries")
        body = self._inner.shrink(record, max(limit - self._more, 0))
        return body if isinstance(body, UnexpectedPayload) else self.apply(body)

    def apply(self, body: bytes) -> bytes | UnexpectedPayload:
        """Change a body that the format wrote."""
        if is_beyond_reading(body):
            return UnexpectedPayload(TOO_MUCH, "too_large")
        try:
            tree = _read(body)
            changes = [(new, _take(tree, old)) for old, new in self._renamed]
            for path in self._dropped:
                _take(tree, path)
            for path, value in [*changes, *self._added]:
                if value is not _ABSENT and not _put(tree, path, value):
                    return UnexpectedPayload(
                        f"the event has something in the place of {'.'.join(path)}; choose another name in fields",
                        "field_in_use",
                    )
            return _encode(tree)
        except (ValueError, msgspec.MsgspecError, RecursionError, Unreadable) as error:
            return UnexpectedPayload(f"the fields cannot be changed: {str(error)[:120]}")


def _path(name: str) -> Path:
    return tuple(name.split("."))


def _nested(path: Path, value: Any) -> Any:
    for name in reversed(path):
        value = {name: value}
    return value


def _read(body: bytes) -> dict[str, Any]:
    try:
        tree: dict[str, Any] = decode(body)
    except msgspec.DecodeError:  # an escaped half surrogate, which only the slow reader takes, and repairs
        tree, _ = read_tree(body)
    return tree


def _take(tree: dict[str, Any], path: Path) -> Any:
    """Take a member out, and what is empty without it; return what it was."""
    holders = [tree]
    for name in path[:-1]:
        inner = holders[-1].get(name)
        if type(inner) is not dict:
            return _ABSENT
        holders.append(inner)
    found = holders[-1].pop(path[-1], _ABSENT)
    if found is not _ABSENT:
        for holder, name in zip(reversed(holders[:-1]), reversed(path[:-1]), strict=True):
            if holder[name]:
                break
            del holder[name]
    return found


def _put(tree: dict[str, Any], path: Path, value: str | float | Decimal) -> bool:
    """Put a member where nothing is; say whether that was so."""
    holder: Any = tree
    for name in path[:-1]:
        holder = holder.setdefault(name, {})
        if type(holder) is not dict:
            return False
    if path[-1] in holder:
        return False
    holder[path[-1]] = value
    return True
