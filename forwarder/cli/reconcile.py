"""The command `reconcile`: how it is called. What it does lies in `forwarder.cli.commands.reconcile`."""

# ruff: noqa: PLC0415 -- commands are imported when they are called, so that help is quick

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from forwarder.cli.help import App, examples_epilog
from forwarder.cli.options import Config, Json, Overrides, SecretsDir, call, complete_sink
from forwarder.exit_codes import ExitCode

_MOST_SECONDS = 7 * 86_400.0


def _is_day(text: str) -> str:
    """Return a date as the books write it."""
    try:
        return date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a date; write one such as 2026-11-14") from None


def _day_option(name: str, text: str) -> typer.models.OptionInfo:
    found: typer.models.OptionInfo = typer.Option(name, metavar="DATE", callback=_is_day, help=text)
    return found


def add_to(app: App) -> None:
    """Add the command."""
    app.command(
        epilog=examples_epilog(
            [
                ("audit-forwarder reconcile", "every day, source and sink; 1 when something is missing"),
                ("audit-forwarder reconcile --day 2026-11-14 --sink splunk", "one day of one sink"),
                ("audit-forwarder reconcile --since 2026-11-01 --json", "for scripts"),
                ("audit-forwarder reconcile --day 2026-11-14 --ids", "which events are missing"),
                ("audit-forwarder reconcile --verify-sink --sink elastic", "has the sink what it accepted?"),
                ("audit-forwarder reconcile --check-reports", "are the daily reports as they were written?"),
            ],
            ExitCode.UNEXPECTED,
            ExitCode.SPOOL,
            ExitCode.UNREACHABLE,
        )
    )(reconcile)


def reconcile(
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    day: Annotated[str, _day_option("--day", "Only this day, as the log writes dates.")] = "",
    since: Annotated[str, _day_option("--since", "From this day on.")] = "",
    until: Annotated[str, _day_option("--until", "Up to this day, included.")] = "",
    source: Annotated[str, typer.Option("--source", metavar="NAME", help="Only of this source, with its places.")] = "",
    sink: Annotated[
        str, typer.Option("--sink", metavar="NAME", help="Only of this sink.", autocompletion=complete_sink)
    ] = "",
    ids: Annotated[
        bool, typer.Option("--ids", help="Name the events that are missing, by their document ids.")
    ] = False,
    verify_sink: Annotated[
        bool,
        typer.Option("--verify-sink", help="Ask each sink what it has; of the last seven days unless days are named."),
    ] = False,
    result: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", exists=True, dir_okay=False, help="What the printed search listed, exported: CSV or JSON."
        ),
    ] = None,
    within: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="Time for looking at each sink.")] = 3600.0,
    check_reports: Annotated[
        bool, typer.Option("--check-reports", help="Recompute the chain of the daily reports; nothing else is done.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say whether everything arrived.

    For each day, source and sink: expected = delivered + rejected + filtered + waiting + missing, over all
    organizations and sites; whether the sink proves it, whether the day was read again, and every gap that is open
    with its cause. The daemon may run or not.
    """
    from forwarder.cli.commands import reconcile as command
    from forwarder.reconcile.verdict import Chosen

    if day and (since or until):
        raise typer.BadParameter("--day is one day; leave out --since and --until, or --day")
    if check_reports:
        raise typer.Exit(command.check_reports(call(config, secrets_dir, overrides), as_json=as_json))
    if result is not None and not (verify_sink and sink):
        raise typer.BadParameter("--result is of one sink; write --verify-sink and --sink too")
    if not within <= _MOST_SECONDS:
        raise typer.BadParameter("--within is not a number of seconds; write one such as 600")
    if verify_sink and as_json:
        raise typer.BadParameter("--verify-sink prints what it finds; ask for --json afterwards, without it")
    if verify_sink and not (day or since or until):
        since = (datetime.now(UTC).date() - timedelta(days=6)).isoformat()
    chosen = Chosen(day or since, day or until, source, sink)
    look = command.LookWanted(within, result) if verify_sink else None
    invocation = call(config, secrets_dir, overrides)
    raise typer.Exit(command.reconcile(invocation, chosen, look=look, with_ids=ids, as_json=as_json))
