"""Who may stay connected to a port of ours: the newest comes in, and the one that has waited longest for nothing goes.

A probe of an orchestrator connects and asks at once, and cannot be told from a stranger before that. So no one is
turned away for the many that are there already: of the peer with the most connections, the oldest one without a request
is cut. Their number stays below what the process has of descriptors, of which the delivery needs its share.
"""

from __future__ import annotations

import resource
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from forwarder.contracts.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

log = get_logger(__name__)

MOST = 256
"""Connections at once, where there are descriptors enough."""

SHARE = 4
"""One of so many descriptors of the process may be a connection to one port."""

EVERY = 60.0
"""Seconds between two lines of the log about connections that were cut."""

_FEWEST = 8


class Connection(Protocol):
    """One connection."""

    @property
    def peer(self) -> str:
        """Address of the other side, without the port."""
        ...

    @property
    def is_answered(self) -> bool:
        """Whether a complete request is being answered."""
        ...

    def cut(self) -> None:
        """End it without waiting for the other side."""
        ...


def most_connections() -> int:
    """Return how many connections the process can afford."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else max(_FEWEST, min(MOST, soft // SHARE))


class OpenConnections:
    """The open connections, oldest first.

    Args:
        now: Seconds of a clock that never goes back.
        most: How many there may be.
        setting: Names the address that is listened on, such as `admin.listen`.
        wanted: Who is meant to connect.
    """

    def __init__(
        self,
        now: Callable[[], float],
        most: int | None = None,
        *,
        setting: str = "admin.listen",
        wanted: str = "probes and scrapers",
    ) -> None:
        self._now = now
        self._setting = setting
        self._wanted = wanted
        self._most = most_connections() if most is None else most
        self._open: dict[Connection, None] = {}
        self._cut: Counter[str] = Counter()  # by peer, since the last line
        self._lines_from = float("-inf")

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._open)

    def enter(self, connection: Connection) -> None:
        """Take a connection in, and cut another one when there are too many."""
        if len(self._open) >= self._most:
            self.make_room(f"there may be {self._most} connections at once")
        self._open[connection] = None

    def leave(self, connection: Connection) -> None:
        """Forget a connection that has ended. Safe to call twice."""
        self._open.pop(connection, None)

    def make_room(self, cause: str) -> None:
        """Cut the connection that can be spared best, and say so at most once a minute."""
        waiting = [connection for connection in self._open if not connection.is_answered] or list(self._open)
        if waiting:
            busiest = Counter(connection.peer for connection in waiting).most_common(1)[0][0]
            victim = next(connection for connection in waiting if connection.peer == busiest)
            del self._open[victim]
            self._cut[victim.peer] += 1
            victim.cut()
        if self._now() - self._lines_from >= EVERY:
            self._lines_from = self._now()
            event = f"{self._setting.partition('.')[0]}_connections_cut"
            peer, most = self._cut.most_common(1)[0] if self._cut else ("", 0)
            log.warning(
                event,
                reason=cause,
                cut=self._cut.total(),
                most_from=f"{peer} ({most})",
                fix=f"See who opens them, and let only {self._wanted} reach {self._setting}.",
            )
            self._cut.clear()
