"""Sinks that fail on some events, by scripts; a stream that no one answers; and what became of the events."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from structlog.testing import capture_logs

from forwarder.contracts import Batch, ContentRefused, Delivery, Held, Receipt, Retryable
from forwarder.testing.lanes import Bench
from tests.delivery.scripted import ScriptedSink

Answer = Callable[[Batch, int], Any]


def names(batch: Batch) -> list[str]:
    return [record.raw.split(b'"')[3].decode() for record in batch.records]


FAILURES: dict[str, Callable[[], BaseException]] = {
    "reset": lambda: Retryable("the connection ended before the answer came", kind="reset", sent=True),
    "500": lambda: Retryable("the server answers 500", kind="server_error", sent=True),
    "silent": lambda: Retryable("silent for read_timeout", kind="timeout", sent=True),
    "not ours": lambda: Retryable("the answer is a web page", kind="login_page", sent=True, fix="Check url."),
    "firewall": lambda: Held("403 and a web page.", fix="Look at the firewall.", suspect=True),
    "refused": lambda: ContentRefused("http_422", "bad"),
    "bug": lambda: RuntimeError("in the sink"),
}


@asynccontextmanager
async def quiet() -> AsyncIterator[None]:
    """Write no log: that of a fault of a sink holds a picture of the stack, and takes longer than all the rest."""
    with capture_logs():
        yield


def choking_on(*bad: str, how: str = "500") -> Answer:
    """Fail on every batch that holds one of these."""
    return lambda batch, _: FAILURES[how]() if set(names(batch)) & set(bad) else Delivery.all_accepted(batch)


async def letters_of(b: Bench) -> dict[str, str]:
    return {
        letter.raw.split(b'"')[3].decode(): letter.reason for letter in await b.spool.dead_letters("one", limit=1000)
    }


async def in_doubt(b: Bench) -> set[str]:
    return {b.names[seq - 1] for first, last in await b.doubts("one") for seq in range(first, last + 1)}


class Stream(ScriptedSink):
    """A connection that no one answers, and that ends at some events: all that is not confirmed by then is lost."""

    unconfirmed = ("the receiver ends the connection", "Set resend lower.")

    def __init__(self, ends_at: Callable[[str], bool]) -> None:
        super().__init__(self._write)
        self.ends_at = ends_at
        self.lost: set[str] = set()
        self.has: Counter[str] = Counter()

    def _write(self, batch: Batch, n: int) -> Delivery:
        receipt = Receipt(batch.slot, str(n))
        for name in names(batch):
            if self.ends_at(name):
                self.lost.add(receipt.token)
                break
            self.has[name] += 1
        return Delivery(pending=dict.fromkeys(range(len(batch.records)), receipt))

    async def confirm(self, receipts: list[Receipt]) -> dict[Receipt, bool]:
        return {receipt: receipt.token not in self.lost for receipt in receipts}
