"""What the API means with everything but a page: each answer, as the error that says what to do.

What it says of its reasons is hostile text, and may repeat what was sent: it is quoted printable and short, without
key and cursor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts import AuthFailed, CursorLost, ErrorKind, Held, plain
from forwarder.net.answers import own_words
from forwarder.net.hide import hide
from forwarder.net.http import UNREADABLE, Response
from forwarder.sources.refusals import without_a_page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forwarder.contracts import Budget, Clock, ForwarderError

_LONGEST_TEXT = 4096
_LONGEST_ERROR = 2**18
"""Characters of an error's text that are looked at, before it is shortened."""

LOST_CURSOR = "ADMIN-400-1"
"""The code of the API for a cursor that it does not know."""

_REFUSALS: Mapping[int, tuple[type[Held], ErrorKind, str, str]] = {
    401: (
        AuthFailed,
        "auth",
        "the API refuses the key{words}: it has expired (a key lives a year at most), was revoked, or is a user's.",
        "Create an organization API key in Atlassian Administration, Settings, API keys, and put it into api_key.",
    ),
    403: (
        AuthFailed,
        "forbidden",
        (
            "the key may not read the audit log of organization {org}{words}: it lacks the scope read:events:admin, or "
            "its creator is not an organization admin any more, or org_id is another's, or there is no Atlassian "
            "Guard or Enterprise plan."
        ),
        "Check these four in Atlassian Administration; without Guard or Enterprise use the products' own audit logs.",
    ),
    410: (
        Held,
        "not_found",
        "the API says that this address is permanently gone{words}.",
        "Check base_url; if it is right, the API has moved: install a newer version, or report it.",
    ),
    404: (
        Held,
        "not_found",
        "the API knows no organization {org}{words}.",
        "Copy org_id from the address bar of Atlassian Administration, and check base_url.",
    ),
}


class Refusals:
    """Finds the error that an answer means.

    Args:
        org: Id of the organization.
        budget: What hears of a rate limit.
        clock: For a moment to try again.
    """

    def __init__(self, org: str, budget: Budget, clock: Clock) -> None:
        self._org = org
        self._budget = budget
        self._clock = clock

    def error(self, response: Response, *, keys: Sequence[str], cursor: str | None) -> ForwarderError | None:
        """Return the error for an answer, and None for one that brings JSON; what was sent is in no text of it."""
        secrets = (*keys, cursor or "")
        error = without_a_page(response, budget=self._budget, now=self._clock.time(), secrets=secrets)
        return error or (self._refusal(response, secrets, cursor) if response.status >= 400 else None)

    def _refusal(self, response: Response, secrets: tuple[str, ...], cursor: str | None) -> ForwarderError:
        status = response.status
        code, title = error_of(response, secrets)
        if status == 400 and code == LOST_CURSOR and cursor:
            return CursorLost(f"the API no longer knows the cursor ({LOST_CURSOR})")
        if not (code or title):
            title = _clean(own_words(response), secrets)
        quoted = " ".join(filter(None, (code, title)))
        words = f" ({quoted})" if quoted else ""
        if status in _REFUSALS:
            error, kind, reason, fix = _REFUSALS[status]
            return error(reason.format(words=words, org=self._org), fix=fix, kind=kind)
        return Held(
            f"the API refuses the request with {status}{words}.",
            fix="Check base_url and this machine's clock; if both are right, the API has changed: report it.",
            kind="bad_request" if status == 400 else "unexpected_status",
        )


class _Error(msgspec.Struct):
    code: str = ""
    title: str = ""


class _Errors(msgspec.Struct):
    errors: list[_Error] = []


def error_of(response: Response, secrets: tuple[str, ...] = ()) -> tuple[str, str]:
    """Return (code, title) of an error body, shortened and printable; empty when it has another shape.

    An answer may repeat what was sent: the texts of `secrets` do not come out, whole or in part.
    """
    if len(response.body) > _LONGEST_ERROR:  # a million of empty errors would fill the memory
        return "", ""
    try:
        found = msgspec.json.decode(response.body, type=_Errors, strict=False).errors
    except UNREADABLE:
        return "", ""
    if not found:
        return "", ""
    return _clean(found[0].code, secrets), _clean(found[0].title, secrets)


def _clean(text: str, secrets: tuple[str, ...]) -> str:
    printable = "".join(char for char in text[:_LONGEST_TEXT] if char.isprintable())
    return plain(hide(printable, secrets), 120)
