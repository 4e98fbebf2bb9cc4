"""The lanes and the replays of the daemon: made of the settings, rung together, and told of what people do."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from forwarder.assembly import build_chosen, build_maker, look_of
from forwarder.contracts import IsChained
from forwarder.contracts.log import get_logger
from forwarder.contracts.moments import iso_ms
from forwarder.delivery import Lane, OperatedLane
from forwarder.delivery.replaying import Replays
from forwarder.delivery.shared import SharedSink
from forwarder.delivery.taps import Taps
from forwarder.observe.reports import LaneReport
from forwarder.records.shared import Shared

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection, Hashable, Iterable, Mapping

    from forwarder.admin.dead_letters import Change
    from forwarder.admin.lanes import LaneChange
    from forwarder.config.settings import Settings
    from forwarder.contracts import Clock, Sink, SinkConfig
    from forwarder.delivery.replaying import ReplaySpool
    from forwarder.delivery.shared import LaneSink
    from forwarder.records.filters import Filter
    from forwarder.records.maker import Bodies
    from forwarder.records.normalizers import Normalizers
    from forwarder.records.places import Unrouted
    from forwarder.spool.contract import Spool
    from forwarder.spool.operations import Replay


class Lanes:
    """One lane for each sink, and what runs its replays.

    Args:
        settings: In force; they may change, and count for what is made later.
        sinks: Built, by name; filled before a lane is made.
        reports: How they are, by name; filled before a lane is made.
        filters: Of the sinks, by name.
        normalizers: Returns what gives the normaliser of a feed.
        unrouted: Counts what no sink is there for.
        clock: Time.
        rng: Randomness.
        redact: Takes secrets out of what a sink answered.
    """

    def __init__(
        self,
        settings: Settings,
        sinks: Mapping[str, Sink],
        reports: Mapping[str, LaneReport],
        *,
        filters: Mapping[str, Filter],
        normalizers: Normalizers,
        unrouted: Unrouted,
        clock: Clock,
        rng: random.Random,
        redact: Callable[[str], str],
    ) -> None:
        self.settings = settings
        self._sinks = sinks
        self.reports = reports
        self._filters = filters
        self._normalizers = normalizers
        self._unrouted = unrouted
        self._clock = clock
        self._rng = rng
        self._redact = redact
        self._shared: dict[str, SharedSink] = {}
        self._bodies: dict[Hashable, Bodies] = {}
        self.taps: dict[str, Taps] = {}
        self._lanes: dict[str, OperatedLane] = {}
        self._replays: dict[str, Replays] = {}
        self._stopping = False
        self._log = get_logger()

    def make(self, name: str, spool: Spool) -> OperatedLane:
        """Make the lane of a sink; it takes the place of one that failed."""
        self._lanes[name] = lane = OperatedLane(partial(self._lane, name, spool), partial(self._on_paused, name))
        if self._stopping:
            lane.stop()
        return lane

    def _lane(self, name: str, spool: Spool) -> Lane:
        config, report, sink = self.settings.sinks[name], self.reports[name], self._sinks[name]
        return Lane(
            name,
            self._end(name, config.window),
            config,
            spool=spool,
            maker=build_maker(
                name,
                config,
                sink,
                self._filters[name],
                self._normalizers,
                report.unknown_actions,
                self._unrouted,
                report.links,
                report.late,
                self._bodies_of(config),
            ),
            clock=self._clock,
            rng=self._rng,
            report=report,
            redact=self._redact,
        )

    def _bodies_of(self, config: SinkConfig) -> Bodies | None:
        """Return what lanes of the same look have rendered, where there is more than one."""
        look = look_of(config)
        alike = sum(look_of(other) == look for other in self.settings.sinks.values())
        return None if look is None or alike == 1 else self._bodies.setdefault(look, Shared())

    def make_replays(self, name: str, spool: Spool) -> Replays:
        """Make what runs the replays of a sink; it takes the place of one that failed."""
        make = partial(self._replay_lane, name)
        self._replays[name] = replays = Replays(name, spool, make, live=self.reports[name], clock=self._clock)
        if self._stopping:
            replays.stop()
        return replays

    def _replay_lane(self, name: str, replay: Replay, spool: ReplaySpool) -> Lane:
        """Make the lane of a replay: one send at a time, in the sink's last slot."""
        config, sink, of_live = self.settings.sinks[name], self._sinks[name], self.reports[name]
        chosen = build_chosen(self.settings, self._filters[name], replay.chosen, replay.since_ms, replay.until_ms)
        report = LaneReport(
            f"{name}, replay {replay.number}",
            of_live.type,
            target=of_live.target,
            proof=of_live.proof,
            format=of_live.format,
            dead_letters_max=of_live.dead_letters_max,
        )
        return Lane(
            name,
            self._end(name, config.window, of_replay=True),
            config.model_copy(update={"window": 1}),
            spool=spool,
            maker=build_maker(name, config, sink, chosen, self._normalizers, report.unknown_actions),
            clock=self._clock,
            rng=self._rng,
            report=report,
            redact=self._redact,
        )

    def _end(self, name: str, slots: int, *, of_replay: bool = False) -> LaneSink:
        taps = self.taps.setdefault(name, Taps())
        shared = self._shared.setdefault(name, SharedSink(self._sinks[name], slots, taps))
        return shared.end(slots - 1 if of_replay else None)

    def ring(self) -> None:
        """Say that the spool has new events."""
        for lane in self._lanes.values():
            lane.ring()

    def stop(self) -> None:
        """Let every lane finish what is in flight, and those that are still to be made."""
        self._stopping = True
        for lane in self._lanes.values():
            lane.stop()
        for replays in self._replays.values():
            replays.stop()

    def end(self, names: Iterable[str]) -> None:
        """Let the lanes of these sinks, and their replays, finish what is in flight."""
        for name in names:
            for one in (self._lanes.get(name), self._replays.get(name)):
                if one is not None:
                    one.stop()

    def forget(self, names: Iterable[str]) -> None:
        """Forget sinks whose lanes have ended; who watches one that is begun anew goes on."""
        for name in names:
            for kept in (self._lanes, self._replays, self._shared):
                kept.pop(name, None)

    def use(self, settings: Settings) -> None:
        """Take changed settings for all that is made from now on, and let go of who watches a sink that is gone."""
        self.settings = settings
        looks = Counter(map(look_of, settings.sinks.values()))
        self._bodies = {look: kept for look, kept in self._bodies.items() if looks[look] > 1}
        for name in self.taps.keys() - settings.sinks.keys():
            del self.taps[name]

    def live(self, sink: str) -> OperatedLane | None:
        """Return the lane of a sink, if there is one."""
        return self._lanes.get(sink)

    def _on_paused(self, name: str, words: str) -> None:
        fix = f"To let it deliver again: audit-forwarder lanes resume {name}"
        self.reports[name].turn("paused", self._clock.time(), f"paused {words}", fix)

    def on_lane_changed(self, change: LaneChange) -> None:
        """Tell the log what someone did with a lane."""
        self._log.warning(f"lane_{change.what}", **change.fields())
        report = self.reports.get(change.sink)
        if change.what == "resumed" and report is not None and report.state == "paused":
            report.turn("starting", self._clock.time())  # its next lane says more, and its replays need not wait for it
        self._ring_replays(change.sink)

    def _ring_replays(self, name: str) -> None:
        if (replays := self._replays.get(name)) is not None:
            replays.ring()

    def replay_state(self, replay: Replay) -> tuple[str, str]:
        """Return the state and the reason of a replay that is at work, else nothing."""
        replays = self._replays.get(replay.sink)
        report = replays.report if replays is not None and replays.works_at(replay) else None
        return (report.state, report.reason) if report is not None else ("", "")

    async def cancel_replay(self, replay: Replay, who: str) -> Replay:
        """End one while nothing of it is in flight."""
        return await self._replays[replay.sink].cancel(replay.number, who)

    def on_replay_changed(self, what: str, replay: Replay, who: str) -> None:
        """Tell the log that there is one more replay, or that one was ended."""
        self._log.warning(f"replay_{what}", sink=replay.sink, replay=replay.number, who=who, events=replay.events)
        self._ring_replays(replay.sink)

    def on_letters_changed(self, change: Change) -> None:
        """Tell the log and the lane that someone retried or discarded dead letters."""
        self._log.warning(f"dead_letters_{change.what}", **change.fields())
        name, letters = change.act.lane, len(change.act.numbers)
        if (report := self.reports.get(name)) is not None:
            report.dead_letters -= letters
            report.retried += letters if change.what == "retried" else 0
        if (lane := self._lanes.get(name)) is not None:
            lane.ring()
        self._ring_replays(name)

    async def join_chains(self, spool: Spool, names: Collection[str]) -> None:
        """Tell those of these sinks that prove what they hold whose events they will be sent."""
        chained = [sink for name in names if isinstance(sink := self._sinks[name], IsChained)]
        if chained:
            known = (await spool.status()).id
            for sink in chained:
                sink.belongs_to(known)

    async def name_unclaimed(self, spool: Spool) -> None:
        """Say for which sinks that are no longer configured events wait, and until when."""
        for lane in (await spool.status()).lanes:
            if lane.name not in self._sinks and lane.lag:
                until = iso_ms(lane.forgotten_ms)
                self._log.warning(
                    "lane_not_configured", sink=lane.name, target=lane.target, waiting=lane.lag, forgotten=until
                )
