"""Asks in a thread, so that Ctrl-C ends a question: DuckDB hears no signal while a statement runs."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, TypeVar

from forwarder.investigate.duck import explained

if TYPE_CHECKING:
    from collections.abc import Callable

    from forwarder.investigate.tables import Tables

Answer = TypeVar("Answer")

_AGAIN_AFTER = 0.05


def interruptible(tables: Tables, ask: Callable[[], Answer]) -> Answer:
    """Return what `ask` returns.

    Raises KeyboardInterrupt once the statement that ran is ended, and Held where memory or disk did not suffice, or
    the index is damaged.
    """
    answered: Future[Answer] = Future()
    thread = threading.Thread(target=_run, args=(answered, ask), daemon=True)
    try:
        _start(thread)
        with explained(with_index=bool(tables.made_of.parts)):
            while not answered.done():  # a signal that comes just before a wait is heard at its end
                wait([answered], timeout=_AGAIN_AFTER)
            return answered.result()
    except KeyboardInterrupt:
        while thread.is_alive() and not answered.done():  # between two statements an interrupt is lost
            tables.interrupt()
            wait([answered], timeout=_AGAIN_AFTER)
        raise


def _start(thread: threading.Thread) -> None:
    """Start a thread, and hear Ctrl-C when it is known to run: in the middle of its start it is not alive yet."""
    heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, heard)


def _run(answered: Future[Answer], ask: Callable[[], Answer]) -> None:
    try:
        answered.set_result(ask())
    except BaseException as error:  # noqa: BLE001 -- it is raised where the answer is waited for
        answered.set_exception(error)
