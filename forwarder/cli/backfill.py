"""The commands below `backfill`: how each is called. What they do lies in `forwarder.cli.commands.backfill`."""

# ruff: noqa: PLC0415 -- commands are imported when they are called, so that help is quick

from __future__ import annotations

from typing import Annotated

import typer

from forwarder.cli.help import App, examples_epilog
from forwarder.cli.options import Config, Json, Overrides, SecretsDir, Source, call, complete_sink
from forwarder.exit_codes import ExitCode

CODES = (ExitCode.SPOOL, ExitCode.UNREACHABLE)

app = App(
    help="""Read a stretch of history from a source.

It is read behind the live events, on a share of the request budget, and what the spool knows is recognised. A backfill
goes on over restarts, and when the command that began it is ended. With `--sink` its events are for that sink alone:
it gets all of them, also those that it has had, under the same document ids.
""",
    epilog=examples_epilog(
        [
            (
                "audit-forwarder backfill start --source acme --from 2026-01-01 --to 2026-02-01",
                "what the source has of January",
            ),
            (
                "audit-forwarder backfill start --source acme --sink elastic --from 90d",
                "the last 90 days, for a new sink only",
            ),
            ("audit-forwarder backfill list", "how far each came"),
        ],
        *CODES,
    ),
)

Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="By the number that `list` shows.")]


@app.command(
    epilog=examples_epilog(
        [
            ("audit-forwarder backfill start --source acme --from 30d --to 20d", "ten days of last month"),
            ("audit-forwarder backfill start --source acme --sink elastic --from 90d --no-wait", "for one sink"),
        ],
        ExitCode.DEGRADED,
        *CODES,
    )
)
def start(
    source: Annotated[str, typer.Option("--source", metavar="NAME", help="The source.")],
    since: Annotated[str, typer.Option("--from", metavar="TIME", help="Where it begins: 90d, or 2026-01-31T12:00Z.")],
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Where it ends; default: now. The same forms.")
    ] = None,
    sink: Annotated[
        str, typer.Option("--sink", metavar="NAME", help="For this sink only.", autocompletion=complete_sink)
    ] = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Show how far it comes, to its end.")] = True,
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
) -> None:
    """Begin to read a stretch of history.

    What is older than the source keeps is refused, with the date from which on it can be read. With the daemon stopped
    it begins when that starts.
    """
    from forwarder.cli.commands import backfill as command

    wanted = command.Wanted(source, since, until, sink)
    raise typer.Exit(command.start(call(config, secrets_dir, overrides), wanted, wait=wait))


@app.command(
    "list",
    epilog=examples_epilog(
        [
            ("audit-forwarder backfill list", "also those that are over"),
            ("audit-forwarder backfill list --source acme --json", "for scripts"),
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
    """List the backfills: how far each came, how many events it read, and what is left."""
    from forwarder.cli.commands import backfill as command

    raise typer.Exit(command.list_(call(config, secrets_dir, overrides), source, as_json=as_json))


@app.command(epilog=examples_epilog([("audit-forwarder backfill pause 3", "its place is kept")], *CODES))
def pause(number: Number, config: Config = None, secrets_dir: SecretsDir = None, overrides: Overrides = None) -> None:
    """Ask nothing for a backfill until it is resumed, also over restarts."""
    from forwarder.cli.commands import backfill as command

    raise typer.Exit(command.act(call(config, secrets_dir, overrides), "pause", number))


@app.command(epilog=examples_epilog([("audit-forwarder backfill resume 3", "from where it was")], *CODES))
def resume(number: Number, config: Config = None, secrets_dir: SecretsDir = None, overrides: Overrides = None) -> None:
    """Go on with a backfill that was paused."""
    from forwarder.cli.commands import backfill as command

    raise typer.Exit(command.act(call(config, secrets_dir, overrides), "resume", number))


@app.command(epilog=examples_epilog([("audit-forwarder backfill cancel 3", "what it has read stays")], *CODES))
def cancel(number: Number, config: Config = None, secrets_dir: SecretsDir = None, overrides: Overrides = None) -> None:
    """End a backfill. What it has read stays."""
    from forwarder.cli.commands import backfill as command

    raise typer.Exit(command.act(call(config, secrets_dir, overrides), "cancel", number))
