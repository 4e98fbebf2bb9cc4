"""One cursor in trouble is asked for less, says so, and holds no one else up."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import Held, Retryable
from forwarder.net.retry import LONGEST_WAIT
from forwarder.polling.plan import BACKFILL, HEAL, TAIL
from simulator.http_types import Wire
from simulator.httpd import Response
from tests.polling.pollers import attempt, spooled
from tests.polling.test_reading_on import course, names
from tests.sources.organization.answers import harness, onward, refusal
from tests.sources.organization.feeds import START, Log

NOW = START + 100_000_000


def big(log: Log, count: int, *, at: int, size: int) -> None:
    for number in range(count):
        ident = f"big{number}"
        body = json.dumps({"id": ident, "attributes": {"processedAt": "x"}, "x": "y" * size})
        log.events.append((at + number, at + number, body))
    log.events.sort(key=lambda entry: entry[0])


@pytest.mark.parametrize("size", [20_000, 90_000])
async def test_a_page_that_is_too_large_is_asked_for_in_parts_and_the_limit_grows_again(
    tmp_path: Path, size: int
) -> None:
    log = Log()
    big(log, 40, at=START, size=size)
    log.happen(1500, at=START + 1000)
    async with course(tmp_path, log, http={"max_response": 200_000}) as c:
        await c.start()
        assert Counter(await c.until_all()) == names(log)
        await c.until(lambda: c.poller.report.state == "idle")
        limits = [int(query["limit"]) for query in log.asked]
        assert min(limits) < 10
        assert limits[-1] == 500
        assert c.poller.report.errors["too_large"] < 20
        assert set(c.poller.report.errors) == {"too_large"}


async def test_an_event_beyond_every_limit_holds_its_own_cursor_and_the_status_shows_it(tmp_path: Path) -> None:
    log = Log()
    big(log, 1, at=START, size=300_000)
    log.happen(5, at=NOW - 60_000)
    async with course(tmp_path, log, http={"max_response": 200_000}) as c:
        await c.start()
        report = c.poller.report
        await c.until(lambda: report.state == "held")
        assert "larger than 200000" in report.reason
        assert BACKFILL in report.reason
        assert "max_response" in report.fix
        assert report.next_try > c.clock.now - 1
        bad = 0
        for _ in range(200):  # live events never wait for it, and no good poll of theirs hides it
            log.happen(1, at=int(c.clock.now * 1000))
            await c.step()
            bad += report.well
        await c.until(lambda: report.spooled >= len(log.events) - 1)
        assert bad == 0
        assert len([q for q in log.asked if q["limit"] == "1"]) < 100  # not asked for without end


async def test_slow_pages_are_asked_for_in_parts() -> None:
    async with harness(http={"read_timeout": 0.2}) as d:
        for limit, smaller in ((500, 250), (250, 125)):
            slow = onward("1", cursor="c")
            slow.misbehave = Wire(delay=1.0)
            with pytest.raises(Retryable) as caught:
                await d.fetch(slow)
            assert caught.value.kind == "timeout"
            assert f"{smaller} events are asked for next instead of {limit}" in str(caught.value)
        asked = []
        for number in range(6):
            await d.step(onward(str(number), cursor=f"c{number}"))
            asked.append(int(d.query["limit"]))
        assert asked == [125, 125, 250, 500, 500, 500]


async def test_the_limit_of_one_place_is_not_that_of_another() -> None:
    async with harness() as d:
        await d.step(onward("1", cursor="c1"))
        with pytest.raises(Retryable):
            await d.fetch(Response(500))
        before, d.state = d.state, d.source.walk(5)
        await d.fetch(onward("2", cursor="c9"))
        assert d.query["limit"] == "500"
        d.state = before
        await d.fetch(onward("3", cursor="c2"))
        assert d.query["limit"] == "250"


async def test_a_refusal_is_no_reason_to_ask_for_less() -> None:
    async with harness(limit=200) as d:
        for answer in (refusal(401), refusal(404), Response(429)):
            with pytest.raises((Held, Retryable)):
                await d.fetch(answer)
        await d.step(onward("1", cursor="c1"))
        assert d.query["limit"] == "200"


# ------------------------------------------------------------------------------------------ one does not starve another


@pytest.mark.parametrize("broken", [TAIL, BACKFILL, HEAL])
async def test_a_cursor_that_fails_delays_no_other(tmp_path: Path, broken: str) -> None:
    log = Log()
    log.happen(2000, at=START, every=10)
    log.happen(2000, at=START + 98_000_000, every=700)
    async with course(tmp_path, log) as c:
        await c.start(since=7 * 86400, overlap=1800)
        await attempt(c.poller, TAIL)
        if broken == HEAL:
            c.poller._reads = True
            assert await c.poller.drop(TAIL, "by hand")
            await c.poller._drop_by_hand()
        poller = c.poller
        request, failures, good = poller._request, Counter[str](), Counter[str]()

        async def failing(name: str) -> None:
            if name == broken:
                failures[name] += 1
                raise Retryable("made up", kind="server_error")
            await request(name)
            good[name] += 1

        poller._request = failing  # type: ignore[method-assign]
        others = {TAIL, BACKFILL, HEAL} & set(poller._rows) - {broken}
        begun = c.clock.now
        await c.until(lambda: failures[broken] >= 3 and all(good[name] >= 3 for name in others))
        assert c.clock.now - begun < 200  # three ordinary polls of the tail
        assert poller.report.state == "retrying"
        assert "made up" in poller.report.reason


async def test_a_stranger_s_exception_is_a_state_with_a_reason(tmp_path: Path) -> None:
    log = Log()
    log.happen(700, at=START)
    async with course(tmp_path, log) as c:
        await c.start()
        fetch = c.source.fetch

        async def failing(_: Any) -> Any:
            raise ZeroDivisionError("token=secret-token-of-somebody")

        c.source.fetch = failing  # type: ignore[method-assign]
        await c.until(lambda: c.poller.report.errors["other"] >= 3)
        assert c.poller.report.state == "retrying"
        assert "ZeroDivisionError" in c.poller.report.reason
        assert "secret" not in c.poller.report.reason
        c.source.fetch = fetch  # type: ignore[method-assign]
        assert Counter(await c.until_all()) == names(log)
        await c.until(lambda: c.poller.report.state == "idle")
        assert c.poller.report.errors["cursor_lost"] == 0


async def test_a_cursor_in_the_spool_that_no_client_can_send_is_lost_at_the_start(tmp_path: Path) -> None:
    log = Log()
    log.happen(700, at=START + 99_000_000, every=700)
    async with course(tmp_path, log) as c:
        await c.start()
        await c.until(lambda: c.poller.report.state == "idle")
        row = c.poller._rows[TAIL]
        bad = {**row.state, "walk": {"cursor": "c" * 70_000, "from": row.state["from"]}}
        from forwarder.spool.contract import CursorMove, PageCommit

        store = c.poller._store
        await c.spool.commit(PageCommit(store._number, store._epoch, [CursorMove(TAIL, row.version, bad)]))
        log.happen(700, at=int(c.clock.now * 1000))
        c.clock.advance(1000)
        await c.start()
        await c.until(lambda: c.poller.report.state == "idle" and c.poller._at_tip)
        assert Counter(await spooled(c.spool)) == names(log)
        assert c.poller.report.errors["cursor_lost"] == 1


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("asked", ["31557600000000", "Fri, 31 Dec 9999 23:59:59 GMT", "-7", "NaN", "1e400", "9" * 500])
async def test_no_wait_that_a_server_asks_for_silences_a_source(tmp_path: Path, status: int, asked: str) -> None:
    log = Log(instead=lambda _: Response(status, {"retry-after": asked}))
    log.happen(5, at=NOW - 60_000)
    async with course(tmp_path, log) as c:
        await c.start()
        report, step = c.poller.report, c.poller._asker.pause

        async def pause(seconds: float) -> None:
            c.clock.advance(seconds + 0.001)

        c.poller._asker.pause = pause  # type: ignore[method-assign]
        await c.until(lambda: report.tries >= 4)
        assert c.clock.now < report.next_try + 1 <= c.clock.now + LONGEST_WAIT + 1
        before, begun = len(log.asked), c.clock.now
        await c.until(lambda: c.clock.now > begun + 3600)
        assert len(log.asked) - before >= 10  # it is asked every few minutes all the same
        log.instead = lambda _: None
        begun = c.clock.now
        await c.until_all()
        assert c.clock.now - begun <= LONGEST_WAIT + 60
        c.poller._asker.pause = step  # type: ignore[method-assign]
