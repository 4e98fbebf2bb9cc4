"""The commands below `pseudonym`: how each is called. What they do lies in `forwarder.cli.commands.pseudonym`."""

# ruff: noqa: PLC0415 -- commands are imported when they are called, so that help is quick

from __future__ import annotations

from typing import Annotated

import typer

from forwarder.cli.help import App, examples_epilog
from forwarder.cli.options import Config, Json, Overrides, SecretsDir, call, complete_sink
from forwarder.exit_codes import ExitCode

CODES = (ExitCode.UNEXPECTED, ExitCode.CONFIGURATION)

app = App(
    help="Find pseudonyms, and whose they are.",
    epilog=examples_epilog(
        [
            ("audit-forwarder pseudonym of < names.txt", "the pseudonyms of these, one a line"),
            ("audit-forwarder pseudonym resolve name-2yxw… < names.txt", "which of these it is"),
        ],
        *CODES,
    ),
)

Sink = Annotated[
    str, typer.Option("--sink", metavar="NAME", help="With the keys of this sink.", autocompletion=complete_sink)
]


@app.command(
    epilog=examples_epilog(
        [
            ("audit-forwarder pseudonym of", "asks for texts, one a line"),
            ("audit-forwarder pseudonym of --json < names.txt", "for scripts"),
        ],
        *CODES,
    )
)
def of(
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    sink: Sink = "",
    as_json: Json = False,
) -> None:
    """Show the pseudonyms of texts, under every key of the configuration.

    The texts come from standard input, one a line, so that no list of processes shows them.
    """
    from forwarder.cli.commands import pseudonym as command

    raise typer.Exit(command.of(call(config, secrets_dir, overrides), sink, as_json=as_json))


@app.command(
    epilog=examples_epilog(
        [
            ("audit-forwarder pseudonym resolve name-2yxw… < names.txt", "which of these names it is"),
            ("audit-forwarder pseudonym resolve --sink splunk content-k4ab… < titles.txt", "with one sink's keys"),
        ],
        *CODES,
    )
)
def resolve(
    pseudonyms: Annotated[list[str], typer.Argument(metavar="PSEUDONYM", help="As they stand in events.")],
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    sink: Sink = "",
    as_json: Json = False,
) -> None:
    """Find which of the texts on standard input, one a line, has a pseudonym.

    Nothing is kept from which a pseudonym could be resolved: whoever has the key and a list of those who may be meant,
    such as an export of the organization's users, can find out; once the key is deleted, no one can.
    """
    from forwarder.cli.commands import pseudonym as command

    raise typer.Exit(command.resolve(call(config, secrets_dir, overrides), pseudonyms, sink, as_json=as_json))
