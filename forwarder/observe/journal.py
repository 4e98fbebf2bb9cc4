"""Tells systemd's journal how grave a line is, so that `journalctl -p warning` finds it: the prefix of sd-daemon(3)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    Render = Callable[[Any, str, MutableMapping[str, Any]], str]

_INFO = 6
_PRIORITIES = {"debug": 7, "info": _INFO, "warning": 4, "error": 3, "critical": 2}
"""Of syslog(3), by our levels."""


def is_journal(stream: TextIO, env: Mapping[str, str]) -> bool:
    """Tell whether a stream leads to the journal and nowhere else: by the file that systemd names (systemd.exec(5))."""
    named = env.get("JOURNAL_STREAM")
    if not named:
        return False
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return named == f"{found.st_dev}:{found.st_ino}"


def with_priority(render: Render) -> Render:
    """Return what renders an event as `render` does, each line behind its priority, which the journal takes off."""

    def rendered(logger: Any, name: str, event: MutableMapping[str, Any]) -> str:
        prefix = f"<{_PRIORITIES.get(str(event.get('level')), _INFO)}>"
        return "\n".join(prefix + line for line in render(logger, name, event).split("\n"))

    return rendered
