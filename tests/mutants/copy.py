"""A copy of the project in which changes are tried, so that nothing of the project itself is touched."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from coverage import CoverageData

from tests.mutants.areas import Area
from tests.mutants.changes import Change
from tests.mutants.forks import Forks
from tests.mutants.reach import Reach, kept_as, load, read_coverage

_LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "node_modules")
_GRACE = 20.0  # seconds on top of three times what tests take without a change
_LONGEST = 1800.0


@dataclass(frozen=True)
class Mutant:
    """One change of one module of an area."""

    area: Area
    module: str
    change: Change
    source: bytes = field(repr=False)

    def key(self) -> str:
        return self.change.key(self.module, self.source)


class Copy:
    """The project again, in a folder of its own."""

    def __init__(self, project: Path, folder: Path) -> None:
        self.root = folder
        self._dates = 1_000_000_000
        for name in ("forwarder", "simulator", "sinks", "tests", "docs", "examples", "schema", "helm", "bench"):
            shutil.copytree(project / name, folder / name, ignore=_LEFT_OUT)
        for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md", "Makefile", "Dockerfile"):
            shutil.copy(project / name, folder / name)
        env = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "500"}
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled once, and again what is changed
        self._forks = Forks(folder, env)

    def measure(self, area: Area, kept: Path) -> Reach:
        """Run the tests of an area, but for those known from `kept`; return what each executes."""
        files = {tests: kept / kept_as(area, self.root, tests) for tests in area.test_modules(self.root)}
        if missing := [tests for tests, path in files.items() if not path.exists()]:
            times, covered = self.root / ".times", self.root / ".covered"
            rooms = {str(path.parent.relative_to(self.root)) for path in area.sources(self.root)}
            words = [f"--cov={room}" for room in sorted(rooms)] + ["--cov-context=test", "--cov-report="]
            env = {"MUTANTS_TIMES": str(times), "COVERAGE_FILE": str(covered)}
            code, output = self._pytest([*words, *missing], env, _LONGEST)
            if not times.exists() or json.loads(times.read_text()) == {}:
                raise SystemExit(f"the tests of {area.name} did not run, exit code {code}: {output[-2000:]}")
            measured = CoverageData(str(covered))
            measured.read()
            found = read_coverage(measured, self.root, json.loads(times.read_text()))
            kept.mkdir(parents=True, exist_ok=True)
            for tests in missing:
                files[tests].write_text(json.dumps(found[tests]))
            for line in output.splitlines():
                if line.startswith(("FAILED ", "ERROR ")):
                    print(f"left out, because it fails without any change: {line}", flush=True)
        reach = Reach()
        for path in files.values():
            reach.add(load(path))
        return reach

    def try_out(self, mutant: Mutant, tests: dict[str, float]) -> str:
        """Apply a change, run tests until one fails, take the change back.

        Args:
            mutant: The change.
            tests: Node ids with their seconds, in this order; after them those of the area that run the code in
                processes of its own.

        Returns:
            What noticed it: a test, `time`, or nothing.
        """
        path = self.root / mutant.module
        self._write(path, mutant.change.apply(mutant.source))
        try:
            return (tests and self._notices(tests)) or self._processes(mutant.area)
        finally:
            self._write(path, mutant.source)

    def _write(self, path: Path, source: bytes) -> None:
        """Write a module with a date of its own: what Python compiled of another text is told by date and length."""
        path.write_bytes(source)
        self._dates += 1
        os.utime(path, (self._dates, self._dates))

    def close(self) -> None:
        """End what runs the tests."""
        self._forks.close()

    def _processes(self, area: Area) -> str:
        if not area.processes:
            return ""
        return self._outcome(*self._pytest(["-x", *area.processes], {}, _LONGEST))

    def _notices(self, tests: dict[str, float]) -> str:
        chosen = self.root / ".chosen"
        chosen.write_text(json.dumps(tests))
        modules = dict.fromkeys(name.partition("::")[0] for name in tests)
        within = 3 * sum(tests.values()) + _GRACE
        return self._outcome(*self._pytest(["-x", *modules], {"MUTANTS_CHOSEN": str(chosen)}, within))

    @staticmethod
    def _outcome(code: int | None, output: str) -> str:
        if code is None:
            return "time"
        if code == 0:
            return ""
        named = [line for line in output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
        if not named and "+ Timeout +" in output:
            return "time"
        if not named:
            return f"exit code {code}: {output[-300:]}"
        name, _, why = named[0].partition(" - ")
        return f"{name} in time" if "Timeout" in why else name

    def _pytest(self, words: list[str], env: dict[str, str], within: float) -> tuple[int | None, str]:
        return self._forks.run(
            [
                "-q", "-n", "0", "--no-header", "--tb=line", "-p", "no:cacheprovider", "-p", "no:randomly",
                "-p", "tests.mutants.plugin", "--hypothesis-seed=0", "-m", "not servers and not long and not packaging",
                *words,
            ],
            env,
            within,
        )  # fmt: skip
