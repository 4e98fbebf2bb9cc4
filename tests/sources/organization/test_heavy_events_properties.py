"""An event that is heavy in any way costs time in proportion to its size, is marked where it was cut, and stops nothing."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest

from forwarder.contracts import AuditEvent, Shrinks, UnexpectedPayload
from forwarder.net.json_size import LONGEST_EVENT, MOST_VALUES
from forwarder.records.filters import Filter
from forwarder.records.maker import HEAVY, RecordMaker
from forwarder.registry import build_format
from forwarder.sources.organization.context import MOST_ENTRIES
from forwarder.sources.organization.normalizer import OrganizationNormalizer
from forwarder.spool.contract import Chunk
from tests.events import ORIGIN, meaning_of, record_of, strictly
from tests.scaling import assert_in_proportion
from tests.sources.organization.heavy import SETTING, SHAPES, entries, event

FORMATS = {name: build_format(name) for name in ("ecs", "ocsf", "cef", "leef", "rfc5424_sd", "raw")}
SIZE = 50_000
LIMIT = 20_000


def deliver(raw: bytes) -> dict[str, bytes | UnexpectedPayload]:
    """Take an event through meaning, every format and its shortening, as lanes do."""
    record = record_of(raw)
    [meaning] = OrganizationNormalizer().normalize([record])
    bodies: dict[str, bytes | UnexpectedPayload] = {}
    for name, render in FORMATS.items():
        if render.needs_event and isinstance(meaning, UnexpectedPayload):
            bodies[name] = meaning
            continue
        record.event = meaning if isinstance(meaning, AuditEvent) else None
        [bodies[name]] = render.render([record])
        if isinstance(render, Shrinks) and isinstance(bodies[name], bytes):
            short = render.shrink(record, LIMIT)
            assert isinstance(short, UnexpectedPayload) or len(short) <= LIMIT
    return bodies


@pytest.mark.parametrize("name", SHAPES)
def test_twice_the_event_takes_twice_the_time(name: str) -> None:
    once, twice = SHAPES[name](SIZE), SHAPES[name](2 * SIZE)
    assert_in_proportion(deliver, once, twice)


@pytest.mark.parametrize("name", SHAPES)
def test_whatever_is_heavy_is_delivered_or_a_dead_letter(name: str) -> None:
    for format_name, body in deliver(SHAPES[name](SIZE)).items():
        if isinstance(body, UnexpectedPayload):
            assert body.reason
        elif format_name in {"ecs", "ocsf", "raw"}:
            strictly(body) if "nested" not in name else json.loads(body)
        else:
            assert b"\n" not in body


@pytest.mark.parametrize("kind", ["settings", "users", "groups", "roles", "apps", "pages"])
@pytest.mark.parametrize("where", ["context", "container"])
def test_what_meaning_did_not_read_is_marked_in_every_format(kind: str, where: str) -> None:
    raw = entries(where, kind, SETTING)(100 * (MOST_ENTRIES + 100))
    found = meaning_of(raw)
    assert isinstance(found, AuditEvent)
    assert found.marks == ("truncated",)
    assert len(found.changes) <= MOST_ENTRIES
    bodies = deliver(raw)
    assert all(isinstance(body, bytes) and b"truncated" in body for name, body in bodies.items() if name != "raw")
    assert bodies["raw"] == raw
    record = record_of(raw)
    record.event = found
    for name in ("ecs", "cef", "leef", "rfc5424_sd"):
        short = FORMATS[name].shrink(record, LIMIT)  # type: ignore[attr-defined]
        assert short.count(b"truncated") == 1


def test_as_many_entries_as_are_read_are_no_reason_for_a_mark() -> None:
    raw = event(b',"context":[%s]' % b",".join([b'{"id":"1","type":"users"}'] * MOST_ENTRIES))
    found = meaning_of(raw)
    assert isinstance(found, AuditEvent)
    assert found.marks == ()


@pytest.mark.parametrize("settings", [1, 10, MOST_ENTRIES])
def test_every_setting_that_is_read_is_a_change(settings: int) -> None:
    entry = b'{"type":"settings","attributes":{"settingName":"n%d","settingValues":"v"}}'
    found = meaning_of(event(b',"context":[%s]' % b",".join(entry % number for number in range(settings))))
    assert isinstance(found, AuditEvent)
    assert [change.field for change in found.changes] == [f"n{number}" for number in range(settings)]


TOO_MUCH = {
    "bytes": lambda: event(b',"x":"%s"' % (b"x" * LONGEST_EVENT)),
    "values": lambda: event(b',"context":[%s]' % b",".join([b"{}"] * MOST_VALUES)),
    "texts": lambda: event(b',"context":[%s]' % b",".join([b'""'] * MOST_VALUES)),
    "arrays": lambda: event(b',"context":[%s]' % b",".join([b"[[]]"] * (MOST_VALUES // 2))),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_is_too_much_is_not_understood_and_raw_delivers_it(name: str) -> None:
    raw = TOO_MUCH[name]()
    for format_name, body in deliver(raw).items():
        if format_name == "raw":
            assert body == raw
        else:
            assert isinstance(body, UnexpectedPayload)
            assert "too large" in body.reason


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (b',"n":1e400', "out of range"),
        (b',"n":[ -1E999 ]', "out of range"),
        (b',"n":%s' % (b"9" * 400), "out of range"),
        (b',"n":"\xff"', "JSON"),
        (b',"\xff":1', "JSON"),
        (b',"n":NaN', "JSON"),
        (b',"n":[1,]', "JSON"),
        (b',"n":"a\nb"', "JSON"),
        (b',"n":%s%s' % (b"[" * 200_000, b"]" * 200_000), "deep"),
    ],
)
def test_raw_passes_on_nothing_that_stops_a_reader_however_large(more: bytes, reason: str) -> None:
    raw = event(b',"x":"%s"%s' % (b"x" * LONGEST_EVENT, more))
    body = deliver(raw)["raw"]
    assert isinstance(body, UnexpectedPayload)
    assert reason in body.reason


def test_line_ends_of_a_large_event_are_blanks_and_texts_like_numbers_pass() -> None:
    raw = event(b',\r\n"x":"%s 1e999 %s"' % (b"x" * LONGEST_EVENT, b"9" * 400))
    assert deliver(raw)["raw"] == raw.replace(b"\r\n", b"  ")


async def test_others_have_their_turn_between_heavy_events() -> None:
    """A chunk of many heavy events may not stop the loop, and so the probes, until all of them are done."""
    chunk = Chunk(1, ORIGIN, 1, [SHAPES["many settings in context"](HEAVY) for _ in range(10)], bytes(160), 0)
    maker = RecordMaker(build_format("ecs"), Filter(None, None), lambda _: OrganizationNormalizer(), Counter())
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    prepared = await maker.make_in_turns(chunk)
    task.cancel()
    assert turns >= 9
    assert [record.body for record in prepared.records] == [record.body for record in maker.make(chunk).records]
    assert len(prepared.records) == 10
