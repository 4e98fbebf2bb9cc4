"""Who sends alerts and events: as often as asked, on loopback only, and it knows what became of each."""

from __future__ import annotations

import json
from typing import Self

import pytest
from pydantic import ValidationError

from simulator.config import SimulatorConfig
from simulator.http_types import Request, Response
from simulator.httpd import Server
from simulator.simulator import Simulator
from simulator.webhooks import SenderConfig
from tests.simulator.asking import exchange, parse

PATH = "/_simulator/senders"
SECRET = "sixteen-letters-at-least"


class Receiver:
    """Remembers what it is sent, and answers what it is told to."""

    def __init__(self, *answers: int) -> None:
        self.bodies: list[object] = []
        self.secrets: list[str] = []
        self._answers = list(answers)
        self.server = Server(self._handle)

    async def _handle(self, request: Request) -> Response:
        self.secrets.append(request.headers.get("authorization", ""))
        self.bodies.append(json.loads(request.body))
        return Response.json({}, self._answers.pop(0) if self._answers else 200)

    async def __aenter__(self) -> Self:
        await self.server.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.server.close()

    def config(self, **more: object) -> SenderConfig:
        return SenderConfig(url=f"{self.server.url}/x", secret=SECRET, wait=0, **more)


async def test_it_tries_again_and_gives_up_as_senders_do():
    async with Receiver(503, 200, 500, 500, 500) as there, Simulator(SimulatorConfig(events=0)) as sim:
        sent = await sim.send(there.config(tries=3), 2)
        assert dict(sent.answers) == {503: 1, 200: 1, 500: 3}
        assert (len(sent.acknowledged), len(sent.given_up)) == (1, 1)
        assert set(there.secrets) == {SECRET}


async def test_doubles_revisions_and_another_secret_come_as_often_as_asked():
    async with Receiver(401) as there, Simulator(SimulatorConfig(events=0)) as sim:
        sent = await sim.send(there.config(doubles=1, revised=1, wrong_secret=1), 1)
        assert there.secrets.count("not-the-secret") == 3
        [ident] = sent.acknowledged
        assert {body["alertId"] for body in there.bodies} == {ident}
        assert [body.get("status") for body in there.bodies][-1] == "updated"


async def test_events_are_sent_in_another_shape_and_are_in_the_log():
    async with Receiver() as there, Simulator(SimulatorConfig(events=0)) as sim:
        sent = await sim.send(there.config(what="events", together=5, shuffled=True), 12)
        assert [len(body) if isinstance(body, list) else 1 for body in there.bodies] == [5, 5, 2]
        assert set(sent.acknowledged) == set(sim.ledger.versions())
        assert all("links" not in event for body in there.bodies for event in body)


async def test_it_is_asked_for_over_http():
    async with Receiver() as there, Simulator(SimulatorConfig(events=0)) as sim:
        asked = {"url": f"{there.server.url}/x", "secret": SECRET, "count": 3}
        answer = parse(await exchange(sim, PATH, method="POST", body=json.dumps(asked).encode()))
        assert answer.status == 200
        assert json.loads(answer.body) == {"acknowledged": 3, "given_up": [], "answers": {"200": 3}}
        far = b'{"url": "http://example.com/", "secret": "x"}'
        wrong = parse(await exchange(sim, PATH, method="POST", body=far))
        assert wrong.status == 400


@pytest.mark.parametrize("url", ["http://example.com/x", "https://127.0.0.1/x", "http://192.0.2.1/", "127.0.0.1", ""])
def test_it_sends_to_loopback_only(url):
    with pytest.raises(ValidationError, match="loopback"):
        SenderConfig(url=url, secret=SECRET)
