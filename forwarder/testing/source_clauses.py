"""Reading: every event once and as it was sent, from any cursor on, through every fault, which has its right error."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import AuthFailed, ConfigError, CursorLost, CursorState, Held, Page, Retryable, TakesBack
from forwarder.contracts.identity import DIGEST_BYTES, KEY_BYTES, content_digests
from forwarder.testing.far_end import SECOND_SECRET, SECRET, secret_file
from forwarder.testing.feed import WAIT, Feed, FeedFault, begin, build_source, reads_windows
from forwarder.testing.source_rules import serving
from forwarder.testing.suite import clause

EVENTS = 25
"""Three pages at least: a feed gives ten events at most at once."""

MOST_PAGES = 200

ODD = (
    b'{"n": 1.10 , "big":36893488147419103232}',
    b'{"a":1,"a":2}',
    b'"\\/ \\u00e9 \xc3\xa9 \\u0000"',
    b'"half \\ud83d"',
    b'"\\u202e \\u001b[31m"',
    b'[1,[2,{"x":[]}],"]}"]',
)
"""JSON that another writer would write otherwise."""


def stored(state: CursorState) -> CursorState:
    """Return the state of a cursor as the spool gives it back."""
    found: CursorState = json.loads(json.dumps(state))
    return found


async def read(source: Any, state: CursorState) -> list[Page]:
    """Read until the source says that nothing more is there now."""
    pages: list[Page] = []
    while not pages or (pages[-1].more and (pages[-1].bodies or not reads_windows(source))):
        assert len(pages) < MOST_PAGES, "the source never comes to the tip"
        page = await source.fetch(state)
        columns = [len(page.bodies), len(page.keys), len(page.digests), len(page.minutes)]
        assert len(set(columns)) == 1, "the columns of a page have one entry per event"
        assert all(len(key) == KEY_BYTES for key in page.keys)
        assert list(page.digests) == content_digests(page.bodies)
        assert page.derived <= set(range(len(page.bodies)))
        assert len(page.digests[0]) == DIGEST_BYTES if page.digests else True
        pages.append(page)
        state = stored(page.next)
    return pages


def bodies(pages: list[Page]) -> list[bytes]:
    """Return the events of some pages."""
    return [bytes(body) for page in pages for body in page.bodies]


def are(source: Any, pages: list[Page], sent: list[bytes]) -> bool:
    """Tell whether some pages hold these events once each, in the order that the source promises."""
    found = bodies(pages)
    return Counter(found) == Counter(sent) if reads_windows(source) else found == sent


def later(source: Any, pages: list[Page]) -> CursorState:
    """Return what is asked for once time has passed: a window anew, since what it says of its end is of one moment."""
    return begin(source) if reads_windows(source) else stored(pages[-1].next)


@clause()
async def test_every_event_comes_once_in_order_and_as_it_was_sent(feed: type[Feed], tmp_path: Path) -> None:
    async with serving(feed, tmp_path) as api:
        sent = api.add(EVENTS)
        source = build_source(api)
        try:
            pages = await read(source, begin(source))
        finally:
            await source.close()
        assert are(source, pages, sent)
        assert len({key for page in pages for key in page.keys}) == EVENTS
        assert len(pages) >= 3, "at most ten events a page, please"


@clause()
async def test_odd_json_is_kept_byte_for_byte(feed: type[Feed], tmp_path: Path) -> None:
    async with serving(feed, tmp_path) as api:
        sent = [body for extra in ODD for body in api.add(2, extra)]
        source = build_source(api)
        try:
            pages = await read(source, begin(source))
        finally:
            await source.close()
        assert are(source, pages, sent)


@clause()
async def test_an_event_from_an_archive_is_the_one_that_was_read(feed: type[Feed], tmp_path: Path) -> None:
    async with serving(feed, tmp_path) as api:
        for extra in (b"null", *ODD):
            api.add(2, extra)
        source = build_source(api)
        try:
            pages = await read(source, begin(source))
            found = {body: why_foreign(source, body) for body in bodies(pages)}
            again = source.pages_of(bodies(pages)) if None not in found.values() else pages
            foreign = [why_foreign(source, body) for body in (b"{}", b'{"id":7,"attributes":[]}')]
        finally:
            await source.close()
        assert not any(found.values())
        assert all(reason or reason is None for reason in foreign)
        assert identities(again) == identities(pages)


def why_foreign(source: Any, body: bytes) -> str | None:
    """Return why a source takes no such event from an archive; None when it takes none at all."""
    if not isinstance(source, TakesBack):
        return None
    try:
        return source.why_foreign(body)
    except ConfigError:
        return None


def identities(pages: list[Page]) -> Counter[tuple[bytes, bytes, bytes, str, bool]]:
    """Return what is remembered of each event."""
    return Counter(
        (page.bodies[at], page.keys[at], page.digests[at], page.minutes[at], at in page.derived)
        for page in pages
        for at in range(len(page.bodies))
    )


@clause()
async def test_from_any_cursor_on_nothing_is_missing(feed: type[Feed], tmp_path: Path) -> None:
    async with serving(feed, tmp_path) as api:
        sent = set(api.add(EVENTS))
        first = build_source(api)
        pages = await read(first, begin(first))
        await first.close()
        for count in range(1, len(pages) + 1):
            again = build_source(api, "another")
            try:
                rest = await read(again, stored(pages[count - 1].next))
            finally:
                await again.close()
            assert set(bodies(pages[:count])) | set(bodies(rest)) == sent


@clause()
async def test_the_same_event_has_the_same_key_in_every_life(feed: type[Feed], tmp_path: Path) -> None:
    async with serving(feed, tmp_path, EVENTS) as api:
        seen = []
        for name in ("first", "second"):
            source = build_source(api, name)
            try:
                pages = await read(source, begin(source))
            finally:
                await source.close()
            seen.append([(bytes(key), bytes(digest)) for page in pages for key, digest in _pairs(page)])
        assert seen[0] == seen[1]


def _pairs(page: Page) -> list[tuple[bytes, bytes]]:
    return list(zip(page.keys, page.digests, strict=True))


@clause()
async def test_at_the_tip_it_waits_and_what_happens_later_comes(feed: type[Feed], tmp_path: Path) -> None:
    async with serving(feed, tmp_path) as api:
        source = build_source(api)
        try:
            empty = await read(source, begin(source))
            assert bodies(empty) == []
            sent = api.add(12)
            pages = await read(source, later(source, empty))
            assert are(source, pages, sent)
            quiet = await read(source, stored(pages[-1].next))
            sent += api.add(3)
            pages += quiet + await read(source, later(source, quiet))
            assert set(bodies(pages)) == set(sent)
        finally:
            await source.close()


@clause()
async def test_two_pages_may_be_fetched_at_once(feed: type[Feed], tmp_path: Path) -> None:
    async with serving(feed, tmp_path, EVENTS) as api:
        source = build_source(api)
        try:
            pages = await read(source, begin(source))
            both = await asyncio.gather(source.fetch(begin(source)), source.fetch(stored(pages[0].next)))
        finally:
            await source.close()
        assert [bodies([page]) for page in both] == [bodies([page]) for page in pages[:2]]


EXPECTED: dict[str, tuple[type[Exception], set[str]]] = {
    "rate_limited": (Retryable, {"rate_limited"}),
    "server_error": (Retryable, {"server_error"}),
    "login_page": (Retryable, {"login_page", "not_json"}),
    "redirect": (Retryable, {"redirect"}),
    "truncated": (Retryable, {"truncated"}),
    "too_large": (Retryable, {"too_large"}),
    "garbage": (Retryable, {"other", "reset"}),
    "reset": (Retryable, {"reset", "truncated"}),
    "stall": (Retryable, {"timeout"}),
}
"""Which error each fault is, and its kinds."""


@clause(one_of=tuple(EXPECTED))
async def test_a_fault_is_told_by_its_error_and_costs_nothing(
    feed: type[Feed], fault: FeedFault, tmp_path: Path
) -> None:
    async with serving(feed, tmp_path) as api:
        sent = api.add(EVENTS)
        source = build_source(api)
        try:
            first = await source.fetch(begin(source))
            api.play(fault, None)
            expected, kinds = EXPECTED[fault]
            for state in (begin(source), stored(first.next)):
                with pytest.raises(expected) as caught:
                    await source.fetch(state)
                error: Any = caught.value
                assert error.kind in kinds
                assert error.fix
                assert no_secret_in(error)
                if fault == "rate_limited":
                    assert error.retry_after == pytest.approx(WAIT, abs=1), "the wait that was asked for"
            api.calm()
            rest = await read(source, stored(first.next))
            assert are(source, [first, *rest], sent)
        finally:
            await source.close()


def no_secret_in(error: BaseException) -> bool:
    """Tell whether neither secret is in an error, its causes and what a log would show of it."""
    shown = "".join(traceback.format_exception(error)) + str(vars(error))
    return SECRET not in shown and SECOND_SECRET not in shown


@clause("auth")
async def test_a_refused_credential_is_said_and_a_new_file_fixes_it(feed: type[Feed], tmp_path: Path) -> None:
    async with serving(feed, tmp_path) as api:
        sent = api.add(EVENTS)
        source = build_source(api)
        try:
            api.rotate()
            state = begin(source)
            with pytest.raises(AuthFailed) as refused:
                await source.fetch(state)
            assert refused.value.fix
            assert no_secret_in(refused.value)
            secret_file(tmp_path, "").unlink()
            with pytest.raises(AuthFailed) as missing:
                await source.fetch(state)
            assert missing.value.fix
            secret_file(tmp_path, SECOND_SECRET)
            assert are(source, await read(source, state), sent)
        finally:
            await source.close()


@clause("cursor_lost")
async def test_a_cursor_that_is_refused_is_lost(feed: type[Feed], tmp_path: Path) -> None:
    async with serving(feed, tmp_path) as api:
        sent = api.add(EVENTS)
        source = build_source(api)
        try:
            first = await source.fetch(begin(source))
            assert first.more
            api.play("cursor_lost")
            with pytest.raises(CursorLost) as caught:
                await source.fetch(stored(first.next))
            assert no_secret_in(caught.value)
            assert are(source, await read(source, begin(source)), sent)
        finally:
            await source.close()


@clause(one_of=("empty_page", "repeated_page"))
async def test_an_odd_page_ends_no_walk(feed: type[Feed], fault: FeedFault, tmp_path: Path) -> None:
    async with serving(feed, tmp_path) as api:
        sent = api.add(EVENTS)
        source = build_source(api)
        try:
            pages = [await source.fetch(begin(source))]
            api.play(fault)
            pages.append(await source.fetch(stored(pages[-1].next)))
            pages += await read(source, stored(pages[-1].next))
            assert set(bodies(pages)) == set(sent)
        finally:
            await source.close()


@clause("restart")
async def test_an_api_that_was_away_is_found_again(feed: type[Feed], tmp_path: Path) -> None:
    async with serving(feed, tmp_path) as api:
        sent = api.add(EVENTS)
        source = build_source(api)
        try:
            first = await source.fetch(begin(source))
            await api.close()
            with pytest.raises((Retryable, Held)) as caught:
                await source.fetch(stored(first.next))
            assert no_secret_in(caught.value)
            await api.open()
            rest = await read(source, stored(first.next))
            assert are(source, [first, *rest], sent)
        finally:
            await source.close()
