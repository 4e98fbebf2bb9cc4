"""The command line of `lanes`. What its commands do lies in `forwarder.cli.commands.lanes`."""

# ruff: noqa: PLC0415 -- commands are imported when they are called, so that help is quick

from __future__ import annotations

from typing import Annotated

import typer

from forwarder.cli.help import App, examples_epilog
from forwarder.cli.options import Config, Json, Overrides, SecretsDir, call, complete_lane, complete_sink
from forwarder.exit_codes import ExitCode

CODES = (ExitCode.SPOOL, ExitCode.UNREACHABLE)

app = App(
    help="Look at what waits for each sink, pause or retry one.",
    epilog=examples_epilog(
        [
            ("audit-forwarder lanes list", "what waits for each sink, and how it is"),
            ("audit-forwarder lanes pause elastic", "nothing is sent to it until it is resumed"),
            ("audit-forwarder lanes retry-now elastic", "after its server is back"),
        ],
        *CODES,
    ),
)

Sink = Annotated[str, typer.Argument(metavar="SINK", help="The sink.", autocompletion=complete_sink)]
AnySink = Annotated[str, typer.Argument(metavar="SINK", help="The sink.", autocompletion=complete_lane)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]


@app.command(
    "list",
    epilog=examples_epilog(
        [
            ("audit-forwarder lanes list", "of every sink that the spool knows, configured or not"),
            ("audit-forwarder lanes list --json", "for scripts"),
        ],
        *CODES,
    ),
)
def list_(
    config: Config = None, secrets_dir: SecretsDir = None, overrides: Overrides = None, as_json: Json = False
) -> None:
    """List the lanes: what waits for each sink, since when, and how it is.

    A sink that is not configured any more is among them until it is forgotten, with the day when that will be.
    """
    from forwarder.cli.commands import lanes as command

    raise typer.Exit(command.list_(call(config, secrets_dir, overrides), as_json=as_json))


@app.command(epilog=examples_epilog([("audit-forwarder lanes pause elastic", "while its cluster is upgraded")], *CODES))
def pause(sink: Sink, config: Config = None, secrets_dir: SecretsDir = None, overrides: Overrides = None) -> None:
    """Send a sink nothing until it is resumed, also over restarts.

    Its events wait in the spool, which does not let go of them. The other sinks go on.
    """
    from forwarder.cli.commands import lanes as command

    raise typer.Exit(command.pause(call(config, secrets_dir, overrides), sink))


@app.command(epilog=examples_epilog([("audit-forwarder lanes resume elastic", "it goes on where it ended")], *CODES))
def resume(sink: AnySink, config: Config = None, secrets_dir: SecretsDir = None, overrides: Overrides = None) -> None:
    """Let a sink that was paused get its events again."""
    from forwarder.cli.commands import lanes as command

    raise typer.Exit(command.resume(call(config, secrets_dir, overrides), sink))


@app.command(
    "retry-now", epilog=examples_epilog([("audit-forwarder lanes retry-now elastic", "it waits no longer")], *CODES)
)
def retry_now(sink: Sink, config: Config = None, secrets_dir: SecretsDir = None, overrides: Overrides = None) -> None:
    """End the wait before the next try of a sink that failed or is held."""
    from forwarder.cli.commands import lanes as command

    raise typer.Exit(command.retry_now(call(config, secrets_dir, overrides), sink))


@app.command(
    epilog=examples_epilog(
        [
            ("audit-forwarder lanes detach elastic", "says how many events that is, and asks"),
            ("audit-forwarder lanes detach elastic --yes", "without asking"),
        ],
        ExitCode.DEGRADED,
        *CODES,
    )
)
def detach(
    sink: AnySink,
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    yes: Yes = False,
) -> None:
    """Move a sink past everything that waits for it.

    It will not get these events. They are counted as detached, and a gap says which they are; `replay` sends them
    later, as long as the spool has them. What comes from now on is delivered.
    """
    from forwarder.cli.commands import lanes as command

    raise typer.Exit(command.detach(call(config, secrets_dir, overrides), sink, yes=yes))


@app.command(
    epilog=examples_epilog(
        [("audit-forwarder lanes forget old-elastic", "says what waits for it, and asks")], ExitCode.DEGRADED, *CODES
    )
)
def forget(
    sink: AnySink,
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    yes: Yes = False,
) -> None:
    """Let go of a sink that is not configured any more.

    What waits for it is counted as detached, and a gap says which events they are. Its dead letters stay. A sink of
    the same name that is configured later begins anew.
    """
    from forwarder.cli.commands import lanes as command

    raise typer.Exit(command.forget(call(config, secrets_dir, overrides), sink, yes=yes))
