"""The dotted paths of a document, from the shapes it is encoded by."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_origin

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Hidden(NamedTuple):
    """What a shape does not show, because it is encoded beforehand.

    Attributes:
        inside: By shape and member: the shape or the names within it.
        neighbours: By shape and member: the shape or the names that stand beside that member and in its place.
        once: A shape that does not stand within itself further down than once.
    """

    inside: Mapping[tuple[type, str], type[msgspec.Struct] | Sequence[str]]
    neighbours: Mapping[tuple[type, str], type[msgspec.Struct] | Sequence[str]] = MappingProxyType({})
    once: type | None = None


def paths_of(kind: type[msgspec.Struct], hidden: Hidden) -> frozenset[str]:
    """Return the path of every member and of every object; what lies in an array or a part of the API has none."""
    found: set[str] = set()
    _collect(kind, "", hidden, found)
    return frozenset(found)


def _collect(kind: type[msgspec.Struct] | Sequence[str], prefix: str, hidden: Hidden, found: set[str]) -> None:
    if not isinstance(kind, type):
        found.update(f"{prefix}{name}" for name in kind)
        return
    for field in msgspec.structs.fields(kind):
        beside = hidden.neighbours.get((kind, field.name))
        if beside is not None:
            _collect(beside, prefix, hidden, found)
            continue
        within = hidden.inside.get((kind, field.name))
        inner = [within] if within is not None else _objects(field.type)
        if hidden.once in inner and prefix.count(".") > 1:
            continue
        found.add(f"{prefix}{field.encode_name}")
        for one in inner:
            _collect(one, f"{prefix}{field.encode_name}.", hidden, found)


def _objects(kind: Any) -> list[type[msgspec.Struct] | Sequence[str]]:
    """Return the shapes that a value may have."""
    kinds = () if get_origin(kind) in {tuple, list} else (kind, *get_args(kind))
    return [
        one for one in kinds if isinstance(one, type) and get_origin(one) is None and issubclass(one, msgspec.Struct)
    ]
