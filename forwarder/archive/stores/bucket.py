"""An archive in a bucket: S3 and what speaks its protocol, Google Cloud Storage, Azure. Needs the extra `archive`.

Objects are created on the condition that there is none of their name, in one request, which is all or nothing. Nothing
is tried again here: who asked knows better when, and what has to be compared then.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.error import HTTPError

from forwarder.archive.stores.refusals import NO_BUCKET, refusal
from forwarder.archive.stores.store import AlreadyStored, NotStored, StoredObject
from forwarder.archive.stores.threads import in_thread
from forwarder.contracts.errors import ConfigError, Held, Retryable
from forwarder.contracts.secret_file import expanded

if TYPE_CHECKING:
    from forwarder.archive.stores.s3_history import S3History, Version
    from forwarder.archive.stores.settings import BucketConfig

T = TypeVar("T")

SCHEMES = {"s3": "s3", "gs": "gs", "gcs": "gs", "az": "az", "azure": "az"}
_CONNECT_WITHIN = timedelta(seconds=5)


class BucketStore:
    """A bucket, and a prefix in it.

    Args:
        place: Its URL, for people.
        connect: Returns the client of `obstore`, the same one while the credentials are.
        history: Knows the versions of objects; None for a bucket whose are not asked for.
    """

    def __init__(self, place: str, connect: Callable[[], Any], history: S3History | None = None) -> None:
        self._place = place
        self._connect = connect
        self._history = history

    @property
    def place(self) -> str:
        """The URL of the bucket and the prefix."""
        return self._place

    async def create(self, name: str, data: bytes) -> None:
        """Store an object, unless there is one."""
        try:
            await self._ask(name, lambda client: client.put(name, data, mode="create", use_multipart=False))
        except NotStored:
            raise NO_BUCKET.about(self._place, "404") from None
        except (Retryable, Held):
            # a server that has one may answer and hang up before it has read ours, and the answer is lost; and one that
            # keeps it under a lock may name the lock, and not that it is there
            if await self._has(name):
                raise AlreadyStored(name) from None
            raise

    async def read(self, name: str) -> bytes:
        """Return an object."""
        return await self._ask(name, lambda client: bytes(client.get(name).bytes()))

    async def read_oldest(self, name: str) -> bytes:
        """Return the oldest version of an object, where the bucket keeps versions and lets us list them."""
        versions = await self._versions(name)
        if versions is None:
            return await self.read(name)
        stored = next((each for each in versions if not each.marker), None)
        if stored is None:
            raise NotStored(name)
        options = {"version": stored.id}
        return await self._ask(name, lambda client: bytes(client.get(name, options=options).bytes()))

    async def versions(self, name: str) -> int:
        """Return how many versions there are, marks of a deletion among them; 1 where none are kept."""
        versions = await self._versions(name)
        if versions is not None:
            return len(versions)
        try:
            await self._ask(name, lambda client: client.head(name))
        except NotStored:
            return 0
        return 1

    async def _versions(self, name: str) -> Sequence[Version] | None:
        if self._history is None:
            return None
        try:
            return await self._history.versions(name) if await self._history.is_kept() else None
        except HTTPError as error:
            code = error.read(10_000).decode("utf-8", "replace")
            raise refusal(ConnectionError(f"status code: {error.code} {code}"), self._place, name) from None
        except (OSError, HTTPException) as error:
            raise refusal(error, self._place, name) from None

    async def list(self, prefix: str) -> Sequence[StoredObject]:
        """Return the objects below a prefix."""

        def collect(client: Any) -> Sequence[StoredObject]:
            return [StoredObject(each["path"], each["size"]) for chunk in client.list(prefix or None) for each in chunk]

        return sorted(await self._ask(prefix, collect))

    async def folders(self, prefix: str) -> Sequence[str]:
        """Return what lies below a prefix, one level deep."""
        found = await self._ask(prefix, lambda client: client.list_with_delimiter(prefix or None))
        return sorted(f"{each}/" for each in found["common_prefixes"])

    async def delete(self, name: str) -> None:
        """Delete an object; in a versioned bucket that hides it."""
        try:
            await self._ask(name, lambda client: client.delete(name))
        except NotStored:
            return

    async def room(self) -> str:
        """Say that the bucket answers; whether it may be written to is seen when it is."""
        await self.folders("")
        return "read"

    async def close(self) -> None:
        """Do nothing: connections end with the client."""

    async def _has(self, name: str) -> bool:
        with suppress(Retryable, Held, NotStored):
            await self._ask(name, lambda client: client.head(name))
            return True
        return False

    async def _ask(self, name: str, ask: Callable[[Any], T]) -> T:
        client = self._connect()
        from obstore.exceptions import AlreadyExistsError, BaseError  # noqa: PLC0415 -- an extra

        try:
            return await in_thread(lambda: ask(client))
        except AlreadyExistsError:
            raise AlreadyStored(name) from None
        except (BaseError, OSError) as error:
            raise refusal(error, self._place, name) from None


def connector(kind: str, bucket: str, prefix: str, config: BucketConfig) -> Callable[[], Any]:
    """Return what gives a client of `obstore` with the credentials as they are now.

    Raises (when it is called) Held for a missing extra, and AuthFailed for a credential that cannot be read.
    """
    made: dict[str, Any] = {}

    def connect() -> Any:
        try:
            from obstore import store  # noqa: PLC0415 -- an extra
        except ImportError:
            raise Held(
                "An archive in a bucket needs the extra archive.",
                fix="Install it: pip install 'audit-forwarder[archive]'.",
                kind="setup_missing",
            ) from None
        settings = {"s3": _s3, "gs": _gcs, "az": _azure}[kind](config)
        if made.get("settings") != settings:
            of_kind = {"s3": store.S3Store, "gs": store.GCSStore, "az": store.AzureStore}[kind]
            try:
                client = of_kind(
                    bucket,
                    prefix=prefix or None,
                    config=settings,
                    client_options=_client(config),
                    retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=config.timeout)},
                )
            except Exception as error:  # noqa: BLE001 -- of a library; its words may hold the secret
                fix = (
                    "Check the settings of the bucket: az:// needs account, account_key is base64 and sas_token begins "
                    "with sv=; service_account_key is the JSON as it was downloaded."
                )
                raise Held(f"The bucket {bucket} cannot be used: {type(error).__name__}.", fix=fix) from None
            made.update(settings=settings, client=client)
        return made["client"]

    return connect


def _client(config: BucketConfig) -> dict[str, Any]:
    options: dict[str, Any] = {
        "timeout": timedelta(seconds=config.timeout),
        "connect_timeout": _CONNECT_WITHIN,
        "allow_http": config.endpoint is not None and config.endpoint.startswith("http://"),
    }
    if config.ca_file is not None:
        try:
            options["root_certificate"] = expanded(config.ca_file).read_bytes()
        except OSError as error:
            fix = "Let the forwarder's user read it."
            raise Held(f"ca_file cannot be read: {error.strerror}.", fix=fix, kind="setup_missing") from None
    return options


def _s3(config: BucketConfig) -> dict[str, Any]:
    found: dict[str, Any] = {
        "checksum_algorithm": "SHA256",  # which a bucket with a default retention asks for
        "virtual_hosted_style_request": not config.path_style,
        "region": region_of(config),
    }
    if config.endpoint is not None:
        found["endpoint"] = config.endpoint.rstrip("/")
    if config.access_key_id is not None and config.secret_access_key is not None:
        found["access_key_id"] = config.access_key_id
        found["secret_access_key"] = config.secret_access_key.present("secret_access_key")
    if config.session_token is not None:
        found["session_token"] = config.session_token.present("session_token")
    if config.kms_key is not None:
        found |= {"server_side_encryption": "aws:kms", "sse_kms_key_id": config.kms_key, "sse_bucket_key_enabled": True}
    return found


def region_of(config: BucketConfig) -> str:
    """Return the region of an S3 bucket."""
    return config.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def _gcs(config: BucketConfig) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if config.endpoint is not None:
        found["base_url"] = config.endpoint.rstrip("/")
    if config.service_account_key is not None:
        found["service_account_key"] = config.service_account_key.present("service_account_key")
    return found


def _azure(config: BucketConfig) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if config.endpoint is not None:
        found["endpoint"] = config.endpoint.rstrip("/")
    if config.account is not None:
        found["account_name"] = config.account
    if config.account_key is not None:
        found["account_key"] = config.account_key.present("account_key")
    if config.sas_token is not None:
        found["sas_token"] = config.sas_token.present("sas_token")
    return found


def parts_of(url: str) -> tuple[str, str, str]:
    """Return kind, bucket and prefix of a URL such as `s3://bucket/prefix`. Raises ConfigError."""
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme not in SCHEMES or not bucket or any(part in {".", ".."} for part in prefix.split("/")):
        known = ", ".join(f"{each}://" for each in ("s3", "gs", "az"))
        raise ConfigError(f"{url:.100} is not the URL of a bucket; write {known} with a bucket and perhaps a prefix")
    return SCHEMES[scheme], bucket, prefix.strip("/")
