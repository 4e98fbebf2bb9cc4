"""A bucket, by the store in memory that the library has; errors by the words it was seen to use."""

from __future__ import annotations

import json
import os
import threading
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from obstore.exceptions import GenericError, InvalidPathError, PermissionDeniedError, UnauthenticatedError
from obstore.store import MemoryStore
from pydantic import ValidationError

from forwarder.archive.stores import AlreadyStored, NotStored, StoredObject, open_store
from forwarder.archive.stores.bucket import BucketStore, connector
from forwarder.archive.stores.local import LocalStore
from forwarder.archive.stores.refusals import refusal
from forwarder.archive.stores.settings import BucketConfig
from forwarder.contracts import AuthFailed, ConfigError, Held, Retryable
from tests.servers.gcs import service_account

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


AZURE_REFUSES = "<Message>Server failed to authenticate the request. Make sure the value of …</Message>"
SAS_IS_OLD = f"{AZURE_REFUSES}<AuthenticationErrorDetail>Signature not valid in the specified time frame: Start [Mon, 30 Nov 2026 …"


def _answered(status: int, code: str = "", more: str = "") -> str:
    body = f"<Error><Code>{code}</Code>{more}<AWSAccessKeyId>AKIA-S3CR3T</AWSAccessKeyId></Error>" if code else ""
    return f"Generic S3 error: Error performing PUT https://x/y in 1ms - Server returned non-2xx status code: {status} X: {body}"


def _token_answered(status: int) -> str:
    """Return what the library says when the machine has no identity: the status is of its metadata server."""
    url = "http://169.254.169.254/metadata/identity/oauth2/token"
    return f"Generic MicrosoftAzure error: Error performing token request: Error performing GET {url} - Server returned non-2xx status code: {status} X: "


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (FileNotFoundError(_answered(404, "NoSuchBucket")), Held, "Create it"),
        (FileNotFoundError(_answered(404, "ContainerNotFound")), Held, "Create it"),
        (FileNotFoundError(_answered(404, "ResourceNotFound")), Held, "account"),
        (FileNotFoundError(_answered(404, "NoSuchKey")), NotStored, "name"),
        (FileNotFoundError("not found"), NotStored, "name"),
        (FileNotFoundError(_answered(404, "XAdminUserNotFound")), AuthFailed, "credentials"),
        (PermissionDeniedError(_answered(403, "InvalidAccessKeyId")), AuthFailed, "credentials"),
        (PermissionDeniedError(_answered(403, "SignatureDoesNotMatch")), AuthFailed, "credentials"),
        (PermissionDeniedError(_answered(403, "AuthenticationFailed", SAS_IS_OLD)), AuthFailed, "sas_token_file"),
        (PermissionDeniedError(_answered(403, "AuthenticationFailed", AZURE_REFUSES)), AuthFailed, "credentials"),
        (PermissionDeniedError(_answered(403, "AuthorizationFailure", AZURE_REFUSES)), AuthFailed, "credentials"),
        (PermissionDeniedError(_answered(403, "AuthorizationFailure")), Held, "list, read and create"),  # a firewall
        (PermissionDeniedError(_answered(403, "AuthorizationPermissionMismatch")), Held, "list, read and create"),
        (UnauthenticatedError(_answered(401, "AuthenticationRequired")), AuthFailed, "credentials"),
        (PermissionDeniedError(_answered(403, "InvalidSecurity")), AuthFailed, "credentials"),
        (PermissionDeniedError(_answered(403, "RetentionPolicyNotMet")), Held, "retain_months"),
        (GenericError(_answered(409, "BlobImmutableDueToPolicy")), Held, "retain_months"),
        (GenericError(_token_answered(404)), AuthFailed, "there are none"),
        (GenericError(_token_answered(403)), AuthFailed, "there are none"),
        (GenericError(_token_answered(503)), Retryable, "busy"),
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
        ("gs://b", {"path_style": True}),
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


# ---------------------------------------------------------------------------------------------------- on the wire


@dataclass
class Seen:
    """A server that answers each request alike, and keeps what it was asked."""

    status: int = 200
    port: int = 0
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def seen() -> Iterator[Seen]:
    found = Seen()

    class Handler(BaseHTTPRequestHandler):
        def _keep(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.requests.append((self.command, self.path, headers, body))
            self.send_response(found.status)
            self.send_header("etag", '"1"')
            self.send_header("content-length", "0")
            self.end_headers()

        do_GET = do_HEAD = do_PUT = _keep  # noqa: N815 -- names of the library

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        yield found
        server.shutdown()


def reached(seen: Seen, **settings: Any) -> BucketConfig:
    return BucketConfig(endpoint=f"http://127.0.0.1:{seen.port}/", timeout=5, **settings)


S3_KEYS = {"access_key_id": "a", "secret_access_key": "b", "path_style": True}


async def test_an_object_for_s3_comes_once_with_its_checksum_and_the_kms_key(seen: Seen) -> None:
    key = "arn:aws:kms:eu-central-1:111122223333:key/made-up"
    await open_store("s3://bucket/x", reached(seen, **S3_KEYS, kms_key=key)).create("a", b"data")
    [(method, path, headers, body)] = seen.requests
    assert (method, path, body) == ("PUT", "/bucket/x/a", b"data")
    assert headers["if-none-match"] == "*"
    assert headers["x-amz-server-side-encryption"] == "aws:kms"
    assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == key
    assert headers["x-amz-server-side-encryption-bucket-key-enabled"] == "true"
    assert headers["x-amz-checksum-sha256"] == b64encode(sha256(b"data").digest()).decode()
    assert "x-amz-server-side-encryption" in headers["authorization"], "it is signed"


async def test_without_a_kms_key_the_bucket_decides(seen: Seen) -> None:
    await open_store("s3://bucket/x", reached(seen, **S3_KEYS)).create("a", b"data")
    assert not [name for name in seen.requests[0][2] if "encryption" in name]


async def test_an_object_for_gcs_comes_on_the_condition_that_there_is_none_signed_with_the_key_as_downloaded(
    seen: Seen, tmp_path: Path
) -> None:
    key = tmp_path / "key.json"
    key.write_text(service_account())
    await open_store("gs://bucket/x", reached(seen, service_account_key_file=str(key))).create("a", b"data")
    [(method, path, headers, body)] = seen.requests
    assert (method, unquote(path), body) == ("PUT", "/bucket/x/a", b"data")
    assert headers["x-goog-if-generation-match"] == "0"
    claims = headers["authorization"].removeprefix("Bearer ").split(".")[1]
    assert json.loads(urlsafe_b64decode(claims + "=="))["iss"] == "made-up@example.com"


async def test_an_object_for_azure_comes_on_the_condition_that_there_is_none(seen: Seen) -> None:
    await open_store("az://box/x", reached(seen, account="acme", account_key=b64encode(b"k" * 32).decode())).create(
        "a", b"data"
    )
    [(method, path, headers, body)] = seen.requests
    assert (method, path, body) == ("PUT", "/box/x/a", b"data")
    assert headers["if-none-match"] == "*"
    assert headers["x-ms-blob-type"] == "BlockBlob"


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
async def test_where_nothing_can_be_created_the_bucket_is_not_there(seen: Seen, scheme: str) -> None:
    seen.status = 404
    settings = {
        "s3": S3_KEYS,
        "gs": {"service_account_key": service_account()},
        "az": {"account": "a", "sas_token": "sig=x"},
    }
    with pytest.raises(Held, match="Create it"):
        await open_store(f"{scheme}://bucket/x", reached(seen, **settings[scheme])).create("a", b"data")


@pytest.mark.parametrize(
    ("place", "settings", "fix"),
    [
        ("gs://bucket", {"service_account_key": "no JSON, but a s3cr3t"}, "service_account_key"),
        (
            "gs://bucket",
            {"service_account_key": '{"type": "authorized_user", "refresh_token": "s3cr3t"}'},
            "service_account_key",
        ),
        ("az://box", {"account_key": "czNjcjN0"}, "needs account"),
        ("az://box", {"account": "acme", "account_key": "a s3cr3t, not in base64"}, "base64"),
        ("az://box", {"account": "acme", "sas_token": "s3cr3t"}, "sas_token"),
    ],
)
async def test_credentials_of_another_form_say_what_they_look_like(
    place: str, settings: dict[str, Any], fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith(("AZURE_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    with pytest.raises(Held) as raised:
        await open_store(place, BucketConfig(**settings)).list("")
    assert fix in raised.value.fix
    assert "s3cr3t" not in str(raised.value)
