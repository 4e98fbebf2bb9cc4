"""The page of the commands, from the command line's own definition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from docs.markdown import code, table
from forwarder.cli.app import app

INTRO = """`-c FILE` names the configuration. Without it, `FORWARDER_CONFIG`, then `./config.yaml`, then
`/etc/audit-forwarder/config.yaml` is read. Tables look alike on a terminal and in a pipe; colours appear on a terminal
only, and not where `NO_COLOR` is set. Messages go to standard error. Shell completion:
`audit-forwarder --install-completion`. All exit codes: [exit-codes.md](exit-codes.md).
"""


def commands() -> str:
    """Return one section per command: what it does, its options, examples, its exit codes."""
    group: Any = typer.main.get_command(app)
    return "\n".join([INTRO, *(_section(name, command) for name, command in named(group))])


def named(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every command with its full name, those of a group after the group itself."""
    for name, command in group.commands.items():
        yield f"{before}{name}", command
        if hasattr(command, "commands"):
            yield from named(command, f"{before}{name} ")


def _section(name: str, command: Any) -> str:
    parts = [f"## {name}", "", str(command.help or "").strip(), ""]
    rows = [
        [
            code(", ".join((*option.opts, *option.secondary_opts))),
            code(option.metavar) if option.metavar else "-",
            str(option.help or ""),
            code(option.envvar) if option.envvar else "-",
        ]
        for option in command.params
        if option.name != "help" and not getattr(option, "hidden", False)
    ]
    if rows:
        parts += [table(["Option", "Value", "Meaning", "Environment"], rows), ""]
    epilog = str(command.epilog or "").replace("\b\n", "").replace(r"\[", "[")
    for block in filter(None, epilog.split("\n\n")):
        title, *lines = block.splitlines()
        parts += [title, "", "```text", *(line.removeprefix("  ") for line in lines), "```", ""]
    return "\n".join(parts)
