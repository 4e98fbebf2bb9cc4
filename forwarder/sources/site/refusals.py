"""What a site or the API gateway means when it refuses: the token, a scope, a permission, the plan, the site's name.

What it says itself is quoted, printable and short, and without what was sent. The wrong host answers 401 or 404 like a
wrong token, so these name both; `access` asks the other host before anything is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.contracts import AuthFailed, Held, Retryable, plain
from forwarder.net.answers import own_words
from forwarder.net.hide import hide
from forwarder.net.http import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forwarder.net.http import Response

_LONGEST_ERROR = 2**18
"""Characters of an error's body that are looked at."""

_LONGEST_SAID = 4096
_QUOTED = 160


class Product(msgspec.Struct, frozen=True):
    """One product of a site.

    Attributes:
        name: As the gateway's paths and the types of sources have it.
        title: As people call it.
        scopes: Those that a token with scopes needs.
        permission: What its account must be.
        plan: Which plan keeps a log at all.
    """

    name: str
    title: str
    scopes: str
    permission: str
    plan: str


class _Words(msgspec.Struct):
    message: Any = None
    errorMessages: Any = None  # noqa: N815 -- the API's names, here and below
    error: Any = None
    title: Any = None
    detail: Any = None
    errors: Any = None


def refusal(response: Response, product: Product, where: str, *, secrets: Iterable[str] = ()) -> Held:
    """Return the error for a refusal with status 4xx.

    Args:
        response: The answer.
        product: Whose log was asked for.
        where: The host that answered, for the message.
        secrets: What was sent.
    """
    found = said_by(response, secrets)
    quoted = f' ("{found}")' if found else ""
    status, words = response.status, found.lower()
    if status in {401, 403} and "scope" in words:
        return AuthFailed(
            f"{where} takes the token, but it lacks a scope{quoted}.",
            fix=f"Make a token with {product.scopes}, and put it into token: scopes cannot be added to one.",
            kind="forbidden",
        )
    if status in {401, 403} and "connect session" in words:
        return AuthFailed(
            f"{where} takes tokens of another kind{quoted}.",
            fix="Set access: auto: tokens without scopes are good on the host of the site, those with scopes at the "
            "gateway.",
        )
    if status == 401:
        return AuthFailed(
            f"{where} refuses email and token{quoted}: the token has expired (it lives a year at most), was revoked, "
            "or is another account's.",
            fix="Make an API token of the account in email, and put it into token.",
        )
    if status == 403:
        return AuthFailed(
            f"{where} does not show the audit log of {product.title}{quoted}: the account lacks the permission "
            f"{product.permission}, or {product.plan}.",
            fix=f"Give the account {product.permission}; on a Free plan there is no audit log to read.",
            kind="forbidden",
        )
    if status in {404, 410}:
        return Held(
            f"{where} knows no {product.title} there{quoted}.",
            fix=f"Check the name in site, that the site has {product.title}, and that nothing between answers for it.",
            kind="not_found",
        )
    return Held(
        f"{where} refuses the request with {status}{quoted}.",
        fix="Check site and this machine's clock; if both are right, the API has changed: report it.",
        kind="bad_request" if status == 400 else "unexpected_status",
    )


def said_by(response: Response, secrets: Iterable[str] = ()) -> str:
    """Return what a body says, in any shape of products and gateway: printable, short, without secrets."""
    text = _in_json(response.body) if len(response.body) <= _LONGEST_ERROR else ""
    text = "".join(char for char in (text or own_words(response))[:_LONGEST_SAID] if char.isprintable())
    return plain(hide(text, secrets), _QUOTED)


def _in_json(body: bytes) -> str:
    try:
        found = msgspec.json.decode(body, type=_Words)
    except UNREADABLE:
        return ""
    candidates = (found.message, found.errorMessages, found.title, found.detail, found.errors, found.error)
    return next((text for value in candidates if (text := _text_in(value, 0))), "")


def _text_in(value: Any, depth: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and depth < 3:
        return next((text for inner in value[:10] if (text := _text_in(inner, depth + 1))), "")
    if isinstance(value, dict) and depth < 3:
        named = (value.get(name) for name in ("message", "title", "detail", "translation", "key"))
        return next((text for inner in named if (text := _text_in(inner, depth + 1))), "")
    return ""


OF_THE_WAY = frozenset({"auth", "forbidden", "not_found", "login_page", "redirect"})
"""Kinds of errors after which the other host is worth a try: a token of the other kind is answered so."""

_TELLS = ("forbidden", "auth", "redirect", "login_page", "not_found")
"""Of two refusals the one that says more about what to do, the first wins: a scope that is missing, a permission."""


def of_both(site: Held | Retryable, gateway: Held | Retryable, gateway_host: str) -> Held | Retryable:
    """Return what to say when neither host gives the log."""
    first, second = sorted((site, gateway), key=lambda error: _TELLS.index(error.kind))
    if first.kind == "forbidden" or second.kind == "not_found" or first.kind != second.kind:
        return first
    reason = first.reason if isinstance(first, Held) else str(first)
    reason = f"{reason.rstrip('.')}. {gateway_host}, where tokens with scopes are good, refuses it as well."
    if isinstance(first, AuthFailed):
        return AuthFailed(reason, fix=first.fix, kind=first.kind)
    if isinstance(first, Held):
        return Held(reason, fix=first.fix, kind=first.kind)
    return Retryable(reason.rstrip("."), kind=first.kind, retry_after=first.retry_after, fix=first.fix)
