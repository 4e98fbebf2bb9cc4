"""Try wrong changes and name those that no test noticed.

    python -m tests.mutants --sample 200 --jobs 2      as many of each area, at random; again goes on
    python -m tests.mutants --area spool               everything of one area
    python -m tests.mutants --survivors                what was not noticed so far, with its change

Each worker has a copy of the project, so nothing here is touched. Results are kept in `.mutants/results.jsonl`: a run
that was ended goes on where it was, and a change is tried again when its module or `--again` says so.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.areas import AREAS, Area
from tests.mutants.changes import Change, changes_of

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".mutants" / "results.jsonl"
_LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "node_modules")
_GRACE = 20.0  # seconds on top of three times what the tests of an area take without a change


@dataclass(frozen=True)
class Mutant:
    """One change of one module of an area."""

    area: Area
    module: str
    change: Change
    source: bytes = field(repr=False)

    def key(self) -> str:
        return self.change.key(self.module, self.source)

    def diff(self) -> str:
        before = self.source
        lines = [text.decode().splitlines(keepends=True) for text in (before, self.change.apply(before))]
        return "".join(difflib.unified_diff(*lines, self.module, self.module, n=1))


def mutants_of(area: Area) -> Iterator[Mutant]:
    """Yield every change of an area that Python can read."""
    for path in area.sources(ROOT):
        source = path.read_bytes()
        for change in changes_of(source):
            try:
                compile(change.apply(source), path, "exec")
            except SyntaxError:
                continue
            yield Mutant(area, str(path.relative_to(ROOT)), change, source)


class Copy:
    """A copy of the project in which one change at a time is tried."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        for name in ("forwarder", "simulator", "sinks", "tests", "docs", "examples", "schema", "helm", "bench"):
            shutil.copytree(ROOT / name, folder / name, ignore=_LEFT_OUT)
        for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md", "Makefile", "Dockerfile"):
            shutil.copy(ROOT / name, folder / name)

    def notices(self, area: Area, within: float) -> str:
        """Run the tests of an area; return what noticed: a test, `time`, or nothing."""
        command = [
            sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "--no-header", "--tb=no", "-p", "no:cacheprovider",
            "-p", "no:randomly", "-m", "not servers and not long and not packaging", *area.test_modules(self.root),
        ]  # fmt: skip
        env = {**os.environ, "PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
        run = subprocess.Popen(
            command, cwd=self.root, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        )  # fmt: skip
        try:
            output, _ = run.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            return "time"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)  # what a test started goes with it
            run.wait()
        if run.returncode == 0:
            return ""
        named = [line for line in output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
        return named[0].partition(" - ")[0] if named else f"exit code {run.returncode}: {output[-300:]}"

    def try_out(self, mutant: Mutant, within: float) -> str:
        """Apply a change, run the tests, take the change back."""
        path = self.root / mutant.module
        path.write_bytes(mutant.change.apply(mutant.source))
        try:
            return self.notices(mutant.area, within)
        finally:
            path.write_bytes(mutant.source)


class Results:
    """What was tried: one line each, the last one of a key counts."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = threading.Lock()
        lines = path.read_text().splitlines() if path.exists() else []
        self.known = {found["key"]: found for found in map(json.loads, lines)}

    def add(self, mutant: Mutant, noticed: str, seconds: float) -> None:
        change = {key: value for key, value in asdict(mutant.change).items() if key in {"line", "kind"}}
        found = {"key": mutant.key(), "area": mutant.area.name, "module": mutant.module, **change}
        found |= {"noticed": noticed, "seconds": round(seconds, 1), "diff": "" if noticed else mutant.diff()}
        with self._lock:
            self.known[found["key"]] = found
            with self._path.open("a") as file:
                file.write(json.dumps(found) + "\n")


def main() -> int:
    """Run. Exit code 1 when something was not noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("--area", action="append", choices=[area.name for area in AREAS])
    parser.add_argument("--sample", type=int, help="changes to choose at random, as many of each area")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) // 2))
    parser.add_argument("--again", action="store_true", help="try again what was not noticed")
    parser.add_argument("--survivors", action="store_true", help="only list what was not noticed so far")
    words = parser.parse_args()
    areas = [area for area in AREAS if not words.area or area.name in words.area]
    results = Results(KEPT)
    everything = [mutant for area in areas for mutant in mutants_of(area)]
    if words.survivors:
        return _report(everything, results)
    chosen = everything
    if words.sample is not None:
        chosen = _sample(everything, words.sample, random.Random(words.seed))
    waiting = [mutant for mutant in chosen if _is_due(mutant, results, again=words.again)]
    print(f"{len(everything)} changes in {len(areas)} areas, {len(chosen)} chosen, {len(waiting)} to try", flush=True)
    if waiting:
        _try_all(waiting, results, words.jobs)
    return _report(chosen, results)


def _sample(everything: list[Mutant], size: int, dice: random.Random) -> list[Mutant]:
    by_area: dict[str, list[Mutant]] = {}
    for mutant in everything:
        by_area.setdefault(mutant.area.name, []).append(mutant)
    share = -(-size // len(by_area))
    return [one for found in by_area.values() for one in dice.sample(found, min(share, len(found)))]


def _is_due(mutant: Mutant, results: Results, *, again: bool) -> bool:
    known = results.known.get(mutant.key())
    return known is None or (again and not known["noticed"])


def _try_all(waiting: list[Mutant], results: Results, jobs: int) -> None:
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(jobs) as pool:
        copies: SimpleQueue[Copy] = SimpleQueue()
        for number in range(jobs):
            copies.put(Copy(Path(folder) / str(number)))
        limits = {}
        for area in {mutant.area.name: mutant.area for mutant in waiting}.values():
            copy = copies.get()
            begun = time.monotonic()
            if noticed := copy.notices(area, 1800):
                raise SystemExit(f"the tests of {area.name} fail without any change: {noticed}")
            limits[area.name] = (time.monotonic() - begun) * 3 + _GRACE
            print(f"{area.name}: {time.monotonic() - begun:.0f} s without a change", flush=True)
            copies.put(copy)

        def try_one(mutant: Mutant) -> None:
            copy = copies.get()
            begun = time.monotonic()
            try:
                noticed = copy.try_out(mutant, limits[mutant.area.name])
            finally:
                copies.put(copy)
            results.add(mutant, noticed, time.monotonic() - begun)
            print(f"{mutant.module}:{mutant.change.line} {mutant.change.kind}: {noticed or 'NOT NOTICED'}", flush=True)

        for future in [pool.submit(try_one, mutant) for mutant in waiting]:
            future.result()


def _report(chosen: list[Mutant], results: Results) -> int:
    tried = [found for mutant in chosen if (found := results.known.get(mutant.key())) is not None]
    survivors = sorted((one for one in tried if not one["noticed"]), key=lambda one: (one["module"], one["line"]))
    for one in survivors:
        print(f"\n{one['module']}:{one['line']} {one['kind']}\n{one['diff']}")
    count, lost = Counter(one["area"] for one in tried), Counter(one["area"] for one in survivors)
    for area in sorted(count):
        noticed = count[area] - lost[area]
        print(f"{area:<10} {noticed} of {count[area]} noticed, {100 * noticed / count[area]:.1f} %")
    if tried:
        noticed = len(tried) - len(survivors)
        print(f"{'together':<10} {noticed} of {len(tried)} noticed, {100 * noticed / len(tried):.1f} %")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
