"""`import --from`: what an archive keeps comes back into the spool, for all sinks or for a new one alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from forwarder.archive.evidence import EvidenceWriter
from forwarder.archive.layout import EvidenceName, hour_of
from forwarder.archive.stores import open_store
from forwarder.cli.app import app
from forwarder.contracts import Origin
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.daemon.engine import digests_of, engine, file_sink, lines_of, source, truth

READ = 1_767_225_600_000  # 2026-01-01
HOUR = 3_600_000
NONE_BEFORE = {"since": "0s"}
OBJECT = 40


async def run_import(*words: str) -> Any:
    return await asyncio.to_thread(CliRunner().invoke, app, ["import", *words])


async def archived(folder: Path, bodies: list[bytes], name: str = "acme") -> list[Path]:
    """Write an archive of objects of an hour each; returns their files."""
    store = open_store(str(folder))
    names = []
    for begin in range(0, len(bodies), OBJECT):
        read_ms = READ + begin // OBJECT * HOUR
        writer = EvidenceWriter(Origin(name, "organization", "org-1"))
        for number, body in enumerate(bodies[begin : begin + OBJECT], begin + 1):
            writer.add(body, number, read_ms)
        said = EvidenceName(name, hour_of(read_ms / 1000), writer.first, writer.last)
        await store.create(str(said), writer.finish())
        names.append(folder / str(said))
    await store.close()
    return names


async def test_what_an_archive_keeps_comes_back_once_and_a_new_sink_gets_what_the_others_had(tmp_path: Path) -> None:
    async with Simulator(SimulatorConfig(events=300, history="2d")) as sim:
        before, now, keeps = tmp_path / "before", tmp_path / "now", tmp_path / "archive"
        before.mkdir()
        now.mkdir()
        async with engine(before, {"acme": source(sim)}, {"raw": file_sink(before / "raw")}) as e:
            await e.until(lambda: set(digests_of(before / "raw")) == truth(sim))
        bodies = lines_of(before / "raw")
        await archived(keeps, bodies)
        out, new, config = now / "out", now / "new", str(now / "config.yaml")
        sources = {"acme": source(sim, **NONE_BEFORE)}
        async with engine(now, sources, {"out": file_sink(out)}) as e:
            await e.until(lambda: any(report.requests for report in e.daemon._source_reports.values()))
            first = await run_import("--from", str(keeps), "-c", config)
            assert (first.exit_code, first.stdout) == (
                0,
                f"acme: {len(bodies)} new, 0 known already, 0 lines left out\n",
            )
            await e.until(lambda: digests_of(out) == digests_of(before / "raw"))
            again = await run_import("--from", str(keeps), "-c", config, "--source", "acme")
            assert "acme: 0 new" in again.stdout, again.output
        sinks = {"out": file_sink(out), "new": file_sink(new, start="now")}
        part = ("--from", str(keeps), "--since", "2026-01-01T01:00Z", "--until", "2026-01-01T03:00Z")
        async with engine(now, sources, sinks) as e:

            async def begun() -> bool:
                return [lane.state for lane in (await e.daemon.report()).lanes] == ["idle", "idle"]

            await e.until(begun)
            done = await run_import(*part, "-c", config, "--sink", "new")
            assert f"acme for new: {2 * OBJECT} new" in done.stdout, done.output
            await e.until(lambda: len(lines_of(new)) >= 2 * OBJECT)
            assert Counter(lines_of(new)) == Counter(bodies[OBJECT : 3 * OBJECT])
            assert "acme for new: 0 new" in (await run_import(*part, "-c", config, "--sink", "new")).stdout
        assert digests_of(out) == digests_of(before / "raw"), "nothing came to the other sink again"


async def test_a_replay_from_an_archive_feeds_a_new_sink(tmp_path: Path) -> None:
    async with Simulator(SimulatorConfig(events=120, history="2d")) as sim:
        config, keeps = str(tmp_path / "config.yaml"), tmp_path / "kept"
        sources = {"acme": source(sim)}
        archive = {"type": "archive", "path": str(keeps), "every": "100ms"}
        async with engine(tmp_path, sources, {"archive": archive, "raw": file_sink(tmp_path / "raw")}) as e:

            async def settled() -> bool:
                books = (await e.daemon.report()).books
                return sum(line.waiting for line in books) == 0 and sum(line.spooled for line in books) >= 240

            await e.until(settled)
        sinks = {"archive": archive, "new": file_sink(tmp_path / "new", start="now")}
        async with engine(tmp_path, sources, sinks) as e:

            async def begun() -> bool:
                return [lane.state for lane in (await e.daemon.report()).lanes] == ["idle", "idle"]

            await e.until(begun)
            words = ["replay", "--sink", "new", "--from", "archive", "-c", config]
            done = await asyncio.to_thread(CliRunner().invoke, app, words)
            assert done.exit_code == 0, done.output
            assert "acme for new: 120 new" in done.stdout
            await e.until(lambda: digests_of(tmp_path / "new") == digests_of(tmp_path / "raw"))
            refused = await asyncio.to_thread(CliRunner().invoke, app, [*words, "--where", "action=x"])
            assert (refused.exit_code, "sent as a whole" in refused.stderr) == (2, True)


async def test_a_damaged_object_is_left_out_as_a_whole_and_named(tmp_path: Path) -> None:
    async with Simulator(SimulatorConfig(events=0)) as sim:
        bodies = [
            f'{{"id":"e{n}","attributes":{{"time":"2026-01-01T00:00:00Z","action":"user_login"}}}}'.encode()
            for n in range(3 * OBJECT)
        ]
        _, hurt, _ = await archived(tmp_path / "archive", bodies)
        data = bytearray(hurt.read_bytes())
        data[-20] ^= 1
        hurt.chmod(0o600)
        hurt.write_bytes(data)
        config = str(tmp_path / "config.yaml")
        async with engine(tmp_path, {"acme": source(sim)}, {"out": file_sink(tmp_path / "out")}) as e:
            await e.until(lambda: any(report.requests for report in e.daemon._source_reports.values()))
            done = await run_import("--from", str(tmp_path / "archive"), "-c", config)
            assert done.exit_code == 1
            assert f"acme: {2 * OBJECT} new, 0 known already, 1 line left out" in done.stdout, done.output
            assert hurt.name in done.stderr
            await e.until(lambda: len(lines_of(tmp_path / "out")) == 2 * OBJECT)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "FILE or --from: missing"),
        (("x.ndjson", "--from", "archive"), "give one of the two"),
        (("x.ndjson", "--source", "acme", "--since", "1d"), "leave them out"),
        (("x.ndjson",), "--source: missing"),
        (("--from", "out"), "the sink out is not of type archive; write --from with"),
        (("--from", "ARCHIVE", "--source", "acne"), "its sources are: acme, other"),
        (("--from", "ARCHIVE", "--since", "soon"), "--since: not a time"),
        (("--from", "ARCHIVE", "--since", "1d", "--until", "2d"), "not before --until"),
        (("--from", "ARCHIVE", "--sink", "nobody"), "the sinks are: out"),
        (("--from", "NOWHERE"), "its sources are: none"),
    ],
)
async def test_what_cannot_be_meant_is_an_error_that_names_it(
    tmp_path: Path, words: tuple[str, ...], text: str
) -> None:
    await archived(tmp_path / "archive", [b'{"id":"e1"}'])
    await archived(tmp_path / "archive", [b'{"id":"e1"}'], "other")
    async with Simulator(SimulatorConfig(events=0)) as sim:
        async with engine(tmp_path, {"acme": source(sim)}, {"out": file_sink(tmp_path / "out")}) as e:
            await e.until(lambda: any(report.requests for report in e.daemon._source_reports.values()))
        places = {"ARCHIVE": str(tmp_path / "archive"), "NOWHERE": str(tmp_path / "nowhere")}
        done = await run_import(*(places.get(word, word) for word in words), "-c", str(tmp_path / "config.yaml"))
    assert done.exit_code == 2, done.output
    assert text in done.stderr


async def test_nothing_is_imported_for_a_sink_that_would_begin_behind_it(tmp_path: Path) -> None:
    await archived(tmp_path / "archive", [b'{"id":"e1"}'])
    config = str(tmp_path / "config.yaml")
    async with Simulator(SimulatorConfig(events=0)) as sim:
        sinks = {"out": file_sink(tmp_path / "out", start="now")}
        async with engine(tmp_path, {"acme": source(sim)}, sinks) as e:
            await e.until(lambda: any(report.requests for report in e.daemon._source_reports.values()))
    (tmp_path / "config.yaml").write_text((tmp_path / "config.yaml").read_text().replace("out:", "later:"))
    done = await run_import("--from", str(tmp_path / "archive"), "-c", config, "--sink", "later")
    assert (done.exit_code, "it has not begun yet" in done.stderr) == (2, True), done.output
