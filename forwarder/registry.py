"""Finds sources, sinks and formats among the installed packages: entry points → classes.

Our own components register exactly as a stranger's do. Only a type that is asked for is imported, so a broken package
harms no one but those who name its type, and then the error names the package and quotes its error.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from difflib import get_close_matches
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import TYPE_CHECKING, Any

from forwarder import contracts
from forwarder.contracts.errors import ConfigError
from forwarder.contracts.format import ChangesFields, FormatTraits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from forwarder.contracts import FieldsConfig, Format


OWN_DISTRIBUTION = "audit-forwarder"

_CONTRACT = {
    "source": ("Config", "feed", "walk", "fetch", "probe", "close", "normalizer"),
    "pushed source": ("Config", "feed", "receive", "probe", "close", "normalizer"),
    "sink": ("Config", "proof", "default_format", "send", "probe", "close"),
    "format": ("render",),
}


class UnknownType(ConfigError):
    """No installed package offers this type.

    Args:
        kind: `source`, `sink` or `format`.
        name: The type that was asked for.
        known: The types there are.
    """

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        self.nearest = nearest(name, known)
        self.known = known
        guess = f"did you mean {self.nearest}? " if self.nearest else ""
        super().__init__(f"unknown {kind} type; {guess}known types: {', '.join(known) or 'none'}")


class BrokenPlugin(ConfigError):
    """An installed package offers the type, but cannot be used; the message names the package and its error."""


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.5) -> str | None:
    """Return the known word most like `word`, or None when none is near."""
    by_lower = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


class Registry:
    """The components of one kind.

    Args:
        kind: `source`, `sink` or `format`; the entry-point group is `audit_forwarder.<kind>s`.
        find: Looks up the entry points of a group; the installed ones by default.
    """

    def __init__(self, kind: str, find: Callable[..., EntryPoints] | None = None) -> None:
        self.kind = kind
        self.group = f"audit_forwarder.{kind}s"
        self._find = find or _installed
        self._known: tuple[list[str], dict[str, list[EntryPoint]]] = ([], {})

    def names(self, *, distribution: str | None = None) -> list[str]:
        """Return the known types in order, of all packages or of one."""
        return sorted(
            name
            for name, points in self._points().items()
            if distribution is None or any(_distribution(point) == distribution for point in points)
        )

    def is_ours(self, name: str) -> bool:
        """Tell whether a known type is of this package and of no other."""
        return {_distribution(point) for point in self._points()[name]} == {OWN_DISTRIBUTION}

    def load(self, name: str) -> Any:
        """Import and return the class of a type.

        Raises UnknownType, or BrokenPlugin when the package cannot be imported, does not keep the contract, or when
        two packages claim the same type.
        """
        points = self._points()
        if name not in points:
            raise UnknownType(self.kind, name, sorted(points))
        if len(points[name]) > 1:
            claimants = " and ".join(sorted(_label(point) for point in points[name]))
            raise BrokenPlugin(f"{self.kind} type {name} is claimed by {claimants}; uninstall one of them")
        point = points[name][0]
        try:
            found = point.load()
        except (Exception, SystemExit) as error:
            reason = " ".join(str(error).split())[:300]
            raise BrokenPlugin(
                f"{self.kind} type {name} of {_label(point)} cannot be imported: {type(error).__name__}: {reason}; "
                "repair or uninstall that package"
            ) from error
        pushed = "pushed " if getattr(found, "reads", "") == "pushed" else ""
        lacking = [part for part in _CONTRACT[f"{pushed}{self.kind}"] if not hasattr(found, part)]
        if lacking:
            raise BrokenPlugin(
                f"{self.kind} type {name} of {_label(point)} lacks {', '.join(lacking)}; "
                "see forwarder.contracts for what it must have"
            )
        try:
            self._check_traits(found)
        except ConfigError as error:
            raise BrokenPlugin(f"{self.kind} type {name} of {_label(point)} {error}") from error
        return found

    def _check_traits(self, found: Any) -> None:
        if self.kind == "format":
            FormatTraits.of(found)
        elif self.kind == "sink":
            contracts.SinkTraits.of(found)  # imported only now: a sink's class has the settings already

    def _points(self) -> dict[str, list[EntryPoint]]:
        """Group by name; the same distribution found twice on the path counts once.

        Every look reads the metadata of all packages, so it is kept while the path is the same.
        """
        if self._known[0] == sys.path:
            return self._known[1]
        found: dict[str, dict[tuple[str, str], EntryPoint]] = defaultdict(dict)
        names: dict[Any, str] = {}  # each look at a name reads the whole description of the package
        for point in self._find(group=self.group):
            if point.dist not in names:
                names[point.dist] = _distribution(point)
            found[point.name].setdefault((names[point.dist], point.value), point)
        self._known = [*sys.path], {name: list(points.values()) for name, points in found.items()}
        return self._known[1]


def _installed(*, group: str) -> EntryPoints:
    found: EntryPoints = _on_path(*sys.path).select(group=group)
    return found


@lru_cache(maxsize=1)
def _on_path(*path: str) -> Any:
    """Return the entry points of all packages: one look for the three kinds."""
    del path
    return entry_points()


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "unknown package"


def _label(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else f"an unknown package ({point.value})"


SOURCES = Registry("source")
SINKS = Registry("sink")
FORMATS = Registry("format")


def build_format(name: str, *, original: bool = False, fields: FieldsConfig | None = None) -> Format:
    """Build a format, with a sink's changes to what it writes.

    Raises ConfigError when it cannot be loaded, cannot hold the original that is asked for, or refuses the changes.
    """
    kind = FORMATS.load(name)
    if original and not FormatTraits.of(kind).keeps_original:
        raise ConfigError(
            f"the format {name} has no place for the original event; leave out original, or use ecs or ocsf"
        )
    built: Format = kind(original=True) if original else kind()
    if fields is None or not (fields.rename or fields.drop or fields.add):
        return built
    if not isinstance(built, ChangesFields):
        raise ConfigError(f"fields: the format {name} lets nothing be changed; leave out fields, or use another format")
    return built.with_fields(fields)
