"""The process: builds every part once, keeps the tasks alive, and ends in order.

::

    bells ─► pollers ─► spool ─► lanes ─► sinks          admin port: metrics, probes, status
      └────► the loop turns, summary                     signals: TERM drains, HUP reads the configuration again

An end in order: bells stop, pollers finish their page, lanes finish what is in flight or reach the grace time, clients
close, the spool closes. Everything is durable all along, so a hard end costs at most a batch that is sent again.
After the start nothing ends the process but a signal, or a spool whose file was taken away: the trouble of one
component is that component's state.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from forwarder import __version__
from forwarder.admin.control import ControlSocket, socket_path
from forwarder.admin.kept_places import checked_places, places_of
from forwarder.admin.page_desk import PageDesk, recorded
from forwarder.admin.reconcile import Reconciliation
from forwarder.admin.reloads import Reloaded, Reloads
from forwarder.admin.server import AdminServer
from forwarder.admin.verbs import verbs_of
from forwarder.assembly import build_spool
from forwarder.config.settings import Settings
from forwarder.contracts import Clock, ConfigError, Page, Retryable, SystemClock
from forwarder.contracts.log import get_logger
from forwarder.contracts.source import read_again_after
from forwarder.daemon.action_lists import Learning
from forwarder.daemon.bells import Bells
from forwarder.daemon.checking import Checking
from forwarder.daemon.clean_up import CleanUp, SpoolWatch
from forwarder.daemon.completeness import CompletenessWatch
from forwarder.daemon.doubts import DoubtWatch
from forwarder.daemon.heart import Heart
from forwarder.daemon.indexing import Indexing
from forwarder.daemon.memory import give_holes_back
from forwarder.daemon.opening import Opening
from forwarder.daemon.own_events import OwnEvents
from forwarder.daemon.record_watch import RecordWatch
from forwarder.daemon.reloading import FileWatch, Reloading
from forwarder.daemon.reporter import Reporter
from forwarder.daemon.running import Running
from forwarder.daemon.service_manager import ServiceManager
from forwarder.daemon.supervise import close_all
from forwarder.daemon.tasks import Tasks
from forwarder.net.server_thread import ServerThread
from forwarder.observe.redaction import Redactor
from forwarder.observe.reports import DaemonReport
from forwarder.observe.summary import Summary
from forwarder.polling.backfill import Order
from forwarder.polling.ordered import Change
from forwarder.polling.poller import Poller
from forwarder.receiving.pushed import PushedStore
from forwarder.reconcile.reports import ReportFolder
from forwarder.spool.contract import IMPORT, Committed, Spool, SpoolLost

BEAT, CLEAN_UP, KEEP_LEARNED, LOOK, JUDGE, DOUBTS, HOLES = 1.0, 30.0, 60.0, 5.0, 10.0, 60.0, 60.0
"""Seconds between two bells of each kind."""


class Daemon:
    """Everything that runs.

    Args:
        settings: What to run.
        clock: Time for everybody.
        rng: Randomness for everybody's jitter.
        redactor: Takes secrets out of what is shown.
        on_settings: Called with the settings when the configuration is read again, before they are in force.
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
        on_settings: Callable[[Settings], None] = lambda _: None,
        log_lines_left_out: Callable[[], int] = int,
        manager: ServiceManager | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._manager = manager or ServiceManager("", 0.0, self._clock)
        self._rng = rng or random.Random()  # noqa: S311 -- jitter
        self._redactor = redactor
        self._log = get_logger()
        self._stopping = asyncio.Event()
        self._reporter = Reporter(settings, self._clock, self._stopping, log_lines_left_out)
        self._tasks = Tasks(self._reporter.restarts, self._rng, self._on_failed)
        self._source_reports = self._reporter.source_reports
        self._lane_reports = self._reporter.lane_reports
        self._learning = Learning(settings, self._clock)
        self._running = running = Running(
            settings,
            reporter=self._reporter,
            learning=self._learning,
            tasks=self._tasks,
            clock=self._clock,
            rng=self._rng,
            redact=redactor.text if redactor is not None else str,
        )
        self._sources, self._sinks, self._pollers = running.sources, running.sinks, running.pollers
        self._reporter.sources, self._reporter.sinks = running.sources, running.sinks
        self._lanes, self._reception, self._budgets = running.lanes, running.reception, running.budgets
        self._reloading = Reloading(running, self._reporter, on_settings, self._stopping)
        self._fatal: ConfigError | SpoolLost | None = None
        self.admin_port = 0

    # ---------------------------------------------------------------------------------------------------- run and end

    async def run(self) -> None:
        """Run until `stop`. Raises ConfigError or SpoolError at the start only, and SpoolLost at any time."""
        settings = self._running.settings
        self._running.build()
        spool = build_spool(settings.spool, self._clock, self._running.redactions)
        own = OwnEvents(spool, self._running.identities, self._lanes.ring)
        verbs = verbs_of(
            spool,
            self._running.sink_configs,
            self._lanes.on_letters_changed,
            sources=lambda: self._sources,
            drop_cursor=self._drop_cursor,
            retry_source=self._retry_source,
            order_backfill=self._order_backfill,
            import_page=self._import_page,
            write_own=own.write_trial,
            proofs=self._proofs,
            delays=self._delays,
            live=self._lanes,
            clock=self._clock,
        )
        verbs |= Reloads(self.reload).verbs()
        verbs = recorded(verbs, self._reporter.acts, self._clock)
        asked = settings.admin
        may_act = asked.token is not None or asked.acts_without_token
        desk = PageDesk(verbs, asyncio.get_running_loop()) if may_act else None
        serve = partial(AdminServer, asked.listen, asked.token, asked.allowed_hosts or ())
        serve = partial(serve, places=places_of(settings), redactor=self._redactor, clock=self._clock, desk=desk)
        admin = ServerThread(serve, self.report)
        control = ControlSocket(socket_path(settings.spool.path), verbs)
        try:
            await admin.start()  # before the spool: a migration may take its time, and probes should be answered
            self.admin_port = admin.port
            self._manager.starting("opening the spool")
            opening = Opening(settings.spool.path, self._clock, self._stopping, self._manager.starting)
            if await opening.open(spool):
                self._reporter.spool = spool
                await control.start()
                async with self._bells() as bells:
                    await self._work(spool, own, bells)
        finally:
            await close_all([control, self._reception, admin, *self._sources.values(), *self._sinks.values(), spool])
        if self._fatal is not None:
            raise self._fatal
        self._log.info("stopped")  # after an error that ended it, that error is the last word

    def stop(self) -> None:
        """Begin the end: pollers first, lanes when the pollers are home."""
        if not self._stopping.is_set():
            self._log.info("stopping", grace=self._running.settings.shutdown.grace)
        self._manager.stopping()
        self._set_stopping()

    def _set_stopping(self) -> None:
        self._stopping.set()
        self._running.stop()
        self._tasks.let_all_end()

    async def reload(self, who: str) -> Reloaded:
        """Read the configuration again and put in force what can be. Raises ConfigError; then nothing has changed."""
        with self._manager.reload():
            return await self._reloading.reload(who)

    def on_hangup(self) -> None:
        """Read the configuration again, for SIGHUP; before the start is over, once it is."""
        self._reloading.ask()

    async def _drop_cursor(self, source: str, cursor: str, reason: str) -> bool:
        return source in self._pollers and await self._pollers[source].drop(cursor, reason)

    def _retry_source(self, source: str, who: str) -> None:
        poller = self._pollers.get(source)
        if isinstance(poller, PushedStore):
            raise ConfigError(f"sources.{source}: its events are sent to us, so nothing is asked")
        if poller is not None:
            poller.retry_now()
        self._log.info("source_retried_now", source=source, who=who)

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

    async def _proofs(self) -> dict[str, str]:
        return {name: sink.proof for name, sink in self._sinks.items()}

    def _delays(self) -> dict[str, tuple[float, ...]]:
        return {
            name: read_again_after(source, self._running.settings.readers[name])
            for name, source in self._sources.items()
        }

    async def _work(self, spool: Spool, own: OwnEvents, bells: Bells) -> None:
        await self._reception.start()  # it may fail, and nothing was begun yet; until it was, senders are told to wait
        try:
            await self._running.begin(spool, bells)
            told = self._reporter, self._clock, self._stopping
            self._tasks.start("completeness", partial(self._completeness, spool))
            self._tasks.start("record", partial(RecordWatch, spool, lambda: self._running.settings, *told))
            self._tasks.start("doubts", partial(self._doubts, spool))
            self._tasks.start("clean-up", lambda: CleanUp(spool, self._stopping, every=CLEAN_UP))
            self._tasks.start("summary", lambda: Summary(self.report, self._stopping))
            self._tasks.start("spool watch", lambda: SpoolWatch(spool, self._stopping, every=BEAT))
            self._tasks.start("heartbeat", partial(self._heart, own))
            self._tasks.start("configuration", lambda: FileWatch(self._reloading, partial(self.reload, "its file")))
            if self._running.settings.index.every is not None:
                self._tasks.start("index", partial(self._indexing, self._running.settings.index.every))
            if self._running.settings.verify.every is not None:
                self._tasks.start("archive check", partial(self._checking, self._running.settings.verify.every))
            self._log.info(
                "started",
                version=__version__,
                config=self._running.settings.digest(),
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
            await self._drain()

    async def _drain(self) -> None:
        """Let the tasks end in order: the spool and the sinks are closed after that, whatever ended them."""
        grace = self._running.settings.shutdown.grace
        deadline = asyncio.get_running_loop().time() + grace
        await self._reloading.over()
        await self._reception.close()
        for poller in self._pollers.values():
            poller.stop()
        # An API that does not answer must not eat the time of the lanes; a page that was not read is read again.
        await self._tasks.ended(self._tasks.named("source "), deadline - grace / 2)
        self._lanes.stop()
        late = await self._tasks.ended(self._tasks.named(), deadline)
        await self._learning.keep(self._lane_reports.values())
        if late:
            self._log.warning("grace_time_is_over", still_running=late)

    def _completeness(self, spool: Spool) -> CompletenessWatch:
        judges = Reconciliation(spool, self._proofs, self._clock.time, delays=self._delays)
        settings = self._running.settings
        logs = {name: source.origin.identity for name, source in self._sources.items()}
        daily = settings.reports.daily
        reports = ReportFolder(settings.reports_folder, logs, settings.admin.time_zone) if daily else None
        return CompletenessWatch(judges, self._reporter, self._stopping, every=JUDGE, reports=reports)

    def _on_failed(self, name: str, error: BaseException) -> None:
        if isinstance(error, SpoolLost) or (isinstance(error, ConfigError) and not self._reloading.happened):
            self._end_with(error)
        elif isinstance(error, ConfigError):  # of a part that was begun by a change: it alone waits for another change
            self._log.error("not_begun", task=name, reason=str(error))
            self._reporter.hold(name, str(error))
        else:
            self._log.error("supervisor_failed", task=name, exc_info=error)
            self.stop()

    def _end_with(self, error: ConfigError | SpoolLost) -> None:
        """Stop, and say why when all has ended."""
        if self._fatal is None:
            self._fatal = error
            if isinstance(error, SpoolLost):
                self._log.error("spool_lost", reason=error.reason, fix=error.fix)
                for report in (*self._source_reports.values(), *self._lane_reports.values()):
                    report.turn("held", self._clock.time(), error.reason, error.fix)
        self._set_stopping()

    def _doubts(self, spool: Spool) -> DoubtWatch:
        return DoubtWatch(spool, self._sources, self._source_reports, self._clock, self._stopping, every=DOUBTS)

    def _heart(self, own: OwnEvents) -> Heart:
        return Heart(
            lambda: self._running.settings.heartbeat.every,
            own=own,
            report=self.report,
            sinks=self._sinks,
            stopping=self._stopping,
            announce=self._lanes.ring,
            told=self._reporter.heart,
        )

    def _checking(self, every: float) -> Checking:
        return Checking(
            checked_places(self._running.settings),
            self._reporter.checks,
            targets={name: sink.target for name, sink in self._sinks.items()},
            folder=self._running.settings.spool.path.expanduser().parent,
            every=every,
            clock=self._clock,
            stopping=self._stopping,
            clean=self._redactor.text if self._redactor is not None else str,
        )

    def _indexing(self, every: float) -> Indexing:
        archives = {name: place for name, place in places_of(self._running.settings).items() if place.file is None}
        return Indexing(
            archives,
            self._reporter.indexes,
            every=every,
            memory=self._running.settings.index.memory,
            clock=self._clock,
            stopping=self._stopping,
            clean=self._redactor.text if self._redactor is not None else str,
        )

    # ---------------------------------------------------------------------------------------------------------- bells

    @asynccontextmanager
    async def _bells(self) -> AsyncIterator[Bells]:
        bells = Bells(self._rng)
        bells.add_work(lambda: self._learning.keep(self._lane_reports.values()), KEEP_LEARNED)
        bells.add(self._reporter.beat, BEAT)
        bells.add(partial(self._manager.beat, self._reporter), self._manager.every)
        bells.add(self._lanes.ring, LOOK)
        bells.add(give_holes_back, HOLES)
        self._reporter.beat()
        bells.start()
        try:
            yield bells
        finally:
            bells.stop()

    async def report(self) -> DaemonReport:
        """Return everything at one moment."""
        return await self._reporter.report()


async def run_daemon(
    settings: Settings,
    *,
    redactor: Redactor | None = None,
    on_settings: Callable[[Settings], None] = lambda _: None,
    log_lines_left_out: Callable[[], int] = int,
    manager: ServiceManager | None = None,
) -> None:
    """Run until SIGTERM or SIGINT. Raises ConfigError or SpoolError at the start, SpoolLost at any time."""
    daemon = Daemon(
        settings,
        redactor=redactor,
        on_settings=on_settings,
        log_lines_left_out=log_lines_left_out,
        manager=manager,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.stop)
    came_early = getattr(signal.getsignal(signal.SIGHUP), "came", False)
    loop.add_signal_handler(signal.SIGHUP, daemon.on_hangup)
    if came_early:
        daemon.on_hangup()
    await daemon.run()
