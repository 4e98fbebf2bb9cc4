"""Indexer acknowledgement: nothing counts before it is confirmed, and nothing is confirmed by someone else's answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import AuthFailed, Batch, Delivery, Held, Receipt, Retryable
from forwarder.delivery import Lane
from forwarder.testing.lanes import Bench, bench, event
from forwarder.testing.waiting import until
from simulator.http_types import Response, Wire
from simulator.receivers.hec import HecReceiver
from simulator.receivers.hec_rules import Rule, Token
from sinks.splunk_hec.channel import IDLE, Channel
from sinks.splunk_hec.sink import SplunkHecSink
from tests.clocks import FakeClock
from tests.sinks.splunk_hec.sinks import SECRET, batch, delivering, landed, sink_of


def receipts(delivery: Delivery) -> list[Receipt]:
    """Return the receipts of a delivery, each once."""
    return list(dict.fromkeys(delivery.pending.values()))


async def promised(sink: SplunkHecSink, made: Batch) -> Receipt:
    delivery = await sink.send(made)
    assert sorted(delivery.pending) == list(range(len(made.records)))
    assert not delivery.accepted
    (receipt,) = receipts(delivery)
    return receipt


def asked(receiver: HecReceiver) -> int:
    return receiver.requests["ack"]


# -------------------------------------------------------------------------------------------------------------- at rest


async def test_an_event_is_promised_and_later_confirmed_once() -> None:
    async with delivering(acks=True, at_once=False) as (sink, receiver):
        one, two = await promised(sink, batch(5)), await promised(sink, batch(5, first=6))
        assert one != two
        assert await sink.confirm([one, two]) == {}
        receiver.index_queued(1)
        assert await sink.confirm([one, two]) == {one: True}
        receiver.index_queued()
        assert await sink.confirm([two]) == {two: True}
        assert landed(receiver) == Counter(f"e-{n}" for n in range(1, 11))


async def test_each_slot_has_a_channel_and_a_receipt_names_both() -> None:
    async with delivering(acks=True, slots=2) as (sink, receiver):
        one, two = await promised(sink, batch(1)), await promised(sink, batch(1, slot=1))
        assert (one.slot, two.slot) == (0, 1)
        assert one.token != two.token
        assert one.token.endswith(":0")
        assert two.token.endswith(":0")
        channels = {
            request.headers["x-splunk-request-channel"] for request in receiver.seen if "/event" in request.path
        }
        assert len(channels) == 2
        assert await sink.confirm([one, two]) == {one: True, two: True}


async def test_many_receipts_are_asked_for_in_one_question_each_channel() -> None:
    async with delivering(acks=True, slots=2, at_once=False) as (sink, receiver):
        given = [await promised(sink, batch(1, first=n, slot=n % 2)) for n in range(1, 401)]
        receiver.index_queued()
        before = asked(receiver)
        assert await sink.confirm(given) == dict.fromkeys(given, True)
        assert asked(receiver) == before + 2


async def test_on_raw_every_request_has_its_receipt() -> None:
    async with delivering(acks=True, sink={"endpoint": "raw"}) as (sink, _):
        receipt = await promised(sink, batch(5))
        assert await sink.confirm([receipt]) == {receipt: True}


async def test_nearly_full_channels_slow_down() -> None:
    async with delivering(acks=True, acks_per_channel=5) as (sink, receiver):
        receiver.state.backpressure = True
        rests = [(await sink.send(batch(1, first=n))).retry_after for n in range(5)]
        assert rests == [None, None, None, 5.0, 5.0]
        with pytest.raises(Retryable) as caught:
            await sink.send(batch(1, first=9))
        assert not caught.value.sent


# ---------------------------------------------------------------------------------------- when the question goes wrong

BAD_ANSWERS = [
    Response(500),
    Response(503, {}, b"<html>busy</html>"),
    Response.json({"text": "Invalid token", "code": 4}, 403),
    Response.json({"text": "ACK is disabled", "code": 14}, 400),
    Response.json({"text": "x", "code": 404}, 404),
    Response(400),
    Response(200, {}, b"<html>log in</html>"),
    Response(200, {}, b"{}"),
    Response.json({"text": "Success", "code": 0}),
    Response.json({"acks": {}}),
    Response.json({"acks": {"0": False}}),
    Response.json({"acks": {"0": 1}}),
    Response.json({"acks": {"1": True, "00": True, "x": True}}),
]


@pytest.mark.parametrize("answer", BAD_ANSWERS, ids=[str(n) for n in range(len(BAD_ANSWERS))])
async def test_a_failing_question_confirms_nothing_and_loses_nothing(answer: Response) -> None:
    async with delivering(acks=True) as (sink, receiver):
        receipt = await promised(sink, batch(3))
        receiver.rules.append(Rule(endpoint="ack", answer=answer))
        try:
            assert await sink.confirm([receipt]) == {}
        except (Retryable, Held) as error:
            assert SECRET not in str(error)
        assert await sink.confirm([receipt]) == {receipt: True}


@pytest.mark.parametrize(
    "wire", [Wire(stop_at=8), Wire(stop_at=8, ending="reset"), Wire(garbage=b"no"), Wire(stall_at=8, stall=3600)]
)
async def test_a_true_that_is_cut_on_its_way_is_gone_and_stays_unknown(wire: Wire) -> None:
    async with delivering(acks=True, sink={"http": {"read_timeout": 0.5}}) as (sink, receiver):
        receipt = await promised(sink, batch(3))
        receiver.rules.append(Rule(endpoint="ack", wire=wire))
        with pytest.raises(Retryable):
            await sink.confirm([receipt])
        for _ in range(3):
            assert await sink.confirm([receipt]) == {}, "it was told once, and no one heard it"


async def test_what_one_channel_confirms_survives_the_trouble_of_another() -> None:
    async with delivering(acks=True, slots=2) as (sink, receiver):
        one, two = await promised(sink, batch(1)), await promised(sink, batch(1, slot=1))
        receiver.rules.append(Rule(endpoint="ack", answer=Response(500)))
        first = await sink.confirm([one, two])
        assert len(first) == 1
        assert set((await sink.confirm([one, two])).values()) == {True}


async def test_a_confirm_that_is_cancelled_loses_no_true() -> None:
    """One channel has answered, another drips; whoever asks again hears of both."""
    async with delivering(acks=True, slots=2) as (sink, receiver):
        one, two = await promised(sink, batch(1)), await promised(sink, batch(1, slot=1))
        before = asked(receiver)
        receiver.rules += [Rule(endpoint="ack"), Rule(endpoint="ack", wire=Wire(delay=3600))]
        task = asyncio.create_task(sink.confirm([one, two]))  # type: ignore[arg-type]
        await until(
            lambda: (
                asked(receiver) == before + 2
                and any(channel.confirmed for slot in sink._slots for channel in slot.channels._known.values())
            )
        )
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list((await sink.confirm([one, two])).values()) == [True]


async def test_a_busy_slot_is_left_for_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinks.splunk_hec.acks.PATIENCE", 0.05)
    async with delivering(acks=True, slots=2) as (sink, receiver):
        one, two = await promised(sink, batch(1)), await promised(sink, batch(1, slot=1))
        receiver.rules.append(Rule(wire=Wire(delay=1.0)))
        sending = asyncio.create_task(sink.send(batch(1, first=2)))
        await until(lambda: receiver.requests["event"] == 3)
        assert await sink.confirm([one, two]) == {two: True}
        await sending
        assert await sink.confirm([one]) == {one: True}


# ---------------------------------------------------------------------------------------------- who is to be believed


async def test_after_a_restart_an_old_number_confirms_nothing() -> None:
    async with delivering(acks=True, at_once=False) as (sink, receiver):
        old = [await promised(sink, batch(1, first=n)) for n in range(1, 4)]
        await receiver.restart()
        with pytest.raises(Retryable, match="again at 0") as caught:  # it answers with number 0
            await sink.send(batch(1, first=9))
        assert (caught.value.sent, caught.value.kind) == (True, "unconfirmed")
        fresh = await promised(sink, batch(1, first=9))
        receiver.index_queued()
        assert await sink.confirm([*old, fresh]) == {**dict.fromkeys(old, False), fresh: True}
        assert set(landed(receiver)) == {"e-9"}


async def test_after_a_restart_and_an_answer_that_got_lost_an_old_number_confirms_nothing() -> None:
    """The dangerous one: the lost request got number 0, as the one that is open; no one heard that it was given anew."""
    async with delivering(acks=True, at_once=False) as (sink, receiver):
        old = await promised(sink, batch(1))
        await receiver.restart()
        receiver.rules.append(Rule(wire=Wire(stop_at=3)))
        with pytest.raises(Retryable) as caught:
            await sink.send(batch(1, first=2))
        assert caught.value.sent
        receiver.index_queued()
        assert set(landed(receiver)) == {"e-2"}, "number 0 of this channel is true now, and stands for e-2"
        assert await sink.confirm([old]) == {old: False}


async def test_an_answer_that_got_lost_costs_no_other_promise() -> None:
    async with delivering(acks=True, at_once=False) as (sink, receiver):
        old = [await promised(sink, batch(1, first=n)) for n in range(1, 4)]
        receiver.rules.append(Rule(wire=Wire(stop_at=3)))
        with pytest.raises(Retryable):
            await sink.send(batch(1, first=4))
        new = await promised(sink, batch(1, first=4))
        receiver.index_queued()
        assert await sink.confirm([*old, new]) == {old[0]: False, old[1]: True, old[2]: True, new: True}


async def test_an_idle_channel_is_left_before_splunk_forgets_it() -> None:
    clock = FakeClock()
    async with delivering(acks=True, clock=clock, now=clock.monotonic, max_idle=600.0) as (sink, _):
        one = await promised(sink, batch(1))
        clock.advance(IDLE)
        two = await promised(sink, batch(1))
        assert two.token.rpartition(":")[0] == one.token.rpartition(":")[0]
        clock.advance(700.0)
        three = await promised(sink, batch(1))
        assert three.token.rpartition(":")[0] != one.token.rpartition(":")[0]
        assert await sink.confirm([three]) == {three: True}


async def test_channels_nobody_waits_for_are_forgotten() -> None:
    clock = FakeClock()
    async with delivering(acks=True, clock=clock) as (sink, _):
        for _ in range(20):
            receipt = await promised(sink, batch(1))
            clock.advance(2 * IDLE)
            assert await sink.confirm([receipt]) == {receipt: True}
        assert len(sink._slots[0].channels._known) <= 2


async def test_a_cookie_keeps_each_slot_at_its_indexer() -> None:
    async with delivering(acks=True, slots=3, indexers=3) as (sink, receiver):
        given = [await promised(sink, batch(1, first=n, slot=n % 3)) for n in range(30)]
        assert await sink.confirm(given) == dict.fromkeys(given, True)
        assert all("other=1" in request.headers.get("cookie", "") for request in receiver.seen[-3:])


async def test_a_balancer_that_demands_its_cookie_gets_it() -> None:
    async with delivering(acks=True, indexers=2) as (sink, receiver):
        receiver.state.cookie_enforced = True
        tries = 0
        while True:
            tries += 1
            try:
                receipt = await promised(sink, batch(1))
                break
            except Held:
                assert tries < 5
        assert await sink.confirm([receipt]) == {receipt: True}
        assert all(finding.ok for finding in await sink.probe())


@pytest.mark.parametrize("seed", range(5))
async def test_without_a_cookie_nothing_is_confirmed_by_the_wrong_indexer_and_somebody_is_told(seed: int) -> None:
    async with delivering(acks=True, indexers=2, sticky=False, at_once=False, seed=seed) as (sink, receiver):
        held = 0
        open_: dict[Receipt, str] = {}
        for n in range(40):
            try:
                open_[await promised(sink, batch(1, first=n))] = f"e-{n}"
            except Retryable as error:
                assert error.sent
            except Held as error:
                held += 1
                assert "cookie" in error.fix
            for indexer in receiver.indexers:
                if n % 3 == 0:
                    indexer.index_queued(1)
            try:
                confirmed = await sink.confirm(list(open_))
            except Retryable:
                continue
            for receipt, is_true in confirmed.items():
                name = open_.pop(receipt)
                assert not is_true or name in landed(receiver), f"{name} was confirmed by another's acknowledgement"
        assert held > 0


async def test_a_token_without_acknowledgement_is_told_before_anything_is_sent() -> None:
    async with delivering(acks=True) as (sink, receiver):
        receiver.tokens = {SECRET: Token()}
        for _ in range(2):
            with pytest.raises(Held, match="no indexer acknowledgement") as caught:
                await sink.send(batch(3))
            assert "acknowledge: false" in caught.value.fix
        assert receiver.requests["event"] == 0
        receiver.tokens = {SECRET: Token(acknowledge=True)}
        await promised(sink, batch(3))


@pytest.mark.parametrize(
    "rule", [Rule(endpoint="ack", wire=Wire(stop_at=-1, ending="reset")), Rule(endpoint="ack", answer=Response(503))]
)
async def test_a_look_that_fails_puts_no_event_in_doubt(rule: Rule) -> None:
    rule.times = 1
    async with delivering(acks=True) as (sink, receiver):
        receiver.rules.append(rule)
        with pytest.raises(Retryable) as caught:
            await sink.send(batch(3))
        assert not caught.value.sent
        assert receiver.requests["event"] == 0
        await promised(sink, batch(3))


async def test_a_token_that_loses_acknowledgement_on_the_way_accepts_nothing() -> None:
    async with delivering(acks=True) as (sink, receiver):
        receipt = await promised(sink, batch(1))
        assert await sink.confirm([receipt]) == {receipt: True}
        receiver.tokens = {SECRET: Token()}
        with pytest.raises(Retryable, match="promises no acknowledgement") as caught:
            await sink.send(batch(3))
        assert caught.value.sent
        sent = receiver.requests["event"]
        with pytest.raises(Held):
            await sink.send(batch(3))
        assert receiver.requests["event"] == sent, "it does not double forever"


async def test_a_refused_token_is_no_lost_promise() -> None:
    async with delivering(acks=True) as (sink, receiver):
        receipt = await promised(sink, batch(1))
        receiver.tokens = {}
        with pytest.raises(AuthFailed):
            await sink.confirm([receipt])
        receiver.tokens = {SECRET: Token(acknowledge=True)}
        assert await sink.confirm([receipt]) == {receipt: True}


async def test_a_bad_event_is_isolated_with_promises_too(tmp_path: Path) -> None:
    async with HecReceiver({SECRET: Token(acknowledge=True)}) as receiver, bench(tmp_path) as b:
        receiver.rules.append(Rule(times=None, item=lambda found: 6 if b'"e-3"' in found.event else None))
        sink = sink_of(receiver.url, acknowledge=True)
        b.start("one", sink)
        await b.fill(*(event(f"e-{n}") for n in range(1, 6)))
        await b.drained("one")
        assert [letter.seq for letter in await b.spool.dead_letters("one")] == [3]
        assert set(landed(receiver)) == {f"e-{n}" for n in (1, 2, 4, 5)}
        await b.balanced()
        await b.stop("one")
        await sink.close()


# --------------------------------------------------------------------------------------------------- numbers, cookies


def test_numbers_have_to_rise() -> None:
    channel = Channel({}, 0.0)
    assert [channel.counts(number) for number in (0, 1, 5, 5, 4, -1, 6)] == [
        True,
        True,
        True,
        False,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("cookies", "kept"),
    [
        (["AWSALB=a.b+/=; Expires=Wed, 02 Dec 2099 10:00:00 GMT; Path=/"], {"AWSALB": "a.b+/="}),
        (["a=1", "b=2; Secure; HttpOnly"], {"a": "1", "b": "2"}),
        (["a=1", "a=2"], {"a": "2"}),
        (["a=1", "a=; Max-Age=0"], {}),
        (["a=1", "a=x; Max-Age=0"], {}),
        (["a=1", "a=x; max-age = -1"], {}),
        (["", "=x", "novalue", "a b=c", "a=b c", "a=b\r\nx: y", "a=\u00e9", 'a="q"'], {}),
        ([f"c{n}=1" for n in range(100)], {f"c{n}": "1" for n in range(20)}),
        (["a=" + "x" * 5000], {}),
    ],
)
def test_cookies_are_kept_when_they_can_be_sent(cookies: list[str], kept: dict[str, str]) -> None:
    channel = Channel({}, 0.0)
    channel.keep(cookies)
    assert channel.cookies == kept
    header = channel.headers().get("cookie", "")
    assert header == "; ".join(f"{name}={value}" for name, value in kept.items())
    assert header.isascii()
    assert header.isprintable() or not header


# ---------------------------------------------------------------------------------------------------- behind the lane


class Delivering:
    def __init__(self, b: Bench, receiver: HecReceiver, sink: SplunkHecSink, lane: Lane) -> None:
        self.bench, self.receiver, self.sink, self.lane = b, receiver, sink, lane

    async def fill(self, count: int = 30, prefix: str = "e") -> None:
        await self.bench.fill(*(event(f"{prefix}-{n}") for n in range(1, count + 1)))

    async def in_doubt(self) -> set[str]:
        names = self.bench.names
        return {names[seq - 1] for first, last in await self.bench.doubts("one") for seq in range(first, last + 1)}

    async def everything_came(self) -> None:
        """Wait until nothing waits; every event is indexed, and what came twice was on record."""
        await self.bench.drained("one")
        await self.bench.balanced()
        counted = landed(self.receiver)
        assert set(counted) == set(self.bench.names)
        assert {name for name, times in counted.items() if times > 1} <= await self.in_doubt()


@asynccontextmanager
async def lane_to_splunk(
    folder: Path, *, receiver: dict[str, Any] | None = None, **more: Any
) -> AsyncIterator[Delivering]:
    async with HecReceiver({SECRET: Token(acknowledge=True)}, **(receiver or {})) as far, bench(folder) as b:
        sink = sink_of(far.url, slots=2, acknowledge=True, http={"read_timeout": 10})
        lane = b.start("one", sink, **more)
        yield Delivering(b, far, sink, lane)
        await b.stop("one")
        await sink.close()
        assert far.server.failures == []


async def test_late_acks_settle_late(tmp_path: Path) -> None:
    async with lane_to_splunk(tmp_path, receiver={"at_once": False}) as d:
        await d.fill()
        await d.bench.until(lambda: d.lane.report.pending == 3)
        (line,) = await d.bench.spool.books()
        assert (line.accepted, line.waiting) == (0, 30)
        d.receiver.index_queued(1)
        await d.bench.until(lambda: d.lane.report.accepted == 10)
        d.receiver.index_queued()
        await d.everything_came()
        assert await d.in_doubt() == set()


@pytest.mark.parametrize(
    "loss", [Rule(lose=True), Rule(endpoint="ack", wire=Wire(stop_at=8)), Rule(wire=Wire(stop_at=3))]
)
async def test_acks_that_never_come_are_sent_again(loss: Rule, tmp_path: Path) -> None:
    async with lane_to_splunk(tmp_path, confirm_within=0.5) as d:
        await d.fill(3, "first")
        await d.bench.drained("one")
        loss.times = 1
        d.receiver.rules.append(loss)
        await d.fill()
        await d.everything_came()
        assert d.lane.report.doubtful > 0


async def test_a_restart_loses_what_was_not_indexed_and_the_lane_sends_it_again(tmp_path: Path) -> None:
    async with lane_to_splunk(tmp_path, receiver={"at_once": False}, confirm_within=0.5) as d:
        await d.fill()
        await d.bench.until(lambda: d.lane.report.pending == 3)
        await d.receiver.restart()
        assert landed(d.receiver) == Counter()
        for indexer in d.receiver.indexers:
            indexer.at_once = True
        await d.fill(10, "later")
        await d.everything_came()


async def test_a_clean_up_of_channels_costs_repeats_and_nothing_else(tmp_path: Path) -> None:
    async with lane_to_splunk(tmp_path, receiver={"at_once": False}, confirm_within=0.5) as d:
        await d.fill()
        await d.bench.until(lambda: d.lane.report.pending == 3)
        d.receiver.forget_channels()
        d.receiver.index_queued()
        for indexer in d.receiver.indexers:
            indexer.at_once = True
        await d.everything_came()
        assert max(landed(d.receiver).values()) >= 2


async def test_a_lane_that_stops_asks_once_more(tmp_path: Path) -> None:
    async with lane_to_splunk(tmp_path, receiver={"at_once": False}, confirm_every=3600) as d:
        await d.fill()
        await d.bench.until(lambda: d.lane.report.pending == 3)
        d.receiver.index_queued(2)
        await d.bench.stop("one")
        assert d.lane.report.accepted == 20
        d.receiver.index_queued()
        for indexer in d.receiver.indexers:
            indexer.at_once = True
        d.bench.start("one", d.sink)
        await d.everything_came()
        assert sorted(landed(d.receiver).values()) == [1] * 20 + [2] * 10


async def test_a_lane_that_stops_waits_for_no_silent_splunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forwarder.delivery.lane.LAST_QUESTION", 0.05)
    async with lane_to_splunk(tmp_path, confirm_every=3600) as d:
        d.receiver.rules.append(Rule(endpoint="ack", times=1))  # that of the first look
        d.receiver.rules.append(Rule(endpoint="ack", times=None, wire=Wire(delay=3600)))
        await d.fill()
        await d.bench.until(lambda: d.lane.report.pending == 3)
        await d.bench.stop("one")
        assert d.lane.report.accepted == 0
        d.receiver.rules.clear()
        d.bench.start("one", d.sink)
        await d.everything_came()


async def test_several_indexers_behind_a_sticky_balancer(tmp_path: Path) -> None:
    async with lane_to_splunk(tmp_path, receiver={"indexers": 3}, window=2) as d:
        await d.fill(200)
        await d.everything_came()
        assert set(landed(d.receiver).values()) == {1}


async def test_faults_of_every_kind_in_a_row(tmp_path: Path) -> None:
    busy = Response.json({"text": "Server is busy", "code": 9}, 503)
    async with lane_to_splunk(tmp_path, receiver={"indexers": 2}, confirm_within=1.0) as d:
        d.receiver.rules += [
            Rule(answer=busy, times=2),
            Rule(endpoint="ack", answer=Response(500), times=3),
            Rule(wire=Wire(stop_at=5, ending="reset")),
            Rule(busy_after=3),
            Rule(answer=Response(413)),
            Rule(endpoint="ack", wire=Wire(stop_at=9, ending="reset")),
            Rule(lose=True, times=2),
            Rule(unacked=True),
            Rule(wire=Wire(garbage=b"???")),
            Rule(answer=Response(429)),
            Rule(endpoint="ack", answer=Response(200, {}, b"<html>")),
        ]
        await d.fill(100)
        await d.everything_came()
        assert d.lane.report.dead_letters == 0


async def test_a_thousand_promises_may_be_open_at_once(tmp_path: Path) -> None:
    async with lane_to_splunk(
        tmp_path,
        receiver={"at_once": False, "keep": False},
        batch={"events": 2, "wait": 0.0},
        confirm_every=1.0,
        confirm_within=3600,
    ) as d:
        await d.bench.fill(*(event(f"e-{n}") for n in range(2000)))
        await d.bench.until(
            lambda: d.lane.report.pending >= 1000 and not d.lane.report.in_flight and not len(d.lane._ready)
        )
        assert d.receiver.indexed == 0
        d.receiver.index_queued()
        await d.bench.until(lambda: d.lane.report.accepted == 2000)
        assert d.receiver.indexed == 2000
