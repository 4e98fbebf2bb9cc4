"""The schema of the chart's values, and the page about them: our configuration without secrets, and a pod.

Helm checks values against it before anything is rendered, so a wrong setting or a key in clear text never reaches a
cluster.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from docs.chart_values import INTO_THE_SECRET, NO_PASSWORD, VALUES
from docs.markdown import code, table
from forwarder.config.json_schema import json_schema

CHART = Path(__file__).resolve().parent.parent / "helm" / "audit-forwarder"


def values_schema() -> dict[str, Any]:
    """Return the JSON schema of the chart's values."""
    schema = _without_secrets(json_schema())
    properties: dict[str, Any] = schema["properties"]
    for section in ("sources", "sinks"):
        for values in properties[section]["patternProperties"].values():
            _branch_by_type(values, schema["$defs"])
    for section, setting in (("spool", "path"), ("admin", "listen"), ("shutdown", "grace")):
        properties[section]["required"] = [setting]  # values.yaml has them; a null would take them away
    config = {
        "type": "object",
        "description": "The configuration, without secrets.",
        "additionalProperties": False,
        "properties": properties,
        "required": ["spool", "sources", "sinks", "admin", "shutdown"],
    }
    return {
        "$schema": schema["$schema"],
        "title": "Values of the chart audit-forwarder",
        "type": "object",
        "additionalProperties": False,
        "required": ["image", "config", "persistence", "serviceAccount", "service"],
        "properties": {**VALUES, "config": config},
        "$defs": schema["$defs"],
    }


def _without_secrets(node: Any) -> Any:
    """Refuse every setting that is a secret, and do not demand it: it comes from the Secret, or from a file."""
    if isinstance(node, list):
        return [_without_secrets(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if key != "default"}
    if isinstance(kept.get("properties"), dict):
        secrets = {name for name, setting in kept["properties"].items() if _is_secret(setting)}
        kept["properties"] = {
            name: INTO_THE_SECRET if name in secrets else {**value, **NO_PASSWORD} if name == "proxy" else value
            for name, value in kept["properties"].items()
        }
        either = [{"oneOf": [{"required": [name]}, {"required": [f"{name}_file"]}]} for name in secrets]
        rest = [clause for clause in kept.pop("allOf", []) if clause not in either]
        kept |= {"allOf": rest} if rest else {}
    return {key: _without_secrets(value) for key, value in kept.items()}


def _is_secret(setting: Any) -> bool:
    return any(form.get("writeOnly") for form in (setting, *setting.get("anyOf", ())))


def _branch_by_type(values: dict[str, Any], shapes: dict[str, Any]) -> None:
    """Say which shape belongs to which type, so that the refusal of a setting names it and not every other type."""
    kinds = {shapes[ref["$ref"].rpartition("/")[2]]["properties"]["type"]["const"]: ref for ref in values.pop("oneOf")}
    values["properties"] = {"type": {"enum": list(kinds)}}
    values["allOf"] = [
        {"if": {"properties": {"type": {"const": kind}}, "required": ["type"]}, "then": ref}
        for kind, ref in kinds.items()
    ]


def values_page() -> str:
    """Return the page about the values."""
    intro = "Beyond these, helm refuses everything. How they are used: [helm.md](../install/helm.md).\n"
    return f"{intro}\n{values_table()}"


def values_table() -> str:
    """Return a row for each value."""
    defaults = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    rows = []
    for name, shape in VALUES.items():
        if name == "config":
            stands = ", ".join(code(f"{key}: {value}") for key, value in _leaves(defaults[name]))
            meaning = "The [configuration](configuration.md), without secrets; `sources` and `sinks` are required."
            rows.append([code(name), stands, meaning])
            continue
        rows += [[code(path), _shown(default), meaning] for path, default, meaning in _rows(name, shape, defaults)]
    return table(["Value", "Default", "Meaning"], rows)


def _rows(name: str, shape: dict[str, Any], defaults: dict[str, Any]) -> list[tuple[str, Any, str]]:
    if "properties" not in shape:
        return [(name, defaults.get(name), shape["description"])]
    inner = shape["properties"].items()
    missing = "required" if shape.get("required") else None
    return [
        (name, None, shape["description"]),
        *((f"{name}.{key}", defaults[name].get(key, missing), inside["description"]) for key, inside in inner),
    ]


def _leaves(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    return [
        leaf
        for key, value in tree.items()
        for leaf in (_leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)])
    ]


def _shown(default: Any) -> str:
    if default == "required":
        return default
    if default in (None, "", [], {}):
        return "-"
    flow = yaml.safe_dump(default, default_flow_style=True, width=1000)
    return code(flow.removesuffix("\n").removesuffix("\n..."))
