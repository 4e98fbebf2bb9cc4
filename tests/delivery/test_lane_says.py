"""What a lane says and does where nothing fails outright: confirmations that do not come, refusals nothing compares with."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from forwarder.contracts import AuthFailed, Batch, Delivery, Held, Receipt, Rejection, Retryable
from forwarder.testing.lanes import bench, event
from tests.choking import FAILURES, choking_on, in_doubt, letters_of, names, quiet
from tests.delivery.scripted import ScriptedSink


class Promising(ScriptedSink):
    """Promises everything, and answers the question as it is told."""

    def __init__(self) -> None:
        super().__init__(
            lambda batch, n: Delivery(pending=dict.fromkeys(range(len(batch.records)), Receipt(batch.slot, str(n))))
        )
        self.asked = 0
        self.verdict: Any = None  # for every receipt; an exception is raised

    async def confirm(self, receipts: list[Receipt]) -> dict[Receipt, bool]:
        self.asked += 1
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return {} if self.verdict is None else dict.fromkeys(receipts, self.verdict)


@pytest.mark.parametrize(
    "error",
    [Retryable("503 from the indexers", kind="server_error"), Held("no right to ask", fix="Give it.", kind="other")],
)
async def test_a_question_about_promises_that_fails_is_said_counted_and_asked_again(
    error: Exception, tmp_path: Path
) -> None:
    async with bench(tmp_path) as b:
        sink = Promising()
        sink.verdict = error
        lane = b.start("one", sink)
        await b.fill(event("a"), event("b"))
        await b.until(lambda: lane.report.errors.total() >= 3)
        assert lane.report.state == "retrying"
        assert lane.report.reason == f"confirmations cannot be asked for: {error}"
        assert set(lane.report.errors) == {error.kind}  # type: ignore[attr-defined]
        assert (lane.report.pending, lane.report.accepted, lane.report.doubtful, sink.sends) == (1, 0, 0, 1)
        sink.verdict = True
        await b.drained("one")
        await b.until(lambda: lane.report.well)
        assert sink.seen == ["a", "b"]


async def test_a_promise_that_was_broken_is_said_until_it_is_kept(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = Promising()
        sink.verdict = False
        lane = b.start("one", sink)
        await b.fill(event("a"))
        await b.until(lambda: lane.report.state == "retrying")
        assert "not confirmed, and is sent again" in lane.report.reason
        sink.verdict = True
        await b.drained("one")
        await b.until(lambda: lane.report.state == "idle")
        assert lane.report.reason == ""
        assert await in_doubt(b) == {"a"}


async def test_a_lane_that_stops_asks_once_more_and_sends_nothing_again_that_is_confirmed_then(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = Promising()
        lane = b.start("one", sink, confirm_every=3600)
        await b.fill(event("a"), event("b"))
        await b.until(lambda: lane.report.pending == 1 and lane.report.in_flight == 0)
        assert sink.asked == 0
        sink.verdict = True
        await b.stop("one")
        assert sink.asked == 1
        assert (lane.report.accepted, lane.report.pending, lane.report.state) == (2, 0, "stopped")
        (line,) = await b.spool.books()
        assert (line.accepted, line.waiting) == (2, 0)
        lane = b.start("one", ScriptedSink())
        await b.fill(event("c"))
        await b.drained("one")
        assert lane.report.doubtful == 0


async def test_a_lane_that_stops_does_not_wait_long_for_its_last_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forwarder.delivery.lane.LAST_QUESTION", 0.01)
    async with bench(tmp_path) as b:
        sink, asked = Promising(), asyncio.Event()

        async def silent(_: list[Receipt]) -> dict[Receipt, bool]:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

        sink.confirm = silent  # type: ignore[method-assign]
        lane = b.start("one", sink, confirm_every=3600)
        await b.fill(event("a"))
        await b.until(lambda: lane.report.pending == 1 and lane.report.in_flight == 0)
        await b.stop("one")
        assert asked.is_set()
        lane = b.start("one", ScriptedSink())
        await b.drained("one")
        assert lane.report.doubtful == 1, "it was promised, and nobody knows"
        await b.balanced()


async def test_what_was_promised_in_vain_and_then_refused_is_no_trouble_any_more(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = Promising()
        promise = sink.answer
        sink.verdict = False

        def refuse_once_lost(batch: Batch, number: int) -> Any:
            if number == 1:
                return promise(batch, number)
            bad = {n: Rejection("no") for n, name in enumerate(names(batch)) if name == "bad"}
            return Delivery(accepted=[n for n in range(len(batch.records)) if n not in bad], rejected=bad)

        sink.answer = refuse_once_lost
        lane = b.start("one", sink, window=1)
        await b.fill(event("good"), event("bad"))
        await b.drained("one")
        assert await letters_of(b) == {"bad": "no"}
        sink.answer = promise
        sink.verdict = True
        await b.fill(event("later"))
        await b.drained("one")
        # accepted and rejected ones alike are decided; only what nobody decided may be called unconfirmed
        await b.until(lambda: lane.report.errors["unconfirmed"] == 1)


# ------------------------------------------------------------------------------------ refusals nothing compares with


def refuse(*bad: str, reason: str = "no") -> Any:
    def answer(batch: Batch, _: int) -> Delivery:
        rejected = {n: Rejection(reason, "its words") for n, name in enumerate(names(batch)) if name in bad}
        return Delivery(accepted=[n for n in range(len(batch.records)) if n not in rejected], rejected=rejected)

    return answer


async def test_a_lone_refused_event_is_believed_only_when_it_was_refused_several_times(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(refuse("bad"))
        lane = b.start("one", sink, window=1)
        await b.fill(event("bad"))
        await b.until(lambda: lane.report.dead_letters == 1)
        assert sink.batches == [[1]] * 4, "three failures, and the fourth is believed"
        await b.drained("one")
        assert await letters_of(b) == {"bad": "no"}
        await b.until(lambda: lane.report.well)


async def test_after_anything_was_taken_a_lone_refused_event_is_believed_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(refuse("bad1", "bad2", "bad3"))
        lane = b.start("one", sink, window=1)
        for number, name in enumerate(("bad1", "good", "bad2"), 1):
            await b.fill(event(name))
            await b.until(lambda number=number: lane.report.rejected + lane.report.accepted == number)
        await b.fill(event("bad3"))
        tries = len(sink.batches)
        await b.until(lambda: len(sink.batches) > tries + 8)
        assert lane.report.rejected == 2, "the second in a row, with nothing taken between, is not believed"
        assert lane.report.state == "held"
        assert "refuses everything alike" in lane.report.reason
        assert "no (its words)" in lane.report.reason
        assert lane.report.fix


async def test_two_refused_events_are_not_believed_although_each_is_refused_alone(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(refuse("bad1", "bad2"))
        lane = b.start("one", sink, window=1)
        await b.fill(event("bad1"), event("bad2"))
        await b.until(lambda: len(sink.batches) >= 15)
        assert lane.report.rejected == 0
        await b.fill(event("good"))
        await b.drained("one")
        assert set(await letters_of(b)) == {"bad1", "bad2"}


async def test_a_refused_event_is_not_believed_while_another_slot_is_in_trouble(tmp_path: Path) -> None:
    """Two slots, each with one event that is refused: they are compared with nothing."""
    async with bench(tmp_path) as b:
        sink = ScriptedSink(refuse("bad1", "bad2"))
        lane = b.start("one", sink, window=2, batch={"events": 1, "wait": 0})
        await b.fill(event("bad1"), event("bad2"))
        await b.until(lambda: len(sink.batches) >= 20)
        assert lane.report.rejected == 0
        sink.answer = lambda batch, _: Delivery.all_accepted(batch)
        await b.drained("one")
        assert lane.report.accepted == 2


async def test_an_event_refused_together_with_others_left_keeps_the_others(tmp_path: Path) -> None:
    """An answer that refuses some and keeps the rest, and takes nothing: believed once another was taken."""
    async with bench(tmp_path) as b:

        def answer(batch: Batch, _: int) -> Delivery:
            bad = [n for n, name in enumerate(names(batch)) if name == "bad"]
            if not bad:
                return Delivery.all_accepted(batch)
            kept = [n for n in range(len(batch.records)) if n not in bad]
            return Delivery(rejected={n: Rejection("no") for n in bad}, kept=kept)

        sink = ScriptedSink(answer)
        lane = b.start("one", sink, window=1)
        await b.fill(event("e1"), event("bad"), event("e2"))
        await b.until(lambda: lane.report.tries >= 1)
        await b.fill(event("later"))
        await b.drained("one")
        assert await letters_of(b) == {"bad": "no"}
        assert lane.report.accepted == 3


@pytest.mark.parametrize("events", [1, 2])
async def test_that_nothing_waits_behind_is_said_only_where_that_is_so(tmp_path: Path, events: int) -> None:
    """A refusal that may be of one event's text, and nothing, or another event, to compare it with."""
    async with bench(tmp_path) as b:
        reasons: list[str] = []

        def answer(batch: Batch, _: int) -> Held:
            reasons.append(lane.report.reason)
            return Held("A firewall refuses.", fix="See its log.", kind="forbidden", suspect=True)

        sink = ScriptedSink(answer)
        lane = b.start("one", sink, window=1, batch={"events": 1, "wait": 0})
        await b.fill(*(event(f"e{n}") for n in range(events)))
        await b.until(lambda: len(reasons) >= 12)
        assert lane.report.state == "held"
        said = [reason for reason in reasons if "nothing waits behind" in reason]
        assert bool(said) is (events == 1)
        if said:
            assert said[-1].startswith("A firewall refuses; nothing waits behind event 1 (id ")
        sink.answer = lambda batch, _: Delivery.all_accepted(batch)
        await b.drained("one")


# -------------------------------------------------------------------------------------------------- who is in trouble


async def test_one_slot_in_trouble_keeps_the_lane_from_being_called_well(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(
            lambda batch, _: Retryable("x", kind="connection") if "e0" in names(batch) else Delivery.all_accepted(batch)
        )
        lane = b.start("one", sink, window=2, batch={"events": 1, "wait": 0})
        await b.fill(event("e0"))
        await b.until(lambda: lane.report.tries >= 2)
        for number in range(1, 6):
            await b.fill(event(f"e{number}"))
            await b.until(lambda number=number: lane.report.accepted == number)
            assert (lane.report.state, lane.report.reason) == ("retrying", "x")
        sink.answer = lambda batch, _: Delivery.all_accepted(batch)
        await b.drained("one")
        await b.until(lambda: lane.report.state == "idle")


async def test_an_event_apart_that_is_taken_in_the_end_leaves_a_lane_that_is_well(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(choking_on("e3"))
        lane = b.start("one", sink, patience=0.4, window=1)
        await b.fill(*(event(f"e{n}") for n in range(6)))
        await b.until(lambda: len(lane.report.aside) == 1 and lane.report.accepted == 5)
        await b.until(lambda: lane.report.state == "retrying" and "waits apart" in lane.report.reason)
        await b.until(lambda: lane.report.next_try > 0)  # a person sees when it is tried again
        resent, errors = lane.report.resent, lane.report.errors.total()
        await b.until(lambda: lane.report.errors.total() > errors or lane.report.dead_letters > 0)
        assert lane.report.resent > resent
        await b.drained("one")
        await b.until(lambda: lane.report.state == "idle")
        assert lane.report.aside == ()
        assert (lane.report.accepted, lane.report.rejected) == (5, 1)


# ------------------------------------------------------------------------------------------------- how long it waits


@pytest.mark.parametrize(
    ("error", "least", "most"),
    [
        (AuthFailed("refused", fix="new key"), 0.0, 5.0),
        (Held("no template", fix="setup", kind="setup_missing"), 10.0, 100.0),
        (Retryable("busy", kind="rate_limited", retry_after=150.0), 149.0, 200.0),
        (Retryable("busy", kind="rate_limited", retry_after=5000.0), 199.0, 200.0),
        (Retryable("reset", kind="reset"), 10.0, 100.0),
        (RuntimeError("a bug"), 10.0, 100.0),
    ],
    ids=["credential", "held", "asked to wait", "asked to wait too long", "reset", "bug"],
)
async def test_the_wait_is_the_back_off_or_what_was_asked_for_and_never_longer_than_the_longest(
    error: Exception, least: float, most: float, tmp_path: Path
) -> None:
    async with bench(tmp_path) as b, quiet():
        lane = b.start("one", ScriptedSink(lambda *_: error), window=1, retry={"base": 100, "max": 200})
        await b.fill(event("a"), event("b"))
        await b.until(lambda: lane.report.next_try > 0)
        assert least - 1 <= lane.report.next_try - time.time() <= most
        assert (lane.report.tries, lane.report.resent, lane.report.in_flight) == (1, 0, 1)
        await b.stop("one")
        assert lane.report.next_try == 0.0
        assert (lane.report.resent, lane.report.errors.total()) == (0, 1), "a stop is no try"


async def test_of_two_slots_that_wait_the_sooner_try_is_told(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        waits = {"long": 900.0, "short": 300.0}
        sink = ScriptedSink(lambda batch, _: Retryable("x", kind="connection", retry_after=waits[names(batch)[0]]))
        lane = b.start("one", sink, window=2, batch={"events": 1, "wait": 0}, retry={"base": 1, "max": 1000})
        await b.fill(event("long"), event("short"))
        await b.until(lambda: lane.report.tries == 2 and lane.report.next_try > 0)
        assert 250 < lane.report.next_try - time.time() <= 301


async def test_what_is_asked_of_a_success_is_a_rest_and_no_trouble(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        rests = [3600.0]
        sink = ScriptedSink(
            lambda batch, _: Delivery(accepted=range(len(batch.records)), retry_after=rests.pop() if rests else None)
        )
        lane = b.start("one", sink, window=1, retry={"base": 0.01, "max": 0.05})
        await b.fill(event("a"))
        await b.drained("one")
        await b.fill(event("b"))
        await b.drained("one")
        assert (lane.report.tries, lane.report.errors.total(), lane.report.accepted) == (0, 0, 2)


@pytest.mark.parametrize("sent", [False, True])
async def test_each_failure_counts_a_try_an_error_and_what_is_sent_again(sent: bool, tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        answers: list[Any] = [Retryable("x", kind="reset", sent=sent)] * 2
        sink = ScriptedSink(lambda batch, _: answers.pop() if answers else Delivery.all_accepted(batch))
        lane = b.start("one", sink, window=1)
        await b.fill(*(event(f"e{n}") for n in range(3)))
        await b.drained("one")
        report = lane.report
        assert (report.resent, report.doubtful, report.batches) == (6, 6 if sent else 0, 1)
        assert dict(report.errors) == {"reset": 2}
        assert sink.batches == [[1, 2, 3]] * 3


async def test_a_fault_of_the_sink_may_have_been_sent_and_a_cancelled_send_of_ours_ends(tmp_path: Path) -> None:
    async with bench(tmp_path) as b, quiet():
        faults: list[Any] = [RuntimeError("a bug"), asyncio.CancelledError(), None]
        sink = ScriptedSink(lambda batch, _: faults.pop(0) if faults else Delivery.all_accepted(batch))
        lane = b.start("one", sink, window=1)
        await b.fill(event("a"), event("b"))
        await b.drained("one")
        assert lane.report.errors["other"] == 3
        assert lane.report.doubtful == 6
        assert await in_doubt(b) == {"a", "b"}


@pytest.mark.parametrize("breaks", [1, 2, 3])
async def test_what_is_lost_at_the_last_question_is_in_doubt_for_the_next_life(breaks: int, tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = Promising()
        broken = 0

        async def confirm(receipts: list[Receipt]) -> dict[Receipt, bool]:
            nonlocal broken
            if broken + 1 < breaks or lane.stopped.is_set():
                broken += 1
                return dict.fromkeys(receipts, False)
            return {}

        sink.confirm = confirm  # type: ignore[method-assign]
        lane = b.start("one", sink)
        await b.fill(event("a"), event("b"))
        await b.until(lambda: broken == breaks - 1 and sink.sends == breaks and lane.report.in_flight == 0)
        await b.stop("one")
        assert broken == breaks
        lane = b.start("one", ScriptedSink())
        await b.drained("one")
        assert lane.report.doubtful == 2
        await b.balanced()


async def test_a_stop_while_it_is_troubled_says_stopped_and_nothing_of_the_sink(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(lambda *_: Retryable("x", kind="connection"))
        lane = b.start("one", sink, window=1, retry={"base": 1000, "max": 2000})
        await b.fill(event("a"))
        await b.until(lambda: lane.report.state == "retrying" and lane.report.next_try > 0)
        with capture_logs() as logs:
            await b.stop("one")
        assert lane.report.state == "stopped"
        assert "sink_recovered" not in [line["event"] for line in logs]
        lane = b.start("one", ScriptedSink())
        await b.drained("one")
        assert lane.report.doubtful == 0, "it was not sent"


# ------------------------------------------------------------------------------------- while others are on their way


async def test_what_failed_before_the_sink_took_others_is_asked_whole_once_more(tmp_path: Path) -> None:
    """The second failure says nothing: the sink may have been in trouble itself until it took the other batch."""
    async with bench(tmp_path) as b:
        go_on = asyncio.Event()
        failures = 0

        async def answer(batch: Batch) -> Any:
            nonlocal failures
            if not {"bad", "e1"} <= set(names(batch)):
                return FAILURES["500"]() if "bad" in names(batch) else Delivery.all_accepted(batch)
            failures += 1
            if failures == 2:
                await go_on.wait()
            return FAILURES["500"]()

        sink = ScriptedSink(lambda batch, _: answer(batch))
        lane = b.start("one", sink, window=2, batch={"events": 2, "wait": 0}, patience=0.01)
        await b.fill(event("bad"), event("e1"))
        await b.until(lambda: failures == 2)
        await b.fill(event("e2"), event("e3"))
        await b.until(lambda: lane.report.accepted == 2)
        go_on.set()
        await b.drained("one")
        assert sink.batches.count([1, 2]) == 4, "one that does not count, and three that do"
        assert await letters_of(b) == {"bad": "not_taken"}


async def test_a_slot_that_waits_goes_on_as_soon_as_the_sink_takes_anything(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        gate = asyncio.Event()

        async def answer(batch: Batch) -> Any:
            if "b" in names(batch):
                await gate.wait()
            elif not gate.is_set():
                return FAILURES["500"]()
            return Delivery.all_accepted(batch)

        sink = ScriptedSink(lambda batch, _: answer(batch))
        lane = b.start("one", sink, window=2, batch={"events": 1, "wait": 0}, retry={"base": 3000, "max": 3600})
        await b.fill(event("a"))
        await b.until(lambda: lane.report.next_try > time.time() + 60)
        await b.fill(event("b"))
        await b.until(lambda: sink.running == 1)
        assert sink.seen == ["a", "b"]
        gate.set()
        await b.drained("one")
        assert lane.report.accepted == 2


@pytest.mark.parametrize(
    "error",
    [Retryable("away", kind="connection"), Retryable("wait", kind="server_error", retry_after=5000.0)],
    ids=["no event's fault", "asked to wait"],
)
async def test_a_slot_that_was_asked_to_wait_or_met_no_event_s_fault_waits_whatever_others_do(
    error: Exception, tmp_path: Path
) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(lambda batch, _: error if "a" in names(batch) else Delivery.all_accepted(batch))
        lane = b.start("one", sink, window=2, batch={"events": 1, "wait": 0}, retry={"base": 3000, "max": 3600})
        await b.fill(event("a"))
        await b.until(lambda: lane.report.next_try > time.time() + 60)
        await b.fill(*(event(f"b{number}") for number in range(5)))
        await b.until(lambda: lane.report.accepted == 5)
        assert sink.seen.count("a") == 1
        assert lane.report.next_try > time.time() + 60


async def test_what_was_never_confirmed_is_not_sent_again_once_the_lane_stops(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = Promising()
        sink.verdict = False
        lane = b.start("one", sink, window=1, retry={"base": 3000, "max": 3600})
        await b.fill(event("a"), event("b"))
        await b.until(lambda: lane.report.next_try > time.time() + 60)
        assert sink.sends == 3
        await b.stop("one")
        assert sink.sends == 3
        lane = b.start("one", ScriptedSink())
        await b.drained("one")
        assert await in_doubt(b) == {"a", "b"}
        await b.balanced()


@pytest.mark.parametrize(
    "more",
    [{"rejected": {0: Rejection("no")}}, {"kept": [1]}, {"rejected": {1: Rejection("no")}, "kept": [0]}],
    ids=["rejected", "kept", "both"],
)
async def test_an_answer_that_takes_everything_and_refuses_some_of_it_is_believed_in_nothing(
    more: dict[str, Any], tmp_path: Path
) -> None:
    async with bench(tmp_path) as b:
        answers = [Delivery(accepted=range(2), **more)]
        sink = ScriptedSink(lambda batch, _: answers.pop() if answers else Delivery.all_accepted(batch))
        lane = b.start("one", sink, window=1)
        await b.fill(event("a"), event("b"))
        await b.drained("one")
        assert sink.batches == [[1, 2], [1, 2]]
        assert (lane.report.accepted, lane.report.rejected, lane.report.doubtful) == (2, 0, 2)


async def test_each_failure_of_an_event_apart_is_an_error_and_is_sent_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        lane = b.start("one", ScriptedSink(choking_on("e3", how="reset")), patience=0.4, window=1)
        await b.fill(*(event(f"e{n}") for n in range(6)))
        await b.until(lambda: len(lane.report.aside) == 1 and lane.report.accepted == 5)
        report = lane.report
        tries, errors, doubtful = report.aside[0].tries, report.errors["reset"], report.doubtful
        await b.until(lambda: not report.aside or report.aside[0].tries >= tries + 2)
        await b.drained("one")
        assert report.errors["reset"] - errors == report.doubtful - doubtful
        assert report.errors["reset"] - errors >= 2
        assert report.errors.total() == report.errors["reset"]


async def test_a_lone_refused_event_is_not_believed_when_another_came_while_it_was_asked(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        go_on = asyncio.Event()

        async def answer(batch: Batch) -> Delivery:
            if len(sink.batches) == 4:
                await go_on.wait()
            return refuse("bad1", "bad2")(batch, 0)

        sink = ScriptedSink(lambda batch, _: answer(batch))
        lane = b.start("one", sink, window=1)
        await b.fill(event("bad1"))
        await b.until(lambda: len(sink.batches) == 4)
        await b.fill(event("bad2"))
        await b.until(lane.has_control)
        go_on.set()
        await b.until(lambda: len(sink.batches) >= 12)
        assert lane.report.rejected == 0
        await b.fill(event("good"))
        await b.drained("one")
        assert set(await letters_of(b)) == {"bad1", "bad2"}
