"""Two walks of one source at once: what one of them ends, begins or loses must not cost the other anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forwarder.contracts import CursorLost
from forwarder.contracts.identity import document_id
from forwarder.polling.plan import BACKFILL, HEAL, REREAD, TAIL
from forwarder.spool.contract import PageCommit, Settlement
from forwarder.spool.gap import Gap
from tests.clocks import FakeClock
from tests.polling.pollers import KEYS, ScriptedSource, bodies_of, page, poller_of, spool_in, step

DAY = 86_400_000


async def test_a_backfill_that_ends_while_a_heal_is_open_leaves_its_gap_open(tmp_path: Path) -> None:
    clock = FakeClock()
    lost = [True]

    def answer(state: dict[str, Any]) -> Any:
        return CursorLost("ADMIN-400-1") if lost and lost.pop() else page(state)

    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(ScriptedSource(answer), spool, clock, since=86400, overlap=600)
        await poller._open()
        await step(poller, TAIL)
        await step(poller, BACKFILL)
        assert [gap.closed_ms for gap in (await spool.status()).gaps] == [None]
        again = poller_of(ScriptedSource(answer), spool, clock, since=86400, overlap=600)  # nor does a restart
        await again._open()
        assert [gap.closed_ms for gap in (await spool.status()).gaps] == [None]
        await step(again, HEAL)
        assert [gap.closed_ms is None for gap in (await spool.status()).gaps] == [False]


async def test_a_gap_without_a_heal_is_closed_by_the_backfill(tmp_path: Path) -> None:
    clock = FakeClock()
    async with spool_in(tmp_path, clock) as spool:
        first = poller_of(ScriptedSource(page), spool, clock, since=86400)
        await first._open()
        store = first._store
        gap = Gap("cursor_lost", source=store._number)
        await spool.commit(PageCommit(store._number, store._epoch, open_gaps=[gap]))
        poller = poller_of(ScriptedSource(page), spool, clock, since=86400)
        await poller._open()
        await step(poller, BACKFILL)
        assert [gap.closed_ms is None for gap in (await spool.status()).gaps] == [False]


async def test_a_cursor_lost_in_the_middle_of_a_reread_keeps_what_the_reread_is_for(tmp_path: Path) -> None:
    clock = FakeClock()
    lose: list[bool] = []

    def answer(state: dict[str, Any]) -> Any:
        if lose and lose.pop():
            return CursorLost("ADMIN-400-1")
        return page(state, f"e{state['walk']}-{state.get('n', 0)}", newest=int(clock.now * 1000) - 300_000, more=True)

    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(ScriptedSource(answer), spool, clock)
        await poller._open()
        await step(poller, TAIL)
        poller._at_tip = True
        poller._choose()
        await step(poller, REREAD)
        before = poller._rows[REREAD]
        lose.append(True)
        clock.advance(50)
        await step(poller, REREAD)
        after = poller._rows[REREAD]
        assert {key: after.state[key] for key in ("begun", "until", "from")} == {
            key: before.state[key] for key in ("begun", "until", "from")
        }
        assert after.version == before.version
        await step(poller, REREAD)  # its compare-and-swap still fits
        assert poller._rows[REREAD].version > before.version


async def test_a_walk_that_ends_while_a_reread_is_half_way_lets_that_be_read_again(tmp_path: Path) -> None:
    clock = FakeClock()

    def answer(state: dict[str, Any]) -> Any:
        if state["walk"] == 1 and state.get("n", 0) < 3:
            return page(state, f"e{state.get('n', 0)}", newest=int(clock.now * 1000), more=True)
        return page(state)

    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(ScriptedSource(answer), spool, clock, since=86400, trailing=600, trailing_every=300)
        await poller._open()
        await step(poller, TAIL)
        poller._at_tip = True
        poller._choose()
        trail = poller._rows[REREAD].state
        assert trail["walk"] is not None
        clock.advance(200)
        await step(poller, BACKFILL)
        row = poller._rows[REREAD].state
        assert row.get("walk") is None
        # The next one begins where the unfinished one would have: what that had not read is not forgotten.
        assert row["begun"] <= min(trail["begun"], trail["until"])


async def test_a_tail_keeps_the_place_of_the_next_reread_over_a_long_silence(tmp_path: Path) -> None:
    clock = FakeClock()
    jump = [0]

    def answer(state: dict[str, Any]) -> Any:
        n = state.get("n", 0)
        return page(state, f"e{state['walk']}-{n}", newest=int(clock.now * 1000) - jump[0], more=True)

    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(ScriptedSource(answer), spool, clock, trailing=600, trailing_every=300)
        await poller._open()
        for _ in range(4):
            clock.advance(200)
            await step(poller, TAIL)
        poller._at_tip = True
        poller._choose()
        poller._at_tip = False
        for _ in range(5):
            if poller._open_walk(REREAD):
                await step(poller, REREAD)
        wanted = poller._store._reread_from()
        clock.advance(24 * 3600)
        for _ in range(60):
            clock.advance(200)
            await step(poller, TAIL)
        marks = [high for high, _ in poller._rows[TAIL].state["marks"]]
        assert min(marks) <= wanted


async def test_a_damaged_page_of_an_unknown_time_is_read_again_from_an_overlap_before(tmp_path: Path) -> None:
    clock = FakeClock()
    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(ScriptedSource(page), spool, clock, overlap=3600)
        await poller._open()
        now = int(clock.now * 1000)
        store = poller._store
        for gap, since in (
            (Gap("damaged_page", source=store._number), now - 3_600_000),
            (Gap("damaged_page", source=store._number, to_ms=now - 500_000), now - 500_000 - 3_600_000),
            (Gap("damaged_page", source=store._number, from_ms=now - 700_000), now - 700_000),
        ):
            await spool.commit(PageCommit(store._number, store._epoch, open_gaps=[gap]))
            assert await store.heal_damage()
            assert poller._rows[HEAL].state["from"] == since
            await step(poller, HEAL)
            assert all(gap.closed_ms is not None for gap in (await spool.status()).gaps)


# ------------------------------------------------------------------------------------------------- identity as pairs


async def test_every_event_keeps_its_own_id_whatever_of_its_page_is_known(tmp_path: Path) -> None:
    """Pairs of id and body: a mark or an id that slips by one place gives an event another one's."""
    clock = FakeClock()
    first = bodies_of("a", "b", "c", "d")
    changed = [body.replace(b'"x"', b'"y"') for body in first]
    pages = [
        ("abcd", first),
        ("abcde", [first[0], changed[1], first[2], changed[3], *bodies_of("e")]),
        ("fbf", [*bodies_of("f"), first[1], *bodies_of("f")]),
    ]
    queue = list(pages)

    def answer(state: dict[str, Any]) -> Any:
        if not queue:
            return page(state)
        names, bodies = queue.pop(0)
        made = page(state, *names)
        from forwarder.contracts.identity import content_digests

        return type(made)(
            bodies=bodies,
            keys=made.keys,
            digests=content_digests(bodies),
            minutes=made.minutes,
            next=made.next,
            more=True,
        )

    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(ScriptedSource(answer), spool, clock)
        await poller._open()
        for _ in pages:
            await step(poller, TAIL)
        lane = await spool.open_lane("all", "memory", start=None, on_full="pause")
        found: list[tuple[str, bytes]] = []
        after = 0
        while chunks := (await spool.exchange(lane.number, Settlement(), after=after, events=2)).chunks:
            for chunk in chunks:
                for at, body in enumerate(chunk.bodies):
                    key = chunk.keys[16 * at : 16 * at + 16]
                    found.append((document_id(key, chunk.revisions.get(at)), body))
            after = chunks[-1].last
    from forwarder.contracts.identity import content_digests

    key = dict(zip("abcdef", KEYS.keys("abcdef"), strict=True))
    wanted = [(document_id(key[name]), body) for name, body in zip("abcd", first, strict=True)]
    wanted += [
        (document_id(key[name], content_digests([body])[0]), body)
        for name, body in (("b", changed[1]), ("d", changed[3]))
    ]
    wanted += [(document_id(key[name]), bodies_of(name)[0]) for name in "ef"]
    assert found == wanted


async def test_a_tail_that_a_longer_walk_became_is_lost_while_a_shorter_heal_is_on_its_way(tmp_path: Path) -> None:
    clock = FakeClock()
    lost = [True]

    def answer(state: dict[str, Any]) -> Any:
        return CursorLost("ADMIN-400-1") if lost and lost.pop() else page(state)

    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(ScriptedSource(answer), spool, clock, since=86400, overlap=43_200)
        await poller._open()
        await step(poller, TAIL)
        short = poller._rows[HEAL].state["from"]
        await step(poller, BACKFILL)
        lost.append(True)
        high = poller._rows[TAIL].state["high"]
        await step(poller, TAIL)
        assert poller._rows[HEAL].state["from"] == max(high - 43_200_000, int(clock.now * 1000) - DAY) < short
        assert len((await spool.status()).gaps) == 1


async def test_the_next_reread_begins_before_what_this_one_was_to_reach(tmp_path: Path) -> None:
    clock = FakeClock()
    newest = int(clock.now * 1000) - 400_000

    def answer(state: dict[str, Any]) -> Any:
        return page(state, "a", newest=newest) if state["walk"] == 1 and "n" not in state else page(state)

    async with spool_in(tmp_path, clock) as spool:
        poller = poller_of(ScriptedSource(answer), spool, clock, trailing=600, since=600)
        await poller._open()
        await step(poller, TAIL)
        poller._choose()
        assert poller._rows[REREAD].state["until"] == newest
        await step(poller, REREAD)
        await step(poller, REREAD)
        assert poller._rows[REREAD].state["floor"] == newest
        assert poller._store._reread_from() == newest - 600_000
