"""What people do with cursors, over an open spool: the same in the daemon as in a command while none runs.

A cursor that is dropped is a lost one: the tail goes on near now, and what lies between is read again from before the
last good point. So nothing is lost by it, and nothing is doubled where a sink knows ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forwarder.admin.control import Verb
from forwarder.contracts.errors import ConfigError
from forwarder.spool.contract import CursorMove, PageCommit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from forwarder.contracts import Origin
    from forwarder.spool.contract import CursorRow, Spool


class CursorChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which cursors are meant; an empty name means every one."""

    source: str = ""
    cursor: str = ""


class SourceChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which source is meant."""

    source: str


class CursorShown(msgspec.Struct, frozen=True):
    """A cursor that is at work. Times are epoch milliseconds of processing; the cursor itself is not shown.

    Attributes:
        begins_ms: Where its walk began.
        reached_ms: How far it came.
        bytes: Size of the source's state, in which the cursor is.
        dropped: Who dropped it; the daemon sees to it when the request at hand is over, or at its next start.
    """

    source: str
    cursor: str
    begins_ms: int
    reached_ms: int
    bytes: int
    dropped: str = ""


class Cursors:
    """The cursors of a spool.

    Args:
        spool: Open.
        origins: Returns the origin of each configured source, by its name.
        drop: Has the poller of a source drop a cursor (source, cursor, who), False when it does not read just now; it
            is durable when that returns. None while no daemon runs.
        retry: Has the poller of a source ask now (source, who). None while no daemon runs.
    """

    def __init__(
        self,
        spool: Spool,
        origins: Callable[[], Mapping[str, Origin]],
        drop: Callable[[str, str, str], Awaitable[bool]] | None = None,
        retry: Callable[[str, str], None] | None = None,
    ) -> None:
        self._spool = spool
        self._origins = origins
        self._drop = drop
        self._retry = retry

    def verbs(self) -> dict[str, Verb]:
        """Return what can be asked of them, by name."""
        return {
            "cursors.list": Verb(CursorChoice, self.listed),
            "cursors.drop": Verb(CursorChoice, self.drop),
            "cursors.retry_now": Verb(SourceChoice, self.retry_now),
        }

    async def listed(self, chosen: CursorChoice, _: str = "") -> list[CursorShown]:
        """List the cursors that are at work."""
        return [
            _shown(source.name, row)
            for source in (await self._spool.status()).sources
            if chosen.source in {"", source.name, source.name.partition("/")[0]}
            for row in source.cursors.values()
            if row.state.get("walk") is not None and chosen.cursor in {"", row.name}
        ]

    async def retry_now(self, chosen: SourceChoice, who: str) -> None:
        """End the wait of a source that failed, or is held. Raises ConfigError for one that is not asked."""
        origin = self._origins().get(chosen.source)
        if origin is None:
            raise _no_source(chosen.source)
        if self._retry is not None:
            self._retry(chosen.source, who)

    async def drop(self, chosen: CursorChoice, who: str) -> list[CursorShown]:
        """Drop one cursor. Raises ConfigError for a source or cursor that is not there."""
        origin = self._origins().get(chosen.source)
        if origin is None:
            raise _no_source(chosen.source)
        found = await self.listed(chosen)
        if not found or not chosen.cursor:
            there = ", ".join(shown.cursor for shown in await self.listed(CursorChoice(chosen.source))) or "none"
            raise ConfigError(f"the source {chosen.source} has no cursor {chosen.cursor} at work; it has: {there}")
        reason = f"dropped by {who}"
        if self._drop is not None:
            if not await self._drop(chosen.source, chosen.cursor, reason):
                raise ConfigError(
                    f"the daemon does not read the source {chosen.source} just now; try again in a moment"
                )
            return found
        identities = [each.identity for each in self._origins().values()]
        state = await self._spool.open_source(origin, configured=identities)
        row = state.cursors[chosen.cursor]
        move = CursorMove(row.name, row.version, {**row.state, "dropped": reason})
        await self._spool.commit(PageCommit(state.number, state.epoch, [move]))
        return found


def _no_source(name: str) -> ConfigError:
    return ConfigError(f"sources.{name}: not configured; `cursors list` shows the sources there are")


def _shown(source: str, row: CursorRow) -> CursorShown:
    state = row.state
    size = len(msgspec.json.encode(state["walk"]))
    reached: int = state["reached"] if "reached" in state else state["high"]
    return CursorShown(source, row.name, state["from"], reached, size, str(state.get("dropped", "")))
