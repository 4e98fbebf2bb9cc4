"""Meanings that several lanes share, and which no one of them may change."""

from __future__ import annotations

from pathlib import Path

import pytest

from forwarder.catalogue import load_catalogue
from forwarder.contracts import AuditEvent, Origin, Record, Shrinks
from forwarder.records.normalizers import Normalizers, Remembering
from forwarder.registry import FORMATS, SOURCES

ORIGIN = Origin("acme", "organization", "org-1")
GOLDEN = Path(__file__).parents[1] / "golden" / "organization"


def test_one_lane_alone_pays_for_no_memory_and_several_get_the_same_event():
    catalogue = load_catalogue()
    assert not isinstance(Normalizers(catalogue)("organization"), Remembering)
    found = Normalizers(catalogue, shared=True)
    body = b'{"id":"a","attributes":{"time":"2026-01-31T10:00:00Z","action":"user_login"}}'
    record = Record(1, ORIGIN, "0" * 32, body)
    (one,), (two,) = found("organization").normalize([record]), found("organization").normalize([record])
    assert isinstance(one, AuditEvent)
    assert one is two


@pytest.mark.parametrize("feed", ["organization", "jira", "confluence_datacenter"])
def test_of_all_sources_only_the_one_of_the_feed_is_imported(feed, monkeypatch):
    loaded = []
    load = SOURCES.load
    monkeypatch.setattr(SOURCES, "load", lambda name: loaded.append(name) or load(name))
    Normalizers(load_catalogue())(feed)
    assert loaded == [feed]


@pytest.mark.parametrize("name", FORMATS.names())
def test_a_format_changes_nothing_of_what_others_read(name):
    render = FORMATS.load(name)()
    normalizer = Normalizers(load_catalogue())("organization")
    bodies = [path.read_bytes() for path in sorted(GOLDEN.glob("*/in.json"))]
    every = [Record(seq, ORIGIN, f"{seq:032x}", body) for seq, body in enumerate(bodies, 1)]
    for record, event in zip(every, normalizer.normalize(every), strict=True):
        record.event = event if isinstance(event, AuditEvent) else None
    understood = [record for record in every if record.event is not None]
    before = [repr(record.event) for record in understood]
    render.render(understood)
    if isinstance(render, Shrinks):
        for record in understood:
            render.shrink(record, 700)
    assert len(understood) > 100
    assert [repr(record.event) for record in understood] == before
