"""The schema of the chart's values, and the page about them: our configuration without secrets, and a pod.

Helm checks values against it before anything is rendered, so a wrong setting or a key in clear text never reaches a
cluster. Patterns are for Go's regular expressions, which look neither ahead nor behind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from docs.markdown import code, table
from forwarder.config.json_schema import json_schema

CHART = Path(__file__).resolve().parent.parent / "helm" / "audit-forwarder"

_NAME = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$"
_QUANTITY = "^[1-9][0-9]*(\\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$"
_VOLUMES = (
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
)  # fmt: skip
"""What the Pod Security level `restricted` allows."""
_NO_PASSWORD = {"not": {"type": "string", "pattern": "@"}}
"""For the URL of a proxy, the one setting that may hold a password without being a secret. A `pattern` alone would say
the same, but helm then shows the value."""
_NOT_OURS = "^[Ff][Oo][Rr][Ww][Aa][Rr][Dd][Ee][Rr]_"


def _text(meaning: str, pattern: str | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": meaning, **({"pattern": pattern} if pattern else {}), **more}


def _one_of(meaning: str, *values: str) -> dict[str, Any]:
    return {"enum": list(values), "description": meaning}


def _object(meaning: str, required: tuple[str, ...] = (), **properties: dict[str, Any]) -> dict[str, Any]:
    shape: dict[str, Any] = {"type": "object", "description": meaning, "additionalProperties": False}
    return {**shape, "properties": properties, **({"required": list(required)} if required else {})}


def _texts(meaning: str) -> dict[str, Any]:
    return {"type": "object", "description": meaning, "additionalProperties": {"type": "string"}}


def _kubernetes(kind: str, meaning: str) -> dict[str, Any]:
    """Return a part that is passed on as it is; the cluster knows what is allowed in it."""
    return {"type": kind, "description": meaning, **({"items": {"type": "object"}} if kind == "array" else {})}


def _user(meaning: str) -> dict[str, Any]:
    return {"type": ["integer", "null"], "minimum": 1, "description": meaning}


_VALUES: dict[str, dict[str, Any]] = {
    "image": _object(
        "The image.",
        ("repository",),
        repository=_text("Where you keep the image you built, without a tag.", "^[a-z0-9][-a-zA-Z0-9._:/]*[a-z0-9]$"),
        tag=_text("Tag; default: the version of the chart's application.", "^([A-Za-z0-9_][-A-Za-z0-9._]{0,127})?$"),
        digest=_text("Digest; stronger than the tag.", "^(sha256:[0-9a-f]{64})?$"),
        pullPolicy=_one_of("When the image is pulled.", "IfNotPresent", "Always", "Never"),
    ),
    "imagePullSecrets": _kubernetes("array", "Secrets for the registry, such as `[{name: registry}]`."),
    "fullnameOverride": _text(
        "Name of everything; default: made of the release's name.", "^([a-z]([-a-z0-9]*[a-z0-9])?)?$", maxLength=52
    ),
    "existingSecret": _text(
        "A Secret with one key per setting, such as `sources__acme__api_key`, `sinks__elastic__api_key` and "
        "`admin__token`. A changed one is used without a restart.",
        _NAME,
    ),
    "config": {},
    "persistence": _object(
        "The volume of the spool, mounted at `/var/lib/audit-forwarder`.",
        existingClaim=_text("Use this claim rather than make one.", _NAME),
        storageClass=_text("Storage class; default: the cluster's. Block or local storage, never NFS.", _NAME),
        accessMode=_one_of("Who may mount it.", "ReadWriteOnce", "ReadWriteOncePod"),
        size=_text("Size; room for `spool.max_bytes`, `spool.id_max_bytes` and file sinks.", _QUANTITY),
    ),
    "extraVolumes": {
        "type": "array",
        "description": "Further volumes, such as a ConfigMap with a certificate authority.",
        "items": _object("A volume.", ("name",), **{key: {} for key in ("name", *_VOLUMES)}),
    },
    "extraVolumeMounts": _kubernetes("array", "Where they are mounted."),
    "resources": _kubernetes("object", "Requests and limits."),
    "podSecurityContext": _object(
        "Who it runs as; `null` leaves it to the cluster, as OpenShift wants it. The rest of the security context is "
        "fixed: it satisfies the Pod Security level `restricted`.",
        runAsUser=_user("User id; never 0."),
        runAsGroup=_user("Group id."),
        fsGroup=_user("Group that owns the volume."),
        fsGroupChangePolicy={
            "enum": ["OnRootMismatch", "Always", None],
            "description": "When the volume's files are given to that group.",
        },
        supplementalGroups={
            "type": "array",
            "items": {"type": "integer", "minimum": 1},
            "description": "Further groups.",
        },
    ),
    "serviceAccount": _object(
        "The account; its token is never mounted.",
        create={"type": "boolean", "description": "Make one."},
        name=_text("Its name; default: that of the release, or `default` when none is made.", _NAME),
        annotations=_texts("Annotations, such as for a cloud's identity."),
    ),
    "service": _object("The headless Service of the metrics.", annotations=_texts("Annotations.")),
    "networkPolicy": _object(
        "A NetworkPolicy: in only to the admin port, out only to DNS and to the ports of the configured destinations.",
        enabled={"type": "boolean", "description": "Make it."},
        ingressFrom=_kubernetes(
            "array", "Who may ask for metrics and status; default: everyone. Probes of the node pass."
        ),
        egressTo=_kubernetes(
            "array", "Where those ports may be; default: everywhere, for a policy knows no host names."
        ),
        extraEgress=_kubernetes("array", "Further egress rules, such as for a proxy on another port."),
    ),
    "env": {
        **_texts("Environment, such as `HTTPS_PROXY`. Settings of ours belong into `config`, secrets into the Secret."),
        "patternProperties": {"[Pp][Rr][Oo][Xx][Yy]$": {"type": "string", **_NO_PASSWORD}},
        "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "not": {"pattern": _NOT_OURS}},
    },
    "podAnnotations": _texts("Annotations of the pod."),
    "podLabels": _texts("Labels of the pod."),
    "priorityClassName": _text("Priority class.", _NAME),
    "nodeSelector": _texts("Labels a node must have."),
    "tolerations": _kubernetes("array", "Taints it tolerates."),
    "affinity": _kubernetes("object", "Affinity."),
    "global": _kubernetes("object", "Not used; helm puts it here when the chart is a part of another one."),
}


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
        "properties": {**_VALUES, "config": config},
        "$defs": schema["$defs"],
    }


def _without_secrets(node: Any) -> Any:
    """Leave out every setting that is a secret, and the demand for it: it comes from the Secret, or from a file."""
    if isinstance(node, list):
        return [_without_secrets(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if key != "default"}
    if isinstance(kept.get("properties"), dict):
        secrets = {name for name, setting in kept["properties"].items() if _is_secret(setting)}
        kept["properties"] = {
            name: {**value, **_NO_PASSWORD} if name == "proxy" else value
            for name, value in kept["properties"].items()
            if name not in secrets
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
    defaults = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    rows = []
    for name, shape in _VALUES.items():
        if name == "config":
            stands = ", ".join(code(f"{key}: {value}") for key, value in _leaves(defaults[name]))
            meaning = "The [configuration](configuration.md), without secrets; `sources` and `sinks` are required."
            rows.append([code(name), stands, meaning])
            continue
        rows += [[code(path), _shown(default), meaning] for path, default, meaning in _rows(name, shape, defaults)]
    intro = "Beyond these, helm refuses everything. How they are used: [container.md](../container.md).\n"
    return f"{intro}\n{table(['Value', 'Default', 'Meaning'], rows)}"


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
