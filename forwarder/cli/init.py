"""The command `init`: how it is called. What it does lies in `forwarder.cli.commands.init`."""

# ruff: noqa: PLC0415 -- commands are imported when they are called, so that help is quick

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forwarder.cli.help import App, examples_epilog
from forwarder.cli.terminal import print_line
from forwarder.exit_codes import ExitCode

_SECRET = "or - for standard input; without one it is asked for, unseen."  # noqa: S105 -- a help text


def _complete_source(incomplete: str) -> list[str]:
    from forwarder.cli.new_config.choices import all_of

    return [one.type for one in all_of("sources") if one.type.startswith(incomplete)]


def _complete_destination(incomplete: str) -> list[str]:
    from forwarder.cli.new_config.choices import all_of

    return [one.type for one in all_of("sinks") if one.type.startswith(incomplete)]


def add_to(app: App) -> None:
    """Add the command."""
    app.command(
        epilog=examples_epilog(
            [
                ("audit-forwarder init", "asks for everything; into this folder"),
                ("audit-forwarder init ~/audit --demo", "reads a simulated organization"),
                ("audit-forwarder init --source jira --destination syslog", "asks for the rest"),
                ("audit-forwarder init /etc/audit-forwarder --state /var/lib/audit-forwarder", "for a service"),
            ],
            ExitCode.DEGRADED,
            ExitCode.INTERRUPTED,
        )
    )(init)


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where to write it; made when it is missing. Default: this one.")
    ] = Path(),
    source: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE",
            autocompletion=_complete_source,
            help="What to read: organization, jira, confluence, jira_datacenter, confluence_datacenter or "
            "bitbucket_datacenter.",
        ),
    ] = None,
    org_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Id of the organization, of the address of its admin page.")
    ] = None,
    site: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the Jira or Confluence Cloud site.")] = None,
    email: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="E-mail address of the account on the site.")
    ] = None,
    source_url: Annotated[str | None, typer.Option(metavar="URL", help="Address of the Data Center product.")] = None,
    key_file: Annotated[
        str | None, typer.Option(metavar="FILE", help=f"File with the key or token of the source, {_SECRET}")
    ] = None,
    destination: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE",
            autocompletion=_complete_destination,
            help="Where events go: elasticsearch, splunk_hec, syslog, http or file.",
        ),
    ] = None,
    address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Where the destination is: its URL, address or file.")
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", metavar="NAME", help="For syslog: cef, leef, rfc5424_sd, ecs or raw."),
    ] = None,
    token_file: Annotated[
        str | None, typer.Option(metavar="FILE", help=f"File with the key or token of the destination, {_SECRET}")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where events wait. Default: state, beside the configuration.")
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Where the admin port listens. Default: 127.0.0.1:9464, or a free one."),
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Read a simulated organization, write to a file; asks for nothing.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a configuration that is there; it is kept under another name.")
    ] = False,
    look: Annotated[bool, typer.Option("--doctor/--no-doctor", help="Try everything at the end.")] = True,
) -> None:
    """Write a first configuration.

    Asks what to read and where it goes, writes a commented configuration, the keys into files for this user only, and
    runs `doctor`. Nothing is written until all is answered and found to be good, and nothing over a file that is there.
    """
    from forwarder.cli.commands import init as command

    named = {"--org-id": org_id, "--site": site, "--email": email, "--source-url": source_url}
    named |= {"--address": address, "--format": format_}
    secrets = {"--key-file": key_file, "--token-file": token_file}
    wanted = command.Wanted(
        folder,
        state,
        source,
        destination,
        {option: value for option, value in named.items() if value is not None},
        {option: name for option, name in secrets.items() if name is not None},
        listen,
        demo=demo,
        force=force,
        look=look,
    )
    try:
        code = command.init(wanted)
    except (typer.Abort, KeyboardInterrupt, EOFError):
        print_line()
        print_line("Ended. Nothing was written.")
        code = ExitCode.INTERRUPTED
    raise typer.Exit(code)
