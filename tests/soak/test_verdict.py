"""What the soak calls flat, and what it calls a leak."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import pytest

from bench.soak.room import Room, room_of_ids
from bench.soak.samples import Sample
from bench.soak.verdict import ids_take_too_much, judge, moments, rows, slope

MB = 1_000_000
FLAT = Sample(0.0, 95 * MB, 40, 11, 35, 50 * MB, 90 * MB, 4 * MB, 2800, 0, 0.0, 200 * MB)


def hour(**per_hour: float) -> list[Sample]:
    """An hour of samples that swing as real ones do, in which some fields grow by so much."""
    rng = random.Random(1)
    return [
        replace(
            FLAT,
            at=at,
            memory=int(95 * MB + rng.uniform(-1, 1) * MB + per_hour.get("memory", 0) * at / 3600),
            handles=int(40 + rng.choice((0, 0, 0, 1, 3)) + per_hour.get("handles", 0) * at / 3600),
            threads=int(11 + per_hour.get("threads", 0) * at / 3600),
            tasks=int(35 + rng.choice((0, 0, 2)) + per_hour.get("tasks", 0) * at / 3600),
            spool=int(50 * MB + rng.uniform(-5, 5) * MB + per_hour.get("spool", 0) * at / 3600),
            wal=int(4 * MB + per_hour.get("wal", 0) * at / 3600),
            waiting=int(rng.uniform(500, 5000) + per_hour.get("waiting", 0) * at / 3600),
            harness=int(200 * MB + per_hour.get("harness", 0) * at / 3600),
        )
        for at in range(0, 3600, 10)
    ]


def growing(samples: list[Sample], warm_up: float = 480) -> set[str]:
    return {each.row.name for each in judge(samples, warm_up, rows(2800)) if not each.flat}


def test_what_swings_is_flat() -> None:
    assert growing(hour()) == set()


def teeth(per_hour: float) -> list[Sample]:
    """An hour of memory that rises by 45 MB within eight minutes and falls again, above what is kept."""
    return [
        replace(each, memory=int(235 * MB + 45 * MB * (each.at % 450) / 450 + per_hour * each.at / 3600))
        for each in hour()
    ]


def test_memory_is_judged_by_what_it_falls_back_to() -> None:
    swings = teeth(0)
    times, values = [each.at for each in swings], [float(each.memory) for each in swings]
    rise = slope(times[90:], values[90:]) * 3600  # of a line through the same hour
    assert rise > 0.03 * 257 * MB
    assert growing(swings, 900) == set()
    assert growing(teeth(8 * MB), 900) == {"memory"}


def test_what_shrinks_is_no_fault() -> None:
    assert growing(hour(memory=-20 * MB, handles=-10, spool=-30 * MB)) == set()


@pytest.mark.parametrize(
    ("field", "per_hour", "name"),
    [
        ("memory", 5 * MB, "memory"),
        ("handles", 6, "open handles"),
        ("threads", 2, "threads"),
        ("tasks", 16, "tasks"),
        ("spool", 20 * MB, "spool beside its ids"),
        ("wal", 10 * MB, "write-ahead log"),
        ("waiting", 50_000, "waiting events"),
        ("harness", 40 * MB, "memory of the harness"),
    ],
)
def test_what_grows_is_named(field: str, per_hour: float, name: str) -> None:
    assert growing(hour(**{field: per_hour})) == {name}


def test_the_warm_up_is_left_out() -> None:
    warm = [replace(sample, memory=60 * MB + int(min(sample.at, 480) / 480 * 35 * MB)) for sample in hour()]
    assert growing(warm) == set()
    assert growing(warm, warm_up=0) == {"memory"}


def test_too_few_samples_are_no_verdict() -> None:
    with pytest.raises(ValueError, match="too few"):
        judge(hour()[:10], 30, rows(2800))


def test_the_slope_is_that_of_the_line() -> None:
    assert slope([0, 1, 2, 3], [5, 7, 9, 11]) == pytest.approx(2)


def saw(at: float) -> int:
    """A spool of 18 to 26 MB that is cleaned up every half minute, and the little that a round takes."""
    return int(18 * MB + 8 * MB * (at % 30.05) / 30.05)


def grew_in_the_spool(times: list[float], growth: float = 0) -> float:
    samples = [replace(FLAT, at=at, spool=int(saw(at) + growth * at / 3600)) for at in times]
    (found,) = [each for each in judge(samples, 900, rows(2800)) if each.row.name == "spool beside its ids"]
    return found.grew


def test_a_spool_that_is_cleaned_up_in_step_with_the_samples_is_flat() -> None:
    spread = list(takewhile(lambda at: at < 3720, moments(10)))
    assert all(number * 10 <= at < (number + 1) * 10 for number, at in enumerate(spread))
    assert abs(grew_in_the_spool(spread)) < 0.5
    assert grew_in_the_spool(spread, 6 * MB) > 4
    in_step = [number * 10.03 for number in range(371)]
    assert max(abs(grew_in_the_spool([at + phase for at in in_step])) for phase in range(10)) > 1.5


def test_what_ids_take_beside_themselves_is_no_growth_of_the_rest() -> None:
    ids = [replace(sample, ids=int(250 * MB * sample.at / 3600)) for sample in hour()]
    paged = [replace(sample, spool=int(sample.spool + 0.023 * sample.ids)) for sample in ids]
    assert {each.row.name for each in judge(paged, 900, rows(2800, 0.023)) if not each.flat} == set()
    more = [replace(sample, spool=sample.spool + int(8 * MB * sample.at / 3600)) for sample in paged]
    assert {each.row.name for each in judge(more, 900, rows(2800, 0.023)) if not each.flat} == {"spool beside its ids"}


def test_ids_that_take_too_much_are_named() -> None:
    assert ids_take_too_much(Room(250 * MB, 256 * MB)) == ""
    assert ids_take_too_much(Room(1 * MB, 1_400_000)) == ""
    assert "250.0 MB and take 8.0 MB more" in ids_take_too_much(Room(250 * MB, 258 * MB))


def test_the_room_of_ids_is_that_of_their_pages_alone(tmp_path: Path) -> None:
    spool = tmp_path / "spool.db"
    with closing(sqlite3.connect(spool)) as con, con:
        con.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY)")
        con.execute("CREATE TABLE ids (number INTEGER PRIMARY KEY, minute TEXT, entries BLOB)")
        con.execute("CREATE INDEX ids_by_minute ON ids (minute)")
        con.execute("CREATE TABLE bodies (packed BLOB)")
        con.execute("INSERT INTO meta VALUES ('id_bytes', 1200000)")
        con.executemany("INSERT INTO ids VALUES (?, '', ?)", [(number, bytes(12_000)) for number in range(100)])
    found = room_of_ids(spool)
    if found is None:
        pytest.skip("this SQLite has no dbstat")
    assert found.counted == 1_200_000
    assert 0.02 < found.more < 0.05
    with closing(sqlite3.connect(spool)) as con, con:
        con.executemany("INSERT INTO bodies VALUES (?)", [(bytes(9000),)] * 100)
        con.execute("DELETE FROM bodies WHERE rowid > 50")
    assert room_of_ids(spool) == found
