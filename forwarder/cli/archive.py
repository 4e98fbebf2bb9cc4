"""The commands below `archive`: how each is called. What they do lies in `forwarder.cli.commands.archive`."""

# ruff: noqa: PLC0415 -- commands are imported when they are called, so that help is quick

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forwarder.cli.help import App, examples_epilog
from forwarder.cli.options import Config, Json, Overrides, SecretsDir, call, complete_sink
from forwarder.exit_codes import ExitCode

CODES = (ExitCode.UNEXPECTED, ExitCode.CONFIGURATION, ExitCode.DEGRADED)

app = App(
    help="Check an archive, delete what is old enough, make its keys.",
    epilog=examples_epilog(
        [
            ("audit-forwarder archive verify", "is everything there as it was written?"),
            ("audit-forwarder archive verify-script > verify_archive.py", "for who must not believe us"),
            ("audit-forwarder archive keygen archive-key.pem", "a key that signs the digests"),
            ("audit-forwarder archive retention --dry-run", "what would be deleted"),
        ],
        *CODES,
    ),
)

Sink = Annotated[
    str,
    typer.Option(
        "--sink", metavar="NAME", help="Which archive, where there are several.", autocompletion=complete_sink
    ),
]


@app.command(
    epilog=examples_epilog(
        [
            ("audit-forwarder archive verify", "the archive of the configuration"),
            ("audit-forwarder archive verify /mnt/copy --key key.pem.pub", "a folder; no configuration is read"),
            ("audit-forwarder archive verify --head 3f1c…", "was anything cut off since that heartbeat?"),
            ("audit-forwarder archive verify --json | jq .findings", "for scripts"),
        ],
        *CODES,
    )
)
def verify(
    where: Annotated[str, typer.Argument(metavar="[WHERE]", help="A folder or URL instead of a sink.")] = "",
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    sink: Sink = "",
    head: Annotated[
        list[str] | None,
        typer.Option(metavar="SHA256", help="Of a digest that must be there: of a heartbeat or a daily report."),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="ID|FILE", help="Of a key that must have signed; the configured one is known."),
    ] = None,
    as_json: Json = False,
    for_daemon: Annotated[bool, typer.Option("--for-daemon", hidden=True)] = False,
) -> None:
    """Check that everything in an archive is as it was written.

    Reads all of it: every digest follows the one before, is signed, and names what is there. Says what that proves, and
    what it does not. Ends with 1 when anything is other than it was written.
    """
    from forwarder.cli.commands import archive as command

    if for_daemon:
        from forwarder.investigate.for_page import serve_daemon

        serve_daemon()
    invocation = call(config, secrets_dir, overrides)
    raise typer.Exit(command.verify(invocation, where, sink, heads=head or (), keys=key or (), as_json=as_json))


@app.command(
    "verify-package",
    epilog=examples_epilog(
        [
            (
                "audit-forwarder archive verify-package evidence-17.zip --signer 5e0d…",
                "is it as it was made, and by whom?",
            ),
            (
                "audit-forwarder archive verify-package evidence-17.zip --key 81c2… --head 3f1c…",
                "is it of our archive?",
            ),
        ],
        *CODES,
    ),
)
def verify_package(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The zip, as it was handed over.")],
    signer: Annotated[
        list[str] | None, typer.Option(metavar="ID|FILE", help="Of a key that must have signed the package.")
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(metavar="ID|FILE", help="Of a key that must have signed the digests.")
    ] = None,
    head: Annotated[
        list[str] | None,
        typer.Option(metavar="SHA256", help="Of a digest that must be in it: of a heartbeat or a daily report."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a package of evidence, as `investigate --sign` makes it.

    Needs neither the archive nor a configuration. Says what it proves, and what it does not. Ends with 1 when anything
    is other than it was packed.
    """
    from forwarder.cli.commands import archive_package as command

    raise typer.Exit(
        command.verify_package(file, signers=signer or (), keys=key or (), heads=head or (), as_json=as_json)
    )


@app.command(
    epilog=examples_epilog(
        [
            ("audit-forwarder archive retention --dry-run", "only show it"),
            ("audit-forwarder archive retention --sink years", "of one of several archives"),
        ],
        *CODES,
    )
)
def retention(
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    sink: Sink = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be deleted, and delete nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Delete whole months that are older than `retain_months`.

    The daemon does so by itself. Each deletion leaves a signed record; a file `hold` in the archive stops all of it.
    """
    from forwarder.cli.commands import archive as command

    raise typer.Exit(command.retention(call(config, secrets_dir, overrides), sink, dry_run=dry_run, as_json=as_json))


@app.command(
    epilog=examples_epilog([("audit-forwarder archive keygen archive-key.pem", "and archive-key.pem.pub")], *CODES)
)
def keygen(
    file: Annotated[Path, typer.Argument(help="Where to write it; nothing is overwritten.")],
) -> None:
    """Make an Ed25519 key that signs the digests of an archive.

    To replace a key, name the new one as key_file and the one before as old_key_file.
    """
    from forwarder.cli.commands import archive as command

    raise typer.Exit(command.keygen(file))


@app.command(
    "verify-script",
    epilog=examples_epilog(
        [
            ("audit-forwarder archive verify-script > verify_archive.py", "print it"),
            (
                "audit-forwarder archive verify-script --package verify_package.py",
                "write the one for packages of evidence",
            ),
        ],
        *CODES,
    ),
)
def verify_script(
    file: Annotated[Path | None, typer.Argument(help="Where to write it; default: standard output.")] = None,
    package: Annotated[
        bool, typer.Option("--package", help="The script for a package of evidence; it needs the other one beside it.")
    ] = False,
) -> None:
    """Print the script that checks a copy of an archive without this program.

    It needs Python and openssl, and is short enough to be read by who runs it.
    """
    from forwarder.cli.commands import archive as command

    raise typer.Exit(command.verify_script(file, package=package))
