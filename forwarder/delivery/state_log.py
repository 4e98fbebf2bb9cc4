"""How a lane is: its report says it, and what is new of it is a line of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from forwarder.contracts.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from forwarder.contracts import Clock, ErrorKind
    from forwarder.observe.reports import LaneReport


class StateLog:
    """Writes the state of one lane.

    Args:
        report: Of the lane.
        clock: Time.
        redact: Takes secrets out of what a sink answered.
    """

    def __init__(self, report: LaneReport, clock: Clock, redact: Callable[[str], str]) -> None:
        self._report = report
        self._clock = clock
        self._redact = redact
        self._log = get_logger().bind(sink=report.name)

    def turn(self, state: Literal["working", "idle", "retrying", "held"], reason: str = "", fix: str = "") -> None:
        """Say how it is; a state and a reason that are new are a line of the log."""
        was, reason = self._report.state, self._redact(reason)
        if not self._report.turn(state, self._clock.time(), reason, fix):
            return
        if self._report.well:
            self._report.tries = 0
        if reason:
            self._log.warning("sink_degraded", state=state, reason=reason, fix=fix)
        elif was in {"retrying", "held"}:
            self._log.info("sink_recovered")

    def hold(self, reason: str, fix: str, kind: ErrorKind) -> None:
        """Say that a person must act before it goes on."""
        self._report.errors[kind] += 1
        self.turn("held", reason, fix)
