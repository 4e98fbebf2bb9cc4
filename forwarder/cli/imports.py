"""The command `import`: how it is called. What it does lies in `forwarder.cli.commands.imports`."""

# ruff: noqa: PLC0415 -- commands are imported when they are called, so that help is quick

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forwarder.cli.help import App, examples_epilog
from forwarder.cli.options import Config, Overrides, SecretsDir, call
from forwarder.exit_codes import ExitCode


def add_to(app: App) -> None:
    """Add the command."""
    app.command(
        "import",
        epilog=examples_epilog(
            [
                ("audit-forwarder import events.ndjson --source acme", "what a file sink of format raw wrote"),
                ("audit-forwarder import events.ndjson.1.gz --source acme", "packed: .gz, .bz2, .xz"),
                ("zstd -dc events.zst | audit-forwarder import - --source acme", "from a pipe"),
            ],
            ExitCode.UNEXPECTED,
            ExitCode.DEGRADED,
            ExitCode.SPOOL,
            ExitCode.UNREACHABLE,
        ),
    )(import_)


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The archive; - is standard input.")],
    source: Annotated[str, typer.Option("--source", metavar="NAME", help="Whose events it holds.")],
    again: Annotated[
        bool, typer.Option("--again", help="Also when the spool has had such events and has forgotten their ids.")
    ] = False,
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
) -> None:
    """Import an archive that a file sink wrote.

    Its format is raw, or ecs or ocsf with `original: true`, and it holds events of this source only. What the spool
    knows is recognised, so the same command again goes on. Lines that cannot be taken are named; then the exit code is
    1.
    """
    from forwarder.cli.commands import imports as command

    raise typer.Exit(command.import_(call(config, secrets_dir, overrides), file, source, again=again))
