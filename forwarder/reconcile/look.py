"""A look at a sink: of the documents that it accepted, how many it has. What it lacks is a gap, `dropped_by_sink`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Literal

import msgspec

from forwarder.contracts import Asked, Held

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from forwarder.contracts import Origin, Verifies
    from forwarder.reconcile.verdict import Line

_SHOWN = 20
_DOCUMENT = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?:-[0-9a-f]{16})?(?![0-9a-f])")


class Look(msgspec.Struct, frozen=True):
    """What a look at one source, day and sink found.

    Attributes:
        known: How many ids of that day are remembered; a sink may be asked for more than it accepted.
        found: How many of these it has.
        dropped: How many it had accepted and does not have, at least.
        absent: Some of the ids that it does not have: all of those dropped, and others it never accepted.
        state: `whole`, `dropped`, or `not known` when nothing can be said.
        why: What the state does not say.
    """

    line: Line
    known: int
    found: int
    dropped: int
    absent: list[str]
    state: Literal["whole", "dropped", "not known"]
    why: str = ""


class Export:
    """What a search of a destination listed, exported as CSV, JSON or text: document ids are recognised wherever.

    Args:
        path: The file.
    """

    ids_at_once: ClassVar[int] = 200_000

    def __init__(self, path: Path) -> None:
        self._path = path

    async def holds(self, asked: Asked) -> set[str]:
        """Return those of the ids that it lists. Raises Held when it cannot be read."""
        wanted = {each.encode() for each in asked.ids}
        found: set[bytes] = set()
        try:
            with self._path.open("rb") as lines:
                for line in lines:
                    found.update(each for each in _DOCUMENT.findall(line) if each in wanted)
        except OSError as error:
            raise Held(
                f"{self._path} cannot be read: {error.strerror}.", fix="Name the export of the search."
            ) from error
        return {each.decode() for each in found}


async def look_at(
    line: Line,
    sink: Verifies,
    ids: AsyncIterator[str],
    *,
    origin: Origin,
    progress: Callable[[int], None] = lambda _: None,
) -> Look:
    """Ask a sink for every remembered id of a day, a batch at a time.

    Args:
        line: Of the verdict.
        sink: Is asked.
        ids: All that are remembered of that source, day and sink.
        origin: Of the source.
        progress: Told how many were asked for.

    Raises what `Verifies.holds` raises.
    """
    known = found = 0
    absent: list[str] = []
    batch: list[str] = []

    async def ask() -> None:
        nonlocal known, found
        there = set(await sink.holds(Asked(batch, origin, line.day))) & set(batch)
        known, found = known + len(batch), found + len(there)
        absent.extend(each for each in batch if each not in there and len(absent) < _SHOWN)
        progress(known)

    async for each in ids:
        batch.append(each)
        if len(batch) >= sink.ids_at_once:
            await ask()
            batch = []
    if batch:
        await ask()
    forgotten = max(0, line.expected - known)
    dropped = max(0, line.accepted - found - forgotten)
    if dropped:
        return Look(line, known, found, dropped, absent, "dropped")
    if forgotten and found < line.accepted:
        why = f"{forgotten} ids are not remembered any more (spool.id_retention)"
        return Look(line, known, found, 0, absent, "not known", why)
    return Look(line, known, found, 0, [], "whole")


def only_recognised(looks: list[Look]) -> list[Look]:
    """Return looks without claims about a source of which a sink shows no document at all.

    Either all of them are gone, or what the sink has does not show their ids; nothing tells which.
    """
    seen = {(look.line.source, look.line.sink) for look in looks if look.found}
    why = "none is recognised: either all are gone, or what is there does not show which event it is"
    return [
        msgspec.structs.replace(look, state="not known", dropped=0, why=why)
        if look.dropped and (look.line.source, look.line.sink) not in seen
        else look
        for look in looks
    ]
