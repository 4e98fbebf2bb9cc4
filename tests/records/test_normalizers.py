"""Meanings that several lanes share: made once for the same bytes in memory, never for others, and not forever."""

from __future__ import annotations

from pathlib import Path

import pytest

from forwarder.catalogue import load_catalogue
from forwarder.contracts import AuditEvent, Origin, Record, Shrinks, UnexpectedPayload
from forwarder.records.normalizers import LONGEST, MOST_BYTES, MOST_REMEMBERED, Normalizers, Remembering
from forwarder.registry import FORMATS

ORIGIN = Origin("acme", "organization", "org-1")
GOLDEN = Path(__file__).parents[1] / "golden" / "organization"


class Counting:
    """Understands nothing, and says how often it was asked about which number."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def normalize(self, records):
        self.asked += [record.seq for record in records]
        return [UnexpectedPayload(record.raw.decode()) for record in records]


def records(*seqs: int, raw: bytes = b"body") -> list[Record]:
    return [Record(seq, ORIGIN, f"{seq:032x}", b"%b %d" % (raw, seq)) for seq in seqs]


def test_the_same_bytes_are_understood_once_whatever_the_groups():
    inner = Counting()
    shared, whole = Remembering(inner), records(*range(1, 65))
    first = shared.normalize(whole)
    for start, end in ((0, 32), (10, 42), (63, 64)):
        again = shared.normalize(whole[start:end])
        assert all(one is two for one, two in zip(again, first[start:end], strict=True))
    assert inner.asked == list(range(1, 65))
    assert shared.normalize([]) == []


def test_other_bytes_under_the_same_number_are_understood_by_themselves():
    """As when the privacy of a lane took something out, or a dead letter is read anew."""
    shared = Remembering(Counting())
    whole, cut = records(1, 2), records(1, 2, raw=b"cut")
    assert [result.reason for result in shared.normalize(whole)] == ["body 1", "body 2"]
    assert [result.reason for result in shared.normalize(cut)] == ["cut 1", "cut 2"]
    mixed = [whole[0], cut[1]]
    assert [result.reason for result in shared.normalize(mixed)] == ["body 1", "cut 2"]
    copy = records(1)
    assert copy[0].raw == whole[0].raw
    asked = len(shared.inner.asked)
    shared.normalize(copy)
    assert len(shared.inner.asked) == asked + 1, "equal is not the same"


def test_what_is_remembered_is_bounded():
    shared = Remembering(Counting())
    for start in range(0, 20 * MOST_REMEMBERED, 32):
        shared.normalize(records(*range(start, start + 32)))
        assert len(shared._known) <= MOST_REMEMBERED


def test_long_events_are_remembered_by_their_bytes():
    shared = Remembering(Counting())
    for seq in range(100):
        for raw in (b"x" * 2**19, b"y" * 2**18):  # the second takes the place of the first
            shared.normalize(records(seq, raw=raw))
            held = sum(len(raw) for raw, _ in shared._known.values())
            assert held == shared._bytes <= MOST_BYTES
    assert len(shared._known) > 1
    before = set(shared._known)
    shared.normalize(records(101, raw=b"z" * LONGEST))
    assert set(shared._known) == before, "one that is long by itself is not kept, and takes nobody's place"


def test_one_lane_alone_pays_for_no_memory_and_several_get_the_same_event():
    catalogue = load_catalogue()
    assert not isinstance(Normalizers(catalogue)("organization"), Remembering)
    found = Normalizers(catalogue, shared=True)
    body = b'{"id":"a","attributes":{"time":"2026-01-31T10:00:00Z","action":"user_login"}}'
    record = Record(1, ORIGIN, "0" * 32, body)
    (one,), (two,) = found("organization").normalize([record]), found("organization").normalize([record])
    assert isinstance(one, AuditEvent)
    assert one is two


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
