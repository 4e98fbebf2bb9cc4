"""What an error of SQLite or of the disk means to whoever writes, and what becomes of a transaction that fails."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from forwarder.contracts import Held
from forwarder.spool.contract import Fenced, Settlement, SpoolError, SpoolLost
from forwarder.spool.letter import EVERY, DeadLetter
from forwarder.spool.sqlite.database import RESERVE_BYTES
from forwarder.spool.sqlite.glimpse import glimpse
from tests.spool.spools import Harness, bulky, key_of, names, opened


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    async with opened(tmp_path) as made:
        yield made


def of_sqlite(code: int | None, kind: type[sqlite3.Error] = sqlite3.OperationalError) -> sqlite3.Error:
    error = kind("as SQLite says")
    if code is not None:
        error.sqlite_errorcode = code
    return error


async def met(harness: Harness, error: BaseException, *, must: bool = False, times: int = 99) -> Any:
    """Let a transaction meet an error so many times."""
    left = [error] * times

    def work(_: Any) -> str:
        if left:
            raise left.pop()
        return "done"

    return await harness.spool._run(work, must=must)


FULL = ("is full or cannot be written", "disk_full")
GONE = ("can no longer be written", "other")
SQLITE: list[tuple[int | None, tuple[str, str] | str]] = [
    (sqlite3.SQLITE_FULL, FULL),
    (sqlite3.SQLITE_IOERR_WRITE, FULL),
    (sqlite3.SQLITE_IOERR_FSYNC, FULL),
    (sqlite3.SQLITE_IOERR_DIR_FSYNC, FULL),
    (sqlite3.SQLITE_IOERR_TRUNCATE, FULL),
    (sqlite3.SQLITE_IOERR_READ, "Check the disk"),
    (sqlite3.SQLITE_BUSY, "in use by another process"),
    (sqlite3.SQLITE_BUSY_SNAPSHOT, "in use by another process"),
    (sqlite3.SQLITE_READONLY, GONE),
    (sqlite3.SQLITE_READONLY_DBMOVED, GONE),
    (sqlite3.SQLITE_CORRUPT, "is damaged"),
    (sqlite3.SQLITE_CORRUPT_INDEX, "is damaged"),
    (sqlite3.SQLITE_NOTADB, "is damaged"),
    (sqlite3.SQLITE_ERROR, "Check the disk"),
    (None, "Check the disk"),
]


@pytest.mark.parametrize(("code", "meaning"), SQLITE)
async def test_what_an_error_of_sqlite_means(
    harness: Harness, code: int | None, meaning: tuple[str, str] | str
) -> None:
    if isinstance(meaning, str):
        with pytest.raises(SpoolError, match=meaning):
            await met(harness, of_sqlite(code))
        return
    with pytest.raises(Held, match=meaning[0]) as held:
        await met(harness, of_sqlite(code))
    assert (held.value.kind, bool(held.value.fix)) == (meaning[1], True)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
async def test_what_an_error_of_the_disk_means(harness: Harness, number: int) -> None:
    error = OSError(number, os.strerror(number))
    if number == errno.EIO:
        with pytest.raises(SpoolError, match=r"cannot be used \(Input/output error\)"):
            await met(harness, error)
    else:
        with pytest.raises(Held) as held:
            await met(harness, error)
        assert held.value.kind == "disk_full"


@pytest.mark.parametrize(
    "error", [TypeError(), ValueError(), KeyError(), OverflowError(), struct.error(), msgspec.DecodeError()], ids=repr
)
async def test_a_row_that_is_not_as_it_was_written_is_damage(harness: Harness, error: Exception) -> None:
    with pytest.raises(SpoolError, match=rf"is damaged.*\({type(error).__name__}\)"):
        await met(harness, error)


async def test_an_error_of_ours_goes_through_as_it_is(harness: Harness) -> None:
    with pytest.raises(Fenced, match="mine"):
        await met(harness, Fenced("mine"))
    with pytest.raises(ZeroDivisionError):
        await met(harness, ZeroDivisionError())


# ------------------------------------------------------------------------------------------------------- the reserve


@pytest.mark.parametrize(
    ("code", "must", "done"),
    [
        (sqlite3.SQLITE_FULL, True, True),
        (sqlite3.SQLITE_IOERR_FSYNC, True, True),
        (sqlite3.SQLITE_FULL, False, False),
        (sqlite3.SQLITE_READONLY, True, False),
        (sqlite3.SQLITE_BUSY, True, False),
    ],
)
async def test_the_reserve_is_given_up_once_for_what_makes_room(
    harness: Harness, code: int, must: bool, done: bool
) -> None:
    reserve = harness.config.path.with_name("spool.db.reserve")
    assert reserve.stat().st_size == RESERVE_BYTES
    if done:
        assert await met(harness, of_sqlite(code), must=must, times=1) == "done"
        with pytest.raises(Held):
            await met(harness, of_sqlite(code), must=must, times=2)
    else:
        with pytest.raises((Held, SpoolError)):
            await met(harness, of_sqlite(code), must=must, times=1)
    assert reserve.exists() is not done
    await harness.spool.clean_up()
    assert reserve.stat().st_size == RESERVE_BYTES


def page(harness: Harness, lane: int) -> Awaitable[Any]:
    return harness.put(page=bulky("more"))


def new_lane(harness: Harness, lane: int) -> Awaitable[Any]:
    return harness.lane("x" * 50_000)


def settlement(harness: Harness, lane: int) -> Awaitable[Any]:
    letter = DeadLetter(1, harness.source.number, key_of("a0").hex(), "no", "x" * 50_000, b"")
    settlement = Settlement([(1, 1)], dead_letters=[letter])
    return harness.spool.exchange(lane, settlement, after=0, events=0)


@pytest.mark.parametrize(("act", "takes_it"), [(page, False), (new_lane, False), (settlement, True)])
async def test_the_reserve_is_only_for_what_makes_room(
    harness: Harness, act: Callable[[Harness, int], Awaitable[Any]], takes_it: bool
) -> None:
    reserve = harness.config.path.with_name("spool.db.reserve")
    lane = await harness.lane()
    await harness.put(*names("a", 3))
    await harness.take(lane)

    def fill_up(parts: Any) -> None:
        database = parts.database
        database.con.execute(f"PRAGMA max_page_count = {database.pragma('page_count')}")

    await harness.spool._run(fill_up)
    with pytest.raises(Held, match="is full"):
        await act(harness, lane)
    assert reserve.exists() is not takes_it


ACTS: dict[str, tuple[str, Callable[[Harness, int], Awaitable[Any]]]] = {
    "clean up": ("retention.clean_up", lambda harness, _: harness.spool.clean_up()),
    "discard": ("ledger.discard", lambda harness, _: harness.spool.discard_letters(None, EVERY, who="me", words="all")),
    "settle": ("ledger.exchange", lambda harness, lane: harness.settle(lane, (1, 2))),
    "take again": ("ledger.take_again", lambda harness, lane: harness.spool.take_again(lane, [(1, 2)])),
    "leave": ("ledger.leave", lambda harness, lane: harness.spool.leave_lane(lane, Settlement())),
    "retry": ("ledger.retry", lambda harness, _: harness.spool.retry_letters(None, EVERY)),
    "begin": ("ledger.open", lambda harness, _: harness.lane("new")),
    "read": ("intake.commit", lambda harness, _: harness.put("b")),
}
MAKE_ROOM = {"clean up", "discard", "settle", "take again", "leave"}


@pytest.mark.parametrize("what", ACTS)
async def test_on_a_full_disk_what_makes_room_is_done_with_the_reserve_and_nothing_else_is(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    where, act = ACTS[what]
    lane = await harness.lane()
    await harness.put(*names("a", 3))
    await harness.take(lane)
    part, _, name = where.partition(".")
    held: Any = getattr(harness.spool._parts, part)
    real, errors = getattr(held, name), [of_sqlite(sqlite3.SQLITE_FULL)]

    def full_once(*given: Any, **more: Any) -> Any:
        if errors:
            raise errors.pop()
        return real(*given, **more)

    monkeypatch.setattr(held, name, full_once)
    with contextlib.nullcontext() if what in MAKE_ROOM else pytest.raises(Held, match="is full"):
        await act(harness, lane)
    assert not errors


async def test_when_lanes_were_last_in_use_is_noted_at_the_end_also_on_a_full_disk(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.lane()
    harness.clock.advance(30)
    retention: Any = harness.spool._parts.retention
    real, errors = retention.mark_seen, [of_sqlite(sqlite3.SQLITE_FULL)]

    def full_once(*given: Any) -> None:
        if errors:
            raise errors.pop()
        real(*given)

    monkeypatch.setattr(retention, "mark_seen", full_once)
    await harness.spool.close()
    known = glimpse(harness.config.path)
    assert known is not None
    assert [lane.seen_ms for lane in known.lanes] == [int(harness.clock.time() * 1000)]


async def test_a_spool_that_was_closed_leaves_no_thread(harness: Harness) -> None:
    def threads() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == "spool"]

    before = len(threads())
    for _ in range(3):
        await harness.reopen()
    assert len(threads()) == before
    with pytest.raises(SpoolError):
        await Harness(harness.config.path.parent).open()
    assert len(threads()) == before
    await harness.spool.close()
    assert len(threads()) == before - 1


async def test_a_reserve_that_found_no_room_is_made_when_there_is_some(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve = harness.config.path.with_name("spool.db.reserve")
    reserve.unlink()

    def half(descriptor: int, at: int, size: int) -> None:
        os.ftruncate(descriptor, size // 2)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", half)
        await harness.spool.clean_up()
    assert not reserve.exists(), "half of it is none"
    await harness.spool.clean_up()
    assert reserve.stat().st_size == RESERVE_BYTES


async def test_what_follows_a_commit_follows_no_other(harness: Harness) -> None:
    done: list[str] = []

    def notes(what: str, error: Exception | None = None) -> Callable[[Any], str]:
        def work(parts: Any) -> str:
            parts.database.after.append(lambda: done.append(what))
            parts.database.set_meta("id_bytes", parts.database.meta("id_bytes") + 1)
            if error is not None:
                raise error
            assert done in ([], ["first"]), "not before it is durable"
            return what

        return work

    with pytest.raises(Fenced):
        await harness.spool._run(notes("fails", Fenced("no")))
    assert await harness.spool._run(notes("first")) == "first"
    assert await harness.spool._run(notes("second")) == "second"
    assert done == ["first", "second"]
    assert (await harness.spool.status()).id_bytes == 2


@pytest.mark.parametrize("fails", [False, True])
async def test_a_file_that_another_writes_over_during_our_own_work_is_not_taken_for_ours(
    tmp_path: Path, fails: bool
) -> None:
    path = tmp_path / "spool.db"
    async with opened(tmp_path) as harness:

        def work(parts: Any) -> None:
            parts.database.set_meta("seen_ms", 1)
            with path.open("r+b") as file:
                file.seek(24)
                file.write(b"\xff\xff")
            if fails:
                raise LookupError

        with pytest.raises(SpoolLost, match="written over"):
            await harness.spool._run(work)


async def test_a_log_that_another_cuts_during_our_own_work_is_lost(tmp_path: Path) -> None:
    """What is written behind the cut stands behind zeros, and no start could read it."""
    async with opened(tmp_path) as harness:
        await harness.put("first")

        def work(parts: Any) -> None:
            os.truncate(tmp_path / "spool.db-wal", 0)
            parts.database.set_meta("seen_ms", 1)

        with pytest.raises(SpoolLost, match="cut it"):
            await harness.spool._run(work)


async def test_a_log_that_was_moved_into_the_file_is_our_own_work(harness: Harness) -> None:
    def work(parts: Any) -> int:
        parts.database.con.execute("CREATE TABLE large (x BLOB)")
        for _ in range(600):
            parts.database.con.execute("INSERT INTO large VALUES (zeroblob(4000))")
        return 600

    for _ in range(2):
        assert await harness.spool._run(work) == 600
        await harness.spool._run(lambda parts: parts.database.con.execute("DROP TABLE large") and None)
    await harness.spool._run(lambda parts: parts.database.set_meta("seen_ms", 2))
