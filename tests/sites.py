"""Sources that read the products of a simulated Atlassian's sites, and what these have to deliver."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from simulator.config import Products, SimulatorConfig
from simulator.simulator import Simulator

if TYPE_CHECKING:
    from simulator.products.deeds import Product

QUICK = {"every": "50ms", "since": "30d", "trailing": "20s", "retry": {"base": "10ms", "max": "200ms"}}
"""Poll settings shrunk so that a test sees in a second what production sees in minutes."""


def products(records: int = 300, **more: Any) -> SimulatorConfig:
    """Return the settings of a simulator whose organization itself has no events."""
    return SimulatorConfig(events=0, products=Products(records=records, **more))


def of_sites(sim: Simulator, product: str, *sites: str, **more: Any) -> dict[str, Any]:
    """Return the settings of a source; of all sites, or of those named."""
    names = list(sites) or list(sim.sites)
    first = next(iter(sim.sites.values()))
    return {
        "type": product,
        **({"site": names[0]} if len(names) == 1 else {"sites": names}),
        "email": first.email,
        "token": first.scoped_token if more.get("api") == "workspace_events" else first.token,
        "site_url": f"{sim.base_url}/site/{{site}}",
        "gateway": sim.base_url,
        "budget": "fast",
        **QUICK,
        **more,
    }


def had_by(sim: Simulator, product: Product, *sites: str) -> list[str]:
    """Return the digest of every record of a product on some sites, or on all, sorted; twins are there twice."""
    logs = [sim.sites[name].logs[product] for name in sites or sim.sites]
    bodies = [body for log in logs for found in sim.ledger.bodies(log.name).values() for body in found]
    return sorted(hashlib.sha256(body).hexdigest() for body in bodies)
