"""The one JSON schema of the configuration: for editors, for the reference, and for whoever packages the forwarder."""

from __future__ import annotations

from typing import Any

from forwarder.config.layers import MAPS
from forwarder.config.settings import Settings
from forwarder.config.shape import PLUGINS
from forwarder.contracts.errors import ConfigError
from forwarder.registry import SINKS, SOURCES, Registry

_FOREIGN = {"ge", "gt", "le", "lt", "title"}
"""Keywords that pydantic adds and JSON schema does not know, and titles that only repeat the key."""


def json_schema() -> dict[str, Any]:
    """Return the schema of what may be written in YAML, with every component that is installed.

    Unlike `check` it cannot tell whether a name that is referred to exists. A broken package is left out, since it
    cannot describe itself; `schema` and `check` name it.
    """
    schema = Settings.model_json_schema(mode="validation")
    shared: dict[str, Any] = schema.setdefault("$defs", {})
    registries = {registry.kind: registry for registry in (SOURCES, SINKS)}
    for section in ("sources", "sinks"):
        for values in schema["properties"][section]["patternProperties"].values():
            values["oneOf"] = _branches(registries[values.pop(PLUGINS)], shared)
    for section in MAPS:
        schema["properties"][section]["additionalProperties"] = False  # a name that does not match the pattern
    title = schema.pop("title")
    cleaned: dict[str, Any] = _clean(schema, names=False)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **cleaned}


def _branches(registry: Registry, shared: dict[str, Any]) -> list[dict[str, Any]]:
    branches = []
    for kind in registry.names():
        try:
            config = registry.load(kind).Config
        except ConfigError:
            continue
        name = f"{registry.kind}.{kind}"
        template = f"#/$defs/{name}.{{model}}"
        described = config.model_json_schema(mode="validation", ref_template=template)
        for inner, definition in described.pop("$defs", {}).items():
            shared[f"{name}.{inner}"] = definition
        described["properties"]["type"] = {"const": kind, "description": f"This is a {registry.kind} of type {kind}."}
        described["required"] = sorted({"type", *described.get("required", [])})
        shared[name] = described
        branches.append({"$ref": f"#/$defs/{name}"})
    return branches


def _clean(node: Any, *, names: bool) -> Any:
    """Leave out foreign keywords; below `properties` and `$defs` the keys are names, and stay."""
    if isinstance(node, list):
        return [_clean(item, names=False) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: value if key in {"default", "const", "enum", "examples"} and not names
        else _clean(value, names=not names and key in {"properties", "patternProperties", "$defs"})
        for key, value in node.items()
        if names or key not in _FOREIGN
    }  # fmt: skip
