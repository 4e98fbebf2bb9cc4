"""The command `import`: how it is called. What it does lies in `forwarder.cli.commands.imports`."""

# ruff: noqa: PLC0415 -- commands are imported when they are called, so that help is quick

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forwarder.cli.help import App, examples_epilog
from forwarder.cli.options import Config, Overrides, SecretsDir, call, complete_sink
from forwarder.contracts.errors import ConfigError
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
                ("audit-forwarder import export.csv --source acme --tz UTC", "exported from the admin page"),
                ("audit-forwarder import --from archive", "all that the sink `archive` keeps"),
                ("audit-forwarder import --from archive --sink new-siem --since 365d", "a year, for a new sink alone"),
            ],
            ExitCode.UNEXPECTED,
            ExitCode.DEGRADED,
            ExitCode.SPOOL,
            ExitCode.UNREACHABLE,
        ),
    )(import_)


def import_(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="What a file sink wrote; - is standard input.")
    ] = None,
    place: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="ARCHIVE",
            help="In place of FILE: a sink of type archive, by its name, or the place of an archive.",
            autocompletion=complete_sink,
        ),
    ] = None,
    source: Annotated[
        str, typer.Option("--source", metavar="NAME", help="Whose events; of an archive, default: of all it has.")
    ] = "",
    sink: Annotated[
        str,
        typer.Option(
            "--sink", metavar="NAME", help="For this sink alone; default: for all.", autocompletion=complete_sink
        ),
    ] = "",
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Of an archive: what was read from its source since then."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Of an archive: what was read until then.")
    ] = None,
    csv: Annotated[
        bool, typer.Option("--csv", help="FILE is a table that was exported from the admin page, as by its name .csv.")
    ] = False,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--columns", metavar="FACT=NAME,…", help="Of a table: which column is the time, action, actor, ip, message."
        ),
    ] = None,
    tz: Annotated[str, typer.Option("--tz", metavar="ZONE", help="Of a table: the zone of times that name none.")] = "",
    time_format: Annotated[
        str, typer.Option("--time-format", metavar="FORMAT", help="Of a table: how times are written, as of strptime.")
    ] = "",
    again: Annotated[
        bool, typer.Option("--again", help="Also when the spool has had such events and has forgotten their ids.")
    ] = False,
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
) -> None:
    """Import events that a file sink or an archive has kept.

    A file's format is raw, or ecs or ocsf with `original: true`, and it holds events of one source only. What the spool
    knows is recognised, so the same command again goes on. With --sink, events go to that sink alone, and only what
    came to it in this way before is recognised: so a new sink gets what the others had for years. Lines that cannot be
    taken are named; then the exit code is 1. Rows of a table (.csv) have no ids: those whose time, actor and action
    came by the API are known, and the others become events that are marked.
    """
    invocation = call(config, secrets_dir, overrides)
    if place is not None:
        if file is not None:
            raise ConfigError("FILE and --from: give one of the two")
        if csv or columns or tz or time_format:
            raise ConfigError("--csv, --columns, --tz and --time-format: of a table only; leave them out with --from")
        from forwarder.cli.commands import archive_import

        choice = archive_import.ArchiveChoice(place, source, sink, since, until, again)
        raise typer.Exit(archive_import.import_archive(invocation, choice))
    if file is None:
        raise ConfigError("FILE or --from: missing; name what a file sink wrote, or an archive")
    if not source:
        raise ConfigError("--source: missing; a file does not say whose events it holds")
    if since is not None or until is not None:
        raise ConfigError("--since and --until: a file does not say when its events were read; leave them out")
    if csv or file.suffix.lower() == ".csv":
        if sink:
            raise ConfigError("--sink: rows of an exported table go to all sinks; leave it out")
        from forwarder.cli.commands import export_import
        from forwarder.cli.commands.exported_columns import HowToRead

        how = HowToRead(tuple(columns or ()), tz, time_format)
        raise typer.Exit(
            export_import.import_export(invocation, export_import.ExportChoice(file, source, how, again=again))
        )
    if columns or tz or time_format:
        raise ConfigError("--columns, --tz and --time-format: of a table only; say --csv")
    from forwarder.cli.commands import imports as command

    raise typer.Exit(command.import_(invocation, file, source, sink, again=again))
