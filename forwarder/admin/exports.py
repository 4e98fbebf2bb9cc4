"""What has come by the API, for whoever has rows of an exported table to compare with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forwarder.admin.control import Verb
from forwarder.contracts.errors import ConfigError
from forwarder.contracts.export import SeenEvent, TakesExports
from forwarder.contracts.moments import utc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from forwarder.contracts import Source
    from forwarder.spool.contract import Spool


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of which minutes of a source, counted from 1970, and where to go on."""

    source: str
    minutes: list[int]
    after: int = 0


class Came(msgspec.Struct, frozen=True):
    """Some of what came.

    Attributes:
        events: Those of the minutes that are in the spool.
        held: How many events of each day were looked at. spooled: How many ever came; only with the first.
        after: Where to go on; None at the end.
    """

    events: list[SeenEvent]
    held: dict[str, int]
    spooled: dict[str, int]
    after: int | None


class Exports:
    """Says what came of a source.

    Args:
        spool: Open.
        sources: Returns the configured sources by name.
    """

    def __init__(self, spool: Spool, sources: Callable[[], Mapping[str, Source]]) -> None:
        self._spool = spool
        self._sources = sources

    def verbs(self) -> dict[str, Verb]:
        """Return what can be asked, by name."""
        return {"import.came": Verb(Asked, self.came)}

    async def came(self, asked: Asked, _: str = "") -> Came:
        """Say what came in some minutes. Raises ConfigError for a source that takes no exports."""
        source = source_of(self._sources(), asked.source)
        moments = [utc(minute * 60) for minute in asked.minutes]
        minutes = frozenset(f"{moment:%Y-%m-%dT%H:%M}" for moment in moments if moment is not None)
        days = {minute[:10] for minute in minutes}
        found = await self._spool.operations.held_events(asked.source, days, asked.after)
        return Came(source.seen_in(found.bodies, minutes), found.days, found.spooled, found.after)


def source_of(sources: Mapping[str, Source], name: str) -> TakesExports:
    """Return a source that takes exports. Raises ConfigError."""
    source = sources.get(name)
    if source is None:
        raise ConfigError(f"sources.{name}: not configured; the sources are: {', '.join(sources)}")
    if not isinstance(source, TakesExports):
        raise ConfigError(f"sources.{name}: no exported table can be imported into a source of this type")
    return source
