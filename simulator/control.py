"""Control over HTTP, under `/_simulator/`: the ledger, faults, new events, keys. For tests and rehearsals only.

No authentication: whoever reaches the port may ask. The simulator listens on loopback unless told otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from simulator.faults import load_script
from simulator.http_types import Request, Response
from simulator.webhooks import SenderConfig

if TYPE_CHECKING:
    from simulator.simulator import Simulator


class Control:
    """Answers control requests for one simulator."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._routes = {
            ("GET", "ledger"): self._ledger,
            ("GET", "organizations"): self._organizations,
            ("GET", "faults"): self._faults,
            ("POST", "faults"): self._add_faults,
            ("DELETE", "faults"): self._clear_faults,
            ("POST", "events"): self._add_events,
            ("POST", "keys"): self._rotate_key,
        }
        self._sends = ("POST", "senders")

    async def answer(self, request: Request) -> Response:
        """Answer one request; a wrong one gets 400 with the reason."""
        asked = (request.method, request.path.removeprefix("/_simulator/"))
        route = self._routes.get(asked)
        if route is None and asked != self._sends:
            known = [" ".join(each) for each in (*self._routes, self._sends)]
            return Response.json({"error": "unknown", "known": known}, 404)
        try:
            return Response.json(route(request) if route is not None else await self._send(request))
        except (ValueError, KeyError, yaml.YAMLError) as error:
            return Response.json({"error": str(error)}, 400)

    def _ledger(self, request: Request) -> Any:
        """Show the counts; with `ids=1` how often each event was served, with `versions=1` every content's digest."""
        ledger = self._simulator.ledger
        query = request.query
        chosen = query.get("organization", ledger.organizations)
        shown = ledger.summary()
        if "ids" in query:
            shown["ids"] = {organization: ledger.served(organization) for organization in chosen}
        if "versions" in query:
            shown["versions"] = {organization: ledger.versions(organization) for organization in chosen}
        if "requests" in query:
            shown["log"] = list(ledger.requests)
        return shown

    def _organizations(self, request: Request) -> Any:
        del request
        simulator = self._simulator
        found = simulator.organizations.items()
        return {ident: {"name": org.world.name, "api_key": org.key.value} for ident, org in found}

    def _faults(self, request: Request) -> Any:
        del request
        script = self._simulator.faults.script
        rules = [rule.model_dump(by_alias=True, exclude_defaults=True) for rule in script.rules]
        return {"rules": rules, "fired": dict(self._simulator.ledger.faults)}

    def _add_faults(self, request: Request) -> Any:
        rules = load_script(request.decoded_body().decode())
        for rule in rules:
            self._simulator.faults.add(**rule)
        return {"added": len(rules)}

    def _clear_faults(self, request: Request) -> Any:
        del request
        self._simulator.faults.clear()
        return {}

    def _add_events(self, request: Request) -> Any:
        asked = msgspec.json.decode(request.decoded_body() or b"{}")
        return {"ids": self._simulator.add_events(int(asked.get("count", 1)), asked.get("organization"))}

    async def _send(self, request: Request) -> Any:
        asked = msgspec.json.decode(request.decoded_body() or b"{}")
        count, organization = int(asked.pop("count", 1)), asked.pop("organization", None)
        return (await self._simulator.send(SenderConfig(**asked), count, organization)).summary()

    def _rotate_key(self, request: Request) -> Any:
        asked = msgspec.json.decode(request.decoded_body() or b"{}")
        return {"api_key": self._simulator.rotate_key(asked.get("organization"))}
