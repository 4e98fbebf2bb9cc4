"""A plugin of pytest: how long each test takes, and in another run only those that are chosen, quickest first.

MUTANTS_TIMES    a file to write to: `{test: [seconds, passed]}`
MUTANTS_CHOSEN   a file to read: `{test: seconds}`, in the order in which they run
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

_GRACE = 20.0  # seconds on top of three times what a test took when it was measured

_times: dict[str, tuple[float, bool]] = {}


@pytest.hookimpl(trylast=True)  # after pytest has put the tests of one fixture together
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave only what was chosen; a test that hangs ends after its own time, not that of the longest."""
    if (path := os.environ.get("MUTANTS_CHOSEN")) is None:
        return
    by_name = {item.nodeid: item for item in items}
    chosen = {name: seconds for name, seconds in json.loads(Path(path).read_text()).items() if name in by_name}
    for name, seconds in chosen.items():
        # ends the process: a failure alone would wait, in what comes after it, for the same that hangs
        by_name[name].add_marker(pytest.mark.timeout(3 * seconds + _GRACE, method="thread"), append=False)
    items[:] = [by_name[name] for name in chosen]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up what one test took, its fixtures included."""
    seconds, passed = _times.get(report.nodeid, (0.0, True))
    _times[report.nodeid] = (seconds + report.duration, passed and not report.failed)


def pytest_sessionfinish() -> None:
    """Write what was measured."""
    if (path := os.environ.get("MUTANTS_TIMES")) is not None:
        Path(path).write_text(json.dumps(_times))
