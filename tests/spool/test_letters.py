"""Dead letters in the spool: chosen, retried, discarded; the books through all of it, crashes, and a changed target."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from forwarder.contracts import Record
from forwarder.spool.contract import Settlement, SpoolError
from forwarder.spool.letter import LONGEST_DETAIL, DeadLetter, Selection
from forwarder.spool.sqlite import exchange
from forwarder.spool.sqlite.exchange import READ_BYTES
from forwarder.spool.sqlite.letters import DISCARDS_KEPT_MS
from forwarder.spool.sqlite.schema import VERSION_1, migrate
from tests.spool.spools import ACME, OTHER, Harness, body_of, key_of, names, opened, page_of


@pytest.fixture
async def harness(tmp_path):
    async with opened(tmp_path) as harness:
        yield harness


def letter(harness: Harness, seq: int, reason: str = "too_large", **more) -> DeadLetter:
    name = f"a{seq - 1}"
    return DeadLetter(seq, harness.source.number, key_of(name).hex(), reason, "no", body_of(name), **more)


async def reject(harness: Harness, lane: int, *letters: DeadLetter) -> int:
    """Settle letters as rejected; return the position."""
    settlement = Settlement([(found.seq, found.seq) for found in letters], dead_letters=list(letters))
    return (await harness.spool.exchange(lane, settlement, after=0, events=0)).position


async def ten(harness: Harness, *reasons: str) -> int:
    """Ten events, of which the first ones are dead and the others accepted; return the lane."""
    await harness.put(*names("a", 10))
    lane = await harness.lane()
    await harness.take(lane)
    for seq, reason in enumerate(reasons, start=1):
        await reject(harness, lane, letter(harness, seq, reason, read_ms=5000 + seq))
        harness.clock.advance(1)
    await harness.settle(lane, (len(reasons) + 1, 10))
    return lane


async def state(harness: Harness) -> tuple[int, ...]:
    line = await harness.line()
    assert line.balance == 0
    return line.accepted, line.rejected, line.filtered, line.waiting, line.discarded


# ------------------------------------------------------------------------------------------------------- choosing


async def test_each_condition_chooses_and_together_they_narrow(harness: Harness):
    await ten(harness, "x", "y", "x", "x")
    begun = int(harness.clock.now * 1000) - 4000

    async def chosen(**conditions) -> list[int]:
        return [found.seq for found in await harness.spool.dead_letters(chosen=Selection(**conditions))]

    assert await chosen() == [1, 2, 3, 4]
    assert await chosen(reasons=("x",)) == [1, 3, 4]
    assert await chosen(reasons=("x", "y")) == [1, 2, 3, 4]
    assert await chosen(reasons=("x') OR 1=1 --",)) == []
    assert await chosen(numbers=(2, 4, 99)) == [2, 4]
    assert await chosen(since_ms=begun + 1000) == [2, 3, 4]
    assert await chosen(until_ms=begun + 1000) == [1, 2]
    assert await chosen(upto=3) == [1, 2, 3]
    assert await chosen(reasons=("x",), since_ms=begun + 1, upto=3) == [3]
    assert [found.seq for found in await harness.spool.dead_letters("archive")] == []


@pytest.mark.parametrize(
    "one", [{"reasons": ("x",)}, {"numbers": (1,)}, {"since_ms": 0}, {"until_ms": 0}, {"since_ms": 1, "until_ms": 2}]
)
def test_any_condition_is_a_choice_and_none_means_every_letter(one: dict[str, object]) -> None:
    assert Selection(**one).chooses
    assert not Selection().chooses
    assert not Selection(upto=7).chooses, "what came after someone looked is left out, and nothing else"


async def test_a_page_of_letters_begins_after_the_last_one(harness: Harness):
    await ten(harness, *"xxxxx")
    first = await harness.spool.dead_letters(limit=2)
    second = await harness.spool.dead_letters(limit=2, after=first[-1].number)
    assert [found.seq for found in (*first, *second)] == [1, 2, 3, 4]
    assert [found.raw for found in await harness.spool.dead_letters(events=False)] == [b""] * 5


async def test_letters_with_large_events_come_a_few_at_a_time(harness: Harness):
    await harness.put(*((name, "x" * (READ_BYTES // 2 + 1)) for name in names("a", 4)))
    lane = await harness.lane()
    for after in (0, 1, 2, 3):
        await harness.take(lane, 1, after)
    await reject(harness, lane, *(letter(harness, seq) for seq in range(1, 5)))
    assert [found.seq for found in await harness.spool.dead_letters()] == [1, 2]
    assert len(await harness.spool.dead_letters(events=False)) == 4
    await harness.spool.retry_letters(None, Selection())
    for expected in ([1, 2], [3, 4]):
        given = await harness.spool.exchange(lane, Settlement(), after=0, events=10)
        assert [chunk.first for chunk in given.again] == expected


async def test_counts_by_lane_and_reason(harness: Harness):
    lane = await ten(harness, "x", "y", "x", "x")
    await harness.spool.retry_letters(None, Selection(numbers=(1,)))
    begun = int(harness.clock.now * 1000) - 4000
    x, y = await harness.spool.count_letters("elastic")
    assert (x.lane, x.reason, x.letters, x.retried, x.former) == ("elastic", "x", 2, 1, 0)
    assert (x.first_ms, x.last_ms, x.highest) == (begun, begun + 3000, 4)
    assert (y.reason, y.letters, y.highest) == ("y", 1, 2)
    assert await harness.spool.count_letters("archive") == []
    (row,) = (await harness.spool.status()).lanes
    assert (row.dead_letters, row.retried, row.lag) == (3, 1, 1)
    assert (await harness.spool.open_lane("elastic", "t", start=None, on_full="pause")).dead_letters == 3
    assert lane == row.number


# ------------------------------------------------------------------------------------------------------- retrying


async def test_a_retried_letter_waits_again_and_comes_as_its_page_would_have_given_it(harness: Harness):
    await harness.put(("a0", "old"), "a1")
    await harness.put(("a0", "new"), page=page_of(("a0", "new"), derived=[0]))
    lane = await harness.lane()
    chunks = await harness.take(lane)
    (digest,) = chunks[1].revisions.values()
    revised = letter(harness, 3, read_ms=77, derived=True)
    revised.document_id, revised.raw = f"{key_of('a0').hex()}-{digest.hex()}", body_of("a0", "new")
    await harness.settle(lane, (1, 2))
    assert await reject(harness, lane, revised) == 3
    assert await state(harness) == (2, 1, 0, 0, 0)
    (act,) = await harness.spool.retry_letters("elastic", Selection())
    assert (act.lane, act.numbers, act.left) == ("elastic", (1,), 0)
    assert await state(harness) == (2, 0, 0, 1, 0)
    given = await harness.spool.exchange(lane, Settlement(), after=3, events=10)
    assert given.chunks == []
    (chunk,) = given.again
    assert (chunk.first, chunk.bodies, chunk.keys) == (3, [body_of("a0", "new")], key_of("a0"))
    assert (chunk.revisions, chunk.derived, chunk.read_ms) == ({0: digest}, frozenset({0}), 77)
    assert (chunk.origin, chunk.settled) == (ACME, frozenset())
    assert (await harness.spool.exchange(lane, Settlement(), after=3, events=10)).again == []
    assert await harness.settle(lane, (3, 3)) == 3
    assert await state(harness) == (3, 0, 0, 0, 0)
    assert await harness.spool.dead_letters() == []


async def test_what_is_rejected_again_is_one_letter_with_its_tries(harness: Harness):
    lane = await ten(harness, "x", "x")
    for tries, number in ((2, 1), (3, 3)):
        await harness.spool.retry_letters("elastic", Selection(numbers=(number,)))
        given = await harness.spool.exchange(lane, Settlement(), after=10, events=10)
        assert [chunk.first for chunk in given.again] == [1]
        harness.clock.advance(1)
        await reject(harness, lane, letter(harness, 1, "y"))
        other, again = await harness.spool.dead_letters()
        assert (other.seq, other.tries, other.reason) == (2, 1, "x")
        assert (again.seq, again.tries, again.reason, again.number) == (1, tries, "y", tries + 1)
        assert await state(harness) == (8, 2, 0, 0, 0)


async def test_a_filter_may_keep_a_retried_letter_back(harness: Harness):
    lane = await ten(harness, "x")
    await harness.spool.retry_letters(None, Selection())
    await harness.spool.exchange(lane, Settlement(), after=10, events=10)
    settlement = Settlement([(1, 1)], filtered=[(1, 1)])
    await harness.spool.exchange(lane, settlement, after=0, events=0)
    assert await state(harness) == (9, 0, 1, 0, 0)


async def test_a_letter_outlives_its_page(tmp_path):
    async with opened(tmp_path, retain=0) as harness:
        lane = await ten(harness, "x")
        for _ in range(2):
            harness.clock.advance(60)
            await harness.spool.clean_up()
        assert (await harness.spool.status()).pages == 0
        await harness.spool.retry_letters(None, Selection())
        assert await state(harness) == (9, 0, 0, 1, 0)
        given = await harness.spool.exchange(lane, Settlement(), after=10, events=10)
        assert given.again[0].bodies == [body_of("a0")]
        (again,) = await harness.spool.take_again(lane, [(1, 1)])  # a receipt that was never confirmed
        assert (again.bodies, again.keys) == ([body_of("a0")], key_of("a0"))
        await harness.settle(lane, (1, 1))
        assert await harness.spool.take_again(lane, [(1, 1)]) == []


async def test_what_was_never_confirmed_is_given_once_in_the_order_of_numbers(harness: Harness):
    lane = await ten(harness, "x", "y", "x")
    await harness.put(*names("b", 4))
    await harness.spool.retry_letters(None, Selection(reasons=("x",)))
    given = await harness.spool.exchange(lane, Settlement(), after=10, events=20)
    assert [chunk.first for chunk in given.again] == [1, 3]
    assert [(chunk.first, chunk.last) for chunk in given.chunks] == [(11, 14)]
    again = await harness.spool.take_again(lane, [(1, 1), (3, 3), (11, 14)])
    assert [(chunk.first, chunk.last) for chunk in again] == [(1, 1), (3, 3), (11, 14)]
    assert await harness.settle(lane, (1, 1), (3, 3), (11, 14)) == 14
    assert await state(harness) == (13, 1, 0, 0, 0)


@pytest.mark.parametrize("room", [1, len(body_of("a0")), len(body_of("a0")) + 1, 10**6])
async def test_retried_letters_that_are_given_again_come_as_far_as_there_is_room(
    harness: Harness, room: int, monkeypatch: pytest.MonkeyPatch
):
    lane = await ten(harness, "x", "x", "x")
    await harness.put(*names("b", 4))
    await harness.spool.retry_letters(None, Selection())
    await harness.spool.exchange(lane, Settlement(), after=10, events=20)
    monkeypatch.setattr(exchange, "READ_BYTES", room)
    spans, given = [(1, 3), (11, 14)], []
    while spans:
        again = await harness.spool.take_again(lane, spans)
        given.append(sum(len(chunk.bodies) for chunk in again))
        spans = [(max(first, again[-1].last + 1), last) for first, last in spans if last > again[-1].last]
    assert given == ([7] if room > 1000 else [2, 2, 1, 1, 1] if room > len(body_of("a0")) else [1] * 7)


async def test_a_letter_that_was_not_retried_cannot_be_settled_again(harness: Harness):
    lane = await ten(harness, "x", "x")
    await harness.spool.retry_letters(None, Selection(numbers=(1,)))
    await harness.put("b")
    await harness.take(lane, 2, 10)  # letter 1 and number 11
    with pytest.raises(SpoolError, match="second time"):
        await harness.settle(lane, (2, 2), (11, 11))
    assert await state(harness) == (8, 1, 0, 2, 0)


async def test_events_given_count_retried_letters_too(harness: Harness):
    lane = await ten(harness, *"xxx")
    await harness.put(*names("b", 5))
    await harness.spool.retry_letters(None, Selection())
    given = await harness.spool.exchange(lane, Settlement(), after=10, events=2)
    assert ([chunk.first for chunk in given.again], given.chunks) == ([1, 2], [])
    given = await harness.spool.exchange(lane, Settlement(), after=10, events=2)
    assert ([chunk.first for chunk in given.again], given.chunks[0].bodies) == ([3], [body_of("b0")])


# ------------------------------------------------------------------------------------------- crash and restart


async def crashed(harness: Harness, folder: Path) -> Harness:
    """Go on from what lies on the disk now, as after a kill."""
    folder.mkdir()
    for name in ("spool.db", "spool.db-wal"):
        shutil.copyfile(harness.config.path.with_name(name), folder / name)
    after = Harness(folder)
    after.clock = harness.clock
    return await after.open()


async def test_after_a_crash_a_retried_letter_in_flight_is_in_doubt_and_waits(harness: Harness, tmp_path):
    lane = await ten(harness, "x", "x")
    await harness.spool.leave_lane(lane, Settlement())
    lane = await harness.lane()
    await harness.spool.retry_letters(None, Selection())
    await harness.spool.exchange(lane, Settlement(), after=10, events=1)
    after = await crashed(harness, tmp_path / "after")
    try:
        assert await state(after) == (8, 0, 0, 2, 0)
        found = await after.spool.open_lane("elastic", "t", start=None, on_full="pause")
        assert found.doubtful == ((1, 1),)
        assert [(doubt.first, doubt.last, doubt.cause) for doubt in await after.spool.doubts(lane)] == [
            (1, 1, "restart")
        ]
        given = await after.spool.exchange(lane, Settlement(), after=10, events=10)
        assert [chunk.first for chunk in given.again] == [1, 2]
        await after.settle(lane, (1, 2))
        assert await state(after) == (10, 0, 0, 0, 0)
    finally:
        await after.spool.close()


async def test_an_end_in_order_leaves_no_doubt(harness: Harness):
    lane = await ten(harness, "x")
    await harness.spool.retry_letters(None, Selection())
    await harness.spool.exchange(lane, Settlement(), after=10, events=1)
    await harness.spool.leave_lane(lane, Settlement())
    await harness.reopen()
    found = await harness.spool.open_lane("elastic", "t", start=None, on_full="pause")
    assert (found.doubtful, found.dead_letters) == ((), 0)
    assert [chunk.first for chunk in (await harness.spool.exchange(lane, Settlement(), after=10, events=9)).again] == [
        1
    ]


# ----------------------------------------------------------------------------------------------------- discarding


async def test_what_is_discarded_is_gone_but_stays_in_the_books_and_on_record(harness: Harness):
    await ten(harness, "x", "y", "x")
    await harness.spool.retry_letters(None, Selection(numbers=(1,)))
    (act,) = await harness.spool.discard_letters("elastic", Selection(reasons=("x",)), who="root", words="reason x")
    assert (act.numbers, act.left) == ((3,), 1)
    assert await state(harness) == (7, 2, 0, 1, 1)
    (record,) = await harness.spool.discards()
    at_ms = int(harness.clock.now * 1000)
    assert (record.lane, record.who, record.chosen, record.events) == ("elastic", "root", "reason x", 1)
    assert record.at_ms == at_ms
    assert record.letters == ((3, 3, key_of("a2").hex(), "x", at_ms - 1000),)
    assert await harness.spool.discards("archive") == []
    await harness.reopen()
    assert await state(harness) == (7, 2, 0, 1, 1)
    assert len(await harness.spool.discards("elastic")) == 1
    harness.clock.advance(DISCARDS_KEPT_MS / 1000 + 1)
    await harness.spool.clean_up()
    assert await harness.spool.discards() == []
    assert await state(harness) == (7, 2, 0, 1, 1)


async def test_acts_on_all_lanes_keep_them_apart(harness: Harness):
    await harness.put(*names("a", 4))
    for name in ("elastic", "archive"):
        lane = await harness.lane(name)
        await harness.take(lane)
        await reject(harness, lane, letter(harness, 1), letter(harness, 2))
    acts = await harness.spool.retry_letters(None, Selection(numbers=(1, 2, 3)))
    assert [(act.lane, act.numbers) for act in acts] == [("elastic", (1, 2)), ("archive", (3,))]
    acts = await harness.spool.discard_letters(None, Selection(), who="me", words="all")
    assert [(act.lane, act.numbers, act.left) for act in acts] == [("archive", (4,), 1), ("elastic", (), 2)]
    first, second = await harness.line(), await harness.line("archive")
    assert (first.rejected, first.waiting, first.balance) == (0, 4, 0)
    assert (second.rejected, second.waiting, second.discarded, second.balance) == (1, 3, 1, 0)
    assert [record.lane for record in await harness.spool.discards()] == ["archive"]


async def test_numbers_are_never_used_twice(harness: Harness):
    lane = await ten(harness, "x", "x")
    await harness.spool.discard_letters(None, Selection(), who="me", words="all")
    await harness.put("b")
    await harness.take(lane, 10, 10)
    await reject(harness, lane, letter(harness, 11))
    assert [found.number for found in await harness.spool.dead_letters()] == [3]


# ------------------------------------------------------------------------------------- a changed target, damage


async def test_letters_of_a_former_target_can_be_seen_and_discarded_but_not_retried(harness: Harness):
    lane = await ten(harness, "x", "x", "y")
    await harness.spool.retry_letters(None, Selection(reasons=("y",)))
    await harness.spool.exchange(lane, Settlement(), after=10, events=1)
    assert await harness.lane(target="other", start="oldest") == lane
    assert await state(harness) == (0, 0, 0, 10, 0)
    assert [(found.former, found.retried) for found in await harness.spool.dead_letters()] == [(True, False)] * 3
    (act,) = await harness.spool.retry_letters("elastic", Selection())
    assert (act.numbers, act.left) == ((), 3)
    await harness.take(lane)
    await reject(harness, lane, letter(harness, 1), letter(harness, 2))  # the same events, at the new target
    await harness.settle(lane, (3, 10))
    (act,) = await harness.spool.retry_letters("elastic", Selection())
    assert (act.numbers, act.left) == ((4, 5), 3)
    await harness.spool.discard_letters("elastic", Selection(), who="me", words="all")
    assert await state(harness) == (8, 0, 0, 2, 0)
    assert [found.seq for found in await harness.spool.dead_letters()] == [1, 2]


async def test_a_target_that_continues_keeps_its_letters(harness: Harness):
    lane = await ten(harness, "x")
    await harness.lane(target="other", start="continue")
    await harness.spool.retry_letters(None, Selection())
    assert len((await harness.spool.exchange(lane, Settlement(), after=10, events=5)).again) == 1


async def damage(harness: Harness, number: int, *, flip: int | None = None) -> None:
    """Overwrite the event of a letter, or flip one bit of it."""

    def act(parts) -> None:
        con = parts.database.con
        (raw,) = con.execute("SELECT raw FROM dead_letters WHERE number = ?", (number,)).fetchone()
        bad = b"\0" if flip is None else raw[:flip] + bytes([raw[flip] ^ 1]) + raw[flip + 1 :]
        con.execute("UPDATE dead_letters SET raw = ? WHERE number = ?", (bad, number))

    await harness.spool._run(act)


async def test_a_damaged_letter_is_never_retried_stays_and_harms_no_other(harness: Harness):
    lane = await ten(harness, "x", "x")
    await damage(harness, 1)
    assert [found.raw for found in await harness.spool.dead_letters()] == [b"", body_of("a1")]
    (act,) = await harness.spool.retry_letters(None, Selection())
    assert (act.numbers, act.left, act.damaged) == ((2,), 0, (1,))
    given = await harness.spool.exchange(lane, Settlement(), after=10, events=5)
    assert [chunk.bodies for chunk in given.again] == [[body_of("a1")]]
    assert [(found.number, found.retried) for found in await harness.spool.dead_letters()] == [(1, False), (2, True)]
    assert await state(harness) == (8, 1, 0, 1, 0)


@pytest.mark.parametrize("taken_before", [False, True])
async def test_a_letter_that_is_damaged_after_it_was_retried_is_dead_again(harness: Harness, taken_before: bool):
    lane = await ten(harness, "x", "x")
    await harness.spool.retry_letters(None, Selection())
    if taken_before:
        await harness.spool.exchange(lane, Settlement(), after=10, events=5)
        await damage(harness, 1)
        again = await harness.spool.take_again(lane, [(1, 2)])
    else:
        await damage(harness, 1)
        given = await harness.spool.exchange(lane, Settlement(), after=10, events=5)
        again = given.again
        assert given.unreadable == 1
    assert [chunk.bodies for chunk in again] == [[body_of("a1")]]
    assert [(found.number, found.retried) for found in await harness.spool.dead_letters()] == [(1, False), (2, True)]
    assert await state(harness) == (8, 1, 0, 1, 0)


async def test_every_flipped_bit_of_a_letter_is_damage(harness: Harness):
    await ten(harness, "x")
    (letter_,) = await harness.spool.dead_letters()
    size = len(
        await harness.spool._run(lambda parts: parts.database.con.execute("SELECT raw FROM dead_letters").fetchone()[0])
    )
    for at in range(size):
        await damage(harness, 1, flip=at)
        (found,) = await harness.spool.dead_letters()
        assert found.raw in {b"", letter_.raw}, "another event in its place"
        await damage(harness, 1, flip=at)


def test_a_letter_of_a_record_remembers_what_a_retry_needs_and_cuts_a_long_answer():
    record = Record(7, ACME, "ab" * 16, b"{}", None, b"", 42, ("derived_id",), 3)
    made = DeadLetter.of(record, "r", "x" * (LONGEST_DETAIL + 1))
    assert (made.seq, made.source, made.read_ms, made.derived) == (7, 3, 42, True)
    assert len(made.detail) == LONGEST_DETAIL
    assert made.detail.endswith("x…")
    assert DeadLetter.of(record, "r", "x" * LONGEST_DETAIL).detail == "x" * LONGEST_DETAIL


# ------------------------------------------------------------------------------------------------ from version 1


async def test_letters_of_version_1_are_retried_in_version_2(tmp_path):
    """One lane began anew for another target: only its newest letters are in its books."""
    path = tmp_path / "spool.db"
    async with opened(tmp_path) as harness:
        await harness.put(*names("a", 10))
        await harness.lane()
        packed = await harness.spool._run(
            lambda parts: (
                parts.database.con.execute("SELECT * FROM pages").fetchall()
                + parts.database.con.execute("SELECT * FROM bodies").fetchall()
            )
        )
    path.unlink()
    from forwarder.spool.sqlite.pages import compress

    with closing(sqlite3.connect(path, isolation_level=None)) as con:
        con.execute("PRAGMA auto_vacuum = INCREMENTAL")
        con.executescript(VERSION_1)
        con.execute("INSERT INTO pages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", packed[0][:9])
        con.execute("INSERT INTO bodies VALUES (?, ?, ?, ?)", packed[1])
        con.execute("UPDATE meta SET value = 11 WHERE name = 'next_seq'")
        con.execute(
            "INSERT INTO sources VALUES (1, ?, 'acme', 'organization', 'org-1', '', 1, 0, 0, 0)", (ACME.identity,)
        )
        con.execute("INSERT INTO spooled VALUES (1, '', 10)")
        con.execute("INSERT INTO lanes VALUES (1, 'elastic', 't', 10, 10, 'pause', 0)")
        con.execute("INSERT INTO lane_books VALUES (1, 1, 0, 8, 2, 0, 0)")
        for number, seq in enumerate((1, 2, 3, 1, 2), start=4):
            con.execute(
                "INSERT INTO dead_letters VALUES (?, 1, ?, 1, ?, 'x', 'no', ?, ?)",
                (number, seq, key_of(f"a{seq - 1}").hex(), 9000 + number, compress(body_of(f"a{seq - 1}"))),
            )
        con.execute("DELETE FROM dead_letters WHERE number = 4")
        con.execute("UPDATE sqlite_sequence SET seq = 20")
        con.execute("PRAGMA application_id = 1096107603")
        con.execute("PRAGMA user_version = 1")
        con.execute("PRAGMA journal_mode = WAL")
    async with opened(tmp_path) as harness:
        lane = await harness.lane()
        found = await harness.spool.dead_letters()
        assert [(each.number, each.seq, each.former) for each in found] == [
            (5, 2, True),
            (6, 3, True),
            (7, 1, False),
            (8, 2, False),
        ]
        assert all(each.read_ms == packed[0][5] for each in found)
        assert await state(harness) == (8, 2, 0, 0, 0)
        (act,) = await harness.spool.retry_letters(None, Selection())
        assert (act.numbers, act.left) == ((7, 8), 2)
        given = await harness.spool.exchange(lane, Settlement(), after=10, events=10)
        assert [chunk.bodies[0] for chunk in given.again] == [body_of("a0"), body_of("a1")]
        await harness.settle(lane, (1, 1))
        await reject(harness, lane, letter(harness, 2))
        assert await state(harness) == (9, 1, 0, 0, 0)
        assert [each.number for each in await harness.spool.dead_letters()] == [5, 6, 21]


async def test_two_sources_are_counted_each_in_its_books(harness: Harness):
    other = await harness.spool.open_source(OTHER)
    lane = await ten(harness, "x")
    from forwarder.spool.contract import PageCommit

    await harness.spool.commit(PageCommit(source=other.number, epoch=other.epoch, page=page_of("o1", "o2")))
    await harness.take(lane, 5, 10)
    foreign = DeadLetter(11, other.number, key_of("o1").hex(), "x", "no", body_of("o1"))
    settlement = Settlement([(11, 11)], dead_letters=[foreign])
    await harness.spool.exchange(lane, settlement, after=0, events=0)
    await harness.spool.retry_letters(None, Selection())
    given = await harness.spool.exchange(lane, Settlement(), after=12, events=5)
    assert [(chunk.first, chunk.source, chunk.origin) for chunk in given.again] == [
        (1, harness.source.number, ACME),
        (11, other.number, OTHER),
    ]
    assert [found.source_name for found in await harness.spool.dead_letters()] == ["acme", "other"]
    theirs = await harness.line(source="other")
    assert (theirs.rejected, theirs.waiting, theirs.balance) == (0, 2, 0)
    assert await state(harness) == (9, 0, 0, 1, 0)


def test_letters_of_version_1_whose_pages_are_gone_cost_one_look_each(tmp_path):
    con = sqlite3.connect(":memory:", isolation_level=None)
    con.executescript(VERSION_1 + "PRAGMA user_version = 1;")
    pages = [(10_010 + 10 * n, 10_001 + 10 * n, 1, "", 9, 77, "", None, 0) for n in range(3000)]
    con.executemany("INSERT INTO pages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", pages)
    letters = [(1, seq, 1, "ab", "x", "no", 5, b"") for seq in range(9_001, 10_002)]
    con.executemany(
        "INSERT INTO dead_letters (lane, seq, source, document_id, reason, detail, at_ms, raw) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        letters,
    )
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1000

    con.set_progress_handler(count, 1000)
    migrate(con, tmp_path)
    con.set_progress_handler(None, 0)
    assert 0 < steps < 500_000, "a scan of all pages for each letter takes millions"
    found = con.execute("SELECT read_ms, count(*) FROM dead_letters GROUP BY read_ms").fetchall()
    assert found == [(0, 1000), (77, 1)]
    con.close()
