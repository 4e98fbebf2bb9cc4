"""What pages tell people to type exists: each command with its options, in README, the changes and every page."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import typer

from docs.commands_page import named
from forwarder.cli.app import app

PROJECT = Path(__file__).parents[2]
COMMANDS: dict[str, Any] = dict(named(typer.main.get_command(app)))
CODE = re.compile(r"```[^\n]*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
TYPED = re.compile(r"(?<![\w/.-])audit-forwarder (?!audit-forwarder)([a-z][^#|<>&;\n)]*)")
OTHERS = {"helm", "docker run", "docker exec", "kubectl"}
"""Programs whose own words stand behind our name, which is that of an image or a release there."""


def pages() -> list[Path]:
    """Return every page but the decisions, which tell how it was."""
    found = [PROJECT / "README.md", PROJECT / "CHANGELOG.md", *(PROJECT / "docs").rglob("*.md")]
    return [path for path in found if path.parent.name != "adr"]


def commands_in(text: str) -> list[str]:
    """Return what stands behind the name of our program in code, up to a comment or a pipe."""
    code = "\n".join(block or span for block, span in CODE.findall(text))
    lines = [line for line in code.splitlines() if not any(line.lstrip().startswith(other) for other in OTHERS)]
    return TYPED.findall("\n".join(lines))


def unknown(typed: str) -> str:
    """Say what of a command line is not known; nothing when all is."""
    words = shlex.split(typed.replace("…", "x"))
    command = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in COMMANDS), None)
    if command is None or (hasattr(COMMANDS[command], "commands") and len(words) > 1 and not words[1].startswith("-")):
        return f"no command: {typed}"
    known = {name for option in COMMANDS[command].params for name in (*option.opts, *option.secondary_opts)}
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    return f"no option {given - known}: {typed}" if given - known - {"--help"} else ""


def test_every_command_of_a_page_exists() -> None:
    found = [(path, typed) for path in pages() for typed in commands_in(path.read_text(encoding="utf-8"))]
    assert len(found) > 300, "the pages are full of them"
    assert [f"{path.name}: {wrong}" for path, typed in found if (wrong := unknown(typed))] == []


def test_what_does_not_exist_is_found() -> None:
    assert unknown("lanes pauze elastic").startswith("no command")
    assert unknown("lanes pause elastic --forever").startswith("no option")
    assert commands_in("```\naudit-forwarder run -c x   # a comment\n```\n`audit-forwarder status`") == [
        "run -c x   ",
        "status",
    ]
