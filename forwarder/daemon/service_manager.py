"""Tells systemd how the daemon is doing, by the protocol of `sd_notify(3)`: one datagram a message, nothing comes back.

Without `NOTIFY_SOCKET` in the environment nothing is sent. What the socket does not take at once is kept and sent with
the next beat: a full socket must not hold up the loop, and a lost `READY=1` would end the start.

Invariant: `WATCHDOG=1` is sent by the loop itself, and only while the spool's thread turns, too: systemd ends a process
of which either hangs. No message holds anything of an event or of what a server said.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from forwarder.contracts.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, MutableMapping

    from forwarder.contracts import Clock
    from forwarder.daemon.reporter import Reporter
    from forwarder.observe.reports import Report

_KEPT = 16
"""Messages that wait for the socket; there are never more that mean something."""
_NAMED = 5
"""Most components that a status names: systemd takes 4 KiB, and a person reads one line."""


class ServiceManager:
    """The one who started us, when it is systemd.

    Args:
        address: Path of its socket, `@name` for an abstract one, or "" for none.
        watchdog: Seconds within which it wants to hear of us, 0 for never.
        clock: Time.
    """

    def __init__(self, address: str, watchdog: float, clock: Clock) -> None:
        self._watchdog = watchdog
        self._clock = clock
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._waiting: deque[str] = deque(maxlen=_KEPT)
        self._status = ""
        self._ready = self._ending = False
        self._refused = ""
        self._log = get_logger()
        if not address.startswith(("/", "@")):
            self._address = ""
            if address:
                self._log.warning("service_manager_not_told", reason="NOTIFY_SOCKET is neither a path nor @name")

    @classmethod
    def from_environment(cls, env: MutableMapping[str, str], clock: Clock) -> ServiceManager:
        """Take what systemd says out of the environment: it is not meant for processes that we start."""
        address, wanted, pid = (env.pop(name, "") for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"))
        ours = pid in {"", str(os.getpid())} and wanted.isascii() and wanted.isdigit() and len(wanted) < 20
        return cls(address, int(wanted) / 1_000_000 if ours else 0.0, clock)

    @property
    def every(self) -> float:
        """Seconds between two beats: one, or a quarter of what the watchdog wants."""
        return min(1.0, max(0.01, self._watchdog / 4)) if self._watchdog else 1.0

    def starting(self, doing: str) -> None:
        """Say in words what the start waits for."""
        self._send(f"STATUS={doing}")

    def ready(self) -> None:
        """Say that the start is over."""
        self._ready = True
        self._send("READY=1")

    @contextmanager
    def reload(self) -> Iterator[None]:
        """Say that the configuration is read again, and when that is over, whatever came of it."""
        if self._ready:
            self._send(f"RELOADING=1\nMONOTONIC_USEC={int(self._clock.monotonic() * 1_000_000)}")
        try:
            yield
        finally:
            if self._ready:
                self.ready()

    def stopping(self) -> None:
        """Say that the end began."""
        if not self._ending:
            self._ready, self._ending = False, True
            self._send("STOPPING=1\nSTATUS=finishing what is in flight")

    def beat(self, of: Reporter) -> None:
        """Say that the loop turns, and how sources and sinks are doing when that is new; called `every` so often.

        Args:
            of: Knows them, and the spool: one whose thread hangs keeps the watchdog waiting.
        """
        self._flush()
        if self._waiting or not self._ready:
            return
        spool = of.spool
        if self._watchdog and spool is not None and self._clock.monotonic() - spool.last_turn < self._watchdog:
            self._send("WATCHDOG=1")
        status = _in_words(of.source_reports.values(), of.lane_reports.values())
        if status != self._status:
            self._status = status
            self._send(f"STATUS={status}")

    def _send(self, message: str) -> None:
        if self._address:
            self._waiting.append(message)
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as way:
            while self._waiting:
                try:
                    way.sendto(self._waiting[0].encode(), self._address)
                except OSError as error:
                    self._complain(error)
                    return
                self._waiting.popleft()
                self._refused = ""

    def _complain(self, error: OSError) -> None:
        """Log once why nothing arrives; a socket that is only full is no fault."""
        reason = "" if isinstance(error, BlockingIOError) else str(error)
        if reason and reason != self._refused:
            self._log.warning("service_manager_not_told", reason=reason)
        self._refused = reason


def _in_words(sources: Collection[Report], sinks: Collection[Report]) -> str:
    """Return one line: how many there are, and who is not well; no reason, for these are the words of servers."""
    named = [("source", one) for one in sources] + [("sink", one) for one in sinks]
    ill = [f"{kind} {one.name} is {one.state}" for kind, one in named if not one.well]
    more = [f"{len(ill) - _NAMED} more"] if len(ill) > _NAMED else []
    counted = f"{_count(sources, 'source')}, {_count(sinks, 'sink')}"
    return f"{counted}; {'; '.join([*ill[:_NAMED], *more])}" if ill else f"{counted}; all well"


def _count(of: Collection[Report], what: str) -> str:
    return f"{len(of)} {what}{'' if len(of) == 1 else 's'}"
