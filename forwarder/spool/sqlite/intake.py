"""The side of the pollers: sources, their cursors, and the commit of a page by compare-and-swap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts.errors import ConfigError
from forwarder.spool import days
from forwarder.spool.contract import Committed, CursorRow, Fenced, PageCommit, SourceState
from forwarder.spool.sqlite.ids import SAME_BYTES, oldest_minute
from forwarder.spool.sqlite.pages import Content
from forwarder.spool.sqlite.volumes import Volumes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from forwarder.contracts import Origin, Page
    from forwarder.spool.contract import CursorMove
    from forwarder.spool.sqlite.database import Database
    from forwarder.spool.sqlite.gaps import Losses
    from forwarder.spool.sqlite.ids import IdMemory, Stream
    from forwarder.spool.sqlite.pages import Pages
    from forwarder.spool.sqlite.retention import Retention


class Intake:
    """The tables `sources`, `spooled` and `cursors`. Runs inside its caller's transaction."""

    def __init__(self, database: Database, pages: Pages, ids: IdMemory, losses: Losses, retention: Retention) -> None:
        self._database = database
        self._con = database.con
        self._pages = pages
        self._ids = ids
        self._losses = losses
        self._retention = retention
        self.volumes = Volumes(database)

    def open_source(self, origin: Origin, configured: Collection[str]) -> SourceState:
        """Find or make a source by its identity and raise its epoch.

        Args:
            origin: The source.
            configured: Identities of every configured source; the holder of a taken name may be among them under a
                new name.

        Raises:
            ConfigError: The name belongs to another identity.
        """
        holder = self._con.execute(
            "SELECT organization, site, identity FROM sources WHERE name = ? AND identity <> ?",
            (origin.source, origin.identity),
        ).fetchall()
        for organization, site, identity in holder:
            if identity not in configured:
                raise ConfigError(
                    f"sources.{origin.source}: this name belongs to {site or organization} in the spool, and is "
                    f"configured for {origin.scope} now. Give the new one a name of its own, so that the cursors of "
                    "the old one are not mistaken for its."
                )
        found = self._con.execute(
            "SELECT number, name, epoch FROM sources WHERE identity = ?", (origin.identity,)
        ).fetchone()
        known_as = None
        if found is None:
            epoch = 1
            made = self._con.execute(
                "INSERT INTO sources (identity, name, feed, organization, site, epoch) VALUES (?, ?, ?, ?, ?, 1)",
                (origin.identity, origin.source, origin.feed, origin.organization, origin.site),
            )
            number = int(made.lastrowid or 0)
        else:
            number, name, epoch = found[0], found[1], found[2] + 1
            known_as = name if name != origin.source else None
            self._con.execute(
                "UPDATE sources SET name = ?, organization = ?, site = ?, epoch = ? WHERE number = ?",
                (origin.source, origin.organization, origin.site, epoch, number),
            )
        return SourceState(number, epoch, self.cursors(number), known_as)

    def cursors(self, source: int) -> dict[str, CursorRow]:
        """Return the cursors of a source by name."""
        rows = self._con.execute(
            "SELECT name, state, version FROM cursors WHERE source = ? ORDER BY name", (source,)
        ).fetchall()
        return {name: CursorRow(name, msgspec.json.decode(state), version) for name, state, version in rows}

    def commit(self, commit: PageCommit, now_ms: int) -> Committed:
        """Write what a commit holds. Raises Fenced or SpoolFull; the caller's transaction undoes the rest."""
        found = self._con.execute(
            "SELECT epoch, moves, name FROM sources WHERE number = ?", (commit.source,)
        ).fetchone()
        if found is None or found[0] != commit.epoch:
            raise Fenced(
                f"The source {found[2] if found else commit.source} was opened by another poller since; this one is "
                "stale. Open the source again."
            )
        _, moved, name = found
        versions: dict[str, int] = {}
        for at, move in enumerate(commit.moves, start=moved + 1):
            self._move(commit.source, name, move, at)
            if move.state is not None:
                versions[move.name] = at
        gaps = tuple(self._losses.open(gap, now_ms) for gap in commit.open_gaps)
        for number in commit.close_gaps:
            self._losses.close(number, now_ms, commit.reader)
        new = repeats = revisions = derived = 0
        if commit.page is not None and commit.page.bodies:
            new, repeats, revisions, derived = self._store(commit, commit.page, now_ms)
            if new and commit.finds is not None:
                self._losses.found(commit.finds, new, commit.reader, now_ms)
        self._con.execute(
            "UPDATE sources SET moves = ?, repeats = repeats + ?, revisions = revisions + ? WHERE number = ?",
            (moved + len(commit.moves), repeats, revisions, commit.source),
        )
        last_seq = self._database.meta("next_seq") - 1
        return Committed(new, repeats, revisions, last_seq, versions, gaps, derived)

    def _move(self, source: int, name: str, move: CursorMove, version: int) -> None:
        """Compare and swap one cursor; versions only rise, so that a removed and remade cursor is another one."""
        at = (source, move.name)
        if move.version is None:
            if self._con.execute("SELECT 1 FROM cursors WHERE source = ? AND name = ?", at).fetchone():
                done = 0
            elif move.state is None:
                done = 1
            else:
                done = self._con.execute(
                    "INSERT INTO cursors VALUES (?, ?, ?, ?)", (*at, _text(move.state), version)
                ).rowcount
        elif move.state is None:
            done = self._con.execute(
                "DELETE FROM cursors WHERE source = ? AND name = ? AND version = ?", (*at, move.version)
            ).rowcount
        else:
            done = self._con.execute(
                "UPDATE cursors SET state = ?, version = ? WHERE source = ? AND name = ? AND version = ?",
                (_text(move.state), version, *at, move.version),
            ).rowcount
        if done != 1:
            raise Fenced(f"The cursor {move.name} of source {name} was moved by another process. Read its state again.")

    def _store(self, commit: PageCommit, page: Page, now_ms: int) -> tuple[int, int, int, int]:
        stream = source, audience = commit.source, commit.audience or ""
        novelty = self._ids.classify(stream, page)
        self._database.after.append(lambda: self._ids.remember(novelty))
        if novelty.same:
            more = SAME_BYTES * sum(map(len, novelty.same.values()))
            self._database.set_meta("id_bytes", self._database.meta("id_bytes") + more)
        kept = novelty.kept
        if commit.compares:
            self._count(stream, days.of_minutes(page.minutes))
        if not kept:
            return 0, novelty.repeats, 0, 0
        whole = len(kept) == len(page.bodies)
        if whole:
            content = Content(list(page.bodies), b"".join(page.keys), novelty.revisions, page.derived)
        else:
            content = Content(
                [page.bodies[at] for at in kept],
                b"".join([page.keys[at] for at in kept]),
                novelty.revisions,
                frozenset(place for place, at in enumerate(kept) if at in page.derived),
            )
        runs = days.of_minutes(page.minutes if whole else [page.minutes[at] for at in kept])
        packed = self._pages.pack(content)
        self._retention.make_room(packed.size, now_ms)
        first = self._database.meta("next_seq")
        row = self._pages.add(
            first,
            source,
            audience,
            packed,
            committed_ms=now_ms,
            oldest_minute=oldest_minute(novelty.parts),
            newest_ms=page.newest,
            reader=commit.reader,
            runs=runs,
        )
        taken = self._ids.write(novelty, first, now_ms)
        is_found = commit.compares or commit.finds is not None
        self._count(stream, runs, new=True, recovered=is_found)
        if not audience:
            self._learn(source, page, kept, now_ms)
        self._database.set_meta("next_seq", row.last + 1)
        self._database.set_meta("id_bytes", self._database.meta("id_bytes") + taken)
        self._database.after.append(lambda: self._pages.remember(row, content))
        return len(kept), novelty.repeats, len(novelty.revisions), len(content.derived)

    def _count(self, stream: Stream, runs: Iterable[days.Run], *, new: bool = False, recovered: bool = False) -> None:
        """Add events of a stream to what was spooled of it, by day: new ones, or those that were only compared."""
        self._con.executemany(
            "INSERT INTO spooled VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "events = events + excluded.events, recovered = recovered + excluded.recovered, "
            "compared = compared + excluded.compared",
            [(*stream, day, events * new, events * recovered, events * (not new)) for day, events in runs],
        )

    def _learn(self, source: int, page: Page, kept: Sequence[int], now_ms: int) -> None:
        """Note in which hours the new events of a page happened, and whether people are seen in them."""
        self.volumes.count(source, [page.minutes[at] for at in kept], now_ms)
        if page.user_activity is not None:
            self._con.execute(
                "UPDATE sources SET classified = classified + ?, user_activity = max(user_activity, ?) "
                "WHERE number = ?",
                (len(kept), page.user_activity, source),
            )


def _text(state: dict[str, object]) -> str:
    return msgspec.json.encode(state).decode()
