"""What the soak calls flat, and what it calls a leak."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from bench.soak.samples import Sample
from bench.soak.verdict import judge, rows, slope

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
