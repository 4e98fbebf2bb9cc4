"""What meaning costs: CPU µs per event for each step of a lane, beside a bare decode and encode of the same bytes.

    python -m bench.meaning [--events 500] [--rounds 40]

All steps take turns in every round and the best round of each counts, so that neighbours on the machine disturb all
alike.
"""

from __future__ import annotations

import argparse
import random
import time
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from forwarder.catalogue import load_catalogue
from forwarder.contracts import AuditEvent, Origin, Record, Secret
from forwarder.contracts.identity import EventKeys, content_digests
from forwarder.contracts.privacy import Preset, PrivacyConfig
from forwarder.formats.cef.format import CefFormat
from forwarder.formats.ecs.format import EcsFormat
from forwarder.formats.leef.format import LeefFormat
from forwarder.formats.ocsf.format import OcsfFormat
from forwarder.formats.raw import RawFormat
from forwarder.formats.structured_data.format import StructuredDataFormat
from forwarder.records.maker import AT_ONCE
from forwarder.records.privacy import Privacy, build_privacy
from forwarder.sources.organization.normalizer import OrganizationNormalizer

if TYPE_CHECKING:
    from collections.abc import Callable

LANE = "decode + normalise + ecs, as a lane does it"
ORGANIZATION = "a1b2c3d4-0000-1111-2222-333344445555"
ACTIONS = ("confluence_page_viewed", "jira_issue_viewed", "jira_issue_updated", "user_login", "group_created", "x_flux")


def event(rng: random.Random, number: int) -> dict[str, Any]:
    """Return an event of about 1.2 kB, every one with people, places and things of its own."""
    account, group = f"712020:{uuid.UUID(int=rng.getrandbits(128))}", str(uuid.UUID(int=rng.getrandbits(128)))
    site, issue = rng.randrange(4), rng.randrange(100_000)
    second = f"{number // 60 % 60:02}:{number % 60:02}"
    return {
        "id": str(uuid.UUID(int=rng.getrandbits(128))),
        "type": "events",
        "attributes": {
            "time": f"2026-01-31T10:{second}.{rng.randrange(1000):03}Z",
            "processedAt": f"2026-01-31T10:{second}.{rng.randrange(1000):03}Z",
            "action": rng.choice(ACTIONS),
            "actor": {
                "id": account,
                "name": f"Person {rng.randrange(5000)}",
                "email": f"person{rng.randrange(5000)}@example.com",
                "auth": {"authType": "session"},
                "links": {"self": f"https://api.atlassian.com/users/{account}", "alt": None},
            },
            "context": [{"id": group, "type": "groups", "attributes": {"name": f"users-{number}"}, "links": {}}],
            "container": [
                {
                    "id": f"cee46caf-0000-0000-0000-{site:012}",
                    "type": "sites",
                    "attributes": {
                        "siteName": f"site{site}",
                        "product": "software",
                        "issueId": str(issue),
                        "issueKeyOrId": f"WEB-{issue}",
                        "siteHostName": f"https://site{site}.example.net",
                    },
                    "links": {"alt": f"https://site{site}.example.net/browse/WEB-{issue}"},
                }
            ],
            "location": {
                "ip": f"203.0.113.{rng.randrange(255)}",
                "geo": "50.4501,30.5234",
                "countryName": "Ukraine",
                "regionName": "Kyiv City",
                "city": "Kyiv",
            },
        },
        "links": {"self": f"https://api.atlassian.com/admin/v1/orgs/{ORGANIZATION}/events/{number}"},
        "relations": None,
        "message": {"content": f"Person did something to issue WEB-{issue}", "format": "simple"},
    }


def steps(bodies: list[bytes]) -> dict[str, Callable[[], object]]:
    """Return what is measured, by name."""
    origin = Origin("bench", "organization", ORGANIZATION)
    keys = EventKeys(origin.feed, origin.scope)
    ids = [msgspec.json.decode(body)["id"] for body in bodies]
    records = [
        Record(number, origin, keys.key(ident).hex(), body, read_ms=1_769_853_700_000)
        for number, (ident, body) in enumerate(zip(ids, bodies, strict=True), 1)
    ]
    normalizer, ecs, raw = OrganizationNormalizer(), EcsFormat(), RawFormat()
    cef, leef, structured_data, ocsf = CefFormat(), LeefFormat(), StructuredDataFormat(), OcsfFormat()
    decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
    for record, meaning in zip(records, normalizer.normalize(records), strict=True):
        assert isinstance(meaning, AuditEvent)
        record.event = meaning
    catalogue = load_catalogue()
    fresh = [msgspec.structs.replace(record, event=None) for record in records]

    def lane() -> None:
        """Take all steps as a lane does: a few events together, whose meaning is let go."""
        for start in range(0, len(fresh), AT_ONCE):
            part = fresh[start : start + AT_ONCE]
            for record, meaning in zip(part, normalizer.normalize(part), strict=True):
                assert isinstance(meaning, AuditEvent)
                record.event = meaning
            for record, body in zip(part, ecs.render(part), strict=True):
                assert isinstance(body, bytes)
                record.body, record.event = body, None

    return {
        "bare decode + encode": lambda: [encode(decode(body)) for body in bodies],
        "decode + normalise, nothing met before": lambda: OrganizationNormalizer(catalogue).normalize(records),
        "decode + normalise, all met before": lambda: normalizer.normalize(records),
        "ecs": lambda: ecs.render(records),
        "ocsf": lambda: ocsf.render(records),
        LANE: lane,
        "cef": lambda: cef.render(records),
        "leef": lambda: leef.render(records),
        "rfc5424_sd": lambda: structured_data.render(records),
        "raw": lambda: raw.render(records),
        "bare decode": lambda: [decode(body) and None for body in bodies],
        **{f"privacy {name}": partial(_private, privacy, bodies) for name, privacy in _privacies().items()},
        **{
            f"privacy {name}, as people work": partial(_private, privacy, _worked(bodies))
            for name, privacy in _privacies().items()
        },
        "keys": lambda: keys.keys(ids),
        "content digests": lambda: content_digests(bodies),
    }


def _privacies() -> dict[str, Privacy]:
    key = Secret("key of the bench")
    hidden = {"names": "pseudonymise", "addresses": "pseudonymise"}
    settings: dict[str, dict[str, Any]] = {
        **{name: {"preset": name} for name in get_args(Preset) if name != "none"},
        "pseudonyms of persons": {**hidden, "key": key},
        "pseudonyms": {**hidden, "content": "pseudonymise", "key": key},
    }
    return {name: build_privacy(PrivacyConfig.model_validate(each)) for name, each in settings.items()}


def _worked(bodies: list[bytes]) -> list[bytes]:
    """Return the events as if a tenth as many people had done them, to few things often and to most things seldom."""
    rng, events = random.Random(8), [msgspec.json.decode(body) for body in bodies]
    for each in events:
        person = rng.choice(events[: len(events) // 10])["attributes"]
        thing = events[min(int(rng.paretovariate(0.6)), len(events)) - 1]["attributes"]
        each["attributes"] |= {name: person[name] for name in ("actor", "location")}
        each["attributes"] |= {name: thing[name] for name in ("context", "container")}
    return [msgspec.json.encode(each) for each in events]


def _private(privacy: Privacy, bodies: list[bytes]) -> list[bytes]:
    """Make events private, as a lane does it behind its filter."""
    return [privacy.apply("organization", body) for body in bodies]


def measure(events: int = 500, rounds: int = 40) -> dict[str, float]:
    """Return CPU µs per event of each step."""
    rng = random.Random(7)
    bodies = [msgspec.json.encode(event(rng, number)) for number in range(events)]
    todo = steps(bodies)
    best = dict.fromkeys(todo, float("inf"))
    for _ in range(rounds):
        for name, step in todo.items():
            start = time.thread_time()
            step()
            best[name] = min(best[name], time.thread_time() - start)
    return {name: seconds / events * 1e6 for name, seconds in best.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    found = measure(options.events, options.rounds)
    bare = found["bare decode + encode"]
    for name, cost in found.items():
        print(f"{name:46} {cost:7.2f} µs/event   {cost / bare:5.2f} times bare")
    print(f"{LANE}: {found[LANE] / bare:.2f} times bare (aim: 2)")


if __name__ == "__main__":
    main()
