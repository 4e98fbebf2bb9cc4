"""The commands `docs` and `examples`: how each is called. What they do lies in `forwarder.cli.commands.enclosed`."""

# ruff: noqa: PLC0415 -- commands are imported when they are called, so that help is quick

from __future__ import annotations

from typing import Annotated

import typer

from forwarder.cli.help import App, examples_epilog

_HELP = "Which one to print. Default: list them."


def _complete_page(incomplete: str) -> list[str]:
    from forwarder.cli.commands.enclosed import PAGES, names

    found = names(PAGES)
    short = [name.rpartition("/")[2] for name in found] if incomplete else []
    return [name for name in dict.fromkeys(found + short) if name.startswith(incomplete)]


def _complete_file(incomplete: str) -> list[str]:
    from forwarder.cli.commands.enclosed import FILES, names

    return [name for name in names(FILES) if name.startswith(incomplete)]


Page = Annotated[str | None, typer.Argument(metavar="NAME", help=_HELP, autocompletion=_complete_page)]
File = Annotated[str | None, typer.Argument(metavar="NAME", help=_HELP, autocompletion=_complete_file)]


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


def docs(name: Page = None) -> None:
    """Print a page of the documentation.

    All of it came with the program, and is about this version.
    """
    from forwarder.cli.commands.enclosed import PAGES, show

    raise typer.Exit(show(PAGES, name))


def examples(name: File = None) -> None:
    """Print a file to begin with.

    Configurations, the JSON schema, the unit for systemd, the file for Compose.
    """
    from forwarder.cli.commands.enclosed import FILES, show

    raise typer.Exit(show(FILES, name))
