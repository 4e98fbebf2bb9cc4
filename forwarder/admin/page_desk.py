"""What people do from the page: the verbs of the control socket, run in the daemon's loop; and the record of all acts.

The page runs in the thread of the admin port. What acts on the daemon runs in the daemon's loop, one way for both.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.admin.control import Verb
from forwarder.contracts.errors import ConfigError
from forwarder.observe.record import Act

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, MutableSequence

    from forwarder.contracts import Clock

ON_RECORD: Mapping[str, str] = {
    "lanes.pause": "paused", "lanes.resume": "resumed", "lanes.retry_now": "tried now", "lanes.detach": "detached",
    "lanes.forget": "forgot", "dead_letters.retry": "retried dead letters", "dead_letters.discard":
    "discarded dead letters", "replays.begin": "began a replay", "replays.cancel": "ended a replay",
    "backfills.start": "began to fetch", "backfills.pause": "paused fetching", "backfills.resume": "resumed fetching",
    "backfills.cancel": "ended fetching", "cursors.drop": "dropped a cursor",
    "cursors.retry_now": "tried now",
    "daemon.reload": "reloaded the configuration",
}  # fmt: skip
"""Verbs that change something, in words."""


class PageDesk:
    """Runs verbs for the page.

    Args:
        verbs: By name.
        home: The daemon's loop.
    """

    def __init__(self, verbs: Mapping[str, Verb], home: asyncio.AbstractEventLoop) -> None:
        self._verbs = verbs
        self._home = home

    @property
    def verbs(self) -> Collection[str]:
        """Return what can be asked for."""
        return self._verbs.keys()

    async def do(self, verb: str, argument: Mapping[str, Any], who: str) -> Any:
        """Do it, and return what the verb does when it is done. Raises ForwarderError with what to change."""
        chosen = self._verbs[verb]
        try:
            about: Any = msgspec.convert(dict(argument), chosen.takes)
        except msgspec.ValidationError as error:
            raise ConfigError(f"the form does not fit: {error}; load the page again") from None
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_run(chosen, about, who), self._home))


async def _run(verb: Verb, about: Any, who: str) -> Any:
    return await verb.run(about, who)


def recorded(verbs: Mapping[str, Verb], acts: MutableSequence[Act], clock: Clock) -> dict[str, Verb]:
    """Return the verbs, of which those that change something leave a note of who did it when it is done."""

    def with_note(name: str, verb: Verb) -> Verb:
        async def run(about: Any, who: str) -> Any:
            result = await verb.run(about, who)
            acts.append(Act(clock.time(), ON_RECORD[name], _about(about), who))
            return result

        return Verb(verb.takes, run)

    return {name: with_note(name, verb) if name in ON_RECORD else verb for name, verb in verbs.items()}


def _about(argument: Any) -> str:
    """Return what a verb was about: the sink or source, or a number."""
    named = (getattr(argument, name, None) for name in ("sink", "source", "number"))
    return next((str(value) for value in named if value), "")
