"""`make torture`: rounds of faults everywhere, with every sink at once, until the books do not balance or it is over.

    make torture ARGS="--rounds 500 --seed 1"
    python -m tests.torture --rounds 100 --resume FOLDER      # goes on where a run ended

A round that fails prints its seed and keeps its folder.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from tests.torture.clock import find_library
from tests.torture.places import PLACES
from tests.torture.rounds import Failed, Rounds
from tests.torture.saved import EVERY, State, load, restore, save
from tests.torture.table import table
from tests.torture.world import World


async def run(folder: Path, *, seed: int, numbers: range, only: list[str], state: State | None = None) -> int:
    """Play rounds until one fails; return how many went well."""
    library = find_library()
    if library is None:
        print("libfaketime cannot be had here: CLOCK JUMPS ARE LEFT OUT", flush=True)
    world = World(folder, seed, only=only, library=library, lived=state.lived if state else None)
    if not world.spool_disk.can_be_full:
        print("a tmpfs cannot be mounted here: FULL DISKS ARE LEFT OUT", flush=True)
    async with AsyncExitStack() as stack:
        played = Rounds(world)
        if state is not None:
            restore(played, state)
        before = played.figures.rounds
        await world.open(stack)
        began = time.monotonic()
        for number in numbers:
            at = time.monotonic()
            try:
                await played.play(number)
            except Failed as failure:
                print(f"ROUND {number} OF SEED {seed} FAILED\n{failure}\nits folder: {folder}", flush=True)
                break
            figures = played.figures
            print(
                f"round {number:>4}  {time.monotonic() - at:5.1f} s  {figures.events:>7} events  "
                f"{figures.acts['kill']:>4} kills  {figures.acts['stop']:>4} stops  "
                f"{figures.faults.total() + world.sim.ledger.faults.total():>5} faults   "
                + ", ".join(f"{what} {seconds:.1f} s" for what, seconds in played.took.items()),
                flush=True,
            )
            if number % EVERY == 0 or number == numbers[-1]:
                save(played, number + 1)
        print(table(played, time.monotonic() - began), flush=True)
    return played.figures.rounds - before


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", nargs="*", default=[], choices=list(PLACES), metavar="SINK")
    parser.add_argument("--folder", help="where to make the run's folder")
    parser.add_argument(
        "--resume", type=Path, metavar="FOLDER", help="go on where the run in this folder was saved last"
    )
    asked = parser.parse_args()
    following, failed = 1, 0
    if asked.resume:
        state = load(asked.resume)
        numbers = range(state.following, state.following + asked.rounds)
        print(f"seed {state.seed}, from round {state.following}, folder {asked.resume}", flush=True)
        well = asyncio.run(run(asked.resume, seed=state.seed, numbers=numbers, only=state.only, state=state))
        sys.exit(0 if well == asked.rounds else 1)
    while following <= asked.rounds:
        folder = Path(tempfile.mkdtemp(prefix="audit-forwarder-torture-", dir=asked.folder))
        print(f"seed {asked.seed}, from round {following}, folder {folder}", flush=True)
        numbers = range(following, asked.rounds + 1)
        following += asyncio.run(run(folder, seed=asked.seed, numbers=numbers, only=asked.only))
        if following <= asked.rounds:  # the failed one is left alone; the rest goes on in a world of its own
            failed += 1
            following += 1
    print(f"{asked.rounds - failed} rounds went well, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
