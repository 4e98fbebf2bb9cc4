"""What differs between two configurations, setting by setting, for people: no secret is shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.config.references import secrets_of
from forwarder.contracts.declared import BaseModel
from forwarder.contracts.secret import Secret
from forwarder.observe.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.config.settings import Settings

ABSENT = "-"
"""What stands for a setting that there is not."""

_LONGEST = 300
_SECRET = "(secret)"  # noqa: S105 -- stands in place of one
_CHANGED = "(secret, changed)"


class SettingChange(msgspec.Struct, frozen=True):
    """One setting that differs; secrets are named and not shown.

    Attributes:
        path: Such as `sinks.splunk.batch.events`.
        before, after: In words; `-` where there is none.
        needs_restart: It is not in force before the daemon is started again.
    """

    path: str
    before: str
    after: str
    needs_restart: bool = False


def changes(old: Settings, new: Settings) -> list[SettingChange]:
    """Return every setting that differs, in the order of the configuration."""
    redactor = Redactor(lambda: [*secrets_of(old), *secrets_of(new)])  # also those in headers and addresses
    return [
        SettingChange(each.path, redactor.text(each.before), redactor.text(each.after))
        for each in _changes("", old, new)
    ]


def _changes(path: str, old: Any, new: Any) -> Iterator[SettingChange]:
    before, after = _members(old), _members(new)
    if before is None or after is None or (isinstance(old, BaseModel) and type(old) is not type(new)):
        if old != new:
            shown = _shown(new)
            hides = isinstance(old, Secret) and isinstance(new, Secret) and shown == _shown(old)
            yield SettingChange(path, _shown(old), _CHANGED if hides else shown)
        return
    for name in dict.fromkeys([*before, *after]):
        here = f"{path}.{name}" if path else name
        if name not in after:
            yield SettingChange(here, _shown(before[name]), ABSENT)
        elif name not in before:
            yield SettingChange(here, ABSENT, _shown(after[name]))
        else:
            yield from _changes(here, before[name], after[name])


def _members(value: Any) -> dict[str, Any] | None:
    if isinstance(value, BaseModel):
        return {name: getattr(value, name) for name in type(value).model_fields}
    return value if isinstance(value, dict) else None


def _shown(value: Any) -> str:
    text = json.dumps(_plain(value), ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _plain(value: Any) -> Any:
    """Return what JSON can show of a value, without what is not set and without any secret."""
    if isinstance(value, Secret):
        return f"(secret of the file {value.path})" if value.path is not None else _SECRET
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in sorted(value.model_fields_set)}
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
