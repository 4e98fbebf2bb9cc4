"""How a connection of our own servers ends."""

from __future__ import annotations

import asyncio
import ssl

import pytest
import trustme

from forwarder.net.listener import abort


@pytest.mark.parametrize("times", [0, 1, 2])
async def test_a_connection_over_tls_can_be_cut_however_often_it_was_closed(times: int) -> None:
    authority = trustme.CA()
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    authority.configure_trust(ours)
    accepted: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(lambda _, writer: accepted.set_result(writer), "127.0.0.1", 0, ssl=theirs)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=ours)
    connection = (await accepted).transport
    try:
        for _ in range(times):
            connection.close()
        abort(connection)
        assert await reader.read() == b""
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()
        server.close()
