"""Whole months go, on record, and nothing else; a hold and a damaged chain stop it, and a kill in it loses no reason."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from forwarder.archive import layout
from forwarder.archive.chain import ArchiveKeys, HourDigests
from forwarder.archive.digest import sha256
from forwarder.archive.retention import Retention, read_deletion
from forwarder.archive.stores import open_store
from forwarder.contracts import Held
from tests.archive.places import HOUR, SPOOL, Killed, MemoryStore, digest_names, store_object
from tests.archive.verifiers import BEGIN, HOURS, Archive, build, by_command, copy

NOW = BEGIN + HOURS * HOUR
OCTOBER = "deletions/v1/2026-10.json"


@pytest.fixture
async def archive(tmp_path: Path) -> Archive:
    return await build(tmp_path)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("months", "now", "is_due"),
    [
        (0, "2026-10-31T23:59", False),
        (0, "2026-11-01T00:10", True),
        (1, "2026-11-30T23:59", False),
        (1, "2026-12-01T00:00", True),
        (12, "2027-10-31T23:59", False),
        (12, "2027-11-01T00:00", True),
        (1200, "2027-11-01T00:00", False),
        (100_000, "2027-11-01T00:00", False),
    ],
)
async def test_a_month_is_due_when_so_many_are_over_after_it(
    archive: Archive, months: int, now: str, is_due: bool
) -> None:
    found = await Retention(archive.store, months, archive.keys).due(at(now))
    assert [month.record.month for month in found][:1] == (["2026-10"] if is_due else [])


async def test_what_goes_is_on_record_and_all_else_stays(archive: Archive) -> None:
    before = archive.store.files
    retention = Retention(archive.store, 0, archive.keys)
    [october] = await retention.due(NOW)
    assert archive.store.files == before, "to look deletes nothing"
    await retention.delete(october)
    gone = before.keys() - archive.store.files.keys()
    assert gone == {name for name in before if "day=2026-10-31" in name}
    record = read_deletion(archive.store.files[OCTOBER])
    assert (record.month, record.objects, record.events, record.key) == ("2026-10", 6, 18, archive.new.id)
    assert record.size == sum(len(before[name]) for name in gone)
    assert (record.first_digest, record.last_digest) == (1, 5)
    assert record.last == sha256(before[archive.digests[4]])
    assert archive.new.public.signed(archive.store.files[OCTOBER], archive.store.files[f"{OCTOBER}.sig"])


async def test_the_index_of_a_month_goes_with_it(archive: Archive) -> None:
    of_month = {"index/v1/month=2026-10/events.parquet", "index/v1/day=2026-10-31/names.parquet"}
    others = {"index/v1/month=2026-11/events.parquet", "index/v1/day=2026-11-01/part.json", "index/v1/readers"}
    for name in of_month | others:
        await archive.store.create(name, b"derived")
    retention = Retention(archive.store, 0, archive.keys)
    [october] = await retention.due(NOW)
    await retention.delete(october)
    assert others <= archive.store.files.keys()
    assert not of_month & archive.store.files.keys()


@pytest.mark.parametrize("hold", ["hold", "hold/case-4711"])
async def test_a_hold_stops_it_also_in_the_middle(archive: Archive, hold: str) -> None:
    retention = Retention(archive.store, 0, archive.keys)
    [october] = await retention.due(NOW)
    assert not await retention.hold()

    def put_hold(name: str) -> None:
        if name == october.names[1]:
            archive.store.put(hold, b"until it is over\n")

    archive.store.before_create = put_hold
    with pytest.raises(Held, match=r"^hold"):
        await retention.delete(october)
    assert len(archive.store.deleted) == 2
    with pytest.raises(Held, match=r"^hold"):
        await retention.delete(october)
    assert await retention.hold() in {"hold", "hold/"}
    assert len(archive.store.deleted) == 2
    assert await by_command(archive.store) == []
    archive.store.put(hold, None)
    [rest] = await retention.due(NOW + 40 * 24 * HOUR)
    await retention.delete(rest)
    assert rest.record == october.record, "it is finished on the record that began it"
    assert await by_command(archive.store) == []


@pytest.mark.parametrize("kind", ["file", "folder", "empty folder", "unreadable file"])
async def test_in_a_folder_a_hold_is_whatever_has_its_name(archive: Archive, tmp_path: Path, kind: str) -> None:
    folder = copy(archive.store, tmp_path / "archive")
    if kind in {"folder", "empty folder"}:
        (folder / "hold").mkdir()
    if kind == "folder":
        (folder / "hold/case-4711").touch()
    if kind in {"file", "unreadable file"}:
        (folder / "hold").touch(mode=0 if kind == "unreadable file" else 0o600)
    retention = Retention(open_store(str(folder)), 0, archive.keys)
    [october] = await retention.due(NOW)
    with pytest.raises(Held, match="hold"):
        await retention.delete(october)
    assert len(list(folder.rglob("*.zst"))) == len(archive.objects)


async def test_a_kill_at_any_step_leaves_what_is_explained_and_can_be_finished(archive: Archive) -> None:
    kept = dict(archive.store.kept)
    for step in range(20):
        archive.store.kept = {name: list(versions) for name, versions in kept.items()}
        left = step

        def kill(_: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed

        retention = Retention(archive.store, 0, archive.keys)
        [october] = await retention.due(NOW)
        archive.store.before_create = kill
        try:
            await retention.delete(october)
            is_over = True
        except Killed:
            is_over = False
        archive.store.before_create = lambda _: None
        assert await by_command(archive.store) == []
        for month in await retention.due(NOW):
            await retention.delete(month)
        assert not any("day=2026-10" in name for name in archive.store.files)
        assert await by_command(archive.store) == []
        if is_over:
            break
    assert step == 8  # a record, its signature, six objects


@pytest.mark.parametrize("what", ["missing", "garbage", "changed", "the last"])
async def test_nothing_is_deleted_of_a_month_whose_chain_is_not_whole(archive: Archive, what: str) -> None:
    name = archive.digests[4 if what == "the last" else 2]
    data = archive.store.files[name]
    archive.store.put(
        name,
        {"missing": None, "the last": None, "garbage": b"x", "changed": data.replace(b'"events":6', b'"events":7')}[
            what
        ],
    )
    with pytest.raises(Held, match="archive verify"):
        await Retention(archive.store, 0, archive.keys).due(NOW)
    assert not archive.store.deleted


async def test_foreign_objects_are_not_deleted(archive: Archive) -> None:
    name = archive.objects[0].replace("-0000000000000007", "-0000000000000009")
    archive.store.put(name, b"x")
    retention = Retention(archive.store, 0, archive.keys)
    [october] = await retention.due(NOW)
    await retention.delete(october)
    assert name in archive.store.files
    assert await by_command(archive.store) == [("object_foreign", name)]


async def test_without_the_key_a_signed_archive_is_left_alone(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(Held, match="key_file"):
        await Retention(archive.store, 0, ArchiveKeys()).due(NOW)


async def test_an_object_of_the_last_hour_that_was_noted_late_goes_with_the_month_of_its_digest() -> None:
    store = MemoryStore()
    digests = HourDigests(store, SPOOL)
    await digests.open(BEGIN + 3 * HOUR)
    name = await store_object(digests, store, "acme", 1, 3, BEGIN + 3 * HOUR)
    [entry] = digests._waiting.values()
    digests._waiting.clear()
    await digests.close_due(BEGIN + 4 * HOUR)
    await digests.note(entry)
    await digests.close_due(BEGIN + 31 * 24 * HOUR)
    assert "day=2026-10-31" in name
    retention = Retention(store, 0, ArchiveKeys())
    assert await retention.due(BEGIN + 5 * HOUR) == []
    [november] = await retention.due(at("2026-12-02T00:00"))
    assert november.names == (name,)
    await retention.delete(november)
    assert await by_command(store) == []
    assert len(digest_names(store)) == 31 * 24 - 2
    assert layout.deletion_name(datetime(2026, 11, 1, tzinfo=UTC)) in store.files


async def test_a_month_that_is_deleted_while_an_archive_is_read_is_no_finding(archive: Archive) -> None:
    retention = Retention(archive.store, 0, archive.keys)
    [october] = await retention.due(NOW)
    read, deleting = archive.store.read_oldest, False

    async def reads(name: str) -> bytes:
        nonlocal deleting
        if name == october.names[2] and not deleting:
            deleting = True
            await retention.delete(october)
        return await read(name)

    archive.store.read_oldest = reads  # type: ignore[method-assign]
    for keeps_versions in (False, True):
        archive.store.keeps_versions = keeps_versions
        assert await by_command(archive.store) == []
    assert deleting
