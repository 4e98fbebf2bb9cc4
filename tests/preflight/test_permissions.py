"""Others may neither replace the spool nor plant links where our files are made; loose permissions are said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from forwarder.catalogue.state_files import read_state, write_state
from forwarder.config.settings import Settings, load
from forwarder.preflight.permissions import loose_permissions, open_to_others, unusable_spool
from forwarder.spool.config import SpoolConfig
from forwarder.spool.contract import SpoolError
from forwarder.spool.sqlite.store import SqliteSpool
from tests.clocks import FakeClock


def settings_of(folder: Path, mode: int = 0o600) -> Settings:
    key = folder / "key"
    key.write_text("an-api-key-of-a-test\n")
    key.chmod(mode)
    source = {"type": "organization", "org_id": "11111111-2222-4333-8444-555555555555", "api_key_file": str(key)}
    tree = {
        "spool": {"path": str(folder / "state" / "spool.db")},
        "sources": {"acme": source},
        "sinks": {"out": {"type": "file", "path": "-"}},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    return load(path)


@pytest.mark.parametrize("mode", [0o777, 0o757, 0o702, 0o2777])
async def test_a_folder_that_everybody_may_write_is_refused_and_said(tmp_path: Path, mode: int) -> None:
    settings = settings_of(tmp_path)
    settings.spool.path.parent.mkdir()
    settings.spool.path.parent.chmod(mode)
    assert [problem.path for problem in open_to_others(settings)] == ["spool.path"]
    with pytest.raises(SpoolError, match="chmod o-w"):
        await SqliteSpool(settings.spool, FakeClock()).open()
    assert [path.name for path in settings.spool.path.parent.iterdir()] == ["spool.db.lock"]


@pytest.mark.parametrize("mode", [0o700, 0o770, 0o755, 0o1777])
async def test_other_folders_are_used(tmp_path: Path, mode: int) -> None:
    settings = settings_of(tmp_path)
    settings.spool.path.parent.mkdir()
    settings.spool.path.parent.chmod(mode)
    assert list(open_to_others(settings)) == []
    spool = SqliteSpool(settings.spool, FakeClock())
    await spool.open()
    await spool.close()


async def test_a_link_into_a_folder_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    (open_folder / "spool.db").symlink_to(victim / "spool.db")
    for path in (open_folder / "spool.db", victim / ".." / "open" / "spool.db"):
        with pytest.raises(SpoolError, match="not safe"):
            await SqliteSpool(SpoolConfig(path=path), FakeClock()).open()
    assert [path.name for path in victim.iterdir()] == ["spool.db.lock"]


@pytest.mark.parametrize("mode", [0o666, 0o644, 0o604, 0o602])
def test_a_secret_that_others_can_read_or_change_is_worth_a_look(tmp_path: Path, mode: int) -> None:
    paths = [problem.path for problem in loose_permissions(settings_of(tmp_path, mode), os.geteuid())]
    assert "sources.acme.api_key_file" in paths


def test_a_secret_of_our_own_is_not(tmp_path: Path) -> None:
    assert [each.path for each in loose_permissions(settings_of(tmp_path), os.geteuid()) if each.path != "user"] == []


def test_who_runs_it_and_who_owns_the_state_folder_are_compared(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    settings.spool.path.parent.mkdir()
    mine = settings.spool.path.parent.stat().st_uid
    assert [each.path for each in loose_permissions(settings, 0)] == ["user", *(["spool.path"] if mine else [])]
    assert list(loose_permissions(settings, mine or 65534)) == []
    if mine:
        found = list(loose_permissions(settings, mine + 1))
        assert [each.path for each in found] == ["spool.path"]
        assert f"chown {mine + 1}" in str(found[0])


@pytest.mark.parametrize(("mode", "is_reported"), [(0o1777, True), (0o1757, True), (0o1770, False), (0o1755, False)])
def test_a_folder_where_others_can_put_files_is_worth_a_look(tmp_path: Path, mode: int, is_reported: bool) -> None:
    settings = settings_of(tmp_path)
    settings.spool.path.parent.mkdir()
    settings.spool.path.parent.chmod(mode)
    found = [str(each) for each in loose_permissions(settings, settings.spool.path.parent.stat().st_uid)]
    assert any("can put files into its folder" in each for each in found) == is_reported


_LIES_THERE = {
    "a link": lambda name, victim: name.symlink_to(victim),
    "a link to nothing": lambda name, victim: name.symlink_to(victim.with_name("nowhere")),
    "a folder": lambda name, _: name.mkdir(),
    "a pipe": lambda name, _: os.mkfifo(name),
}


@pytest.mark.parametrize("kind", _LIES_THERE)
@pytest.mark.parametrize("ending", ["", "-wal", "-journal", ".lock", ".reserve", ".new", ".missing"])
async def test_what_is_no_file_of_ours_is_said_before_it_is_met(tmp_path: Path, ending: str, kind: str) -> None:
    settings = settings_of(tmp_path)
    state, victim = settings.spool.path.parent, tmp_path / "victim"
    state.mkdir()
    victim.touch()
    _LIES_THERE[kind](state / f"spool.db{ending}", victim)
    (problem,) = unusable_spool(settings)
    assert problem.path == "spool.path"
    assert f"spool.db{ending} is " in str(problem)
    with pytest.raises(SpoolError) as caught:
        await SqliteSpool(settings.spool, FakeClock()).open()
    assert str(caught.value) in str(problem)
    assert victim.read_bytes() == b""
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", ["spool.db", "spool.db.lock"])
async def test_a_file_of_others_is_said_before_it_is_met(tmp_path: Path, name: str) -> None:
    settings = settings_of(tmp_path)
    settings.spool.path.parent.mkdir()
    (settings.spool.path.parent / name).write_text("precious\n" * 99)
    (problem,) = unusable_spool(settings)
    with pytest.raises(SpoolError) as caught:
        await SqliteSpool(settings.spool, FakeClock()).open()
    assert str(caught.value) in str(problem)


async def test_a_link_to_a_spool_that_is_there_is_followed(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    settings.spool.path.parent.mkdir()
    there = SqliteSpool(SpoolConfig(path=tmp_path / "real" / "spool.db"), FakeClock())
    await there.open()
    await there.close()
    settings.spool.path.symlink_to(tmp_path / "real" / "spool.db")
    assert list(unusable_spool(settings)) == []
    spool = SqliteSpool(settings.spool, FakeClock())
    await spool.open()
    assert list(unusable_spool(settings)) == []
    await spool.close()
    assert list(unusable_spool(settings)) == []


@pytest.mark.parametrize(
    ("inline", "mode", "can"),
    [
        (False, 0o644, ""),
        (False, 0o646, "change"),
        (True, 0o644, "read"),
        (True, 0o666, "read and change"),
        (True, 0o640, ""),
    ],
)
def test_a_configuration_that_others_can_change_or_read_a_secret_in_is_worth_a_look(
    tmp_path: Path, inline: bool, mode: int, can: str
) -> None:
    settings_of(tmp_path)
    path = tmp_path / "config.yaml"
    if inline:
        path.write_text(path.read_text().replace(f"api_key_file: {tmp_path / 'key'}", "api_key: a-key-made-up"))
    path.chmod(mode)
    found = [each.what for each in loose_permissions(load(path), os.geteuid()) if each.path == "the configuration"]
    assert found == ([f"every user of this machine can {can} {path} (mode {mode:04o})"] if can else [])


@pytest.mark.parametrize("name", ["ca_file", "cert_file", "key_file"])
def test_a_file_of_tls_that_others_can_change_or_a_key_they_can_read_is_worth_a_look(tmp_path: Path, name: str) -> None:
    settings_of(tmp_path)
    path, file = tmp_path / "config.yaml", tmp_path / "file.pem"
    tree = yaml.safe_load(path.read_text())
    tree["sources"]["acme"]["tls"] = {"cert_file": str(tmp_path / "cert.pem"), name: str(file)}
    path.write_text(yaml.safe_dump(tree))
    path.chmod(0o600)
    file.write_text("PEM")
    for mode, loose in ((0o640, False), (0o644, name == "key_file"), (0o646, True)):
        file.chmod(mode)
        found = {each.path for each in loose_permissions(load(path), os.geteuid())} - {"user"}
        assert found == ({f"sources.acme.tls.{name}"} if loose else set())


def test_a_folder_in_which_others_can_replace_a_secret_is_worth_a_look(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    for mode, loose in ((0o777, True), (0o1777, False), (0o755, False)):
        tmp_path.chmod(mode)
        found = {each.path for each in loose_permissions(settings, os.geteuid())} - {"user"}
        assert found == ({"sources.acme.api_key_file", "the configuration"} if loose else set())


@pytest.mark.parametrize("name", ["kept.tmp", "kept.json"])
def test_a_link_that_was_planted_is_not_written_through(tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / name).symlink_to(victim)
    write_state(tmp_path / "kept.json", {"a": 1})
    assert victim.read_text() == "precious"
    assert read_state(tmp_path / "kept.json", dict[str, int]) == {"a": 1}
    assert not (tmp_path / "kept.json").is_symlink()
    assert {path.name for path in tmp_path.iterdir()} <= {"victim", "kept.json", name}


def test_state_is_not_read_through_a_link_or_from_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text('{"a":1}')
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    os.mkfifo(tmp_path / "pipe.json")
    assert read_state(tmp_path / "link.json", dict[str, int]) is None
    assert read_state(tmp_path / "pipe.json", dict[str, int]) is None


@pytest.mark.parametrize("kind", ["a pipe", "a link", "a folder"])
async def test_what_lies_where_the_lock_belongs_and_is_no_file_is_named(tmp_path: Path, kind: str) -> None:
    lock, victim = tmp_path / "spool.db.lock", tmp_path / "victim"
    victim.write_text("theirs")
    if kind == "a pipe":
        os.mkfifo(lock)
    elif kind == "a link":
        lock.symlink_to(victim)
    else:
        lock.mkdir()
    with pytest.raises(SpoolError, match=r"spool\.db\.lock is not a regular file"):
        await SqliteSpool(SpoolConfig(path=tmp_path / "spool.db"), FakeClock()).open()
    assert victim.read_text() == "theirs"
