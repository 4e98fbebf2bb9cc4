"""What every component says of itself: plain counters and one state in words.

A component owns its report and writes to it; metrics, `/status`, the summary log line and `status` read a copy.
Nothing here costs anything per event. Ages are three different numbers: of the last good poll, of the newest event,
and of the oldest event a sink still waits for.

Counters of a component begin with the process. What waits, the dead letters and the books are the spool's: durable, and
read in one transaction. A `DaemonReport` is made of both without a turn of the loop in between, and never changes.
"""

from __future__ import annotations

import copy
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Self

from forwarder.contracts.heartbeat import HEARTBEATS
from forwarder.observe import record
from forwarder.observe.record import Act, Completeness, Configuration, Day, ErrorSeen, IndexReport, Letters
from forwarder.spool.books import Books
from forwarder.spool.contract import LaneStatus, SpoolStatus
from forwarder.spool.hours import PartHour
from forwarder.spool.operations import Replay

ComponentState = Literal["starting", "working", "idle", "retrying", "held", "paused", "stopped"]
"""`retrying`: a fault that may pass; `held`: a person must fix it; `paused`: of a source, that the spool is full; of a
sink, that a person wants it so, which is no fault."""

REFUSALS = ("auth", "method", "rate", "too_large", "unreadable", "cut", "unavailable", "other")
"""Why a request that was to bring events was not answered with 200."""

_TROUBLES: frozenset[ComponentState] = frozenset({"retrying", "held", "paused"})

SEND_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the histogram of send times, seconds."""

AGE_BUCKETS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 3600.0, 14_400.0, 86_400.0)
"""Upper bounds of the histogram of the ages at acceptance, seconds."""


_MOST_ERRORS = 10
"""Reasons of a component that are remembered."""


@dataclass(slots=True)
class Report:
    """State in words, with the reason and the fix when it is not well."""

    name: str
    type: str
    state: ComponentState = "starting"
    reason: str = ""
    fix: str = ""
    since: float = 0.0  # when the state began, epoch seconds
    trouble_since: float = 0.0  # when it was last well, epoch seconds, whatever reasons came since; 0 while it is well
    tries: int = 0  # that failed since `trouble_since`
    next_try: float = 0.0  # when it is tried again, epoch seconds; 0: it is not
    errors: Counter[str] = field(default_factory=Counter)  # by ErrorKind, since the process started
    seen: dict[str, ErrorSeen] = field(default_factory=dict)  # the last few reasons, by themselves

    def turn(self, state: ComponentState, now: float, reason: str = "", fix: str = "") -> bool:
        """Change the state; return True when it, or its reason, is new. One trouble lasts until it is well again."""
        if not self.is_trouble(state):
            self.trouble_since, self.tries, self.next_try = 0.0, 0, 0.0
        elif not self.trouble_since:
            self.trouble_since = now
        if self.is_trouble(state) and reason:
            self._remember(reason, now)
        if (state, reason) == (self.state, self.reason):
            return False
        if state != self.state:
            self.since = now
        self.state, self.reason, self.fix = state, reason, fix
        return True

    def _remember(self, reason: str, now: float) -> None:
        before = self.seen.pop(reason, ErrorSeen(reason, 0, now, now))
        self.seen[reason] = before._replace(times=before.times + (reason != self.reason), last=now)
        if len(self.seen) > _MOST_ERRORS:
            del self.seen[next(iter(self.seen))]

    def failed(self, now: float, wait: float) -> None:
        """Count a try that failed; the next one is `wait` seconds from `now`. Of several, the first counts."""
        self.tries += 1
        if not now < self.next_try < now + wait:
            self.next_try = now + wait

    @property
    def well(self) -> bool:
        """False while degraded."""
        return not self.is_trouble(self.state)

    @staticmethod
    def is_trouble(state: ComponentState) -> bool:
        """Whether a component in this state is not well."""
        return state in _TROUBLES

    def snapshot(self) -> Self:
        """Return a copy that no longer changes."""
        made = copy.copy(self)
        made.errors, made.seen = Counter(self.errors), dict(self.seen)
        return made


class CredentialReport(NamedTuple):
    """A credential of a source.

    Attributes:
        setting: Its name, such as `api_key_next`.
        ends: When it ends, epoch seconds, as configured; 0 when nobody wrote it down.
        in_use: Whether it is the one that is presented.
    """

    setting: str
    ends: float
    in_use: bool


class ReaderReport(NamedTuple):
    """A cursor of a source that is at work.

    Attributes:
        cursor: Its name in the spool.
        reader: What it is for: `tail`, `heal`, `reread`, `reconcile` or `backfill`.
        least_share: Part of the request budget that all cursors of this kind get however busy the others are.
        share: Part of the last requests of the budget that it had.
        log_seconds_left: Time of the log that it has yet to read; None where that is unknown.
        seconds_left: Seconds until it has read that, at its pace; None while that is unknown.
    """

    cursor: str
    reader: str
    least_share: float
    share: float
    log_seconds_left: float | None
    seconds_left: float | None


@dataclass(slots=True)
class SourceReport(Report):
    """A source: hand-off API → spool."""

    identity: str = ""
    requests: int = 0
    pages: int = 0
    events: int = 0  # received, repeats included
    spooled: int = 0
    repeats: int = 0
    revisions: int = 0
    derived_ids: int = 0
    late_found: int = 0  # new events that only a re-read found
    compared: int = 0  # read again in a closed window; at the ends of windows some are read twice
    recovered: int = 0  # of these: they were missing
    late_beyond_overlap: int = 0
    own_records: int = 0  # made by reading the log, and left out; those that are met again count again
    heals: int = 0
    last_good_poll: float = 0.0  # epoch seconds
    tip_reached: float = 0.0  # when the tail had last read all that the source shows, epoch seconds
    next_look: float = 0.0  # when the tail is asked before the bell rings, epoch seconds; 0: it is not
    next_poll: float = 0.0  # when it is asked again at the latest, as things are now, epoch seconds; 0: unknown
    newest_event: float = 0.0  # processing time of the newest event seen, epoch seconds
    requests_per_minute: float = 0.0  # the budget now
    budget_remaining: float = -1.0  # what the API said last; -1 when it says nothing
    readers: tuple[ReaderReport, ...] = ()  # cursors at work
    requests_by_reader: Counter[str] = field(default_factory=Counter)
    limit: float | None = None  # requests in a period of the API, as it said last
    others_requests: int = 0  # of the API's limit that others used up, at least
    others_share: float | None = None  # part of the limit that others used in this period
    foreign_limits: int = 0  # answers that the limit is used up which our own requests do not explain
    reread_stretch: float = 0.0  # seconds of the log that the last re-read covers
    reread_period: float = 0.0  # seconds between the beginnings of the last two
    reread_left_out: float = 0.0  # seconds that are not read again because the budget does not carry it
    unrouted: int = 0  # left out by the filters of every sink
    cursors: tuple[str, ...] = ()
    actions: int = 0  # in the list that the API gives of its own actions
    actions_read: float = 0.0  # epoch seconds
    actions_problem: str = ""  # why the list is not fresh; harmless
    credentials: tuple[CredentialReport, ...] = ()
    is_pushed: bool = False  # nothing is asked for, events are only sent to us
    receives: bool = False  # events are sent to us
    received: int = 0  # requests that brought events and were answered with 200
    last_received: float = 0.0  # when events were last sent to us, epoch seconds
    refused: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REFUSALS, 0))  # requests, by reason

    @property
    def credential(self) -> CredentialReport | None:
        """Return the credential that is presented."""
        return next((each for each in self.credentials if each.in_use), None)

    @property
    def credential_ends(self) -> float:
        """Return when that ends, epoch seconds; 0 when nobody wrote it down."""
        return self.credential.ends if self.credential is not None else 0.0

    @property
    def history_left(self) -> float | None:
        """Return the seconds until history is complete, at the present pace; None where none is read or unknown."""
        left = [each.seconds_left for each in self.readers if each.reader == "backfill"]
        known = [seconds for seconds in left if seconds is not None]
        return max(known) if known and len(known) == len(left) else None

    def snapshot(self) -> Self:
        """Return a copy that no longer changes."""
        made = super(SourceReport, self).snapshot()  # slots made another class than the one here
        made.refused = dict(self.refused)
        made.requests_by_reader = Counter(self.requests_by_reader)
        return made


class Aside(NamedTuple):
    """An event that the sink chokes on while it takes others; it waits apart from them.

    Attributes:
        seq: Its number in the spool.
        document_id: Its document id.
        reason: How the sink fails on it, in words that can be shown.
        since: When that was first seen, epoch seconds.
        tries: How often it was sent alone.
    """

    seq: int
    document_id: str
    reason: str
    since: float
    tries: int


@dataclass(slots=True)
class LaneReport(Report):
    """A lane: hand-off spool → sink."""

    target: str = ""
    proof: str = ""
    format: str = ""
    accepted: int = 0
    duplicates: int = 0  # of the accepted: the destination had them already
    rejected: int = 0
    filtered: int = 0
    resent: int = 0  # records sent again, for whatever reason
    doubtful: int = 0  # of these: may have been taken the first time
    batches: int = 0
    bytes: int = 0
    in_flight: int = 0  # batches
    pending: int = 0  # receipts
    position: int = 0
    lag: int = 0  # events waiting
    oldest_waiting: float = 0.0  # when the oldest waiting page was read, epoch seconds; 0 when none waits
    last_accepted: float = 0.0  # epoch seconds
    dead_letters: int = 0
    dead_letters_max: int = 0  # as many as these hold the lane; 0 when unknown
    retried: int = 0  # dead letters that were put back to be sent again
    replay_waiting: int = 0  # events that its open replays have still to send
    replay_accepted: int = 0  # of these replays, what the sink has accepted
    aside: tuple[Aside, ...] = ()  # events that wait apart; bounded by the lane
    unknown_actions: Counter[str] = field(default_factory=Counter)  # bounded by the lane
    links: Counter[str] = field(default_factory=Counter)  # `linked` with another source, of those `left_out`
    late: Counter[str] = field(default_factory=Counter)  # did not come as they happened, by kind, and `held_back`
    send_buckets: list[int] = field(default_factory=lambda: [0] * (len(SEND_BUCKETS) + 1))
    send_seconds: float = 0.0
    age_buckets: list[int] = field(default_factory=lambda: [0] * (len(AGE_BUCKETS) + 1))  # live events, when accepted
    age_seconds: float = 0.0  # of all of these together
    timely: int = 0  # of these: not older than `objective`
    objective: float = 0.0  # seconds within which an event that was read should be accepted

    @staticmethod
    def is_trouble(state: ComponentState) -> bool:
        """Whether a lane in this state is not well; one that is paused is as a person wants it."""
        return state in _TROUBLES and state != "paused"

    @property
    def linked(self) -> int:
        """Events that are one change with an event of another source that came before."""
        return self.links["linked"]

    @property
    def duplicates_left_out(self) -> int:
        """Those of them that were filtered for it."""
        return self.links["left_out"]

    @property
    def held_back(self) -> int:
        """Events that were filtered because they came too late for this sink."""
        return self.late["held_back"]

    def seen_with(self, row: LaneStatus | None) -> LaneReport:
        """Return a copy that no longer changes, with what waits and the dead letters as the spool has them.

        The lane itself knows them as of its last exchange, and a lane whose sink is dead makes none.
        """
        made = self.snapshot()
        made.unknown_actions, made.send_buckets = Counter(self.unknown_actions), list(self.send_buckets)
        made.age_buckets = list(self.age_buckets)
        made.links, made.late = Counter(self.links), Counter(self.late)
        if row is not None:
            made.position, made.lag, made.dead_letters = row.position, row.lag, row.dead_letters
            made.oldest_waiting = (row.oldest_ms or 0) / 1000
            made.replay_waiting, made.replay_accepted = row.replay_waiting, row.replay_accepted
        return made

    def begin(self) -> None:
        """Note that a lane begins: of the one before nothing is in flight, promised or apart any more."""
        self.in_flight = self.pending = 0
        self.aside = ()

    def observe_send(self, seconds: float) -> None:
        """Count one send by how long it took."""
        self.send_seconds += seconds
        for index, bound in enumerate(SEND_BUCKETS):
            if seconds <= bound:
                self.send_buckets[index] += 1
                return
        self.send_buckets[-1] += 1

    def observe_age(self, seconds: float, events: int) -> None:
        """Count events that the sink accepted so long after they were read."""
        self.age_seconds += seconds * events
        self.age_buckets[bisect_left(AGE_BUCKETS, seconds)] += events
        if seconds <= self.objective:
            self.timely += events


@dataclass(slots=True)
class DaemonReport:
    """Everything at one moment; what `/status` and `status --json` show.

    Attributes:
        running: False when no daemon runs and all of it comes from the spool.
        spool_written: When the spool was last written, epoch seconds; known only while no daemon runs.
        tasks: Of the event loop.
        completeness: By source and sink; empty until it was judged first, and while no daemon runs.
        read_again: By source, before when everything was read again at least once, epoch seconds.
        archive_heads: By sink that is an archive, the SHA-256 of its newest digest.
        indexes: Those that are made again and again, one for each archive.
        checks: Of the archives that are checked again and again.
        heart: Of the heartbeats.
        repairs: By number of a gap, the command that fetches what it lacks.
        hours: How every part was in the last two days.
        days: What is known of the last two weeks.
        letters: Dead letters by sink and reason.
        replays: Those that are not through.
        acts: What people did since the process started, the last few.
        configuration: None while no daemon runs.
        time_zone: That is shown beside UTC.
    """

    version: str
    started: float
    now: float
    pid: int
    config_digest: str
    draining: bool
    sources: list[SourceReport]
    lanes: list[LaneReport]
    spool: SpoolStatus | None
    books: list[Books]
    task_restarts: dict[str, int]
    monotonic: float  # the moment by the clock that no one sets; the two below are told by it
    loop_alive: float  # when the event loop last turned, or 0
    spool_alive: float  # when the spool's thread last turned, or 0
    running: bool = True
    spool_written: float = 0.0
    tasks: int = 0
    log_lines_left_out: int = 0  # the reader of the log did not take them
    completeness: list[Completeness] = field(default_factory=list)
    read_again: dict[str, float] = field(default_factory=dict)
    archive_heads: dict[str, str] = field(default_factory=dict)
    indexes: list[IndexReport] = field(default_factory=list)
    checks: list[record.CheckReport] = field(default_factory=list)
    heart: record.HeartReport = field(default_factory=record.HeartReport)
    repairs: dict[int, str] = field(default_factory=dict)
    hours: list[PartHour] = field(default_factory=list)
    days: list[Day] = field(default_factory=list)
    letters: list[Letters] = field(default_factory=list)
    replays: list[Replay] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    configuration: Configuration | None = None
    time_zone: str = "UTC"

    @property
    def audit_books(self) -> list[Books]:
        """Return the books of audit logs, without those of heartbeats: how complete anything is shows in these only."""
        return [line for line in self.books if line.source != HEARTBEATS.source]

    @property
    def loop_age(self) -> float | None:
        """Return the seconds since the event loop turned; None before its first turn."""
        return max(0.0, self.monotonic - self.loop_alive) if self.loop_alive else None

    @property
    def spool_age(self) -> float | None:
        """Return the seconds since the spool's thread turned; None before its first turn."""
        return max(0.0, self.monotonic - self.spool_alive) if self.spool_alive else None

    @property
    def degraded(self) -> list[str]:
        """Return the names of the components that are not well."""
        return [report.name for report in (*self.sources, *self.lanes) if not report.well]
