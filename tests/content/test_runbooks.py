"""The runbooks: one for each alert, with commands that exist, metrics that are there and links that lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from docs.commands_page import named
from forwarder.cli.app import app
from forwarder.observe.metrics import METRICS
from tests.content.prometheus import PROJECT, metrics_in, names

FOLDER = PROJECT / "docs" / "runbooks"
RUNBOOKS = sorted(FOLDER.glob("AuditForwarder*.md"))
COMMANDS: dict[str, Any] = dict(named(typer.main.get_command(app)))
CODE = re.compile(r"```\n(.*?)```|`([^`\n]+)`", re.DOTALL)
OURS = re.compile(r"^audit-forwarder ([^#|\n]+)", re.MULTILINE)


def test_there_is_one_for_each_alert_and_no_other() -> None:
    assert [path.stem for path in RUNBOOKS] == names()


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_it_says_what_it_means_what_to_look_at_and_what_to_do(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"^#+ .*$", text, re.MULTILINE) == [
        f"# {path.stem}",
        "## What it means",
        "## What to look at",
        "## What to do",
    ]
    assert OURS.search("\n".join(block for block, _ in CODE.findall(text)))
    assert metrics_in(text)
    assert len(text.splitlines()) < 50, "it is read at night"


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_what_it_names_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert metrics_in(text) <= {metric.name for metric in METRICS}
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (FOLDER / link).is_file(), link
    code = "\n".join(block or span for block, span in CODE.findall(text))
    for typed in OURS.findall(code):
        words = shlex.split(typed.replace("…", "x"))
        command = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in COMMANDS), None)
        assert command, typed
        known = {name for option in COMMANDS[command].params for name in (*option.opts, *option.secondary_opts)}
        assert {word for word in words if word.startswith("--")} <= known, typed
