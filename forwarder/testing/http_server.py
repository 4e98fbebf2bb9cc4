"""A server on 127.0.0.1 that plays faults: the ground under far ends and feeds that are asked by HTTP.

Invariant: what a fault answers instead is never seen by `answer`; what it breaks on the wire was taken before.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from forwarder.testing.far_end import SECOND_SECRET, SECRET, secret_file
from simulator.http_types import Request, Response
from simulator.httpd import Server
from simulator.receivers.rules import Rule, due


class FaultyServer:
    """One server. A subclass says in `answer` how a good request is answered.

    Attributes:
        faults: How each fault is played.
        url: Scheme, host and port.
        secret: The credential that is good now.
        secret_file: The file that the component reads it from.
        requests: How many there were.
    """

    faults: ClassVar[Mapping[Any, Rule]] = {}

    def __init__(self, folder: Path) -> None:
        self.secret = SECRET
        self.secret_file = secret_file(folder, SECRET)
        self._rules: list[Rule] = []
        self._server = Server(self._handle)

    async def answer(self, request: Request) -> Response:
        """Answer one request as the real server would."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._server.url

    @property
    def requests(self) -> int:
        """How many requests there were."""
        return self._server.requests

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen, at the address it had before, with this certificate."""
        self._server.ssl = tls
        await self._server.start()

    async def close(self) -> None:
        """Stop listening and cut every connection. Raises what `answer` raised, if it did."""
        await self._server.close()
        if self._server.failures:
            raise ExceptionGroup("the server of the test failed while it answered", self._server.failures)

    def rotate(self) -> None:
        """Take only the second secret from now on."""
        self.secret = SECOND_SECRET

    def play(self, fault: Any, times: int | None = 1) -> None:
        """Misbehave in this way for so many requests, or for all."""
        self._rules.append(replace(self.faults[fault], times=times))

    def calm(self) -> None:
        """Forget every fault."""
        self._rules.clear()

    async def _handle(self, request: Request) -> Response:
        rule = due(self._rules)
        if rule.answer is not None:
            return rule.answer
        answer = await self.answer(request)
        return answer if rule.wire is None else replace(answer, misbehave=rule.wire)
