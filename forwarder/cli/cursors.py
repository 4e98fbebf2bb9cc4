"""The commands below `cursors`: how each is called. What they do lies in `forwarder.cli.commands.cursors`."""

# ruff: noqa: PLC0415 -- commands are imported when they are called, so that help is quick

from __future__ import annotations

from typing import Annotated

import typer

from forwarder.cli.help import App, examples_epilog
from forwarder.cli.options import Config, Json, Overrides, SecretsDir, Source, call
from forwarder.exit_codes import ExitCode

CODES = (ExitCode.SPOOL, ExitCode.UNREACHABLE)

app = App(
    help="Look at where the sources are read, try one now, or drop a cursor.",
    epilog=examples_epilog(
        [
            ("audit-forwarder cursors list", "how far each source was read"),
            ("audit-forwarder cursors retry-now --source acme", "after its key was changed"),
            ("audit-forwarder cursors drop --source acme", "continue near now, and read again what is between"),
        ],
        *CODES,
    ),
)


@app.command(
    "list",
    epilog=examples_epilog(
        [
            ("audit-forwarder cursors list", "of every source"),
            ("audit-forwarder cursors list --source acme --json", "for scripts"),
        ],
        *CODES,
    ),
)
def list_(
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    source: Source = "",
    as_json: Json = False,
) -> None:
    """List the cursors that are at work.

    For each, where its walk began and how far it came.
    """
    from forwarder.cli.commands import cursors as command

    raise typer.Exit(command.list_(call(config, secrets_dir, overrides), source, as_json=as_json))


@app.command(
    "retry-now",
    epilog=examples_epilog([("audit-forwarder cursors retry-now --source acme", "it waits no longer")], *CODES),
)
def retry_now(
    source: Annotated[str, typer.Option("--source", metavar="NAME", help="The source.")],
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
) -> None:
    """End the wait before the next try of a source that failed or is held.

    A wait that the API itself asked for is not ended.
    """
    from forwarder.cli.commands import cursors as command

    raise typer.Exit(command.retry_now(call(config, secrets_dir, overrides), source))


@app.command(
    epilog=examples_epilog(
        [
            ("audit-forwarder cursors drop --source acme", "the cursor of the live events"),
            ("audit-forwarder cursors drop --source acme --cursor backfill", "that of the history"),
        ],
        *CODES,
    )
)
def drop(
    source: Annotated[str, typer.Option("--source", metavar="NAME", help="The source.")],
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    cursor: Annotated[
        str, typer.Option("--cursor", metavar="NAME", help="Which one: tail, heal, backfill or trail.")
    ] = "tail",
) -> None:
    """Drop a cursor, as if the source had lost it.

    Live events are followed from ten minutes ago on, and what is between is read again from `overlap` before the
    last good point. Nothing is lost by it; what is known is recognised and not delivered again.
    """
    from forwarder.cli.commands import cursors as command

    raise typer.Exit(command.drop(call(config, secrets_dir, overrides), source, cursor))
