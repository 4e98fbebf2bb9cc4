"""What was planted, and whether what the product says of it is right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from forwarder.spool.gap import Gap


@dataclass(frozen=True)
class Plant:
    """A fault that was planted.

    Attributes:
        name: To tell it from others.
        cause: Of the gap that is to be on record; empty when there is to be none.
        is_it: Tells whether a gap concerns it.
        events: How many events it is to count; None when that cannot be known.
        closed_by: Who is to have closed it; empty when nothing can.
        arrived: Whether its events are at the sink.
    """

    name: str
    cause: str
    is_it: Callable[[Gap], bool] = lambda _: False
    events: int | None = None
    closed_by: str = ""
    arrived: bool = True


@dataclass
class Row:
    """A line of the table."""

    kind: str
    planted: int = 0
    found: int = 0
    right: int = 0
    closable: int = 0
    closed: int = 0
    false: int = 0
    missing: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        return (
            self.planted == self.found == self.right
            and self.closed == self.closable
            and not (self.false or self.missing or self.wrong)
        )


def judged(kind: str, plants: Sequence[Plant], gaps: Sequence[Gap], missing: Sequence[str]) -> Row:
    """Return the line of a kind. Several plants may share a gap of which the events are the sum."""
    row = Row(kind, planted=len(plants), missing=len(missing))
    row.wrong += [f"missing: {name}" for name in missing[:5]]
    claimed: dict[int, int | None] = {}
    for plant in plants:
        mine = [gap for gap in gaps if plant.is_it(gap)]
        named = [gap for gap in mine if gap.cause == plant.cause]
        if plant.cause:
            row.found += bool(mine)
            row.right += bool(named)
        else:  # to be repaired without a gap
            row.found += plant.arrived
            row.right += plant.arrived and not mine
        row.closable += bool(plant.closed_by)
        row.closed += any(
            gap.state == "closed" and gap.closed_by.startswith(plant.closed_by) for gap in named
        ) and bool(plant.closed_by)
        if not plant.closed_by:
            row.wrong += [f"{plant.name}: {gap} is closed" for gap in named if gap.state == "closed"]
        if plant.cause and not named:
            row.wrong.append(f"{plant.name}: {mine or 'no gap'} instead of {plant.cause}")
        elif plant.closed_by and not any(gap.state == "closed" for gap in named):
            row.wrong.append(f"{plant.name}: {named} not closed by {plant.closed_by}")
        for gap in named:
            before = claimed.get(gap.number, 0)
            claimed[gap.number] = None if plant.events is None or before is None else before + plant.events
    for gap in gaps:
        if gap.number not in claimed:
            row.false += 1
            row.wrong.append(f"a gap that is none: {gap}")
        elif claimed[gap.number] not in {None, gap.events}:
            row.wrong.append(f"{gap} counts {gap.events} events instead of {claimed[gap.number]}")
    return row


def table(rows: Sequence[Row]) -> str:
    """Return the table as text."""
    head = ("kind", "planted", "found", "right cause", "closed", "false", "missing", "")
    lines = [head]
    for row in rows:
        counts = (row.planted, row.found, row.right, f"{row.closed} of {row.closable}", row.false, row.missing)
        lines.append((row.kind, *map(str, counts), "" if row.is_well else "WRONG"))
    widths = [max(len(line[at]) for line in lines) + 2 for at in range(len(head))]
    return "\n".join(
        "".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
