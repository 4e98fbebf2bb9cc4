"""What every bucket must do for an archive: a real S3 server, and emulators of Azure and of Google Cloud Storage.

What the emulators cannot show is said in `tests/servers/azurite.py` and `tests/servers/gcs.py`, and of the service itself
only its documented words are tried, in `tests/archive/test_bucket.py`.
"""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from forwarder.archive.evidence import Evidence
from forwarder.archive.keys import write_new_key
from forwarder.archive.stores import AlreadyStored, NotStored, Store, StoredObject, open_store
from forwarder.cli.app import app
from forwarder.contracts import AuthFailed, Held, Retryable
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.clocks import SetClock
from tests.daemon.engine import digests_of, engine, file_sink, lines_of, source, truth
from tests.servers.between import Between

if TYPE_CHECKING:
    from tests.servers.loopback import BucketServer

NAME = "evidence/v1/source=%28x%29/day=2026-11-29/hour=13/x.ndjson.zst"


@pytest.fixture(params=["s3", "azurite", "gcs"])
def place(request: pytest.FixtureRequest) -> BucketServer:
    """Each kind of bucket in turn."""
    server: BucketServer = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def bucket(place: BucketServer) -> str:
    name = f"b{uuid.uuid4().hex[:12]}"
    place.make_bucket(name)
    return name


def store_in(place: BucketServer, bucket: str, prefix: str = "pre/fix", **settings: Any) -> Store:
    return open_store(f"{place.scheme}://{bucket}/{prefix}", place.bucket(**settings))


async def test_an_object_is_stored_once(place: BucketServer, bucket: str) -> None:
    store = store_in(place, bucket)
    await store.create(NAME, b"first")
    for data in (b"first", b"second"):
        with pytest.raises(AlreadyStored):
            await store.create(NAME, data)
    assert await store.read(NAME) == await store.read_oldest(NAME) == b"first"
    with pytest.raises(NotStored):
        await store.read("none")
    assert (await store.versions(NAME), await store.versions("none")) == (1, 0)
    assert await store_in(place, bucket, "pre").list("") == [StoredObject(f"fix/{NAME}", 5)]
    await store.close()


async def test_of_many_at_once_one_creates_it(place: BucketServer, bucket: str) -> None:
    stores = [store_in(place, bucket) for _ in range(8)]
    done = await asyncio.gather(
        *(store.create("a", b"%d" % number) for number, store in enumerate(stores)), return_exceptions=True
    )
    first = done.index(None)
    assert [type(each) for each in done if each is not None] == [AlreadyStored] * 7
    assert await stores[0].read("a") == b"%d" % first


async def test_listings(place: BucketServer, bucket: str) -> None:
    """List, which S3 does by pages of 1000 names; the emulators would need 5000, or know no pages."""
    store = store_in(place, bucket)
    names = [f"a/{number % 3}/{number:05}" for number in range(1100 if place.scheme == "s3" else 40)]
    for name in names:
        await store.create(name, b"x")
    await store.create("ab/source=%28x%29/1", b"more")
    assert await store.list("a/") == [StoredObject(name, 1) for name in sorted(names)]
    assert await store.list("ab/") == [StoredObject("ab/source=%28x%29/1", 4)]
    assert await store.folders("a/") == ["a/0/", "a/1/", "a/2/"]
    assert await store.folders("ab/") == ["ab/source=%28x%29/"]
    assert await store.folders("") == ["a/", "ab/"]
    assert await store.list("none/") == await store.folders("none/") == []
    await store.delete("a/0/00000")
    await store.delete("a/0/00000")
    assert len(await store.list("a/0/")) == len(names) // 3
    with pytest.raises(NotStored):
        await store.read("a/0/00000")


async def test_an_object_of_many_megabytes_is_one_request(place: BucketServer, bucket: str) -> None:
    store = store_in(place, bucket)
    data = random.Random(1).randbytes(20_000_000)
    await store.create("large", data)
    with pytest.raises(AlreadyStored):
        await store.create("large", data)
    assert await store.read("large") == data


def asks(store: Store, name: str = "a") -> list[Any]:
    return [store.create(name, b"x"), store.read(name), store.list(""), store.folders(""), store.room()]


async def test_wrong_credentials_are_named_with_the_fix(place: BucketServer, bucket: str) -> None:
    for settings in place.wrong:
        for ask in asks(store_in(place, bucket, **settings)):
            with pytest.raises(AuthFailed, match="credentials") as raised:
                await ask
            assert raised.value.fix
            assert "s3cr3t" not in f"{raised.value}"


async def test_a_bucket_that_is_not_there(place: BucketServer) -> None:
    """Ask for one; the emulator of GCS says so for an upload alone."""
    store = store_in(place, "nobody-made-it")
    with pytest.raises(Held, match="Create it"):
        await store.create("a", b"x")
    if place.scheme != "gs":
        for ask in asks(store):
            with pytest.raises(Held, match="Create it"):
                await ask


async def test_a_secret_that_is_replaced_is_read_again(place: BucketServer, bucket: str, tmp_path: Path) -> None:
    [(name, wrong)] = list(place.wrong[-1].items())[-1:]
    right = place.settings().get(name) or sas_of_now()
    file = tmp_path / "secret"
    file.write_text(wrong)
    store = store_in(place, bucket, **{**place.wrong[-1], name: None, f"{name}_file": str(file)})
    with pytest.raises(AuthFailed):
        await store.create("a", b"x")
    file.write_text(right)
    await store.create("a", b"x")
    assert await store.read("a") == b"x"


def sas_of_now() -> str:
    from tests.servers.azurite import sas_token

    return sas_token("2020-01-01", "2099-01-01")


async def test_a_server_that_was_away_is_found_again(place: BucketServer, bucket: str) -> None:
    store = store_in(place, bucket)
    await store.create("a", b"x")
    place.stop()
    try:
        for ask in asks(store, "b"):
            with pytest.raises(Retryable):
                await ask
    finally:
        place.start()
    await store.create("b", b"x")
    assert [each.name for each in await store.list("")] == ["a", "b"]


@pytest.mark.parametrize("fault", ["cut", "half", "stall", "garbage"])
async def test_an_answer_that_is_lost_is_no_answer_and_what_was_stored_is_found(
    place: BucketServer, bucket: str, fault: str
) -> None:
    data = random.Random(2).randbytes(300_000)
    async with Between(place.front) as between:
        store = store_in(place, bucket, port=between.port, timeout=1)
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


# ------------------------------------------------------------------------------------------------- the whole way

HOUR = 3600.0


@pytest.mark.parametrize("place", ["azurite", "gcs"], indirect=True)
async def test_from_a_daemon_to_the_bucket_and_back_and_what_was_changed_is_found(
    place: BucketServer, bucket: str, tmp_path: Path
) -> None:
    write_new_key(tmp_path / "key.pem")
    kept = {
        "type": "archive",
        "url": f"{place.scheme}://{bucket}/pre/fix",
        "bucket": {**place.settings(), "timeout": "5s"},
        "key_file": str(tmp_path / "key.pem"),
        "every": "200ms",
    }
    config, raw, new, clock = str(tmp_path / "config.yaml"), tmp_path / "raw", tmp_path / "new", SetClock()
    store = store_in(place, bucket)

    async def command(*words: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, [*words, "-c", config])

    async def signed() -> bool:
        return any(each.name.endswith(".sig") for each in await store.list("digests/"))

    async with Simulator(SimulatorConfig(events=300, history="2d")) as sim:
        sources = {"acme": source(sim)}
        async with engine(tmp_path, sources, {"raw": file_sink(raw), "kept": kept}) as e:
            await e.until(lambda: set(digests_of(raw)) == truth(sim))
            await e.until_settled()
        clock.off = 1.1 * HOUR
        sinks = {"raw": file_sink(raw), "kept": kept, "new": file_sink(new, start="now")}
        async with engine(tmp_path, sources, sinks, clock=clock) as e:

            async def begun() -> bool:
                return {lane.state for lane in (await e.daemon.report()).lanes} == {"idle"}

            await e.until(begun)
            done = await command("import", "--from", "kept", "--sink", "new")
            assert done.exit_code == 0, done.output
            await e.until(lambda: digests_of(new) == digests_of(raw))
            await e.until(signed)
    events = len(lines_of(raw))

    verified = await command("archive", "verify", "--sink", "kept", "--json")
    assert verified.exit_code == 0, verified.output
    shown = json.loads(verified.stdout)
    assert (shown["intact"], shown["events"], shown["findings"]) == (True, events, [])

    who = json.loads(lines_of(raw)[0])["attributes"]["actor"]["id"]
    asked = await command("investigate", "user", who, "--tz", "UTC")
    assert asked.exit_code == 0, asked.output
    assert f"of {events} in this time" in asked.stdout

    name = [str(each.name) async for each in Evidence(store).objects()][-1]
    data = await store.read(name)
    place.overwrite(bucket, f"pre/fix/{name}", data[:-1] + bytes([data[-1] ^ 1]))
    found = await command("archive", "verify", "--sink", "kept", "--json")
    assert found.exit_code == 1, found.output
    assert {each["name"] for each in json.loads(found.stdout)["findings"]} == {name}
