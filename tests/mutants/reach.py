"""Which tests execute a line, and how long each takes: measured once, kept until a module or its tests change."""

from __future__ import annotations

import ast
import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from coverage import CoverageData

from tests.mutants.areas import Area

_BLOCKS = ("body", "orelse", "finalbody", "handlers")


@dataclass
class Reach:
    """What the tests of one area execute.

    Attributes:
        seconds: What each test takes.
        lines: Module → line → tests that execute it; a line that ran only while modules were imported has none.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, dict[int, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))

    def tests_of(self, module: str, source: bytes, line: int, within: float) -> dict[str, float]:
        """Return the tests that execute the statement around a line, with their seconds, in the order to run.

        After them come those that execute the function around it, because coverage misses lines of coroutines behind an
        exception. The quickest come first, and of two that are as quick the one of which fewer cases were tried: cases of
        one test notice much the same. What runs at import, such as a table, is tried by every test: one that
        looks at a table executes nothing.

        Args:
            module: Path of the module.
            source: What it says.
            line: The line of it.
            within: Seconds after which tests are left out.
        """
        here = self.lines[module]
        statement, function = _around(source, line)
        sure = set() if function is None else set().union(*(here.get(number, ()) for number in statement))
        found = [here[number] for number in function or () if number in here]
        cases: dict[str, list[str]] = defaultdict(list)
        tests = set(self.seconds) if function is None else set().union(*found)
        for name in sorted(tests, key=lambda name: (name not in sure, self.seconds[name], name)):
            cases[name.partition("[")[0]].append(name)
        order = sorted(
            (name not in sure, self.seconds[name] * turn, name)
            for names in cases.values()
            for turn, name in enumerate(names, 1)
        )
        chosen = {name: self.seconds[name] for _, _, name in order}
        ends = accumulate(chosen.values())
        return {name: took for (name, took), end in zip(chosen.items(), ends, strict=True) if end - took < within}

    def add(self, kept: dict) -> None:
        """Add what one module of tests executes."""
        self.seconds |= kept["seconds"]
        for module, lines in kept["lines"].items():
            for line, tests in lines.items():
                self.lines[module][int(line)] |= set(tests)


def read_coverage(data: CoverageData, root: Path, times: dict[str, tuple[float, bool]]) -> dict[str, dict]:
    """Return by module of tests what `Reach.add` takes; tests that failed are left out."""
    kept: dict[str, dict] = defaultdict(lambda: {"seconds": {}, "lines": {}})
    for name, (seconds, passed) in times.items():
        if passed:
            kept[name.partition("::")[0]]["seconds"][name] = round(seconds, 3)
    for path in data.measured_files():
        module = str(Path(path).relative_to(root))
        for line, contexts in data.contexts_by_lineno(path).items():
            for context in contexts:
                name = context.rpartition("|")[0]
                tests = kept[name.partition("::")[0]] if name else None
                for into in [tests] if tests else kept.values():
                    names = into["lines"].setdefault(module, {}).setdefault(line, [])
                    if name in into["seconds"] and name not in names:
                        names.append(name)
    return kept


def kept_as(area: Area, root: Path, tests: str) -> str:
    """Return a name that changes with the modules of an area and with one module of its tests."""
    digest = hashlib.blake2b(digest_size=8)
    for path in (*area.sources(root), root / tests):
        digest.update(path.read_bytes())
    return f"{tests.removesuffix('.py').replace('/', '-')}-{digest.hexdigest()}.json"


def load(path: Path) -> dict:
    """Read what one module of tests executes."""
    return json.loads(path.read_text())


def _around(source: bytes, line: int) -> tuple[range, range | None]:
    """Return the lines of the innermost statement around a line, and of the innermost function, if there is one."""
    statement: range = range(line, line + 1)
    function: range | None = None
    waiting: list[ast.AST] = [ast.parse(source)]
    for node in waiting:  # the outer ones first
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno):
            blocks = [part for name in _BLOCKS for part in getattr(node, name, ())]
            first = min((part.lineno for part in blocks if hasattr(part, "lineno")), default=None)
            end = (node.end_lineno or node.lineno) if first is None else max(first - 1, node.lineno)
            if line <= end:
                statement = range(node.lineno, end + 1)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and line > end:
                function = range(node.lineno, (node.end_lineno or node.lineno) + 1)
        waiting += ast.iter_child_nodes(node)
    return statement, function
