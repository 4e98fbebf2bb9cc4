"""The API of a source under the control of a test, by one interface, so that every clause is tried on every source.

A package with a source writes one such class (over HTTP: `HttpFeed` has most of it) and names it in its `conftest.py`.
What its API does not have stands in `cannot` with the reason.
"""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, get_args

from forwarder.contracts import CursorState, SourceContext, SystemClock
from forwarder.net.retry import RequestBudget
from forwarder.registry import SOURCES

FeedFault = Literal[
    "rate_limited",
    "server_error",
    "login_page",
    "redirect",
    "truncated",
    "too_large",
    "garbage",
    "reset",
    "stall",
    "auth",
    "cursor_lost",
    "empty_page",
    "repeated_page",
    "restart",
]
FEED_FAULTS: frozenset[FeedFault] = frozenset(get_args(FeedFault))
"""Faults a feed can play:

`rate_limited`: refuse for `WAIT` seconds · `server_error`: fail for a while · `login_page`: a page of HTML with status
200 · `redirect`: send elsewhere · `truncated`: end in the middle of the body · `too_large`: an answer without end ·
`garbage`: what is not the protocol · `reset`: end the connection · `stall`: fall silent in the middle · `auth`: refuse
the credential · `cursor_lost`: no longer know the cursor · `empty_page`: a page without events that is not the last ·
`repeated_page`: the page of before, with the same cursor · `restart`: be closed and opened.
"""

WAIT = 7
"""Seconds that a feed asks to be left alone."""


class Feed(Protocol):
    """One API.

    Attributes:
        name: The type of the source, as it is registered.
        variant: Which feed of that type this is, when there are several.
        can: Which faults it can play.
        cannot: Why not, for each of the others.
    """

    name: ClassVar[str]
    variant: ClassVar[str]
    can: ClassVar[frozenset[FeedFault]]
    cannot: ClassVar[dict[FeedFault, str]]

    def __init__(self, folder: Path) -> None: ...

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        """Begin to serve; again after `close`, at the same address."""
        ...

    async def close(self) -> None:
        """Serve no more, and cut what is connected."""
        ...

    def settings(self) -> dict[str, Any]:
        """Return what the source is configured with; at most ten events a page, the credential from a file."""
        ...

    def add(self, count: int, extra: bytes = b"null") -> list[bytes]:
        """Let so many events happen now, and return each as it will be sent; `extra`, some JSON, stands in each."""
        ...

    def rotate(self) -> None:
        """Take only the second secret from now on."""
        ...

    def play(self, fault: FeedFault, times: int | None = 1) -> None:
        """Misbehave in this way for so many requests, or for all."""
        ...

    def calm(self) -> None:
        """Forget every fault that has not been played yet."""
        ...


def build_source(feed: Feed, name: str = "test", **more: Any) -> Any:
    """Build the source of a feed as the daemon would."""
    found = SOURCES.load(feed.name)
    clock = SystemClock()
    return found(
        found.Config(**{"type": feed.name, **feed.settings(), **more}),
        SourceContext(name, clock, RequestBudget(clock)),
    )


def reads_windows(source: Any) -> bool:
    """Tell whether a source is read in windows, each as a whole, instead of by a cursor kept at the tip."""
    return bool(source.reads == "windows")


def begin(source: Any) -> CursorState:
    """Return the state of a walk that reads everything a feed has: of the last hour."""
    now = int(time.time() * 1000)
    state: CursorState = source.walk(now - _HOUR, now + _HOUR) if reads_windows(source) else source.walk(now - _HOUR)
    return state


_HOUR = 3_600_000
