"""What settings are in the process of the daemon: objects with the values that another process has judged.

A settings model is one class in two kinds of process. Where a configuration is read, its base is pydantic's, which
judges. The daemon gets what was judged, and needs only the values and what a model says of them in methods and
properties; the library that judges, with the schemas of all models, is 12 MB of a process that never judges.
`forwarder.contracts.declared` decides which of both it is.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Self


class Default(NamedTuple):
    """What a field is when it is left out."""

    default: Any = ...
    default_factory: Callable[[], Any] | None = None

    def made(self) -> Any:
        """Return the value. Raises TypeError where there is none."""
        if self.default_factory is not None:
            return self.default_factory()
        if self.default is ...:
            raise TypeError("a value is missing")
        return self.default


def Field(default: Any = ..., *, default_factory: Callable[[], Any] | None = None, **_: Any) -> Any:  # noqa: N802
    """Declare a field as pydantic's function of this name does; of what it says only the default counts."""
    return Default(default, default_factory)


def PrivateAttr(default: Any = None) -> Any:  # noqa: N802 -- pydantic's name
    """Declare an attribute that is no field."""
    return default


def ConfigDict(**settings: Any) -> dict[str, Any]:  # noqa: N802 -- pydantic's name
    """Return what a model's class is configured with."""
    return settings


def unjudged(*_: Any, **__: Any) -> Any:
    """Leave what judges or describes as it is: nothing calls it here."""
    return lambda function: function


class BaseModel:
    """Holds values; its other members have pydantic's names and meaning."""

    model_fields: ClassVar[dict[str, Default]] = {}
    model_config: ClassVar[Mapping[str, Any]] = {}
    model_fields_set: set[str]

    def __init_subclass__(cls, **_: Any) -> None:
        """Take the fields from the annotations, as pydantic does."""
        super().__init_subclass__()
        fields = dict(cls.model_fields)
        for name, written in inspect.get_annotations(cls).items():
            if not name.startswith("_") and "ClassVar" not in str(written):
                given = cls.__dict__.get(name, ...)
                fields[name] = given if isinstance(given, Default) else Default(given)
        cls.model_fields = fields

    def __init__(self, **values: Any) -> None:
        made = {name: values[name] if name in values else field.made() for name, field in self.model_fields.items()}
        if unknown := values.keys() - made.keys():
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
        self.__dict__.update(made, model_fields_set=set(values))

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Take the values of a model of pydantic as pickle has them. Raises TypeError for those of other fields."""
        if state["__dict__"].keys() != self.model_fields.keys():
            raise TypeError(f"{type(self).__name__} has other fields")
        private = state.get("__pydantic_private__") or {}
        self.__dict__.update(state["__dict__"], model_fields_set=state["__pydantic_fields_set__"], **private)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state that `__setstate__` takes."""
        values = dict(self.__dict__)
        return {"__pydantic_fields_set__": values.pop("model_fields_set"), "__dict__": values}

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse: settings stay as they were judged. Attributes that are no fields may change."""
        if not name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} is frozen")
        super().__setattr__(name, value)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), *self._values().values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._values().items())})"

    def _values(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in self.model_fields}

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> Self:
        """Return a copy, with other values where they are named."""
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__, model_fields_set=self.model_fields_set | {*(update or {})})
        copied.__dict__.update(update or {})
        return copied

    def model_dump(self, *, mode: str = "python", exclude_none: bool = False) -> dict[str, Any]:
        """Return the values by name, and those of what they hold; with mode `json` as JSON has them."""
        values = self._values().items()
        return {
            name: _dumped(value, mode, exclude_none) for name, value in values if not (exclude_none and value is None)
        }

    def model_dump_json(self) -> str:
        """Return the values as JSON."""
        return json.dumps(self.model_dump(mode="json"), ensure_ascii=False, separators=(",", ":"))


def _dumped(value: Any, mode: str, exclude_none: bool) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode=mode, exclude_none=exclude_none)
    if isinstance(value, dict):
        items = ((key, item) for key, item in value.items() if not (exclude_none and item is None))
        return {str(key) if mode == "json" else key: _dumped(item, mode, exclude_none) for key, item in items}
    if isinstance(value, list | tuple | set | frozenset):
        members = [_dumped(item, mode, exclude_none) for item in value]
        return members if mode == "json" else type(value)(members)
    if mode == "json" and not isinstance(value, str | int | float | bool | None):
        return value.as_json() if hasattr(value, "as_json") else str(value)
    return value
