"""What a component declares of itself, as attributes of its class or properties: each has a default and a type."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Self

import msgspec

from forwarder.contracts.errors import ConfigError

_ABSENT = object()


class Traits(msgspec.Struct, frozen=True):
    """Base of `SinkTraits` and `FormatTraits`."""

    @classmethod
    def of(cls, component: Any) -> Self:
        """Return what a component or its class declares; a class is not asked for its properties.

        Raises ConfigError, naming what is declared as something else than it has to be.
        """
        declared: dict[str, Any] = {}
        for field in msgspec.structs.fields(cls):
            value = getattr(component, field.name, _ABSENT)
            if value is _ABSENT or isinstance(value, property | cached_property):
                continue
            try:
                declared[field.name] = msgspec.convert(value, field.type)
            except msgspec.ValidationError as error:
                raise ConfigError(f"declares {field.name} = {value!r:.100} ({error}); see {cls.__name__}") from error
        return cls(**declared)
