"""Events that were pushed and those that the log gives of the same id: stored once, unless they say different things."""

from __future__ import annotations

import json
import sqlite3

import pytest

from forwarder.contracts import Page
from forwarder.contracts.identity import content_digests, is_pushed, pushed_digests
from forwarder.spool.sqlite.pushed import agree
from tests.spool.spools import MINUTE, key_of, opened


def page_of(*trees: dict, pushed: bool = False) -> Page:
    bodies = [json.dumps(tree).encode() for tree in trees]
    return Page(
        bodies=bodies,
        keys=[key_of(tree["id"]) for tree in trees],
        digests=(pushed_digests if pushed else content_digests)(bodies),
        minutes=[MINUTE] * len(bodies),
        next={},
    )


def event(ident: str, **attributes: object) -> dict:
    return {"id": ident, "type": "events", "attributes": {"action": "x", "context": [{"id": "1"}], **attributes}}


OTHERWISE = {"attributes": {"context": [{"id": "1", "new": 1}], "action": "x"}, "id": "a", "webhook": 7, "links": None}
"""The event `a` as another writer writes it."""


def counts(done) -> tuple[int, int, int]:
    return done.new, done.repeats, done.revisions


async def test_the_log_repeats_what_was_pushed_in_another_shape(tmp_path):
    async with opened(tmp_path) as harness:
        lane = await harness.lane()
        assert counts(await harness.put(page=page_of(OTHERWISE, pushed=True))) == (1, 0, 0)
        for _ in range(2):
            assert counts(await harness.put(page=page_of(event("a"), event("b")))) in {(1, 1, 0), (0, 2, 0)}
        assert len(await harness.drain(lane)) == 2
        [source] = (await harness.spool.status()).sources
        assert (source.spooled, source.repeats) == (2, 3)


@pytest.mark.parametrize("reopens", [False, True])
async def test_what_the_log_gives_after_that_is_judged_by_its_bytes(tmp_path, reopens):
    async with opened(tmp_path) as harness:
        await harness.put(page=page_of(OTHERWISE, pushed=True))
        assert counts(await harness.put(page=page_of(event("a")))) == (0, 1, 0)
        if reopens:
            await harness.reopen()
        assert counts(await harness.put(page=page_of(event("a")))) == (0, 1, 0)
        assert counts(await harness.put(page=page_of(event("a", more=1)))) == (1, 0, 1), (
            "a field more is a revision now"
        )
        assert counts(await harness.put(page=page_of(event("a", more=1)))) == (0, 1, 0)


@pytest.mark.parametrize("reopens", [False, True])
async def test_a_version_that_says_something_else_is_a_revision(tmp_path, reopens):
    async with opened(tmp_path) as harness:
        await harness.put(page=page_of(OTHERWISE, pushed=True))
        if reopens:
            await harness.reopen()
        assert counts(await harness.put(page=page_of(event("a", action="y")))) == (1, 0, 1)
        assert counts(await harness.put(page=page_of(event("a", action="y")))) == (0, 1, 0)
        assert counts(await harness.put(page=page_of(OTHERWISE, pushed=True))) == (0, 1, 0)


async def test_what_the_log_gave_is_not_taken_again_by_push(tmp_path):
    async with opened(tmp_path) as harness:
        await harness.put(page=page_of(event("a")))
        assert counts(await harness.put(page=page_of(OTHERWISE, pushed=True))) == (0, 1, 0)
        late = {**OTHERWISE, "attributes": {"action": "older"}}
        assert counts(await harness.put(page=page_of(late, pushed=True))) == (0, 1, 0)


async def test_pushed_twice_is_one_event_and_two_versions_are_two(tmp_path):
    async with opened(tmp_path) as harness:
        await harness.put(page=page_of(OTHERWISE, pushed=True))
        assert counts(await harness.put(page=page_of({**OTHERWISE, "sent": 2}, pushed=True))) == (0, 1, 0)
        other = event("a", action="y")
        assert counts(await harness.put(page=page_of(other, pushed=True))) == (1, 0, 1)
        for version in (event("a"), event("a", action="y")):
            assert counts(await harness.put(page=page_of(version))) == (0, 1, 0)


async def test_a_full_spool_undoes_what_was_to_be_remembered(tmp_path):
    async with opened(tmp_path) as harness:
        before = (await harness.spool.status()).id_bytes
        await harness.put(page=page_of(OTHERWISE, pushed=True))
        between = (await harness.spool.status()).id_bytes
        await harness.put(page=page_of(event("a")))
        after = (await harness.spool.status()).id_bytes
        assert before < between < after == between + 24


async def booked_and_kept(harness) -> tuple[int, int]:
    """Return the bytes of ids by the books, and by the table."""
    booked = (await harness.spool.status()).id_bytes
    await harness.spool.close()
    with sqlite3.connect(harness.config.path) as con:
        [(kept,)] = con.execute("SELECT coalesce(sum(length(entries) + 64), 0) FROM ids")
    con.close()
    await harness.reopen()
    return booked, kept


async def test_what_is_remembered_is_what_is_booked_whoever_comes_first_and_however_often(tmp_path):
    async with opened(tmp_path) as harness:
        await harness.put(page=page_of(event("a"), event("b")))
        for number in range(5):
            for ident in ("a", "b"):
                again = page_of({**OTHERWISE, "id": ident, "sent": number}, pushed=True)
                assert counts(await harness.put(page=again)) == (0, 1, 0)
        assert (await harness.spool.status()).id_bytes == 64 + 2 * 24, "nothing of it was written"
        await harness.put(page=page_of({**OTHERWISE, "id": "c"}, event("c", action="y"), pushed=True))
        await harness.put(page=page_of({**OTHERWISE, "id": "c", "sent": 2}, pushed=True))
        await harness.put(page=page_of(event("c"), event("c", more=1)))
        await harness.put(page=page_of(event("c", action="y")))
        await harness.put(page=page_of({**OTHERWISE, "id": "c", "sent": 3}, pushed=True))
        booked, kept = await booked_and_kept(harness)
        assert booked == kept


@pytest.mark.parametrize("reopens", [False, True])
@pytest.mark.parametrize("first", ["x", "y"])
async def test_two_versions_of_one_push_are_given_by_the_log_one_by_one(tmp_path, first, reopens):
    second = "xy".replace(first, "")
    both = (event("a", action="x", sent=1), event("b"), event("a", action="y", sent=1))
    async with opened(tmp_path) as harness:
        assert counts(await harness.put(page=page_of(*both, pushed=True))) == (3, 0, 1)
        assert counts(await harness.put(page=page_of(event("a", action=first)))) == (0, 1, 0)
        if reopens:
            await harness.reopen()
        assert counts(await harness.put(page=page_of(event("a", action=first, more=1)))) == (1, 0, 1), "a revision now"
        assert counts(await harness.put(page=page_of(event("a", action=second)))) == (0, 1, 0), "the other one is known"
        assert counts(await harness.put(page=page_of(event("a", action=second, more=1)))) == (1, 0, 1)


async def test_one_version_that_one_push_holds_in_two_shapes_is_given_once(tmp_path):
    async with opened(tmp_path) as harness:
        await harness.put(page=page_of(event("a", sent=1), event("a", again=2), pushed=True))
        assert counts(await harness.put(page=page_of(event("a")))) == (0, 1, 0)
        assert counts(await harness.put(page=page_of(event("a", more=1)))) == (1, 0, 1), (
            "a revision, not the other shape"
        )
        booked, kept = await booked_and_kept(harness)
        assert booked == kept


def test_only_marked_digests_are_of_pushed_events():
    bodies = [b"%d" % number for number in range(10_000)]
    assert all(map(is_pushed, pushed_digests(bodies)))
    assert not any(map(is_pushed, content_digests(bodies)))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b'{"a":1}', b'{"b":2}', True),
        (b'{"a":1,"b":null}', b'{"a":1,"b":[2]}', True),
        (b'{"a":1}', b'{"a":true}', False),
        (b'{"a":[1]}', b'{"a":[1,2]}', False),
        (b'{"a":{"b":1}}', b'{"a":{"b":2}}', False),
        (b'{"a":"x"}', b'{"a":["x"]}', False),
        (b'{"a":{"b":1}}', b'{"a":"x"}', False),
        (b'{"a":{"b":1}}', b'{"a":["b"]}', False),
        (b'{"a":[1,{"b":2}]}', b'{"a":[1,{"b":2,"c":3}]}', True),
        (b'{"a":[1,2]}', b'{"a":[1,3]}', False),
        (b"{", b"{}", False),
        (b'{"a":"\\ud83d"}', b'{"a":"\\uD83D"}', True),
    ],
)
def test_versions_agree_unless_a_field_that_both_have_differs(one, other, same):
    assert agree(one, other) is agree(other, one) is same


def test_of_what_is_very_long_or_deep_both_versions_are_kept():
    def padded(size: int) -> bytes:
        return b'{"a":1,"b":"' + b"x" * (size - 14) + b'"}'

    assert agree(b'{"a":1}', padded(2**20))
    assert not agree(b'{"a":1}', padded(2**20 + 1))
    assert not agree(padded(2**20 + 1), b'{"a":1}')
    assert not agree(b'{"a":' * 100_000, b"{}")
    assert not agree(b"{}", b'{"a":' * 100_000)
