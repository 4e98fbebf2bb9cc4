"""Versions of objects in an S3 bucket, which the library does not list: two questions, signed by ourselves.

In a versioned bucket, and so in every one with object lock, whoever writes an object again makes a newer version, and
the first one stays. What was stored is the oldest version, whatever lies on it.
"""

from __future__ import annotations

import hashlib
import hmac
import html
import os
import re
import ssl
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from forwarder.archive.stores.threads import in_thread
from forwarder.contracts.secret_file import expanded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwarder.archive.stores.settings import BucketConfig

_ENTRY = re.compile(r"<(Version|DeleteMarker)>(.*?)</\1>", re.DOTALL)
_LONGEST = 16 * 2**20
_SAFE = "-_.~"


class Version(NamedTuple):
    """One version of an object, or (`marker`) the mark that it was deleted."""

    at: str
    id: str
    marker: bool


class Credentials(NamedTuple):
    """A key of S3; `token` is empty for one that lasts."""

    id: str
    secret: str
    token: str = ""

    @classmethod
    def of(cls, config: BucketConfig) -> Credentials | None:
        """Return those of the settings or the environment; a role's are known to the library alone."""
        if config.access_key_id is not None and config.secret_access_key is not None:
            token = config.session_token.present("session_token") if config.session_token is not None else ""
            return cls(config.access_key_id, config.secret_access_key.present("secret_access_key"), token)
        found = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
        return cls(found[0], found[1], os.environ.get("AWS_SESSION_TOKEN", "")) if found[0] and found[1] else None


class S3History:
    """What a bucket remembers.

    Args:
        config: How it is reached.
        bucket: Its name.
        prefix: What stands before every name.
        region: Where it is.
    """

    def __init__(self, config: BucketConfig, bucket: str, prefix: str, region: str) -> None:
        self._config = config
        self._prefix = f"{prefix}/" if prefix else ""
        self._region = region
        endpoint = config.endpoint or f"https://s3.{region}.amazonaws.com"
        parts = urlsplit(endpoint)
        self._url = f"{parts.scheme}://{parts.netloc}/{bucket}"
        if not config.path_style:  # an endpoint of one's own names the bucket already
            self._url = endpoint.rstrip("/") if config.endpoint else f"https://{bucket}.s3.{region}.amazonaws.com"
        self._versioned: bool | None = None

    async def is_kept(self) -> bool:
        """Tell whether the bucket keeps versions, as far as it says so to us."""
        if self._versioned is None:
            credentials = Credentials.of(self._config)
            try:
                said = await self._ask(credentials, {"versioning": ""}) if credentials is not None else ""
            except HTTPError as error:
                if error.code not in {403, 501}:
                    raise
                said = ""
            self._versioned = "<Status>" in said  # also one whose versioning is suspended has kept what there was
        return self._versioned

    async def versions(self, name: str) -> Sequence[Version]:
        """Return the versions of an object, oldest first. Raises HTTPError, OSError and HTTPException."""
        key, credentials = self._prefix + name, Credentials.of(self._config)
        found: list[Version] = []
        after: dict[str, str] = {}
        while credentials is not None:
            query = {"versions": "", "prefix": key, "encoding-type": "url", "max-keys": "1000", **after}
            page = await self._ask(credentials, query)
            for kind, entry in _ENTRY.findall(page):
                if unquote(_member(entry, "Key")) == key:
                    marker = kind == "DeleteMarker"
                    found.append(Version(_member(entry, "LastModified"), _member(entry, "VersionId"), marker))
            after = {
                "key-marker": unquote(_member(page, "NextKeyMarker")),
                "version-id-marker": _member(page, "NextVersionIdMarker"),
            }
            if _member(page, "IsTruncated") != "true" or after["key-marker"] != key:
                break
        found.reverse()  # the newest is listed first, and of one moment too
        return sorted(found, key=lambda version: version.at)

    async def _ask(self, credentials: Credentials, query: dict[str, str]) -> str:
        return await in_thread(lambda: self._get(credentials, query))

    def _get(self, credentials: Credentials, query: dict[str, str]) -> str:
        url = f"{self._url}{'' if urlsplit(self._url).path else '/'}?{encoded(query)}"
        context = ssl.create_default_context()
        if self._config.ca_file is not None:
            context.load_verify_locations(expanded(self._config.ca_file))
        request = Request(url, headers=signed("GET", url, credentials, self._region))  # noqa: S310 -- a checked URL
        with build_opener(HTTPSHandler(context=context), _NoRedirects()).open(
            request, timeout=self._config.timeout
        ) as answer:
            return str(answer.read(_LONGEST).decode("utf-8", "replace"))


class _NoRedirects(HTTPRedirectHandler):
    """What is signed for one host is sent to no other."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none: its status is the answer."""


def encoded(query: dict[str, str]) -> str:
    """Return a query as it is signed: sorted, and quoted in the one way."""
    return "&".join(f"{quote(name, safe=_SAFE)}={quote(value, safe=_SAFE)}" for name, value in sorted(query.items()))


def signed(
    method: str,
    url: str,
    credentials: Credentials,
    region: str,
    *,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> dict[str, str]:
    """Return the headers of a request with its signature (AWS Signature Version 4).

    Args:
        method: Of HTTP.
        url: With its query, as `encoded` gives it.
        credentials: Sign.
        region: Where the bucket is.
        body: What is sent.
        headers: Others to send.
    """
    parts = urlsplit(url)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    digest = hashlib.sha256(body).hexdigest()
    sent = {"host": parts.netloc, "x-amz-content-sha256": digest, "x-amz-date": stamp, **(headers or {})}
    if credentials.token:
        sent["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(sent))
    lines = "".join(f"{name}:{sent[name]}\n" for name in sorted(sent))
    canonical = f"{method}\n{parts.path or '/'}\n{parts.query}\n{lines}\n{names}\n{digest}"
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    who = f"AWS4-HMAC-SHA256 Credential={credentials.id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**sent, "authorization": who}


def _member(entry: str, name: str) -> str:
    found = re.search(rf"<{name}>(.*?)</{name}>", entry, re.DOTALL)
    return html.unescape(found[1]) if found else ""
