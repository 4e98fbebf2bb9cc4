"""What an answer without a page means, the same for every source over HTTP: limits, outages, logins, redirects.

What only one API says in its own words (a refused credential, an unknown organization) is read by its source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.contracts import Held, Retryable, plain
from forwarder.net.answers import leads_to
from forwarder.net.hide import hide
from forwarder.net.retry import retry_after_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forwarder.contracts import Budget
    from forwarder.net.http import Response

_LIMITS: tuple[tuple[str, str], ...] = (
    ("burst", "the API's limit of requests in a short time is reached; others who ask this site share it"),
    ("quota", "the API's quota of requests is used up; others who use this credential or app share it"),
    ("per-issue", "the API's limit of changes to one issue is reached"),
)
"""What the words of `RateLimit-Reason` mean (developer.atlassian.com, "Rate limiting")."""


def without_a_page(
    response: Response, *, budget: Budget, now: float, secrets: Iterable[str] = ()
) -> Retryable | Held | None:
    """Return the error for an answer that is neither a page nor a refusal of what was asked; None for these.

    Args:
        response: The answer.
        budget: Learns of a limit, unless it is one of a single endpoint.
        now: Epoch seconds.
        secrets: What was sent, and must not come out where the answer repeats it.
    """
    status = response.status
    if status < 300:
        return _success_without_a_page(response)
    if status < 400:
        where = hide(leads_to(response), secrets)
        message = f"the API answers {status}, a redirect{where}, as a login page or a proxy does"
        return Retryable(message, kind="redirect")
    if status == 429:
        return _limited(response, budget, now)
    if status >= 500 or status == 408:
        wait = retry_after_seconds({"retry-after": response.headers.get("retry-after", "")}, now)
        return Retryable(f"the API answers {status}", kind="server_error", retry_after=wait)
    return None


def is_page(response: Response) -> bool:
    """Tell whether an answer is one of the API to somebody it takes: neither refusal nor fault, and no login page."""
    return response.status == 200 and _success_without_a_page(response) is None


def _success_without_a_page(response: Response) -> Retryable | Held | None:
    if response.status != 200:
        return Held(
            f"the API answers {response.status}, a success without a page of events.",
            fix="Check the address in the settings, and what stands between: a proxy or a cache answers so.",
            kind="unexpected_status",
        )
    kind = response.headers.get("content-type", "").lower()
    if "json" in kind or response.body.lstrip()[:1] == b"{":
        return None
    message = "a page that is not JSON answered with status 200, as a login page or a proxy does"
    return Retryable(message, kind="login_page")


def is_of_one_endpoint(response: Response) -> bool:
    """Tell whether a 429 is about one endpoint alone: whoever asks another one need not wait."""
    return response.status == 429 and "burst" in response.headers.get("ratelimit-reason", "").lower()


def _limited(response: Response, budget: Budget, now: float) -> Retryable:
    words = plain(response.headers.get("ratelimit-reason", ""), 60)
    meant = next((meaning for word, meaning in _LIMITS if word in words.lower()), "the API's rate limit is reached")
    if is_of_one_endpoint(response):
        wait = retry_after_seconds(response.headers, now)
    else:
        wait = budget.on_rate_limited(response.headers)
    return Retryable(f"{meant} ({words})" if words else meant, kind="rate_limited", retry_after=wait)
