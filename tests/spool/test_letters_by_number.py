"""A dead letter holds the event as the API sent it, whatever the lane made of it: the spool copies it by its number."""

from __future__ import annotations

import pytest

from forwarder.contracts import Held
from forwarder.spool.contract import PageCommit, Settlement
from forwarder.spool.letter import LONGEST_DETAIL, PAGE_GONE, DeadLetter, Selection
from forwarder.spool.sqlite.exchange import READ_BYTES
from tests.spool.disks import fill_up, mounted
from tests.spool.spools import OTHER, Harness, body_of, bulky, key_of, names, opened, page_of

LEFT = b'{"id":"what privacy left of it"}'


@pytest.fixture
async def harness(tmp_path):
    async with opened(tmp_path) as harness:
        yield harness


def letters(
    harness: Harness, *seqs: int, source: int | None = None, detail: str = "no", read_ms: int = 7
) -> list[DeadLetter]:
    """What a lane says of events that its sink refused; it has them as its privacy left them."""
    number = source or harness.source.number
    return [DeadLetter(seq, number, key_of(f"{seq}").hex(), "refused", detail, LEFT, read_ms=read_ms) for seq in seqs]


def rejected(
    harness: Harness, *seqs: int, accepted: tuple[int, ...] = (), source: int | None = None, **more
) -> Settlement:
    ranges = [(seq, seq) for seq in (*seqs, *accepted)]
    return Settlement(ranges, dead_letters=letters(harness, *seqs, source=source, **more))


async def settle(harness: Harness, lane: int, settlement: Settlement) -> int:
    return (await harness.spool.exchange(lane, settlement, after=0, events=0)).position


async def kept(harness: Harness, lane: str | None = None) -> dict[int, bytes]:
    return {letter.seq: letter.raw for letter in await harness.spool.dead_letters(lane)}


def forget_pages(harness: Harness) -> None:
    """Forget what is in memory of the pages: they are read from the file."""
    pages = harness.spool._parts.pages
    pages.drop(list(pages._cache))


async def damage(harness: Harness, last_seq: int) -> None:
    """Damage a page that no one has in memory."""
    statement = "UPDATE bodies SET packed = zeroblob(length(packed)) WHERE last_seq = ?"
    changed = await harness.spool._run(lambda parts: parts.database.con.execute(statement, (last_seq,)).rowcount)
    assert changed == 1
    forget_pages(harness)


async def damage_letter(harness: Harness, number: int) -> None:
    statement = "UPDATE dead_letters SET raw = x'00' WHERE number = ?"
    assert await harness.spool._run(lambda parts: parts.database.con.execute(statement, (number,)).rowcount) == 1


# ---------------------------------------------------------------------------------------------------- which event


@pytest.mark.parametrize("where", ["memory", "file"])
async def test_events_of_many_pages_come_by_their_numbers_in_any_order(harness: Harness, where: str):
    lane = await harness.lane()
    for prefix in "abc":
        await harness.put(*names(prefix, 10))
    await harness.take(lane)
    if where == "file":
        forget_pages(harness)
    chosen = (25, 3, 11, 30, 10, 1, 20)
    assert await settle(harness, lane, rejected(harness, *chosen)) == 1
    expected = {seq: body_of(f"{'abc'[(seq - 1) // 10]}{(seq - 1) % 10}") for seq in chosen}
    assert await kept(harness) == expected
    assert [letter.seq for letter in await harness.spool.dead_letters()] == sorted(chosen)
    assert (await harness.line()).balance == 0


async def test_a_page_with_repeats_and_a_revision_gives_each_number_its_own_event(harness: Harness):
    await harness.put("a", "b", ("c", "first"))
    await harness.put("b", ("c", "second"), "d", "a", ("d", "revised"), ("c", "first"), "e")
    lane = await harness.lane()
    bodies = {seq: body for chunk in await harness.take(lane) for seq, body in enumerate(chunk.bodies, chunk.first)}
    assert list(bodies.values()) == [
        *(body_of("a"), body_of("b"), body_of("c", "first")),
        *(body_of("c", "second"), body_of("d"), body_of("d", "revised"), body_of("e")),
    ]
    await settle(harness, lane, rejected(harness, *bodies))
    assert await kept(harness) == bodies


async def test_a_page_for_one_sink_between_pages_for_all(harness: Harness):
    lane, other = await harness.lane(), await harness.lane("archive")
    await harness.put(*names("a", 3))
    await harness.put(*names("b", 3), audience="elastic")
    await harness.put(*names("c", 3))
    await harness.take(lane), await harness.take(other)
    await settle(harness, lane, rejected(harness, 2, 5, 8))
    await settle(harness, other, rejected(harness, 2, 8))
    assert await kept(harness, "elastic") == {2: body_of("a1"), 5: body_of("b1"), 8: body_of("c1")}
    assert await kept(harness, "archive") == {2: body_of("a1"), 8: body_of("c1")}


async def test_two_sinks_keep_a_letter_of_one_event_and_neither_needs_the_other(tmp_path):
    async with opened(tmp_path, retain=0) as harness:
        lane, other = await harness.lane(), await harness.lane("archive")
        await harness.put(*names("a", 3))
        await harness.take(lane), await harness.take(other)
        await settle(harness, lane, rejected(harness, 2, accepted=(1, 3)))
        await harness.spool.discard_letters("elastic", Selection(), who="me", words="all")
        assert await settle(harness, other, rejected(harness, 2, accepted=(1, 3))) == 3
        for _ in range(2):
            harness.clock.advance(60)
            await harness.spool.clean_up()
        assert (await harness.spool.status()).pages == 0
        assert await kept(harness) == {2: body_of("a1")}


async def test_two_sources(harness: Harness):
    other = await harness.spool.open_source(OTHER)
    lane = await harness.lane()
    await harness.put("a")
    await harness.spool.commit(PageCommit(source=other.number, epoch=other.epoch, page=page_of("a", "b")))
    await harness.take(lane)
    both = rejected(harness, 1)
    theirs = rejected(harness, 3, source=other.number)
    both.ranges += theirs.ranges
    both.dead_letters = [*theirs.dead_letters, *both.dead_letters]
    await settle(harness, lane, both)
    assert await kept(harness) == {1: body_of("a"), 3: body_of("b")}


async def test_a_large_event_beyond_what_is_given_at_once(harness: Harness):
    lane = await harness.lane()
    await harness.put("a", ("b", "x" * (READ_BYTES + 1)), "c")
    for after in (0, 1, 2):
        await harness.take(lane, 1, after)
    await settle(harness, lane, rejected(harness, 1, 2, 3))
    assert await kept(harness) == {1: body_of("a"), 2: body_of("b", "x" * (READ_BYTES + 1))}
    (last,) = await harness.spool.dead_letters(after=2)
    assert last.raw == body_of("c")


async def test_the_same_settlement_twice_makes_one_letter(harness: Harness):
    lane = await harness.lane()
    await harness.put(*names("a", 3))
    await harness.take(lane)
    settlement = rejected(harness, 2)
    await settle(harness, lane, settlement)
    await settle(harness, lane, settlement)
    assert await kept(harness) == {2: body_of("a1")}
    assert settlement.dead_letters == letters(harness, 2), "what the lane said is as it was, for another try"


# ------------------------------------------------------------------------------------------------- refused again


@pytest.mark.parametrize("page", ["there", "gone"])
async def test_what_is_refused_again_keeps_the_event_of_its_letter(tmp_path, page: str):
    async with opened(tmp_path, retain=0) as harness:
        lane = await harness.lane()
        await harness.put(*names("a", 3))
        await harness.take(lane)
        await settle(harness, lane, rejected(harness, 2, accepted=(1, 3)))
        if page == "gone":
            for _ in range(2):
                harness.clock.advance(60)
                await harness.spool.clean_up()
            assert (await harness.spool.status()).pages == 0
        for tries in (2, 3):
            await harness.spool.retry_letters(None, Selection())
            (chunk,) = (await harness.spool.exchange(lane, Settlement(), after=3, events=9)).again
            assert chunk.bodies == [body_of("a1")], "privacy begins anew from what the API sent"
            await settle(harness, lane, rejected(harness, 2))
            (letter,) = await harness.spool.dead_letters()
            assert (letter.raw, letter.tries, letter.detail) == (body_of("a1"), tries, "no")
        assert (await harness.line()).balance == 0


@pytest.mark.parametrize("page", ["there", "gone"])
async def test_a_letter_that_is_damaged_while_its_event_is_sent_again(tmp_path, page: str):
    async with opened(tmp_path, retain=0) as harness:
        lane = await harness.lane()
        await harness.put(*names("a", 3))
        await harness.take(lane)
        await settle(harness, lane, rejected(harness, 2, accepted=(1, 3)))
        await harness.spool.retry_letters(None, Selection())
        await harness.spool.exchange(lane, Settlement(), after=3, events=9)
        await damage_letter(harness, 1)
        if page == "gone":
            for _ in range(2):
                harness.clock.advance(60)
                await harness.spool.clean_up()
        await settle(harness, lane, rejected(harness, 2))
        (letter,) = await harness.spool.dead_letters()
        expected = (body_of("a1"), "no") if page == "there" else (LEFT, f"no {PAGE_GONE}")
        assert (letter.raw, letter.detail, letter.tries) == (*expected, 2)
        line = await harness.line()
        assert (line.accepted, line.rejected, line.balance) == (2, 1, 0)


async def test_new_and_retried_events_are_refused_together(harness: Harness):
    lane = await harness.lane()
    await harness.put(*names("a", 3))
    await harness.take(lane)
    await settle(harness, lane, rejected(harness, 1, 3, accepted=(2,)))
    await harness.put(*names("b", 3))
    await harness.spool.retry_letters(None, Selection())
    await harness.spool.exchange(lane, Settlement(), after=3, events=9)
    await settle(harness, lane, rejected(harness, 5, 3, 4, accepted=(1, 6)))
    assert await kept(harness) == {3: body_of("a2"), 4: body_of("b0"), 5: body_of("b1")}
    assert {letter.seq: letter.tries for letter in await harness.spool.dead_letters()} == {3: 2, 4: 1, 5: 1}
    line = await harness.line()
    assert (line.accepted, line.rejected, line.waiting, line.balance) == (3, 3, 0, 0)


# ------------------------------------------------------------------------------------------------- the page is gone


@pytest.mark.parametrize("end", ["exchange", "leave"])
async def test_a_page_that_is_damaged_while_its_event_is_in_flight(harness: Harness, end: str):
    lane, other = await harness.lane(), await harness.lane("archive")
    await harness.put(*names("a", 10))
    await harness.put(*names("b", 10))
    await harness.take(lane)
    await damage(harness, 10)
    settlement = rejected(harness, 4, 14, accepted=tuple(seq for seq in range(1, 21) if seq not in {4, 14}))
    if end == "leave":
        await harness.spool.leave_lane(lane, settlement)
    else:
        assert await settle(harness, lane, settlement) == 20
    lost, whole = await harness.spool.dead_letters("elastic")
    assert (lost.seq, lost.raw, lost.detail) == (4, LEFT, f"no {PAGE_GONE}")
    assert (whole.seq, whole.raw, whole.detail) == (14, body_of("b3"), "no")
    (gap,) = (await harness.spool.status()).gaps
    assert (gap.cause, gap.first_seq, gap.last_seq) == ("damaged_page", 1, 10)
    line = await harness.line()
    assert (line.accepted, line.rejected, line.detached, line.balance) == (18, 2, 0, 0)
    assert len(await harness.drain(other)) == 10
    assert (await harness.put(*names("a", 10))).new == 10, "what was damaged can be read again"
    assert set((await harness.balances()).values()) == {0}
    await harness.reopen()  # the tables agree with each other


async def test_a_page_that_was_withdrawn_for_want_of_room(tmp_path):
    async with opened(tmp_path, max_bytes=2**20) as harness:
        lane = await harness.lane(on_full="detach")
        await harness.put(page=bulky("first"))
        assert len(await harness.take(lane)) == 1
        number = 0
        while (await harness.spool.status()).first_seq == 1:
            await harness.put(page=bulky(f"more{number}"))
            number += 1
        await settle(harness, lane, rejected(harness, 3, 7))
        found = await harness.spool.dead_letters()
        assert [(letter.seq, letter.raw, letter.detail) for letter in found] == [
            (seq, LEFT, f"no {PAGE_GONE}") for seq in (3, 7)
        ]
        line = await harness.line()
        assert (line.rejected, line.balance) == (2, 0)
        await harness.spool.retry_letters(None, Selection())
        given = await harness.spool.exchange(lane, Settlement(), after=10_000, events=9)
        assert [(chunk.first, chunk.bodies) for chunk in given.again] == [(3, [LEFT]), (7, [LEFT])]


async def test_a_long_answer_leaves_room_for_what_is_said_of_the_page(harness: Harness):
    lane = await harness.lane()
    await harness.put(*names("a", 3))
    await harness.take(lane)
    await damage(harness, 3)
    await settle(harness, lane, rejected(harness, 2, detail="x" * LONGEST_DETAIL))
    (letter,) = await harness.spool.dead_letters()
    assert letter.detail.endswith(f"x… {PAGE_GONE}")
    assert len(letter.detail) == LONGEST_DETAIL


async def test_retention_takes_the_page_only_after_the_letter_has_its_event(tmp_path):
    async with opened(tmp_path, retain=0) as harness:
        lane = await harness.lane()
        await harness.put(*names("a", 3))
        await harness.put(*names("b", 3))
        await harness.take(lane)
        forget_pages(harness)
        for _ in range(3):
            harness.clock.advance(3600)
            await harness.spool.clean_up()
        await settle(harness, lane, rejected(harness, 1, 6, accepted=(2, 3, 4, 5)))
        for _ in range(3):
            harness.clock.advance(3600)
            await harness.spool.clean_up()
        assert (await harness.spool.status()).pages == 0
        await harness.reopen()
        assert await kept(harness) == {1: body_of("a0"), 6: body_of("b2")}


# ------------------------------------------------------------------------------------------------------ full disk


async def test_a_disk_that_is_full_while_letters_are_written(tmp_path):
    """The log was emptied, and together the letters are larger than the reserve."""
    with mounted(tmp_path / "disk", "size=32m") as disk:
        async with opened(disk) as harness:
            lane = await harness.lane()
            await harness.put(page=bulky("a", 4, 2**20))
            await harness.reopen()
            await harness.lane()
            for after in range(4):
                await harness.take(lane, 1, after)
            fill_up(disk)
            settlement = rejected(harness, 1, 2, 3, 4)
            with pytest.raises(Held) as caught:
                await settle(harness, lane, settlement)
            assert caught.value.kind == "disk_full"
            assert await harness.spool.dead_letters(events=False) == []
            line = await harness.line()
            assert (line.rejected, line.waiting, line.balance) == (0, 4, 0)
            (disk / "plug").unlink()
            assert await settle(harness, lane, settlement) == 4
            assert await kept(harness) == {seq: bulky("a", 4, 2**20).bodies[seq - 1] for seq in (1, 2, 3, 4)}
            assert (await harness.line()).balance == 0
