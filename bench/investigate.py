"""What an index costs and what it saves: CPU µs and bytes an event, and questions with and without it.

    python -m bench.investigate [--events 50000] [--days 60] [--times 0]

Events are the simulator's, a day's evidence in an object an hour. `--times N` makes N copies of them, spread over
twelve months, with accounts and objects of their own, so that questions can be asked of millions of events.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from forwarder.archive.evidence import LEVEL, EvidenceWriter, events_of, header_of, zstd
from forwarder.archive.layout import EvidenceName
from forwarder.archive.stores import open_store
from forwarder.contracts import Origin
from forwarder.investigate import duck, hours
from forwarder.investigate.building import written
from forwarder.investigate.columns import RESTORED
from forwarder.investigate.identity import find
from forwarder.investigate.opening import open_tables
from forwarder.investigate.parts import (
    ACTS,
    FILES,
    HOURS,
    NAMES,
    OBJECTS,
    OTHERS,
    VIEWS,
    Index,
    Part,
    new_part,
    write_part,
)
from forwarder.investigate.questions.answer import Archive, answer
from forwarder.investigate.questions.shapes import SHAPES
from forwarder.investigate.reading import ArchiveReader
from forwarder.investigate.result import Evidence, Question, Run
from forwarder.investigate.tables import Tables
from simulator.config import SimulatorConfig
from simulator.organization import Organization

NOW = datetime(2026, 4, 1, tzinfo=UTC)
HELD = (10, 35, 100, 300, 1000, 6000)
"""How many events an object holds: those of five minutes, in organizations of different size."""

SINCE = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))

QUESTIONS = {
    "user: timeline": """select "@timestamp", act, "event.outcome", "source.ip", "atlassian.audit.content.id" from events
        where who = $who and "@timestamp" >= $since and "@timestamp" < $until order by 1""",
    "user: who else had the address": """select "source.ip", count(distinct who), count(*) from events where "source.ip" in
        (select "source.ip" from events where who = $who) group by 1""",
    "content: who viewed it": """select who, count(*), min("@timestamp"), max("@timestamp") from events
        where "atlassian.audit.content.id" = $content and "@timestamp" >= $since group by 1""",
    "content: touched in any way": """select who, count(*) from touches where touched = $content group by 1""",
    "address": """select who, count(*) from events where "source.ip" = $ip group by 1""",
    "days and acts": """select date_trunc('day', "@timestamp"), act, count(*) from events group by 1, 2""",
}


def evidence(folder: Path, events: int, days: int) -> tuple[int, int, int]:
    """Write an archive; return how many events it has, their bytes and those of the objects."""
    organization = Organization(SimulatorConfig(seed=5, events=events, history=f"{days}d"), 0, NOW.timestamp())
    origin = Origin("acme", "organization", organization.id)
    store = open_store(str(folder))
    bodies: list[tuple[int, bytes]] = []
    for versions in organization.feed.versions().values():
        bodies += [(one.processed_ms, one.body) for one in versions]
    bodies.sort(key=lambda one: one[0])
    number = plain = packed = 0
    for hour, group in itertools.groupby(bodies, key=lambda one: one[0] // 3_600_000):
        writer = EvidenceWriter(origin)
        for processed, body in group:
            number += 1
            plain += len(body)
            writer.add(body, number, processed)
        data = writer.finish()
        packed += len(data)
        name = EvidenceName("acme", datetime.fromtimestamp(hour * 3600, UTC), writer.first, writer.last)
        asyncio.run(store.create(str(name), data))
    return number, plain, packed


def writing(folder: Path, rounds: int = 5) -> None:
    """Print what it takes to make the objects of an archive, beside zstd alone: interleaved, for load moves both."""
    found = sorted((folder / "evidence").rglob("*.zst"))
    groups = [(header_of(data).origin, list(events_of(data))) for data in (path.read_bytes() for path in found)]
    events = sum(len(lines) for _, lines in groups)

    def ours() -> None:
        for origin, lines in groups:
            writer = EvidenceWriter(origin)
            for number, line in enumerate(lines, 1):
                writer.add(line, number, number // 500)
            writer.finish()

    def alone() -> None:
        for _, lines in groups:
            frame = zstd.ZstdCompressor(level=LEVEL)
            for at in range(0, len(lines), 100):
                frame.compress(b"\n".join(lines[at : at + 100]))
            frame.flush()

    taken = [(_once(alone)[1], _once(ours)[1]) for _ in range(rounds)]
    more = min(own - base for base, own in taken) / events * 1e6
    print(f"evidence: {min(own for _, own in taken) / events * 1e6:.1f} µs CPU an event, {more:.1f} beyond zstd alone")
    lines = [line for _, found in groups for line in found]
    for held in HELD:
        packed = 0
        for at in range(0, len(lines), held):
            writer = EvidenceWriter(groups[0][0])
            for number, line in enumerate(lines[at : at + held], at + 1):
                writer.add(line, number, number // 500)
            packed += len(writer.finish())
        print(f"  {held} in an object: {packed / len(lines):.0f} B an event")


def copies(index: Index, times: int) -> None:
    """Make twelve months of `times` copies of all there is, with accounts and objects of their own, in place of it."""
    parts = index.parts()
    files = {file: [str(path) for path in index.files(parts, file)] for file in (VIEWS, ACTS, NAMES)}
    listed = next(iter(next(iter(parts.values())).days.values()))
    rows = sum(part.rows for part in parts.values())
    each = max(1, times // 12)
    with tempfile.TemporaryDirectory() as scratch, duck.connect(Path(scratch), memory="2GB") as connection:
        connection.read_parquet(files[VIEWS]).create_view("views")
        connection.read_parquet(files[ACTS]).create_view("acts")
        connection.read_parquet(files[NAMES]).create_view("w")
        for month in range(12):
            made = index.folder / f"month=2025-{month + 1:02}"
            made.mkdir(exist_ok=True)
            begin = f"timestamp '2025-{month + 1:02}-01 00:00:00+00'"
            own = f"(copy + {month * each})"
            for file, statement in (
                *(
                    (
                        file,
                        f"""select * exclude (copy, t0) replace (who || '-' || {own} % 24 as who, "user.id" || '-' || {own} % 24 as "user.id",
                        ({begin} + ("@timestamp" - t0) * 0.45)::timestamp_ms as "@timestamp", uuid() as "event.uuid",
                        "atlassian.audit.content.id" || '-' || {own} % 3 as "atlassian.audit.content.id")
                        from {view}, (select min("@timestamp") t0 from views), range({each}) c(copy) order by who, "@timestamp" """,
                    )
                    for file, view in ((VIEWS, "views"), (ACTS, "acts"))
                ),
                (
                    NAMES,
                    f"""select distinct * exclude (copy, own) replace (own as id, if(kind = 'id', own, "value") as "value")
                    from (select *, case entity when 'person' then id || '-' || {own} % 24
                      when 'group' then id when 'app' then id when 'token' then id when 'space' then id when 'site' then id
                      else id || '-' || {own} % 3 end own from w, range({each}) c(copy)) order by entity, folded""",
                ),
            ):
                connection.execute(f"copy ({statement}) to ? ({written(file)})", [str(made / file)])
            connection.read_parquet([str(made / VIEWS), str(made / ACTS)]).create_view("written", replace=True)
            connection.execute(f"create or replace view kept as select {RESTORED} from written")
            for file, statement in (
                (HOURS, f"select {hours.STORED} from ({hours.of_events('kept')})"),
                (OTHERS, "select * from written limit 0"),
            ):
                connection.sql(statement).write_parquet(str(made / file), compression="zstd")
            statement = """select distinct "evidence.object" "name", '' sha256 from kept"""
            connection.sql(statement).write_parquet(str(made / OBJECTS), compression="zstd")
            asked = hours.sums_of("read_parquet(?)")
            sums = hours.Sums(*connection.execute(asked, [str(made / HOURS)]).fetchall()[0])
            days = {date(2025, month + 1, day): listed for day in range(1, 29)}
            write_part(made, new_part(days, rows * each, 0, sums))


class Copied(ArchiveReader):
    """Reads an archive that has the days of every part of an index."""

    def __init__(self, folder: Path, index: Index) -> None:
        super().__init__(open_store(str(folder)))
        self.parts: dict[str, Part] = index.parts()

    def days(self) -> dict[date, list[str]]:
        return {day: list(said) for part in self.parts.values() for day, said in part.days.items()} | super().days()


def timed(tables: Tables, label: str, rounds: int = 3) -> None:
    asked = {"since": SINCE[0], "until": SINCE[1]}
    [(who,)] = tables.ask("select who from events group by who order by count(*) desc, who limit 1 offset 5").rows
    [(content,)] = tables.ask(
        'select "atlassian.audit.content.id" c from events where c is not null group by c order by count(*) desc, c limit 1'
    ).rows
    [(ip,)] = tables.ask(
        'select "source.ip" c from events where c is not null group by c order by count(*), c limit 1'
    ).rows
    values = asked | {"who": who, "content": content, "ip": ip}
    for name, statement in QUESTIONS.items():
        used = {key: value for key, value in values.items() if f"${key}" in statement}
        best = min(_once(lambda: tables.ask(statement, used)) for _ in range(rounds))  # noqa: B023
        print(f"  {name:34} {best[0] * 1000:8.0f} ms   CPU {best[1] * 1000:8.0f} ms   {label}")
    whole = {"who is meant, by id": lambda: find(tables, who)}
    archive, run = Archive(tables, Evidence("bench")), Run(0, "", "", "")
    for kind, subject in (("user", who), ("content", content), ("ip", ip), ("day", "2025-06-10")):
        question = Question(kind, subject, "UTC")
        whole[f"whole answer: {kind}"] = lambda q=question: answer(archive, SHAPES[q.kind], q, run, lambda _: None)
    for name, work in whole.items():
        best = min(_once(work) for _ in range(rounds))
        print(f"  {name:34} {best[0] * 1000:8.0f} ms   CPU {best[1] * 1000:8.0f} ms   {label}")


def _once(work) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def size(paths: Iterator[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--events", type=int, default=50_000)
    options.add_argument("--days", type=int, default=60)
    options.add_argument("--times", type=int, default=0)
    options.add_argument("--folder", type=Path, help="keep the archive here, and use what is there")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        index = Index(folder / "index" / "v1")
        if not (folder / "evidence").exists():
            events, plain, packed = evidence(folder, given.events, given.days)
            print(f"{events} events of {plain / events:.0f} B; evidence {packed / events:.0f} B an event")
            writing(folder)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            wall = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "forwarder", "investigate", "index", "--archive", str(folder)], check=True
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            print(
                f"built: {cpu / events * 1e6:.1f} µs CPU an event, "
                f"{(time.perf_counter() - wall) / events * 1e6:.1f} µs; peak {after.ru_maxrss / 1024:.0f} MB"
            )
            months = list(index.folder.glob("month=*"))
            rows = sum(part.rows for name, part in index.parts().items() if name.startswith("month="))
            for file in FILES:
                print(f"  {file}: {size(month / file for month in months) / max(rows, 1):.1f} B an event in months")
            if given.times:
                copies(index, given.times)
        with Copied(folder, index) as reader:
            for label, used in (("index", index), ("evidence", None)):
                if used is None and given.times:
                    continue
                begin = time.perf_counter()
                cpu = time.process_time()
                with open_tables(reader if used else ArchiveReader(open_store(str(folder))), used) as tables:
                    opened = time.perf_counter() - begin
                    [(rows,)] = tables.ask("select count(*) from events").rows
                    print(f"{label}: {rows} events, opened in {opened:.2f} s, CPU {(time.process_time() - cpu):.2f} s")
                    timed(tables, label)
                print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    sys.exit(main())
