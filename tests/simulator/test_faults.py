"""Every fault of the script: seen on a raw socket, counted in the ledger, and gone again when its time is over."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from typing import get_args

import msgspec
import pytest

from simulator import effects
from simulator.config import SimulatorConfig
from simulator.faults import FaultScript, Occasion, Rule, What, load_script
from simulator.simulator import Simulator
from tests.simulator.asking import BEGINNING, Clock, ask, exchange, parse, walk


def simulator(*faults: dict, clock: Clock | None = None, **settings) -> Simulator:
    settings.setdefault("events", 450)
    return Simulator(SimulatorConfig(faults=faults, **settings), clock=clock or Clock())


async def raw(sim: Simulator, query: str = "limit=100&from=0") -> bytes:
    return await exchange(sim, f"/admin/v1/orgs/{sim.org_id}/events-stream?{query}")


def test_every_fault_has_an_effect_and_a_test():
    known = set(effects.ANSWERS) | effects.CHANGES | effects.PAGES | effects.WIRES | effects.CLOCKS
    assert known == set(get_args(What))
    assert known == {what for what, *_ in ANSWERING} | {what for what, *_ in BREAKING} | TESTED_ALONE


# ------------------------------------------------------------------------------------------------- whole answers

ANSWERING = [
    ("rate_limit", {"shape": "minute", "wait": 5}, 429, b"ADMIN-429-1"),
    ("rate_limit", {"shape": "seconds", "wait": 5}, 429, b"X-RateLimit-Reset: 2026-01-01T00:00:05Z"),
    ("rate_limit", {"shape": "retry_after", "wait": 5}, 429, b"Retry-After: 5"),
    ("rate_limit", {"shape": "none"}, 429, b"ADMIN-429-1"),
    ("unauthorized", {}, 401, b'"code":401'),
    ("forbidden", {}, 403, b"ADMIN-403-3"),
    ("not_found", {}, 404, b"ADMIN-404-2"),
    ("bad_date", {}, 400, b"ADMIN-400-3"),
    ("server_error", {"status": 500}, 500, b"ADMIN-500-1"),
    ("server_error", {"status": 502}, 502, b"Bad Gateway"),
    ("server_error", {"status": 503}, 503, b"text/html"),
    ("server_error", {"status": 504}, 504, b"Gateway Time-out"),
    ("html", {"status": 200}, 200, b"<html>"),
    ("login_page", {}, 200, b'type="password"'),
    ("redirect", {}, 302, b"location: /login"),
]


@pytest.mark.parametrize(("what", "parameters", "status", "words"), ANSWERING)
async def test_an_answer_is_replaced_once_and_counted(what, parameters, status, words):
    async with simulator({"what": what, "name": "mine", **parameters}) as sim:
        answer = await raw(sim)
        assert parse(answer).status == status
        assert words in answer
        assert sim.faults.fired("mine") == 1
        assert sim.ledger.requests[-1].fault == "mine"
        assert sim.ledger.served_events == 0
        good = await ask(sim)
        assert len(good.ids) == 200
        assert sim.faults.fired("mine") == 1


async def test_minute_precision_rounds_up():
    async with simulator({"what": "rate_limit", "shape": "minute", "wait": 5}) as sim:
        assert (await ask(sim)).headers["x-ratelimit-reset"] == "2026-01-01T00:01Z"


# ------------------------------------------------------------------------------------------------------- on the wire

BREAKING = [
    ("truncated", {}, "short"),
    ("truncated", {"bytes": 0}, "short"),
    ("half_close", {"bytes": 100}, "short"),
    ("reset_before", {}, "reset"),
    ("reset_after_headers", {}, "reset"),
    ("reset_mid", {}, "reset"),
    ("garbage", {}, "garbage"),
    ("invalid_json", {}, "invalid"),
    ("delay", {"wait": 0.01}, "whole"),
    ("drip", {"chunk": 20_000, "pause": 0.001}, "whole"),
    ("stall", {"wait": 0.01}, "whole"),
]


@pytest.mark.parametrize(("what", "parameters", "outcome"), BREAKING)
async def test_a_good_answer_breaks_on_its_way(what, parameters, outcome):
    async with simulator({"what": what, **parameters}) as sim:
        if outcome == "reset":
            with pytest.raises(ConnectionResetError):
                await raw(sim)
        else:
            answer = await raw(sim)
            if outcome == "garbage":
                assert not answer.startswith(b"HTTP/")
            else:
                found = parse(answer)
                complete = len(found.body) == int(found.headers["content-length"])
                assert complete == (outcome != "short")
                if outcome == "invalid":
                    with pytest.raises(json.JSONDecodeError):
                        assert found.json
                if outcome == "whole":
                    assert len(found.ids) == 100
        assert sim.faults.fired(what) == 1
        torn = 0 if outcome == "whole" else 100
        assert (sim.ledger.torn_events, sim.ledger.served_events) == (torn, 100 - torn)
        found, _ = await walk(sim, since=0)
        assert set(found) == sim.ledger.existed()


# ------------------------------------------------------------------------------------------------ pages and the server

TESTED_ALONE = {
    "cursor_lost",
    "cursors_lost",
    "key_expiry",
    "key_rotation",
    "bad_event",
    "repeated_ids",
    "loop",
    "empty_page",
    "unchanged_cursor",
    "missing_meta",
    "missing_links",
    "wrong_clock",
}


async def test_a_cursor_is_lost_once():
    async with simulator({"what": "cursor_lost"}) as sim:
        first = await ask(sim, limit=10, since=0)
        assert first.status == 200
        assert (await ask(sim, cursor=first.next)).code == "ADMIN-400-1"
        assert (await ask(sim, cursor=first.next)).status == 200
        assert sim.faults.fired("cursor_lost") == 1


async def test_all_cursors_are_lost_for_ever():
    async with simulator() as sim:
        old = (await ask(sim, limit=10, since=0)).next
        sim.faults.add("cursors_lost")
        new = (await ask(sim, limit=10, since=0)).next
        for _ in range(2):
            assert (await ask(sim, cursor=old)).code == "ADMIN-400-1"
        assert (await ask(sim, cursor=new)).status == 200
        assert sim.faults.fired("cursors_lost") == 1


async def test_a_key_expires_until_it_is_replaced():
    async with simulator({"what": "key_expiry"}) as sim:
        assert [(await ask(sim)).status for _ in range(2)] == [401, 401]
        sim.rotate_key()
        assert (await ask(sim)).status == 200
        assert sim.faults.fired("key_expiry") == 1


async def test_a_key_is_rotated():
    async with simulator({"what": "key_rotation"}) as sim:
        old = sim.api_key
        assert (await ask(sim)).status == 401
        assert sim.api_key != old
        assert (await ask(sim)).status == 200
        assert (await ask(sim, key=old)).status == 401


async def test_ids_are_repeated_across_pages():
    async with simulator({"what": "repeated_ids", "count": 3, "times": 2}) as sim:
        first = await ask(sim, limit=10, since=0)
        second = await ask(sim, limit=10, cursor=first.next)
        assert second.ids[:3] == first.ids[-3:]
        assert len(second.ids) == 10
        third = await ask(sim, limit=10, cursor=second.next)
        assert third.ids[:3] == second.ids[-3:]
        rest, _ = await walk(sim, cursor=third.next)
        everything = first.ids + second.ids + third.ids + rest
        assert set(everything) == sim.ledger.existed()
        assert len(everything) == 456
        assert sim.faults.fired("repeated_ids") == 2


async def test_a_loop_gives_the_same_cursor_with_the_same_ids():
    async with simulator({"what": "loop", "times": 3, "after_requests": 1}) as sim:
        first = await ask(sim, limit=10, since=0)
        looped = [await ask(sim, limit=10, cursor=first.next) for _ in range(3)]
        assert {answer.next for answer in looped} == {first.next}
        assert len({tuple(answer.ids) for answer in looped}) == 1
        free = await ask(sim, limit=10, cursor=first.next)
        assert free.ids == looped[0].ids
        assert free.next != first.next


async def test_a_loop_needs_events():
    async with simulator({"what": "loop"}, events=0) as sim:
        assert (await ask(sim)).ids == []
        assert sim.faults.fired("loop") == 0


@pytest.mark.parametrize("what", ["empty_page", "unchanged_cursor"])
async def test_an_empty_page_though_there_is_more(what):
    async with simulator({"what": what, "after_requests": 1}) as sim:
        first = await ask(sim, limit=10, since=0)
        empty = await ask(sim, limit=10, cursor=first.next)
        assert empty.ids == []
        assert empty.next
        assert (empty.next == first.next) == (what == "unchanged_cursor")
        rest, _ = await walk(sim, cursor=empty.next)
        assert sorted(first.ids + rest) == sorted(sim.ledger.existed())


@pytest.mark.parametrize(("what", "name"), [("missing_meta", "meta"), ("missing_links", "links")])
async def test_a_part_of_the_page_is_missing(what, name):
    async with simulator({"what": what}) as sim:
        assert {"data", "meta", "links"} - (await ask(sim)).json.keys() == {name}
        assert {"data", "meta", "links"} - (await ask(sim)).json.keys() == set()


@pytest.mark.parametrize("kind", get_args(Rule.model_fields["kind"].annotation))
async def test_one_bad_event_among_good_ones(kind):
    async with simulator({"what": "bad_event", "kind": kind}, events=3, oddities=0) as sim:
        body = (await ask(sim)).body
        assert len(sim.ledger.existed()) == 4
        (bad,) = [bodies[0] for bodies in sim.ledger.bodies().values() if b"user_profile_viewed" in bodies[0]]
        assert bad in body
        if kind in {"surrogate", "nan", "bad_utf8"}:
            with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
                msgspec.json.decode(bad)
        else:
            event = json.loads(bad)
            assert ("id" in event) == (kind != "without_id")
            assert ("time" in event["attributes"]) == (kind != "without_time")
            assert (b"1e400" in bad) == (kind == "huge_number")
        assert sim.faults.fired("bad_event") == 1


async def test_the_date_is_that_of_the_clock_and_a_wrong_one_is_off():
    clock = Clock()
    faults = [{"what": "wrong_clock", "ahead": -90}, {"what": "wrong_clock", "ahead": 3600}]
    async with simulator(*faults, clock=clock, events=1) as sim:
        offsets = [parsedate_to_datetime((await ask(sim)).headers["date"]).timestamp() - clock.now for _ in range(3)]
        assert offsets == [-90, 3600, 0]
        assert sim.faults.fired("wrong_clock") == 2
        refused = await ask(sim, cursor="none")
        assert (refused.status, "date" in refused.headers) == (400, True)


# ------------------------------------------------------------------------------------------------------------ schedule


async def statuses(sim: Simulator, count: int, **query) -> list[int]:
    return [(await ask(sim, **query)).status for _ in range(count)]


async def test_after_and_every_and_times():
    async with simulator({"what": "html", "after_requests": 1, "every": 3, "times": 2}, events=1) as sim:
        assert await statuses(sim, 10) == [200, 200, 200, 503, 200, 200, 503, 200, 200, 200]
        assert sim.faults.script.spent


async def test_at_and_for():
    clock = Clock()
    async with simulator({"what": "html", "at": "10s", "for": "5s"}, events=1, clock=clock) as sim:
        assert await statuses(sim, 2) == [200, 200]
        clock.now += 10
        assert await statuses(sim, 2) == [503, 503]
        clock.now += 4.9
        assert await statuses(sim, 1) == [503]
        clock.now += 0.2
        assert await statuses(sim, 2) == [200, 200]


async def test_every_period():
    clock = Clock()
    rules = (
        {"what": "html", "every": "60s", "for": "5s"},
        {"what": "server_error", "status": 500, "every": "30s", "at": 20},
    )
    async with simulator(*rules, events=1, clock=clock) as sim:
        found = []
        for _ in range(14):
            found.append((await ask(sim)).status)
            clock.now += 7
    # t =                0    7    14   21   28   35   42   49   56   63   70   77   84   91
    assert found == [503, 200, 200, 500, 200, 200, 200, 200, 500, 503, 200, 200, 500, 200]


async def test_share_is_decided_by_the_seed():
    async def run(seed: int) -> list[int]:
        async with simulator({"what": "html", "share": 0.5, "times": 1000}, events=1, seed=seed) as sim:
            return await statuses(sim, 40)

    first = await run(1)
    assert first == await run(1)
    assert first != await run(2)
    assert 8 < first.count(503) < 32


async def test_feed_and_organization_decide_which_requests_match():
    rules = ({"what": "html", "feed": "events", "times": 9}, {"what": "forbidden", "organization": 1, "times": 9})
    async with simulator(*rules, events=1, organizations=2) as sim:
        assert (await ask(sim)).status == 200
        assert (await ask(sim, "events")).status == 503
        other = sim.org_ids[1]
        assert (await ask(sim, org=other, key=sim.api_key_of(other))).status == 403


async def test_one_fault_a_request_in_the_order_of_the_script():
    async with simulator({"what": "html"}, {"what": "server_error", "status": 500}, events=1) as sim:
        assert await statuses(sim, 3) == [503, 500, 200]


async def test_faults_are_added_and_cleared_while_it_runs():
    clock = Clock()
    async with simulator(events=1, clock=clock) as sim:
        clock.now += 100
        sim.faults.add("html", at=5, lasts="10s", name="later")
        assert await statuses(sim, 1) == [200]
        clock.now += 5
        assert await statuses(sim, 1) == [503]
        sim.faults.clear()
        assert await statuses(sim, 1) == [200]
        assert sim.faults.fired("later") == 1


def test_a_rule_that_does_not_fire_is_not_counted():
    from collections import Counter

    counts: Counter[str] = Counter()
    script = FaultScript([{"what": "html"}], seed=1, now=BEGINNING, counts=counts)
    assert list(script.due(Occasion("stream", "o", 0, BEGINNING)))
    assert script.fired("html") == 0
    assert not script.spent


@pytest.mark.parametrize(
    "text",
    [
        "- {what: earthquake}",
        "- {what: html, typo: 1}",
        "- {what: html, share: 2}",
        "hello",
        "- {what: html, at: soon}",
    ],
)
def test_a_wrong_script_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        load_script(text)


def test_a_script_is_a_list_or_a_map():
    assert load_script("") == ()
    assert load_script("faults:\n- what: html\n  for: 30s\n") == load_script("- {what: html, for: 30s}")
