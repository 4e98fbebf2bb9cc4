"""`archive`: what people do with one, on archives in a folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from forwarder.archive.chain import ArchiveKeys, HourDigests
from forwarder.archive.keys import read_signing_key
from forwarder.cli.app import app
from tests.archive.places import HOUR, SPOOL, MemoryStore, digest_names, store_object
from tests.archive.verifiers import copy

CONFIG = """
sources:
  acme: {type: organization, org_id: 7d5a6a0e-1c55-4b92-9a37-0a4ad7a3c1aa, api_key: ATCTT3xFfGF0k9QwZr7uYbN2pLsVdX8hJ4}
sinks:
  siem: {type: file, path: ./siem.ndjson}
  years: {type: archive, path: ./years, key_file: key.pem, retain_months: 1}
"""


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["archive", *words])


@pytest.fixture
async def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive that began a day ago."""
    return await archive_of(tmp_path, monkeypatch, days=1)


@pytest.fixture
async def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive that began before the last month."""
    return await archive_of(tmp_path, monkeypatch, days=64)


async def archive_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, days: int) -> Path:
    """Make an archive up to this hour, with events in its first and its last hour."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIG)
    assert run("keygen", "key.pem").exit_code == 0
    store, now = MemoryStore(), time.time()
    digests = HourDigests(store, SPOOL, ArchiveKeys(tmp_path / "key.pem"))
    await digests.open(now - days * 24 * HOUR)
    await store_object(digests, store, "acme", 1, 3, now - days * 24 * HOUR)
    await digests.close_due(now - HOUR)
    await store_object(digests, store, "acme", 4, 3, now - HOUR)
    await digests.close_due(now)
    copy(store, tmp_path / "years")
    (tmp_path / "head").write_text(digests.head.sha256)
    (tmp_path / "newest").write_text(digest_names(store)[-1])
    return tmp_path


def test_a_key_is_made_once_and_shown_by_its_id_only(tmp_path: Path) -> None:
    made = run("keygen", str(tmp_path / "key.pem"))
    assert made.exit_code == 0, made.output
    assert read_signing_key(tmp_path / "key.pem").id in made.stdout
    private = (tmp_path / "key.pem").read_text().splitlines()[1]
    assert private not in made.output
    assert (tmp_path / "key.pem.pub").read_bytes() == read_signing_key(tmp_path / "key.pem").public.pem
    again = run("keygen", str(tmp_path / "key.pem"))
    assert again.exit_code == 2
    assert "is there already" in again.stderr


def test_an_archive_that_is_whole_is_said_to_be_with_what_that_proves(folder: Path) -> None:
    head = (folder / "head").read_text()
    found = run("verify")
    assert found.exit_code == 0, found.output
    for word in ("nothing is other than it was written", "6 events", "not proven", "--head", head):
        assert word in found.stdout
    assert "is yours" not in found.stdout, "the configured key is known"
    asked = run("verify", "--head", head.upper(), "--json")
    assert asked.exit_code == 0
    shown = json.loads(asked.stdout)
    assert shown["intact"] is True
    assert shown["findings"] == []
    assert (shown["objects"], shown["events"], shown["digests"], shown["head"]) == (2, 6, 24 + 1, head)
    assert shown["place"] == str(folder / "years")


def test_a_folder_is_checked_without_a_configuration(folder: Path) -> None:
    (folder / "config.yaml").unlink()
    key = read_signing_key(folder / "key.pem")
    assert "is yours" in run("verify", "years").stdout
    for known in (key.id, "key.pem.pub"):
        found = run("verify", "years", "--key", known)
        assert found.exit_code == 0, found.output
        assert "is yours" not in found.stdout
    foreign = run("verify", "years", "--key", "0" * 32)
    assert foreign.exit_code == 1
    assert "key_unknown" in foreign.stdout


def test_what_is_found_is_shown_and_ends_with_1(folder: Path) -> None:
    [gone, _] = sorted((folder / "years/evidence").rglob("*.zst"))
    gone.unlink()
    (folder / "years" / (folder / "newest").read_text()).unlink()
    found = run("verify", "--head", (folder / "head").read_text())
    assert found.exit_code == 1, found.output
    for word in ("object_missing", gone.name, "head_missing", "digest_missing", "3 findings"):
        assert word in found.stdout
    shown = json.loads(run("verify", "--json").stdout)
    assert shown["intact"] is False
    assert {each["kind"] for each in shown["findings"]} == {"object_missing", "digest_missing"}


@pytest.fixture
async def unsigned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive that was written without a key, and a key that was configured just now."""
    monkeypatch.chdir(tmp_path)
    store, now = MemoryStore(), time.time()
    digests = HourDigests(store, SPOOL)
    await digests.open(now - 30 * HOUR)
    await digests.close_due(now)
    copy(store, tmp_path / "years")
    assert run("keygen", "key.pem").exit_code == 0
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def test_a_key_that_was_just_configured_need_not_have_signed_yet(unsigned: Path) -> None:
    found = run("verify")
    assert found.exit_code == 0, found.output
    assert "configured lately" in " ".join(found.stdout.split())
    asked = run("verify", "--key", read_signing_key(unsigned / "key.pem").id)
    assert asked.exit_code == 1, "who names a key knows that it signs"
    assert "key_unknown" in asked.stdout


def test_a_key_that_was_configured_long_ago_must_have_signed(unsigned: Path) -> None:
    for name in ("key.pem", "config.yaml"):
        os.utime(unsigned / name, (time.time() - 4 * HOUR,) * 2)
    found = run("verify")
    assert found.exit_code == 1
    assert "key_unknown" in found.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("verify", "--head", "abc"), "not a SHA-256"),
        (("verify", "--key", "no-such-file"), "neither an id of a key nor a file"),
        (("verify", "--key", "config.yaml"), "not a public key|PEM|Ed25519"),
        (("verify", "--sink", "siem"), "not of type archive"),
        (("verify", "--sink", "nobody"), "no sink has this name"),
        (("verify-script", "config.yaml"), "is there already"),
        (("keygen", "no/such/folder/key.pem"), "cannot be written"),
    ],
)
def test_what_cannot_be_is_said_with_the_fix(folder: Path, words: tuple[str, ...], says: str) -> None:
    found = run(*words)
    assert found.exit_code == 2, found.output
    assert any(each in found.stderr for each in says.split("|"))


def test_an_empty_folder_is_not_whole(tmp_path: Path) -> None:
    found = run("verify", str(tmp_path / "nothing"))
    assert found.exit_code == 1
    assert "digest_missing" in found.stdout


def test_the_script_runs_where_nothing_else_is(folder: Path) -> None:
    assert run("verify-script", "check.py").exit_code == 0
    assert (folder / "check.py").read_text() == run("verify-script").stdout
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "check.py", "years"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    assert "nothing is other than it was written" in ran.stdout


def test_months_are_deleted_on_demand_and_a_hold_stops_it(old: Path) -> None:
    folder = old
    [first, new] = sorted((folder / "years/evidence").rglob("*.zst"))
    shown = run("retention", "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "would be deleted" in shown.stdout
    (folder / "years/hold").write_text("case 4711")
    held = run("retention")
    assert held.exit_code == 0, held.output
    assert "forbids to delete" in held.stdout
    assert first.exists()
    (folder / "years/hold").unlink()
    done = json.loads(run("retention", "--json").stdout)
    month = datetime.fromtimestamp(time.time() - 64 * 24 * HOUR, UTC).strftime("%Y-%m")
    assert done["months"] == [{"month": month, "objects": 1, "events": 3}]
    assert (first.exists(), new.exists()) == (False, True)
    assert "nothing in" in run("retention").stdout
    after = run("verify", "--head", (folder / "head").read_text())
    assert after.exit_code == 0, after.output
    assert f"what the 3 events of {month} were" in after.stdout


def test_nothing_is_deleted_unless_it_is_asked_for(folder: Path) -> None:
    (folder / "config.yaml").write_text(CONFIG.replace(", retain_months: 1", ""))
    found = run("retention")
    assert found.exit_code == 2
    assert "retain_months" in found.stderr
