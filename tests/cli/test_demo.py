"""The demo waits while things move, however slowly, and calls missing only what has stopped coming."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from forwarder.cli.demo import browser
from forwarder.cli.demo.far_ends import Destinations
from forwarder.cli.demo.progress import Standstill, Watch
from forwarder.cli.demo.show import Demo
from forwarder.cli.demo.verdict import Row, on_record
from forwarder.spool.contract import Settlement
from forwarder.testing.waiting import until
from simulator.config import RateLimits, SimulatorConfig, Switches
from tests.spool.spools import body_of, names, opened


def watch(counts, **more) -> Watch:
    return Watch(counts, lambda: "3 of 4", beat=0.01, **more)


async def test_what_moves_is_waited_for_far_beyond_the_patience():
    moved = 0

    async def act() -> str:
        nonlocal moved
        for _ in range(30):
            await asyncio.sleep(0.02)
            moved += 1
        return "done"

    shown: list[str] = []
    assert await watch(lambda: (moved,), still=0.1).run(act, shown.append) == "done"
    assert set(shown) == {"3 of 4"}


async def test_what_stands_still_is_given_up_with_the_last_words_and_ended():
    ended = asyncio.Event()

    async def act() -> str:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()
        return ""

    with pytest.raises(Standstill, match=r"nothing has moved .*: 3 of 4"):
        await watch(lambda: (1, 2), still=0.05).run(act, lambda _: None)
    assert ended.is_set()


async def test_what_moves_in_circles_ends_too():
    turns = iter(range(10**9))

    async def act() -> str:
        await asyncio.sleep(3600)
        return ""

    with pytest.raises(Standstill, match="came to no end"):
        await watch(lambda: (next(turns),), still=0.05, longest=0.2).run(act, lambda _: None)


async def test_time_in_which_nothing_at_all_ran_is_no_standstill():
    """A machine that was asleep: the loop finds much time gone, and only one look is counted."""
    loop, gone = asyncio.get_running_loop(), 0.0
    clock = loop.time
    moved = 0

    async def act() -> str:
        nonlocal gone, moved
        for _ in range(3):
            gone += 600.0
            await asyncio.sleep(0)
            await asyncio.sleep(0.02)
            moved += 1
        return "done"

    loop.time = lambda: clock() + gone  # type: ignore[method-assign]
    try:
        assert await watch(lambda: (moved,), still=0.5).run(act, lambda _: None) == "done"
    finally:
        loop.time = clock  # type: ignore[method-assign]


async def test_an_error_of_a_step_is_its_own():
    async def act() -> str:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await watch(lambda: (0,), still=1).run(act, lambda _: None)


async def test_places_count_what_is_new_and_half_a_line_is_none(tmp_path: Path):
    places = Destinations(tmp_path)
    assert places.counts() == {"elastic": 0, "splunk": 0, "siem": 0, "archive": 0}
    places.file.parent.mkdir()
    with places.file.open("ab", buffering=0) as file:
        for piece, lines in ((b'{"a"', []), (b":1}\n", [b'{"a":1}']), (b"x\nx\ny", [b"x", b"x"]), (b"z\n", [b"yz"])):
            before = places.in_file().copy()
            file.write(piece)
            for line in lines:
                before[hashlib.sha256(line).hexdigest()] += 1
            assert places.in_file() == before
    assert (places.counts()["archive"], places.in_file().total()) == (3, 4)
    places.splunk.events += [SimpleNamespace(event=b"1"), SimpleNamespace(event=b"1")]
    places.syslog.messages += [SimpleNamespace(content=b"CEF:0|externalId=7 x"), SimpleNamespace(content=b"no id")]
    assert (places.counts()["splunk"], places.in_splunk().total()) == (1, 2)
    assert (places.counts()["siem"], places.in_syslog().total()) == (2, 2)
    assert places.fewest() == 0


async def test_a_slow_api_takes_its_time_and_nothing_is_called_missing(tmp_path: Path):
    """More than the patience would be, were it counted from the beginning."""
    simulated = SimulatorConfig(
        events=3000,
        limits=RateLimits(stream=1200, events=10, shape="seconds"),
        switches=Switches(late_visible=1, late_visible_share=0.02, limit_above_200="refused"),
        faults=({"what": "delay", "wait": 0.3, "every": 1},),
    )
    demo = Demo(tmp_path, simulated=simulated, still=6.0)
    async with demo.simulator, demo.places:
        held = demo._hold_port()
        demo._write_config()
        await demo._setup()
        await demo._start()
        try:
            lines: list[str] = []
            await demo._watch.run(demo._finish, lines.append)
            assert demo._is_complete()
            assert any("archive has" in line for line in lines)
            await demo._stop()
        finally:
            held.close()
            await demo._kill()


@pytest.mark.parametrize(("reader", "moves"), [("backfill", True), ("heal", True), ("reread", False), ("tail", False)])
async def test_what_is_known_already_moves_only_while_history_or_a_gap_is_read(
    tmp_path: Path, reader: str, moves: bool
):
    demo = Demo(tmp_path, simulated=SimulatorConfig(events=20))
    asked: list[int] = []

    def ask_status():
        asked.append(1)
        return {"sources": [{"readers": [{"reader": "tail"}, {"reader": reader}]}, {"readers": None}]}

    demo._ask_status = ask_status  # type: ignore[method-assign]
    looks = asyncio.create_task(demo._watch_walks())
    await until(lambda: demo._reads_behind is moves and len(asked) > 1)
    before = demo._counts()
    demo.simulator.ledger.served_events += 5
    assert (demo._counts() != before) is moves
    looks.cancel()


async def test_what_never_comes_is_called_missing_by_its_id(tmp_path: Path, capsys):
    demo = Demo(tmp_path, simulated=SimulatorConfig(events=20), still=1.0)
    async with demo.simulator, demo.places:
        await demo._step("nobody fetches them", demo._finish, or_else=False)
    output = capsys.readouterr().out
    assert "nothing has moved for 1 s" in output
    assert "220 events are not in the file: " in output


@pytest.mark.parametrize(
    ("extra", "bad"),
    [({}, False), ({"a": 1}, False), ({"a": 3, "b": 1}, False), ({"a": 1, "c": 1}, True), ({"c": 1}, True)],
)
def test_what_came_more_than_once_must_be_what_was_on_record_however_often(extra: dict[str, int], bad: bool):
    row = Row("splunk", 10, 0, sum(extra.values()), extra=Counter(extra), on_record=frozenset("ab"))
    assert row.bad is bad


async def test_what_is_on_record_is_named_by_content_and_id(tmp_path: Path):
    async with opened(tmp_path) as harness:
        await harness.put(*names("a", 40))
        lane = await harness.lane()
        await harness.take(lane)
        for span, cause in (((2, 3), "restart"), ((3, 5), "unconfirmed"), ((30, 30), "restart")):
            await harness.spool.exchange(lane, Settlement(doubts=[(span, cause)]), after=40, events=0)
        await harness.settle(lane, (1, 40))
        events, found = await on_record(harness.spool, lane)
    bodies = [body_of(name) for name in names("a", 40)]
    expected = [bodies[number - 1] for number in (2, 3, 4, 5, 30)]
    assert events == 5
    assert {hashlib.sha256(body).hexdigest() for body in expected} <= found
    assert len(found) == 10


@pytest.mark.parametrize(
    ("terminal", "environment", "opens"),
    [
        (True, {"DISPLAY": ":0"}, True),
        (True, {"WAYLAND_DISPLAY": "wayland-0"}, True),
        (False, {"DISPLAY": ":0"}, False),
        (True, {}, False),
        (True, {"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}, False),
    ],
)
def test_a_browser_is_opened_only_where_somebody_sees_it(monkeypatch, *, terminal, environment, opens):
    opened: list[str] = []
    monkeypatch.setattr(browser.webbrowser, "open", lambda address: opened.append(address) or True)
    monkeypatch.setattr(
        browser, "sys", SimpleNamespace(stdout=SimpleNamespace(isatty=lambda: terminal), platform="linux")
    )
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert browser.open_page("http://127.0.0.1:1/") is opens
    assert bool(opened) is opens
