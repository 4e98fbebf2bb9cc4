"""Errors, named by what the engine does; the tree is drawn in `forwarder.contracts`."""

from __future__ import annotations

from typing import Literal

ErrorKind = Literal[
    "rate_limited",
    "server_error",
    "timeout",
    "connection",
    "tls",
    "reset",
    "truncated",
    "not_json",
    "login_page",
    "redirect",
    "unexpected_status",
    "bad_request",
    "auth",
    "forbidden",
    "not_found",
    "cursor_lost",
    "loop",
    "too_large",
    "too_many_events",
    "setup_missing",
    "disk_full",
    "spool_full",
    "spool_damaged",
    "partial",
    "unconfirmed",
    "other",
]
"""Closed set of error labels, so that a metric can carry them."""


class ForwarderError(Exception):
    """Root of all errors that carry a decision for the engine."""


class ConfigError(ForwarderError):
    """The configuration cannot work. Raised at start only; the message names the setting and the fix."""


class Retryable(ForwarderError):
    """Try the same again later.

    Args:
        message: What happened, without secrets and without cursors.
        kind: The error label of the metric.
        retry_after: Seconds the other side asked for, if it did.
        sent: True when the request may have taken effect although no answer was read: a re-send may double.
    """

    def __init__(
        self, message: str, *, kind: ErrorKind = "other", retry_after: float | None = None, sent: bool = False
    ) -> None:
        super().__init__(message)
        self.kind: ErrorKind = kind
        self.retry_after = retry_after
        self.sent = sent


class Held(ForwarderError):
    """Wait until somebody mends it; nothing is lost meanwhile.

    Args:
        reason: What is wrong, one sentence.
        fix: What to do about it, one sentence in the imperative.
        kind: The error label of the metric.
    """

    def __init__(self, reason: str, *, fix: str, kind: ErrorKind = "other") -> None:
        super().__init__(f"{reason} {fix}")
        self.reason = reason
        self.fix = fix
        self.kind: ErrorKind = kind


class AuthFailed(Held):
    """The credential is refused. Never a dead letter: a rotated token must not lose anything."""

    def __init__(self, reason: str, *, fix: str, kind: ErrorKind = "auth") -> None:
        super().__init__(reason, fix=fix, kind=kind)


class PayloadTooLarge(ForwarderError):
    """The other side refuses the size of the batch (HTTP 413): the lane halves it."""


class CursorLost(ForwarderError):
    """The source no longer knows the cursor (Atlassian: 400 `ADMIN-400-1`)."""


class UnexpectedPayload(ForwarderError):
    """One event cannot be understood; `reason` goes into its dead letter, under a stable `word` that has its advice."""

    def __init__(self, reason: str, word: str = "not_understood") -> None:
        super().__init__(reason)
        self.reason = reason
        self.word = word
