"""Asks the API of a cluster: what kubectl would ask, without it, and with the warnings that it answers."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

_COME_WITHIN = 120.0
_PLURALS = {
    "NetworkPolicy": "networkpolicies", "Ingress": "ingresses",
    "PriorityClass": "priorityclasses", "RuntimeClass": "runtimeclasses",
}  # fmt: skip
_OF_NO_NAMESPACE = {
    "CustomResourceDefinition", "Namespace", "Node", "PersistentVolume", "PriorityClass", "RuntimeClass",
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What the server said; `warnings` are its headers of this name."""

    status: int
    body: Any
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Cluster:
    """The API server at `url`, trusted by the file `authority`, asked with `token`."""

    url: str
    token: str
    authority: Path

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        trust = ssl.create_default_context(cafile=str(self.authority))
        trust.verify_flags &= ~ssl.VERIFY_X509_STRICT  # what Kubernetes makes for itself lacks an extension
        return trust

    def ask(self, method: str, path: str, body: Any = None, kind: str = "application/json", **query: str) -> Answer:
        """Send one request; JSON goes out and comes in."""
        connection = http.client.HTTPSConnection(urlsplit(self.url).netloc, context=self._trust, timeout=60)
        try:
            target = f"/{path}" + (f"?{urlencode(query)}" if query else "")
            headers = {"authorization": f"Bearer {self.token}", "content-type": kind, "accept": "application/json"}
            connection.request(method, target, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            said = json.loads(text) if text.startswith("{") else text
            return Answer(answer.status, said, tuple(answer.headers.get_all("warning") or ()))
        finally:
            connection.close()

    def ready(self) -> bool:
        """Whether it answers and says that it is ready."""
        try:
            return self.ask("GET", "readyz").body == "ok"
        except OSError:
            return False

    def path(self, manifest: dict[str, Any]) -> str:
        """Return where an object is, such as `apis/apps/v1/namespaces/audit/statefulsets/x`."""
        group, kind, metadata = manifest["apiVersion"], manifest["kind"], manifest["metadata"]
        root = f"apis/{group}" if "/" in group else f"api/{group}"
        inside = "" if kind in _OF_NO_NAMESPACE else f"/namespaces/{metadata['namespace']}"
        return f"{root}{inside}/{_PLURALS.get(kind, f'{kind.lower()}s')}/{metadata['name']}"

    def apply(self, manifest: dict[str, Any], **query: str) -> Answer:
        """Apply an object on the server, strictly: a field it does not know is an error. Raises AssertionError."""
        how = {"fieldManager": "tests", "fieldValidation": "Strict", **query}
        answer = self.ask("PATCH", self.path(manifest), manifest, "application/apply-patch+yaml", **how)
        assert answer.status in {200, 201}, answer.body
        return answer

    def get(self, path: str) -> Any:
        """Return an object or a list; None when there is none."""
        answer = self.ask("GET", path)
        assert answer.status in {200, 404}, answer.body
        return answer.body if answer.status == 200 else None

    def nodes_ready(self) -> int:
        """Return how many nodes are ready."""
        conditions = [one for node in self.get("api/v1/nodes")["items"] for one in node["status"].get("conditions", ())]
        return sum(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    def serves(self, group: str, kind: str) -> bool:
        """Whether it knows this kind of object."""
        found = self.get(f"apis/{group}") or {"resources": []}
        return kind in [resource["kind"] for resource in found["resources"]]

    def come(self, path: str, until: Any) -> Any:
        """Wait until an object is as wanted, and return it. Raises AssertionError with what it is instead."""
        deadline = time.monotonic() + _COME_WITHIN
        while True:
            found = self.get(path)
            if until(found):
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
