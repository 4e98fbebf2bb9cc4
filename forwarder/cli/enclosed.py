"""The commands `docs` and `examples`: how each is called. What they do lies in `forwarder.cli.commands.enclosed`."""

# ruff: noqa: PLC0415 -- commands are imported when they are called, so that help is quick

from __future__ import annotations

from typing import Annotated

import typer

from forwarder.cli.help import App, examples_epilog

Name = Annotated[str | None, typer.Argument(metavar="NAME", help="Which one to print. Default: list them.")]


def add_to(app: App) -> None:
    """Add both commands."""
    app.command(
        epilog=examples_epilog(
            [
                ("audit-forwarder docs", "which pages there are"),
                ("audit-forwarder docs install/systemd", "one page, as Markdown"),
            ]
        )
    )(docs)
    app.command(
        epilog=examples_epilog(
            [
                ("audit-forwarder examples", "which files there are, and where"),
                ("audit-forwarder examples full.yaml", "every setting with its default"),
                ("audit-forwarder examples audit-forwarder.service > audit-forwarder.service", "for systemd"),
            ]
        )
    )(examples)


def docs(name: Name = None) -> None:
    """Print a page of the documentation.

    All of it came with the program, and is about this version.
    """
    from forwarder.cli.commands.enclosed import PAGES, show

    raise typer.Exit(show(PAGES, name))


def examples(name: Name = None) -> None:
    """Print a file to begin with.

    Configurations, the JSON schema, the unit for systemd, the file for Compose.
    """
    from forwarder.cli.commands.enclosed import FILES, show

    raise typer.Exit(show(FILES, name))
