"""The index template of the `elasticsearch` sink, and what became of the one that stands at the server.

Every field that the `ecs` format writes has the type here that ECS gives it, with its `.text`, but for two types that
not every server has: `match_only_text` is `text` and `wildcard` is `keyword`, of the same family to every query.
Whatever else comes is kept in `_source` and not indexed, so that no event can make two others conflict. The template
carries a digest of itself: what no longer fits its digest was changed by someone else and is never overwritten.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from forwarder.contracts import SetupStep

VERSION = 6
"""Goes up with every change of the template."""

PRIORITY = 250
"""Above `logs-*-*` of Elasticsearch (100) and the packages of Elastic (200)."""

Flavour = Literal["elasticsearch", "opensearch"]

_KEYWORD: dict[str, Any] = {"type": "keyword", "ignore_above": 1024}
_LONG_KEYWORD: dict[str, Any] = {"type": "keyword", "ignore_above": 8191}  # 4 bytes each stay below Lucene's 32766
_NAME: dict[str, Any] = {**_KEYWORD, "fields": {"text": {"type": "text"}}}
_LONG_NAME: dict[str, Any] = {**_LONG_KEYWORD, "fields": {"text": {"type": "text"}}}
_DATE: dict[str, Any] = {"type": "date", "format": "strict_date_optional_time||epoch_millis"}
_STORED: dict[str, Any] = {"type": "keyword", "index": False, "doc_values": False}
_WHOLE: dict[Flavour, dict[str, Any]] = {
    # One field for a whole object of any shape; it must take whatever an event holds. OpenSearch's flat_object refuses
    # the document for one value over 32 766 bytes and knows no ignore_above, so an attacker could keep an event out.
    "elasticsearch": {"type": "flattened", "ignore_above": 1024, "depth_limit": 64},
    "opensearch": {"type": "object", "enabled": False},
}

_WHO = ("user", "user.target", "user.effective", "user.changes")
_PERSON = ("id", "email", "domain", "roles", "group.id", "group.name")
_THINGS = ("content", "space", "site", "app", "also.things")
_AUTHENTICATION = ("type", "token_id", "token_label", "session_id", "app_id", "app_name", "app_kind")
_KEYWORDS = (
    *("ecs.version", "tags", "data_stream.type", "data_stream.dataset", "data_stream.namespace"),
    *("event.kind", "event.category", "event.type", "event.outcome", "event.action", "event.id", "event.code"),
    *("event.module", "event.dataset", "event.provider", "event.reason", "event.hash"),
    *(f"{who}.{what}" for who in _WHO for what in _PERSON),
    *("group.id", "group.name", "group.domain", "organization.id"),
    *("source.address", "source.geo.country_name", "source.geo.country_iso_code", "source.geo.region_name"),
    *("source.geo.city_name", "source.geo.name", "user_agent.name", "url.domain", "url.path"),
    *(
        "related.user",
        "related.hosts",
        "related.hash",
        "observer.vendor",
        "observer.product",
        "observer.type",
        "observer.version",
    ),
    *(
        f"atlassian.audit.{name}"
        for name in ("feed", "layer", "product", "act", "action_name", "actor_kind", "related")
    ),
    *("atlassian.audit.revision", "atlassian.audit.marks", "atlassian.audit.changes.field", "atlassian.audit.roles"),
    *("atlassian.audit.domain", "atlassian.audit.also.roles", "atlassian.audit.also.products"),
    *("atlassian.audit.late.kind", "atlassian.audit.late.reader"),
    *(f"atlassian.audit.also.users.{name}" for name in ("id", "address", "kind")),
    *(f"atlassian.audit.authentication.{n}" for n in _AUTHENTICATION),
    *(f"atlassian.audit.{thing}.{name}" for thing in _THINGS for name in ("kind", "id", "key", "vendor")),
)
_LONG_KEYWORDS = (
    *("atlassian.audit.changes.before", "atlassian.audit.changes.after"),
    *(f"atlassian.audit.{thing}.{name}" for thing in _THINGS for name in ("url", "api_url")),
)
_NAMES = (
    *(f"{who}.{name}" for who in _WHO for name in ("full_name", "name")),
    "organization.name",
    *(f"atlassian.audit.{thing}.name" for thing in _THINGS),
    "atlassian.audit.also.users.name",
)
_LONG_NAMES = ("url.full", "user_agent.original")
_DATES = ("@timestamp", "event.created", "event.ingested", "event.start", "event.end", "atlassian.audit.processed_at")


def template_name(stream: str) -> str:
    """Return the name of the template for a data stream: `logs-atlassian.audit` serves all its namespaces."""
    found = re.fullmatch(r"([a-z]+-[^-]+)-[^-]+", stream)
    return found[1] if found else stream


def index_template(stream: str, flavour: Flavour, ilm_policy: str | None = None) -> dict[str, Any]:
    """Return the template for a data stream, with our version and its digest in `_meta`."""
    name = template_name(stream)
    settings = {"index": {"lifecycle": {"name": ilm_policy}}} if ilm_policy else {}
    template: dict[str, Any] = {
        "index_patterns": [stream if name == stream else f"{name}-*"],
        "priority": PRIORITY,
        "version": VERSION,
        "data_stream": {},
        "template": {"settings": settings, "mappings": {"dynamic": False, "properties": _properties(flavour)}},
    }
    template["_meta"] = {"managed_by": "audit-forwarder", "version": VERSION, "digest": digest(template)}
    return template


def misfit(path: str) -> str | None:
    """Say why no text can stand at a path under our template, so that the server would refuse every document."""
    types = _types("elasticsearch")
    if path not in types and any(one.startswith(f"{path}.") for one in types):
        return "an object"
    leaf = next((one for one in types if path == one or path.startswith(f"{one}.")), path)
    kind = types[leaf]["type"] if leaf in types else "keyword"
    if leaf == path:
        return None if kind in {"keyword", "text"} else f"of type {kind}"
    return None if kind == "flattened" else f"within {leaf}, which is of type {kind}"


def compare(found: Mapping[str, Any] | None, wanted: Mapping[str, Any], name: str) -> SetupStep:
    """Say what is to be done about the template that stands at the server; None when there is none.

    One that a newer version of ours wrote is as little ours to overwrite as a stranger's.
    """
    what = f"index template {name}"
    if found is None:
        return SetupStep(what, "missing", _diff({}, wanted))
    meta = found.get("_meta") or {}
    if normal_form(found) == normal_form(wanted):
        return SetupStep(what, "same")
    known = isinstance(meta.get("version"), int) and meta["version"] <= VERSION
    ours = known and meta.get("managed_by") == "audit-forwarder" and meta.get("digest") == digest(found)
    return SetupStep(what, "ours_older" if ours else "foreign", _diff(normal_form(found), wanted))


def digest(template: Mapping[str, Any]) -> str:
    """Return what stays equal as long as no one changes the meaning of a template."""
    canonical = json.dumps(normal_form(template), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def normal_form(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return a template as every server would give it back: defaults gone, settings flat, scalars as text.

    Servers add defaults of their own (`composed_of: []`, `data_stream.hidden: false`, `timestamp_field`) and turn
    settings into nested text; two templates that mean the same have the same form.
    """
    inner = template.get("template") or {}
    stream = template.get("data_stream")
    form: dict[str, Any] = {
        "index_patterns": sorted(template.get("index_patterns") or ()),
        "priority": template.get("priority"),
        "composed_of": template.get("composed_of"),
        "allow_auto_create": template.get("allow_auto_create"),
        "settings": {_setting(key): value for key, value in _leaves(inner.get("settings") or {})},
        "mappings": _as_text(inner.get("mappings") or {}),
        "aliases": inner.get("aliases"),
        "lifecycle": inner.get("lifecycle"),
        "data_stream": None if stream is None else {"options": _unusual(stream)},
    }
    return {key: value for key, value in form.items() if value or value == 0}


def _unusual(stream: Mapping[str, Any]) -> dict[str, Any]:
    usual = {"timestamp_field": {"name": "@timestamp"}}
    return {key: value for key, value in stream.items() if value and usual.get(key) != value}


def _setting(key: str) -> str:
    return key if key.startswith("index.") else f"index.{key}"


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, _as_text(value)


def _as_text(value: Any) -> Any:
    if isinstance(value, Mapping):
        # An object that has properties is an object, whether or not the server says so.
        return {key: _as_text(inner) for key, inner in value.items() if (key, inner) != ("type", "object")}
    if isinstance(value, list):
        return [_as_text(inner) for inner in value]
    return str(value).lower() if isinstance(value, bool) else value if value is None else str(value)


def _diff(before: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    old, new = (json.dumps(side, indent=2, sort_keys=True).splitlines() for side in (before, normal_form(wanted)))
    return "\n".join(difflib.unified_diff(old, new, "at the server", "ours", lineterm="", n=2))


def _types(flavour: Flavour) -> dict[str, dict[str, Any]]:
    return {
        **dict.fromkeys(_KEYWORDS, _KEYWORD),
        **dict.fromkeys(_LONG_KEYWORDS, _LONG_KEYWORD),
        **dict.fromkeys(_NAMES, _NAME),
        **dict.fromkeys(_LONG_NAMES, _LONG_NAME),
        **dict.fromkeys(_DATES, _DATE),
        "message": {"type": "text"},
        "event.severity": {"type": "long"},
        "atlassian.audit.late.seconds": {"type": "long"},
        "event.original": _STORED,
        "source.ip": {"type": "ip"},
        "source.geo.location": {"type": "geo_point"},
        "related.ip": {"type": "ip"},
        "labels": _WHOLE[flavour],
        "atlassian.audit.context": _WHOLE[flavour],
        "atlassian.audit.container": _WHOLE[flavour],
    }


def _properties(flavour: Flavour) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for path, mapping in sorted(_types(flavour).items()):
        *parents, leaf = path.split(".")
        level = root
        for parent in parents:
            level = level.setdefault(parent, {"properties": {}})["properties"]
        level[leaf] = mapping
    return root
