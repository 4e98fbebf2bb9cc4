"""`make truth`: plants faults in a running whole, and judges what is said of them: nothing less, and nothing more.

    make truth ARGS="--gaps 500 --seed 1"
    python -m tests.truth --gaps 60 --only "key refused"

One line for each kind; exit code 1 when any is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path

import structlog

from tests.truth.kinds import KINDS
from tests.truth.verdict import Row, table


async def run(gaps: int, seed: int, only: Collection[str] = ()) -> list[Row]:
    """Play every kind with its share of so many faults; return a line for each."""
    chosen = [name for name in KINDS if not only or name in only]
    rows = []
    for number, name in enumerate(chosen):
        count = gaps // len(chosen) + (number < gaps % len(chosen))
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="audit-forwarder-truth-") as folder:
            row = await KINDS[name](Path(folder), random.Random(f"{seed} {name}"), max(1, count))
        print(f"{name}: {row.planted} planted, {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.truth", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--gaps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], choices=list(KINDS), metavar="KIND")
    asked = parser.parse_args()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[lambda *_: ""])
    rows = asyncio.run(run(asked.gaps, asked.seed, asked.only))
    print(table(rows))
    for row in rows:
        for words in row.wrong[:5]:
            print(f"{row.kind}: {words}")
    planted = sum(row.planted for row in rows)
    print(f"seed {asked.seed}: {planted} planted, {sum(not row.is_well for row in rows)} kinds wrong")
    sys.exit(0 if all(row.is_well for row in rows) else 1)


if __name__ == "__main__":
    main()
