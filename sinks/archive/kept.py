"""Which documents an archive has, when it is asked by their ids."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from forwarder.archive.evidence import DamagedEvidence, Evidence, events_of, header_of
from forwarder.archive.stores import NotStored
from forwarder.contracts import Asked, Held, LinesOfDocuments

if TYPE_CHECKING:
    pass

_FIX = "Look at the archive with: audit-forwarder archive verify."


async def held(evidence: Evidence, asked: Asked) -> set[str]:
    """Return those of the ids that the evidence has. Raises Held when an object cannot be read.

    What happened on a day was stored on that day or later.
    """
    wanted = LinesOfDocuments(asked)
    ids, found = set(asked.ids), set[str]()
    async for each in evidence.objects(since=_since(asked.day)):
        try:
            data = await evidence.read(each.name)
            header = header_of(data)
            if (header.feed, header.organization, header.site) == _place(asked):
                found |= ids.intersection(header.ids.values())
                found.update(await asyncio.to_thread(lambda data=data: set(wanted.found(events_of(data)))))  # type: ignore[misc]
        except NotStored:
            continue  # deleted meanwhile, as a whole month
        except DamagedEvidence as error:
            raise Held(f"{each.name} cannot be read: {error}.", fix=_FIX) from error
        if len(found) == len(ids):
            break
    return found


def _place(asked: Asked) -> tuple[str, str, str]:
    return asked.origin.feed, asked.origin.organization, asked.origin.site


def _since(day: str) -> datetime | None:
    try:
        return datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(days=1)
    except ValueError:
        return None
