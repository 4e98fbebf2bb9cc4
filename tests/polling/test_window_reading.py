"""How one window is asked for: page by page, narrower where it is too much, and when a failure makes it narrower."""

from __future__ import annotations

from typing import Any

import pytest

from forwarder.contracts import Held, Page, Retryable
from forwarder.polling.plan import BACKFILL
from forwarder.polling.reading import Windows
from tests.polling.pollers import page
from tests.polling.test_handover import DAY, HOUR, NOW
from tests.polling.test_window_cursors import cursors, harness, row


class Asks:
    """Gives one answer after the other; notes whether a place in the budget was waited for, and what was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, Any, int]] = []

    async def fetch(self, walk: dict[str, Any], how: str = "now") -> Page:
        self.asked.append((how, walk.get("walk"), walk.get("n", 0)))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if answer is None else answer(walk)

    async def ask(self, _name: str, walk: dict[str, Any]) -> Page:
        return await self.fetch(walk, "in turn")


def gives(*idents: str, more: bool = False, **of: Any) -> Any:
    return lambda walk: page(walk, *idents, more=more, **of)


async def reading(width: int, *answers: Any, until: int = NOW) -> tuple[Windows, Asks, dict[str, Any]]:
    stands = row(NOW - DAY, until, walk={"width": width})
    d = await harness(cursors(backfill=stands))
    asks = Asks(*answers)
    asker: Any = asks
    return Windows(d.source, d.store, asker), asks, stands  # type: ignore[arg-type]


def width_of(windows: Windows, stands: dict[str, Any]) -> int:
    window = windows.store.next(BACKFILL, stands)[1]
    return window.until - window.since


async def test_a_window_is_one_page_with_the_state_behind_it() -> None:
    windows, asks, stands = await reading(HOUR, gives("a", "b", newest=NOW - DAY + 5), gives())
    found = await windows.read(BACKFILL, stands)
    assert found is not None
    assert (len(found.bodies), found.more, found.done, found.since) == (2, True, False, NOW - DAY)
    assert found.next == {**stands["walk"], "scan": NOW - DAY + HOUR, "width": 2 * HOUR}
    assert [how for how, *_ in asks.asked] == ["now", "in turn"]
    windows, asks, stands = await reading(HOUR, gives(), until=NOW - DAY + HOUR)
    found = await windows.read(BACKFILL, stands)
    assert found is not None
    assert (found.more, found.done, found.next["at"]) == (False, True, NOW - DAY + HOUR)


async def test_a_window_that_is_too_much_is_asked_for_again_at_half_its_width() -> None:
    windows, asks, stands = await reading(HOUR, gives("a", more=True), gives("a", more=True), gives("a"), gives())
    found = await windows.read(BACKFILL, stands)
    assert found is not None
    assert found.next["scan"] == NOW - DAY + HOUR // 4
    assert found.next["cap"] == 1
    assert asks.asked == [("now", 1, 0), ("in turn", 2, 0), ("in turn", 3, 0), ("in turn", 3, 1)]


@pytest.mark.parametrize(("first", "second", "cap"), [("abc", "c", 0), ("abc", "d", 0), ("abcdefghij", "k", 11)])
async def test_what_arrives_while_it_is_paged_does_not_keep_windows_narrow(first: str, second: str, cap: int) -> None:
    windows, _, stands = await reading(HOUR, gives(*first), gives(second), gives(*first), gives())
    found = await windows.read(BACKFILL, stands)
    assert found is not None
    assert found.next["cap"] == cap


async def test_one_step_of_time_is_paged_until_two_passes_agree() -> None:
    ends = [gives("a"), gives("b"), gives()]
    windows, asks, stands = await reading(1, *ends, *ends)
    found = await windows.read(BACKFILL, stands)
    assert found is not None
    assert len(found.bodies) == 2
    assert [number for _, _, number in asks.asked] == [0, 1, 2, 0, 1, 2]


async def test_one_step_of_time_that_does_not_end_is_held() -> None:
    windows, _, stands = await reading(1, gives("a", more=True), gives("a", more=True))
    with pytest.raises(Held, match="does not come to an end") as held:
        await windows.read(BACKFILL, stands)
    assert (held.value.kind, held.value.fix[:9]) == ("no_cursor", "Report it")


async def test_nothing_is_read_once_the_end_has_come() -> None:
    windows, _, stands = await reading(HOUR, gives("a"), None)
    assert await windows.read(BACKFILL, stands) is None


@pytest.mark.parametrize(
    ("kind", "width", "then"),
    [
        ("timeout", 60_001, 30_000),
        ("truncated", HOUR, HOUR // 2),
        ("not_json", HOUR, HOUR // 2),
        ("server_error", HOUR, HOUR // 2),
        ("timeout", 60_000, 60_000),  # an outage looks so as well
        ("connection", HOUR, HOUR),
        ("auth", HOUR, HOUR),
        ("rate_limited", HOUR, HOUR),
    ],
)
@pytest.mark.parametrize("of", [Retryable, Held])
async def test_what_may_be_slow_for_its_width_is_asked_for_in_halves(kind: Any, width: int, then: int, of: Any) -> None:
    error = Retryable("silent", kind=kind) if of is Retryable else Held("silent", fix="wait", kind=kind)
    windows, _, stands = await reading(width, error)
    with pytest.raises(of) as raised:
        await windows.read(BACKFILL, stands)
    assert raised.value is error
    assert width_of(windows, stands) == then


@pytest.mark.parametrize("kind", ["too_large", "too_many_events"])
async def test_what_is_too_large_is_asked_for_at_once_in_halves_down_to_one_step(kind: Any) -> None:
    error = Held("It is too large.", fix="make it smaller", kind=kind)
    windows, _, stands = await reading(2, error, error)
    with pytest.raises(Retryable, match=r"^It is too large; half of that time is asked for next$") as smaller:
        await windows.read(BACKFILL, stands)
    assert (smaller.value.smaller, smaller.value.kind, width_of(windows, stands)) == (True, kind, 1)
    with pytest.raises(Held) as held:
        await windows.read(BACKFILL, stands)
    assert held.value.reason == "It is too large, and no shorter time can be asked for."
    assert (held.value.fix, held.value.kind) == ("make it smaller", kind)
    assert await windows.is_cursor_to_blame(BACKFILL, stands) is False
