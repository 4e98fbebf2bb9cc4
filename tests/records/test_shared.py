"""What lanes share: made once for the same bytes in memory, never for others, not forever; and all get their own bytes."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forwarder.assembly import build_filters, build_maker, build_sink, look_of
from forwarder.catalogue import load_catalogue
from forwarder.config.settings import Settings
from forwarder.contracts import Late, Origin, Record
from forwarder.records.maker import Bodies, Prepared, RecordMaker
from forwarder.records.normalizers import Normalizers
from forwarder.records.shared import BLOCK, EACH, LONGEST, MOST_BYTES, Shared
from forwarder.spool.contract import Chunk

ORIGIN = Origin("acme", "organization", "org-1")
GOLDEN = Path(__file__).parents[1] / "golden" / "organization"


class Counting:
    """Makes a text of an event, and says how often it was asked about which number."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, records):
        self.asked += [record.seq for record in records]
        return [record.raw.decode() for record in records]


def records(*seqs: int, raw: bytes = b"body", late: Late | None = None) -> list[Record]:
    return [Record(seq, ORIGIN, f"{seq:032x}", b"%b %d" % (raw, seq), late=late) for seq in seqs]


def test_the_same_bytes_are_made_once_whatever_the_groups():
    make, shared, whole = Counting(), Shared[str](), records(*range(1, 65))
    first = shared.of(whole, make)
    for start, end in ((0, 32), (10, 42), (63, 64)):
        again = shared.of(whole[start:end], make)
        assert all(one is two for one, two in zip(again, first[start:end], strict=True))
    assert make.asked == list(range(1, 65))
    assert shared.of([], make) == []


def test_numbers_far_apart_are_taken_block_by_block_however_many():
    apart = records(*range(0, 3000 * (BLOCK + 8), BLOCK + 8))
    calls: list[int] = []

    def make(part):
        calls.append(len(part))
        return [record.seq for record in part]

    shared: Shared[int] = Shared()
    assert shared.of(apart, make) == [record.seq for record in apart]
    assert calls == [1] * 3000
    assert shared.of([], make) == []


def test_other_bytes_under_the_same_number_are_made_by_themselves():
    """As when the privacy of a lane took something out, or a dead letter is read anew."""
    make, shared = Counting(), Shared[str]()
    whole, cut = records(1, 2), records(1, 2, raw=b"cut")
    assert shared.of(whole, make) == ["body 1", "body 2"]
    assert shared.of(cut, make) == ["cut 1", "cut 2"]
    mixed = [whole[0], cut[1]]
    assert shared.of(mixed, make) == ["body 1", "cut 2"]
    copy = records(1)
    assert copy[0].raw == whole[0].raw
    asked = len(make.asked)
    shared.of(copy, make)
    assert len(make.asked) == asked + 1, "equal is not the same"


def test_the_same_event_late_in_another_way_is_made_by_itself():
    make, shared = Counting(), Shared[str]()
    one = records(1)
    for late in (None, Late("late", 60, "tail"), Late("late", 61, "tail")):
        one[0].late = late
        shared.of(one, make)
    assert make.asked == [1, 1, 1]


@pytest.mark.parametrize("most", [100_000, MOST_BYTES])
def test_what_is_kept_is_bounded_by_its_bytes(most):
    """A lane that is far behind keeps nothing but that: what it has not taken by then it makes itself."""
    shared = Shared[bytes](most)
    for seq in range(0, 100 * BLOCK, BLOCK):
        for raw in (b"x" * (most // 16), b"y" * (most // 32)):  # the second takes the place of the first
            shared.of(records(seq, raw=raw), lambda made: [record.raw for record in made])
            held = sum(
                EACH + len(raw) + len(result)
                for block in shared._blocks.values()
                for raw, result in zip(block.raws, block.results, strict=True)
                if raw is not None
            )
            assert held == shared.bytes <= most
    assert 5 < sum(map(_held, shared._blocks.values())) < 20
    before = shared.bytes
    shared.of(records(101, raw=b"z" * LONGEST), lambda made: [record.raw for record in made])
    assert shared.bytes == before, "one that is long by itself is not kept, and takes no other's place"


def _held(block) -> int:
    return sum(raw is not None for raw in block.raws)


# ------------------------------------------------------------------------------------------------- bytes of lanes

HTTP = {"type": "http", "url": "https://x.example/"}
HEC = {"type": "splunk_hec", "url": "https://x.example", "token": "a", "format": "ecs"}
SINKS: dict[str, dict[str, Any]] = {
    "one": HTTP,
    "two": HTTP,
    "elsewhere": {"type": "elasticsearch", "url": "https://x.example", "late": {"events": "elsewhere", "after": "2h",
                  "data_stream": "logs-atlassian.audit-late"}},
    "filtered": {**HTTP, "exclude": [{"action": "user_*"}]},
    "with_meaning": HEC,
    "short": {**HEC, "max_event": 2000},
    "limited": HTTP,
    "soon_late": {**HTTP, "late": {"after": "1m"}},
    "held_back": {**HTTP, "late": {"after": "2h", "events": "hold_back"}},
    "original": {**HTTP, "original": True},
    "renamed": {**HTTP, "fields": {"rename": {"source.ip": "client_ip"}}},
    "dropped": {**HTTP, "fields": {"drop": ["source.ip"]}},
    "added": {**HTTP, "fields": {"add": {"labels.env": "prod"}}},
    "private": {**HTTP, "privacy": "no_persons"},
    "private_too": {**HTTP, "privacy": "no_persons"},
    "ocsf": {**HTTP, "format": "ocsf"},
    "ocsf_too": {**HTTP, "format": "ocsf"},
    "cef": {**HTTP, "format": "cef"},
    "raw": {**HTTP, "format": "raw"},
    "raw_too": {**HTTP, "format": "raw"},
}  # fmt: skip
ALIKE = {"one", "two", "elsewhere", "filtered", "with_meaning", "short", "limited", "soon_late", "held_back"}
"""Those whose format writes the same of an event: what else differs is whether it is sent, and how late it is said."""


@cache
def configured() -> Settings:
    source = {"type": "organization", "org_id": "a1b2c3d4-0000-1111-2222-333344445555", "api_key": "x" * 20}
    return Settings(sources={"acme": source}, sinks=SINKS)


@cache
def meanings() -> Normalizers:
    return Normalizers(load_catalogue(), shared=True)


def makers(*, shared: bool) -> dict[str, RecordMaker]:
    made, bodies, filters = {}, dict[Any, Bodies](), build_filters(configured())
    for name, config in configured().sinks.items():
        look = look_of(config) if shared else None
        kept = None if look is None else bodies.setdefault(look, Shared())
        sink = build_sink(name, config)
        made[name] = build_maker(name, config, sink, filters[name], meanings(), Counter(), bodies=kept)
    made["limited"]._max_body = 2000  # as of a sink with a limit that wants no meaning
    return made


@cache
def pages() -> list[Chunk]:
    found = [path.read_bytes() for path in sorted(GOLDEN.glob("*/in.json"))][:48]
    found += [b'{"id":1e400}', b'["no event"]']
    keys = b"".join(n.to_bytes(16, "big") for n in range(len(found)))
    happened_ms = 1_727_952_266_457
    return [
        Chunk(1, ORIGIN, 1 + number * len(found), [bytes(bytearray(body)) for body in found], keys, happened_ms + after_ms, reader=who,
              revisions={3: b"12345678"}, derived=frozenset({5}))
        for number, (who, after_ms) in enumerate((("tail", 600_000), ("backfill", 30_000), ("heal", 3 * 86_400_000)))
    ]  # fmt: skip


def part(chunk: Chunk, start: int, end: int) -> Chunk:
    return Chunk(
        chunk.source, chunk.origin, chunk.first + start, chunk.bodies[start:end], chunk.keys[start * 16 : end * 16],
        chunk.read_ms, {at - start: digest for at, digest in chunk.revisions.items() if start <= at < end},
        frozenset(at - start for at in chunk.derived if start <= at < end), reader=chunk.reader,
    )  # fmt: skip


def shown(prepared: Prepared) -> str:
    return repr((prepared.records, prepared.filtered, prepared.refused))


ways = st.lists(
    st.tuples(st.sampled_from(sorted(SINKS)), st.integers(0, 2), st.integers(0, 50), st.integers(0, 50)),
    min_size=2,
    max_size=8,
)


@settings(max_examples=12, deadline=None)
@given(ways)
def test_lanes_that_share_send_what_each_would_send_alone(steps):
    """Whoever comes first, however far apart they are and however they cut, and whatever of their settings differs."""
    alone, together = makers(shared=False), makers(shared=True)
    for name, page, one, two in steps:
        chunk = part(pages()[page], min(one, two), max(one, two))
        assert shown(together[name].make(chunk)) == shown(alone[name].make(chunk))


@cache
def alone(page: int) -> dict[str, str]:
    return {name: shown(maker.make(pages()[page])) for name, maker in makers(shared=False).items()}


@pytest.mark.parametrize("page", range(3))
@pytest.mark.parametrize("first", ["one", "private", "short", "soon_late"])
def test_every_lane_gets_its_own_bytes_behind_any_other(first, page):
    together = makers(shared=True)
    for name in (first, *SINKS):
        assert shown(together[name].make(pages()[page])) == alone(page)[name], name


def test_only_what_changes_the_bytes_parts_lanes():
    looks = {name: look_of(config) for name, config in configured().sinks.items()}
    assert {name for name in SINKS if looks[name] == looks["one"]} == ALIKE
    assert looks["ocsf"] == looks["ocsf_too"]
    assert {name for name, look in looks.items() if look is None} == {"private", "private_too", "raw", "raw_too"}
    apart = [look for look in looks.values() if look is not None]
    assert len(set(apart)) == len(SINKS) - 4 - (len(ALIKE) - 1) - 1


def test_a_lane_of_the_same_look_renders_nothing_again():
    made = makers(shared=True)
    first = made["one"].make(pages()[0])
    made["two"]._format = None  # type: ignore[assignment]
    made["filtered"]._format = None  # type: ignore[assignment]
    second = made["two"].make(pages()[0])
    assert len(first.records) > 40
    assert all(one.body is two.body for one, two in zip(first.records, second.records, strict=True))
    assert 0 < len(made["filtered"].make(part(pages()[0], 0, 48)).records) < len(first.records)
