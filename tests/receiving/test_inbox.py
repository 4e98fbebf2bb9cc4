"""The hand-off of one source that receives: what its sender is told, and the log."""

from __future__ import annotations

from collections import Counter

import pytest
from structlog.testing import capture_logs

from forwarder.contracts import Held, Page, Received, Retryable
from forwarder.contracts.identity import EventKeys
from forwarder.observe.reports import SourceReport
from forwarder.receiving.inbox import EVERY, Inbox
from forwarder.sources.organization.webhook import Pushes
from forwarder.spool.contract import Committed, SpoolError, SpoolFull
from tests.clocks import FakeClock
from tests.receiving.test_organization_webhook import event


class Store:
    """Takes everything, or nothing."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def push(self, page: Page) -> Committed:
        if self.error is not None:
            raise self.error
        return Committed(len(page.bodies), 0, 0, 0, {})


def inbox_of(store: Store, clock: FakeClock, *, shows_state: bool = False) -> Inbox:
    report = SourceReport("acme", "organization", receives=True)
    return Inbox(report, lambda: store, clock, lambda: None, shows_state=shows_state)


def read(body: bytes) -> Received:
    return Pushes(EventKeys("organization", "o")).read(body)


TROUBLES = [SpoolFull("full", fix="f", kind="disk_full"), SpoolError("e"), Held("h", fix="f"), Retryable("r", fix="f")]


@pytest.mark.parametrize("error", TROUBLES, ids=lambda error: type(error).__name__)
async def test_beside_a_stream_the_log_is_told_once_a_minute_of_each_kind_of_trouble(error):
    clock, store = FakeClock(), Store(error)
    inbox = inbox_of(store, clock)
    with capture_logs() as lines:
        for number in range(200):
            store.error = error if number % 2 else None  # it comes and goes
            assert (await inbox.take(read(event("e1")))).status == (503 if number % 2 else 200)
            assert (await inbox.take(read(b"7%d" % number))).status == 422
        assert Counter(line["event"] for line in lines) == {"push_refused": 1, "push_unreadable": 1}
        clock.advance(EVERY)
        store.error = error
        await inbox.take(read(event("e1")))
        assert len(lines) == 3


@pytest.mark.parametrize(
    ("body", "received"),
    [(b"x", 0), (b"[%s, 7]" % event("e1"), 1), (b"[7, 8, 9]", 0), (b"[%s, 7, %s]" % (event("e1"), event("e2")), 2)],
)
async def test_a_sender_is_told_how_many_events_it_brought(body, received):
    answer = await inbox_of(Store(), FakeClock()).take(read(body))
    assert (answer.status, answer.received, answer.new) == (422, received, received)
