"""Ctrl-C ends a question wherever it is; what DuckDB cannot do is an error that says what to do."""

from __future__ import annotations

import signal
import threading

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

    def press():
        begun.wait()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=press).start()
    with pytest.raises(KeyboardInterrupt):
        interruptible(few, ask)
    assert few.ask("select 1").rows == [(1,)]


@pytest.mark.parametrize("kind", [duckdb.OutOfMemoryException, duckdb.IOException])
def test_too_little_memory_or_disk_is_said_with_what_to_do(few, kind):
    def ask():
        raise kind("failed to allocate 64 MB\nfor 'a name of an event'")

    with pytest.raises(Held, match="memory or disk") as caught:
        interruptible(few, ask)
    assert "--from" in f"{caught.value} {caught.value.fix}"
    assert "\n" not in str(caught.value)
