from __future__ import annotations

import itertools
import shutil
import subprocess
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forwarder.archive.evidence import DamagedEvidence, Evidence, EvidenceWriter, events_of, header_of
from forwarder.archive.layout import EvidenceName
from forwarder.archive.stores.local import LocalStore
from forwarder.contracts import Origin
from tests.examples import examples

ORIGIN = Origin("acme", "organization", "7b1f6f0e-0000-4000-8000-000000000001")
LINES = [b'{"id":"%d","text":"na\xc3\xafve"}' % number for number in range(1000)]


def packed(lines: list[bytes], first: int = 1) -> bytes:
    writer = EvidenceWriter(ORIGIN)
    for number, line in enumerate(lines, first):
        writer.add(line, number, 1_000)
    return writer.finish()


def test_lines_come_back_byte_for_byte_with_their_numbers() -> None:
    writer = EvidenceWriter(ORIGIN)
    for number, line in [(7, LINES[0]), (8, LINES[1]), (3, LINES[2]), (9, LINES[3])]:
        writer.add(line, number, 1_000 if number != 9 else 2_000, "0" * 32 if number == 3 else "")
    assert (writer.first, writer.last, writer.events) == (3, 9, 4)
    assert [number for number in range(12) if writer.has(number)] == [3, 7, 8, 9]
    data = writer.finish()
    assert list(events_of(data)) == LINES[:4]
    header = header_of(data)
    assert list(header.numbers()) == [(7, 1_000), (8, 1_000), (3, 1_000), (9, 2_000)]
    assert header.ids == {2: "0" * 32}
    assert header.origin == ORIGIN


@given(st.lists(st.binary().filter(lambda line: b"\n" not in line), max_size=50))
def test_any_lines(lines: list[bytes]) -> None:
    assert list(events_of(packed(lines))) == lines


def test_no_event_at_all() -> None:
    assert list(events_of(EvidenceWriter(ORIGIN).finish())) == []


@pytest.mark.skipif(shutil.which("zstd") is None, reason="needs the command zstd")
def test_the_command_zstd_reads_it(tmp_path: Path) -> None:
    (tmp_path / "x.zst").write_bytes(packed(LINES))
    read = subprocess.run(["zstd", "-dc", tmp_path / "x.zst"], check=True, capture_output=True).stdout
    assert read.splitlines() == LINES


@settings(max_examples=examples(200))
@given(st.data())
def test_a_flipped_bit_is_an_error_or_in_the_header(data: st.DataObject) -> None:
    whole = bytearray(packed(LINES[:20]))
    begin = 8 + int.from_bytes(whole[4:8], "little")
    at = data.draw(st.integers(begin, len(whole) - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        read = list(events_of(bytes(whole)))
    except DamagedEvidence:
        return
    assert read == LINES[:20], "a bit that no one reads may differ, an event may not"


@settings(max_examples=examples(50))
@given(st.integers(0, 3000))
def test_what_is_cut_short_or_goes_on_is_an_error(at: int) -> None:
    whole = packed(LINES)
    with pytest.raises(DamagedEvidence):
        list(events_of(whole[: at % len(whole)]))
    with pytest.raises(DamagedEvidence):
        list(events_of(whole + whole[: at % len(whole) + 1]))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x50\x2a\x4d\x18\xff\xff\xff\xff{}", bytes(range(100, 200))])
def test_what_is_no_evidence_says_so(data: bytes) -> None:
    with pytest.raises(DamagedEvidence):
        list(events_of(data))


def test_a_header_that_says_less_than_there_is_ends_the_reading_early() -> None:
    whole = packed([b"{}"] * 1_000_000)
    end = 8 + int.from_bytes(whole[4:8], "little")
    other = packed([b"{}"] * 10)
    lying = other[: 8 + int.from_bytes(other[4:8], "little")] + whole[end:]
    read = events_of(lying)
    with pytest.raises(DamagedEvidence, match="or more"):
        assert len(list(itertools.islice(read, 11))) <= 10


def test_reading_takes_little_memory_however_much_it_unpacks_to() -> None:
    data = packed([b'{"text":"%s"}' % (b"x" * 1000)] * 100_000)  # 100 MB
    tracemalloc.start()
    try:
        assert sum(1 for _ in events_of(data)) == 100_000
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


async def test_objects_of_a_period_in_order(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "archive")
    began = datetime(2026, 11, 29, 22, tzinfo=UTC)
    names = [
        EvidenceName(source, began + timedelta(hours=n), 1 + 10 * n, 10 + 10 * n)
        for source in ("b", "a")
        for n in range(4)
    ]
    for name in names:
        await store.create(str(name), packed(LINES[:10], name.first))
    await store.create("evidence/v1/source=a/day=2026-11-30/readme.txt", b"foreign")
    evidence = Evidence(store)
    assert await evidence.sources() == ["a", "b"]
    assert [found.said async for found in evidence.objects()] == sorted(names)
    since = began + timedelta(hours=1, minutes=30)
    found = [each.said async for each in evidence.objects("a", since, began + timedelta(hours=3))]
    assert found == [names[5], names[6]]
    lines = [line async for line in evidence.lines(str(names[0]))]
    assert lines == list(enumerate(LINES[:10], 1))


async def test_an_archive_that_is_not_there_is_empty(tmp_path: Path) -> None:
    evidence = Evidence(LocalStore(tmp_path / "none"))
    assert await evidence.sources() == []
    assert [found async for found in evidence.objects()] == []
    assert not (tmp_path / "none").exists()
