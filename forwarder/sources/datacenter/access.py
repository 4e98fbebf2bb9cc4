"""Asks the audit REST API of one Data Center product, and says what its refusals mean.

No redirect is followed, and no link of an answer: the credential goes to `url` and nowhere else.
(developer.atlassian.com, "Audit log REST API"; confluence.atlassian.com, "Improving instance stability with rate
limiting")
"""

from __future__ import annotations

import base64
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts import AuthFailed, CursorLost, Endpoint, Finding, Held, plain
from forwarder.net.answers import own_words
from forwarder.net.hide import hide
from forwarder.net.http import HttpClient, Response, check_url
from forwarder.sources.clients import Clients
from forwarder.sources.refusals import without_a_page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forwarder.contracts import HttpConfig, SourceContext, TlsConfig
    from forwarder.sources.credentials import Credentials

ROOT = "/rest/auditing/1.0"
_QUOTED = 160
_USER = "x-ausername"


class ApiAccess:
    """Requests to one product; two at a time, each over a connection of its own.

    Args:
        url: Where it is.
        credentials: Personal access tokens, or passwords of `user`.
        user: Of a local account; empty with tokens.
        context: Clock and budget.
        http: HTTP settings.
        tls: TLS settings.
        insecure: Whether `http://` to another machine is allowed.

    Attributes:
        account: Whom the product takes us for, once it has said so.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        user: str,
        context: SourceContext,
        *,
        http: HttpConfig,
        tls: TlsConfig,
        insecure: bool,
    ) -> None:
        check_url(url, insecure=insecure)
        self.account = ""
        self.clock = context.clock
        self._url = url
        self.credentials = credentials
        self._user = user
        self._budget = context.budget
        self._http, self._tls, self._insecure = http, tls, insecure
        self._clients = Clients(self._client)

    def _client(self) -> HttpClient:
        return HttpClient(base_url=self._url, http=self._http, tls=self._tls, insecure=self._insecure)

    @property
    def endpoint(self) -> Endpoint:
        """Where the product is."""
        return Endpoint.of_url(self._url, self._tls, self._http)

    async def get(self, path: str, params: Mapping[str, str]) -> Response:
        """Ask for JSON below the root of the API. Raises Retryable, Held, AuthFailed, or CursorLost."""
        asked = await self.credentials.ask(partial(self._send, path, params))
        secrets = (*asked.sent, *map(self._basic, asked.sent))
        response = msgspec.structs.replace(asked.response, headers=_as_rate(asked.response.headers))
        error = without_a_page(response, budget=self._budget, now=self.clock.time(), secrets=secrets)
        if error is not None:
            raise error
        if response.status != 200:
            refused = _refusal(response, secrets, with_cursor="pageCursor" in params)
            raise asked.explained(refused) if isinstance(refused, AuthFailed) else refused
        self._budget.observe(response.headers)
        account = plain(response.headers.get(_USER, ""), 100)
        self.account = account if account and account.casefold() != "anonymous" else self.account
        return response

    async def try_each(self) -> list[Finding]:
        """Try each credential by itself, for `doctor`."""
        return await self.credentials.try_each(partial(self._send, "/events", {"limit": "1"}))

    async def _send(self, path: str, params: Mapping[str, str], secret: str) -> Response:
        header = f"Basic {self._basic(secret)}" if self._user else f"Bearer {secret}"
        headers = {"authorization": header, "accept": "application/json", "accept-encoding": "gzip"}
        async with self._clients.borrowed() as client:
            return await client.request("GET", f"{ROOT}{path}", params=params, headers=headers)

    def _basic(self, secret: str) -> str:
        return base64.b64encode(f"{self._user}:{secret}".encode()).decode()

    async def close(self) -> None:
        """Release the connections. Safe to call twice."""
        await self._clients.close()


def _as_rate(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with the limit in requests a minute; the product tells how a bucket of them fills."""
    try:
        filled, every = (float(headers[f"x-ratelimit-{name}"]) for name in ("fillrate", "interval-seconds"))
        minute = filled * 60 / every
    except (KeyError, ValueError, ZeroDivisionError, OverflowError):
        return dict(headers)
    return {**headers, "x-ratelimit-limit": f"{max(minute, 1.0):.3f}"} if 0 < minute < 1e9 else dict(headers)


def _refusal(response: Response, secrets: tuple[str, ...], *, with_cursor: bool) -> Held | CursorLost:
    words = plain(hide(own_words(response), secrets), _QUOTED)
    suffix = f" ({words})" if words else ""
    denied = plain(response.headers.get("x-authentication-denied-reason", ""), 60)
    status = response.status
    if status == 400 and with_cursor:
        return CursorLost("the API no longer takes its page cursor")
    if status == 401 or denied:
        captcha = " It wants a captcha, after logins that failed: log in once by hand." if denied else ""
        return AuthFailed(
            f"The product refuses the credential{suffix}: the token has expired or was revoked, or user and password "
            f"are wrong.{captcha}",
            fix="Make a personal access token in the profile of the account, and put it into token.",
        )
    if status == 403:
        return AuthFailed(
            f"The product does not show its audit log{suffix}: the account is no system administrator.",
            fix="Give the account the permission of a system administrator (in Jira: Administer Jira), or read the "
            "files of the nodes, which needs none.",
            kind="forbidden",
        )
    if status in {404, 405, 410}:
        return Held(
            f"The product knows no audit log there{suffix}.",
            fix="Check url, with the path when the product has one, such as https://example.com/jira; the API is in "
            "Jira from 8.8, Confluence from 7.5 and Bitbucket from 7.0 on, and in their Data Center editions only.",
            kind="not_found",
        )
    return Held(
        f"The product refuses the request with {status}{suffix}.",
        fix="Check url and this machine's clock; if both are right, the API has changed: report it.",
        kind="bad_request" if status == 400 else "unexpected_status",
    )
