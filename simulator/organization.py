"""One simulated organization: its world, its keys and its log, and how happenings get into that log.

Decides what is late, what appears behind the cursor and what is issued twice; the order of dice is fixed, so that the
same seed, clock and settings log the same bytes.
"""

from __future__ import annotations

import contextlib
import gc
import random
from typing import TYPE_CHECKING, Any

import msgspec

from simulator import stories
from simulator.feed import Entry, Feed
from simulator.happenings import Background, Happening
from simulator.limits import Key
from simulator.products.deeds import membership
from simulator.products.site import CloudSite
from simulator.render import Renderer
from simulator.webhooks import alert_of
from simulator.world import World, uuid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator.config import SimulatorConfig

_SETTLED = 5_000
"""Milliseconds before the start in which nothing happens, so that the whole history has been processed."""


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Pause the cyclic collector: a history is small objects that all stay; looking through them doubles the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Organization:
    """Everything that belongs to one organization id.

    Args:
        config: Settings of the simulator.
        number: Which organization, from 0; part of the seed.
        now: When the simulator starts, epoch seconds.
    """

    def __init__(self, config: SimulatorConfig, number: int, now: float) -> None:
        seed = f"{config.seed}/{number}"
        self._config = config
        self._rng = random.Random(f"log {seed}")
        self.world = World(seed)
        self.id = self.world.id
        self._people = {person.id: person for person in self.world.people}
        self.feed = Feed()
        self.stories: dict[str, list[str]] = {}
        self._background = Background(self.world, random.Random(f"week {seed}"))
        self._live = self._background.forever()
        self._renderer = Renderer(
            self.world,
            random.Random(f"oddities {seed}"),
            oddities=config.oddities,
            stored=config.ugc == "stored",
        )
        self._keys = random.Random(f"keys {seed}")
        self._alerts = random.Random(f"alerts {seed}")
        value = config.key.value or self._key_text()
        if config.key.value and number:
            value += f"-{number}"
        expires = now + config.key.expires if config.key.expires else None
        self.keys = {value: Key(value, self.id, expires, frozenset(config.key.scopes))}
        self.key = self.keys[value]
        if config.events:
            with _uncollected():
                self._write_history(int(now * 1000))
        self.feed.reveal(int(now * 1000))
        self.sites: list[CloudSite] = []
        if config.products.records or config.products.rate:
            places = enumerate(self.world.sites)
            self.sites = [CloudSite(config, self.world, site, place, seed, int(now * 1000)) for place, site in places]

    def rotate_key(self) -> Key:
        """Revoke the present key and make a new one that does not expire."""
        self.key.revoked = True
        value = self._key_text()
        self.key = self.keys[value] = Key(value, self.id, None, self.key.scopes)
        return self.key

    def happen(self, count: int, now_ms: int) -> list[str]:
        """Log new events that are processed now; return their ids."""
        return [self._log_live(next(self._live), now_ms).id for _ in range(count)]

    def add_raw(self, body: bytes, ident: str, time_ms: int, now_ms: int) -> Entry:
        """Log one event exactly as given, processed now."""
        return self.feed.add(ident, time_ms, now_ms, now_ms, body)

    def body_of(self, ident: str) -> dict[str, Any]:
        """Return the newest version of an event. Raises KeyError when there is none."""
        found: dict[str, Any] = msgspec.json.decode(self.feed.versions()[ident][-1].body)
        return found

    def alert(self, now_ms: int) -> tuple[str, bytes]:
        """Return an alert at something that could happen now, which no log tells of: its id and its JSON."""
        ident = uuid(self._alerts)
        return ident, alert_of(ident, self._alerts.choice(self.world.people), self.id, self._alerts, now_ms)

    def new_id(self) -> str:
        """Return an event id that was never used."""
        return uuid(self._rng)

    # --------------------------------------------------------------------------------------------------- writing

    def _key_text(self) -> str:
        return f"ATCTTsim{self._keys.getrandbits(192):048x}"

    def _write_history(self, now_ms: int) -> None:
        config, rng = self._config, self._rng
        start, end = now_ms - int(config.history * 1000), now_ms - _SETTLED
        by_story: dict[str, list[Happening]] = {}
        if config.stories and config.events >= stories.EVENTS_NEEDED:
            by_story = stories.tell(self.world, rng, start, end)
        plain = self._background.over(start, end, config.events - sum(map(len, by_story.values())))
        self.stories = {name: [] for name in by_story}
        everything: list[tuple[int, int, Happening, str]] = []
        for name, happenings in (("", plain), *by_story.items()):
            for happening in happenings:
                processed = happening.time_ms + self._delay()
                if not name and rng.random() < config.late_share:
                    processed = min(processed + int(rng.random() * config.late_up_to * 1000), now_ms)
                everything.append((processed, len(everything), happening, name))
        everything.sort()
        for processed, _, happening, name in everything:
            entry = self._log(happening, min(processed, now_ms), now_ms)
            if name:
                self.stories[name].append(entry.id)

    def _delay(self) -> int:
        return min(100 + int(self._rng.random() * self._config.delay * 1000), _SETTLED)

    def _log_live(self, happening: Happening, now_ms: int) -> Entry:
        happening.time_ms = now_ms - self._delay()
        if self._rng.random() < self._config.late_share:
            happening.time_ms -= int(self._rng.random() * self._config.late_up_to * 1000)
        entry = self._log(happening, now_ms, None)
        self._tell_products(happening, now_ms, entry.id)
        return entry

    def _tell_products(self, happening: Happening, now_ms: int, ident: str) -> None:
        """Let the products record what they record of an organization's event too."""
        if happening.action != "user_added_to_group":
            return
        whom, group = happening.context
        for site in self.sites:
            for product, log in site.logs.items():
                names = (group["id"], group["attributes"]["groupName"])
                log.add(membership(product, now_ms, happening.person, self._people[whom["id"]], names), ident)

    def _log(self, happening: Happening, processed_ms: int, latest_ms: int | None) -> Entry:
        rng, switches = self._rng, self._config.switches
        ident = uuid(rng)
        visible = processed_ms
        if switches.late_visible and rng.random() < switches.late_visible_share:
            visible += int((0.3 + 0.7 * rng.random()) * switches.late_visible * 1000)
        body = self._renderer.body(happening, ident, processed_ms)
        entry = self.feed.add(ident, happening.time_ms, processed_ms, visible, body)
        if switches.reissue and rng.random() < switches.reissue:
            again = processed_ms + 1 + int(rng.random() * switches.reissue_within * 1000)
            again = again if latest_ms is None else max(min(again, latest_ms), processed_ms)
            other = self._renderer.body(happening, ident, again, 1)
            self.feed.add(ident, happening.time_ms, again, max(again, visible), other)
        return entry
