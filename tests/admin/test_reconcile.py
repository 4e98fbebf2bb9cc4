"""Of which sources a verdict expects that they are read again: of those that are configured and are, not of old rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from forwarder.admin.reconcile import Reconciliation
from forwarder.polling import recheck
from forwarder.polling.plan import RECONCILE
from forwarder.reconcile.verdict import Chosen
from tests.spool.spools import move, names, opened

DAY = 86_400_000


@pytest.mark.parametrize(
    ("delays", "judgement", "is_followed"),
    [
        ({"acme": (7200.0, 86_400.0)}, "not compared", True),
        (None, "not compared", True),
        ({"acme": ()}, "not read again", False),
        ({"another": (7200.0,)}, "not read again", False),
        ({}, "not read again", False),
    ],
    ids=["read_again", "not_known", "off", "renamed", "not_configured"],
)
async def test_a_row_that_nobody_moves_any_more_expects_nothing(
    delays: dict[str, tuple[float, ...]] | None, judgement: str, is_followed: bool, tmp_path: Path
) -> None:
    async def proofs() -> dict[str, str]:
        return {"elastic": "delivered"}

    async with opened(tmp_path) as harness:
        lane = await harness.lane()
        state = recheck.begin(recheck.passes_of([7200, 86_400]), 0)
        state["passes"][0]["to"] = DAY
        await harness.put(*names("a", 5), moves=[move(RECONCILE, None, **state)])
        await harness.settle_taken(lane)
        judges = Reconciliation(
            harness.spool, proofs, harness.clock.time, delays=None if delays is None else lambda: delays
        )
        [line] = (await judges.verdict(Chosen())).lines
        assert (line.judgement, line.is_compared) == (judgement, is_followed)
        assert await judges.read_again() == ({"acme": DAY} if is_followed else {})
