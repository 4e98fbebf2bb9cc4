"""Changes that several sources record: counted always, and left out of a lane only where its settings say so."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import Any

import msgspec
import pytest

from forwarder.contracts import ConfigError, Origin
from forwarder.contracts.settings import DuplicatesConfig, FilterRule, PrivacyConfig, SinkConfig
from forwarder.records.filters import Filter
from forwarder.records.links import LEFT_OUT, LINKED, MOST, Links
from forwarder.records.maker import RecordMaker
from forwarder.records.privacy import PrivateRecords, build_privacy
from forwarder.registry import build_format
from forwarder.sources.confluence.normalizer import ConfluenceNormalizer
from forwarder.sources.jira.normalizer import JiraNormalizer
from forwarder.sources.organization.normalizer import OrganizationNormalizer
from forwarder.spool.contract import Chunk

ORGANIZATION = Origin("acme", "organization", "o")
JIRA = Origin("jira/a", "jira", "", "a.atlassian.net")
JIRA_B = Origin("jira/b", "jira", "", "b.atlassian.net")
CONFLUENCE = Origin("wiki", "confluence", "", "a.atlassian.net")
NORMALIZERS: dict[str, Any] = {
    "organization": OrganizationNormalizer(), "jira": JiraNormalizer(), "confluence": ConfluenceNormalizer()
}  # fmt: skip


def body_of(origin: Origin, whom: str = "Bo", number: int = 1) -> bytes:
    """Return what a source has to say of somebody who joined a group."""
    trees: dict[str, Any] = {
        "organization": {"id": f"e{number}", "attributes": {
            "time": "2026-01-01T10:00:30.000Z", "action": "user_added_to_group", "actor": {"id": "557058:a"},
            "context": [{"id": f"i{whom}", "type": "users", "attributes": {"name": whom}},
                        {"id": "g", "type": "groups", "attributes": {"groupName": "finance"}}],
        }},
        "jira": {"id": number, "summary": "User added to group", "category": "group management",
                 "created": "2026-01-01T10:00:30.200+0000", "objectItem": {"typeName": "GROUP", "name": "finance"},
                 "associatedItems": [{"typeName": "USER", "id": f"i{whom}", "name": whom}]},
        "confluence": {"summary": "User added to group", "category": "Users and groups", "creationDate": 1_767_261_630_400,
                       "affectedObject": {"objectType": "Group", "name": "finance"},
                       "associatedObjects": [{"objectType": "User", "name": whom}]},
    }  # fmt: skip
    return msgspec.json.encode(trees[origin.feed])


class Lane:
    """A lane that remembers what it made ready and what it left out."""

    def __init__(self, drop_from: str | None = None, render: str = "ecs", **more: Any) -> None:
        self.counts: Counter[str] = Counter()
        self.links = Links(self.counts, drop_from)
        chosen = more.pop("chosen", Filter(None, None))
        self.maker = RecordMaker(
            build_format(render), chosen, NORMALIZERS.__getitem__, Counter(), links=self.links, **more
        )
        self.next = 1

    def take(self, origin: Origin, *bodies: bytes) -> tuple[int, int]:
        """Return how many records are to be sent, and how many were filtered."""
        keys = b"".join(blake2b(body + origin.site.encode(), digest_size=16).digest() for body in bodies)
        made = self.maker.make(Chunk(1, origin, self.next, list(bodies), keys, 5))
        self.next += len(bodies)
        assert len(made.records) + len(made.filtered) + len(made.refused) == len(bodies)
        return len(made.records), len(made.filtered)


def test_by_default_everything_is_sent_and_links_are_counted():
    lane = Lane()
    assert lane.take(ORGANIZATION, body_of(ORGANIZATION), body_of(ORGANIZATION, "Cy", 2)) == (2, 0)
    assert lane.take(JIRA, body_of(JIRA)) == (1, 0)
    assert lane.take(CONFLUENCE, body_of(CONFLUENCE), body_of(CONFLUENCE, "Dee")) == (2, 0)
    assert lane.counts == {LINKED: 2}


def test_an_event_is_left_out_when_its_twin_is_there():
    lane = Lane("jira")
    assert lane.take(ORGANIZATION, body_of(ORGANIZATION)) == (1, 0)
    assert lane.take(JIRA, body_of(JIRA), body_of(JIRA, "Cy", 2)) == (1, 1)
    assert lane.take(CONFLUENCE, body_of(CONFLUENCE)) == (1, 0)
    assert lane.counts == {LINKED: 1, LEFT_OUT: 1}


@pytest.mark.parametrize("witnesses", [(JIRA, CONFLUENCE), (JIRA, JIRA_B), (JIRA, JIRA_B, CONFLUENCE)])
def test_several_who_tell_of_one_change_take_the_place_of_one_event(witnesses):
    lane = Lane("acme")
    for witness in witnesses:
        assert lane.take(witness, body_of(witness)) == (1, 0)
    events = [body_of(ORGANIZATION, number=number) for number in (1, 2, 3)]
    assert lane.take(ORGANIZATION, *events) == (2, 1)
    assert lane.take(ORGANIZATION, *events) == (2, 1)


def test_of_several_witnesses_the_one_that_tells_of_most_changes_counts():
    lane = Lane("acme")
    lane.take(JIRA, body_of(JIRA), body_of(JIRA, number=2))
    lane.take(CONFLUENCE, body_of(CONFLUENCE))
    assert lane.take(ORGANIZATION, *(body_of(ORGANIZATION, number=number) for number in (1, 2, 3))) == (1, 2)


def test_what_comes_before_its_twin_stays():
    lane = Lane("jira")
    assert lane.take(JIRA, body_of(JIRA)) == (1, 0)
    assert lane.take(ORGANIZATION, body_of(ORGANIZATION)) == (1, 0)


def test_one_twin_takes_the_place_of_one_event_of_each_site():
    lane = Lane("jira")
    lane.take(ORGANIZATION, body_of(ORGANIZATION))
    assert lane.take(JIRA, body_of(JIRA), body_of(JIRA, number=2)) == (1, 1)
    assert lane.take(JIRA_B, body_of(JIRA_B)) == (0, 1)


def test_two_sites_of_one_source_are_no_twins():
    lane = Lane("jira")
    assert lane.take(JIRA, body_of(JIRA)) == (1, 0)
    assert lane.take(JIRA_B, body_of(JIRA_B)) == (1, 0)
    assert lane.counts[LINKED] == 0


def test_one_site_may_be_named():
    lane = Lane("jira/a")
    lane.take(ORGANIZATION, body_of(ORGANIZATION))
    assert (lane.take(JIRA, body_of(JIRA)), lane.take(JIRA_B, body_of(JIRA_B))) == ((0, 1), (1, 0))


def test_what_is_made_again_becomes_the_same_again():
    lane = Lane("jira")
    for _ in range(3):
        assert lane.take(ORGANIZATION, body_of(ORGANIZATION)) == (1, 0)
        assert lane.take(JIRA, body_of(JIRA)) == (0, 1)
    assert lane.take(JIRA, body_of(JIRA, number=2)) == (1, 0)
    assert lane.counts[LEFT_OUT] == 1


def test_a_twin_that_the_filter_kept_out_takes_no_ones_place():
    lane = Lane("jira", chosen=Filter(None, [FilterRule(action="user_added_to_group")]))
    assert lane.take(ORGANIZATION, body_of(ORGANIZATION)) == (0, 1)
    assert lane.take(JIRA, body_of(JIRA)) == (1, 0)


def test_a_twin_that_cannot_be_written_takes_no_ones_place():
    lane = Lane("jira", max_body=40)
    lane.take(ORGANIZATION, body_of(ORGANIZATION))
    lane.maker._max_body = None
    assert lane.take(JIRA, body_of(JIRA)) == (1, 0)


@pytest.mark.parametrize("render", ["raw", "cef"])
def test_every_format_can_leave_out(render):
    lane = Lane("jira", render)
    lane.take(ORGANIZATION, body_of(ORGANIZATION))
    assert lane.take(JIRA, body_of(JIRA)) == (0, 1)


def test_privacy_hides_names_and_not_that_it_is_one_change():
    privacy = build_privacy(PrivacyConfig(preset="strict"))
    lane = Lane("jira", privacy=PrivateRecords(privacy, NORMALIZERS.__getitem__))
    assert lane.take(ORGANIZATION, body_of(ORGANIZATION)) == (1, 0)
    assert lane.take(JIRA, body_of(JIRA)) == (0, 1)


def test_the_memory_is_bounded():
    lane = Lane("jira")
    lane.links._most = 3
    lane.take(ORGANIZATION, *(body_of(ORGANIZATION, f"P{n}", n) for n in range(10)))
    assert len(lane.links._changes) == 3 < MOST
    assert lane.take(JIRA, body_of(JIRA, "P0")) == (1, 0)
    assert lane.take(JIRA, body_of(JIRA, "P9")) == (0, 1)


def test_a_change_of_many_records_counts_as_many():
    lane = Lane("jira")
    lane.links._most = 6
    lane.take(ORGANIZATION, body_of(ORGANIZATION, "Bo", 0))
    lane.take(ORGANIZATION, *(body_of(ORGANIZATION, "Cy", n) for n in range(1, 6)))
    assert len(lane.links._changes) == 2
    lane.take(ORGANIZATION, body_of(ORGANIZATION, "Dee", 9))
    assert lane.take(JIRA, body_of(JIRA, "Bo"), body_of(JIRA, "Cy")) == (1, 1)
    lane.take(ORGANIZATION, *(body_of(ORGANIZATION, f"P{n}", 10 + n) for n in range(20)))
    assert (
        sum(len(ids) for change in lane.links._changes.values() for ids in change.ids.values())
        == 6
        == lane.links._records
    )


def test_the_setting_is_a_word_or_a_source():
    assert SinkConfig(type="file").duplicates == DuplicatesConfig(drop_from=None)
    assert SinkConfig(type="file", duplicates="link").duplicates.drop_from is None
    assert SinkConfig(type="file", duplicates={"drop_from": "jira"}).duplicates.drop_from == "jira"
    with pytest.raises((ValueError, ConfigError)):
        SinkConfig(type="file", duplicates="drop")
