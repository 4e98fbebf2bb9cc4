"""The command line of `dead-letters`: how each of its commands is called."""

# ruff: noqa: PLC0415 -- commands are imported when they are called, so that help is quick

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forwarder.cli.help import App, examples_epilog
from forwarder.cli.options import Config, Json, Overrides, SecretsDir, call, complete_sink
from forwarder.exit_codes import ExitCode

if TYPE_CHECKING:
    from forwarder.cli.commands.letter_choice import Choice

CODES = (ExitCode.SPOOL, ExitCode.UNREACHABLE)

app = App(
    help="Look at events that a sink refused, retry or discard them.",
    epilog=examples_epilog(
        [
            ("audit-forwarder dead-letters list", "what was refused, why, and what to change"),
            ("audit-forwarder dead-letters show 12", "one of them, with its event"),
            ("audit-forwarder dead-letters retry --sink elastic", "after the cause is fixed"),
        ],
        *CODES,
    ),
)

Numbers = Annotated[
    list[int] | None,
    typer.Argument(metavar="NUMBER", min=1, help="Dead letters, by the number that `list` shows."),
]
ShownNumbers = Annotated[
    list[int], typer.Argument(metavar="NUMBER", min=1, help="Dead letters, by the number that `list` shows.")
]
Sink = Annotated[
    str | None, typer.Option("--sink", metavar="NAME", help="Only of this sink.", autocompletion=complete_sink)
]
Reason = Annotated[
    list[str] | None, typer.Option("--reason", metavar="WORD", help="Only with this reason; may be repeated.")
]
Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Only rejected since then: 2h ago, or 2026-01-31T12:00Z.")
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only rejected until then; the same forms.")]
All = Annotated[bool, typer.Option("--all", help="Every one there is.")]


def _choice(
    numbers: list[int] | None,
    sink: str | None = None,
    reason: list[str] | None = None,
    since: str | None = None,
    until: str | None = None,
    *,
    everything: bool = False,
) -> Choice:
    from forwarder.cli.commands.letter_choice import Choice

    return Choice(tuple(numbers or ()), sink, tuple(reason or ()), since, until, everything)


@app.command(
    "list",
    epilog=examples_epilog(
        [
            ("audit-forwarder dead-letters list", "how many by reason, what to change, and a table"),
            ("audit-forwarder dead-letters list --sink elastic --reason mapping_conflict", "some of them"),
            ("audit-forwarder dead-letters list --json | jq '.summary'", "for scripts"),
            ("audit-forwarder dead-letters list --discarded", "who discarded what"),
        ],
        *CODES,
    ),
)
def list_(
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    sink: Sink = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most so many rows, the oldest first.")
    ] = None,
    discarded: Annotated[
        bool, typer.Option("--discarded", help="What was discarded within a year instead: when, by whom, which.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List them, count them by reason, say what to change."""
    from forwarder.cli.commands import dead_letters as command

    invocation, choice = call(config, secrets_dir, overrides), _choice(None, sink, reason, since, until)
    if discarded:
        raise typer.Exit(command.list_discards(invocation, choice, as_json=as_json))
    raise typer.Exit(command.list_(invocation, choice, limit=limit, as_json=as_json))


@app.command(
    epilog=examples_epilog(
        [
            ("audit-forwarder dead-letters show 12", "the event, the answer, what to change"),
            ("audit-forwarder dead-letters show 12 --json | jq .event", "for scripts"),
        ],
        *CODES,
    )
)
def show(
    numbers: ShownNumbers,
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Show dead letters whole.

    That is the event under the privacy of its sink, what the sink answered, and what to change.
    """
    from forwarder.cli.commands import dead_letters as command

    raise typer.Exit(command.show(call(config, secrets_dir, overrides), _choice(numbers), as_json=as_json))


@app.command(
    epilog=examples_epilog(
        [
            ("audit-forwarder dead-letters export > letters.ndjson", "all, one JSON object a line"),
            ("audit-forwarder dead-letters export --sink elastic -o letters.ndjson", "into a new file of mode 0600"),
        ],
        *CODES,
    )
)
def export(
    numbers: Numbers = None,
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    sink: Sink = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="A new file; default: standard output.")
    ] = None,
) -> None:
    """Write them with their events as NDJSON.

    They stay where they are. An event is written under the privacy of its sink, as the API sent it; one that is not
    JSON is in `event_base64`.
    """
    from forwarder.cli.commands import dead_letters as command

    choice = _choice(numbers, sink, reason, since, until)
    raise typer.Exit(command.export(call(config, secrets_dir, overrides), choice, output=output))


@app.command(
    epilog=examples_epilog(
        [
            ("audit-forwarder dead-letters retry 12 13", "two of them"),
            (
                "audit-forwarder dead-letters retry --sink elastic --reason mapping_conflict",
                "after a template was fixed",
            ),
            ("audit-forwarder dead-letters retry --all", "every one"),
        ],
        ExitCode.DEGRADED,
        *CODES,
    )
)
def retry(
    numbers: Numbers = None,
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    sink: Sink = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    everything: All = False,
) -> None:
    """Put them back into their lanes.

    Each is mapped, formatted and sent again, by the current code and configuration. One that is refused again
    becomes a dead letter again, under a new number. One whose event is damaged stays.
    """
    from forwarder.cli.commands import dead_letters as command

    choice = _choice(numbers, sink, reason, since, until, everything=everything)
    raise typer.Exit(command.retry(call(config, secrets_dir, overrides), choice))


@app.command(
    epilog=examples_epilog(
        [
            ("audit-forwarder dead-letters discard 12", "one of them, after asking"),
            ("audit-forwarder dead-letters discard --sink archive --until 30d --yes", "old ones, without asking"),
        ],
        ExitCode.DEGRADED,
        *CODES,
    )
)
def discard(
    numbers: Numbers = None,
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    sink: Sink = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    everything: All = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Discard without asking.")] = False,
) -> None:
    """Remove them for good.

    Their sink will never have these events; export them first if in doubt. Who did it, when, and which letters they
    were goes on record (`list --discarded`); in the books they stay rejected.
    """
    from forwarder.cli.commands import dead_letters as command

    choice = _choice(numbers, sink, reason, since, until, everything=everything)
    raise typer.Exit(command.discard(call(config, secrets_dir, overrides), choice, yes=yes))
