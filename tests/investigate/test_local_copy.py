"""A copy of an archive in a bucket: what was read is not fetched again, and what was deleted does not live on."""

import asyncio
import shutil

import pytest
from obstore.store import MemoryStore

from forwarder.archive.stores import open_store
from forwarder.archive.stores.bucket import BucketStore
from forwarder.contracts import AuthFailed, Held, Retryable
from forwarder.investigate.building import Builder
from forwarder.investigate.local_copy import LocalCopy, copy_folder
from forwarder.investigate.opening import open_tables
from forwarder.investigate.reading import ArchiveReader
from tests.investigate.evidence import Archive, at
from tests.investigate.lines import event

ASKED = 'select "event.id" from events order by 1'


@pytest.fixture
def far(tmp_path):
    """Give an archive that is far away."""
    made = Archive(tmp_path / "far")
    for day in range(1, 8):
        made.put(f"2026-03-0{day}T05", [event(ident=f"{day}-{number}") for number in range(20)])
        made.digest(f"2026-03-0{day}T05")
    return made


def opened(far, tmp_path):
    store = LocalCopy(open_store(str(far.folder)), tmp_path / "near")
    return store, ArchiveReader(store)


def ids(reader, index=None):
    with open_tables(reader, index) as tables:
        return [ident for (ident,) in tables.ask(ASKED).rows]


def copies(tmp_path):
    return sorted(path.name for path in (tmp_path / "near").rglob("*.zst"))


def test_a_second_question_fetches_nothing(far, tmp_path):
    store, reader = opened(far, tmp_path)
    with reader:
        first = ids(reader)
        assert (len(first), store.fetched) == (140, 7)
    store, reader = opened(far, tmp_path)
    with reader:
        assert ids(reader) == first
        assert store.fetched == 0


def test_what_is_no_longer_in_the_archive_is_no_longer_in_the_copy(far, tmp_path):
    _, reader = opened(far, tmp_path)
    with reader:
        ids(reader)
    shutil.rmtree(far.folder / "evidence/v1/source=acme/day=2026-03-02")
    next((far.folder / "evidence/v1/source=acme/day=2026-03-03").rglob("*.zst")).unlink()
    _, reader = opened(far, tmp_path)
    with reader:
        assert len(ids(reader)) == 100
    assert len(copies(tmp_path)) == 5


@pytest.mark.parametrize("spoiled", [b"", b"damaged", None])
def test_a_copy_of_another_size_is_fetched_again(far, tmp_path, spoiled):
    _, reader = opened(far, tmp_path)
    with reader:
        first = ids(reader)
    copy = next((tmp_path / "near").rglob("*.zst"))
    if spoiled is None:
        copy.unlink()
    else:
        copy.chmod(0o600)
        copy.write_bytes(spoiled)
    store, reader = opened(far, tmp_path)
    with reader:
        assert ids(reader) == first
        assert store.fetched == 1


def test_an_index_is_built_from_the_copy(far, tmp_path):
    store, reader = opened(far, tmp_path)
    with reader:
        first = ids(reader)
        before = store.fetched
        assert Builder(reader, far.index).update(at("2026-04-02T12:00")).made
        assert store.fetched - before == 6 * 24 + 1  # the digests
        assert ids(reader, far.index) == first


def test_a_full_disk_only_costs_time(far, tmp_path, monkeypatch):
    async def full(*_):
        raise Held("full.", fix="Free space.", kind="disk_full")

    store, reader = opened(far, tmp_path)
    monkeypatch.setattr(store._copies, "create", full)
    with reader:
        assert len(ids(reader)) == 140
    assert copies(tmp_path) == []


def test_each_place_has_a_folder_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert copy_folder("s3://one") != copy_folder("s3://two")
    assert copy_folder("s3://one") == copy_folder("s3://one")
    assert copy_folder("s3://one").is_relative_to(tmp_path)


def test_many_objects_are_fetched_side_by_side(far, tmp_path):
    most = running = 0

    class Slow(LocalCopy):
        async def read_oldest(self, name):
            nonlocal most, running
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            found = await super().read_oldest(name)
            running -= 1
            return found

    with ArchiveReader(Slow(open_store(str(far.folder)), tmp_path / "near")) as reader:
        assert len(ids(reader)) == 140
    assert most == 7


class Unsteady(LocalCopy):
    """A store of which every object is refused so often before it comes."""

    def __init__(self, store, folder, refusals, error):
        super().__init__(store, folder)
        self.refusals, self.error, self.asked = refusals, error, {}

    async def read_oldest(self, name):
        self.asked[name] = self.asked.get(name, 0) + 1
        if self.asked[name] <= self.refusals:
            raise self.error
        return await super().read_oldest(name)


def test_what_may_pass_is_tried_again(far, tmp_path, monkeypatch):
    monkeypatch.setattr("forwarder.investigate.reading.PAUSES", (0, 0, 0))
    unsteady = Unsteady(open_store(str(far.folder)), tmp_path / "near", 3, Retryable("slow", kind="timeout"))
    with ArchiveReader(unsteady) as reader:
        assert len(ids(reader)) == 140
    unsteady.refusals, unsteady.asked = 4, {}
    with ArchiveReader(unsteady) as reader, pytest.raises(Retryable):
        ids(reader)


def test_what_a_person_must_fix_is_not_tried_again(far, tmp_path):
    refused = AuthFailed("the token has expired", fix="Renew it.")
    unsteady = Unsteady(open_store(str(far.folder)), tmp_path / "near", 1, refused)
    with ArchiveReader(unsteady) as reader, pytest.raises(AuthFailed):
        ids(reader)
    assert set(unsteady.asked.values()) == {1}


def test_a_bucket_is_indexed_and_asked(far, tmp_path):
    memory = MemoryStore()
    bucket = BucketStore("s3://archive/prefix", lambda: memory)
    for file in far.folder.rglob("*.*"):
        if file.is_file():
            asyncio.run(bucket.create(file.relative_to(far.folder).as_posix(), file.read_bytes()))
    with ArchiveReader(open_store(str(far.folder))) as reader:
        wanted = ids(reader)
    with ArchiveReader(LocalCopy(bucket, tmp_path / "near")) as reader:
        assert ids(reader) == wanted
        assert Builder(reader, far.index).update(at("2026-04-02T12:00")).rows == 140
        assert ids(reader, far.index) == wanted
