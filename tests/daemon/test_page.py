"""The page of a daemon that runs: acts reach it and are on record, and who follows the page does not keep it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path
from urllib.parse import urlencode

from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.daemon.engine import file_sink, lines_of, source
from tests.daemon.process import Process, write_config

ACTS = {"listen": "127.0.0.1:0", "acts_without_token": True}


async def post(process: Process, path: str, **fields: str) -> int:
    _, body = await process.get("/")
    ticket = re.search(r'name="ticket" value="(\w+)"', body.decode())
    assert ticket
    sent = urlencode({"ticket": ticket[1], **fields})
    reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{process.port}\r\nOrigin: http://127.0.0.1:{process.port}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(sent)}\r\nConnection: close\r\n\r\n"
    )
    writer.write((head + sent).encode())
    answer = await reader.read()
    writer.close()
    return int(answer.split(b" ", 2)[1])


async def test_a_sink_is_paused_and_resumed_from_the_page_and_the_record_says_who_did_it(tmp_path: Path) -> None:
    out = tmp_path / "out.ndjson"
    async with Simulator(SimulatorConfig(events=20, history="1h")) as sim:
        config = write_config(tmp_path, {"acme": source(sim)}, {"out": file_sink(out)}, admin=ACTS)
        async with Process(config) as process:
            await process.start()
            await process.until(lambda: len(lines_of(out)) >= 20)
            await process.until_got("/", b"Everything is read and delivered.")
            assert await post(process, "/do/pause", sink="out") == 303
            await process.until_status(lambda found: found["sinks"][0]["state"] == "paused")
            await process.until_got("/", b"Sink out is paused by hand.")
            sim.add_events(5)
            await process.until_status(lambda found: found["sinks"][0]["lag_events"] >= 5)
            assert await post(process, "/do/resume", sink="out") == 303
            await process.until(lambda: len(lines_of(out)) >= 25)
            for name in ("lane_paused", "lane_resumed"):
                entry = await process.until_logged(name)
                assert "the page, from 127.0.0.1" in str(entry)
            found = await process.until_status(lambda found: len(found["acts"]) == 2)
            assert [(act["verb"], act["about"], act["who"]) for act in found["acts"]] == [
                ("resumed", "out", "the page, from 127.0.0.1"),
                ("paused", "out", "the page, from 127.0.0.1"),
            ]
            await process.until_got("/", b"What runs is what the file")
            assert await process.stop() == 0


async def test_a_daemon_ends_in_order_while_its_page_is_followed_and_says_that_it_ends(tmp_path: Path) -> None:
    async with Simulator(SimulatorConfig(events=5, history="1h")) as sim:
        config = write_config(tmp_path, {"acme": source(sim)}, {"out": file_sink(tmp_path / "out.ndjson")})
        async with Process(config) as process:
            await process.start()
            await process.until_got("/", b"Everything is read and delivered.")
            assert b"<form" not in (await process.get("/"))[1], "without a token, or leave, nobody acts"
            streams = [await asyncio.open_connection("127.0.0.1", process.port, limit=2**22) for _ in range(3)]
            for reader, writer in streams:
                writer.write(f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{process.port}\r\n\r\n".encode())
                await reader.readuntil(b"data: <main")
            assert await process.stop() == 0
            assert process.logged("stopped")
            assert "server_close_failed" not in process.text
            for reader, writer in streams:
                assert (await reader.read()).endswith(b"0\r\n\r\n")
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()


async def test_a_changed_file_is_named_and_read_again_from_the_page(tmp_path: Path) -> None:
    async with Simulator(SimulatorConfig(events=5, history="1h")) as sim:
        parts = {"acme": source(sim)}, {"out": file_sink(tmp_path / "out.ndjson")}
        config = write_config(tmp_path, *parts, admin=ACTS)
        async with Process(config) as process:
            await process.start()
            await process.until_got("/", b"What runs is what the file")
            write_config(tmp_path, *parts, admin=ACTS, log={"format": "json", "level": "debug"})
            await process.until_status(lambda found: found["configuration"]["differs"] == ["log.level"])
            await process.until_got("/", b"is not what runs")
            assert await post(process, "/do/reload") == 303
            found = await process.until_status(lambda found: found["configuration"]["as_in_file"] is True)
            assert [(act["verb"], act["who"]) for act in found["acts"]] == [
                ("reloaded the configuration", "the page, from 127.0.0.1")
            ]
            assert await process.stop() == 0
