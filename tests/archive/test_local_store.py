from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from forwarder.archive.stores import AlreadyStored, NotStored, StoredObject
from forwarder.archive.stores.local import LocalStore
from forwarder.contracts import Held, Retryable

NAME = "evidence/v1/source=acme/day=2026-11-29/hour=13/x"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "archive")


async def test_an_object_is_stored_once(store: LocalStore) -> None:
    await store.create(NAME, b"first")
    with pytest.raises(AlreadyStored):
        await store.create(NAME, b"second")
    assert await store.read(NAME) == await store.read_oldest(NAME) == b"first"
    assert await store.versions(NAME) == 1
    assert await store.versions("other") == 0


async def test_of_many_at_once_one_wins(store: LocalStore) -> None:
    async def create(number: int) -> bool:
        try:
            await store.create(NAME, b"%d" % number * 10_000)
        except AlreadyStored:
            return False
        return True

    wins = await asyncio.gather(*(create(number) for number in range(20)))
    assert sum(wins) == 1
    assert await store.read(NAME) == b"%d" % wins.index(True) * 10_000
    assert list(Path(store.place, ".unfinished").iterdir()) == []


async def test_listings(store: LocalStore) -> None:
    for name in ("b/2", "b/1", "a/x/1", "hold"):
        await store.create(name, name.encode())
    assert await store.list("") == [StoredObject(n, len(n)) for n in ("a/x/1", "b/1", "b/2", "hold")]
    assert await store.list("b/") == [StoredObject("b/1", 3), StoredObject("b/2", 3)]
    assert await store.folders("") == ["a/", "b/"]
    assert await store.folders("a/") == ["a/x/"]
    assert await store.list("none/") == await store.folders("none/") == []


async def test_deleting_leaves_no_empty_folders(store: LocalStore) -> None:
    await store.create("a/b/1", b"")
    await store.create("a/c", b"")
    await store.delete("a/b/1")
    await store.delete("a/b/1")
    assert await store.folders("a/") == []
    await store.create("a/b/1", b"again")
    assert await store.read("a/b/1") == b"again"
    await store.delete("a/b/1")
    await store.delete("a/c")
    assert await store.folders("") == []


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "a//b", "", ".", "a\0b", ".unfinished/x"])
async def test_no_name_leads_out_of_the_folder(store: LocalStore, name: str) -> None:
    await store.create("a/b", b"")
    Path(store.place).with_name("x").write_text("secret")
    with pytest.raises(NotStored):
        await store.read(name)
    with pytest.raises(NotStored):
        await store.create(name, b"")


async def test_what_others_put_in_its_place_is_not_followed(store: LocalStore) -> None:
    await store.create("a/b", b"")
    folder = Path(store.place, "a")
    (folder / "link").symlink_to(folder / "b")
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(folder)
    for name in ("a/link", "a/pipe", "a/loop", "a", "a/b/c", "none"):
        with pytest.raises(NotStored):
            await store.read(name)
    assert [found.name for found in await store.list("")] == ["a/b", "a/link", "a/loop", "a/pipe"]


async def test_what_a_life_before_left_half_written_is_removed(store: LocalStore) -> None:
    unfinished = Path(store.place, ".unfinished")
    unfinished.mkdir(parents=True)
    (unfinished / "old").write_bytes(b"half")
    os.utime(unfinished / "old", (1, 1))
    (unfinished / "new").write_bytes(b"half")
    await store.create("a", b"")
    assert [path.name for path in unfinished.iterdir()] == ["new"]
    assert [found.name for found in await store.list("")] == ["a"]
    assert await store.folders("") == []


async def test_a_folder_that_somebody_removed_is_made_again(store: LocalStore) -> None:
    await store.create("a/b/1", b"")
    Path(store.place).rename(Path(store.place).with_name("moved"))
    await store.create("a/b/1", b"again")
    assert await store.read("a/b/1") == b"again"


async def test_everything_is_forced_to_the_disk_before_it_counts(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    real_fsync, real_link = os.fsync, os.link

    def fsync(descriptor: int) -> None:
        done.append(f"fsync {Path(f'/proc/self/fd/{descriptor}').readlink()}")
        real_fsync(descriptor)

    def link(source: Any, target: Any) -> None:
        done.append(f"link {target}")
        real_link(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", link)
    await store.create("a/b/1", b"x")
    root = store.place
    linked = done.index(f"link {root}/a/b/1")
    assert {f"fsync {root}", f"fsync {root}/a", f"fsync {Path(root).parent}"} <= set(done[:linked])
    assert done[linked - 1].startswith(f"fsync {root}/.unfinished/")
    assert done[linked + 1 :] == [f"fsync {root}/a/b"]


async def test_file_systems_without_links(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(source: Any, target: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    await store.create("a", b"first")
    with pytest.raises(AlreadyStored):
        await store.create("a", b"second")
    assert await store.read("a") == b"first"


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, "disk_full"), (errno.EDQUOT, "disk_full"), (errno.EROFS, "forbidden")]
)
async def test_what_a_person_must_fix_is_held(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, number: int, kind: str
) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fsync)
        with pytest.raises(Held) as held:
            await store.create("a/b", b"x")
    assert held.value.kind == kind
    assert held.value.fix
    assert await store.list("") == []
    assert list(Path(store.place, ".unfinished").iterdir()) == []
    await store.create("a/b", b"x")


async def test_what_may_pass_is_tried_again(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(Retryable):
        await store.create("a", b"x")


async def test_a_file_where_a_folder_should_be(store: LocalStore) -> None:
    Path(store.place).write_text("a file")
    with pytest.raises(Held, match="cannot be written"):
        await store.create("a/b", b"x")
    with pytest.raises(NotStored):
        await store.read("a/b")
    assert await store.list("") == []


async def test_objects_are_not_for_everybody_and_not_to_be_changed(store: LocalStore) -> None:
    await store.create("a/b", b"x")
    assert Path(store.place, "a/b").stat().st_mode & 0o777 == 0o440
