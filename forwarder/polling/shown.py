"""What a person sees of a source that is followed: its state, and the counts of what was read."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from forwarder.contracts import Clock, Page
from forwarder.net.retry import RequestBudget
from forwarder.observe.reports import ComponentState, SourceReport
from forwarder.polling.complaints import Complaint
from forwarder.polling.plan import REREAD, TAIL, Plan
from forwarder.spool.contract import Committed


class Shown:
    """Keeps the report of one source.

    Args:
        report: What is kept.
        plan: How each cursor is doing.
        budget: How often it may be asked.
        clock: Wall time.
    """

    def __init__(self, report: SourceReport, plan: Plan, budget: RequestBudget, clock: Clock) -> None:
        self.report = report
        self._plan = plan
        self._budget = budget
        self._clock = clock
        self._log = structlog.get_logger().bind(source=report.name)

    def turn(self, state: ComponentState, reason: str = "", fix: str = "") -> bool:
        """Set the state; return True when that is news."""
        return self.report.turn(state, self._clock.time(), reason, fix)

    def worst(self, walks: Sequence[str], *, at_tip: bool) -> None:
        """Show the worst of the cursors that are at work."""
        self.report.cursors = tuple(walks)
        if at_tip and not self._plan[TAIL].state:
            self.report.tip_reached = self.report.last_good_poll
        worst = self._plan.worst(walks)
        if worst is None:
            self.turn("idle" if at_tip and list(walks) == [TAIL] else "working")
            return
        name, course = worst
        where = "" if name == TAIL else f" (cursor {name})"
        self.turn(course.state or "working", course.reason + where, course.fix)

    def complain(self, name: str, complaint: Complaint) -> None:
        """Note what is wrong with a cursor."""
        state, reason, fix = complaint.state, complaint.reason, complaint.fix
        if complaint.kind:
            self.report.errors[complaint.kind] += 1
        if self._plan[name].complain(state, reason, fix):
            self._log.warning("source_degraded", cursor=name, state=state, reason=reason, fix=fix)

    def answered(self) -> None:
        """Note that the source gave a page."""
        self.report.last_good_poll = self._clock.time()
        self.measure()

    def measure(self) -> None:
        """Note what is known of the budget."""
        self.report.requests_per_minute = self._budget.per_minute
        self.report.budget_remaining = -1.0 if self._budget.remaining is None else self._budget.remaining

    def failed(self, wait: float) -> None:
        """Note that it is tried again after so many seconds."""
        self.measure()
        self.report.failed(self._clock.time(), max(wait, self._budget.blocked()))

    def count(self, name: str, page: Page, done: Committed, high_ms: int) -> None:
        """Count a page that is durable, and of how far its walk has come, epoch milliseconds."""
        report, new = self.report, done.new
        report.pages += bool(page.bodies)
        report.events += len(page.bodies)
        report.derived_ids += done.derived
        report.late_beyond_overlap += page.late if new else 0
        report.newest_event = max(report.newest_event, high_ms / 1000)
        report.spooled += new
        report.repeats += done.repeats
        report.revisions += done.revisions
        report.late_found += new if name == REREAD else 0
