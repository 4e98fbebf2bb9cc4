"""The short form of `make torture`: a few rounds with every sink at once, saved in the middle and taken up again."""

from __future__ import annotations

from pathlib import Path

import pytest

from forwarder.testing.far_end import Ability
from tests.torture.__main__ import run
from tests.torture.leaks import Leaks
from tests.torture.places import PLACES
from tests.torture.plan import draw
from tests.torture.saved import load

ROUNDS = 3


@pytest.mark.early
@pytest.mark.timeout(900)
async def test_the_books_balance_after_every_round_and_after_a_pause(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(tmp_path, seed=20260131, numbers=range(1, ROUNDS + 1), only=[]) == ROUNDS, capsys.readouterr().out
    state = load(tmp_path)
    assert state.following == ROUNDS + 1
    numbers = range(state.following, state.following + ROUNDS)
    well = await run(tmp_path, seed=state.seed, numbers=numbers, only=state.only, state=state)
    assert well == ROUNDS, capsys.readouterr().out


def test_the_same_seed_draws_the_same_rounds() -> None:
    abilities = {name: (["busy", "reset"], frozenset[Ability]({"reject", "restart"})) for name in PLACES}
    assert draw(1, 7, abilities) == draw(1, 7, abilities)
    assert draw(1, 7, abilities) != draw(1, 8, abilities)


def test_a_secret_in_a_text_is_found() -> None:
    leaks = Leaks(["t0ken-made-up"])
    leaks.search("a log", b"nothing here")
    assert leaks.found == []
    leaks.search("a log", b"authorization: Bearer t0ken-made-up\n")
    assert len(leaks.found) == 1
    assert "t0ken-made-up" not in leaks.found[0]
