"""One bad event in a batch for Splunk: it is refused alone, and every double is on record before it can happen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forwarder.contracts import Batch, Delivery, Held, PayloadTooLarge, Retryable
from simulator.http_types import Response
from simulator.receivers.hec import HecReceiver
from simulator.receivers.hec_envelope import Event
from simulator.receivers.hec_rules import Rule, Token
from sinks.splunk_hec.sink import SplunkHecSink
from tests.delivery.lanes import Bench, bench, event
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


async def settle(sink: SplunkHecSink, made: Batch) -> tuple[list[int], list[int], set[int]]:
    """Send as a lane does until nothing is left; return what was accepted, rejected, and on record as doubtful."""
    accepted: list[int] = []
    rejected: list[int] = []
    doubtful: set[int] = set()
    for _ in range(50):
        if not made.records:
            return sorted(accepted), sorted(rejected), doubtful
        try:
            delivery = await sink.send(made)
        except Retryable as error:
            if error.sent:
                doubtful |= {record.seq for record in made.records}
            continue
        accepted += [made.records[position].seq for position in delivery.accepted]
        rejected += [made.records[position].seq for position in delivery.rejected]
        made = left_of(made, delivery)
        if delivery.doubtful:
            doubtful |= {record.seq for record in made.records}
    raise AssertionError("it does not come to an end")


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("bad", [[1], [10], [5], [5, 6], [1, 10], [3, 5, 8], list(range(1, 11))])
async def test_bad_events_are_rejected_and_no_others(bad: list[int], number: str) -> None:
    async with delivering() as (sink, receiver):
        receiver.rules.append(refusing(*bad, number=NUMBERS[number]))
        accepted, rejected, doubtful = await settle(sink, batch(10))
        assert rejected == bad
        assert accepted == [one for one in range(1, 11) if one not in bad]
        doubled = {int(name[2:]) for name, times in landed(receiver).items() if times > 1}
        assert set(landed(receiver)) == {f"e-{one}" for one in accepted}
        assert doubled <= doubtful


async def test_with_the_right_number_it_takes_five_requests_and_doubles_only_what_stood_before() -> None:
    async with delivering() as (sink, receiver):
        receiver.rules.append(refusing(250))
        await settle(sink, batch(500))
        assert receiver.requests["event"] == 5, "all; the one alone; those before; those behind; the one again"
        assert landed(receiver) == Counter({f"e-{n}": 1 + (n < 250) for n in range(1, 501) if n != 250})


async def test_a_collector_that_is_fixed_while_the_bad_one_is_looked_for_gets_every_event() -> None:
    """What was refused before anything was taken is asked once more: the refusal may have been the collector's fault."""
    async with delivering() as (sink, receiver):
        rule = refusing(*range(1, 11))
        rule.times = 3  # the whole, and the first two that stand alone
        receiver.rules.append(rule)
        accepted, rejected, _ = await settle(sink, batch(10))
        assert (rejected, accepted) == ([], list(range(1, 11)))


async def test_nothing_is_sent_again_before_the_doubt_is_told() -> None:
    async with delivering() as (sink, receiver):
        receiver.rules.append(refusing(2))
        with pytest.raises(Retryable, match="code 6") as caught:
            await sink.send(batch(3))
        assert (caught.value.sent, caught.value.kind) == (True, "partial")
        assert receiver.requests["event"] == 1
        other = await sink.send(batch(3, first=100))
        assert other == Delivery(range(3)), "what is remembered of one batch is not taken for another"


@pytest.mark.parametrize(
    ("code", "reason"), [(6, "invalid_format"), (12, "no_event"), (13, "blank"), (15, "invalid_fields")]
)
@pytest.mark.parametrize("alone", [True, False])
async def test_the_dead_letter_says_what_splunk_said(code: int, reason: str, alone: bool) -> None:
    async with delivering() as (sink, receiver):
        receiver.rules.append(refusing(1, code=code))
        made = batch(1 if alone else 3)
        if not alone:
            with pytest.raises(Retryable):
                await sink.send(made)
        delivery = await sink.send(made)
        assert delivery.rejected[0].reason == reason
        assert delivery.rejected[0].detail.endswith(f"code {code}")
        assert len(delivery.accepted) == len(made.records) - 1


async def test_an_event_over_splunks_limit_is_a_bad_one() -> None:
    async with delivering(max_event=60) as (sink, _):
        made = batch(5)
        made.records[2].body = b'{"id":"e-3","x":"%s"}' % (b"y" * 100)
        assert (await settle(sink, made))[1] == [3]


async def test_what_is_blank_is_left_out_before_it_can_spoil_the_others() -> None:
    async with delivering() as (sink, receiver):
        made = batch(4)
        made.records[1].body, made.records[3].body = b"{ }", b""
        assert decided(await sink.send(made)) == ([0, 2], [1, 3], [], [])
        assert receiver.requests["event"] == 1
        made = batch(1)
        made.records[0].body = b""
        assert decided(await sink.send(made)) == ([], [0], [], [])


async def test_trouble_in_the_middle_of_the_search_forgets_nothing() -> None:
    async with delivering() as (sink, receiver):
        receiver.rules.append(refusing(3))
        made = batch(6)
        with pytest.raises(Retryable):
            await sink.send(made)
        receiver.rules.insert(0, Rule(times=1))  # the suspect alone comes through ...
        receiver.rules.insert(1, Rule(answer=Response(503)))  # ... and the next part does not
        delivery = await sink.send(made)
        assert decided(delivery)[:2] == ([2], [])
        assert sorted(delivery.kept) == [0, 1, 3, 4, 5]
        assert delivery.doubtful
        assert "503" in delivery.reason
        assert (await settle(sink, left_of(made, delivery)))[0] == [1, 2, 4, 5, 6]


async def test_a_part_that_is_too_large_leaves_the_others() -> None:
    async with delivering(sink={"endpoint": "raw", "index": "{product}"}, max_content=100) as (sink, _):
        made = with_products(["jira", "confluence", "confluence"])
        made.records[2].body = b'{"id":"%s"}' % (b"x" * 200)
        delivery = await sink.send(made)
        assert decided(delivery) == ([0], [], [1, 2], [])
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
        assert decided(delivery) == ([0, 2, 4], [], [1, 3], [])
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


async def test_a_bad_event_and_a_refused_index_in_one_batch() -> None:
    async with delivering(sink={"index": "{product}"}, token=Token(indexes={"jira"})) as (sink, receiver):
        receiver.rules.append(refusing(4))
        made = with_products(["jira", "bad", "jira", "jira", "bad", "jira"])
        for record in made.records:
            record.body = b'{"id":"e-%d"}' % record.seq
        decisions: Counter[str] = Counter()
        for _ in range(10):
            try:
                delivery = await sink.send(made)
            except Retryable:
                continue
            except Held:
                break
            decisions.update(accepted=len(delivery.accepted), rejected=len(delivery.rejected))
            made = left_of(made, delivery)
        assert decisions == {"accepted": 3, "rejected": 1}
        assert [record.seq for record in made.records] == [2, 5]


# ---------------------------------------------------------------------------------------------------- behind the lane


async def _lane(b: Bench, receiver: HecReceiver, count: int = 30, **more: Any) -> tuple[Any, SplunkHecSink]:
    sink = sink_of(receiver.url, slots=2, **more)
    lane = b.start("one", sink)
    await b.fill(*(event(f"e-{n}") for n in range(1, count + 1)))
    return lane, sink


@pytest.mark.parametrize("number", ["right", "none", "one too low"])
async def test_behind_the_lane_every_double_is_on_record(number: str, tmp_path: Path) -> None:
    bad = {3, 4, 17, 30}
    async with HecReceiver({SECRET: Token()}) as receiver, bench(tmp_path) as b:
        receiver.rules.append(refusing(*bad, number=NUMBERS[number]))
        _, sink = await _lane(b, receiver)
        await b.drained("one")
        letters = await b.spool.dead_letters("one")
        assert {letter.seq for letter in letters} == bad
        assert {letter.reason for letter in letters} == {"invalid_format"}
        counted = landed(receiver)
        assert set(counted) == {f"e-{n}" for n in range(1, 31) if n not in bad}
        doubtful = {seq for first, last in await b.doubts("one") for seq in range(first, last + 1)}
        assert {int(name[2:]) for name, times in counted.items() if times > 1} <= doubtful
        await b.balanced()
        await b.stop("one")
        await sink.close()


async def test_behind_the_lane_a_refused_index_is_shown_and_mended(tmp_path: Path) -> None:
    async with HecReceiver({SECRET: Token(indexes={"main"})}) as receiver, bench(tmp_path) as b:
        lane, sink = await _lane(b, receiver, index="audit")
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
@settings(max_examples=40)
async def test_any_mix_of_bad_events_and_refused_indexes_comes_to_the_right_end(
    places: Sequence[str], bad: set[int], number: str
) -> None:
    def refuse(found: Event) -> int | None:
        return 6 if int(str((found.fields or {})["event_id"])[2:]) in bad else None

    async with delivering(sink={"index": "{product}"}, token=Token(indexes={"a", "j"})) as (sink, receiver):
        receiver.rules.append(Rule(times=None, item=refuse, number=NUMBERS[number]))
        made = with_products(list(places))
        accepted: set[int] = set()
        rejected: set[int] = set()
        doubtful: set[int] = set()
        for _ in range(30):
            try:
                delivery = await sink.send(made)
            except Retryable as error:
                assert error.sent
                doubtful |= {record.seq for record in made.records}
                continue
            except Held:
                break
            accepted |= {made.records[position].seq for position in delivery.accepted}
            rejected |= {made.records[position].seq for position in delivery.rejected}
            made = left_of(made, delivery)
            if not made.records:
                break
        good = {seq for seq, place in enumerate(places, 1) if place != "x"}
        assert accepted == good - bad
        assert rejected == good & bad
        assert {record.seq for record in made.records} == {seq for seq, place in enumerate(places, 1) if place == "x"}
        doubled = {int(name[2:]) for name, times in landed(receiver).items() if times > 1}
        assert set(landed(receiver)) == {f"e-{seq}" for seq in accepted}
        assert doubled <= doubtful
