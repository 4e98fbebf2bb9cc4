"""The admin port under strangers: however many there are and whatever they send, a probe is answered and events flow."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from forwarder.admin.server import AdminServer
from forwarder.contracts import Secret
from forwarder.net.connections import EVERY, MOST, OpenConnections, most_connections
from simulator.config import SimulatorConfig
from simulator.simulator import Simulator
from tests.daemon.engine import file_sink, lines_of, source
from tests.daemon.process import Process, write_config
from tests.observe.reports import full_report, lane_report

STRANGERS = 2000
SAYING = {
    "nothing": b"",
    "half a request": b"GET /livez HTTP/1.1\r\nHost: loc",
    "a request and half of one": b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET /li",
    "a body that never comes": b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n",
    "many requests at once": b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" * 4,
    "no HTTP": b"\x16\x03\x01\x00\xa5\x01\x00\x00",
}


@pytest.fixture
def many() -> Iterator[int]:
    """Yield how many connections this process can open, 2 000 if the machine lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, max(soft, STRANGERS + 1000)) if hard != resource.RLIM_INFINITY else STRANGERS + 1000
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield min(STRANGERS, wanted - 600)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def connect(port: int, word: bytes) -> socket.socket:
    stranger = socket.socket()
    stranger.setblocking(False)
    await asyncio.get_running_loop().sock_connect(stranger, ("127.0.0.1", port))
    with contextlib.suppress(OSError):  # it may be cut already
        stranger.send(word)
    return stranger


async def ask(port: int, path: str, headers: str = "", host: str = "localhost") -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), body
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def serving(**options: object):
    listen, token = options.pop("listen", "127.0.0.1:0"), options.pop("token", None)
    server = AdminServer(listen, token, (), full_report_now, **options)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


def full_report_now():
    now = time.monotonic()
    return full_report(
        now=time.time(), loop_alive=now, spool_alive=now, lanes=[lane_report(state="held", reason="org-17 says: no")]
    )


@pytest.mark.parametrize("word", SAYING.values(), ids=SAYING)
async def test_probes_are_answered_under_2000_strangers(many: int, word: bytes) -> None:
    strangers = []
    try:
        async with serving() as server:
            for number in range(many):
                strangers.append(await connect(server.port, word))
                if number % 100 == 0:
                    assert (await ask(server.port, "/livez"))[0] == 200
            for path in ("/livez", "/readyz", "/metrics", "/status"):
                assert (await ask(server.port, path))[0] == 200
            assert len(server._listener._connections) <= MOST
    finally:
        for stranger in strangers:
            stranger.close()


async def test_strangers_cost_one_line_of_the_log(many: int) -> None:
    strangers = []
    with structlog.testing.capture_logs() as lines:
        async with serving() as server:
            for _ in range(many):
                strangers.append(await connect(server.port, b""))
            assert (await ask(server.port, "/livez"))[0] == 200
    for stranger in strangers:
        stranger.close()
    assert [line["event"] for line in lines] == ["admin_connections_cut"]
    assert str(MOST) in lines[0]["reason"]
    assert "127.0.0.1" in lines[0]["most_from"]


class Caller:
    """A connection as the list of connections sees it."""

    def __init__(self, peer: str, *, answered: bool = False) -> None:
        self.peer = peer
        self.is_answered = answered
        self.gone = False

    def cut(self) -> None:
        self.gone = True


def test_who_has_most_is_cut_first_and_who_is_answered_last() -> None:
    connections = OpenConnections(lambda: 0.0, 6)
    probe, busy = Caller("10.0.0.1"), Caller("10.0.0.2", answered=True)
    flood = [Caller("10.0.0.2") for _ in range(4)]
    for caller in (probe, busy, *flood):
        connections.enter(caller)
    late = Caller("10.0.0.3")
    connections.enter(late)
    assert [caller.gone for caller in (probe, busy, late, *flood)] == [False, False, False, True, False, False, False]
    connections.leave(late)
    connections.leave(late)
    assert len(connections) == 5


def test_when_all_are_answered_the_oldest_of_the_busiest_goes() -> None:
    connections = OpenConnections(lambda: 0.0, 2)
    first, second, third = (Caller("a", answered=True) for _ in range(3))
    for caller in (first, second, third):
        connections.enter(caller)
    assert (first.gone, second.gone, third.gone) == (True, False, False)


def test_a_line_a_minute_counts_what_was_cut() -> None:
    now = [0.0]
    connections = OpenConnections(lambda: now[0], 1)
    with structlog.testing.capture_logs() as lines:
        for _ in range(10):
            connections.enter(Caller("a"))
        now[0] = EVERY
        connections.enter(Caller("b"))
    assert [line["cut"] for line in lines] == [1, 9]


def test_there_are_fewer_connections_where_there_are_fewer_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, wanted in ((resource.RLIM_INFINITY, MOST), (100_000, MOST), (400, 100), (16, 8)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert most_connections() == wanted


async def test_events_flow_and_probes_answer_where_descriptors_are_few(tmp_path: Path) -> None:
    few = ("bash", "-c", 'ulimit -n 128; exec "$0" "$@"')
    out = tmp_path / "out.ndjson"
    async with Simulator(SimulatorConfig(events=100, history="2d")) as sim:
        config = write_config(tmp_path, {"acme": source(sim)}, {"out": file_sink(out)})
        async with Process(config, prefix=few) as process:
            await process.start()
            await process.until(lambda: len(lines_of(out)) >= 100)
            strangers = []
            try:
                for number in range(600):
                    strangers.append(await connect(process.port, b"GET /"))
                    if number % 100 == 0:
                        assert (await process.get("/livez"))[0] == 200
                sim.add_events(20)
                await process.until(lambda: len(lines_of(out)) >= 120)
                assert (await process.get("/livez"))[0] == (await process.get("/readyz"))[0] == 200
            finally:
                for stranger in strangers:
                    stranger.close()
            assert len(process.logged("admin_connections_cut")) == 1
            assert "socket.accept" not in process.text  # "accepted" is in the daemon's own lines
            assert len(process.text.splitlines()) < 50
            assert await process.stop() == 0


# ------------------------------------------------------------------------------------ what strangers learn


async def test_beyond_loopback_a_probe_learns_yes_or_no_and_not_why() -> None:
    async with serving(listen="0.0.0.0:0", token=Secret("the-token")) as server:
        for path in ("/readyz", "/livez"):
            for wrong in ("", "Authorization: Bearer x\r\n", "Authorization: Basic the-token\r\n"):
                status, body = await ask(server.port, path, wrong)
                assert (status, body) == (200, b'{"%s":true}' % (b"ready" if path == "/readyz" else b"live"))
        _, body = await ask(server.port, "/readyz", "Authorization: Bearer the-token\r\n")
        assert b"org-17 says: no" in body
    async with serving(listen="0.0.0.0:0") as server:
        assert (await ask(server.port, "/readyz"))[1] == b'{"ready":true}'
    async with serving() as server:
        assert b"org-17 says: no" in (await ask(server.port, "/readyz"))[1]


FOREIGN = [
    "[::1].evil.example.com", "[::1]evil.example.com", "[::1]:80.evil.example.com", "[::1]@evil.example.com", "[::1", "::1",
    "[::1]]", "[localhost]", "[127.0.0.1]", "[::1%evil.example.com]", "[::1%25lo].evil.example.com",
    "127.0.0.1.evil.example.com", "127.0.0.1:80:evil.example.com", "127.0.0.1:evil.example.com", "127.0.0.1%evil.example.com",
    "127.0.0.1/evil.example.com", "127.0.0.1#evil.example.com", "127.0.0.1?evil.example.com", "127.0.0.1\\evil.example.com",
    "localhost:80@evil.example.com", "localhost@evil.example.com", "user@localhost", "localhost,evil.example.com",
    "localhost evil.example.com", "localhost:80 evil.example.com", "localhost.evil.example.com", "evil.example.com:localhost",
    "LOCALHOST.EVIL.EXAMPLE.COM", "localhost..", "", ":80", ".", "0x7f.1", "2130706433", "127.1", "[::ffff:127.0.0.1].evil",
]  # fmt: skip


@pytest.mark.parametrize("host", FOREIGN)
async def test_a_host_that_only_begins_as_ours_is_foreign(host: str) -> None:
    async with serving() as server:
        status, body = await ask(server.port, "/status", host=host)
        assert status in {400, 421}, body
        assert b"acme" not in body


@pytest.mark.parametrize(
    "host", ["[::1]", "[::1]:80", "[::1]:", "LOCALHOST:1", "localhost.", "127.0.0.1.", "127.8.8.8:9"]
)
async def test_our_own_names_are_known_in_every_spelling(host: str) -> None:
    async with serving() as server:
        assert (await ask(server.port, "/status", host=host))[0] == 200


async def test_a_target_that_is_a_whole_url_reaches_nothing() -> None:
    async with serving() as server:
        for target in ("http://evil.example.com/status", "http://localhost/status", "//evil.example.com/status", "*"):
            status, body = await ask(server.port, target)
            assert status in {400, 404, 421}
            assert b"acme" not in body
