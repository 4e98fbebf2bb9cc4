"""When a source is asked again, by what it says of itself: the bell, its budget, or the back-off."""

from __future__ import annotations

from typing import Any

import pytest

from forwarder.daemon.reporter import next_poll
from tests.observe.reports import NOW, source_report


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({"last_good_poll": NOW - 10}, 23),
        ({"last_good_poll": NOW - 100}, -67),  # it is late, and shows how much
        ({"last_good_poll": NOW, "requests_per_minute": 1.0}, 60),  # the budget comes later than the bell
        ({"last_good_poll": NOW - 2, "next_look": NOW + 3}, 3),  # events come
        ({"state": "retrying", "next_try": NOW + 300}, 300),
        ({"state": "retrying", "next_try": NOW + 300, "next_look": NOW + 3}, 300),
        ({"state": "held", "next_try": NOW - 2}, -2),
        ({"last_good_poll": 0.0}, None),
        ({"state": "starting"}, None),
        ({"state": "stopped"}, None),
        ({"is_pushed": True}, None),
    ],
)
def test_the_next_poll_is_expected_by_the_bell_the_budget_or_the_back_off(
    changes: dict[str, Any], seconds: Any
) -> None:
    report = source_report(**{"requests_per_minute": 60.0, **changes})
    found = next_poll(report, 30.0)
    assert (found - NOW if found else None) == (None if seconds is None else pytest.approx(seconds))
