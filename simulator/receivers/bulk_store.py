"""What a bulk receiver holds: data streams, each a row of backing indices of which the last is written to.

Invariant: as at the real servers, an id is unique within one backing index only; after a rollover it is taken again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backing:
    """One backing index: document id -> (event id, document); the document is empty when bodies are not kept."""

    name: str
    documents: dict[str, tuple[str | None, bytes]] = field(default_factory=dict)


class DataStream:
    """A data stream.

    Args:
        name: Its name.
        keep_bodies: Keep documents; without, only their ids are remembered.
    """

    def __init__(self, name: str, *, keep_bodies: bool = True) -> None:
        self.name = name
        self._keep = keep_bodies
        self.backing: list[Backing] = []
        self.rollover()

    def rollover(self) -> str:
        """Begin a new backing index and return its name."""
        self.backing.append(Backing(f".ds-{self.name}-2026.01.31-{len(self.backing) + 1:06}"))
        return self.backing[-1].name

    def create(self, document_id: str, event_id: str | None, body: bytes) -> bool:
        """Store a document; False when the write index has this id already."""
        documents = self.backing[-1].documents
        if document_id in documents:
            return False
        documents[document_id] = (event_id, body if self._keep else b"")
        return True

    def __len__(self) -> int:
        """Number of documents in all backing indices."""
        return sum(len(backing.documents) for backing in self.backing)

    def __iter__(self) -> Iterator[tuple[str, str | None, bytes]]:
        """Go through (document id, event id, document) of all backing indices, oldest first."""
        for backing in self.backing:
            for document_id, (event_id, body) in backing.documents.items():
                yield document_id, event_id, body

    def ids(self) -> Counter[str]:
        """Count documents by their id; more than 1 means that one came again after a rollover."""
        return Counter(document_id for document_id, _, _ in self)

    def counts(self) -> Counter[str]:
        """Count documents by `event.id`."""
        return Counter(event_id for _, event_id, _ in self if event_id is not None)
