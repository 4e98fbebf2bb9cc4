"""The commands that are called most, and where every call begins: one of these imports none of the others.

What a command does lies in `forwarder.cli.commands`, imported on a call. `forwarder.cli.app` adds all other commands.

Invariants: an expected error is one message on standard error and an exit code of the table, never a traceback; no
message shows a secret; help, completion and usage errors import nothing of the engine.
"""

# ruff: noqa: PLC0415 -- commands are imported when they are called, so that help is quick

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from forwarder import __version__
from forwarder.cli import init as cli_init
from forwarder.cli import output
from forwarder.cli.failing import failed
from forwarder.cli.help import App, Commands, examples_epilog
from forwarder.cli.numbers import finite
from forwarder.cli.options import Config, Json, OnlySink, Overrides, SecretsDir, call
from forwarder.cli.terminal import print_line
from forwarder.exit_codes import ExitCode


class _Everything(Commands):
    """Turns errors into a message and an exit code, at the one place that every command passes."""

    def make_context(self, *args: Any, **more: Any) -> Any:
        """Read the command line; help and version are shown here."""
        try:
            return super().make_context(*args, **more)
        except BrokenPipeError:
            raise _cut_off() from None

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return self._run(ctx)
        except BrokenPipeError:
            raise _cut_off() from None

    def _run(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, EOFError, KeyboardInterrupt):
            raise
        except Exception as error:
            if type(error).__module__.startswith("typer"):  # a usage error; typer shows it
                raise
            raise typer.Exit(failed(error)) from None


def _cut_off() -> typer.Exit:
    output.was_cut_off()
    return typer.Exit(ExitCode.CUT_OFF)


app = App(
    name="audit-forwarder",
    cls=_Everything,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Carries Atlassian audit logs into a SIEM, completely and checkably.",
    epilog=examples_epilog(
        [
            ("audit-forwarder demo", "see it work, with faults, on this machine"),
            ("audit-forwarder init", "a first configuration, from a few answers"),
            ("audit-forwarder check -c config.yaml", "would this configuration work?"),
            ("audit-forwarder run -c config.yaml", "the daemon"),
        ],
        *ExitCode,
    ),
)


def _version(wanted: bool) -> None:
    if wanted:
        print_line(f"audit-forwarder {__version__}")
        raise typer.Exit


@app.callback()
def _audit_forwarder(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del version


cli_init.add_to(app)


@app.command(
    epilog=examples_epilog(
        [
            ("audit-forwarder run", "with ./config.yaml"),
            ("audit-forwarder run -c /etc/siem.yaml -s log.level=warning", "another file, less to read"),
            ("kill -TERM PID", "finish what is in flight, then end with 0"),
            ("kill -HUP PID", "read the configuration again, as reload does"),
        ],
        ExitCode.SPOOL,
        ExitCode.UNEXPECTED,
    )
)
def run(config: Config = None, secrets_dir: SecretsDir = None, overrides: Overrides = None) -> None:
    """Run the daemon.

    It follows the sources, keeps events in the spool and delivers them to every sink. Only a configuration or a
    spool that cannot work ends it; `status` shows the failure of a server.
    """
    from forwarder.cli.commands import run as command

    raise typer.Exit(command.run(call(config, secrets_dir, overrides)))


@app.command(
    epilog=examples_epilog(
        [
            ("audit-forwarder check", "everything that is wrong, at once"),
            ("audit-forwarder check -c new.yaml && systemctl restart audit-forwarder", "before a restart"),
        ]
    )
)
def check(config: Config = None, secrets_dir: SecretsDir = None, overrides: Overrides = None) -> None:
    """Say whether the configuration would work.

    Also what it would do. No server is asked and nothing is written; the admin port is tried for a moment.
    """
    from forwarder.cli.commands import check as command

    raise typer.Exit(command.check(call(config, secrets_dir, overrides)))


@app.command(
    epilog=examples_epilog(
        [
            ("audit-forwarder status", "a table"),
            ("audit-forwarder status --watch", "again and again, until Ctrl-C"),
            ("audit-forwarder status --json | jq .degraded", "for scripts"),
        ],
        ExitCode.DEGRADED,
        ExitCode.UNREACHABLE,
        ExitCode.INTERRUPTED,
    )
)
def status(
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    as_json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again and again, until Ctrl-C.")] = False,
    every: Annotated[
        float, typer.Option("--every", min=0.5, metavar="SECONDS", callback=finite, help="With --watch: how often.")
    ] = 2.0,
) -> None:
    """Show how the daemon is doing.

    When it does not run, what its spool holds. With --watch, what the daemon says, also over its restarts; in a pipe
    one look after the other, with --json each on one line.
    """
    invocation = call(config, secrets_dir, overrides)
    if watch:
        from forwarder.cli.commands import status_watch

        raise typer.Exit(status_watch.watch(invocation, every=every, as_json=as_json))
    from forwarder.cli.commands import status as command

    raise typer.Exit(command.status(invocation, as_json=as_json))


@app.command(
    epilog=examples_epilog(
        [
            ("audit-forwarder setup", "show the difference, then ask"),
            ("audit-forwarder setup --sink elastic --yes", "one sink, without asking"),
        ],
        ExitCode.DEGRADED,
    )
)
def setup(
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    sink: OnlySink = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", "--apply", help="Write without asking.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show all of what is new, too.")] = False,
) -> None:
    """Put in place what a destination needs first.

    That is an index template, for example. Shows the difference before anything is written, and never overwrites
    what others changed.
    """
    from forwarder.cli.commands import setup as command

    raise typer.Exit(command.setup(call(config, secrets_dir, overrides), sink or (), yes=yes, diff=diff))


@app.command(
    epilog=examples_epilog(
        [
            ("audit-forwarder doctor", "everything, side by side"),
            ("audit-forwarder doctor elastic", "one source or sink; also: spool, configuration"),
            ("audit-forwarder doctor coverage", "what the logs record, and what they cannot show"),
            ("audit-forwarder doctor --json | jq '.findings[] | select(.ok | not)'", "what is wrong, for scripts"),
        ],
        ExitCode.DEGRADED,
    )
)
def doctor(
    parts: Annotated[
        list[str] | None,
        typer.Argument(metavar="PART", help="Only these: names of sources and sinks, spool, configuration, coverage."),
    ] = None,
    config: Config = None,
    secrets_dir: SecretsDir = None,
    overrides: Overrides = None,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", callback=finite, help="Time for each part.")
    ] = 30.0,
    as_json: Json = False,
) -> None:
    """Find out what does not work, and how to fix it.

    Tries every API (key, scope, plan, clock, budget), every sink (name, TCP, TLS, credential, right to write, template)
    and the spool (disk, fsync, room). It sends no event and writes nothing at a destination; the daemon may run.
    """
    from forwarder.cli.commands import doctor as command

    invocation = call(config, secrets_dir, overrides)
    raise typer.Exit(command.doctor(invocation, parts or (), within=timeout, as_json=as_json))


FIRST = frozenset(app.names())
"""The commands of this module."""


def main(called: App | None = None) -> None:
    """Run the command line.

    Args:
        called: Has all commands; imported when it is left out and a command is called that is not of this module.
    """
    try:
        if called is None and not FIRST.intersection(sys.argv[1:2]):
            from forwarder.cli.app import app as called
        (called or app)()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else ExitCode.OK
    except BrokenPipeError:  # whoever read the errors has gone
        output.was_cut_off()
        code = ExitCode.CUT_OFF
    else:
        code = ExitCode.OK
    sys.exit(output.finished(code))
