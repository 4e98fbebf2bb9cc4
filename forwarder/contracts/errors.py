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
    "no_progress",
    "no_cursor",
    "too_large",
    "too_many_events",
    "setup_missing",
    "disk_full",
    "spool_full",
    "spool_damaged",
    "partial",
    "unconfirmed",
    "refused",
    "other",
]
"""Closed set of error labels, so that a metric can carry them."""

_ON_THE_WAY = "See what stands between (proxy, balancer, firewall), and the log of the other side."
_OTHER_PAGE = "Check the URL and any proxy: something other than the API answers there."
_OWN_LOG = "See the log and the health of the other side."
RETRY_FIXES: dict[ErrorKind, str] = {
    "rate_limited": "Nothing, unless it stays: then raise the limit there, or let others who use the key ask less.",
    "timeout": "See whether the other side is overloaded; `audit-forwarder doctor` tries the way to it.",
    "connection": "See that the other side runs; `audit-forwarder doctor` tries each step of the way to it.",
    "tls": "Check the tls settings on both sides; `audit-forwarder doctor` shows the certificate.",
    "reset": _ON_THE_WAY,
    "truncated": _ON_THE_WAY,
    "not_json": _OTHER_PAGE,
    "login_page": _OTHER_PAGE,
    "redirect": _OTHER_PAGE,
    "too_large": "Raise http.max_response.",
    "no_cursor": "Nothing while events arrive; report the shape of the answer's meta.",
    "loop": "Nothing here; if it stays, tell the support of the source.",
    "no_progress": "Nothing here; if it stays, tell the support of the source, or look for a cache or proxy before it.",
    "partial": "Nothing while other events are taken; if it stays, see at the destination what its answer names.",
    "unconfirmed": "See whether the other side keeps up with indexing; confirm_within gives it more time.",
}
"""What a person can do about a fault that may pass, by its kind."""


def fix_of(kind: ErrorKind) -> str:
    """Return what a person can do about a fault that may pass, where the error itself does not say it."""
    return RETRY_FIXES.get(kind, _OWN_LOG)


class ForwarderError(Exception):
    """Root of all errors that carry a decision for the engine."""


class ConfigError(ForwarderError):
    """The configuration cannot work. Raised at start only; the message names the setting and the fix.

    Args:
        message: What is wrong, and the fix.
        setting: The setting below the component that it is about, such as `url`, when the message does not name it.
    """

    def __init__(self, message: str, *, setting: str = "") -> None:
        super().__init__(message)
        self.setting = setting


class Retryable(ForwarderError):
    """Try the same again later.

    Args:
        message: What happened, without secrets and without cursors.
        kind: The error label of the metric.
        retry_after: Seconds the other side asked for, if it did.
        sent: True when the request may have taken effect although no answer was read: a re-send may double.
        suspect: Whether one of the events may be what the other side chokes on; default: what was sent may be.
        fix: What a person can do, one sentence in the imperative; default: what suits the kind.
        smaller: True when the next try asks for less, and need not wait out a back-off.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: ErrorKind = "other",
        retry_after: float | None = None,
        sent: bool = False,
        suspect: bool | None = None,
        fix: str = "",
        smaller: bool = False,
    ) -> None:
        super().__init__(message)
        self.fix = fix or fix_of(kind)
        self.smaller = smaller
        self.kind: ErrorKind = kind
        self.retry_after = retry_after
        self.sent = sent
        self._suspect = suspect

    @property
    def suspect(self) -> bool:
        """Whether one of the events may be at fault."""
        return self.sent if self._suspect is None else self._suspect


class Held(ForwarderError):
    """Wait until the cause is fixed; nothing is lost meanwhile.

    Args:
        reason: What is wrong, one sentence.
        fix: What to do about it, one sentence in the imperative.
        kind: The error label of the metric.
        suspect: Whether one of the events may be what the other side refuses, as a filter between the two may do.
    """

    def __init__(self, reason: str, *, fix: str, kind: ErrorKind = "other", suspect: bool = False) -> None:
        super().__init__(f"{reason} {fix}")
        self.suspect = suspect
        self.reason = reason
        self.fix = fix
        self.kind: ErrorKind = kind


class AuthFailed(Held):
    """The credential is refused. Never a dead letter: a rotated token must not lose anything."""

    def __init__(self, reason: str, *, fix: str, kind: ErrorKind = "auth") -> None:
        super().__init__(reason, fix=fix, kind=kind)


class PayloadTooLarge(ForwarderError):
    """The other side refuses the size of the batch (HTTP 413): the lane halves it."""


class ContentRefused(ForwarderError):
    """The other side refuses the batch for what is in it: the lane takes it apart.

    Args:
        reason: Short stable word, for the dead letter of an event that is refused alone.
        detail: The other side's own words, shortened; hostile text, never a secret.
        sent: True when a part of the batch may have been taken.
        position: Of the event at fault, where the other side names one; it may be wrong.
    """

    def __init__(self, reason: str, detail: str = "", *, sent: bool = True, position: int | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.sent = sent
        self.position = position


class CursorLost(ForwarderError):
    """The source no longer knows the cursor (Atlassian: 400 `ADMIN-400-1`)."""


class UnexpectedPayload(ForwarderError):
    """One event cannot be understood; `reason` goes into its dead letter, under a stable `word` that has its advice."""

    def __init__(self, reason: str, word: str = "not_understood") -> None:
        super().__init__(reason)
        self.reason = reason
        self.word = word
