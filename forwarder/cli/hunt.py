"""The command `hunt`: how it is called. What it does lies in `forwarder.cli.commands.investigate`."""

# ruff: noqa: PLC0415 -- commands are imported when they are called, so that help is quick

from __future__ import annotations

from typing import Annotated

import typer

from forwarder.cli.help import App, examples_epilog
from forwarder.cli.investigate import (
    AllowIncomplete,
    AsCsv,
    Case,
    Depth,
    Events,
    ForPage,
    Html,
    Index,
    LinesOnly,
    Package,
    Place,
    Reason,
    Sign,
    Since,
    Until,
    Zone,
    face,
    sealed,
)
from forwarder.cli.options import Config, Json, Overrides, SecretsDir, call
from forwarder.exit_codes import ExitCode


def _complete_rule(incomplete: str) -> list[str]:
    from forwarder.investigate.hunt.shipped import hunts

    return [rule.name for rule in hunts() if rule.name.startswith(incomplete)]


def add_to(app: App) -> None:
    """Add the command."""
    app.command(
        epilog=examples_epilog(
            [
                ("audit-forwarder hunt --from 30d", "every rule over the last thirty days"),
                ("audit-forwarder hunt --rule many_views --from 2026-01-01 --to 2026-02-01", "one rule, one month"),
                ("audit-forwarder hunt --json | jq '.matches[] | select(.matches > 0)'", "for scripts"),
            ],
            ExitCode.DEGRADED,
        )
    )(hunt)


def hunt(
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    archive: Place = None,
    index: Index = None,
    events: Events = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this rule; may be repeated.", autocompletion=_complete_rule),
    ] = None,
    since: Since = None,
    until: Until = None,
    zone: Zone = None,
    depth: Depth = "brief",
    as_json: Json = False,
    as_csv: AsCsv = False,
    html: Html = None,
    for_page: ForPage = None,
    case: Case = None,
    reason: Reason = None,
    sign: Sign = None,
    package: Package = None,
    lines_only: LinesOnly = False,
    allow_incomplete: AllowIncomplete = False,
) -> None:
    """Run the detections that are shipped over what is kept.

    Over any time, also of years ago: a rule that is new today looks at what happened before it was written. Each match
    is a number and the events it counts; rules without a match are listed, too.
    """
    from forwarder.cli.commands import investigate as command

    raise typer.Exit(
        command.hunt(
            rule or (),
            command.Where(call(config, secrets_dir, overrides), archive, index, events or ()),
            command.When(since, until, zone),
            face(command, depth, html, as_json=as_json, as_csv=as_csv)._replace(for_page=for_page),
            command.Report(case, reason),
            sealed=sealed(command, sign, package, lines_only=lines_only),
            allow_incomplete=allow_incomplete,
        )
    )
