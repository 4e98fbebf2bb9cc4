"""What only S3 has: versions, locks and credentials of the environment; and kill -9. The rest is in `test_archive_buckets`."""

from __future__ import annotations

import base64
import hashlib
import random
import uuid
from collections import Counter
from pathlib import Path

import pytest

from forwarder.archive.evidence import Evidence, header_of
from forwarder.archive.stores import AlreadyStored, NotStored, Store, open_store
from forwarder.archive.verify import verify
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
