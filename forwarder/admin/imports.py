"""Events that were kept in an archive go into the spool, as pages of their source.

A command hands in a part of the archive at a time. No cursor moves, and nothing is remembered of how far it came: ids
are, so the same part again is known.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from forwarder.admin.audience import check_audience
from forwarder.admin.control import Verb
from forwarder.contracts import Page, TakesBack
from forwarder.contracts.errors import ConfigError
from forwarder.net.json_size import why_unsound
from forwarder.spool.contract import IMPORT, Committed, PageCommit

if TYPE_CHECKING:
    from forwarder.contracts import SinkConfig, Source
    from forwarder.spool.contract import Spool

Push = Callable[[str, Page, str | None], Awaitable[Committed]]
"""Has the poller of a source spool a page, for one sink alone or for all."""

MOST_EVENTS = 500
"""Events that are handed in at once."""

MOST_BYTES = 700_000
"""Bytes of events that are handed in at once, so of one event: a request to the daemon is a megabyte at most."""


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Some events as the API sent them; none of them: is anything taken for this source?

    Attributes:
        sink: For which sink alone; empty: for all. What each sink has for itself is known apart from what all have.
    """

    source: str
    bodies: list[bytes] = []
    sink: str = ""


class Begun(msgspec.Struct, frozen=True):
    """What is to be known before an archive is read: events of which days the spool has had and knows no more."""

    forgotten: dict[str, int] = {}


class Taken(msgspec.Struct, frozen=True):
    """What became of a part.

    Attributes:
        new: Events that were spooled.
        known: Events that the spool knew, or that came twice.
        revisions: How many of the new ones are another version of a known event.
        refused: Positions in the part, and why it was not taken.
    """

    new: int = 0
    known: int = 0
    revisions: int = 0
    refused: list[tuple[int, str]] = []


class Imports:
    """Takes parts of archives.

    Args:
        spool: Open.
        sources: Returns the configured sources by name.
        sinks: The configured sinks.
        push: None while no daemon runs.
    """

    def __init__(
        self,
        spool: Spool,
        sources: Callable[[], Mapping[str, Source]],
        sinks: Mapping[str, SinkConfig],
        push: Push | None = None,
    ) -> None:
        self._spool = spool
        self._sources = sources
        self._sinks = sinks
        self._push = push or self._write
        self._opened: dict[str, tuple[int, int]] = {}
        self._known: dict[str, Source] = {}

    def verbs(self) -> dict[str, Verb]:
        """Return what can be asked, by name."""
        return {"import.begin": Verb(Part, self.begin), "import.part": Verb(Part, self.take)}

    async def begin(self, part: Part, _: str = "") -> Begun:
        """Say whether anything can be imported, and what would come twice. Raises ConfigError."""
        self._source(part.source).pages_of([])
        if part.sink:
            await check_audience(self._spool, self._sinks, part.sink)
            return Begun()  # what is known of a sink's own pages says nothing of those that were for all
        return Begun(await self._spool.forgotten_days(part.source))

    async def take(self, part: Part, _: str = "") -> Taken:
        """Spool what is new of a part.

        Raises ConfigError for a source into which nothing can be imported, Retryable while it is not open, and what
        the spool raises; then some of the part may be spooled, and the whole of it is to be handed in again.
        """
        source = self._source(part.source)
        refused: list[tuple[int, str]] = []
        good: list[bytes] = []
        for at, body in enumerate(part.bodies):
            if reason := why_unsound(body) or source.why_foreign(body):
                refused.append((at, reason))
            else:
                good.append(body)
        taken = Taken(refused=refused)
        for page in source.pages_of(good):
            if page.bodies:
                done = await self._push(part.source, page, part.sink or None)
                new, known = taken.new + done.new, taken.known + done.repeats
                taken = Taken(new, known, taken.revisions + done.revisions, refused)
        return taken

    def _source(self, name: str) -> TakesBack:
        if name not in self._known:
            self._known = dict(self._sources())
        source = self._known.get(name)
        if source is None:
            raise ConfigError(f"sources.{name}: not configured; the sources are: {', '.join(self._known)}")
        if not isinstance(source, TakesBack):
            raise ConfigError(f"sources.{name}: nothing can be imported into a source of this type")
        return source

    async def _write(self, name: str, page: Page, sink: str | None) -> Committed:
        """Write a page into a spool that no daemon has."""
        if name not in self._opened:
            identities = [each.origin.identity for each in self._known.values()]
            state = await self._spool.open_source(self._known[name].origin, configured=identities)
            self._opened[name] = (state.number, state.epoch)
        return await self._spool.commit(PageCommit(*self._opened[name], page=page, audience=sink, reader=IMPORT))
