"""The simulated API refuses as the real one does: error bodies, keys, scopes, rate limits in every shape."""

from __future__ import annotations

import pytest

from simulator.config import KeyConfig, RateLimits, SimulatorConfig
from simulator.simulator import Simulator
from tests.simulator.asking import BEGINNING, Clock, ask, exchange, parse


def simulator(clock: Clock | None = None, **settings) -> Simulator:
    settings.setdefault("events", 450)
    return Simulator(SimulatorConfig(**settings), clock=clock or Clock())


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"cursor": "bm8gY3Vyc29y"}, 400, "ADMIN-400-1"),
        ({"cursor": "not base64!"}, 400, "ADMIN-400-1"),
        ({"cursor": "https://api.example.com/?cursor=x"}, 400, "ADMIN-400-1"),
        ({"cursor": ""}, 400, "ADMIN-400-1"),
        ({"since": "2026-01-01T00:00:00Z"}, 400, "ADMIN-400-3"),
        ({"since": "-5"}, 400, "ADMIN-400-3"),
        ({"since": 5, "until": 4}, 400, "ADMIN-400-3"),
        ({"sortOrder": "up"}, 400, "ADMIN-400-4"),
        ({"limit": 501}, 400, "ADMIN-400"),
        ({"limit": 0}, 400, "ADMIN-400"),
        ({"org": "00000000-0000-4000-8000-000000000000"}, 404, "ADMIN-404-2"),
        ({"feed": "events/none"}, 404, "ADMIN-404-4"),
        ({"feed": "policies"}, 404, "ADMIN-404-1"),
    ],
)
async def test_error_bodies(query, status, code):
    async with simulator(events=1) as sim:
        answer = await ask(sim, **query)
        assert answer.status == status
        (error,) = answer.json["errors"]
        assert error.keys() == {"id", "status", "code", "title", "detail"}
        assert (error["code"], error["status"]) == (code, str(status))
        assert error["title"]


async def test_a_cursor_of_another_feed_or_organization_is_invalid():
    async with simulator(organizations=2) as sim:
        cursor = (await ask(sim, limit=5, since=0)).next
        assert (await ask(sim, "events", cursor=cursor)).code == "ADMIN-400-1"
        other = sim.org_ids[1]
        assert (await ask(sim, org=other, key=sim.api_key_of(other), cursor=cursor)).code == "ADMIN-400-1"


async def test_keys():
    clock = Clock()
    async with simulator(clock, organizations=2, key=KeyConfig(expires="1h")) as sim:
        assert (await ask(sim, key=None)).status == 401
        assert (await ask(sim, key="wrong")).status == 401
        assert (await ask(sim, key=sim.api_key_of(sim.org_ids[1]))).code == "ADMIN-403-3"
        assert (await ask(sim)).status == 200
        clock.now += 3600
        assert (await ask(sim)).status == 401
        old = sim.api_key
        assert sim.rotate_key() == sim.api_key != old
        assert (await ask(sim)).status == 200
        assert (await ask(sim, key=old)).status == 401


async def test_a_key_without_the_scope_is_forbidden():
    async with simulator(key=KeyConfig(scopes=("read:users:admin",))) as sim:
        assert (await ask(sim)).code == "ADMIN-403-3"
    async with simulator(key=KeyConfig(scopes=())) as sim:
        assert (await ask(sim)).status == 200
        assert parse(await exchange(sim, "/admin/v1/orgs")).json["data"][0]["id"] == sim.org_id
    async with simulator() as sim:
        assert parse(await exchange(sim, "/admin/v1/orgs")).json["data"] == []


async def test_only_get():
    async with simulator() as sim:
        answer = parse(await exchange(sim, f"/admin/v1/orgs/{sim.org_id}/events", method="POST"))
        assert (answer.status, answer.code) == (405, "ADMIN-405-1")


# ------------------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("shape", "name", "value"),
    [
        ("minute", "x-ratelimit-reset", "2026-01-01T00:01Z"),
        ("seconds", "x-ratelimit-reset", "2026-01-01T00:01:00Z"),
        ("retry_after", "retry-after", "45"),
        ("none", None, None),
    ],
)
async def test_rate_limit_headers(shape, name, value):
    clock = Clock(BEGINNING + 15)
    async with simulator(clock, limits=RateLimits(stream=2, shape=shape)) as sim:
        first = await ask(sim)
        assert first.headers.get("x-ratelimit-remaining") == ("1" if shape in {"minute", "seconds"} else None)
        assert (await ask(sim)).status == 200
        refused = await ask(sim)
        assert (refused.status, refused.code) == (429, "ADMIN-429-1")
        limiting = {key for key in refused.headers if key.startswith("x-ratelimit") or key == "retry-after"}
        if name is None:
            assert limiting == set()
        else:
            assert refused.headers[name] == value
        assert (await ask(sim, "events")).status == 200
        clock.now += 45
        assert (await ask(sim)).status == 200


async def test_somebody_else_with_the_key_uses_the_limit_up_while_time_passes():
    clock = Clock(BEGINNING)
    async with simulator(clock, limits=RateLimits(stream=50, others=60)) as sim:
        assert (await ask(sim)).headers["x-ratelimit-remaining"] == "49"
        clock.now += 30
        assert (await ask(sim)).headers["x-ratelimit-remaining"] == "18"
        clock.now += 29
        assert (await ask(sim)).status == 429
        clock.now += 1
        assert (await ask(sim)).headers["x-ratelimit-remaining"] == "49"


async def test_limits_are_per_key_and_good_answers_may_stay_silent():
    async with simulator(organizations=2, limits=RateLimits(stream=1, events=1, on_success=False)) as sim:
        assert not any(name.startswith("x-rate") for name in (await ask(sim)).headers)
        assert (await ask(sim)).headers["x-ratelimit-limit"] == "1"
        other = sim.org_ids[1]
        assert (await ask(sim, org=other, key=sim.api_key_of(other))).status == 200
