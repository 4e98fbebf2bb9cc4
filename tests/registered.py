"""What the forwarder itself registers, for tests about each of them: a new one is tried without another line."""

from __future__ import annotations

from collections.abc import Callable

from forwarder.contracts import FormatTraits
from forwarder.registry import FORMATS, OWN_DISTRIBUTION


def formats(which: Callable[[FormatTraits], bool] = lambda _: True) -> list[str]:
    """Return the names of our formats, of all or of those with certain traits."""
    names = FORMATS.names(distribution=OWN_DISTRIBUTION)
    return [name for name in names if which(FormatTraits.of(FORMATS.load(name)))]


def is_json(traits: FormatTraits) -> bool:
    return traits.writes == "json"


def is_not_json(traits: FormatTraits) -> bool:
    return traits.writes != "json"


def lacks_timestamp(traits: FormatTraits) -> bool:
    return is_json(traits) and not traits.has_timestamp
