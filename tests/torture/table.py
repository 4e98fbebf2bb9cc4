"""The table at the end: rounds, acts, faults by kind, and what became of the events at every sink."""

from __future__ import annotations

from tests.torture.rounds import Rounds

COLUMNS = ("sink", "events", "landed", "missing", "dead letters", "doubled, on record", "doubled, not", "proof")


def table(played: Rounds, seconds: float) -> str:
    """Return it as text."""
    figures, world = played.figures, played.world
    lines = [
        "",
        f"{figures.rounds} rounds in {seconds:.0f} s ({seconds / max(1, figures.rounds):.1f} s each), "
        f"{figures.events} events; " + ", ".join(f"{act} {times}" for act, times in sorted(figures.acts.items())),
        "faults of the API: " + _counts(world.sim.ledger.faults),
        "faults of far ends: " + _counts(figures.faults),
        f"secrets: {world.leaks.searched / 1e6:.1f} MB searched, {len(world.leaks.found)} found",
        "",
    ]
    rows: list[tuple[str, ...]] = [COLUMNS]
    for name, place in world.places.items():
        account = played.judge.accounts[name]
        figures_of = (account.events, account.landed, account.missing, account.dead)
        doubles = (account.doubled_in_doubt, account.doubled_outside)
        rows.append((name, *map(str, figures_of + doubles), place.proof))
    widths = [max(len(row[at]) for row in rows) + 2 for at in range(len(COLUMNS))]
    lines += ["".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(lines)


def _counts(found: dict[str, int]) -> str:
    return ", ".join(f"{what} {times}" for what, times in sorted(found.items())) or "none"
