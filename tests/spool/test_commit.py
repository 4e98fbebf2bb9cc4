"""The pollers' side: numbering, compare-and-swap, repeats and revisions, sources and their names."""

from itertools import pairwise

import pytest

from forwarder.contracts import ConfigError, Origin
from forwarder.spool.contract import CursorMove, Fenced, PageCommit, SpoolError
from forwarder.spool.gap import Gap
from forwarder.spool.sqlite.ids import _holds
from tests.spool.spools import ACME, MINUTE, OTHER, Harness, body_of, found, key_of, move, names, opened, page_of


@pytest.fixture
async def harness(tmp_path):
    async with opened(tmp_path) as harness:
        yield harness


async def test_events_are_numbered_without_holes_over_all_sources(harness: Harness):
    other = await harness.spool.open_source(OTHER)
    lane = await harness.lane()
    assert (await harness.put("a", "b")).last_seq == 2
    done = await harness.spool.commit(PageCommit(other.number, other.epoch, page=page_of("c")))
    assert (done.new, done.last_seq) == (1, 3)
    chunks = await harness.take(lane)
    assert [(chunk.first, chunk.last, chunk.origin.source) for chunk in chunks] == [(1, 2, "acme"), (3, 3, "other")]
    assert found(chunks) == [body_of("a"), body_of("b"), body_of("c")]
    assert chunks[0].keys == key_of("a") + key_of("b")


async def test_bytes_come_back_verbatim(harness: Harness):
    bodies = [b"", b"\xff\x00 not utf-8", b'{"a":1.10,"a":2,"b":"\\ud800\\/"}', b"x" * 100_000]
    page = page_of("a", "b", "c", "d")
    strange = type(page)(bodies, page.keys, page.digests, page.minutes, {})
    lane = await harness.lane()
    await harness.put(page=strange)
    assert found(await harness.take(lane)) == bodies
    harness = await harness.reopen()
    lane = await harness.lane()
    assert found(await harness.take(lane)) == bodies


async def test_numbers_go_on_after_everything_was_removed(tmp_path):
    async with opened(tmp_path, retain=0) as harness:
        lane = await harness.lane()
        await harness.put("a", "b")
        await harness.drain(lane)
        assert await harness.spool.clean_up() == 1
        await harness.reopen()
        assert (await harness.spool.status()).pages == 0
        assert (await harness.put("c")).last_seq == 3
        lane = await harness.lane()
        assert found(await harness.take(lane)) == [body_of("c")]


# ------------------------------------------------------------------------------------------------------- cursors


async def test_a_page_and_its_cursor_are_one(harness: Harness):
    done = await harness.put("a", moves=[move("tail", None, at=1)])
    assert set(done.versions) == {"tail"}
    with pytest.raises(Fenced):
        await harness.put("b", moves=[move("tail", None, at=2)])
    with pytest.raises(Fenced):
        await harness.put("b", moves=[move("tail", done.versions["tail"] + 1, at=2)])
    assert (await harness.spool.status()).last_seq == 1
    assert (await harness.put("b", moves=[move("tail", done.versions["tail"], at=2)])).new == 1
    state = await harness.spool.open_source(ACME)
    assert state.cursors["tail"].state == {"at": 2}


async def test_all_moves_hold_or_none(harness: Harness):
    done = await harness.put(moves=[move("tail", None, at=1)])
    with pytest.raises(Fenced):
        await harness.put(moves=[move("heal", None, at=1), move("tail", 99, at=2)])
    assert set((await harness.spool.open_source(ACME)).cursors) == {"tail"}
    assert done.new == 0


async def test_a_cursor_that_was_removed_and_made_again_is_another_one(harness: Harness):
    first = (await harness.put(moves=[move("heal", None, at=1)])).versions["heal"]
    assert (await harness.put(moves=[CursorMove("heal", first, None)])).versions == {}
    again = (await harness.put(moves=[move("heal", None, at=1)])).versions["heal"]
    assert again != first
    with pytest.raises(Fenced):
        await harness.put(moves=[move("heal", first, at=2)])


async def test_a_second_poller_fences_the_first_off(harness: Harness):
    stale = harness.source
    harness.source = await harness.spool.open_source(ACME)
    assert harness.source.epoch == stale.epoch + 1
    with pytest.raises(Fenced):
        await harness.spool.commit(PageCommit(stale.number, stale.epoch, page=page_of("a")))
    assert (await harness.put("a")).new == 1


async def test_gaps_open_and_close_with_a_commit(harness: Harness):
    gap = Gap("cursor_lost", detail="why", source=harness.source.number, from_ms=1, to_ms=2)
    done = await harness.spool.commit(PageCommit(harness.source.number, harness.source.epoch, open_gaps=[gap]))
    (number,) = done.gaps
    harness.clock.advance(5)
    await harness.spool.commit(PageCommit(harness.source.number, harness.source.epoch, close_gaps=[number]))
    (stored,) = (await harness.spool.status()).gaps
    assert (stored.number, stored.cause, stored.from_ms, stored.to_ms) == (number, "cursor_lost", 1, 2)
    assert stored.closed_ms == stored.opened_ms + 5000


# ----------------------------------------------------------------------------------------- repeats and revisions


async def test_what_is_known_is_dropped_and_counted(harness: Harness):
    assert (await harness.put("a", "b")).repeats == 0
    done = await harness.put("b", "c", "a", "c")
    assert (done.new, done.repeats, done.revisions, done.last_seq) == (1, 3, 0, 3)
    (source,) = (await harness.spool.status()).sources
    assert (source.spooled, source.repeats, source.revisions) == (3, 3, 0)


async def test_repeats_alone_still_move_the_cursor(harness: Harness):
    await harness.put("a")
    done = await harness.put("a", moves=[move("tail", None, at=9)])
    assert (done.new, done.repeats, set(done.versions)) == (0, 1, {"tail"})


@pytest.mark.parametrize("between", ["hot", "cold", "reopened"])
async def test_the_same_id_with_other_bytes_is_a_revision_once(tmp_path, between):
    async with opened(tmp_path, id_memory=1 if between == "cold" else 1000) as harness:

        async def pause() -> None:
            if between == "reopened":
                await harness.reopen()
            elif between == "cold":
                await harness.put((f"far{harness.clock.now}", "", "2020-01-01T00:00"))
            harness.clock.advance(1)

        await harness.put(("a", "one"), "z")
        await pause()
        assert (await harness.put(("a", "two"))).revisions == 1
        await pause()
        done = await harness.put(("a", "two"), ("a", "one"), ("a", "three"), ("a", "three"), "z")
        assert (done.new, done.repeats, done.revisions) == (1, 4, 1)
        lane = await harness.lane()
        chunks = await harness.take(lane)
        marked = {chunk.bodies[at]: digest for chunk in chunks for at, digest in chunk.revisions.items()}
        assert set(marked) == {body_of("a", "two"), body_of("a", "three")}
        assert len(set(marked.values())) == 2


async def test_a_small_window_forgets_nothing(tmp_path):
    minutes = [f"2026-01-31T12:{number:02d}" for number in range(20)] + [""]
    async with opened(tmp_path, id_memory=3) as harness:
        pages = [
            page_of(*((f"{minute}-{number}", "", minute) for number in range(5) for minute in (one, two)))
            for one, two in pairwise(minutes)
        ]
        firsts = [(await harness.put(page=page)).new for page in pages]
        assert firsts == [10] + [5] * (len(pages) - 1)
        for page in reversed(pages):
            assert (await harness.put(page=page)).new == 0
        assert harness.spool._parts.ids._held < 40


async def test_an_id_under_two_minutes_survives_the_cooling_of_one(tmp_path):
    async with opened(tmp_path, id_memory=4) as harness:
        await harness.put(("a", "one", "2026-01-31T12:00"))
        assert (await harness.put(("a", "two", "2026-01-31T12:01"))).revisions == 1  # recognised while hot
        await harness.put(("b", "", "2026-01-31T12:02"))  # cools 12:00
        assert (await harness.put(("a", "two", "2026-01-31T12:01"))).repeats == 1
        assert (await harness.put(("a", "one", "2026-01-31T12:00"))).repeats == 1


async def test_events_without_a_time_are_remembered_too(tmp_path):
    async with opened(tmp_path, id_memory=1) as harness:
        page = page_of(*((name, "", "") for name in names("n", 300)))
        assert (await harness.put(page=page)).new == 300
        await harness.reopen()
        assert (await harness.put(page=page)).repeats == 300


async def test_repeats_are_recognised_per_audience_and_source(harness: Harness):
    other = await harness.spool.open_source(OTHER)
    assert (await harness.put("a")).new == 1
    assert (await harness.put("a", audience="elastic")).new == 1
    assert (await harness.put("a", audience="elastic")).repeats == 1
    assert (await harness.put("a", audience="archive")).new == 1
    done = await harness.spool.commit(PageCommit(other.number, other.epoch, page=page_of("a")))
    assert done.new == 1


async def test_derived_marks_follow_their_events(harness: Harness):
    lane = await harness.lane()
    await harness.put("a")
    await harness.put(page=page_of("a", "b", "a", "c", derived=[1, 2]))
    await harness.reopen()
    lane = await harness.lane()
    last = (await harness.take(lane))[-1]
    assert [last.bodies[at] for at in last.derived] == [body_of("b")]
    cut = (await harness.take(lane, after=2))[-1]
    assert (cut.bodies, cut.derived) == ([body_of("c")], frozenset())


async def test_a_refused_commit_leaves_no_id_behind(harness: Harness):
    with pytest.raises(Fenced):
        await harness.put("a", moves=[move("tail", 7, at=1)])
    assert (await harness.put("a")).new == 1


async def test_columns_that_do_not_fit_are_refused(harness: Harness):
    page = page_of("a", "b")
    for wrong in (
        type(page)(page.bodies, page.keys[:1], page.digests, page.minutes, {}),
        type(page)(page.bodies, page.keys, page.digests, page.minutes[:1], {}),
        type(page)(page.bodies, page.keys, [digest[:4] for digest in page.digests], page.minutes, {}),
        type(page)(page.bodies, [key + b"x" for key in page.keys], page.digests, page.minutes, {}),
    ):
        with pytest.raises(SpoolError):
            await harness.put(page=wrong)
    assert (await harness.put(page=page)).new == 2


async def test_retention_of_ids_by_age_and_by_bytes(tmp_path):
    async with opened(tmp_path, id_retention=3600, id_max_bytes=2**16) as harness:
        await harness.put("a")
        harness.clock.advance(3601)
        await harness.put("b")
        before = await harness.spool.status()
        await harness.spool.clean_up()
        after = await harness.spool.status()
        assert after.id_bytes * 2 == before.id_bytes
        assert after.ids_since_ms == int(harness.clock.now * 1000)
        for number in range(10):
            minute = f"2026-01-31T13:{number:02d}"
            await harness.put(*((f"{number}-{name}", "", minute) for name in names("x", 500)))
        assert (await harness.spool.status()).id_bytes > 2**16
        await harness.spool.clean_up()
        kept = (await harness.spool.status()).id_bytes
        assert 2**16 - 500 * 24 - 100 < kept <= 2**16
        await harness.reopen()
        assert (await harness.put(("9-x0", "", "2026-01-31T13:09"))).repeats == 1
        assert (await harness.put("b")).new == 1


# ------------------------------------------------------------------------------------------------------- sources


async def test_a_renamed_source_is_recognised(harness: Harness):
    await harness.put("a", moves=[move("tail", None, at=1)])
    state = await harness.spool.open_source(Origin("renamed", "organization", "org-1"))
    assert (state.number, state.known_as) == (harness.source.number, "acme")
    assert state.cursors["tail"].state == {"at": 1}
    lane = await harness.lane()
    assert (await harness.take(lane))[0].origin.source == "renamed"
    assert (await harness.spool.open_source(Origin("renamed", "organization", "org-1"))).known_as is None


async def test_another_organization_under_an_old_name_is_refused(harness: Harness):
    with pytest.raises(ConfigError, match=r"sources\.acme.*org-1.*org-9"):
        await harness.spool.open_source(Origin("acme", "organization", "org-9"))
    assert len((await harness.spool.status()).sources) == 1


async def test_two_sources_may_exchange_names(harness: Harness):
    await harness.spool.open_source(OTHER)
    swapped = [Origin("other", "organization", "org-1"), Origin("acme", "organization", "org-2")]
    configured = [origin.identity for origin in swapped]
    known = [(await harness.spool.open_source(origin, configured=configured)).known_as for origin in swapped]
    assert known == ["acme", "other"]


async def test_cursor_state_is_kept_as_it_is(harness: Harness):
    state = {"next": "ü\u2028", "n": 10**15, "deep": [{"a": None}, 1.5], "": True}
    await harness.put(moves=[CursorMove("tail", None, state)])
    await harness.reopen()
    assert harness.source.cursors["tail"].state == state


async def test_the_minute_arranges_and_does_not_identify(harness: Harness):
    await harness.put(("a", "", MINUTE))
    assert (await harness.put(("a", "", "2026-01-31T12:07"))).repeats == 1


async def test_an_id_with_many_contents_is_known_by_each_of_them(tmp_path):
    async with opened(tmp_path) as harness:
        contents = [("same", f"{number}") for number in range(200)]
        assert (await harness.put(*contents[:150])).new == 150
        done = await harness.put(*contents)
        assert (done.new, done.repeats, done.revisions) == (50, 150, 50)


def test_a_digest_is_found_only_where_one_begins():
    one, two = bytes(range(8)), bytes(range(8, 16))
    assert _holds(one + two, two)
    assert not _holds(one + two, (one + two)[3:11])
    assert _holds(one + two + (one + two)[3:11], (one + two)[3:11])
