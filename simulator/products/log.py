"""The audit log of one product on one site: records by creation time, read newest first, as both products serve them.

A record may become visible later than it was created, behind records that were already read. Confluence's have no id:
two records of one millisecond can be the same bytes, and both exist.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec

from simulator.feed import Entry, Feed
from simulator.products.deeds import Deed, Deeds, Product
from simulator.products.records import confluence_record, jira_record, workspace_event
from simulator.world import uuid

if TYPE_CHECKING:
    from simulator.config import SimulatorConfig
    from simulator.world import Site, World

FIRST_NUMBER = 10_000


class ProductLog:
    """Everything that one product of one site has recorded, as records and as events of its workspace.

    Args:
        config: Settings; `products` says how many records exist at the start.
        seed: Part of the seed that is this organization's.
        now_ms: When the simulator starts.
    """

    def __init__(
        self, config: SimulatorConfig, world: World, site: Site, product: Product, seed: str, now_ms: int
    ) -> None:
        rng = random.Random(f"{product} {site.id} {seed}")
        self.product = product
        self.site = site
        self.feed = Feed()
        self.events = Feed()
        self._idents = random.Random(f"workspace {product} {site.id} {seed}")
        self._switches = config.products
        self._deeds = Deeds(world, site, product, rng, oddities=config.oddities)
        self._rng = rng
        self._number = FIRST_NUMBER
        self._encode = msgspec.json.Encoder().encode
        for deed in self._deeds.over(now_ms - int(config.history * 1000), now_ms - 1000, config.products.records):
            self.add(deed)
        self.feed.reveal(now_ms)

    @property
    def name(self) -> str:
        """Return how the ledger calls it."""
        return f"{self.product}:{self.site.id}"

    @property
    def workspace(self) -> str:
        """Return the id of the workspace, which is how the ledger calls its events."""
        return f"ari:cloud:{self.product}::site/{self.site.id}"

    def happen(self, count: int, now_ms: int) -> list[str]:
        """Record new deeds of this moment; return the ledger's names of the records."""
        return [self.add(self._deeds.at(now_ms)).id for _ in range(count)]

    def add(self, deed: Deed, ident: str = "") -> Entry:
        """Record one deed; now and then the record is late, or comes with a twin of the same bytes.

        Args:
            deed: What was done.
            ident: Id of the organization's event of the same deed, if it has one.
        """
        entry = self._add(deed, ident=ident)
        if self.product == "confluence" and self._rng.random() < self._switches.twins:
            self._add(deed, entry.body)
        return entry

    def newest_first(self, now_ms: int, lower: int | None, upper: int | None) -> list[Entry]:
        """Return what can be read now between two moments, both inclusive, newest first."""
        self.feed.reveal(now_ms)
        found = self.feed.newest_first()
        return [
            entry
            for entry in found
            if (lower is None or entry.time_ms >= lower) and (upper is None or entry.time_ms <= upper)
        ]

    def _add(self, deed: Deed, body: bytes = b"", ident: str = "") -> Entry:
        rng, switches = self._rng, self._switches
        self._number += 1
        if not body:
            record = jira_record(deed, self._number) if self.product == "jira" else confluence_record(deed)
            body = self._encode(record)
        name = str(self._number) if self.product == "jira" else f"~{self._number}"
        visible = deed.time_ms
        if switches.late and rng.random() < switches.late_share:
            visible += int(rng.random() * switches.late * 1000)
        if switches.workspaces.served:
            own = not ident or switches.workspaces.ids == "own"
            event = uuid(self._idents) if own else ident
            shown = self._encode(workspace_event(deed, event, self.product, self.site))
            self.events.add(event, deed.time_ms, deed.time_ms, visible, shown)
        return self.feed.add(name, deed.time_ms, deed.time_ms, visible, body)
