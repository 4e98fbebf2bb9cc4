"""The configuration as it is in force: every setting that somebody made, with secrets masked and where it stands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from forwarder.config.layers import SHORT_FORMS
from forwarder.config.problems import dotted
from forwarder.net.hide import STARS
from forwarder.observe.record import Configuration
from forwarder.observe.redaction import names_a_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.config.problems import Path as Keys
    from forwarder.config.settings import Settings


def in_force(settings: Settings) -> Configuration:
    """Return the settings that are not as by default."""
    rows = tuple(
        (dotted(path), value, settings.where(path))
        for path, value in _leaves(_tree(settings))
        if path in settings.made or (path[:-1] in settings.made and SHORT_FORMS.get(str(path[-2])) == path[-1])
    )
    return Configuration(str(settings.file or ""), rows)


def differences(running: Settings, now: Settings) -> tuple[str, ...]:
    """Return the paths of settings that are not the same in both; secrets take no part."""
    before, after = (dict(_leaves(_tree(settings))) for settings in (running, now))
    paths = dict.fromkeys((*before, *after))
    return tuple(dotted(path) for path in paths if before.get(path) != after.get(path))


def _tree(settings: Settings) -> dict[str, Any]:
    return settings.model_dump(mode="json")


def _leaves(tree: dict[str, Any], path: Keys = ()) -> Iterator[tuple[Keys, str]]:
    for name, value in tree.items():
        here = (*path, name)
        if isinstance(value, dict) and value:
            yield from _leaves(value, here)
        else:
            yield here, STARS if names_a_secret(str(name), value) else _in_words(value)


def _in_words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(_without_none(value), ensure_ascii=False)


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(item) for name, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value
