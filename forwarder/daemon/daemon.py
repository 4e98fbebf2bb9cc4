"""The process: builds every part once, keeps the tasks alive, and ends in order.

::

    bells ─► pollers ─► spool ─► lanes ─► sinks          admin port: metrics, probes, status
      └────► the loop turns, summary                     signals: TERM drains, HUP reads log level again

An end in order: bells stop, pollers finish their page, lanes finish what is in flight or reach the grace time, clients
close, the spool closes. Everything is durable all along, so a hard end costs at most a batch that is sent again.
After the start nothing ends the process but a signal, or a spool whose file was taken away: the trouble of one
component is that component's state.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import structlog

from forwarder import __version__
from forwarder.admin.control import ControlSocket, socket_path
from forwarder.admin.kept_places import places_of
from forwarder.admin.page_desk import PageDesk, recorded
from forwarder.admin.reconcile import Reconciliation
from forwarder.admin.server import AdminServer
from forwarder.admin.verbs import verbs_of
from forwarder.assembly import build_filters, build_redactions, build_spool
from forwarder.config.settings import Settings
from forwarder.contracts import Clock, ConfigError, ForwarderError, Page, Retryable, Sink, Source, SystemClock
from forwarder.contracts.source import read_again_after
from forwarder.daemon.action_lists import Learning
from forwarder.daemon.bells import Bells
from forwarder.daemon.clean_up import CleanUp, SpoolWatch
from forwarder.daemon.completeness import CompletenessWatch
from forwarder.daemon.doubts import DoubtWatch
from forwarder.daemon.heart import Heart
from forwarder.daemon.indexing import Indexing
from forwarder.daemon.lanes import Lanes
from forwarder.daemon.opening import Opening
from forwarder.daemon.own_events import OwnEvents
from forwarder.daemon.parts import build_parts
from forwarder.daemon.reception import Reception
from forwarder.daemon.record_watch import RecordWatch
from forwarder.daemon.reporter import Reporter
from forwarder.daemon.service_manager import ServiceManager
from forwarder.daemon.supervise import Runner, close_all, supervise, within
from forwarder.daemon.unrouted import counts_unrouted
from forwarder.net.retry import RequestBudget
from forwarder.net.server_thread import ServerThread
from forwarder.observe.redaction import Redactor
from forwarder.observe.reports import DaemonReport
from forwarder.observe.summary import Summary
from forwarder.polling.backfill import Order
from forwarder.polling.ordered import Change
from forwarder.polling.poller import Poller
from forwarder.receiving.kept import Kept
from forwarder.receiving.pushed import PushedStore
from forwarder.reconcile.reports import ReportFolder
from forwarder.records.places import Unrouted
from forwarder.spool.contract import IMPORT, Committed, Spool, SpoolLost

BEAT, CLEAN_UP, KEEP_LEARNED, LOOK, JUDGE, DOUBTS = 1.0, 30.0, 60.0, 5.0, 10.0, 60.0
"""Seconds between two bells of each kind."""


class Daemon:
    """Everything that runs.

    Args:
        settings: What to run.
        clock: Time for everybody.
        rng: Randomness for everybody's jitter.
        redactor: Takes secrets out of what is shown.
        on_log_level: Called with the level when the configuration is read again.
        log_lines_left_out: Counts what the reader of the log did not take.
        manager: Who started us, and is told how we are doing.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        redactor: Redactor | None = None,
        on_log_level: Callable[[str], None] | None = None,
        log_lines_left_out: Callable[[], int] = int,
        manager: ServiceManager | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._manager = manager or ServiceManager("", 0.0, self._clock)
        self._rng = rng or random.Random()  # noqa: S311 -- jitter
        self._redactor = redactor
        self._on_log_level = on_log_level
        self._log = structlog.get_logger()
        self._stopping = asyncio.Event()
        self._reporter = Reporter(settings, self._clock, self._stopping, log_lines_left_out)
        self._sources: dict[str, Source] = {}
        self._sinks: dict[str, Sink] = {}
        self._pollers: dict[str, Poller | PushedStore] = {}
        self._kept: defaultdict[str, Kept] = defaultdict(Kept)
        self._budgets: dict[str, RequestBudget] = {}
        self._source_reports = self._reporter.source_reports
        self._lane_reports = self._reporter.lane_reports
        self._filters = build_filters(settings)
        self._unrouted = Unrouted(self._filters, counts_unrouted(self._source_reports))
        self._learning = Learning(settings, self._clock, self._stopping)
        self._lanes = Lanes(
            settings,
            self._sinks,
            self._lane_reports,
            filters=self._filters,
            normalizers=self._learning.normalizers,
            unrouted=self._unrouted,
            clock=self._clock,
            rng=self._rng,
            redact=redactor.text if redactor is not None else str,
        )
        self._reception = Reception(settings.receiver, self._clock, self._pollers.get, self._lanes.ring)
        self._fatal: ConfigError | SpoolLost | None = None
        self.admin_port = 0

    # ---------------------------------------------------------------------------------------------------- run and end

    async def run(self) -> None:
        """Run until `stop`. Raises ConfigError or SpoolError at the start only, and SpoolLost at any time."""
        self._build()
        spool = build_spool(self._settings.spool, self._clock, build_redactions(self._settings.readers))
        own = OwnEvents(spool, self._identities, self._lanes.ring)
        verbs = verbs_of(
            spool,
            self._settings.sinks,
            self._lanes.on_letters_changed,
            sources=lambda: self._sources,
            drop_cursor=self._drop_cursor,
            order_backfill=self._order_backfill,
            import_page=self._import_page,
            write_own=own.write_trial,
            proofs=self._proofs,
            delays=self._delays,
            live=self._lanes,
            clock=self._clock,
        )
        verbs = recorded(verbs, self._reporter.acts, self._clock)
        desk = PageDesk(verbs, asyncio.get_running_loop())
        asked = self._settings.admin
        serve = partial(AdminServer, asked.listen, asked.token, asked.allowed_hosts or ())
        serve = partial(serve, places=places_of(self._settings), redactor=self._redactor, clock=self._clock, desk=desk)
        admin = ServerThread(serve, self.report)
        control = ControlSocket(socket_path(self._settings.spool.path), verbs)
        try:
            await admin.start()  # before the spool: a migration may take its time, and probes should be answered
            self.admin_port = admin.port
            self._manager.starting("opening the spool")
            opening = Opening(self._settings.spool.path, self._clock, self._stopping, self._manager.starting)
            if await opening.open(spool):
                self._reporter.spool = spool
                await control.start()
                async with self._bells():
                    await self._work(spool, own)
        finally:
            await close_all([control, self._reception, admin, *self._sources.values(), *self._sinks.values(), spool])
        if self._fatal is not None:
            raise self._fatal
        self._log.info("stopped")  # after an error that ended it, that error is the last word

    def stop(self) -> None:
        """Begin the end: pollers first, lanes when the pollers are home."""
        if not self._stopping.is_set():
            self._log.info("stopping", grace=self._settings.shutdown.grace)
        self._manager.stopping()
        self._stopping.set()

    def reload(self) -> None:
        """Read the log level again. Secrets in files are read whenever they change, without a signal."""
        with self._manager.reload():
            try:
                level = self._settings.reload().log.level
            except ForwarderError as error:
                self._log.error("configuration_not_reloaded", reason=str(error))
                return
            if self._on_log_level is not None:
                self._on_log_level(level)
            self._log.info("configuration_reloaded", log_level=level)

    async def _drop_cursor(self, source: str, cursor: str, reason: str) -> bool:
        return source in self._pollers and await self._pollers[source].drop(cursor, reason)

    async def _order_backfill(self, source: str, cursor: str, change: Change) -> Order | None:
        poller = self._pollers.get(source)
        return await poller.ordered.change(cursor, change) if isinstance(poller, Poller) else None

    async def _import_page(self, source: str, page: Page, sink: str | None) -> Committed:
        poller = self._pollers.get(source)
        if not isinstance(poller, Poller):
            raise Retryable("the source is not open", fix="Nothing; it is opened or closed now.")
        done = await poller.push(page, IMPORT, sink)
        self._lanes.ring()
        return done

    def _identities(self) -> list[str]:
        return [each.origin.identity for each in self._sources.values()]

    async def _proofs(self) -> dict[str, str]:
        return {name: sink.proof for name, sink in self._sinks.items()}

    def _delays(self) -> dict[str, tuple[float, ...]]:
        return {name: read_again_after(source, self._settings.readers[name]) for name, source in self._sources.items()}

    async def _work(self, spool: Spool, own: OwnEvents) -> None:
        await self._reception.start()  # it may fail, and nothing was begun yet; until it was, senders are told to wait
        pollers: list[asyncio.Task[None]] = []
        others: list[asyncio.Task[None]] = []
        try:
            await self._lanes.join_chains(spool)
            pollers += [self._start(f"source {name}", partial(self._poller, name, spool)) for name in self._sources]
            others += [self._start(f"sink {name}", partial(self._lanes.make, name, spool)) for name in self._sinks]
            replays = partial(self._lanes.make_replays, spool=spool)
            others += [self._start(f"replays {name}", partial(replays, name)) for name in self._sinks]
            others.append(self._start("completeness", partial(self._completeness, spool)))
            told = self._reporter, self._clock, self._stopping
            others.append(self._start("record", partial(RecordWatch, spool, lambda: self._settings, *told)))
            others.append(self._start("doubts", partial(self._doubts, spool)))
            others.append(self._start("clean-up", lambda: CleanUp(spool, self._stopping, every=CLEAN_UP)))
            others.append(self._start("summary", lambda: Summary(self.report, self._stopping)))
            others.append(self._start("spool watch", lambda: SpoolWatch(spool, self._stopping, every=BEAT)))
            if self._settings.heartbeat.every is not None:
                others.append(self._start("heartbeat", partial(self._heart, own, self._settings.heartbeat.every)))
            if self._settings.index.every is not None:
                others.append(self._start("index", partial(self._indexing, self._settings.index.every)))
            learners = self._learning.runners(self._sources, self._source_reports)
            others += [self._start(name, make) for name, make in learners]
            self._log.info(
                "started",
                version=__version__,
                config=self._settings.digest(),
                sources=list(self._sources),
                sinks=list(self._sinks),
                admin_port=self.admin_port,
                **({"receiver_port": self._reception.port} if self._reception.port else {}),
            )
            await self._lanes.name_unclaimed(spool)
            self._manager.ready()
            await self._stopping.wait()
        finally:
            self.stop()
            await self._drain(pollers, others)

    async def _drain(self, pollers: list[asyncio.Task[None]], others: list[asyncio.Task[None]]) -> None:
        """Let the tasks end in order: the spool and the sinks are closed after that, whatever ended them."""
        deadline = asyncio.get_running_loop().time() + self._settings.shutdown.grace
        await self._reception.close()
        for poller in self._pollers.values():
            poller.stop()
        # An API that does not answer must not eat the time of the lanes; a page that was not read is read again.
        await within(pollers, deadline - self._settings.shutdown.grace / 2)
        self._lanes.stop()
        late = await within(others, deadline)
        await self._learning.keep(self._lane_reports.values())
        if late:
            self._log.warning("grace_time_is_over", still_running=late)

    def _completeness(self, spool: Spool) -> CompletenessWatch:
        judges = Reconciliation(spool, self._proofs, self._clock.time, delays=self._delays)
        logs = {name: source.origin.identity for name, source in self._sources.items()}
        reports = ReportFolder(self._settings.reports_folder, logs) if self._settings.reports.daily else None
        return CompletenessWatch(judges, self._reporter, self._stopping, every=JUDGE, reports=reports)

    def _start(self, name: str, make: Callable[[], Runner]) -> asyncio.Task[None]:
        task = asyncio.create_task(
            supervise(name, make, stopping=self._stopping, restarts=self._reporter.restarts, rng=self._rng), name=name
        )
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ConfigError | SpoolLost):
            self._end_with(error)
        elif error is not None:
            self._log.error("supervisor_failed", task=task.get_name(), exc_info=error)
            self.stop()

    def _end_with(self, error: ConfigError | SpoolLost) -> None:
        """Stop, and say why when all has ended."""
        if self._fatal is None:
            self._fatal = error
            if isinstance(error, SpoolLost):
                self._log.error("spool_lost", reason=error.reason, fix=error.fix)
                for report in (*self._source_reports.values(), *self._lane_reports.values()):
                    report.turn("held", self._clock.time(), error.reason, error.fix)
        self._stopping.set()

    # --------------------------------------------------------------------------------------------------------- wiring

    def _build(self) -> None:
        """Make every source and sink; nothing is touched outside the process."""
        parts = build_parts(self._settings, self._clock)
        self._sources, self._budgets = parts.sources, parts.budgets
        self._sinks |= parts.sinks
        self._reporter.sources, self._reporter.sinks = parts.sources, parts.sinks
        self._source_reports |= parts.source_reports
        self._lane_reports |= parts.lane_reports
        for name, source in parts.sources.items():
            self._reception.add(name, source, parts.source_reports[name])

    def _poller(self, name: str, spool: Spool) -> Poller | PushedStore:
        source, report = self._sources[name], self._source_reports[name]
        identities = self._identities()
        around: dict[str, Any] = {"spool": spool, "clock": self._clock, "report": report, "announce": self._lanes.ring}
        poller: Poller | PushedStore
        if source.reads == "pushed":
            poller = PushedStore(source, configured=identities, kept=self._kept[name], **around)
        else:
            budget, config = self._budgets[name], self._settings.readers[name]
            poller = Poller(source, config, budget=budget, rng=self._rng, configured=identities, **around)
        self._pollers[name] = poller
        if self._stopping.is_set():
            poller.stop()
        return poller

    def _doubts(self, spool: Spool) -> DoubtWatch:
        return DoubtWatch(spool, self._sources, self._source_reports, self._clock, self._stopping, every=DOUBTS)

    def _heart(self, own: OwnEvents, every: float) -> Heart:
        return Heart(
            every, own=own, report=self.report, sinks=self._sinks, stopping=self._stopping, announce=self._lanes.ring
        )

    def _indexing(self, every: float) -> Indexing:
        archives = {name: place for name, place in places_of(self._settings).items() if place.file is None}
        return Indexing(
            archives,
            self._reporter.indexes,
            every=every,
            memory=self._settings.index.memory,
            clock=self._clock,
            stopping=self._stopping,
            clean=self._redactor.text if self._redactor is not None else str,
        )

    # ---------------------------------------------------------------------------------------------------------- bells

    @asynccontextmanager
    async def _bells(self) -> AsyncIterator[None]:
        bells = Bells(self._rng)
        for name, config in self._settings.readers.items():
            bells.add(partial(self._ring_poller, name), config.every, jitter=config.every / 10)
        bells.add_work(lambda: self._learning.keep(self._lane_reports.values()), KEEP_LEARNED)
        bells.add(self._reporter.beat, BEAT)
        bells.add(partial(self._manager.beat, self._reporter), self._manager.every)
        bells.add(self._lanes.ring, LOOK)
        self._reporter.beat()
        bells.start()
        try:
            yield
        finally:
            bells.stop()

    def _ring_poller(self, name: str) -> None:
        if (poller := self._pollers.get(name)) is not None:
            poller.ring()

    async def report(self) -> DaemonReport:
        """Return everything at one moment."""
        return await self._reporter.report()


async def run_daemon(
    settings: Settings,
    *,
    redactor: Redactor | None = None,
    on_log_level: Callable[[str], None] | None = None,
    log_lines_left_out: Callable[[], int] = int,
    manager: ServiceManager | None = None,
) -> None:
    """Run until SIGTERM or SIGINT. Raises ConfigError or SpoolError at the start, SpoolLost at any time."""
    daemon = Daemon(
        settings,
        redactor=redactor,
        on_log_level=on_log_level,
        log_lines_left_out=log_lines_left_out,
        manager=manager,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.stop)
    came_early = getattr(signal.getsignal(signal.SIGHUP), "came", False)
    loop.add_signal_handler(signal.SIGHUP, daemon.reload)
    if came_early:
        daemon.reload()
    await daemon.run()
