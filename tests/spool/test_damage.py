"""Damaged pages: found before they are believed, set aside with a gap, and everything else goes on."""

import sqlite3
from contextlib import closing

import pytest

from forwarder.spool.contract import SpoolError
from tests.spool.spools import Harness, body_of, bulky, found, names, opened


@pytest.fixture
async def harness(tmp_path):
    async with opened(tmp_path) as harness:
        yield harness


async def damage(harness: Harness, statement: str, *values) -> None:
    """Change the file while the spool is closed, then open it again."""
    await harness.spool.close()
    with closing(sqlite3.connect(harness.config.path)) as con, con:
        con.execute(statement, values)
        con.commit()
    await harness.reopen()


FLIPPED = "UPDATE bodies SET packed = CAST(substr(packed, 1, 30) || x'dead' || substr(packed, 33) AS BLOB) WHERE last_seq = 20"
DAMAGES = {
    "flipped": FLIPPED,
    "cut": "UPDATE bodies SET packed = substr(packed, 1, 40) WHERE last_seq = 20",
    "empty": "UPDATE bodies SET packed = x'' WHERE last_seq = 20",
    "keys": "UPDATE bodies SET keys = zeroblob(length(keys)) WHERE last_seq = 20",
    "missing": "DELETE FROM bodies WHERE last_seq = 20",
    "exchanged": "UPDATE bodies SET packed = (SELECT packed FROM bodies WHERE last_seq = 10) WHERE last_seq = 20",
}


@pytest.mark.parametrize("statement", DAMAGES.values(), ids=DAMAGES.keys())
async def test_a_damaged_page_is_set_aside_and_the_rest_goes_on(harness: Harness, statement):
    lane, other = await harness.lane(), await harness.lane("archive")
    for prefix in "abc":
        await harness.put(*names(prefix, 10))
    await harness.take(other, 15)
    await harness.settle(other, (1, 12), (15, 15))
    await damage(harness, statement)
    lane, other = await harness.lane(), await harness.lane("archive")
    assert [chunk.first for chunk in await harness.take(lane)] == [1, 21]
    (gap,) = (await harness.spool.status()).gaps
    assert (gap.cause, gap.lane, gap.first_seq, gap.last_seq, gap.events) == ("damaged_page", None, 11, 20, 10)
    assert gap.detail
    line, second = await harness.line(), await harness.line("archive")
    assert (line.detached, line.balance) == (10, 0)
    assert (second.detached, second.balance) == (7, 0)
    assert await harness.settle(lane, (1, 10)) == 20
    assert len(await harness.drain(other)) == 10


async def test_ids_of_a_damaged_page_can_come_again(harness: Harness):
    await harness.put(*names("a", 10))
    await harness.put(*names("b", 10))
    await harness.put((names("b", 10)[3], "revised"))
    await damage(harness, FLIPPED)
    lane = await harness.lane()
    await harness.take(lane)
    before = (await harness.spool.status()).id_bytes
    done = await harness.put(*names("a", 10), *names("b", 10), (names("b", 10)[3], "revised"))
    assert (done.new, done.repeats) == (10, 11)
    assert (await harness.spool.status()).id_bytes > before
    every = await harness.drain(lane)
    assert {body_of(name) for name in (*names("a", 10), *names("b", 10))} <= set(every)
    assert (await harness.line()).balance == 0


async def test_damage_found_by_one_lane_while_another_has_it_in_flight(harness: Harness):
    await harness.lane(), await harness.lane("archive")
    for prefix in "abc":
        await harness.put(*names(prefix, 10))
    await harness.spool.close()
    await harness.reopen()
    lane, other = await harness.lane(), await harness.lane("archive")
    await harness.take(other, 30)
    harness.spool._parts.pages._cache.clear()
    harness.spool._parts.pages._cached = 0
    await harness.spool._run(lambda parts: parts.database.con.execute(FLIPPED).rowcount)
    assert len(found(await harness.take(lane))) == 20
    assert (await harness.line("archive")).detached == 10
    assert await harness.settle(other, (1, 30)) == 30
    line = await harness.line("archive")
    assert (line.accepted, line.detached, line.balance) == (30, 0, 0)


async def test_what_sqlite_cannot_follow_is_set_aside_too(harness: Harness):
    lane = await harness.lane()
    await harness.put(page=bulky("one"))
    await harness.put(page=bulky("two"))
    await harness.put("three")
    await harness.spool.close()
    path = harness.config.path
    with closing(sqlite3.connect(path)) as con:
        packed = con.execute("SELECT packed FROM bodies WHERE last_seq = 50").fetchone()[0]
    whole = bytearray(path.read_bytes())
    page = whole.index(packed[20_000:20_040]) // 4096
    whole[page * 4096 : page * 4096 + 4] = b"\x7f\xff\xff\xff"  # the overflow chain leads nowhere
    path.write_bytes(whole)
    await harness.reopen()
    lane = await harness.lane()
    assert len(await harness.drain(lane)) == 51
    (gap,) = (await harness.spool.status()).gaps
    assert (gap.cause, gap.events) == ("damaged_page", 50)
    assert (await harness.line()).balance == 0
    harness.clock.advance(2 * 86_400)
    for _ in range(4):
        await harness.spool.clean_up()
        harness.clock.advance(2 * 86_400)
    assert (await harness.spool.status()).pages == 0


async def test_damage_outside_the_pages_says_what_to_do(harness: Harness):
    for number in range(50):
        await harness.put(*names(f"p{number}-", 20))
    await harness.spool.close()
    path = harness.config.path
    with closing(sqlite3.connect(path)) as con:
        root = con.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'pages'").fetchone()[0]
    whole = bytearray(path.read_bytes())
    whole[(root - 1) * 4096 : root * 4096] = b"\xaa" * 4096
    path.write_bytes(whole)
    with pytest.raises(SpoolError, match=r"damaged.*snapshot"):
        await harness.reopen()
