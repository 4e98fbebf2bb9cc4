"""The audit log of a Data Center product, read from the files that each node writes.

Reading files neither loads the product nor is recorded by it, as a search through its API is; and a node writes to its
file what the API may have forgotten. The log of a node that is down is read when its folder is there again.

A record has the id of its node, its place in the file and its bytes. A copy of the file, under whatever name and packed
or not, has the same ones at the same places, and equal lines have places of their own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.contracts import CursorState, Finding, Lost, Page, Retryable
from forwarder.contracts.identity import content_digests
from forwarder.normalize.times import LAST_MS, TimeReader, TimeWriter
from forwarder.sources.datacenter.looking import examine

if TYPE_CHECKING:
    from forwarder.contracts import Clock
    from forwarder.contracts.identity import EventKeys
    from forwarder.sources.datacenter.follower import Stretch
    from forwarder.sources.datacenter.nodes import Node, Nodes

MOST_PLACES = 400
"""Nodes of which the places are remembered, also of those that are gone."""

SAID_FOR = 3600.0
"""Seconds for which the state of the source says that something was removed before it was read."""

_TIME = re.compile(
    rb'"timestamp"\s*:\s*(?:"([^"\\]{10,40})"|\{[^{}]{0,80}"epochSecond"\s*:\s*([0-9]{1,12})(?=\s*[,}]))'
)


class FromFiles:
    """Follows the log files of one product.

    Args:
        nodes: Whose they are.
        keys: Of the feed.
        clock: Wall time.
    """

    def __init__(self, nodes: Nodes, keys: EventKeys, clock: Clock) -> None:
        self._nodes = nodes
        self._keys = keys
        self._clock = clock
        self._read, self._write = TimeReader(), TimeWriter()
        self._lost: tuple[float, Retryable | None] = 0.0, None  # until when it is said, and what
        self._troubles: dict[str, Retryable] = {}  # of each node, when it was looked at last

    def walk(self, since_ms: int, until_ms: int | None) -> CursorState:  # noqa: ARG002 -- there is no end
        """Return the state of a cursor that begins with records of `since_ms`."""
        return {"from": since_ms, "nodes": {}}

    async def fetch(self, state: CursorState) -> Page:
        """Read on in the log of the first node that has anything new. Raises Retryable when none can be read."""
        since, places = state["from"], dict(state["nodes"])
        nodes, troubles = await self._nodes.find(places)
        refused = 0
        lost: list[Lost] = []
        for node in _in_turn(nodes, state.get("last")):
            try:
                now_ms = int(self._clock.time() * 1000)
                stored = places.get(node.name)
                stretch = await node.looks.ask(lambda: node.follower.look(stored, since, now_ms))  # noqa: B023 -- at once
            except Retryable as error:
                self._troubles[node.name] = error
                refused += 1
                continue
            self._note(node, stretch)
            places[node.name] = stretch.known
            page = self._page(node, stretch, since)
            lost += self._of_node(node, stretch.lost)
            if page is not None:
                after = {**state, "nodes": _kept(places, nodes), "last": node.name}
                trouble = self._worst(nodes, troubles) or self._lost_lately()
                return msgspec.structs.replace(page, next=after, trouble=trouble, lost=lost)
        trouble = self._worst(nodes, troubles)
        if refused == len(nodes) and trouble is not None:
            raise trouble.with_traceback(None)  # or it grows with each raise
        after = {**state, "nodes": _kept(places, nodes)}
        done = trouble is None  # a walk that ends here would say that it has read what it could not
        return Page(
            bodies=(),
            keys=(),
            digests=(),
            minutes=(),
            next=after,
            done=done,
            trouble=trouble or self._lost_lately(),
            since=since,
            lost=lost,
        )

    async def probe(self) -> list[Finding]:
        """Look into every folder: is it there, may it be read, does anyone write into it."""
        nodes, troubles = await self._nodes.find()
        findings = [Finding("nodes", ok=False, detail=str(error), fix=error.fix) for error in troubles]
        for node in nodes:
            try:
                findings += await node.looks.ask(lambda: examine(node.follower.folder, self._clock.time()))  # noqa: B023
            except Retryable as error:
                findings.append(Finding(f"log of {node.name}", ok=False, detail=str(error), fix=error.fix))
        return findings

    async def close(self) -> None:
        """Close the packed files that are open. Safe to call twice."""
        self._nodes.close()

    # -------------------------------------------------------------------------------------------------------- inside

    def _of_node(self, node: Node, lost: list[Lost]) -> list[Lost]:
        """Return what a node lost with its name, and keep it for the state of the source."""
        named = [msgspec.structs.replace(each, detail=f"node {node.name}: {each.detail}") for each in lost]
        if named:
            fix = "Nothing can bring them back. Keep more files in the product, or let the forwarder read more often."
            words = f"{named[-1].detail}: {named[-1].why}"
            self._lost = self._clock.time() + SAID_FOR, Retryable(words, fix=fix)
        return named

    def _lost_lately(self) -> Retryable | None:
        until, trouble = self._lost
        return trouble if self._clock.time() < until else None

    def _note(self, node: Node, stretch: Stretch) -> None:
        self._troubles.pop(node.name, None)
        if stretch.troubles:
            self._troubles[node.name] = stretch.troubles[0]

    def _worst(self, nodes: list[Node], troubles: list[Retryable]) -> Retryable | None:
        found = [*troubles, *(self._troubles[node.name] for node in nodes if node.name in self._troubles)]
        if len(found) < 2:
            return found[0] if found else None
        first = found[0]
        return Retryable(f"{first}; and {len(found) - 1} more, see doctor", kind=first.kind, fix=first.fix)

    def _page(self, node: Node, stretch: Stretch, since_ms: int) -> Page | None:
        """Return the records of a stretch that count, or None when there are none."""
        bodies: list[bytes] = []
        keys: list[bytes] = []
        minutes: list[str] = []
        newest: int | None = None
        named = node.name.encode()
        when: tuple[bytes, ...] | None = ()  # lines of one second follow each other
        moment, minute = None, ""
        for at, line in stretch.lines:
            found = _TIME.search(line)
            written = None if found is None else found.groups()
            if written != when:
                when, moment = written, self._moment(written)
                minute = self._write.write(moment)[:16] if moment is not None else ""
            if moment is not None and moment < since_ms and at < stretch.old:
                continue
            bodies.append(line)
            keys.append(self._keys.derived(b"%b\0%d\0%b" % (named, at, line)))
            minutes.append(minute)
            if moment is not None and (newest is None or moment > newest):
                newest = moment
        if not stretch.lines:
            return None
        return Page(
            bodies=bodies,
            keys=keys,
            digests=content_digests(bodies),
            minutes=minutes,
            derived=frozenset(range(len(bodies))),
            next={},
            more=True,
            newest=newest,
            since=since_ms,
        )

    def _moment(self, written: tuple[bytes, ...] | None) -> int | None:
        """Return epoch milliseconds of a time as text, or as the seconds of an instant; None when it is none.

        No calendar holds every number, and whoever can write a line would stop the log with one.
        """
        if written is None:
            return None
        text, seconds = written
        if seconds is None:
            return self._read.read(text.decode("latin-1"))
        ms = int(seconds) * 1000
        return ms if ms <= LAST_MS else None


def _in_turn(nodes: list[Node], last: str | None) -> list[Node]:
    """Return the nodes, first the one behind the one that gave the last page: none waits for another's end."""
    names = [node.name for node in nodes]
    first = names.index(last) + 1 if last in names else 0
    return nodes[first:] + nodes[:first]


def _kept(places: dict[str, Any], nodes: list[Node]) -> dict[str, Any]:
    """Return the places, without those of nodes that are gone when there are too many."""
    if len(places) <= MOST_PLACES:
        return places
    there = {node.name for node in nodes}
    gone = [name for name in places if name not in there]
    dropped = set(gone[: len(places) - MOST_PLACES])
    return {name: place for name, place in places.items() if name not in dropped}
