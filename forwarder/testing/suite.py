"""Which sinks, sources and formats a package has, and with what each of them is tried."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, TypeVar

import pytest

from forwarder.registry import FORMATS, SINKS, SOURCES
from forwarder.testing.far_end import FarEnd
from forwarder.testing.feed import Feed
from forwarder.testing.sender import Sender

F = TypeVar("F", bound=Callable[..., Any])

SINK_CLAUSES = ("sink_rules", "sink_clauses", "sink_safety_clauses", "isolation_clauses")
SOURCE_CLAUSES = ("source_rules", "source_clauses")
PUSHED_CLAUSES = ("pushed_clauses",)
FORMAT_CLAUSES = ("format_clauses",)

NEEDS = "forwarder_needs"
ONE_OF = "forwarder_one_of"
MARKERS = (
    f"{NEEDS}(*faults): a clause for far ends and feeds that can play all of these",
    f"{ONE_OF}(*faults): a clause that is tried with each of these that a far end or feed can play",
)


class NotToBeFound(Exception):
    """The package under test cannot be found; the message says what to do."""


def clause(*needed: str, one_of: tuple[str, ...] = ()) -> Callable[[F], F]:
    """Mark a clause with the faults that it needs."""

    def mark(test: F) -> F:
        marks = [pytest.mark.forwarder_needs(*needed), pytest.mark.forwarder_one_of(*one_of)]
        if iscoroutinefunction(test):
            marks.append(pytest.mark.asyncio)
        for each in marks:
            test = each(test)
        return test

    return mark


@dataclass(frozen=True)
class Suite:
    """One package and what its components are tried with.

    Attributes:
        package: Name of the distribution.
        far_ends, feeds, senders: As its `conftest.py` gives them.
    """

    package: str
    far_ends: list[type[FarEnd]]
    feeds: list[type[Feed]]
    senders: list[type[Sender]] = field(default_factory=list)

    @property
    def sinks(self) -> list[str]:
        """The sinks that it registers."""
        return SINKS.names(distribution=self.package)

    @property
    def sources(self) -> list[str]:
        """The sources that it registers."""
        return SOURCES.names(distribution=self.package)

    @property
    def formats(self) -> list[str]:
        """The formats that it registers."""
        return FORMATS.names(distribution=self.package)

    def modules(self) -> list[str]:
        """Return the modules of clauses that its components are held to."""
        return [
            *(SINK_CLAUSES if self.sinks or self.far_ends else ()),
            *(SOURCE_CLAUSES if self.sources or self.feeds else ()),
            *(PUSHED_CLAUSES if self.senders else ()),
            *(FORMAT_CLAUSES if self.formats else ()),
        ]

    def parametrize(self, metafunc: pytest.Metafunc) -> None:
        """Give a clause what it is tried with."""
        names = metafunc.fixturenames
        for fixture, kinds in (("far_end", self.far_ends), ("feed", self.feeds)):
            if fixture in names:
                _try_with(metafunc, fixture, kinds)
        if "format_name" in names:
            metafunc.parametrize("format_name", self.formats)
        if "sender" in names:
            metafunc.parametrize("sender", self.senders, ids=[kind.name for kind in self.senders])
        if "suite" in names:
            metafunc.parametrize("suite", [self], ids=[self.package])


def _try_with(metafunc: pytest.Metafunc, fixture: str, kinds: list[Any]) -> None:
    needed = {fault for mark in metafunc.definition.iter_markers(NEEDS) for fault in mark.args}
    one_of = [fault for mark in metafunc.definition.iter_markers(ONE_OF) for fault in mark.args]
    able = [kind for kind in kinds if needed <= kind.can]
    if one_of:
        names: tuple[str, ...] = (fixture, "fault")
        cases = [
            pytest.param(kind, fault, id=f"{_label(kind)}-{fault}")
            for kind in able
            for fault in one_of
            if fault in kind.can
        ]
    else:
        names, cases = (fixture,), [pytest.param(kind, id=_label(kind)) for kind in able]
    if not cases:
        reasons = {kind.cannot.get(fault, fault) for kind in kinds for fault in needed or one_of}
        skipped = pytest.mark.skip(reason="; ".join(sorted(reasons)) or "nothing to try it with")
        cases = [pytest.param(*[None] * len(names), id="none", marks=skipped)]
    metafunc.parametrize(names, cases)


def _label(kind: Any) -> str:
    return f"{kind.name} {kind.variant}".strip()


def package_of(folder: Path) -> str:
    """Return the distribution whose `pyproject.toml` lies in this folder or above it. Raises NotToBeFound."""
    for each in (folder, *folder.parents):
        file = each / "pyproject.toml"
        if file.is_file():
            name = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {}).get("name")
            if not isinstance(name, str):
                raise NotToBeFound(f"{file} has no [project] name; write the name of the package there")
            try:
                return str(distribution(name).name)
            except PackageNotFoundError:
                raise NotToBeFound(f"the package {name} is not installed; run: pip install -e {each}") from None
    raise NotToBeFound(f"no pyproject.toml in {folder} or above; put conftest.py into the folder of the package")
