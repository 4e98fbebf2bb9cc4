"""What a report remembers: one trouble from its beginning to its end, and a copy that no longer changes."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec
import pytest
from structlog.testing import capture_logs

from forwarder.contracts import Held
from forwarder.observe.reports import LaneReport, Report, SourceReport
from forwarder.observe.summary import Summary, summary
from forwarder.spool.contract import LaneStatus, SpoolError
from forwarder.testing.waiting import until
from tests.observe.reports import NOW, books, full_report, lane_report, source_report


def test_a_trouble_begins_once_whatever_its_reasons_and_states_are():
    report = Report("a", "t")
    report.turn("working", 1.0)
    assert report.trouble_since == 0.0
    report.turn("retrying", 10.0, "refused")
    report.failed(10.0, 2.0)
    report.turn("retrying", 20.0, "timed out")
    report.failed(20.0, 4.0)
    report.turn("held", 30.0, "no credential", "give one")
    report.turn("retrying", 97.0, "reset")
    assert (report.trouble_since, report.tries, report.since) == (10.0, 2, 97.0)
    assert report.turn("working", 107.0)
    assert (report.trouble_since, report.tries, report.next_try, report.reason, report.fix) == (0.0, 0, 0.0, "", "")
    report.turn("paused", 110.0, "full")
    assert report.trouble_since == 110.0


def test_the_same_state_for_another_reason_is_news_and_the_same_reason_is_none():
    report = Report("a", "t")
    assert report.turn("retrying", 1.0, "x")
    assert not report.turn("retrying", 2.0, "x")
    assert report.turn("retrying", 3.0, "y")
    assert report.since == 1.0


def test_of_several_tries_the_next_one_counts_and_one_that_is_over_does_not():
    report = Report("a", "t")
    report.turn("retrying", 0.0, "x")
    report.failed(0.0, 30.0)
    assert report.next_try == 30.0
    report.failed(0.0, 5.0)
    assert report.next_try == 5.0
    report.failed(1.0, 60.0)
    assert report.next_try == 5.0
    report.failed(6.0, 60.0)
    assert (report.next_try, report.tries) == (66.0, 4)


@pytest.mark.parametrize("made", [source_report, lane_report])
def test_a_copy_does_not_change_with_the_report(made):
    live = made()
    before = live.snapshot() if isinstance(live, SourceReport) else live.seen_with(None)
    live.errors["timeout"] += 7
    live.turn("retrying", 5e9, "new")
    if isinstance(live, LaneReport):
        live.unknown_actions["x"] += 1
        live.links["linked"] += 1
        live.observe_send(0.001)
        live.accepted += 1
    assert before == made()


def test_what_waits_is_what_the_spool_says():
    live = lane_report(lag=1, oldest_waiting=2.0, dead_letters=3, position=4)
    row = LaneStatus(1, live.name, live.target, 40, 41, 10, 20_500, 30, True, "pause")
    seen = live.seen_with(row)
    assert (seen.lag, seen.oldest_waiting, seen.dead_letters, seen.position) == (10, 20.5, 30, 40)
    replayed = msgspec.structs.replace(row, replay_waiting=7, replay_accepted=8)
    assert (live.seen_with(replayed).replay_waiting, live.seen_with(replayed).replay_accepted) == (7, 8)
    assert live.seen_with(LaneStatus(1, "", "", 40, 41, 0, None, 0, True, "pause")).oldest_waiting == 0.0
    assert (live.lag, seen.errors) == (1, Counter({"setup_missing": 2}))


def test_a_send_that_took_exactly_a_bound_is_below_it():
    lane = LaneReport("a", "t")
    for seconds in (0.005, 60.0, 60.001):
        lane.observe_send(seconds)
    assert (lane.send_buckets[0], lane.send_buckets[-2], lane.send_buckets[-1]) == (1, 1, 1)


def test_the_summary_says_what_is_wrong_and_since_when_whatever_the_reasons_were():
    ill = lane_report(state="retrying", reason="reset", since=NOW - 31, trouble_since=NOW - 97.4, lag=9)
    well = lane_report(name="b", state="idle", reason="", accepted=3, lag=0, dead_letters=1)
    lines = [books(), books(source="other", accepted=7), books(sink="b", accepted=5)]
    report = full_report(lanes=[ill, well], sources=[source_report(spooled=3)], books=lines)
    assert summary(report) == {
        "sources": {"acme": {"state": "working", "spooled": 104}},
        "sinks": {
            "elastic": {
                "state": "retrying", "for_seconds": 97, "reason": "reset", "accepted": 507, "lag": 9, "dead_letters": 212,
            },
            "b": {"state": "idle", "accepted": 5, "lag": 0, "dead_letters": 1},
        },
    }  # fmt: skip


async def test_the_first_summary_comes_soon_and_the_others_now_and_then(monkeypatch):
    monkeypatch.setattr("forwarder.observe.summary.FIRST", 0.01)
    monkeypatch.setattr("forwarder.observe.summary.EVERY", 3600.0)
    stopping, made = asyncio.Event(), 0

    async def report():
        nonlocal made
        made += 1
        return full_report()

    task = asyncio.create_task(Summary(report, stopping).run())
    with capture_logs() as lines:
        await until(lambda: lines)
        stopping.set()
        await task
    assert (made, [line["event"] for line in lines]) == (1, ["summary"])


async def test_a_spool_that_cannot_be_asked_costs_a_summary_and_not_the_task(monkeypatch):
    monkeypatch.setattr("forwarder.observe.summary.FIRST", 0.01)
    monkeypatch.setattr("forwarder.observe.summary.EVERY", 0.01)
    stopping, answers = asyncio.Event(), [Held("It is gone.", fix="Put it back."), SpoolError("no")]

    async def report():
        if answers:
            raise answers.pop(0)
        stopping.set()
        return full_report()

    with capture_logs() as lines:
        await Summary(report, stopping).run()
    assert [line["event"] for line in lines] == ["summary_failed", "summary_failed", "summary"]
    assert "It is gone." in lines[0]["reason"]
