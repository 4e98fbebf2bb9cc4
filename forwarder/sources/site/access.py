"""Asks one product of one site, at the host on which the token is good.

::

    https://acme.atlassian.net/<path>                                   a token without scopes
    https://api.atlassian.com/ex/<product>/<cloud id>/<path>            a token with scopes, or of a service account
    https://acme.atlassian.net/_edge/tenant_info                        the cloud id; asked without the token

The two kinds of token cannot be told apart by looking, and the wrong host answers as to a wrong token. So both are
tried, what works is remembered, and both are tried again once it is refused: the token may have been replaced by one of
the other kind. No redirect is followed, so the token goes to these hosts and nowhere else.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from forwarder.contracts import AuthFailed, Endpoint, Finding, ForwarderError, Held, Retryable, SourceContext
from forwarder.net.http import UNREADABLE, HttpClient, Response, check_url
from forwarder.sources.clients import Clients
from forwarder.sources.credentials import Credentials
from forwarder.sources.headers import budget_finding, clock_finding
from forwarder.sources.refusals import is_of_one_endpoint, is_page, without_a_page
from forwarder.sources.site.config import SiteConfig
from forwarder.sources.site.refusals import OF_THE_WAY, Product, of_both, refusal

Way = Literal["site", "gateway"]

_CLOUD_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
"""What can stand in a path: whoever answers for the site chooses it."""

_LONGEST_INFO = 64 * 1024


class _TenantInfo(msgspec.Struct):
    cloudId: str  # noqa: N815 -- the API's name


class SiteAccess:
    """Requests to one product of one site; two at a time, each over a connection of its own.

    Args:
        config: Settings with a single `site`.
        context: Clock and budget.
        product: Which one.
    """

    def __init__(self, config: SiteConfig, context: SourceContext, product: Product) -> None:
        check_url(config.address, insecure=config.insecure, setting="site_url" if config.site_url else "site")
        check_url(config.gateway, insecure=config.insecure, setting="gateway")
        self._config = config
        self._clock = context.clock
        self._budget = context.budget
        self._product = product
        self.credentials = Credentials(config.credentials, context.clock)
        self._clients = {"site": Clients(self._to_site), "gateway": Clients(self._to_gateway)}
        self._works: Way | None = None if config.access == "auto" else config.access
        self._finding = asyncio.Lock()
        self._cloud_id = ""
        self._surveyed: tuple[str, Mapping[str, str]] | None = None
        self._free_at = 0.0  # monotonic; until then this endpoint alone is to be left alone

    @property
    def endpoints(self) -> list[Endpoint]:
        """Return where the way must be open; with `auto` that to the gateway is tried only when it is needed."""
        config = self._config
        by_gateway = config.access == "gateway" or config.api == "workspace_events"
        urls = [config.address, config.gateway] if by_gateway else [config.address]
        return [Endpoint.of_url(url, config.tls, config.http) for url in urls]

    async def get(self, path: str, params: Mapping[str, str], *, most: int | None = None) -> Response:
        """Ask for a page of JSON below the product.

        Args:
            path: As behind the site's host, such as `/rest/api/3/auditing/record`.
            params: The query.
            most: Most bytes of the answer.

        Raises:
            Retryable: The request failed, may be tried later, or a login page answered.
            Held: It is refused; an `AuthFailed` when that is about the credential or what it may do.
        """
        works = self._works
        if works is None:
            async with self._finding:
                if self._works is None:
                    return await self._find(path, params, most)
                works = self._works
        try:
            return await self._ask(works, path, params, most)
        except (Held, Retryable) as error:
            if error.kind in OF_THE_WAY and self._config.access == "auto":
                self._works = None
            raise

    async def get_from_gateway(self, path: str, params: Mapping[str, str], *, most: int | None = None) -> Response:
        """Ask the gateway for what it has beside the products, `{cloud_id}` filled into the path. Raises as `get`."""
        return await self._ask("gateway", path, params, most, below="")

    async def list_from_gateway(self, path: str, params: Mapping[str, str], clients: Clients, most: int) -> bytes:
        """Ask the gateway for a list beside the log; that it is refused says nothing of the log or its pace.

        Args:
            path: With `{cloud_id}`, as for `get_from_gateway`.
            params: The query.
            clients: Of this list alone, from `clients_of_gateway`.
            most: Most bytes of the answer.

        Raises Retryable or Held.
        """
        path = path.replace("{cloud_id}", await self.cloud_id())

        async def send(token: str) -> Response:
            headers = self._headers(token, one_language=True)
            async with clients.borrowed() as client:
                return await client.request("GET", path, params=params, headers=headers, most=most)

        response = (await self.credentials.ask(send)).response
        if response.status != 200:
            raise Retryable(f"the API answers {response.status}", kind="unexpected_status")
        return response.body

    def clients_of_gateway(self) -> Clients:
        """Return connections to the gateway, which the caller closes."""
        return Clients(self._to_gateway)

    async def cloud_id(self) -> str:
        """Return the id of the site, asked for without a credential. Raises Retryable or Held."""
        if not self._cloud_id:
            self._cloud_id = await self._ask_cloud_id()
        return self._cloud_id

    async def close(self) -> None:
        """Release the connections. Safe to call twice."""
        for clients in self._clients.values():
            await clients.close()

    # ---------------------------------------------------------------------------------------------------- which host

    async def _find(self, path: str, params: Mapping[str, str], most: int | None) -> Response:
        """Ask both hosts in turn, and remember which one answers."""
        self.credentials.check()  # one that cannot be read is no fault of a host
        try:
            response = await self._ask("site", path, params, most)
        except (Held, Retryable) as error:
            if error.kind not in OF_THE_WAY:
                raise
            refused = error
        else:
            self._works = "site"
            return response
        try:
            response = await self._ask("gateway", path, params, most)
        except (Held, Retryable) as error:
            if error.kind in OF_THE_WAY:
                raise of_both(refused, error, _host(self._config.gateway)) from None
            if isinstance(error, Retryable):
                raise _also(error, refused) from None
            raise
        self._works = "gateway"
        return response

    async def _ask_cloud_id(self) -> str:
        headers = {"accept": "application/json"}
        async with self._clients["site"].borrowed() as client:
            response = await client.request("GET", "/_edge/tenant_info", headers=headers, most=_LONGEST_INFO)
        error = without_a_page(response, budget=self._budget, now=self._clock.time())
        if error is not None:
            raise error
        if response.status != 200:
            raise refusal(response, self._product, _host(self._config.address))
        try:
            found = msgspec.json.decode(response.body, type=_TenantInfo).cloudId
        except UNREADABLE:
            found = ""
        if not _CLOUD_ID.fullmatch(found):
            message = f"{_host(self._config.address)} does not tell the id of its cloud at /_edge/tenant_info"
            raise Retryable(message, kind="not_json", fix="Check site, and any proxy before it; or set access: site.")
        return found

    # --------------------------------------------------------------------------------------------------- one request

    async def _ask(
        self, way: Way, path: str, params: Mapping[str, str], most: int | None, *, below: str | None = None
    ) -> Response:
        left = self._free_at - self._clock.monotonic()
        if left > 0:
            raise Retryable(
                "the API asks to be left alone for a while at this address", kind="rate_limited", retry_after=left
            )
        cloud_id = await self.cloud_id() if way == "gateway" else ""
        if way == "gateway":
            path = (f"/ex/{self._product.name}/{cloud_id}" if below is None else below) + path
            path = path.replace("{cloud_id}", cloud_id)

        async def send(token: str) -> Response:
            headers = self._headers(token, one_language=below is not None)
            async with self._clients[way].borrowed() as client:
                return await client.request("GET", path, params=params, headers=headers, most=most)

        asked = await self.credentials.ask(send)
        response, sent = asked.response, (*asked.sent, *map(self._basic, asked.sent))
        error = without_a_page(response, budget=self._budget, now=self._clock.time(), secrets=sent)
        if isinstance(error, Retryable) and is_of_one_endpoint(response):
            self._free_at = self._clock.monotonic() + (error.retry_after or 0.0)
        if error is None and response.status != 200:
            host = _host(self._config.address if way == "site" else self._config.gateway)
            error = refusal(response, self._product, host, secrets=sent)
            error = asked.explained(error) if isinstance(error, AuthFailed) else error
        if error is not None:
            if error.kind in OF_THE_WAY and self._cloud_id == cloud_id:
                self._cloud_id = ""  # the site may have another one by now, or something else answered for it
            raise error
        self._budget.observe(response.headers)
        return response

    def _headers(self, token: str, *, one_language: bool) -> dict[str, str]:
        headers = {"accept": "application/json", "accept-encoding": "gzip"}
        if one_language:
            headers["accept-language"] = "en"  # one tag; beside the products, lists are refused
        return {**headers, "authorization": f"Basic {self._basic(token)}"}

    def _basic(self, token: str) -> str:
        return base64.b64encode(f"{self._config.email}:{token}".encode()).decode()

    def _to_site(self) -> HttpClient:
        return self._client(self._config.address)

    def _to_gateway(self) -> HttpClient:
        return self._client(self._config.gateway)

    def _client(self, url: str) -> HttpClient:
        config = self._config
        return HttpClient(base_url=url, http=config.http, tls=config.tls, insecure=config.insecure)

    # --------------------------------------------------------------------------------------------------------- probe

    async def survey(self, path: str, params: Mapping[str, str]) -> tuple[list[Finding], Response | None]:
        """Ask both hosts, whatever `access` says, and say which one works and what to set.

        A gateway of another cloud than the site's is not asked: it would get the token.

        Returns:
            What was found, and the answer of the host that will be asked, None when it gives none.
        """
        self._surveyed = (path, params)
        found: dict[Way, Response | ForwarderError] = {}
        ways: tuple[Way, ...] = ("site",) if self._config.gateway_is_of_another_cloud else ("site", "gateway")
        for way in ways:
            try:
                found[way] = await self._ask(way, path, params, None)
            except ForwarderError as error:
                found[way] = error
        works = [way for way in ways if isinstance(found[way], Response)]
        used = self._config.access if self._config.access != "auto" else works[0] if works else "site"
        answer = found[used]
        if not isinstance(answer, Response):
            return [self._refused(found, used, works)], None
        host = _host(self._config.address if used == "site" else self._config.gateway)
        kind = "without scopes" if used == "site" else "with scopes"
        detail = f"{host} takes the token, as one {kind}"
        detail += "" if self._config.access != "auto" else f"; access: {used} pins that"
        return [
            Finding("token", ok=True, detail=detail),
            clock_finding(answer.headers, self._clock.time()),
            budget_finding(answer),
        ], answer

    async def try_each(self) -> list[Finding]:
        """Try each token by itself, as `survey` asked before; nothing when it did not."""
        return [] if self._surveyed is None else await self.credentials.try_each(self._try)

    async def _try(self, token: str) -> Response:
        """Return what the host says that takes the token, else the one that does not refuse it, else the site."""
        path, params = self._surveyed or ("", {})
        headers = {"authorization": f"Basic {self._basic(token)}", "accept": "application/json"}
        answers: list[Response] = []
        if self._config.access != "gateway":
            async with self._clients["site"].borrowed() as client:
                answers.append(await client.request("GET", path, params=params, headers=headers))
        asks_gateway = self._config.access != "site" and not self._config.gateway_is_of_another_cloud
        if asks_gateway and not any(map(is_page, answers)):
            path = f"/ex/{self._product.name}/{await self.cloud_id()}{path}"
            async with self._clients["gateway"].borrowed() as client:
                answers.append(await client.request("GET", path, params=params, headers=headers))
        if not answers:
            raise Retryable("there is no host to ask")
        # A host that refuses a token says less than one that could not tell: each takes tokens of one kind only.
        return max(answers, key=lambda answer: (is_page(answer), answer.status not in {401, 403}))

    def _refused(self, found: Mapping[Way, Any], used: Way, works: list[Way]) -> Finding:
        error = found[used]
        if works:
            detail = f"{_words(error)[0].rstrip('.')}; {_host(getattr(self._config, _SETTING[works[0]]))} takes it"
            return Finding("token", ok=False, detail=detail, fix=f"Set access: {works[0]}.")
        site, gateway = found["site"], found.get("gateway", found["site"])
        both = isinstance(site, Held | Retryable) and isinstance(gateway, Held | Retryable)
        if both and self._config.access == "auto" and {site.kind, gateway.kind} <= OF_THE_WAY:
            error = of_both(site, gateway, _host(self._config.gateway))
        detail, fix = _words(error)
        subject = "token" if getattr(error, "kind", "") in {"auth", "forbidden"} else "answer"
        return Finding(subject, ok=False, detail=detail, fix=fix)


_SETTING: dict[Way, str] = {"site": "address", "gateway": "gateway"}
_PASSING = "Try again in some minutes; look at Atlassian's status page, and for a proxy in between."


def _words(error: Any) -> tuple[str, str]:
    if isinstance(error, Held):
        return error.reason, error.fix
    return str(error), getattr(error, "fix", "") or _PASSING


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


def _also(error: Retryable, refused: Held | Retryable) -> Retryable:
    """Return a fault of the gateway that says why the gateway was asked at all."""
    message = f"{error}; the host of the site itself refuses the token: {_words(refused)[0].rstrip('.')}"
    return Retryable(message, kind=error.kind, retry_after=error.retry_after, fix=error.fix)
