"""Walks over every single value of a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forwarder.contracts.declared import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.config.problems import Path as Keys


def leaves(value: Any, path: Keys, owner: BaseModel | None = None) -> Iterator[tuple[Keys, Any, BaseModel | None]]:
    """Yield every leaf with its path and the model it belongs to; a nested model belongs to its component too."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from leaves(getattr(value, name), (*path, name), value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key), owner)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index), owner)
    else:
        yield path, value, owner
