"""`cursors`: where the sources are read, for people: list, retry-now, drop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from forwarder.admin.cursors import CursorChoice, CursorShown, SourceChoice
from forwarder.cli.daemon_client import connect
from forwarder.cli.terminal import page_rows, print_json, print_text
from forwarder.contracts.moments import iso_ms
from forwarder.exit_codes import ExitCode

if TYPE_CHECKING:
    from forwarder.cli.invocation import Invocation
    from forwarder.config.settings import Settings

_HEAD = ("source", "cursor", "began at", "read up to", "bytes", "dropped")


def list_(invocation: Invocation, source: str, *, as_json: bool) -> ExitCode:
    """Show a table of the cursors at work."""

    async def run(settings: Settings) -> ExitCode:
        async with connect(settings) as found:
            cursors = await found.ask("cursors.list", CursorChoice(source), list[CursorShown])
        if as_json:
            shown = [_as_dict(cursor) for cursor in cursors]
            print_json({"cursors": shown})
            return ExitCode.OK
        rows = [[str(value if value is not None else "-") for value in _as_dict(cursor).values()] for cursor in cursors]
        page_rows(rows, head=_HEAD, intro=[] if rows else ["no cursor is at work"], usual={"dropped": "-"})
        return ExitCode.OK

    return asyncio.run(run(invocation.settings()))


def retry_now(invocation: Invocation, source: str) -> ExitCode:
    """Have a source asked at once."""

    async def run(settings: Settings) -> ExitCode:
        async with connect(settings) as found:
            await found.ask("cursors.retry_now", SourceChoice(source), type(None))
            running = found.running
        print_text(f"{source} is tried now" if running else f"{source} is tried when the daemon starts")
        return ExitCode.OK

    return asyncio.run(run(invocation.settings()))


def drop(invocation: Invocation, source: str, cursor: str) -> ExitCode:
    """Drop one cursor and say what follows."""

    async def run(settings: Settings) -> ExitCode:
        async with connect(settings) as found:
            await found.ask("cursors.drop", CursorChoice(source, cursor), list[CursorShown])
            running = found.running
        print_text(f"the cursor {cursor} of {source} is dropped; what is between is read again")
        if not running:
            print_text("the daemon is not running; it does so when it starts: audit-forwarder run")
        return ExitCode.OK

    return asyncio.run(run(invocation.settings()))


def _as_dict(cursor: CursorShown) -> dict[str, str | int | None]:
    return {
        "source": cursor.source,
        "cursor": cursor.cursor,
        "began_at": iso_ms(cursor.begins_ms),
        "read_up_to": iso_ms(cursor.reached_ms),
        "bytes": cursor.bytes,
        "dropped": cursor.dropped or None,
    }
