"""`python -m tests.fuzz` (or `make fuzz`): feeds every parser of foreign bytes with damaged ones, as long as you like.

    make fuzz ARGS="--minutes 30 --target pages"
    make fuzz ARGS="--target pages --seed 1234 --tries 1"     the very input of a fault

Ends with 1 and the input in a file when an outcome is not allowed.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from pathlib import Path

from tests.fuzz.once import Fault, attempt
from tests.fuzz.targets import TARGETS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--target", choices=TARGETS, action="append", help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=0, help="where to begin")
    parser.add_argument("--tries", type=int, default=sys.maxsize)
    asked = parser.parse_args()
    targets = asked.target or list(TARGETS)
    end = time.monotonic() + asked.minutes * 60
    tries, seed = 0, asked.seed
    while time.monotonic() < end and tries < asked.tries:
        for name in targets:
            try:
                attempt(name, seed)
            except Fault as fault:
                path = Path(f"fuzz-{name}-{seed}.bin")
                path.write_bytes(fault.given)
                traceback.print_exception(fault.__cause__ or fault)
                sys.exit(f"{fault}; its input is {path}; again: --target {name} --seed {seed} --tries 1")
        tries, seed = tries + 1, seed + 1
    print(f"{tries} inputs for each of {len(targets)} targets, seeds {asked.seed} to {seed - 1}: nothing found")


main()
