"""A package of evidence: what is in it, and that whatever is done to it is found by the command and by the script."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from forwarder.archive import layout
from forwarder.archive.digest import Digest, canonical, read_digest, sha256
from forwarder.archive.evidence import events_of
from forwarder.archive.keys import SigningKey, write_new_key
from forwarder.archive.package import contents
from forwarder.archive.package.checking import PackageVerdict, check_package
from forwarder.archive.package.contents import manifest_of
from forwarder.archive.package.writing import Answer, LinePlace, write_package
from forwarder.contracts import ConfigError, Held
from tests.archive.places import HOUR, store_object
from tests.archive.verifiers import BEGIN, HOURS, PACKAGE_SCRIPT, SCRIPT, SPOOL, Archive, HourDigests, build

HOSTILE = '=cmd|"/c calc"!A1 <script>alert(1)</script> \x1b[2J\u202e'


class Made(NamedTuple):
    """A package of six lines in three objects of two hours, one of which is followed by another key."""

    archive: Archive
    signer: SigningKey
    file: Path
    places: list[LinePlace]

    def files(self) -> dict[str, bytes]:
        with zipfile.ZipFile(self.file) as package:
            return {name: package.read(name) for name in package.namelist()}

    def write(self, files: dict[str, bytes]) -> None:
        with zipfile.ZipFile(self.file, "w") as package:
            for name, data in files.items():
                package.writestr(name, data)


def answer(places: list[LinePlace]) -> Answer:
    faces = {"report.html": b"<p>", "result.json": b"{}", "result.csv": b"part\r\n"}
    return Answer(faces, places, f"what did {HOSTILE} do?", HOSTILE, "", "now, by tester")


async def make(archive: Archive, folder: Path, *, with_objects: bool = True) -> Made:
    signer = write_new_key(folder / "signer-key.pem")
    names = [archive.digest(at).objects[0].name for at in (2, 5)] + [archive.digest(5).objects[1].name]
    places = [LinePlace(name, line, f"e{line}") for name in names for line in (3, 1)]
    file = folder / "case.zip"
    await write_package(file, archive.store, answer(places), signer, with_objects=with_objects)
    return Made(archive, signer, file, places)


@pytest.fixture
async def made(tmp_path: Path) -> Made:
    (tmp_path / "keys").mkdir()
    return await make(await build(tmp_path / "keys"), tmp_path)


def by_script(file: Path, *options: str) -> tuple[set[tuple[str, str]], str]:
    command = [sys.executable, "-I", "-S", str(PACKAGE_SCRIPT), str(file), *options]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not ran.stderr, ran.stderr
    found = set(re.findall(r"^FOUND (\w+): (\S+)", ran.stdout, re.MULTILINE))
    assert ran.returncode == bool(found), ran.stdout
    return found, ran.stdout


def kinds(found: PackageVerdict) -> set[tuple[str, str]]:
    return {(each.kind, each.name) for each in found.findings}


async def test_what_is_packed_is_what_the_archive_has(made: Made) -> None:
    files = made.files()
    lines = files[contents.EVENTS].splitlines()
    for place, said, line in zip(made.places, files[contents.PLACES].splitlines(), lines, strict=True):
        assert json.loads(said) == {
            "id": place.ident,
            "line": place.line,
            "object": place.name,
            "sha256": sha256(line),
        }
        assert list(events_of(made.archive.store.files[place.name]))[place.line - 1] == line
    packed = {name.removeprefix("archive/"): data for name, data in files.items() if name.startswith("archive/")}
    assert packed.items() <= made.archive.store.files.items()
    digests = sorted(name for name in packed if layout.parse_digest(name))
    assert digests == made.archive.digests[1:7]  # from an hour before the first line to one after the last
    assert layout.key_name(made.archive.old.id) in packed
    assert layout.key_name(made.archive.new.id) in packed
    readme = files[contents.README].decode()
    assert made.signer.id in readme
    assert "\x1b" not in readme
    assert "\u202e" not in readme
    assert made.file.stat().st_mode & 0o777 == 0o600
    assert [files[each.name] for each in (SCRIPT, PACKAGE_SCRIPT)] == [SCRIPT.read_bytes(), PACKAGE_SCRIPT.read_bytes()]


async def test_an_honest_package_is_found_so_by_both(made: Made) -> None:
    archive = made.archive
    heads = [sha256(archive.store.files[archive.digests[4]])]
    found = await check_package(made.file, heads=heads, known_keys=[archive.old.id], signers=[made.signer.id])
    assert not found.findings
    assert (found.lines, found.proven_lines, found.digests) == (6, 6, 6)
    assert found.signer == made.signer.id
    options = ("--head", *heads, "--key", archive.old.id, "--signer", made.signer.id)
    finds, text = by_script(made.file, *options)
    assert not finds
    assert "6 of 6 lines" in text


async def test_without_objects_lines_are_not_proven_and_both_say_so(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    made = await make(await build(tmp_path / "keys"), tmp_path, with_objects=False)
    assert not any(name.startswith("archive/evidence/") for name in made.files())
    found = await check_package(made.file)
    assert not found.findings
    assert found.proven_lines == 0
    assert any("6 lines" in text for text in found.not_proven)
    finds, text = by_script(made.file)
    assert not finds
    assert "not proven: that 6 lines stand in the evidence" in text


# ------------------------------------------------------------------------------------------------------ tampering

Change = Callable[[dict[str, bytes]], object]


@pytest.mark.parametrize("at", range(30))
async def test_every_file_that_is_changed_removed_or_renamed_is_found_by_both(made: Made, at: int) -> None:
    files = made.files()
    name = sorted(files)[at % len(files)]
    damaged = {
        "changed": {**files, name: files[name][:-1] + bytes([files[name][-1] ^ 1])},
        "removed": {other: data for other, data in files.items() if other != name},
        "renamed": {(f"{other}.x" if other == name else other): data for other, data in files.items()},
    }
    for changed in damaged.values():
        made.write(changed)
        found = kinds(await check_package(made.file))
        assert found
        assert by_script(made.file)[0] == found


def swap(files: dict[str, bytes], one: str, other: str) -> None:
    files[one], files[other] = files[other], files[one]


def objects(files: dict[str, bytes]) -> list[str]:
    return [name for name in sorted(files) if name.startswith("archive/evidence/")]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda files: swap(files, "report.html", "result.csv"), {"file_changed"}),
        (
            lambda files: swap(files, *objects(files)[:2]),
            {"file_changed", "object_changed", "object_truncated", "line_wrong"},
        ),
        (lambda files: files.update({"note.txt": b"x"}), {"file_foreign"}),
        (lambda files: files.update({"../evil": b"x"}), {"file_foreign"}),
        (lambda files: files.update({"/etc/evil": b"x"}), {"file_foreign"}),
        (lambda files: files.update({"README.txt/evil": b"x"}), {"file_foreign"}),
        (lambda files: files.update({"folder/": b""}), {"file_foreign"}),
        (lambda files: files.update({"archive/digests/v1/readme": b"x"}), {"file_foreign", "object_foreign"}),
        (lambda files: files.update({"signer.pem": b"no key"}), {"manifest_wrong", "file_changed"}),
        (lambda files: files.update({"MANIFEST": b"no list"}), {"manifest_wrong"}),
        (lambda files: files.update({"MANIFEST": b"\xff"}), {"manifest_wrong"}),
    ],
)
async def test_what_is_swapped_or_added_is_found_by_both(made: Made, change: Change, expected: set[str]) -> None:
    files = made.files()
    change(files)
    made.write(files)
    found = kinds(await check_package(made.file))
    assert {kind for kind, _ in found} <= expected
    assert found
    assert {kind for kind, _ in by_script(made.file)[0]} == {kind for kind, _ in found}


async def test_a_name_that_is_there_twice_and_a_comment_are_found_by_both(made: Made) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(made.file, "a") as package:
        warnings.simplefilter("ignore")
        package.writestr("result.csv", b"other")
        package.comment = b"trust me"
    found = kinds(await check_package(made.file))
    assert found == {("file_foreign", "result.csv"), ("file_foreign", "(comment)")}
    assert by_script(made.file)[0] == found


@pytest.mark.parametrize("at", [0.1, 0.3, 0.5, 0.7, 0.9])
async def test_a_flipped_bit_in_the_zip_is_found_or_changes_nothing(made: Made, at: float) -> None:
    before = made.files()
    data = bytearray(made.file.read_bytes())
    data[int(at * len(data))] ^= 4
    made.file.write_bytes(bytes(data))
    try:
        found = kinds(await check_package(made.file))
    except ConfigError:
        return
    try:
        is_same = made.files() == before
    except Exception:  # noqa: BLE001 -- however it is broken
        is_same = False
    assert bool(found) != is_same


def resign(files: dict[str, bytes], key: SigningKey) -> None:
    """Do as who has another key: sign what is there now."""
    files["signer.pem"] = key.public.pem
    listed = {name: sha256(data) for name, data in files.items() if name not in {"MANIFEST", "MANIFEST.sig"}}
    files["MANIFEST"] = manifest_of(listed)
    files["MANIFEST.sig"] = key.sign(files["MANIFEST"])


@pytest.fixture
def foreign(tmp_path: Path) -> SigningKey:
    return write_new_key(tmp_path / "foreign.pem")


async def test_another_signer_is_found_when_the_right_one_is_known(made: Made, foreign: SigningKey) -> None:
    files = made.files()
    resign(files, foreign)
    made.write(files)
    assert not (await check_package(made.file)).findings
    found = kinds(await check_package(made.file, signers=[made.signer.id]))
    assert found == {("signer_unknown", foreign.id)}
    assert by_script(made.file, "--signer", made.signer.id)[0] == found


async def test_a_line_that_its_signer_forged_is_found_in_the_object(made: Made, foreign: SigningKey) -> None:
    files = made.files()
    lines = files["events.ndjson"].splitlines()
    places = [json.loads(line) for line in files["places.ndjson"].splitlines()]
    lines[0] = b'{"id":"forged"}'
    places[0]["sha256"] = sha256(lines[0])
    files["events.ndjson"] = b"".join(line + b"\n" for line in lines)
    files["places.ndjson"] = b"".join(json.dumps(place).encode() + b"\n" for place in places)
    resign(files, foreign)
    made.write(files)
    found = kinds(await check_package(made.file))
    assert found == {("line_wrong", f"{made.places[0].name}:{made.places[0].line}")}
    assert by_script(made.file)[0] == found


async def test_digests_that_its_signer_wrote_anew_are_found_by_the_key_or_a_heartbeat(
    made: Made, foreign: SigningKey
) -> None:
    files = made.files()
    head = sha256(files[f"archive/{made.archive.digests[4]}"])
    previous = None
    for name in [name for name in sorted(files) if layout.parse_digest(name.removeprefix("archive/"))]:
        digest: Digest = read_digest(files[name])
        members = {field: getattr(digest, field) for field in digest.__struct_fields__}
        members |= {"key": foreign.id, "next_key": "", "previous": previous or digest.previous}
        files[name] = canonical(Digest(**members))
        files[f"{name}.sig"] = foreign.sign(files[name])
        previous = sha256(files[name])
    for key in (made.archive.old, made.archive.new):
        del files[f"archive/{layout.key_name(key.id)}"]
    files[f"archive/{layout.key_name(foreign.id)}"] = foreign.public.pem
    resign(files, foreign)
    made.write(files)
    assert not (await check_package(made.file)).findings
    found = kinds(await check_package(made.file, known_keys=[made.archive.old.id], heads=[head]))
    assert {kind for kind, _ in found} == {"key_unknown", "head_missing"}
    finds = by_script(made.file, "--key", made.archive.old.id, "--head", head)[0]
    assert {kind for kind, _ in finds} == {"key_unknown", "head_missing"}


# ------------------------------------------------------------------------------------------------------- making it


async def test_objects_of_the_open_hour_go_with_it_and_are_said_not_to_be_proven(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    archive = await build(tmp_path / "keys")
    digests = HourDigests(archive.store, SPOOL, archive.keys)
    now = BEGIN + HOURS * HOUR
    await digests.open(now)
    fresh = await store_object(digests, archive.store, "acme", 900, 3, now)
    file = tmp_path / "case.zip"
    places = [LinePlace(fresh, 2, ""), LinePlace(archive.objects[0], 1, "")]
    await write_package(file, archive.store, answer(places), archive.new, with_objects=True)
    found = await check_package(file)
    assert not found.findings
    assert found.proven_lines == 1
    assert any("1 lines were stored" in text for text in found.not_proven)
    finds, text = by_script(file)
    assert not finds
    assert "1 of 2 lines" in text


async def test_what_cannot_be_made_leaves_nothing_behind(made: Made, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there already"):
        await write_package(made.file, made.archive.store, answer(made.places), made.signer, with_objects=True)
    for places, words in (
        ([LinePlace(made.places[0].name, 99, "")], "no line 99"),
        ([LinePlace("evidence/v1/gone", 1, "")], "not there any more"),
    ):
        with pytest.raises(Held, match=words):
            await write_package(
                tmp_path / "other.zip", made.archive.store, answer(places), made.signer, with_objects=True
            )
        assert not (tmp_path / "other.zip").exists()
    with pytest.raises(ConfigError, match="cannot be written"):
        await write_package(
            tmp_path / "no" / "such.zip", made.archive.store, answer([]), made.signer, with_objects=True
        )


@pytest.mark.parametrize("data", [b"", b"not a zip", b"PK\x03\x04" + b"\0" * 100])
async def test_what_is_no_package_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(ConfigError, match="not a package"):
        await check_package(tmp_path / "x.zip")
