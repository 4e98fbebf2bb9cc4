"""What the poller does when the spool refuses: full, taken over by another, or of another organization."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from forwarder.contracts import ConfigError, Held, Page
from forwarder.polling.plan import TAIL
from forwarder.spool.contract import Committed, Fenced, PageCommit, Settlement, SpoolFull
from tests.polling.pollers import ScriptedSource, page, poller_of, quiet, running, spool_in, spooled, step, until

# -------------------------------------------------------------------------------------------------- the spool says no


def big_pages(count: int) -> Callable[[dict[str, Any]], Page]:
    def answer(state: dict[str, Any]) -> Page:
        n = state.get("n", 0)
        return page(state, *(f"e{n}-{i}" for i in range(20)), size=4000, more=True) if n < count else page(state)

    return answer


async def test_a_full_spool_pauses_and_the_page_in_hand_is_not_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forwarder.polling.poller.SPOOL_WAIT", 0.02)
    source = ScriptedSource(big_pages(40))
    async with spool_in(tmp_path, max_bytes=2**21, retain=0) as spool:
        lane = await spool.open_lane("slow", "memory", start=None, on_full="pause")
        poller = poller_of(source, spool, trailing_every=10**6)
        async with running(poller) as task:
            await until(lambda: poller.report.state == "paused", task)
            assert poller.report.errors["spool_full"] >= 1
            assert poller.report.reason
            assert poller.report.fix
            asked = len(source.asked)
            poller.ring()
            await until(lambda: not poller.wake.is_set(), task)  # a bell does not make it spin
            tries = poller.report.errors["spool_full"]
            await until(lambda: poller.report.errors["spool_full"] >= tries + 3, task)
            assert len(source.asked) == asked

            names: list[str] = []
            position = lane.position
            while len(names) < 40 * 20:
                done = await spool.exchange(lane.number, Settlement(), after=position, events=500)
                for chunk in done.chunks:
                    names += [body.split(b'"')[3].decode() for body in chunk.bodies]
                    position = chunk.last
                    settled = Settlement(ranges=[(chunk.first, chunk.last)])
                    await spool.exchange(lane.number, settled, after=position, events=0)
                await spool.clean_up()
                await asyncio.sleep(0)
            await until(lambda: poller.report.state in {"idle", "working"}, task)
            assert Counter(names) == Counter(f"e{n}-{i}" for n in range(40) for i in range(20))
            of_tail = [state.get("n", 0) for state in source.asked if state["walk"] == 1 and state.get("n", 0) < 40]
            assert of_tail[:40] == list(range(40))  # what comes after is the tip being read again
            assert [line.balance for line in await spool.books()] == [0]


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (SpoolFull("It is full.", fix="Make room.", kind="spool_full"), "paused"),
        (Held("The disk is full.", fix="Free space."), "held"),
    ],
    ids=["spool", "disk"],
)
async def test_a_spool_that_takes_nothing_is_in_the_log_once_and_so_is_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Held, state: str
) -> None:
    monkeypatch.setattr("forwarder.polling.poller.SPOOL_WAIT", 0.01)
    with capture_logs() as lines:
        async with spool_in(tmp_path) as spool:
            commit, refuses = spool.commit, True

            async def refusing(page: PageCommit) -> Committed:
                if refuses and page.page is not None:
                    raise error
                return await commit(page)

            monkeypatch.setattr(spool, "commit", refusing)
            poller = poller_of(ScriptedSource(big_pages(2)), spool)
            async with running(poller) as task:
                await until(lambda: poller.report.errors[error.kind] >= 4, task)
                changes = [line for line in lines if line["event"] in {"source_degraded", "source_recovered"}]
                assert [(line["state"], line["reason"], line["fix"]) for line in changes] == [
                    (state, error.reason, error.fix)
                ]
                refuses = False
                await until(lambda: poller.report.spooled == 40, task)
    changes = [line for line in lines if line["event"] in {"source_degraded", "source_recovered"}]
    assert [line["event"] for line in changes] == ["source_degraded", "source_recovered"]


async def test_a_stop_while_the_spool_is_full_ends_and_loses_nothing(tmp_path: Path) -> None:
    source = ScriptedSource(big_pages(40))
    async with spool_in(tmp_path, max_bytes=2**21, retain=0) as spool:
        await spool.open_lane("slow", "memory", start=None, on_full="pause")
        poller = poller_of(source, spool)
        async with running(poller) as task:
            await until(lambda: poller.report.state == "paused", task)
            in_hand = source.asked[-1]
            poller.stop()
            await task
        assert poller.report.state == "stopped"
        again = poller_of(source, spool)
        await again._open()
        assert again._rows[TAIL].state["walk"] == in_hand


async def test_a_stale_poller_is_fenced_and_writes_nothing(tmp_path: Path) -> None:
    names = iter(range(1000))

    def answer(state: dict[str, Any]) -> Page:
        return page(state, f"e{next(names)}", more=True)

    async with spool_in(tmp_path) as spool:
        first, second = poller_of(ScriptedSource(answer), spool), poller_of(ScriptedSource(answer), spool)
        await first._open()
        await step(first, TAIL)
        await second._open()
        with pytest.raises(Fenced, match="stale"):
            await step(first, TAIL)
        await step(second, TAIL)
        assert await spooled(spool) == ["e0", "e2"]


async def test_a_run_that_is_fenced_ends_with_it(tmp_path: Path) -> None:
    async with spool_in(tmp_path) as spool:
        first = poller_of(ScriptedSource(lambda state: page(state, str(state.get("n")), more=True)), spool)
        task = asyncio.create_task(first.run())
        await until(lambda: first.report.events > 0, task)
        await poller_of(ScriptedSource(quiet), spool)._open()
        with pytest.raises(Fenced):
            await task


# -------------------------------------------------------------------------------------------------------- identity


async def test_a_renamed_source_goes_on_where_it_was(tmp_path: Path) -> None:
    def answer(state: dict[str, Any]) -> Page:
        return page(state, f"e{state.get('n', 0)}", more=True)

    async with spool_in(tmp_path) as spool:
        before = poller_of(ScriptedSource(answer), spool)
        await before._open()
        await step(before, TAIL)
        renamed = ScriptedSource(answer, name="other")
        after = poller_of(renamed, spool)
        await after._open()
        await step(after, TAIL)
        assert renamed.asked == [{**before._rows[TAIL].state["walk"]}]
        assert renamed.walks == 0
        assert await spooled(spool) == ["e0", "e1"]
        assert [source.name for source in (await spool.status()).sources] == ["other"]


async def test_another_organization_under_an_old_name_is_refused(tmp_path: Path) -> None:
    async with spool_in(tmp_path) as spool:
        await poller_of(ScriptedSource(quiet), spool)._open()
        stranger = ScriptedSource(quiet, organization="org-2")
        with pytest.raises(ConfigError) as caught:
            await poller_of(stranger, spool, configured=["organization:org-2"]).run()
        assert "sources.acme" in str(caught.value)
        assert "org-1" in str(caught.value)
        assert "org-2" in str(caught.value)
        assert stranger.asked == []


async def test_two_sources_may_swap_their_names(tmp_path: Path) -> None:
    both = ["organization:org-1", "organization:org-2"]
    async with spool_in(tmp_path) as spool:
        for names in (("acme", "other"), ("other", "acme")):
            for name, organization in zip(names, ("org-1", "org-2"), strict=True):
                source = ScriptedSource(quiet, name=name, organization=organization)
                await poller_of(source, spool, configured=both)._open()
        assert {source.identity: source.name for source in (await spool.status()).sources} == {
            "organization:org-1": "other",
            "organization:org-2": "acme",
        }
