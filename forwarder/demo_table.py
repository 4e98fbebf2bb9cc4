"""The table at the end of the demo: what existed, by the simulator's ledger, against what each place holds.

Nothing is taken from the daemon's word but what its spool holds; the receiver and the file speak for themselves.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from forwarder.commands.terminal import say, show_rows
from forwarder.contracts import SystemClock
from forwarder.exit_codes import ExitCode
from forwarder.simulator.ledger import Ledger
from forwarder.spool.config import SpoolConfig
from forwarder.spool.sqlite import SqliteSpool


@dataclass
class Row:
    """One line of the table: a place, what it holds, and what that means."""

    place: str
    events: int
    missing: int
    doubled: int
    note: str = ""


async def judge(ledger: Ledger, documents: Counter[str], lines: Counter[str], path: Path) -> list[Row]:
    """Compare every place with the ledger.

    Args:
        ledger: What existed and what was served.
        documents: How often each document id is in Elasticsearch.
        lines: How often each content, by its SHA-256, is in the file.
        path: The spool; nobody may have it open.
    """
    versions = {version.digest for found in ledger.versions().values() for version in found}
    ids = ledger.existed()
    served = {ident for ident, count in ledger.served().items() if count}
    again = len(versions) - len(ids)
    spool = SqliteSpool(SpoolConfig(path=path), SystemClock())
    await spool.open(create=False)
    try:
        status, books = await spool.status(), await spool.books()
        archive = next(lane.number for lane in status.lanes if lane.name == "archive")
        doubted = sum(doubt.last - doubt.first + 1 for doubt in await spool.doubts(archive))
    finally:
        await spool.close()
    source, doubled = status.sources[0], sum(lines.values()) - len(lines)
    return [
        Row("existed (ledger)", len(versions), 0, 0, f"{len(ids)} events, {again} of them again with new content"),
        Row("served by the API", len(served) + again, len(ids - served), 0),
        Row(
            "spooled",
            source.spooled,
            max(0, len(versions) - source.spooled),
            0,
            f"{source.repeats} repeats recognised and dropped",
        ),
        Row(
            "elastic (_bulk)", len(documents), len(versions) - len(documents), sum(documents.values()) - len(documents)
        ),
        Row(
            "archive (file)",
            len(lines),
            len(versions - set(lines)),
            doubled,
            f"{doubted} are on record as sent, perhaps, twice: the kill" if doubled else "",
        ),
        Row(
            "books",
            sum(line.spooled for line in books),
            sum(abs(line.balance) for line in books),
            0,
            "spooled = accepted + rejected + filtered + detached + waiting",
        ),
    ]


def tell(rows: list[Row]) -> ExitCode:
    """Print the table and what it says."""
    say()
    show_rows(
        [(row.place, str(row.events), str(row.missing), str(row.doubled), row.note) for row in rows],
        head=("place", "events", "missing", "doubled", "note"),
    )
    missing = any(row.missing for row in rows)
    say()
    say("EVENTS ARE MISSING: the column says where." if missing else "Nothing is missing.")
    return ExitCode.UNEXPECTED if missing else ExitCode.OK
