"""`reload`: has the daemon read its configuration again, and shows what changed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from forwarder.admin.reloads import Reloaded, ReloadWanted
from forwarder.cli.daemon_client import running_daemon
from forwarder.cli.terminal import print_json, print_line, print_text, show_rows
from forwarder.exit_codes import ExitCode

if TYPE_CHECKING:
    from forwarder.cli.invocation import Invocation


def reload(invocation: Invocation, *, as_json: bool) -> ExitCode:
    """Have it read again. Returns DEGRADED when some of it needs a restart. Raises Refused; then nothing changed."""
    settings = invocation.settings()
    done = asyncio.run(running_daemon(settings).ask("daemon.reload", ReloadWanted(), Reloaded))
    waiting = [change.path for change in done.changes if change.needs_restart]
    if as_json:
        print_json(msgspec.to_builtins(done))
        return ExitCode.DEGRADED if waiting else ExitCode.OK
    if not done.changes:
        print_text("nothing has changed")
        return ExitCode.OK
    show_rows(
        [
            [each.path, each.before, each.after, "after a restart" if each.needs_restart else "now"]
            for each in done.changes
        ],
        head=("setting", "before", "after", "in force"),
    )
    print_line()
    for what, names in (("sources", done.sources), ("sinks", done.sinks)):
        if names:
            print_text(f"{what} that were begun, ended or begun anew: {', '.join(names)}")
    if waiting:
        print_text("what needs a restart keeps its old value until then")
    return ExitCode.DEGRADED if waiting else ExitCode.OK
