"""Document ids and content digests: frozen, because a changed id would deliver everything twice.

::

    key      = BLAKE2b-128(person "aaf-event-v1",   len4(feed) feed len4(scope) scope id)             hex: document id
    derived  = BLAKE2b-128(person "aaf-derived-v1", len4(feed) feed len4(scope) scope n4 body)        event without id
    digest   = first 8 bytes of SHA-256(body)
    revision = <32 hex of the key>-<16 hex of the digest>

All but the last part carry their length (4 bytes, big-endian), so that no two lists of parts share their bytes. Text is
UTF-8, lone surrogates included. A golden test and ADR 7 hold this still.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KEY_BYTES = 16
DIGEST_BYTES = 8

_EVENT = b"aaf-event-v1"
_DERIVED = b"aaf-derived-v1"


def _text(part: str) -> bytes:
    return part.encode("utf-8", "surrogatepass")


def _prefixed(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part


def _base(person: bytes, feed: str, scope: str) -> hashlib.blake2b:
    head = _prefixed(_text(feed)) + _prefixed(_text(scope))
    return hashlib.blake2b(head, digest_size=KEY_BYTES, person=person)


class EventKeys:
    """Keys for one feed and scope; the common beginning is hashed once.

    Args:
        feed: Constant of the kind of log, such as `organization`.
        scope: What event ids are unique within: an organization or a site.
    """

    def __init__(self, feed: str, scope: str) -> None:
        self._event = _base(_EVENT, feed, scope)
        self._derived = _base(_DERIVED, feed, scope)

    def key(self, event_id: str) -> bytes:
        """Return the 16 bytes that name an event with an id forever."""
        state = self._event.copy()
        state.update(_text(event_id))
        return state.digest()

    def keys(self, event_ids: Iterable[str]) -> list[bytes]:
        """Return the keys of a page, in order."""
        copy = self._event.copy
        keys = []
        for event_id in event_ids:
            state = copy()
            state.update(event_id.encode("utf-8", "surrogatepass"))
            keys.append(state.digest())
        return keys

    def derived(self, body: bytes, occurrence: int = 0) -> bytes:
        """Return the 16 bytes of an event without an id, from its bytes.

        Args:
            body: The event as the API sent it.
            occurrence: Which of several identical events of one feed this is, from 0.
        """
        state = self._derived.copy()
        state.update(occurrence.to_bytes(4, "big"))
        state.update(body)
        return state.digest()


def content_digests(bodies: Sequence[bytes]) -> list[bytes]:
    """Return the 8 bytes of each event of a page that tell one version of it from another, in order."""
    sha256 = hashlib.sha256
    return [sha256(body, usedforsecurity=False).digest()[:DIGEST_BYTES] for body in bodies]


_PUSHED = bytes(4)
"""What the digest of an event that came by push begins with; of others, one in four thousand million does."""


def pushed_digests(bodies: Sequence[bytes]) -> list[bytes]:
    """Return the digests of events that are pushed ahead of the log that will give them, perhaps in another shape."""
    return [_PUSHED + digest[len(_PUSHED) :] for digest in content_digests(bodies)]


def is_pushed(digest: bytes) -> bool:
    """Tell whether a digest is one of `pushed_digests`."""
    return digest.startswith(_PUSHED)


def document_id(key: bytes, revision_digest: bytes | None = None) -> str:
    """Return the id a sink knows the event by: 32 hex characters, for a revision `-` and 16 more."""
    return key.hex() if revision_digest is None else f"{key.hex()}-{revision_digest.hex()}"
