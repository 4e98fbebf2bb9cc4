"""A look at a sink: what it acknowledged and dropped is found by count and id, and nothing else is called dropped."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from forwarder.contracts import Asked, Held, IsSearched, LinesOfDocuments, Origin, Verifies
from forwarder.contracts.identity import EventKeys, document_id
from forwarder.reconcile.look import Export, Look, look_at, only_recognised
from forwarder.reconcile.verdict import Line
from forwarder.registry import SINKS
from forwarder.testing.far_end import context

ORIGIN = Origin("acme", "organization", "org-1")
DAY = "2026-11-14"
KEYS = EventKeys("organization", "org-1")
NAMES = [f"event-{number}" for number in range(50)]
IDS = [document_id(KEYS.key(name)) for name in NAMES]


class Store:
    """A destination that can be asked."""

    ids_at_once = 7

    def __init__(self, ids: Collection[str]) -> None:
        self.ids = set(ids)
        self.questions: list[int] = []

    async def holds(self, asked: Asked) -> set[str]:
        assert (asked.origin, asked.day) == (ORIGIN, DAY)
        self.questions.append(len(asked.ids))
        return self.ids & set(asked.ids)


async def each_of(ids: Collection[str]) -> AsyncIterator[str]:
    for one in ids:
        yield one


async def look(store: Any, ids: Collection[str] = IDS, **counts: int) -> Look:
    numbers = {"expected": len(IDS), "accepted": len(IDS)} | counts
    line = Line(DAY, "acme", "out", "complete", **numbers)
    return await look_at(line, store, each_of(ids), origin=ORIGIN)


async def test_a_sink_that_has_all_is_whole_and_is_asked_in_batches() -> None:
    store = Store(IDS)
    found = await look(store)
    assert (found.state, found.found, found.dropped) == ("whole", 50, 0)
    assert store.questions == [7] * 7 + [1]


@pytest.mark.parametrize("dropped", [1, 3, 49])
async def test_what_was_dropped_is_counted_and_named(dropped: int) -> None:
    gone = random.Random(dropped).sample(IDS, dropped)
    found = await look(Store(set(IDS) - set(gone)))
    assert (found.state, found.dropped) == ("dropped", dropped)
    assert set(found.absent) <= set(gone)
    assert len(found.absent) == min(dropped, 20)


async def test_what_a_sink_never_accepted_is_not_called_dropped() -> None:
    assert (await look(Store(IDS[:40]), accepted=40)).state == "whole"
    assert (await look(Store(IDS[:39]), accepted=40)).dropped == 1


async def test_what_is_not_remembered_is_not_called_dropped() -> None:
    found = await look(Store(IDS[:30]), ids=IDS[:30])
    assert (found.state, "not remembered" in found.why) == ("not known", True)
    assert (await look(Store(IDS[:29]), ids=IDS[:30])).dropped == 1


async def test_of_a_source_of_which_nothing_is_recognised_nothing_is_claimed() -> None:
    [found] = only_recognised([await look(Store([]))])
    assert (found.state, found.dropped) == ("not known", 0)
    both = only_recognised([await look(Store([])), await look(Store(IDS))])
    assert [each.state for each in both] == ["dropped", "whole"]


@pytest.mark.parametrize("form", ["csv", "json", "lines"])
async def test_an_export_of_a_search_is_read_whatever_its_form(form: str, tmp_path: Path) -> None:
    revision = document_id(KEYS.key("event-0"), bytes(8))
    there = [*IDS[:10], revision]
    path = tmp_path / "export"
    if form == "csv":
        path.write_text("document_id,count\n" + "".join(f'"{each}",1\n' for each in there))
    elif form == "json":
        path.write_text("[" + ",".join(f'{{"document_id":"{each}","count":"1"}}' for each in there) + "]")
    else:
        path.write_text("".join(f'{{"result":{{"document_id":"{each}"}}}}\n' for each in there))
    assert await Export(path).holds(Asked([*IDS, revision], ORIGIN, DAY)) == set(there)
    with pytest.raises(Held, match="cannot be read"):
        await Export(tmp_path / "none").holds(Asked(IDS, ORIGIN, DAY))


def line_of(name: str) -> bytes:
    return b'{"id":"%b","type":"events","attributes":{"time":"2026-11-14T10:00:00Z"}}' % name.encode()


@pytest.mark.parametrize(
    "write",
    [
        line_of,
        lambda name: b'{"event":{"id":"%b"},"@timestamp":"x"}' % name.encode(),
        lambda name: b"CEF:0|Atlassian|x|1|a|a|3|externalId=%b rt=1" % name.encode(),
        lambda name: b'<14>1 - - - - [a@1 id="%b"] text' % name.encode(),
        lambda name: b'{"metadata":{"uid":"%b"}}' % document_id(KEYS.key(name)).encode(),
    ],
    ids=["raw", "ecs", "cef", "structured_data", "ocsf"],
)
def test_a_line_of_any_format_shows_which_event_it_is(write: Any) -> None:
    lines = LinesOfDocuments(Asked(IDS, ORIGIN, DAY))
    assert set(lines.found(write(name) for name in [*NAMES[:9], "event-99"])) == set(IDS[:9])


def test_events_without_an_id_are_known_by_their_bytes_and_their_number() -> None:
    bodies = [b'{"what":"one"}', b'{"what":"two"}']
    ids = [document_id(KEYS.derived(bodies[0], times)) for times in range(3)]
    found = LinesOfDocuments(Asked([*ids, document_id(KEYS.derived(bodies[1]))], ORIGIN, DAY)).found(bodies[:1])
    assert set(found) == set(ids)


def file_sink(path: Path) -> Any:
    kind = SINKS.load("file")
    return kind(kind.Config(type="file", path=str(path)), context("out", render="raw"))


async def test_a_file_sink_reads_what_it_set_aside_and_what_was_compressed(tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    path.write_bytes(b"".join(line_of(name) + b"\n" for name in NAMES[:10]))
    (tmp_path / "out-20261114T000000-1.ndjson").write_bytes(line_of(NAMES[10]) + b"\n")
    (tmp_path / "out-20261113T000000-1.ndjson.gz").write_bytes(gzip.compress(line_of(NAMES[11])))
    (tmp_path / "outside.ndjson").write_bytes(line_of(NAMES[12]))
    sink = file_sink(path)
    assert isinstance(sink, Verifies)
    assert await sink.holds(Asked(IDS, ORIGIN, DAY)) == set(IDS[:12])
    (tmp_path / "out-20261112T000000-1.ndjson.zst").write_bytes(b"x")
    with pytest.raises(Held, match="compressed"):
        await sink.holds(Asked(IDS, ORIGIN, DAY))
    await sink.close()


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz"])
@pytest.mark.parametrize("at", range(4, 40, 3))
async def test_a_damaged_file_is_no_proof_of_loss(tmp_path: Path, ending: str, at: int) -> None:
    path = tmp_path / "out.ndjson"
    path.write_bytes(line_of(NAMES[0]) + b"\n")
    pack: Callable[[bytes], bytes] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}[ending]
    packed = bytearray(pack(b"\n".join(map(line_of, NAMES)) + os.urandom(3000)))
    packed[at : at + 9] = bytes(byte ^ 0xFF for byte in packed[at : at + 9])
    (tmp_path / f"out-1.ndjson{ending}").write_bytes(packed)
    sink = file_sink(path)
    try:
        await sink.holds(Asked(IDS, ORIGIN, DAY))
    except Held as error:
        assert "cannot be read" in error.reason
    await sink.close()


async def test_a_file_that_cannot_be_read_is_no_proof_of_loss(tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    path.write_bytes(line_of(NAMES[0]) + b"\n")
    (tmp_path / "out-1.ndjson.gz").write_bytes(gzip.compress(line_of(NAMES[1]))[:-5])
    sink = file_sink(path)
    with pytest.raises(Held, match="cannot be read"):
        await sink.holds(Asked(IDS, ORIGIN, DAY))
    if os.geteuid():
        (tmp_path / "out-1.ndjson.gz").unlink()
        path.chmod(0)
        with pytest.raises(Held, match="cannot be read"):
            await sink.holds(Asked(IDS, ORIGIN, DAY))
    await sink.close()


def hec(**settings: Any) -> Any:
    kind = SINKS.load("splunk_hec")
    config = kind.Config(type="splunk_hec", url="https://splunk.example.com:8088", token="t" * 36, **settings)
    return kind(config, context("splunk", render="raw"))


@pytest.mark.parametrize(
    ("settings", "indexes"),
    [
        ({}, "(index=*)"),
        ({"index": "audit"}, "(index=audit)"),
        ({"index": {"jira": "a_{site}", "*": "b"}}, "(index=a_* OR index=b)"),
        ({"index": "a", "late": {"events": "elsewhere", "index": "old"}}, "(index=a OR index=old)"),
    ],
)
async def test_splunk_is_searched_in_every_index_that_events_may_be_in(settings: dict[str, Any], indexes: str) -> None:
    sink = hec(**settings)
    assert isinstance(sink, IsSearched)
    expected = (
        f'| tstats count where {indexes} organization="org-1" earliest=1794614400 latest=1794700800 by document_id'
    )
    assert sink.search(ORIGIN, DAY) == expected
    await sink.close()


async def test_splunk_events_without_a_listed_id_cannot_be_searched_for() -> None:
    sink = hec(indexed_fields=["action"])
    with pytest.raises(Held, match="document_id"):
        sink.search(ORIGIN, DAY)
    await sink.close()
