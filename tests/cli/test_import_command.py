"""`import`: what a file sink wrote comes back into the spool, once, with the daemon or before it."""

from __future__ import annotations

import asyncio
import bz2
import contextlib
import gzip
import json
import lzma
import random
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from forwarder.admin.imports import MOST_BYTES, Imports, Part
from forwarder.cli.app import app
from forwarder.cli.commands import imports as command
from forwarder.contracts import SystemClock
from forwarder.contracts.errors import ConfigError
from forwarder.spool.contract import IMPORT, CursorMove, PageCommit, Settlement
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.daemon.engine import Engine, digests_of, engine, file_sink, lines_of, source, truth
from tests.examples import examples
from tests.polling.pollers import spool_in

NONE_BEFORE = {"since": "0s"}


async def run_import(*words: str, stdin: bytes | None = None) -> Any:
    """Run the command in a thread, for it has a loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, app, ["import", *words], input=stdin)


async def reads(e: Engine) -> None:
    await e.until(lambda: any(report.requests for report in e.daemon._source_reports.values()))


async def archived(folder: Path, sim: Simulator, **sink: Any) -> Path:
    """Return what a file sink wrote of all events."""
    folder.mkdir()
    out, raw = folder / "archive.ndjson", folder / "raw.ndjson"
    sinks = {"archive": file_sink(out, **sink), "raw": file_sink(raw)}
    async with engine(folder, {"acme": source(sim, limit=50)}, sinks) as e:
        await e.until(lambda: set(digests_of(raw)) == truth(sim))
        await e.until(lambda: len(lines_of(out)) >= len(lines_of(raw)))
    return out


@pytest.mark.parametrize(
    "sink", [{}, {"format": "ecs", "original": True}, {"format": "ocsf", "original": True}], ids=["raw", "ecs", "ocsf"]
)
async def test_an_archive_comes_back_once_and_what_the_api_brings_as_well_is_known(
    tmp_path: Path, sink: dict[str, Any]
) -> None:
    async with Simulator(SimulatorConfig(events=700, history="2d")) as sim:
        archive = await archived(tmp_path / "before", sim, **sink)
        folder = tmp_path / "now"
        folder.mkdir()
        out, config = folder / "out.ndjson", str(folder / "config.yaml")
        async with engine(folder, {"acme": source(sim, limit=50, **NONE_BEFORE)}, {"out": file_sink(out)}) as e:
            await reads(e)
            done = await run_import(str(archive), "-c", config, "--source", "acme")
            assert (done.exit_code, "0 lines left out" in done.stdout) == (0, True), done.output
            await e.until(lambda: set(digests_of(out)) == truth(sim))
            again = await run_import(str(archive), "-c", config, "--source", "acme")
            assert (again.exit_code, "acme: 0 new," in again.stdout) == (0, True), again.output
            back = await asyncio.to_thread(
                CliRunner().invoke, app, ["backfill", "start", "-c", config, "--source", "acme", "--from", "3d"]
            )
            assert back.exit_code == 0, back.output
            await e.until(lambda: set(digests_of(out)) == truth(sim))
        assert set(digests_of(out).values()) == {1}


async def test_without_a_daemon_it_goes_into_the_spool_and_is_delivered_when_one_starts(tmp_path: Path) -> None:
    async with Simulator(SimulatorConfig(events=120, history="2d")) as sim:
        archive = await archived(tmp_path / "before", sim)
        folder = tmp_path / "now"
        folder.mkdir()
        out, config = folder / "out.ndjson", str(folder / "config.yaml")
        parts = {"acme": source(sim, **NONE_BEFORE)}, {"out": file_sink(out)}
        async with engine(folder, *parts) as e:
            await reads(e)
        packed = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
        for suffix, pack in packed.items():
            (folder / f"a{suffix}").write_bytes(pack(archive.read_bytes()))
        whole = gzip.compress(archive.read_bytes())
        (folder / "cut.gz").write_bytes(whole[:-20])
        cut = await run_import(str(folder / "cut.gz"), "-c", config, "--source", "acme")
        assert (cut.exit_code, "cannot be read on" in cut.stderr) == (1, True), cut.output
        for suffix in packed:
            done = await run_import(str(folder / f"a{suffix}"), "-c", config, "--source", "acme")
            assert (done.exit_code, "when it starts" in done.stdout) == (0, True), done.output
        assert "acme: 0 new," in done.stdout
        done = await run_import("-", "-c", config, "--source", "acme", stdin=archive.read_bytes())
        assert "acme: 0 new," in done.stdout, done.output
        async with engine(folder, *parts) as e:
            await e.until(lambda: set(digests_of(out)) == truth(sim))
        assert set(digests_of(out).values()) == {1}


GOOD = b'{"id":"%d","type":"events","attributes":{"time":"2026-01-02T03:04:05.000Z","action":"user_login"}}'

LEFT_OUT = {
    b"CEF:0|Atlassian|x|1|a|b|3|": "not a JSON object",
    b"[]": "not a JSON object",
    b'{"id":"1","attributes":{"time":"2026-01-0': "not a JSON object",
    b'{"id":"1"}': "no attributes with a time",
    b'{"id":1,"created":"2026-01-02T03:04:05.000+0000"}': "no attributes with a time",
    b'{"ecs":{"version":"8.11"},"event":{"id":"1"}}': "no event.original",
    b'{"ecs":{"version":"8.11"}}': "no event.original",
    b'{"class_uid":3002,"metadata":{}}': "no raw_data",
    b'{"id":"1","attributes":{"time":"2026-01-02T03:04:05Z"},"audit_forwarder":{"truncated":true}}': "cut or repaired",
    b'{"id":"' + b"x" * MOST_BYTES + b'"}': "longer than",
    b'{"id":"' + b"x" * 3 * MOST_BYTES + b'"}': "longer than",
    b'{"id":"\xff","attributes":{"time":"2026-01-02T03:04:05Z"}}': "",
    b"[" * 100_000: "not a JSON object",
    b'{"n":' + b"[" * 100_000 + b"]" * 100_000 + b"}": "",
}


async def test_lines_that_cannot_be_taken_are_named_and_the_others_are_taken(tmp_path: Path) -> None:
    out, config = tmp_path / "out.ndjson", str(tmp_path / "config.yaml")
    archive = tmp_path / "archive.ndjson"
    lines = [line for at, bad in enumerate(LEFT_OUT) for line in (GOOD % at, bad, b"")]
    archive.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join([*lines, GOOD % 99]))
    async with (
        Simulator(SimulatorConfig(events=0, history="1h")) as sim,
        engine(tmp_path, {"acme": source(sim, **NONE_BEFORE)}, {"out": file_sink(out)}) as e,
    ):
        await reads(e)
        done = await run_import(str(archive), "-c", config, "--source", "acme")
        assert done.exit_code == 1, done.output
        for at, said in enumerate(LEFT_OUT.values()):
            assert f"line {3 * at + 2} is left out" in done.stderr, done.stderr[:3000]
            line = next(each for each in done.stderr.splitlines() if each.startswith(f"line {3 * at + 2} "))
            assert said in line
        count = len(LEFT_OUT)
        assert f"acme: {count + 1} new, 0 known already, {count} lines left out" in done.stdout
        await e.until(lambda: len(lines_of(out)) == count + 1)


async def test_what_cannot_be_imported_at_all_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    out, config = tmp_path / "out.ndjson", str(tmp_path / "config.yaml")
    archive, export = tmp_path / "archive.ndjson", tmp_path / "export"
    archive.write_bytes(GOOD % 1)
    export.write_bytes(b'\xef\xbb\xbf"Date","Activity","Actor"\r\n"1","2","3"\r\n')
    log = tmp_path / "log" / "auditlog"
    log.mkdir(parents=True)
    files = {"type": "jira_datacenter", "site": "jira.example.com", "nodes": {"one": str(log)}}
    async with Simulator(SimulatorConfig(events=0, history="1h")) as sim:
        sources = {"acme": source(sim, **NONE_BEFORE), "files": files}
        async with engine(tmp_path, sources, {"out": file_sink(out)}) as e:
            await reads(e)
            for path, name, said in (
                (archive, "nobody", "the sources are: acme, files"),
                (archive, "files", "it reads files"),
                (export, "acme", "say --csv"),
                (tmp_path / "absent", "acme", "No such file"),
                (tmp_path, "acme", "Is a directory"),
            ):
                refused = await run_import(str(path), "-c", config, "--source", name)
                assert (refused.exit_code, said in refused.stderr) == (2, True), refused.output


async def test_what_the_spool_has_had_and_forgotten_is_not_doubled_unless_that_is_said(tmp_path: Path) -> None:
    async with Simulator(SimulatorConfig(events=60, history="2d")) as sim:
        archive = await archived(tmp_path / "before", sim)
        config, spool = str(tmp_path / "before" / "config.yaml"), tmp_path / "before" / "spool.db"
        words = (str(archive), "-c", config, "--source", "acme")
        done = await run_import(*words)
        assert (done.exit_code, "acme: 0 new, 60 known" in done.stdout) == (0, True), done.output
        with contextlib.closing(sqlite3.connect(spool)) as con:
            con.execute("DELETE FROM ids")
            con.commit()
        refused = await run_import(*words)
        assert (refused.exit_code, "has had 60 events of" in refused.stderr) == (2, True), refused.output
        done = await run_import(*words, "--again")
        assert (done.exit_code, "acme: 60 new" in done.stdout) == (0, True), done.output


def test_a_line_is_read_in_parts_however_long_it_is(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(b"x" * 10 * MOST_BYTES + b"\n{}\n")
    with path.open("rb") as stream:
        assert [(number, min(len(line), MOST_BYTES)) for number, line in command.lines_of(stream)] == [
            (1, MOST_BYTES),
            (2, 2),
        ]


class Died(Exception):
    """The command was killed."""


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_each_event_is_spooled_once_whatever_order_and_whoever_dies(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    seed = data.draw(st.integers(0, 2**32))
    asyncio.run(_once(tmp_path_factory.mktemp("spool"), random.Random(seed)))


async def _once(folder: Path, rng: random.Random) -> None:
    from forwarder.contracts import SourceContext
    from forwarder.net.retry import RequestBudget
    from forwarder.registry import SOURCES

    kind = SOURCES.load("organization")
    clock = SystemClock()
    config = kind.Config(type="organization", org_id="o1", api_key="k" * 20)
    acme = kind(config, SourceContext("acme", clock, RequestBudget(clock)))
    bodies = [GOOD % at for at in range(rng.randint(1, 60))]
    async with spool_in(folder) as spool:
        dies = rng.random() / 2

        async def push(name: str, page: Any, _: Any) -> Any:
            del name
            if rng.random() < dies:
                raise Died
            state = await spool.open_source(acme.origin, configured=[acme.origin.identity])
            done = await spool.commit(PageCommit(state.number, state.epoch, page=page, reader=IMPORT))
            if rng.random() < dies:
                raise Died
            return done

        async def by_api() -> None:
            state = await spool.open_source(acme.origin, configured=[acme.origin.identity])
            [page] = acme.pages_of(rng.sample(bodies, rng.randint(1, len(bodies))))
            row = state.cursors.get("tail")
            move = CursorMove("tail", row.version if row else None, {"at": rng.random()})
            await spool.commit(PageCommit(state.number, state.epoch, [move], page=page, reader="tail"))

        for _ in range(rng.randint(0, 6)):
            imports = Imports(spool, lambda: {"acme": acme}, {}, push)
            if rng.random() < 0.4:
                await by_api()
            try:
                for start in range(0, len(bodies), 7):
                    await imports.take(Part("acme", bodies[start : start + 7]))
            except Died:
                rng.shuffle(bodies)
        imports = Imports(spool, lambda: {"acme": acme}, {})
        taken = await imports.take(Part("acme", bodies))
        assert taken.new + taken.known == len(bodies)
        assert (taken.revisions, taken.refused) == (0, [])
        lane = await spool.open_lane("all", "memory", start=None, on_full="pause")
        found: Counter[bytes] = Counter()
        after = lane.position
        while chunks := (await spool.exchange(lane.number, Settlement(), after=after, events=500)).chunks:
            found.update(bytes(body) for chunk in chunks for body in chunk.bodies)
            after = chunks[-1].last
        assert found == Counter(dict.fromkeys(bodies, 1))
        with pytest.raises(ConfigError):
            await imports.take(Part("nobody"))
    await acme.close()
    assert json.loads(bodies[0])["id"]
