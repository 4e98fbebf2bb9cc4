"""Whatever a sink, a format or a page of ours gets of an event holds no text that the sink's privacy leaves out.

A sink has nothing of an event but its record, so every byte of the record is searched, for every sink, format and preset.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from forwarder.admin.dead_letters import privacy_of
from forwarder.assembly import build_filters, build_maker, build_sink
from forwarder.catalogue import Catalogue, load_catalogue
from forwarder.config.settings import Settings
from forwarder.contracts import ConfigError, Origin
from forwarder.records.normalizers import Normalizers
from forwarder.records.privacy import may_be_own
from forwarder.registry import FORMATS, OWN_DISTRIBUTION, SINKS
from forwarder.spool.contract import Chunk
from tests.records.test_privacy import context_of, documents, is_own, texts

CONTENT, PERSON = "CANARY 77-bird", "NOBODY 55-fox"
"""What users wrote, and what tells who somebody is."""

LOOK_FOR = {
    "no_content": [b"canary"],
    "no_persons": [b"nobody"],
    "strict": [b"canary", b"nobody"],
}
GOLDEN = Path(__file__).parents[1] / "golden"
OF_PEOPLE = {"name", "displayName", "publicName", "username", "email", "emailAddress", "accountId", "userKey",
             "authorKey", "authorAccountId", "id", "fullName", "userName"}  # fmt: skip
WHERE_FROM = {"city", "regionName", "geo"}
PEOPLE = {"user", "users", "invited-user", "invited-users", "account", "accounts", "customer", "customers"}
ACTORS = {"actor", "author", "onBehalfOf", "impersonator", "user", "users"}
REQUIRED = {
    "archive": {"path": "archive"},
    "elasticsearch": {"url": "https://es.example.com:9200", "unmanaged": True},
    "file": {"path": "events.ndjson"},
    "http": {"url": "https://siem.example.com/in"},
    "splunk_hec": {
        "url": "https://splunk.example.com:8088",
        "token": "a1b2c3d4-0000-4111-8222-93e4f5a6b7c8",
        "index": "atlassian_{product}",
        "host": "{site}",
        "indexed_fields": ["actor_name", "actor_email", "site", "target_user", "object_id", "src_ip"],
    },
    "syslog": {"address": "tls://siem.example.com:6514"},
}


def tells_who(path: tuple[Any, ...], tree: Any) -> bool:
    """Say whether a text tells who somebody is, by where it stands; said here a second time, without the tables."""
    names = [part for part in path if isinstance(part, str)]
    if names[-1] in WHERE_FROM:
        return True
    if names[-1] not in OF_PEOPLE:
        return False
    if names[-1] in {"authorKey", "authorAccountId"} or (len(names) > 1 and names[-2] in ACTORS):
        return True
    entry: Any = tree
    for part in path[:-1]:
        entry = entry[part]
        if isinstance(entry, dict):
            kinds = {str(entry.get(member)).lower() for member in ("type", "typeName", "objectType")}
            if kinds & PEOPLE:
                return True
    return False


def planted(tree: dict[str, Any]) -> bytes:
    """Return an event with a canary in every text that is not the API's own."""
    found = copy.deepcopy(tree)
    for path in [*texts(tree)]:
        if is_own(path, tree):
            continue
        place: Any = found
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = PERSON if tells_who(path, tree) else CONTENT
    found["links"] = {"CANARY link": "https://x.example.com/CANARY", "alt": {"CANARY": 1}}
    found["CANARY member"] = {"CANARY": ["CANARY", {"CANARY": '{"json": "CANARY"}'}]}
    return json.dumps(found).encode()


@cache
def bodies(feed: str) -> list[bytes]:
    folder = {"jira": "jira", "confluence": "confluence", "jira_datacenter": "datacenter"}.get(feed)
    trees = [*documents(feed)]
    for path in (GOLDEN / folder).glob("*/in.json") if folder else ():
        try:
            tree = json.loads(path.read_bytes())
        except ValueError:
            continue
        trees += [tree] if isinstance(tree, dict) else []
    made: list[bytes] = []
    met: set[Any] = set()
    for tree in trees:  # those with a text where none was before
        shapes = {(tuple("*" if isinstance(part, int) else part for part in path), context_of(path, tree))
                  for path in texts(tree)}  # fmt: skip
        if not shapes <= met:
            met |= shapes
            made.append(planted(tree))
    return [*made, *(body[:-1] for body in made[:2]), b"CANARY NOBODY is no JSON", b'{"id":1e400,"x":"CANARY"}']


FEEDS = ["organization", "jira", "confluence", "jira_datacenter", "feed_of_a_stranger"]


def chunks() -> Iterator[Chunk]:
    for number, feed in enumerate(FEEDS, 1):
        found = bodies(feed if number < len(FEEDS) else "jira")
        keys = b"".join(n.to_bytes(16, "big") for n in range(len(found)))
        origin = Origin("acme", feed, "" if number > 1 else "a1b2c3d4-0000-1111-2222-333344445555", "acme.example.net")
        yield Chunk(
            source=number, origin=origin, first=1, bodies=found, keys=keys, derived=frozenset(), revisions={},
            settled=frozenset(), read_ms=1_727_952_300_000,
        )  # fmt: skip


@cache
def catalogue() -> Catalogue:
    return load_catalogue()


def combinations() -> list[tuple[str, str]]:
    return [(sink, form) for sink in SINKS.names(distribution=OWN_DISTRIBUTION) for form in FORMATS.names()]


@pytest.mark.parametrize("preset", LOOK_FOR)
@pytest.mark.parametrize(("sink", "form"), combinations())
def test_nothing_that_is_left_out_reaches_a_sink(sink, form, preset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {"type": sink, "format": form, "privacy": preset, **REQUIRED[sink]}
    config |= {"original": True} if form in {"ecs", "ocsf"} else {}
    source = {"type": "organization", "org_id": "a1b2c3d4-0000-1111-2222-333344445555", "api_key": "x" * 20}
    settings = Settings(sources={"acme": source}, sinks={"out": config})
    try:
        built = build_sink("out", settings.sinks["out"])
    except ConfigError as error:
        pytest.skip(str(error))
    unknown: Counter[str] = Counter()
    maker = build_maker(
        "out", settings.sinks["out"], built, build_filters(settings)["out"], Normalizers(catalogue()), unknown
    )
    sent = 0
    for chunk in chunks():
        if chunk.origin.feed == FEEDS[-1] and form != "raw":
            continue  # no one knows what it means
        prepared = maker.make(chunk)
        sent += len(prepared.records)
        for each in [*prepared.records, *prepared.refused]:
            whole = msgspec.json.encode(each)  # bytes in base64 ...
            for part in (whole, *(getattr(each, name) for name in ("raw", "body", "detail") if hasattr(each, name))):
                text = part if isinstance(part, bytes) else str(part).encode()
                if part is not whole and hasattr(each, "detail") and part is each.raw:
                    continue  # a letter's event is shown under the privacy of its sink, see below
                for canary in LOOK_FOR[preset]:
                    assert canary not in text.lower(), text
    assert sent > 100
    assert all(map(may_be_own, unknown))


@pytest.mark.parametrize("preset", LOOK_FOR)
def test_nothing_that_is_left_out_is_shown_of_a_dead_letter(preset):
    source = {"type": "organization", "org_id": "a1b2c3d4-0000-1111-2222-333344445555", "api_key": "x" * 20}
    settings = Settings(sources={"acme": source}, sinks={"out": {"type": "file", "path": "x", "privacy": preset}})
    shows = privacy_of(settings.sinks["out"]), privacy_of(None)
    for chunk in chunks():
        for body in chunk.bodies:
            for canary in LOOK_FOR[preset]:
                assert not any(canary in show(chunk.origin.feed, body).lower() for show in shows)
