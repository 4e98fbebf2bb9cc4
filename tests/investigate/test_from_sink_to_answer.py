"""What the sink of an archive stores is what questions find: every event once, indexed or not."""

import asyncio
from datetime import UTC, datetime, timedelta

from forwarder.archive.stores import open_store
from forwarder.contracts import Batch, Record
from forwarder.contracts.identity import EventKeys
from forwarder.investigate.building import Builder
from forwarder.investigate.opening import open_tables
from forwarder.investigate.parts import Index
from forwarder.investigate.reading import ArchiveReader
from tests.investigate.lines import event
from tests.sinks.archive.archives import NOON, ORIGIN, MovedClock, archive_sink

DAYS = 4
ASKED = 'select "event.id", "atlassian.audit.marks" from events order by 1, 2'


def record_of(number: int, read_ms: int) -> Record:
    if number % 7 == 0:  # an event without an id of its own
        raw = event(ident="", time="2026-01-31T12:00:00Z", name=f"Person {number}")
        return Record(
            number,
            ORIGIN,
            EventKeys(ORIGIN.feed, ORIGIN.scope).derived(raw).hex(),
            raw,
            body=raw,
            read_ms=read_ms,
            marks=("derived_id",),
        )
    raw = event(ident=f"e{number}", time="2026-01-31T12:00:00Z")
    key = EventKeys(ORIGIN.feed, ORIGIN.scope).key(f"e{number}").hex()
    return Record(number, ORIGIN, key, raw, body=raw, read_ms=read_ms)


async def test_every_event_of_the_sink_is_found_once(tmp_path):
    clock, number, wanted = MovedClock(), 0, []
    for _ in range(DAYS):
        sink = archive_sink(tmp_path, clock, size="4KB")
        for _ in range(3):
            batch = [record_of(number := number + 1, int(clock.time() * 1000)) for _ in range(40)]
            wanted += [record.id if record.marks else f"e{record.seq}" for record in batch]
            await sink.send(Batch(batch))
            clock.go_on(3600)
        await sink.close()
        clock.go_on(21 * 3600)

    found = await asyncio.to_thread(ask, tmp_path, clock)
    assert [ident for ident, _ in found] == sorted(wanted)
    assert all(marks == ["derived_id"] for ident, marks in found if not ident.startswith("e") and marks)


def ask(folder, clock):
    index = Index(folder / "index")
    with ArchiveReader(open_store(str(folder / "archive"))) as reader:
        with open_tables(reader) as tables:
            without = tables.ask(ASKED).rows
        now = datetime.fromtimestamp(clock.time(), UTC) + timedelta(days=40)
        built = Builder(reader, index).update(now)
        assert not built.failed
        assert built.rows == len(without)
        with open_tables(reader, index) as tables:
            assert tables.made_of.objects == 0
            assert tables.ask(ASKED).rows == without
            assert tables.ask("select count(*) from problems").rows == [(0,)]
        assert datetime.fromtimestamp(NOON, UTC).date() in reader.days()
    return without
