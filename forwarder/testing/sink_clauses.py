"""Sending, confirming late and ending: clauses B1 to B11, C and D1 of docs/sink-specification.md, on every far end.

Each clause runs behind the real lane and the real spool, and names what it proves. A far end says what it can play.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from forwarder.contracts import Asked, Verifies
from forwarder.testing.delivering import EVENTS, delivering, everything
from forwarder.testing.far_end import SECOND_SECRET, Ability, FarEnd, secret_file
from forwarder.testing.lanes import ORIGIN
from forwarder.testing.suite import clause

# -------------------------------------------------------------------------------------------------------- B: sending


@clause()
async def test_b1_b2_everything_arrives_once_and_the_books_balance(far_end: type[FarEnd], tmp_path: Path) -> None:
    async with delivering(far_end, tmp_path) as d:
        d.start()
        await d.fill()
        assert await d.arrived() == Counter(everything())
        assert d.lane.report.accepted == EVENTS


@clause("reject")
async def test_b3_what_is_refused_is_refused_alone(far_end: type[FarEnd], tmp_path: Path) -> None:
    bad = {"e0", "e7", "e8", "e24"}
    async with delivering(far_end, tmp_path) as d:
        d.end.reject(bad)
        d.start()
        await d.fill()
        landed = await d.arrived()
        assert set(landed) == everything() - bad
        await d.only_doubtful_doubles(landed)
        letters = await d.bench.spool.dead_letters("one")
        assert {letter.raw.split(b'"')[3].decode() for letter in letters} == bad
        assert all(letter.reason and " " not in letter.reason for letter in letters)


@clause("reject_all")
async def test_b4_what_is_refused_alike_waits_until_the_sink_takes_anything_else(
    far_end: type[FarEnd], tmp_path: Path
) -> None:
    async with delivering(far_end, tmp_path) as d:
        d.end.reject(everything())
        d.start()
        await d.fill()
        await d.until(lambda: d.lane.report.state == "held" and d.lane.report.tries >= 6)
        assert d.lane.report.reason
        assert d.lane.report.fix
        assert d.lane.report.dead_letters == 0
        await d.fill(3, "later")
        assert set(await d.arrived()) == everything(3, "later")
        assert d.lane.report.rejected == EVENTS


@clause("reject_all")
async def test_b4_what_is_refused_alike_arrives_when_the_sink_is_fixed(far_end: type[FarEnd], tmp_path: Path) -> None:
    async with delivering(far_end, tmp_path) as d:
        d.end.reject(everything())
        d.start()
        await d.fill()
        await d.until(lambda: d.lane.report.state == "held" and d.lane.report.tries >= 6)
        d.end.calm()
        landed = await d.arrived()
        assert set(landed) == everything()
        assert d.lane.report.dead_letters == 0
        await d.only_doubtful_doubles(landed)


@clause("busy")
async def test_b5_trouble_that_passes_is_outlived(far_end: type[FarEnd], tmp_path: Path) -> None:
    async with delivering(far_end, tmp_path) as d:
        d.end.play("busy", 3)
        d.start()
        await d.fill()
        landed = await d.arrived()
        assert set(landed) == everything()
        assert d.lane.report.errors.total() >= 1
        assert d.lane.report.well
        await d.only_doubtful_doubles(landed)


@clause("auth")
async def test_b6_a_refused_secret_holds_and_a_new_file_fixes_it(far_end: type[FarEnd], tmp_path: Path) -> None:
    async with delivering(far_end, tmp_path) as d:
        d.start()
        await d.fill(5, "before")
        await d.arrived()
        d.end.rotate()
        await d.fill()
        await d.until(lambda: d.lane.report.state == "held")
        assert d.lane.report.fix
        assert set(d.end.landed) == everything(5, "before")
        secret_file(tmp_path, SECOND_SECRET)
        landed = await d.arrived()
        assert set(landed) == everything() | everything(5, "before")
        assert landed.total() == len(landed)
        assert d.lane.report.dead_letters == 0


@clause("too_large")
async def test_b7_what_is_too_large_is_halved(far_end: type[FarEnd], tmp_path: Path) -> None:
    async with delivering(far_end, tmp_path) as d:
        d.end.play("too_large", 2)
        d.start()
        await d.fill()
        assert await d.arrived() == Counter(everything())
        assert d.lane.report.batches > 3
        assert d.lane.report.dead_letters == 0


@clause(one_of=("slow", "stall", "reset", "garbage"))
async def test_b9_b10_b14_a_bad_answer_accepts_nothing_and_everything_arrives(
    far_end: type[FarEnd], fault: Ability, tmp_path: Path
) -> None:
    async with delivering(far_end, tmp_path) as d:
        d.end.play(fault, 2)
        d.start()
        await d.fill()
        landed = await d.arrived()
        assert set(landed) == everything()
        assert d.lane.report.dead_letters == 0
        await d.only_doubtful_doubles(landed)


@clause("restart")
async def test_b11_a_destination_that_was_away_is_found_again(far_end: type[FarEnd], tmp_path: Path) -> None:
    async with delivering(far_end, tmp_path) as d:
        d.start()
        await d.fill(5, "before")
        await d.until(lambda: len(d.end.landed) == 5)  # so the far end knows of the connection that it is to cut
        await d.end.close()
        await d.fill()
        await d.until(lambda: d.lane.report.state in {"retrying", "held"})
        await d.end.open()
        landed = await d.arrived()
        assert set(landed) == everything() | everything(5, "before")
        await d.only_doubtful_doubles(landed)


@clause()
async def test_b18_what_is_there_is_said_of_each_document_that_is_asked_for(
    far_end: type[FarEnd], tmp_path: Path
) -> None:
    async with delivering(far_end, tmp_path) as d:
        d.start()
        await d.fill()
        await d.arrived()
        if not isinstance(d.sink, Verifies):
            return  # it need not
        there, never_sent = d.bench.document_ids, [f"{number:032x}" for number in range(3)]
        assert set(await d.sink.holds(Asked([*there, *never_sent], ORIGIN, "2026-01-31"))) == set(there)


# ------------------------------------------------------------------------------------------------ C: confirming late


@clause("late")
async def test_c_nothing_is_settled_before_it_is_confirmed(far_end: type[FarEnd], tmp_path: Path) -> None:
    async with delivering(far_end, tmp_path) as d:
        d.end.play("late", 2)
        d.start()
        await d.fill()
        await d.until(lambda: d.lane.report.pending > 0)
        assert d.lane.report.accepted < EVENTS
        landed = await d.arrived()
        assert set(landed) == everything()
        await d.only_doubtful_doubles(landed)


# --------------------------------------------------------------------------------------------------------- D: ending


@clause("stall")
async def test_d1_close_ends_what_is_in_flight_and_the_next_life_sends_it_again(
    far_end: type[FarEnd], tmp_path: Path
) -> None:
    async with delivering(far_end, tmp_path) as d:
        d.end.play("stall", 100)
        d.start()
        await d.fill()
        await d.until(lambda: d.lane.report.in_flight > 0)
        lane, task = d.bench.lanes.pop("one")
        task.cancel()
        await asyncio.wait({task})
        await d.sink.close()
        await d.sink.close()
        await d.end.close()
        await d.end.open()
        d.end.calm()
        d.start()
        landed = await d.arrived()
        assert set(landed) == everything()
        await d.only_doubtful_doubles(landed)
        assert lane is not d.lane
