"""Whoever reads what a command prints may go at any time, and its disk may be full: no traceback, and a right code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from forwarder.cli.app import app
from forwarder.exit_codes import ExitCode
from tests.cli.letters import fill, hostile_event

COMMANDS = [
    (("--help",), 0),
    (("schema",), 10),
    (("catalogue", "search"), 0),
    (("check",), 0),
    (("dead-letters", "list"), 0),
    (("dead-letters", "export"), 10),
    (("reconcile", "--help"), 0),
]
"""Commands, and how much of what each prints is read."""

CODES = {int(code) for code in ExitCode}


async def folder_of(folder: Path) -> Path:
    await fill(folder, [hostile_event(f"e{number}") for number in range(400)], reasons=["mapping_conflict"])
    return folder


def run(folder: Path, *words: str, stdout: int, stderr: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "forwarder", *words], cwd=folder, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
    )


async def test_a_reader_that_is_gone_or_goes_ends_every_command_without_a_traceback(tmp_path: Path) -> None:
    folder = await folder_of(tmp_path)
    for words, reads in COMMANDS:
        reader, writer = os.pipe()
        if not reads:
            os.close(reader)
        process = run(folder, *words, stdout=writer)
        os.close(writer)
        if reads:
            os.read(reader, reads)
            os.close(reader)
        _, errors = process.communicate(timeout=120)
        assert b"Traceback" not in errors, (words, errors)
        assert b"Exception ignored" not in errors, (words, errors)
        assert b"BrokenPipe" not in errors, (words, errors)
        assert process.returncode in CODES - {1}, (words, reads, process.returncode, errors)


async def test_a_command_that_is_cut_off_says_so_by_its_code(tmp_path: Path) -> None:
    folder = await folder_of(tmp_path)
    reader, writer = os.pipe()
    process = run(folder, "dead-letters", "export", stdout=writer)
    os.close(writer)
    assert os.read(reader, 1) == b"{"
    os.close(reader)
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (141, b"")


async def test_errors_that_nobody_reads_are_no_fault(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = run(tmp_path, "check", stdout=subprocess.DEVNULL, stderr=writer)
    os.close(writer)
    assert process.wait(timeout=120) == 141


@pytest.mark.parametrize("words", [("version",), ("schema",), ("catalogue", "search")])
def test_a_full_disk_is_said_in_words(tmp_path: Path, words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        process = run(tmp_path, *words, stdout=full.fileno())
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert b"Traceback" not in errors
    assert b"cannot be written: No space left on device" in errors


def commands_in(text: str) -> list[str]:
    listed = text.partition("Commands:")[2]
    return re.findall(r"^  ([a-z][a-z-]+)  ", listed, re.MULTILINE)


def test_every_help_names_no_type_of_python_and_is_whole_on_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    todo: list[tuple[str, ...]] = [()]
    seen = 0
    while todo:
        words = todo.pop()
        text = CliRunner().invoke(app, [*words, "--help"]).stdout
        seen += 1
        todo += [(*words, name) for name in commands_in(text)]
        assert not re.search(r"\b(?:INTEGER|FLOAT|BOOLEAN|list\[|<class|typing\.|None\b\])", text), (words, text)
        wide = [
            line for line in text.splitlines() if len(line) > 80 and not line.lstrip().startswith("audit-forwarder")
        ]
        assert not wide, (words, wide)
        listed = text.partition("Commands:")[2].partition("Examples:")[0]
        assert not re.search(r"\.\.\.$|…", listed, re.MULTILINE), (words, text)  # how typer cuts a sentence
    assert seen > 30
