"""Ctrl-C ends a question wherever it is; what DuckDB cannot do is an error that says what to do."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pytest

from forwarder.contracts import Held
from forwarder.investigate.interruptible import interruptible
from forwarder.investigate.without_index import tables_of_files
from tests.investigate.lines import event

ENDLESS = "select count(*) from range(10000000000) a, range(1000) b where a.range % 7 = b.range % 11"


@pytest.fixture
def few(tmp_path):
    file = tmp_path / "events.ndjson"
    file.write_bytes(event() + b"\n")
    with tables_of_files([file], memory="64MB") as tables:
        yield tables


@pytest.fixture
def heard():
    """Hear Ctrl-C also where this was started in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted_once(begun, tables, ask):
    """Press Ctrl-C once what is asked has begun; it must end, and the tables must answer after it."""

    def press():
        begun.wait()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=press).start()
    with pytest.raises(KeyboardInterrupt):
        interruptible(tables, ask)
    assert tables.ask("select 1").rows == [(1,)]


@pytest.mark.parametrize("running", [False, True])
def test_ctrl_c_ends_a_question_between_statements_and_in_one(few, heard, running):
    begun = threading.Event()

    def ask():
        if not running:
            begun.set()
        while True:
            few.ask("select 1")
            if running:
                begun.set()
            few.ask(ENDLESS)

    interrupted_once(begun, few, ask)


def test_ctrl_c_ends_what_is_asked_beside_as_well(few, heard):
    begun = threading.Barrier(3)

    def endless(tables):
        begun.wait()
        tables.ask(ENDLESS)

    def ask():
        with ThreadPoolExecutor(1) as another:
            beside = another.submit(endless, few.beside())
            try:
                endless(few)
            finally:
                assert isinstance(beside.exception(), duckdb.InterruptException)

    interrupted_once(begun, few, ask)


def test_a_view_that_two_threads_read_first_is_made_once(few):
    begun, both = threading.Barrier(2), (few, few.beside())

    def ask(tables):
        begun.wait()
        return tables.ask("select count(*) from touches").rows

    with ThreadPoolExecutor(2) as threads:
        assert len({tuple(rows) for rows in threads.map(ask, both)}) == 1


@pytest.mark.parametrize("kind", [duckdb.OutOfMemoryException, duckdb.IOException])
def test_too_little_memory_or_disk_is_said_with_what_to_do(few, kind):
    def ask():
        raise kind("failed to allocate 64 MB\nfor 'a name of an event'")

    with pytest.raises(Held, match="memory or disk") as caught:
        interruptible(few, ask)
    assert "--from" in f"{caught.value} {caught.value.fix}"
    assert "\n" not in str(caught.value)
