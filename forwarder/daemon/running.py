"""Sources and sinks at work: each is begun and ended by itself, at the start, at the end, and when settings change.

Invariant: what is in the spool is not touched by any of it. A poller that ends finishes its page, or the page is read
again; a lane that ends waits for what is in flight, or that is in doubt, on record, and sent again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from forwarder.assembly import build_filters, build_redactions
from forwarder.contracts import ListsActions
from forwarder.daemon.lanes import Lanes
from forwarder.daemon.parts import Parts, build_parts, refuse_twice, shared_budgets
from forwarder.daemon.reception import Reception
from forwarder.daemon.supervise import close_all
from forwarder.daemon.unrouted import counts_unrouted
from forwarder.polling.poller import Poller
from forwarder.receiving.kept import Kept
from forwarder.receiving.pushed import PushedStore
from forwarder.records.places import Unrouted

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from forwarder.config.settings import Settings
    from forwarder.contracts import Clock, Sink, Source
    from forwarder.daemon.action_lists import Learning
    from forwarder.daemon.bells import Bells
    from forwarder.daemon.reload_plan import Plan
    from forwarder.daemon.reporter import Reporter
    from forwarder.daemon.tasks import Tasks
    from forwarder.net.retry import RequestBudget
    from forwarder.spool.contract import Spool

T = TypeVar("T")

LONGEST_END = 10.0
"""Seconds for what is ended by a change to finish; what has no answer then may come twice, and is on record."""


class Running:
    """What runs.

    Args:
        settings: In force.
        reporter: Shows it.
        learning: Gives events their meaning.
        tasks: Keep it running.
        clock: Time.
        rng: Randomness.
        redact: Takes secrets out of what a sink answered.

    Attributes:
        sources, sinks, pollers: By name.
        sink_configs: Settings of the sinks in force, by name.
        has_begun: Whether all of it was begun.
        redactions: What takes out of the pages of a source what may not be kept, by name.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        reporter: Reporter,
        learning: Learning,
        tasks: Tasks,
        clock: Clock,
        rng: random.Random,
        redact: Callable[[str], str],
    ) -> None:
        self.settings = settings
        self.sources: dict[str, Source] = {}
        self.sinks: dict[str, Sink] = {}
        self.pollers: dict[str, Poller | PushedStore] = {}
        self.sink_configs = dict(settings.sinks)
        self.redactions = build_redactions(settings.readers)
        self.budgets: dict[str, RequestBudget] = {}
        self._shared = shared_budgets(settings, clock)
        self._kept: defaultdict[str, Kept] = defaultdict(Kept)
        self._silence: dict[str, Callable[[], None]] = {}
        self._reporter = reporter
        self._learning = learning
        self._tasks = tasks
        self._clock = clock
        self._rng = rng
        self._spool: Spool | None = None
        self._bells: Bells | None = None
        self._stopping = self.has_begun = False
        self._filters = build_filters(settings)
        self._unrouted = Unrouted(self._filters, counts_unrouted(reporter.source_reports))
        self.lanes = Lanes(
            settings,
            self.sinks,
            reporter.lane_reports,
            filters=self._filters,
            normalizers=learning.normalizers,
            unrouted=self._unrouted,
            clock=clock,
            rng=rng,
            redact=redact,
        )
        self.reception = Reception(settings.receiver, clock, self.pollers.get, self.lanes.ring)

    def identities(self) -> list[str]:
        """Return what the sources follow."""
        return [source.origin.identity for source in self.sources.values()]

    def build(self) -> None:
        """Make every source and sink; nothing is touched outside the process. Raises ConfigError."""
        parts = build_parts(self.settings, self._clock, self._shared)
        refuse_twice(parts.sources.values())
        self._add(parts)
        for name, source in parts.sources.items():
            self.reception.add(name, source, parts.source_reports[name])

    def _add(self, parts: Parts) -> None:
        self.sources |= parts.sources
        self.budgets |= parts.budgets
        self.sinks |= parts.sinks
        self._reporter.source_reports |= parts.source_reports
        self._reporter.lane_reports |= parts.lane_reports

    async def begin(self, spool: Spool, bells: Bells) -> None:
        """Begin every source and sink over an open spool."""
        self._spool, self._bells = spool, bells
        await self.lanes.join_chains(spool, self.sinks)
        for name in self.sources:
            self._begin_source(name)
        for name in self.sinks:
            self._begin_sink(name)
        self.has_begun = True

    def stop(self) -> None:
        """Let no source and no sink be begun any more."""
        self._stopping = True

    # -------------------------------------------------------------------------------------------------------- sources

    def _begin_source(self, name: str) -> None:
        assert self._spool is not None and self._bells is not None  # noqa: S101, PT018 -- `begin` comes first
        self._tasks.start(f"source {name}", partial(self._poller, name, self._spool))
        source, config = self.sources[name], self.settings.readers[name]
        if isinstance(source, ListsActions):
            task = f"actions of {name}"
            report = self._reporter.source_reports[name]
            self._tasks.start(task, partial(self._learning.lists, source, report, self._tasks.ending(task)))
        self._silence[name] = self._bells.add(partial(self._ring, name), config.every, jitter=config.every / 10)

    def _poller(self, name: str, spool: Spool) -> Poller | PushedStore:
        source, report = self.sources[name], self._reporter.source_reports[name]
        identities = self.identities()
        around: dict[str, Any] = {"spool": spool, "clock": self._clock, "report": report, "announce": self.lanes.ring}
        poller: Poller | PushedStore
        if source.reads == "pushed":
            poller = PushedStore(source, configured=identities, kept=self._kept[name], **around)
        else:
            budget, config = self.budgets[name], self.settings.readers[name]
            poller = Poller(source, config, budget=budget, rng=self._rng, configured=identities, **around)
        self.pollers[name] = poller
        if self._tasks.ending(f"source {name}").is_set():
            poller.stop()
        return poller

    def _ring(self, name: str) -> None:
        if (poller := self.pollers.get(name)) is not None:
            poller.ring()

    async def _end_sources(self, names: Sequence[str], deadline: float) -> None:
        tasks = [f"{kind} {name}" for name in names for kind in ("source", "actions of")]
        for name in names:
            self._silence.pop(name)()
        self._tasks.let_end(tasks)
        for name in names:
            if name in self.pollers:
                self.pollers[name].stop()
        await self._tasks.ended(tasks, deadline)
        for name in names:
            self.pollers.pop(name, None)
            self._kept.pop(name, None)
            self.budgets.pop(name, None)
            self._reporter.source_reports.pop(name, None)
        await close_all([self.sources.pop(name) for name in names])

    # ---------------------------------------------------------------------------------------------------------- sinks

    def _begin_sink(self, name: str) -> None:
        assert self._spool is not None  # noqa: S101 -- `begin` comes first
        self._tasks.start(f"sink {name}", partial(self.lanes.make, name, self._spool))
        self._tasks.start(f"replays {name}", partial(self.lanes.make_replays, name, self._spool))

    async def _end_sinks(self, names: Sequence[str], deadline: float) -> None:
        tasks = [f"{kind} {name}" for name in names for kind in ("sink", "replays")]
        self._tasks.let_end(tasks)
        self.lanes.end(names)
        await self._tasks.ended(tasks, deadline)
        self.lanes.forget(names)
        for name in names:
            self._reporter.lane_reports.pop(name, None)
        await close_all([self.sinks.pop(name) for name in names])

    # --------------------------------------------------------------------------------------------------------- change

    async def change(self, plan: Plan) -> None:
        """Put changed settings in force: end what differs, and begin what is configured now.

        Raises ConfigError when something cannot be built; then nothing has changed.
        """
        assert self._spool is not None  # noqa: S101 -- `begin` comes first
        shared = self._budgets_of(plan.settings)
        made = build_parts(plan.settings, self._clock, shared, sources=plan.sources, sinks=plan.sinks)
        others = [source for name, source in self.sources.items() if name not in plan.sources]
        try:
            refuse_twice([*others, *made.sources.values()])
        except BaseException:
            await close_all([*made.sources.values(), *made.sinks.values()])
            raise
        deadline = asyncio.get_running_loop().time() + min(LONGEST_END, self.settings.shutdown.grace)
        await self._end_sources([name for name in plan.sources if name in self.sources], deadline)
        ended = [name for name in plan.sinks if name in self.sinks]
        await self._end_sinks(ended, deadline)
        self._shared = shared
        self._use(plan.settings)
        self._add(made)
        _order(self._reporter.source_reports, plan.settings.readers)
        _order(self._reporter.lane_reports, plan.settings.sinks)
        if self._stopping:
            return
        for name in ended:
            if name not in made.sinks:
                await self._spool.operations.release_lane(name)
        await self.lanes.join_chains(self._spool, made.sinks)
        for name in made.sources:
            self._begin_source(name)
        for name in made.sinks:
            self._begin_sink(name)
        await self.lanes.name_unclaimed(self._spool)

    def _budgets_of(self, settings: Settings) -> dict[str, RequestBudget]:
        """Return the shared budgets of new settings: those that did not change go on as they are."""
        before = self.settings.budgets
        return {
            name: self._shared[name] if name in self._shared and before.get(name) == settings.budgets[name] else made
            for name, made in shared_budgets(settings, self._clock).items()
        }

    def _use(self, settings: Settings) -> None:
        """Take new settings for all that is made from now on."""
        self.settings = self._reporter.settings = settings
        self.lanes.use(settings)
        _replace(self.sink_configs, settings.sinks)
        _replace(self.redactions, build_redactions(settings.readers))
        _replace(self._filters, build_filters(settings))
        self._unrouted.forget()


def _replace(kept: dict[str, T], new: Mapping[str, T]) -> None:
    """Change a mapping that others hold."""
    kept.clear()
    kept.update(new)


def _order(kept: dict[str, T], names: Iterable[str]) -> None:
    """Bring a mapping that others hold into the order of the configuration."""
    _replace(kept, {name: kept[name] for name in names if name in kept})
