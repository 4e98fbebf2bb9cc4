"""The API of a source under the control of a test, by one interface for every source."""

from __future__ import annotations

from typing import ClassVar, Protocol


class Feed(Protocol):
    """One API.

    Attributes:
        name: The type of the source, as it is registered.
        variant: Which feed of that type this is, when there are several.
        can: Which faults it can play.
    """

    name: ClassVar[str]
    variant: ClassVar[str]
    can: ClassVar[frozenset[str]]
