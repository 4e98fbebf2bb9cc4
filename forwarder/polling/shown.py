"""What a person sees of a source that is followed: its state, and the counts of what was read."""

from __future__ import annotations

from collections.abc import Sequence

from forwarder.contracts import Clock, Page
from forwarder.contracts.log import get_logger
from forwarder.net.retry import RequestBudget
from forwarder.observe.reports import ComponentState, ReaderReport, SourceReport
from forwarder.polling.asking import Asker
from forwarder.polling.complaints import Complaint
from forwarder.polling.cursors import Cursors
from forwarder.polling.outlook import Outlook
from forwarder.polling.plan import RECONCILE, REREAD, TAIL, Plan
from forwarder.polling.shares import READERS, least_share, reader_of
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
        self._outlook = Outlook(clock)
        self._asker: Asker | None = None
        self._store: Cursors | None = None
        self._log = get_logger().bind(source=report.name)

    def follow(self, asker: Asker, store: Cursors) -> None:
        """Show from now on what the walks of a source have before them, and who asks how often."""
        self._asker, self._store = asker, store
        self.report.requests_by_reader.update(dict.fromkeys(READERS, 0))

    def turn(self, state: ComponentState, reason: str = "", fix: str = "") -> bool:
        """Set the state; return True when that is news."""
        return self.report.turn(state, self._clock.time(), reason, fix)

    def worst(self, walks: Sequence[str], *, at_tip: bool) -> None:
        """Show the worst of the cursors that are at work."""
        self.report.cursors = tuple(walks)
        self.measure()
        self._measure_walks()
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

    def measure(self) -> None:
        """Note what is known of the budget."""
        self.report.requests_per_minute = self._budget.per_minute
        self.report.budget_remaining = -1.0 if self._budget.remaining is None else self._budget.remaining
        if (seen := self._budget.seen.get(self.report.name)) is not None:
            self.report.limit, self.report.foreign_limits = seen.limit, seen.foreign
            self.report.others_requests, self.report.others_share = seen.others, seen.others_part

    def _measure_walks(self) -> None:
        """Note what each walk has had and has yet to read."""
        if self._asker is None or self._store is None:
            return
        names = self._store.open_walks()
        self._outlook.keep(set(names))
        self.report.readers = tuple(self._reader(name, self._asker, self._store.ahead(name)) for name in names)
        made = self._store.rereads
        self.report.reread_stretch, self.report.reread_period = made.stretch, made.period
        self.report.reread_left_out = made.left_out

    def _reader(self, name: str, asker: Asker, ahead: tuple[int, int] | None) -> ReaderReport:
        reader, log_left, left = reader_of(name), None, None
        if ahead is not None:
            log_left, left = max(0.0, (ahead[1] - ahead[0]) / 1000), self._outlook.seconds_left(name, *ahead)
        return ReaderReport(name, reader, least_share(reader), asker.share(name), log_left, left)

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
        report.compared += len(page.bodies) if name == RECONCILE else 0
        report.recovered += new if name == RECONCILE else 0
