"""What several commands of the command line share: options, the form of their help, completion of names."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forwarder.cli.invocation import Invocation
from forwarder.contracts.errors import ForwarderError
from forwarder.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable

ON_TERMINAL = sys.stdout.isatty()

_WIDTH = 76
"""Columns of a terminal that is narrow, without what help puts before each line."""


def examples_epilog(examples: Iterable[tuple[str, str]], *codes: ExitCode) -> str:
    """Return an epilog of examples and exit codes, one a line in either form of help."""
    shown = sorted({ExitCode.OK, *codes, ExitCode.CONFIGURATION})
    blocks = [
        ["Examples:", *(line for command, why in examples for line in _example(command, why))],
        ["Exit codes:", *(line for code in shown for line in _code(code))],
    ]
    texts = ["\n".join(block) for block in blocks]
    if ON_TERMINAL:
        return "\n\n".join(text.replace("[", r"\[") for text in texts)
    return "\n\n".join(f"\b\n{text}" for text in texts)  # \b: typer's plain help folds no lines after it


def _example(command: str, why: str) -> list[str]:
    """Return a line, or two where one would be wider than a terminal."""
    line = f"  {command}   # {why}"
    return [line] if len(line) <= _WIDTH else [f"  # {why}", f"  {command}"]


def _code(code: ExitCode) -> list[str]:
    number = f"  {int(code)}  "
    return textwrap.wrap(code.meaning, _WIDTH, initial_indent=number, subsequent_indent=" " * len(number))


def call(config: Path | None, secrets_dir: Path | None, overrides: list[str] | None) -> Invocation:
    """Return how a command was called."""
    return Invocation(config, secrets_dir, tuple(overrides or ()))


def complete_sink(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the configured sinks, for the shell; a configuration that cannot be read has none."""
    found: dict[str, Any] = context.params
    try:
        sinks = call(found.get("config"), found.get("secrets_dir"), found.get("overrides")).settings().sinks
    except (ForwarderError, OSError):
        return []
    return [name for name in sinks if name.startswith(incomplete)]


Config = Annotated[
    Path | None,
    typer.Option(
        "-c",
        "--config",
        envvar="FORWARDER_CONFIG",
        metavar="FILE",
        help="YAML file; default: ./config.yaml, then /etc/audit-forwarder/config.yaml.",
    ),
]
SecretsDir = Annotated[
    Path | None,
    typer.Option(
        "--secrets-dir",
        envvar="FORWARDER_SECRETS_DIR",
        metavar="DIR",
        help="Directory with one setting per file, named such as sinks__elastic__api_key.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "-s",
        "--set",
        metavar="PATH=VALUE",
        help="Set one setting, stronger than all else: log.level=debug. Other users may see it: no secrets here.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
OnlySink = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Only this sink; may be repeated.", autocompletion=complete_sink),
]
