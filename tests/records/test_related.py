"""One change that several logs record has one id in all of them; different changes have different ones.

Truth is the simulated organization's: it is known which records it wrote for which of its own events.
"""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from forwarder.contracts import AuditEvent, Origin, Record
from forwarder.sources.confluence.normalizer import ConfluenceNormalizer
from forwarder.sources.jira.normalizer import JiraNormalizer
from forwarder.sources.organization.normalizer import OrganizationNormalizer
from simulator.config import Products, SimulatorConfig
from simulator.feed import Entry
from simulator.organization import Organization

NOW_MS = 1_767_225_600_000
ADMINISTRATION = {"user_added_to_group", "user_granted_role", "user_revoked_role", "confluence_added_space_permission"}
SITE = "example.atlassian.net"
NORMALIZERS: dict[str, Any] = {
    "organization": OrganizationNormalizer(), "jira": JiraNormalizer(), "confluence": ConfluenceNormalizer()
}  # fmt: skip


def meaning(feed: str, body: bytes, site: str = SITE) -> AuditEvent:
    origin = Origin("s", feed, "o", "") if feed == "organization" else Origin("s", feed, "", site)
    [event] = NORMALIZERS[feed].normalize([Record(1, origin, "0" * 32, body, read_ms=NOW_MS)])
    assert isinstance(event, AuditEvent), event
    return event


def played(hours: int, seed: int, oddities: float = 1.0) -> tuple[list[tuple[str | None, list[str | None]]], set[str]]:
    """Return id of an organization's change and ids of its records, for each; and the ids of everything else."""
    config = SimulatorConfig(
        seed=seed, events=0, late_share=0, oddities=oddities, products=Products(rate=0.001, twins=0)
    )
    organization = Organization(config, 0, NOW_MS / 1000)
    logs = [(site.name, product, log) for site in organization.sites for product, log in site.logs.items()]
    spans: list[tuple[str, list[tuple[int, int]]]] = []
    chance = random.Random(seed)
    moments = sorted(chance.randrange(hours * 3_600_000) for _ in range(hours * 360))
    for place, moment in enumerate(moments):
        before = [len(log.feed) for _, _, log in logs]
        happening = next(one for one in organization._live if one.action in ADMINISTRATION)
        ident = organization._log_live(happening, NOW_MS + moment).id
        spans.append((ident, [(start, len(log.feed)) for start, (_, _, log) in zip(before, logs, strict=True)]))
        if place % 2 == 0:
            for _, _, log in logs:
                log.happen(1, NOW_MS + moment)
    end = NOW_MS + (hours + 24) * 3_600_000
    own = {entry.id: meaning("organization", entry.body).related for entry in everything(organization.feed, end)}
    ids = [
        [meaning(product, entry.body, f"{name}.atlassian.net").related for entry in everything(log.feed, end)]
        for name, product, log in logs
    ]
    same, matched = [], [[False] * len(found) for found in ids]
    others: set[str] = set()
    for ident, ranges in spans:
        records = [ids[log][place] for log, (start, stop) in enumerate(ranges) for place in range(start, stop)]
        for log, (start, stop) in enumerate(ranges):
            matched[log][start:stop] = [True] * (stop - start)
        if records:
            same.append((own[ident], records))
        elif (one := own[ident]) is not None:
            others.add(one)
    for log, found in enumerate(ids):
        others |= {one for place, one in enumerate(found) if one is not None and not matched[log][place]}
    return same, others


def everything(feed: Any, end: int) -> list[Entry]:
    feed.reveal(end)
    return sorted(feed.newest_first(), key=lambda entry: entry.seq)


def test_pairs_are_found_and_nothing_else_is_paired(capsys: Any) -> None:
    pairs = found = wrong = 0
    for seed in (1, 2, 3):
        same, others = played(6, seed)
        for own, records in same:
            pairs += len(records)
            found += sum(one is not None and one == own for one in records)
            wrong += own in others
        owns = [own for own, _ in same if own is not None]
        wrong += len(owns) - len(set(owns))
    with capsys.disabled():
        print(f"\nrelated: {pairs} pairs, recall {found / pairs:.2%}, changes that share an id with another: {wrong}")
    assert pairs > 300
    assert found >= 0.97 * pairs
    assert wrong <= 0.01 * pairs


def organization(
    action: str, *context: dict[str, Any], at: str = "2026-01-01T10:00:30.000Z", site: str = SITE
) -> AuditEvent:
    home = {"id": "c1", "type": "sites", "attributes": {"siteName": "x", "siteHostName": f"https://{site}"}}
    attributes = {
        "time": at,
        "action": action,
        "actor": {"id": "557058:a", "name": "Ann"},
        "context": context,
        "container": [home],
    }
    return meaning("organization", msgspec.json.encode({"id": "1", "attributes": attributes}))


def jira(
    category: str, summary: str, *items: tuple[str, str, str], at: str = "2026-01-01T10:00:30.200+0000", **more: Any
) -> AuditEvent:
    first, *rest = [{"typeName": kind, "id": ident, "name": name} for kind, ident, name in items]
    tree = {
        "id": 1,
        "summary": summary,
        "category": category,
        "created": at,
        "objectItem": first,
        "associatedItems": rest,
    }
    return meaning("jira", msgspec.json.encode(tree), **more)


def confluence(
    category: str, summary: str, *items: tuple[str, str], at: int = 1_767_261_630_400, **more: Any
) -> AuditEvent:
    first, *rest = [{"objectType": kind, "name": name} for kind, name in items]
    tree = {
        "summary": summary,
        "category": category,
        "creationDate": at,
        "affectedObject": first,
        "associatedObjects": rest,
    }
    return meaning("confluence", msgspec.json.encode(tree), **more)


BO = {"id": "712020:b", "type": "users", "attributes": {"name": "Bo Ek", "email": "bo@example.com"}}
FINANCE = {"id": "9a9a0000-0000-4000-8000-000000000004", "type": "groups", "attributes": {"groupName": "Finance"}}
ENG = {"id": "65541", "type": "space", "attributes": {"key": "ENG", "name": "Engineering"}}
WEB = {"id": "10001", "type": "projects", "attributes": {"key": "WEB", "name": "Web shop"}}
UUID = "9a9a0000-0000-4000-8000-000000000004"
JOINED = jira("group management", "User added to group", ("GROUP", "finance", "finance"), ("USER", "712020:b", "Bo Ek"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (organization("user_added_to_group", BO, FINANCE), JOINED),
        (JOINED, confluence("Users and groups", "User added to group", ("Group", f"finance:{UUID}"), ("User", "Bo Ek"))),
        (JOINED, confluence("Users and groups", "User added to group", ("User", "Bo  Ek"), ("Group", "FINANCE"), site="b.example.net")),
        (organization("user_removed_from_group", FINANCE, BO), jira("", "User removed from group", ("USER", "712020:b", "Bo Ek"), ("GROUP", "g", "finance"))),
        (organization("group_created", FINANCE), jira("group management", "Group created", ("GROUP", "finance", "finance"))),
        (organization("group_created", FINANCE), confluence("Users and groups", "Group added", ("Group", f"Finance:{UUID}"))),
        (organization("confluence_space_created", ENG), confluence("Spaces", "Space created", ("Space", "Engineering"))),
        (organization("confluence_space_deleted", ENG), confluence("Spaces", "Deleted", ("Space", "Engineering"))),
        (organization("confluence_added_space_permission", ENG, FINANCE), confluence("Permissions", "Space permission added", ("Space", "Engineering"), ("Group", f"Finance:{UUID}"))),
        (organization("jira_project_created", WEB), jira("projects", "Project created", ("PROJECT", "10001", "Web shop"))),
        (organization("jira_issue_deleted", {"id": "7", "type": "issues", "attributes": {"key": "WEB-1"}}), jira("issues", "Issue deleted", ("ISSUE", "7", "WEB-1"))),
        (organization("user_created", BO), jira("user management", "User created", ("USER", "712020:b", "Bo Ek"))),
    ],
)  # fmt: skip
def test_the_same_change_has_one_id_in_every_log(one, other):
    assert one.related is not None
    assert one.related == other.related


@pytest.mark.parametrize(
    "other",
    [
        jira("group management", "User removed from group", ("GROUP", "finance", "finance"), ("USER", "712020:b", "Bo Ek")),
        jira("group management", "User added to group", ("GROUP", "finance", "finance"), ("USER", "712020:c", "Cy Ek")),
        jira("group management", "User added to group", ("GROUP", "sales", "sales"), ("USER", "712020:b", "Bo Ek")),
        jira("group management", "User added to group", ("GROUP", "finance", "finance"), ("USER", "712020:b", "Bo Ek"), at="2026-01-01T10:20:30.200+0000"),
        jira("group management", "Group created", ("GROUP", "finance", "finance")),
        jira("projects", "Project created", ("PROJECT", "1", "finance")),
    ],
)  # fmt: skip
def test_another_change_has_another_id(other):
    assert other.related not in {None, JOINED.related}


@pytest.mark.parametrize(
    "event",
    [
        jira("group management", "User added to group", ("GROUP", "finance", "finance")),
        jira("group management", "User added to group", ("USER", "712020:b", "Bo Ek")),
        jira("permissions", "Global permission added", ("", "", "")),
        jira("workflows", "Nobody knows this", ("WORKFLOW", "1", "Review")),
        organization("user_added_to_group", BO, {**BO, "id": "712020:c"}, FINANCE),
        organization("user_added_to_group_failed", BO, FINANCE),
        organization("jira_issue_viewed", {"id": "7", "type": "issues", "attributes": {"key": "WEB-1"}}),
        organization("confluence_space_created"),
    ],
)
def test_what_does_not_say_enough_has_no_id(event):
    assert event.related is None


def test_things_of_two_sites_are_two():
    here, there = (
        jira("projects", "Project created", ("PROJECT", "1", "Web shop"), site=f"{x}.atlassian.net") for x in "ab"
    )
    assert here.related != there.related


def test_an_id_never_changes():
    assert JOINED.related == "4d64877c02bcbeb1"
