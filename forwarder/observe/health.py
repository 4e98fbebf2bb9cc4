"""Live, ready, degraded: three questions with three answers.

* Live: the event loop and the spool's thread turn. If not, only a restart helps.
* Ready: configuration loaded, spool open, tasks running, not draining.
* Degraded: a component waits for another's server, or for a person to fix something. Degraded stays ready,
  because a restart or a missing endpoint would fix nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forwarder.observe.reports import DaemonReport


def why_not_live(report: DaemonReport, now: float, within: float) -> list[str]:
    """Return what has not turned within `within` seconds of `now`, by the monotonic clock: the other one jumps.

    A moment of 0 means that the first turn is still to come, such as while the spool is opened: that is start-up, and
    readiness speaks of it.
    """
    turns = {"the event loop": report.loop_alive, "the spool's thread": report.spool_alive}
    return [
        f"{what} has not turned for {now - last:.0f} s" for what, last in turns.items() if last and now - last > within
    ]


def why_not_ready(report: DaemonReport) -> list[str]:
    """Return the reasons; none when ready, degraded or not."""
    reasons = []
    if report.draining:
        reasons.append("draining before the stop")
    if report.spool is None:
        reasons.append("the spool is not open")
    components = [("source", source) for source in report.sources] + [("sink", lane) for lane in report.lanes]
    reasons += [f"{kind} {component.name} is stopped" for kind, component in components if component.state == "stopped"]
    if components and all(component.state == "starting" for _, component in components):
        reasons.append("no task has begun yet")
    return reasons


def why_degraded(report: DaemonReport) -> list[str]:
    """Return one sentence per component that is not well."""
    components = [("source", source) for source in report.sources] + [("sink", lane) for lane in report.lanes]
    return [
        f"{kind} {component.name} is {component.state}" + (f": {component.reason}" if component.reason else "")
        for kind, component in components
        if not component.well
    ]
