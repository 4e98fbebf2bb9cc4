"""doctor tries the admin port, and says what is in the way."""

import asyncio
import json
import socket

import pytest

from forwarder.admin.probe import examine
from forwarder.config.ports import AdminConfig
from simulator.http_types import Request, Response
from simulator.httpd import Server


async def look(listen: str) -> tuple[bool, str]:
    [finding] = await examine(AdminConfig(listen=listen))
    assert finding.ok or finding.fix
    return finding.ok, f"{finding.detail}; {finding.fix}"


async def test_a_port_that_is_free_and_one_of_any_number():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    assert (await look(f"127.0.0.1:{port}"))[0]
    assert (await look("127.0.0.1:0"))[0]


@pytest.mark.parametrize("ours", ["127.0.0.1", "0.0.0.0", "localhost"])
@pytest.mark.parametrize("theirs", ["127.0.0.1", "0.0.0.0"])
async def test_a_port_that_another_program_has(ours, theirs):
    with socket.socket() as held:
        held.bind((theirs, 0))
        held.listen()
        ok, words = await look(f"{ours}:{held.getsockname()[1]}")
    assert not ok
    assert "another program listens there; End the other program, or give admin.listen another port" in words


@pytest.mark.parametrize(
    ("answer", "ok"),
    [
        (Response(200, {}, json.dumps({"live": True, "reasons": []}).encode()), True),
        (Response(503, {}, json.dumps({"live": False, "reasons": ["x"]}).encode()), True),
        (Response(200, {}, b"<html>live</html>"), False),
        (Response(200, {}, b"5"), False),
        (Response(404, {}, b""), False),
    ],
)
async def test_who_has_it(answer, ok):
    async def handle(_: Request) -> Response:
        return answer

    async with Server(handle) as server:
        found, words = await look(server.url.removeprefix("http://"))
    assert found is ok
    assert ("the daemon listens" in words) is ok


@pytest.mark.parametrize(
    ("listen", "words"),
    [
        ("192.0.2.1:9464", "not an address of this machine"),
        ("nowhere.invalid:9464", "the name in admin.listen is unknown"),
    ],
)
async def test_addresses_that_are_not_ours(listen, words):
    ok, output = await look(listen)
    assert not ok
    assert words in output
    assert "admin.listen" in output


async def test_a_forwarder_of_another_spool_is_another_program(tmp_path):
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{"live":true}')
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        [finding] = await examine(AdminConfig(listen=f"127.0.0.1:{port}"), tmp_path / "spool.db")
    assert not finding.ok
    assert "another audit-forwarder listens there" in finding.detail
