"""One try of one target."""

from __future__ import annotations

import time

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import MOST_SECONDS, TARGETS, rng_of


class Fault(Exception):
    """An outcome that is not allowed."""

    def __init__(self, text: str, given: bytes) -> None:
        super().__init__(text)
        self.given = given


def attempt(name: str, seed: int) -> None:
    """Run a target with the input of a seed. Raises Fault."""
    target = TARGETS[name]
    feed(name, mutated(rng_of(name, seed), target.corpus))


def feed(name: str, given: bytes) -> None:
    """Run a target with an input. Raises Fault."""
    target = TARGETS[name]
    begun = time.process_time()
    try:
        target.run(given)
    except target.allowed:
        pass
    except Exception as error:
        raise Fault(f"{name}: {type(error).__name__} came out", given) from error
    if (spent := time.process_time() - begun) > MOST_SECONDS:
        raise Fault(f"{name}: {spent:.1f} s for {len(given)} bytes", given)
