"""A sink that fails on one event, and a sink that fails on everything: only the first makes a dead letter."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from forwarder.contracts import (
    AuthFailed,
    Batch,
    Delivery,
    Held,
    PayloadTooLarge,
    Rejection,
    Retryable,
)
from forwarder.testing.lanes import bench, event
from tests.choking import FAILURES, choking_on, in_doubt, letters_of, names, quiet
from tests.delivery.scripted import ScriptedSink

failing_by = pytest.mark.parametrize("how", list(FAILURES))


@failing_by
@pytest.mark.parametrize(
    "bad", [["e0"], ["e6"], ["e24"], ["e0", "e9"], ["e3", "e13"], ["e2", "e3", "e4"], [f"e{n}" for n in range(10)]]
)
@pytest.mark.parametrize("window", [1, 2])
async def test_what_a_sink_fails_on_becomes_a_dead_letter_and_the_rest_arrives(
    how: str, bad: list[str], window: int, tmp_path: Path
) -> None:
    async with bench(tmp_path) as b, quiet():
        sink = ScriptedSink(choking_on(*bad, how=how))
        b.start("one", sink, window=window, patience=0.05)
        await b.fill(*(event(f"e{n}") for n in range(25)))
        await b.drained("one")
        letters = await letters_of(b)
        assert set(letters) == set(bad)
        assert set(letters.values()) == {"http_422" if how == "refused" else "not_taken"}
        (line,) = await b.spool.books()
        assert (line.accepted, line.rejected) == (25 - len(bad), len(bad))
        await b.balanced()


@failing_by
@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize("events", [2, 25])
async def test_when_everything_fails_no_event_is_blamed_and_all_arrives_in_the_end(
    how: str, window: int, events: int, tmp_path: Path
) -> None:
    async with bench(tmp_path) as b, quiet():
        sink = ScriptedSink(lambda *_: FAILURES[how]())
        lane = b.start("one", sink, window=window, patience=0.01)
        await b.fill(*(event(f"e{n}") for n in range(events)))
        await b.until(lambda: lane.report.tries >= 40)
        assert not lane.report.well
        assert lane.report.reason
        assert (lane.report.dead_letters, lane.report.aside) == (0, ())
        sink.answer = lambda batch, _: Delivery.all_accepted(batch)
        await b.drained("one")
        assert await letters_of(b) == {}
        await b.until(lambda: lane.report.well)
        await b.balanced()


async def test_a_sink_that_begins_to_refuse_in_the_middle_is_not_believed(tmp_path: Path) -> None:
    def full(batch: Batch, _: int) -> Delivery:
        fine = [n for n, name in enumerate(names(batch)) if int(name[1:]) < 10]
        why = Rejection("illegal_argument", "this cluster has 1000 of 1000 maximum shards open")
        return Delivery(accepted=fine, rejected={n: why for n in range(len(batch.records)) if n not in fine})

    async with bench(tmp_path) as b:
        sink = ScriptedSink(full)
        lane = b.start("one", sink, patience=0.01)
        await b.fill(*(event(f"e{n}") for n in range(40)))
        await b.until(lambda: lane.report.state == "held" and lane.report.tries >= 10)
        assert "maximum shards open" in lane.report.reason
        assert lane.report.fix
        assert lane.report.dead_letters == 0
        sink.answer = lambda batch, _: Delivery.all_accepted(batch)
        await b.drained("one")
        assert lane.report.accepted == 40


async def test_a_sink_that_finds_everything_too_large_is_not_believed(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(lambda *_: PayloadTooLarge("413"))
        lane = b.start("one", sink, patience=0.01)
        await b.fill(*(event(f"e{n}") for n in range(20)))
        await b.until(lambda: lane.report.state == "held" and lane.report.tries >= 10)
        assert lane.report.dead_letters == 0
        sink.answer = lambda batch, _: Delivery.all_accepted(batch)
        await b.drained("one")
        assert lane.report.accepted == 20


async def test_a_trickle_that_is_refused_one_by_one_is_not_drained(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(lambda batch, _: Delivery(rejected={n: Rejection("no") for n in range(len(batch.records))}))
        lane = b.start("one", sink, window=1)
        await b.fill(event("e0"))
        await b.until(lambda: lane.report.dead_letters == 1)
        for n in range(1, 6):
            await b.fill(event(f"e{n}"))
            tries = lane.report.errors.total()
            await b.until(lambda tries=tries: lane.report.errors.total() >= tries + 6)
        assert lane.report.dead_letters == 1
        assert lane.report.state == "held"


@pytest.mark.parametrize("window", [1, 2])
async def test_the_only_event_that_fails_waits_for_another_to_compare(window: int, tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(choking_on("bad"))
        lane = b.start("one", sink, window=window, patience=0.01)
        await b.fill(event("bad"))
        await b.until(lambda: lane.report.tries >= 20)
        assert lane.report.dead_letters == 0
        assert f"event 1 (id {b.document_ids[0]})" in lane.report.reason
        assert "the next event that is taken decides" in lane.report.reason
        await b.fill(event("good"))
        await b.drained("one")
        assert await letters_of(b) == {"bad": "not_taken"}


@failing_by
@pytest.mark.parametrize("window", [1, 2])
async def test_a_stretch_that_fails_as_a_whole_is_named_until_another_event_decides(
    window: int, how: str, tmp_path: Path
) -> None:
    async with bench(tmp_path) as b, quiet():
        bad = ["e0", "e1", "e2"]
        sink = ScriptedSink(choking_on(*bad, how=how))
        lane = b.start("one", sink, window=window, patience=0.01)
        await b.fill(*map(event, bad))
        await b.until(lambda: lane.report.tries >= 20)
        first, *_, last = b.document_ids
        assert f"3 events from number 1 (id {first}) to number 3 (id {last})" in lane.report.reason
        assert "the next event that is taken decides" in lane.report.reason
        assert lane.report.dead_letters == 0
        await b.fill(event("good"))
        await b.drained("one")
        assert set(await letters_of(b)) == set(bad)


async def test_an_event_set_aside_is_named_and_holds_nothing_up(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(choking_on("e3", how="reset"))
        with capture_logs() as logs:
            lane = b.start("one", sink, patience=3600)
            await b.fill(*(event(f"e{n}") for n in range(25)))
            await b.until(lambda: lane.report.accepted == 24)
            await b.fill(*(event(f"later{n}") for n in range(25)))
            await b.until(lambda: lane.report.accepted == 49)
        (aside,) = lane.report.aside
        assert (aside.seq, aside.document_id) == (4, b.document_ids[3])
        assert "connection ended" in aside.reason
        assert not lane.report.well
        assert "event 4" in lane.report.reason
        (line,) = [line for line in logs if line["event"] == "event_set_aside"]
        assert (line["number"], line["id"]) == (4, b.document_ids[3])
        await b.drained("one", waiting=1)
        (books,) = await b.spool.books()
        assert (books.accepted, books.waiting) == (49, 1)
        assert Counter(sink.seen)["e3"] < 12


async def test_an_event_set_aside_may_be_taken_after_all(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(choking_on("e3"))
        lane = b.start("one", sink, patience=0.8)
        await b.fill(*(event(f"e{n}") for n in range(25)))
        await b.until(lambda: len(lane.report.aside) == 1)
        sink.answer = lambda batch, _: Delivery.all_accepted(batch)
        await b.drained("one")
        assert lane.report.accepted == 25
        assert lane.report.aside == ()
        await b.until(lambda: lane.report.well)


async def test_an_event_set_aside_is_found_again_by_the_next_life(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(choking_on("e3"))
        lane = b.start("one", sink, patience=3600)
        await b.fill(*(event(f"e{n}") for n in range(25)))
        await b.until(lambda: len(lane.report.aside) == 1 and lane.report.accepted == 24)
        await b.stop("one")
        (books,) = await b.spool.books()
        assert books.waiting == 1
        lane = b.start("one", sink, patience=0.01)
        await b.fill(event("later"))
        await b.drained("one")
        assert await letters_of(b) == {"e3": "not_taken"}


async def test_an_outage_makes_no_dead_letter_of_what_waits_apart(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(choking_on("e3"))
        lane = b.start("one", sink, patience=0.2)
        await b.fill(*(event(f"e{n}") for n in range(10)))
        await b.until(lambda: len(lane.report.aside) == 1 and lane.report.accepted == 9)
        sink.answer = lambda *_: FAILURES["500"]()
        await b.fill(*(event(f"later{n}") for n in range(10)))
        await b.until(lambda: lane.report.aside == () or lane.report.aside[0].tries > 6)
        assert lane.report.dead_letters == 0
        sink.answer = lambda batch, _: Delivery.all_accepted(batch)
        await b.drained("one")
        assert lane.report.accepted == 20


@pytest.mark.parametrize(
    "error",
    [
        AuthFailed("The key is refused.", fix="Put a new one."),
        Held("No template.", fix="Run setup."),
        Retryable("cannot be reached", kind="connection"),
    ],
)
async def test_trouble_that_no_event_can_cause_is_never_searched_for_one(tmp_path: Path, error: Exception) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(lambda batch, n: error if "e3" in names(batch) and n < 40 else Delivery.all_accepted(batch))
        lane = b.start("one", sink, patience=0)
        await b.fill(*(event(f"e{n}") for n in range(25)))
        await b.drained("one")
        assert lane.report.accepted == 25
        assert {len(batch) for batch in sink.batches if 4 in batch} == {10}


async def test_every_double_was_on_record_before(tmp_path: Path) -> None:
    """The sink has all that stood before the event it fails on; so it may be at any HTTP server."""
    has: Counter[str] = Counter()

    async with bench(tmp_path) as b:

        async def choke(batch: Batch) -> Delivery:
            recorded = await in_doubt(b)
            for name in names(batch):
                if name in {"e4", "e13"}:
                    raise Retryable("reset", kind="reset", sent=True)
                has[name] += 1
                assert has[name] == 1 or name in recorded
            return Delivery.all_accepted(batch)

        b.start("one", ScriptedSink(lambda batch, _: choke(batch)), patience=0.01)
        await b.fill(*(event(f"e{n}") for n in range(25)))
        await b.drained("one")
        assert set(await letters_of(b)) == {"e4", "e13"}
        assert set(has) == {f"e{n}" for n in range(25)} - {"e4", "e13"}


async def test_what_may_have_been_taken_beside_a_refusal_is_on_record_before_it_is_sent_again(tmp_path: Path) -> None:
    """A sink refuses one event by itself, and does not know what became of the others of the same batch."""

    def answer(batch: Batch, number: int) -> Delivery:
        if number == 1:
            return Delivery(rejected={0: Rejection("blank", "empty")}, doubtful=True, reason="the answer was lost")
        return Delivery.all_accepted(batch)

    async with bench(tmp_path) as b:
        sink = ScriptedSink(answer)
        b.start("one", sink, window=1)
        await b.fill(*(event(f"e{n}") for n in range(5)))
        await b.drained("one")
        assert await in_doubt(b) == {f"e{n}" for n in range(5)}
        await b.balanced()


@pytest.mark.parametrize("window", [1, 2])
async def test_more_events_than_have_room_apart_hold_the_lane_and_go_one_by_one(
    window: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forwarder.delivery.aside.MOST", 3)
    async with bench(tmp_path) as b:
        bad = [f"e{n}" for n in range(10)]
        lane = b.start("one", ScriptedSink(choking_on(*bad)), window=window, patience=0.1)
        await b.fill(*(event(f"e{n}") for n in range(25)))
        await b.until(lambda: len(lane.report.aside) == 3)
        drained = asyncio.create_task(b.drained("one", others=True))
        most = 0
        while not drained.done():
            most = max(most, len(lane.report.aside))
            await asyncio.sleep(0)
        await drained
        assert most == 3
        assert set(await letters_of(b)) == set(bad)


@failing_by
@pytest.mark.parametrize(("bad", "window", "size"), [(1, 1, 1), (3, 1, 1), (3, 2, 1), (3, 1, 3), (20, 1, 1)])
async def test_bad_events_in_front_are_compared_with_one_further_behind(
    bad: int, window: int, size: int, how: str, tmp_path: Path
) -> None:
    async with bench(tmp_path) as b, quiet():
        sink = ScriptedSink(choking_on(*(f"e{n}" for n in range(bad)), how=how))
        batch = {"events": size, "wait": 0.01}
        lane = b.start("one", sink, window=window, patience=0.01, batch=batch)
        await b.fill(*(event(f"e{n}") for n in range(bad + 10)))
        await b.until(lambda: lane.report.accepted == 10)
        await b.drained("one", others=True)  # the last of the bad ones may have none behind it
        assert set(await letters_of(b)) == {f"e{n}" for n in range(bad)}


def busy() -> Retryable:
    return Retryable("the server answers 429", kind="rate_limited", retry_after=0.0)


@pytest.mark.parametrize("size", [1, 10])
@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize("bad", ["e0", "e3", "e24"])
async def test_a_rate_limit_that_only_ever_meets_one_event_holds_nothing_up(
    bad: str, window: int, size: int, tmp_path: Path
) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(lambda batch, _: busy() if bad in names(batch) else Delivery.all_accepted(batch))
        lane = b.start("one", sink, window=window, patience=3600, batch={"events": size, "wait": 0.01})
        await b.fill(*(event(f"e{n}") for n in range(25)))
        await b.until(lambda: lane.report.errors["rate_limited"] >= 7)
        await b.fill(event("later"))  # for one that has nothing behind it
        await b.until(lambda: lane.report.accepted == 25)
        await b.until(lambda: len(lane.report.aside) == 1)
        assert lane.report.aside[0].document_id == b.document_ids[int(bad[1:])]
        assert "429" in lane.report.aside[0].reason
        assert lane.report.dead_letters == 0


async def test_an_event_that_meets_a_rate_limit_alone_is_a_dead_letter_only_after_many_tries(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(lambda batch, _: busy() if "e3" in names(batch) else Delivery.all_accepted(batch))
        b.start("one", sink, patience=0.01)
        await b.fill(*(event(f"e{n}") for n in range(25)))
        await b.drained("one")
        assert await letters_of(b) == {"e3": "not_taken"}
        assert Counter(sink.seen)["e3"] > 6 + 12


@pytest.mark.parametrize("window", [1, 2])
async def test_a_rate_limit_that_meets_everything_blames_no_event(window: int, tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(lambda *_: busy())
        lane = b.start("one", sink, window=window, patience=0)
        await b.fill(*(event(f"e{n}") for n in range(25)))
        await b.until(lambda: lane.report.tries >= 60)
        assert (lane.report.dead_letters, lane.report.aside) == (0, ())
        assert not lane.report.well
        sink.answer = lambda batch, _: Delivery.all_accepted(batch)
        await b.drained("one")
        assert lane.report.accepted == 25


async def test_a_rate_limit_that_meets_every_second_send_blames_no_event(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sink = ScriptedSink(lambda batch, n: busy() if n % 2 else Delivery.all_accepted(batch))
        lane = b.start("one", sink, window=1, patience=0, batch={"events": 1, "wait": 0.01})
        await b.fill(*(event(f"e{n}") for n in range(60)))
        await b.drained("one")
        assert (lane.report.accepted, lane.report.dead_letters) == (60, 0)
