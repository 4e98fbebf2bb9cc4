"""Damaged pages: found before they are believed, set aside with a gap, and everything else goes on."""

import sqlite3
from contextlib import closing

import pytest

from forwarder.spool.contract import SpoolError
from tests.spool.spools import Desk, body_of, bulky, found, names, opened


@pytest.fixture
async def desk(tmp_path):
    async with opened(tmp_path) as desk:
        yield desk


async def damage(desk: Desk, statement: str, *values) -> None:
    """Change the file while the spool is closed, then open it again."""
    await desk.spool.close()
    with closing(sqlite3.connect(desk.config.path)) as con, con:
        con.execute(statement, values)
        con.commit()
    await desk.reopen()


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
async def test_a_damaged_page_is_set_aside_and_the_rest_goes_on(desk: Desk, statement):
    lane, other = await desk.lane(), await desk.lane("archive")
    for prefix in "abc":
        await desk.put(*names(prefix, 10))
    await desk.take(other, 15)
    await desk.settle(other, (1, 12), (15, 15))
    await damage(desk, statement)
    lane, other = await desk.lane(), await desk.lane("archive")
    assert [chunk.first for chunk in await desk.take(lane)] == [1, 21]
    (gap,) = (await desk.spool.status()).gaps
    assert (gap.cause, gap.lane, gap.first_seq, gap.last_seq, gap.events) == ("damaged_page", None, 11, 20, 10)
    assert gap.detail
    line, second = await desk.line(), await desk.line("archive")
    assert (line.detached, line.balance) == (10, 0)
    assert (second.detached, second.balance) == (7, 0)
    assert await desk.settle(lane, (1, 10)) == 20
    assert len(await desk.drain(other)) == 10


async def test_ids_of_a_damaged_page_can_come_again(desk: Desk):
    await desk.put(*names("a", 10))
    await desk.put(*names("b", 10))
    await desk.put((names("b", 10)[3], "revised"))
    await damage(desk, FLIPPED)
    lane = await desk.lane()
    await desk.take(lane)
    before = (await desk.spool.status()).id_bytes
    done = await desk.put(*names("a", 10), *names("b", 10), (names("b", 10)[3], "revised"))
    assert (done.new, done.repeats) == (10, 11)
    assert (await desk.spool.status()).id_bytes > before
    every = await desk.drain(lane)
    assert {body_of(name) for name in (*names("a", 10), *names("b", 10))} <= set(every)
    assert (await desk.line()).balance == 0


async def test_damage_found_by_one_lane_while_another_has_it_in_flight(desk: Desk):
    await desk.lane(), await desk.lane("archive")
    for prefix in "abc":
        await desk.put(*names(prefix, 10))
    await desk.spool.close()
    await desk.reopen()
    lane, other = await desk.lane(), await desk.lane("archive")
    await desk.take(other, 30)
    desk.spool._parts.pages._cache.clear()
    desk.spool._parts.pages._cached = 0
    await desk.spool._run(lambda parts: parts.database.con.execute(FLIPPED).rowcount)
    assert len(found(await desk.take(lane))) == 20
    assert (await desk.line("archive")).detached == 10
    assert await desk.settle(other, (1, 30)) == 30
    line = await desk.line("archive")
    assert (line.accepted, line.detached, line.balance) == (30, 0, 0)


async def test_what_sqlite_cannot_follow_is_set_aside_too(desk: Desk):
    lane = await desk.lane()
    await desk.put(page=bulky("one"))
    await desk.put(page=bulky("two"))
    await desk.put("three")
    await desk.spool.close()
    path = desk.config.path
    with closing(sqlite3.connect(path)) as con:
        packed = con.execute("SELECT packed FROM bodies WHERE last_seq = 50").fetchone()[0]
    whole = bytearray(path.read_bytes())
    page = whole.index(packed[20_000:20_040]) // 4096
    whole[page * 4096 : page * 4096 + 4] = b"\x7f\xff\xff\xff"  # the overflow chain leads nowhere
    path.write_bytes(whole)
    await desk.reopen()
    lane = await desk.lane()
    assert len(await desk.drain(lane)) == 51
    (gap,) = (await desk.spool.status()).gaps
    assert (gap.cause, gap.events) == ("damaged_page", 50)
    assert (await desk.line()).balance == 0
    desk.clock.advance(2 * 86_400)
    for _ in range(4):
        await desk.spool.clean_up()
        desk.clock.advance(2 * 86_400)
    assert (await desk.spool.status()).pages == 0


async def test_damage_outside_the_pages_says_what_to_do(desk: Desk):
    for number in range(50):
        await desk.put(*names(f"p{number}-", 20))
    await desk.spool.close()
    path = desk.config.path
    with closing(sqlite3.connect(path)) as con:
        root = con.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'pages'").fetchone()[0]
    whole = bytearray(path.read_bytes())
    whole[(root - 1) * 4096 : root * 4096] = b"\xaa" * 4096
    path.write_bytes(whole)
    with pytest.raises(SpoolError, match=r"damaged.*snapshot"):
        await desk.reopen()
