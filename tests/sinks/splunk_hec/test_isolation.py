"""One bad event in a batch for Splunk: it is refused alone, and every double is on record before it can happen."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forwarder.contracts import Batch, ContentRefused, Delivery, Held, PayloadTooLarge, Retryable
from forwarder.testing.lanes import Bench, bench, event
from simulator.receivers.hec import HecReceiver
from simulator.receivers.hec_envelope import Event
from simulator.receivers.hec_rules import Rule, Token
from sinks.splunk_hec.sink import SplunkHecSink
from tests.examples import examples
from tests.sinks.splunk_hec.sinks import SECRET, batch, decided, delivering, landed, left_of, sink_of, with_products

NUMBERS: dict[str, Callable[[int], int | None]] = {
    "right": lambda number: number,
    "none": lambda _: None,
    "one too high": lambda number: number + 1,
    "one too low": lambda number: number - 1,
    "always 0": lambda _: 0,
    "negative": lambda _: -3,
    "far away": lambda _: 10**9,
}


def refusing(*bad: int, code: int = 6, number: Callable[[int], int | None] = NUMBERS["right"]) -> Rule:
    """Refuse these events forever."""
    texts = {b'"e-%d"' % one for one in bad}
    return Rule(
        times=None, item=lambda found: code if any(text in found.event for text in texts) else None, number=number
    )


@asynccontextmanager
async def behind_a_lane(
    tmp_path: Path, count: int, *rules: Rule, **more: Any
) -> AsyncIterator[tuple[Bench, HecReceiver]]:
    """Let a lane send `count` events to a collector with these rules."""
    async with HecReceiver({SECRET: Token()}) as receiver, bench(tmp_path) as b:
        receiver.rules += rules
        sink = sink_of(receiver.url, slots=2, **more)
        b.start("one", sink, batch={"events": count, "wait": 0.01})
        await b.fill(*(event(f"e-{n}") for n in range(1, count + 1)))
        yield b, receiver
        await b.balanced()
        await b.stop("one")
        await sink.close()


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("bad", [[1], [10], [5], [5, 6], [1, 10], [3, 5, 8], list(range(1, 10))])
async def test_bad_events_are_rejected_and_no_others_and_every_double_is_on_record(
    bad: list[int], number: str, tmp_path: Path
) -> None:
    async with behind_a_lane(tmp_path, 10, refusing(*bad, number=NUMBERS[number])) as (b, receiver):
        await b.drained("one")
        letters = await b.spool.dead_letters("one")
        assert sorted(letter.seq for letter in letters) == bad
        assert {letter.reason for letter in letters} == {"invalid_format"}
        counted = landed(receiver)
        assert set(counted) == {f"e-{one}" for one in range(1, 11) if one not in bad}
        doubtful = {seq for first, last in await b.doubts("one") for seq in range(first, last + 1)}
        assert {int(name[2:]) for name, times in counted.items() if times > 1} <= doubtful


async def test_with_the_right_number_the_search_is_short(tmp_path: Path) -> None:
    async with behind_a_lane(tmp_path, 500, refusing(250)) as (b, receiver):
        await b.drained("one")
        assert receiver.requests["event"] <= 6, "all; one to compare; the one alone; those before; those behind"
        assert sum(landed(receiver).values()) <= 499 + 249 + 1, "what stood before, and the one to compare"


async def test_a_collector_that_refuses_everything_for_a_while_gets_every_event(tmp_path: Path) -> None:
    rule = refusing(*range(1, 11))
    rule.times = 3
    async with behind_a_lane(tmp_path, 10, rule) as (b, receiver):
        await b.drained("one")
        assert await b.spool.dead_letters("one") == []
        assert set(landed(receiver)) == {f"e-{one}" for one in range(1, 11)}


@pytest.mark.parametrize(("number", "position"), [("right", 1), ("none", None), ("negative", None), ("far away", None)])
async def test_a_refusal_names_the_event_that_splunk_names(number: str, position: int | None) -> None:
    async with delivering() as (sink, receiver):
        receiver.rules.append(refusing(2, number=NUMBERS[number]))
        with pytest.raises(ContentRefused, match="code 6") as caught:
            await sink.send(batch(3))
        assert (caught.value.sent, caught.value.position) == (True, position)
        assert receiver.requests["event"] == 1, "nothing is sent again before the doubt is on record"


@pytest.mark.parametrize(
    ("code", "reason"), [(6, "invalid_format"), (12, "no_event"), (13, "blank"), (15, "invalid_fields")]
)
async def test_the_refusal_of_one_alone_says_what_splunk_said(code: int, reason: str) -> None:
    async with delivering() as (sink, receiver):
        receiver.rules.append(refusing(1, code=code))
        with pytest.raises(ContentRefused, match=f"code {code}") as caught:
            await sink.send(batch(1))
        assert (caught.value.reason, caught.value.sent, caught.value.position) == (reason, False, 0)


async def test_an_event_over_splunks_limit_is_a_bad_one() -> None:
    async with delivering(max_event=60) as (sink, _):
        made = batch(5)
        made.records[2].body = b'{"id":"e-3","x":"%s"}' % (b"y" * 100)
        with pytest.raises(ContentRefused) as caught:
            await sink.send(made)
        assert caught.value.position == 2


async def test_what_is_blank_is_left_out_before_it_can_spoil_the_others() -> None:
    async with delivering() as (sink, receiver):
        made = batch(4)
        made.records[1].body, made.records[3].body = b"{ }", b""
        assert decided(await sink.send(made)) == ([0, 2], [1, 3], [], [])
        assert receiver.requests["event"] == 1
        made = batch(1)
        made.records[0].body = b""
        assert decided(await sink.send(made)) == ([], [0], [], [])


async def test_behind_what_was_taken_a_bad_event_leaves_its_request_and_one_alone_is_rejected() -> None:
    async with delivering(sink={"index": "{product}"}, token=Token(indexes={"a", "b", "c"})) as (sink, receiver):
        with pytest.raises(Retryable, match="index"):
            await sink.send(with_products(["x", "a"], first=100))
        receiver.rules.append(refusing(2, 4))
        made = with_products(["a", "b", "c", "c"])
        for record in made.records:
            record.body = b'{"id":"e-%d"}' % record.seq
        delivery = await sink.send(made)
        assert decided(delivery) == ([0], [1], [], [])
        assert delivery.rejected[1].reason == "invalid_format"
        assert delivery.doubtful, "the third was in the request that was refused for the fourth"
        assert "code 6" in delivery.reason


async def test_a_part_that_is_too_large_leaves_the_others() -> None:
    async with delivering(sink={"endpoint": "raw", "index": "{product}"}, max_content=100) as (sink, _):
        made = with_products(["jira", "confluence", "confluence"])
        made.records[2].body = b'{"id":"%s"}' % (b"x" * 200)
        delivery = await sink.send(made)
        assert decided(delivery) == ([0], [], [], [])
        with pytest.raises(PayloadTooLarge):
            await sink.send(left_of(made, delivery))


# --------------------------------------------------------------------------------------------------------------- index


@pytest.mark.parametrize("endpoint", ["event", "raw"])
async def test_a_refused_index_holds_its_events_and_lets_the_others_through(endpoint: str) -> None:
    settings_ = {"index": "{product}", "endpoint": endpoint}
    async with delivering(sink=settings_, token=Token(indexes={"jira", "admin"})) as (sink, receiver):
        made = with_products(["jira", "bad", "admin", "bad", "jira"])
        doubtful = set()
        try:
            delivery = await sink.send(made)
        except Retryable as error:
            assert error.sent
            doubtful = {1, 2, 3, 4, 5}
            delivery = await sink.send(made)
        assert decided(delivery) == ([0, 2, 4], [], [], [])
        assert "(bad)" in delivery.reason
        assert "Create the index" in delivery.reason
        rest = left_of(made, delivery)
        for _ in range(3):
            with pytest.raises(Held, match="bad") as caught:
                await sink.send(rest)
            assert caught.value.kind == "forbidden"
        receiver.tokens = {SECRET: Token()}
        assert await sink.send(rest) == Delivery(range(2))
        counted = landed(receiver)
        assert set(counted) == {f"e-{n}" for n in range(1, 6)}
        assert {int(name[2:]) for name, times in counted.items() if times > 1} <= doubtful


async def test_when_all_events_share_the_refused_index_nothing_is_doubled_or_rejected() -> None:
    async with delivering(sink={"index": "nowhere"}, token=Token(indexes={"main"})) as (sink, receiver):
        with pytest.raises(Held, match="nowhere"):
            await sink.send(batch(5))
        assert receiver.requests["event"] == 1
        receiver.tokens = {SECRET: Token()}
        assert await sink.send(batch(5)) == Delivery(range(5))


class Outcome:
    """What became of the records of a batch, by their numbers."""

    def __init__(self) -> None:
        self.accepted: set[int] = set()
        self.rejected: set[int] = set()
        self.held: set[int] = set()
        self.doubtful: set[int] = set()


async def settle(sink: SplunkHecSink, made: Batch) -> Outcome:
    """Send, and halve what is refused, until each record is accepted, rejected alone, or held."""
    outcome = Outcome()
    parts = [list(made.records)]
    for _ in range(200):
        if not parts:
            return outcome
        records = parts.pop()
        numbers = {record.seq for record in records}
        try:
            delivery = await sink.send(Batch(records, made.slot))
        except ContentRefused as error:
            outcome.doubtful |= numbers if error.sent else set()
            if len(records) == 1:
                outcome.rejected |= numbers
            else:
                parts += [records[: len(records) // 2], records[len(records) // 2 :]]
        except Retryable as error:
            outcome.doubtful |= numbers if error.sent else set()
            parts.append(records)
        except Held:
            outcome.held |= numbers
        else:
            outcome.accepted |= {records[position].seq for position in delivery.accepted}
            outcome.rejected |= {records[position].seq for position in delivery.rejected}
            if left := left_of(Batch(records, made.slot), delivery).records:
                outcome.doubtful |= {record.seq for record in left} if delivery.doubtful else set()
                parts.append(left)
    raise AssertionError("it does not come to an end")


async def test_a_bad_event_and_a_refused_index_in_one_batch() -> None:
    async with delivering(sink={"index": "{product}"}, token=Token(indexes={"jira"})) as (sink, receiver):
        receiver.rules.append(refusing(4))
        made = with_products(["jira", "bad", "jira", "jira", "bad", "jira"])
        for record in made.records:
            record.body = b'{"id":"e-%d"}' % record.seq
        outcome = await settle(sink, made)
        assert (outcome.accepted, outcome.rejected, outcome.held) == ({1, 3, 6}, {4}, {2, 5})


# ---------------------------------------------------------------------------------------------------- behind the lane


async def test_behind_the_lane_a_refused_index_is_shown_and_mended(tmp_path: Path) -> None:
    async with HecReceiver({SECRET: Token(indexes={"main"})}) as receiver, bench(tmp_path) as b:
        sink = sink_of(receiver.url, slots=2, index="audit")
        lane = b.start("one", sink)
        await b.fill(*(event(f"e-{n}") for n in range(1, 31)))
        await b.until(lambda: lane.report.state == "held")
        assert "audit" in lane.report.reason
        assert "Create the index" in lane.report.fix
        receiver.tokens = {SECRET: Token(indexes={"audit"})}
        await b.drained("one")
        assert landed(receiver) == Counter(b.names)
        assert await b.doubts("one") == []
        await b.stop("one")
        await sink.close()


@given(
    st.lists(st.sampled_from("ajx"), min_size=1, max_size=12),
    st.sets(st.integers(1, 12)),
    st.sampled_from(list(NUMBERS)),
)
@settings(max_examples=examples(40))
async def test_any_mix_of_bad_events_and_refused_indexes_comes_to_the_right_end(
    places: Sequence[str], bad: set[int], number: str
) -> None:
    def refuse(found: Event) -> int | None:
        return 6 if int(str((found.fields or {})["event_id"])[2:]) in bad else None

    async with delivering(sink={"index": "{product}"}, token=Token(indexes={"a", "j"})) as (sink, receiver):
        receiver.rules.append(Rule(times=None, item=refuse, number=NUMBERS[number]))
        outcome = await settle(sink, with_products(list(places)))
        good = {seq for seq, place in enumerate(places, 1) if place != "x"}
        assert outcome.accepted == good - bad
        assert outcome.rejected == good & bad
        assert outcome.held == {seq for seq, place in enumerate(places, 1) if place == "x"}
        doubled = {int(name[2:]) for name, times in landed(receiver).items() if times > 1}
        assert set(landed(receiver)) == {f"e-{seq}" for seq in outcome.accepted}
        assert doubled <= outcome.doubtful
