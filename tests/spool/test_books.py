"""A small table that was damaged is noticed when the spool is opened: its numbers are told twice."""

import sqlite3
from contextlib import closing

import pytest

from forwarder.contracts.clock import SystemClock
from forwarder.spool.config import SpoolConfig
from forwarder.spool.contract import Settlement, SpoolError
from forwarder.spool.letter import DeadLetter
from tests.spool.spools import Harness, body_of, inspect, names, opened

DAMAGES = (
    "UPDATE lanes SET position = 14 WHERE name = 'elastic'",
    "UPDATE lanes SET position = 4 WHERE name = 'elastic'",
    "UPDATE lanes SET position = -1 WHERE name = 'elastic'",
    "UPDATE lanes SET head = 5 WHERE name = 'elastic'",
    "UPDATE lanes SET head = 1 << 40 WHERE name = 'elastic'",
    "UPDATE lanes SET number = 77 WHERE name = 'elastic'",
    "DELETE FROM lanes WHERE name = 'elastic'",
    "DELETE FROM sources",
    "UPDATE sources SET number = 9",
    "UPDATE settled SET first = first + 1",
    "UPDATE settled SET last = last + 1000",
    "UPDATE settled SET lane = 8",
    "DELETE FROM settled",
    "UPDATE spooled SET events = events + 64",
    "UPDATE spooled SET events = -1 << 62",
    "UPDATE spooled SET source = 3",
    "UPDATE spooled SET audience = 'x'",
    "DELETE FROM spooled",
    "UPDATE lane_books SET accepted = accepted + 1",
    "UPDATE lane_books SET accepted = accepted - 1, filtered = filtered + 2, detached = -1",
    "UPDATE lane_books SET rejected = rejected - 1, accepted = accepted + 1",
    "UPDATE lane_books SET discarded = 1",
    "UPDATE lane_books SET spooled_before = 1 << 40",
    "UPDATE lane_books SET accepted = (1 << 62) + ((1 << 62) - 1), filtered = (1 << 62) + ((1 << 62) - 1)",
    "DELETE FROM lane_books",
    "DELETE FROM dead_letters",
    "UPDATE dead_letters SET state = 2",
    "UPDATE dead_letters SET state = 9",
    "UPDATE dead_letters SET former = 1",
    "UPDATE dead_letters SET lane = 5",
    "UPDATE pages SET first_seq = 1 WHERE last_seq = 20",
    "UPDATE pages SET first_seq = 21 WHERE last_seq = 20",
    "UPDATE pages SET last_seq = 1000 WHERE last_seq = 30",
    "UPDATE pages SET source = 99 WHERE last_seq = 20",
    "UPDATE pages SET audience = 'x' WHERE last_seq = 20",
    "UPDATE meta SET value = 7 WHERE name = 'next_seq'",
    "UPDATE meta SET value = 'x' WHERE name = 'next_seq'",
    "UPDATE meta SET value = -1 WHERE name = 'next_seq'",
    "DELETE FROM meta WHERE name = 'id_bytes'",
    "UPDATE cursors SET source = 4",
)


@pytest.fixture
async def harness(tmp_path):
    """Give a lane with each kind of number in its books, and events that wait in each of three pages."""
    async with opened(tmp_path) as harness:
        lane = await harness.lane()
        for prefix in "abc":
            await harness.put(*names(prefix, 10))
        await harness.take(lane, 30)
        letter = DeadLetter(
            seq=5, source=harness.source.number, document_id="a4", reason="r", detail="d", raw=body_of("a4")
        )
        await harness.spool.exchange(
            lane,
            Settlement(
                ranges=[(1, 8), (15, 17)],
                filtered=[(15, 17)],
                dead_letters=[letter],
            ),
            after=0,
            events=0,
        )
        await harness.spool.close()
        with closing(sqlite3.connect(harness.config.path)) as con, con:
            con.execute("INSERT INTO cursors VALUES (?, 'tail', '{}', 1)", (harness.source.number,))
            con.commit()
        yield harness


@pytest.mark.parametrize("statement", DAMAGES)
async def test_a_damaged_number_is_an_error_at_the_start_and_for_whoever_looks(harness: Harness, statement):
    with closing(sqlite3.connect(harness.config.path)) as con, con:
        assert con.execute(statement).rowcount
        con.commit()
    before = harness.config.path.read_bytes()
    with pytest.raises(SpoolError, match=r"damaged.*snapshot"):
        await inspect(harness.config, SystemClock())
    with pytest.raises(SpoolError, match=r"damaged.*snapshot"):
        await harness.open()
    assert harness.config.path.read_bytes() == before, "it was left as it is"


async def test_a_whole_spool_opens_whatever_its_state(harness: Harness):
    await harness.open()
    assert set((await harness.balances()).values()) == {0}


async def test_the_error_names_the_numbers(harness: Harness):
    with closing(sqlite3.connect(harness.config.path)) as con, con:
        con.execute("UPDATE lane_books SET accepted = 9")
        con.commit()
    with pytest.raises(
        SpoolError, match=r"of source acme, 30 events of 2026-.* were written for sink elastic, but accepted 9"
    ):
        await harness.open()


async def test_a_spool_that_is_refused_can_be_opened_once_it_was_put_right(harness: Harness):
    config: SpoolConfig = harness.config
    whole = config.path.read_bytes()
    with closing(sqlite3.connect(config.path)) as con, con:
        con.execute("DELETE FROM spooled")
        con.commit()
    with pytest.raises(SpoolError):
        await harness.open()
    config.path.write_bytes(whole)
    await harness.open()
