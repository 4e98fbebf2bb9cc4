"""How many events a second the simulator serves on one core, in pages of 500, to a client that only counts bytes.

The server runs in a process of its own; its CPU time, not the clock, gives the figure, so that busy neighbours and the
client do not count. Run: `python -m bench.simulator [events]`.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
import time
from urllib.parse import quote, urlsplit

from simulator.config import SimulatorConfig
from simulator.simulator import Simulator

PASSES = 5


def server(events: int) -> None:
    """Serve; print where, and after a line on stdin the CPU seconds used so far."""

    async def run() -> None:
        async with Simulator(SimulatorConfig(events=events)) as simulator:
            loop = asyncio.get_running_loop()
            print(json.dumps([simulator.base_url, simulator.org_id, simulator.api_key]), flush=True)
            for _ in range(2):
                await loop.run_in_executor(None, sys.stdin.readline)
                used = resource.getrusage(resource.RUSAGE_SELF)
                print(used.ru_utime + used.ru_stime, flush=True)

    asyncio.run(run())


def read_page(connection: socket.socket, head: bytes) -> bytes:
    """Ask once over a kept connection and return the body."""
    connection.sendall(head)
    buffer = bytearray()
    while (end := buffer.find(b"\r\n\r\n")) < 0:
        buffer += connection.recv(1 << 20)
    lines = bytes(buffer[:end]).lower().split(b"\r\n")
    length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
    while len(buffer) < end + 4 + length:
        buffer += connection.recv(1 << 20)
    return bytes(buffer[end + 4 :])


def walk(url: str, org: str, key: str) -> int:
    """Read the whole stream once; return how many pages."""
    where = urlsplit(url)
    pages = 0
    query = "limit=500&sortOrder=asc&from=0"
    with socket.create_connection((where.hostname, where.port)) as connection:
        while True:
            target = f"/admin/v1/orgs/{org}/events-stream?{query}"
            head = f"GET {target} HTTP/1.1\r\nhost: {where.netloc}\r\nauthorization: Bearer {key}\r\n\r\n".encode()
            body = read_page(connection, head)
            if body.startswith(b'{"data":[]'):
                return pages
            pages += 1
            meta = json.loads(b"{" + body[body.rindex(b'"meta":') :])
            query = f"limit=500&cursor={quote(meta['meta']['next'], safe='')}"


def main() -> None:
    """Print the rate."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    code = f"from bench.simulator import server; server({events})"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def cpu() -> float:
            process.stdin.write("\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        where = json.loads(process.stdout.readline())
        before, began = cpu(), time.perf_counter()
        pages = sum(walk(*where) for _ in range(PASSES))
        took = time.perf_counter() - began
        used = cpu() - before
    served = PASSES * events
    print(f"{served} events in {pages} pages: {used / served * 1e6:.2f} µs CPU an event,", end=" ")
    print(f"{served / used:,.0f} events/s of one core ({served / took:,.0f} by the clock, with the client)")


if __name__ == "__main__":
    main()
