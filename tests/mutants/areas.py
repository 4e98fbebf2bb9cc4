"""Which tests must notice a wrong change, and where. Paths are patterns, so that a module that moves stays in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Area:
    """Modules, and the tests that are to notice; the quick ones first, because the first failure ends a run."""

    name: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]
    processes: tuple[str, ...] = ()
    """Tests that run the code in processes of its own, where no one sees which lines: they run last, for each change."""

    def sources(self, root: Path) -> list[Path]:
        """Return the modules that exist."""
        return sorted(
            {found for pattern in self.modules for found in root.glob(pattern) if found.name != "__init__.py"}
        )

    def test_modules(self, root: Path) -> list[str]:
        """Return the test modules that exist, in the order of their patterns."""
        found = {str(path.relative_to(root)): None for pattern in self.tests for path in sorted(root.glob(pattern))}
        return list(found)


AREAS = (
    Area(
        "polling",
        ("forwarder/polling/**/*.py",),
        (
            "tests/polling/test_progress.py",
            "tests/polling/test_plan.py",
            "tests/polling/test_po*.py",
            "tests/polling/test_two_courses.py",
            "tests/polling/test_*.py",
        ),
    ),
    Area(
        "delivery",
        ("forwarder/delivery/**/*.py",),
        (
            "tests/delivery/test_*.py",
            "tests/conftest.py",
        ),
    ),
    Area(
        "spool",
        ("forwarder/spool/**/*.py",),
        (
            "tests/spool/test_*.py",
            "tests/polling/test_poller_and_spool.py",
            "tests/crash/test_power.py",
        ),
        ("tests/crash/test_spool_kill.py::test_ten_kills",),
    ),
    Area(
        "answers",
        ("sinks/*/answers*.py", "forwarder/net/answers.py", "forwarder/net/verdicts.py"),
        (
            "tests/net/test_verdicts.py",
            "tests/net/test_own_words.py",
            "tests/sinks/*/test_answers*.py",
            "tests/sinks/elasticsearch/test_sink.py",
            "tests/sinks/splunk_hec/test_*.py",
            "tests/contract/test_sinks_over_http.py",
        ),
    ),
)
