"""The base of every settings model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from forwarder.contracts.declared import (
    ConfigDict,
    CoreSchema,
    GetJsonSchemaHandler,
    PydanticCustomError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from forwarder.contracts.descriptions import Described
from forwarder.contracts.secret import Secret
from forwarder.contracts.secret_file import expanded


def _kinds(annotation: Any) -> set[Any]:
    """Return what an annotation is made of: for `Annotated[int, …] | None` int, None and the marks."""
    parts = get_args(annotation)
    return set().union(*map(_kinds, parts)) if parts else {annotation}


class ComponentConfig(Described):
    """Base of every settings model: unknown keys are errors, and each secret may be named as `<field>_file`."""

    # The text of an error would repeat what was given, and with it a secret; `errors()` still has it.
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_switch(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and info.field_name is not None:
            kinds = _kinds(cls.model_fields[info.field_name].annotation)
            if kinds & {int, float} and bool not in kinds:
                raise PydanticCustomError("number", "a switch, not a number; write a number")
        return value

    @classmethod
    def secret_fields(cls) -> list[str]:
        """Return the names of the fields that hold a secret."""
        return [name for name, field in cls.model_fields.items() if "Secret" in str(field.annotation)]

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values = dict(values)
        for name in cls.secret_fields():
            path = values.pop(f"{name}_file", None)
            if path is None:
                continue
            if values.get(name) is not None:
                raise PydanticCustomError(
                    "secret_twice", "{name} and {name}_file are both set; keep one", {"name": name}
                )
            if not isinstance(path, str | Path) or not str(path):
                raise PydanticCustomError("path", "{name}_file is not a path; write it in quotes", {"name": name})
            try:
                values[name] = Secret(path=expanded(Path(path)))
            except ValueError as error:
                raise PydanticCustomError("path", "{problem}", {"problem": f"{name}_file: {error}"}) from None
        return values

    @field_validator("*", mode="after")
    @classmethod
    def _is_a_path(cls, value: Any) -> Any:
        for path in value if isinstance(value, list) else [value]:
            if isinstance(path, Path):
                try:
                    expanded(path)
                except ValueError as error:
                    raise PydanticCustomError("path", "{problem}", {"problem": str(error)}) from None
        return value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Add `<field>_file` beside every secret; a required secret may come either way."""
        described = super().__get_pydantic_json_schema__(schema, handler)
        target = handler.resolve_ref_schema(described)
        for name in cls.secret_fields():
            target["properties"][f"{name}_file"] = {
                "type": "string",
                "description": f"File that holds `{name}`; read again when it changes.",
            }
            if name in target.get("required", []):
                target["required"].remove(name)
                target.setdefault("allOf", []).append({"oneOf": [{"required": [name]}, {"required": [f"{name}_file"]}]})
        return described
