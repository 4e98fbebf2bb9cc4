"""What people do with replays, over an open spool: the same in the daemon as in a command while none runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from forwarder.admin.control import Verb
from forwarder.contracts.errors import ConfigError
from forwarder.spool.operations import Replay, ReplayOrder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forwarder.contracts import SinkConfig
    from forwarder.spool.contract import Spool


class ReplayWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be sent once more, as in `ReplayOrder`; who wants it is known otherwise."""

    sink: str
    since_ms: int
    until_ms: int
    chosen: str = "[]"


class ReplayChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which replays are meant; 0 and an empty name mean every one."""

    number: int = 0
    sink: str = ""


class ReplayShown(msgspec.Struct, frozen=True):
    """A replay, and how it is: the state and the reason of its lane while it is at work, else empty."""

    replay: Replay
    state: str = ""
    reason: str = ""


class LiveReplays(Protocol):
    """The replays of a running daemon."""

    def replay_state(self, replay: Replay) -> tuple[str, str]:
        """Return the state and the reason of a replay that is at work, else nothing."""
        ...

    async def cancel_replay(self, replay: Replay, who: str) -> Replay:
        """End one while nothing of it is in flight."""
        ...

    def on_replay_changed(self, what: str, replay: Replay, who: str) -> None:
        """Take note that there is one more, or that one was ended."""
        ...


class Replays:
    """The replays of a spool.

    Args:
        spool: Open.
        sinks: The sinks that are configured now.
        live: Those that are at work; None while no daemon runs.
    """

    def __init__(self, spool: Spool, sinks: Mapping[str, SinkConfig], live: LiveReplays | None = None) -> None:
        self._spool = spool
        self._sinks = sinks
        self._live = live

    def verbs(self) -> dict[str, Verb]:
        """Return what can be asked of them, by name."""
        return {
            "replays.begin": Verb(ReplayWanted, self.begin),
            "replays.list": Verb(ReplayChoice, self.listed),
            "replays.cancel": Verb(ReplayChoice, self.cancel),
        }

    async def begin(self, wanted: ReplayWanted, who: str) -> ReplayShown:
        """Begin one. Raises ConfigError for a sink that is not configured, and when the spool has nothing of it."""
        if wanted.sink not in self._sinks:
            raise ConfigError(f"sinks.{wanted.sink}: not configured, so nothing can be sent to it")
        order = ReplayOrder(wanted.sink, wanted.since_ms, wanted.until_ms, wanted.chosen, who)
        replay = await self._spool.operations.begin_replay(order)
        self._tell("asked_for", replay, who)
        return self._shown(replay)

    async def listed(self, chosen: ReplayChoice, _: str = "") -> list[ReplayShown]:
        """List those on record, oldest first."""
        replays = await self._spool.operations.replays(chosen.sink or None)
        return [self._shown(replay) for replay in replays if chosen.number in {0, replay.number}]

    async def cancel(self, chosen: ReplayChoice, who: str) -> ReplayShown:
        """End one. Raises ConfigError when there is none of this number, or it has ended."""
        found = await self.listed(ReplayChoice(chosen.number)) if chosen.number else []
        if not found:
            raise ConfigError(f"there is no replay {chosen.number}; `audit-forwarder replay list` shows all on record")
        if not found[0].replay.is_open:
            raise ConfigError(f"the replay {chosen.number} has ended already")
        if self._live is not None and found[0].replay.sink in self._sinks:
            replay = await self._live.cancel_replay(found[0].replay, who)
        else:
            replay = await self._spool.operations.cancel_replay(chosen.number, who)
        self._tell("cancelled", replay, who)
        return self._shown(replay)

    def _shown(self, replay: Replay) -> ReplayShown:
        state, reason = self._live.replay_state(replay) if self._live is not None else ("", "")
        return ReplayShown(replay, state, reason)

    def _tell(self, what: str, replay: Replay, who: str) -> None:
        if self._live is not None:
            self._live.on_replay_changed(what, replay, who)
