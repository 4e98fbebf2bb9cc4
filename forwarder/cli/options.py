"""What several commands of the command line share: options, and the completion of names."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forwarder.cli.invocation import Invocation
from forwarder.contracts.errors import ForwarderError

if TYPE_CHECKING:
    from forwarder.config.settings import Settings


def call(config: Path | None, secrets_dir: Path | None, overrides: list[str] | None) -> Invocation:
    """Return how a command was called."""
    return Invocation(config, secrets_dir, tuple(overrides or ()))


def complete_sink(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the configured sinks, for the shell; a configuration that cannot be read has none."""
    settings = _settings(context)
    return [name for name in (settings.sinks if settings is not None else ()) if name.startswith(incomplete)]


def complete_lane(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the sinks, configured or only known to the spool, for the shell."""
    from forwarder.assembly import look_into_spool  # noqa: PLC0415 -- help is quick without it

    names = dict.fromkeys(complete_sink(context, incomplete))
    settings = _settings(context)
    if settings is not None:
        with suppress(ForwarderError, OSError):
            known = look_into_spool(settings.spool.path)
            names |= dict.fromkeys(lane.name for lane in known.lanes) if known is not None else {}
    return [name for name in names if name.startswith(incomplete)]


def _settings(context: typer.Context) -> Settings | None:
    found: dict[str, Any] = context.params
    try:
        return call(found.get("config"), found.get("secrets_dir"), found.get("overrides")).settings()
    except (ForwarderError, OSError):
        return None


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
Source = Annotated[str, typer.Option("--source", metavar="NAME", help="Only of this source.")]
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
