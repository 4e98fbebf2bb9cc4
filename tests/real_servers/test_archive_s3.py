"""The archive in a bucket of a real S3 server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import random
import uuid
from collections import Counter
from pathlib import Path
from typing import Any, Self

import pytest

from forwarder.archive.evidence import Evidence, header_of
from forwarder.archive.stores import AlreadyStored, NotStored, Store, StoredObject, open_store
from forwarder.archive.verify import verify
from forwarder.contracts import AuthFailed, Held, Retryable
from forwarder.testing.far_end import event_id
from tests.servers.s3 import ACCESS_KEY, SECRET_KEY, S3Server
from tests.sinks.archive.test_kill import EVENTS, lead_lives

NAME = "evidence/v1/source=%28x%29/day=2026-11-29/hour=13/x.ndjson.zst"


@pytest.fixture
def bucket(s3: S3Server) -> str:
    name = f"b{uuid.uuid4().hex[:12]}"
    s3.make_bucket(name)
    return name


@pytest.fixture
def store(s3: S3Server, bucket: str) -> Store:
    return open_store(f"s3://{bucket}/pre/fix", s3.bucket())


async def test_an_object_is_stored_once(store: Store) -> None:
    await store.create(NAME, b"first")
    with pytest.raises(AlreadyStored):
        await store.create(NAME, b"second")
    assert await store.read(NAME) == await store.read_oldest(NAME) == b"first"
    with pytest.raises(NotStored):
        await store.read("none")
    assert (await store.versions(NAME), await store.versions("none")) == (1, 0)


async def test_listings_of_more_than_a_page(store: Store) -> None:
    names = [f"a/{number % 3}/{number:05}" for number in range(1100)]
    for name in names:
        await store.create(name, b"x")
    assert await store.list("a/") == [StoredObject(name, 1) for name in sorted(names)]
    assert await store.folders("a/") == ["a/0/", "a/1/", "a/2/"]
    assert await store.folders("") == ["a/"]
    await store.delete("a/0/00000")
    await store.delete("a/0/00000")
    assert len(await store.list("a/0/")) == 366


async def test_an_object_of_many_megabytes_is_one_request(store: Store) -> None:
    data = random.Random(1).randbytes(20_000_000)
    await store.create("large", data)
    with pytest.raises(AlreadyStored):
        await store.create("large", data)
    assert await store.read("large") == data


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"access_key_id": "unknown"}, AuthFailed, "credentials"),
        ({"secret_access_key": "a-wrong-s3cr3t"}, AuthFailed, "credentials"),
        ({"session_token": "an-old-s3cr3t"}, AuthFailed, "session_token_file"),
        ({"endpoint": "http://127.0.0.1:1"}, Retryable, "nothing listens"),
    ],
)
async def test_what_is_wrong_is_named_with_its_fix(
    s3: S3Server, bucket: str, settings: dict[str, Any], kind: type[Exception], words: str
) -> None:
    store = open_store(f"s3://{bucket}/x", s3.bucket(**settings))
    for ask in (store.create("a", b"x"), store.read("a"), store.list(""), store.folders("")):
        with pytest.raises(kind) as raised:
            await ask
        shown = f"{raised.value} {getattr(raised.value, 'fix', '')}"
        assert words in shown
        assert "s3cr3t" not in shown


async def test_a_bucket_that_is_not_there(s3: S3Server) -> None:
    store = open_store("s3://nobody-made-it/x", s3.bucket())
    for ask in (store.create("a", b"x"), store.read("a"), store.list(""), store.folders("")):
        with pytest.raises(Held, match="Create it"):
            await ask


async def test_a_secret_that_is_replaced_is_read_again(s3: S3Server, bucket: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("an-old-one")
    given = {"secret_access_key": None, "secret_access_key_file": str(secret)}
    store = open_store(f"s3://{bucket}/x", s3.bucket(**given))
    with pytest.raises(AuthFailed):
        await store.create("a", b"x")
    secret.write_text(s3.bucket().secret_access_key.reveal())  # type: ignore[union-attr]
    await store.create("a", b"x")


async def test_a_server_that_was_away_is_found_again(s3: S3Server, store: Store) -> None:
    await store.create("a", b"x")
    s3.stop()
    with pytest.raises(Retryable):
        await store.create("b", b"x")
    s3.start()
    await store.create("b", b"x")
    assert [each.name for each in await store.list("")] == ["a", "b"]


# ------------------------------------------------------------------------------------------ versions and locks


async def test_in_a_bucket_with_locks_what_was_stored_first_is_what_is_read(s3: S3Server) -> None:
    name = f"locked{uuid.uuid4().hex[:12]}"
    s3.make_locked_bucket(name, days=1)
    store = open_store(f"s3://{name}/x", s3.bucket())
    await store.create("a/1.json", b"first")
    await store.create("a/1.json.sig", b"signature")
    with pytest.raises(AlreadyStored):
        await store.create("a/1.json", b"second")
    assert await store.versions("a/1.json") == 1
    for number in range(3):  # which a bucket with locks allows: it makes newer versions
        s3.ask("PUT", f"{name}/x/a/1.json", body=b"forged %d" % number, headers=checksum(b"forged %d" % number))
    assert await store.read("a/1.json") == b"forged 2"
    assert await store.read_oldest("a/1.json") == b"first"
    assert await store.versions("a/1.json") == 4
    await store.delete("a/1.json")
    with pytest.raises(NotStored):
        await store.read("a/1.json")
    assert await store.read_oldest("a/1.json") == b"first"
    assert await store.versions("a/1.json") == 5
    assert await store.read_oldest("a/1.json.sig") == b"signature"
    with pytest.raises(NotStored):
        await store.read_oldest("a/none")
    assert await store.versions("a/none") == 0


async def test_more_versions_than_one_answer_lists(s3: S3Server) -> None:
    name = f"locked{uuid.uuid4().hex[:12]}"
    s3.make_locked_bucket(name)
    store = open_store(f"s3://{name}", s3.bucket())
    await store.create("a", b"first")
    for _ in range(1005):
        s3.ask("PUT", f"{name}/a", body=b"forged", headers=checksum(b"forged"))
    assert await store.versions("a") == 1006
    assert await store.read_oldest("a") == b"first"


async def test_credentials_from_the_environment(s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", ACCESS_KEY), ("SECRET_ACCESS_KEY", SECRET_KEY)):
        monkeypatch.setenv(f"AWS_{name}", value)
    store = open_store(f"s3://{bucket}/x", s3.bucket(access_key_id=None, secret_access_key=None))
    await store.create("a", b"x")
    assert await store.read_oldest("a") == b"x"


def checksum(body: bytes) -> dict[str, str]:
    return {"x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(body).digest()).decode()}


@pytest.mark.parametrize("seed", range(3))
async def test_killed_while_objects_are_created_everything_is_there_once(
    s3: S3Server, tmp_path: Path, seed: int
) -> None:
    s3.make_bucket("archive")
    assert lead_lives(tmp_path, random.Random(seed), [2, 3, 4, 6], s3.url)
    evidence = Evidence(open_store("s3://archive/x", s3.bucket()))
    ids: Counter[str] = Counter()
    there: Counter[int] = Counter()
    async for each in evidence.objects():
        data = await evidence.read(each.name)
        there.update(number for number, _ in header_of(data).numbers())
        ids.update([event_id(line) async for _, line in evidence.lines(each.name)])
    verdict = await verify(open_store("s3://archive/x", s3.bucket()))
    s3.remove_bucket("archive")
    assert verdict.findings == []
    assert there == dict.fromkeys(range(1, EVENTS + 1), 1)
    assert ids == {f"e{number}": 1 for number in range(EVENTS)}


# --------------------------------------------------------------------------------------- slow and half answers


class Between:
    """Stands between a client and the server, and cuts, stalls or drips what the server answers."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.fault = ""
        self.hit = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.fault = ""

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", self._port)
        up = asyncio.create_task(self._pass_on(reader, behind_writer))
        try:
            while data := await behind_reader.read(65536):
                if self.fault:
                    self.hit += 1
                match self.fault:
                    case "cut":
                        break
                    case "half":
                        writer.write(data[: len(data) // 2])
                        break
                    case "stall":
                        await asyncio.sleep(30)
                    case "garbage":
                        writer.write(b"\x00\xff nothing that is HTTP\r\n\r\n")
                        break
                writer.write(data)
                await writer.drain()
        finally:
            up.cancel()
            behind_writer.close()
            with contextlib.suppress(OSError):
                await writer.drain()
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@pytest.mark.parametrize("fault", ["cut", "half", "stall", "garbage"])
async def test_an_answer_that_is_lost_is_no_answer_and_what_was_stored_is_found(
    s3: S3Server, bucket: str, fault: str
) -> None:
    data = random.Random(2).randbytes(300_000)
    async with Between(s3.port) as between:
        store = open_store(f"s3://{bucket}/x", s3.bucket(endpoint=between.url, timeout=1))
        await store.create("before", data)
        between.fault = fault
        with pytest.raises(Retryable) as raised:
            await store.create("a", data)
        assert raised.value.sent
        for ask in (store.read("before"), store.read_oldest("before"), store.list(""), store.folders("")):
            with pytest.raises(Retryable):
                await ask
        assert between.hit
        between.fault = ""
        with pytest.raises(AlreadyStored):
            await store.create("a", data)
        assert await store.read("a") == data
