"""Which reader has which share of the request budget, as data, and what follows from it. Pure.

::

    tail 3/4, first whenever it wants one, at once  what it leaves, and 1/4 at least, goes to those behind it:
                                                    backfill 5/10 · heal 3/10 · reread 1/10 · reconcile 1/10

Of two places that are free, those behind the tail leave one for it: so live events wait for nobody while the whole is
within the budget. Only when the tail had three in a row before their eyes does one of them take the last. What a reader
does not use goes on to the others in these proportions; only `reconcile` never gets more than a tenth of
the whole budget. Sources that share a budget share each part evenly, and so do the named cursors of one reader.
"""

from __future__ import annotations

from forwarder.net.fair import Path, Step
from forwarder.polling.plan import REREAD

READERS = ("tail", "heal", "reread", "reconcile", "backfill")
"""What cursors are for, the most urgent first."""

TAIL_SHARE = 3
"""So many requests for the tail to each one for what is behind it, while both want all they can get."""

RECONCILE_MOST = 0.1
"""Part of the budget that `reconcile` takes at most."""

_TAIL, _BEHIND = Step("tail", TAIL_SHARE, 0), Step("behind", 1, 1)

_WALKS = {
    "heal": Step("heal", 3, 0),
    "reread": Step("reread", 1, 1),
    "reconcile": Step("reconcile", 1, 2, RECONCILE_MOST),
    "backfill": Step("backfill", 5, 3),
}


def reader_of(cursor: str) -> str:
    """Return what a cursor is for, by its name."""
    return "reread" if cursor == REREAD else cursor.partition(":")[0]


def is_known(cursor: str) -> bool:
    """Tell whether there is a reader for a cursor; a later version may have written others."""
    return reader_of(cursor) in READERS


def urgency(cursor: str) -> tuple[int, str]:
    """Return a key that sorts cursors, the most urgent first."""
    return READERS.index(reader_of(cursor)), cursor


def path_of(source: str, cursor: str) -> Path:
    """Return the claim that a cursor of a source has on the budget."""
    reader, own = reader_of(cursor), Step(f"{source}\n{cursor}")
    return (_TAIL, own) if reader == "tail" else (_BEHIND, _WALKS[reader], own)


def least_share(reader: str) -> float:
    """Return the part of the budget that a reader gets however busy all others are."""
    whole = _TAIL.weight + _BEHIND.weight
    if reader == "tail":
        return _TAIL.weight / whole
    return _BEHIND.weight / whole * _WALKS[reader].weight / sum(step.weight for step in _WALKS.values())
