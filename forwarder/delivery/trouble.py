"""A send that did not settle everything: what an error of a sink makes its lane do."""

from __future__ import annotations

from typing import Literal, Self

from forwarder.contracts import AuthFailed, ErrorKind, Held, Record, Retryable
from forwarder.errors import fix_of

AUTH_RETRY = 5.0
"""Longest wait after a refused credential, seconds: a rotated secret file should work at once."""


class Trouble(Exception):
    """What is left of a batch, why, and how long to wait."""

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
    ) -> None:
        super().__init__(reason)
        self.left, self.kind, self.reason, self.fix = left, kind, reason, fix or fix_of(kind)
        self.floor, self.ceiling, self.doubtful, self.state = floor, ceiling, doubtful, state

    @classmethod
    def told(cls, todo: list[Record], error: Retryable | Held) -> Self:
        """Return what an error that a sink raises means for the whole batch."""
        if isinstance(error, Retryable):
            return cls(todo, error.kind, str(error), fix=error.fix, floor=error.retry_after, doubtful=error.sent)
        ceiling = AUTH_RETRY if isinstance(error, AuthFailed) else None
        return cls(todo, error.kind, error.reason, fix=error.fix, ceiling=ceiling, state="held")
