"""The command line of `replay`. What it does lies in `forwarder.cli.commands.replay`."""

# ruff: noqa: PLC0415 -- commands are imported when they are called, so that help is quick

from __future__ import annotations

from typing import Annotated

import typer

from forwarder.cli.help import App, examples_epilog
from forwarder.cli.options import Config, Json, Overrides, SecretsDir, call, complete_sink
from forwarder.exit_codes import ExitCode

CODES = (ExitCode.SPOOL, ExitCode.UNREACHABLE)

app = App(
    help="""Send events to a sink once more.

They are those that the spool still has. They are mapped, made private and formatted anew, by the current code and
configuration, and carry a mark that says so. Live events go first. A replay goes on over restarts, and when this
command is ended. What the spool no longer has is said. It can be read from its source again with `backfill`, or from
an archive: with the name of one as --from, or a part of it with `import --from`.
""",
    epilog=examples_epilog(
        [
            ("audit-forwarder replay --sink elastic --from 2d", "the events of the last two days"),
            (
                "audit-forwarder replay --sink elastic --from 2026-01-31 --to 2026-02-01 --where 'product=jira'",
                "those of Jira of one day",
            ),
            (
                "audit-forwarder replay --sink siem --from 6h --where 'action=user_login* actor=jane@example.com'",
                "those that match both",
            ),
            ("audit-forwarder replay --sink new-siem --from archive", "all that the sink `archive` keeps, for years"),
            ("audit-forwarder replay list", "how far each came"),
        ],
        ExitCode.DEGRADED,
        *CODES,
    ),
)

Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="FILTER",
        help="Only events that match: field=glob pairs, as in a sink's include. May be repeated: any of them.",
    ),
]


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    sink: Annotated[
        str, typer.Option("--sink", metavar="NAME", help="To this sink.", autocompletion=complete_sink)
    ] = "",
    since: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME|ARCHIVE",
            help="Events since then: 2d, or 2026-01-31T12:00Z. Or a sink of type archive: all that it keeps.",
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Events until then; default: now. The same forms.")
    ] = None,
    where: Where = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Show how far it comes, to its end.")] = True,
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
) -> None:
    """Send the events of a time to a sink once more, by the current code and configuration."""
    if context.invoked_subcommand is not None:
        return
    from forwarder.cli.commands import replay as command

    choice = command.Choice(sink, since, until, tuple(where or ()))
    raise typer.Exit(command.start(call(config, secrets_dir, overrides), choice, wait=wait))


@app.command(
    "list",
    epilog=examples_epilog([("audit-forwarder replay list", "of all sinks, also those that have ended")], *CODES),
)
def list_(
    config: Config = None, secrets_dir: SecretsDir = None, overrides: Overrides = None, as_json: Json = False
) -> None:
    """List the replays: what each sends, how far it came, and what became of its events."""
    from forwarder.cli.commands import replay as command

    raise typer.Exit(command.list_(call(config, secrets_dir, overrides), as_json=as_json))


@app.command(epilog=examples_epilog([("audit-forwarder replay cancel 3", "what it has sent stays sent")], *CODES))
def cancel(
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="By the number that `list` shows.")],
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
) -> None:
    """End a replay. What it has sent stays sent."""
    from forwarder.cli.commands import replay as command

    raise typer.Exit(command.cancel(call(config, secrets_dir, overrides), number))
