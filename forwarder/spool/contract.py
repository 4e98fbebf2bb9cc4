"""What a spool promises to pollers and lanes; SQLite is the first to keep it.

Events are numbered 1, 2, 3 … over all sources, without holes and forever. A page is one row, numbered by its last
event, so a lane's position is one integer: everything up to it is settled. What settled beyond it is kept as ranges.

Hand-offs, each one transaction with an fsync:

* `commit`: the new events of a page, their ids, and the cursors that follow, by compare-and-swap on (version, epoch).
* `exchange`: what a lane settled, its books and dead letters, and the pages it takes next. What it takes counts as in
  flight from that moment (`head`), so after a crash every possible double lies in (position, head].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from forwarder.contracts import CursorState, ForwarderError, Held, Origin, Page
from forwarder.spool.backup import MakesBackups
from forwarder.spool.books import Books
from forwarder.spool.evidence import Evidence
from forwarder.spool.gap import Gap
from forwarder.spool.letter import EVERY, DeadLetter, Discard, LetterAct, LetterCount, Selection
from forwarder.spool.volume import Volume

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from forwarder.spool.hours import Hours
    from forwarder.spool.operations import Operations

Range = tuple[int, int]
"""First and last sequence number, both included."""


class SpoolError(ForwarderError):
    """The spool cannot be opened or used; the message names the file and the fix."""


class SpoolInUse(SpoolError):
    """Another process holds the spool."""


class SpoolLost(SpoolError):
    """The file of the open spool was deleted, replaced or written over: nothing is written any more.

    Args:
        path: Where the spool was.
        what: What happened to it, as the rest of a sentence.
        how: `deleted`, `replaced`, `overwritten`, or `log` when only its write-ahead log is gone.
    """

    def __init__(self, path: Path, what: str, how: str) -> None:
        self.how = how
        self.reason = f"The spool {path} {what}."
        self.fix = "Keep everything but this program away from its folder; stop the program before you restore a spool."
        super().__init__(f"{self.reason} Nothing was written after that. {self.fix}")


class Fenced(SpoolError):
    """Another process moved the cursor: this poller is stale and must read its state again."""


class SpoolFull(Held):
    """The limit of bytes is reached and nothing settled is left to remove."""


class CursorRow(msgspec.Struct, frozen=True):
    """A named cursor as it is stored."""

    name: str
    state: CursorState
    version: int


class SourceState(msgspec.Struct, frozen=True):
    """What `open_source` found: the source's number, its epoch from now on, and its cursors by name."""

    number: int
    epoch: int
    cursors: dict[str, CursorRow]
    known_as: str | None = None  # the name it had before, when it was renamed


class CursorMove(msgspec.Struct, frozen=True):
    """A compare-and-swap: the cursor must be at `version` (None: must not exist); state None removes it."""

    name: str
    version: int | None
    state: CursorState | None


WEBHOOK = "webhook"
"""Who brings what is sent to us; else it is the name of a cursor, or of an act."""

IMPORT = "import"
"""Who brings events that were kept in an archive."""


class PageCommit(msgspec.Struct, frozen=True):
    """Everything that becomes durable with one page.

    Attributes:
        source: Number from `SourceState`.
        epoch: From `SourceState`; a newer one fences this poller off.
        page: The page, or None when only cursors or gaps change.
        moves: All must hold, or nothing is written and `Fenced` is raised.
        open_gaps: New gaps. close_gaps: numbers of gaps that are now closed.
        audience: Sink name the page is for; None for all. Repeats are recognised per audience.
        reader: Who brought the page: the name of a cursor, such as `tail`, or of an act.
        compares: The page is of a stretch that is read again to see whether all of it is there: its events are counted
            as compared, and the new ones as recovered.
        finds: The gap that was there if anything of the page is new: it is put on record as closed by the reader, with
            how many events were found; what pages of the same stretch find is one gap.
    """

    source: int
    epoch: int
    moves: Sequence[CursorMove] = ()
    page: Page | None = None
    open_gaps: Sequence[Gap] = ()
    close_gaps: Sequence[int] = ()
    audience: str | None = None
    reader: str = ""
    compares: bool = False
    finds: Gap | None = None


class Committed(msgspec.Struct, frozen=True):
    """What a commit did. `last_seq` is the number of the newest event in the spool."""

    new: int
    repeats: int
    revisions: int
    last_seq: int
    versions: dict[str, int]
    gaps: tuple[int, ...] = ()  # numbers of the gaps it opened
    derived: int = 0  # how many of the new ones have no id of their own


class LaneState(msgspec.Struct, frozen=True):
    """What `open_lane` found. Numbers in (position, head] may have been sent before: `doubtful`."""

    number: int
    position: int
    doubtful: tuple[Range, ...]
    created: bool
    dead_letters: int
    paused: str = ""  # by whom, and when: nothing is to be taken


class Chunk(msgspec.Struct):
    """Events a lane takes: a stretch of one page, bytes as the API sent them.

    Attributes:
        first: Number of `bodies[0]`; numbers are consecutive.
        keys: 16 bytes per event, joined.
        revisions: Position -> digest (8 bytes) of events that are revisions; their document id carries it.
        derived: Positions of events whose id comes from their content.
        settled: Numbers inside the stretch that this lane has settled already; they must not be sent again.
        reader: Who brought the page; empty when that is not known.
    """

    source: int
    origin: Origin
    first: int
    bodies: list[bytes]
    keys: bytes
    read_ms: int
    revisions: dict[int, bytes] = {}
    derived: frozenset[int] = frozenset()
    settled: frozenset[int] = frozenset()
    reader: str = ""

    @property
    def last(self) -> int:
        """Number of the last event."""
        return self.first + len(self.bodies) - 1


class Settlement(msgspec.Struct):
    """What a lane settled since its last exchange. Ranges may come in any order and must not overlap.

    Attributes:
        ranges: Everything that is settled.
        filtered: What of it the filter keeps from the sink.
        dead_letters: What of it was rejected; all the rest was accepted.
    """

    ranges: list[Range] = msgspec.field(default_factory=list)
    filtered: list[Range] = msgspec.field(default_factory=list)
    dead_letters: list[DeadLetter] = msgspec.field(default_factory=list)
    doubts: list[tuple[Range, str]] = msgspec.field(default_factory=list)  # sent again, or about to be; with the cause

    def __bool__(self) -> bool:
        return bool(self.ranges or self.dead_letters or self.doubts)


class Exchange(msgspec.Struct):
    """What an exchange gave.

    Attributes:
        position: The lane's position now.
        last_seq: The newest number of the spool.
        chunks: What was taken, by rising numbers.
        again: Dead letters that are retried; their numbers lie anywhere below.
        unreadable: How many of those were damaged since, and are dead again.
    """

    position: int
    last_seq: int
    chunks: list[Chunk]
    again: list[Chunk] = []
    unreadable: int = 0


class LaneStatus(msgspec.Struct, frozen=True):
    """A lane as the spool sees it, configured now or not."""

    number: int
    name: str
    target: str
    position: int
    head: int
    lag: int
    oldest_ms: int | None  # when the oldest waiting event was read; None when none waits
    dead_letters: int
    active: bool
    on_full: str
    retried: int = 0  # dead letters on their way again
    forgotten_ms: int | None = None  # when it no longer pins what waits for it; None while its sink is there
    paused: str = ""  # who paused it, and when
    replay_waiting: int = 0  # events that its open replays have still to send
    replay_accepted: int = 0  # of these replays, what the sink has accepted


class SourceStatus(msgspec.Struct, frozen=True):
    """A source as the spool sees it.

    Attributes:
        classified: Events of which it is known whether they are of what people do, or of administration.
        user_activity: Whether any event was of what people do.
        volume: The last hour that is over, beside the same one of the weeks before; None while nothing is known.
    """

    number: int
    name: str
    identity: str
    spooled: int
    repeats: int
    revisions: int
    cursors: dict[str, CursorRow]
    classified: int = 0
    user_activity: bool = False
    volume: Volume | None = None


class SpoolStatus(msgspec.Struct, frozen=True):
    """Size and growth of the spool. `hours_left` is None while nothing comes in."""

    path: str
    bytes_used: int
    bytes_file: int
    bytes_max: int
    id_bytes: int
    id_bytes_max: int
    first_seq: int
    last_seq: int
    pages: int
    hours_left: float | None
    sources: list[SourceStatus]
    lanes: list[LaneStatus]
    gaps: list[Gap]
    ids_since_ms: int | None = None  # when the oldest remembered id was written
    ids_gone_ms: int = 0  # when the newest id was written that is remembered no more; 0: none has gone
    id: str = ""  # no other spool has it, and this one for as long as it lives


class Spool(Evidence, Protocol):
    """The contract. Every method is one transaction; cancelling a caller never undoes or halves one."""

    @property
    def operations(self) -> Operations:
        """What people do with lanes."""
        ...

    @property
    def hours(self) -> Hours:
        """How every part was in the last two days."""
        ...

    @property
    def backups(self) -> MakesBackups:
        """What makes backups of it."""
        ...

    @property
    def last_turn(self) -> float:
        """When work was last done, monotonic seconds; it does some every second."""
        ...

    async def open(self, *, create: bool = True, stop: Callable[[], bool] = lambda: False) -> None:
        """Open the spool, and migrate one of an earlier version; `stop` gives that up. Raises SpoolError or Held."""
        ...

    async def open_source(self, origin: Origin, *, configured: Collection[str] = ()) -> SourceState:
        """Find or make the source by its identity, and fence off whoever held it before (epoch + 1).

        `configured` are the identities of all configured sources. Raises ConfigError when the name belongs to an
        identity that is not among them.
        """
        ...

    async def commit(self, commit: PageCommit) -> Committed:
        """Write a page and its cursors. Raises Fenced, SpoolFull (pause), Held (disk full) or SpoolError."""
        ...

    async def open_lane(self, name: str, target: str, *, start: str | None, on_full: str) -> LaneState:
        """Find or make the lane of (name, target). Raises ConfigError when the target changed and `start` is silent."""
        ...

    async def exchange(self, lane: int, settlement: Settlement, *, after: int, events: int) -> Exchange:
        """Settle, then take up to `events` events numbered above `after` (0 events: only settle)."""
        ...

    async def take_again(self, lane: int, ranges: Sequence[Range]) -> list[Chunk]:
        """Read these numbers once more, for a receipt that was never confirmed; those that left the spool are left out.

        Gives the first of them, in order, as far as memory allows: ask again for what lies above the last one given.
        """
        ...

    async def leave_lane(self, lane: int, settlement: Settlement) -> None:
        """Settle for the last time in order: nothing of this lane is in flight any more."""
        ...

    async def clean_up(self) -> int:
        """Remove what every lane settled and whose retention is over, one chunk; return how many pages went."""
        ...

    async def books(self) -> list[Books]:
        """Return one line per source and lane."""
        ...

    async def overview(self) -> tuple[SpoolStatus, list[Books]]:
        """Return `status` and `books` of the same moment."""
        ...

    async def status(self) -> SpoolStatus:
        """Return sizes, positions, cursors and gaps."""
        ...

    async def dead_letters(
        self,
        lane: str | None = None,
        *,
        chosen: Selection = EVERY,
        after: int = 0,
        limit: int = 100,
        events: bool = True,
    ) -> list[DeadLetter]:
        """List dead letters above the number `after`, oldest first, as far as memory allows; `events`: with theirs."""
        ...

    async def count_letters(self, lane: str | None = None, *, chosen: Selection = EVERY) -> list[LetterCount]:
        """Count dead letters by lane and reason."""
        ...

    async def retry_letters(self, lane: str | None, chosen: Selection) -> list[LetterAct]:
        """Put dead letters back into their lanes: they wait again, and the next exchange gives them."""
        ...

    async def discard_letters(self, lane: str | None, chosen: Selection, *, who: str, words: str) -> list[LetterAct]:
        """Remove dead letters for good; who did it and what was chosen, in `words`, goes on record."""
        ...

    async def discards(self, lane: str | None = None) -> list[Discard]:
        """List what was discarded within a year, oldest first."""
        ...

    async def verify(self) -> None:
        """Raise SpoolLost when what is open is no longer what lies at the spool's place."""
        ...

    async def close(self) -> None:
        """Checkpoint and close. Safe to call twice."""
        ...
