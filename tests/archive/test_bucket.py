"""A bucket, by the store in memory that the library has; errors by the words it was seen to use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from obstore.exceptions import GenericError, InvalidPathError, PermissionDeniedError
from obstore.store import MemoryStore
from pydantic import ValidationError

from forwarder.archive.stores import AlreadyStored, NotStored, StoredObject, open_store
from forwarder.archive.stores.bucket import BucketStore, connector
from forwarder.archive.stores.local import LocalStore
from forwarder.archive.stores.refusals import refusal
from forwarder.archive.stores.settings import BucketConfig
from forwarder.contracts import AuthFailed, ConfigError, Held, Retryable

NAME = "evidence/v1/source=%28x%29/day=2026-11-29/hour=13/x.ndjson.zst"


@pytest.fixture
def store() -> BucketStore:
    memory = MemoryStore()
    return BucketStore("s3://archive/prefix", lambda: memory)


async def test_an_object_is_stored_once(store: BucketStore) -> None:
    await store.create(NAME, b"first")
    with pytest.raises(AlreadyStored):
        await store.create(NAME, b"second")
    assert await store.read(NAME) == await store.read_oldest(NAME) == b"first"
    assert (await store.versions(NAME), await store.versions("none")) == (1, 0)
    with pytest.raises(NotStored):
        await store.read("none")


async def test_listings(store: BucketStore) -> None:
    for name in ("b/2", "b/1", "a/x/1", "hold", NAME):
        await store.create(name, name.encode())
    assert [each.name for each in await store.list("")] == ["a/x/1", "b/1", "b/2", NAME, "hold"]
    assert await store.list("b/") == [StoredObject("b/1", 3), StoredObject("b/2", 3)]
    assert await store.folders("") == ["a/", "b/", "evidence/"]
    assert await store.folders("evidence/v1/") == ["evidence/v1/source=%28x%29/"]
    assert await store.list("none/") == await store.folders("none/") == []
    await store.delete("b/1")
    await store.delete("b/1")
    assert await store.list("b/") == [StoredObject("b/2", 3)]
    assert await store.room() == "read"
    await store.close()


def _answered(status: int, code: str = "") -> str:
    body = f"<Error><Code>{code}</Code><AWSAccessKeyId>AKIA-S3CR3T</AWSAccessKeyId></Error>" if code else ""
    return f"Generic S3 error: Error performing PUT https://x/y in 1ms - Server returned non-2xx status code: {status} X: {body}"


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (FileNotFoundError(_answered(404, "NoSuchBucket")), Held, "Create it"),
        (FileNotFoundError(_answered(404, "ContainerNotFound")), Held, "Create it"),
        (FileNotFoundError(_answered(404, "NoSuchKey")), NotStored, "name"),
        (FileNotFoundError("not found"), NotStored, "name"),
        (FileNotFoundError(_answered(404, "XAdminUserNotFound")), AuthFailed, "credentials"),
        (PermissionDeniedError(_answered(403, "InvalidAccessKeyId")), AuthFailed, "credentials"),
        (PermissionDeniedError(_answered(403, "SignatureDoesNotMatch")), AuthFailed, "credentials"),
        (GenericError(_answered(400, "ExpiredToken")), AuthFailed, "session_token_file"),
        (PermissionDeniedError(_answered(403, "AccessDenied")), Held, "list, read and create"),
        (PermissionDeniedError(_answered(403, "RequestTimeTooSkewed")), Held, "clock"),
        (GenericError(_answered(301, "PermanentRedirect")), Held, "region"),
        (GenericError(_answered(400, "KMS.NotFoundException")), Held, "kms_key"),
        (GenericError(_answered(400, "InvalidRequest")), Held, "InvalidRequest"),
        (GenericError(_answered(501, "NotImplemented")), Held, "If-None-Match"),
        (GenericError(_answered(507)), Held, "quota"),
        (GenericError(_answered(503, "SlowDown")), Retryable, "busy"),
        (GenericError(_answered(500, "InternalError")), Retryable, "failed"),
        (GenericError(_answered(409, "ConditionalRequestConflict")), Retryable, "failed"),
        (GenericError('x status code: 401 X: {"error":{"code":"x"}}'), AuthFailed, "credentials"),
        (GenericError("HTTP error ... dns error"), Retryable, "DNS"),
        (GenericError("HTTP error ... Connection refused"), Retryable, "nothing listens"),
        (GenericError("HTTP error ... kind: Timeout"), Retryable, "in time"),
        (GenericError("HTTP error ... invalid peer certificate: UnknownIssuer"), Held, "ca_file"),
        (GenericError("Error performing GET http://169.254.169.254/latest/meta-data (metadata)"), AuthFailed, "none"),
        (InvalidPathError('Path "a//b" contained empty path segment'), Held, "Remove"),
        (GenericError("something else"), Retryable, "cannot be reached"),
    ],
)
def test_an_error_says_what_to_do_and_no_secret(error: Exception, kind: type[Exception], words: str) -> None:
    found = refusal(error, "s3://archive", "name")
    assert type(found) is kind
    shown = f"{found} {getattr(found, 'fix', '')}"
    assert words in shown
    assert "S3CR3T" not in shown
    if isinstance(found, Held | Retryable):
        assert found.fix
    if isinstance(found, Retryable):
        assert found.sent
        assert not found.suspect


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("s3://bucket/pre/fix", "s3://bucket/pre/fix"),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/prefix/", "s3://bucket/prefix"),
        ("gcs://bucket/x", "gs://bucket/x"),
        ("azure://container/x", "az://container/x"),
    ],
)
def test_places(place: str, shown: str) -> None:
    assert open_store(place).place == shown


def test_a_path_is_a_folder(tmp_path: Path) -> None:
    assert isinstance(open_store(str(tmp_path)), LocalStore)


@pytest.mark.parametrize("place", ["ftp://x/y", "s3://", "s3:///x", "s3://bucket/../x", "https://bucket/x"])
def test_what_is_no_place(place: str) -> None:
    with pytest.raises(ConfigError, match="s3://"):
        open_store(place)


@pytest.mark.parametrize(
    ("place", "settings"),
    [
        ("gs://b", {"kms_key": "k"}),
        ("s3://b", {"account": "a"}),
        ("az://b", {"region": "r"}),
        ("gs://b", {"endpoint": "https://x.example"}),
    ],
)
def test_settings_of_another_kind_are_refused(place: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="leave it out"):
        open_store(place, BucketConfig(**settings))


@pytest.mark.parametrize(
    "settings",
    [
        {"access_key_id": "a"},
        {"secret_access_key": "a"},
        {"session_token": "a"},
        {"account_key": "a", "sas_token": "b"},
        {"endpoint": "http://s3.example.com"},
        {"endpoint": "s3.example.com"},
        {"endpoint": "https://user:secret@s3.example.com"},
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        BucketConfig(**settings)
    assert "user:secret" not in str(refused.value)


def test_a_client_is_kept_until_the_credentials_change(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("first")
    config = BucketConfig(access_key_id="a", secret_access_key_file=str(secret), endpoint="http://127.0.0.1:1")  # type: ignore[call-arg]
    connect = connector("s3", "bucket", "prefix", config)
    client = connect()
    assert connect() is client
    secret.write_text("the second one")
    assert connect() is not client
    secret.unlink()
    with pytest.raises(AuthFailed, match="secret_access_key_file"):
        connect()


async def test_nothing_listens() -> None:
    store = open_store(
        "s3://bucket/x", BucketConfig(endpoint="http://127.0.0.1:1", access_key_id="a", secret_access_key="b")
    )  # type: ignore[arg-type]
    with pytest.raises(Retryable, match="nothing listens"):
        await store.create("a", b"x")
    with pytest.raises(Retryable, match="nothing listens"):
        await store.list("")
