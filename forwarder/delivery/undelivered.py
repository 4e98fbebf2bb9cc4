"""A send that did not settle everything: what an error of a sink makes its lane do."""

from __future__ import annotations

from typing import Literal, Self

from forwarder.contracts import AuthFailed, ContentRefused, ErrorKind, Held, Record, Rejection, Retryable
from forwarder.contracts.errors import fix_of

AUTH_RETRY = 5.0
"""Longest wait after a refused credential, seconds: a rotated secret file should work at once."""


class Undelivered(Exception):
    """What is left of a batch, why, and how long to wait.

    Attributes:
        suspect: One of the records may be at fault.
        odd: In the same answer others were taken, behind each of those left, or all but the one.
        rejections: What the sink says of each, by number in the spool, while nothing else was taken: not believed yet.
        refused: The sink says itself that a record is at fault.
        named: Number in the spool of the record that the other side names; it may be wrong.
        busy: The sink asks to wait. No record is suspected for that, unless it meets the same ones again and again.
    """

    def __init__(
        self,
        left: list[Record],
        kind: ErrorKind,
        reason: str,
        *,
        fix: str = "",
        floor: float | None = None,
        ceiling: float | None = None,
        doubtful: bool = False,
        state: Literal["retrying", "held"] = "retrying",
        suspect: bool = False,
        busy: bool = False,
        odd: bool = False,
        rejections: dict[int, Rejection] | None = None,
    ) -> None:
        super().__init__(reason)
        self.left, self.kind, self.reason, self.fix = left, kind, reason, fix or fix_of(kind)
        self.floor, self.ceiling, self.doubtful, self.state = floor, ceiling, doubtful, state
        self.suspect, self.busy, self.odd, self.rejections = suspect, busy, odd, rejections or {}
        self.refused = bool(self.rejections)
        self.named: int | None = None

    def let_go(self) -> None:
        """Drop what led here: its frames would keep the request that failed in memory for as long as the slot waits."""
        self.__cause__ = self.__context__ = self.__traceback__ = None

    @classmethod
    def from_error(cls, todo: list[Record], error: Retryable | Held | ContentRefused) -> Self:
        """Return what an error that a sink raises means for the whole batch."""
        if isinstance(error, ContentRefused):
            why = Rejection(error.reason, error.detail)
            alone = {todo[0].seq: why} if len(todo) == 1 else None
            made = cls(todo, "refused", str(error), doubtful=error.sent, suspect=True, rejections=alone)
            made.refused = True
            if error.position is not None and 0 <= error.position < len(todo):
                made.named = todo[error.position].seq
            return made
        if isinstance(error, Retryable):
            return cls(
                todo,
                error.kind,
                str(error),
                fix=error.fix,
                floor=error.retry_after,
                doubtful=error.sent,
                suspect=error.suspect,
                busy=error.kind == "rate_limited",
            )
        ceiling = AUTH_RETRY if isinstance(error, AuthFailed) else None
        return cls(todo, error.kind, error.reason, fix=error.fix, ceiling=ceiling, state="held", suspect=error.suspect)
