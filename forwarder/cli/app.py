"""The whole command line: adds all other commands to those of `forwarder.cli.first`."""

# ruff: noqa: PLC0415 -- commands are imported when they are called, so that help is quick

from __future__ import annotations

from typing import Annotated

import typer

from forwarder import __version__
from forwarder.cli import archive as cli_archive
from forwarder.cli import backfill as cli_backfill
from forwarder.cli import catalogue as cli_catalogue
from forwarder.cli import cursors as cli_cursors
from forwarder.cli import dead_letters as cli_dead_letters
from forwarder.cli import enclosed as cli_enclosed
from forwarder.cli import first
from forwarder.cli import hunt as cli_hunt
from forwarder.cli import imports as cli_imports
from forwarder.cli import investigate as cli_investigate
from forwarder.cli import lanes as cli_lanes
from forwarder.cli import life as cli_life
from forwarder.cli import looks as cli_looks
from forwarder.cli import pseudonym as cli_pseudonym
from forwarder.cli import reconcile as cli_reconcile
from forwarder.cli import replay as cli_replay
from forwarder.cli import simulate as cli_simulate
from forwarder.cli.first import app
from forwarder.cli.help import examples_epilog
from forwarder.cli.terminal import print_line
from forwarder.exit_codes import ExitCode

__all__ = ["app", "main"]

app.add_typer(cli_dead_letters.app, name="dead-letters")
app.add_typer(cli_cursors.app, name="cursors")
app.add_typer(cli_backfill.app, name="backfill")
app.add_typer(cli_lanes.app, name="lanes")
app.add_typer(cli_replay.app, name="replay")
app.add_typer(cli_catalogue.app, name="catalogue")
app.add_typer(cli_pseudonym.app, name="pseudonym")
app.add_typer(cli_investigate.app, name="investigate")
app.add_typer(cli_archive.app, name="archive")
cli_reconcile.add_to(app)
cli_imports.add_to(app)
cli_hunt.add_to(app)
cli_enclosed.add_to(app)
cli_looks.add_to(app)
cli_life.add_to(app)
cli_simulate.add_to(app)


@app.command(
    epilog=examples_epilog(
        [
            ("audit-forwarder demo", "under a minute, then a table of what arrived"),
            ("audit-forwarder demo --keep", "stay up afterwards, to look around"),
        ],
        ExitCode.UNEXPECTED,
    )
)
def demo(keep: Annotated[bool, typer.Option("--keep", help="Stay up at the end until Ctrl-C.")] = False) -> None:
    """Show the whole way of an event on this machine.

    Events flow, the API fails, the daemon is killed and goes on. Ends with a table of what existed, was spooled,
    delivered, missing and doubled; 0 only when nothing is missing.
    """
    from forwarder.cli.demo.show import run_demo

    raise typer.Exit(run_demo(keep=keep))


@app.command(
    epilog=examples_epilog(
        [("audit-forwarder schema > audit-forwarder.schema.json", "for an editor")], ExitCode.DEGRADED
    )
)
def schema() -> None:
    """Print the JSON schema of the configuration.

    It holds every component that is installed.
    """
    from forwarder.cli.commands import schema as command

    raise typer.Exit(command.schema())


@app.command(epilog=examples_epilog([("audit-forwarder version", "one line")]))
def version() -> None:
    """Print the version."""
    print_line(f"audit-forwarder {__version__}")


def main() -> None:
    """Run the command line."""
    first.main(app)


if __name__ == "__main__":
    main()
