"""What is known to be wrong with sources of sites before anybody is asked: examples, hosts, days that have passed.

Their settings have `site` or `sites`, `email`, `token` and the addresses of both hosts; others are left alone.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from forwarder.config.problems import Problem
from forwarder.contracts.credentials import countdown, stage_of, what_to_do

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.config.settings import Settings

_FILL_IN = "it is an example", "put your own value in its place"
_EXAMPLE_SITE = re.compile(r"your[-a-z0-9]*|(?:example|sample|placeholder|site-?name|replace-?me|change-?me|x{3,})")
_EXAMPLE_EMAIL = re.compile(
    r"(?:you|your|youremail|yourname|your[-_.][\w.-]+)@.*|[^@]+@(?:your[-_.]?\w*|company|domain)\.[a-z.]+",
    re.IGNORECASE,
)
_OF_EXAMPLES = re.compile(r"@(?:.*\.)?(?:example(?:\.(?:com|org|net|edu))?|invalid|test)$", re.IGNORECASE)
_SERVICE_ACCOUNT = "@serviceaccount.atlassian.com"
_WHOSE_PATH = re.compile(r"/(?:rest|wiki|jira|ex|browse)(?:/|$)")


def example_sites(settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each site and e-mail address that was left as somebody's example."""
    for name, config in _of_sites(settings):
        sites = {f"sites.{number}": site for number, site in enumerate(config.sites or ())} or {"site": config.site}
        for key, site in sites.items():
            if _EXAMPLE_SITE.fullmatch(site or ""):
                yield Problem(f"sources.{name}.{key}", *_FILL_IN)
        if _EXAMPLE_EMAIL.fullmatch(config.email):
            yield Problem(f"sources.{name}.email", *_FILL_IN)


def odd_sites(settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each setting of a site that is probably not meant."""
    for name, config in _of_sites(settings):
        path = f"sources.{name}"
        if config.site_url is None and _OF_EXAMPLES.search(config.email):
            yield Problem(f"{path}.email", "an address of examples, which no account has", "write that of the account")
        if config.access == "site" and config.email.lower().endswith(_SERVICE_ACCOUNT):
            what = "tokens of a service account have scopes, and are good at the gateway only"
            yield Problem(f"{path}.access", what, "write gateway, or leave it out")
        if config.api != "records":
            what = "the Workspace Events API is a preview: this program has not called it yet"
            yield Problem(f"{path}.api", what, "see that what your site records comes whole, or write records")
        host = urlsplit(config.gateway).hostname or ""
        if host.endswith((".atlassian.net", ".jira.com")) or host.startswith(("admin.", "id.", "home.")):
            yield Problem(f"{path}.gateway", f"{host} is not the API gateway", "leave it out; it is api.atlassian.com")
        elif host.startswith("api.") and urlsplit(config.gateway).path.strip("/"):
            yield Problem(f"{path}.gateway", "the source itself writes the path", "leave out the path")
        if config.site_url and _WHOSE_PATH.search(urlsplit(config.site_url).path):
            yield Problem(f"{path}.site_url", "the source itself writes the path", "leave out the path")


def expiring(settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each credential whose end has come near, or is past, by the setting that names it."""
    now = time.time()
    for name, config in settings.sources.items():
        last = config.credentials[-1].setting if config.credentials else ""
        for each in config.credentials:
            if each.ends is not None and stage_of(each.ends, now) is not None:
                what = f"the {countdown(each.setting, each.ends, now)}"
                follower = last if last != each.setting else ""
                yield Problem(f"sources.{name}.{each.ends_setting}", what, what_to_do(each.setting, follower))


def _of_sites(settings: Settings) -> Iterator[tuple[str, Any]]:
    wanted = {"site", "sites", "email", "token", "gateway", "site_url", "access", "api"}
    for name, config in settings.sources.items():
        if wanted <= set(type(config).model_fields):
            yield name, config
