"""The one sentence: what is wrong, is anything lost, what to do; for every state, and for several at once."""

from __future__ import annotations

from typing import Any

import pytest

from forwarder.observe.verdict import tone_of, verdict

WELL: dict[str, Any] = {"name": "a", "state": "working", "well": True}
COMPLETE = [{"source": "acme", "sink": "splunk", "expected": 5, "missing": 0, "incomplete_days": 0}]
HELD = {
    "name": "splunk", "state": "held", "well": False, "reason": "token disabled", "fix": "enable the token",
    "trouble_since": "2026-11-28T23:41:12Z", "lag_events": 12431, "lag_seconds": 900.0,
    "oldest_waiting": "2026-11-28T23:41:10Z",
}  # fmt: skip


def report(*, sources: Any = (), sinks: Any = (), **more: Any) -> dict[str, Any]:
    spool = {"gaps": more.pop("gaps", []), "lanes": more.pop("lanes", []), "room_until": "2026-11-30T10:14:00Z"}
    base = {"running": True, "ready": True, "balanced": True, "completeness": COMPLETE, "problem": ""}
    return {**base, "sources": list(sources), "sinks": list(sinks), "spool": spool, **more}


@pytest.mark.parametrize(
    ("found", "tone", "what"),
    [
        (report(sources=[WELL], sinks=[WELL]), "well", "Everything is read and delivered."),
        (report(sinks=[HELD]), "held", "Sink splunk takes no events."),
        (report(sinks=[{**HELD, "state": "retrying"}]), "late", "Sink splunk is late: it is tried again."),
        (report(sources=[{**HELD, "name": "acme"}]), "held", "Source acme cannot be read."),
        (report(sources=[{**HELD, "name": "acme", "state": "retrying"}]), "late", "Source acme does not answer as it"),
        (report(sources=[{**HELD, "name": "acme", "state": "paused"}]), "held", "The spool is full, so source acme"),
        (report(sinks=[{**WELL, "name": "qradar", "state": "paused"}]), "off", "Sink qradar is paused by hand."),
        (report(sinks=[{**WELL, "lag_events": 9, "lag_seconds": 3600}]), "busy", "Sink a is catching up."),
        (report(sources=[{**WELL, "history_left_seconds": 60.0}]), "busy", "History is being read; live events come"),
        (report(draining=True), "busy", "It ends: what is under way is finished first."),
        (report(ready=False, not_ready=["the spool is not open"]), "busy", "Not ready: the spool is not open."),
        (report(problem="the report takes longer than 0.8 s"), "held", "The daemon cannot say how it goes: the report"),
        (report(running=False), "held", "audit-forwarder does not run."),
        (report(balanced=False), "held", "The books do not balance: events are lost or invented."),
        (report(completeness=[{**COMPLETE[0], "missing": 3}]), "held", "3 events are missing at sink splunk."),
        (report(completeness=[{**COMPLETE[0], "missing": 1}]), "held", "1 event is missing at sink splunk."),
        ({}, "well", "Everything is read and delivered."),
    ],
)
def test_every_state_has_its_sentence(found: dict[str, Any], tone: str, what: str) -> None:
    made = verdict(found)
    assert made.tone == tone
    assert made.what.startswith(what)


def test_a_held_sink_is_said_with_what_to_do_how_long_there_is_and_who_is_blind() -> None:
    made = verdict(report(sources=[WELL], sinks=[WELL, HELD]))
    assert made.lost == "Nothing is lost."
    assert not made.is_lost
    assert [(each.part, each.do) for each in made.todo] == [("sink splunk", "enable the token.")]
    assert made.since == "2026-11-28T23:41:12Z"
    assert made.until == "2026-11-30T10:14:00Z"
    assert made.waiting == 12431
    assert [(each.sink, each.since) for each in made.blind] == [("splunk", "2026-11-28T23:41:10Z")]


def test_no_deadline_while_no_sink_keeps_the_spool_from_being_emptied() -> None:
    assert verdict(report(sources=[{**HELD, "lag_events": 0}])).until == ""


def test_of_several_troubles_the_worst_comes_first_and_all_fixes_are_there() -> None:
    late = {**HELD, "name": "acme", "state": "retrying", "fix": "nothing", "trouble_since": "2026-11-27T00:00:00Z"}
    many = [{**HELD, "name": f"s{number}"} for number in range(5)]
    made = verdict(report(sources=[late], sinks=many, completeness=[{**COMPLETE[0], "missing": 2}]))
    assert made.tone == "held"
    assert made.what == "6 parts are not well: sink s0, sink s1, sink s2, sink s3 and 2 more."
    assert made.since == "2026-11-27T00:00:00Z"
    assert len(made.todo) == 7
    assert made.is_lost
    assert made.lost == "2 events are missing at sink splunk."


@pytest.mark.parametrize(
    ("more", "lost", "is_lost"),
    [
        ({}, "Nothing is lost.", False),
        ({"completeness": []}, "Nothing that was read is lost; whether all was read is not judged yet.", False),
        ({"gaps": [{"state": "open"}]}, "Nothing is known to be lost; 1 gap not closed yet, see below.", False),
        (
            {"gaps": [{"state": "lost"}, {"state": "fetching"}]},
            "Something is lost: 1 gap cannot be closed any more",
            True,
        ),
        ({"gaps": [{"state": "closed"}]}, "Nothing is lost.", False),
        ({"balanced": False}, "The books do not balance: events are lost or invented.", True),
    ],
)
def test_nothing_lost_is_said_only_when_it_was_seen(more: dict[str, Any], lost: str, *, is_lost: bool) -> None:
    made = verdict(report(sources=[WELL], sinks=[WELL], **more))
    assert made.lost.startswith(lost)
    assert made.is_lost is is_lost


@pytest.mark.parametrize(
    ("state", "well", "tone"),
    [
        ("working", True, "well"), ("idle", True, "well"), ("starting", True, "busy"), ("paused", True, "off"),
        ("paused", False, "held"), ("held", False, "held"), ("retrying", False, "late"), ("stopped", True, "late"),
        ("of a later version", False, "late"), ("of a later version", True, "well"),
    ],
)  # fmt: skip
def test_every_state_has_a_tone(state: str, tone: str, *, well: bool) -> None:
    assert tone_of({"state": state, "well": well}) == tone
