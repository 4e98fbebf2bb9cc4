"""What reads the log of a product on a site, by one of its APIs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from forwarder.contracts import CursorState, Finding, Page


class Transport(Protocol):
    """One API by which a product's log can be read, in windows; the methods are those of a source."""

    def walk(self, since_ms: int, until_ms: int) -> CursorState:
        """Return the state that begins to read a window; both ends are included."""
        ...

    async def fetch(self, state: CursorState) -> Page:
        """Fetch a page of a window."""
        ...

    async def probe(self) -> list[Finding]:
        """Say what works: token, permission, plan, log, clock, budget."""
        ...
