"""Every documented shape and oddity of the products' own audit logs, and what becomes of it in each format."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from forwarder.contracts import Origin, Record, UnexpectedPayload
from forwarder.contracts.identity import EventKeys
from forwarder.formats.raw import RawFormat
from forwarder.sources.confluence.normalizer import ConfluenceNormalizer
from forwarder.sources.confluence.source import ConfluenceSource
from forwarder.sources.datacenter.normalizer import DataCenterNormalizer
from forwarder.sources.guard_detect.normalizer import GuardDetectNormalizer
from forwarder.sources.jira.normalizer import JiraNormalizer
from forwarder.sources.jira.source import JiraSource
from tests.events import READ_MS
from tests.golden.cases import hold, rendered

HERE = Path(__file__).parent
FEEDS = {
    "jira": (Origin("acme", "jira", "", "example.atlassian.net"), JiraNormalizer),
    "confluence": (Origin("acme", "confluence", "", "example.atlassian.net"), ConfluenceNormalizer),
    "datacenter": (Origin("acme", "jira_datacenter", "", "jira.example.com"), DataCenterNormalizer),
    "workspace": (Origin("acme", "jira", "", "example.atlassian.net"), JiraSource.normalizer),
    "guard_detect": (Origin("alerts", "guard_detect", "11111111-2222-3333-4444-555555555555"), GuardDetectNormalizer),
}
CASES = [(feed, path.parent.name) for feed in FEEDS for path in sorted((HERE / feed).glob("*/in.json"))]
NOT_JSON = {
    ("jira", "cut_short"),
    ("confluence", "not_an_object"),
    ("guard_detect", "cut_short"),
    ("workspace", "jira_not_utf8"),
}

REPAIRED = {("guard_detect", "half_a_character")}


def record_of(feed: str, name: str) -> Record:
    body = (HERE / feed / name / "in.json").read_bytes().rstrip(b"\n")
    origin, _ = FEEDS[feed]
    if (product := name.partition("_")[0]) in {"confluence", "bitbucket"}:
        origin = msgspec.structs.replace(origin, feed=product if feed == "workspace" else f"{product}_datacenter")
    marks = () if feed in {"jira", "guard_detect", "workspace"} and "without_id" not in name else ("derived_id",)
    key = EventKeys(origin.feed, origin.scope).derived(body)
    return Record(1, origin, key.hex(), body, read_ms=READ_MS, marks=marks)


@pytest.mark.parametrize(("feed", "name"), CASES)
def test_case(feed, name, request, capsys):
    _, make = FEEDS[feed]
    if feed == "workspace" and name.startswith("confluence"):
        make = ConfluenceSource.normalizer
    hold(HERE / feed / name, rendered(record_of(feed, name), make()), request, capsys)


@pytest.mark.parametrize(("feed", "name"), CASES)
def test_raw_passes_the_bytes_or_says_why_not(feed, name):
    record = record_of(feed, name)
    [line] = RawFormat().render([record])
    if (feed, name) in NOT_JSON:
        assert isinstance(line, UnexpectedPayload)
    elif (feed, name) in REPAIRED:
        assert isinstance(line, bytes)
        assert b'"repaired":true' in line
    else:
        assert line == record.raw.replace(b"\n", b" ")


def test_there_are_cases_of_every_feed():
    for feed in FEEDS:
        assert sum(found == feed for found, _ in CASES) >= 20
