"""What proves an answer: its objects are compared with their digests, these with their signatures and neighbours."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from forwarder.archive import layout
from forwarder.archive.digest import canonical, read_digest
from forwarder.archive.keys import write_new_key
from forwarder.cli.app import app
from forwarder.contracts import Held
from forwarder.investigate.building import Builder
from tests.investigate.evidence import Archive, at
from tests.investigate.lines import event

DAYS = ("2026-03-01", "2026-03-02", "2026-03-03")
CONFIG = """
sources:
  acme: {type: organization, org_id: 7d5a6a0e-1c55-4b92-9a37-0a4ad7a3c1aa, api_key: ATCTT3xFfGF0k9QwZr7uYbN2pLsVdX8hJ4}
sinks:
  years: {type: archive, path: ./archive, key_file: key.pem}
"""


def made(folder: Path, *, signed: bool = True) -> Archive:
    """Make an archive of three days, one object each, all of whose hours are closed."""
    archive = Archive(folder / "archive", write_new_key(folder / "key.pem") if signed else None)
    archive.digest("2026-03-01T00")
    for day in DAYS:
        archive.put(f"{day}T10", [event(ident=f"{day}-{n}", user=f"u{n % 2}", name=f"U{n % 2}") for n in range(4)])
        archive.digest(f"{day}T10")
    archive.digest("2026-03-04T02")
    return archive


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Give an archive with its index, of which each test has a copy."""
    archive = made(tmp_path_factory.mktemp("template"))
    with archive.reader() as reader:
        assert not Builder(reader, archive.index).update(at("2026-03-04T12:00")).failed
    return archive


@pytest.fixture
def archive(template: Archive, tmp_path: Path) -> Archive:
    shutil.copytree(template.folder.parent, tmp_path, ignore=shutil.ignore_patterns("index"), dirs_exist_ok=True)
    return template.copied(tmp_path / "archive")


def ask(archive: Archive, who: str = "u1", *more: str) -> tuple[int, dict[str, Any]]:
    words = ["investigate", "user", who, "--archive", str(archive.folder), "--tz", "UTC", "--json", *more]
    done = CliRunner().invoke(app, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return done.exit_code, json.loads(done.stdout)


def proof(found: dict[str, Any]) -> str:
    return " ".join(limit["text"] for limit in found["limits"] if limit["code"] in {"not_proved", "failed"})


def failures(found: dict[str, Any]) -> set[str]:
    return {one["kind"] for one in found["evidence"].get("failed", ())}


@pytest.fixture
def index(template: Archive, archive: Archive) -> Callable[[], object]:
    """Give what puts the index into the archive, as long as nothing was changed."""
    return lambda: shutil.copytree(template.folder / "index", archive.folder / "index")


@pytest.mark.parametrize("indexed", [False, True])
def test_what_is_whole_and_signed_is_said_to_be(archive: Archive, index: Callable[[], object], indexed: bool) -> None:
    if indexed:
        index()
    code, found = ask(archive)
    assert code == 0
    evidence = found["evidence"]
    assert evidence["proved"] is True
    assert (evidence["hours"], evidence["signed_hours"], evidence["open_objects"]) == (3, 3, 0)
    assert evidence["keys"] == [archive.key.id]
    assert "3 objects are as the 3 digests of their hours say" in evidence["proof"]
    assert "compare its id with your record" in evidence["proof"]
    assert not proof(found)
    assert bool(found["run"].get("index")) is indexed


def test_the_configured_key_is_known(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIG)
    done = CliRunner().invoke(app, ["investigate", "user", "u1", "--tz", "UTC", "--json"])
    assert done.exit_code == 0, done.output
    assert f"signed with the configured key {archive.key.id}" in json.loads(done.stdout)["evidence"]["proof"]


def test_an_archive_without_a_key_is_said_to_be_unsigned(tmp_path: Path) -> None:
    code, found = ask(made(tmp_path, signed=False))
    assert code == 0
    assert found["evidence"]["proved"] is False
    assert "Not proven: who wrote 3 digests" in proof(found)


def test_the_hour_that_is_open_is_said_not_to_be_provable(archive: Archive) -> None:
    archive.put("2026-03-04T03", [event(ident="fresh", user="u1", name="U1")])
    code, found = ask(archive)
    assert code == 0
    assert found["evidence"]["open_objects"] == 1
    assert "Not proven: anything about 1 objects from 2026-03-04 03:00Z on" in proof(found)


def test_evidence_without_any_digest_is_said_not_to_be_provable(archive: Archive) -> None:
    shutil.rmtree(archive.folder / "digests")
    code, found = ask(archive)
    assert code == 0
    assert "Not proven: anything about 3 objects" in proof(found)


def digest_file(archive: Archive, hour: str) -> Path:
    return archive.path(layout.digest_name(at(f"{hour}:00")))


def write_anew(archive: Archive, hour: str, **changes: Any) -> None:
    """Change a digest and sign it, as who has the key."""
    file = digest_file(archive, hour)
    said = read_digest(file.read_bytes())
    data = canonical(type(said)(**{name: getattr(said, name) for name in said.__struct_fields__} | changes))
    file.write_bytes(data)
    file.with_name(f"{file.name}.sig").write_bytes(archive.key.sign(data))


def objects(archive: Archive) -> list[Path]:
    return sorted((archive.folder / "evidence").rglob("*.zst"))


def swap_objects(archive: Archive) -> None:
    one, other = objects(archive)[:2]
    kept = one.read_bytes(), other.read_bytes()
    for path, data in zip((other, one), kept, strict=True):
        path.chmod(0o640)
        path.write_bytes(data)


def put_beside(archive: Archive) -> None:
    """Put in an object of the past that no digest names."""
    archive.put("2026-03-02T11", [event(ident="forged", user="u1", name="U1")])


def flip_signature(archive: Archive) -> None:
    file = digest_file(archive, "2026-03-02T10").with_name("10.json.sig")
    file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])


TAMPERING = {
    "an object is changed": (
        lambda a: a.change(str(objects(a)[1].relative_to(a.folder)), objects(a)[1].read_bytes() + b"\0"),
        {"object_changed"},
    ),
    "two objects are swapped": (swap_objects, {"object_changed"}),
    "an object is put in": (put_beside, {"object_foreign"}),
    "a digest is removed": (lambda a: digest_file(a, "2026-03-02T10").unlink(), {"digest_missing"}),
    "the digest after is removed": (lambda a: digest_file(a, "2026-03-02T11").unlink(), {"digest_missing"}),
    "the first digests are removed": (
        lambda a: [digest_file(a, f"{DAYS[0]}T{hour:02}").unlink() for hour in range(12)],
        {"digest_missing", "object_foreign"},
    ),
    "a digest is garbage": (
        lambda a: digest_file(a, "2026-03-02T10").write_bytes(b"{}"),
        {"digest_unreadable"},
    ),
    "a digest is another hour's": (
        lambda a: digest_file(a, "2026-03-02T10").write_bytes(digest_file(a, "2026-03-02T09").read_bytes()),
        {"digest_misplaced"},
    ),
    "a digest is written anew by who has the key": (
        lambda a: write_anew(a, "2026-03-02T10", writer="x"),
        {"digest_changed"},
    ),
    "a signature is removed": (
        lambda a: digest_file(a, "2026-03-02T10").with_name("10.json.sig").unlink(),
        {"signature_missing"},
    ),
    "a signature is changed": (flip_signature, {"signature_wrong"}),
    "the key is removed": (lambda a: a.path(layout.key_name(a.key.id)).unlink(), {"key_missing"}),
    "the key is another one": (
        lambda a: a.path(layout.key_name(a.key.id)).write_bytes(
            write_new_key(a.folder.parent / "other.pem").public.pem
        ),
        {"key_wrong"},
    ),
}


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("what", TAMPERING)
def test_what_is_done_to_what_an_answer_rests_on_is_named(
    archive: Archive, index: Callable[[], object], what: str, indexed: bool
) -> None:
    if indexed:
        index()
    tamper, expected = TAMPERING[what]
    tamper(archive)
    code, found = ask(archive)
    if indexed and what == "an object is put in":
        assert not failures(found), "the index is of what was there when it was made"
        return
    assert code == 4
    assert failures(found) == expected
    assert found["evidence"]["proved"] is False
    assert all(kind in proof(found) for kind in expected)
    assert found["limits"][0]["code"] == "failed"
    assert ask(archive, "u1", "--allow-incomplete")[0] == 0


def test_an_object_that_is_missing_is_named_also_when_nobody_else_was_asked_for(archive: Archive) -> None:
    objects(archive)[1].unlink()
    code, found = ask(archive, "nobody")
    assert (code, failures(found)) == (4, {"object_missing"})
    code, found = ask(archive)
    assert (code, failures(found)) == (4, {"object_missing"})


def test_the_index_answers_for_a_missing_object_and_says_so(archive: Archive, index: Callable[[], object]) -> None:
    index()
    objects(archive)[1].chmod(0o640)
    objects(archive)[1].write_bytes(b"")
    code, found = ask(archive)
    assert (code, failures(found)) == (4, {"object_changed"})
    assert found["totals"]["subject"] == 6


def test_what_cannot_be_proved_of_the_month_that_is_deleted_on_record_is_no_failure(archive: Archive) -> None:
    objects(archive)[0].unlink()
    record = archive.path("deletions/v1/2026-03.json")
    record.parent.mkdir(parents=True)
    record.write_bytes(b"{}")
    code, found = ask(archive)
    assert (code, failures(found)) == (0, set())


# ------------------------------------------------------------------------------------------------------- packages


def run(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_an_answer_becomes_a_package_that_is_checked_without_us(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    signer = write_new_key(tmp_path / "mine.pem")
    words = ("investigate", "user", "u1", "--archive", archive.folder, "--tz", "UTC", "--sign", tmp_path / "mine.pem")
    done = run(*words, "--case", "../17 ü", "--reason", "=1+1")
    assert done.exit_code == 0, done.output
    assert "6 events in 3 objects" in done.stdout
    file = tmp_path / "evidence-17.zip"
    assert file.exists()
    options = ("--signer", signer.id, "--key", archive.key.id)
    checked = run("archive", "verify-package", file, *options)
    assert checked.exit_code == 0, checked.output
    assert "nothing is other than it was written" in checked.stdout
    shown = json.loads(run("archive", "verify-package", file, *options, "--json").stdout)
    assert (shown["intact"], shown["lines"], shown["proven_lines"]) == (True, 6, 6)
    foreign = run("archive", "verify-package", file, "--signer", "0" * 32)
    assert foreign.exit_code == 1
    assert "signer_unknown" in foreign.stdout
    again = run(*words, "--case", "17")
    assert again.exit_code == 2
    assert "there already" in again.output.replace("\n", " ")


def test_what_rules_match_becomes_a_package_too(archive: Archive, tmp_path: Path) -> None:
    write_new_key(tmp_path / "mine.pem")
    archive.put("2026-03-04T03", [event("twosv_disabled_for_user", ident="off", time="2026-03-04T03:00:00.000Z")])
    archive.digest("2026-03-04T04")
    file = tmp_path / "case.zip"
    words = ("hunt", "--archive", archive.folder, "--tz", "UTC", "--package", file)
    done = run(*words, "--sign", tmp_path / "mine.pem")
    assert done.exit_code == 0, done.output
    assert "1 events in 1 objects" in done.stdout
    shown = json.loads(run("archive", "verify-package", file, "--key", archive.key.id, "--json").stdout)
    assert (shown["intact"], shown["lines"], shown["proven_lines"]) == (True, 1, 1)
    assert run(*words).exit_code == 2


def test_a_package_is_of_an_archive_and_of_one_subject(archive: Archive, tmp_path: Path) -> None:
    write_new_key(tmp_path / "mine.pem")
    events = tmp_path / "events.ndjson"
    events.write_bytes(event() + b"\n")
    sign = ("--sign", tmp_path / "mine.pem", "--package", tmp_path / "case.zip")
    files = run("investigate", "user", "ada", "--events", events, *sign)
    assert files.exit_code == 2
    assert "no digests" in files.output.replace("\n", " ")
    nobody = run("investigate", "user", "nobody", "--archive", archive.folder, *sign)
    assert nobody.exit_code == 0
    assert "Nothing found" in nobody.stdout
    assert "no package was made" in nobody.stderr
    without = run("investigate", "user", "u1", "--archive", archive.folder, "--lines-only")
    assert without.exit_code == 2
    wrong = run("investigate", "user", "u1", "--archive", archive.folder, "--sign", events)
    assert wrong.exit_code == 2
    assert "private key" in wrong.output
    assert not (tmp_path / "case.zip").exists()


def test_a_package_cannot_be_made_of_an_object_that_is_gone(
    archive: Archive, index: Callable[[], object], tmp_path: Path
) -> None:
    index()
    objects(archive)[1].unlink()
    write_new_key(tmp_path / "mine.pem")
    sign = ("--sign", tmp_path / "mine.pem", "--package", tmp_path / "case.zip")
    done = run("investigate", "user", "u1", "--archive", archive.folder, *sign)
    assert done.exit_code != 0
    assert isinstance(done.exception, Held | SystemExit)
    assert not (tmp_path / "case.zip").exists()
