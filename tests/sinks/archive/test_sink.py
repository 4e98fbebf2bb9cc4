from __future__ import annotations

import asyncio
import itertools
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from forwarder.archive.evidence import EvidenceWriter, events_of, header_of
from forwarder.archive.layout import parse_evidence
from forwarder.contracts import Asked, Batch, ConfigError, Confirms, Gathers, Held, Retryable, Verifies, Warns
from forwarder.contracts.identity import EventKeys
from forwarder.testing.far_end import context
from sinks.archive.settings import ArchiveConfig
from sinks.archive.sink import ArchiveSink
from tests.examples import examples
from tests.sinks.archive.archives import (
    NOON,
    ORIGIN,
    OTHER,
    MovedClock,
    archive_sink,
    line_of,
    lines,
    numbers,
    objects,
    records,
    send,
    stored,
)


def hour_of(path: Path) -> str:
    return path.parent.name


async def test_what_it_is(tmp_path: Path) -> None:
    sink = archive_sink(tmp_path)
    assert isinstance(sink, Confirms)
    assert isinstance(sink, Gathers)
    assert isinstance(sink, Verifies)
    assert isinstance(sink, Warns)
    assert sink.proof == "delivered"
    assert sink.target == f"archive:{tmp_path / 'archive'}"
    await sink.close()


async def test_an_event_is_confirmed_when_its_object_is_stored_and_not_before(tmp_path: Path) -> None:
    clock = MovedClock()
    sink = archive_sink(tmp_path, clock)
    delivery = await send(sink, range(1, 4))
    receipts = set(delivery.pending.values())
    assert set(delivery.pending) == {0, 1, 2}
    assert await sink.confirm(list(receipts)) == {}
    assert objects(tmp_path) == []
    clock.go_on(300)
    await sink._store_due()
    async with sink._lock:
        assert await sink.confirm(list(receipts)) == dict.fromkeys(receipts, True)
    assert stored(tmp_path) == lines(range(1, 4))
    await sink.close()


async def test_a_full_segment_is_stored_at_once_and_its_events_accepted(tmp_path: Path) -> None:
    sink = archive_sink(tmp_path, size="4KB")
    raws = [b'{"id":"%s"}' % bytes(hex(n**9 + 7**n), "ascii") for n in range(1, 2000)]
    batch = records(range(1, 2000))
    for record, raw in zip(batch, raws, strict=True):
        record.raw = raw
    delivery = await sink.send(Batch(batch))
    assert delivery.accepted
    assert len(delivery.accepted) + len(delivery.pending) == len(batch)
    there = objects(tmp_path)
    assert len(there) > 2
    assert sum(numbers(tmp_path).values()) == len(delivery.accepted)
    await sink.close()
    assert stored(tmp_path) == Counter(raws)


async def test_each_source_has_objects_of_its_own_and_lines_keep_their_numbers(tmp_path: Path) -> None:
    sink = archive_sink(tmp_path)
    both = records([1, 3, 5]) + records([2, 4], origin=OTHER)
    both[1].marks, both[1].id = ("revision",), "f" * 32 + "-" + "0" * 16
    await sink.send(Batch(sorted(both, key=lambda record: record.seq)))
    await sink.finish()
    first, second = objects(tmp_path)
    assert "source=acme/day=2026-01-31/hour=12/0000000000000001-0000000000000005" in str(first)
    header = header_of(first.read_bytes())
    assert [number for number, _ in header.numbers()] == [1, 3, 5]
    assert header.origin == ORIGIN
    assert header.ids == {1: "f" * 32 + "-" + "0" * 16}
    assert header_of(second.read_bytes()).origin == OTHER
    await sink.close()


async def test_line_ends_between_tokens_make_no_second_line(tmp_path: Path) -> None:
    sink = archive_sink(tmp_path)
    (record,) = records([1])
    record.raw = b'{\r\n "id": "e1"\n}'
    await sink.send(Batch([record]))
    await sink.close()
    assert stored(tmp_path) == {b'{   "id": "e1" }': 1}


# ------------------------------------------------------------------------------------------------------- once, not twice


@settings(max_examples=examples(25), deadline=None)
@given(data=st.data())
async def test_whatever_comes_again_in_whatever_groups_is_stored_once(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Several lives, each sent again what was not confirmed, grouped and ordered anew; each may end at any time."""
    folder = tmp_path_factory.mktemp("archive")
    clock = MovedClock()
    wanted = set(range(1, 61))
    settled: set[int] = set()
    for _ in range(data.draw(st.integers(1, 4))):
        sink = archive_sink(folder, clock)
        waiting = data.draw(st.permutations(sorted(wanted - settled)))
        open_: dict[Any, list[int]] = {}
        while waiting:
            group, waiting = waiting[: (n := data.draw(st.integers(1, 20)))], waiting[n:]
            again = data.draw(st.lists(st.sampled_from(sorted(wanted)), max_size=3))
            sent = list(dict.fromkeys([*group, *again]))
            delivery = await send(sink, sent)
            settled |= {sent[position] for position in delivery.accepted}
            for position, receipt in delivery.pending.items():
                open_.setdefault(receipt, []).append(sent[position])
            match data.draw(st.sampled_from(["nothing", "store", "confirm", "hour", "back"])):
                case "store":
                    await sink._store_due(everything=True)
                case "confirm":
                    for receipt in await sink.confirm(list(open_)):
                        settled |= set(open_.pop(receipt))
                case "hour":
                    clock.go_on(3600)
                case "back":
                    clock.now -= 7200
        assert sink._timer is not None
        sink._timer.cancel()  # killed: nothing more is stored
    sink = archive_sink(folder, clock)
    await send(sink, sorted(wanted - settled))
    await sink.close()
    assert stored(folder) == lines(wanted)


async def test_after_a_restart_what_is_stored_is_accepted_as_a_duplicate(tmp_path: Path) -> None:
    sink = archive_sink(tmp_path)
    await send(sink, range(1, 100))
    await sink.close()
    sink = archive_sink(tmp_path)
    delivery = await send(sink, range(50, 120))
    assert list(delivery.accepted) == list(range(50))
    assert delivery.duplicates == 50
    assert set(delivery.pending) == set(range(50, 70))
    await sink.close()
    assert stored(tmp_path) == lines(range(1, 120))


async def test_lower_numbers_that_come_late_are_stored(tmp_path: Path) -> None:
    sink = archive_sink(tmp_path)
    await send(sink, [1, 2, 4, 5])
    await sink.finish()
    await send(sink, [3])
    await sink.finish()
    await send(sink, [3])
    await sink.close()
    assert stored(tmp_path) == lines(range(1, 6))


async def test_a_number_that_another_event_has_now_is_another_event(tmp_path: Path) -> None:
    """A spool that was put back from a snapshot gives its numbers once more."""
    sink = archive_sink(tmp_path)
    await send(sink, range(1, 10))
    await sink.close()
    sink = archive_sink(tmp_path)
    await send(sink, range(5, 10), salt="-again")
    await sink.close()
    assert stored(tmp_path) == lines(range(1, 10)) + lines(range(5, 10), salt="-again")


async def test_an_event_that_was_read_long_ago_is_looked_for_since_then(tmp_path: Path) -> None:
    clock = MovedClock()
    for day in range(5):
        sink = archive_sink(tmp_path, clock)
        await send(sink, range(10 * day + 1, 10 * day + 11), read_ms=int(clock.now * 1000))
        await sink.close()
        clock.go_on(86400)
    sink = archive_sink(tmp_path, clock)
    delivery = await send(sink, [50, *range(1, 50), 51], read_ms=int(NOON * 1000))
    assert list(delivery.accepted) == list(range(50))
    await sink.close()
    assert stored(tmp_path) == lines(range(1, 52))


async def test_by_a_clock_that_was_ahead_nothing_is_stored_twice(tmp_path: Path) -> None:
    sink = archive_sink(tmp_path)
    await send(sink, range(1, 10), read_ms=int((NOON + 40 * 86400) * 1000))
    await sink.close()
    sink = archive_sink(tmp_path)
    await send(sink, range(1, 10), read_ms=int((NOON + 40 * 86400) * 1000))
    await sink.close()
    assert stored(tmp_path) == lines(range(1, 10))


async def test_what_a_damaged_object_may_hold_is_stored_again(tmp_path: Path) -> None:
    sink = archive_sink(tmp_path)
    await send(sink, range(1, 10))
    await sink.close()
    (there,) = objects(tmp_path)
    there.chmod(0o600)
    there.write_bytes(b"damaged")
    clock = MovedClock(NOON + 3600)
    sink = archive_sink(tmp_path, clock)
    await send(sink, range(1, 10))
    await sink.close()
    there.unlink()
    assert stored(tmp_path) == lines(range(1, 10))


async def test_an_object_that_claims_to_hold_everything_keeps_nothing_out(tmp_path: Path) -> None:
    sink = archive_sink(tmp_path)
    await send(sink, [1])
    await sink.close()
    (there,) = objects(tmp_path)
    writer = EvidenceWriter(ORIGIN)
    writer.add(line_of(5), 5, 0)
    lie = writer.finish().replace(b"[[5,5,0]]", b"[[1,9999999999,0]]").replace(b'"events":1', b'"events":9999999999')
    for name, data in (("0000000000000001-0000009999999999", lie), ("0000000000000002-0000000000000009", b"nonsense")):
        (there.parent / f"{name}.ndjson.zst").write_bytes(data)
    sink = archive_sink(tmp_path, MovedClock(NOON + 3600))
    delivery = await send(sink, range(1, 10))
    assert list(delivery.accepted) == [0]
    await sink.close()
    assert {
        line for path in objects(tmp_path) if path.parent != there.parent for line in events_of(path.read_bytes())
    } == set(lines(range(2, 10)))


# ------------------------------------------------------------------------------------------------------- trouble


class Trouble:
    """Stands between the sink and its store."""

    def __init__(self, sink: ArchiveSink) -> None:
        self.error: Exception | None = None
        self.after = False
        self.calls = 0
        self._create = sink._store.create
        sink._store.create = self.create  # type: ignore[method-assign]

    async def create(self, name: str, data: bytes) -> None:
        self.calls += 1
        if self.after or self.error is None:
            await self._create(name, data)
        if self.error is not None:
            raise self.error


async def test_an_upload_whose_answer_was_lost_is_found_and_stays_one_object(tmp_path: Path) -> None:
    sink = archive_sink(tmp_path)
    trouble = Trouble(sink)
    await send(sink, range(1, 10))
    trouble.error, trouble.after = Retryable("no answer", kind="timeout", sent=True), True
    with pytest.raises(Retryable):
        await sink.finish()
    trouble.error = None
    await sink.finish()
    assert stored(tmp_path) == lines(range(1, 10))
    await sink.close()


@pytest.mark.parametrize(
    "error",
    [
        Held("The disk is full.", fix="Make room.", kind="disk_full"),
        Retryable("it is slow", kind="timeout", sent=True, suspect=False),
        RuntimeError("a fault of a library"),
    ],
)
async def test_while_nothing_can_be_stored_nothing_more_is_taken_and_then_all_of_it_once(
    tmp_path: Path, error: Exception
) -> None:
    clock = MovedClock()
    sink = archive_sink(tmp_path, clock)
    delivery = await send(sink, range(1, 10))
    trouble = Trouble(sink)
    trouble.error = error
    clock.go_on(300)
    for _ in range(3):
        with pytest.raises((Held, Retryable)):
            await sink._store_due()
        with pytest.raises((Held, Retryable)):
            await send(sink, range(10, 20))
        with pytest.raises((Held, Retryable)):
            await sink.confirm([delivery.pending[0]])
    warning = sink.warning()
    assert warning is not None
    assert all(warning)
    trouble.error = None
    again = await send(sink, range(1, 20))
    assert set(again.accepted) == set(range(9))
    assert sink.warning() is None
    assert await sink.confirm([delivery.pending[0]]) == {delivery.pending[0]: True}
    await sink.close()
    assert stored(tmp_path) == lines(range(1, 20))


async def test_another_object_of_that_name_is_left_as_it_is_and_the_next_hour_goes_on(tmp_path: Path) -> None:
    clock = MovedClock()
    sink = archive_sink(tmp_path, clock)
    await send(sink, range(1, 10))
    await sink.close()
    (there,) = objects(tmp_path)
    before = there.read_bytes()
    # a reader that cannot know of it: it is written after the names were listed
    sink = archive_sink(tmp_path, clock)
    there.rename(tmp_path / "aside")
    await send(sink, range(1, 10), salt="-other")
    (tmp_path / "aside").rename(there)
    with pytest.raises(Held, match="is there already") as held:
        await sink.finish()
    assert "next hour" in held.value.fix
    assert there.read_bytes() == before
    clock.go_on(3600)
    await sink.finish()
    assert [hour_of(path) for path in objects(tmp_path)] == ["hour=12", "hour=13"]
    assert stored(tmp_path) == lines(range(1, 10)) + lines(range(1, 10), salt="-other")
    await sink.close()


async def test_a_folder_that_cannot_be_written_holds_and_says_how_to_fix_it(tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("a file")
    sink = archive_sink(tmp_path)
    with pytest.raises(Held) as held:
        await send(sink, range(1, 3))
    assert held.value.fix
    assert not (await sink.probe())[0].ok
    (tmp_path / "archive").unlink()
    await send(sink, range(1, 3))
    await sink.close()
    assert stored(tmp_path) == lines(range(1, 3))


async def test_by_a_clock_that_goes_back_nothing_is_stored_in_an_hour_that_is_closed(tmp_path: Path) -> None:
    clock = MovedClock()
    sink = archive_sink(tmp_path, clock)
    for first, moved in ((1, 7200), (10, -7200), (20, 0), (30, 86400), (40, -90000)):
        await send(sink, range(first, first + 5))
        await sink.finish()
        clock.go_on(moved)
    await sink.close()
    hours = [parse_evidence(str(path.relative_to(tmp_path / "archive"))) for path in objects(tmp_path)]
    by_number = sorted((name for name in hours if name is not None), key=lambda name: name.first)
    assert all(before.hour <= after.hour for before, after in itertools.pairwise(by_number))
    assert len(by_number) == 5


async def test_close_ends_in_time_while_storing_stalls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = archive_sink(tmp_path)
    await send(sink, range(1, 3))
    never = asyncio.Event()

    async def stall(name: str, data: bytes) -> None:
        await never.wait()

    sink._store.create = stall  # type: ignore[method-assign]
    monkeypatch.setattr("sinks.archive.sink._LAST", 0.05)
    await sink.close()
    await sink.close()
    monkeypatch.undo()  # the other one has the time it takes
    sink = archive_sink(tmp_path)
    await send(sink, range(1, 3))
    await sink.close()
    assert stored(tmp_path) == lines(range(1, 3))


# ------------------------------------------------------------------------------------------------------- asked what it has


async def test_it_says_what_it_has(tmp_path: Path) -> None:
    sink = archive_sink(tmp_path)
    keys = EventKeys("organization", "org-1")
    own = "f" * 32 + "-" + "0" * 16
    both = records(range(1, 10))
    both[3].marks, both[3].id = ("derived_id",), own
    await sink.send(Batch([*both, *records([20], origin=OTHER)]))
    await sink.finish()
    ids = [keys.key(f"e{number}").hex() for number in (1, 5, 9, 20, 21)]
    assert await sink.holds(Asked([*ids, own], ORIGIN, "2026-01-31")) == {*ids[:3], own}
    assert await sink.holds(Asked(ids, ORIGIN, "")) == set(ids[:3])
    await sink.close()


async def test_it_says_nothing_when_an_object_cannot_be_read(tmp_path: Path) -> None:
    sink = archive_sink(tmp_path)
    await send(sink, range(1, 10))
    await sink.finish()
    (there,) = objects(tmp_path)
    there.chmod(0o600)
    there.write_bytes(there.read_bytes()[:-1])
    with pytest.raises(Held, match="cannot be read"):
        await sink.holds(Asked(["0" * 32], ORIGIN, "2026-01-31"))
    await sink.close()


# ------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"every": "10m", "confirm_within": "15m"}, "twice"),
        ({"confirm_within": "5m"}, "twice"),
        ({"every": "2h"}, "1h"),
        ({"path": "s3://bucket/x"}, "as url"),
        ({"url": "s3://bucket/x"}, "one place"),
        ({"path": None}, "one place"),
        ({"path": None, "url": "ftp://x/y"}, "url"),
        ({"bucket": {"region": "eu-central-1"}}, "leave it out"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ArchiveConfig.model_validate({"path": "x", **settings})
    assert ArchiveConfig.model_validate({"path": "x", "format": "raw", "every": "1m"}).size == 8_000_000


@pytest.mark.parametrize("settings", [{"format": "ecs"}, {"original": True}, {"fields": {"drop": ["attributes"]}}])
def test_evidence_is_kept_as_it_came(settings: dict[str, Any]) -> None:
    config = ArchiveConfig.model_validate({"path": "x", **settings})
    with pytest.raises(ConfigError, match="as it came"):
        ArchiveSink(config, context("archive", render="raw"))


async def test_lines_that_repeat_themselves_do_not_make_objects_that_unpack_to_gigabytes(tmp_path: Path) -> None:
    sink = archive_sink(tmp_path, size="4KB")
    batch = records(range(1, 101))
    for record in batch:
        record.raw = b'{"id":"x","text":"%s"}' % (b"x" * 10_000)
    await sink.send(Batch(batch))
    await sink.close()
    assert len(objects(tmp_path)) > 10
    assert line_of(1) not in stored(tmp_path)


async def test_without_the_extra_a_bucket_is_refused_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    config = ArchiveConfig(url="s3://bucket/x")
    sink = ArchiveSink(config, context("archive", render="raw"))
    (finding,) = await sink.probe()
    assert not finding.ok
    assert "pip install" in finding.fix
    await sink.close()
