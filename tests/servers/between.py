"""Stands between a client and a server, and does to answers what networks do."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self


class Between:
    """Stands between a client and the server, and cuts, stalls or drips what the server answers.

    `fault` is cut, half, stall, garbage or nothing, and `hit` counts the answers that it befell.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.fault = ""
        self.hit = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.fault = ""

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", self._port)
        up = asyncio.create_task(self._pass_on(reader, behind_writer))
        try:
            while data := await behind_reader.read(65536):
                if self.fault:
                    self.hit += 1
                match self.fault:
                    case "cut":
                        break
                    case "half":
                        writer.write(data[: len(data) // 2])
                        break
                    case "stall":
                        await asyncio.sleep(30)
                    case "garbage":
                        writer.write(b"\x00\xff nothing that is HTTP\r\n\r\n")
                        break
                writer.write(data)
                await writer.drain()
        finally:
            up.cancel()
            behind_writer.close()
            with contextlib.suppress(OSError):
                await writer.drain()
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
