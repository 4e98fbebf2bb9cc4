"""The judge finds what it is there to find: an event missing, doubled without a doubt, invented, or dead without cause."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from forwarder.spool.contract import DeadLetter
from forwarder.spool.sqlite.lanes import Doubt
from tests.crash.far_end import Kept, digest
from tests.torture.judge import MOST_UNDER_WAY, Judge
from tests.torture.truth import Truth

BODIES = {seq: json.dumps({"id": f"e{seq}"}).encode() for seq in range(1, 6)}
NAMES = [f"e{seq}" for seq in BODIES]


class Spot:
    """A place that says what it is told to have."""

    by_digest = may_lose = False

    def __init__(self, landed: Counter[str], proof: str, breaks: int, sizes_refused: int) -> None:
        self.proof, self.breaks, self.sizes_refused, self._landed = proof, breaks, sizes_refused, landed

    def take(self) -> Counter[str]:
        return self._landed


def verdict(
    landed: list[str], *, proof: str = "delivered", breaks: int = 0, sizes_refused: int = 0, **kept: Any
) -> list[str]:
    truth = Truth(None)  # type: ignore[arg-type] -- nothing is looked up
    truth.ids = truth.fresh_ids = Counter(NAMES)
    truth.digests = truth.fresh_digests = Counter(map(digest, BODIES.values()))
    truth.number(BODIES.items())
    given: dict[str, Any] = {"doubts": {"one": []}, "books": [], "bodies": BODIES, **kept}
    judge = Judge(truth, {"one": Spot(Counter(landed), proof, breaks, sizes_refused)})  # type: ignore[dict-item]
    return judge.judge(Kept(numbers={}, **given), 0)


def test_all_is_well() -> None:
    assert verdict(NAMES) == []


def test_a_missing_event() -> None:
    assert "1 events are missing" in verdict(NAMES[1:])[0]


def test_a_missing_event_without_proof_needs_a_break() -> None:
    assert "1 events are missing" in verdict(NAMES[1:], proof="none")[0]
    assert verdict(NAMES[1:], proof="none", breaks=1) == []
    assert MOST_UNDER_WAY > 0


def test_a_double_must_have_been_in_doubt() -> None:
    assert "was never in doubt" in verdict([*NAMES, "e3"])[0]
    assert "was never in doubt" in verdict([*NAMES, "e3"], doubts={"one": [Doubt(4, 5, "restart", 0)]})[0]
    assert verdict([*NAMES, "e3"], doubts={"one": [Doubt(2, 3, "restart", 0)]}) == []


def test_what_never_existed() -> None:
    assert "never existed" in verdict([*NAMES, "forged"])[0]


@pytest.mark.parametrize("landed", [NAMES, NAMES[1:]])
def test_a_dead_letter_that_nobody_refused(landed: list[str]) -> None:
    letter = DeadLetter(1, 1, "", "will_not_do", "", BODIES[1], lane="one")
    assert "was never refused" in verdict(landed, letters=[letter])[0]


def test_a_request_refused_for_its_size_explains_one_dead_letter() -> None:
    letters = [DeadLetter(n, n, "", "too_large", "", BODIES[n], lane="one") for n in (1, 2)]
    assert verdict(NAMES[1:], letters=letters[:1], sizes_refused=1) == []
    [found] = verdict(NAMES[2:], letters=letters, sizes_refused=1)
    assert "was never refused" in found
