"""The verb that has a daemon read its configuration again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forwarder.admin.control import Verb
from forwarder.config.changes import SettingChange

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class ReloadWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Asks for it."""


class Reloaded(msgspec.Struct, frozen=True):
    """What came of it.

    Attributes:
        changes: Every setting that differs from what was in force.
        sources, sinks: Names of those that were begun, ended, or both.
    """

    changes: list[SettingChange]
    sources: list[str]
    sinks: list[str]


class Reloads:
    """Has the configuration read again.

    Args:
        reload: Does it; told who asks.
    """

    def __init__(self, reload: Callable[[str], Awaitable[Reloaded]]) -> None:
        self._reload = reload

    def verbs(self) -> dict[str, Verb]:
        """Return what can be asked, by name."""
        return {"daemon.reload": Verb(ReloadWanted, self.reload)}

    async def reload(self, _: ReloadWanted, who: str) -> Reloaded:
        """Read it again. Raises ConfigError; then nothing has changed."""
        return await self._reload(who)
