"""Try wrong changes and name those that no test noticed.

    python -m tests.mutants --sample 200 --jobs 2      as many of each area, at random; again goes on
    python -m tests.mutants --area spool               everything of one area
    python -m tests.mutants --survivors                what was not noticed so far, with its change

The tests of an area run once to see which of them execute which line; a change is then tried by those that execute it.
Each worker has a copy of the project, so nothing here is touched. Results are kept in `.mutants/results.jsonl`: a run
that was ended goes on where it was, and a change is tried again when its line or `--again` says so.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from fnmatch import fnmatch
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.areas import AREAS, Area
from tests.mutants.changes import changes_of
from tests.mutants.copy import Copy, Mutant
from tests.mutants.equivalent import Equivalents

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".mutants"


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


class Results:
    """What was tried: one line each, the last one of a key counts."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = threading.Lock()
        lines = path.read_text().splitlines() if path.exists() else []
        self.known = {found["key"]: found for found in map(json.loads, lines)}

    def add(self, mutant: Mutant, noticed: str, seconds: float, tests: int) -> None:
        found = {"key": mutant.key(), "noticed": noticed, "tests": tests, "seconds": round(seconds, 1)}
        found |= {"where": f"{mutant.module}:{mutant.change.line} {mutant.change.kind}"}
        with self._lock:
            self.known[found["key"]] = found
            with self._path.open("a") as file:
                file.write(json.dumps(found) + "\n")


def main() -> int:
    """Run. Exit code 1 when something was not noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("--area", action="append", choices=[area.name for area in AREAS])
    parser.add_argument("--module", default="*", help="only changes of modules whose path is like this")
    parser.add_argument("--sample", type=int, help="changes to choose at random, as many of each area")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) // 2))
    parser.add_argument("--within", type=float, default=60.0, help="seconds of tests that each change is tried with")
    parser.add_argument("--again", action="store_true", help="try again what was not noticed")
    parser.add_argument("--survivors", action="store_true", help="only list what was not noticed so far")
    words = parser.parse_args()
    areas = [area for area in AREAS if not words.area or area.name in words.area]
    results, equivalents = Results(KEPT / "results.jsonl"), Equivalents()
    everything = [mutant for area in areas for mutant in mutants_of(area) if fnmatch(mutant.module, words.module)]
    chosen = everything
    if words.sample is not None:
        chosen = _sample(everything, words.sample, random.Random(words.seed))
    counted = [mutant for mutant in chosen if not equivalents.why(mutant.module, mutant.change, mutant.source)]
    if not words.survivors:
        waiting = [mutant for mutant in counted if _is_due(mutant, results, again=words.again)]
        print(
            f"{len(everything)} changes in {len(areas)} areas, {len(chosen)} chosen, {len(waiting)} to try", flush=True
        )
        if waiting:
            _try_all(waiting, results, words.jobs, words.within)
    for line in equivalents.unused({mutant.module for mutant in everything}) if chosen is everything else ():
        print(f"no change is like this any more, take it out of equivalent.toml: {line}")
    return _report(counted, len(chosen) - len(counted), results)


def _sample(everything: list[Mutant], size: int, dice: random.Random) -> list[Mutant]:
    by_area: dict[str, list[Mutant]] = {}
    for mutant in everything:
        by_area.setdefault(mutant.area.name, []).append(mutant)
    share = -(-size // len(by_area))
    return [one for found in by_area.values() for one in dice.sample(found, min(share, len(found)))]


def _is_due(mutant: Mutant, results: Results, *, again: bool) -> bool:
    known = results.known.get(mutant.key())
    return known is None or (again and not known["noticed"])


def _try_all(waiting: list[Mutant], results: Results, jobs: int, within: float) -> None:
    with ExitStack() as ends:
        folder = ends.enter_context(tempfile.TemporaryDirectory(prefix="mutants-"))
        pool = ends.enter_context(ThreadPoolExecutor(jobs))
        copies: SimpleQueue[Copy] = SimpleQueue()
        for number in range(jobs):
            copies.put(ends.enter_context(closing(Copy(ROOT, Path(folder) / str(number)))))
        reaches = {}
        for area in {mutant.area.name: mutant.area for mutant in waiting}.values():
            copy = copies.get()
            reach = reaches[area.name] = copy.measure(area, KEPT / "reach")
            copies.put(copy)
            print(f"{area.name}: {len(reach.seconds)} tests, {sum(reach.seconds.values()):.0f} s", flush=True)

        def try_one(mutant: Mutant) -> None:
            reach = reaches[mutant.area.name]
            tests = reach.tests_of(mutant.module, mutant.source, mutant.change.line, within)
            begun = time.monotonic()
            copy = copies.get()
            try:
                noticed = copy.try_out(mutant, tests)
            finally:
                copies.put(copy)
            results.add(mutant, noticed, time.monotonic() - begun, len(tests))
            verdict = noticed or ("NOT NOTICED" if tests else "NOT NOTICED (never executed)")
            print(f"{mutant.module}:{mutant.change.line} {mutant.change.kind}: {verdict}", flush=True)

        for future in [pool.submit(try_one, mutant) for mutant in waiting]:
            future.result()


def _diff(mutant: Mutant) -> str:
    lines = [text.decode().splitlines(keepends=True) for text in (mutant.source, mutant.change.apply(mutant.source))]
    return "".join(difflib.unified_diff(*lines, mutant.module, mutant.module, n=1))


def _report(counted: list[Mutant], equivalent: int, results: Results) -> int:
    tried = [(mutant, found) for mutant in counted if (found := results.known.get(mutant.key())) is not None]
    survivors = [(mutant, found) for mutant, found in tried if not found["noticed"]]
    for mutant, found in sorted(survivors, key=lambda one: (one[0].module, one[0].change.line)):
        never = "" if found["tests"] else ", never executed"
        print(f"\n{mutant.module}:{mutant.change.line} {mutant.change.kind}{never}\n{_diff(mutant)}")
    count, lost = (Counter(mutant.area.name for mutant, _ in found) for found in (tried, survivors))
    in_time = Counter(mutant.area.name for mutant, found in tried if found["noticed"].endswith("time"))
    for area in sorted(count):
        noticed = count[area] - lost[area]
        shown = f"{100 * noticed / count[area]:.1f} % ({in_time[area]} of them by time)"
        print(f"{area:<10} {noticed} of {count[area]} noticed, {shown}")
    if tried:
        noticed = len(tried) - len(survivors)
        print(f"{'together':<10} {noticed} of {len(tried)} noticed, {100 * noticed / len(tried):.1f} %")
    print(f"left out: {equivalent} that change nothing, as equivalent.toml says")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
