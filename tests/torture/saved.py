"""What a run leaves behind so that it can go on: the spool, what happened, and what every place has.

Saved between two rounds, while the daemon is stopped. The simulated organization is not stored but lived through again:
the same seed, the same clock and the same happenings log the same bytes. Invariant: a saved state is complete or not
there; it becomes the one to resume from by a rename.
"""

from __future__ import annotations

import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.torture.judge import Account
from tests.torture.rounds import Figures, Rounds
from tests.torture.world import Lived

EVERY = 10
"""Rounds between two saved states."""


@dataclass
class State:
    """A run between two rounds."""

    seed: int
    only: list[str]
    following: int
    lived: Lived
    ports: dict[str, int]
    accounts: dict[str, Account]
    figures: Figures
    numbers: dict[str, list[int]]
    seen: int
    letters: int
    faults: dict[str, int]


def save(played: Rounds, following: int) -> None:
    """Save what is needed to go on with the round `following`; the daemon must be stopped."""
    world = played.world
    state = State(
        world.seed,
        list(world.places),
        following,
        world.lived,
        {name: address_of(place.end)[1] for name, place in world.places.items() if address_of(place.end)},
        played.judge.accounts,
        played.figures,
        dict(played.truth.numbers),
        played.seen,
        played.letters,
        dict(world.sim.ledger.faults),
    )
    fresh, final = world.folder / "saved.new", world.folder / "saved"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    for file in world.spool_disk.folder.glob("spool.db*"):
        if file.is_file():
            shutil.copy(file, fresh / file.name)
    (fresh / "state.pickle").write_bytes(pickle.dumps(state))
    former = world.folder / "saved.old"
    shutil.rmtree(former, ignore_errors=True)
    if final.exists():
        final.rename(former)
    fresh.rename(final)


def load(folder: Path) -> State:
    """Read what was saved last. Raises FileNotFoundError when the run has not come to its first saved state."""
    kept = folder / "saved"
    if not kept.exists():
        kept = folder / "saved.old"
    found: State = pickle.loads((kept / "state.pickle").read_bytes())
    return found


def restore(played: Rounds, state: State) -> None:
    """Put everything back as it was; before the daemon starts and before anybody listens."""
    world = played.world
    kept = world.folder / ("saved" if (world.folder / "saved").exists() else "saved.old")
    for file in kept.glob("spool.db*"):
        shutil.copy(file, world.spool_disk.folder / file.name)
    for name, port in state.ports.items():
        owner_of(world.places[name].end)._address = ("127.0.0.1", port)
    played.judge.accounts.update(state.accounts)
    played.figures = state.figures
    played.truth.look()
    played.truth.numbers.update(state.numbers)
    played.seen, played.letters = state.seen, state.letters
    world.sim.ledger.faults.update(state.faults)


def owner_of(end: Any) -> Any:
    """Return what listens for a far end, or None."""
    receiver = getattr(end, "_receiver", None)
    return getattr(receiver, "server", receiver)


def address_of(end: Any) -> tuple[str, int] | None:
    owner = owner_of(end)
    return None if owner is None else owner._address
