"""The configuration as it is in force: every setting that somebody made, with secrets masked and where it stands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from forwarder.config.problems import dotted
from forwarder.observe.record import Configuration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.config.problems import Path as Keys
    from forwarder.config.settings import Settings


def in_force(settings: Settings) -> Configuration:
    """Return the settings that are not as by default."""
    rows = tuple((dotted(path), value, settings.where(path)) for path, value in _leaves(_tree(settings)))
    return Configuration(str(settings.file or ""), rows)


def differences(running: Settings, now: Settings) -> tuple[str, ...]:
    """Return the paths of settings that are not the same in both; secrets take no part."""
    before, after = (dict(_leaves(_tree(settings))) for settings in (running, now))
    paths = dict.fromkeys((*before, *after))
    return tuple(dotted(path) for path in paths if before.get(path) != after.get(path))


def _tree(settings: Settings) -> dict[str, Any]:
    return settings.model_dump(mode="json", exclude_unset=True)


def _leaves(tree: dict[str, Any], path: Keys = ()) -> Iterator[tuple[Keys, str]]:
    for name, value in tree.items():
        here = (*path, name)
        if isinstance(value, dict) and value:
            yield from _leaves(value, here)
        else:
            yield here, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
