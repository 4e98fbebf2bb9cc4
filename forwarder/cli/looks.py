"""The commands that show what becomes of single events: `try`. What they do lies in `forwarder.cli.commands`."""

# ruff: noqa: PLC0415 -- commands are imported when they are called, so that help is quick

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forwarder.cli.help import App, examples_epilog
from forwarder.cli.options import Config, Json, OnlySink, Overrides, SecretsDir, call
from forwarder.exit_codes import ExitCode


def add_to(app: App) -> None:
    """Add the commands."""
    app.command(
        "try",
        epilog=examples_epilog(
            [
                ("audit-forwarder try --event event.json", "what each sink would get of it"),
                ("audit-forwarder try --event page.json --sink elastic", "the first event of a page of the API"),
                ("audit-forwarder try --event - --source acme --json < event.json", "for scripts"),
            ],
            ExitCode.DEGRADED,
        ),
    )(try_)


def try_(
    event: Annotated[
        Path, typer.Option("--event", metavar="FILE", help="Event as JSON, as the API sends it; - is standard input.")
    ],
    sink: OnlySink = None,
    source: Annotated[
        str, typer.Option("--source", metavar="NAME", help="Whose event; default: the only source that knows it.")
    ] = "",
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Show what each sink would get of an event, without sending it.

    The event goes through redaction, filter, privacy, meaning and format, as if it had been read now. Shown is what the
    format makes of it, byte for byte, with control characters as escapes; or the rule that filters it, or why it would
    be a dead letter. No server is asked, and the spool is not looked at. What a destination puts around it, such as the
    header of a syslog message, is not shown.
    """
    from forwarder.cli.commands import trial as command

    raise typer.Exit(
        command.try_event(call(config, secrets_dir, overrides), event, source, sink or (), as_json=as_json)
    )
