"""What is recorded and what is not is said of every kind of log there is."""

from __future__ import annotations

import pytest

from forwarder.contracts import Origin
from forwarder.reconcile.coverage import coverage
from forwarder.registry import SOURCES
from forwarder.spool.contract import SourceStatus

FEEDS = sorted({SOURCES.load(name).feed for name in SOURCES.names()})


@pytest.mark.parametrize("feed", FEEDS)
def test_every_kind_of_log_has_what_it_does_not_show(feed: str) -> None:
    origin = Origin("acme", feed, "org-1")
    rows = [SourceStatus(1, "acme", origin.identity, 104, 0, 0, {})]
    recorded, *unseen = coverage({"acme": origin}, rows)
    assert (recorded.subject, "104 events so far" in recorded.detail) == ("acme: recorded", True)
    assert unseen
    assert all(each.ok and each.detail.startswith("not seen: ") for each in unseen)


def test_logs_of_one_kind_are_named_together_and_without_a_spool_nothing_has_come() -> None:
    origins = {name: Origin(name, "jira", "", name) for name in ("one", "two")}
    found = list(coverage(origins, []))
    assert all("nothing has come yet" in each.detail for each in found[:2])
    assert {each.subject for each in found[2:]} == {"one, two: user activity", "one, two: other sites"}
