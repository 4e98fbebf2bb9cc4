"""The shape of the configuration: which model stands at which path, plugins included.

`Plugin` marks a place whose model depends on the value's `type`. `fit` turns texts from outside YAML into what their
setting needs; `model_at` finds the model at a path, for errors.
"""

from __future__ import annotations

import json
import types
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from forwarder.config.layers import Text
from forwarder.contracts.declared import (
    BaseModel,
    CoreSchema,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PydanticCustomError,
    core_schema,
)
from forwarder.contracts.errors import ConfigError
from forwarder.contracts.secret import Secret
from forwarder.registry import BrokenPlugin, UnknownType

if TYPE_CHECKING:
    from forwarder.config.problems import Path as Keys
    from forwarder.registry import Registry


PLUGINS = "x-plugins"
"""Where the JSON schema of a component goes."""


class Plugin:
    """Marks a field whose model is the `Config` of the component named by `type`."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def config(self, value: Any) -> type[BaseModel] | None:
        """Return the settings model of a raw component, or None when its type says none."""
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(kind, str):
            return None
        try:
            found: type[BaseModel] = self.registry.load(str(kind)).Config
        except ConfigError:
            return None
        return found

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate with the plugin's own model; dump with it too."""
        return core_schema.no_info_plain_validator_function(
            self._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda model: model.model_dump(mode="json")),
        )

    def _validate(self, value: Any) -> BaseModel:
        if isinstance(value, BaseModel):
            return value
        if not isinstance(value, dict):
            raise PydanticCustomError("component", "not a map of settings")
        kind = value.get("type")
        if not isinstance(kind, str):
            raise PydanticCustomError("no_type", "has no type", {"known": ", ".join(self.registry.names())})
        try:
            config: type[BaseModel] = self.registry.load(str(kind)).Config
        except UnknownType as error:
            raise PydanticCustomError(
                "unknown_type",
                "{problem}",
                {"problem": f"unknown {self.registry.kind} type", "type": str(kind), "known": error.known},
            ) from None
        except BrokenPlugin as error:
            raise PydanticCustomError("broken_plugin", "{problem}", {"problem": str(error)}) from None
        try:
            return config.model_validate({**value, "type": str(kind)})
        except ConfigError as error:  # a validator that says so in the engine's words
            raise PydanticCustomError("refused", "{problem}", {"problem": str(error)}) from None

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Leave a mark, which `json_schema` replaces by the union of what is installed, distinguished by `type`."""
        return {"type": "object", "required": ["type"], PLUGINS: self.registry.kind}


def resolve(annotation: Any, value: Any) -> Any:
    """Return what stands behind an annotation: a model, a `dict[…]`, a `list[…]`, or None for a leaf."""
    if get_origin(annotation) is Annotated:
        for mark in annotation.__metadata__:
            if isinstance(mark, Plugin):
                return mark.config(value)
        return resolve(get_args(annotation)[0], value)
    if get_origin(annotation) in {Union, types.UnionType}:
        found = [resolve(part, value) for part in get_args(annotation)]
        return next((part for part in found if part is not None), None)
    if get_origin(annotation) in {dict, list}:
        return annotation
    return annotation if _is_model(annotation) else None


def below(shape: Any, key: str | int) -> Any:
    """Return the annotation of what stands under `key` in a resolved shape, or None."""
    if get_origin(shape) is dict:
        return get_args(shape)[1]
    if get_origin(shape) is list:
        return get_args(shape)[0] if isinstance(key, int) else None
    if _is_model(shape):
        field = shape.model_fields.get(str(key))
        return field.annotation if field else None
    return None


def model_at(root: type[BaseModel], tree: Any, path: Keys) -> type[BaseModel] | None:
    """Return the model that stands at a path of a raw tree, or None when there is none or its type is unknown."""
    shape: Any = root
    for key in path:
        try:
            tree = tree[key]
        except (KeyError, IndexError, TypeError):
            return None
        shape = resolve(below(shape, key), tree)
    return shape if _is_model(shape) else None


def fit(annotation: Any, value: Any) -> Any:
    """Turn every `Text` into what its setting needs: a secret that follows its file, JSON for a list or a map, text."""
    if isinstance(value, Text):
        return _fit_text(annotation, value)
    shape = resolve(annotation, value)
    if value is None and (get_origin(shape) is dict or _is_model(shape)) and type(None) not in get_args(annotation):
        return {}  # `log:` with nothing behind it, as when every line of a section is commented out
    if isinstance(value, dict):
        return {key: fit(below(shape, key), item) for key, item in value.items()}
    return [fit(below(shape, index), item) for index, item in enumerate(value)] if isinstance(value, list) else value


def _fit_text(annotation: Any, text: Text) -> Any:
    if _is_secret(annotation):
        return Secret(path=text.file) if text.file else str(text)
    if text.lstrip()[:1] in {"[", "{"} and resolve(annotation, text) is not None:
        with suppress(json.JSONDecodeError, RecursionError):  # then the model says what it wants instead
            return json.loads(text)
    return str(text)


def _is_secret(annotation: Any) -> bool:
    return annotation is Secret or any(part is Secret for part in get_args(annotation))


def _is_model(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, BaseModel)
