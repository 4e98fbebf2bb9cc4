"""How a destination is asked what it has: by document ids, a batch at a time, or by a search that a person runs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import ClassVar, Protocol, runtime_checkable

import msgspec

from forwarder.contracts.identity import EventKeys
from forwarder.contracts.page import Origin

_TOKEN = re.compile(rb"[A-Za-z0-9_.:@/+~-]{1,300}")
_HAS_DIGIT = re.compile("[0-9]").search  # as every id has; words are left out, for hashing is what takes the time
_REVISION_AT = 32
_MOST_OCCURRENCES = 10_000


class Asked(msgspec.Struct, frozen=True):
    """Documents that a destination should have.

    Attributes:
        ids: Their ids, as `Record.id`; of one source and day.
        origin: Where their events come from.
        day: The date of the events' times as their log writes it; empty when they have none.
    """

    ids: Sequence[str]
    origin: Origin
    day: str


@runtime_checkable
class Verifies(Protocol):
    """A sink whose destination can be asked what it has."""

    ids_at_once: ClassVar[int]
    """How many ids one question may hold."""

    async def holds(self, asked: Asked) -> Collection[str]:
        """Return those of the ids that the destination has.

        Raises Held, AuthFailed or Retryable when it does not say of every one: nothing is called missing then.
        """
        ...


@runtime_checkable
class IsSearched(Protocol):
    """A sink whose destination cannot be asked by us, and by a person with a search of its own."""

    def search(self, origin: Origin, day: str) -> str:
        """Return the search that lists the ids of a day's documents of a source, for a person to run and export."""
        ...


class LinesOfDocuments:
    """Recognises documents in lines of any format: by their id, by the event's id in them, or by their own bytes.

    A line proves every version of its event: a revision is not told from the event itself.

    Args:
        asked: What is looked for.
    """

    def __init__(self, asked: Asked) -> None:
        self._versions: dict[str, list[str]] = {}
        for each in asked.ids:
            self._versions.setdefault(each[:_REVISION_AT], []).append(each)
        origin = asked.origin
        # a log of a site may be read from its workspace, whose ids are of their own kind
        feeds = {origin.feed, f"{origin.feed}_workspace"} if origin.site else {origin.feed}
        self._keys = [EventKeys(feed, origin.scope) for feed in sorted(feeds)]

    def found(self, lines: Iterable[bytes]) -> Iterator[str]:
        """Yield the ids that lines show, some perhaps several times."""
        for line in lines:
            known = False
            for token in set(_TOKEN.findall(line)):
                text = token.strip(b":").decode()
                for name in self._names(text):
                    if name in self._versions:
                        known = True
                        yield from self._versions[name]
            if not known:
                yield from self._by_content(line)

    def _names(self, text: str) -> Iterator[str]:
        yield text[:_REVISION_AT]
        for keys in self._keys if _HAS_DIGIT(text) else ():
            yield keys.key(text).hex()

    def _by_content(self, line: bytes) -> Iterator[str]:
        """An event without an id is known by its bytes, and its equals by their number: one line stands for all."""
        for keys in self._keys:
            for occurrence in range(_MOST_OCCURRENCES):
                name = keys.derived(line, occurrence).hex()
                if name not in self._versions:
                    break
                yield from self._versions[name]
