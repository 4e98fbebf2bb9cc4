"""The example with every setting, its meaning and its default, from the models themselves."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from docs.settings_page import default_text, is_secret, model_of, value_text
from forwarder.config.settings import Settings
from forwarder.contracts.descriptions import descriptions
from forwarder.registry import OWN_DISTRIBUTION, SINKS, SOURCES, Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

INTRO = """# yaml-language-server: $schema=../schema/audit-forwarder.schema.json
# Written by `make docs` from the code. Every setting with its default; what is behind a # is not set.
# A normal configuration is ten lines long: see config.yaml."""

REQUIRED = {
    "org_id": "00000000-0000-0000-0000-000000000000",
    "api_key": "replace-me",
    "url": "https://es.example:9200",
    "path": "./out/events.ndjson",
    "http.url": "https://siem.example/ingest",
    "splunk_hec.url": "https://splunk.example:8088",
    "token": "replace-me",
    "address": "tls://siem.example:6514",
    "email": "audit@example.com",
    "secret": "replace-me",
}
"""Values for settings that have no default, of one type of component or of all; else the first of its `examples`."""

EITHER: dict[str, dict[str, str]] = {
    "jira": {"site": "acme"},
    "confluence": {"site": "acme"},
    "archive": {"path": "./archive"},
    **{
        f"{product}_datacenter": {
            "site": f"{product}.example.com",
            "nodes": f"{{node1: /var/atlassian/application-data/{product}/log/audit}}",
        }
        for product in ("jira", "confluence", "bitbucket")
    },
}
"""For types that need one of several settings: which one the example has."""

NOT_TAKEN = {"guard_detect": {"every", "since", "overlap", "trailing", "trailing_every", "heal_every"}}
"""Settings that a type has from its base and refuses."""

NAMES = {
    "organization": "acme",
    "elasticsearch": "elastic",
    "file": "archive",
    "archive": "evidence",
    "splunk_hec": "splunk",
}
WIDTH = 118


def full_example() -> str:
    """Return the YAML."""
    lines = [INTRO]
    for name, field in Settings.model_fields.items():
        lines += ["", *_comment(descriptions(Settings).get(name, ""), ""), f"{name}:"]
        model = model_of(field.annotation)
        if model is not None:
            inner = list(_settings(model, "  ", {}))
            lines[-1] = lines[-1] if _sets_something(inner) else f"# {lines[-1]}"
            lines += inner
        elif name == "budgets":
            lines += [
                "  one_key_owner:",
                *_settings(get_args(field.annotation)[1], "    ", {"requests_per_minute": 10}),
            ]
        elif name == "places":
            lines[-1] += " {}"
        else:
            lines += _components(SOURCES if name == "sources" else SINKS)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _components(registry: Registry) -> Iterator[str]:
    for kind in registry.names(distribution=OWN_DISTRIBUTION):
        config = registry.load(kind).Config
        yield from ["", *_comment(config.__doc__ or "", "  "), f"  {NAMES.get(kind, kind)}:"]
        yield from _settings(config, "    ", {"type": kind, **EITHER.get(kind, {})})


def _settings(model: type[BaseModel], indent: str, given: dict[str, Any], defaults: Any = None) -> Iterator[str]:
    for name, field in model.model_fields.items():
        default = getattr(defaults, name) if defaults is not None else field.get_default(call_default_factory=True)
        nested = model_of(field.annotation)
        if name in NOT_TAKEN.get(given.get("type", ""), ()):
            continue
        yield from _comment(descriptions(model).get(name, ""), indent)
        if nested is not None:
            inner = list(_settings(nested, f"{indent}  ", {}, None if default is PydanticUndefined else default))
            yield f"{indent}{name}:" if _sets_something(inner) else f"{indent}# {name}:"
            yield from inner
        elif name in given or default is PydanticUndefined:
            of_type = REQUIRED.get(f"{given.get('type')}.{name}")
            example = of_type or REQUIRED.get(name) or next(iter(field.examples or []), "")
            yield f"{indent}{name}: {given.get(name) or example}"
            if is_secret(field.annotation):
                yield f"{indent}# or {name}_file: a file that holds it, read again when it changes"
        elif default is None:
            yield f"{indent}# {name}: {_words(field.annotation, field.metadata)}"
        else:
            yield f"{indent}{name}: {_yaml(default_text(field, default).strip('`'), default)}"


def _sets_something(lines: list[str]) -> bool:
    return any(not line.lstrip().startswith("#") for line in lines)


def _words(annotation: Any, metadata: Any) -> str:
    return f"({value_text(annotation, metadata).replace('`', '')})"


def _yaml(text: str, default: Any) -> str:
    """Quote what YAML would read as something else than text."""
    if isinstance(default, list | dict):
        return json.dumps(default)
    numeric = isinstance(default, str) and text.replace(".", "", 1).isdecimal()
    return json.dumps(text) if isinstance(default, str) and (numeric or not text or text[0] in "*&!%@-'\"{[") else text


def _comment(text: str, indent: str) -> list[str]:
    return [f"{indent}# {line}" for line in textwrap.wrap(" ".join(text.split()), WIDTH - len(indent))]
