"""The short form of `make fuzz`: every parser of foreign bytes ends in a value or an error of ours."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.mutate import INTERESTING, mutated
from tests.fuzz.once import Fault, attempt, feed
from tests.fuzz.targets import TARGETS, Target

TRIES = 60


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_bytes_end_in_a_value_or_an_error_of_ours(name: str) -> None:
    for seed in range(TRIES):
        attempt(name, seed)


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_sound_and_what_is_odd_alone_are_read_too(name: str) -> None:
    for given in (*TARGETS[name].corpus[:4], *INTERESTING):
        feed(name, given)


def test_what_is_not_allowed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_: bytes) -> None:
        raise KeyError

    monkeypatch.setitem(TARGETS, "broken", Target([b"x"], breaks, (ValueError,)))
    with pytest.raises(Fault, match="KeyError"):
        attempt("broken", 1)


def test_a_seed_names_an_input() -> None:
    corpus = TARGETS["pages"].corpus
    assert mutated(random.Random(7), corpus) == mutated(random.Random(7), corpus)
    assert len({mutated(random.Random(seed), corpus) for seed in range(50)}) > 40
