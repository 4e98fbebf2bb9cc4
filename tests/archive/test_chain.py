"""The chain is written hour by hour, whatever ends the process or sets the clock, and by one daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from forwarder.archive import layout
from forwarder.archive.chain import LONGEST_PAUSE, ArchiveKeys, HourDigests
from forwarder.archive.digest import Digest, iso_hour, read_digest, sha256
from forwarder.archive.keys import read_signing_key, write_new_key
from forwarder.contracts import Held
from tests.archive.places import HOUR, SPOOL, START, Killed, MemoryStore, digest_names, store_object


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def keys(tmp_path: Path) -> ArchiveKeys:
    write_new_key(tmp_path / "key.pem")
    return ArchiveKeys(tmp_path / "key.pem")


def read_all(store: MemoryStore) -> list[Digest]:
    found = [read_digest(store.files[name]) for name in digest_names(store)]
    previous = ""
    for number, (digest, name) in enumerate(zip(found, digest_names(store), strict=True), 1):
        assert (digest.seq, digest.previous, layout.digest_name(digest.hour)) == (number, previous, name)
        previous = sha256(store.files[name])
    assert [digest.since for digest in found[1:]] == [digest.until for digest in found[:-1]]
    return found


async def test_every_hour_has_a_digest_also_when_nothing_came(store: MemoryStore, keys: ArchiveKeys) -> None:
    digests = HourDigests(store, SPOOL, keys)
    await digests.open(START)
    assert [digest.objects for digest in read_all(store)] == [()], "the hour before claims the archive"
    name = await store_object(digests, store, "acme", 1, 3, START)
    assert await digests.close_due(START + HOUR - 601) == 0
    assert await digests.close_due(START + HOUR - 600) == 1
    assert await digests.close_due(START + 3 * HOUR) == 2
    claim, first, *empty = read_all(store)
    assert [entry.name for entry in first.objects] == [name]
    assert (claim.events, first.events, first.newest_seq, first.recovered) == (0, 3, {"acme": 3}, ())
    assert [(digest.events, digest.newest_seq) for digest in empty] == [(0, {"acme": 3})] * 2
    key = read_signing_key(keys.key)
    for file in digest_names(store):
        assert key.public.signed(store.files[file], store.files[layout.signature_name(file)])
    assert store.files[layout.key_name(key.id)] == key.public.pem
    assert digests.head == (4, sha256(store.files[digest_names(store)[-1]]), empty[-1].until)


async def test_hours_that_were_missed_are_closed_in_order_after_a_restart(store: MemoryStore) -> None:
    first = HourDigests(store, SPOOL)
    await first.open(START)
    await store_object(first, store, "acme", 1, 3, START)
    second = HourDigests(store, SPOOL)
    assert await second.close_due(START + 50 * HOUR) == 50
    found = read_all(store)
    assert len(found) == 51
    assert [digest.seq for digest in found if digest.objects] == [2], "what was not noted is taken up in its hour"
    assert found[1].recovered == (found[1].objects[0].name,)
    assert not found[0].key


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_kill_at_any_write_leaves_a_chain_that_goes_on(keys: ArchiveKeys, signed: bool, when: str) -> None:
    at = 0
    while True:
        store, calls = MemoryStore(), 0

        def kill(_: str, at: int = at) -> None:
            nonlocal calls
            calls += 1
            if calls == at + 1:
                raise Killed

        setattr(store, f"{when}_create", kill)
        now, killed = START, False
        digests = HourDigests(store, SPOOL, keys if signed else None)
        number = 1
        for _ in range(5):
            try:
                await digests.open(now)
                await store_object(digests, store, "acme", number, 3, now)
                await digests.close_due(now)
            except Killed:
                killed = True
                digests = HourDigests(store, SPOOL, keys if signed else None)
            number += 3
            now += HOUR
        setattr(store, f"{when}_create", lambda _: None)
        await digests.close_due(now)
        found = read_all(store)
        assert found[-1].until == iso_hour(layout.hour_of(now))
        named = [entry.name for digest in found for entry in digest.objects]
        stored = [name for name in sorted(store.files) if name.startswith(layout.EVIDENCE)]
        assert sorted(named) == stored
        assert len(stored) >= 4
        if signed:
            assert all(layout.signature_name(name) in store.files for name in digest_names(store))
        if not killed:
            assert at >= 10
            break
        at += 1


async def test_an_answer_that_was_lost_is_no_other_daemon(store: MemoryStore) -> None:
    digests = HourDigests(store, SPOOL)
    await digests.open(START)
    await store_object(digests, store, "acme", 1, 3, START)

    def lose(_: str) -> None:
        store.after_create = lambda _: None
        raise TimeoutError

    store.after_create = lose
    with pytest.raises(TimeoutError):
        await digests.close_due(START + HOUR)
    late = await store_object(digests, store, "acme", 4, 1, START + HOUR)
    await digests.close_due(START + 2 * HOUR)
    assert [[entry.name for entry in digest.objects][-1:] for digest in read_all(store)][2] == [late]


async def test_a_clock_that_is_set_back_opens_no_hour_again(store: MemoryStore) -> None:
    digests = HourDigests(store, SPOOL)
    await digests.close_due(START)
    await digests.close_due(START + 5 * HOUR)
    for now in (START, START - 1000 * HOUR, 0.0):
        assert iso_hour(digests.hour_of(now)) == read_all(store)[-1].until
        await store_object(digests, store, "acme", int(now) + 1, 1, now)
        assert await digests.close_due(now) == 0
    again = HourDigests(store, SPOOL)
    await again.open(START - 1000 * HOUR)
    assert iso_hour(again.hour_of(START)) == read_all(store)[-1].until
    await again.close_due(START + 6 * HOUR)
    assert len(read_all(store)[-1].objects) == 3


async def test_a_clock_that_is_far_ahead_closes_nothing(store: MemoryStore) -> None:
    digests = HourDigests(store, SPOOL)
    await digests.close_due(START)
    with pytest.raises(Held, match="Set the clock"):
        await digests.close_due(START + LONGEST_PAUSE.total_seconds() + HOUR)
    assert len(read_all(store)) == 1
    assert await digests.close_due(START + HOUR) == 1


async def test_an_hour_stays_open_while_an_object_of_it_is_being_stored(store: MemoryStore) -> None:
    digests = HourDigests(store, SPOOL)
    await digests.open(START)
    name = layout.hour_folder("acme", layout.hour_of(START)) + f"{1:016}-{3:016}.ndjson.zst"
    assert await digests.close_due(START + 2 * HOUR, [name]) == 0
    assert await digests.close_due(START + 2 * HOUR) == 2


async def test_an_object_that_is_noted_late_is_in_the_next_digest_and_once(store: MemoryStore) -> None:
    digests = HourDigests(store, SPOOL)
    await digests.open(START)
    name = await store_object(digests, store, "acme", 1, 3, START)
    [entry] = digests._waiting.values()
    digests._waiting.clear()
    await digests.close_due(START + 2 * HOUR)
    await digests.note(entry)
    await digests.close_due(START + 3 * HOUR)
    await digests.note(entry)
    await digests.close_due(START + 4 * HOUR)
    assert [[entry.name for entry in digest.objects] for digest in read_all(store)] == [[], [], [], [name], []]


async def test_a_second_daemon_is_refused_and_one_that_was_killed_is_not(store: MemoryStore) -> None:
    first = HourDigests(store, SPOOL)
    await first.open(START)
    for later in (0, 0.5, 1000):
        with pytest.raises(Held, match="another daemon") as raised:
            await HourDigests(store, "6" * 32).open(START + later * HOUR)
        assert SPOOL in str(raised.value)
        assert "take_over" in raised.value.fix
    await HourDigests(store, SPOOL).open(START)
    assert len(read_all(store)) == 1


async def test_one_that_is_refused_leaves_no_trace(store: MemoryStore, keys: ArchiveKeys, tmp_path: Path) -> None:
    await HourDigests(store, SPOOL, keys).close_due(START)
    before = store.files
    write_new_key(tmp_path / "new.pem")
    for writer, its in (("6" * 32, keys), ("6" * 32, ArchiveKeys(tmp_path / "new.pem")), (SPOOL, ArchiveKeys())):
        with pytest.raises(Held):
            await HourDigests(store, writer, its).close_due(START + 2 * HOUR)
    with pytest.raises(Held):
        await HourDigests(store, SPOOL, ArchiveKeys(tmp_path / "new.pem")).close_due(START + 2 * HOUR)
    assert store.files == before


async def test_of_two_that_begin_at_once_one_is_refused(store: MemoryStore) -> None:
    first, second = HourDigests(store, SPOOL), HourDigests(store, "6" * 32)
    store.before_create = lambda name: None if name.startswith(layout.KEYS) else begin_second()

    def begin_second() -> None:
        store.before_create = lambda _: None
        raise Killed

    with pytest.raises(Killed):
        await first.open(START)
    await second.open(START)
    with pytest.raises(Held):
        await first.open(START)


async def test_two_copies_of_one_spool_end_at_the_first_digest_that_differs(store: MemoryStore) -> None:
    first, second = HourDigests(store, SPOOL), HourDigests(store, SPOOL)
    await first.open(START)
    await second.open(START)
    await store_object(first, store, "acme", 1, 3, START)
    await first.close_due(START + HOUR)
    with pytest.raises(Held, match="written by someone else"):
        await second.close_due(START + HOUR)


async def test_an_archive_is_taken_over_on_purpose_and_its_hours_hold_numbers_of_one_spool(store: MemoryStore) -> None:
    first = HourDigests(store, SPOOL)
    await first.open(START)
    theirs = await store_object(first, store, "acme", 100, 3, START)
    for _ in range(2):  # killed before it wrote a digest
        second = HourDigests(store, "6" * 32, take_over=SPOOL)
        await second.open(START + 60)
        ours = await store_object(second, store, "acme", _ * 3 + 1, 3, START + 60)
        assert layout.parse_evidence(theirs).hour < second.since == layout.parse_evidence(ours).hour
    await second.close_due(START + 2 * HOUR)
    found = read_all(store)
    assert [digest.writer for digest in found] == [SPOOL, *["6" * 32] * 2]
    assert [digest.numbers_go_back for digest in found] == [(), (), ("acme",)]
    third = HourDigests(store, "6" * 32, take_over=SPOOL)
    await third.open(START + 3 * HOUR)
    assert third.since == second.since
    with pytest.raises(Held, match="another daemon"):
        await HourDigests(store, SPOOL).open(START)


async def test_a_new_key_is_named_by_the_old_one(store: MemoryStore, keys: ArchiveKeys, tmp_path: Path) -> None:
    await HourDigests(store, SPOOL, keys).close_due(START)
    old, new = read_signing_key(keys.key), write_new_key(tmp_path / "new.pem")
    with pytest.raises(Held, match=old.id):
        await HourDigests(store, SPOOL, ArchiveKeys(tmp_path / "new.pem")).open(START)
    rolling = ArchiveKeys(tmp_path / "new.pem", keys.key)
    await HourDigests(store, SPOOL, rolling).close_due(START + HOUR)
    await HourDigests(store, SPOOL, rolling).close_due(START + 2 * HOUR)
    await HourDigests(store, SPOOL, ArchiveKeys(tmp_path / "new.pem")).close_due(START + 3 * HOUR)
    found = read_all(store)
    assert [(digest.key, digest.next_key) for digest in found] == [(old.id, ""), (old.id, new.id), *[(new.id, "")] * 2]
    for digest, name in zip(found, digest_names(store), strict=True):
        key = old if digest.key == old.id else new
        assert key.public.signed(store.files[name], store.files[layout.signature_name(name)])


async def test_the_new_key_alone_goes_on_right_after_the_change(
    store: MemoryStore, keys: ArchiveKeys, tmp_path: Path
) -> None:
    write_new_key(tmp_path / "new.pem")
    await HourDigests(store, SPOOL, keys).close_due(START)
    await HourDigests(store, SPOOL, ArchiveKeys(tmp_path / "new.pem", keys.key)).close_due(START + HOUR)
    await HourDigests(store, SPOOL, ArchiveKeys(tmp_path / "new.pem")).close_due(START + 2 * HOUR)
    signature = layout.signature_name(digest_names(store)[1])
    store.put(digest_names(store)[2], None)
    store.put(layout.signature_name(digest_names(store)[1]), b"x" * 64)
    with pytest.raises(Held, match=signature):
        await HourDigests(store, SPOOL, ArchiveKeys(tmp_path / "new.pem")).open(START + 2 * HOUR)


async def test_an_archive_gets_its_first_key_later_and_never_loses_it(store: MemoryStore, keys: ArchiveKeys) -> None:
    await HourDigests(store, SPOOL).close_due(START)
    await HourDigests(store, SPOOL, keys).close_due(START + 2 * HOUR)
    key = read_signing_key(keys.key).id
    assert [(digest.key, digest.next_key) for digest in read_all(store)] == [("", ""), ("", key), (key, "")]
    with pytest.raises(Held, match="key_file"):
        await HourDigests(store, SPOOL).open(START + 2 * HOUR)
    keys.key.unlink()
    with pytest.raises(Held, match="cannot be signed"):
        await HourDigests(store, SPOOL, keys).open(START + 2 * HOUR)


async def test_a_foreign_end_of_the_chain_is_not_continued(store: MemoryStore, keys: ArchiveKeys) -> None:
    await HourDigests(store, SPOOL, keys).close_due(START)
    [name] = digest_names(store)
    right = store.files[name]
    for wrong in (b"", b"{}\n", right.replace(b'"seq":1', b'"seq":2')):
        store.put(name, wrong)
        with pytest.raises(Held, match="archive verify") as raised:
            await HourDigests(store, SPOOL, keys).open(START)
        assert name in str(raised.value)
    store.put(name, right)
    await HourDigests(store, SPOOL, keys).open(START)


async def test_what_is_not_evidence_is_not_taken_up(store: MemoryStore) -> None:
    await HourDigests(store, SPOOL).close_due(START)
    store.put(layout.hour_folder("acme", layout.hour_of(START)) + f"{1:016}-{3:016}.ndjson.zst", b"anything")
    store.put(layout.hour_folder("acme", layout.hour_of(START)) + "readme.txt", b"anything")
    await HourDigests(store, SPOOL).close_due(START + HOUR)
    assert not any(digest.objects for digest in read_all(store))
