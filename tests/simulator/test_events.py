"""What simulated events look like: documented shape, known oddities, stories, and the same bytes from the same seed."""

from __future__ import annotations

import ipaddress
import json
import re
from collections import Counter
from datetime import UTC, datetime

import pytest

from simulator.actions import ACTIONS, UNKNOWN
from simulator.config import SimulatorConfig, Switches
from simulator.simulator import Simulator
from tests.simulator.asking import BEGINNING, Clock

DOCUMENTATION = [
    ipaddress.ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]


def built(clock: Clock | None = None, **settings) -> Simulator:
    return Simulator(SimulatorConfig(**settings), clock=clock or Clock())


def documents(sim: Simulator) -> list[dict]:
    return [json.loads(bodies[-1]) for bodies in sim.ledger.bodies(sim.org_id).values()]


@pytest.fixture(scope="module")
def many() -> list[dict]:
    return documents(built(events=12_000))


def test_every_event_has_the_documented_skeleton(many):
    for event in many:
        assert event["type"] == "events"
        attributes = event["attributes"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{9})?Z", attributes["time"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", attributes["processedAt"])
        assert attributes["actor"]["id"]
        assert event["links"]["self"].endswith(event["id"])
        assert event["relations"] is None
    assert len({event["id"] for event in many}) == len(many) == 12_000


def test_a_plain_view_has_everything_the_documentation_shows(many):
    whole = [
        e
        for e in many
        if e["attributes"]["action"] == "jira_issue_viewed" and e["attributes"].get("location", {}).get("ip")
    ]
    event = next(e for e in whole if e["attributes"].get("container") and "auth" in e["attributes"]["actor"])
    (container,) = event["attributes"]["container"]
    assert container["type"] == "sites"
    assert {"siteName", "siteHostName", "product", "issueId", "issueKeyOrId"} <= container["attributes"].keys()
    assert container["links"]["alt"].endswith(f"/browse/{container['attributes']['issueKeyOrId']}")
    assert event["message"]["content"].startswith("Viewed Jira issue")
    assert event["attributes"]["location"].keys() == {"ip", "geo", "countryName", "regionName", "city"}


def test_every_known_oddity_appears(many):
    attributes = [event["attributes"] for event in many]
    actors = [a["actor"] for a in attributes]
    locations = [a.get("location") for a in attributes]
    seen = {
        "no context": any("context" not in a for a in attributes),
        "empty context": any(a.get("context") == [] for a in attributes),
        "no container": any("container" not in a for a in attributes),
        "no location": None in locations,
        "only geo": any(location and location.keys() == {"geo"} for location in locations),
        "empty strings": any(location and set(location.values()) == {""} for location in locations),
        "no email": any("email" not in a for a in actors),
        "no address": any(a.get("email") == "Atlassian app" for a in actors),
        "system": any(a["id"] == "confluence" and a.get("picture", 0) is None for a in actors),
        "whole seconds": any("." not in a["time"] for a in attributes),
        "nanoseconds": any(re.search(r"\.\d{9}Z", a["time"]) for a in attributes),
        "unknown action": any(a["action"] == UNKNOWN for a in attributes),
        "extra field": any("traceId" in a for a in attributes),
        "object attributes": any(
            isinstance(c["attributes"].get("settingValues"), dict) for a in attributes for c in a.get("context", ())
        ),
        "very large": any(len(json.dumps(a)) > 40_000 for a in attributes),
        "impersonation": any("onBehalfOf" in a for a in actors),
        "app": any("app" in a for a in actors),
        "token": any("tokenId" in a.get("auth", {}) for a in actors),
        "control characters": any("\n" in (e.get("message") or {}).get("content", "") for e in many),
        "no message": any("message" not in e for e in many),
        "text/plain": any((e.get("message") or {}).get("format") == "text/plain" for e in many),
    }
    assert [name for name, found in seen.items() if not found] == []


def test_without_oddities_every_event_is_complete():
    for event in documents(built(events=3_000, oddities=0)):
        assert {"context", "container", "actor"} <= event["attributes"].keys()
        assert event["message"]["format"] == "simple"
        assert "." in event["attributes"]["time"]


def test_actions_but_the_unknown_one_are_in_the_catalogue(many):
    found = {event["attributes"]["action"] for event in many}
    assert found - {action.id for action in ACTIONS} == {UNKNOWN}
    assert len(found) > 20


def test_addresses_are_reserved_for_documentation(many):
    for event in many:
        ip = event["attributes"].get("location", {}).get("ip")
        if ip:
            assert any(ipaddress.ip_address(ip) in net for net in DOCUMENTATION), ip
        email = event["attributes"]["actor"].get("email") or ""
        if "@" in email:
            assert email.endswith(("@example.com", "@example.org"))


def test_people_work_by_day(many):
    hours = Counter(
        int(event["attributes"]["time"][11:13]) for event in many if event["attributes"]["action"] == "user_login"
    )
    assert sum(hours[hour] for hour in range(8, 18)) > 5 * sum(hours[hour] for hour in (*range(6), 23))


def test_processing_never_precedes_the_event_and_some_is_late():
    sim = built(events=5_000, late_share=0.05, late_up_to="3h")
    delays = [version.processed_ms - version.time_ms for (version,) in sim.ledger.versions().values()]
    assert min(delays) > 0
    late = sum(delay > 600_000 for delay in delays)
    assert 100 < late < 400
    assert max(delays) <= 3 * 3600_000 + 5_000


def test_times_in_the_json_are_those_of_the_ledger(many):
    sim = built(events=500)
    for ident, (version,) in sim.ledger.versions().items():
        attributes = json.loads(sim.ledger.bodies()[ident][0])["attributes"]
        processed = datetime.fromisoformat(attributes["processedAt"]).astimezone(UTC)
        assert round(processed.timestamp() * 1000) == version.processed_ms
        assert attributes["time"][:19] == datetime.fromtimestamp(version.time_ms // 1000, UTC).strftime(
            "%Y-%m-%dT%H:%M:%S"
        )


@pytest.mark.parametrize("hour", range(0, 24, 3))
def test_the_history_lies_in_its_window(hour):
    # Whoever works early must not begin before the history does: a reader that asks for all of it would miss that.
    now = BEGINNING + hour * 3600
    sim = built(Clock(now), events=3_000, history="2d", late_share=0)
    times = [version.time_ms for (version,) in sim.ledger.versions().values()]
    assert min(times) >= (now - 2 * 86400) * 1000
    assert max(times) < now * 1000
    assert sim.ledger.existed() == sim.ledger.existed(visible_by=now)


@pytest.mark.parametrize("settings", [{}, {"organizations": 2}, {"switches": Switches(reissue=0.1, late_visible=60)}])
def test_the_same_seed_gives_the_same_bytes(settings):
    first, second, other = (built(events=2_500, seed=seed, **settings) for seed in (5, 5, 6))
    assert first.org_ids == second.org_ids
    assert first.api_key == second.api_key
    assert first.add_events(50) == second.add_events(50)
    assert list(first.ledger.bodies().items()) == list(second.ledger.bodies().items())
    assert first.ledger.stories == second.ledger.stories
    assert not first.ledger.existed() & other.ledger.existed()


def test_organizations_share_nothing():
    sim = built(events=100, organizations=3)
    assert len(set(sim.org_ids)) == 3
    assert len({sim.api_key_of(ident) for ident in sim.org_ids}) == 3
    assert len(sim.ledger.existed()) == 300


def test_an_analyst_finds_the_stories():
    sim = built(events=6_000, oddities=0)
    by_story = sim.organizations[sim.org_id].stories
    by_id = {event["id"]: event["attributes"] for event in documents(sim)}

    night = [by_id[ident] for ident in by_story["compromised_account"]]
    views = [a for a in night if a["action"] == "confluence_page_viewed"]
    assert len(views) == 400
    assert len({a["actor"]["id"] for a in views}) == len({a["location"]["ip"] for a in views}) == 1
    assert all(int(a["time"][11:13]) < 6 for a in views)
    home = {
        a["location"]["countryName"]
        for a in by_id.values()
        if a["actor"]["id"] == views[0]["actor"]["id"] and a not in night and "location" in a
    }
    assert views[0]["location"]["countryName"] not in home
    assert sum(a["action"] == "user_login_failed" for a in night) >= 5

    acting = [by_id[ident] for ident in by_story["impersonating_admin"]]
    assert any(a["action"] == "user_logged_in_as_user" for a in acting)
    assert sum("onBehalfOf" in a["actor"] for a in acting) == 12

    exports = [
        a for ident in by_story["mass_export"] if (a := by_id[ident])["action"] == "confluence_space_export_downloaded"
    ]
    assert len(exports) == 5

    token = [by_id[ident] for ident in by_story["token_from_abroad"]]
    made = next(a for a in token if a["action"] == "api_token_created")["context"][1]["id"]
    used = [a for a in token if a["actor"]["auth"].get("tokenId") == made]
    assert len(used) == 60


def test_content_not_stored_leaves_ids_and_hides_words():
    stored, hidden = (
        documents(built(events=2_500, oddities=0)),
        documents(built(events=2_500, oddities=0, ugc="not_stored")),
    )
    titles = {
        c["attributes"]["name"] for e in stored for c in e["attributes"]["container"] if "pageId" in c["attributes"]
    }
    assert len(titles) > 50
    for event in hidden:
        assert "/browse/" not in json.dumps(event)
        for container in event["attributes"]["container"]:
            assert "issueKeyOrId" not in container["attributes"]
            if "pageId" in container["attributes"]:
                assert "name" not in container["attributes"]
        assert not any(title in event["message"]["content"] for title in titles)
    assert any("issueId" in c["attributes"] for e in hidden for c in e["attributes"]["container"])


def test_a_reissued_event_has_the_same_id_and_other_content():
    sim = built(events=1_000, switches=Switches(reissue=0.2, reissue_within=30))
    twice = {ident: versions for ident, versions in sim.ledger.versions().items() if len(versions) > 1}
    assert 100 < len(twice) < 300
    for first, second in twice.values():
        assert first.digest != second.digest
        assert first.processed_ms <= second.processed_ms
        assert first.time_ms == second.time_ms
