"""What the spool says of itself: the books, sizes, positions, cursors and gaps. Reads only."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from forwarder.spool.books import Books, DayBooks
from forwarder.spool.contract import LaneStatus, SourceStatus, SpoolStatus

if TYPE_CHECKING:
    from forwarder.spool.config import SpoolConfig
    from forwarder.spool.sqlite.database import Database
    from forwarder.spool.sqlite.gaps import Losses
    from forwarder.spool.sqlite.ids import IdMemory
    from forwarder.spool.sqlite.intake import Intake
    from forwarder.spool.sqlite.lanes import Lanes
    from forwarder.spool.sqlite.letters import Letters
    from forwarder.spool.sqlite.pages import Pages, Part
    from forwarder.spool.sqlite.replays import Replays
    from forwarder.spool.sqlite.retention import Retention

_MOST_GAPS = 1000
_RECENT_MS = 3_600_000
_RECENT_PAGES = 2000
_LEAST_MS = 60_000


class Reports:
    """Answers questions about the spool inside its caller's transaction."""

    def __init__(
        self,
        config: SpoolConfig,
        database: Database,
        pages: Pages,
        lanes: Lanes,
        letters: Letters,
        losses: Losses,
        ids: IdMemory,
        intake: Intake,
        retention: Retention,
        replays: Replays,
    ) -> None:
        self._config = config
        self._database = database
        self._con = database.con
        self._pages = pages
        self._lanes = lanes
        self._letters = letters
        self._losses = losses
        self._ids = ids
        self._intake = intake
        self._retention = retention
        self._replays = replays

    def books(self) -> list[Books]:
        """Return one line per source and lane; `waiting` is counted from the pages, not derived from the rest."""
        sources = self._names()
        lines: list[Books] = []
        for lane in self._lanes.of_sinks():
            waiting: Counter[int] = Counter()
            for (source, _), events in self._lanes.waiting(lane).items():
                waiting[source] += events
            # summed where they lie: this is asked once a second, and the days become more for ever
            spooled = dict(
                self._con.execute(
                    "SELECT source, sum(events) FROM spooled WHERE audience IN ('', ?) GROUP BY source", (lane.name,)
                )
            )
            counted = {
                source: counts
                for source, *counts in self._con.execute(
                    "SELECT source, sum(spooled_before), sum(accepted), sum(rejected), sum(filtered), sum(detached), "
                    "sum(discarded) FROM lane_books WHERE lane = ? GROUP BY source",
                    (lane.number,),
                )
            }
            for source, name in sources:
                before, accepted, rejected, filtered, detached, discarded = counted.get(source, [0] * 6)
                lines.append(
                    Books(
                        source=name,
                        sink=lane.name,
                        spooled=spooled.get(source, 0) - before,
                        accepted=accepted,
                        rejected=rejected,
                        filtered=filtered,
                        detached=detached,
                        waiting=waiting[source],
                        discarded=discarded,
                    )
                )
        return lines

    def forgotten_days(self, source: str) -> dict[str, int]:
        """Return how many events of each day were spooled for all sinks and are not known by their ids any more."""
        of_source = "audience = '' AND source IN (SELECT number FROM sources WHERE name = ?)"
        spooled = f"SELECT day, sum(events) FROM spooled WHERE {of_source} AND day != '' GROUP BY day"  # noqa: S608
        known = f"SELECT substr(minute, 1, 10), sum(length(entries)) / 24 FROM ids WHERE {of_source} GROUP BY 1"  # noqa: S608
        remembered = dict(self._con.execute(known, (source,)).fetchall())
        counts = {day: events - remembered.get(day, 0) for day, events in self._con.execute(spooled, (source,))}
        return {day: count for day, count in sorted(counts.items()) if count > 0}

    def day_books(self, since: str = "", until: str = "9999") -> list[DayBooks]:
        """Return one line per lane, source and day in which there was anything, in this order."""
        names = dict(self._names())
        lines: list[DayBooks] = []
        for lane in self._lanes.of_sinks():
            waiting = self._lanes.waiting(lane)
            spooled = self._by_part(
                "SELECT source, day, sum(events), sum(compared), sum(recovered) FROM spooled "
                "WHERE audience IN ('', ?) GROUP BY source, day",
                lane.name,
            )
            counted = self._by_part(
                "SELECT source, day, spooled_before, accepted, rejected, filtered, detached, discarded FROM lane_books "
                "WHERE lane = ?",
                lane.number,
            )
            for part in sorted(spooled.keys() | counted.keys() | waiting.keys()):
                source, day = part
                if not since <= day <= until:
                    continue
                events, compared, recovered = spooled.get(part, (0, 0, 0))
                before, accepted, rejected, filtered, detached, discarded = counted.get(part, (0, 0, 0, 0, 0, 0))
                lines.append(
                    DayBooks(
                        source=names.get(source, ""),
                        sink=lane.name,
                        spooled=events - before,
                        accepted=accepted,
                        rejected=rejected,
                        filtered=filtered,
                        detached=detached,
                        waiting=waiting[part],
                        discarded=discarded,
                        day=day,
                        compared=compared,
                        recovered=recovered,
                    )
                )
        return lines

    def _names(self) -> list[tuple[int, str]]:
        return self._con.execute("SELECT number, name FROM sources ORDER BY number").fetchall()

    def _by_part(self, query: str, lane: str | int) -> dict[Part, tuple[int, ...]]:
        return {(source, day): tuple(rest) for source, day, *rest in self._con.execute(query, (lane,))}

    def status(self, now_ms: int) -> SpoolStatus:
        """Return everything at one moment."""
        oldest = self._pages.oldest()
        pages, stored = self._con.execute("SELECT count(*), coalesce(sum(bytes), 0) FROM pages").fetchone()
        newest = self._lanes.newest()
        used = self._retention.used()
        return SpoolStatus(
            path=str(self._database.path),
            bytes_used=used,
            bytes_file=self._database.size(),
            bytes_max=self._config.max_bytes,
            id_bytes=self._database.meta("id_bytes"),
            id_bytes_max=self._config.id_max_bytes,
            first_seq=oldest.first if oldest else newest + 1,
            last_seq=newest,
            pages=pages,
            hours_left=self._hours_left(used, stored, now_ms),
            sources=self._sources(now_ms),
            lanes=self._lane_rows(),
            gaps=self._losses.listed(_MOST_GAPS),
            ids_since_ms=self._ids.since_ms(),
            ids_gone_ms=self._database.meta("ids_gone_ms"),
            id=self._con.execute("SELECT value FROM meta WHERE name = 'uuid'").fetchone()[0],
        )

    def _hours_left(self, used: int, stored: int, now_ms: int) -> float | None:
        """Return how long until the spool is full when every sink stops now and events come as in the last hour."""
        since, recent = now_ms, 0
        for committed_ms, size in self._con.execute(
            "SELECT committed_ms, bytes FROM pages ORDER BY last_seq DESC LIMIT ?", (_RECENT_PAGES,)
        ):
            if committed_ms < now_ms - _RECENT_MS:
                break
            since, recent = min(since, committed_ms), recent + size
        if not recent:
            return None
        settled = self._con.execute(
            "SELECT coalesce(sum(bytes), 0) FROM pages WHERE last_seq <= ?", (self._retention.settled_by_all(),)
        ).fetchone()[0]
        # what is settled can go, and takes its share of the tables' overhead with it
        room = self._config.max_bytes - (used - used * settled / max(stored, 1))
        return max(0.0, float(room)) * (max(now_ms - since, _LEAST_MS) / _RECENT_MS) / recent

    def _sources(self, now_ms: int) -> list[SourceStatus]:
        rows = self._con.execute(
            "SELECT number, name, identity, repeats, revisions, classified, user_activity, "
            "(SELECT coalesce(sum(events), 0) FROM spooled WHERE source = number) FROM sources ORDER BY number"
        ).fetchall()
        return [
            SourceStatus(
                number,
                name,
                identity,
                spooled,
                repeats,
                revisions,
                self._intake.cursors(number),
                classified=classified,
                user_activity=bool(user_activity),
                volume=self._intake.volumes.of(number, now_ms),
            )
            for number, name, identity, repeats, revisions, classified, user_activity, spooled in rows
        ]

    def _lane_rows(self) -> list[LaneStatus]:
        letters, replays = self._letters.dead_by_sink(), self._replays.open_ones()
        found: list[LaneStatus] = []
        for lane in self._lanes.of_sinks():
            page = self._pages.after(lane.position, lane.name)
            read = [self._letters.oldest_waiting(lane.number), page.committed_ms if page else None]
            found.append(
                LaneStatus(
                    number=lane.number,
                    name=lane.name,
                    target=lane.target,
                    position=lane.position,
                    head=lane.head,
                    lag=sum(self._lanes.waiting(lane).values()),
                    oldest_ms=min((moment for moment in read if moment is not None), default=None),
                    dead_letters=letters.get(lane.name, 0),
                    active=lane.number in self._retention.active,
                    on_full=lane.on_full,
                    retried=sum(self._letters.waiting(lane.number).values()),
                    forgotten_ms=self._retention.forgotten_ms(lane),
                    paused=lane.paused,
                    replay_waiting=sum(replay.waiting for replay in replays if replay.sink == lane.name),
                    replay_accepted=sum(replay.accepted for replay in replays if replay.sink == lane.name),
                )
            )
        return found
