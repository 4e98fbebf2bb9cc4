"""The command `simulate`: how it is called. What it does lies in `forwarder.cli.commands.simulate`."""

# ruff: noqa: PLC0415 -- commands are imported when they are called, so that help is quick

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forwarder.cli.help import App, examples_epilog
from forwarder.cli.numbers import finite


def add_to(app: App) -> None:
    """Add the command."""
    app.command(
        epilog=examples_epilog(
            [
                ("audit-forwarder simulate", "prints the `sources:` to put into a configuration"),
                ("audit-forwarder simulate --port 8080 --faults examples/faults.yaml", "an API that fails by a script"),
                (
                    "audit-forwarder simulate --events 0 --records 1000",
                    "sites with Jira and Confluence, and no organization log",
                ),
                (
                    "audit-forwarder simulate --switch tip=null --switch bounds=exclusive",
                    "what is unknown of the real one",
                ),
                (
                    "audit-forwarder simulate --history 21d --until 2026-03-02 --write log.ndjson",
                    "three weeks to investigate, the same each time",
                ),
            ]
        )
    )(simulate)


def simulate(
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="Port on 127.0.0.1; 0 takes a free one.")
    ] = 0,
    seed: Annotated[
        int, typer.Option(metavar="N", help="The same seed gives the same people and the same events.")
    ] = 1,
    events: Annotated[
        int, typer.Option(min=0, metavar="N", help="Events that exist at the start, in each organization.")
    ] = 10_000,
    rate: Annotated[float, typer.Option(min=0, metavar="N", callback=finite, help="New events a second.")] = 5.0,
    history: Annotated[str, typer.Option(metavar="TIME", help="How far the events at the start reach back.")] = "7d",
    organizations: Annotated[int, typer.Option(min=1, metavar="N", help="How many organizations.")] = 1,
    faults: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Fault script (YAML).")
    ] = None,
    switch: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="What is unknown of the real API; may be repeated.")
    ] = None,
    rate_limit: Annotated[
        int, typer.Option(min=0, metavar="N", help="Requests a minute on the stream; 0 means no limit.")
    ] = 50,
    records: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Audit records of Jira and Confluence at the start, on each site; 0: none."
        ),
    ] = 0,
    ugc: Annotated[
        str, typer.Option(metavar="stored|not_stored", help="Whether user activity is in the log.")
    ] = "stored",
    write: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the events at the start to this file, as a `file` sink has them, and serve nothing.",
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="With --write: when the history ends. Default: now.")
    ] = None,
) -> None:
    """Serve a simulated Atlassian on this machine.

    To try things out, with two feeds, rate limits, faults and a ledger.
    """
    from forwarder.cli.commands import simulate as command

    raise typer.Exit(
        command.simulate(
            port=port,
            seed=seed,
            events=events,
            rate=rate,
            history=history,
            organizations=organizations,
            faults=faults,
            switches=switch or (),
            rate_limit=rate_limit,
            ugc=ugc,
            records=records,
            write=write,
            until=until,
        )
    )
