"""How the commands are called that show what becomes of single events: `try`, `tail`, `test-event`."""

# ruff: noqa: PLC0415 -- commands are imported when they are called, so that help is quick

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forwarder.cli.help import App, examples_epilog
from forwarder.cli.numbers import finite
from forwarder.cli.options import Config, Json, OnlySink, Overrides, SecretsDir, call, complete_sink
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
    app.command(
        epilog=examples_epilog(
            [
                ("audit-forwarder tail --sink elastic", "what it is sent from now on"),
                ("audit-forwarder tail --sink splunk | grep user_granted_role", "the bodies alone, one a line"),
                ("audit-forwarder tail --sink elastic --json", "with outcome, id and number, for scripts"),
            ],
            ExitCode.UNREACHABLE,
            ExitCode.INTERRUPTED,
        ),
    )(tail)
    app.command(
        "test-event",
        epilog=examples_epilog(
            [
                ("audit-forwarder test-event", "to every sink; says what came of it and how to find it"),
                ("audit-forwarder test-event --sink splunk --source acme", "to one sink, in the name of a source"),
            ],
            ExitCode.DEGRADED,
            ExitCode.UNREACHABLE,
            ExitCode.INTERRUPTED,
        ),
    )(send_test_event)


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


def tail(
    sink: Annotated[str, typer.Option("--sink", metavar="NAME", help="Which sink.", autocompletion=complete_sink)],
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Show the events that a sink is sent, as it is sent them.

    After its filter, its privacy and its format, with the answer of the destination, until Ctrl-C. It never slows
    delivery: what comes faster than it can be shown is left out here, and counted. In a pipe, each body stands on a
    line of its own.
    """
    from forwarder.cli.commands import tail as command

    raise typer.Exit(command.tail(call(config, secrets_dir, overrides), sink, as_json=as_json))


def send_test_event(
    sink: OnlySink = None,
    source: Annotated[
        str, typer.Option("--source", metavar="NAME", help="In the name of this source; default: of none.")
    ] = "",
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, metavar="SECONDS", callback=finite, help="How long to wait.")
    ] = 60.0,
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Send a marked event of our own to the sinks, and wait for what becomes of it.

    It goes the way of every event: spool, lane, sink. Filters let it through, and no count of what the logs showed has
    it. With exit code 0 every sink has accepted it; what waits when the time is over is sent later. The daemon must
    run.
    """
    from forwarder.cli.commands import trial_events as command

    invocation = call(config, secrets_dir, overrides)
    raise typer.Exit(command.send(invocation, sink or (), source, within=timeout, as_json=as_json))
