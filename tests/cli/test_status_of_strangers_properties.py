"""`status` shows whatever JSON listens on the port, as far as it goes: nothing in it breaks it or reaches the terminal."""

from __future__ import annotations

import copy
import re
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from forwarder.cli.status_text import status_lines
from forwarder.cli.tables import Screen
from forwarder.observe.reports import Aside
from forwarder.observe.status_json import report_to_dict
from tests.examples import examples
from tests.observe.reports import NOW, full_report, lane_report, spool_status

REPORT = report_to_dict(
    full_report(
        lanes=[
            lane_report(state="retrying", trouble_since=NOW - 9, next_try=NOW + 9, tries=3),
            lane_report(name="b", aside=(Aside(1, "id", "reason", NOW - 9, 2),)),
        ],
        spool=spool_status(),
    )
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in inner for found in paths(item, (*path, key)))]


PATHS = paths(REPORT)[1:]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([float("inf"), float("-inf"), float("nan"), 1e308, -1e308, 10**400, -(10**400), 0, -1, 10**18]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["\x1b[2J", "a\nb", "\u202e", "\ud800", "[bold]x[/bold]", "[/]"]),
    st.lists(st.integers(), max_size=2),
    st.lists(st.text(max_size=3), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@given(changes=st.lists(st.tuples(st.sampled_from(PATHS), VALUES), min_size=1, max_size=6))
@example(changes=[(("spool", "hours_left"), float("inf"))])
@example(changes=[(("spool", "hours_left"), 1e308)])
@example(changes=[(("spool", "bytes_used"), 10**400)])
@example(changes=[(("sinks", 0, "next_try_in_seconds"), float("nan"))])
@example(changes=[(("books", 0, "accepted"), "x")])
@settings(max_examples=examples(150), deadline=None)
def test_any_value_anywhere(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    report = copy.deepcopy(REPORT)
    for path, value in changes:
        place: Any = report
        for key in path[:-1]:
            try:
                place = place[key]
            except (TypeError, LookupError):
                break  # an earlier change took it away
        else:
            if isinstance(place, dict) or (
                isinstance(place, list) and isinstance(path[-1], int) and path[-1] < len(place)
            ):
                place[path[-1]] = value
    for screen in (Screen(), Screen(120, coloured=True)):
        shown = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(status_lines(report, screen)))
        assert all(line.isprintable() for line in shown.split("\n"))
