"""The table at the end of the demo: what existed, by the simulator's ledger, against what each place holds.

Nothing is taken from the daemon's word but what its spool holds and recorded; the places speak for themselves.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from forwarder.cli.demo.far_ends import Destinations
from forwarder.cli.terminal import print_line, show_rows
from forwarder.contracts import SystemClock
from forwarder.exit_codes import ExitCode
from forwarder.spool.config import SpoolConfig
from forwarder.spool.ranges import merge
from forwarder.spool.sqlite.store import SqliteSpool
from simulator.ledger import Ledger


@dataclass
class Row:
    """One line of the table: a place, what it holds, and what that means.

    Attributes:
        extra: What it holds more often than it should, by content or event id.
        on_record: Contents and event ids of what was on record as perhaps sent twice.
    """

    place: str
    events: int
    missing: int
    doubled: int
    note: str = ""
    extra: Counter[str] = field(default_factory=Counter)
    on_record: frozenset[str] = frozenset()

    @property
    def unrecorded(self) -> int:
        """Copies of events that were not on record; how often one comes that was does not count."""
        return sum(times for name, times in self.extra.items() if name not in self.on_record)

    @property
    def bad(self) -> bool:
        """Whether a promise is broken here."""
        return bool(self.missing or self.unrecorded)


def places_rows(ledger: Ledger, places: Destinations) -> list[Row]:
    """Return a row for each place: what it lacks of what existed, and what it has more often."""
    versions = Counter({version.digest: 1 for found in ledger.versions().values() for version in found})
    by_id = Counter({ident: len(found) for ident, found in ledger.versions().items()})
    # Documents are known by an id of our own making, which says nothing of the event's: their number must be right.
    documents = places.in_elastic()
    short = max(0, len(versions) - len(documents))
    return [
        _row("elastic (_bulk)", len(documents), short, documents - Counter(set(documents))),
        _compared("splunk (HEC, acks)", versions, places.in_splunk()),
        _compared("siem (RELP, CEF)", by_id, places.in_syslog()),
        _compared("archive (file)", versions, places.in_file()),
    ]


def _compared(place: str, wanted: Counter[str], held: Counter[str]) -> Row:
    extra = held - wanted
    return _row(place, held.total() - extra.total(), (wanted - held).total(), extra)


def _row(place: str, events: int, missing: int, extra: Counter[str]) -> Row:
    return Row(place, events, missing, extra.total(), extra=extra)


async def on_record(spool: SqliteSpool, lane: int) -> tuple[int, frozenset[str]]:
    """Return how many events of a lane are on record as perhaps sent twice, and their contents and ids."""
    spans = merge((doubt.first, doubt.last) for doubt in await spool.doubts(lane))
    names: set[str] = set()
    left = spans
    while left and (chunks := await spool.take_again(lane, left)):
        for chunk in chunks:
            for body in chunk.bodies:
                names |= {hashlib.sha256(body).hexdigest(), msgspec.json.decode(body)["id"]}
        after = chunks[-1].last
        left = [(max(first, after + 1), last) for first, last in left if last > after]
    return sum(last - first + 1 for first, last in spans), frozenset(names)


async def compare(ledger: Ledger, places: Destinations, path: Path) -> list[Row]:
    """Compare every place with the ledger; `path` is the spool, and no one may have it open."""
    versions = {version.digest for found in ledger.versions().values() for version in found}
    ids = ledger.existed()
    served = {ident for ident, count in ledger.served().items() if count}
    again = len(versions) - len(ids)
    rows = places_rows(ledger, places)
    spool = SqliteSpool(SpoolConfig(path=path), SystemClock())
    await spool.open(create=False)
    try:
        status, books = await spool.status(), await spool.books()
        for lane in status.lanes:
            row = next(row for row in rows if row.place.startswith(f"{lane.name} "))
            events, row.on_record = await on_record(spool, lane.number)
            if row.doubled:
                row.note = f"{len(row.extra)} events more than once; {events} were on record as perhaps sent again"
    finally:
        await spool.close()
    source = status.sources[0]
    lacking = max(0, len(versions) - source.spooled)
    return [
        Row("existed (ledger)", len(versions), 0, 0, f"{len(ids)} events, {again} of them again with new content"),
        Row("served by the API", len(served) + again, len(ids - served), 0),
        Row("spooled", source.spooled, lacking, 0, f"{source.repeats} repeats recognised and dropped"),
        *rows,
        Row(
            f"books, {len({line.sink for line in books})} sinks",
            sum(line.spooled for line in books),
            sum(abs(line.balance) for line in books),
            0,
            "an event counts for each sink: accepted + rejected + filtered + detached + waiting",
        ),
    ]


def print_verdict(rows: list[Row]) -> ExitCode:
    """Print the table and what it says."""
    print_line()
    show_rows(
        [(row.place, str(row.events), str(row.missing), str(row.doubled), row.note) for row in rows],
        head=("place", "events", "missing", "doubled", "note"),
    )
    print_line()
    if any(row.missing for row in rows):
        print_line("EVENTS ARE MISSING: the column says where.")
    elif any(row.bad for row in rows):
        print_line("EVENTS CAME TWICE WITHOUT BEING ON RECORD: the column says where.")
    else:
        print_line("Nothing is missing, and what came twice was on record before it was sent again.")
    return ExitCode.UNEXPECTED if any(row.bad for row in rows) else ExitCode.OK
