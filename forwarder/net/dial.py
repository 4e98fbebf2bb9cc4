"""Opens a TCP connection to a host by whichever of its addresses answers first (RFC 8305, "Happy Eyeballs").

An address that does not answer must not cost the time of one that would; a machine with IPv6 in its name and not in its
network is common. Invariant: at most the socket that is returned stays open, also when it is cancelled.
"""

from __future__ import annotations

import asyncio
import socket
from itertools import chain, zip_longest
from typing import Any

_STAGGER = 0.25
"""Seconds until the next address is tried beside the one before (RFC 8305, section 5)."""

_Found = tuple[Any, ...]


async def dial(host: str, port: int) -> socket.socket:
    """Return a connected socket that does not block.

    Raises OSError of the first address that failed when none answers, or of the look-up; UnicodeError for a name that
    DNS cannot be asked for.
    """
    loop = asyncio.get_running_loop()
    ways = _in_turn(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    return await _attempt(ways[0]) if len(ways) == 1 else await _race(ways)


def _in_turn(found: list[_Found]) -> list[_Found]:
    """Return each once, the families by turns, in their order otherwise (RFC 8305, section 4)."""
    families: dict[Any, list[_Found]] = {}
    for way in dict.fromkeys(found):
        families.setdefault(way[0], []).append(way)
    return [way for way in chain.from_iterable(zip_longest(*families.values())) if way is not None]


async def _attempt(way: _Found) -> socket.socket:
    family, kind, protocol, _, address = way
    made = socket.socket(family, kind, protocol)
    try:
        made.setblocking(False)  # noqa: FBT003 -- the standard library's signature
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    return made


async def _race(ways: list[_Found]) -> socket.socket:
    waiting, failed, winner = iter(ways), list[BaseException](), None
    running: set[asyncio.Task[socket.socket]] = set()
    try:
        while winner is None:
            way = next(waiting, None)
            if way is not None:
                running.add(asyncio.create_task(_attempt(way)))
            elif not running:
                raise failed[0]
            done, running = await asyncio.wait(
                running, timeout=_STAGGER if way is not None else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                fault = task.exception()
                if fault is not None:
                    failed.append(fault)
                elif winner is None:
                    winner = task.result()
                else:
                    task.result().close()
        return winner
    finally:
        for task in running:  # nothing is awaited here: a second cancellation would leave the rest open
            task.cancel()
            task.add_done_callback(_discard)


def _discard(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()
