"""When an empty answer is doubted, what is asked then, and what the answer to that means."""

from __future__ import annotations

from typing import Any

import pytest

from forwarder.contracts import Page, Retryable
from forwarder.polling import progress
from forwarder.polling.plan import BACKFILL, HEAL, REREAD, TAIL
from forwarder.polling.tips import Tips
from tests.polling.pollers import page

READ = 5000
ROW = {"walk": {"cursor": "c"}, "from": 0, "high": READ, "reached": READ, "until": READ + 1}


class Log:
    """A source and what is stored of it; answers what is asked in turn with what a test has laid ready."""

    def __init__(self, *answers: Page | None, oldest: int = 0, untouched: bool = False) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []
        self._oldest, self._untouched = oldest, untouched
        anything: Any = self
        self.tips = Tips(anything, self.ask)

    def walk_at(self, name: str, since: int) -> dict[str, Any]:
        return {"since": since}

    def kept(self, moment: int) -> int:
        return max(moment, self._oldest)

    def seen_lately(self, row: dict[str, Any]) -> int:
        return progress.seen_lately(row, 0)

    def untouched(self, name: str) -> bool:
        assert name == TAIL
        return self._untouched

    async def ask(self, name: str, walk: dict[str, Any]) -> Page | None:
        self.asked.append(walk)
        return self.answers.pop(0)

    async def doubts(self, name: str = TAIL, **row: Any) -> bool:
        """Tell whether an empty answer is doubted; nothing is found behind it."""
        self.asked, self.answers = [], [empty()]
        assert await self.tips.sure(name, {**ROW, **row}, empty()) is not None
        return bool(self.asked)


def empty(**of: Any) -> Page:
    return page({}, done=True, **of)


def full(newest: int) -> Page:
    return page({}, *(f"e{number}" for number in range(10)), newest=newest)


@pytest.mark.parametrize(
    "answer", [page({}, "a", done=True), page({}, done=False), empty(since=7)], ids=["events", "leads on", "by time"]
)
@pytest.mark.parametrize("name", [TAIL, BACKFILL, HEAL, REREAD])
async def test_what_is_no_end_is_not_doubted(name: str, answer: Page) -> None:
    log = Log()
    assert await log.tips.sure(name, ROW, answer) is answer
    assert log.asked == []


@pytest.mark.parametrize(
    ("beyond", "asked"),
    [
        ([empty()], [READ]),
        ([page({}, "a", newest=READ)], [READ]),
        ([page({}, "a", newest=None)], [READ]),
        ([full(READ), empty()], [READ, READ + 1]),  # a whole page of the time that was read last
        ([full(READ), full(READ)], [READ, READ + 1]),
    ],
)
@pytest.mark.parametrize("name", [BACKFILL, HEAL, REREAD, TAIL])
async def test_where_nothing_newer_is_seen_it_is_the_end(name: str, beyond: list[Page], asked: list[int]) -> None:
    log, answer = Log(*beyond), empty()
    assert await log.tips.sure(name, ROW, answer) is answer
    assert log.asked == [{"since": since} for since in asked]


async def test_nothing_is_asked_for_that_the_source_does_not_keep() -> None:
    log = Log(empty(), oldest=READ + 500)
    await log.tips.sure(BACKFILL, ROW, empty())
    assert log.asked == [{"since": READ + 500}]


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("tries", [1, 2])
async def test_what_the_same_cursor_gives_a_moment_later_is_taken(at: int, tries: int) -> None:
    """It may have happened meanwhile, or every second answer is empty."""
    found = page({}, "new", newest=READ + 9)
    log = Log(*[full(READ)] * at, page({}, "new", newest=READ + 1), *[empty()] * (tries - 1), found)
    assert await log.tips.sure(BACKFILL, ROW, empty()) is found
    assert log.asked[at + 1 :] == [ROW["walk"]] * tries


async def test_a_cursor_that_stays_empty_while_newer_events_are_seen_is_an_error() -> None:
    log = Log(page({}, "new", newest=READ + 1), empty(), empty())
    with pytest.raises(Retryable, match="empty page for a cursor") as raised:
        await log.tips.sure(BACKFILL, ROW, empty())
    assert "Nothing has to be done" in raised.value.fix
    assert len(log.asked) == 3


@pytest.mark.parametrize(
    "answers", [[None], [full(READ), None], [full(READ + 1), None], [full(READ + 1), empty(), None]]
)
async def test_when_the_end_comes_first_nothing_is_known(answers: list[Page | None]) -> None:
    assert await Log(*answers).tips.sure(BACKFILL, ROW, empty()) is None


@pytest.mark.parametrize(("until", "doubted"), [(READ + 1, True), (READ, False), (READ - 1, False)])
async def test_a_reread_that_came_as_far_as_it_was_to_come_is_at_its_end(until: int, doubted: bool) -> None:
    assert await Log().doubts(REREAD, until=until) is doubted


async def test_a_silent_tail_is_doubted_at_first_and_then_less_and_less_often() -> None:
    log = Log()
    answers = [await log.doubts() for _ in range(1 + 2 + 4 + 8 + 16 + 20 + 20)]
    assert [number for number, doubted in enumerate(answers, 1) if doubted] == [1, 3, 7, 15, 31, 51, 71]


async def test_after_an_event_the_second_empty_answer_is_doubted() -> None:
    log = Log()
    for _ in range(40):
        await log.doubts()
    for events, expected in ((1, [False, True]), (99, [False, True]), (100, [True]), (60, [False, True])):
        await log.tips.sure(TAIL, ROW, page({}, *(f"e{number}" for number in range(events))))
        assert [await log.doubts() for _ in expected] == expected


async def test_events_between_two_doubts_are_counted_together_and_those_of_other_walks_are_not() -> None:
    log = Log()
    await log.doubts()
    many = page({}, *(f"e{number}" for number in range(60)))
    await log.tips.sure(BACKFILL, ROW, many)
    await log.tips.sure(TAIL, ROW, many)
    assert not await log.doubts()
    await log.tips.sure(TAIL, ROW, many)
    assert await log.doubts(), "120 since the last one"
    assert not await log.doubts()


async def test_a_tail_that_has_no_cursor_yet_is_not_doubted() -> None:
    log = Log(untouched=True)
    assert not any([await log.doubts() for _ in range(50)])
