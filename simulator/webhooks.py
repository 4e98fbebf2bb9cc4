"""Who sends: Guard Detect its alerts, and an organization its audit log's events, to an address on loopback.

As the real ones are known to: a few tries and then no more, in no order, late, the same one twice. What a sender was
told is kept, so that a test can compare: what was acknowledged must be there, and what was given up need not be.
"""

from __future__ import annotations

import asyncio
import http.client
import ipaddress
import json
import random
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulator.world import Person

What = Literal["alerts", "events"]


class SenderConfig(BaseModel):
    """How somebody sends."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    """Where to; on loopback, whatever is asked."""
    secret: str
    """What the header `authorization` holds."""
    what: What = "alerts"
    """`alerts` of Guard Detect, or `events` of the organization's audit log."""
    tries: int = Field(default=4, ge=1, le=20)
    """The first try and three more."""
    wait: float = Field(default=0.2, ge=0, le=3600)
    """Seconds before the second try; twice as many before each further one."""
    timeout: float = Field(default=10.0, gt=0, le=600)
    """Seconds for an answer."""
    doubles: float = Field(default=0.0, ge=0, le=1)
    """Share that is sent once more although it was acknowledged."""
    revised: float = Field(default=0.0, ge=0, le=1)
    """Share of the alerts that come once more with other content."""
    late: float = Field(default=0.0, ge=0, le=1)
    """Share that is sent `late_by` seconds later."""
    late_by: float = Field(default=1.0, ge=0, le=3600)
    shuffled: bool = False
    """Send in no order."""
    wrong_secret: float = Field(default=0.0, ge=0, le=1)
    """Share of the requests that bring another secret first."""
    together: int = Field(default=1, ge=1, le=1000)
    """Alerts or events in one request."""

    @field_validator("url")
    @classmethod
    def _is_on_loopback(cls, value: str) -> str:
        parts = urlsplit(value)
        host = parts.hostname or ""
        try:
            near = host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            near = False
        if parts.scheme != "http" or not near:
            msg = "sends to http:// on loopback only, such as http://127.0.0.1:9465/webhook/alerts"
            raise ValueError(msg)
        return value


class Sent:
    """What became of what was sent.

    Attributes:
        acknowledged: Ids that were answered with 200, and how often.
        given_up: Ids of which no try was.
        answers: Answers by status; 0 is none.
    """

    def __init__(self) -> None:
        self.acknowledged: Counter[str] = Counter()
        self.given_up: set[str] = set()
        self.answers: Counter[int] = Counter()

    def summary(self) -> dict[str, Any]:
        """Return the counts."""
        answers = {str(status): count for status, count in sorted(self.answers.items())}
        return {"acknowledged": len(self.acknowledged), "given_up": sorted(self.given_up), "answers": answers}


class Sender:
    """Sends to one address.

    Args:
        config: How.
        seed: Of everything that is drawn.
    """

    def __init__(self, config: SenderConfig, seed: int = 1) -> None:
        self._config = config
        self._rng = random.Random(f"sender {seed}")
        self.sent = Sent()

    async def send(self, bodies: Sequence[tuple[str, bytes]]) -> Sent:
        """Send what is given as id and JSON object; return what became of it, and of all before."""
        config, rng = self._config, self._rng
        found = list(bodies)
        if config.shuffled:
            rng.shuffle(found)
        requests = [found[at : at + config.together] for at in range(0, len(found), config.together)]
        late = [request for request in requests if rng.random() < config.late]
        now = [request for request in requests if not any(request is each for each in late)]
        await self._all(now)
        if late:
            await asyncio.sleep(config.late_by)
            await self._all(late)
        return self.sent

    async def _all(self, requests: list[list[tuple[str, bytes]]]) -> None:
        for request in requests:
            await self._request(request)
            if self._rng.random() < self._config.doubles:
                await self._request(request)
            if self._config.what == "alerts" and self._rng.random() < self._config.revised:
                await self._request([(ident, _revised(body)) for ident, body in request])

    async def _request(self, request: list[tuple[str, bytes]]) -> None:
        """Try as often as senders do."""
        config = self._config
        bodies = [body for _, body in request]
        body = bodies[0] if len(bodies) == 1 else b"[" + b",".join(bodies) + b"]"
        wait = config.wait
        for number in range(config.tries):
            wrong = number == 0 and config.tries > 1 and self._rng.random() < config.wrong_secret
            status = await asyncio.to_thread(self._post, body, "not-the-secret" if wrong else config.secret)
            self.sent.answers[status] += 1
            if 200 <= status < 300:
                self.sent.acknowledged.update(ident for ident, _ in request)
                return
            await asyncio.sleep(wait)
            wait *= 2
        self.sent.given_up |= {ident for ident, _ in request if ident not in self.sent.acknowledged}

    def _post(self, body: bytes, secret: str) -> int:
        parts = urlsplit(self._config.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=self._config.timeout)
        headers = {"authorization": secret, "content-type": "application/json"}
        try:
            connection.request("POST", parts.path or "/", body, headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            return 0
        else:
            return answer.status
        finally:
            connection.close()


def _revised(body: bytes) -> bytes:
    return json.dumps({**json.loads(body), "status": "updated"}).encode()


TITLES = (
    ("Suspicious search activity", "Searched"),
    ("Excessive page crawling", "Viewed pages"),
    ("User impersonated", "Logged in as user"),
    ("Organization admin added", "Added admin"),
    ("Admin API key created", "Created API key"),
    ("Space exported", "Exported"),
)
"""Made-up titles of alerts, after the families that are documented."""


def alert_of(ident: str, who: Person, organization: str, rng: random.Random, now_ms: int) -> bytes:
    """Return an alert that a detector could raise about an account."""
    title, action = rng.choice(TITLES)
    session = {
        "ipAddress": f"192.0.2.{rng.randrange(1, 255)}",
        "userAgent": "Mozilla/5.0 (X11; Linux x86_64)",
        "loginTime": now_ms - 3_600_000,
        "lastActiveTime": now_ms,
    }
    alert = {
        "alertDetailURL": f"https://admin.atlassian.com/o/{organization}/guard-detect/alerts/{ident}",
        "alertId": ident,
        "alertTitle": title,
        "detectionTime": now_ms,
        "activity": {"action": action, "time": {"start": now_ms - 60_000, "end": now_ms}, "subject": "payroll"},
        "actor": {"accountId": who.id, "name": who.name, "sessions": [session]},
        "alert": {"product": "Confluence"},
        "type": "alert",
        "workspace": {"orgId": organization},
    }
    return json.dumps(alert).encode()


def pushed_of(event: dict[str, Any]) -> bytes:
    """Return an event of the log as the webhook writes it: the same fields in another order, and no links."""
    return json.dumps({name: event[name] for name in reversed(event) if name != "links"}).encode()
