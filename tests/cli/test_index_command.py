"""`investigate index`: makes what makes answers quick, in a process of its own, and says what it could not make."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from forwarder.investigate.building import Builder
from forwarder.investigate.opening import open_tables
from tests.commands import call_for_text
from tests.investigate.evidence import Archive
from tests.investigate.lines import event


@pytest.fixture
def archive(tmp_path):
    """Give an archive of three days."""
    made = Archive(tmp_path / "archive")
    for day in range(1, 4):
        lines = [event(ident=f"{day}-{n}", time=f"2026-03-0{day}T10:{n:02}:00Z") for n in range(20)]
        made.put(f"2026-03-0{day}T10", lines)
    return made


def run(*words, code=0):
    done = call_for_text("investigate", *map(str, words), cwd=Path.cwd(), env=os.environ)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_an_index_is_made_once_and_asked(archive):
    asked = ("user", "ada@example.com", "--archive", archive.folder, "--tz", "UTC", "--json")
    before = json.loads(run(*asked))
    made = json.loads(run("index", "--archive", archive.folder, "--json"))
    assert set(made["made"]) == {"month=2026-03"}
    assert made["events"] == 60
    after = json.loads(run(*asked))
    assert before["totals"]["subject"] == 60
    assert {**after, "run": None} == {**before, "run": None}
    assert "nothing to do" in run("index", "--archive", archive.folder)


def test_what_cannot_be_made_is_named(archive):
    name = archive.put("2026-03-04T10", [event(ident="x")])
    archive.change(name, b"damaged")
    said = run("index", "--archive", archive.folder, code=4)
    assert name in said.replace("\n", "")


def test_what_is_no_archive_is_refused(tmp_path):
    assert "no archive" in run("index", "--archive", tmp_path, code=2)
    assert "not a size" in run("index", "--archive", tmp_path, "--memory", "much", code=2)


def test_an_index_that_cannot_be_written_is_named(archive, tmp_path):
    (tmp_path / "file").write_text("")
    said = run("index", "--archive", archive.folder, "--index", tmp_path / "file" / "index", code=4)
    assert "cannot be written" in said.replace("\n", " ")


def everything(archive):
    with archive.reader() as reader, open_tables(reader, archive.index) as tables:
        return tables.ask('select "event.id", "evidence.object", "evidence.line" from events order by all').rows


def test_a_build_that_is_killed_leaves_a_sound_index(archive):
    """Killed as soon as so many parts are there; what is asked and built meanwhile is so in this process: it is quick."""
    for day in range(21, 29):
        archive.put(
            f"2026-02-{day:02}T10", [event(ident=f"f{day}-{n}", time=f"2026-02-{day:02}T10:00:00Z") for n in range(5)]
        )
    without = everything(archive)
    assert len(without) == 60 + 40
    folder = archive.index.folder
    command = [sys.executable, "-m", "forwarder", "investigate", "index", "--archive", str(archive.folder)]
    for parts in (1, 6):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and len(list(folder.glob("day=*/"))) < parts:
                time.sleep(0.01)
            process.kill()
        assert everything(archive) == without
    with archive.reader() as reader:
        made = Builder(reader, archive.index).update()
    assert made.rows == 60 + 40
    assert sorted(archive.index.parts()) == ["month=2026-02", "month=2026-03"]
    assert everything(archive) == without
    assert not (folder / ".unfinished").exists()
