"""Index templates of a bulk receiver: taken strictly, shown as a server shows them, and enforced on documents.

Real servers return a template in another shape than they got it: settings nested and as text, defaults added.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal

from simulator.receivers.rules import Refused

Flavour = Literal["elasticsearch", "opensearch"]

_KEYS = {
    "index_patterns",
    "template",
    "priority",
    "version",
    "composed_of",
    "data_stream",
    "_meta",
    "allow_auto_create",
}
_SIMPLE_TYPES = {
    "keyword",
    "text",
    "date",
    "long",
    "integer",
    "double",
    "boolean",
    "ip",
    "geo_point",
    "object",
    "nested",
}
_OBJECT_TYPES: dict[Flavour, set[str]] = {"elasticsearch": {"flattened"}, "opensearch": {"flat_object"}}
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d([.,]\d{1,9})?)?)?(Z|[+-]\d\d(:?\d\d)?)?)?)?)?", re.ASCII)


class Templates:
    """The composable index templates of one server."""

    def __init__(self, flavour: Flavour) -> None:
        self._flavour = flavour
        self.stored: dict[str, dict[str, Any]] = {}

    def put(self, name: str, template: Any) -> None:
        """Store a template. Raises Refused."""
        if not isinstance(template, dict) or (unknown := set(template) - _KEYS):
            word = "not an object" if not isinstance(template, dict) else f"unknown field [{min(unknown)}]"
            raise Refused("x_content_parse_exception", f"[1:1] [index_template] {word}")
        patterns = template.get("index_patterns")
        if not patterns or not isinstance(patterns, list):
            raise Refused("x_content_parse_exception", "Required [index_patterns]")
        priority = template.get("priority", 0)
        for other, standing in self.stored.items():
            if (
                other != name
                and standing.get("priority", 0) == priority
                and set(patterns) & set(standing["index_patterns"])
            ):
                raise Refused(
                    "illegal_argument_exception",
                    f"index template [{name}] has index patterns {patterns} matching patterns from existing templates "
                    f"[{other}] that have the same priority [{priority}], please use a different priority",
                )
        inner = template.get("template") or {}
        self._check(inner.get("mappings") or {}, "")
        self.stored[name] = {**template, "template": {**inner, "settings": _as_stored(inner.get("settings") or {})}}

    def get(self, name: str) -> dict[str, Any] | None:
        """Return a template as the server shows it, with the defaults that it adds."""
        stored = self.stored.get(name)
        if stored is None:
            return None
        shown = {"composed_of": [], **stored}
        if "data_stream" in stored:
            shown["data_stream"] = (
                {"hidden": False, "allow_custom_routing": False}
                if self._flavour == "elasticsearch"
                else {"timestamp_field": {"name": "@timestamp"}}
            ) | stored["data_stream"]
        if not shown["template"]["settings"]:
            shown["template"] = {key: value for key, value in shown["template"].items() if key != "settings"}
        return shown

    def matching(self, stream: str) -> dict[str, Any] | None:
        """Return the template with the highest priority that makes `stream` a data stream."""
        fits = [
            template
            for template in self.stored.values()
            if any(fnmatchcase(stream, pattern) for pattern in template["index_patterns"])
        ]
        best = max(fits, key=lambda template: int(template.get("priority", 0)), default=None)
        return best if best is not None and "data_stream" in best else None

    def _check(self, mapping: Mapping[str, Any], path: str) -> None:
        for name, field in (mapping.get("properties") or {}).items():
            type_ = field.get("type", "object")
            if type_ not in _SIMPLE_TYPES | _OBJECT_TYPES[self._flavour]:
                raise Refused(
                    "mapper_parsing_exception",
                    f"Failed to parse mapping: No handler for type [{type_}] declared on field [{path}{name}]",
                )
            self._check(field, f"{path}{name}.")


def _as_stored(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings nested below `index` and as text."""
    stored: dict[str, Any] = {}
    for path, value in _leaves(settings, ""):
        parts = (path if path.startswith("index.") else f"index.{path}").split(".")
        level = stored
        for part in parts[:-1]:
            level = level.setdefault(part, {})
        level[parts[-1]] = str(value).lower() if isinstance(value, bool) else str(value)
    return stored


def _leaves(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def check_document(document: Any, mapping: Mapping[str, Any], path: str = "") -> None:
    """Compare a document with the types of a mapping. Raises Refused for what a server would refuse."""
    for name, field in (mapping.get("properties") or {}).items():
        value = document.get(name)
        if value is None:
            continue
        for one in value if isinstance(value, list) else [value]:
            _check_value(one, field, f"{path}{name}")


def _check_value(value: Any, field: Mapping[str, Any], path: str) -> None:
    type_ = field.get("type", "object")
    if type_ == "object" and isinstance(value, dict):
        check_document(value, field, f"{path}.")
    elif value is not None and not _fits(value, type_):
        raise Refused(
            "document_parsing_exception",
            f"[1:1] failed to parse field [{path}] of type [{type_}] in document; preview of field's value: '{value}'",
        )


def _fits(value: Any, type_: str) -> bool:  # noqa: PLR0911 -- a table of types reads best so
    if type_ in {"object", "nested", "flattened", "flat_object"}:
        return isinstance(value, dict)
    if type_ == "geo_point":
        return isinstance(value, dict) and {"lat", "lon"} <= set(value)
    if isinstance(value, dict):
        return False
    if type_ in {"long", "integer"}:
        return isinstance(value, int) or (isinstance(value, str) and re.fullmatch(r"-?\d+", value) is not None)
    if type_ == "ip":
        try:
            ipaddress.ip_address(value)
        except ValueError:
            return False
        return isinstance(value, str)
    if type_ == "date":
        return isinstance(value, int) or _DATE.fullmatch(str(value)) is not None
    if type_ == "boolean":
        return isinstance(value, bool)
    return True
