"""How the commands are called that act on the whole: `reload`, `backup`, `restore`."""

# ruff: noqa: PLC0415 -- commands are imported when they are called, so that help is quick

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forwarder.cli.help import App, examples_epilog
from forwarder.cli.options import Config, Json, Overrides, SecretsDir, call
from forwarder.exit_codes import ExitCode


def add_to(app: App) -> None:
    """Add the commands."""
    app.command(
        epilog=examples_epilog(
            [
                ("audit-forwarder check && audit-forwarder reload", "what the file says now"),
                ("audit-forwarder reload --json", "for scripts"),
            ],
            ExitCode.DEGRADED,
            ExitCode.UNREACHABLE,
        ),
    )(reload)
    app.command(
        epilog=examples_epilog(
            [
                ("audit-forwarder backup /backup/spool.db", "while the daemon runs, or not"),
                ("audit-forwarder backup /backup/", "under a name with the time"),
            ],
            ExitCode.DEGRADED,
            ExitCode.SPOOL,
            ExitCode.UNREACHABLE,
        ),
    )(backup)
    app.command(
        epilog=examples_epilog(
            [
                ("audit-forwarder restore /backup/spool.db", "where no spool is"),
                ("audit-forwarder restore /backup/spool.db --replace", "puts the spool that is there aside, and asks"),
            ],
            ExitCode.DEGRADED,
            ExitCode.SPOOL,
        ),
    )(restore)


def reload(
    config: Config = None, secrets_dir: SecretsDir = None, overrides: Overrides = None, as_json: Json = False
) -> None:
    """Have the daemon read its configuration again.

    It shows what changed, without secrets. Sources and sinks that differ are ended in order and begun anew; the others
    are not touched, and nothing is lost. What cannot work changes nothing and is said; what needs a restart is named,
    and the exit code is 4. SIGHUP does the same.
    """
    from forwarder.cli.commands import reload as command

    raise typer.Exit(command.reload(call(config, secrets_dir, overrides), as_json=as_json))


def backup(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="File to write, or a folder for it.")],
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Write a copy of the spool, whole and of one moment, while the daemon goes on.

    The daemon writes it, so it must be allowed to write there. Nothing is overwritten, only its user can read the file,
    and it is complete or not there at all. It holds the events that the spool keeps, cursors, ids and books.
    """
    from forwarder.cli.commands import backup as command

    raise typer.Exit(command.backup(call(config, secrets_dir, overrides), target, as_json=as_json))


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What backup wrote, or a snapshot of a spool.")],
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    replace: Annotated[bool, typer.Option("--replace", help="Put a spool that is there aside.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")] = False,
) -> None:
    """Put a backup in the place of the spool; the daemon must not run.

    It is copied and looked at first. Cursors go back: what came since is read again, and what was delivered since may
    come to sinks twice; the next start puts that on record as a gap.
    """
    from forwarder.cli.commands import backup as command

    raise typer.Exit(command.restore(call(config, secrets_dir, overrides), file, replace=replace, yes=yes))
