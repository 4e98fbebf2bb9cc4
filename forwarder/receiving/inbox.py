"""What came in one request becomes durable, and then the request is answered: in the daemon's loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import msgspec

from forwarder.contracts import Clock, Held, Page, Received, Retryable
from forwarder.contracts.log import get_logger
from forwarder.observe.reports import ComponentState, SourceReport
from forwarder.spool.contract import Committed, SpoolError, SpoolFull

AGAIN = 30
"""Seconds after which a sender may try again, when we cannot take anything."""

EVERY = 60.0
"""Seconds between two lines of the log about one kind of refusal."""


class Answer(msgspec.Struct, frozen=True):
    """What a request is answered, as HTTP status and JSON.

    Attributes:
        reason: Why it was refused, or empty.
        received: How many events it brought.
        new: How many of them were not known.
        retry_after: Seconds after which it may come again; 0: not said.
        refusal: The label under which a refusal is counted.
    """

    status: int
    reason: str = ""
    received: int = 0
    new: int = 0
    retry_after: int = 0
    refusal: str = ""


class Stores(Protocol):
    """Who may write events of a source into the spool."""

    async def push(self, page: Page) -> Committed:
        """Make it durable; no cursor moves. Raises Retryable, Held or SpoolError."""
        ...


class Inbox:
    """The hand-off of one source that receives.

    Args:
        report: What is shown of the source.
        store: Gives who writes now, or None before the start.
        clock: Wall time.
        announce: Called when there is something new.
        shows_state: Whether nobody else says how the source is.
    """

    def __init__(
        self,
        report: SourceReport,
        store: Callable[[], Stores | None],
        clock: Clock,
        announce: Callable[[], None],
        *,
        shows_state: bool,
    ) -> None:
        self._report = report
        self._store = store
        self._clock = clock
        self._announce = announce
        self._shows_state = shows_state
        self._logged_at: dict[str, float] = {}  # each kind of trouble, and when
        self._log = get_logger().bind(source=report.name)

    async def take(self, found: Received | Held) -> Answer:
        """Store what came, or say why nothing can be taken now. Raises nothing that the sender is to blame for."""
        if isinstance(found, Held):
            return self._refuse(found)
        store = self._store()
        if store is None:
            return Answer(503, "it is starting", retry_after=AGAIN, refusal="unavailable")
        page = found.page
        try:
            done = await store.push(page) if page.bodies else None
        except (Retryable, Held, SpoolError) as error:
            return self._refuse(error)
        report, new = self._report, done.new if done is not None else 0
        report.last_received = self._clock.time()
        if done is not None:
            count_pushed(report, page, done)
        if new:
            self._announce()
        if found.unreadable:
            self._say_unreadable(found)
            events = len(page.bodies) - found.unreadable if found.events is None else found.events
            return Answer(422, found.reason, events, new, refusal="unreadable")
        report.received += 1
        if self._shows_state:
            self._report.turn("idle", self._clock.time())
        return Answer(200, received=len(page.bodies), new=new)

    def _say_unreadable(self, found: Received) -> None:
        reason = f"what came last could not be read: {found.reason}"
        fix = "Look at the dead letter of it; see that only this product sends to this path."
        self._report.errors["not_json"] += 1
        if self._is_news("not_json", "held", reason, fix):
            self._log.warning("push_unreadable", reason=found.reason, parts=found.unreadable, fix=fix)

    def _refuse(self, error: Retryable | Held | SpoolError) -> Answer:
        state, reason, fix = trouble_of(error)
        kind = getattr(error, "kind", "other")
        self._report.errors[kind] += 1
        if self._is_news(kind, state, reason, fix):
            self._log.warning("push_refused", state=state, reason=reason, fix=fix)
        words = "the spool is full" if isinstance(error, SpoolFull) else "nothing can be stored now"
        return Answer(503, words, retry_after=AGAIN, refusal="unavailable")

    def _is_news(self, kind: str, state: ComponentState, reason: str, fix: str) -> bool:
        """Show a trouble; return whether it belongs in the log: without a state, each kind once a minute."""
        if self._shows_state:
            return self._report.turn(state, self._clock.time(), reason, fix)
        now = self._clock.monotonic()
        if now - self._logged_at.get(kind, -math.inf) < EVERY:
            return False
        self._logged_at[kind] = now
        return True


def trouble_of(error: Retryable | Held | SpoolError) -> tuple[ComponentState, str, str]:
    """Return the state of a source whose events cannot be stored, the reason, and the fix."""
    state: ComponentState = "retrying" if isinstance(error, Retryable) else "held"
    if isinstance(error, SpoolFull):
        state = "paused"
    return state, getattr(error, "reason", str(error)), getattr(error, "fix", "")


def count_pushed(report: SourceReport, page: Page, done: Committed) -> None:
    """Count what is durable."""
    report.pages += 1
    report.events += len(page.bodies)
    report.spooled += done.new
    report.repeats += done.repeats
    report.revisions += done.revisions
    report.derived_ids += done.derived
    report.newest_event = max(report.newest_event, (page.newest or 0) / 1000)
