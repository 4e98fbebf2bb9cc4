"""The names of every field that an ECS document of ours may have, from the shapes it is encoded by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args, get_origin

import msgspec

from forwarder.formats.ecs_document import Audit, Document, Event, Facts, Geo, Kind, Source, User, What
from forwarder.formats.json_template import JSON_EXAMPLE, JSON_NAME
from forwarder.formats.template import Rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_RUNS: dict[tuple[type, str], type[msgspec.Struct]] = {
    (Event, "kind"): Kind,
    (Event, "action"): What,
    (Audit, "feed"): Facts,
    (Source, "geo"): Geo,
}
"""Members that are encoded beforehand, and of what."""

_CONSTANTS = {"ecs": ("version",), "organization": ("id", "name"), "observer": ("product", "type", "version")}
"""Objects that are encoded beforehand, and their members."""


def known_fields() -> frozenset[str]:
    """Return the dotted path of every field and of every object of fields; `context` and `container` are one each."""
    found: set[str] = set()
    _collect(Document, "", found)
    found |= {f"{name}.{member}" for name, members in _CONSTANTS.items() for member in members}
    return frozenset(found)


def _collect(kind: type[msgspec.Struct], prefix: str, found: set[str]) -> None:
    for field in msgspec.structs.fields(kind):
        run = _RUNS.get((kind, field.name))
        if run is not None and run is not Geo:  # such a run brings its neighbours along
            _collect(run, prefix, found)
            continue
        inner = [run] if run is not None else _objects(field.type)
        if User in inner and prefix.count(".") > 1:  # nobody else stands within `user.target` and its like
            continue
        path = f"{prefix}{field.encode_name}"
        found.add(path)
        for one in inner:
            _collect(one, f"{path}.", found)


def _objects(kind: Any) -> list[type[msgspec.Struct]]:
    """Return the shapes that a value may have; what lies in an array has no path."""
    kinds = () if get_origin(kind) is tuple else (kind, *get_args(kind))
    return [one for one in kinds if isinstance(one, type) and issubclass(one, msgspec.Struct)]


def rules(essential: Iterable[Sequence[str]]) -> Rules:
    """Return what may be done to ECS; what is essential, but for the actor, stays."""
    mandatory = frozenset(".".join(path) for path in essential if path[0] != "user")
    return Rules(known_fields(), mandatory, JSON_NAME, JSON_EXAMPLE, dotted=True)
