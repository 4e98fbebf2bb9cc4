"""The simulated API: paging under every switch, bounds, the slower endpoints, control."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
from collections import Counter
from urllib.parse import parse_qs, urlsplit

import pytest

from simulator.config import SimulatorConfig, Switches
from simulator.simulator import Simulator
from tests.simulator.asking import BEGINNING, Clock, ask, exchange, parse, walk

NOW_MS = int(BEGINNING * 1000)


def simulator(clock: Clock | None = None, **settings) -> Simulator:
    settings.setdefault("events", 450)
    return Simulator(SimulatorConfig(**settings), clock=clock or Clock())


CROSS = list(
    itertools.product(
        ("processed", "time"),
        ("inclusive", "exclusive"),
        ("null", "resume", "resume_without_to"),
        ("unchanged", "fresh"),
        ("accepted", "refused"),
    )
)


@pytest.mark.parametrize(("compares", "bounds", "tip", "tip_cursor", "above"), CROSS)
@pytest.mark.parametrize("with_to", [False, True])
async def test_a_walk_gives_each_event_once_and_ends_as_switched(compares, bounds, tip, tip_cursor, above, with_to):
    switches = Switches(from_compares=compares, bounds=bounds, tip=tip, tip_cursor=tip_cursor, limit_above_200=above)
    async with simulator(switches=switches) as sim:
        query = {"since": 0, "sortOrder": "asc"} | ({"until": NOW_MS + 1} if with_to else {})
        found, last = await walk(sim, limit=100, **query)
        assert Counter(found) == Counter(sim.ledger.existed())
        processed = {ident: versions[0].processed_ms for ident, versions in sim.ledger.versions().items()}
        assert [processed[ident] for ident in found] == sorted(processed.values())

        resumes = tip == "resume" or (tip == "resume_without_to" and not with_to)
        assert (last.next is not None) == resumes
        if not resumes:
            assert last.json["links"] == {}
            assert all(
                last.json["meta"][name] is None
                for name in ("attributes", "prev", "current", "start_index", "end_index")
            )
        else:
            again = await ask(sim, limit=100, cursor=last.next)
            assert again.ids == []
            assert (again.next == last.next) == (tip_cursor == "unchanged")

        status = (await ask(sim, limit=201, **query)).status
        assert status == (200 if above == "accepted" else 400)
        assert (await ask(sim, limit=200, **query)).status == 200


async def test_a_resume_cursor_gives_exactly_what_is_new():
    async with simulator() as sim:
        _, last = await walk(sim, limit=100, since=0)
        new = sim.add_events(7)
        answer = await ask(sim, limit=100, cursor=last.next)
        assert sorted(answer.ids) == sorted(new)


async def test_without_oddities_of_the_switches_each_event_is_served_once_by_the_ledger():
    async with simulator() as sim:
        await walk(sim, limit=37, since=0)
        assert set(sim.ledger.served().values()) == {1}
        assert sim.ledger.summary()["organizations"][sim.org_id]["never_served"] == 0


async def test_after_null_the_last_cursor_may_be_asked_again():
    async with simulator(switches=Switches(tip="null")) as sim:
        page = await ask(sim, limit=400, since=0)
        last = await ask(sim, limit=400, cursor=page.next)
        assert (len(last.ids), last.next) == (50, None)
        new = sim.add_events(3)
        again = await ask(sim, limit=400, cursor=page.next)
        assert again.ids[:50] == last.ids
        assert sorted(again.ids[50:]) == sorted(new)


@pytest.mark.parametrize("bounds", ["inclusive", "exclusive"])
@pytest.mark.parametrize("compares", ["processed", "time"])
async def test_bounds(bounds, compares):
    clock = Clock(10_000.0)
    async with simulator(clock, events=0, switches=Switches(bounds=bounds, from_compares=compares)) as sim:
        feed = sim.organizations[sim.org_id].feed
        for moment in (1000, 2000, 3000):
            time_ms, processed = (moment, 9_000_000 - moment) if compares == "time" else (5, moment)
            feed.add(str(moment), time_ms, processed, 0, json.dumps({"id": str(moment)}).encode())
        found = (await ask(sim, since=1000, until=3000)).ids
        assert sorted(found) == (["1000", "2000", "3000"] if bounds == "inclusive" else ["2000"])
        assert (await ask(sim, since=1001, until=2999)).ids == ["2000"]
        assert (await ask(sim, since=2000, until=2000)).ids == (["2000"] if bounds == "inclusive" else [])


async def test_descending_is_the_reverse_and_ends():
    async with simulator() as sim:
        up, _ = await walk(sim, limit=100, since=0)
        down, last = await walk(sim, limit=100, since=0, sortOrder="desc")
        assert down == up[::-1]
        assert last.next is None


async def test_a_late_visible_event_appears_behind_the_cursor():
    clock = Clock()
    async with simulator(clock, events=100, switches=Switches(late_visible=60, late_visible_share=0.2)) as sim:
        _, last = await walk(sim, since=0)
        new = set(sim.add_events(200))
        clock.now += 1
        sim.add_events(1)
        at_once, last = await walk(sim, cursor=last.next, limit=500)
        clock.now += 60
        behind, _ = await walk(sim, cursor=last.next, limit=500)
        assert behind == []
        all_again, _ = await walk(sim, since=0)
        assert set(all_again) == sim.ledger.existed()
        late = new - set(at_once)
        assert 10 < len(late) < 90
        assert late <= set(all_again)


async def test_a_reissued_event_comes_again_in_the_stream():
    clock = Clock()
    async with simulator(clock, events=0, switches=Switches(reissue=0.5, reissue_within=10)) as sim:
        sim.add_events(100)
        clock.now += 11
        found, _ = await walk(sim, since=0)
        counts = Counter(found)
        assert counts == {ident: len(versions) for ident, versions in sim.ledger.versions().items()}
        assert 20 < sum(count == 2 for count in counts.values()) < 80
        one = next(ident for ident, count in counts.items() if count == 2)
        assert (
            "(corrected 1)"
            in parse(await exchange(sim, f"/admin/v1/orgs/{sim.org_id}/events/{one}")).json["data"]["message"][
                "content"
            ]
        )


async def test_cursors_are_opaque_need_encoding_and_remember_order_and_range():
    async with simulator() as sim:
        first = await ask(sim, limit=10, since=0, until=NOW_MS + 1, sortOrder="desc")
        assert first.next.endswith("=")
        second = await ask(sim, limit=10, cursor=first.next, sortOrder="asc", since=NOW_MS)
        whole = await ask(sim, limit=20, since=0, sortOrder="desc")
        assert first.ids + second.ids == whole.ids
        found = [(await ask(sim, limit=1, since=0)).next for _ in range(60)]
        assert len(set(found)) == 60
        assert any("/" in cursor for cursor in found)
        assert any("+" in cursor for cursor in found)
        link = first.json["links"]["next"]
        assert link.startswith(f"{sim.base_url}/admin/v1/orgs/{sim.org_id}/events-stream?")
        assert parse_qs(urlsplit(link).query)["cursor"] == [first.next]


async def test_hundreds_of_cursors_are_read_back():
    async with simulator(events=700) as sim:
        found, _ = await walk(sim, limit=1, since=0)
        assert len(set(found)) == len(found) == 700


async def test_retention_hides_what_is_old():
    async with simulator(events=500, history="10d", retention="5d", late_share=0) as sim:
        found, _ = await walk(sim, since=0)
        edge = NOW_MS - 5 * 86400_000
        young = {ident for ident, (version,) in sim.ledger.versions().items() if version.processed_ms >= edge}
        assert set(found) == young
        assert 0 < len(young) < 500
        down, _ = await walk(sim, since=0, sortOrder="desc")
        assert set(down) == young


# ---------------------------------------------------------------------------------------------------- other endpoints


async def test_events_is_newest_first_without_processing_time():
    async with simulator(events=120) as sim:
        answer = await ask(sim, "events")
        found = answer.ids
        assert len(found) == 25
        assert b"processedAt" not in answer.body
        while answer.next:
            answer = await ask(sim, "events", cursor=answer.next)
            found += answer.ids
        times = {ident: version.time_ms for ident, (version,) in sim.ledger.versions().items()}
        assert sorted(found) == sorted(times)
        assert [times[ident] for ident in found] == sorted(times.values(), reverse=True)


async def test_events_filters():
    async with simulator(events=2_000) as sim:
        logins = await ask(sim, "events", action="user_login", limit=500)
        assert logins.ids
        assert {event["attributes"]["action"] for event in logins.json["data"]} == {"user_login"}
        who = logins.json["data"][0]["attributes"]["actor"]["id"]
        by = await ask(sim, "events", actor=who, limit=500)
        assert {event["attributes"]["actor"]["id"] for event in by.json["data"]} == {who}
        jira = await ask(sim, "events", product="jira", limit=10)
        more = await ask(sim, "events", cursor=jira.next, limit=10)
        assert all(event["attributes"]["action"].startswith("jira") for event in more.json["data"])
        words = await ask(sim, "events", q="Logged out", limit=5)
        assert all(b"logged out" in json.dumps(event).lower().encode() for event in words.json["data"])
        edge = NOW_MS - 86400_000
        recent = await ask(sim, "events", since=edge, limit=500)
        times = {ident: version.time_ms for ident, (version,) in sim.ledger.versions().items()}
        assert all(times[ident] >= edge for ident in recent.ids)
        assert (await ask(sim, action="user_login", limit=500)).ids == (await ask(sim, limit=500)).ids


async def test_one_event_and_the_catalogue():
    async with simulator() as sim:
        ident = (await ask(sim, limit=1)).ids[0]
        one = parse(await exchange(sim, f"/admin/v1/orgs/{sim.org_id}/events/{ident}"))
        assert one.json["data"]["id"] == ident
        items = (await ask(sim, "event-actions")).json["data"]
        assert all(item["attributes"]["displayName"] for item in items)
        assert "user_login" in {item["id"] for item in items}


async def test_bodies_are_served_as_logged():
    async with simulator(events=300) as sim:
        answer = await ask(sim, limit=500)
        for bodies in sim.ledger.bodies().values():
            assert bodies[0] in answer.body


async def test_compressed_when_switched_on():
    async with simulator(compress=True) as sim:
        plain = await ask(sim, limit=5)
        raw = await exchange(
            sim, f"/admin/v1/orgs/{sim.org_id}/events-stream?limit=5", key=f"{sim.api_key}\r\naccept-encoding: gzip"
        )
        packed = parse(raw)
        assert packed.headers["content-encoding"] == "gzip"
        assert json.loads(gzip.decompress(packed.body))["data"] == plain.json["data"]


# ------------------------------------------------------------------------------------------------------- life, control


async def test_time_flows_and_events_appear():
    async with Simulator(SimulatorConfig(events=10, rate=2000)) as sim:
        _, last = await walk(sim, since=0)
        found: list[str] = []
        while len(found) < 20:
            answer = await ask(sim, cursor=last.next, limit=500)
            found, last = found + answer.ids, answer
            await asyncio.sleep(0)
        assert len(found) == len(set(found))
        assert set(found) <= sim.ledger.existed()


async def test_down_and_up_on_the_same_port():
    async with simulator() as sim:
        url = sim.base_url
        cursor = (await ask(sim, limit=5, since=0)).next
        await sim.down()
        with pytest.raises(ConnectionRefusedError):
            await ask(sim)
        await sim.up()
        assert sim.base_url == url
        assert (await ask(sim, cursor=cursor)).status == 200


async def test_a_cursor_outlives_a_restart_with_the_same_seed():
    clock = Clock()
    async with simulator(clock) as sim:
        page = await ask(sim, limit=5, since=0)
    async with simulator(clock) as sim:
        following = await ask(sim, limit=5, cursor=page.next)
        assert page.ids + following.ids == (await ask(sim, limit=10, since=0)).ids


async def test_control_over_http():
    async with simulator() as sim:

        async def control(path: str, method: str = "GET", body: bytes = b"") -> object:
            answer = parse(await exchange(sim, f"/_simulator/{path}", method=method, body=body))
            return answer.json if answer.status == 200 else answer.status

        await ask(sim, limit=20)
        ledger = await control("ledger?ids=1&versions=1&requests=1")
        assert ledger["organizations"][sim.org_id]["existed"] == 450
        assert sum(ledger["ids"][sim.org_id].values()) == 20
        assert len(ledger["versions"][sim.org_id]) == 450
        assert ledger["log"][0]["status"] == 200
        assert (await control("organizations"))[sim.org_id]["api_key"] == sim.api_key
        assert await control("faults", "POST", b"- {what: server_error, status: 500, times: 2}") == {"added": 1}
        assert [(await ask(sim)).status for _ in range(3)] == [500, 500, 200]
        assert (await control("faults"))["fired"] == {"server_error": 2}
        assert await control("faults", "DELETE") == {}
        assert len((await control("events", "POST", b'{"count": 4}'))["ids"]) == 4
        assert await control("keys", "POST") == {"api_key": sim.api_key}
        assert await control("faults", "POST", b"- {what: nothing_known}") == 400
        assert await control("nothing") == 404


def test_switches_from_words():
    assert Switches.parse(["tip=null", "late_visible=5m"]) == Switches(tip="null", late_visible=300)
    for word in ("tip=maybe", "typo=1", "late_visible=soon"):
        with pytest.raises(ValueError, match=word.split("=")[0]):
            Switches.parse([word])
