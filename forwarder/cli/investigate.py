"""The commands `investigate …`: how they are called. What they do lies in `forwarder.cli.commands.investigate`."""

# ruff: noqa: PLC0415 -- commands are imported when they are called, so that help is quick

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from forwarder.cli.help import App, examples_epilog
from forwarder.cli.options import Config, Json, Overrides, SecretsDir, call
from forwarder.contracts.errors import ForwarderError
from forwarder.exit_codes import ExitCode

_ONLY = ("views", "changes", "exports", "rights", "logins")
_ZONES = ("UTC", "Europe/Berlin", "Europe/London", "America/New_York", "Asia/Tokyo")

app = App(
    help="Ask what is kept: what an account did, who looked at a page.\n\n"
    "Limits of the evidence stand above the findings; a finding is a number, what it is compared with, and the events "
    "it counts, never a verdict. A name that several have is answered with a list (2). "
    "Needs: pip install 'audit-forwarder[investigate]'.",
    epilog=examples_epilog(
        [
            ("audit-forwarder investigate user ada@example.com --from 2026-02-09", "what did this account do?"),
            ("audit-forwarder investigate content SEC-5", "who looked at this issue?"),
            ("audit-forwarder investigate day 2026-02-10 --tz Europe/Berlin", "what was unusual?"),
        ],
        ExitCode.DEGRADED,
    ),
)


def _only(words: list[str] | None) -> list[str]:
    """Return the kinds of acts of `--only views,changes`."""
    found = [word.strip() for text in words or () for word in text.split(",") if word.strip()]
    for word in found:
        if word not in _ONLY:
            raise typer.BadParameter(f"{word!r} is no kind of act; write some of {', '.join(_ONLY)}")
    return found


def _complete_only(incomplete: str) -> list[str]:
    return [word for word in _ONLY if word.startswith(incomplete)]


def _complete_zone(incomplete: str) -> list[str]:
    import zoneinfo

    names = sorted(zoneinfo.available_timezones()) if incomplete else _ZONES
    return [name for name in names if name.startswith(incomplete)]


def _complete_who(kind: str) -> Callable[[typer.Context, str], list[str]]:
    """Return what completes ids and addresses for a question, where the archive has an index."""

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        from forwarder.cli.kept_archives import store_of
        from forwarder.investigate.completing import beginnings
        from forwarder.investigate.local_copy import index_folder
        from forwarder.investigate.questions.shapes import SHAPES

        found = context.params
        with suppress(ForwarderError, OSError):
            invocation = call(found.get("config"), found.get("secrets_dir"), found.get("overrides"))
            index = found.get("index") or index_folder(store_of(invocation, found.get("archive")).place)
            return beginnings(Path(index), SHAPES[kind].entities, incomplete)
        return []

    return complete


Place = Annotated[
    str | None,
    typer.Option(
        "--archive",
        metavar="PLACE",
        help="The archive: a folder, a URL, or the name of a sink; default: the one that is configured.",
    ),
]
Index = Annotated[
    Path | None,
    typer.Option(
        "--index",
        metavar="DIR",
        file_okay=False,
        help="Its index; default: index/v1 in the folder of the archive, of a bucket in the cache of the user. Without "
        "one the evidence is read.",
    ),
]
Events = Annotated[
    list[Path] | None,
    typer.Option(
        "--events",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="Ask this file of events, as a `file` sink writes it (raw or ECS, also .gz, .zst); may be repeated.",
    ),
]
DirectoryFile = Annotated[
    Path | None,
    typer.Option(
        "--directory",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="People as CSV (id, email, name, key): accounts of one row are one person's.",
    ),
]
Since = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="From then on: 2026-01-31, 2026-01-31T12:00+01:00, 7d. Default: all."),
]
Until = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Up to then, excluded.")]
Zone = Annotated[
    str | None,
    typer.Option(
        "--tz",
        metavar="ZONE",
        help="Zone of days, nights and of what is printed; default: that of this machine.",
        autocompletion=_complete_zone,
    ),
]
Gap = Annotated[str, typer.Option("--gap", metavar="TIME", help="A longer pause ends a session.")]
Around = Annotated[
    str | None, typer.Option("--around", metavar="ID", help="Half an hour before and after the event of this id.")
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="KINDS",
        callback=_only,
        autocompletion=_complete_only,
        help=f"Limit the timeline to kinds of acts: {', '.join(_ONLY)}. Not at first: it hides what belongs together.",
    ),
]
Depth = Annotated[str, typer.Option("--depth", metavar="brief|full", help="On a terminal: the first rows, or all.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print one table of CSV; its column `part` says of what a line is.")]
Html = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", dir_okay=False, help="Write one page, also for print.")
]
ForPage = Annotated[Path | None, typer.Option("--for-page", hidden=True, exists=True, file_okay=False)]
Case = Annotated[str | None, typer.Option("--case", metavar="ID", help="Number of the case, for the report.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why it is asked, for the report.")]
Sign = Annotated[
    Path | None,
    typer.Option(
        "--sign",
        metavar="KEYFILE",
        exists=True,
        dir_okay=False,
        help="Make an evidence package (.zip), signed with this key: the answer, the lines that it counts, and what "
        "proves them, for an auditor who checks it without us.",
    ),
]
Package = Annotated[
    Path | None,
    typer.Option(
        "--package",
        metavar="FILE",
        dir_okay=False,
        help="Where the package is written; default: evidence-CASE.zip here. Nothing is overwritten.",
    ),
]
LinesOnly = Annotated[
    bool,
    typer.Option(
        "--lines-only",
        help="Leave the objects out of the package: they hold events of others, too. Then it does not prove by itself "
        "that its lines stand in them.",
    ),
]
AllowIncomplete = Annotated[
    bool,
    typer.Option(
        "--allow-incomplete",
        help="End with 0 also where the evidence has gaps or was changed; it is said all the same.",
    ),
]


def _command(kind: str, value: str, example: str, why: str, text: str) -> None:
    def ask(
        who: str,
        config: Config = None,
        secrets_dir: SecretsDir = None,
        overrides: Overrides = None,
        archive: Place = None,
        index: Index = None,
        events: Events = None,
        directory: DirectoryFile = None,
        since: Since = None,
        until: Until = None,
        zone: Zone = None,
        gap: Gap = "30m",
        around: Around = None,
        only: Only = None,
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
        from forwarder.cli.commands import investigate as command

        raise typer.Exit(
            command.investigate(
                kind,
                who,
                command.Where(call(config, secrets_dir, overrides), archive, index, events or ()),
                command.When(since, until, zone, gap, around),
                face(command, depth, html, as_json=as_json, as_csv=as_csv)._replace(for_page=for_page),
                command.Report(case, reason),
                directory=directory,
                only=only or (),
                sealed=sealed(command, sign, package, lines_only=lines_only),
                allow_incomplete=allow_incomplete,
            )
        )

    ask.__doc__ = text
    ask.__annotations__["who"] = Annotated[
        str, typer.Argument(metavar=value, help=_HELP[kind], autocompletion=_complete_who(kind))
    ]
    examples = [(f"audit-forwarder investigate {kind} {example}", why)]
    app.command(kind, epilog=examples_epilog([*examples, *_MORE.get(kind, ())], ExitCode.DEGRADED))(ask)


def sealed(command: Any, sign: Path | None, package: Path | None, *, lines_only: bool) -> Any:
    """Return the package that was asked for; None for none."""
    if sign is None and (package is not None or lines_only):
        raise typer.BadParameter("--package and --lines-only are about the package that --sign makes; add --sign")
    return command.Sealed(sign, package, not lines_only) if sign is not None else None


def face(command: Any, depth: str, html: Path | None, *, as_json: bool, as_csv: bool) -> Any:
    """Return the face that was asked for."""
    if depth not in {"brief", "full"}:
        raise typer.BadParameter(f"--depth {depth}: write brief or full")
    if as_json + as_csv + (html is not None) > 1:
        raise typer.BadParameter("--json, --csv and --html are three faces of one answer; ask for one of them")
    return command.Face(as_json, as_csv, html, depth == "full")


_HELP = {
    "user": "Account id, e-mail address or name; several of one name are listed.",
    "content": "Id, key (SEC-5), address (https://…) or title.",
    "ip": "Address, of IPv4 or IPv6.",
    "token": "Id or label. From a leaked secret nothing can be looked up: the log holds ids only.",
    "group": "Id or name.",
    "app": "Id or name.",
    "day": "Date, in the zone of --tz.",
}
_MORE = {
    "user": [
        ("audit-forwarder investigate user 'Ada Glenmoor' --from 7d", "a name; the last seven days"),
        ("audit-forwarder investigate user ada@example.com --html case-17.html --case 17", "a report for a case"),
        ("audit-forwarder investigate user ada@example.com --sign key.pem --case 17", "and an auditor can check it"),
        ("audit-forwarder investigate user ada@example.com --json | jq .findings", "for scripts"),
    ],
    "content": [
        (
            "audit-forwarder investigate content https://acme.example.net/wiki/spaces/FIN/pages/884736",
            "by its address, whatever stands behind it",
        )
    ],
}

_command(
    "user", "WHO", "ada@example.com", "everything that is kept of it",
    """Say what an account did.

    Its sessions, what it read, changed, exported and granted, what is new of it, who else came from the same address
    or with the same token, who acted as it and as whom it acted, and who gave it its rights.
    """,
)  # fmt: skip
_command(
    "content", "WHAT", "SEC-5", "who viewed, changed and exported it",
    """Say who looked at a page or an issue, and how it may have left.

    Exports of the whole space and views that name it only in their message are listed apart, never counted.
    """,
)  # fmt: skip
_command(
    "ip", "ADDRESS", "203.0.113.7", "which accounts came from there",
    """Say who came from an address, and what they did from there.""",
)  # fmt: skip
_command(
    "token", "TOKEN", "backup", "made by whom, used from where",
    """Say who made a token, from where it was used, and for what.""",
)  # fmt: skip
_command(
    "group", "GROUP", "site-admins", "members added, access given",
    """Say what happened to a group: who was added by whom, and what access it was given.""",
)  # fmt: skip
_command(
    "app", "APP", "'Diagram Forge'", "who brought it, what it did",
    """Say who installed an app, and what it did for whom.""",
)  # fmt: skip
_command(
    "day", "DATE", "2026-02-10", "compared with days of the same kind before",
    """Say what was unusual on a day.

    More of an act than on the same kind of day in the 35 days before, settings with values that they never had, and
    accounts far above all others.
    """,
)  # fmt: skip


@app.command(
    "index",
    epilog=examples_epilog(
        [
            ("audit-forwarder investigate index", "the archive that is configured; once a day, by a timer"),
            ("audit-forwarder investigate index --archive s3://acme-audit --index /var/cache/audit", "a bucket"),
        ],
        ExitCode.DEGRADED,
    ),
)
def index_(
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    archive: Place = None,
    index: Index = None,
    memory: Annotated[str, typer.Option("--memory", metavar="SIZE", help="Memory of DuckDB while it sorts.")] = "256MB",
    as_json: Json = False,
    for_daemon: Annotated[bool, typer.Option("--for-daemon", hidden=True)] = False,
) -> None:
    """Make or renew the index of an archive, for quick answers.

    It holds the days that are over, and is made of the evidence: rows are as many as events, or the day is left out and
    named (4). It may be deleted at any time. Answers do not depend on it.
    """
    from forwarder.cli.commands import index as command

    if for_daemon:
        from forwarder.investigate.for_page import end_with_parent

        end_with_parent()
    raise typer.Exit(command.index(call(config, secrets_dir, overrides), archive, index, memory, as_json=as_json))
