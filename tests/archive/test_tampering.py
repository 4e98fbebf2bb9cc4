"""Whatever is done to an archive is found, and named rightly, by both verifiers; and nothing is found where nothing was done."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from forwarder.archive import layout
from forwarder.archive.digest import Entry, canonical, sha256
from forwarder.archive.keys import SigningKey, write_new_key
from forwarder.archive.retention import Retention, read_deletion
from forwarder.archive.stores import open_store
from forwarder.archive.verdict import KINDS
from forwarder.archive.verify import verify
from tests.archive.places import HOUR, evidence
from tests.archive.verifiers import BEGIN, HOURS, SCRIPT, Archive, build, by_command, by_script, copy, of_script

replace = msgspec.structs.replace
NOW = BEGIN + HOURS * HOUR
OCTOBER = "deletions/v1/2026-10.json"


@pytest.fixture
async def archive(tmp_path: Path) -> Archive:
    (tmp_path / "keys").mkdir()
    return await build(tmp_path / "keys")


@pytest.fixture
def foreign(tmp_path: Path) -> SigningKey:
    return write_new_key(tmp_path / "foreign.pem")


def change(a: Archive, name: str, how: Callable[[bytes], bytes]) -> None:
    a.store.put(name, how(a.store.files[name]))


def flip(at: int) -> Callable[[bytes], bytes]:
    def flipped(data: bytes) -> bytes:
        found = bytearray(data)
        found[at] ^= 1
        return bytes(found)

    return flipped


def swap(a: Archive, one: str, other: str) -> None:
    kept = a.store.files
    a.store.put(one, kept[other])
    a.store.put(other, kept[one])


def of_one_size(a: Archive) -> tuple[str, str]:
    sizes: dict[int, str] = {}
    for name in a.objects:
        if (size := len(a.store.files[name])) in sizes:
            return sizes[size], name
        sizes[size] = name
    raise AssertionError("no two objects are of one size")


def move(a: Archive, name: str, to: str) -> None:
    data = a.store.files[name]
    a.store.put(name, None)
    a.store.put(to, data)


def drop(a: Archive, *names: str) -> None:
    for name in names:
        a.store.put(name, None)


def sig(a: Archive, at: int) -> str:
    return layout.signature_name(a.digests[at])


def objects_of(a: Archive, at: int) -> list[str]:
    return [entry.name for entry in a.digest(at).objects]


def with_entry(**changes: object) -> Callable:
    return lambda digest: replace(digest, objects=(replace(digest.objects[0], **changes), *digest.objects[1:]))


def put_foreign(a: Archive, hour: int, source: str = "acme") -> None:
    name = layout.hour_folder(source, a.digest(hour).hour) + f"{900:016}-{902:016}.ndjson.zst"
    a.store.put(name, evidence(source, 900, 3))


def put_open(a: Archive, data: bytes) -> None:
    """Put something under a name of the hour that is open."""
    hour = a.digest(-1).hour + timedelta(hours=1)
    a.store.put(layout.hour_folder("acme", hour) + f"{900:016}-{902:016}.ndjson.zst", data)


def drop_from_digest_and_store(a: Archive, at: int) -> None:
    gone = a.digest(at).objects[0]
    drop(a, gone.name)
    newest = dict(a.digest(at - 1).newest_seq)
    source = next(iter(sorted(newest)))
    rest = a.digest(at).objects[1:]
    a.write_anew(
        at,
        lambda digest: replace(
            digest, objects=rest, events=3, newest_seq={**digest.newest_seq, source: newest[source]}
        ),
    )


def cut_tail(a: Archive, *, evidence: bool = False, signature: bool = True) -> None:
    drop(a, *(objects_of(a, -1) if evidence else []))
    drop(a, *([sig(a, -1)] if signature else []), a.digests[-1])


def resign_all(a: Archive, key: SigningKey, *, also_name: bool) -> None:
    """Do as someone with all rights and a key of their own."""
    if also_name:
        a.store.put(layout.key_name(key.id), key.public.pem)
        a.write_anew(0, lambda digest: replace(digest, key=key.id, next_key=""), signer=key, to=len(a.digests))
    else:
        a.write_anew(0, lambda digest: digest, signer=key)


def unsign_from(a: Archive, at: int) -> None:
    a.write_anew(at, lambda digest: replace(digest, key="", next_key=""), to=len(a.digests))


def take_over_key(a: Archive, at: int, key: SigningKey) -> None:
    a.store.put(layout.key_name(key.id), key.public.pem)
    a.write_anew(at, lambda digest: replace(digest, key=key.id, next_key=""), signer=key, to=len(a.digests))


def leave_out_hour(a: Archive, at: int) -> None:
    """Move all digests from one on by an hour, as if there had never been another."""
    found = [a.digest(number) for number in range(len(a.digests))]
    names = a.digests
    gone = names[at]
    drop(a, gone, layout.signature_name(gone), *[entry.name for entry in found[at].objects])
    previous = found[at].previous
    for digest, name in list(zip(found, names, strict=True))[at + 1 :]:
        data = canonical(replace(digest, seq=digest.seq - 1, previous=previous))
        a.store.put(name, data)
        a.store.put(layout.signature_name(name), a.signer(digest).sign(data))
        previous = sha256(data)


Tamper = Callable[[Archive, SigningKey], None]
WITHOUT_ASKING: dict[str, tuple[Tamper, set[str]]] = {
    "a flipped bit in an object": (lambda a, k: change(a, a.objects[1], flip(-5)), {"object_changed"}),
    "a flipped bit at its beginning": (lambda a, k: change(a, a.objects[0], flip(0)), {"object_changed"}),
    "a flipped bit in its header": (lambda a, k: change(a, a.objects[3], flip(40)), {"object_changed"}),
    "a truncated object": (lambda a, k: change(a, a.objects[1], lambda data: data[:-1]), {"object_truncated"}),
    "an emptied object": (lambda a, k: change(a, a.objects[1], lambda _: b""), {"object_truncated"}),
    "an object made longer": (lambda a, k: change(a, a.objects[1], lambda data: data + b"\n"), {"object_changed"}),
    "an object of other events": (
        lambda a, k: change(a, a.objects[0], lambda _: evidence("acme", 1, 300)),
        {"object_changed"},
    ),
    "two swapped objects": (lambda a, k: swap(a, *of_one_size(a)), {"object_changed"}),
    "a missing object": (lambda a, k: drop(a, a.objects[2]), {"object_missing"}),
    "all objects missing": (lambda a, k: drop(a, *a.objects), {"object_missing"}),
    "a renamed object": (
        lambda a, k: move(a, a.objects[0], a.objects[0].replace("-0000000000000007", "-0000000000000008")),
        {"object_missing", "object_foreign"},
    ),
    "an object moved to another hour": (
        lambda a, k: move(a, a.objects[0], a.objects[0].replace("hour=20", "hour=21")),
        {"object_missing", "object_foreign"},
    ),
    "an object moved to another source": (
        lambda a, k: move(a, a.objects[-1], a.objects[-1].replace("=acme", "=acne")),
        {"object_missing", "object_foreign"},
    ),
    "a foreign object in an old hour": (lambda a, k: put_foreign(a, 2), {"object_foreign"}),
    "a foreign object in the newest hour": (lambda a, k: put_foreign(a, -1), {"object_foreign"}),
    "a foreign object in the hour without any": (lambda a, k: put_foreign(a, 3), {"object_foreign"}),
    "a foreign object before the first hour": (
        lambda a, k: move(a, a.objects[0], a.objects[0].replace("day=2026-10-31", "day=2020-01-01")),
        {"object_missing", "object_foreign"},
    ),
    "a foreign object of a foreign source": (lambda a, k: put_foreign(a, 2, "evil"), {"object_foreign"}),
    "a foreign file among objects": (
        lambda a, k: a.store.put(a.objects[0] + ".bak", b"x"),
        {"object_foreign"},
    ),
    "a foreign file among digests": (lambda a, k: a.store.put("digests/v1/readme", b"x"), {"object_foreign"}),
    "a foreign file among keys": (lambda a, k: a.store.put("keys/v1/readme", b"x"), {"object_foreign"}),
    "a foreign file among records": (lambda a, k: a.store.put("deletions/v1/readme", b"x"), {"object_foreign"}),
    "a missing digest": (lambda a, k: drop(a, a.digests[3]), {"digest_missing"}),
    "a missing digest with its signature": (lambda a, k: drop(a, sig(a, 5), a.digests[5]), {"digest_missing"}),
    "three missing digests": (
        lambda a, k: drop(a, *[sig(a, at) for at in (5, 6, 7)], *[a.digests[at] for at in (5, 6, 7)]),
        {"digest_missing"},
    ),
    "a missing digest and its objects": (
        lambda a, k: drop(a, *objects_of(a, 5), sig(a, 5), a.digests[5]),
        {"digest_missing"},
    ),
    "a missing beginning": (lambda a, k: drop(a, sig(a, 0), a.digests[0]), {"digest_missing"}),
    "no digests any more": (
        lambda a, k: drop(a, *[sig(a, at) for at in range(10)], *a.digests),
        {"digest_missing"},
    ),
    "a cut-off digest whose signature is left": (lambda a, k: cut_tail(a, signature=False), {"digest_missing"}),
    "a digest with another count": (
        lambda a, k: change(a, a.digests[5], lambda data: data.replace(b'"events":6', b'"events":7')),
        {"digest_changed", "signature_wrong", "counts_wrong"},
    ),
    "a digest with another hash": (
        lambda a, k: change(
            a, a.digests[5], lambda data: data.replace(a.digest(5).objects[0].sha256.encode(), b"0" * 64)
        ),
        {"digest_changed", "signature_wrong", "object_changed"},
    ),
    "a digest without an object": (
        lambda a, k: change(
            a, a.digests[5], lambda _: canonical(replace(a.digest(5), objects=a.digest(5).objects[:1]))
        ),
        {"digest_changed", "signature_wrong", "counts_wrong", "numbers_wrong", "object_foreign"},
    ),
    "a newest digest with another count": (
        lambda a, k: change(a, a.digests[-1], lambda data: data.replace(b'"events":6', b'"events":7')),
        {"signature_wrong", "counts_wrong"},
    ),
    "a digest in another form": (
        lambda a, k: change(a, a.digests[5], lambda data: data.replace(b",", b", ", 1)),
        {"digest_unreadable", "digest_changed"},
    ),
    "a digest with a member more": (
        lambda a, k: change(a, a.digests[5], lambda data: data.replace(b'"v":1', b'"v":1,"w":1')),
        {"digest_unreadable", "digest_changed"},
    ),
    "garbage for a digest": (
        lambda a, k: change(a, a.digests[5], lambda _: b"\xff\x00"),
        {"digest_unreadable", "digest_changed"},
    ),
    "deep garbage for a digest": (
        lambda a, k: change(a, a.digests[5], lambda _: b"[" * 200_000),
        {"digest_unreadable", "digest_changed"},
    ),
    "a list for a digest": (
        lambda a, k: change(a, a.digests[5], lambda _: b"[]\n"),
        {"digest_unreadable", "digest_changed"},
    ),
    "two swapped digests": (
        lambda a, k: (swap(a, a.digests[4], a.digests[5]), swap(a, sig(a, 4), sig(a, 5))),
        {"digest_misplaced", "digest_changed"},
    ),
    "a digest copied to a later hour": (
        lambda a, k: a.store.put(a.digests[-1].replace("/04.", "/05."), a.store.files[a.digests[-1]]),
        {"digest_misplaced"},
    ),
    "a missing signature": (lambda a, k: drop(a, sig(a, 2)), {"signature_missing"}),
    "the signature of another digest": (
        lambda a, k: change(a, sig(a, 2), lambda _: a.store.files[sig(a, 1)]),
        {"signature_wrong"},
    ),
    "an empty signature": (lambda a, k: change(a, sig(a, 2), lambda _: b""), {"signature_wrong"}),
    "a flipped bit in a signature": (lambda a, k: change(a, sig(a, -1), flip(3)), {"signature_wrong"}),
    "another key's signatures": (lambda a, k: resign_all(a, k, also_name=False), {"signature_wrong"}),
    "another key under the name of ours": (
        lambda a, k: a.store.put(layout.key_name(a.old.id), k.public.pem),
        {"key_wrong"},
    ),
    "garbage for a key": (
        lambda a, k: a.store.put(layout.key_name(a.new.id), b"x"),
        {"key_wrong"},
    ),
    "a missing key": (lambda a, k: drop(a, layout.key_name(a.new.id)), {"key_missing"}),
    "another key from some digest on": (lambda a, k: take_over_key(a, 7, k), {"key_changed"}),
    "the old key again": (lambda a, k: take_over_key(a, 7, a.old), {"key_changed"}),
    "no signatures from some digest on": (lambda a, k: unsign_from(a, 7), {"signature_missing"}),
    "a sum that is wrong and signed": (
        lambda a, k: a.write_anew(5, lambda digest: replace(digest, events=7)),
        {"counts_wrong"},
    ),
    "a count of an object that is wrong and signed": (
        lambda a, k: a.write_anew(5, lambda digest: replace(with_entry(events=2)(digest), events=5)),
        {"counts_wrong"},
    ),
    "a count that no numbers allow": (
        lambda a, k: a.write_anew(5, lambda digest: replace(with_entry(events=9)(digest), events=12)),
        {"counts_wrong"},
    ),
    "numbers that are wrong and signed": (
        lambda a, k: a.write_anew(5, with_entry(first_seq=1)),
        {"numbers_wrong", "counts_wrong"} - {"counts_wrong"},
    ),
    "numbers that overlap and are signed": (
        lambda a, k: a.write_anew(
            6,
            lambda digest: replace(
                digest,
                objects=(
                    Entry.of(a.objects[0].replace("hour=20", "hour=20"), a.store.files[a.objects[0]], 3, 1, 3),
                    *digest.objects,
                ),
                events=9,
            ),
        ),
        {"object_twice", "numbers_wrong"},
    ),
    "a newest number that is wrong and signed": (
        lambda a, k: a.write_anew(5, lambda digest: replace(digest, newest_seq={**digest.newest_seq, "acme": 1})),
        {"numbers_wrong"},
    ),
    "objects that are not in order": (
        lambda a, k: a.write_anew(5, lambda digest: replace(digest, objects=digest.objects[::-1])),
        {"object_twice"},
    ),
    "what was recovered and is not there": (
        lambda a, k: a.write_anew(5, lambda digest: replace(digest, recovered=("x",))),
        {"counts_wrong"},
    ),
    "garbage in the open hour": (lambda a, k: put_open(a, b"x"), {"object_damaged"}),
    "a cut-off object in the open hour": (lambda a, k: put_open(a, evidence("acme", 900, 3)[:-4]), {"object_damaged"}),
    "other events in the open hour": (lambda a, k: put_open(a, evidence("acme", 900, 4)), {"object_damaged"}),
    "another source's events in the open hour": (
        lambda a, k: put_open(a, evidence("acne", 900, 3)),
        {"object_damaged"},
    ),
    "lines that are not JSON in the open hour": (
        lambda a, k: put_open(a, evidence("acme", 900, 3, line=b'{"id":')),
        {"object_damaged"},
    ),
    "an hour that was left out": (lambda a, k: leave_out_hour(a, 5), {"hour_missing"}),
    "a digest of two hours": (
        lambda a, k: a.write_anew(5, lambda digest: replace(digest, until=a.digest(6).until)),
        {"hour_missing"},
    ),
    "an object of a later hour": (
        lambda a, k: a.write_anew(
            5,
            lambda digest: replace(
                digest,
                objects=tuple(sorted((*digest.objects, a.digest(7).objects[1]), key=lambda entry: entry.name)),
                events=9,
            ),
        ),
        {"hour_wrong", "object_twice", "numbers_wrong"},
    ),
}
WITH_HEAD_AND_KEY: dict[str, tuple[Tamper, set[str]]] = {
    "a tail that was cut off": (lambda a, k: cut_tail(a), {"head_missing"}),
    "a tail that was cut off with its objects": (lambda a, k: cut_tail(a, evidence=True), {"head_missing"}),
    "two hours that were cut off": (lambda a, k: (cut_tail(a), cut_tail(a)), {"head_missing"}),
    "an object that a holder of the key removed": (lambda a, k: drop_from_digest_and_store(a, 5), {"head_missing"}),
    "a chain written anew with another key": (
        lambda a, k: resign_all(a, k, also_name=True),
        {"head_missing", "key_unknown"},
    ),
    "a chain written anew without a key": (lambda a, k: unsign_from(a, 0), {"head_missing", "key_unknown"}),
    "another archive in its place": (
        lambda a, k: (a.store.kept.clear(),),
        {"head_missing", "key_unknown", "digest_missing"},
    ),
}
ALL = {**WITHOUT_ASKING, **WITH_HEAD_AND_KEY}
BY_UNPACKING = {"a count of an object that is wrong and signed"}


@pytest.mark.parametrize("what", ALL)
async def test_what_is_done_to_an_archive_is_found_by_both(
    archive: Archive, foreign: SigningKey, tmp_path: Path, what: str
) -> None:
    heads, keys = ([archive.head], [archive.new.id]) if what in WITH_HEAD_AND_KEY else ([], [])
    assert await by_command(archive.store, heads, keys) == []
    tamper, expected = ALL[what]
    tamper(archive, foreign)
    found = await by_command(archive.store, heads, keys)
    assert {kind for kind, _ in found} == expected
    assert expected <= set(KINDS)
    by_the_other = by_script(archive.store, tmp_path / "copy", heads, keys)
    assert set(by_the_other) == (set() if what in BY_UNPACKING else of_script(found))


async def test_an_honest_archive_is_found_so_by_both(archive: Archive, tmp_path: Path) -> None:
    heads, keys = [archive.head, sha256(archive.store.files[archive.digests[4]])], [archive.new.id, "0" * 32]
    assert await by_command(archive.store, heads, keys) == []
    assert by_script(archive.store, tmp_path / "copy", heads, keys) == []


@pytest.mark.parametrize(
    "line",
    [b'{"id":"\xff"}', b'{"a":NaN}', b'{"a":"\\ud800"}', b"[" * 5000 + b"]" * 5000, b'{"a":1e999}', b'{"a":"\x01"}'],
)
async def test_what_some_reader_takes_is_no_damage_in_the_open_hour(archive: Archive, line: bytes) -> None:
    put_open(archive, evidence("acme", 900, 3, line=line))
    assert await by_command(archive.store) == []


async def test_objects_of_the_open_hour_are_no_finding_and_not_proven(archive: Archive) -> None:
    put_open(archive, evidence("acme", 900, 3))
    found = await verify(archive.store)
    assert found.findings == []
    assert any("1 objects are what was stored" in text for text in found.not_proven)


@pytest.mark.parametrize("what", ["overwritten", "digest overwritten", "signature overwritten", "deleted"])
async def test_versions_show_what_was_there_first(archive: Archive, what: str) -> None:
    name = {"digest overwritten": archive.digests[2], "signature overwritten": sig(archive, 2)}.get(
        what, archive.objects[1]
    )
    archive.store.kept[name].append(None if what == "deleted" else b"other")
    assert await by_command(archive.store) == [("object_overwritten", name)]


# ---------------------------------------------------------------------------------------------------- deletions


async def delete_october(a: Archive) -> None:
    retention = Retention(a.store, 0, a.keys)
    [month] = await retention.due(NOW)
    assert await retention.delete(month) == len(month.names) == 6


async def test_a_month_that_is_deleted_on_record_is_no_finding(archive: Archive, tmp_path: Path) -> None:
    await delete_october(archive)
    assert await by_command(archive.store, [archive.head], [archive.new.id]) == []
    assert by_script(archive.store, tmp_path / "copy", [archive.head], [archive.new.id]) == []
    assert await Retention(archive.store, 0, archive.keys).due(NOW) == []


async def test_where_versions_are_kept_a_deletion_on_record_is_no_finding_and_another_is(archive: Archive) -> None:
    archive.store.keeps_versions = True
    await delete_october(archive)
    assert any(None in kept for kept in archive.store.kept.values())
    assert await by_command(archive.store) == []
    assert await Retention(archive.store, 0, archive.keys).due(NOW) == []
    november = next(name for name in archive.objects if "day=2026-11-01" in name)
    await archive.store.delete(november)
    assert await by_command(archive.store) == [("object_overwritten", november)]


def rewrite_record(a: Archive, key: SigningKey | None, **changes: object) -> None:
    data = canonical(replace(read_deletion(a.store.files[OCTOBER]), key=key.id if key else "", **changes))
    a.store.put(OCTOBER, data)
    a.store.put(f"{OCTOBER}.sig", key.sign(data) if key else None)
    if key is not None:
        a.store.put(layout.key_name(key.id), key.public.pem)


RECORDS: dict[str, tuple[Tamper, set[str]]] = {
    "no record": (lambda a, k: drop(a, OCTOBER, f"{OCTOBER}.sig"), {"object_missing"}),
    "no signature": (lambda a, k: drop(a, f"{OCTOBER}.sig"), {"signature_missing"}),
    "another key": (rewrite_record, {"deletion_wrong"}),
    "no key": (lambda a, k: rewrite_record(a, None), {"deletion_wrong"}),
    "other counts": (lambda a, k: rewrite_record(a, a.new, events=17), {"deletion_wrong"}),
    "another digest": (lambda a, k: rewrite_record(a, a.new, last="0" * 64), {"deletion_wrong"}),
    "another month": (lambda a, k: rewrite_record(a, a.new, month="2026-09"), {"deletion_wrong"}),
    "garbage": (lambda a, k: a.store.put(OCTOBER, b"{}"), {"deletion_wrong", "object_missing"}),
    "more than it says": (lambda a, k: drop(a, a.objects[0]), {"object_missing"}),
}


@pytest.mark.parametrize("what", RECORDS)
async def test_a_record_explains_only_what_it_can(
    archive: Archive, foreign: SigningKey, tmp_path: Path, what: str
) -> None:
    await delete_october(archive)
    tamper, expected = RECORDS[what]
    tamper(archive, foreign)
    found = await by_command(archive.store)
    assert {kind for kind, _ in found} == expected
    assert set(by_script(archive.store, tmp_path / "copy")) == of_script(found)


async def test_a_record_edited_after_it_was_signed_explains_nothing(archive: Archive, tmp_path: Path) -> None:
    await delete_october(archive)
    change(archive, OCTOBER, lambda data: data.replace(b'"retain_months":0', b'"retain_months":9'))
    found = await by_command(archive.store)
    assert {kind for kind, _ in found} == {"signature_wrong", "deletion_wrong"}
    assert set(by_script(archive.store, tmp_path / "copy")) == of_script(found)


def test_every_kind_of_tampering_is_tried() -> None:
    tried = {kind for _, expected in (*ALL.values(), *RECORDS.values()) for kind in expected}
    assert tried | {"object_overwritten"} == set(KINDS)
    assert len(ALL) + len(RECORDS) >= 60


@pytest.mark.parametrize(
    "wrong",
    [
        b'{"v":1}\n',
        b'"x"\n',
        b"1\n",
        b"null\n",
        b'{"v":1e999}\n',
        b'{"v":NaN}\n',
    ],
)
async def test_a_digest_of_any_other_shape_is_none(archive: Archive, tmp_path: Path, wrong: bytes) -> None:
    archive.store.put(archive.digests[5], wrong)
    found = await by_command(archive.store)
    assert {kind for kind, _ in found} == {"digest_unreadable", "digest_changed"}
    assert set(by_script(archive.store, tmp_path / "copy")) == of_script(found)


@pytest.mark.parametrize("member", ["seq", "from", "next_key", "objects", "newest_seq", "recovered"])
@pytest.mark.parametrize("value", ["null", "{}", '"\\u001b[2J"', "[[]]", "99999999999999999999999"])
async def test_a_member_of_any_other_kind_makes_it_none(
    archive: Archive, tmp_path: Path, member: str, value: str
) -> None:
    """Both say the same of it, and neither breaks; a few are of a right kind, and are found by their signature."""
    name = archive.digests[5]
    said = json.loads(archive.store.files[name])
    if said[member] == json.loads(value):
        return
    said[member] = json.loads(value)
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    archive.store.put(name, text.encode() + b"\n")
    found = await by_command(archive.store)
    assert {"digest_unreadable", "digest_misplaced", "signature_wrong", "key_missing"} & {kind for kind, _ in found}
    assert set(by_script(archive.store, tmp_path / "copy")) == of_script(found)


async def test_digests_of_impossible_hours_hold_nobody_up(archive: Archive, tmp_path: Path) -> None:
    for name in ("digests/v1/8999/12/31/23.json", "digests/v1/9999/12/31/23.json", "digests/v1/2026/13/01/00.json"):
        archive.store.put(name, archive.store.files[archive.digests[5]])
    found = await by_command(archive.store)
    assert {kind for kind, _ in found} == {"digest_misplaced", "object_foreign"}
    assert set(by_script(archive.store, tmp_path / "copy")) == of_script(found)


def test_what_is_no_file_is_no_evidence_and_holds_nobody_up(archive: Archive, tmp_path: Path) -> None:
    folder = copy(archive.store, tmp_path / "copy")
    for name in (archive.objects[0], archive.digests[3], archive.digests[4] + ".sig", layout.key_name(archive.new.id)):
        (folder / name).unlink()
        os.mkfifo(folder / name)
    (folder / archive.objects[1]).rename(tmp_path / "elsewhere")
    (folder / archive.objects[1]).symlink_to(tmp_path / "elsewhere")
    found = asyncio.run(verify(open_store(str(folder)))).findings
    assert {each.kind for each in found} >= {"object_missing", "digest_missing", "signature_missing", "key_missing"}
    script = subprocess.run([sys.executable, str(SCRIPT), str(folder)], capture_output=True, text=True, check=False)
    assert (script.returncode, script.stderr) == (1, "")
    for kind in ("object_missing", "digest_missing", "signature_missing", "key_missing"):
        assert f"FOUND {kind}" in script.stdout
    assert archive.objects[1] in script.stdout


@pytest.mark.parametrize("damage", ["no frame", "no JSON", "no spans", "empty spans", "odd spans"])
async def test_an_object_that_was_never_evidence_is_found_though_it_is_signed(
    archive: Archive, tmp_path: Path, damage: str
) -> None:
    words = {
        "no frame": None,
        "no JSON": b"x",
        "no spans": b"{}",
        "empty spans": b'{"spans":[]}',
        "odd spans": b'{"spans":[[1]]}',
    }[damage]
    data = b"any" if words is None else struct.pack("<II", 0x184D2A50, len(words)) + words
    name = archive.digest(5).objects[0].name
    archive.store.put(name, data)
    archive.write_anew(5, with_entry(sha256=sha256(data), size=len(data)))
    found = await by_command(archive.store)
    assert found == [("counts_wrong", name)]
    assert by_script(archive.store, tmp_path / "copy") == []
