"""The spool in one SQLite file: one connection, in one thread, under one lock.

Every method hands a whole transaction to the thread and waits. A caller that is cancelled meanwhile loses the answer,
not the transaction: whoever settles or commits should let the call end before it is dropped.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import msgspec

from forwarder.contracts.errors import Held
from forwarder.contracts.log import get_logger
from forwarder.contracts.moments import iso_ms
from forwarder.spool.books import Books, DayBooks
from forwarder.spool.contract import (
    Chunk,
    Committed,
    Exchange,
    LaneState,
    PageCommit,
    Settlement,
    SourceState,
    SpoolError,
    SpoolLost,
    SpoolStatus,
)
from forwarder.spool.letter import EVERY, DeadLetter, Discard, LetterAct, LetterCount, Selection
from forwarder.spool.sqlite.age import Age
from forwarder.spool.sqlite.backup import Backups
from forwarder.spool.sqlite.books import disagreement
from forwarder.spool.sqlite.database import Database
from forwarder.spool.sqlite.evidence import KnownIds
from forwarder.spool.sqlite.exchange import READ_BYTES, Ledger
from forwarder.spool.sqlite.files import damaged
from forwarder.spool.sqlite.gaps import Losses
from forwarder.spool.sqlite.ids import IdMemory
from forwarder.spool.sqlite.intake import Intake
from forwarder.spool.sqlite.lanes import Doubt, Lanes
from forwarder.spool.sqlite.letters import Letters
from forwarder.spool.sqlite.missing import PagesMissing
from forwarder.spool.sqlite.operations import LaneActs, SqliteOperations
from forwarder.spool.sqlite.pages import DamagedPage, Pages
from forwarder.spool.sqlite.part_hours import PartHours, SqliteHours
from forwarder.spool.sqlite.pushed import PushedVersions
from forwarder.spool.sqlite.replays import Replays
from forwarder.spool.sqlite.report import Reports
from forwarder.spool.sqlite.restored import note_restored
from forwarder.spool.sqlite.retention import Retention
from forwarder.spool.sqlite.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from forwarder.contracts import Clock, Origin, Page
    from forwarder.spool.config import SpoolConfig
    from forwarder.spool.contract import Range
    from forwarder.spool.evidence import IdPage, IdsWanted
    from forwarder.spool.gap import Gap, GapChange

T = TypeVar("T")
_MOST_STEPS = 8


class _Open:
    """The parts of an open spool, wired."""

    def __init__(
        self, config: SpoolConfig, path: Path, clock: Clock, *, create: bool, stop: Callable[[], bool]
    ) -> None:
        self.database = Database(path, create=create, named=config.path, stop=stop)
        con = self.database.con
        self.pages = Pages(con)
        self.letters = Letters(con)
        self.lanes = Lanes(con, self.pages, self.letters)
        self.ids = IdMemory(con, config.id_memory, PushedVersions(con, self.pages))
        self.losses = Losses(self.database, self.pages, self.lanes, self.ids)
        self.known_ids = KnownIds(con, self.losses)
        self.part_hours = PartHours(self.database)
        self.age = Age(clock)
        self.replays = Replays(con, self.pages, self.lanes, self.letters, self.losses)
        self.retention = Retention(
            config, self.database, self.pages, self.lanes, self.letters, self.losses, self.ids, self.age, self.replays
        )
        self.intake = Intake(self.database, self.pages, self.ids, self.losses, self.retention)
        self.ledger = Ledger(
            self.database, self.pages, self.lanes, self.letters, self.losses, self.retention, self.replays
        )
        self.acts = LaneActs(self.lanes, self.letters, self.losses, self.retention, self.replays)
        self.reports = Reports(
            config,
            self.database,
            self.pages,
            self.lanes,
            self.letters,
            self.losses,
            self.ids,
            self.intake,
            self.retention,
            self.replays,
        )
        try:
            self.database.transaction(partial(self._verify_books, int(clock.time() * 1000)))
        except BaseException:
            self.database.close()
            raise

    def mend(self, damage: DamagedPage | None, now_ms: int) -> None:
        """Take a damaged page out of the way of the lanes, or all pages that are gone."""
        if damage is None:
            self.losses.take_out_missing(now_ms)
        else:
            self.losses.set_aside(damage, now_ms)

    def _verify_books(self, now_ms: int) -> None:
        self.restored_ms = note_restored(self.database.con, self.lanes, self.losses, now_ms)
        self.part_hours.prepare()
        self.losses.take_out_missing(now_ms)
        if what := disagreement(self.database.con, self.reports.day_books()) or self.replays.disagreement():
            raise damaged(self.database.path, what)


class SqliteSpool:
    """The `Spool` contract on SQLite. `open` it before use.

    Args:
        config: Where it lies and how large it may become.
        clock: Time.
        redactions: What takes out of a source's pages what may not be kept, by the name of the source.
    """

    def __init__(
        self, config: SpoolConfig, clock: Clock, redactions: Mapping[str, Callable[[Page], Page]] | None = None
    ) -> None:
        self._config = config
        self._redactions = redactions or {}
        self._redaction_of: dict[int, Callable[[Page], Page]] = {}
        self._clock = clock
        self._path = config.path.expanduser().resolve()
        self._worker: Worker | None = None
        self._parts: _Open | None = None
        self.operations = SqliteOperations(self._act, self._now)
        self.backups = Backups(self._path, self._in_thread, self._now)
        self.hours = SqliteHours(lambda work: self._run(lambda parts: work(parts.part_hours)))

    async def open(self, *, create: bool = True, stop: Callable[[], bool] = lambda: False) -> None:
        """Lock and open the file, or make it; a migration is given up when `stop` says so.

        Raises:
            SpoolError: It is another program's file, damaged, of a newer version, in use, or cannot be written. The
                file is left as it is.
            Held: The disk is full.
        """
        if self._worker is not None:
            raise SpoolError(f"The spool {self._path} is open already.")
        worker = Worker("spool", self._clock)
        try:
            begin = partial(_Open, self._config, self._path, self._clock, create=create, stop=stop)
            self._parts = await worker.run(begin)
        except BaseException:
            worker.stop()
            raise
        self._worker = worker
        if (at_ms := self._parts.restored_ms) is not None:
            get_logger().warning("spool_restored", backup_of=iso_ms(at_ms), fix="Events may come twice now.")

    async def verify(self) -> None:
        """Raise SpoolLost when the file is not the one that was opened; see that the lock still has its name."""

        def look(parts: _Open) -> None:
            parts.database.verify()
            parts.database.keep_lock()

        worker, parts = self._worker, self._parts
        if worker is not None and parts is not None:
            await worker.run(lambda: look(parts))

    @property
    def last_turn(self) -> float:
        """When the spool's thread last turned, by the monotonic clock; it does so every second when it lives."""
        return self._worker.last_turn if self._worker else 0.0

    def _now(self) -> int:
        return int(self._clock.time() * 1000)

    def _opened(self) -> tuple[Worker, _Open]:
        worker, parts = self._worker, self._parts
        if worker is None or parts is None:
            raise SpoolError(f"The spool {self._path} is not open.")
        return worker, parts

    def _in_thread(self) -> tuple[Worker, Database]:
        worker, parts = self._opened()
        return worker, parts.database

    async def _act(self, work: Callable[[LaneActs], T]) -> T:
        return await self._run(lambda parts: work(parts.acts), must=True)

    async def _run(self, work: Callable[[_Open], T], *, must: bool = False) -> T:
        """Run a transaction; pages that are damaged or gone are taken out of the way, and it begins again without."""
        worker, parts = self._opened()
        return await worker.run(lambda: self._whole(parts, lambda: work(parts), must=must))

    def _whole(self, parts: _Open, work: Callable[[], T], *, must: bool = False) -> T:
        while True:
            try:
                return parts.database.transaction(work, must=must)
            except DamagedPage as found:
                damage: DamagedPage | None = found
            except PagesMissing:
                damage = None
            parts.database.transaction(partial(parts.mend, damage, self._now()))

    # ------------------------------------------------------------------------------------------------- pollers

    async def open_source(self, origin: Origin, *, configured: Collection[str] = ()) -> SourceState:
        """Find or make the source by its identity, and fence off whoever held it before (epoch + 1).

        Args:
            origin: The source.
            configured: Identities of all configured sources, so that two of them may exchange their names.

        Raises:
            ConfigError: The name belongs to another identity, which is not among the configured ones.
        """

        def work(parts: _Open) -> SourceState:
            parts.database.after.append(parts.ledger.forget_origins)
            state = parts.intake.open_source(origin, configured)
            self._redaction_of.pop(state.number, None)
            if origin.source in self._redactions:
                self._redaction_of[state.number] = self._redactions[origin.source]
            return state

        return await self._run(work)

    async def commit(self, commit: PageCommit) -> Committed:
        """Write a page, redacted, and its cursors.

        Raises Fenced, SpoolFull (pause), Held (disk full, or a key that redacts is gone) or SpoolError.
        """
        worker, parts = self._opened()

        def job() -> Committed:
            # before the transaction: what fails in it is not taken for a row that is not as it was written
            redact, page = self._redaction_of.get(commit.source), commit.page
            what = commit if redact is None or page is None else msgspec.structs.replace(commit, page=redact(page))
            return self._whole(parts, lambda: parts.intake.commit(what, self._now()))

        return await worker.run(job)

    # --------------------------------------------------------------------------------------------------- lanes

    async def open_lane(self, name: str, target: str, *, start: str | None, on_full: str) -> LaneState:
        """Find or make the lane of (name, target).

        Args:
            name: The sink's name; the lane's state belongs to it and the target.
            target: What the sink writes to.
            start: Where a new lane begins: `oldest` (also None), `now`, or a time: what was read since then.
                `continue` keeps the position although the target changed.
            on_full: `pause` or `detach`.

        Raises:
            ConfigError: The target changed and `start` is None, or `start` is no place.
        """
        return await self._run(lambda parts: parts.ledger.open(name, target, start, on_full, self._now()))

    async def exchange(self, lane: int, settlement: Settlement, *, after: int, events: int) -> Exchange:
        """Settle, then take up to `events` events numbered above `after` (0 events: only settle).

        A settlement that was taken in before (an earlier call was cancelled) changes nothing. Raises SpoolError for
        numbers that were never taken or that are settled in part.
        """
        return await self._run(
            lambda parts: parts.ledger.exchange(lane, settlement, after, events, self._now()), must=True
        )

    async def take_again(self, lane: int, ranges: Sequence[Range]) -> list[Chunk]:
        """Read these numbers once more; those that left the spool meanwhile are left out.

        Gives the first of them, in order, as far as memory allows: ask again for what lies above the last one given.
        """
        return await self._run(lambda parts: parts.ledger.take_again(lane, ranges), must=True)

    async def leave_lane(self, lane: int, settlement: Settlement) -> None:
        """Settle for the last time in order: nothing of this lane is in flight any more."""
        await self._run(lambda parts: parts.ledger.leave(lane, settlement, self._now()), must=True)

    async def clean_up(self) -> int:
        """Remove what every lane settled and whose retention is over, one chunk; return how many pages went.

        Then gives free space back to the file system, in steps between which other work gets its turn.
        """
        gone = await self._run(lambda parts: parts.retention.clean_up(self._now()), must=True)
        worker, parts = self._worker, self._parts
        if worker is None or parts is None:
            return gone
        for _ in range(_MOST_STEPS):
            if not await worker.run(parts.retention.give_back):
                break
        await worker.run(parts.database.keep_reserve)
        return gone

    async def books(self) -> list[Books]:
        """Return one line per source and lane."""
        return await self._run(lambda parts: parts.reports.books())

    async def day_books(self, since: str = "", until: str = "9999") -> list[DayBooks]:
        """Return one line per source, lane and day from `since` to `until` (ISO 8601 dates), both included."""
        return await self._run(lambda parts: parts.reports.day_books(since, until))

    async def forgotten_days(self, source: str) -> dict[str, int]:
        """Return how many events of each day were spooled for all sinks and are not known by their ids any more."""
        return await self._run(lambda parts: parts.reports.forgotten_days(source))

    async def known_ids(self, wanted: IdsWanted, *, after: tuple[str, str] | None = None, limit: int = 1000) -> IdPage:
        """Return document ids that the spool remembers, `limit` or a few more."""
        return await self._run(lambda parts: parts.known_ids.page(wanted, after, limit))

    async def change_gaps(self, opened: Sequence[Gap], changes: Sequence[GapChange]) -> None:
        """Put gaps on record, and what became of others; one that is closed or lost stays so."""
        await self._run(lambda parts: parts.losses.change(opened, changes, self._now()), must=True)

    async def gaps_that_matter(self) -> list[Gap]:
        """Return every gap that is not closed, and those that are after which events are counted twice; by number."""
        return await self._run(lambda parts: parts.losses.that_matter())

    async def record_loss(self, gap: Gap) -> None:
        """Put on record what a look at a sink found missing there, or that nothing is missing any more."""
        await self._run(lambda parts: parts.known_ids.record(gap, self._now()), must=True)

    async def overview(self) -> tuple[SpoolStatus, list[Books]]:
        """Return `status` and `books` of the same moment."""
        return await self._run(lambda parts: (parts.reports.status(self._now()), parts.reports.books()))

    async def status(self) -> SpoolStatus:
        """Return sizes, positions, cursors and gaps."""
        return await self._run(lambda parts: parts.reports.status(self._now()))

    async def doubts(self, lane: int) -> list[Doubt]:
        """Return the ranges that a lane may have delivered twice, by number; a superset of what was."""
        return await self._run(lambda parts: parts.lanes.doubts(lane))

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
        return await self._run(
            lambda parts: parts.letters.listed(lane, chosen, after=after, limit=limit, room=READ_BYTES, events=events)
        )

    async def count_letters(self, lane: str | None = None, *, chosen: Selection = EVERY) -> list[LetterCount]:
        """Count dead letters by lane and reason."""
        return await self._run(lambda parts: parts.letters.counted(lane, chosen))

    async def retry_letters(self, lane: str | None, chosen: Selection) -> list[LetterAct]:
        """Put dead letters back into their lanes: they wait again, and the next exchange gives them."""
        return await self._run(lambda parts: parts.ledger.retry(lane, chosen))

    async def discard_letters(self, lane: str | None, chosen: Selection, *, who: str, words: str) -> list[LetterAct]:
        """Remove dead letters for good; who did it and what was chosen, in `words`, goes on record."""
        return await self._run(lambda parts: parts.ledger.discard(lane, chosen, who, words, self._now()), must=True)

    async def discards(self, lane: str | None = None) -> list[Discard]:
        """List what was discarded within a year, oldest first."""
        return await self._run(lambda parts: parts.letters.discards(lane))

    async def close(self) -> None:
        """Checkpoint and close. Safe to call twice."""
        self.backups.stop()
        worker, parts = self._worker, self._parts
        self._worker = self._parts = None
        if worker is None or parts is None:
            return

        def shut() -> None:
            try:
                # on a full disk the time stays a minute old, which is no reason to fail
                with contextlib.suppress(Held, SpoolLost):
                    parts.database.transaction(lambda: parts.retention.mark_seen(self._now(), 1), must=True)
            finally:
                if kept := parts.database.close(worker.turned):
                    get_logger().warning("spool_rescued", result=kept)

        try:
            await worker.run(shut)
        finally:
            worker.stop()
