"""A lane and its dead letters: the limit that holds it, and what is retried on its way to the sink once more."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from forwarder.contracts import Batch, Delivery, Receipt, Rejection
from forwarder.delivery import settlement
from forwarder.observe.redaction import Redactor
from forwarder.spool.letter import Selection
from forwarder.testing.lanes import bench, event
from tests.delivery.scripted import ScriptedSink


class ConfirmingSink(ScriptedSink):
    """Hands out one receipt a batch."""

    def __init__(self, verdict: dict[str, bool]) -> None:
        super().__init__(lambda batch, n: Delivery(pending={i: Receipt(0, str(n)) for i in range(len(batch.records))}))
        self.verdict = verdict

    async def confirm(self, receipts: list[Receipt]) -> dict[Receipt, bool]:
        return {receipt: self.verdict.get(receipt.token, True) for receipt in receipts}


def but_the_last(batch: Batch, _: int) -> Delivery:
    """Refuse everything but the last of a batch."""
    last = len(batch.records) - 1
    return Delivery(accepted=[last], rejected={n: Rejection("no") for n in range(last)})


async def test_a_lane_stays_held_although_it_looks_into_the_spool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settlement, "RETRY_WRITE", 0.02)
    async with bench(tmp_path) as b:
        sink = ScriptedSink(but_the_last)
        lane = b.start("one", sink, max_dead_letters=3, window=1)
        await b.fill(*(event(f"e{i}") for i in range(8)))
        await b.until(lambda: lane.report.state == "held")
        with capture_logs() as logs:
            for _ in range(3):
                before = lane.report.errors["other"]
                lane.ring()
                await b.until(lambda before=before: lane.report.errors["other"] > before + 1)
        assert lane.report.state == "held"
        assert [line["event"] for line in logs] == []


@pytest.mark.parametrize("discard", [False, True])
async def test_a_held_lane_goes_on_when_letters_are_retried_or_discarded(
    discard: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receiver was fixed meanwhile; what is retried arrives, and nothing else is lost or doubled."""
    monkeypatch.setattr(settlement, "RETRY_WRITE", 0.02)
    async with bench(tmp_path) as b:
        fixed = False

        def answer(batch: Batch, _: int) -> Delivery:
            return Delivery.all_accepted(batch) if fixed else but_the_last(batch, 0)

        sink = ScriptedSink(answer)
        lane = b.start("one", sink, max_dead_letters=3, window=1)
        await b.fill(*(event(f"e{i}") for i in range(6)))
        await b.until(lambda: lane.report.state == "held")
        sink.seen.clear()
        fixed = True
        if discard:
            (act,) = await b.spool.discard_letters("one", Selection(), who="me", words="all")
        else:
            (act,) = await b.spool.retry_letters("one", Selection())
        lane.report.dead_letters -= len(act.numbers)  # as the daemon does
        lane.ring()
        await b.drained("one")
        assert Counter(sink.seen) == Counter([] if discard else ["e0", "e1", "e2"])
        await b.until(lambda: lane.report.well)
        (line,) = await b.spool.books()
        # two of the page were refused before it was fixed, and had been waiting for room
        assert (line.accepted, line.rejected, line.discarded) == ((1, 5, 3) if discard else (4, 2, 0))
        await b.balanced()


async def test_a_retried_letter_is_mapped_anew(tmp_path: Path) -> None:
    """First its event had no meaning; the mapping was fixed, and the same event is delivered."""
    async with bench(tmp_path) as b:
        refusing = ScriptedSink()
        b.start("one", refusing, exclude=[{"action": "x"}])
        await b.fill(b'{"id":"odd","attributes":{"action":["x"]}}', event("e1"))
        await b.drained("one")
        await b.stop("one")
        assert len(await b.spool.dead_letters("one")) == 1
        await b.spool.retry_letters("one", Selection())
        sink = ScriptedSink()
        b.start("one", sink)  # no filter on meaning any more: the format raw needs none
        await b.drained("one")
        assert sink.seen == ["odd"]
        assert await b.spool.dead_letters("one") == []
        await b.balanced()


async def test_letters_that_are_retried_around_a_new_event_are_settled_and_nothing_between_them(tmp_path: Path) -> None:
    """The batch is 1, 4, 3: as many numbers as from 1 to 3, and not these."""
    async with bench(tmp_path) as b:
        refuses = True

        def answer(batch: Batch, _: int) -> Delivery:
            if refuses:
                return Delivery(rejected={0: Rejection("no"), 2: Rejection("no")}, accepted=[1])
            return Delivery.all_accepted(batch)

        sink = ScriptedSink(answer)
        lane = b.start("one", sink, window=1, batch={"events": 3, "wait": 600})
        await b.fill(*(event(f"e{i}") for i in range(3)))
        await b.drained("one")
        first, second = [letter.number for letter in await b.spool.dead_letters("one")]
        refuses = False
        await b.spool.retry_letters("one", Selection(numbers=(first,)))
        lane.ring()
        await b.until(lambda: len(lane._ready) == 1)
        await b.fill(event("e3"))
        lane.ring()
        await b.until(lambda: len(lane._ready) == 2)
        await b.spool.retry_letters("one", Selection(numbers=(second,)))
        lane.ring()
        await b.until(lambda: lane.report.accepted == 4)
        assert sink.batches[-1] == [1, 4, 3]
        await b.drained("one")
        assert await b.spool.dead_letters("one") == []
        (line,) = await b.spool.books()
        assert (line.accepted, line.rejected, line.waiting) == (4, 0, 0)
        await b.balanced()


async def test_a_retried_letter_is_confirmed_like_any_record(tmp_path: Path) -> None:
    """A promise that is broken is read from the letter, for its page is gone."""
    async with bench(tmp_path, retain=0) as b:
        refusing = ScriptedSink(lambda batch, _: Delivery(rejected={0: Rejection("no")}, accepted=[1]))
        b.start("one", refusing, batch={"events": 2, "wait": 0.05})
        await b.fill(event("e0"), event("e1"))
        await b.drained("one")
        await b.stop("one")
        while (await b.spool.status()).pages:
            await b.spool.clean_up()
        await b.spool.retry_letters("one", Selection())
        sink = ConfirmingSink({"1": False})
        lane = b.start("one", sink)
        await b.drained("one")
        assert sink.seen == ["e0", "e0"]
        assert lane.report.resent == 1
        assert await b.doubts("one") == [(1, 1)]
        assert await b.spool.dead_letters("one") == []
        await b.balanced()


async def test_a_secret_that_a_sink_quotes_is_in_no_dead_letter(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        quoting = ScriptedSink(
            lambda batch, _: Delivery(rejected={0: Rejection("no", "you sent Authorization: Splunk planted-secret")})
        )
        b.redact = Redactor(lambda: ["planted-secret"]).text
        b.start("one", quoting)
        await b.fill(event("e0"))
        await b.drained("one")
        (letter,) = await b.spool.dead_letters("one")
        assert "planted-secret" not in letter.detail
        assert letter.detail.startswith("you sent Authorization")
