"""What a source is before it reads: settings, identity, probe, and a normaliser that nothing stops."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from forwarder.contracts import AuditEvent, Finding, Record, SourceConfig, UnexpectedPayload
from forwarder.registry import SOURCES
from forwarder.testing.events import RAW
from forwarder.testing.far_end import SECRET
from forwarder.testing.feed import FEED_FAULTS, Feed, build_source
from forwarder.testing.sink_rules import held_to_a2
from forwarder.testing.suite import Suite, clause


def test_every_source_has_a_feed(suite: Suite) -> None:
    pushed = {name for name in suite.sources if SOURCES.load(name).reads == "pushed"}
    missing = set(suite.sources) - pushed - {feed.name for feed in suite.feeds}
    assert not missing, "write a feed, and name it in pytest_forwarder_feeds of conftest.py"
    silent = pushed - {sender.name for sender in suite.senders}
    assert not silent, "write a sender, and name it in pytest_forwarder_senders of conftest.py"
    assert {feed.name for feed in suite.feeds} <= set(suite.sources), "a feed of a source that is not registered"


@clause()
def test_a_feed_plays_each_fault_or_says_why_not(feed: type[Feed], tmp_path: Path) -> None:
    made = feed(tmp_path)
    unexplained = {fault for fault in FEED_FAULTS if (fault in made.can) == bool(made.cannot.get(fault))}
    assert unexplained == set(), "each is in `can`, or in `cannot` with the reason"


@clause()
def test_what_a_source_declares_can_be(feed: type[Feed]) -> None:
    found = SOURCES.load(feed.name)
    assert found.reads in {"stream", "windows", "places"}
    assert found.retention_ms is None or (isinstance(found.retention_ms, int) and found.retention_ms > 0)
    assert isinstance(found.feed, str)
    assert found.feed


@asynccontextmanager
async def serving(kind: type[Feed], folder: Path, events: int = 0) -> AsyncIterator[Feed]:
    """Open a feed in which so many events have happened."""
    feed = kind(folder)
    await feed.open()
    try:
        feed.add(events)
        yield feed
    finally:
        await feed.close()


@clause()
async def test_the_constructor_asks_nothing_and_close_may_come_twice(feed: type[Feed], tmp_path: Path) -> None:
    async with serving(feed, tmp_path) as api:
        await api.close()  # so that whoever asks fails
        there = sorted(tmp_path.iterdir())
        source = build_source(api)
        await source.close()
        await source.close()
        assert sorted(tmp_path.iterdir()) == there


@clause()
async def test_every_setting_is_described_and_unknown_ones_are_refused(feed: type[Feed], tmp_path: Path) -> None:
    async with serving(feed, tmp_path) as api:
        config = SOURCES.load(api.name).Config
        assert issubclass(config, SourceConfig)
        held_to_a2(config, {"type": api.name, **api.settings()})


@clause()
async def test_the_identity_is_that_of_the_log_and_not_of_its_name(feed: type[Feed], tmp_path: Path) -> None:
    async with serving(feed, tmp_path) as api:
        first, second = build_source(api, "first"), build_source(api, "second", every=60)
        try:
            assert (first.origin.source, second.origin.source) == ("first", "second")
            assert first.origin.identity == second.origin.identity
            assert first.origin.feed == first.feed == SOURCES.load(api.name).feed
            assert first.origin.scope, "state belongs to an organization or a site"
            assert SECRET not in f"{first.origin} {first!r} {vars(first)}"
        finally:
            await first.close()
            await second.close()


@clause()
async def test_a_probe_says_what_to_do(feed: type[Feed], tmp_path: Path) -> None:
    async with serving(feed, tmp_path, 3) as api:
        source = build_source(api)
        try:
            findings = await source.probe()
            assert findings
            assert all(finding.ok for finding in findings), findings
            await api.close()
            away = await source.probe()
            await api.open()
            if "auth" in api.can:
                api.rotate()
                refused = await source.probe()
                assert not all(finding.ok for finding in refused), "a refused credential is not well"
                findings += refused
        finally:
            await source.close()
        assert not all(finding.ok for finding in away), "an API that is away is not well"
        findings += away
        assert all(isinstance(finding, Finding) and finding.subject and finding.detail for finding in findings)
        assert all(finding.fix for finding in findings if not finding.ok), "what is not well says what to do"
        assert not any(SECRET in finding.detail + finding.fix for finding in findings)


@clause()
async def test_the_normalizer_understands_its_feed_and_raises_at_nothing(feed: type[Feed], tmp_path: Path) -> None:
    async with serving(feed, tmp_path) as api:
        source = build_source(api)
        await source.close()
        now = int(time.time() * 1000)
        own = api.add(3) + api.add(1, b'"\\ud83d \\u0000 \\u202e"')
        records = [
            Record(number, source.origin, f"{number:032x}", raw, read_ms=now) for number, raw in enumerate((*own, *RAW))
        ]
        normalizer = SOURCES.load(api.name).normalizer()
        found = normalizer.normalize(records)
        assert len(found) == len(records)
        for record, event in zip(records, found, strict=True):
            assert isinstance(event, AuditEvent | UnexpectedPayload)
            if isinstance(event, AuditEvent):
                assert event.document_id == record.id
                assert event.feed == source.feed
                assert event.read_ms == now
                assert isinstance(event.time_ms, int)
            else:
                assert str(event), "refused without a reason"
        understood = found[: len(own)]
        assert all(isinstance(event, AuditEvent) and event.action for event in understood[:3]), understood
        assert normalizer.normalize([]) == []
