"""Settings of a source that reads the log of one product on a site, or on several under one credential."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from forwarder.contracts import HttpConfig, Secret, SourceConfig, TlsConfig
from forwarder.contracts.credentials import Expiry
from forwarder.contracts.declared import BeforeValidator, Field, PydanticCustomError, field_validator, model_validator

_GOVERNMENT = (".atlassian-us-gov-mod.net", ".atlassian-us-gov.net")
"""Domains of clouds that have a gateway of their own."""

_DOMAINS = (".atlassian.net", ".jira.com", *_GOVERNMENT)
"""Domains in which Atlassian gives sites their hosts; a token is sent to no other unless `site_url` says so."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_CLOUD_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_NO_SITES = {
    *(
        "api.atlassian.com",
        "admin.atlassian.com",
        "id.atlassian.com",
        "home.atlassian.com",
        "start.atlassian.com",
        "my.atlassian.com",
    ),
    *("team.atlassian.com", "support.atlassian.com", "developer.atlassian.com", "www.atlassian.com", "atlassian.com"),
}


def _site(value: Any) -> Any:
    """Return the name of a site, or its host in another domain than atlassian.net; refuse what stands in its place."""
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    fault = _fault_of(text)
    if fault:
        raise PydanticCustomError("site", "{fault}", {"fault": fault})
    return text.rstrip(".").removesuffix(".atlassian.net")


_INSTEAD = "write the name alone, such as acme for https://acme.atlassian.net"


def _fault_of(text: str) -> str:
    """Return what is wrong with the name of a site, and the fix behind a semicolon; or nothing."""
    if any(mark in text for mark in ("/", "?", "#")):
        host = "" if text.startswith("ari:") else _host_in(text)
        instead = f"write {host.removesuffix('.atlassian.net')}" if host and not _fault_of(host) else _INSTEAD
        return f"an address, not the name of a site; {instead}"
    host = text.rstrip(".")
    name, dot, _ = host.partition(".")
    faults: tuple[tuple[object, str], ...] = (
        (not text, f"empty; {_INSTEAD}"),
        ("@" in text, f"an e-mail address, which belongs into email; {_INSTEAD}"),
        (_CLOUD_ID.fullmatch(text), f"an id, not the name of a site; {_INSTEAD}: its id is found by itself"),
        (":" in text, f"it holds a port or a colon; {_INSTEAD}"),
        (host in _NO_SITES, f"a host that all customers of Atlassian share, not a site; {_INSTEAD}"),
        (_is_address(host), f"a network address, not a site; {_INSTEAD}"),
        (not _NAME.fullmatch(name), f"it holds what no name of a site can; {_INSTEAD}"),
        (
            dot and not any(host == name + domain for domain in _DOMAINS),
            f"not a host that Atlassian gives a site; write {name} for https://{name}.atlassian.net, or set site_url",
        ),
    )
    return next((fault for holds, fault in faults if holds), "")


def _host_in(text: str) -> str:
    try:
        return urlsplit(text if "://" in text else f"https://{text}").hostname or ""
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


SiteName = Annotated[str, BeforeValidator(_site), Field(min_length=1, max_length=253)]
"""`acme`, or the host of a site in another domain of Atlassian's."""


def _email(value: Any) -> Any:
    if isinstance(value, str) and not re.fullmatch(r"[^\s:@<>\"',;]+@[^\s:@<>\"',;]+", value):
        fault = "write the address of the account whose token it is, such as audit@example.com"
        raise PydanticCustomError("email", "not an e-mail address; {fault}", {"fault": fault})
    return value


class SiteConfig(SourceConfig):
    """Settings of every source that reads the log of a product on a site."""

    CREDENTIALS = ("token",)

    site: SiteName | None = None
    """Name of the site: `acme` for `https://acme.atlassian.net`. It is part of every document id."""
    sites: Annotated[list[SiteName], Field(min_length=1, max_length=500)] | None = None
    """Names of several sites that one token may read, instead of `site`. Each is a source of its own,
    `<source>/<site>`, with cursors, books and state of its own."""
    email: Annotated[str, BeforeValidator(_email), Field(max_length=254)]
    """E-mail address of the account, or of the service account, whose token it is."""
    token: Secret
    """API token of that account, with scopes or without."""
    token_expires_at: Expiry | None = None
    """Last day of the token, such as `2027-01-31`, or the moment of its end, as Atlassian shows it; counted down 30, 7
    and 1 days before in `check`, `doctor`, status, log and metrics."""
    token_expires: Expiry | None = None
    """Another name of `token_expires_at`."""
    token_next: Secret | None = None
    """The token that follows, of the same account: it takes over when the first one is refused or has ended."""
    token_next_expires_at: Expiry | None = None
    """Last day of `token_next`, or the moment of its end."""
    access: Literal["auto", "site", "gateway"] = "auto"
    """Where the token is good: tokens without scopes on the host of the `site`, those with scopes and those of service
    accounts at the `gateway`; `auto` finds it out."""
    api: Literal["records", "workspace_events", "auto"] = "records"
    """Which of the audit APIs to ask: the product's own `records`; the `workspace_events` of the Workspace Events API,
    which is a preview; or with `auto` the latter where the site has it."""
    limit: Annotated[int, Field(ge=1, le=1000)] = 1000
    """Records to ask for at once; at most 200 events of a workspace."""
    gateway: str = "https://api.atlassian.com"
    """Where the API gateway is. A site in a cloud of its own, such as that of a government, needs the gateway of that
    cloud, or `access: site`."""
    site_url: str | None = None
    """Address of the site, with `{site}` for its name, when it is not `https://<site>.atlassian.net`."""
    insecure: bool = False
    """Allow `http://` to another machine; for a laboratory only."""
    tls: TlsConfig = TlsConfig()
    """TLS settings."""
    http: HttpConfig = HttpConfig()
    """HTTP settings."""

    @field_validator("gateway", "site_url")
    @classmethod
    def _no_trailing_slash(cls, value: str | None) -> str | None:
        return None if value is None else value.rstrip("/")

    @model_validator(mode="after")
    def _names_its_sites(self) -> Self:
        if (self.site is None) == (self.sites is None):
            fault = "neither site nor sites is set" if self.site is None else "site and sites are both set"
            raise PydanticCustomError("sites", "{fault}; write one of them", {"fault": fault})
        twice = sorted({site for site in self.sites or () if (self.sites or ()).count(site) > 1})
        if twice:
            raise PydanticCustomError("sites", "{site} is listed twice; remove one", {"site": twice[0]})
        if self.site_url is not None and len(self.sites or ()) > 1 and "{site}" not in self.site_url:
            raise PydanticCustomError(
                "site_url", "site_url is the same for all sites; write {site} where its name belongs"
            )
        return self

    @model_validator(mode="after")
    def _keeps_the_token_in_its_cloud(self) -> Self:
        if self.access == "site" and self.api == "records":  # the gateway is never asked
            return self
        for name, one in self.readers().items():
            if isinstance(one, SiteConfig) and one.gateway_is_of_another_cloud:
                raise PydanticCustomError(
                    "gateway",
                    "{site} is in the cloud of a government, and gateway is that of the commercial one, which would "
                    "get the token; set gateway to that of this cloud, or access: site with api: records",
                    {"site": name or self.site},
                )
        return self

    def readers(self) -> Mapping[str, SourceConfig]:
        """Return the settings of each site by its name; of a single `site` under no name."""
        if self.sites is None:
            return {"": self}
        return {site: self.model_copy(update={"site": site, "sites": None}) for site in self.sites}

    @property
    def host(self) -> str:
        """Return the host that Atlassian gave the one site: what document ids are made of, wherever it is reached."""
        site = self.site or ""
        return site if "." in site else f"{site}.atlassian.net"

    @property
    def gateway_is_of_another_cloud(self) -> bool:
        """Tell whether the one site is in the cloud of a government, and the gateway is that of the commercial one."""
        hosts = (f".{_host_in(url).rstrip('.')}" for url in (f"https://{self.host}", self.address))
        gateway = f".{_host_in(self.gateway).rstrip('.')}"
        return gateway.endswith(".atlassian.com") and any(host.endswith(_GOVERNMENT) for host in hosts)

    @property
    def address(self) -> str:
        """Return where the one site is reached, without a slash at the end."""
        return f"https://{self.host}" if self.site_url is None else self.site_url.replace("{site}", self.site or "")
