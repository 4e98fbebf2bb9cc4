"""What a sink's `fields` may do to an ECS document of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.formats.ecs.document import Document, Geo, Source, User
from forwarder.formats.kit.fields import Rules
from forwarder.formats.kit.json_fields import JSON_EXAMPLE, JSON_NAME
from forwarder.formats.kit.json_paths import Hidden, paths_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_HIDDEN = Hidden(
    inside={
        (Source, "geo"): Geo,
        (Document, "ecs"): ("version",),
        (Document, "organization"): ("id", "name"),
        (Document, "observer"): ("product", "type", "version"),
    },
    once=User,
)


def known_fields() -> frozenset[str]:
    """Return the dotted path of every field and of every object of fields; `context` and `container` are one each."""
    return paths_of(Document, _HIDDEN)


def rules(essential: Iterable[Sequence[str]], without: str = "") -> Rules:
    """Return what may be done to ECS; what is essential, but for the actor, stays.

    Args:
        essential: Paths.
        without: A field that counts as none of ours.
    """
    mandatory = frozenset(".".join(path) for path in essential if path[0] != "user") - {without}
    return Rules(known_fields() - {without}, mandatory, JSON_NAME, JSON_EXAMPLE, dotted=True)
