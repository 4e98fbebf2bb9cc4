"""One normaliser for each feed, and one catalogue for them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.contracts import ConfigError, Held, Normalizer
from forwarder.normalize.catalogue import UsesCatalogue
from forwarder.registry import SOURCES

if TYPE_CHECKING:
    from forwarder.normalize.catalogue import Catalogue


class Normalizers:
    """Finds the normaliser of a feed, configured now or not: the spool may hold events of a source that is gone.

    Args:
        catalogue: What actions mean.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._found: dict[str, Normalizer] = {}

    def __call__(self, feed: str) -> Normalizer:
        """Return it. Raises Held when no installed source knows the feed."""
        if feed not in self._found:
            self._found[feed] = self._make(feed)
        return self._found[feed]

    def _make(self, feed: str) -> Normalizer:
        for name in SOURCES.names():
            try:
                source = SOURCES.load(name)
            except ConfigError:
                continue  # `check` and the start tell of a broken package; this search is for a whole one
            if source.feed == feed:
                normalizer: Normalizer = source.normalizer()
                if isinstance(normalizer, UsesCatalogue):
                    normalizer.use(self._catalogue)
                return normalizer
        raise Held(
            f"the spool holds events of the feed {feed!r}, and no installed source knows what they mean.",
            fix="Install the package of that source again, or give this sink the format raw and no filter on meaning.",
            kind="setup_missing",
        )
