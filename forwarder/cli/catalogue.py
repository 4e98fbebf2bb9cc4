"""The commands below `catalogue`: how each is called. What they do lies in `forwarder.cli.commands.catalogue`."""

# ruff: noqa: PLC0415 -- commands are imported when they are called, so that help is quick

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forwarder.cli.help import App, examples_epilog
from forwarder.cli.options import Config, Json, Overrides, SecretsDir, call

app = App(
    help="Show what actions mean, and which are unknown.",
    epilog=examples_epilog(
        [
            ("audit-forwarder catalogue search grant", "who may give power, and what that is in ECS"),
            ("audit-forwarder catalogue explain user_granted_role", "why it means that"),
            ("audit-forwarder catalogue missing", "unknown actions that the daemon met"),
        ]
    ),
)


@app.command(
    epilog=examples_epilog(
        [
            ("audit-forwarder catalogue search", "everything that is known"),
            ("audit-forwarder catalogue search bitbucket delete", "every word must occur"),
        ]
    )
)
def search(
    words: Annotated[list[str] | None, typer.Argument(metavar="WORD", help="Words that must all occur.")] = None,
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
) -> None:
    """List known actions with their meaning.

    Works without a configuration.
    """
    from forwarder.cli.commands import catalogue as command

    raise typer.Exit(command.search(call(config, secrets_dir, overrides), words or ()))


@app.command(
    epilog=examples_epilog(
        [
            ("audit-forwarder catalogue explain user_granted_role", "an action"),
            ("audit-forwarder catalogue explain --event event.json", "an event, field by field"),
            ("tail -1 events.ndjson | audit-forwarder catalogue explain --event -", "from standard input"),
        ]
    )
)
def explain(
    action: Annotated[str | None, typer.Argument(help="Id of an action.")] = None,
    event: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Event as JSON, as the API sends it; - reads standard input.")
    ] = None,
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
) -> None:
    """Say what an action or an event means.

    Also which layer of the catalogue decided, and which field went where.
    """
    from forwarder.cli.commands import catalogue as command

    raise typer.Exit(command.explain(call(config, secrets_dir, overrides), action, event))


@app.command(
    epilog=examples_epilog(
        [
            ("audit-forwarder catalogue missing", "what to add to your own records"),
            ("audit-forwarder catalogue missing --json", "to send in"),
        ]
    )
)
def missing(
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """List actions of events whose meaning is unknown.

    Those that the daemon met, counted once a minute and kept over restarts.
    """
    from forwarder.cli.commands import catalogue as command

    raise typer.Exit(command.missing(call(config, secrets_dir, overrides), as_json=as_json))
