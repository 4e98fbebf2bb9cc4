"""`backup` and `restore`: a copy of the spool, of a daemon that runs or not, and the way back."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from forwarder.admin.backups import BackupState, BackupWanted
from forwarder.cli.commands.questions import agreed
from forwarder.cli.daemon_client import connect
from forwarder.cli.terminal import print_json, print_text
from forwarder.contracts.errors import ConfigError
from forwarder.contracts.moments import iso_ms
from forwarder.contracts.text import visible
from forwarder.exit_codes import ExitCode
from forwarder.observe.status_values import size

if TYPE_CHECKING:
    from forwarder.cli.invocation import Invocation

EVERY = 0.2
"""Seconds between two looks."""


def backup(invocation: Invocation, target: str, *, as_json: bool) -> ExitCode:
    """Make a backup. Raises ConfigError, Held and what else makes it fail."""
    settings = invocation.settings()
    place = Path(target).expanduser().absolute()
    if target.endswith("/") and not place.is_dir():
        raise ConfigError(f"{target}: there is no such folder")
    if place.is_dir():
        place /= f"{settings.spool.path.stem}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.db"
    wanted = BackupWanted(str(place))

    async def run() -> BackupState:
        async with connect(settings) as found:
            state = await found.ask("backup.begin", wanted, BackupState)
            said = 0.0
            while state.backup is None:
                await asyncio.sleep(EVERY)
                state = await found.ask("backup.look", wanted, BackupState)
                if state.of and time.monotonic() - said >= (1.0 if sys.stderr.isatty() else 30.0):
                    said = time.monotonic()
                    print(f"{100 * state.done // state.of} % copied", file=sys.stderr)  # noqa: T201
            return state

    made = asyncio.run(run()).backup
    assert made is not None  # noqa: S101 -- the loop ends with it
    if as_json:
        print_json({"path": made.path, "bytes": made.bytes, "of": iso_ms(made.at_ms), "newest": made.newest})
        return ExitCode.OK
    print_text(f"{visible(made.path)}: {size(made.bytes)}, the spool as it was at {iso_ms(made.at_ms)}")
    print_text("it holds audit events: keep it as you keep the spool, and restore it with audit-forwarder restore")
    return ExitCode.OK


def restore(invocation: Invocation, file: Path, *, replace: bool, yes: bool) -> ExitCode:
    """Put a backup in the place of the spool, after asking. Returns DEGRADED when no one agreed."""
    from forwarder.spool.sqlite.restore import restore as put_back  # noqa: PLC0415 -- slow to import

    settings = invocation.settings()
    path = settings.spool.path.expanduser().resolve()
    if replace and path.exists() and not yes:
        print_text(f"the spool {visible(str(path))} is put aside; what came since the backup is read and sent again")
        if not agreed("Restore the backup in its place?", "was restored"):
            return ExitCode.DEGRADED
    done = put_back(file, settings.spool, replace=replace)
    print_text(f"{visible(done.path)} is the spool as it was at {iso_ms(done.at_ms)}")
    if done.aside:
        print_text(f"what lay there is {visible(done.aside)}; delete it when you need it no longer")
    print_text("at the next start, what came since is read again and may come to sinks twice: that is a gap on record")
    return ExitCode.OK
