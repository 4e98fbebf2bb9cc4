"""Rows of a table that people exported from a page of the log, in place of events: what a source makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class ExportedRow(msgspec.Struct, frozen=True):
    """What a row says; what it does not say is empty.

    Attributes:
        time_ms: When it happened, epoch milliseconds.
        step_ms: How exactly the row says that.
        action: What happened: the id of an action, or words for it.
        actor: Id, name and address of who did it.
        ip: From where.
        message: What happened, as a sentence.
        cells: The whole row: name of the column, and text.
        file, line: Where it stands.
        copy: Of rows that are equal, which this is; the first is 1.
    """

    time_ms: int
    step_ms: int
    action: str
    actor: tuple[str, str, str] = ("", "", "")
    ip: str = ""
    message: str = ""
    cells: tuple[tuple[str, str], ...] = ()
    file: str = ""
    line: int = 0
    copy: int = 1


class SeenEvent(msgspec.Struct, frozen=True):
    """What can be compared with a row of an event that came by the API.

    Attributes:
        time_ms: When it happened, epoch milliseconds.
        actor: Id, name and address of who did it; empty where it does not say.
        actions: The id of its action, and the words for it that are known; the id comes first.
    """

    time_ms: int
    actor: tuple[str, str, str]
    actions: tuple[str, ...]


@runtime_checkable
class TakesExports(Protocol):
    """A source into which the table can be imported that people export from its page."""

    def event_of(self, row: ExportedRow) -> bytes:
        """Return the event that a row stands for. The same row gives the same id, wherever it stands."""
        ...

    def seen_in(self, bodies: Sequence[bytes], minutes: Collection[str]) -> list[SeenEvent]:
        """Return of events, as the API sent them, those that happened in these minutes (`2026-01-31T23:59`, UTC)."""
        ...
