"""The page of the architecture names what is there; that it is written from the code is tested with the reference."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.architecture_page import WAY, WHERE
from tests.test_rooms import rooms

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("task", "place"), [row[:2] for row in WHERE], ids=[row[0] for row in WHERE])
def test_what_a_task_touches_is_there(task: str, place: str) -> None:
    named = [name for name in re.findall(r"`([^`]+)`", place) if "/" in name]
    for name in named:
        pattern = re.sub(r"<\w+>", "*", name)
        assert list(ROOT.glob(pattern)), f"{task}: nothing is at {name}"


def test_there_is_an_answer_for_twelve_tasks_at_least() -> None:
    assert len({task for task, _, _ in WHERE}) >= 12


def test_the_way_of_an_event_leads_through_rooms_that_are_there() -> None:
    named = set(re.findall(r"\b([a-z]+)/", WAY)) - {"sinks"}
    assert named <= rooms()
    assert {"sources", "polling", "receiving", "spool", "delivery", "records"} <= named
