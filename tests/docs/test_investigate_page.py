"""Every command of the page about investigating runs as it is printed, and prints what the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from forwarder.cli.app import app
from tests.investigate.asked import simulated, write

PAGE = (Path(__file__).parents[2] / "docs" / "investigate.md").read_text(encoding="utf-8")


def _commands():
    """Return each command with the lines that are printed below it."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("case")
    write(simulated(), made / "acme.ndjson")
    return made


def test_the_file_that_is_asked_is_made_as_the_page_says(folder, tmp_path, monkeypatch):
    command, printed = _commands()[0]
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, shlex.split(command)[1:])
    assert result.stdout.splitlines() == printed
    assert (tmp_path / "acme.ndjson").read_bytes() == (folder / "acme.ndjson").read_bytes()
    again = CliRunner().invoke(app, shlex.split(command)[1:])
    assert again.exit_code == 2


def test_the_page_asks_every_question():
    asked = " ".join(command for command, _ in _commands())
    for kind in ("user", "content", "ip", "token", "group", "app", "day"):
        assert f"investigate {kind} " in asked


@pytest.mark.parametrize(("command", "printed"), _commands()[1:], ids=[command for command, _ in _commands()[1:]])
def test_a_command_prints_what_the_page_says(command, printed, folder, monkeypatch):
    monkeypatch.chdir(folder)
    program, *words = shlex.split(command)
    assert program == "audit-forwarder"
    result = CliRunner().invoke(app, words)
    several = any("Ask again" in line for line in printed)
    assert result.exit_code == (2 if several else 0), result.output
    lines = result.stdout.splitlines()
    assert [line for line in printed if line not in lines] == [], result.stdout[:3000]
