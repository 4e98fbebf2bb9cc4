"""The simulator as one object: organizations, API, faults and ledger behind one port.

Use it inside a test (`async with Simulator(config) as sim`) or let it run (`serve`). Time comes from the given clock;
while it runs with a rate, events appear by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Self

from simulator import effects
from simulator.api import Api
from simulator.config import SimulatorConfig
from simulator.control import Control
from simulator.cursors import Cursors
from simulator.faults import FaultScript, Occasion
from simulator.httpd import Request, Response, Server
from simulator.ledger import Ledger
from simulator.organization import Organization
from simulator.products.cloud import CloudProducts
from simulator.products.datacenter import DataCenter, Page
from simulator.products.datacenter import route as datacenter_route
from simulator.products.workspace import Workspaces
from simulator.products.workspace import route as workspace_route
from simulator.webhooks import Sender, pushed_of

if TYPE_CHECKING:
    import ssl as ssl_module
    from collections.abc import Callable

    from simulator.faults import Rule, What
    from simulator.webhooks import SenderConfig, Sent

_TICK = 0.05


class Faults:
    """The fault script as a test uses it: add now, ask how often it fired."""

    def __init__(self, script: FaultScript, clock: Callable[[], float]) -> None:
        self.script = script
        self._clock = clock

    def add(self, what: What, **parameters: Any) -> Rule:
        """Add one rule, armed from this moment; parameters as in `faults.Rule` (`for` may be written `lasts`)."""
        return self.script.add(what, now=self._clock(), **parameters)

    def fired(self, label: str) -> int:
        """Return how often a fault of this name has fired."""
        return self.script.fired(label)

    def clear(self) -> None:
        """Forget every rule; what has been counted stays."""
        self.script.clear()


class Simulator:
    """A whole simulated Atlassian.

    Args:
        config: Settings; the defaults serve one organization with 10 000 events.
        clock: Returns epoch seconds.
        ssl: Serve over TLS with this context.
    """

    def __init__(
        self,
        config: SimulatorConfig | None = None,
        *,
        clock: Callable[[], float] = time.time,
        ssl: ssl_module.SSLContext | None = None,
    ) -> None:
        self.config = config or SimulatorConfig()
        self.clock = clock
        now = clock()
        built = [Organization(self.config, number, now) for number in range(self.config.organizations)]
        self.organizations = {organization.id: organization for organization in built}
        self.ledger = Ledger()
        for organization in built:
            self.ledger.open(organization.id, organization.feed)
            self.ledger.stories[organization.id] = organization.stories
        self.sites = {site.name: site for organization in built for site in organization.sites}
        for site in self.sites.values():
            for log in site.logs.values():
                self.ledger.open(log.name, log.feed)
                if self.config.products.workspaces.served:
                    self.ledger.open(log.workspace, log.events)
        script = FaultScript(self.config.faults, seed=self.config.seed, now=now, counts=self.ledger.faults)
        self.faults = Faults(script, clock)
        # Serials begin at the time, so that cursors of a restarted simulator are newer than those before.
        self.cursors = Cursors(f"cursors {self.config.seed}", int(now * 1000))
        self._api = Api(self.config, self.organizations, self.ledger, script, self.cursors, clock)
        self._products = CloudProducts(self.config, list(self.sites.values()), self.ledger, script, clock)
        self._workspaces = Workspaces(self.config, list(self.sites.values()), self.ledger, script, self.cursors, clock)
        self.datacenters: dict[str, DataCenter] = {}
        self.senders: dict[str, Sender] = {}
        self._control = Control(self)
        self.server = Server(self._handle, host=self.config.host, port=self.config.port, ssl=ssl)
        self._living: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------------------------------------- what to know

    @property
    def base_url(self) -> str:
        """Return what to configure as `base_url`."""
        return self.server.url

    @property
    def org_ids(self) -> list[str]:
        """Return the ids of all organizations."""
        return list(self.organizations)

    @property
    def org_id(self) -> str:
        """Return the id of the first organization."""
        return self.org_ids[0]

    @property
    def api_key(self) -> str:
        """Return the present key of the first organization."""
        return self.organizations[self.org_id].key.value

    def api_key_of(self, organization: str) -> str:
        """Return the present key of an organization."""
        return self.organizations[organization].key.value

    # ---------------------------------------------------------------------------------------------------- what to do

    def add_events(self, count: int, organization: str | None = None) -> list[str]:
        """Let `count` events be processed now, in one organization or the first; return their ids."""
        return self._organization(organization).happen(count, self._now_ms())

    def add_raw(self, body: bytes, ident: str, organization: str | None = None, *, time_ms: int | None = None) -> None:
        """Log one event exactly as given, processed now."""
        now = self._now_ms()
        self._organization(organization).add_raw(body, ident, now if time_ms is None else time_ms, now)

    async def send(self, config: SenderConfig, count: int, organization: str | None = None) -> Sent:
        """Let `count` alerts be raised, or events be processed now, and send them; return what became of all so far.

        One sender for each address and settings: it draws on, and its counts go on.
        """
        found = self._organization(organization)
        sender = self.senders.setdefault(config.model_dump_json(), Sender(config, self.config.seed))
        if config.what == "events":
            bodies = [(ident, pushed_of(found.body_of(ident))) for ident in found.happen(count, self._now_ms())]
        else:
            bodies = [found.alert(self._now_ms()) for _ in range(count)]
        return await sender.send(bodies)

    def add_datacenter(self, datacenter: DataCenter) -> DataCenter:
        """Serve a Data Center product under `/dc/<product>`, and keep its books."""
        self.datacenters[datacenter.server] = datacenter
        self.ledger.open(f"datacenter:{datacenter.server}", datacenter.feed)
        return datacenter

    def rotate_key(self, organization: str | None = None) -> str:
        """Revoke the present key; return the new one."""
        return self._organization(organization).rotate_key().value

    async def down(self) -> None:
        """Refuse connections, and cut those that are open, until `up`."""
        await self.server.close()

    async def up(self) -> None:
        """Listen again on the same port."""
        await self.server.start()
        self._api.base_url = self.server.url

    async def start(self) -> None:
        """Listen, and let time flow when there is a rate."""
        await self.up()
        if self.config.rate or self.config.products.rate:
            self._living = asyncio.create_task(self._live())

    async def close(self) -> None:
        """Stop. Safe to call twice. Raises what a request handler raised, if one did."""
        living, self._living = self._living, None
        if living is not None:
            living.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await living
        await self.server.close()
        if self.server.failures:
            raise ExceptionGroup("the simulator failed while it answered", self.server.failures)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    # -------------------------------------------------------------------------------------------------------- inside

    def _organization(self, ident: str | None) -> Organization:
        return self.organizations[ident or self.org_id]

    def _now_ms(self) -> int:
        return int(self.clock() * 1000)

    async def _handle(self, request: Request) -> Response:
        if request.path.startswith("/_simulator/"):
            return await self._control.answer(request)
        if (cloud := self._products.route(request.path)) is not None:
            return self._products.answer(request, cloud)
        if (workspace := workspace_route(request.target)) is not None:
            return self._workspaces.answer(request, workspace)
        if (own := datacenter_route(request.path)) is not None and own["server"] in self.datacenters:
            return self._datacenter(request, self.datacenters[own["server"]], own["path"])
        return await self._api.handle(request)

    def _datacenter(self, request: Request, datacenter: DataCenter, path: str) -> Response:
        """Answer for a Data Center product, with the faults of the script, and keep the books."""
        now, number = self.clock(), list(self.datacenters).index(datacenter.server)
        name = f"datacenter:{datacenter.server}"
        due = self.faults.script.due(Occasion("datacenter", name, number, now))
        rule = next((rule for rule in due if rule.what in effects.ANSWERS or rule.what in effects.WIRES), None)
        page, torn = Page(Response()), False
        if rule is not None and rule.what in effects.ANSWERS:
            page = Page(effects.ANSWERS[rule.what](rule, now))
        else:
            page = datacenter.answer(request, path, int(now * 1000))
            if rule is not None and page.response.status == 200:
                torn = effects.spoil(rule, page.response)
            else:
                rule = None
        if rule is not None:
            self.faults.script.fire(rule, now)
        label, status = rule.label if rule is not None else "", page.response.status
        self.ledger.note(now, name, "datacenter", request.query_string, status, page.entries, torn=torn, fault=label)
        return page.response

    async def _live(self) -> None:
        last = self.clock()
        owed = records = 0.0
        while True:
            await asyncio.sleep(_TICK)
            now = self.clock()
            owed += max(0.0, now - last) * self.config.rate
            records += max(0.0, now - last) * self.config.products.rate
            last = now
            for organization in self.organizations.values():
                organization.happen(int(owed), int(now * 1000))
            for site in self.sites.values():
                for log in site.logs.values():
                    log.happen(int(records), int(now * 1000))
            owed -= int(owed)
            records -= int(records)


async def serve(
    config: SimulatorConfig,
    *,
    clock: Callable[[], float] = time.time,
    ready: Callable[[Simulator], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Run a simulator until `stop` is set, or forever; `ready` is called once it listens."""
    async with Simulator(config, clock=clock) as simulator:
        if ready is not None:
            ready(simulator)
        await (stop or asyncio.Event()).wait()
