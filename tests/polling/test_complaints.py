"""What is said of a cursor that does not do well: one state, one reason, one kind for each misfortune."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from forwarder.contracts import AuthFailed, Held, Retryable
from forwarder.contracts.errors import fix_of
from forwarder.polling.complaints import RECURS, UNKNOWN, of_error, of_page
from forwarder.polling.recurrence import SURE
from tests.polling.pollers import page

AT = 1_790_000_000_123


def course(*, losses: int = 0, hits: int = 0, distrusts: str = "") -> Any:
    return SimpleNamespace(
        losses=SimpleNamespace(failures=losses), recurrence=SimpleNamespace(hits=hits), distrusts=distrusts
    )


def shown(made: Any, **of: Any) -> tuple[str, str, str, str] | None:
    found = of_page(page({}, "a", **of), made)
    return None if found is None else (found.state, found.reason, found.fix, found.kind)


@pytest.mark.parametrize("losses", [0, 1])
def test_a_cursor_that_answers_is_well_also_after_one_that_was_lost(losses: int) -> None:
    assert shown(course(losses=losses)) is None


@pytest.mark.parametrize("losses", [2, 5])
def test_cursors_that_are_given_and_not_known_are_said_again_and_again(losses: int) -> None:
    assert shown(course(losses=losses)) == ("retrying", UNKNOWN, fix_of("no_cursor"), "")


def test_a_circle_comes_before_lost_cursors_and_a_loop_before_all() -> None:
    bad = course(losses=5, hits=SURE, distrusts=UNKNOWN)
    assert shown(course(losses=5, hits=SURE)) == ("retrying", RECURS, fix_of("no_progress"), "no_progress")
    loop = shown(bad, looping=True, by_time=True)
    assert loop is not None
    assert (loop[0], loop[2], loop[3]) == ("retrying", fix_of("loop"), "loop")


@pytest.mark.parametrize("why", [UNKNOWN, RECURS])
def test_a_walk_by_time_says_why(why: str) -> None:
    found = shown(course(distrusts=why, losses=5, hits=SURE), by_time=True)
    assert found is not None
    assert (found[0], found[1], found[3]) == ("retrying", f"{why}, so it is read on by time", "")
    assert found[2].startswith("Nothing has to be done")
    found = shown(course(losses=5, hits=SURE), by_time=True)
    assert found is not None
    assert found[1].startswith("no cursor that the API gives can be used")
    assert found[3] == "no_cursor"


def test_a_failure_that_may_pass_and_one_that_needs_a_person() -> None:
    made = of_error(Retryable("busy", kind="rate_limited", fix="Wait."), AT)
    assert (made.state, made.reason, made.fix, made.kind) == ("retrying", "busy", "Wait.", "rate_limited")
    made = of_error(AuthFailed("refused", fix="New key."), AT)
    assert (made.state, made.reason, made.fix, made.kind) == ("held", "refused", "New key.", "auth")


@pytest.mark.parametrize("kind", ["too_large", "no_cursor"])
def test_what_holds_a_walk_at_one_place_says_where(kind: Any) -> None:
    made = of_error(Held("too much.", fix="x", kind=kind), AT)
    assert made.reason == "too much. It is read up to 2026-09-21T14:13:20.123Z."
    assert made.state == "held"
    assert of_error(Held("x", fix="x", kind=kind), 10**18).reason == f"x It is read up to {10**18} ms."
    assert of_error(Held("x", fix="x", kind="forbidden"), AT).reason == "x"
