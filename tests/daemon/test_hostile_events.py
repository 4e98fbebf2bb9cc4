"""Events made to break a reader, in one page with sound ones: each is delivered or a dead letter, and nothing stops."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest

from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.daemon.engine import digests_of, engine, file_sink, lines_of, source, truth

TIME = b'"time":"2026-01-31T10:00:00Z","processedAt":"2026-01-31T10:00:01Z"'


def with_attributes(ident: bytes, attributes: bytes) -> bytes:
    return b'{"id":"' + ident + b'","attributes":{' + attributes + b',"action":"user_login","actor":{"id":"a"}}}'


DEAD = {
    "deep": with_attributes(b"deep", TIME + b',"n":' + b"[" * 20_000 + b"]" * 20_000),
    "bad id": with_attributes(b"\xff\xfe", TIME),
    "bad time": with_attributes(b"bad-time", b'"time":"\xff","processedAt":"\xff"'),
    "no object": b"[1,2]",
    "a number": b"17",
    "null": b"null",
    "not finite": with_attributes(b"nan", TIME + b',"n":[NaN,-Infinity]'),
    "out of range": with_attributes(b"range", TIME + b',"n":-1e999'),
    "a control character": with_attributes(b"control", TIME + b',"n":"a\nb\x00"'),
}
SOUND = {
    "far future": with_attributes(b"f1", b'"time":"9999-12-31T23:59:59Z","processedAt":"9999-12-31T23:59:59Z"'),
    "far past": with_attributes(b"f2", b'"time":"0001-01-01T00:00:00Z","processedAt":"0001-01-01T00:00:00Z"'),
    "no time at all": with_attributes(b"f3", b'"time":"zzzzzzzzzzTzzzzzzzz","processedAt":"~~~~~~~~~~T~~~~~~~~~"'),
    "numbers for texts": b'{"id":12,"attributes":{"time":5,"processedAt":[],"action":{},"actor":"x"}}',
    "empty": b"{}",
    "duplicate keys": b'{"id":"d1","id":"d2","attributes":{"time":"2026-01-31T10:00:00Z","n":1.10,"n":-0}}',
    "lone surrogates": b'{"id":"\\ud83d","attributes":{"time":"2026-01-31T10:00:00Z","action":"\\udc00"}}',
    "escapes": with_attributes(b"e1", TIME + b',"u":"http:\\/\\/x\\u0000\\u2028"'),
    "big numbers": with_attributes(b"b1", TIME + b',"n":123456789012345678901234567890,"m":1E+2'),
    "a long id": with_attributes(b"x" * 100_000, TIME),
    "white space": b'{ "id" :\t"w1" , "attributes" : { "time" : "2026-01-31T10:00:00Z" } }',
}
HALVES = SOUND["lone surrogates"]
WRITTEN = HALVES.replace(b"\\ud83d", b"\\ufffd").replace(b"\\udc00", b"\\ufffd")[:-1]
WRITTEN += b',"audit_forwarder":{"repaired":true}}'
"""What raw makes of it: readers stop at half a character."""


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("alone", [True, False], ids=["one by one", "in one page"])
async def test_hostile_events_cost_nobody_else_anything(tmp_path: Path, alone: bool) -> None:
    raw, ecs = tmp_path / "raw.ndjson", tmp_path / "ecs.ndjson"
    async with (
        Simulator(SimulatorConfig(events=50, history="2d")) as sim,
        engine(tmp_path, {"acme": source(sim)}, {"raw": file_sink(raw), "ecs": file_sink(ecs, format="ecs")}) as e,
    ):
        await e.until(lambda: len(lines_of(raw)) >= 50)
        for number, body in enumerate([*DEAD.values(), *SOUND.values()]):
            sim.add_raw(body, f"~{number}")
            sim.add_events(1)
            if alone:
                seen = e.daemon._source_reports["acme"].spooled
                await e.until(lambda seen=seen: e.daemon._source_reports["acme"].spooled >= seen + 1)
        sim.add_events(10)
        wanted = truth(sim)
        while True:
            report = await e.daemon.report()
            if all(line.spooled == len(wanted) and line.waiting == 0 for line in report.books) and report.books:
                break
            assert len(lines_of(raw)) <= len(wanted)
            await asyncio.sleep(0.02)
        letters = await e.daemon._reporter.spool.dead_letters()
        of_raw = Counter(hashlib.sha256(letter.raw).hexdigest() for letter in letters if letter.lane == "raw")
        assert of_raw == Counter(hashlib.sha256(body).hexdigest() for body in DEAD.values())
        assert digests_of(raw) + of_raw == Counter(wanted - {digest(HALVES)} | {digest(WRITTEN)})
        assert all(letter.reason and letter.detail for letter in letters)
        books = {line.sink: line for line in report.books}
        assert [line.balance for line in report.books] == [0, 0]
        assert (books["raw"].rejected, books["ecs"].accepted) == (len(DEAD), len(lines_of(ecs)))
        assert set(report.task_restarts.values()) == {0}
        assert report.degraded == []
        assert report.sources[0].errors == Counter()
        # What is read again is recognised, also the hostile ones.
        repeats = report.sources[0].repeats
        await e.until(lambda: e.daemon._source_reports["acme"].repeats > repeats + len(DEAD))
        assert e.daemon._source_reports["acme"].spooled == len(wanted)
        # One event from the future does not blind the measure of how far we are.
        tail = (await e.daemon._reporter.spool.status()).sources[0].cursors["tail"].state
        assert tail["high"] < (sim.clock() + 60) * 1000


async def test_the_original_travels_byte_for_byte_beside_its_meaning(tmp_path: Path) -> None:
    out = tmp_path / "ecs.ndjson"
    sinks = {"ecs": file_sink(out, format="ecs", original=True)}
    async with (
        Simulator(SimulatorConfig(events=80, history="2d")) as sim,
        engine(tmp_path, {"acme": source(sim)}, sinks) as e,
    ):
        await e.until(lambda: len(lines_of(out)) >= 80)
        originals = [json.loads(line)["event"]["original"].encode() for line in lines_of(out)]
        assert Counter(hashlib.sha256(body).hexdigest() for body in originals) == Counter(truth(sim))
