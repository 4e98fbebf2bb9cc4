"""What a source gives: one answer as a page, where it comes from, and the state of the cursor that follows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from forwarder.contracts.errors import Retryable

CursorState = dict[str, Any]
"""What a source needs to go on: JSON, opaque to everybody else."""


class Origin(msgspec.Struct, frozen=True):
    """Where events come from.

    Attributes:
        source: Name in the configuration; may change.
        feed: Frozen constant of the kind of log, such as `organization` or `jira`; part of every document id.
        organization: Organization id, or empty for a feed of one site.
        site: Site (cloud id or host), or empty for a feed of a whole organization.
    """

    source: str
    feed: str
    organization: str
    site: str = ""

    @property
    def scope(self) -> str:
        """What event ids are unique within."""
        return self.site or self.organization

    @property
    def identity(self) -> str:
        """The stable name that state belongs to, whatever the configuration calls the source."""
        return f"{self.feed}:{self.scope}"


class Lost(msgspec.Struct, frozen=True):
    """A part of a log that is gone before it was read, and that nothing has any more.

    Attributes:
        detail: Which part.
        why: What became of it.
        from_ms, to_ms: When its events happened, epoch milliseconds, as far as it is known.
    """

    detail: str
    why: str
    from_ms: int | None = None
    to_ms: int | None = None


class Page(msgspec.Struct, frozen=True):
    """One answer of a source. The five columns have one entry per event, in the order the source gave.

    Attributes:
        bodies: What the API sent, byte for byte, one JSON object each.
        keys: 16 bytes each: the hash of (feed, scope, event id); hex of it is the document id.
        digests: 8 bytes each: the hash of the body; the same key with another digest is a revision.
        minutes: Event time cut to the minute (`2026-01-31T23:59`), empty when unknown; arranges the memory of ids.
        derived: Positions of events without an id of their own; their key comes from the content.
        next: State of the cursor after this page.
        more: Ask again at once; False at the tip.
        done: A walk has reached its end (for a follower: the tip).
        newest: Highest processing time in the page, epoch milliseconds, or None.
        stands_at: Processing time that a stream has come to behind the page, whatever single events in it claim; None
            where the source gives none, and `newest` is as good.
        late: Events whose processing came later than the overlap after they happened.
        own: Records that reading the log has made itself, and that are left out.
        looping: The source gave the same cursor with the same events again; hold and say so.
        by_time: No cursor of the source can be used, and the walk goes on by the time it has come to.
        trouble: What part of the source cannot be read at present, while the rest is; it is shown as its state.
        since: The lower bound of such a walk from here on, epoch milliseconds.
        user_activity: Whether it holds what people do in a product, beside its administration; None where the source
            does not tell them apart.
        lost: What was found to be gone before it was read; on record with this page, durable with the cursor behind it.
    """

    bodies: Sequence[bytes]
    keys: Sequence[bytes]
    digests: Sequence[bytes]
    minutes: Sequence[str]
    next: CursorState
    derived: frozenset[int] = frozenset()
    more: bool = False
    done: bool = False
    newest: int | None = None
    stands_at: int | None = None
    late: int = 0
    own: int = 0
    looping: bool = False
    by_time: bool = False
    trouble: Retryable | None = None
    since: int | None = None
    user_activity: bool | None = None
    lost: Sequence[Lost] = ()
