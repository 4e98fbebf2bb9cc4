"""What people do with dead letters, over an open spool: the same in the daemon as in a command while none runs.

Everything that is shown or exported leaves through `events`, under the privacy of its sink.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from forwarder.admin.control import Verb
from forwarder.contracts.errors import ConfigError
from forwarder.records.privacy import privacy_of
from forwarder.spool.letter import DeadLetter, Discard, LetterAct, LetterCount, Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from forwarder.contracts import SinkConfig
    from forwarder.spool.contract import Spool

MOST_AT_ONCE = 1000
"""Letters in one answer."""

_MOST_NUMBERS = 50
"""Numbers of letters that a line of the log names."""


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which letters someone means; `after` and `limit` ask for a part of them."""

    sink: str | None = None
    chosen: Selection = Selection()
    after: int = 0
    limit: int = MOST_AT_ONCE
    words: str = ""  # the same, as it was asked for, to be put on record


class Change(msgspec.Struct, frozen=True):
    """Someone retried or discarded dead letters of one sink."""

    what: Literal["retried", "discarded"]
    act: LetterAct
    who: str
    words: str

    def fields(self) -> dict[str, object]:
        """Return what a line of the log says of it."""
        numbers = ", ".join(map(str, self.act.numbers[:_MOST_NUMBERS]))
        more = len(self.act.numbers) - _MOST_NUMBERS
        return {
            "sink": self.act.lane,
            "count": len(self.act.numbers),
            "who": self.who,
            "chosen": self.words,
            "numbers": f"{numbers} and {more} more" if more > 0 else numbers,
        }


class Letters:
    """The dead letters of a spool.

    Args:
        spool: Open.
        sinks: The sinks that are configured now.
        changed: Told what was done.
    """

    def __init__(
        self,
        spool: Spool,
        sinks: Mapping[str, SinkConfig],
        changed: Callable[[Change], None] | None = None,
    ) -> None:
        self._spool = spool
        self._sinks = sinks
        self._changed = changed

    def verbs(self) -> dict[str, Verb]:
        """Return what can be asked of them, by name."""
        return {
            "dead_letters.count": Verb(Wanted, self.counted),
            "dead_letters.list": Verb(Wanted, self.listed),
            "dead_letters.events": Verb(Wanted, self.events),
            "dead_letters.retry": Verb(Wanted, self.retry),
            "dead_letters.discard": Verb(Wanted, self.discard),
            "dead_letters.discards": Verb(Wanted, self.discards),
        }

    async def counted(self, wanted: Wanted, _: str = "") -> list[LetterCount]:
        """Count them by sink and reason."""
        return await self._spool.count_letters(wanted.sink, chosen=wanted.chosen)

    async def listed(self, wanted: Wanted, _: str = "") -> list[DeadLetter]:
        """List them without their events."""
        return await self._found(wanted, events=False)

    async def events(self, wanted: Wanted, _: str = "") -> list[DeadLetter]:
        """List them with their events under the privacy of the sink."""
        letters = await self._found(wanted, events=True)
        show = {lane: privacy_of(self._sinks.get(lane)) for lane in {letter.lane for letter in letters}}
        for letter in letters:
            letter.raw = show[letter.lane](letter.feed, letter.raw)
        return letters

    async def _found(self, wanted: Wanted, *, events: bool) -> list[DeadLetter]:
        return await self._spool.dead_letters(
            wanted.sink,
            chosen=wanted.chosen,
            after=wanted.after,
            limit=min(wanted.limit, MOST_AT_ONCE),
            events=events,
        )

    async def retry(self, wanted: Wanted, who: str) -> list[LetterAct]:
        """Put letters of configured sinks back into their lanes. Raises ConfigError for a sink that is not."""
        if wanted.sink is not None and wanted.sink not in self._sinks:
            raise ConfigError(
                f"sinks.{wanted.sink}: not configured any more, so nothing can be sent to it; export its dead letters, "
                "or discard them"
            )
        acts: list[LetterAct] = []
        for name in [wanted.sink] if wanted.sink is not None else self._sinks:
            acts += await self._spool.retry_letters(name, wanted.chosen)
        self._tell("retried", acts, wanted, who)
        return acts

    async def discard(self, wanted: Wanted, who: str) -> list[LetterAct]:
        """Remove letters for good; it goes on record in the spool."""
        acts = await self._spool.discard_letters(wanted.sink, wanted.chosen, who=who, words=wanted.words)
        self._tell("discarded", acts, wanted, who)
        return acts

    def _tell(self, what: Literal["retried", "discarded"], acts: Iterable[LetterAct], wanted: Wanted, who: str) -> None:
        for act in acts:
            if act.numbers and self._changed is not None:
                self._changed(Change(what, act, who, wanted.words))

    async def discards(self, wanted: Wanted, _: str = "") -> list[Discard]:
        """List what was discarded, by whom."""
        return await self._spool.discards(wanted.sink)
