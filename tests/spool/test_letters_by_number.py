"""A dead letter holds the event as the API sent it, whatever the lane made of it: the spool copies it by its number."""

from __future__ import annotations

import pytest

from forwarder.contracts import Held
from forwarder.spool.contract import PageCommit, Settlement, Tally
from forwarder.spool.letter import LONGEST_DETAIL, PAGE_GONE, DeadLetter, Selection
from forwarder.spool.sqlite.exchange import READ_BYTES
from tests.spool.disks import fill_up, mounted
from tests.spool.spools import OTHER, Desk, body_of, bulky, key_of, names, opened, page_of

LEFT = b'{"id":"what privacy left of it"}'


@pytest.fixture
async def desk(tmp_path):
    async with opened(tmp_path) as desk:
        yield desk


def letters(
    desk: Desk, *seqs: int, source: int | None = None, detail: str = "no", read_ms: int = 7
) -> list[DeadLetter]:
    """What a lane says of events that its sink refused; it has them as its privacy left them."""
    number = source or desk.source.number
    return [DeadLetter(seq, number, key_of(f"{seq}").hex(), "refused", detail, LEFT, read_ms=read_ms) for seq in seqs]


def rejected(desk: Desk, *seqs: int, accepted: tuple[int, ...] = (), source: int | None = None, **more) -> Settlement:
    number = source or desk.source.number
    return Settlement(
        [(seq, seq) for seq in (*seqs, *accepted)],
        {number: Tally(rejected=len(seqs), accepted=len(accepted))},
        letters(desk, *seqs, source=source, **more),
    )


async def settle(desk: Desk, lane: int, settlement: Settlement) -> int:
    return (await desk.spool.exchange(lane, settlement, after=0, events=0)).position


async def kept(desk: Desk, lane: str | None = None) -> dict[int, bytes]:
    return {letter.seq: letter.raw for letter in await desk.spool.dead_letters(lane)}


def forget_pages(desk: Desk) -> None:
    """Forget what is in memory of the pages: they are read from the file."""
    pages = desk.spool._parts.pages
    pages.drop(list(pages._cache))


async def damage(desk: Desk, last_seq: int) -> None:
    """Damage a page that no one has in memory."""
    statement = "UPDATE bodies SET packed = zeroblob(length(packed)) WHERE last_seq = ?"
    changed = await desk.spool._run(lambda parts: parts.database.con.execute(statement, (last_seq,)).rowcount)
    assert changed == 1
    forget_pages(desk)


async def damage_letter(desk: Desk, number: int) -> None:
    statement = "UPDATE dead_letters SET raw = x'00' WHERE number = ?"
    assert await desk.spool._run(lambda parts: parts.database.con.execute(statement, (number,)).rowcount) == 1


# ---------------------------------------------------------------------------------------------------- which event


@pytest.mark.parametrize("where", ["memory", "file"])
async def test_events_of_many_pages_come_by_their_numbers_in_any_order(desk: Desk, where: str):
    lane = await desk.lane()
    for prefix in "abc":
        await desk.put(*names(prefix, 10))
    await desk.take(lane)
    if where == "file":
        forget_pages(desk)
    chosen = (25, 3, 11, 30, 10, 1, 20)
    assert await settle(desk, lane, rejected(desk, *chosen)) == 1
    expected = {seq: body_of(f"{'abc'[(seq - 1) // 10]}{(seq - 1) % 10}") for seq in chosen}
    assert await kept(desk) == expected
    assert [letter.seq for letter in await desk.spool.dead_letters()] == sorted(chosen)
    assert (await desk.line()).balance == 0


async def test_a_page_with_repeats_and_a_revision_gives_each_number_its_own_event(desk: Desk):
    await desk.put("a", "b", ("c", "first"))
    await desk.put("b", ("c", "second"), "d", "a", ("d", "revised"), ("c", "first"), "e")
    lane = await desk.lane()
    bodies = {seq: body for chunk in await desk.take(lane) for seq, body in enumerate(chunk.bodies, chunk.first)}
    assert list(bodies.values()) == [
        *(body_of("a"), body_of("b"), body_of("c", "first")),
        *(body_of("c", "second"), body_of("d"), body_of("d", "revised"), body_of("e")),
    ]
    await settle(desk, lane, rejected(desk, *bodies))
    assert await kept(desk) == bodies


async def test_a_page_for_one_sink_between_pages_for_all(desk: Desk):
    lane, other = await desk.lane(), await desk.lane("archive")
    await desk.put(*names("a", 3))
    await desk.put(*names("b", 3), audience="elastic")
    await desk.put(*names("c", 3))
    await desk.take(lane), await desk.take(other)
    await settle(desk, lane, rejected(desk, 2, 5, 8))
    await settle(desk, other, rejected(desk, 2, 8))
    assert await kept(desk, "elastic") == {2: body_of("a1"), 5: body_of("b1"), 8: body_of("c1")}
    assert await kept(desk, "archive") == {2: body_of("a1"), 8: body_of("c1")}


async def test_two_sinks_keep_a_letter_of_one_event_and_neither_needs_the_other(tmp_path):
    async with opened(tmp_path, retain=0) as desk:
        lane, other = await desk.lane(), await desk.lane("archive")
        await desk.put(*names("a", 3))
        await desk.take(lane), await desk.take(other)
        await settle(desk, lane, rejected(desk, 2, accepted=(1, 3)))
        await desk.spool.discard_letters("elastic", Selection(), who="me", words="all")
        assert await settle(desk, other, rejected(desk, 2, accepted=(1, 3))) == 3
        for _ in range(2):
            desk.clock.advance(60)
            await desk.spool.clean_up()
        assert (await desk.spool.status()).pages == 0
        assert await kept(desk) == {2: body_of("a1")}


async def test_two_sources(desk: Desk):
    other = await desk.spool.open_source(OTHER)
    lane = await desk.lane()
    await desk.put("a")
    await desk.spool.commit(PageCommit(source=other.number, epoch=other.epoch, page=page_of("a", "b")))
    await desk.take(lane)
    both = rejected(desk, 1)
    theirs = rejected(desk, 3, source=other.number)
    both.ranges += theirs.ranges
    both.tallies |= theirs.tallies
    both.dead_letters = [*theirs.dead_letters, *both.dead_letters]
    await settle(desk, lane, both)
    assert await kept(desk) == {1: body_of("a"), 3: body_of("b")}


async def test_a_large_event_beyond_what_is_given_at_once(desk: Desk):
    lane = await desk.lane()
    await desk.put("a", ("b", "x" * (READ_BYTES + 1)), "c")
    for after in (0, 1, 2):
        await desk.take(lane, 1, after)
    await settle(desk, lane, rejected(desk, 1, 2, 3))
    assert await kept(desk) == {1: body_of("a"), 2: body_of("b", "x" * (READ_BYTES + 1))}
    (last,) = await desk.spool.dead_letters(after=2)
    assert last.raw == body_of("c")


async def test_the_same_settlement_twice_makes_one_letter(desk: Desk):
    lane = await desk.lane()
    await desk.put(*names("a", 3))
    await desk.take(lane)
    settlement = rejected(desk, 2)
    await settle(desk, lane, settlement)
    await settle(desk, lane, settlement)
    assert await kept(desk) == {2: body_of("a1")}
    assert settlement.dead_letters == letters(desk, 2), "what the lane said is as it was, for another try"


# ------------------------------------------------------------------------------------------------- refused again


@pytest.mark.parametrize("page", ["there", "gone"])
async def test_what_is_refused_again_keeps_the_event_of_its_letter(tmp_path, page: str):
    async with opened(tmp_path, retain=0) as desk:
        lane = await desk.lane()
        await desk.put(*names("a", 3))
        await desk.take(lane)
        await settle(desk, lane, rejected(desk, 2, accepted=(1, 3)))
        if page == "gone":
            for _ in range(2):
                desk.clock.advance(60)
                await desk.spool.clean_up()
            assert (await desk.spool.status()).pages == 0
        for tries in (2, 3):
            await desk.spool.retry_letters(None, Selection())
            (chunk,) = (await desk.spool.exchange(lane, Settlement(), after=3, events=9)).again
            assert chunk.bodies == [body_of("a1")], "privacy begins anew from what the API sent"
            await settle(desk, lane, rejected(desk, 2))
            (letter,) = await desk.spool.dead_letters()
            assert (letter.raw, letter.tries, letter.detail) == (body_of("a1"), tries, "no")
        assert (await desk.line()).balance == 0


@pytest.mark.parametrize("page", ["there", "gone"])
async def test_a_letter_that_is_damaged_while_its_event_is_sent_again(tmp_path, page: str):
    async with opened(tmp_path, retain=0) as desk:
        lane = await desk.lane()
        await desk.put(*names("a", 3))
        await desk.take(lane)
        await settle(desk, lane, rejected(desk, 2, accepted=(1, 3)))
        await desk.spool.retry_letters(None, Selection())
        await desk.spool.exchange(lane, Settlement(), after=3, events=9)
        await damage_letter(desk, 1)
        if page == "gone":
            for _ in range(2):
                desk.clock.advance(60)
                await desk.spool.clean_up()
        await settle(desk, lane, rejected(desk, 2))
        (letter,) = await desk.spool.dead_letters()
        expected = (body_of("a1"), "no") if page == "there" else (LEFT, f"no {PAGE_GONE}")
        assert (letter.raw, letter.detail, letter.tries) == (*expected, 2)
        line = await desk.line()
        assert (line.accepted, line.rejected, line.balance) == (2, 1, 0)


async def test_new_and_retried_events_are_refused_together(desk: Desk):
    lane = await desk.lane()
    await desk.put(*names("a", 3))
    await desk.take(lane)
    await settle(desk, lane, rejected(desk, 1, 3, accepted=(2,)))
    await desk.put(*names("b", 3))
    await desk.spool.retry_letters(None, Selection())
    await desk.spool.exchange(lane, Settlement(), after=3, events=9)
    await settle(desk, lane, rejected(desk, 5, 3, 4, accepted=(1, 6)))
    assert await kept(desk) == {3: body_of("a2"), 4: body_of("b0"), 5: body_of("b1")}
    assert {letter.seq: letter.tries for letter in await desk.spool.dead_letters()} == {3: 2, 4: 1, 5: 1}
    line = await desk.line()
    assert (line.accepted, line.rejected, line.waiting, line.balance) == (3, 3, 0, 0)


# ------------------------------------------------------------------------------------------------- the page is gone


@pytest.mark.parametrize("end", ["exchange", "leave"])
async def test_a_page_that_is_damaged_while_its_event_is_in_flight(desk: Desk, end: str):
    lane, other = await desk.lane(), await desk.lane("archive")
    await desk.put(*names("a", 10))
    await desk.put(*names("b", 10))
    await desk.take(lane)
    await damage(desk, 10)
    settlement = rejected(desk, 4, 14, accepted=tuple(seq for seq in range(1, 21) if seq not in {4, 14}))
    if end == "leave":
        await desk.spool.leave_lane(lane, settlement)
    else:
        assert await settle(desk, lane, settlement) == 20
    lost, whole = await desk.spool.dead_letters("elastic")
    assert (lost.seq, lost.raw, lost.detail) == (4, LEFT, f"no {PAGE_GONE}")
    assert (whole.seq, whole.raw, whole.detail) == (14, body_of("b3"), "no")
    (gap,) = (await desk.spool.status()).gaps
    assert (gap.cause, gap.first_seq, gap.last_seq) == ("damaged_page", 1, 10)
    line = await desk.line()
    assert (line.accepted, line.rejected, line.detached, line.balance) == (18, 2, 0, 0)
    assert len(await desk.drain(other)) == 10
    assert (await desk.put(*names("a", 10))).new == 10, "what was damaged can be read again"
    assert set((await desk.balances()).values()) == {0}
    await desk.reopen()  # the tables agree with each other


async def test_a_page_that_was_withdrawn_for_want_of_room(tmp_path):
    async with opened(tmp_path, max_bytes=2**20) as desk:
        lane = await desk.lane(on_full="detach")
        await desk.put(page=bulky("first"))
        assert len(await desk.take(lane)) == 1
        number = 0
        while (await desk.spool.status()).first_seq == 1:
            await desk.put(page=bulky(f"more{number}"))
            number += 1
        await settle(desk, lane, rejected(desk, 3, 7))
        found = await desk.spool.dead_letters()
        assert [(letter.seq, letter.raw, letter.detail) for letter in found] == [
            (seq, LEFT, f"no {PAGE_GONE}") for seq in (3, 7)
        ]
        line = await desk.line()
        assert (line.rejected, line.balance) == (2, 0)
        await desk.spool.retry_letters(None, Selection())
        given = await desk.spool.exchange(lane, Settlement(), after=10_000, events=9)
        assert [(chunk.first, chunk.bodies) for chunk in given.again] == [(3, [LEFT]), (7, [LEFT])]


async def test_a_long_answer_leaves_room_for_what_is_said_of_the_page(desk: Desk):
    lane = await desk.lane()
    await desk.put(*names("a", 3))
    await desk.take(lane)
    await damage(desk, 3)
    await settle(desk, lane, rejected(desk, 2, detail="x" * LONGEST_DETAIL))
    (letter,) = await desk.spool.dead_letters()
    assert letter.detail.endswith(f"x… {PAGE_GONE}")
    assert len(letter.detail) == LONGEST_DETAIL


async def test_retention_takes_the_page_only_after_the_letter_has_its_event(tmp_path):
    async with opened(tmp_path, retain=0) as desk:
        lane = await desk.lane()
        await desk.put(*names("a", 3))
        await desk.put(*names("b", 3))
        await desk.take(lane)
        forget_pages(desk)
        for _ in range(3):
            desk.clock.advance(3600)
            await desk.spool.clean_up()
        await settle(desk, lane, rejected(desk, 1, 6, accepted=(2, 3, 4, 5)))
        for _ in range(3):
            desk.clock.advance(3600)
            await desk.spool.clean_up()
        assert (await desk.spool.status()).pages == 0
        await desk.reopen()
        assert await kept(desk) == {1: body_of("a0"), 6: body_of("b2")}


# ------------------------------------------------------------------------------------------------------ full disk


async def test_a_disk_that_is_full_while_letters_are_written(tmp_path):
    """The log was emptied, and together the letters are larger than the reserve."""
    with mounted(tmp_path / "disk", "size=32m") as disk:
        async with opened(disk) as desk:
            lane = await desk.lane()
            await desk.put(page=bulky("a", 4, 2**20))
            await desk.reopen()
            await desk.lane()
            for after in range(4):
                await desk.take(lane, 1, after)
            fill_up(disk)
            settlement = rejected(desk, 1, 2, 3, 4)
            with pytest.raises(Held) as caught:
                await settle(desk, lane, settlement)
            assert caught.value.kind == "disk_full"
            assert await desk.spool.dead_letters(events=False) == []
            line = await desk.line()
            assert (line.rejected, line.waiting, line.balance) == (0, 4, 0)
            (disk / "plug").unlink()
            assert await settle(desk, lane, settlement) == 4
            assert await kept(desk) == {seq: bulky("a", 4, 2**20).bodies[seq - 1] for seq in (1, 2, 3, 4)}
            assert (await desk.line()).balance == 0
