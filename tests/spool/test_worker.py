"""The thread: whole jobs in order, whatever becomes of those who wait for them."""

import asyncio
import gc
import threading

import pytest

from forwarder.spool.contract import Fenced, SpoolError
from forwarder.spool.sqlite.worker import Worker
from tests.clocks import FakeClock
from tests.spool.spools import move, names, opened


@pytest.fixture
def worker():
    worker = Worker("tested", FakeClock())
    yield worker
    worker.stop()


async def test_jobs_run_in_order_in_one_thread(worker):
    threads, order = set(), []

    def job(number):
        threads.add(threading.get_ident())
        order.append(number)
        return number

    results = await asyncio.gather(*(worker.run(lambda number=number: job(number)) for number in range(50)))
    assert results == order == list(range(50))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_errors_reach_the_caller_and_the_thread_goes_on(worker):
    def fail():
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await worker.run(fail)
    assert await worker.run(lambda: 7) == 7


async def test_a_cancelled_caller_undoes_nothing(worker):
    gate, done = threading.Event(), []
    running = asyncio.ensure_future(worker.run(lambda: (gate.wait(), done.append("running"))))
    waiting = asyncio.ensure_future(worker.run(lambda: done.append("waiting")))
    failing = asyncio.ensure_future(worker.run(lambda: {}[0]))
    await asyncio.sleep(0)
    for task in (running, waiting, failing):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    gate.set()
    await worker.run(lambda: None)
    assert done == ["running", "waiting"]


async def test_a_failure_that_nobody_waits_for_any_more_is_no_traceback_in_the_log(worker):
    unheard, gate = [], threading.Event()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))

    def fail():
        gate.wait()
        raise ValueError("mine")

    task = asyncio.ensure_future(worker.run(fail))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    await worker.run(lambda: None)
    gc.collect()
    assert unheard == []


async def turned(worker, clock):
    while worker.last_turn != clock.now:  # noqa: ASYNC110 -- another thread sets it
        await asyncio.sleep(0.01)


async def test_it_turns_while_idle_and_not_while_it_hangs():
    clock = FakeClock()
    worker = Worker("tested", clock)
    try:
        clock.advance(100)
        await turned(worker, clock)
        gate = threading.Event()
        hanging = asyncio.ensure_future(worker.run(gate.wait))
        began = asyncio.ensure_future(asyncio.sleep(0))
        await began
        clock.advance(100)
        assert worker.last_turn <= clock.now - 100
        gate.set()
        await hanging
        await turned(worker, clock)
    finally:
        worker.stop()


async def test_a_long_job_shows_that_it_is_alive(worker):
    def long():
        worker._clock.advance(100)
        worker.turned()
        return worker.last_turn

    assert await worker.run(long) == worker._clock.now


async def test_a_stopped_thread_refuses(worker):
    worker.stop()
    worker.stop()
    with pytest.raises(SpoolError, match="closed"):
        await worker.run(lambda: None)


async def test_a_commit_whose_caller_went_away_is_whole(tmp_path):
    async with opened(tmp_path) as harness:
        version = (await harness.put(moves=[move("tail", None, at=0)])).versions["tail"]
        task = asyncio.ensure_future(harness.put(*names("a", 100), moves=[move("tail", version, at=1)]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(Fenced):
            await harness.put("b", moves=[move("tail", version, at=2)])
        await harness.reopen()
        assert (await harness.spool.status()).last_seq == 100
        assert harness.source.cursors["tail"].state == {"at": 1}


async def test_many_callers_at_once_get_consecutive_numbers(tmp_path):
    async with opened(tmp_path) as harness:
        lane = await harness.lane()
        done = await asyncio.gather(*(harness.put(*names(f"p{number}-", 7)) for number in range(30)))
        assert sorted(each.last_seq for each in done) == list(range(7, 211, 7))
        assert len(set(await harness.drain(lane))) == 210


async def test_the_spools_thread_turns(tmp_path):
    async with opened(tmp_path) as harness:
        harness.clock.advance(50)
        await harness.put("a")
        assert harness.spool.last_turn == harness.clock.now
