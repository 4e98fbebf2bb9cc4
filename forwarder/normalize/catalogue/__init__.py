"""The catalogue: what every action means, in layers, and which layer said so.

1. `attested.toml`: a record per publicly known id.
2. (reserved) the organization's own list of actions, `organization`.
3. `words.toml`: the words of the id.
4. nothing: layer `unknown`, no category pretended.

Actions are an open set that others fill, so answers are remembered in bounded memory.
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.normalize.catalogue.meaning import UNKNOWN, Layer, Meaning, Outcome
from forwarder.normalize.catalogue.words import LONGEST_ACTION, WordRules

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["UNKNOWN", "Catalogue", "Layer", "Meaning", "Outcome", "WordRules", "load_catalogue"]

REMEMBERED = 4096


class Catalogue:
    """Answers what an action means.

    Args:
        attested: Records by action id.
        words: Rules for ids that have no record.
    """

    def __init__(self, attested: Mapping[str, Meaning], words: WordRules) -> None:
        self.attested = attested
        self.words = words
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._look_up)

    def meaning(self, action: str) -> Meaning:
        """Return the meaning of `action`; never fails, whatever the text."""
        return self._remembered(action) if len(action) <= LONGEST_ACTION else UNKNOWN

    def _look_up(self, action: str) -> Meaning:
        return self.attested.get(action) or self.words.meaning(action)


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads((files(__package__) / name).read_text(encoding="utf-8"))


def load_catalogue() -> Catalogue:
    """Read the catalogue that comes with the package."""
    return Catalogue(msgspec.convert(_table("attested.toml"), dict[str, Meaning]), WordRules(_table("words.toml")))
