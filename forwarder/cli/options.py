"""What several commands of the command line share: options, and the completion of names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from forwarder.cli.invocation import Invocation
from forwarder.contracts.errors import ForwarderError


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
