"""A stretch in whole seconds, as commands say it, holds every moment of the stretch that it was made of."""

from __future__ import annotations

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from forwarder.contracts.moments import whole_seconds

MOMENTS = st.integers(0, 4_102_444_800_000)  # to 2100


@given(MOMENTS, MOMENTS)
def test_it_holds_all_of_the_stretch_and_less_than_a_second_more(one: int, other: int) -> None:
    since, until = sorted((one, other))
    begin, end = (1000 * int(datetime.fromisoformat(said or "").timestamp()) for said in whole_seconds(since, until))
    assert since - 1000 < begin <= since
    assert until <= end < until + 1000
