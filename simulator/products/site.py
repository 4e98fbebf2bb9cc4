"""One cloud site: its name, its cloud id, who may read its audit logs, and the logs of its products."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from simulator.products.log import ProductLog

if TYPE_CHECKING:
    from simulator.config import SimulatorConfig
    from simulator.products.deeds import Product
    from simulator.world import Site, World


class CloudSite:
    """A site of a world.

    Attributes:
        email: Of the administrator whose tokens are known.
        token: Without scopes: good on the site's own host.
        scoped_token: With scopes: good at the gateway.
        may_read: Whether that person is an administrator of the products.
    """

    def __init__(self, config: SimulatorConfig, world: World, site: Site, number: int, seed: str, now_ms: int) -> None:
        keys = random.Random(f"tokens {seed}")  # one person, on every site
        self.name = site.name
        self.cloud_id = site.id
        self.number = number
        self.email = world.admins[0].email
        self.token = f"ATATTsim{keys.getrandbits(192):048x}"
        self.scoped_token = f"ATATTsim{keys.getrandbits(192):048x}"
        self.may_read = True
        products: tuple[Product, ...] = ("jira", "confluence")
        self.logs = {product: ProductLog(config, world, site, product, seed, now_ms) for product in products}
