"""Redaction: what of a source's events must not touch the disk is taken out of its pages before they are spooled.

Invariant: ids stay what they are; an event that no one can read is kept as one of which nothing is shown. The digest by
which revisions are told is that of what is kept: nothing on disk follows from a text that was taken out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts import Held, Page
from forwarder.contracts.identity import content_digests, is_pushed, pushed_digests
from forwarder.normalize.lenient import Unreadable
from forwarder.records.privacy.policy import Privacy, unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence


class Redaction:
    """Redacts the pages of one source. Not for use by several threads at once.

    Args:
        feed: Of the source.
        privacy: What is taken out.
    """

    def __init__(self, feed: str, privacy: Privacy) -> None:
        self._feed = feed
        self._privacy = privacy

    def __call__(self, page: Page) -> Page:
        """Return the page without what may not be kept. Raises Held when the key of the pseudonyms cannot be read."""
        self._privacy.look_at_key()
        bodies = [self._redacted(body) for body in page.bodies]
        return msgspec.structs.replace(page, bodies=bodies, digests=_digests(bodies, page.digests))

    def _redacted(self, body: bytes) -> bytes:
        try:
            return self._privacy.apply(self._feed, body)
        except Unreadable as error:
            return unreadable(error)
        except (OSError, ValueError) as error:
            raise Held(
                f"the key of the pseudonyms cannot be read: {error}",
                fix="Put the key back where redact.key_file says; without it no event may be kept.",
                kind="setup_missing",
            ) from None


def _digests(bodies: Sequence[bytes], before: Sequence[bytes]) -> list[bytes]:
    found = content_digests(bodies)
    if not any(map(is_pushed, before)):
        return found
    return [
        pushed if is_pushed(old) else new
        for old, new, pushed in zip(before, found, pushed_digests(bodies), strict=True)
    ]
