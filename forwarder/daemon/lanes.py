"""The lanes of the daemon: made of the settings, rung together, and told of what people do with them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import structlog

from forwarder.assembly import build_maker
from forwarder.delivery import Lane, OperatedLane

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from forwarder.admin.dead_letters import Change
    from forwarder.config.settings import Settings
    from forwarder.contracts import Clock, Sink
    from forwarder.observe.reports import LaneReport
    from forwarder.records.filters import Filter
    from forwarder.records.normalizers import Normalizers
    from forwarder.records.places import Unrouted
    from forwarder.spool.contract import Spool


class Lanes:
    """One lane for each sink.

    Args:
        settings: Of the daemon.
        sinks: Built, by name; filled before a lane is made.
        reports: Of the lanes, by name; filled before a lane is made.
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
        self._settings = settings
        self._sinks = sinks
        self._reports = reports
        self._filters = filters
        self._normalizers = normalizers
        self._unrouted = unrouted
        self._clock = clock
        self._rng = rng
        self._redact = redact
        self._lanes: dict[str, OperatedLane] = {}
        self._stopping = False
        self._log = structlog.get_logger()

    def make(self, name: str, spool: Spool) -> OperatedLane:
        """Make the lane of a sink; it takes the place of one that failed."""
        self._lanes[name] = lane = OperatedLane(partial(self._lane, name, spool))
        if self._stopping:
            lane.stop()
        return lane

    def _lane(self, name: str, spool: Spool) -> Lane:
        config, report, sink = self._settings.sinks[name], self._reports[name], self._sinks[name]
        return Lane(
            name,
            sink,
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
            ),
            clock=self._clock,
            rng=self._rng,
            report=report,
            redact=self._redact,
        )

    def ring(self) -> None:
        """Say that the spool has new events."""
        for lane in self._lanes.values():
            lane.ring()

    def stop(self) -> None:
        """Let every lane finish what is in flight, and those that are still to be made."""
        self._stopping = True
        for lane in self._lanes.values():
            lane.stop()

    def on_letters_changed(self, change: Change) -> None:
        """Tell the log and the lane that someone retried or discarded dead letters."""
        self._log.warning(f"dead_letters_{change.what}", **change.fields())
        name, letters = change.act.lane, len(change.act.numbers)
        if (report := self._reports.get(name)) is not None:
            report.dead_letters -= letters
            report.retried += letters if change.what == "retried" else 0
        if (lane := self._lanes.get(name)) is not None:
            lane.ring()

    async def name_unclaimed(self, spool: Spool) -> None:
        """Say for which sinks that are no longer configured events wait, and until when."""
        for lane in (await spool.status()).lanes:
            if lane.name not in self._sinks and lane.lag:
                until = datetime.fromtimestamp((lane.forgotten_ms or 0) / 1000, UTC).isoformat(timespec="seconds")
                self._log.warning(
                    "lane_not_configured", sink=lane.name, target=lane.target, waiting=lane.lag, forgotten=until
                )
