"""Whether an archive can be used, asked without writing to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.archive import layout
from forwarder.contracts import Finding, Held, Retryable

if TYPE_CHECKING:
    from forwarder.archive.stores import Store


async def examine(store: Store) -> list[Finding]:
    """Return what is found: whether it can be read, as far as can be told whether it can be written, and what is in."""
    try:
        room = await store.room()
        sources = await store.folders(layout.EVIDENCE)
    except Held as held:
        return [Finding(store.place, ok=False, detail=held.reason, fix=held.fix)]
    except Retryable as error:
        return [Finding(store.place, ok=False, detail=str(error), fix=error.fix)]
    has = f"has evidence of {len(sources)} sources" if sources else "is empty"
    return [Finding(store.place, ok=True, detail=f"can be {room}; {has}")]
