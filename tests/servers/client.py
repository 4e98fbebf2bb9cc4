"""A plain HTTP client for tests: the standard library only, so that it shares nothing with what it checks."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """What the server said; `json` is None when the body is none."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """One request a connection; slow, and nothing to leak."""

    url: str
    user: str = ""
    password: str = ""
    ca_file: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def request(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None, timeout: float = 30.0
    ) -> Answer:
        """Send bytes as NDJSON and anything else as JSON. Raises OSError, ssl.SSLError included."""
        sent = {**self.headers, **(headers or {})}
        if self.user and "Authorization" not in sent:
            sent["Authorization"] = "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        if isinstance(body, bytes):
            sent.setdefault("Content-Type", "application/x-ndjson")
        elif body is not None:
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        address = urlsplit(self.url)
        connection: http.client.HTTPConnection
        if address.scheme == "https":
            context = ssl.create_default_context(cafile=self.ca_file or None)
            connection = http.client.HTTPSConnection(
                str(address.hostname), address.port, timeout=timeout, context=context
            )
        else:
            connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=timeout)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, response.read())
        finally:
            connection.close()

    def get(self, path: str, body: Any = None) -> Any:
        """Ask and return the decoded answer. Raises AssertionError when it is not a 200."""
        answer = self.request("GET", path, body)
        assert answer.status == 200, answer.body[:2000]
        return answer.json

    def bulk(self, target: str, *pairs: tuple[dict[str, Any], dict[str, Any]]) -> list[dict[str, Any]]:
        """Send (action, document) pairs and return the result of each."""
        lines = b"".join(json.dumps(part).encode() + b"\n" for pair in pairs for part in pair)
        answer = self.request("POST", f"/{target}/_bulk", lines)
        assert answer.status == 200, answer.body[:2000]
        return [next(iter(item.values())) for item in answer.json["items"]]

    def healthy(self) -> bool:
        """Return whether the server answers and can store; never raises for one that is still starting."""
        try:
            return self.request("GET", "/_cluster/health?wait_for_status=yellow&timeout=2s", timeout=5.0).status == 200
        except (OSError, http.client.HTTPException):
            return False
